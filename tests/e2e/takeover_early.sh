#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Takeover with an early program before it: one switch moves both; through changes of the rules every packet is judged once and counted once.
. "$(dirname "$0")/lib.sh.inc"
host a
dormant() { in_ns a nft list table ip fw 2>/dev/null | grep -c 'flags dormant'; }
load() { tool a nf2bpfd --once --early=xdp --mode=takeover >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once --early=xdp --mode=takeover"; }; }
in_ns a nft 'add table ip fw; add chain ip fw in { type filter hook input priority 10; policy accept; }; add rule ip fw in udp dport 7002 counter drop; add rule ip fw in udp dport 7000 counter accept'
load
expect "asleep" 1 "$(dormant)"
status=$(tool a nf2bpf status)
expect_match "early" "xdp +eth0" "$status"
expect_match "hook" "nf +ip input 10" "$status"
for n in 1 2 3 4; do # twice in each slot
	expect "dropped, $n" dropped "$(probe a udp 10.9.0.7 10.9.0.1 7002)"
	expect "accepted, $n" passed "$(probe a udp 10.9.0.7 10.9.0.1 7000)"
	in_ns a nft add rule ip fw in udp dport $((8000 + n)) counter drop
	# Stale: the early program leaves every packet, the one at the hook goes on.
	expect "dropped while stale, $n" dropped "$(probe a udp 10.9.0.7 10.9.0.1 7002)"
	expect "accepted while stale, $n" passed "$(probe a udp 10.9.0.7 10.9.0.1 7000)"
	expect "the new rule waits, $n" passed "$(probe a udp 10.9.0.7 10.9.0.1 $((8000 + n)))"
	load
	expect "the new rule, $n" dropped "$(probe a udp 10.9.0.7 10.9.0.1 $((8000 + n)))"
	expect "drops, $n" $((2 * n)) "$(packets a total 'dport 7002')"
	expect "accepts, $n" $((2 * n)) "$(packets a total 'dport 7000')"
	expect "all by programs, $n" 0 "$(packets a kernel 'dport 700')"
	expect "asleep, $n" 1 "$(dormant)"
done
tool a nf2bpf off >/dev/null
expect "awake" 0 "$(dormant)"
expect "the kernel has the counts" 8 "$(packets a kernel 'dport 7002')"
done_testing
