# SPDX-License-Identifier: GPL-2.0-or-later
# bench.json as lines of words separated by tabs.

def digits($n): . * pow(10; $n) | round / pow(10; $n) | tostring
  | if $n == 0 then . else
      (if test("\\.") then . else . + "." end) as $t
      | ($t | split(".")) as [$whole, $part]
      | $whole + "." + ($part + "000000")[:$n]
    end;

def short:
  if . == null then "-"
  elif . >= 1000000 then (. / 1000000 | digits(2)) + "M"
  elif . >= 10000 then (. / 1000 | digits(1)) + "k"
  elif . >= 100 then digits(0)
  elif . >= 10 then digits(1)
  else digits(3) end;

def unit: {iops: "/s", mb_s: "MB/s", cpu_us: "us", p99_us: "us", seconds: "s", bytes: "bytes"}[.] // .;

def figure: if . == null then "-" elif . < 10 then digits(3) else short end;

def bounds: if .at_least and .at_most then "\(.at_least) .. \(.at_most)"
  elif .at_least then ">= \(.at_least)" elif .at_most then "<= \(.at_most)" else "-" end;

# Of the interval, where that decides rather than the median.
def target: bounds + if .judged_by == "interval" then " (all of it)" else "" end;

def verdict: if .met == true then "met" elif .met == false then "MISSED" else "-" end;

def against: if .limit then .limit else "-" end;

def notes: (if .against_bare then "; against one past libfuse: \(.against_bare | figure)" else "" end)
  + (if .of_idle_daemon then "; of a daemon that does nothing: \(.of_idle_daemon | figure)" else "" end)
  + (if .note then "; \(.note)" else "" end)
  + (if .pass_ratio then "; only handed on: \(.pass_ratio | figure), \(.side) against that: \(.against_pass | figure)" else "" end)
  + (if .serial_ratio then "; transport, then disk: \(.serial_ratio | figure)" else "" end);

def sides: notes as $note | (.unit // .metric) as $unit
  | [.sides | to_entries[] | "\(.key) \(.value | short)"] | join(", ") + " " + ($unit | unit) + $note;

def base: if .against_base then "x \(.against_base.median | figure) [\(.against_base.interval.low | figure) .. \(.against_base.interval.high | figure)]" else "" end;

def line: [.name, .title, against, (.median | figure),
  "[\(.interval.low | figure) .. \(.interval.high | figure)]", (.pairs | tostring), target, verdict,
  sides, base];

def machine: "\(.model), \(.cores) cores, \(.memory_gib) GiB, Linux \(.kernel), libfuse \(.libfuse), fio \(.fio), disk \(.disk)";

def table:
  (["row", "what", "against", "median", "interval", "pairs", "target", "", "medians of the sides",
    (if any(.rows[]; .against_base) then "against BASE" else "" end)],
   (.rows[] | line)) | join("\t");
