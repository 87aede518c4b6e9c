#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nf2bpfd --once: attach, judge, count on both sides, off; nothing is left behind.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy-restore <<'R'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j DROP
-A INPUT -p udp -m string --string evil --algo bm -j DROP
-A INPUT -p udp -m udp --dport 9 -j DROP
COMMIT
R
for site in xdp tc; do
	tool a nf2bpfd --once --early=$site >"$work/log" 2>&1 || { cat "$work/log"; fail "$site: nf2bpfd --once"; }
	expect_match "$site status" "$site +eth0" "$(tool a nf2bpf status)"
	b0=$(packets a bpf 'dport 22')
	k0=$(packets a kernel 'dport 22')
	expect "$site: denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
	expect "$site: other source" passed "$(probe a tcp 10.9.0.7 10.9.0.1 22)"
	expect "$site: behind an untranslatable rule" dropped "$(probe a udp 10.9.0.7 10.9.0.1 9)"
	expect "$site: counted by the program" $((b0 + 1)) "$(packets a bpf 'dport 22')"
	expect "$site: not by the kernel" "$k0" "$(packets a kernel 'dport 22')"
	expect_match "$site: the reason is named" "match string" "$(tool a nf2bpf rules)"
done
expect_match "off" "1 programs detached|[1-9] programs detached" "$(tool a nf2bpf off)"
expect_match "status after off" "nothing is attached" "$(tool a nf2bpf status)"
expect "after off: the kernel drops" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "no XDP left" "" "$(ip -n "$tag-a" -d link show eth0 | grep -o 'prog/xdp')"
inode=$(stat -Lc %i "/run/netns/$tag-a")
[ ! -e "/sys/fs/bpf/nf2bpf/$inode" ] || fail "pins are left in /sys/fs/bpf/nf2bpf/$inode"
done_testing
