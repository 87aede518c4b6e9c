#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Several network namespaces in one daemon: each is followed, one that fails or dies hurts no other.
. "$(dirname "$0")/lib.sh.inc"
host a
host b
child() { sed -n "s/.*event=child netns=$tag-$1 pid=\([0-9]*\).*/\1/p" "$work/log" | tail -n 1; }
in_ns a iptables-legacy -A INPUT -s 198.51.100.7 -j DROP
in_ns b nft -f - <<'R'
table ip fw { chain in { type filter hook input priority 10; policy accept; ip saddr 203.0.113.9 counter drop; }
}
R
# A stand-in for systemd.
python3 - "$work/notify" >"$work/told" <<'P' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
while True: print(s.recv(100).decode().strip(), flush=True)
P
daemons+=($!)
while [ ! -S "$work/notify" ]; do sleep 0.05; done
NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1500000 \
	./nf2bpfd --netns "$tag-a" --netns "$tag-b" --netns "$tag-c" --state-dir "$work" --counters-interval=off >"$work/log" 2>&1 &
pid=$!
daemons+=($pid)
wait_log a "netns=$tag-a event=installed"
wait_log b "netns=$tag-b event=installed"
wait_log "one that is not there" "event=child_ended netns=$tag-c status=2"
expect "a" dropped "$(probe a tcp 198.51.100.7 10.9.0.1 22)"
expect "a: by the program" 1 "$(packets a bpf 198.51.100.7)"
expect "b" dropped "$(probe b tcp 203.0.113.9 10.9.0.1 22)"
expect "b: by the program" 1 "$(packets b bpf 203.0.113.9)"
expect_match "status of b" "nf2bpfd $(child b) since" "$(tool b nf2bpf status)"
# One dies: it is started again, and the other does not notice.
a=$(child a) b=$(child b)
kill -9 "$a"
wait_log "its end" "event=child_ended netns=$tag-a signal=9"
in_ns b nft add rule ip fw in ip saddr 203.0.113.10 counter drop
wait_log "b goes on" "netns=$tag-b event=installed.*rules=2"
for i in $(seq 100); do [ "$(child a)" != "$a" ] && break; sleep 0.05; done
expect "b is the same process" "$b" "$(child b)"
expect_match "a is another" "^[0-9]+$" "$(child a)"
[ "$(child a)" != "$a" ] || fail "a was not started again"
for i in $(seq 100); do [ "$(grep -c "netns=$tag-a event=installed" "$work/log")" -ge 2 ] && break; sleep 0.05; done
in_ns a iptables-legacy -A INPUT -s 198.51.100.8 -j DROP
wait_log "a is followed again" "netns=$tag-a event=installed.*rules=2"
# What comes later is followed too.
host c
in_ns c iptables-legacy -A INPUT -s 192.0.2.1 -j DROP
wait_log "c" "netns=$tag-c event=installed"
sleep 1
grep -q READY=1 "$work/told" || fail "READY was not told"
[ "$(grep -c WATCHDOG=1 "$work/told")" -ge 2 ] || fail "the watchdog was not fed"
./nf2bpf status --netns "$tag-a" --netns "$tag-b" >/dev/null 2>&1
expect "a command for two" 2 $?
kill $pid
wait $pid
expect "exit" 0 $?
kill -0 "$b" 2>/dev/null && fail "a child is left"
[ -z "$(ls "$work" | grep '\.sock$')" ] || fail "sockets are left: $(ls "$work")"
[ $failures = 0 ] || cat "$work/log"
done_testing
