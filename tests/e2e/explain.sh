#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nf2bpf explain and diff: the verdicts are those of the rules' words, and the kernel, asked in a private namespace, says the same.
. "$(dirname "$0")/lib.sh.inc"
cat >"$work/rules.v4" <<'RULES'
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 198.51.100.0/24 -j DROP
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:ssh - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ssh
-A INPUT -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 5/sec -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A FORWARD -o eth1 -p tcp -m tcp --dport 25 -j DROP
-A ssh -s 10.9.0.0/24 -j ACCEPT
-A ssh -j RETURN
COMMIT
RULES
cat >"$work/rules.nft" <<'RULES'
table inet f {
	set banned { type ipv4_addr; flags interval; elements = { 198.51.100.0/24 } }
	chain input {
		type filter hook input priority 0; policy accept;
		ip saddr @banned counter drop
		tcp dport vmap { 22 : jump ssh, 25 : drop }
		counter accept
	}
	chain ssh { ip saddr 10.9.0.0/24 counter accept; counter drop; }
}
RULES
said() { # rules what verdict packet…
	local rules=$1 what=$2 want=$3 got
	shift 3
	got=$(./nf2bpf explain --json --rules "$rules" "$@" 2>&1) || fail "$what: exit $?: $got"
	echo "$got" | /usr/bin/python3 -c '
import json, sys
r = json.load(sys.stdin)
want, what = sys.argv[1:3]
kernel = r["kernel"]["verdict"]
assert r["agree"], what + ": the witnesses differ"
assert r["verdict"] == want, "%s: wanted %s, got %s" % (what, want, r["verdict"])
assert kernel is not None, what + ": the kernel was not asked: " + str(r["kernel"]["not_asked"])
assert want not in ("accept", "drop") or kernel == want, "%s: the kernel says %s" % (what, kernel)
assert all(p["verdict"] for p in r["programs"]), what + ": a program did not run"
' "$want" "$what" || fail "$what"
}
v4=$work/rules.v4 nft=$work/rules.nft
said "$v4" "ssh from inside" accept in eth0 tcp 10.9.0.7:4000 '>' 10.9.0.1:22 syn
said "$v4" "ssh from outside" drop in eth0 tcp 203.0.113.7:4000 '>' 10.9.0.1:22 syn
said "$v4" "a name server's question" accept in eth0 udp 203.0.113.7:4000 '>' 10.9.0.1:53
said "$v4" "banned, before all" drop in eth0 udp 198.51.100.9:4000 '>' 10.9.0.1:53
said "$v4" "forwarded mail" drop in eth0 out eth1 tcp 203.0.113.7:4000 '>' 10.9.1.2:25 syn
said "$v4" "mail elsewhere" accept in eth0 out eth2 tcp 203.0.113.7:4000 '>' 10.9.1.2:25 syn
said "$v4" "a limit is the kernel's" "left to the kernel" in eth0 icmp 203.0.113.7 '>' 10.9.0.1 8
said "$nft" "nft: banned" drop in eth0 udp 198.51.100.9:4000 '>' 10.9.0.1:53
said "$nft" "nft: mail" drop in eth0 tcp 203.0.113.7:4000 '>' 10.9.0.1:25 syn
said "$nft" "nft: ssh from inside" accept in eth0 tcp 10.9.0.7:4000 '>' 10.9.0.1:22 syn
said "$nft" "nft: IPv6 ssh" drop in eth0 tcp '[2001:db8::7]:4000' '>' '[2001:db8::1]:22' syn
said "$nft" "nft: in hex" drop in eth0 hex 0200000000000200000000aa08004500001c000000004011468bc63364090a0900010fa0003500080000

expect_match "each rule in its words, with its line" 'line 9.*-A INPUT -p tcp -m tcp --dport 22 -j ssh' \
	"$(./nf2bpf explain --rules "$v4" tcp 10.9.0.7:4000 '>' 10.9.0.1:22 syn)"
expect_match "who gives the verdict" 'given by the xdp program' \
	"$(./nf2bpf explain --rules "$v4" udp 198.51.100.9:4000 '>' 10.9.0.1:53)"
expect_match "why not: a test" 'nh\[12:4\].*fails: the packet has 0xcb007107' \
	"$(./nf2bpf explain --rules "$v4" --why-not 'ssh 1' tcp 203.0.113.7:4000 '>' 10.9.0.1:22 syn)"
expect_match "why not: decided before" 'decided by legacy ip raw PREROUTING rule 1' \
	"$(./nf2bpf explain --rules "$v4" --why-not 'INPUT 2' udp 198.51.100.9:4000 '>' 10.9.0.1:53)"
./nf2bpf explain --rules "$v4" tcp 10.9.0.7:4000 '<' 10.9.0.1:22 >/dev/null 2>"$work/err"
expect "a packet that is none" 2 $?

# The live rules, with what has counted.
host a
in_ns a iptables-legacy-restore "$v4"
expect_match "live" 'drop by legacy ip raw PREROUTING rule 1' \
	"$(tool a nf2bpf explain in eth0 udp 198.51.100.9:4000 '>' 10.9.0.1:53)"

# diff: the same rules in other words, and one that differs.
expect "the same" 0 "$(./nf2bpf diff "$v4" "$v4" >/dev/null; echo $?)"
sed 's/--dport 25/--dport 26/' "$v4" >"$work/other.v4"
out=$(./nf2bpf diff "$v4" "$work/other.v4")
expect "one differs" 1 $?
expect_match "the rule that is gone" '- drop by legacy ip filter FORWARD rule 1.*--dport 25' "$out"
expect_match "the rule that is new" '\+ drop by legacy ip filter FORWARD rule 1.*--dport 26' "$out"
cat >"$work/a.nft" <<'RULES'
table ip f { chain i { type filter hook input priority 0; ip saddr 10.0.0.1 drop; ip saddr 10.0.0.2 drop; ip saddr 10.0.0.9 accept; }; }
RULES
cat >"$work/b.nft" <<'RULES'
table ip f { chain i { type filter hook input priority 0; ip saddr vmap { 10.0.0.1 : drop, 10.0.0.2 : drop, 10.0.0.9 : accept }; }; }
RULES
expect "a list and its map" 0 "$(./nf2bpf diff "$work/a.nft" "$work/b.nft" >/dev/null; echo $?)"
sed -i 's/10.0.0.2 : drop/10.0.0.2 : accept/' "$work/b.nft"
expect "a wrong rewrite" 1 "$(./nf2bpf diff "$work/a.nft" "$work/b.nft" >/dev/null; echo $?)"
done_testing
