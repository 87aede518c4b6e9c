# SPDX-License-Identifier: GPL-2.0
# Faults on purpose, under traffic without a pause.  Started by faults.sh, kills.sh and endurance.sh, which make the namespaces.
#
# tests/tools/flow.c sends packets that the rules accept and packets that they drop, and knows of each whether it came through: what is
# expected comes from the rules alone.  tests/tools/inject.c makes one system call of a load fail, or kills the process there.  After every
# fault nothing may have been lost or let through, and a plain restart must recover: programs attached, not stale, every counter (kernel's
# + ours) equal to the number of packets that were sent.
import itertools, json, os, random, re, signal, subprocess, sys, time

MODE, TAG, WORK, BUILD = sys.argv[1:5]
NS, WIRE = TAG + "-a", TAG + "-w"
SECONDS = float(os.environ.get("FAULT_SECONDS", "12"))
RUNS = int(os.environ.get("FAULT_RUNS", "0"))  # 0: as many as the time allows
SEED = int(os.environ.get("SEED", "1"))
EVERY = os.environ.get("FAULT_ALL", "") != ""  # every N of every kind
STRICT = os.environ.get("FAULT_COUNTS", "") == "strict"
COMMON = ["--netns", NS, "--state-dir", WORK + "/state"]
DAEMON = ["./nf2bpfd"] + COMMON
INJECT = BUILD + "/tests/inject"
failures = 0
missing = []  # counts that a fault cost

LEGACY = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 198.51.100.0/24 -j DROP
-A INPUT -m set --match-set bad src -j DROP
-A INPUT -p udp -m udp --dport 7000 -j ACCEPT
COMMIT
"""
NFT = """table ip fw {
	chain in { type filter hook input priority 10; policy accept; udp dport 7002 counter drop; }
	chain spare { }
}
"""
# Text of a rule -> how many packets of each round it takes.
WANTED = {"198.51.100.0/24": 1, "match-set bad": 1, "dport 7000": 1, "dport 7002": 1}


def fail(text):
    global failures
    failures += 1
    print("FAILED: " + text, flush=True)
    if failures >= 20:
        sys.exit("too many failures")


def sh(command, text=None, check=True):
    r = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    if check and r.returncode:
        sys.exit("%s: exit %d: %s" % (" ".join(command), r.returncode, r.stdout))
    return r


def in_ns(*command, text=None, check=True):
    return sh(["ip", "netns", "exec", NS] + list(command), text, check)


class Flow:
    def __init__(self, rate):
        self.p = subprocess.Popen([BUILD + "/tests/flow", WIRE, "a0", NS, str(rate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lost = self.passed = self.sent = 0
        self.earlier = getattr(self, "total", 0)

    def ask(self, what):
        self.p.stdin.write(what + "\n")
        self.p.stdin.flush()
        m = re.search(r"sent=(\d+) lost=(\d+) passed=(\d+)$", self.p.stdout.readline())
        if not m:
            sys.exit("flow has ended")
        sent, lost, passed = map(int, m.groups())
        new = lost - self.lost, passed - self.passed
        self.sent, self.lost, self.passed = sent, lost, passed
        self.total = self.earlier + sent
        return new

    def check(self, label, hold=False):
        lost, passed = self.ask("hold" if hold else "go")
        if lost:
            fail("%s: %d packets lost that the rules accept" % (label, lost))
        if passed:
            fail("%s: %d packets let through that the rules drop" % (label, passed))

    def resume(self):
        self.p.stdin.write("\n")
        self.p.stdin.flush()


def rules_now():
    r = subprocess.run(["./nf2bpf", "rules", "--json"] + COMMON, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if r.returncode:
        return None, r.stderr
    return json.loads(r.stdout), ""


# Each rule's packets = what was sent to it.  The flow is held meanwhile.  A fault may cost counts (FAULT_COUNTS=strict: none); it
# must never add any.
def check_counters(flow, label):
    flow.check(label, hold=True)
    now, error = rules_now()
    if now is None:
        fail("%s: nf2bpf rules: %s" % (label, error))
    else:
        got = {text: sum(r["packets"] for r in now["rules"] if text in r["rule"]) for text in WANTED}
        wrong = {text: n for text, n in got.items() if n != flow.sent * WANTED[text]}
        if wrong:
            text = "%s: of %d packets the rules count %s" % (label, flow.sent, wrong)
            missing.append(text)
            if STRICT or any(n > flow.sent for n in wrong.values()):
                fail(text)
            reset_counters(flow)
    flow.resume()


# After a wrong count: start again from zero, so that each failure is said once.
def reset_counters(flow):
    flow.p.kill()
    flow.p.wait()
    sh(["./nf2bpf", "off"] + COMMON)
    rules_load()
    flow.__init__(RATE)
    flow.check("a new flow", hold=True)


def rules_load():
    sh(["rm", "-rf", WORK + "/state"])
    in_ns("iptables-legacy-restore", text=LEGACY)
    in_ns("nft", "-f", "-", text="flush ruleset\n" + NFT)


# A generation of its own, that judges as before.
def rules_touch(n):
    in_ns("nft", "flush chain ip fw spare; add rule ip fw spare tcp dport %d accept" % (1 + n % 60000))


def attached():
    r = sh(["./nf2bpf", "status", "--json"] + COMMON, check=False)
    if r.returncode:
        return False, r.stdout
    try:
        s = json.loads(r.stdout)
    except ValueError:
        return False, r.stdout
    places = [(i["site"], i["place"]) for i in s["sites"]]
    return ("xdp", "eth0") in places and not s["stale"] and all(i["program"] for i in s["sites"]), r.stdout


def recover(flow, label):
    r = sh(DAEMON + ["--once"], check=False)
    if r.returncode:
        fail("%s: a plain restart ends with %d: %s" % (label, r.returncode, r.stdout))
        return
    ok, text = attached()
    if not ok:
        fail("%s: not in service after a restart: %s" % (label, text))


def setup():
    in_ns("ipset", "create", "bad", "hash:ip")
    in_ns("ipset", "add", "bad", "192.0.2.7")
    rules_load()
    flow = Flow(RATE)
    flow.check("the kernel alone")
    recover(flow, "first load")
    check_counters(flow, "first load")
    return flow


def pins():
    d = "/sys/fs/bpf/nf2bpf/%d" % os.stat("/run/netns/" + NS).st_ino
    return sorted(os.listdir(d)) if os.path.isdir(d) else []


# ---- one system call fails, or is the last ----

ERRORS = [
    ("bpf", "EPERM"), ("bpf", "ENOMEM"), ("bpf", "E2BIG"), ("bpf", "ENOSPC"),
    ("sendto,sendmsg", "ENOBUFS"), ("recvmsg,recvfrom", "ENOBUFS"), ("recvmsg,recvfrom", "EINTR"),
    ("openat", "EMFILE"), ("openat", "EACCES"), ("rename,unlink,mkdir", "ENOSPC"), ("write,fsync", "ENOSPC"), ("socket,bind,setsockopt", "ENOMEM"),
    ("getsockopt", "EAGAIN"), ("flock,dup,fcntl,statfs,getdents64", "EMFILE"), ("mmap", "ENOMEM"), ("clone3", "EAGAIN"),
]
KILLS = [("bpf,rename,unlink,mkdir,rmdir,openat,write,fsync,sendto,sendmsg,flock", None)]


def count_calls(calls):
    r = sh([INJECT, "--calls=" + calls, "--count", "--report=" + WORK + "/report", "--"] + DAEMON + ["--once"])
    return int(re.search(r"calls=(\d+)", open(WORK + "/report").read()).group(1))


# The smallest address space (KiB) that a load does with; below that, memory ends somewhere on its way.
def memory_plan():
    low, high = 8 << 10, 1 << 20
    while high - low > 256:
        middle = (low + high) // 2
        if sh(["prlimit", "--as=%d" % (middle << 10)] + DAEMON + ["--once"], check=False).returncode:
            low = middle
        else:
            high = middle
    return [("memory", "ENOMEM", kib) for kib in range(max(high - (24 << 10), 4 << 10), high, 256)]


# Every N of every kind; the same in a random order when time is short.
def plan(kinds, seed):
    todo = [(calls, error, n) for calls, error in kinds for n in range(1, count_calls(calls) + 1)]
    if kinds is ERRORS:
        todo += memory_plan()
    random.Random(seed).shuffle(todo)
    return todo


# How a load that failed may end: 0 (the fault did not matter), 2 or 3 as documented; out of memory ends the process.
def check_end(label, r, error):
    memory = error == "ENOMEM" and r.returncode in (128 + signal.SIGABRT, -signal.SIGABRT) and "out of memory" in r.stdout
    linker = r.returncode == 127 and "shared" in r.stdout  # it never started
    if r.returncode not in (0, 2, 3) and not memory and not linker and error:
        fail("%s: exit %d: %s" % (label, r.returncode, r.stdout[-600:]))


def one_fault(flow, number, calls, error, n):
    label = "%s %d %s" % (calls, n, error or "SIGKILL")
    if number % 4 == 3:  # nothing is attached yet; with the counters written off
        flow.check(label + ", before", hold=True)
        reset_counters(flow)
        flow.resume()
    rules_touch(number)
    how = ["--kill"] if error is None else ["--error=" + error]
    if calls == "memory":
        r = sh(["prlimit", "--as=%d" % (n << 10)] + DAEMON + ["--once"], check=False)
        open(WORK + "/report", "w").write("hit=memory")
    else:
        r = sh([INJECT, "--calls=" + calls, "--nth=%d" % n, "--report=" + WORK + "/report"] + how + ["--"] + DAEMON + ["--once"], check=False)
    hit = re.search(r"hit=(\S+)", open(WORK + "/report").read()).group(1)
    label += " (%s)" % hit
    check_end(label, r, error)
    check_counters(flow, label)
    recover(flow, label)
    check_counters(flow, label + ", restarted")
    return hit


def run_faults(kinds):
    flow = setup()
    before = pins()
    todo, start, done, hits = plan(kinds, SEED), time.time(), 0, {}
    for number, (calls, error, n) in enumerate(itertools.cycle(todo)):
        if (EVERY and done >= len(todo)) or (RUNS and done >= RUNS) or (not EVERY and not RUNS and time.time() - start > SECONDS):
            break
        hit = one_fault(flow, number, calls, error, n)
        hits[hit] = hits.get(hit, 0) + 1
        done += 1
    expect_flat(flow, before)
    print("%d of %d faults, %d packets of each kind, in %d s: %s" % (done, len(todo), flow.total, time.time() - start, " ".join("%s=%d" % h for h in sorted(hits.items()))))
    if missing:
        print("%d faults cost counts, as: %s" % (len(missing), missing[0]))


def expect_flat(flow, before):
    after = pins()
    if before != after:
        fail("pins: %s before, %s after" % (before, after))
    sh(["./nf2bpf", "off"] + COMMON)
    flow.check("off")
    if pins():
        fail("pins are left after off: %s" % pins())


RATE = int(os.environ.get("FLOW_RATE", "1000"))
if MODE == "errors":
    run_faults(ERRORS)
elif MODE == "kills":
    run_faults(KILLS)
sys.exit(1 if failures else 0)
