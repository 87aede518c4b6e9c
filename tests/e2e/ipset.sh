#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ipsets announce nothing: their observer makes programs stale before the command that changed them has ended.
. "$(dirname "$0")/lib.sh.inc"
host a
installed() { grep -c event=installed "$work/log"; }
in_ns a ipset create bad hash:ip
in_ns a ipset create worse hash:ip
in_ns a ipset add bad 198.51.100.7
in_ns a iptables-legacy -A INPUT -m set --match-set bad src -j DROP
./nf2bpfd --netns "$tag-a" --state-dir "$work" --poll=600000 --counters-interval=off >"$work/log" 2>&1 &
daemons+=($!)
pid=$!
wait_for "first generation" installed cat "$work/log"
expect "denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf 'match-set bad')"
# What only asks makes nothing stale, whoever asks.
kill -STOP $pid
in_ns a ipset list >/dev/null
in_ns a ipset save >/dev/null
in_ns a ipset test bad 198.51.100.7 2>/dev/null
in_ns a nft list ruleset >/dev/null
in_ns a iptables-legacy-save >/dev/null
expect "after a list: denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "after a list: still by the program" 2 "$(packets a bpf 'match-set bad')"
# With the daemon stopped, every change must be seen by the program itself.
in_ns a ipset del bad 198.51.100.7
expect "allowed at once after a delete" passed "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
kill -CONT $pid
wait_for "compiled again without polling" 2 installed
in_ns a ipset add bad 198.51.100.9
wait_for "compiled again" 3 installed
for change in 'flush bad' 'swap bad worse' 'destroy worse'; do
	in_ns a ipset -exist add bad 198.51.100.9
	sleep 0.5
	expect "before $change" dropped "$(probe a tcp 198.51.100.9 10.9.0.1 22)"
	kill -STOP $pid
	before=$(packets a kernel 'match-set bad')
	in_ns a ipset $change
	case $change in destroy*) wanted=dropped ;; *) wanted=passed ;; esac
	expect "after $change" $wanted "$(probe a tcp 198.51.100.9 10.9.0.1 22)"
	[ $wanted = passed ] || expect "$change: judged by the kernel" $((before + 1)) "$(packets a kernel 'match-set bad')"
	kill -CONT $pid
done
# Another namespace's sets are nobody's business here.
host b
sleep 0.5
was=$(installed)
in_ns b ipset create bad hash:ip
in_ns b ipset add bad 198.51.100.7
sleep 0.3
expect "another namespace" "$was" "$(installed)"
[ $failures = 0 ] || cat "$work/log"
done_testing
