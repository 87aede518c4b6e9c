#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""make bench: what a packet costs, side by side.

Environment: SYSTEMS, SHAPES, RULES (lists by commas; RULES also as shape:size), REPEATS, QUICK=1,
BENCH=targets (only what the table of targets needs, all of it: about ten minutes), SECONDS (of one
measurement), OUT (a directory).  Results: a table on stdout, results.json, bench.svg there.
"""
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chart  # noqa: E402
import shapes  # noqa: E402
from lab import LIMITS, OURS, SYSTEMS, Failed, Lab, Meter, judge, run, supported  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
OUT = os.environ.get("OUT", BUILD + "/bench")
QUICK = bool(os.environ.get("QUICK"))


def chosen(name, all_of):
    text = os.environ.get(name)
    if not text:
        return list(all_of)
    want = text.replace(" ", ",").split(",")
    unknown = [w for w in want if w and w not in all_of]
    if unknown:
        sys.exit("bench: %s: %s is not among %s" % (name, unknown[0], " ".join(all_of)))
    return [w for w in all_of if w in want]


ALL_SHAPES = ("single", "prefixes", "tuples", "ranges", "acl", "fw", "ipc", "kube", "web", "forward", "change")
SIZES = {"single": (1, 10, 100, 1000, 10000, 100000), "prefixes": (10, 1000, 10000, 100000),
         "tuples": (10, 1000, 10000, 50000), "ranges": (10, 1000, 10000), "acl": (10, 1000, 10000),
         "fw": (10, 1000, 10000), "ipc": (10, 1000, 10000), "kube": (30, 3000, 30000), "web": (10, 1000),
         "forward": (0, 10, 1000, 10000), "change": (1000, 100000)}
QUICK_SIZES = {"single": (1, 1000, 10000), "prefixes": (10000,), "acl": (1000,), "web": (10,), "forward": (1000,), "change": (10000,)}


# What the targets ask of each cell: shape, rules, systems, traffic (None: all).
OF_LEGACY = ("floor", "legacy", "xdp")
OF_HOOK = ("iptables-nft", "hook", "takeover", "xdp")
NEEDED = (
    ("single", 1, OF_LEGACY + OF_HOOK, ("last", "miss")),
    ("single", 10, OF_HOOK, ("last", "random", "miss")),
    ("single", 1000, OF_LEGACY + OF_HOOK, ("last", "miss")),
    ("single", 10000, ("xdp_drop", "nft-set") + OF_LEGACY + OF_HOOK, ("last", "random", "miss")),
    ("single", 100000, ("floor", "iptables-nft", "xdp"), ("random",)),
    ("prefixes", 10, ("xdp",), ("random",)),
    ("prefixes", 10000, ("floor", "iptables-nft", "xdp"), ("random",)),
    ("prefixes", 100000, ("floor", "xdp"), ("random",)),
    ("tuples", 10, ("xdp",), ("random",)),
    ("tuples", 10000, ("iptables-nft", "xdp"), ("random",)),
    ("tuples", 50000, ("xdp",), ("random",)),
    ("tuples", 100000, ("xdp",), ("random",)),
    ("ranges", 10000, ("iptables-nft", "xdp"), ("random",)),
    ("ranges", 50000, ("xdp",), ("random",)),
    ("acl", 10000, ("floor", "iptables-nft", "xdp"), ("random",)),
    ("acl", 50000, ("xdp",), ("random",)),
    ("fw", 10000, ("floor", "iptables-nft", "xdp"), ("random",)),
    ("fw", 50000, ("xdp",), ("random",)),
    ("ipc", 10000, ("floor", "iptables-nft", "xdp"), ("random",)),
    ("ipc", 50000, ("xdp",), ("random",)),
    ("kube", 30000, ("xdp",), ("random",)),
    ("change", 100000, ("iptables-nft", "xdp"), None),
)


def plan():
    """(shape, rules, systems, traffic); RULES is a list of sizes, or of shape:size."""
    if os.environ.get("BENCH") == "targets":
        yield from (c for c in NEEDED if c[0] in chosen("SHAPES", ALL_SHAPES))
        return
    if os.environ.get("BENCH"):
        sys.exit("bench: BENCH: %s is not among targets" % os.environ["BENCH"])
    sizes = QUICK_SIZES if QUICK else SIZES
    names = chosen("SHAPES", ALL_SHAPES)
    rules = os.environ.get("RULES", "").replace(" ", ",").split(",")
    for name in names:
        want = [r.split(":") for r in rules if r]
        mine = [int(r[-1]) for r in want if len(r) == 1 or r[0] == name]
        if name == "change":
            mine = [n for n in mine if ["change", str(n)] in want]
        if not want:
            mine = sizes.get(name, SIZES[name] if os.environ.get("SHAPES") else ())
        for n in mine:
            yield name, n, None, None


def conditions():
    cpu = [x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")]

    def first_line(*argv):
        try:
            return subprocess.run(argv, capture_output=True, text=True).stdout.split("\n")[0].strip()
        except OSError:
            return None
    return {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "kernel": platform.release(),
            "cpu": cpu[0] if cpu else platform.machine(), "cpus": os.cpu_count(),
            "load": os.getloadavg(), "clang": first_line("clang", "--version"),
            "iptables": first_line("iptables-nft", "-V"), "nft": first_line("nft", "-v"),
            "commit": first_line("git", "rev-parse", "--short", "HEAD"), "rp_filter": 2, "frame_bytes": 60,
            "mitigations": {f: open("/sys/devices/system/cpu/vulnerabilities/" + f).read().strip()
                            for f in ("spectre_v2", "retbleed", "spec_rstack_overflow")
                            if os.path.exists("/sys/devices/system/cpu/vulnerabilities/" + f)}}


class Bench:
    def __init__(self):
        self.systems = chosen("SYSTEMS", SYSTEMS)
        have = supported()
        for s in self.systems:
            if s not in have:
                print("%s: not here, left out" % s, file=sys.stderr)
        self.systems = [s for s in self.systems if s in have]
        self.repeats = int(os.environ.get("REPEATS") or (3 if QUICK else 5))
        self.seconds = float(os.environ.get("SECONDS") or (0.06 if QUICK else 0.1))
        self.meter = Meter(BUILD)
        self.rows, self.loads, self.changes = [], [], []
        self.lab = None
        self.started = time.monotonic()

    def say(self, text):
        print("%5d s  %s" % (time.monotonic() - self.started, text), file=sys.stderr, flush=True)

    def systems_of(self, shape, only):
        for s in self.systems:
            if only and s not in only:
                continue
            if s == "netdev" and shape.hook == "forward":
                continue
            if s == "none" and shape.name == "web":
                continue
            if not shape.n and s in OURS and s != "xdp":
                continue
            yield s

    def cell(self, name, n, systems=None, only=None):
        shape = shapes.make(name, n)
        self.lab = Lab(self.meter, "nfbench%d" % os.getpid())
        self.say("%s, %d rules: set up" % (name, n))
        try:
            hosts = self.hosts(shape, systems)
            if name == "web":
                for h in hosts:
                    run(["ip", "addr", "add", "10.9.0.2/24", "dev", h["tx"]], netns=self.lab.w)
                    run(["ip", "neigh", "replace", "10.9.0.1", "lladdr", "02:00:00:00:00:01", "dev", h["tx"]], netns=self.lab.w)
                    self.converse(h)
                    run(["ip", "addr", "flush", "dev", h["tx"]], netns=self.lab.w)
            for traffic, kind in shape.traffic():
                if only and traffic not in only:
                    continue
                self.measure(shape, hosts, traffic, kind)
        finally:
            self.lab.close()
            self.lab = None

    def converse(self, h):
        try:
            self.meter.ask("converse", h["ns"], shapes.Web.TALK, self.lab.w, "10.9.0.2", "10.9.0.1", 1024)
        except Failed as e:
            self.say("%s: %s" % (h["system"], e))

    def hosts(self, shape, systems):
        hosts = []
        for i, system in enumerate(self.systems_of(shape, systems)):
            h = self.lab.host(i, shape.hook)
            try:
                took = self.lab.load(h, system, shape)
                hosts.append(h)
            except (Failed, subprocess.TimeoutExpired) as e:
                if str(e) != "not expressible":
                    self.rows.append(self.row(shape, system, "-", "-", [], str(e)))
                    self.say("%s: %s" % (system, e))
                continue
            if took is not None:
                self.loads.append(self.load_row(shape, h, took))
        return hosts

    def load_row(self, shape, h, took):
        row = {"shape": shape.name, "rules": shape.n, "system": h["system"], "ms": took * 1000}
        if h["system"] in OURS:
            row.update(self.meter.ask("memory", self.lab.slots(h)))
        return row

    def row(self, shape, system, traffic, path, ns, wrong, **more):
        r = {"shape": shape.name, "rules": shape.n, "hook": shape.hook, "system": system, "traffic": traffic,
             "path": path, "ns": statistics.median(ns) if ns else None, "samples": ns, "wrong": wrong}
        r.update(more)
        return r

    def measure(self, shape, hosts, traffic, kind):
        key = traffic
        path = self.lab.work + "/flows"
        with open(path, "wb") as f:
            f.write(shapes.frames(shape.flows_of[traffic]()))
        self.meter.ask("flows", key, path)
        got = {id(h): [] for h in hosts}
        wrong, seen = {}, {id(h): 0 for h in hosts}
        use = [h for h in hosts if kind == "drop" or h["system"] not in ("xdp_drop", "floor")]
        if kind == "drop":
            use = [h for h in use if h["system"] != "none"]
        if shape.name == "web":
            use = [h for h in use if h["system"] not in LIMITS]
        for turn in range(self.repeats + 1):  # the first one warms up
            for h in use:
                if turn == 1 and wrong.get(id(h)) == "no packet seen":
                    del wrong[id(h)]  # its thread had not run yet
                try:
                    before = self.lab.counters(h) if kind == "drop" and h["system"] in ("hook", "takeover") else 0
                    r = self.lab.blast(h, key, self.seconds if turn else self.seconds / 3)
                    after = self.lab.counters(h) if kind == "drop" and h["system"] in ("hook", "takeover") else 0
                    bad = judge(h, kind, r, before, after)
                except Failed as e:
                    bad, r = str(e), None
                if bad:
                    wrong[id(h)] = bad
                elif turn:
                    got[id(h)].append(r["cpu_ns"] / r["rx"])
                    seen[id(h)] += r["rx"]
        for h in use:
            more = {"packets": seen[id(h)]}
            if h["system"] == "xdp":
                more.update(self.alone(h, key))
            self.rows.append(self.row(shape, h["system"], traffic, kind, got[id(h)], wrong.get(id(h)), **more))
        self.say("  %-12s %s" % (traffic, "  ".join(
            "%s %s" % (h["system"], "FAILED" if wrong.get(id(h)) else "%.0f" % statistics.median(got[id(h)])) for h in use)))
        for h in use:
            if wrong.get(id(h)):
                self.say("    %s: %s" % (h["system"], wrong[id(h)]))

    def alone(self, h, key):
        out = []
        try:
            for _ in range(3):
                out.append(self.meter.ask("alone", key, h["ns"], h["rx"], self.lab.slots(h), 200000)["ns"])
        except Failed as e:
            return {"alone_wrong": str(e)}
        return {"alone_ns": statistics.median(out)}

    def change(self, n, systems=None):
        """One rule more in n: until the tool returns, and until our program for it is in the slot."""
        shape = shapes.make("single", n)
        self.lab = Lab(self.meter, "nfbench%d" % os.getpid())
        self.say("one rule changed in %d" % n)
        try:
            mine = [s for s in ("legacy", "iptables-nft", "nft", "nft-set", "xdp") if s in (systems or self.systems)]
            for i, system in enumerate(mine):
                h = self.lab.host(i, shape.hook)
                try:
                    self.changes.append({"rules": n, "system": system, "ms": 1000 * self.change_one(h, system, shape)})
                except (Failed, subprocess.TimeoutExpired) as e:
                    self.changes.append({"rules": n, "system": system, "ms": None, "wrong": str(e)})
        finally:
            self.lab.close()
            self.lab = None

    def change_one(self, h, system, shape):
        daemon = None
        if system == "xdp":
            run(["nft", "-f", "-"], text=shape.nft(), netns=h["ns"])
            daemon = subprocess.Popen(["./nf2bpfd", "--netns", h["ns"], "--early=xdp", "--state-dir=" + self.lab.work,
                                       "--interface=" + h["rx"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        else:
            self.lab.load(h, system, shape)
        try:
            times = []
            if daemon:
                self.settled(h, 0)
            for i in range(3):
                before = self.meter.ask("slot", self.lab.slots(h))["id"] if daemon else 0
                start = time.monotonic()
                if system in ("legacy", "iptables-nft"):
                    run(["iptables-legacy" if system == "legacy" else system] + shape.one_more_iptables(), netns=h["ns"])
                elif system == "nft-set":
                    run(["nft", "add element ip bench s { 192.0.2.%d }" % (77 + i)], netns=h["ns"])
                else:
                    run(["nft", "add rule ip bench c ip saddr 192.0.2.%d drop" % (77 + i)], netns=h["ns"])
                if daemon:
                    self.settled(h, before)
                times.append(time.monotonic() - start)
                time.sleep(0.2 if daemon else 0)
            return statistics.median(times)
        finally:
            if daemon:
                daemon.terminate()
                daemon.wait()

    def settled(self, h, before):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                now = self.meter.ask("slot", self.lab.slots(h))["id"]
                if now and now != before:
                    return
            except Failed:
                pass
            time.sleep(0.0005 if before else 0.02)
        raise Failed("no new program in 60 s")

    # ---- output ----

    def result(self):
        return {"conditions": self.conditions, "repeats": self.repeats, "seconds": self.seconds,
                "rows": self.rows, "load": self.loads, "change": self.changes, "targets": self.targets()}

    def find(self, shape, n, system, traffic):
        for r in self.rows:
            if (r["shape"], r["rules"], r["system"], r["traffic"]) == (shape, n, system, traffic) and r["ns"] and not r["wrong"]:
                return r
        return None

    def targets(self):
        """(what, at least, aim, measured): ratios of rates, so old ns over new ns."""
        out = []

        def ratio(what, least, aim, over, under):
            if over and under:
                out.append((what, least, aim, over["ns"] / under["ns"]))
        for n in (10000, 100000):
            for shape, least, aim in (("single", 0.80, 0.95), ("prefixes", 0.65, 0.85), ("acl", 0.45, 0.70),
                                      ("fw", 0.35, 0.60), ("ipc", 0.35, 0.60)):
                ratio("xdp drop, %s %d, rate against the floor's" % (shape, n), least, aim,
                      self.find(shape, n, "floor", "random"), self.find(shape, n, "xdp", "random"))
        for n, least, aim in ((1, 4, 5), (1000, 30, 42), (10000, 300, 450)):
            ratio("xdp drop, single %d, against iptables-legacy" % n, least, aim,
                  self.find("single", n, "legacy", "last"), self.find("single", n, "xdp", "last"))
        for system in ("takeover", "hook"):
            for n, least, aim in ((1, 0.97, 1.05), (10, 0.97, 1.05), (1000, 7, 9), (10000, 70, 88)):
                for traffic in ("last", "miss"):
                    if system == "hook" and traffic == "miss":
                        continue  # assist: accepted packets pay for both
                    ratio("%s, single %d, %s, against iptables-nft" % (system, n, traffic), least, aim,
                          self.find("single", n, "iptables-nft", traffic), self.find("single", n, system, traffic))
            ratio("%s, single 10000, random, against nft with a set" % system, 1.0, 1.1,
                  self.find("single", 10000, "nft-set", "random"), self.find("single", 10000, system, "random"))
        for shape in ALL_SHAPES:
            for n, least, aim in ((10000, 150, 50), (30000, 400, 120), (50000, 400, 120)):
                r = self.find(shape, n, "xdp", "random")
                if r and "alone_ns" in r:
                    out.append(("program alone, %s %d, ns (less is better)" % (shape, n), least, aim, r["alone_ns"]))
        for shape in ("single", "prefixes", "tuples"):
            a, b = self.find(shape, 10, "xdp", "random"), self.find(shape, 100000, "xdp", "random")
            if a and b and a.get("alone_ns") and "alone_ns" in b:
                out.append(("program alone, %s 100000 over 10 (less is better)" % shape, 3, 1.5, b["alone_ns"] / a["alone_ns"]))
        for shape in ALL_SHAPES:
            ours, nft = ([x["ms"] for x in self.loads if (x["shape"], x["rules"], x["system"]) == (shape, 10000, s)]
                         for s in ("xdp", "iptables-nft"))
            if ours and nft:
                out.append(("load, %s 10000, over iptables-nft-restore's time (less is better)" % shape, 1.0, 0.25, ours[0] / nft[0]))
        for c in self.changes:
            if c["system"] == "xdp" and c["rules"] == 100000 and c["ms"]:
                out.append(("one rule changed in 100000, ms (less is better)", 20, 2, c["ms"]))
        judged = [r for r in self.rows if r["system"] == "xdp" and r["path"] == "drop" and r["ns"] and not r["wrong"]]
        if judged:
            out.append(("most rules that were loaded and judged rightly", 100000, 700000, max(r["rules"] for r in judged)))
        return out

    def tables(self):
        out = []
        head = "%-9s %7s %-10s %-12s %-7s %-13s %9s %7s %8s %7s" % (
            "shape", "rules", "hook", "traffic", "path", "system", "ns/packet", "spread", "of floor", "alone")
        out += [head, "-" * len(head)]
        for r in self.rows:
            floor = self.find(r["shape"], r["rules"], "floor", r["traffic"])
            if r["wrong"] or not r["ns"]:
                figures = "FAILED: " + (r["wrong"] or "no sample")
            else:
                spread = (max(r["samples"]) - min(r["samples"])) / r["ns"] * 100
                figures = "%9.0f %6.0f%% %8s %7s" % (
                    r["ns"], spread, "%.2f" % (floor["ns"] / r["ns"]) if floor else "",
                    "%d" % r["alone_ns"] if "alone_ns" in r else "")
            out.append("%-9s %7d %-10s %-12s %-7s %-13s %s" % (
                r["shape"], r["rules"], r["hook"], r["traffic"], r["path"], r["system"], figures))
        out += ["", "%-9s %7s %-13s %9s %10s %7s" % ("load", "rules", "system", "ms", "bytes", "insns")]
        for x in self.loads:
            out.append("%-9s %7d %-13s %9.1f %10s %7s" % (x["shape"], x["rules"], x["system"], x["ms"], x.get("bytes", ""), x.get("insns", "")))
        if self.changes:
            out += ["", "one rule changed, ms until in force"]
            for c in self.changes:
                out.append("%7d rules %-13s %s" % (c["rules"], c["system"], "%.1f" % c["ms"] if c["ms"] else "FAILED: " + c["wrong"]))
        out += ["", "%-72s %8s %8s %9s" % ("target", "at least", "aim", "measured")]
        for what, least, aim, got in self.targets():
            ok = got <= least if "less is better" in what else got >= least
            out.append("%-72s %8g %8g %9.2f  %s" % (what, least, aim, got, "ok" if ok else "missed"))
        return "\n".join(out)

    def main(self):
        os.makedirs(OUT, exist_ok=True)
        self.conditions = conditions()
        try:
            for name, n, systems, only in plan():
                if name == "change":
                    self.change(n, systems)
                else:
                    self.cell(name, n, systems, only)
        finally:
            if self.lab:
                self.lab.close()
            self.conditions["load_end"] = os.getloadavg()
            with open(OUT + "/results.json", "w") as f:
                json.dump(self.result(), f, indent=1)
        with open(OUT + "/bench.svg", "w") as f:
            f.write(chart.svg(self.result()))
        print(json.dumps(self.conditions))
        print(self.tables())
        self.meter.close()
        failed = [r for r in self.rows if r["wrong"]]
        self.say("%d rows, %d failed; %s/results.json, %s/bench.svg" % (len(self.rows), len(failed), OUT, OUT))


if __name__ == "__main__":
    if os.cpu_count() < 2:
        sys.exit("bench: needs two CPUs, one sends and one is measured")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    Bench().main()
