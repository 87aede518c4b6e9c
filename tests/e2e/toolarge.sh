#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Rules whose program is too large: chains that are unfolded thousands of times pass our limit.  It is refused by name; the
# host filters as the rules say, without us; what else there is goes on; smaller rules are taken again.  FAULT_ALL=1: also
# a program that is within our limit and passes the verifier's, which takes the kernel a quarter of a minute.
. "$(dirname "$0")/lib.sh.inc"
host a

# Each chain is jumped to from WIDTH places and comes back: DEPTH of them are WIDTH^DEPTH.
legacy_graph() { # DEPTH PORT [MORE rules in the last chain]
	local i
	echo '*filter'; echo ':INPUT ACCEPT [0:0]'; echo ':FORWARD ACCEPT [0:0]'; echo ':OUTPUT ACCEPT [0:0]'
	for ((i = 0; i < $1; i++)); do echo ":c$i - [0:0]"; done
	echo "-A INPUT -p udp -m udp --dport $2 -j DROP"
	[ "$1" = 0 ] || echo '-A INPUT -j c0'
	for ((i = 0; i + 1 < $1; i++)); do
		echo "-A c$i -p udp -m udp --dport $((100 * i + 1)) -j c$((i + 1))"
		echo "-A c$i -p udp -m udp --dport $((100 * i + 2)) -j c$((i + 1))"
		echo "-A c$i -m length --length $((2000 + 7 * i)):$((2009 + 11 * i)) -m ttl --ttl-gt $i -j DROP"
	done
	for ((i = 0; i < ${3:-0}; i++)); do echo "-A c$(($1 - 1)) -m length --length $((3000 + 7 * i)):$((3009 + 11 * i)) -m ttl --ttl-gt $i -j DROP"; done
	echo COMMIT
}
# At most fifteen jumps deep (NFT_JUMP_STACK_SIZE): four jumps in each chain instead of two.
nft_graph() { # DEPTH PORT
	local i k
	echo 'table ip fw'; echo 'flush table ip fw'; echo 'table ip fw {'
	for ((i = $1; i-- > 0;)); do
		echo "chain c$i {"
		[ $((i + 1)) = "$1" ] || for k in 1 2 3 4; do echo "udp dport $((100 * i + k)) counter jump c$((i + 1))"; done
		echo "meta length $((2000 + 7 * i)) ip ttl > $i counter drop; }"
	done
	echo 'chain in { type filter hook input priority 10; policy accept;'
	echo "udp dport $2 counter drop"
	[ "$1" = 0 ] || echo 'counter jump c0'
	echo '}'; echo '}'
}
udp() { probe a udp 10.9.0.7 10.9.0.1 "$1"; }
once() { tool a nf2bpfd --once "$@" >"$work/log" 2>&1; }
programs() { ls "/sys/fs/bpf/nf2bpf/$(stat -Lc %i "/run/netns/$tag-a")" | grep ':\|_eth0'; }

# ---- early ----
legacy_graph 0 7001 | in_ns a iptables-legacy-restore
once || { cat "$work/log"; fail "small rules"; }
expect "small rules" dropped "$(udp 7001)"
expect "small rules: by the program" 1 "$(packets a bpf 'dport 7001')"
expect_match "small rules: pins" xdp_eth0 "$(programs)"
too_large() { # what pattern depth [more]
	legacy_graph "$3" 7002 "${4:-0}" | in_ns a iptables-legacy-restore
	once
	expect "$1: exit status" 3 $?
	expect_match "$1: by name" "$2" "$(cat "$work/log")"
	expect "$1: what the new rules drop" dropped "$(udp 7002)"
	expect "$1: the kernel drops it" 1 "$(packets a kernel 'dport 7002')"
	expect "$1: what the old rules dropped" passed "$(udp 7001)"
	expect "$1: no program is left" "" "$(programs)"
}
too_large "early" 'would pass 900000 instructions; chain legacy ip filter c[0-9]+ \(3 rules\) was unfolded [0-9]+ times' 20
[ -z "${FAULT_ALL:-}" ] || too_large "the verifier" 'refuses the program of site xdp \([0-9]+ instructions\).*BPF program is too large' 15 2
legacy_graph 20 7003 >"$work/large.v4"
expect_match "check says which chain" 'would pass 900000 instructions' "$(./nf2bpf check "$work/large.v4" 2>&1)"
expect_match "verify too" 'would pass 900000 instructions' "$(./nf2bpf verify "$work/large.v4" 2>&1)"
legacy_graph 1 7008 | in_ns a iptables-legacy-restore
once || { cat "$work/log"; fail "small rules again"; }
expect "small rules again" dropped "$(udp 7008)"
expect "small rules again: by the program" 1 "$(packets a bpf 'dport 7008')"
tool a nf2bpf off >/dev/null

# ---- the netfilter hooks: that chain alone stays with the kernel ----
nft_graph 11 7004 | in_ns a nft -f -
once --early=off --site=nf || { cat "$work/log"; fail "at the hooks"; }
status=$(tool a nf2bpf status)
expect_match "the other chain has its program" "nf +ip input 0" "$status"
expect_match "the large chain has none" 'nf ip input 10 is left to the kernel: the program would pass 900000 instructions' "$status"
expect "at the hooks: the kernel's chain" dropped "$(udp 7004)"
expect "at the hooks: counted by the kernel" 1 "$(packets a kernel 'dport 7004')"
expect "at the hooks: the other one" dropped "$(udp 7008)"
expect "at the hooks: counted by the program" 1 "$(packets a bpf 'dport 7008')"
tool a nf2bpf off >/dev/null
in_ns a iptables-legacy-restore <<<$'*filter\nCOMMIT'

# ---- takeover: the table wakes, or the old rules would go on ----
dormant() { in_ns a nft list table ip fw | grep -q 'flags dormant'; }
awake() { ! dormant; }
nft_graph 2 7005 | in_ns a nft -f -
./nf2bpfd --netns "$tag-a" --state-dir "$work" --early=off --mode=takeover >"$work/log" 2>&1 &
daemons+=($!)
wait_true "taken over" dormant
expect "taken over" dropped "$(udp 7005)"
nft_graph 11 7006 | in_ns a nft -f -
wait_true "too large: awake" awake
expect "too large: what the new rules drop" dropped "$(udp 7006)"
expect "too large: what the old rules dropped" passed "$(udp 7005)"
wait_for "too large: why" 'would pass 900000 instructions' tool a nf2bpf status
nft_graph 2 7007 | in_ns a nft -f -
wait_true "smaller: asleep" dormant
expect "smaller" dropped "$(udp 7007)"
done_testing
