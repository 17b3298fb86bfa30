/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz targets: one file each, one function that takes any bytes and aborts
 * when a promise is broken. With WB_LIBFUZZER it is the entry of libFuzzer; else
 * all of them are linked into replay.c, which runs what lies in corpus/.
 */
#ifndef WB_TESTS_FUZZ_H
#define WB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#ifdef WB_LIBFUZZER
#define WB_FUZZ_TARGET(name) LLVMFuzzerTestOneInput
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#else
#define WB_FUZZ_TARGET(name) wb_fuzz_##name
int wb_fuzz_superblock(const uint8_t *data, size_t size);
int wb_fuzz_record(const uint8_t *data, size_t size);
int wb_fuzz_checkpoint(const uint8_t *data, size_t size);
int wb_fuzz_image(const uint8_t *data, size_t size);
int wb_fuzz_command_line(const uint8_t *data, size_t size);
int wb_fuzz_configuration(const uint8_t *data, size_t size);
int wb_fuzz_control(const uint8_t *data, size_t size);
#endif

#endif
