#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Counters of nf_tables rules are written into them under traffic, again and again: nothing is lost or counted twice, the
# rules stay what they were, and the programs stay in force.
. "$(dirname "$0")/lib.sh.inc"
syncs=${SYNCS:-6}
export PROBE_MS=${PROBE_MS:-100}
host a
in_ns a iptables-nft -A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -m comment --comment hello -j DROP 2>/dev/null
in_ns a nft -f - <<'R'
table ip n {
	set bad { type ipv4_addr; elements = { 192.0.2.1 } }
	chain i {
		type filter hook input priority 5; policy accept;
		ip saddr 203.0.113.0/24 counter drop comment "by address"
		ip saddr @bad counter packets 7 bytes 700 drop
		ip saddr 192.0.2.2 tcp dport { 22, 80 } counter drop
	}
}
R
rules() { in_ns a nft -a list ruleset | sed 's/packets [0-9]* bytes [0-9]*/N/'; }
rules >"$work/before"
./nf2bpfd --netns "$tag-a" --state-dir "$work" --verbose >"$work/log" 2>&1 &
daemons+=($!)
wait_log 'the first load' event=installed
sent=0
traffic() {
	local src pids=()
	for src in 198.51.100.1 203.0.113.1 192.0.2.1 192.0.2.2; do
		for _ in 1 2 3; do probe a tcp $src 10.9.0.1 22 >/dev/null & pids+=($!); done
	done
	wait "${pids[@]}"
}
for i in $(seq "$syncs"); do
	traffic &
	tool a nf2bpf counters --sync >"$work/sync" 2>&1 || { cat "$work/sync"; fail "sync $i"; }
	wait $!
	sent=$((sent + 3))
done
for rule in 198.51.100 203.0.113; do expect "$rule: the sum" "$sent" "$(packets a total "$rule")"; done
expect "with a counter that was preset" $((sent + 7)) "$(packets a total '@bad')"
expect "with an anonymous set" "$sent" "$(packets a total '192.0.2.2')"
tool a nf2bpf counters --sync >"$work/sync"
expect_match "what is left is named" "counters stay pending .*anonymous set" "$(cat "$work/sync")"
for rule in 198.51.100 203.0.113; do
	expect "$rule: in the kernel" "$sent" "$(packets a kernel "$rule")"
	expect "$rule: nothing twice" 0 "$(packets a bpf "$rule")"
done
expect_match "as nft prints it" "counter packets $sent bytes $((sent * 40)) drop comment \"by address\"" "$(in_ns a nft list table ip n)"
expect_match "as iptables prints it" "\[$sent:$((sent * 40))\] -A INPUT -s 198.51.100.0/24" "$(in_ns a iptables-nft-save -c 2>/dev/null)"
expect "the rules are what they were" "$(cat "$work/before")" "$(rules)"
# At most where the daemon reads in the instant between a commit of ours and the word that the programs follow.
[ "$(grep -c event=installed "$work/log")" -le $((syncs / 2)) ] || fail "compiled again at each sync"
b=$(packets a bpf '203.0.113')
probe a tcp 203.0.113.9 10.9.0.1 22 >/dev/null
expect "the programs stay in force" $((b + 1)) "$(packets a bpf '203.0.113')"
# A rule that says something else now, or was zeroed, has none of the old one's counts.
in_ns a iptables-nft -Z 2>/dev/null
sleep 1
expect "zeroed" 0 "$(packets a total '198.51.100')"
[ $failures = 0 ] || tail -n 20 "$work/log"
done_testing
