#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Programs without a daemon are never stale: after any change of legacy or nf_tables rules they leave every packet.
. "$(dirname "$0")/lib.sh.inc"
host a
host b
in_ns a iptables-legacy -A INPUT -s 198.51.100.0/24 -j DROP
in_ns a iptables-legacy -A INPUT -s 192.0.2.0/24 -j DROP
tool a nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once"; }
expect "denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf '198.51.100.0/24')"
in_ns b iptables-legacy -A INPUT -s 203.0.113.0/24 -j DROP
expect "another namespace's rules" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "do not make it stale" 2 "$(packets a bpf '198.51.100.0/24')"
in_ns a iptables-legacy -D INPUT -s 198.51.100.0/24 -j DROP
expect "allowed at once" passed "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect_match "status says so" "stale: the rules have changed" "$(tool a nf2bpf status)"
expect_match "rules say so" "rules have changed" "$(tool a nf2bpf rules)"
expect "the other rule" dropped "$(probe a tcp 192.0.2.7 10.9.0.1 22)"
expect "is the kernel's now" 1 "$(packets a kernel '192.0.2.0/24')"
# Addresses, routes and settings that a decision rests on.
in_ns a iptables-legacy -A INPUT -s 198.51.100.0/24 -j DROP
reload() { tool a nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "reload"; }; }
for change in 'ip addr add 10.9.0.5/32 dev eth0' 'ip route add 172.16.0.0/12 via 10.9.0.2' 'ip rule add from 10.66.0.0/16 lookup main'; do
	reload
	before=$(packets a bpf '198.51.100.0/24')
	expect "before $change" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
	expect "before $change: by the program" $((before + 1)) "$(packets a bpf '198.51.100.0/24')"
	in_ns a $change
	expect "after $change" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
	expect "after $change: not by the program" $((before + 1)) "$(packets a bpf '198.51.100.0/24')"
done
# With policy routing no way is certain: the program judges nothing behind PREROUTING.
reload
expect "policy routing" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "policy routing: not by the program" $((before + 1)) "$(packets a bpf '198.51.100.0/24')"
in_ns a ip rule del from 10.66.0.0/16 lookup main
# A table of some thousand rules replaces more than a page of options: it must arrive whole.
{ echo '*filter'; for i in $(seq 3000); do echo "-A INPUT -s 100.64.$((i >> 8)).$((i & 255)) -j DROP"; done; echo COMMIT; } |
	in_ns a iptables-legacy-restore
expect "large tables pass the observer" 3000 "$(in_ns a iptables-legacy -S INPUT | grep -c -- -A)"
tool a nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "second load"; }
expect "the last rule" dropped "$(probe a tcp 100.64.11.184 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf '100.64.11.184')"
in_ns a iptables-legacy -F INPUT
expect "flushed: allowed at once" passed "$(probe a tcp 100.64.11.184 10.9.0.1 22)"
# The same of nf_tables: here the programs compare its generation.
host c
in_ns c nft -f - <<'EOF'
table inet t {
	chain in {
		type filter hook input priority 0
		ip saddr 198.51.100.0/24 counter drop
		tcp dport 23 counter drop
	}
}
EOF
tool c nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once, nft"; }
expect "nft: denied" dropped "$(probe c tcp 198.51.100.7 10.9.0.1 22)"
expect "nft: by the program" 1 "$(packets c bpf '198.51.100.0/24')"
in_ns c nft delete rule inet t in handle "$(in_ns c nft -a list chain inet t in | sed -n 's/.*198.51.*# handle //p')"
expect "nft: allowed at once" passed "$(probe c tcp 198.51.100.7 10.9.0.1 22)"
expect "nft: the other rule" dropped "$(probe c tcp 192.0.2.7 10.9.0.1 23)"
expect "nft: is the kernel's now" 1 "$(packets c kernel 'dport 23')"
tool a nf2bpf off >/dev/null
inode=$(stat -Lc %i "/run/netns/$tag-a")
[ ! -e "/sys/fs/bpf/nf2bpf/$inode" ] || fail "pins are left"
done_testing
