#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The measured part of docs/performance.md, between its two marks, from a results.json:

    tests/bench/document.py build/bench/results.json
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chart  # noqa: E402
from lab import SYSTEMS  # noqa: E402

DOC, CHART = "docs/performance.md", "docs/performance.svg"
BEGIN, END = "<!-- measured: written by tests/bench/document.py -->", "<!-- end of what was measured -->"


def cell(row):
    if row is None:
        return ""
    if row["wrong"] or not row["ns"]:
        return "failed"
    s = sorted(row["samples"])
    return "{:,.0f} ({:,.0f})".format(row["ns"], s[0])


def packets(result):
    out = []
    for shape in dict.fromkeys(r["shape"] for r in result["rows"]):
        rows = [r for r in result["rows"] if r["shape"] == shape and r["traffic"] != "-"]
        columns = list(dict.fromkeys((r["rules"], r["traffic"]) for r in rows))
        hook = rows[0]["hook"] if rows else ""
        out += ["", "**%s** (%s)" % (shape, hook), "",
                "| system | " + " | ".join("{:,} {}".format(*c) for c in columns) + " |",
                "|---|" + "---:|" * len(columns)]
        for system in SYSTEMS:
            mine = {(r["rules"], r["traffic"]): r for r in rows if r["system"] == system}
            if mine:
                out.append("| %s | " % SYSTEMS[system] + " | ".join(cell(mine.get(c)) for c in columns) + " |")
        alone = {(r["rules"], r["traffic"]): r for r in rows if r["system"] == "xdp" and "alone_ns" in r}
        if alone:
            out.append("| *the program at xdp alone* | " + " | ".join(
                "%d" % alone[c]["alone_ns"] if c in alone else "" for c in columns) + " |")
    return out


def loads(result):
    order = ("legacy", "iptables-nft", "nft", "nft-set", "xdp", "hook", "takeover")
    names = [s for s in order if any(x["system"] == s for x in result["load"])]
    out = ["", "| ms to load | " + " | ".join(SYSTEMS[s] for s in names) + " | KiB at xdp | instructions |",
           "|---|" + "---:|" * (len(names) + 2)]
    for shape, n in dict.fromkeys((x["shape"], x["rules"]) for x in result["load"]):
        mine = {x["system"]: x for x in result["load"] if (x["shape"], x["rules"]) == (shape, n)}
        ours = mine.get("xdp", {})
        out.append("| {} {:,} | ".format(shape, n) + " | ".join(
            "%.0f" % mine[s]["ms"] if s in mine else "" for s in names) + " | {} | {} |".format(
            "{:,.0f}".format(ours["bytes"] / 1024) if "bytes" in ours else "", ours.get("insns", "")))
    for c in result["change"]:
        out.append(("" if c is not result["change"][0] else "\n| one rule more | ms until in force |\n|---|---:|\n") +
                   "| {}, {:,} rules | {} |".format(SYSTEMS[c["system"]], c["rules"], "%.1f" % c["ms"] if c["ms"] else "failed"))
    return out


def targets(result):
    out = ["", "| target | at least | aim | measured | |", "|---|---:|---:|---:|---|"]
    for what, least, aim, got in result["targets"]:
        ok = got <= least if "less is better" in what else got >= least
        out.append("| %s | %g | %g | %.2f | %s |" % (what, least, aim, got, "ok" if ok else "**missed**"))
    return out


def conditions(result):
    c = result["conditions"]
    return ["", "%s; kernel %s; %s, %d CPUs; load average %.1f at the start, %.1f at the end; %s; commit %s; "
            "%d repeats of %g s; frames of %d bytes; rp_filter %d; spectre_v2: %s."
            % (c["date"], c["kernel"], c["cpu"], c["cpus"], c["load"][0], c["load_end"][0], c["iptables"], c["commit"],
               result["repeats"], result["seconds"], c["frame_bytes"], c["rp_filter"],
               c["mitigations"].get("spectre_v2", "?").split(";")[0])]


def main():
    result = json.load(open(sys.argv[1]))
    text = open(DOC).read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    body = "\n".join(conditions(result) + packets(result) + [""] + loads(result) + [""] + targets(result))
    open(DOC, "w").write(before + BEGIN + "\n" + body + "\n\n" + END + after)
    open(CHART, "w").write(chart.svg(result))


if __name__ == "__main__":
    main()
