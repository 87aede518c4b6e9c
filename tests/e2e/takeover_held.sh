#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Takeover, and packets that are held up for milliseconds between the kernel's reading of the list of hooks and our
# program (by a chain of some 350,000 rules before it), while the table falls asleep, wakes, is handed back or replaced:
# they walk the list as it was.  What every ruleset drops must never come through.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy-restore <<R
*mangle
$(for n in 0 1 2 3 4 5 6 7 8 9; do echo ":slow$n - [0:0]"; done)
-A INPUT -s 203.0.113.9/32 -m limit --limit 10000/second --limit-burst 10000 -j slow0
$(for n in 0 1 2 3 4 5 6 7 8; do for _ in 1 2 3 4; do echo "-A slow$n -j slow$((n + 1))"; done; done)
COMMIT
R
rules() {
	printf '%s\n' '*filter' ':INPUT ACCEPT [0:0]' ':FORWARD ACCEPT [0:0]' ':OUTPUT ACCEPT [0:0]' \
		'-A INPUT -s 203.0.113.9/32 -j DROP' COMMIT | in_ns a iptables-nft-restore
}
dormant() { in_ns a nft list table ip filter 2>/dev/null | grep -q 'flags dormant'; }
rules
in_ns a nft 'add table ip seen; add chain ip seen in { type filter hook input priority 300; }; add rule ip seen in ip saddr 203.0.113.9 counter; add rule ip seen in ip saddr 192.0.2.77 limit rate 1/second accept' # limit: never taken over
quiet() { expect "$1: let through" 0 "$(seen a)"; }
./nf2bpfd --netns "$tag-a" --state-dir "$work" --early=off --mode=takeover >"$work/log" 2>&1 &
daemons+=($!)
wait_true "taken over" dormant
flood a
sleep 0.3
for n in 1 2 3 4 5 6; do
	in_ns a nft add table ip filter
	sleep 0.1
	wait_true "woken $n: taken over again" dormant
done
quiet "woken by hand"
for n in 1 2 3 4 5 6; do
	rules
	wait_true "replaced $n: taken over" dormant
done
quiet "replaced"
for n in 1 2 3; do
	tool a nf2bpf handback >/dev/null
	dormant && fail "handed back $n"
	tool a nf2bpf reload >/dev/null
	in_ns a nft add rule ip seen in counter
	sleep 0.3
done
quiet "handed back"
in_ns a nft -f - <<'R'
add table ip filter
delete table ip filter
R
sleep 0.3
[ "$(seen a)" -gt 0 ] || fail "what comes through is not seen"
kill $sender
[ $failures = 0 ] || grep -v event=trial "$work/log" | tail -60
done_testing
