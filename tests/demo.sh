#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The main job on one screen: two hosts with the same real rules, A filtered by netfilter alone, B also by our programs; the
# same traffic to both; verdicts, counters, where each rule runs, and the cost of a dropped packet, side by side.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
[ "$(id -u)" = 0 ] || { echo "demo: needs root for network namespaces: sudo make demo" >&2; exit 3; }
tag=nfdemo$$
w=$tag-w a=$tag-a b=$tag-b
state=$(mktemp -d)
bold='' plain=''
[ -t 1 ] && bold=$'\033[1m' && plain=$'\033[0m'

cleanup() {
	./nf2bpf off --netns "$b" --state-dir "$state" >/dev/null 2>&1 || true
	for ns in $w $a $b; do ip netns del "$ns" 2>/dev/null || true; done
	rm -rf "$state"
}
trap cleanup EXIT

host() { # namespace, W's end of the wire
	ip -n $w link add "$2" type veth peer name eth0 netns "$1"
	ip netns exec $w sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
	ip -n $w link set "$2" up
	# What a host says in IPv6 by itself comes at no certain moment.
	ip netns exec "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
	ip -n "$1" link set lo up
	ip -n "$1" link set eth0 address 02:00:00:00:00:00 up
	ip -n "$1" addr add 10.9.0.1/24 dev eth0
	for n in 2 7; do ip -n "$1" neigh add 10.9.0.$n lladdr 02:00:00:00:00:aa dev eth0; done
	ip -n "$1" route add default via 10.9.0.2
	ip netns exec "$1" sysctl -qw net.ipv4.icmp_ratelimit=0
	ip netns exec "$1" ethtool -K eth0 gro on
	ip netns exec "$1" sh -c 'echo 1 > /sys/class/net/eth0/threaded'
}

probes() { # lines: protocol source port what
	while read -r proto src port what; do
		va=$(ip netns exec $w "$build/tests/probe" a0 "$proto" "$src" 10.9.0.1 "$port")
		vb=$(ip netns exec $w "$build/tests/probe" b0 "$proto" "$src" 10.9.0.1 "$port")
		[ "$va" = "$vb" ] && same="" || same="  DIFFERENT"
		printf '  %-34s %-10s %-10s%s\n' "$what" "$va" "$vb" "$same"
	done
}

# Rules that counted something: A's kernel, B's kernel, B's programs.
counters() {
	./nf2bpf rules --json --netns "$a" --state-dir "$state" >"$state/a.json"
	./nf2bpf rules --json --netns "$b" --state-dir "$state" >"$state/b.json"
	python3 - "$state/a.json" "$state/b.json" <<'PY'
import json, sys
a, b = (json.load(open(f))["rules"] for f in sys.argv[1:3])
key = lambda r: (r["backend"], r["family"], r["table"], r["chain"], r["index"])
b = {key(r): r for r in b}
differ = shown = 0
print("  %9s %19s %6s  %s" % ("netfilter", "with us: kernel+bpf", "where", "rule"))
for r in a:
    o = b[key(r)]
    # A rule without a counter of its own has nothing to compare; ours shows where its packets went.
    same = not r["has_counter"] or (r["packets"], r["bytes"]) == (o["packets"], o["bytes"])
    if r["chain"] in ("OUTPUT", "output") or not (r["packets"] or o["packets"]):
        continue
    differ += not same
    if o["bpf"]["packets"] or not same:
        shown += 1
        print("  %9d %12d+%-6d %6s  %s%s" % (r["packets"], o["kernel"]["packets"], o["bpf"]["packets"], o["where"],
              o["rule"][:90], "" if same else "   DIFFERENT"))
where = {}
for o in b.values():
    where[o["where"]] = where.get(o["where"], 0) + 1
print("  %d rules and policies: %s; counters that differ: %d" % (len(b),
      ", ".join("%d %s" % (n, w) for w, n in sorted(where.items())), differ))
sys.exit(1 if differ else 0)
PY
}

rate() { # source port: what a dropped packet costs, A against B
	for i in 1 2 3; do
		for side in a b; do
			[ $side = a ] && ns=$a || ns=$b
			pid=$(pgrep -f "^\[napi/eth0" || true)
			for p in $pid; do taskset -pc 1 "$p" >/dev/null 2>&1 || true; done
			before=$(ip netns exec "$ns" cat /sys/class/net/eth0/statistics/rx_packets)
			ip netns exec $w "$build/tests/blast" --interface ${side}0 --src "$1" --dport "$2" --seconds 0.5 \
				--kthread napi/eth0 >"$state/$side.$i"
			after=$(ip netns exec "$ns" cat /sys/class/net/eth0/statistics/rx_packets)
			echo $((after - before)) >>"$state/$side.$i"
		done
	done
	python3 - "$state" <<'PY'
import json, sys, statistics
d = sys.argv[1]
def read(side):
    ns = []
    for i in (1, 2, 3):
        line, packets = open("%s/%s.%d" % (d, side, i)).read().split("\n")[:2]
        r = json.loads(line)
        ns.append(r["cpu_ns"] / max(int(packets), 1))
    return statistics.median(ns)
a, b = read("a"), read("b")
print("  netfilter alone %6.0f ns of the receiving CPU for each dropped packet (%.2f million a second)" % (a, 1e3 / a))
print("  with nf2bpf     %6.0f ns                                              (%.2f million a second): %.1f times" % (b, 1e3 / b, a / b))
PY
}

ip netns add $w; ip netns add $a; ip netns add $b
host $a a0; host $b b0

echo "${bold}1. A ruleset that ufw wrote (iptables-restore), on two hosts; nf2bpfd --once on the second${plain}"
for ns in $a $b; do
	ip netns exec "$ns" iptables-restore <tests/rules/ufw.v4
	ip netns exec "$ns" ip6tables-restore <tests/rules/ufw.v6
done
./nf2bpfd --once --netns "$b" --state-dir "$state" 2>&1 | sed 's/^<[0-9]>/  /'
printf '  %-34s %-10s %-10s\n' "packet" "netfilter" "with us"
probes <<'P'
tcp 10.9.0.7 22 ssh, allowed
tcp 10.9.0.7 443 https, allowed
icmp 10.9.0.7 0 ping, allowed
udp 10.9.0.7 53 dns from the LAN, allowed
udp 192.0.2.9 53 dns from outside, policy
tcp 198.51.100.7 22 ssh from a denied network
tcp 198.51.100.8 443 https from a denied network
tcp 10.9.0.7 6005 denied port range
tcp 10.9.0.7 23 telnet, policy
tcp 10.9.0.7 113 ident, REJECT (kernel's)
P
counters
echo "  Cost of a packet that a rule drops (198.51.100.7, medians of three):"
rate 198.51.100.7 22

echo "${bold}2. A native nftables ruleset with sets and maps on the same hosts${plain}"
for ns in $a $b; do ip netns exec "$ns" nft flush ruleset; ip netns exec "$ns" nft -f tests/rules/demo.nft; done
./nf2bpfd --once --netns "$b" --state-dir "$state" 2>&1 | sed 's/^<[0-9]>/  /'
printf '  %-34s %-10s %-10s\n' "packet" "netfilter" "with us"
probes <<'P'
tcp 10.9.0.7 22 ssh, allowed
tcp 10.9.0.7 80 http, by verdict map
tcp 192.0.2.66 80 http from a banned network
udp 192.0.2.200 53 dns from a banned range
tcp 10.9.0.7 8080 drop by verdict map
udp 10.9.0.7 9 policy
P
counters
rate 192.0.2.66 80
echo "Undo everything: nf2bpf off; the kernel's rules were live all the time."
