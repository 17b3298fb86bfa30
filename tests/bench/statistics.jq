# SPDX-License-Identifier: GPL-2.0-or-later
# From single measurements to rows of the table.

def quantile($q):
  sort | length as $n
  | if $n == 0 then null
    else (($n - 1) * $q) as $at | ($at | floor) as $i
      | .[$i] + (.[[$i + 1, $n - 1] | min] - .[$i]) * ($at - $i)
    end;

def median: quantile(0.5);

# P(X <= k) of a fair coin thrown n times.
def coin($n; $k):
  reduce range(0; $k + 1) as $i ({sum: 0, term: 1};
    {sum: (.sum + .term), term: (.term * ($n - $i) / ($i + 1))})
  | .sum / pow(2; $n);

# An interval for the median that asks nothing of the distribution (the sign test):
# from the k-th smallest value to the k-th largest one, with the largest k that still
# covers 95 %. Too few values cover less with all of them: `covers` says it.
def median_interval:
  sort | length as $n
  | if $n == 0 then {low: null, high: null, covers: 0}
    else
      ([range(0; ($n / 2) | floor) | select(coin($n; .) <= 0.025)] | length) as $k
      | ([$k, 1] | max) as $k
      | {low: .[$k - 1], high: .[$n - $k],
         covers: (if $n == 1 then 0 else 1 - 2 * coin($n; $k - 1) end)}
    end;

# The values of one side, by pair.
def values($side; $metric):
  map(select(.side == $side and .[$metric] != null) | {key: (.pair | tostring), value: .[$metric]})
  | from_entries;

# value of `a` / value of `b`, pair by pair
def ratios($a; $b): [$a | to_entries[] | select($b[.key]) | .value / $b[.key]];

# With several limits the lower one counts: the same one for all pairs, or chance
# would choose the lower of two each time, and flatter.
def limit_of($row; $samples):
  [$row.limits[] as $side | ($samples | values($side; $row.metric)) as $values
   | select($values | length > 0) | {side: $side, median: ([$values[]] | median)}]
  | min_by(.median);

# One request at a time pays for the transport and for the disk, one after the other:
# what a daemon reaches that adds nothing and overlaps nothing, as the ratio of the row.
def serial_ratio($row; $limit; $samples):
  [$row.serial[]? as $side | [$samples | values($side; $row.metric)[]] | median // empty]
  | if length < 2 or $limit == null then null else 1 / (map(1 / .) | add) / $limit.median end;

# A daemon that hands requests on to the disk and does nothing else: what it reaches, as
# the ratio of the row, and what the row's side reaches against it.
def pass_ratios($row; $own; $limit; $samples):
  if $row.pass == null or $limit == null then {}
  else ($samples | values($row.pass; $row.metric)) as $pass
    | (ratios($pass; $samples | values($limit.side; $row.metric)) | median) as $ratio
    | if $ratio then {pass_ratio: $ratio, against_pass: (ratios($own; $pass) | median)} else {} end
  end;

# A daemon that does nothing, past libfuse: what the row's side reaches against it.
def bare_ratio($row; $own; $samples):
  if $row.bare == null then null else ratios($own; $samples | values($row.bare; $row.metric)) | median end;

# The same row for a daemon that does nothing: what the transport alone makes of it.
def idle_ratio($row; $samples):
  if $row.idle == null then null
  else ratios($samples | values($row.idle[0]; $row.metric); $samples | values($row.idle[1]; $row.metric)) | median end;

# A row that is judged by its interval has all of that beyond the target.
def judged($row):
  if $row.judged_by != "interval" then median
  else median_interval | if $row.at_least then .low else .high end end;

def is_met($row):
  if $row.at_least and $row.at_most then . >= $row.at_least and . <= $row.at_most
  elif $row.at_least then . >= $row.at_least
  elif $row.at_most then . <= $row.at_most
  else null end;

# `samples`: those of the row's group. With another program to compare with (sides
# that begin with "base"), `against_base` is new / old.
def result($row; $samples):
  ($samples | values($row.side; $row.metric)) as $own
  | limit_of($row; $samples) as $limit
  | ($row.side | sub("^wbfs"; "base")) as $base_side
  | (if $base_side == $row.side then {} else $samples | values($base_side; $row.metric) end) as $base
  | (if ($row.limits | length) == 0 then [$own[]]
     else ratios($own; $samples | values($limit.side; $row.metric)) end) as $figures
  | $row
  + {pairs: ($figures | length),
     median: ($figures | median), interval: ($figures | median_interval),
     quartiles: {low: ($figures | quantile(0.25)), high: ($figures | quantile(0.75))},
     limit: ($limit.side // null),
     met: (($figures | judged($row)) as $m | if $m == null then null else $m | is_met($row) end),
     sides: ($samples | map(.side) | unique
             | map({key: ., value: (. as $s | [$samples | values($s; $row.metric)[]] | median)})
             | from_entries),
     figures: $figures}
  + (if ($base | length) > 0 then
       ratios($own; $base) as $r
       | {against_base: {median: ($r | median), interval: ($r | median_interval)}}
     else {} end)
  + (serial_ratio($row; $limit; $samples) as $ratio
     | if $ratio then {serial_ratio: $ratio} else {} end)
  + pass_ratios($row; $own; $limit; $samples)
  + (bare_ratio($row; $own; $samples) as $ratio
     | if $ratio then {against_bare: $ratio} else {} end)
  + (idle_ratio($row; $samples) as $ratio
     | if $ratio then {of_idle_daemon: $ratio} else {} end)
  + ([$samples[] | select(.side == $row.side) | .note // empty] | if length > 0 then {note: last} else {} end);

def all_results($rows):
  . as $samples
  | [$rows[] as $row | ($samples | map(select(.group == $row.group))) as $mine
     | select($mine | any(.side == $row.side)) | result($row; $mine)];

# Rows measured now replace those measured earlier; the order is that of the table.
def merge($rows; $old; $new):
  [$rows[].name as $name | ([$new[] | select(.name == $name)] + [$old[] | select(.name == $name)])
   | select(length > 0) | .[0]];
