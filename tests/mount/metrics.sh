#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The numbers of a mounted volume in every form: stats, stats.json, metrics.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
volume_make 32M 64M --no-zero
volume_mount -o sync_interval_s=0
control=$MNT/.wbfs

random_file "$W/data" 3000000
dd if="$W/data" of="$DISK" bs=1M conv=notrunc,fdatasync status=none
dd if=/dev/urandom of="$DISK" bs=4096 count=3 seek=10 oflag=direct conv=notrunc status=none
same_bytes "$W/data" "$DISK" 4096

case_is "hits, misses and latencies count what was done"
[ "$(stat_of write_miss_hdd_full)" -ge 700 ] && [ "$(stat_of write_hit_ram_full)" -eq 3 ]
[ "$(stat_of latency.write.count)" -ge 3 ] && [ "$(stat_of latency.sync.count)" -ge 1 ]
[ "$(stat_of latency.sync.p99_ns)" -gt 0 ]
jq -e '.latency.write | .p50_ns <= .p99_ns and .p99_ns <= .max_ns and .sum_ns > 0' \
	<"$control/stats.json"
jq -e '.ssd_write_amplification > 1 and .ssd_write_amplification < 2' <"$control/stats.json"

case_is "stats has a line for each number of stats.json, in both the same"
"$WBFS" drain "$MNT"
jq -r 'to_entries[] | select(.value | type == "number") | .key' <"$control/stats.json" |
	sort >"$W/keys"
awk '{ print $1 }' "$control/stats" | sort >"$W/lines"
comm -23 "$W/keys" "$W/lines" >"$W/missing"
[ ! -s "$W/missing" ] || { cat "$W/missing"; fail "these keys are not in stats"; }
[ "$(awk '$1 == "written_bytes" { print $2 }' "$control/stats")" = "$(stat_of written_bytes)" ]

case_is "metrics has the same numbers"
bytes=$(awk '/^wbfs_written_bytes_total/ { print $2 }' "$control/metrics")
[ "$bytes" = "$(stat_of written_bytes)" ]
[ "$(tail -n 1 "$control/metrics")" = '# EOF' ]
grep -q "^wbfs_state{mount_point=\"$MNT\",state=\"running\"} 1$" "$control/metrics"

if find_promtool; then
	case_is "promtool accepts metrics"
	"$promtool" check metrics <"$control/metrics"
	case_is "the parser of Prometheus for OpenMetrics accepts openmetrics"
	sed '/^#/!s/$/ 1790000000/' "$control/openmetrics" >"$W/openmetrics"
	"$promtool" tsdb create-blocks-from openmetrics "$W/openmetrics" "$W/blocks"
else
	case_skip "promtool accepts metrics" "promtool (package prometheus) cannot be had: no network?"
fi

case_is "what the SSD has taken is kept over a mount"
before=$(stat_of lifetime.ssd_bytes_written)
volume_remount
[ "$(stat_of lifetime.ssd_bytes_written)" -ge "$before" ]
[ "$(stat_of lifetime.mounts)" -eq 2 ] && [ "$(stat_of written_bytes)" -eq 0 ]
volume_umount
says 0 'lifetime ssd_bytes_written' 'lifetime mounts' -- "$WBFS" dump "$CACHE"
finish
