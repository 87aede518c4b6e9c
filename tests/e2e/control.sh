#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The control socket: status, reload, hand-back and metrics, with clients that misbehave beside them; root only.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy -A INPUT -s 198.51.100.7 -j DROP
./nf2bpfd --netns "$tag-a" --state-dir "$work" --poll=500 --counters-interval=off >"$work/log" 2>&1 &
daemons+=($!)
wait_log 'the first load' event=installed
socket=$work/$(stat -Lc %i "/run/netns/$tag-a").sock
call() { timeout 10 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b"\n"); s.shutdown(socket.SHUT_WR)
sys.stdout.write(b"".join(iter(lambda: s.recv(65536), b"")).decode())' "$socket" "$1"; }
expect "mode of the socket" "srw-------" "$(stat -c %A "$socket")"
chmod 777 "$work"
su nobody -s /bin/sh -c "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"$socket\")'" 2>/dev/null && fail "nobody may connect"
chmod 666 "$socket"
expect "nobody is told nothing" "" "$(su nobody -s /bin/sh -c "python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.connect(\"$socket\"); s.send(b\"{\\\"version\\\":1,\\\"request\\\":\\\"ping\\\"}\\n\"); print(s.recv(100).decode())'" 2>/dev/null)"
chmod 600 "$socket"; chmod 700 "$work"

expect_match "ping" '"ok":true' "$(call '{"version":1,"request":"ping"}')"
expect_match "unknown" '"error":"unknown request"' "$(call '{"version":1,"request":"halt"}')"
expect_match "no JSON" '"error":"not JSON' "$(call 'GET / HTTP/1.0')"
expect_match "rules" '198.51.100.7' "$(call '{"version":1,"request":"rules"}')"
expect_match "status" 'nf2bpfd [0-9]+ since .*installed .*compiles' "$(tool a nf2bpf status)"
expect_match "status, JSON" '"last_ms"' "$(tool a nf2bpf status --json)"

# Fifteen clients that say nothing, half a request, or do not read; the sixteenth is served.
python3 - "$socket" <<'P' &
import socket, sys, time
held = []
for i in range(15):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)
    if i % 3 == 1: s.send(b'{"version":1')
    if i % 3 == 2: s.setblocking(False); s.send(b'{"version":1,"request":"rules"}\n' * 100)
time.sleep(60)
P
idle=$!
daemons+=($idle)
sleep 0.5
expect_match "among idle clients" "generation 1: 1 rules" "$(tool a nf2bpf reload)"
in_ns a iptables-legacy -A INPUT -s 198.51.100.8 -j DROP
wait_log 'the second rule' rules=2
expect_match "changes are followed" "rules=2" "$(cat "$work/log")"
kill $idle

before=$(packets a kernel 198.51.100.7)
expect_match "handback" "1 programs detached" "$(tool a nf2bpf handback)"
in_ns a iptables-legacy -A INPUT -s 198.51.100.9 -j DROP
sleep 1
expect "handed back: denied" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "handed back: by the kernel" $((before + 1)) "$(packets a kernel 198.51.100.7)"
expect_match "status says so" "handed back" "$(tool a nf2bpf status)"
expect_match "metrics say so" "nf2bpf_handed_back 1" "$(tool a nf2bpf metrics)"
expect_match "reload takes it again" "3 rules" "$(tool a nf2bpf reload)"
expect "denied" dropped "$(probe a tcp 198.51.100.9 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf 198.51.100.9)"

# Prometheus text: HELP and TYPE before each metric's samples, no sample twice, the right values.
tool a nf2bpf metrics >"$work/metrics"
python3 - "$work/metrics" <<'P' || fail "metrics"
import re, sys
types, seen, value = {}, set(), {}
for line in open(sys.argv[1]):
    m = re.fullmatch(r'# (HELP|TYPE) (\w+) (.+)\n', line)
    if m:
        if m[1] == "TYPE": types[m[2]] = m[3]
        continue
    m = re.fullmatch(r'(\w+)(\{(\w+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (-?[0-9.e+]+)\n', line)
    assert m, line
    assert m[1] in types and m[1] + (m[2] or "") not in seen, line
    assert m[1].endswith("_total") == (types[m[1]] == "counter"), line
    seen.add(m[1] + (m[2] or "")); value[m[1] + (m[2] or "")] = float(m[4])
assert value["nf2bpf_up"] == 1 and value["nf2bpf_stale"] == 0 and value["nf2bpf_installs_total"] >= 3
assert [v for k, v in value.items() if k.startswith("nf2bpf_rule_packets_total") and "198.51.100.9" in k] == [1]
assert value['nf2bpf_counted_packets_total{site="xdp"}'] >= 1
P
timeout 10 ./nf2bpfd --netns "$tag-a" --state-dir "$work" >/dev/null 2>&1
expect "a second daemon is refused" 3 $?
expect_match "and the first goes on" '"ok":true' "$(call '{"version":1,"request":"ping"}')"

# A reload that fails says why, and its exit status too.
ip -n "$tag-a" link set eth0 down
tool a nf2bpf reload >"$work/out" 2>&1
expect "a reload that fails" 3 $?
expect_match "says why" "no Ethernet interface is up" "$(cat "$work/out")"
expect_match "status remembers" "last refusal .*no Ethernet interface is up" "$(tool a nf2bpf status)"
kill "${daemons[0]}"
wait "${daemons[0]}" 2>/dev/null
[ ! -e "$socket" ] || fail "the socket is left"
tool a nf2bpf reload 2>"$work/out"
expect "no daemon" 3 $?
expect_match "metrics without a daemon" "nf2bpf_up 0" "$(tool a nf2bpf metrics)"
[ $failures = 0 ] || cat "$work/log"
done_testing
