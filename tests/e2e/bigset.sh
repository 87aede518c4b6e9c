#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# 100,000 entries in an ipset and in an nft interval set: loaded, exact at members and neighbours. Times are printed, not asserted.
. "$(dirname "$0")/lib.sh.inc"
host a
ms() { echo $(($(date +%s%N) / 1000000)); }
python3 - >"$work/set.ipset" <<'P'
print("create big hash:ip maxelem 200000")
for i in range(100000):
    print("add big 172.%d.%d.%d" % (16 + (i * 2 >> 16), i * 2 >> 8 & 255, i * 2 & 255))
P
python3 - >"$work/set.nft" <<'P'
print("table ip big { set s { type ipv4_addr; flags interval; elements = {")
print(",\n".join("100.%d.%d.%d-100.%d.%d.%d" % (i >> 14, i >> 6 & 255, i * 4 & 255, i >> 14, i >> 6 & 255, (i * 4 & 255) + 1) for i in range(100000)))
print("} }\n chain in { type filter hook input priority 10; ip saddr @s counter drop; }\n}")
P
t0=$(ms); in_ns a ipset restore <"$work/set.ipset"; t1=$(ms)
in_ns a iptables-legacy -A INPUT -m set --match-set big src -j DROP
t2=$(ms); in_ns a nft -f "$work/set.nft"; t3=$(ms)
t4=$(ms); tool a nf2bpfd --once >"$work/log" 2>&1 || { cat "$work/log"; fail "nf2bpfd --once"; }; t5=$(ms)
echo "ipset restore $((t1 - t0)) ms, nft -f $((t3 - t2)) ms, nf2bpfd --once of both $((t5 - t4)) ms"
expect "ipset member" dropped "$(probe a tcp 172.16.0.8 10.9.0.1 22)"
expect "ipset neighbour" passed "$(probe a tcp 172.16.0.9 10.9.0.1 22)"
expect "nft member" dropped "$(probe a tcp 100.5.7.9 10.9.0.1 22)"
expect "nft neighbour" passed "$(probe a tcp 100.5.7.10 10.9.0.1 22)"
expect "by the program" 1 "$(packets a bpf 'match-set')"
expect "by the program" 1 "$(packets a bpf 'ip saddr')"
expect_match "one look-up" "hash" "$(tool a nf2bpf dump --stage=map)"
done_testing
