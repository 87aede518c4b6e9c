#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Where nothing is dropped early, `rules` says so: two chains at one hook and priority, whose order is not known.  And how
# long a program may judge by a member that has left an ipset.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a ipset create bad hash:ip
in_ns a ipset add bad 198.51.100.7
in_ns a iptables-legacy -A INPUT -m set --match-set bad src -j DROP
in_ns a nft -f - <<'R'
table ip one {
	chain deep { udp dport 2221 counter drop; }
	chain in { type filter hook input priority 20; policy accept; tcp dport 2222 counter drop; jump deep; }
}
table ip two {
	chain in { type filter hook input priority 20; policy accept; tcp dport 2223 counter drop; }
}
table ip three {
	chain in { type filter hook input priority 30; policy accept; tcp dport 2224 counter drop; }
}
R
tool a nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once"; }
for port in 2221 2222 2223; do
	expect_match "$port is left" "^kernel .*which comes first is not known" "$(tool a nf2bpf rules | grep "dport $port")"
done
expect_match "2224 is not" "^xdp " "$(tool a nf2bpf rules | grep 2224)"
for port in 2222 2223 2224; do expect "$port" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 $port)"; done
expect "by the kernel" "1 1 0" "$(packets a kernel 'dport 2222') $(packets a kernel 'dport 2223') $(packets a kernel 'dport 2224')"
expect "by the program" "0 0 1" "$(packets a bpf 'dport 2222') $(packets a bpf 'dport 2223') $(packets a bpf 'dport 2224')"
# Alone in its place, it is dropped early.
in_ns a nft delete table ip two
tool a nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "second load"; }
expect_match "2222 is not left" "^xdp " "$(tool a nf2bpf rules | grep 2222)"
expect "dropped" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 2222)"
expect "by the program" 1 "$(packets a bpf 'dport 2222')"

window=$(nsenter --net="/run/netns/$tag-a" "$build/tests/setwindow" "/sys/fs/bpf/nf2bpf/$(stat -Lc %i "/run/netns/$tag-a")/legacy_seq" bad 198.51.100.7 "${ROUNDS:-2000}")
echo "$window"
expect_match "every change of a set moves the word" "^rounds=${ROUNDS:-2000} .*p99_ns=[0-9]{1,6} " "$window"
done_testing
