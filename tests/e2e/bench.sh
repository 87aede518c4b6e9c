#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# That make bench works: few systems, one short measurement each, nothing timed is asserted.
. "$(dirname "$0")/lib.sh.inc"
[ "$(nproc)" -ge 2 ] || { echo "needs two CPUs"; exit 77; }
SYSTEMS=floor,nft,xdp,hook SHAPES=single,web RULES=3 REPEATS=1 SECONDS=0.02 OUT="$work" tests/bench/run >"$work/table" 2>"$work/log" ||
	{ cat "$work/log"; fail "bench"; }
python3 - "$work" <<'P' || { cat "$work/log" "$work/table"; fail "results"; }
import json, sys, xml.dom.minidom
r = json.load(open(sys.argv[1] + "/results.json"))
xml.dom.minidom.parse(sys.argv[1] + "/bench.svg")
got = {(x["shape"], x["system"], x["traffic"]) for x in r["rows"] if x["ns"] and x["ns"] > 0 and not x["wrong"]}
want = {("single", s, t) for s in ("floor", "nft", "xdp", "hook") for t in ("first", "last", "random")}
want |= {("single", s, "miss") for s in ("nft", "xdp", "hook")}
want |= {("web", s, t) for s in ("nft", "xdp", "hook") for t in ("new", "established")}
if want - got:
    sys.exit("not measured: %s" % sorted(want - got))
if [x for x in r["rows"] if x["system"] == "xdp" and "alone_ns" not in x]:
    sys.exit("no program alone")
P
# A wrong verdict is said, not averaged: drop rules that are not loaded.
python3 - <<'P' || fail "judge"
import sys
sys.path.insert(0, "tests/bench")
from lab import judge
h = {"sink": None, "system": "xdp"}
ok = {"rx": 1000, "udp": 0, "ip": 0, "sink": 0}
assert judge(h, "drop", ok, 0, 0) is None
assert judge(h, "drop", dict(ok, udp=500), 0, 0)
assert judge(h, "drop", dict(ok, ip=900), 0, 0)
assert judge(h, "accept", ok, 0, 0)
assert judge(h, "accept", dict(ok, udp=1000), 0, 0) is None
assert judge(dict(h, system="hook"), "drop", ok, 5, 6)
assert judge(h, "drop", dict(ok, rx=0), 0, 0)
P
[ -z "$(ip netns list | grep "^nfbench")" ] || fail "namespaces are left"
done_testing
