// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel as oracle, by the thousand.  For each of many rulesets (random ones of genrules.h,
 * or files) a process of its own makes three network namespaces: W sends; A is filtered by
 * netfilter alone; B has the same rules and our programs, at xdp, tc or the netfilter hooks.
 * Batches of the same frames go to both, then short conversations (TCP with the hosts'
 * listeners, UDP with their echoes, ICMP errors about both), so that packets of established and
 * related flows pass too.  After each batch
 *
 *  - what came out of A and of B (forwarded packets, the hosts' answers), with the interface,
 * must be the same;
 *  - every rule's and policy's counters of A must equal those of B's kernel plus B's programs.
 *
 * A disagreement is looked for again in fresh namespaces, first with fewer frames, then with
 * fewer lines of rules, and written down with the command that shows it.  At the end: how many
 * packets each match and target has met in both outcomes.  What no packet has hit is not
 * tested.
 *
 * Frames of one batch come in at one interface and the sender stays on one CPU: the order is
 * then the same in A and B, and rules that count or limit agree packet for packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aim.h"
#include "frame.h"
#include "genrules.h"
#include "placement.h"
#include "read/read.h"
#include "service.h"
#include "state.h"

#define BATCH 200
#define FLOWS 24

enum back { LEGACY, COMPAT, NATIVE, NBACK };
static const char *const back_names[] = {"legacy", "compat", "native"};
static const char *const part_names[NGEN_PART] = {"sets.ipset", "rules.v4", "rules.v6",
						  "rules.nft"};

struct feature {
	char name[56];
	uint64_t matched, passed,
	    ours; /* by netfilter in A; and how many of the matched our programs took in B */
};

/* Shared by all processes. */
struct tally {
	struct feature features[2048];
	size_t nfeatures;
	uint64_t rulesets, refused, lines, lines_out, packets, early, came_out, compared,
	    disagreements, unstable, broken;
};

static struct tally *tally;
static struct kern_caps caps;
static char work[64]; /* a directory of this run */
static bool verbose;
static double shrink_seconds = 150;
static volatile sig_atomic_t stopped; /* asked to end: after the ruleset at hand */

static void stop(int signal)
{
	stopped = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "kernelcheck: %s: %s\n", what, strerror(errno));
	exit(3);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- namespaces ---- */

struct task {
	enum back back;
	enum site_kind site;
	int rp_filter;
	struct gen_rules rules;
};

struct count {
	const struct origin *from;
	const struct rule *rule;   /* NULL: a policy */
	const struct rule *before; /* the rule before it in its chain */
	bool ingress;
	struct counter_value v;
};

struct counts {
	struct count *c;
	size_t n;
	struct ruleset *rs;
};

/* Where a program's counter goes. */
struct link {
	enum site_kind site;
	char place[64];
	const struct ir *ir;
	long *to; /* index into counts, or -1 */
	struct link *next;
};

/* What came out of a host, without what it chose at random. */
struct came {
	uint64_t hash;
	uint32_t len;
	uint8_t port, head[78];
};

struct heap {
	struct came *all;
	size_t n, room;
};

struct lab {
	int w, a, b;
	pid_t echo[2];
	int out[4], in[4]; /* packet sockets: send, receive; a0 a1 b0 b1 */
	struct service s;
	struct options o;
	struct link *links;
	struct heap came[2];
	char state_dir[96];
	const char *names[2];
};

static int netns_here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open netns");
	return fd;
}

static int netns_new(void)
{
	if (unshare(CLONE_NEWNET))
		die("unshare");
	return netns_here();
}

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		die("setns");
}

static void sysctl(const char *name, int value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	f = fopen(path, "w");
	if (!f)
		return; /* not of this kernel */
	fprintf(f, "%d\n", value);
	fclose(f);
}

/* Runs a command in the calling process's namespace, with its errors in work/errors. */
static int run(const char *fmt, ...)
{
	char command[512];
	va_list ap;
	int status;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		char path[128];
		int fd;

		snprintf(path, sizeof(path), "%s/errors", work);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 2);
		execl("/bin/sh", "sh", "-ec", command, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void batch_ip(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ip", work);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		die(path);
	if (run("ip -batch %s", path)) {
		run("cat %s/errors >&2", work);
		die("ip -batch");
	}
}

static void set_gro(const char *name, bool on)
{
	struct ethtool_value v = {.cmd = ETHTOOL_SGRO, .data = on};
	struct ifreq r = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	r.ifr_data = (char *)&v;
	ioctl(fd, SIOCETHTOOL, &r);
	close(fd);
}

static void host_sysctls(int rp)
{
	static const struct {
		const char *name;
		int value;
	} all[] = {
	    {"ipv6/conf/default/accept_dad", 0},
	    {"ipv6/conf/all/accept_dad", 0},
	    {"ipv6/conf/default/autoconf", 0},
	    {"ipv6/conf/default/accept_ra", 0},
	    {"ipv6/conf/default/router_solicitations", 0},
	    {"ipv6/conf/default/addr_gen_mode", 1},
	    {"ipv6/conf/all/forwarding", 1},
	    {"ipv4/ip_forward", 1},
	    {"ipv4/icmp_ratelimit", 0},
	    {"ipv6/icmp/ratelimit", 0},
	    {"ipv4/icmp_msgs_per_sec", 1000000},
	    {"ipv4/icmp_msgs_burst", 1000000},
	    {"ipv4/conf/all/send_redirects", 0},
	    {"ipv4/conf/default/send_redirects", 0},
	    {"ipv4/tcp_synack_retries", 0},
	    {"ipv4/tcp_syncookies", 0},
	    {"ipv4/tcp_max_syn_backlog", 65536},
	    {"core/somaxconn", 65536},
	    {"ipv4/tcp_invalid_ratelimit", 0},
	    {"ipv4/tcp_challenge_ack_limit", 100000000},
	    {"ipv4/tcp_timestamps", 0},
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sysctl(all[i].name, all[i].value);
	sysctl("ipv4/conf/all/rp_filter", rp);
	sysctl("ipv4/conf/default/rp_filter", rp);
}

static void host_make(struct lab *l, int ns, char letter, int rp)
{
	char text[512];

	enter(ns);
	host_sysctls(rp);
	enter(l->w);
	snprintf(text, sizeof(text),
		 "link add %c0 type veth peer name eth0 address 02:00:00:00:00:00 netns "
		 "/proc/%d/fd/%d\n"
		 "link add %c1 type veth peer name eth1 address 02:00:00:00:00:01 netns "
		 "/proc/%d/fd/%d\n"
		 "link set %c0 up\nlink set %c1 up\n",
		 letter, getpid(), ns, letter, getpid(), ns, letter, letter);
	batch_ip(text);
	enter(ns);
	set_gro("eth0", false);
	set_gro("eth1", false);
	batch_ip("link set lo up\nlink set eth0 up\nlink set eth1 up\n"
		 "addr add 10.9.0.1/24 dev eth0\naddr add 10.9.1.1/24 dev eth1\n"
		 "addr add 2001:db8:9::1/64 dev eth0 nodad\naddr add 2001:db8:a::1/64 dev eth1 "
		 "nodad\n"
		 "neigh add 10.9.0.2 lladdr 02:00:00:00:00:aa dev eth0\nneigh add 10.9.1.2 "
		 "lladdr 02:00:00:00:00:bb dev eth1\n"
		 "neigh add 2001:db8:9::2 lladdr 02:00:00:00:00:aa dev eth0\nneigh add "
		 "2001:db8:a::2 lladdr 02:00:00:00:00:bb dev eth1\n"
		 "route add default via 10.9.0.2\nroute add default via 2001:db8:9::2\n");
	enter(l->w);
}

/* ---- the hosts' servers: TCP listeners that read, UDP echoes ---- */

static const uint16_t served_ports[] = {22, 80, 443, 8080, 53};
#define NSERVED 5

static bool is_served(uint16_t port)
{
	size_t i;

	for (i = 0; i < NSERVED; i++)
		if (served_ports[i] == port)
			return true;
	return false;
}

static int serve(int type, uint16_t port)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    (type == SOCK_STREAM && listen(fd, 65535)))
		die("server");
	return fd;
}

static void serve_one(struct pollfd *p, size_t *n, size_t i)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t bytes[2048];
	ssize_t got;
	int fd;

	if (i < NSERVED) {
		fd = accept4(p[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0 && *n < 1000)
			p[(*n)++] = (struct pollfd){.fd = fd, .events = POLLIN};
		else if (fd >= 0)
			close(fd);
	} else if (i < 2 * NSERVED) {
		got =
		    recvfrom(p[i].fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
		/* Not to another echo. */
		if (got >= 0 && !is_served(ntohs(((struct sockaddr_in6 *)&from)->sin6_port)))
			sendto(p[i].fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, len);
	} else if (recv(p[i].fd, bytes, sizeof(bytes), 0) <= 0) {
		/* Closing would say something, and again until it is heard. */
		shutdown(p[i].fd, SHUT_RD);
		p[i] = p[--*n];
	}
}

static pid_t servers_start(int ns)
{
	static struct pollfd p[1024];
	size_t n = 2 * NSERVED, i;
	int ready[2];
	char c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		die("pipe");
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			die("servers");
		close(ready[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(ns);
	for (i = 0; i < NSERVED; i++) {
		p[i] = (struct pollfd){.fd = serve(SOCK_STREAM, served_ports[i]),
				       .events = POLLIN};
		p[NSERVED + i] =
		    (struct pollfd){.fd = serve(SOCK_DGRAM, served_ports[i]), .events = POLLIN};
	}
	if (write(ready[1], "", 1) != 1)
		_exit(1);
	for (;;) {
		poll(p, n, -1);
		for (i = n; i--;)
			if (p[i].revents)
				serve_one(p, &n, i);
	}
}

/* ---- rules ---- */

static const char *loader(enum back back, enum gen_part part)
{
	switch (part) {
	case GEN_SETS:
		return "ipset restore <";
	case GEN_V4:
		return back == LEGACY ? "iptables-legacy-restore" : "iptables-nft-restore";
	case GEN_V6:
		return back == LEGACY ? "ip6tables-legacy-restore" : "ip6tables-nft-restore";
	default:
		return "nft -f";
	}
}

/* The line that the tool complains of, from 1 among those that were written; 0: it does not
 * say. */
static unsigned error_line(void)
{
	char path[128], line[512], *at;
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/errors", work);
	f = fopen(path, "r");
	while (f && !n && fgets(line, sizeof(line), f)) {
		at = strstr(line, "rules.nft:");
		if (at)
			sscanf(at, "rules.nft:%u", &n);
		at = strstr(line, "line: ");
		if (!n && at)
			sscanf(at, "line: %u", &n);
		at = strstr(line, "line ");
		if (!n && at)
			sscanf(at, "line %u", &n);
	}
	if (f)
		fclose(f);
	return n;
}

static bool take_out(struct gen_text *t, unsigned written)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!t->out[i] && !--written) {
			if (!strncmp(t->lines[i], "COMMIT", 6) || t->lines[i][0] == '*' ||
			    !t->lines[i][0])
				return false;
			t->out[i] = true;
			return true;
		}
	return false;
}

/* tries: how often a line that is refused may be taken out. 0, or 1: refused. */
static int part_load(struct task *t, enum gen_part part, int tries)
{
	char path[128];
	unsigned line;

	if (!t->rules.part[part].n)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", work, part_names[part]);
	for (;;) {
		if (gen_text_write(&t->rules.part[part], path))
			die(path);
		if (!run("%s %s", loader(t->back, part), path))
			return 0;
		line = error_line();
		if (!tries-- || !line || !take_out(&t->rules.part[part], line))
			return 1;
		if (part == GEN_SETS)
			run("ipset destroy");
		tally->lines_out++;
	}
}

static int rules_load(struct task *t, int ns, int tries)
{
	int part, err = 0;

	enter(ns);
	for (part = 0; part < NGEN_PART && !err; part++)
		err = part_load(t, (enum gen_part)part, tries);
	return err;
}

/* ---- counters ---- */

static const char *rule_jump(const struct rule *r, size_t i)
{
	if (r->kind == BACKEND_LEGACY)
		return i ? NULL : r->xt.jump;
	return i < r->nexprs && r->exprs[i].kind == NEXPR_IMMEDIATE &&
		       r->exprs[i].immediate.is_verdict
		   ? r->exprs[i].immediate.verdict.chain
		   : NULL;
}

static bool chain_reached(const struct table *t, const struct chain *from,
			  const struct chain *to, int depth)
{
	const struct chain *next;
	const struct nft_set *set;
	const struct rule *r;
	const char *name;
	size_t i;

	if (from == to)
		return true;
	if (depth > 20)
		return false;
	for (r = from->rules; r; r = r->next) {
		for (i = 0; i <= r->nexprs; i++) {
			name = rule_jump(r, i);
			next = name ? table_find_chain(t, name) : NULL;
			if (next && chain_reached(t, next, to, depth + 1))
				return true;
		}
	}
	for (set = t->sets; set; set = set->next)
		for (i = 0; i < set->nelems; i++)
			if (set->elems[i].has_verdict && set->elems[i].verdict.chain &&
			    !strcmp(set->elems[i].verdict.chain, to->name))
				return true;
	return false;
}

/* Whatever only hooks behind a host's own answers reach moves with those, not with our frames
 * alone. */
static bool chain_is_ingress(const struct table *t, const struct chain *c)
{
	const struct chain *base;
	bool reached = false;

	for (base = t->chains; base; base = base->next) {
		if (!base->is_base || !chain_reached(t, base, c, 0))
			continue;
		if (base->hook > HOOK_FORWARD && base->hook != HOOK_INGRESS)
			return false;
		reached = true;
	}
	return reached;
}

static struct counts counts_read(const struct lab *l, int ns)
{
	struct counts out = {.rs = ruleset_new()};
	struct diag d = {0};
	const struct table *t;
	const struct chain *c;
	const struct rule *r, *before;
	size_t room = 0;
	bool ingress;

	enter(ns);
	if (read_nft(out.rs, &d) || read_ipt(out.rs, &d)) {
		diag_print(&d, stderr, "kernelcheck");
		exit(3);
	}
	enter(l->w);
	for (t = out.rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			room += c->nrules + 1;
	out.c = calloc(room + 1, sizeof(*out.c));
	for (t = out.rs->tables; t; t = t->next) {
		for (c = t->chains; c; c = c->next) {
			ingress = chain_is_ingress(t, c);
			if (c->has_policy_counter)
				out.c[out.n++] =
				    (struct count){&c->from,
						   NULL,
						   NULL,
						   ingress,
						   {c->policy_packets, c->policy_bytes}};
			before = NULL;
			for (r = c->rules; r; before = r, r = r->next)
				if (r->has_counter)
					out.c[out.n++] = (struct count){&r->from,
									r,
									before,
									ingress,
									{r->packets, r->bytes}};
		}
	}
	diag_free(&d);
	return out;
}

static void counts_free(struct counts *c)
{
	free(c->c);
	ruleset_free(c->rs);
	c->c = NULL;
	c->rs = NULL;
	c->n = 0;
}

static long counts_find(const struct counts *c, const struct origin *from)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (origin_same(c->c[i].from, from))
			return (long)i;
	return -1;
}

static void link_add(struct lab *l, const struct counts *c, const struct ir *ir,
		     enum site_kind site, const char *place)
{
	struct link *k = calloc(1, sizeof(*k));
	uint32_t i;

	k->site = site;
	k->ir = ir;
	snprintf(k->place, sizeof(k->place), "%s", place);
	k->to = calloc(ir->ncounters + 1, sizeof(*k->to));
	for (i = 0; i < ir->ncounters; i++)
		k->to[i] = ir->counters[i].in_view ? counts_find(c, &ir->counters[i].from) : -1;
	k->next = l->links;
	l->links = k;
}

static void links_make(struct lab *l)
{
	struct counts c = counts_read(l, l->b);
	const struct unit *u;
	char place[64];

	if (l->s.loaded)
		link_add(l, &c, l->s.early->ir, l->s.early->site, "early");
	for (u = l->s.hooks; u; u = u->next) {
		if (!u->emitted || !u->ir->entries[ENTRY_HOOK].used)
			continue;
		snprintf(place, sizeof(place), "%s %s %d", family_name(u->family),
			 hook_name(u->chain->hook), u->chain->priority);
		link_add(l, &c, u->ir, SITE_HOOK, place);
	}
	counts_free(&c);
}

/* ours: per counter, what the programs took; may be NULL. */
static void counts_add_programs(struct lab *l, struct counts *c, uint64_t *ours)
{
	struct counter_value *v;
	struct diag d = {0};
	const struct link *k;
	uint32_t i;
	int err;

	enter(l->b);
	for (k = l->links; k; k = k->next) {
		v = calloc(k->ir->ncounters + 1, sizeof(*v));
		err =
		    k->site == SITE_HOOK
			? kern_pinned_counters(NULL, k->site, k->place, v, k->ir->ncounters, &d)
			: kern_counters(l->s.loaded, v, k->ir->ncounters, &d);
		for (i = 0; !err && i < k->ir->ncounters; i++) {
			if (k->to[i] < 0)
				continue;
			c->c[k->to[i]].v.packets += v[i].packets;
			c->c[k->to[i]].v.bytes += v[i].bytes;
			if (ours)
				ours[k->to[i]] += v[i].packets;
		}
		free(v);
	}
	enter(l->w);
	diag_free(&d);
}

static size_t compare(const struct counts *a, const struct counts *b, FILE *say)
{
	struct buf text = {0};
	size_t i, wrong = 0;

	for (i = 0; i < a->n && i < b->n; i++) {
		if (!a->c[i].ingress || (a->c[i].v.packets == b->c[i].v.packets &&
					 a->c[i].v.bytes == b->c[i].v.bytes))
			continue;
		wrong++;
		if (!say)
			continue;
		text.len = 0;
		origin_print(a->c[i].from, &text);
		fprintf(
		    say, "  %s: netfilter %llu/%llu, with us %llu/%llu\n", buf_str(&text),
		    (unsigned long long)a->c[i].v.packets, (unsigned long long)a->c[i].v.bytes,
		    (unsigned long long)b->c[i].v.packets, (unsigned long long)b->c[i].v.bytes);
	}
	buf_free(&text);
	return wrong + (a->n != b->n);
}

/* ---- what came out ---- */

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static bool own_source(const uint8_t *nh, bool six)
{
	static const uint8_t net[8] = {0x20, 1, 0x0d, 0xb8, 0, 9}, zero[7];

	if (!six)
		return be32(nh + 12) == 0x0a090001 || be32(nh + 12) == 0x0a090101;
	return !memcmp(nh + 8, net, 5) && (nh[13] == 9 || nh[13] == 10) &&
	       !memcmp(nh + 16, zero, 7) && nh[23] == 1;
}

/* Of an error only the addresses, protocol and ports that it is about: a host's own numbers are
 * in it. */
static size_t normalise_error(uint8_t *inner, size_t len, bool six)
{
	size_t ihl = six ? 40 : 20;

	if (len < ihl + 4)
		return len;
	if (six) {
		memset(inner, 0, 6);
	} else {
		put_be16(inner + 4, 0);
		put_be16(inner + 10, 0);
	}
	return ihl + 4;
}

/* What a host chooses at random (identifiers, sequence numbers, labels) and what follows from
 * it is blanked. */
static bool out_normalise(uint8_t *p, size_t *len)
{
	bool six = be16(p + 12) == 0x86dd;
	uint8_t *nh = p + 14, *th, proto;
	size_t ihl = six ? 40 : 4u * (nh[0] & 15), total;

	if ((!six && be16(p + 12) != 0x0800) || *len < 14 + ihl)
		return false;
	total = six ? 40u + be16(nh + 4) : be16(nh + 2);
	if (total + 14 < *len)
		*len = total + 14;
	proto = nh[six ? 6 : 9];
	th = nh + ihl;
	if (six && nh[24] == 0xff && nh[39] == 0x16)
		return false; /* multicast listener reports */
	if (six) {
		nh[1] &= 0xf0;
		nh[2] = nh[3] = 0;
	} else {
		put_be16(nh + 4, 0);
		put_be16(nh + 10, 0);
		if (proto == 2)
			return false;
	}
	if (*len < 14 + ihl + 8 || (!six && be16(nh + 6) & 0x1fff))
		return true;
	/* Listeners' own messages, and fragments that nobody completed. */
	if (proto == 58 &&
	    ((th[0] >= 130 && th[0] <= 137) || th[0] == 143 || (th[0] == 3 && th[1] == 1)))
		return false;
	if (proto == 1 && th[0] == 11 && th[1] == 1)
		return false;
	/* Masquerading may choose a port or an identifier. */
	if (own_source(nh, six) && (proto == 1 || proto == 58))
		put_be16(th + 4, 0);
	else if (own_source(nh, six) && !is_served(be16(th)))
		put_be16(th, 0);
	if (proto == 6 && *len >= 14 + ihl + 20) {
		memset(th + 4, 0, 8);
		memset(th + 14, 0, 6);
	} else if (proto == 1 || proto == 58) {
		put_be16(th + 2, 0);
		if (six ? th[0] < 128
			: th[0] == 3 || th[0] == 4 || th[0] == 5 || th[0] == 11 || th[0] == 12)
			*len = 14 + ihl + 8 + normalise_error(th + 8, *len - 14 - ihl - 8, six);
	}
	/* When a host acknowledges is a matter of time. */
	return !(proto == 6 && *len <= 14 + ihl + 20 && th[13] == 0x10 && own_source(nh, six));
}

static void heap_add(struct heap *h, int port, const uint8_t *p, size_t len)
{
	struct came *c;

	if (h->n == h->room) {
		h->room = h->room ? 2 * h->room : 1024;
		h->all = realloc(h->all, h->room * sizeof(*h->all));
		if (!h->all)
			abort();
	}
	c = &h->all[h->n++];
	memset(c, 0, sizeof(*c));
	c->port = (uint8_t)port;
	c->len = (uint32_t)len;
	memcpy(c->head, p, len < sizeof(c->head) ? len : sizeof(c->head));
	c->hash = hash_bytes(0xcbf29ce484222325ull + (uint64_t)port, p + 12, len - 12);
}

static int hash_order(const void *a, const void *b)
{
	uint64_t x = ((const struct came *)a)->hash, y = ((const struct came *)b)->hash;

	return x < y ? -1 : x > y;
}

/* An answer of a host to W, for conversations. */
typedef void listen_fn(void *ctx, int side, const uint8_t *frame, size_t len);

static void out_collect(struct lab *l, listen_fn *fn, void *ctx)
{
	uint8_t p[2048];
	size_t len;
	ssize_t got;
	int i;

	for (i = 0; i < 4; i++) {
		while ((got = recv(l->in[i], p, sizeof(p), MSG_DONTWAIT)) > 34) {
			len = (size_t)got;
			if (fn)
				fn(ctx, i / 2, p, len);
			if (out_normalise(p, &len))
				heap_add(&l->came[i / 2], i % 2, p, len);
		}
	}
}

static void out_say(FILE *say, const char *host, const struct came *c)
{
	size_t i;

	fprintf(say, "  came out of %s only, eth%d, %u bytes: ", host, c->port, c->len);
	for (i = 12; i < c->len && i < sizeof(c->head); i++)
		fprintf(say, "%02x", c->head[i]);
	fputc('\n', say);
}

/* The number of packets that came out of one host only. */
static size_t out_compare(struct lab *l, FILE *say)
{
	struct heap *a = &l->came[0], *b = &l->came[1];
	size_t i = 0, j = 0, wrong = 0;

	if (a->n)
		qsort(a->all, a->n, sizeof(*a->all), hash_order);
	if (b->n)
		qsort(b->all, b->n, sizeof(*b->all), hash_order);
	while (i < a->n || j < b->n) {
		if (i < a->n && j < b->n && a->all[i].hash == b->all[j].hash) {
			i++, j++;
			continue;
		}
		wrong++;
		if (j == b->n || (i < a->n && a->all[i].hash < b->all[j].hash)) {
			if (say && wrong < 6)
				out_say(say, "A", &a->all[i]);
			i++;
		} else {
			if (say && wrong < 6)
				out_say(say, "B", &b->all[j]);
			j++;
		}
	}
	return wrong;
}

/* ---- the lab ---- */

static int socket_out(const char *name)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || !ll.sll_ifindex || bind(fd, (struct sockaddr *)&ll, sizeof(ll)))
		die(name);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	return fd;
}

static int socket_in(const char *name)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, room = 8 << 20;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&ll, sizeof(ll)))
		die(name);
	return fd;
}

static void lab_close(struct lab *l)
{
	struct diag d = {0};
	struct link *k;
	size_t removed;
	int i;

	for (i = 0; i < 2; i++) {
		if (l->echo[i] > 0) {
			kill(l->echo[i], SIGKILL);
			waitpid(l->echo[i], NULL, 0);
		}
		free(l->came[i].all);
	}
	for (i = 0; i < 4; i++) {
		if (l->in[i] > 0)
			close(l->in[i]);
		if (l->out[i] > 0)
			close(l->out[i]);
	}
	enter(l->b);
	kern_off(NULL, &removed, &d);
	state_remove(l->state_dir);
	rmdir(l->state_dir);
	if (l->s.rs)
		service_close(&l->s);
	while ((k = l->links)) {
		l->links = k->next;
		free(k->to);
		free(k);
	}
	close(l->a);
	close(l->b);
	close(l->w);
	diag_free(&d);
}

/* 0; 1: the tools refuse the rules; -1: we could not load our programs, which is a finding. */
static int lab_open(struct lab *l, struct task *t, int tries, FILE *say)
{
	static const char *const wires[] = {"a0", "a1", "b0", "b1"};
	struct diag d = {0};
	bool changed;
	int i;

	memset(l, 0, sizeof(*l));
	l->a = netns_new();
	l->b = netns_new();
	l->w = netns_new();
	sysctl("ipv6/conf/default/disable_ipv6", 1);
	snprintf(l->state_dir, sizeof(l->state_dir), "%s/state", work);
	mkdir(l->state_dir, 0700);
	host_make(l, l->a, 'a', t->rp_filter);
	host_make(l, l->b, 'b', t->rp_filter);
	if (rules_load(t, l->a, tries) || rules_load(t, l->b, 0)) {
		lab_close(l);
		return 1;
	}
	l->names[0] = "eth0";
	l->names[1] = "eth1";
	l->s.caps = caps;
	l->o = (struct options){.site = t->site == SITE_HOOK ? SITE_XDP : t->site,
				.state_dir = l->state_dir,
				.interfaces = l->names,
				.ninterfaces = 2,
				.early_off = t->site == SITE_HOOK,
				.hook = t->site == SITE_HOOK};
	enter(l->b);
	if (service_update(&l->s, &l->o, &changed, &d)) {
		if (say)
			diag_print(&d, say, "kernelcheck");
		diag_free(&d);
		lab_close(l);
		return -1;
	}
	diag_free(&d);
	/* Attaching a program to a veth turns its NAPI on, with GRO as the device is set. */
	set_gro("eth0", false);
	set_gro("eth1", false);
	links_make(l);
	l->echo[0] = servers_start(l->a);
	l->echo[1] = servers_start(l->b);
	enter(l->w);
	for (i = 0; i < 4; i++) {
		l->out[i] = socket_out(wires[i]);
		l->in[i] = socket_in(wires[i]);
	}
	usleep(20000); /* the hosts say what they say when an interface comes up */
	out_collect(l, NULL, NULL);
	l->came[0].n = l->came[1].n = 0;
	return 0;
}

/* What the counters and the outputs say now, with some patience. 0: the same. */
static size_t lab_compare(struct lab *l, listen_fn *fn, void *ctx, FILE *say)
{
	struct counts a, b;
	size_t wrong;
	bool same;
	int tries;

	for (tries = 0;; tries++) {
		a = counts_read(l, l->a);
		b = counts_read(l, l->b);
		counts_add_programs(l, &b, NULL);
		out_collect(l, fn, ctx);
		wrong = compare(&a, &b, NULL);
		same = !out_compare(l, NULL);
		if ((!wrong && same) || tries == 12)
			break;
		counts_free(&a);
		counts_free(&b);
		usleep(1000u << (tries < 5 ? tries : 5));
	}
	if (wrong && say)
		compare(&a, &b, say);
	if (!same && say)
		out_compare(l, say);
	tally->came_out += l->came[0].n;
	tally->compared++;
	l->came[0].n = l->came[1].n = 0;
	counts_free(&a);
	counts_free(&b);
	return wrong + !same;
}

/* ---- frames ---- */

static void send_side(struct lab *l, int side, const struct frame *f)
{
	int tries = 0;

	while (send(l->out[2 * side + f->port], f->bytes, f->len, 0) < 0) {
		if (errno != ENOBUFS || tries++ > 100)
			die("send");
		usleep(100);
	}
}

static size_t batch_run(struct lab *l, const struct frame *f, size_t n, FILE *say)
{
	size_t i;

	for (i = 0; i < n; i++) {
		send_side(l, 0, &f[i]);
		send_side(l, 1, &f[i]);
	}
	return lab_compare(l, NULL, NULL, say);
}

struct source {
	struct frame_source *plain;
	struct aim *aim;
	uint64_t state;
};

static struct source source_new(const struct lab *l, uint64_t seed)
{
	const struct unit *u;
	struct source s = {.aim = aim_new(seed), .state = seed | 1};

	if (l->s.early && l->s.early->ir)
		aim_add(s.aim, l->s.early->ir);
	for (u = l->s.hooks; u; u = u->next)
		if (u->ir && u->chain->hook <= HOOK_FORWARD)
			aim_add(s.aim, u->ir);
	s.plain = frame_source_new(l->s.early   ? l->s.early->ir
				   : l->s.hooks ? l->s.hooks->ir
						: NULL,
				   seed);
	return s;
}

static void source_next(struct source *s, int port, struct frame *f)
{
	static const uint8_t own[2][6] = {{2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 1}};
	unsigned kind = (unsigned)(gen_random(&s->state) >> 20) % 100;

	if (kind < 45 || !aim_next(s->aim, f))
		frame_next(s->plain, f);
	if (kind >= 85 && f->len >= 60)
		aim_mutate(s->aim, f);
	if (f->len < 15)
		f->len = 15;
	f->port = port;
	if (!f->pkttype)
		memcpy(f->bytes, own[port], 6);
}

/* ---- conversations ---- */

struct flow {
	bool six, udp;
	uint16_t sport, dport;
	uint32_t seq, ack[2];
	bool answered[2];
};

struct talk {
	struct flow flows[FLOWS];
	uint64_t state;
};

static void talk_listen(void *ctx, int side, const uint8_t *p, size_t len)
{
	bool six = be16(p + 12) == 0x86dd;
	const uint8_t *th = p + 14 + (six ? 40 : 20);
	struct talk *t = ctx;
	struct flow *f;

	if (len < (size_t)(th - p) + 8)
		return;
	for (f = t->flows; f < t->flows + FLOWS; f++) {
		if (f->six != six || be16(th + 2) != f->sport || be16(th) != f->dport ||
		    p[14 + (six ? 6 : 9)] != (f->udp ? 17 : 6))
			continue;
		f->answered[side] = true;
		if (!f->udp && th[13] == 0x12)
			f->ack[side] = be32(th + 4) + 1;
	}
}

static void flow_addresses(const struct flow *f, uint8_t *nh, bool back)
{
	static const uint8_t six[2][16] = {
	    {0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
	    {0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

	if (f->six) {
		memcpy(nh + 8, six[back], 16);
		memcpy(nh + 24, six[!back], 16);
	} else {
		put_be32(nh + 12, back ? 0x0a090001 : 0x0a090002);
		put_be32(nh + 16, back ? 0x0a090002 : 0x0a090001);
	}
}

static void flow_network(const struct flow *f, uint8_t *nh, uint8_t proto, size_t l4, bool back)
{
	nh[0] = f->six ? 0x60 : 0x45;
	nh[f->six ? 7 : 8] = 64;
	nh[f->six ? 6 : 9] = proto;
	put_be16(nh + (f->six ? 4 : 2), (uint16_t)(f->six ? l4 : l4 + 20));
	flow_addresses(f, nh, back);
}

static void mend(struct frame *f, bool six);

static void flow_start(struct frame *out, const struct flow *f)
{
	memset(out, 0, sizeof(*out));
	out->bytes[0] = out->bytes[6] = 2;
	out->bytes[11] = 0xaa;
	put_be16(out->bytes + 12, f->six ? 0x86dd : 0x0800);
	out->iifname = "eth0";
}

static void flow_segment(struct frame *out, const struct flow *f, int side, uint8_t flags,
			 size_t data)
{
	uint8_t *nh = out->bytes + 14, *th = nh + (f->six ? 40 : 20);

	flow_start(out, f);
	put_be16(th, f->sport);
	put_be16(th + 2, f->dport);
	if (f->udp) {
		put_be16(th + 4, (uint16_t)(8 + data));
		flow_network(f, nh, 17, 8 + data, false);
	} else {
		put_be32(th + 4, f->seq + (flags != 2));
		put_be32(th + 8, flags & 0x10 ? f->ack[side] : 0);
		th[12] = 0x50;
		th[13] = flags;
		put_be16(th + 14, 64000);
		flow_network(f, nh, 6, 20 + data, false);
	}
	out->len = (size_t)(th - out->bytes) + (f->udp ? 8 : 20) + data;
	mend(out, f->six);
}

/* An ICMP error about what the host has answered, or would have. */
static void flow_error(struct frame *out, const struct flow *f, int side)
{
	uint8_t *nh = out->bytes + 14, *th = nh + (f->six ? 40 : 20), *inner = th + 8,
		*it = inner + (f->six ? 40 : 20);

	flow_start(out, f);
	th[0] = f->six ? 1 : 3;
	th[1] = f->six ? 4 : 3;
	flow_network(f, inner, f->udp ? 17 : 6, 20, true);
	put_be16(it, f->dport);
	put_be16(it + 2, f->sport);
	if (!f->udp)
		put_be32(it + 4, f->ack[side] - 1);
	put_be16(it + 4, f->udp ? 20 : be16(it + 4));
	flow_network(f, nh, f->six ? 58 : 1, (size_t)(it + 20 - th), false);
	out->len = (size_t)(it + 20 - out->bytes);
	if (!f->six)
		put_be16(inner + 10, 0);
	mend(out, f->six);
}

static uint32_t sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += be16(p + i);
	return len & 1 ? sum + ((uint32_t)p[len - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void mend(struct frame *f, bool six)
{
	uint8_t *nh = f->bytes + 14, *th = nh + (six ? 40 : 20), proto = nh[six ? 6 : 9];
	size_t len = f->len - (size_t)(th - f->bytes), at = proto == 6    ? 16
							    : proto == 17 ? 6
									  : 2;
	uint32_t pseudo =
	    proto == 1 ? 0 : sum16(nh + (six ? 8 : 12), six ? 32 : 8, proto + (uint32_t)len);

	put_be16(th + at, 0);
	put_be16(th + at, fold(sum16(th, len, pseudo)));
	if (!six) {
		put_be16(nh + 10, 0);
		put_be16(nh + 10, fold(sum16(nh, 20, 0)));
	}
}

/* One step of all flows. tcp, udp: flags of TCP (0: silent), data of each; -1: an ICMP error.
 */
static size_t talk_step(struct lab *l, struct talk *t, int flags, int data, FILE *say)
{
	struct frame f;
	size_t i;
	int side;

	for (i = 0; i < FLOWS; i++) {
		for (side = 0; side < 2; side++) {
			if (flags < 0)
				flow_error(&f, &t->flows[i], side);
			else
				flow_segment(&f, &t->flows[i], side, (uint8_t)flags,
					     (size_t)data);
			send_side(l, side, &f);
		}
	}
	tally->packets += FLOWS;
	usleep(3000);
	return lab_compare(l, talk_listen, t, say);
}

static size_t talk_run(struct lab *l, uint64_t seed, FILE *say)
{
	/* SYN, ACK, data, an error, data, FIN, RST; UDP flows send data at each step. */
	static const int steps[][2] = {{0x02, 0}, {0x10, 0}, {0x18, 30}, {-1, 0},
				       {0x18, 5}, {0x11, 0}, {0x14, 0}};
	struct talk t = {.state = seed * 0x9e3779b97f4a7c15ull | 1};
	uint32_t moved = 0;
	size_t i, wrong;
	unsigned step;

	for (i = 0; i < FLOWS; i++) {
		t.flows[i].six = i % 3 == 2;
		t.flows[i].udp = i % 2;
		t.flows[i].sport = (uint16_t)(20000 + (seed * 31 + i) % 40000);
		t.flows[i].dport = i % 5 == 4
				       ? (uint16_t)(gen_random(&t.state) >> 40)
				       : served_ports[(gen_random(&t.state) >> 40) % NSERVED];
		t.flows[i].seq = 1000;
	}
	for (step = 0; step < 7; step++) {
		for (i = 0; i < FLOWS; i++)
			t.flows[i].seq += moved;
		wrong = talk_step(l, &t, steps[step][0], steps[step][1], say);
		if (wrong)
			return wrong;
		moved = (uint32_t)steps[step][1];
	}
	return 0;
}

/* ---- which features were hit ---- */

struct names {
	char name[32][56];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void name_add(struct names *s, const char *fmt,
							   ...)
{
	va_list ap;
	size_t i;

	if (s->n == 32)
		return;
	va_start(ap, fmt);
	vsnprintf(s->name[s->n], sizeof(s->name[0]), fmt, ap);
	va_end(ap);
	for (i = 0; i < s->n; i++)
		if (!strcmp(s->name[i], s->name[s->n]))
			return;
	s->n++;
}

static bool any(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p++)
			return true;
	return false;
}

static void names_xt(struct names *s, const struct xt_entry *e)
{
	static const char *const verdicts[] = {"",     "ACCEPT", "DROP",      "RETURN",
					       "jump", "goto",   "no target", "QUEUE"};
	const struct xt_base *b = &e->base;
	size_t i;

	if (any(b->src_mask, 16))
		name_add(s, "%s-s", b->inv & 8 ? "! " : "");
	if (any(b->dst_mask, 16))
		name_add(s, "%s-d", b->inv & 0x10 ? "! " : "");
	if (b->in_mask[0])
		name_add(s, "%s-i", b->inv & 1 ? "! " : "");
	if (b->out_mask[0])
		name_add(s, "%s-o", b->inv & 2 ? "! " : "");
	for (i = 0; i < e->nmatches; i++)
		name_add(s, "match %s %u", e->matches[i].name, e->matches[i].revision);
	if (b->proto && (!s->n || b->inv & 0x40))
		name_add(s, "%s-p", b->inv & 0x40 ? "! " : "");
	name_add(s, "target %s",
		 e->verdict == XTV_EXTENSION ? e->target.name : verdicts[e->verdict]);
}

static void names_expr(struct names *s, const struct nexpr *e)
{
	static const char *const bases[] = {"ll", "nh", "th", "inner"};

	switch (e->kind) {
	case NEXPR_COUNTER:
	case NEXPR_CMP:
		break;
	case NEXPR_IMMEDIATE:
		if (e->immediate.is_verdict)
			name_add(s, "target verdict %d", e->immediate.verdict.code);
		break;
	case NEXPR_PAYLOAD:
		name_add(s, "payload %s%s", e->payload.base < 4 ? bases[e->payload.base] : "?",
			 e->payload.set ? " set" : "");
		break;
	case NEXPR_META:
		name_add(s, "meta %u%s", e->meta.key, e->meta.set ? " set" : "");
		break;
	case NEXPR_CT:
		name_add(s, "ct %u%s", e->ct.key, e->ct.set ? " set" : "");
		break;
	case NEXPR_MATCH:
		name_add(s, "match %s %u", e->xt.name, e->xt.revision);
		break;
	case NEXPR_TARGET:
		name_add(s, "target %s", e->xt.name);
		break;
	case NEXPR_LOOKUP:
		name_add(s, "%slookup%s", e->lookup.invert ? "! " : "",
			 e->lookup.has_dreg ? " map" : "");
		break;
	case NEXPR_RANGE:
		name_add(s, "range %u", e->range.op);
		break;
	case NEXPR_EXTHDR:
		name_add(s, "exthdr op %u", e->exthdr.op);
		break;
	case NEXPR_FIB:
		name_add(s, "fib %u", e->fib.result);
		break;
	default:
		name_add(s, "%s", e->name ? e->name : "?");
		break;
	}
}

static bool is_bare(const struct rule *r)
{
	if (!r)
		return false;
	if (r->kind == BACKEND_NFT)
		return r->nexprs == 1 && r->exprs[0].kind == NEXPR_COUNTER;
	return !r->xt.nmatches && r->xt.verdict == XTV_CONTINUE &&
	       !any(r->xt.base.src_mask, 16) && !any(r->xt.base.dst_mask, 16) &&
	       !r->xt.base.in_mask[0] && !r->xt.base.out_mask[0] && !r->xt.base.proto &&
	       !r->xt.base.flags;
}

static void feature_add(const char *back, const char *name, uint64_t matched, uint64_t passed,
			uint64_t ours)
{
	char full[56];
	size_t i;

	snprintf(full, sizeof(full), "%.8s %.46s", back, name);
	for (i = 0; i < tally->nfeatures && strcmp(tally->features[i].name, full); i++)
		;
	if (i == 2048)
		return;
	if (i == tally->nfeatures)
		strcpy(tally->features[tally->nfeatures++].name, full);
	tally->features[i].matched += matched;
	tally->features[i].passed += passed;
	tally->features[i].ours += ours;
}

/* Is the only test of the rule this feature (besides the protocol that it needs)? */
static bool is_alone(const struct names *s, size_t i)
{
	size_t n, others = 0;

	if (!strncmp(s->name[i], "target", 6))
		return true;
	for (n = 0; n < s->n; n++)
		others += n != i && strncmp(s->name[n], "target", 6) &&
			  strcmp(s->name[n], "meta 16") && strcmp(s->name[n], "meta 15") &&
			  strcmp(s->name[n], "meta 1") && strcmp(s->name[n], "bitwise") &&
			  strcmp(s->name[n], "byteorder");
	return !others;
}

static void features_count(struct lab *l, enum back back)
{
	struct counts a = counts_read(l, l->a), b = counts_read(l, l->b);
	uint64_t *ours = calloc(b.n + 1, sizeof(*ours)), came;
	const struct rule *r;
	struct names s;
	size_t i, n;
	long before;

	counts_add_programs(l, &b, ours);
	for (i = 0; i < a.n && i < b.n; i++) {
		if (!a.c[i].ingress)
			continue;
		tally->early += ours[i];
		r = a.c[i].rule;
		if (!r)
			continue;
		s.n = 0;
		if (r->kind == BACKEND_LEGACY)
			names_xt(&s, &r->xt);
		for (n = 0; n < r->nexprs; n++)
			names_expr(&s, &r->exprs[n]);
		before = is_bare(a.c[i].before) ? counts_find(&a, &a.c[i].before->from) : -1;
		came = before >= 0 ? a.c[before].v.packets : 0;
		for (n = 0; n < s.n; n++)
			feature_add(back_names[back], s.name[n], a.c[i].v.packets,
				    is_alone(&s, n) && came > a.c[i].v.packets
					? came - a.c[i].v.packets
					: 0,
				    ours[i]);
	}
	free(ours);
	counts_free(&a);
	counts_free(&b);
}

/* ---- making a disagreement small ---- */

struct evidence {
	struct frame *frames;
	size_t n;
	uint64_t talk; /* a conversation's seed instead of frames */
	bool refused;  /* our programs do not load: the trial run found something, or the
			  verifier */
};

static int disagrees(struct task *t, const struct evidence *e, FILE *say)
{
	struct lab l;
	size_t wrong;
	int err = lab_open(&l, t, 0, say);

	if (err)
		return err < 0 && e->refused;
	wrong = e->refused ? 0
		: e->talk  ? talk_run(&l, e->talk, say)
			   : batch_run(&l, e->frames, e->n, say);
	lab_close(&l);
	return wrong > 0;
}

/* Takes out runs of frames, shorter and shorter, as long as the rest disagrees. */
static void shrink_frames(struct task *t, struct evidence *e, double until)
{
	struct frame *fewer = calloc(e->n, sizeof(*fewer));
	struct evidence try = {fewer, 0, 0, false};
	size_t run_len, at;

	for (run_len = e->n / 2; run_len && e->n > 1 && now() < until; run_len /= 2) {
		for (at = 0; at < e->n && e->n > 1 && now() < until;) {
			size_t cut = run_len < e->n - at ? run_len : e->n - at;

			memcpy(fewer, e->frames, at * sizeof(*fewer));
			memcpy(fewer + at, e->frames + at + cut,
			       (e->n - at - cut) * sizeof(*fewer));
			try.n = e->n - cut;
			if (try.n && disagrees(t, &try, NULL)) {
				memcpy(e->frames, fewer, try.n * sizeof(*fewer));
				e->n = try.n;
			} else {
				at += cut;
			}
		}
	}
	free(fewer);
}

static void shrink_text(struct task *t, struct gen_text *x, const struct evidence *e,
			double until)
{
	bool *was = calloc(x->n + 1, sizeof(*was));
	size_t run_len, at, i, taken;

	for (run_len = x->n / 2 + 1; run_len && now() < until;
	     run_len = run_len == 1 ? 0 : (run_len + 1) / 2) {
		for (at = 0; at < x->n && now() < until; at += run_len) {
			memcpy(was, x->out, x->n * sizeof(*was));
			for (i = at, taken = 0; i < at + run_len && i < x->n; i++) {
				/* The frame of a text stays, unless all of it goes. */
				if (run_len < x->n && (x->lines[i][0] == '*' ||
						       !strncmp(x->lines[i], "COMMIT", 6)))
					continue;
				taken += !x->out[i];
				x->out[i] = true;
			}
			if (!taken || !disagrees(t, e, NULL))
				memcpy(x->out, was, x->n * sizeof(*was));
		}
	}
	free(was);
}

static void write_evidence(struct task *t, const struct evidence *e, uint64_t seed)
{
	char dir[96], path[160];
	size_t i, n;
	int part;
	FILE *f;

	snprintf(dir, sizeof(dir), "/tmp/kernelcheck-%s-%llu", back_names[t->back],
		 (unsigned long long)seed);
	mkdir(dir, 0755);
	printf("DISAGREE: seed %llu, %s, %s, rp_filter %d; shows again with\n  kernelcheck "
	       "--backend %s --site %s --rp-filter %d",
	       (unsigned long long)seed, back_names[t->back], site_specs[t->site].name,
	       t->rp_filter, back_names[t->back], site_specs[t->site].name, t->rp_filter);
	for (part = 0; part < NGEN_PART; part++) {
		snprintf(path, sizeof(path), "%s/%s", dir, part_names[part]);
		if (!t->rules.part[part].n)
			continue;
		gen_text_write(&t->rules.part[part], path);
		printf(" --file %s", path);
	}
	if (e->refused) {
		printf(" --packets 0\n");
	} else if (e->talk) {
		printf(" --talk %llu\n", (unsigned long long)e->talk);
	} else {
		snprintf(path, sizeof(path), "%s/frames", dir);
		f = fopen(path, "w");
		for (i = 0; f && i < e->n; i++) {
			fprintf(f, "%d ", e->frames[i].port);
			for (n = 0; n < e->frames[i].len; n++)
				fprintf(f, "%02x", e->frames[i].bytes[n]);
			fputc('\n', f);
		}
		if (f)
			fclose(f);
		printf(" --frames %s\n", path);
	}
	for (part = 0; part < NGEN_PART; part++)
		for (i = 0; i < t->rules.part[part].n; i++)
			if (!t->rules.part[part].out[i])
				printf("  %s\n", t->rules.part[part].lines[i]);
	for (i = 0; i < e->n && i < 8; i++) {
		printf("  frame on eth%d: ", e->frames[i].port);
		for (n = 0; n < e->frames[i].len; n++)
			printf("%02x", e->frames[i].bytes[n]);
		printf("\n");
	}
}

static void found(struct task *t, struct evidence *e, uint64_t seed)
{
	double until = now() + shrink_seconds;
	int part;

	if (!disagrees(t, e, NULL)) {
		printf("unstable: seed %llu, %s, %s, rp_filter %d: %s disagreed once, not "
		       "again from the start\n",
		       (unsigned long long)seed, back_names[t->back], site_specs[t->site].name,
		       t->rp_filter, e->talk ? "a conversation" : "a batch");
		tally->unstable++;
		return;
	}
	tally->disagreements++;
	if (e->n)
		shrink_frames(t, e, until - shrink_seconds / 2);
	for (part = NGEN_PART; part--;)
		if (t->rules.part[part].n)
			shrink_text(t, &t->rules.part[part], e, until);
	if (e->n)
		shrink_frames(t, e, until + shrink_seconds / 15);
	write_evidence(t, e, seed);
	disagrees(t, e, stdout);
	fflush(stdout);
}

/* ---- one ruleset ---- */

static void ruleset_run(struct task *t, size_t packets, uint64_t seed)
{
	struct evidence e = {calloc(BATCH, sizeof(struct frame)), 0, 0, false};
	struct source source;
	struct lab l;
	size_t done, wrong = 0;
	int port, err = lab_open(&l, t, 60, NULL);

	if (err > 0) {
		char path[128], line[256];
		FILE *f;

		tally->refused++;
		snprintf(path, sizeof(path), "%s/errors", work);
		f = fopen(path, "r");
		if (verbose && f && fgets(line, sizeof(line), f))
			printf("refused: seed %llu: %s", (unsigned long long)seed, line);
		if (f)
			fclose(f);
		return;
	}
	if (err < 0) {
		e.refused = true;
		found(t, &e, seed);
		return;
	}
	tally->rulesets++;
	source = source_new(&l, seed);
	for (done = 0; done < packets && !wrong; done += e.n) {
		port = (done / BATCH) % 4 == 3;
		for (e.n = 0; e.n < BATCH; e.n++)
			source_next(&source, port, &e.frames[e.n]);
		tally->packets += e.n;
		wrong = batch_run(&l, e.frames, e.n, verbose ? stdout : NULL);
	}
	if (!wrong) {
		e.talk = seed | 1;
		e.n = 0;
		wrong = talk_run(&l, e.talk, verbose ? stdout : NULL);
	}
	features_count(&l, t->back);
	lab_close(&l);
	if (wrong)
		found(t, &e, seed);
	free(e.frames);
}

/* In a process of its own: whatever happens in it ends with it. */
static void ruleset_start(struct task *t, size_t packets, uint64_t seed)
{
	double start = now();
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		ruleset_run(t, packets, seed);
		fflush(NULL);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		tally->broken++;
		printf("broken: seed %llu, %s, %s: status 0x%x\n", (unsigned long long)seed,
		       back_names[t->back], site_specs[t->site].name, status);
	}
	if (verbose)
		printf("seed %llu %s %s rp=%d: %.2f s\n", (unsigned long long)seed,
		       back_names[t->back], site_specs[t->site].name, t->rp_filter,
		       now() - start);
}

static void report(unsigned long seed, double seconds, bool details)
{
	size_t i, dead = 0;

	printf("seed %lu: %llu rulesets (%llu refused, %llu lines taken out), %llu packets, "
	       "%llu counted by our programs, %llu came out, %llu comparisons, "
	       "%.0f s: %llu disagreements, %llu unstable, %llu broken\n",
	       seed, (unsigned long long)tally->rulesets, (unsigned long long)tally->refused,
	       (unsigned long long)tally->lines_out, (unsigned long long)tally->packets,
	       (unsigned long long)tally->early, (unsigned long long)tally->came_out,
	       (unsigned long long)tally->compared, seconds,
	       (unsigned long long)tally->disagreements, (unsigned long long)tally->unstable,
	       (unsigned long long)tally->broken);
	if (!details)
		return;
	printf("%-44s %12s %12s %12s\n", "feature", "matched", "did not", "by programs");
	for (i = 0; i < tally->nfeatures; i++) {
		const struct feature *f = &tally->features[i];

		printf("%-44s %12llu %12llu %12llu%s\n", f->name,
		       (unsigned long long)f->matched, (unsigned long long)f->passed,
		       (unsigned long long)f->ours,
		       f->matched ? "" : "  NOT TESTED: no packet hit it");
		dead += !f->matched;
	}
	printf("%zu of %zu features without a hit\n", dead, tally->nfeatures);
}

static int feature_order(const void *a, const void *b)
{
	return strcmp(((const struct feature *)a)->name, ((const struct feature *)b)->name);
}

/* ---- a disagreement again ---- */

static int frames_read(const char *path, struct evidence *e)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t room = 0, i;
	ssize_t len;
	struct frame *fr;

	if (!f)
		return -1;
	while ((len = getline(&line, &room, f)) > 2) {
		e->frames = realloc(e->frames, (e->n + 1) * sizeof(*e->frames));
		fr = &e->frames[e->n++];
		memset(fr, 0, sizeof(*fr));
		fr->port = line[0] == '1';
		for (i = 2; i + 1 < (size_t)len && fr->len < FRAME_MAX; i += 2)
			if (sscanf(line + i, "%2hhx", &fr->bytes[fr->len]) == 1)
				fr->len++;
	}
	free(line);
	fclose(f);
	return 0;
}

static void file_add(struct task *t, const char *path)
{
	const char *dot = strrchr(path, '.');
	enum gen_part part = GEN_NFT;

	if (dot && (!strcmp(dot, ".v4") || !strcmp(dot, ".iptables")))
		part = GEN_V4;
	else if (dot && (!strcmp(dot, ".v6") || !strcmp(dot, ".ip6tables")))
		part = GEN_V6;
	else if (dot && !strcmp(dot, ".ipset"))
		part = GEN_SETS;
	if (gen_text_read(&t->rules.part[part], path))
		die(path);
}

/* Sets that the rules of a file name and nobody has created. */
static void sets_guess(struct task *t)
{
	struct gen_text *x, *sets = &t->rules.part[GEN_SETS];
	char name[64], dirs[32], line[256];
	enum gen_part part;
	const char *at;
	size_t i, n, had = sets->n;

	for (part = GEN_V4; !had && part <= GEN_V6; part++) {
		x = &t->rules.part[part];
		for (i = 0; i < x->n; i++) {
			for (at = x->lines[i]; (at = strstr(at, "-set ")); at++) {
				if (sscanf(at + 5, "%63s %31s", name, dirs) != 2)
					continue;
				snprintf(line, sizeof(line), "create %s %s family inet%s", name,
					 strchr(dirs, ',') ? "hash:ip,port" : "hash:net",
					 part == GEN_V6 ? "6" : "");
				for (n = 0; n < sets->n &&
					    strncmp(sets->lines[n], line, 7 + strlen(name) + 1);
				     n++)
					;
				if (n < sets->n)
					continue;
				gen_text_add(sets, line);
				snprintf(line, sizeof(line), "add %s %s%s", name,
					 part == GEN_V6 ? "2001:db8:9::8" : "10.9.0.8",
					 strchr(dirs, ',') ? ",tcp:80"
					 : part == GEN_V6  ? "/125"
							   : "/29");
				gen_text_add(sets, line);
			}
		}
	}
}

/* ---- main ---- */

static void campaign(struct task *fixed, bool back_fixed, bool site_fixed,
		     unsigned long rulesets, size_t packets, uint64_t seed, double until)
{
	unsigned long i;
	struct task t;

	for (i = 0; i < rulesets && now() < until && !stopped; i++) {
		t = (struct task){.back = (enum back)(i % NBACK),
				  .site = (enum site_kind)(i / NBACK % NSITE),
				  .rp_filter = (int)(i / 9 % 3)};
		if (back_fixed)
			t.back = fixed->back;
		if (site_fixed)
			t.site = fixed->site;
		if (t.back == NATIVE)
			gen_nft(&t.rules, seed + i);
		else
			gen_iptables(&t.rules, seed + i);
		ruleset_start(&t, packets, seed + i);
		gen_rules_free(&t.rules);
	}
}

/* Each file by the sites in turn; iptables files by legacy and compat in turn. */
static void corpus_run(char **files, int n, struct task *fixed, bool site_fixed, size_t packets,
		       uint64_t seed, double until)
{
	struct task t;
	int i;

	for (i = 0; i < n && now() < until && !stopped; i++) {
		t = (struct task){.site =
				      site_fixed ? fixed->site : (enum site_kind)(i % NSITE),
				  .rp_filter = i % 2};
		file_add(&t, files[i]);
		t.back = t.rules.part[GEN_NFT].n ? NATIVE : (enum back)(i / NSITE % 2);
		sets_guess(&t);
		if (verbose)
			printf("%s\n", files[i]);
		ruleset_start(&t, packets, seed + (uint64_t)i);
		gen_rules_free(&t.rules);
	}
}

static void setup(void)
{
	struct diag d = {0};
	cpu_set_t one;

	if (geteuid()) {
		puts("needs root for network namespaces");
		exit(77);
	}
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (tally == MAP_FAILED)
		die("mmap");
	snprintf(work, sizeof(work), "/tmp/kernelcheck.%d", getpid());
	if (mkdir(work, 0700))
		die(work);
	sched_getaffinity(0, sizeof(one), &one);
	if (CPU_COUNT(&one) > 1) {
		CPU_ZERO(&one);
		CPU_SET(getpid() % 2, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("mount namespace");
	if (kern_probe(&caps, &d)) {
		diag_print(&d, stderr, "kernelcheck");
		exit(3);
	}
	diag_free(&d);
}

static enum back back_named(const char *name)
{
	int i;

	for (i = 0; i < NBACK && strcmp(name, back_names[i]); i++)
		;
	return i < NBACK ? (enum back)i : LEGACY;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"rulesets", 1, NULL, 'n'},
					      {"packets", 1, NULL, 'p'},
					      {"seed", 1, NULL, 's'},
					      {"backend", 1, NULL, 'b'},
					      {"site", 1, NULL, 'S'},
					      {"rp-filter", 1, NULL, 'r'},
					      {"file", 1, NULL, 'f'},
					      {"frames", 1, NULL, 'F'},
					      {"talk", 1, NULL, 't'},
					      {"seconds", 1, NULL, 'T'},
					      {"verbose", 0, NULL, 'v'},
					      {"quiet", 0, NULL, 'q'}, {"no-shrink", 0, NULL, 'N'},
					      {0}};
	unsigned long rulesets = 9, seed = 1;
	bool back_fixed = false, site_fixed = false, quiet = false, again = false;
	struct evidence e = {0};
	struct task fixed = {0};
	double start = now(), until = start + 1e9;
	size_t packets = 2000;
	int opt, i;

	while ((opt = getopt_long(argc, argv, "vq", longs, NULL)) != -1) {
		switch (opt) {
		case 'n':
			rulesets = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			packets = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'b':
			fixed.back = back_named(optarg), back_fixed = true;
			break;
		case 'S':
			for (i = 0; i < NSITE && strcmp(optarg, site_specs[i].name); i++)
				;
			fixed.site = (enum site_kind)(i % NSITE);
			site_fixed = true;
			break;
		case 'r':
			fixed.rp_filter = atoi(optarg);
			break;
		case 'f':
			file_add(&fixed, optarg), again = true;
			break;
		case 'F':
			if (frames_read(optarg, &e))
				die(optarg);
			break;
		case 't':
			e.talk = strtoull(optarg, NULL, 0);
			break;
		case 'T':
			until = start + atof(optarg);
			break;
		case 'v':
			verbose = true;
			break;
		case 'N':
			shrink_seconds = 0;
			break;
		case 'q':
			quiet = true;
			break;
		default:
			return 2;
		}
	}
	setup();
	sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
	if (again && (e.n || e.talk)) {
		i = disagrees(&fixed, &e, stdout);
		puts(i ? "they disagree" : "the same");
		tally->disagreements = (uint64_t)i;
	} else if (again) {
		ruleset_start(&fixed, packets, seed);
	} else if (optind < argc) {
		corpus_run(argv + optind, argc - optind, &fixed, site_fixed, packets, seed,
			   until);
	} else {
		campaign(&fixed, back_fixed, site_fixed, rulesets, packets, seed, until);
	}
	qsort(tally->features, tally->nfeatures, sizeof(tally->features[0]), feature_order);
	if (!again || !(e.n || e.talk))
		report(seed, now() - start, !quiet);
	run("rm -rf %s", work);
	return tally->disagreements || tally->broken ? 1 : 0;
}
