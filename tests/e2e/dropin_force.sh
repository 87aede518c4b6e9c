#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The drop-in's own part: programs in force when it returns, what they counted in every listing, several tables as one
# transaction, --test that loads, the lock, and a restore that is killed at any moment (KILLS=n of them).
. "$(dirname "$0")/lib.sh.inc"
host a
dropin_names
export XTABLES_LOCKFILE=$work/lock
bpf() { # SUFFIX ARGS…
	local suffix=$1
	shift
	NF2BPF_DROPIN="--netns=$tag-a --state-dir=${state:-$work} --personality=$personality" "$work/bin/iptables-bpf$suffix" "$@"
}
kernel() { nsenter --net="/run/netns/$tag-a" "iptables-$kind$1" "${@:2}" 2>/dev/null; }
rules() { kernel -save "$@" | grep -v '^#'; }
one() { printf '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j DROP\n-A INPUT -s 203.0.113.0/24 -p udp -m comment --comment "two words" -j DROP\nCOMMIT\n'; }
two() { # N: rules that say N
	printf '*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n'
	printf -- '-A OUTPUT -m comment --comment "set %s" -j ACCEPT\nCOMMIT\n' "$1"
	one | sed "s/-A INPUT -s 198/-A FORWARD -m comment --comment \"set $1\" -j ACCEPT\n&/"
}

in_force() {
	one | bpf -restore >"$work/out" 2>&1 || fail "$personality: restore: $(cat "$work/out")"
	expect "$personality: nothing is said" "" "$(cat "$work/out")"
	expect_match "$personality: programs are attached" "xdp +eth0" "$(tool a nf2bpf status)"
	for _ in 1 2 3; do expect "$personality: denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"; done
	expect "$personality: the other" dropped "$(probe a udp 203.0.113.7 10.9.0.1 5)"
	expect "$personality: the kernel did not count" 0 "$(kernel -save -c | grep -c '\[3:[0-9]*\] -A INPUT -s 198')"
	expect "$personality: -save -c counts" 1 "$(bpf -save -c 2>/dev/null | grep -c '^\[3:[0-9]*\] -A INPUT -s 198')"
	expect "$personality: -S -v counts" 1 "$(bpf "" -S INPUT -v 2>/dev/null | grep -c -- '-m tcp --dport 22 -c 3 [0-9]* -j DROP$')"
	expect "$personality: -L -v counts" "3 1" "$(bpf "" -L INPUT -n -v -x 2>/dev/null | awk '$3 == "DROP" {printf "%s%s", s, $1; s = " "}')"
	expect "$personality: -L with a number" 1 "$(bpf "" -L INPUT 2 -n -v 2>/dev/null | awk '{print $1}')"
	expect "$personality: -save is the kernel's" "$(rules)" "$(bpf -save 2>/dev/null | grep -v '^#')"
	expect "$personality: -L is the kernel's, but for the counts" "$(kernel "" -L -n -v --line-numbers | sed 's/^\([0-9]*\) *[0-9]* *[0-9]* /\1 /; s/[0-9]* packets, [0-9]* bytes//')" \
		"$(bpf "" -L -n -v --line-numbers 2>/dev/null | sed 's/^\([0-9]*\) *[0-9]* *[0-9]* /\1 /; s/[0-9]* packets, [0-9]* bytes//')"
	bpf "" -A INPUT -s 10.9.0.7 -p tcp --dport 80 -j DROP 2>/dev/null || fail "$personality: -A"
	expect "$personality: appended" dropped "$(probe a tcp 10.9.0.7 10.9.0.1 80)"
	expect "$personality: counts go on over a change" 1 "$(bpf -save -c 2>/dev/null | grep -c '^\[3:[0-9]*\] -A INPUT -s 198')"
	bpf "" -D INPUT -s 198.51.100.0/24 -p tcp --dport 22 -j DROP 2>/dev/null || fail "$personality: -D"
	expect "$personality: deleted" passed "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
	bpf "" -Z INPUT 2>/dev/null || fail "$personality: -Z"
	expect "$personality: -Z zeroes what programs counted" "0 0" "$(bpf "" -L INPUT -n -v -x 2>/dev/null | awk '$3 == "DROP" {printf "%s%s", s, $1; s = " "}')"
}

transaction() {
	local before
	two 1 | bpf -restore 2>/dev/null || fail "$personality: two tables"
	before=$(rules)
	for bad in '-A INPUT -j NOSUCH' '-A INPUT -s 1.2.3.400' '-D INPUT -s 9.9.9.9' '-A POSTROUTING -j REDIRECT' '-A INPUT -m nosuch'; do
		(two 2; printf '*nat\n%s\nCOMMIT\n' "$bad") | bpf -restore >/dev/null 2>&1 && fail "$personality: $bad is accepted"
		expect "$personality: $bad: nothing has changed" "$before" "$(rules)"
		(two 2; printf '*nat\n%s\nCOMMIT\n' "$bad") | bpf -restore --test >/dev/null 2>&1 && fail "$personality: --test accepts $bad"
		expect "$personality: --test: nothing has changed" "$before" "$(rules)"
	done
	(two 2; printf '*nat\n-A INPUT -j NOSUCH\nCOMMIT\n') | bpf -restore --compat-partial >/dev/null 2>&1
	expect "$personality: --compat-partial" 2 "$(rules | grep -c 'set 2')"
	two 1 | bpf -restore --test 2>/dev/null || fail "$personality: --test of good rules"
	expect "$personality: --test has changed nothing" 2 "$(rules | grep -c 'set 2')"
	printf '*filter\n-A INPUT -s 1.2.3.4 --nosuch\nCOMMIT\n' | bpf -restore --json-errors 2>&1 >/dev/null | tail -n 1 | python3 -c '
import json, sys
e = json.load(sys.stdin)
assert e["exit"] == 2 and e["line"] == 2 and e["details"][0]["column"] > 10, e' || fail "$personality: --json-errors"
}

# Whatever becomes of us: all tables old, or all new.
kills() {
	local n i pid got
	two 0 | bpf -restore 2>/dev/null
	for n in $(seq "${KILLS:-12}"); do
		two "$n" >"$work/new"
		old=$(rules | grep -o 'set [0-9]*' | sort -u)
		(NF2BPF_DROPIN="--netns=$tag-a --state-dir=$work --personality=$personality" exec "$work/bin/iptables-bpf-restore" "$work/new") >/dev/null 2>&1 &
		pid=$!
		sleep "0.$(printf %03d $((RANDOM % 160)))"
		kill -9 $pid 2>/dev/null
		wait $pid 2>/dev/null
		for i in 1 2 3 4 5 6 7 8 9 10; do # a child that commits goes on
			got=$(rules | grep -o 'set [0-9]*' | sort -u)
			[[ $got == "$old" || $got == "set $n" ]] && break
			sleep 0.1
		done
		[[ $got == "$old" || $got == "set $n" ]] || fail "$personality: kill $n: $got"
		expect "$personality: kill $n: denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
	done
}

lock() {
	local rc
	flock "$work/lock" sleep 3 &
	sleep 0.3
	one | bpf -restore -w 1 >"$work/out" 2>&1
	rc=$?
	expect "lock: exit status" 4 $rc
	expect_match "lock: words" "Another app is currently holding the xtables lock. Stopped waiting after 1s." "$(cat "$work/out")"
	wait $!
}

# The state cannot be written: the kernel's rules are in force, and the command says so by 0.
full() {
	mkdir -p "$work/full"
	mount -t tmpfs -o size=4k tmpfs "$work/full"
	head -c 8192 /dev/zero >"$work/full/x" 2>/dev/null
	state=$work/full
	two 77 | bpf -restore >"$work/out" 2>&1 || fail "$personality: full disk: $(cat "$work/out")"
	expect "$personality: full disk: the rules are in force" 2 "$(rules | grep -c 'set 77')"
	expect "$personality: full disk: denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
	state=
	umount "$work/full"
}

for personality in nf_tables legacy; do
	kind=nft
	[ $personality = legacy ] && kind=legacy
	in_force
	transaction
	kills
	full
	[ $personality = legacy ] && lock
	# Where both have the same hook, an early program leaves the packets of the second.
	nsenter --net="/run/netns/$tag-a" nft flush ruleset
done
done_testing
