# SPDX-License-Identifier: GPL-2.0
"""Rulesets of several shapes, as their tools read them, and traffic that hits them.

A rule is (src, dst, proto, sport, dport): prefixes (address, length) or None, 6, 17 or None,
ranges (low, high) or None.  All rules drop, so that every packet of a hit must vanish and every
packet of a miss must arrive; that is how a measurement is checked.  All is made from a fixed
seed: the same rules in every run.
"""
import random
import struct

FLOWS = 65536
HOST, PORT = 0x0A090001, 9  # 10.9.0.1 and the port where accepted packets end
TCP, UDP = 6, 17
ANY_PORT = (0, 65535)


def dotted(a):
    return "%d.%d.%d.%d" % (a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255)


def prefix_text(p):
    return dotted(p[0]) if p[1] == 32 else "%s/%d" % (dotted(p[0]), p[1])


def net(a, plen):
    return a & (0xFFFFFFFF << (32 - plen)) & 0xFFFFFFFF


def public(rng):
    """An address that is not special, not ours, not the misses' source."""
    while True:
        a = rng.getrandbits(32)
        first = a >> 24
        if 1 <= first < 224 and first not in (10, 127, 203, 100, 169, 172, 192, 198):
            return a


# ---- rules ----

def single(rng, n):
    found = {}
    while len(found) < n:
        found[public(rng)] = None
    return [((a, 32), None, None, None, None) for a in found]


def prefixes(rng, n):
    """Lengths as in a routing table: mostly /24, some /16 to /23, a few longer."""
    found = {}
    while len(found) < n:
        plen = rng.choices((16, 18, 20, 21, 22, 23, 24, 26, 28, 32), (3, 2, 5, 4, 12, 9, 55, 3, 3, 4))[0]
        found[(net(public(rng), plen), plen)] = None
    return [(p, None, None, None, None) for p in found]


def tuples(rng, n):
    found = {}
    while len(found) < n:
        found[(public(rng), rng.randrange(1024, 65536))] = None
    return [((a, 32), None, UDP, None, (p, p)) for a, p in found]


def ranges(rng, n):
    """Port ranges of few prefixes, so that the ranges decide."""
    nets = [(net(public(rng), 16), 16) for _ in range(max(1, n // 16))]
    found = {}
    while len(found) < n:
        low = rng.randrange(1024, 64000)
        found[(rng.choice(nets), low, low + rng.randrange(1, 1500))] = None
    return [(p, None, UDP, None, (lo, hi)) for p, lo, hi in found]


# The mixes of the three kinds of real rule sets, from what is published of them: acl names the
# destination and its port, fw has wildcards and ranges, ipc is between the two.
MIX = {
    "acl": {"src": ((0, 40), (16, 8), (24, 30), (32, 22)), "dst": ((16, 2), (24, 28), (32, 70)),
            "sport": ((None, 99), ("exact", 1)),
            "dport": ((None, 25), ("exact", 60), ("range", 13), ("high", 2)),
            "proto": ((TCP, 70), (UDP, 25), (None, 5)), "pool": 0.10},
    "fw": {"src": ((0, 35), (8, 2), (16, 13), (24, 25), (32, 25)),
           "dst": ((0, 25), (16, 10), (24, 25), (32, 40)),
           "sport": ((None, 70), ("high", 15), ("exact", 10), ("range", 5)),
           "dport": ((None, 25), ("exact", 45), ("range", 10), ("high", 20)),
           "proto": ((TCP, 60), (UDP, 30), (None, 10)), "pool": 0.03},
    "ipc": {"src": ((0, 12), (16, 8), (24, 30), (32, 50)),
            "dst": ((0, 8), (16, 7), (24, 30), (32, 55)),
            "sport": ((None, 80), ("exact", 12), ("high", 8)),
            "dport": ((None, 30), ("exact", 50), ("range", 10), ("high", 10)),
            "proto": ((TCP, 60), (UDP, 32), (None, 8)), "pool": 0.05},
}
SERVICES = (22, 25, 53, 80, 110, 123, 143, 161, 389, 443, 445, 514, 636, 993, 1433, 1521, 3306,
            3389, 5060, 5432, 6379, 8080, 8443, 9100, 9200)


def draw(rng, table):
    return rng.choices([v for v, _ in table], [w for _, w in table])[0]


def draw_prefix(rng, table, pool):
    plen = draw(rng, table)
    if not plen:
        return None
    base = rng.choice(pool)  # nested: longer prefixes lie in the same few networks
    return (net(base | rng.getrandbits(16 if plen > 16 else 0), plen), plen)


def draw_ports(rng, table):
    kind = draw(rng, table)
    if kind == "exact":
        p = rng.choice(SERVICES) if rng.random() < 0.6 else rng.randrange(1024, 65536)
        return (p, p)
    if kind == "range":
        lo = rng.randrange(1024, 60000)
        return (lo, lo + rng.randrange(2, 5000))
    return (1024, 65535) if kind == "high" else None


def classbench(kind):
    mix = MIX[kind]

    def make(rng, n):
        size = max(4, int(n * mix["pool"]))
        srcs = [net(public(rng), 16) for _ in range(size)]
        dsts = [net(public(rng), 16) for _ in range(size)]
        found = {}
        while len(found) < n:
            proto = draw(rng, mix["proto"])
            sport = draw_ports(rng, mix["sport"]) if proto else None
            dport = draw_ports(rng, mix["dport"]) if proto else None
            src = draw_prefix(rng, mix["src"], srcs)
            dst = draw_prefix(rng, mix["dst"], dsts)
            # None so broad that little reaches the rules behind it.
            if bool(src) + bool(dst) == 0 or ((src or (0, 0))[1] < 24 and (dst or (0, 0))[1] < 24):
                continue
            found[(src, dst, proto, sport, dport)] = None
        return list(found)
    return make


# ---- as text ----

def rule_matches(r, family_words):
    src, dst, proto, sport, dport = r
    out = []
    if family_words == "iptables":
        if src:
            out.append("-s " + prefix_text(src))
        if dst:
            out.append("-d " + prefix_text(dst))
        if proto:
            name = {TCP: "tcp", UDP: "udp"}[proto]
            out.append("-p " + name)
            if sport or dport:
                out.append("-m " + name)
            for word, p in (("--sport", sport), ("--dport", dport)):
                if p:
                    out.append("%s %s" % (word, "%d" % p[0] if p[0] == p[1] else "%d:%d" % p))
        return " ".join(out)
    if src:
        out.append("ip saddr " + prefix_text(src))
    if dst:
        out.append("ip daddr " + prefix_text(dst))
    if proto:
        name = {TCP: "tcp", UDP: "udp"}[proto]
        for word, p in (("sport", sport), ("dport", dport)):
            if p:
                out.append("%s %s %s" % (name, word, "%d" % p[0] if p[0] == p[1] else "%d-%d" % p))
        if not (sport or dport):
            out.append("ip protocol " + name)
    return " ".join(out)


class Shape:
    """Rules of one shape and size, at one place of the packets' way."""
    hooks = {"input": ("filter", "INPUT", "input", 0), "forward": ("filter", "FORWARD", "forward", 0),
             "prerouting": ("raw", "PREROUTING", "prerouting", -300)}

    def __init__(self, name, n, hook="input"):
        self.name, self.n, self.hook = name, n, hook
        self.rng = random.Random("%s %d" % (name, n))
        self.rules = RULES[name](self.rng, n) if n else []
        self.flows_of = {"first": self.hit_first, "last": self.hit_last, "random": self.hit_random,
                         "miss": self.miss}

    def iptables(self):
        table, chain = self.hooks[self.hook][:2]
        out = ["*" + table, ":%s ACCEPT [0:0]" % chain]
        out += ["-A %s %s -j DROP" % (chain, rule_matches(r, "iptables")) for r in self.rules]
        return "\n".join(out + ["COMMIT", ""])

    def one_more_iptables(self):
        table, chain = self.hooks[self.hook][:2]
        return ["-t", table, "-A", chain, "-s", "192.0.2.77", "-p", "udp", "--dport", "77", "-j", "DROP"]

    def nft(self, device=None):
        hook, prio = self.hooks[self.hook][2:]
        family = "netdev" if device else "ip"
        where = "ingress device %s priority 0" % device if device else "%s priority %d" % (hook, prio)
        out = ["table %s bench {" % family, " chain c {", "  type filter hook %s; policy accept;" % where]
        out += ["  %s drop" % rule_matches(r, "nft") for r in self.rules]
        return "\n".join(out + [" }", "}", ""])

    def nft_set(self):
        """As an expert would write them; None where sets cannot say it."""
        hook, prio = self.hooks[self.hook][2:]
        kinds = {"single": ("ipv4_addr", "", "ip saddr @s"), "forward": ("ipv4_addr", "", "ip saddr @s"),
                 "prefixes": ("ipv4_addr", "flags interval; auto-merge;", "ip saddr @s"),
                 "tuples": ("ipv4_addr . inet_service", "", "ip saddr . udp dport @s"),
                 "ranges": ("ipv4_addr . inet_service", "flags interval;", "ip saddr . udp dport @s")}
        if self.name not in kinds or not self.rules:
            return None
        if self.name == "ranges" and self.n > 1000:
            return None  # overlapping ranges in a concatenation: nft 1.0.6 refuses them, or takes minutes
        kind, flags, test = kinds[self.name]
        elements = []
        for src, _, _, _, dport in self.rules:
            e = prefix_text(src)
            if self.name in ("tuples", "ranges"):
                e += " . " + ("%d" % dport[0] if dport[0] == dport[1] else "%d-%d" % dport)
            elements.append(e)
        return ("table ip bench {\n set s { type %s; %s\n elements = { %s } }\n chain c {\n"
                "  type filter hook %s priority %d; policy accept;\n  %s drop\n }\n}\n"
                % (kind, flags, ", ".join(elements), hook, prio, test))

    # -- traffic: lists of (src, dst, proto, sport, dport) --

    def aim(self, r):
        """A packet of this rule, its other fields at random."""
        rng = self.rng
        src, dst, proto, sport, dport = r

        def address(p, other):
            return other if not p else p[0] | rng.getrandbits(32 - p[1]) if p[1] < 32 else p[0]

        far = self.elsewhere()
        return (address(src, public(rng)), address(dst, far), proto or UDP,
                rng.randint(*(sport or (1024, 65535))), rng.randint(*(dport or (1024, 65535))))

    def elsewhere(self):
        return {"input": HOST, "prerouting": HOST}.get(self.hook) or 0x0A0A0000 | self.rng.randrange(2, 250)

    def hit_first(self):
        return [self.aim(self.rules[0]) for _ in range(4096)]

    def hit_last(self):
        return [self.aim(self.rules[-1]) for _ in range(4096)]

    def hit_random(self):
        return [self.aim(self.rng.choice(self.rules)) for _ in range(FLOWS)]

    def miss(self):
        """To the port where a socket swallows them, from a network that no rule names."""
        return [(0xCB007100 | self.rng.getrandbits(8), self.elsewhere(), UDP,
                 self.rng.randrange(1024, 65536), PORT) for _ in range(FLOWS)]

    def traffic(self):
        if not self.rules:
            return [("miss", "accept")]
        return [("first", "drop"), ("last", "drop"), ("random", "drop"), ("miss", "accept")]


class Graph(Shape):
    """Chains as kube-proxy makes them: a chain of services, each with one of its own, which
    leads to a common one.  Three rules a service."""

    def services(self):
        rng = random.Random("services %d" % self.n)
        found = {}
        while len(found) < max(1, self.n // 3):
            found[(0x64600000 | rng.getrandbits(16), rng.choice(SERVICES))] = None
        return list(found)

    def __init__(self, name, n, hook="prerouting"):
        super().__init__(name, 0, hook)
        self.n = n
        self.rng = random.Random("%s %d" % (name, n))
        self.rules = [((0xC0000200, 24), (a, 32), UDP, None, (p, p)) for a, p in self.services()]

    def iptables(self):
        table, chain = self.hooks[self.hook][:2]
        head = ["*" + table, ":%s ACCEPT [0:0]" % chain, ":KUBE-SERVICES - [0:0]", ":KUBE-FIREWALL - [0:0]"]
        rules = ["-A %s -j KUBE-SERVICES" % chain, "-A KUBE-FIREWALL -s 192.0.2.0/24 -j DROP"]
        for i, (a, p) in enumerate(self.services()):
            head.append(":KUBE-SVC-%d - [0:0]" % i)
            rules.append("-A KUBE-SERVICES -d %s -p udp -m udp --dport %d -j KUBE-SVC-%d" % (dotted(a), p, i))
            rules.append("-A KUBE-SVC-%d -s 10.244.0.0/16 -j RETURN" % i)
            rules.append("-A KUBE-SVC-%d -j KUBE-FIREWALL" % i)
        return "\n".join(head + rules + ["COMMIT", ""])

    def nft_chains(self):
        out = [" chain firewall { ip saddr 192.0.2.0/24 drop; }"]
        for i in range(len(self.services())):
            out.append(" chain svc-%d { ip saddr 10.244.0.0/16 return; jump firewall; }" % i)
        return out

    def nft(self, device=None):
        if device:
            return None
        hook, prio = self.hooks[self.hook][2:]
        out = ["table ip bench {"] + self.nft_chains() + [" chain services {"]
        out += ["  ip daddr %s udp dport %d jump svc-%d" % (dotted(a), p, i) for i, (a, p) in enumerate(self.services())]
        out += [" }", " chain c { type filter hook %s priority %d; policy accept; jump services; }" % (hook, prio), "}", ""]
        return "\n".join(out)

    def nft_set(self):
        hook, prio = self.hooks[self.hook][2:]
        out = ["table ip bench {"] + self.nft_chains()
        elements = ", ".join("%s . %d : jump svc-%d" % (dotted(a), p, i) for i, (a, p) in enumerate(self.services()))
        out += [" map m { type ipv4_addr . inet_service : verdict; elements = { %s }; }" % elements,
                " chain c { type filter hook %s priority %d; policy accept; ip daddr . udp dport vmap @m; }" % (hook, prio),
                "}", ""]
        return "\n".join(out)


class Web(Shape):
    """A server behind ESTABLISHED,RELATED with n administrators, all else dropped."""
    OPEN, TALK = (80, 443), 443  # TALK: UDP, where the established flows end

    def __init__(self, name, n, hook="input"):
        super().__init__(name, 0, "input")
        self.n = n
        self.rng = random.Random("%s %d" % (name, n))
        self.admins = [r[0] for r in single(self.rng, n)]
        self.rules = [None]
        self.flows_of = {"new": self.new, "established": self.established}

    def iptables(self):
        out = ["*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]",
               "-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
               "-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A INPUT -p icmp -j ACCEPT",
               "-A INPUT -p udp -m udp --dport %d -j ACCEPT" % self.TALK]
        out += ["-A INPUT -p tcp -m tcp --dport %d -j ACCEPT" % p for p in self.OPEN]
        out += ["-A INPUT -s %s -p tcp -m tcp --dport 22 -j ACCEPT" % prefix_text(a) for a in self.admins]
        return "\n".join(out + ["COMMIT", ""])

    def head(self):
        return ["  type filter hook input priority 0; policy drop;", '  iifname "lo" accept',
                "  ct state established,related accept", "  ct state invalid drop", "  ip protocol icmp accept",
                "  udp dport %d accept" % self.TALK]

    def nft(self, device=None):
        if device:
            return None
        out = ["table ip bench {", " chain c {"] + self.head() + ["  tcp dport %d accept" % p for p in self.OPEN]
        out += ["  ip saddr %s tcp dport 22 accept" % prefix_text(a) for a in self.admins]
        return "\n".join(out + [" }", "}", ""])

    def nft_set(self):
        out = ["table ip bench {", " set s { type ipv4_addr; elements = { %s } }" % ", ".join(prefix_text(a) for a in self.admins),
               " chain c {"] + self.head() + ["  tcp dport { 80, 443 } accept", "  ip saddr @s tcp dport 22 accept"]
        return "\n".join(out + [" }", "}", ""])

    def new(self):
        return [(public(self.rng), HOST, UDP, self.rng.randrange(1024, 65536), self.rng.randrange(1024, 65536))
                for _ in range(FLOWS)]

    def established(self):
        return [(0x0A090002, HOST, UDP, 1024 + i, self.TALK) for i in range(1024)]

    def traffic(self):
        return [("new", "drop"), ("established", "accept")]


RULES = {"single": single, "forward": single, "prefixes": prefixes, "tuples": tuples, "ranges": ranges,
         "acl": classbench("acl"), "fw": classbench("fw"), "ipc": classbench("ipc"),
         "kube": lambda rng, n: [], "web": lambda rng, n: []}


def make(name, n):
    if name == "kube":
        return Graph(name, n)
    if name == "web":
        return Web(name, n)
    if name == "forward":
        return Shape("forward", n, "forward")
    return Shape(name, n, "prerouting" if name in ("acl", "fw", "ipc") else "input")


# ---- frames ----

def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frames(flows):
    """64 bytes each, of which 60 are sent: Ethernet, IPv4, UDP without a checksum or a TCP SYN."""
    out = bytearray()
    ether = bytes((2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xAA, 8, 0))
    # The header's sum but for the addresses and the protocol.
    fixed = 0x4500 + 46 + 0x4000
    for src, dst, proto, sport, dport in flows:
        s = fixed + proto + 0x4000 + (src >> 16) + (src & 0xFFFF) + (dst >> 16) + (dst & 0xFFFF)
        s = (s & 0xFFFF) + (s >> 16)
        s = ~((s & 0xFFFF) + (s >> 16)) & 0xFFFF
        ip = struct.pack("!BBHHHBBHII", 0x45, 0, 46, 0, 0x4000, 64, proto, s, src, dst)
        if proto == UDP:
            th = struct.pack("!HHHH", sport, dport, 26, 0) + bytes(18)
        else:
            th = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, 2, 1024, 0, 0) + bytes(6)
        out += ether + ip + th + bytes(4)
    return bytes(out)
