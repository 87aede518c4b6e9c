#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Shadow mode: programs decide nothing, their counts are compared with the kernel's, and nothing is written back.
. "$(dirname "$0")/lib.sh.inc"
host a
in_ns a iptables-legacy-restore <<'R'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 10.9.0.0/24 -p tcp -m tcp --dport 80 -j ACCEPT
-A INPUT -s 198.51.100.0/24 -j DROP
-A INPUT -p udp -m udp --dport 9 -m string --string evil --algo bm -j DROP
COMMIT
R
in_ns a nft -f - <<'R'
table inet fw {
	chain odd { udp dport 2221 counter accept; counter; }
	chain in { type filter hook input priority 20; policy accept; tcp dport 2222 counter drop; jump odd; }
}
R
daemon() {
	: >"$work/log"
	: >"$work/log" # now, not when the other process begins
	./nf2bpfd --netns "$tag-a" --state-dir "$work" --mode=shadow "$@" >"$work/log" 2>&1 &
	daemons=("$!" "${daemons[@]}")
	wait_log 'the first load' event=installed
}
# shadow PATTERN: site, agrees, what BPF and the kernel counted
shadow() {
	tool a nf2bpf rules --json | python3 -c '
import json, sys
for r in json.load(sys.stdin)["rules"]:
    s = r.get("shadow")
    if sys.argv[1] in r["rule"] and s:
        print(s["site"], "agrees" if s["agrees"] else "disagrees", "exact" if s["exact"] else "part", s["bpf"]["packets"],
            s["kernel_low"]["packets"] if s["kernel_low"] == s["kernel_high"] else "moving")' "$1"
}
traffic() {
	local i
	for i in 1 2 3; do probe a tcp 198.51.100.7 10.9.0.1 22 >/dev/null; done
	for i in 1 2; do probe a tcp 10.9.0.7 10.9.0.1 2222 >/dev/null; done
	probe a tcp 10.9.0.7 10.9.0.1 80 >/dev/null
	probe a udp 10.9.0.7 10.9.0.1 2221 >/dev/null
}

# Counts from before are no part of it.
probe a tcp 198.51.100.7 10.9.0.1 22 >/dev/null
daemon
traffic
expect "early: would drop" "early agrees part 3 3" "$(shadow 198.51.100.0/24)"
expect "nothing is dropped early" 4 "$(packets a kernel 198.51.100.0/24)"
expect "nothing is pending" 0 "$(packets a bpf 198.51.100.0/24)"
expect "what only the kernel counts" "early agrees part 0 1" "$(shadow '--dport 80 ')"
expect_match "status" "mode: shadow.* 0 disagree" "$(tool a nf2bpf status)"
expect_match "status, JSON" '"disagree": 0' "$(tool a nf2bpf status --json)"
expect_match "rules" "would drop 3 of the kernel's 3 \(100 %\)" "$(tool a nf2bpf rules)"
expect_match "what the daemon says of itself" '"mode": "shadow"' "$(tool a nf2bpf status --json)"
# Another mode, and back: nothing that was counted in shadow is added anywhere.
kill "${daemons[0]}"
wait "${daemons[0]}" 2>/dev/null
tool a nf2bpfd --once >"$work/log" 2>&1 || fail "promote"
probe a tcp 198.51.100.7 10.9.0.1 22 >/dev/null
expect "promoted: by the program" 1 "$(packets a bpf 198.51.100.0/24)"
expect "promoted: the kernel has what it had" 4 "$(packets a kernel 198.51.100.0/24)"
expect_match "promoted" "mode: assist" "$(tool a nf2bpf status)"
tool a nf2bpf off >/dev/null

# At the hooks every rule of a table that is translated whole is counted as by the kernel.
daemon --early=off --site=nf
traffic
expect "hook, nft drop" "nf agrees exact 2 2" "$(shadow 'tcp dport 2222')"
expect "hook, nft accept" "nf agrees exact 1 1" "$(shadow 'udp dport 2221')"
expect "hook, a table with a rule that is not translated" "nf agrees part 3 3" "$(shadow 198.51.100.0/24)"
expect_match "all agree" " 0 disagree" "$(tool a nf2bpf status)"
# Under traffic, bounds instead of numbers, and no false alarm.
(for _ in $(seq 5); do traffic; done) &
load=$!
for _ in 1 2 3; do expect_match "under traffic" " 0 disagree" "$(tool a nf2bpf status)"; done
wait $load
# A program that counts what the kernel does not: said in the log, in status, at the rule.
python3 - "/sys/fs/bpf/nf2bpf/$(stat -Lc %i "/run/netns/$tag-a")/hook_ip_input_20:counters" <<'P'
import ctypes, sys
bpf = ctypes.CDLL("libbpf.so.1")
value = (ctypes.c_uint64 * (2 * bpf.libbpf_num_possible_cpus()))()
fds = [fd for fd in (bpf.bpf_obj_get((sys.argv[1] + slot).encode()) for slot in "01") if fd >= 0]
assert fds
for fd in fds:
    for i in range(20):
        key = ctypes.c_uint32(i)
        if bpf.bpf_map_lookup_elem(fd, ctypes.byref(key), value) == 0:
            value[0] += 1000
            bpf.bpf_map_update_elem(fd, ctypes.byref(key), value, 0)
P
wait_log 'a comparison' 'event=shadow'
expect_match "in the log" 'event=shadow agree=[0-9]+ disagree=[1-9].*more than the kernel counted' "$(cat "$work/log")"
expect_match "in status" 'inet fw in rule 1: shadow: counted 10[0-9]+ of the kernel.s [0-9]+: more than the kernel counted' "$(tool a nf2bpf status)"
expect_match "in rules" "disagrees exact" "$(shadow 'tcp dport 2222')"
# A change of the rules begins a new comparison, and the daemon says that all agree.
in_ns a nft add rule inet fw in udp dport 2223 counter drop
wait_true 'the new comparison' grep -q 'event=shadow.*disagree=0' "$work/log"
expect_match "again" " 0 disagree" "$(tool a nf2bpf status)"
[ $failures = 0 ] || cat "$work/log"
done_testing
