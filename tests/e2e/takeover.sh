#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Takeover: BPF judges in a sleeping table's place; every way in which others may change the table.
. "$(dirname "$0")/lib.sh.inc"
host a
load() {
	in_ns a iptables-nft-restore <<'R'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:bad - [0:0]
-A INPUT -s 192.0.2.0/24 -j bad
-A INPUT -p tcp -m tcp --dport 2222 -j DROP
-A INPUT -s 198.51.100.7/32 -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -s 198.51.100.0/24 -j DROP
-A bad -p udp -j RETURN
-A bad -j DROP
COMMIT
R
}
dormant() { in_ns a nft list table ip filter 2>/dev/null | grep -c 'flags dormant'; }
once() { tool a nf2bpfd --once --early=off --mode=takeover "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once --mode=takeover"; }; }
load
once
expect "the table sleeps" 1 "$(dormant)"
expect_match "status" "nf +ip input 0" "$(tool a nf2bpf status)"
expect_match "status of the table" "taken over: table ip filter sleeps" "$(tool a nf2bpf status)"
expect "denied" dropped "$(probe a tcp 192.0.2.7 10.9.0.1 22)"
expect "returned from bad" passed "$(probe a udp 192.0.2.7 10.9.0.1 99)"
expect "port" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "accepted" passed "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "net" dropped "$(probe a tcp 198.51.100.8 10.9.0.1 22)"
expect "policy" passed "$(probe a tcp 10.9.0.7 10.9.0.1 80)"
expect "accepts are counted" 1 "$(packets a bpf '198.51.100.7')"
expect "not by the kernel" 0 "$(packets a kernel '198.51.100.7')"
expect "where" "takeover" "$(tool a nf2bpf rules --json | python3 -c 'import json, sys; print(*{r["where"] for r in json.load(sys.stdin)["rules"]})')"
expect "jumps" 2 "$(packets a bpf '192.0.2.0/24')"
# Others change another table: the rules are no longer current, the table sleeps on.
in_ns a nft add table ip other
expect "another table's change" dropped "$(probe a tcp 192.0.2.7 10.9.0.1 22)"
# Without a daemon, a change that leaves the table asleep changes nothing.
in_ns a iptables-nft -A INPUT -p tcp --dport 80 -j DROP
expect "asleep after -A" 1 "$(dormant)"
expect "stale, but filtered" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
once
expect "the new rule" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 80)"
expect "asleep through it all" 1 "$(dormant)"
expect "counts went on" 3 "$(packets a bpf '192.0.2.0/24')"
# Woken by hand: the kernel judges at once, and soon alone; asleep again by hand: nobody does.
in_ns a nft add table ip filter
expect "awake" 0 "$(dormant)"
expect "both judge" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
sleep 0.1 # the program goes on for 50 ms (bpf/stand.bpf.h)
before=$(packets a bpf 'dport 2222')
expect "the kernel judges" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "the program does not" "$before" "$(packets a bpf 'dport 2222')"
expect_match "the kernel counts" '^[12]$' "$(packets a kernel 'dport 2222')"
in_ns a nft 'add table ip filter { flags dormant; }'
expect "put to sleep by hand: off" passed "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
once
expect "and never judged" passed "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
in_ns a nft add table ip filter
once
expect "taken over again" 1 "$(dormant)"
expect "judged again" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
# A full restore makes a table that is awake.
load
expect "restored" 0 "$(dormant)"
expect "by the kernel" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "new rules" passed "$(probe a tcp 10.9.0.7 10.9.0.1 80)"
once
# Everything gone: nothing is judged.
in_ns a nft flush ruleset
expect "flushed" passed "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
load
once
in_ns a nft delete table ip filter
expect "deleted" passed "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
# Hand-back.
load
once
expect "asleep" 1 "$(dormant)"
tool a nf2bpf handback nosuch >/dev/null
expect "another's hand-back" 1 "$(dormant)"
tool a nf2bpf handback 'ip filter' >/dev/null
expect "handed back" 0 "$(dormant)"
expect "still filtered" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
once
expect "asleep again" 1 "$(dormant)"
tool a nf2bpf off >/dev/null
expect "off wakes" 0 "$(dormant)"
expect "after off" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
once
tool a nf2bpfd --once --early=off --mode=assist >"$work/log" 2>&1 || fail "assist"
expect "assist wakes" 0 "$(dormant)"
# A program that fails is tried again with the next change: another stands where it would, then no longer.
mkdir "$work/bpffs" "$work/state"
mount -t bpf bpf "$work/bpffs"
other=(--netns "$tag-a" --state-dir "$work/state" --bpffs "$work/bpffs")
./nf2bpfd --once --site=nf "${other[@]}" >"$work/log" 2>&1 || { cat "$work/log"; fail "a program in the way"; }
: >"$work/log" # now, not when the other process begins
./nf2bpfd --netns "$tag-a" --state-dir "$work" --early=off --mode=takeover >"$work/log" 2>&1 &
daemons+=($!)
wait_log 'the first load' event=installed
expect "in the way" 0 "$(dormant)"
expect_match "status says so" "could not be put in place" "$(tool a nf2bpf status)"
expect "by the kernel" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
./nf2bpf off "${other[@]}" >/dev/null || fail "out of the way"
umount "$work/bpffs"
in_ns a nft add chain ip filter spare
for i in $(seq 100); do [ "$(dormant)" = 1 ] && break; sleep 0.1; done
expect "out of the way" 1 "$(dormant)"
kill "${daemons[-1]}" && wait "${daemons[-1]}"
tool a nf2bpf off >/dev/null
# What cannot be taken over stays awake.
in_ns a iptables-nft -A INPUT -m limit --limit 5/min -j ACCEPT
once
expect "a limit" 0 "$(dormant)"
expect_match "status says why" "table ip filter is left to the kernel: expression limit" "$(tool a nf2bpf status)"
expect "still by the kernel" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
tool a nf2bpf off >/dev/null
done_testing
