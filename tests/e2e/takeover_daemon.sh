#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Takeover with the daemon: it follows changes that leave the table asleep and those that wake it; no packet that must be
# dropped gets through at any of the switches; the daemon killed and started again.
. "$(dirname "$0")/lib.sh.inc"
host a
dormant() { in_ns a nft list table ip filter 2>/dev/null | grep -q 'flags dormant'; }
awake() { ! dormant; }
rules() {
	echo '*filter'; echo ':INPUT ACCEPT [0:0]'; echo ':FORWARD ACCEPT [0:0]'; echo ':OUTPUT ACCEPT [0:0]'
	echo '-A INPUT -s 203.0.113.9/32 -j DROP'
	[ -z "${1:-}" ] || echo "-A INPUT -p tcp -m tcp --dport $1 -j DROP"
	echo COMMIT
}
start() {
	./nf2bpfd --netns "$tag-a" --state-dir "$work" --early=off --mode=takeover "$@" >>"$work/log" 2>&1 &
	pid=$!
	daemons+=($pid)
}
rules | in_ns a iptables-nft-restore
start
wait_true "taken over" dormant

# A sender whose packets every ruleset drops, and a counter of those that come through, from here to the end.
in_ns a nft 'add table ip seen; add chain ip seen in { type filter hook input priority 300; }; add rule ip seen in ip saddr 203.0.113.9 counter; add rule ip seen in ip saddr 192.0.2.77 limit rate 1/second accept' # limit: never taken over
wait_true "asleep still" dormant
flood a

verdict() { [ "$(probe a tcp 10.9.0.7 10.9.0.1 "$1")" = "$2" ]; }
in_ns a iptables-nft -A INPUT -p tcp --dport 80 -j DROP
wait_true "-A is followed" verdict 80 dropped
wait_true "-A: asleep" dormant
in_ns a iptables-nft -D INPUT -p tcp --dport 80 -j DROP
wait_true "-D is followed" verdict 80 passed
in_ns a nft add rule ip filter INPUT tcp dport 81 counter drop
wait_true "nft add rule is followed" verdict 81 dropped
in_ns a iptables-nft -P FORWARD DROP
in_ns a iptables-nft -I INPUT -p tcp --dport 82 -j DROP
wait_true "-I is followed" verdict 82 dropped
dormant || fail "asleep through changes that do not wake"
for n in 1 2 3 4 5; do # a restore makes a new table: the kernel judges it, then it is taken over
	rules $((90 + n)) | in_ns a iptables-nft-restore
	verdict $((90 + n)) dropped || fail "restore $n: not at once"
	wait_true "restore $n: taken over" dormant
	verdict $((90 + n)) dropped || fail "restore $n: by the program"
done
in_ns a nft add table ip filter # woken by hand
verdict 95 dropped || fail "woken by hand"
wait_true "woken by hand: taken over again" dormant
for n in 1 2 3; do
	kill -9 $pid
	wait $pid 2>/dev/null
	verdict 95 dropped || fail "killed: the programs stay"
	dormant || fail "killed: asleep"
	start
	sleep 0.5
	dormant || fail "started again: asleep"
done
in_ns a iptables-nft -A INPUT -p tcp --dport 96 -j DROP
wait_true "followed after a restart" verdict 96 dropped
tool a nf2bpf handback 'ip filter' >/dev/null
wait_true "handed back" awake
sleep 1
dormant && fail "handed back: it must stay awake"
verdict 96 dropped || fail "handed back: filtered"
kill $pid
wait $pid 2>/dev/null
start --on-stop=handback
wait_true "a start takes it again" dormant
in_ns a iptables-nft -A INPUT -m limit --limit 5/min -j ACCEPT
wait_true "a rule that does not translate wakes it" awake
in_ns a iptables-nft -D INPUT -m limit --limit 5/min -j ACCEPT
wait_true "and is taken over without it" dormant
kill $pid
wait $pid 2>/dev/null
wait_true "--on-stop=handback" awake
verdict 96 dropped || fail "stopped: filtered"
let=$(seen a)
expect "let through" 0 "$let"
sent=$(packets a total '203.0.113.9/32')
in_ns a nft delete table ip filter # the test sees what comes through
sleep 0.2
[ "$(seen a)" -gt 0 ] || fail "what comes through is not seen"
kill $sender
[ "$sent" -gt 1000 ] || fail "only $sent packets were sent"
echo "$sent packets since the last restore, $let let through"
[ $failures = 0 ] || grep -v 'event=trial' "$work/log" | tail -60
done_testing
