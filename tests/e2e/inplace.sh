#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Members of nf_tables sets come and go while the programs stay: under traffic of which every packet is accounted for, and against a twin
# without a daemon, which gets the same commands and packets.  CHANGES (10) random transactions.  SIZES="1000 100000": how long it takes
# from a commit to a program that is current again, printed.
# (A set of a few intervals is code, not a map: these have more members, apart from each other.)
. "$(dirname "$0")/lib.sh.inc"
changes=${CHANGES:-10}
RANDOM=${SEED:-7}
export PROBE_MS=150
host a
host b
cat >"$work/rules" <<'R'
table ip f {
	set bad { type ipv4_addr; elements = { 172.20.100.2, 172.20.101.2, 172.20.102.2, 172.20.103.2, 172.20.104.2, 172.20.105.2, 172.20.106.2, 172.20.107.2, 172.20.108.2, 172.20.109.2 } }
	set pairs { type ipv4_addr . inet_service; elements = { 203.0.113.1 . 22, 203.0.113.2 . 22, 203.0.113.3 . 23 } }
	set traffic { type ipv4_addr; elements = { 192.0.2.7, 172.21.10.2, 172.21.11.2, 172.21.12.2, 172.21.13.2, 172.21.14.2, 172.21.15.2, 172.21.16.2, 172.21.17.2, 172.21.18.2, 172.21.19.2 } }
	chain i {
		type filter hook input priority 0; policy accept;
		ip saddr @bad counter drop
		ip saddr . tcp dport @pairs counter drop
		ip saddr 198.51.100.0/24 counter drop
		ip saddr @traffic counter drop
		udp dport 7000 accept
		udp dport 7002 counter drop
	}
}
R
in_ns a nft -f "$work/rules" && in_ns b nft -f "$work/rules" || exit 1
start_daemon() {
	: >"$work/log" # now, not when the other process begins
	./nf2bpfd --netns "$tag-a" --state-dir "$work" --verbose >"$work/log" 2>&1 &
	daemons+=($!)
	pid=$!
	wait_log 'the first load' event=installed
}
start_daemon
coproc FLOW { "$build/tests/flow" "$tag-w" a0 "$tag-a" 1000; }
flow() { # what: nothing lost, nothing let through
	echo "$2" >&"${FLOW[1]}"
	read -r said <&"${FLOW[0]}"
	expect_match "$1" "lost=0 passed=0$" "$said"
}
current() {
	for _ in $(seq 200); do
		tool a nf2bpf rules --json | grep -q '"stale": false' && return
		sleep 0.02
	done
	fail "$1: the daemon does not follow"
}
declare -A in_bad
for n in 100 101 102 103 104 105 106 107 108 109; do in_bad[$n]=1; done
compare() { # what: the addresses of the last transaction
	local n pids=()
	for n in "${touched[@]}"; do
		probe a tcp "172.20.$n.2" 10.9.0.1 80 >"$work/a.$n" & pids+=($!)
		probe b tcp "172.20.$n.2" 10.9.0.1 80 >"$work/b.$n" & pids+=($!)
	done
	wait "${pids[@]}"
	for n in "${touched[@]}"; do
		want=$([ -n "${in_bad[$n]:-}" ] && echo dropped || echo passed)
		expect "$1: 172.20.$n.2, the twin" "$want" "$(cat "$work/b.$n")"
		expect "$1: 172.20.$n.2" "$want" "$(cat "$work/a.$n")"
	done
}
for c in $(seq "$changes"); do
	touched=()
	: >"$work/change"
	for _ in $(seq $((1 + RANDOM % 4))); do
		n=$((100 + RANDOM % 60))
		[[ " ${touched[*]} " == *" $n "* ]] && continue
		touched+=($n)
		if [ -n "${in_bad[$n]:-}" ]; then
			unset "in_bad[$n]"
			echo "delete element ip f bad { 172.20.$n.2 }" >>"$work/change"
		else
			in_bad[$n]=1
			echo "add element ip f bad { 172.20.$n.2 }" >>"$work/change"
		fi
	done
	# The set that the traffic hits changes too, but for its address.
	echo "$([ $((c % 2)) = 1 ] && echo add || echo delete) element ip f traffic { 172.21.200.2 }" >>"$work/change"
	in_ns a nft -f "$work/change" && in_ns b nft -f "$work/change" || fail "change $c: refused"
	[ $((RANDOM % 2)) = 0 ] || compare "change $c, at once"
	current "change $c"
	compare "change $c, by the program"
done
flow "under traffic" hold
for rule in @bad @pairs; do expect "$rule counts as the twin" "$(in_ns b nft list chain ip f i | sed -n "s/.*$rule counter packets \([0-9]*\).*/\1/p")" "$(packets a total "$rule")"; done
sent=$(sed 's/.*sent=\([0-9]*\).*/\1/' <<<"$said")
expect "@traffic counts every packet" "$sent" "$(packets a total @traffic)"
installed=$(grep -c event=installed "$work/log")
moved=$(grep -c event=moved "$work/log")
[ "$installed" -le 2 ] && [ "$moved" -ge $((changes / 2)) ] || fail "$installed installed, $moved moved in place"
echo >&"${FLOW[1]}"
# What is more than members of sets loads new programs.
in_ns a nft add rule ip f i tcp dport 99 counter drop
current "a rule"
for _ in $(seq 100); do [ "$(grep -c event=installed "$work/log")" -gt "$installed" ] && break; sleep 0.1; done
[ "$(grep -c event=installed "$work/log")" -gt "$installed" ] || fail "a rule: nothing was installed"
flow "after a rule" go
expect "a new rule" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 99)"
for size in ${SIZES:-}; do
	python3 -c '
import sys
n = int(sys.argv[1])
print("add set ip f big { type ipv4_addr; }\nadd rule ip f i ip saddr @big drop")
for at in range(0, n, 1000): print("add element ip f big {", ", ".join("11.%d.%d.%d" % (i >> 15, i >> 7 & 255, 2 * i & 255) for i in range(at, min(n, at + 1000))), "}")' "$size" >"$work/big"
	in_ns a nft flush chain ip f i
	in_ns a nft delete set ip f big 2>/dev/null
	in_ns a nft -f "$work/big"
	sleep 3
	current "$size"
	before=$(wc -l <"$work/log")
	for n in 1 2 3 4 5; do in_ns a nft add element ip f big "{ 12.0.0.$n }"; sleep 3; done
	echo "one of $size:"
	tail -n +$((before + 1)) "$work/log" | grep -E 'event=(moved|installed|stages)'
done
[ $failures = 0 ] || tail -n 20 "$work/log"
kill "$FLOW_PID" 2>/dev/null
done_testing
