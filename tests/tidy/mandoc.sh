#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The man pages are right mdoc(7): mandoc finds no error in them, and nothing to
# warn of. (Below a warning it objects to style: a page that it cannot find.)
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
command -v mandoc >/dev/null || { echo "mandoc is not installed"; exit 77; }

mandoc -T lint -W warning "$top"/man/*.[1-9]
