#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# examples/prometheus: the metrics of two volumes by each way that leads to Prometheus,
# the rules, and the dashboard, of which every expression has an answer from a
# Prometheus that scrapes the volumes.
. "$(dirname "$0")/lib.sh"

needs fuse jq
start
examples=$top_srcdir/examples/prometheus
export WBFS_CONFIG=$W/wbfs.conf
export WBFS_METRICS_PATIENCE_S=10	# only the one that hangs takes so long

volume_make 32M 64M --no-zero
volume_mount
first=$MNT first_worker=$WORKER
CACHE=$W/cache2 BACKING=$W/backing2 MNT="$W/a second"
volume_format --cache-size 32M --size 64M --no-zero
volume_mount
printf '[%s]\ncache=/none\nbacking=/none\n' "$W/not mounted" >"$WBFS_CONFIG"
dd if=/dev/urandom of="$DISK" bs=64k count=30 conv=notrunc,fsync status=none

up_of() {	# mount point; on standard input the metrics
	sed -n "s|^wbfs_volume_up{mount_point=\"$1\"} ||p"
}

case_is "one text has all volumes, each family once, and tells which are up"
"$examples/wbfs-metrics" >"$W/metrics"
# Others may have volumes here too.
[ "$(up_of "$first" <"$W/metrics")" = 1 ] && [ "$(up_of "$MNT" <"$W/metrics")" = 1 ]
[ "$(up_of "$W/not mounted" <"$W/metrics")" = 0 ]
[ "$(grep -c "^wbfs_written_bytes_total{mount_point=\"\($first\|$MNT\)\"}" "$W/metrics")" -eq 2 ]
[ "$(grep -c '^# TYPE wbfs_written_bytes_total ' "$W/metrics")" -eq 1 ]
sed 's/{.*//; s/ .*//' "$MNT/.wbfs/metrics" | grep -v '^#' | sort -u >"$W/names.volume"
grep -v '^#' "$W/metrics" | sed 's/{.*//; s/ .*//' | sort -u >"$W/names"
echo wbfs_volume_up | sort - "$W/names.volume" | diff - "$W/names"

case_is "a daemon that hangs is down, and does not keep the others from being seen"
kill -STOP "$first_worker"
"$examples/wbfs-metrics" >"$W/hung"
kill -CONT "$first_worker"
[ "$(up_of "$first" <"$W/hung")" = 0 ] && [ "$(up_of "$MNT" <"$W/hung")" = 1 ]
grep -q "^wbfs_written_bytes_total{mount_point=\"$MNT\"}" "$W/hung"

case_is "a file for the textfile collector is replaced as a whole"
echo old >"$W/wbfs.prom"
exec 4<"$W/wbfs.prom"
"$examples/wbfs-metrics" --file "$W/wbfs.prom"
[ "$(cat <&4)" = old ] || fail "it was written in place"
exec 4<&-
[ "$(up_of "$MNT" <"$W/wbfs.prom")" = 1 ]
[ "$(stat -c %a "$W/wbfs.prom")" = 644 ] && [ ! -e "$W/wbfs.prom.new" ]
says 2 'usage: ' '--http' -- "$examples/wbfs-metrics" --nonsense

request() { printf '%s\r\nHost: x\r\n\r\n' "$1" | "$examples/wbfs-metrics" --http | tr -d '\r'; }
case_is "HTTP: the metrics at /metrics, nothing else"
request 'GET /metrics HTTP/1.1' >"$W/answer"
head -n 1 "$W/answer" | grep -qx 'HTTP/1.1 200 OK'
length=$(sed -n 's/^Content-Length: //p' "$W/answer")
[ "$(sed '1,/^$/d' "$W/answer" | wc -c)" -eq "$length" ] || fail "the length is wrong"
[ "$(up_of "$MNT" <"$W/answer")" = 1 ]
request 'GET /etc/passwd HTTP/1.1' | grep -qx 'HTTP/1.1 404 Not Found'
request 'POST /metrics HTTP/1.1' | grep -qx 'HTTP/1.1 405 Method Not Allowed'
[ -z "$("$examples/wbfs-metrics" --http </dev/null)" ]

# --- the dashboard and the rules, by their text ---------------------------------------

jq -r '.panels[].targets[].expr' "$examples/grafana.json" >"$W/expressions"
sed -n 's/^ *expr: *//p' "$examples/wbfs.rules.yml" >"$W/expressions.rules"
sed -n '/expr: |/,/for:/p' "$examples/wbfs.rules.yml" >>"$W/expressions.rules"

case_is "every metric and label in the dashboard and the rules is there"
cat "$W/expressions" "$W/expressions.rules" >"$W/all"
[ "$(wc -l <"$W/expressions")" -ge 30 ] && [ "$(wc -l <"$W/expressions.rules")" -ge 10 ]
grep -o 'wbfs_[a-z_]*' "$W/all" | sort -u >"$W/used"
comm -23 "$W/used" "$W/names" >"$W/unknown"
[ ! -s "$W/unknown" ] || { cat "$W/unknown"; fail "there are no such metrics"; }
# name="value", as it stands in a sample
grep -oE '[a-z_]+="[a-z-]+"' "$W/all" | grep -v '^job=' | sort -u >"$W/labels"
[ "$(wc -l <"$W/labels")" -ge 5 ]
while read -r label; do
	grep -qF "$label" "$W/metrics" || fail "no sample has $label"
done <"$W/labels"

case_is "the dashboard is whole: data source, volume, numbers and places of panels"
jq -e '[.templating.list[].name] == ["datasource", "mount_point"]' "$examples/grafana.json"
jq -e 'all(.panels[]; .datasource.uid == "${datasource}" and .title != "" and
	all(.targets[]; .expr | contains("mount_point=~\"$mount_point\"")))' "$examples/grafana.json"
jq -e '([.panels[].id] | length == (unique | length))' "$examples/grafana.json"
# No panel lies on another, none is wider than the grid of 24.
jq -e '[.panels[].gridPos | . as $p | range(.x; .x + .w) as $x | range($p.y; $p.y + $p.h) as $y |
	[$x, $y]] | length == (unique | length) and all(.[]; .[0] < 24)' "$examples/grafana.json"

case_is "the units are accepted by systemd-analyze verify"
if command -v systemd-analyze >/dev/null; then
	mkdir "$W/units"
	for unit in wbfs-metrics.socket wbfs-metrics@.service wbfs-textfile.service wbfs-textfile.timer; do
		sed "s,/usr/local/bin,$examples," "$examples/$unit" >"$W/units/$unit"
	done
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$W/units"/* 2>&1 | tee "$W/said"
	! grep -i wbfs "$W/said" || fail "it objects"
else
	case_skip "the units" "systemd-analyze is not installed"
fi

if ! find_promtool; then
	case_skip "promtool and Prometheus" "package prometheus cannot be had: no network?"
	volume_umount
	finish
	exit 0
fi

# --- by the tools that it is for ----------------------------------------------------------

case_is "promtool accepts the metrics of all volumes"
"$promtool" check metrics <"$W/metrics"

case_is "promtool accepts the configuration and the rules"
"$promtool" check config "$examples/prometheus.yml" | tee "$W/said"
grep -q 'rules found' "$W/said"

case_is "each alert fires when it should, and not in quiet times"
cp "$examples/wbfs.rules.yml" "$W/"
# alert, series, values as promtool writes them: 11 minutes of quiet, then what it is for
alerts() {
	cat <<-'END'
	WbfsVolumeDown|wbfs_volume_up{mount_point="/a"}|1x10 0x20
	WbfsMetricsMissing|up{job="wbfs"}|1x10 0x20
	WbfsDataLost|wbfs_lost_blocks{mount_point="/a"}|0x10 3x20
	WbfsCacheFailed|wbfs_state{mount_point="/a",state="cache-failed"}|0x10 1x20
	WbfsWithoutCache|wbfs_state{mount_point="/a",state="without-cache"}|0x10 1x120
	WbfsBackingRefuses|wbfs_refused_blocks{mount_point="/a"}|0x10 3x20
	WbfsDiskErrors|wbfs_cache_errors_total{mount_point="/a"}|0x10 1x10
	WbfsDiskErrors|wbfs_backing_errors_total{mount_point="/a"}|0x10 1x10
	WbfsRot|wbfs_checksum_errors_total{mount_point="/a"}|0x10 1x10
	WbfsRot|wbfs_bad_segments{mount_point="/a"}|0x10 1x10
	WbfsCacheFull|wbfs_dirty_segments{mount_point="/a"}|0x10 95x30
	WbfsSlowSync|wbfs_latency_seconds_bucket{mount_point="/a",kind="sync",le="1"}|0x10 0+60x30
	END
}
{
	echo 'rule_files: [wbfs.rules.yml]'
	echo 'evaluation_interval: 1m'
	echo 'tests:'
	while IFS='|' read -r alert series values; do
		last=${values##*x}
		[ "$alert" != WbfsCacheFull ] || more='
      - {series: '\''wbfs_segments{mount_point="/a"}'\'', values: 100x50}'
		[ "$alert" != WbfsSlowSync ] || more='
      - {series: '\''wbfs_latency_seconds_bucket{mount_point="/a",kind="sync",le="0.1"}'\'', values: 0x50}
      - {series: '\''wbfs_latency_seconds_bucket{mount_point="/a",kind="sync",le="+Inf"}'\'', values: 0x10 0+60x30}'
		# Once before, where nothing may fire or be about to; once at the end.
		printf '  - interval: 1m\n    name: %s\n    input_series:\n      - {series: '\''%s'\'', values: %s}%s\n' \
			"$alert" "$series" "$values" "${more:-}"
		more=''
		printf '    promql_expr_test:\n'
		printf '      - {expr: "count(ALERTS) or vector(0)", eval_time: 9m, exp_samples: [{labels: "{}", value: 0}]}\n'
		printf '      - {expr: "count(ALERTS{alertname=\\"%s\\",alertstate=\\"firing\\"})", eval_time: %dm, exp_samples: [{labels: "{}", value: 1}]}\n' \
			"$alert" "$((last < 20 ? last + 8 : last))"
	done < <(alerts)
} >"$W/rules.test.yml"
(cd "$W" && "$promtool" test rules rules.test.yml)
alerts | cut -d'|' -f1 | sort -u >"$W/tested"
sed -n 's/^ *- alert: //p' "$examples/wbfs.rules.yml" | sort | diff - "$W/tested"

if [ -z "$prometheus" ] || ! command -v systemd-socket-activate >/dev/null; then
	case_skip "a Prometheus scrapes the volumes, and the dashboard has its answers" \
		"no prometheus or no systemd-socket-activate"
	volume_umount
	finish
	exit 0
fi

ask() {	# port, path: the body of the answer
	local fd
	exec {fd}<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&$fd
	tr -d '\r' <&$fd | sed '1,/^$/d'
	exec {fd}<&-
}

query() {	# expression: the answer of Prometheus
	ask $port "/api/v1/query?query=$(jq -rn --arg e "$1" '$e | @uri')"
}

within_a_minute() {	# command...: until it succeeds
	local i
	for ((i = 0; i < 300; i++)); do
		! "$@" 2>/dev/null || return 0
		read -rt 0.2 <> <(:) || :
	done
	fail "not within a minute: $*"
}

case_is "a Prometheus scrapes the volumes through the socket, and the dashboard has its answers"
port=$((20000 + RANDOM % 5000 * 2))
systemd-socket-activate --listen="127.0.0.1:$((port + 1))" --accept --inetd \
	-E WBFS_CONFIG -E WBFS_METRICS_PATIENCE_S "$examples/wbfs-metrics" --http &
own_jobs+=($!)
sed "s/15s/1s/; s/127.0.0.1:9571/127.0.0.1:$((port + 1))/" "$examples/prometheus.yml" >"$W/prometheus.yml"
grep -q 'scrape_interval: 1s' "$W/prometheus.yml"
"$prometheus" --config.file="$W/prometheus.yml" --storage.tsdb.path="$W/tsdb" \
	--web.listen-address="127.0.0.1:$port" 2>"$W/prometheus.log" &
own_jobs+=($!)
scraper=$!
# (of this test: those of others beside it come and go)
enough() { query "min(count_over_time(wbfs_volume_up{mount_point=~\"$W/.*\"}[1m])) >= 4" | jq -e '.data.result != []'; }
within_a_minute enough
# (a scrape that took longer than the interval is a gap in every series)
gives() {	# expression, what is to be so
	query "$1" >"$W/answer" && jq -e "$2" "$W/answer"
}
while read -r expression; do
	expression=${expression//'$__rate_interval'/1m}
	expression=${expression//'$mount_point'/.*}
	within_a_minute gives "$expression" '.status == "success" and .data.result != []' ||
		{ cat "$W/answer"; fail "no answer to: $expression"; }
done <"$W/expressions"
within_a_minute gives "wbfs_written_bytes_total{mount_point=\"$MNT\"}" \
	'.data.result[0].value[1] == "1966080"'
ask $port /api/v1/rules >"$W/answer"
jq -e '[.data.groups[].rules[] | select(.health != "ok")] == []' "$W/answer"

# Who answers the last scrape may read there for a moment more.
kill "$scraper"
wait "$scraper" || :
until_it_is_so 60 "$WBFS" umount "$MNT"
volume_is_stopped
MNT=$first WORKER=$first_worker CACHE=$W/cache BACKING=$W/backing
until_it_is_so 60 "$WBFS" umount "$MNT"
volume_is_stopped
finish
