#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nf2bpfd follows: nf_tables at once, legacy tables and ipsets by polling, interfaces as they come.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a nft -f - <<'R'
table ip fw {
	set bad { type ipv4_addr; flags interval; elements = { 198.51.100.0/24 } }
	chain in { type filter hook input priority 10; policy accept; ip saddr @bad counter drop; }
}
R
./nf2bpfd --netns "$tag-a" --state-dir "$work" --poll=200 --counters-interval=off >"$work/log" 2>&1 &
daemons+=($!)
pid=$!
wait_for "first generation" installed cat "$work/log"
expect "denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf '@bad')"

in_ns a nft delete element ip fw bad '{ 198.51.100.0/24 }'
expect "allowed at once after a delete" passed "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
in_ns a nft add element ip fw bad '{ 192.0.2.0/25 }'
expect "denied at once after an add" dropped "$(probe a tcp 192.0.2.1 10.9.0.1 22)"
sleep 0.6
before=$(packets a bpf '@bad')
expect "denied by the new program" dropped "$(probe a tcp 192.0.2.1 10.9.0.1 22)"
expect "counted by the program, earlier counts kept" $((before + 1)) "$(packets a bpf '@bad')"

in_ns a iptables-legacy -A INPUT -s 203.0.113.0/24 -j DROP
sleep 1
expect "legacy rule" dropped "$(probe a tcp 203.0.113.5 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf '203.0.113.0/24')"

ip -n "$tag-w" link add a1 type veth peer name eth7 netns "$tag-a"
ip -n "$tag-w" link set a1 up
ip -n "$tag-a" link set eth7 up
wait_for "a new interface" eth7 tool a nf2bpf status

kill -9 $pid
wait $pid 2>/dev/null
expect "after kill -9: denied" dropped "$(probe a tcp 192.0.2.1 10.9.0.1 22)"
in_ns a nft flush chain ip fw in
expect "after kill -9 and a change: allowed" passed "$(probe a tcp 192.0.2.1 10.9.0.1 22)"
[ $failures = 0 ] || cat "$work/log"
done_testing
