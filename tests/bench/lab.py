# SPDX-License-Identifier: GPL-2.0
"""Namespaces, systems and measurements.

One namespace sends (W); each system has one of its own with the interface b*, its NAPI in a
kernel thread on CPU 1, and, where packets are forwarded, one more that swallows them.  All the
systems of a cell (a shape at a size) stand side by side, and are measured in turns.
"""
import ctypes
import glob
import json
import os
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
MAC = "02:00:00:00:00:01"
BPFFS = "/sys/fs/bpf"


class Failed(Exception):
    pass


def run(argv, text=None, timeout=300, netns=None, check=True):
    """A command in a namespace, without ip-netns(8) and its time."""
    def enter():
        fd = os.open("/run/netns/" + netns, os.O_RDONLY)
        if LIBC.setns(fd, CLONE_NEWNET):
            os._exit(126)
        os.close(fd)
    p = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=timeout,
                       preexec_fn=enter if netns else None)
    if check and p.returncode:
        raise Failed("%s: %s" % (" ".join(argv[:3]), (p.stderr or p.stdout).strip().split("\n")[-1][:160]))
    return p


class Meter:
    def __init__(self, build):
        self.p = subprocess.Popen([build + "/bench/meter", build + "/bench/bench.bpf.o"], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            raise Failed("meter ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def close(self):
        self.p.stdin.close()
        self.p.wait()


# name, what it is, of which hooks
SYSTEMS = {
    "none": "no rules", "xdp_drop": "XDP_DROP of all", "floor": "XDP parses and drops",
    "legacy": "iptables-legacy", "iptables-nft": "iptables-nft", "nft": "nft, one rule each",
    "nft-set": "nft, sets by hand", "netdev": "nft at netdev ingress",
    "xdp": "nf2bpf at xdp", "tc": "nf2bpf at tc", "hook": "nf2bpf at the hook, assist",
    "takeover": "nf2bpf at the hook, takeover",
}
LIMITS = ("none", "xdp_drop", "floor")
OURS = {"xdp": ["--early=xdp"], "tc": ["--early=tc"], "hook": ["--early=off", "--site=nf"],
        "takeover": ["--early=off", "--mode=takeover", "--on-stop=keep"]}
BEFORE_IP = ("xdp_drop", "floor", "xdp", "tc", "netdev")  # what they drop, IP never sees


def supported():
    """The systems that this machine and this build have."""
    out = list(SYSTEMS)
    usage = run(["./nf2bpfd", "--help"]).stdout
    if "--mode" not in usage:
        out.remove("takeover")
    for name, tool in (("legacy", "iptables-legacy-restore"), ("iptables-nft", "iptables-nft-restore"), ("nft", "nft")):
        if run(["sh", "-c", "command -v " + tool], check=False).returncode and name in out:
            out.remove(name)
    return out


class Lab:
    def __init__(self, meter, tag, rp_filter=2):
        self.meter, self.tag, self.rp_filter = meter, tag, rp_filter
        self.work = tempfile.mkdtemp(prefix="nf2bpf-bench-")
        self.spaces, self.hosts = [], []
        self.w = self.space("w")

    def space(self, name):
        name = "%s-%s" % (self.tag, name)
        run(["ip", "netns", "add", name])
        self.spaces.append(name)
        run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
             "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=%d" % self.rp_filter], netns=name)
        return name

    @staticmethod
    def thread_name(kind, i):
        """Short, for the NAPI thread's name ends at 15 letters, and no other run's."""
        return "%s%05x%s" % (kind, os.getpid() & 0xFFFFF, chr(ord("a") + i))

    def napi_thread(self, netns, ifname, cpu, fifo=False):
        run(["ip", "netns", "exec", netns, "sh", "-c",
             "ethtool -K %s gro on && echo 1 > /sys/class/net/%s/threaded" % (ifname, ifname)])
        for path in glob.glob("/proc/[0-9]*/comm"):
            try:
                with open(path) as f:
                    if not f.read().startswith("napi/%s-" % ifname):
                        continue
            except OSError:
                continue
            pid = int(path.split("/")[2])
            os.sched_setaffinity(pid, {cpu})
            if fifo:
                os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))
            return pid
        raise Failed("no NAPI thread of " + ifname)

    def host(self, i, hook):
        h = {"ns": self.space("h%d" % i), "tx": "w%d" % i, "rx": self.thread_name("b", i), "sink": None}
        run(["ip", "-batch", "-"], netns=self.w, text="\n".join((
            "link add %s numrxqueues 1 numtxqueues 1 type veth peer name %s netns %s numrxqueues 1 numtxqueues 1" %
            (h["tx"], h["rx"], h["ns"]), "link set %s address 02:00:00:00:00:aa up" % h["tx"])))
        run(["ip", "-batch", "-"], netns=h["ns"], text="\n".join((
            "link set lo up", "link set %s address %s up" % (h["rx"], MAC),
            "addr add 10.9.0.1/24 dev " + h["rx"],
            "neigh add 10.9.0.2 lladdr 02:00:00:00:00:aa dev " + h["rx"],
            "route add default via 10.9.0.2")))
        h["pid"] = self.napi_thread(h["ns"], h["rx"], 1)
        if hook == "forward":
            h["sink"] = self.space("k%d" % i)
            out = self.thread_name("k", i)
            run(["ip", "-batch", "-"], netns=h["ns"], text="\n".join((
                "link add bo%d numrxqueues 1 type veth peer name %s netns %s numrxqueues 1" % (i, out, h["sink"]),
                "link set bo%d up" % i, "addr add 10.10.0.1/16 dev bo%d" % i)))
            run(["ip", "link", "set", out, "up"], netns=h["sink"])
            run(["ip", "-batch", "-"], netns=h["ns"], text="\n".join(
                "neigh add 10.10.0.%d lladdr 02:00:00:00:00:bb dev bo%d" % (n, i) for n in range(2, 252)))
            run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], netns=h["ns"])
            self.napi_thread(h["sink"], out, 0, fifo=True)
            self.meter.ask("attach", h["sink"], out, "drop")
            h["out"] = out
        self.meter.ask("serve", h["ns"], 9)
        self.hosts.append(h)
        return h

    def pins(self, h):
        inode = os.stat("/run/netns/" + h["ns"]).st_ino
        return "%s/nf2bpf/%d" % (BPFFS, inode)

    def slots(self, h):
        found = glob.glob(self.pins(h) + "/*slots")
        if not found:
            raise Failed("nothing is attached")
        return found[0]

    def load(self, h, system, shape):
        """The rules of the shape; returns how long the tool took, or None where there is nothing to load."""
        h["system"] = system
        if system in ("xdp_drop", "floor"):
            self.meter.ask("attach", h["ns"], h["rx"], system.replace("xdp_", ""))
            return None
        if system == "none" or not shape.n:
            text = None
        if system == "none":
            return None
        if system == "legacy":
            return self.timed(["iptables-legacy-restore"], h, shape.iptables())
        if system == "iptables-nft":
            return self.timed(["iptables-nft-restore"], h, shape.iptables())
        if system in ("nft", "nft-set", "netdev"):
            text = {"nft": shape.nft, "nft-set": shape.nft_set, "netdev": lambda: shape.nft(h["rx"])}[system]()
            if not text:
                raise Failed("not expressible")
            return self.timed(["nft", "-f", "-"], h, text)
        self.timed(["iptables-nft-restore"], h, shape.iptables())
        took = self.timed(["./nf2bpfd", "--once", "--state-dir=" + self.work, "--interface=" + h["rx"]] + OURS[system], h, None)
        self.slots(h)
        return took

    def timed(self, argv, h, text):
        start = time.monotonic()
        run(argv, text=text, netns=h["ns"])
        return time.monotonic() - start

    def counters(self, h):
        found = glob.glob(self.pins(h) + "/*counters*")
        return self.meter.ask("counters", *found)["packets"] if found else 0

    def blast(self, h, key, seconds):
        words = ["blast", key, self.w, h["tx"], h["ns"], h["rx"], h["pid"], seconds]
        if h["sink"]:
            words += [h["sink"], h["out"]]
        return self.meter.ask(*words)

    def close(self):
        # Without the ceremony of nf2bpf off, which gives a hundred thousand counters back: the pins, then the namespaces.
        for h in self.hosts:
            subprocess.run(["rm", "-rf", self.pins(h)])
        for name in self.spaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["rm", "-rf", self.work])


def judge(h, kind, r, ours_before, ours_after):
    """None, or what is wrong with a measurement."""
    if not r["rx"]:
        return "no packet seen"
    if kind == "drop":
        arrived = r["sink"] if h["sink"] else r["udp"]
        if arrived > 2:
            return "%d of %d arrived" % (arrived, r["rx"])
        if h["system"] in BEFORE_IP and r["ip"] > r["rx"] * 0.001 + 2:
            return "%.1f %% left to the kernel" % (100.0 * r["ip"] / r["rx"])
        if h["system"] in ("hook", "takeover") and ours_after - ours_before < r["rx"] * 0.999 - 2:
            return "our program dropped %d of %d" % (ours_after - ours_before, r["rx"])
        return None
    arrived = r["sink"] if h["sink"] else r["udp"]
    if arrived < r["rx"] * 0.999 - 2:
        return "%d of %d arrived" % (arrived, r["rx"])
    return None
