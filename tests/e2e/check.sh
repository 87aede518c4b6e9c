#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nf2bpf check: its JSON against the schema, every rule accounted for, and its claims against what nf2bpfd then does.
. "$(dirname "$0")/lib.sh.inc"

# Of a report on standard input: schema, sums, a reason for each rule that does not run early.
cat >"$work/valid.py" <<'PY'
import json, sys, jsonschema
r = json.load(sys.stdin)
jsonschema.validate(r, json.load(open("docs/check.schema.json")))
s = r["summary"]
assert s["rules"] == len(r["rules"]) == sum(s["where"].values()) == sum(t["rules"] for t in r["tables"]), "rules are lost"
assert s["chains"] == sum(s["chains_where"].values()), "chains are lost"
for x in r["rules"]:
    assert (x["reason"] is None) == (x["where"] in ("xdp", "tc")), x
    assert x["early"] == (x["where"] in ("xdp", "tc")), x
print(s["rules"])
PY
rules=(tests/rules/*.v4 tests/rules/*.v6)
mapfile -t corpus < <(find ../shared/corpus/rulesets -name '*.iptables' 2>/dev/null | sort | awk 'NR % 24 == 1')
for f in "${rules[@]}" "${corpus[@]}"; do
	./nf2bpf check --json "$f" >"$work/report.json" 2>"$work/report.err"
	rc=$?
	[ $rc = 2 ] && { [ -s "$work/report.err" ] || fail "$f: refused without a word"; continue; }
	[ $rc -le 1 ] || fail "$f: exit $rc"
	n=$(/usr/bin/python3 "$work/valid.py" <"$work/report.json") || fail "$f: report"
	expect "$f: rules in, rules out" "$(grep -cE '^(\[[0-9:]+\] )?(-A|-I|--append|--insert) ' "$f")" "$n"
done

# nft files: as nft prints them, from standard input too, and without root.
./nf2bpf check --json tests/rules/demo.nft | /usr/bin/python3 "$work/valid.py" >/dev/null || fail "nft report"
expect_match "nft text" 'ip saddr @banned counter drop' "$(./nf2bpf check tests/rules/demo.nft)"
expect "standard input" "$(./nf2bpf check --json tests/rules/demo.nft)" "$(./nf2bpf check --json - <tests/rules/demo.nft)"
chmod 755 "$work" && cp nf2bpf tests/rules/demo.nft "$work/"
if setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Un true 2>/dev/null; then
	expect_match "without root" 'every rule runs in BPF' \
		"$(setpriv --reuid=65534 --regid=65534 --clear-groups "$work/nf2bpf" check "$work/demo.nft" 2>&1)"
fi

# Exit codes.
code() { "$@" >/dev/null 2>&1; echo $?; }
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -s 10.1.0.0/16 -j DROP\nCOMMIT\n' >"$work/all.v4"
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j DROP\n-A OUTPUT -d 10.0.0.0/8 -j DROP\nCOMMIT\n' >"$work/hook.v4"
printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j LOG\nCOMMIT\n' >"$work/log.v4"
expect "all in BPF" 0 "$(code ./nf2bpf check "$work/all.v4")"
expect "dead rules" 1 "$(code ./nf2bpf check --fail-on=dead "$work/all.v4")"
expect "hook is BPF" 0 "$(code ./nf2bpf check "$work/hook.v4")"
expect "but not early" 1 "$(code ./nf2bpf check --fail-on=hook "$work/hook.v4")"
expect "one stays" 1 "$(code ./nf2bpf check "$work/log.v4")"
expect "never" 0 "$(code ./nf2bpf check --fail-on=never "$work/log.v4")"
expect "unknown word" 2 "$(code ./nf2bpf check --fail-on=moon "$work/log.v4")"
expect_match "dead" 'repeats line 3|never reached: behind line 3' "$(./nf2bpf check "$work/all.v4")"
expect_match "markdown" '\| legacy ip filter INPUT \| 3 \| kernel \| `-A INPUT -s 10.0.0.0/8 -j LOG`' \
	"$(./nf2bpf check --markdown "$work/log.v4")"

# Live: the same of the rules in force, and the daemon does what the report says.
host a
for f in tests/rules/ufw.v4 tests/rules/stateful.v4; do
	in_ns a iptables-legacy-restore "$f" || fail "load $f"
	tool a nf2bpf check --json >"$work/live.json"
	/usr/bin/python3 "$work/valid.py" <"$work/live.json" >/dev/null || fail "live report"
	tool a nf2bpfd --once --interface=eth0 2>"$work/log" || fail "nf2bpfd: $(cat "$work/log")"
	tool a nf2bpf rules --json >"$work/rules.json"
	/usr/bin/python3 - "$work/live.json" "$work/rules.json" <<'PY' || fail "$f: the report and the daemon differ"
import json, sys
said, did = (json.load(open(f))["rules"] for f in sys.argv[1:])
place = lambda r: (r["backend"], r["family"], r["table"], r["chain"], r["index"])
runs = {place(r): r for r in did if r["index"]}
wrong = [s for s in said if s["early"] and runs[place(s)].get("reason")]
for s in wrong:
    print(s["rule"], runs[place(s)]["reason"])
assert len(said) == len(runs), (len(said), len(runs))
sys.exit(bool(wrong))
PY
	tool a nf2bpf off >/dev/null
done
in_ns a nft add table ip x '{ chain y { type filter hook input priority 5; tcp dport 9 drop; }; }'
expect_match "both back ends" 'legacy and nft rules are both in force' "$(tool a nf2bpf check)"
done_testing
