// SPDX-License-Identifier: GPL-2.0
/*
 * flips: the rules change all the time; is each packet judged by rules that were in force?
 *
 *   flips WIRE-NETNS INTERFACE HOST-NETNS BACKEND FLIPS [KEY=VALUE]…
 *
 * BACKEND: legacy (libiptc), iptables-nft (iptables-nft-restore), nft (libnftables), nft-set
 * (the elements of a set), ipset (swap of two sets).  Ruleset k is one of two, by k's parity.
 * Both accept packets from source 0 and drop those from source 1; an even one accepts source 2
 * and drops source 3, an odd one the other way round.  Every change from one to the other is
 * one commit of the kernel's.
 *
 * How it knows what is right.  Two counters stand beside the commits: `begun`, the last ruleset
 * whose commit has begun, and `done`, the last whose commit has returned.  The sender of a
 * packet notes `done` before it sends (lo); who receives it reads `begun` (hi): some ruleset of
 * lo..hi was in force when it was judged.  So one that all of lo..hi drop must not arrive, and
 * one that all accept must.  A packet that did not arrive was judged before the next one from
 * source 0 arrived, because wire, queue and socket keep their order; that one's hi is its own.
 *
 * Two senders.  The driver commits, and right after the commit has returned sends a packet of
 * each source: lo = hi, so each is decided, among them the one that the rules of a moment
 * ago dropped at XDP and these accept: a stale drop loses it.  The free sender sends all the
 * while, also during commits.
 *
 * A packet must not be lost for another reason.  Of each sender no more than WINDOW rounds are
 * under way, less than the queue holds.  At the end the kernel's own counters say where every
 * packet ended: dropped at XDP (the interface's xdp_drops), by netfilter (Ip InReceives less
 * InDelivers), delivered (Udp InDatagrams); the sum must be what was sent, and what arrived
 * what the kernel delivered.
 *
 * The programs must be in service when the rules flip, or there is nothing to be stale: every
 * WAIT-th flip begins when the interface has dropped a packet at XDP since the last commit.
 *
 * mode=takeover: here the old rules may go on until the new program is in place.  `done` waits
 * until a round of the driver's was judged by the new rules alone; the time from the commit's
 * return to that round is printed.
 *
 * KEY: rules=N (others before those that flip), wait=K, free=PER-SECOND (0: no free sender),
 * pause=MICROSECONDS (between flips, at random up to it), seed=N, mode=takeover, full=1
 * (iptables-nft: restore the whole table; nft: flush the ruleset and make a new one; both wake
 * a table that sleeps, and the next flip is when it sleeps again).  Prints times from a
 * commit's return to the first packet dropped at XDP.  Exit status 1 if a packet was judged
 * wrong or is not accounted for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libiptc/libiptc.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"

#define PORT 7000
#define SOURCES 4
#define WINDOW 24    /* rounds; the queue of a veth holds 256 packets */
#define ROUNDS 1024  /* remembered: more than WINDOW */
#define LOST_MS 3000 /* so long does nobody wait for a packet of source 0 */
#define SERVICE_MS 20000
#define FRAME_BYTES (14 + 20 + 8 + sizeof(struct body))

struct body {
	uint32_t sender, source, round, zero;
};

static const char *const sources[SOURCES] = {"10.9.0.7", "203.0.113.7", "198.51.100.7",
					     "192.0.2.7"};

extern char **environ;

static const char *wire, *ifname, *host, *backend;
static unsigned long flips, others, wait_each = 4, free_rate = 1000, pause_us = 8000;
static unsigned seed = 1;
static bool takeover, full;

/* ---- what is counted ---- */

static _Atomic uint64_t begun, done;

struct round {
	uint64_t lo, sent_ns;
	uint64_t hi[SOURCES];
	bool arrived[SOURCES];
};

struct sender {
	uint32_t id;
	int out;
	_Atomic uint32_t sent;   /* rounds */
	_Atomic uint32_t judged; /* rounds */
	struct round rounds[ROUNDS];
	uint64_t decided[SOURCES], open, lost, passed, missing;
};

static struct sender driver = {.id = 0}, freely = {.id = 1};
static int in = -1;
static _Atomic bool stopped, ending; /* of the free sender; of the receiver */
static _Atomic uint64_t arrived_all;
static _Atomic uint32_t verdict_round; /* the driver's, judged last */
static _Atomic unsigned verdict_mask;  /* its sources that arrived */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void rest(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
			     .tv_nsec = (long)(ns % 1000000000)};

	nanosleep(&t, NULL);
}

static void die(const char *what)
{
	fprintf(stderr, "flips: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(2);
}

/* ---- packets ---- */

static void enter(const char *netns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static void frame_make(uint8_t *f, const struct body *b)
{
	static const uint8_t ethernet[] = {2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0xaa, 8, 0};
	uint8_t *ip = f + 14, *udp = ip + 20;
	uint32_t sum = 0;

	memset(f, 0, FRAME_BYTES);
	memcpy(f, ethernet, sizeof(ethernet));
	ip[0] = 0x45;
	put_be16(ip + 2, FRAME_BYTES - 14);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	inet_pton(AF_INET, sources[b->source], ip + 12);
	inet_pton(AF_INET, "10.9.0.1", ip + 16);
	for (int i = 0; i < 20; i += 2)
		sum += be16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(ip + 10, (uint16_t) ~(sum + (sum >> 16)));
	put_be16(udp, 5000);
	put_be16(udp + 2, PORT);
	put_be16(udp + 4, 8 + sizeof(*b)); /* checksum 0: none */
	memcpy(udp + 8, b, sizeof(*b));
}

static int wire_open(void)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = 0};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	a.sll_ifindex = (int)if_nametoindex(ifname);
	if (!a.sll_ifindex || fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die(ifname);
	return fd;
}

static void socket_open(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int room = 32 << 20;

	in = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (in < 0 || bind(in, (struct sockaddr *)&a, sizeof(a)) ||
	    setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		die("socket");
}

/* False: nothing of the last LOST_MS came back. */
static bool window_wait(const struct sender *s)
{
	uint64_t start = now_ns();

	while (s->sent - s->judged >= WINDOW) {
		if (now_ns() - start > LOST_MS * 1000000ull)
			return false;
		rest(50000);
	}
	return true;
}

/* Source 0 last: it closes the round. */
static uint32_t round_send(struct sender *s)
{
	uint32_t n = s->sent;
	struct round *r = &s->rounds[n % ROUNDS];
	uint8_t frame[FRAME_BYTES];

	if (!window_wait(s)) {
		fprintf(stderr, "flips: nothing arrives any more\n");
		exit(1);
	}
	*r = (struct round){.sent_ns = now_ns()};
	atomic_store(&s->sent, n + 1);
	r->lo = atomic_load(&done);
	for (uint32_t i = 1; i <= SOURCES; i++) {
		struct body b = {.sender = s->id, .source = i % SOURCES, .round = n};

		frame_make(frame, &b);
		while (send(s->out, frame, sizeof(frame), 0) != (ssize_t)sizeof(frame))
			if (errno != ENOBUFS && errno != EINTR && errno != EAGAIN)
				die("send");
	}
	return n;
}

/* ---- the judge: the receiver's thread ---- */

static bool accepts(unsigned source, uint64_t ruleset)
{
	return source == 0 || (source == 2 && !(ruleset & 1)) || (source == 3 && ruleset & 1);
}

static void judge_packet(struct sender *s, const struct round *r, uint32_t n, unsigned source,
			 uint64_t hi)
{
	bool all = true, any = false;

	for (uint64_t k = r->lo; k <= hi && k <= r->lo + 1; k++) {
		all = all && accepts(source, k);
		any = any || accepts(source, k);
	}
	if (all == any)
		s->decided[source]++;
	else
		s->open++;
	if (all && !r->arrived[source])
		s->lost++;
	else if (!any && r->arrived[source])
		s->passed++;
	else
		return;
	if (s->lost + s->passed <= 20)
		printf("WRONG sender=%u round=%u source=%u rulesets=%llu..%llu %s\n", s->id, n,
		       source, (unsigned long long)r->lo, (unsigned long long)hi,
		       all ? "lost" : "let through");
}

static void judge_round(struct sender *s, uint32_t n, uint64_t hi)
{
	struct round *r = &s->rounds[n % ROUNDS];
	unsigned mask = 0;

	for (unsigned i = 0; i < SOURCES; i++) {
		judge_packet(s, r, n, i, r->arrived[i] ? r->hi[i] : hi);
		mask |= (unsigned)r->arrived[i] << i;
	}
	if (s == &driver) {
		atomic_store(&verdict_mask, mask);
		atomic_store(&verdict_round, n + 1);
	}
	atomic_store(&s->judged, n + 1);
}

static void receive(const struct body *b)
{
	struct sender *s = b->sender ? &freely : &driver;
	uint64_t hi = atomic_load(&begun);
	struct round *r = &s->rounds[b->round % ROUNDS];

	if (b->sender > 1 || b->source >= SOURCES || b->round < s->judged ||
	    b->round >= s->sent || r->arrived[b->source]) {
		s->missing++;
		return;
	}
	r->arrived[b->source] = true;
	r->hi[b->source] = hi;
	if (b->source)
		return;
	while (s->judged <= b->round)
		judge_round(s, s->judged, hi);
}

static void *receiver(void *unused)
{
	struct pollfd p = {.fd = in, .events = POLLIN};
	struct body b;

	while (!ending) {
		if (poll(&p, 1, 50) <= 0)
			continue;
		while (recv(in, &b, sizeof(b), MSG_DONTWAIT) == (ssize_t)sizeof(b)) {
			arrived_all++;
			receive(&b);
		}
	}
	return NULL;
}

static void *free_sender(void *unused)
{
	while (!stopped) {
		round_send(&freely);
		rest(1000000000 / free_rate);
	}
	return NULL;
}

/* One round of the driver's, judged; which sources arrived. */
static unsigned round_ask(void)
{
	uint64_t start = now_ns();
	uint32_t n = round_send(&driver);

	while (verdict_round <= n) {
		if (now_ns() - start > LOST_MS * 1000000ull) {
			fprintf(stderr, "flips: round %u does not arrive\n", n);
			exit(1);
		}
		if (now_ns() - start > 200000)
			rest(20000);
		else
			sched_yield();
	}
	return verdict_mask;
}

/* ---- the kernel's counters ---- */

/* Packets that a program at the interface eth0 of the host has dropped. */
static uint64_t xdp_drops(void)
{
	static unsigned count;
	static struct ethtool_gstrings *names;
	struct ethtool_sset_info *info;
	struct ethtool_stats *stats;
	struct ifreq r = {.ifr_name = "eth0"};
	uint64_t sum = 0;
	static int fd = -1;

	if (fd < 0) {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		info = calloc(1, sizeof(*info) + 4);
		info->cmd = ETHTOOL_GSSET_INFO;
		info->sset_mask = 1 << ETH_SS_STATS;
		r.ifr_data = (void *)info;
		if (ioctl(fd, SIOCETHTOOL, &r))
			die("ethtool");
		count = info->data[0];
		names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
		names->cmd = ETHTOOL_GSTRINGS;
		names->string_set = ETH_SS_STATS;
		names->len = count;
		r.ifr_data = (void *)names;
		if (ioctl(fd, SIOCETHTOOL, &r))
			die("ethtool");
		free(info);
	}
	stats = calloc(1, sizeof(*stats) + count * 8);
	stats->cmd = ETHTOOL_GSTATS;
	stats->n_stats = count;
	r.ifr_data = (void *)stats;
	if (ioctl(fd, SIOCETHTOOL, &r))
		die("ethtool");
	for (unsigned i = 0; i < count; i++) {
		const char *name = (const char *)names->data + i * ETH_GSTRING_LEN;

		if (strstr(name, "rx_queue_") && strstr(name, "xdp_drops"))
			sum += stats->data[i];
	}
	free(stats);
	return sum;
}

struct snmp {
	uint64_t receives, delivers, datagrams, errors, no_ports, rcvbuf;
};

/* A line of names, then one of values. */
static void snmp_read(struct snmp *s)
{
	static const struct {
		const char *line, *name;
		size_t at;
	} wanted[] = {
	    {"Ip:", "InReceives", offsetof(struct snmp, receives)},
	    {"Ip:", "InDelivers", offsetof(struct snmp, delivers)},
	    {"Udp:", "InDatagrams", offsetof(struct snmp, datagrams)},
	    {"Udp:", "NoPorts", offsetof(struct snmp, no_ports)},
	    {"Udp:", "InErrors", offsetof(struct snmp, errors)},
	    {"Udp:", "RcvbufErrors", offsetof(struct snmp, rcvbuf)},
	};
	char names[2048], values[2048], *n, *v, *np, *vp;
	FILE *f = fopen("/proc/thread-self/net/snmp", "re");

	if (!f)
		die("/proc/net/snmp");
	while (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		char line[16] = "";

		sscanf(names, "%15s", line);
		n = strtok_r(names, " \n", &np);
		v = strtok_r(values, " \n", &vp);
		for (; n && v; n = strtok_r(NULL, " \n", &np), v = strtok_r(NULL, " \n", &vp))
			for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
				if (!strcmp(line, wanted[i].line) && !strcmp(n, wanted[i].name))
					*(uint64_t *)((char *)s + wanted[i].at) =
					    strtoull(v, NULL, 10);
	}
	fclose(f);
}

/* ---- back ends: begin() makes ruleset 0, commit() changes to ruleset k ---- */

static void run(const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	if (system(command)) {
		errno = 0;
		die(command);
	}
}

/* The source that ruleset k drops and the other does not. */
static const char *dropped_by(uint64_t k)
{
	return sources[k & 1 ? 2 : 3];
}

static void other_address(unsigned long i, char *text, size_t len)
{
	snprintf(text, len, "100.%lu.%lu.%lu", 64 + (i >> 16), (i >> 8) & 255, i & 255);
}

static char *text_of(const char *path, const char *head, const char *rule, const char *tail)
{
	FILE *f = fopen(path, "we");
	char address[32];

	if (!f)
		die(path);
	fputs(head, f);
	for (unsigned long i = 0; i < others; i++) {
		other_address(i, address, sizeof(address));
		fprintf(f, rule, address);
	}
	fputs(tail, f);
	if (fclose(f))
		die(path);
	return NULL;
}

static char scratch[64];

static void restore_begin(const char *command)
{
	text_of(scratch,
		"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT "
		"[0:0]\n:pick - [0:0]\n",
		"-A INPUT -s %s -j DROP\n",
		"-A INPUT -j pick\n"
		"-A pick -s 203.0.113.7 -j DROP\n-A pick -s 192.0.2.7 -j DROP\nCOMMIT\n");
	run("%s <%s", command, scratch);
}

static const xt_chainlabel pick = "pick";

static void legacy_begin(void)
{
	restore_begin("iptables-legacy-restore");
}

static void legacy_add(struct xtc_handle *h, const char *source)
{
	struct {
		struct ipt_entry e;
		struct xt_standard_target t;
	} rule = {0};

	rule.e.ip.src.s_addr = inet_addr(source);
	rule.e.ip.smsk.s_addr = 0xffffffff;
	rule.e.target_offset = sizeof(rule.e);
	rule.e.next_offset = sizeof(rule);
	rule.t.target.u.user.target_size = sizeof(rule.t);
	strcpy(rule.t.target.u.user.name, "DROP");
	if (!iptc_append_entry(pick, &rule.e, h))
		die("iptc_append_entry");
}

static void legacy_commit(uint64_t k)
{
	struct xtc_handle *h = iptc_init("filter");

	if (!h || !iptc_flush_entries(pick, h))
		die("iptc");
	legacy_add(h, sources[1]);
	legacy_add(h, dropped_by(k));
	/* The call returns when the counters of the old table have been added, too. */
	if (!iptc_commit(h))
		die("iptc_commit");
	iptc_free(h);
}

static void iptables_nft_begin(void)
{
	restore_begin("iptables-nft-restore");
}

static void spawn_with(const char *text, size_t len, char *const argv[])
{
	int fd = memfd_create("rules", MFD_CLOEXEC), status;
	posix_spawn_file_actions_t actions;
	pid_t pid;

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET))
		die("memfd");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 0);
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno || waitpid(pid, &status, 0) != pid || status)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	close(fd);
}

static void iptables_nft_commit(uint64_t k)
{
	char *noflush[] = {"iptables-nft-restore", "--noflush", NULL};
	char *whole[] = {"iptables-nft-restore", NULL};
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "*filter\n%s:pick - [0:0]\n%s"
			 "-A pick -s %s -j DROP\n-A pick -s %s -j DROP\nCOMMIT\n",
			 full ? ":INPUT ACCEPT [0:0]\n" : "", full ? "-A INPUT -j pick\n" : "",
			 sources[1], dropped_by(k));

	spawn_with(text, (size_t)n, full ? whole : noflush);
}

static struct nft_ctx *nft;

static void nft_begin(void)
{
	text_of(scratch,
		"table ip fw {\n chain pick { ip saddr 203.0.113.7 counter drop; ip saddr "
		"192.0.2.7 counter drop; }\n"
		" chain in {\n  type filter hook input priority 10; policy accept;\n",
		"  ip saddr %s counter drop\n", "  jump pick\n }\n}\n");
	run("nft -f %s", scratch);
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
}

static void nft_run(const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (nft_run_cmd_from_buffer(nft, text))
		die(text);
}

static void nft_commit(uint64_t k)
{
	if (full) {
		nft_run("flush ruleset\ntable ip fw {\n chain in {\n"
			"  type filter hook input priority 10; policy accept;\n"
			"  ip saddr %s counter drop\n  ip saddr %s counter drop\n }\n}\n",
			sources[1], dropped_by(k));
		return;
	}
	nft_run("flush chain ip fw pick\nadd rule ip fw pick ip saddr %s counter drop\n"
		"add rule ip fw pick ip saddr %s counter drop\n",
		sources[1], dropped_by(k));
}

static void nft_set_begin(void)
{
	text_of(scratch,
		"table ip fw {\n set bad { type ipv4_addr; elements = { 203.0.113.7, 192.0.2.7 "
		"} }\n"
		" chain in {\n  type filter hook input priority 10; policy accept;\n",
		"  ip saddr %s counter drop\n", "  ip saddr @bad counter drop\n }\n}\n");
	run("nft -f %s", scratch);
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
}

static void nft_set_commit(uint64_t k)
{
	nft_run("delete element ip fw bad { %s }\nadd element ip fw bad { %s }\n",
		dropped_by(k - 1), dropped_by(k));
}

static struct mnl_socket *sets;

static void ipset_begin(void)
{
	text_of(scratch,
		"create bad hash:ip\nadd bad 203.0.113.7\nadd bad 192.0.2.7\n"
		"create next hash:ip\nadd next 203.0.113.7\nadd next 198.51.100.7\n",
		"", "");
	run("ipset restore <%s", scratch);
	text_of(scratch, "*filter\n:INPUT ACCEPT [0:0]\n", "-A INPUT -s %s -j DROP\n",
		"-A INPUT -m set --match-set bad src -j DROP\nCOMMIT\n");
	run("iptables-legacy-restore <%s", scratch);
	sets = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!sets || mnl_socket_bind(sets, 0, MNL_SOCKET_AUTOPID))
		die("netlink");
}

static void ipset_commit(uint64_t k)
{
	char bytes[8192];
	struct nlmsghdr *h = mnl_nlmsg_put_header(bytes);
	struct nfgenmsg *g;
	ssize_t n;

	h->nlmsg_type = NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_SWAP;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_INET;
	mnl_attr_put_u8(h, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
	mnl_attr_put_strz(h, IPSET_ATTR_SETNAME, "bad");
	mnl_attr_put_strz(h, IPSET_ATTR_SETNAME2, "next");
	/* The kernel acts, and the observer sees it, before the call returns. */
	if (mnl_socket_sendto(sets, h, h->nlmsg_len) < 0)
		die("ipset");
	n = mnl_socket_recvfrom(sets, bytes, sizeof(bytes));
	if (n < 0 ||
	    mnl_cb_run(bytes, (size_t)n, 0, mnl_socket_get_portid(sets), NULL, NULL) < 0)
		die("ipset swap");
}

static const struct {
	const char *name;
	void (*begin)(void);
	void (*commit)(uint64_t k);
	const char *table; /* of nf_tables, that can be taken over */
} backends[] = {
    {"legacy", legacy_begin, legacy_commit, NULL},
    {"iptables-nft", iptables_nft_begin, iptables_nft_commit, "filter"},
    {"nft", nft_begin, nft_commit, "fw"},
    {"nft-set", nft_set_begin, nft_set_commit, "fw"},
    {"ipset", ipset_begin, ipset_commit, NULL},
};

#define NBACKENDS (sizeof(backends) / sizeof(backends[0]))

/* ---- times ---- */

static uint64_t *times;
static size_t ntimes;

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void times_print(const char *what)
{
	static const unsigned points[] = {0, 10, 50, 90, 99, 100};

	qsort(times, ntimes, sizeof(*times), by_value);
	printf("%s_ms n=%zu", what, ntimes);
	for (size_t i = 0; ntimes && i < sizeof(points) / sizeof(points[0]); i++)
		printf(" p%u=%.2f", points[i],
		       (double)times[(ntimes - 1) * points[i] / 100] / 1e6);
	printf("\n");
}

/* ---- the driver ---- */

/* Until a packet is dropped at XDP by a program that was made after the last commit, which
 * returned at `since`. */
static void service_wait(uint64_t since)
{
	uint64_t before;

	/* What was dropped until now is counted when the next packets of the queue are. */
	round_ask();
	rest(200000);
	round_ask();
	before = xdp_drops();
	while (xdp_drops() == before) {
		if (now_ns() - since > SERVICE_MS * 1000000ull) {
			fprintf(stderr, "flips: no program dropped anything for %d s\n",
				SERVICE_MS / 1000);
			exit(1);
		}
		rest(500000);
		round_ask();
	}
	times[ntimes++] = now_ns() - since;
}

/* Until the table sleeps. */
static void sleep_wait(const char *table)
{
	uint64_t start = now_ns();
	char command[128];

	snprintf(command, sizeof(command), "nft list table ip %s | grep -q 'flags dormant'",
		 table);
	while (system(command)) {
		if (now_ns() - start > SERVICE_MS * 1000000ull) {
			fprintf(stderr, "flips: table %s does not sleep\n", table);
			exit(1);
		}
		rest(50000000);
	}
}

static unsigned mask_of(uint64_t k)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < SOURCES; i++)
		mask |= (unsigned)accepts(i, k) << i;
	return mask;
}

/* Until a round was judged by ruleset k alone: the driver is the only one who commits, so the
 * round before was the old one's or was on its way during the switch. */
static void takeover_wait(uint64_t k, uint64_t since)
{
	while (round_ask() != mask_of(k)) {
		if (now_ns() - since > SERVICE_MS * 1000000ull) {
			fprintf(stderr, "flips: ruleset %llu is not in force after %d s\n",
				(unsigned long long)k, SERVICE_MS / 1000);
			exit(1);
		}
		rest(500000);
	}
	times[ntimes++] = now_ns() - since;
}

static void drive(void (*commit)(uint64_t k), const char *table)
{
	uint64_t returned = now_ns();

	if (takeover)
		sleep_wait(table);
	else
		service_wait(returned);
	for (uint64_t k = 1; k <= flips; k++) {
		if (!takeover && wait_each && k % wait_each == 0)
			service_wait(returned);
		if (pause_us)
			rest((uint64_t)rand_r(&seed) % pause_us * 1000);
		atomic_store(&begun, k);
		commit(k);
		returned = now_ns();
		if (takeover)
			takeover_wait(k, returned);
		atomic_store(&done, k);
		round_ask();
		round_ask();
		if (takeover && full)
			sleep_wait(table);
	}
	if (takeover)
		sleep_wait(table);
}

static uint64_t sender_report(const struct sender *s, const char *name)
{
	printf("sender=%s packets=%llu decided=%llu,%llu,%llu,%llu open=%llu wrongly_lost=%llu "
	       "wrongly_passed=%llu odd=%llu\n",
	       name, (unsigned long long)s->sent * SOURCES, (unsigned long long)s->decided[0],
	       (unsigned long long)s->decided[1], (unsigned long long)s->decided[2],
	       (unsigned long long)s->decided[3], (unsigned long long)s->open,
	       (unsigned long long)s->lost, (unsigned long long)s->passed,
	       (unsigned long long)s->missing);
	return s->lost + s->passed + s->missing;
}

/* Where every packet ended; how many are not accounted for. */
static uint64_t account(const struct snmp *a, const struct snmp *b, uint64_t xdp)
{
	uint64_t sent = ((uint64_t)driver.sent + freely.sent) * SOURCES;
	uint64_t received = b->receives - a->receives, delivered = b->delivers - a->delivers;
	uint64_t wrong;

	printf(
	    "sent=%llu dropped_at_xdp=%llu dropped_at_hooks=%llu delivered=%llu arrived=%llu "
	    "socket_errors=%llu\n",
	    (unsigned long long)sent, (unsigned long long)xdp,
	    (unsigned long long)(received - delivered), (unsigned long long)delivered,
	    (unsigned long long)arrived_all, (unsigned long long)(b->errors - a->errors));
	wrong = sent > xdp + received ? sent - xdp - received : xdp + received - sent;
	if (delivered != arrived_all)
		wrong++;
	if (wrong)
		printf("NOT ACCOUNTED FOR: %llu\n", (unsigned long long)wrong);
	return wrong;
}

static void parse(char *arg)
{
	char *value = strchr(arg, '=');

	if (!value)
		die(arg);
	*value++ = '\0';
	if (!strcmp(arg, "rules"))
		others = strtoul(value, NULL, 10);
	else if (!strcmp(arg, "wait"))
		wait_each = strtoul(value, NULL, 10);
	else if (!strcmp(arg, "free"))
		free_rate = strtoul(value, NULL, 10);
	else if (!strcmp(arg, "pause"))
		pause_us = strtoul(value, NULL, 10);
	else if (!strcmp(arg, "seed"))
		seed = (unsigned)strtoul(value, NULL, 10);
	else if (!strcmp(arg, "full"))
		full = strcmp(value, "0") != 0;
	else if (!strcmp(arg, "mode"))
		takeover = !strcmp(value, "takeover");
	else
		die(arg);
}

int main(int argc, char **argv)
{
	struct snmp before = {0}, after = {0};
	pthread_t receiving, sending;
	uint64_t start, wrong, xdp;
	size_t b;

	for (b = 0; argc > 5 && b < NBACKENDS && strcmp(argv[4], backends[b].name); b++)
		;
	if (argc < 6 || b == NBACKENDS) {
		fputs("Usage: flips WIRE-NETNS INTERFACE HOST-NETNS BACKEND FLIPS "
		      "[KEY=VALUE]...\n",
		      stderr);
		return 2;
	}
	wire = argv[1];
	ifname = argv[2];
	host = argv[3];
	backend = argv[4];
	flips = strtoul(argv[5], NULL, 10);
	for (int i = 6; i < argc; i++)
		parse(argv[i]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	times = calloc(flips + 2, sizeof(*times));
	snprintf(scratch, sizeof(scratch), "/tmp/flips-%d", getpid());

	enter(wire);
	driver.out = wire_open();
	freely.out = wire_open();
	enter(host);
	socket_open();
	backends[b].begin();
	unlink(scratch);
	snmp_read(&before);
	xdp = xdp_drops();
	start = now_ns();
	pthread_create(&receiving, NULL, receiver, NULL);
	if (free_rate)
		pthread_create(&sending, NULL, free_sender, NULL);
	drive(backends[b].commit, backends[b].table);
	stopped = true;
	if (free_rate)
		pthread_join(sending, NULL);
	/* Behind all others. */
	round_ask();
	rest(50000000);
	ending = true;
	pthread_join(receiving, NULL);
	snmp_read(&after);
	xdp = xdp_drops() - xdp;
	printf("backend=%s mode=%s flips=%lu rules=%lu seconds=%.1f\n", backend,
	       takeover ? "takeover" : "assist", flips, others,
	       (double)(now_ns() - start) / 1e9);
	wrong = sender_report(&driver, "driver");
	wrong += sender_report(&freely, "free");
	wrong += account(&before, &after, xdp);
	times_print(takeover ? "commit_to_new_program" : "commit_to_first_drop_at_xdp");
	return wrong != 0;
}
