#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A rule per command becomes a few compiles with a bounded delay; idle rules cost nothing; lost events are read again.
. "$(dirname "$0")/lib.sh.inc"
host legacy
host nft
rules=${RULES:-300}
installed() { grep -c event=installed "$work/log.$1"; }
current() {
	local status
	status=$(tool "$1" nf2bpf status --json)
	[[ $status == *'"stale": false'* ]] &&
		[ "$(sed -n 's/.*event=installed generation=\([0-9]*\).*/\1/p' "$work/log.$1" | tail -n 1)" = "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["generation"])' <<<"$status")" ]
}
more_than() { [ "$(installed "$1")" -gt "$2" ]; }
for h in legacy nft; do
	in_ns $h iptables-$h -A INPUT -s 198.51.100.7 -j DROP
	./nf2bpfd --netns "$tag-$h" --state-dir "$work" --poll=500 --counters-interval=off >"$work/log.$h" 2>&1 &
	daemons+=($!)
	pid=$!
	[ $h = legacy ] && legacy=$pid
	wait_true "first generation" grep -q installed "$work/log.$h"
	before=$(installed $h)
	start=$(date +%s%N)
	for i in $(seq "$rules"); do echo "iptables-$h -A INPUT -s 100.64.$((i >> 8)).$((i & 255)) -j DROP"; done | in_ns $h sh -e
	ms=$((($(date +%s%N) - start) / 1000000))
	wait_true "$h: current after the burst" current $h
	# One for the first, then holds of 0.25 s, 0.5 s, 1 s, 2 s, 2 s …, and the last.
	most=$((5 + ms / 2000))
	n=$(($(installed $h) - before))
	echo "iptables-$h: $rules commands in $ms ms: $n compiles"
	[ "$n" -ge 1 ] && [ "$n" -le $most ] || fail "iptables-$h: $rules commands in $ms ms made $n compiles, at most $most wanted"
	expect "$h: the last rule" dropped "$(probe $h tcp 100.64.$((rules >> 8)).$((rules & 255)) 10.9.0.1 22)"
	expect "$h: by the program" 1 "$(packets $h bpf "-s 100.64.$((rules >> 8)).$((rules & 255))/32")"
done
# A single change after a pause is not held.
sleep 2.5
before=$(installed nft)
in_ns nft nft add table ip x
wait_true "one change" more_than nft "$before"
# Events that do not fit while the daemon sleeps: an overrun is told and read again.
kill -STOP $pid
for r in 1 2; do
	{ echo "flush ruleset"; echo "table ip big { chain in { type filter hook input priority 5; policy accept; }"; echo "}"
	for i in $(seq 20000); do echo "add rule ip big in ip saddr 100.64.$((i >> 8)).$((i & 255)) counter"; done; } | in_ns nft nft -f -
done
printf 'flush ruleset\ntable ip fw { chain in { type filter hook input priority 0; policy accept; ip saddr 203.0.113.9 counter drop; }\n}\n' | in_ns nft nft -f -
kill -CONT $pid
wait_true "current after the overrun" current nft
grep -q 'event=overrun bus=nf_tables' "$work/log.nft" || fail "no overrun was told: the test is too small"
expect "after an overrun" dropped "$(probe nft tcp 203.0.113.9 10.9.0.1 22)"
expect "after an overrun: by the program" 1 "$(packets nft bpf '203.0.113.9')"
# Idle: many legacy rules are not read again and again.
{ echo '*filter'; for i in $(seq 10000); do echo "-A INPUT -s 100.$((64 + (i >> 16))).$(((i >> 8) & 255)).$((i & 255)) -j DROP"; done; echo COMMIT; } | in_ns legacy iptables-legacy-restore
wait_true "10,000 rules" grep -q rules=10000 "$work/log.legacy"
sleep 2
ticks() { awk '{print $14 + $15}' "/proc/$legacy/stat"; }
before=$(ticks)
sleep 2
used=$(($(ticks) - before))
echo "idle with 10,000 legacy rules: $used ticks of 10 ms in 2 s"
[ $used -le 4 ] || fail "idle: $used ticks of CPU in 2 s"
[ $failures = 0 ] || cat "$work"/log.*
done_testing
