#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The legacy view is true: a host with the daemon and its twin without get the same packets and commands, and
# iptables-legacy and iptables-nft print the same counters.
. "$(dirname "$0")/lib.sh.inc"
export PROBE_MS=${PROBE_MS:-100}
host a
host b
daemon_start() {
	./nf2bpfd --netns "$tag-a" --state-dir "$work" --verbose >>"$work/log" 2>&1 &
	pid=$!
	daemons+=($pid)
	for i in $(seq 100); do [ "$(grep -c event=installed "$work/log")" -gt "$1" ] && return; sleep 0.1; done
	fail "the daemon installs nothing"
}
both() { in_ns a "$@" && in_ns b "$@"; }
send() { # COUNT SRC: to both hosts
	local i pids=()
	for i in $(seq "$1"); do
		probe a tcp "$2" 10.9.0.1 22 >/dev/null & pids+=($!)
		probe b tcp "$2" 10.9.0.1 22 >/dev/null & pids+=($!)
	done
	wait "${pids[@]}"
}
# The programs have caught up with the last change.
caught_up() {
	local i
	for i in $(seq 60); do
		tool a nf2bpf rules --json 2>/dev/null | grep -q '"stale": false' && return
		sleep 0.1
	done
	fail "$1: the daemon does not follow"
}
same() { # what: at the latest after a second
	local i
	for i in $(seq 10); do
		sleep 0.1
		in_ns a iptables-legacy-save -c >"$work/a"
		in_ns b iptables-legacy-save -c >"$work/b"
		sed -i '/^#/d' "$work/a" "$work/b"
		cmp -s "$work/a" "$work/b" && break
	done
	diff "$work/a" "$work/b" >"$work/diff" || { fail "$1: with us and without"; cat "$work/diff"; }
	expect "$1: -L -v -x" "$(in_ns b iptables-legacy -L -v -x -n)" "$(in_ns a iptables-legacy -L -v -x -n)"
}
cat >"$work/rules" <<'R'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:bad - [0:0]
-A INPUT -s 198.51.100.0/24 -j bad
-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 22 -j DROP
-A bad -s 198.51.100.9/32
-A bad -p tcp -j DROP
COMMIT
R
both iptables-legacy-restore "$work/rules"
daemon_start 0
send 3 198.51.100.9
send 2 203.0.113.1
tool a nf2bpf metrics >"$work/metrics1"
same "first packets"
# Prometheus counters do not fall when what was pending moves into the kernel's.
tool a nf2bpf metrics >"$work/metrics2"
python3 - "$work/metrics1" "$work/metrics2" <<'P' || fail "metrics"
import sys
one, two = ({k: float(v) for k, v in (l.rsplit(" ", 1) for l in open(f) if l[0] != "#")} for f in sys.argv[1:])
totals = [k for k in one if k.split("{")[0].endswith("_total")]
fell = [(k, one[k], two[k]) for k in totals if two[k] < one[k]]
assert totals and not fell, fell
rule = [k for k in totals if k.startswith("nf2bpf_rule_packets_total") and "198.51.100.0/24" in k]
assert len(rule) == 1 and one[rule[0]] == two[rule[0]] == 3, (rule, one, two)
# Three packets met the jump and two rules behind it, two met one rule.
assert two['nf2bpf_counted_packets_total{site="xdp"}'] == 11, two
P
[ "$(grep -c 'written=legacy' "$work/log")" -gt 0 ] || fail "nothing was topped up"
expect "nothing is shown twice" 5 "$(packets a total 'INPUT -s')"
step() { # what command…: a change under way, between packets that nobody has topped up yet
	local what=$1
	shift
	send 2 198.51.100.9
	send 1 203.0.113.1
	both "$@" >/dev/null || fail "$what: refused"
	send 1 203.0.113.1
	caught_up "$what"
	send 1 198.51.100.9
	same "$what"
}
step "insert at the top" iptables-legacy -I INPUT 1 -s 192.0.2.0/24 -j DROP
step "the same rule twice" iptables-legacy -A bad -p tcp -j DROP
both iptables-legacy -I INPUT 3 -s 192.0.2.7/32
step "delete" iptables-legacy -D INPUT 3
step "replace by another" iptables-legacy -R INPUT 3 -s 203.0.113.0/25 -p tcp -j DROP
step "replace by the same" iptables-legacy -R INPUT 3 -s 203.0.113.0/25 -p tcp -j DROP
step "zero all" iptables-legacy -Z
step "zero a rule" iptables-legacy -Z INPUT 3
step "list and zero" iptables-legacy -n -L -Z
both iptables-legacy-save -c >/dev/null
in_ns b iptables-legacy-save -c >"$work/saved"
step "restore without counters" iptables-legacy-restore "$work/saved"
# What is pending then can be told from what the restored counters hold only when these are lower: here they are equal.
send 2 203.0.113.1
same "before the restore"
both iptables-legacy-restore -c "$work/saved"
caught_up "restore with counters"
send 1 198.51.100.9
same "restore with counters"
step "restore on top" iptables-legacy-restore --noflush "$work/saved"
# The daemon goes and comes back.
send 2 198.51.100.9
kill $pid && wait $pid 2>/dev/null
send 3 198.51.100.9
n=$(grep -c event=installed "$work/log")
daemon_start "$n"
send 1 203.0.113.1
same "restart"
for i in $(seq "${KILLS:-1}"); do
	send 2 198.51.100.9
	kill -9 $pid && wait $pid 2>/dev/null
	send 2 203.0.113.1
	n=$(grep -c event=installed "$work/log")
	daemon_start "$n"
	send 1 203.0.113.1
	same "kill -9, $i"
done
# Off writes back what is left.
kill $pid && wait $pid 2>/dev/null
send 4 198.51.100.9
tool a nf2bpf off >/dev/null
same "off"
[ $failures = 0 ] || tail -n 30 "$work/log"
done_testing
