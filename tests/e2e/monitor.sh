#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nf2bpf monitor: drops at xdp and at the hooks with the rule that dropped them, no more than asked for, and nothing left
# behind when the last listener has gone.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy-restore <<'R'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 7 -j ACCEPT
-A INPUT -s 198.51.100.7/32 -m comment --comment "a \"quoted\" word" -j DROP
-A INPUT -p udp -m udp --dport 9 -j DROP
-A OUTPUT -d 203.0.113.9/32 -j DROP
COMMIT
R
in_ns a nft -f - <<'R'
table inet fw {
	set bad { type ipv4_addr; elements = { 198.51.100.220 }; }
	chain odd { tcp dport 2221 accept; counter; ip ttl < 5 drop; }
	chain in { type filter hook input priority 20; policy accept; tcp dport 2222 drop; ip protocol tcp jump odd; ip saddr @bad drop; }
}
R
# A shell's background jobs ignore interrupts.
watch() { exec env --default-signal=INT ./nf2bpf monitor "$@" --netns "$tag-a" --state-dir "$work"; }
daemon() {
	: >"$work/log"
	: >"$work/log" # now, not when the other process begins
	./nf2bpfd --netns "$tag-a" --state-dir "$work" --counters-interval=off "$@" >"$work/log" 2>&1 &
	daemons=("$!" "${daemons[@]}")
	wait_log 'the first load' event=installed
}
# until N FILE PATTERN: for up to 10 s, until N lines match
until_lines() { for _ in $(seq 100); do [ "$(grep -c -- "$3" "$2")" -ge "$1" ] && return; sleep 0.1; done; fail "no $1 lines of $3 in: $(cat "$2")"; }
pins=/sys/fs/bpf/nf2bpf/$(stat -Lc %i "/run/netns/$tag-a")
# word [BYTES]: is anything but zero in the word that says who listens?
word() { python3 - "$pins/watch" "${1:-16}" <<'P'
import ctypes, sys
bpf = ctypes.CDLL("libbpf.so.1")
key, value = (ctypes.c_char * 4)(), (ctypes.c_char * 16)()
fd = bpf.bpf_obj_get(sys.argv[1].encode())
assert fd >= 0 and bpf.bpf_map_lookup_elem(fd, key, value) == 0
print(int(any(value.raw[:int(sys.argv[2])])))
P
}

until_word() { for _ in $(seq 100); do [ "$(word)" = "$1" ] && return; sleep 0.1; done; fail "the word is not $1"; }

(watch 2>"$work/err")
expect "without a daemon" 3 $?
expect_match "says so" "no nf2bpfd runs" "$(cat "$work/err")"
for bad in --rate=0 --rate=10001 --rate=x; do
	(watch $bad 2>/dev/null)
	expect "$bad" 2 $?
done

daemon
expect "nobody listens yet" 0 "$(word)"
watch >"$work/text" 2>"$work/err" &
text=$!
watch --json >"$work/json" 2>/dev/null &
json=$!
daemons+=($text $json)
until_word 1
sleep 0.5
expect "somebody listens" 1 "$(word)"
probe a tcp 198.51.100.7 10.9.0.1 22 >/dev/null
probe a udp 10.9.0.7 10.9.0.1 9 >/dev/null
probe a tcp 10.9.0.7 10.9.0.1 2222 >/dev/null
probe a tcp 10.9.0.7 10.9.0.1 80 >/dev/null
until_lines 3 "$work/text" length
# The daemon has sent what it had; a packet that passes is not among it.
sleep 0.5
expect "three drops" 3 "$(grep -c length "$work/text")"
expect_match "legacy rule" 'xdp in eth0 tcp 198.51.100.7:[0-9]+ > 10.9.0.1:22 syn length 40: legacy ip filter INPUT 2: -A INPUT -s 198.51.100.7/32 .*--comment "a \\"quoted\\" word" -j DROP' "$(cat "$work/text")"
expect_match "udp" 'xdp in eth0 udp 10.9.0.7:[0-9]+ > 10.9.0.1:9 length [0-9]+: legacy ip filter INPUT 3: -A INPUT -p udp -m udp --dport 9 -j DROP' "$(cat "$work/text")"
expect_match "nft rule" 'tcp 10.9.0.7:[0-9]+ > 10.9.0.1:2222 syn length 40: nft inet fw in 1: tcp dport 2222 drop' "$(cat "$work/text")"
# The lines are JSON, the bytes those of the packet, and its words are those of explain.
python3 - "$work/json" <<'P' || fail "JSON lines"
import json, socket, struct, sys, time
drops = [json.loads(l) for l in open(sys.argv[1])]
assert len(drops) == 3, drops
for d in drops:
    frame = bytes.fromhex(d["bytes"])
    assert d["link"] == 14 and frame[12:14] == b"\x08\x00", d
    ip = frame[14:]
    assert struct.unpack(">H", ip[2:4])[0] == d["length"] and len(ip) == min(d["length"], 82), d
    proto = {6: "tcp", 17: "udp"}[ip[9]]
    sport, dport = struct.unpack(">HH", ip[20:24])
    words = "%s %s:%d > %s:%d" % (proto, socket.inet_ntoa(ip[12:16]), sport, socket.inet_ntoa(ip[16:20]), dport)
    assert d["packet"].startswith(words), (d, words)
    assert abs(d["time"] - time.time()) < 60, d
assert [(d["rule"]["table"], d["rule"]["index"]) for d in drops] == [("filter", 2), ("filter", 3), ("fw", 1)], drops
assert drops[2]["rule"]["handle"] > 0 and drops[0]["site"] == "xdp" and drops[0]["interface"] == "eth0"
open(sys.argv[1] + ".words", "w").write(drops[0]["packet"])
P
expect_match "explain takes the words" "INPUT" "$(tool a nf2bpf explain in eth0 $(cat "$work/json.words") 2>&1)"

# A change of the rules: the next drop is shown with the new ones.
in_ns a iptables-legacy -I INPUT 1 -s 198.51.100.200 -j DROP
for i in $(seq 100); do [ "$(grep -c installed "$work/log")" -ge 2 ] && break; sleep 0.05; done
for i in $(seq 50); do
	probe a tcp 198.51.100.200 10.9.0.1 22 >/dev/null
	grep -q 198.51.100.200 "$work/text" && break
	sleep 0.1
done
until_lines 1 "$work/text" 'legacy ip filter INPUT 1: -A INPUT -s 198.51.100.200/32 -j DROP'
# So is one of a member of a set, which changes no program.
in_ns a nft add element inet fw bad { 198.51.100.221 }
for i in $(seq 50); do
	probe a udp 198.51.100.221 10.9.0.1 22 >/dev/null
	grep -q 198.51.100.221 "$work/text" && break
	sleep 0.1
done
until_lines 1 "$work/text" '198.51.100.221:.*nft inet fw in 3: ip saddr @bad drop'
kill -9 $json
sleep 1.5
expect "one still listens" 1 "$(word)"
kill -INT $text
wait $text 2>/dev/null
until_word 0

# The rate holds, and what is not shown is counted.
watch --json --rate=10 >"$work/json" 2>/dev/null &
json=$!
daemons+=($json)
until_word 1
before=$(packets a bpf 198.51.100.7)
in_ns w python3 - <<'P'
import socket, struct, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("a0", 0))
h = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton("198.51.100.7"), socket.inet_aton("10.9.0.1"))
t = sum(struct.unpack(">10H", h)); t = (t & 0xffff) + (t >> 16); t = ~((t & 0xffff) + (t >> 16)) & 0xffff
frame = bytes.fromhex("02000000000002000000000a0800") + h[:10] + struct.pack(">H", t) + h[12:] + struct.pack(">HHHH", 5, 6, 8, 0)
end = time.time() + 2
for i in range(2000):
    s.send(frame)
    time.sleep(max(0, 0.0005))
P
sleep 1.2
dropped=$(($(packets a bpf 198.51.100.7) - before))
expect "all were dropped" 2000 "$dropped"
python3 - "$work/json" "$dropped" <<'P' || fail "the rate"
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
times = [l["time"] for l in lines if "packet" in l]
lost = sum(l["lost"] for l in lines if "lost" in l)
seconds = times[-1] - times[0]
assert 10 <= len(times) <= 10 * (seconds + 2), (len(times), seconds)
assert abs(len(times) + lost - int(sys.argv[2])) <= 10, (len(times), lost)
P
# The daemon dies with a listener: the word goes with the next drop after its time.
kill -9 "${daemons[0]}"
wait "${daemons[0]}" 2>/dev/null
expect "left by a daemon that was killed" 1 "$(word)"
sleep 4.2
probe a tcp 198.51.100.7 10.9.0.1 22 >/dev/null
expect "forgotten by the programs themselves" 0 "$(word 8)"

# At the hooks: also what the host sends itself.
tool a nf2bpf off >/dev/null
daemon --early=off --site=nf
watch >"$work/text" 2>/dev/null &
text=$!
daemons+=($text)
until_word 1
probe a tcp 198.51.100.7 10.9.0.1 22 >/dev/null
in_ns a ping -c 1 -W 1 203.0.113.9 >/dev/null 2>&1
probe a tcp 10.9.0.7 10.9.0.1 2222 >/dev/null
until_lines 3 "$work/text" length
expect_match "hook, legacy" 'nf in eth0 tcp 198.51.100.7:[0-9]+ > 10.9.0.1:22 syn length 40: legacy ip filter INPUT 3: ' "$(cat "$work/text")"
expect_match "hook, output" 'nf out eth0 icmp 10.9.0.1 > 203.0.113.9 8/0 length 84: legacy ip filter OUTPUT 1: -A OUTPUT -d 203.0.113.9/32 -j DROP' "$(cat "$work/text")"
expect_match "hook, nft" 'nf in eth0 tcp 10.9.0.7:[0-9]+ > 10.9.0.1:2222 syn length 40: nft inet fw in 1: tcp dport 2222 drop' "$(cat "$work/text")"
tool a nf2bpf handback >/dev/null
tool a nf2bpf reload >/dev/null
sleep 1.2
probe a tcp 198.51.100.7 10.9.0.1 23 >/dev/null
until_lines 1 "$work/text" '10.9.0.1:23 syn'
kill "${daemons[0]}"
wait $text
expect "the daemon has ended" 3 $?
[ $failures = 0 ] || cat "$work/log"
done_testing
