#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Programs at the netfilter hooks, attached on request: they drop what the chain behind them would drop, and count it.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy-restore <<'R'
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -s 192.0.2.0/24 -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
-A INPUT -s 198.51.100.0/24 -m conntrack --ctstate NEW -j DROP
-A INPUT -p udp -m udp --dport 9 -m string --string evil --algo bm -j DROP
-A OUTPUT -d 203.0.113.9/32 -j DROP
COMMIT
R
in_ns a nft -f - <<'R'
table inet fw {
	chain in { type filter hook input priority 20; policy accept; tcp dport 2222 counter drop; }
}
R
tool a nf2bpfd --once --early=off --site=nf >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once --site=nf"; }
status=$(tool a nf2bpf status)
expect_match "raw" "nf +ip prerouting -300" "$status"
expect_match "filter" "nf +ip input 0" "$status"
expect_match "nft, IPv4 half" "nf +ip input 20" "$status"
expect_match "nft, IPv6 half" "nf +ip6 input 20" "$status"
expect "raw" dropped "$(probe a tcp 192.0.2.7 10.9.0.1 22)"
expect "filter, new" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "filter, other" passed "$(probe a tcp 10.9.0.7 10.9.0.1 22)"
expect "nft" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "string is the kernel's" passed "$(probe a udp 10.9.0.7 10.9.0.1 9)"
in_ns a ping -c 1 -W 1 203.0.113.9 >/dev/null 2>&1 && fail "output"
for rule in '192.0.2.0/24' '198.51.100.0/24' 'dport 2222' '203.0.113.9'; do
	expect "$rule: by the program" 1 "$(packets a bpf "$rule")"
	expect "$rule: not by the kernel" 0 "$(packets a kernel "$rule")"
done
expect_match "the reason is named" "match string" "$(tool a nf2bpf rules)"
# A newer generation of the same chains goes through the slots; then everything is taken away.
in_ns a nft add rule inet fw in udp dport 2223 counter drop
expect "stale: the kernel drops" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "stale: the kernel counts" 1 "$(packets a kernel 'dport 2222')"
tool a nf2bpfd --once --early=off --site=nf >"$work/log" 2>&1 || { cat "$work/log"; fail "second load"; }
expect "again by the program" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "counts go on" 2 "$(packets a bpf 'dport 2222')"
tool a nf2bpf off >/dev/null
expect_match "status after off" "nothing is attached" "$(tool a nf2bpf status)"
expect "after off" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "after off: the kernel counts, and has what the programs counted" 4 "$(packets a kernel 'dport 2222')"
# A program of somebody else's stands right before the chain: ours does not stand before that one, and the others go on.
mkdir "$work/other" "$work/state"
./nf2bpfd --once --netns "$tag-a" --bpffs "$work/other" --state-dir "$work/state" --early=off --site=nf >"$work/log" 2>&1 || { cat "$work/log"; fail "the other"; }
in_ns a nft -f - <<'R'
table ip late {
	chain in { type filter hook input priority 40; policy accept; tcp dport 2298 counter drop; }
	chain beside { type filter hook input priority 41; policy accept; tcp dport 2299 counter drop; }
}
R
tool a nf2bpfd --once --early=off --site=nf >"$work/log" 2>&1 || { cat "$work/log"; fail "a load beside another's"; }
reason="another hook holds priority -1 of ip input"
expect_match "said in the log" "event=left site=nf chain=\"ip filter INPUT\" reason=\"$reason" "$(cat "$work/log")"
status=$(tool a nf2bpf status)
expect_match "said in status" "nf ip input 0 is left to the kernel: $reason" "$status"
expect_match "said in JSON" '"place": "ip input 0"' "$(tool a nf2bpf status --json | sed -n '/"left"/,$p')"
expect_match "the other chains go on" "nf +ip input 40" "$status"
expect "no program for the chain that is left" "" "$(grep -E '^nf +ip input 0 +[0-9]' <<<"$status")"
expect "the kernel" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "counts there, beside what off wrote" 2 "$(packets a kernel '198.51.100')"
expect_match "rules say why" "$reason" "$(tool a nf2bpf rules | grep 198.51.100)"
# A chain that lowering refuses is named in the same places.
expect_match "said in status" "nf ip input 41 is left to the kernel: .*stands at this priority or just before it" "$status"
expect_match "rules say why" "stands at this priority or just before it" "$(tool a nf2bpf rules | grep 2299)"
# It goes, and the place is taken.
./nf2bpf off --netns "$tag-a" --bpffs "$work/other" --state-dir "$work/state" >/dev/null
umount "$work/other"
in_ns a nft delete table ip late
tool a nf2bpfd --once --early=off --site=nf >"$work/log" 2>&1 || { cat "$work/log"; fail "a load when it has gone"; }
expect_match "the place is free" "nf +ip input 0" "$(tool a nf2bpf status)"
tool a nf2bpf off >/dev/null
done_testing
