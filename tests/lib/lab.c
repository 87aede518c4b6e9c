// SPDX-License-Identifier: GPL-2.0
#include "lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "placement.h"
#include "read/read.h"
#include "state.h"

bool lab_takeover;

const char *const lab_back_names[NBACK] = {"legacy", "compat", "native"};
const char *const lab_part_names[NGEN_PART] = {"sets.ipset", "rules.v4", "rules.v6",
					       "rules.nft"};
struct lab_env *lab_env;

void lab_die(const char *what)
{
	fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* ---- the kernel ---- */

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
int lab_run(const char *fmt, ...)
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

		snprintf(path, sizeof(path), "%s/errors", lab_env->work);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 2);
		execl("/bin/sh", "sh", "-ec", command, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		lab_die("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void batch_ip(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ip", lab_env->work);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		lab_die(path);
	if (lab_run("ip -batch %s", path)) {
		lab_run("cat %s/errors >&2", lab_env->work);
		lab_die("ip -batch");
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

void lab_timeouts(struct lab *l, int seconds)
{
	static const char *const names[] = {
	    "udp_timeout",           "udp_timeout_stream",        "icmp_timeout",
	    "icmpv6_timeout",        "generic_timeout",           "tcp_timeout_syn_sent",
	    "tcp_timeout_syn_recv",  "tcp_timeout_close",         "tcp_timeout_established",
	    "tcp_timeout_fin_wait",  "tcp_timeout_last_ack",      "tcp_timeout_close_wait",
	    "tcp_timeout_time_wait", "tcp_timeout_unacknowledged"};
	char path[96];
	size_t i;
	int side;

	for (side = 0; side < 2; side++) {
		netns_enter(side ? l->b : l->a);
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			snprintf(path, sizeof(path), "netfilter/nf_conntrack_%s", names[i]);
			sysctl(path, seconds);
		}
	}
	netns_enter(l->w);
}

static void host_make(struct lab *l, int ns, char letter, int rp)
{
	char text[512];

	netns_enter(ns);
	host_sysctls(rp);
	netns_enter(l->w);
	snprintf(text, sizeof(text),
		 "link add %c0 type veth peer name eth0 address 02:00:00:00:00:00 netns "
		 "/proc/%d/fd/%d\n"
		 "link add %c1 type veth peer name eth1 address 02:00:00:00:00:01 netns "
		 "/proc/%d/fd/%d\n"
		 "link set %c0 up\nlink set %c1 up\n",
		 letter, getpid(), ns, letter, getpid(), ns, letter, letter);
	batch_ip(text);
	netns_enter(ns);
	set_gro("eth0", false);
	set_gro("eth1", false);
	/* Nobody lives there but the neighbours below: what waits for an answer would fill the
	 * senders' buffers. */
	sysctl("ipv4/neigh/eth0/mcast_solicit", 0);
	sysctl("ipv4/neigh/eth1/mcast_solicit", 0);
	sysctl("ipv6/neigh/eth0/mcast_solicit", 0);
	sysctl("ipv6/neigh/eth1/mcast_solicit", 0);
	batch_ip("link set lo up\nlink set eth0 up\nlink set eth1 up\n"
		 "addr add 10.9.0.1/24 dev eth0\naddr add 10.9.1.1/24 dev eth1\n"
		 "addr add 2001:db8:9::1/64 dev eth0 nodad\naddr add 2001:db8:a::1/64 dev eth1 "
		 "nodad\n"
		 "neigh add 10.9.0.2 lladdr 02:00:00:00:00:aa dev eth0\nneigh add 10.9.1.2 "
		 "lladdr 02:00:00:00:00:bb dev eth1\n"
		 "neigh add 2001:db8:9::2 lladdr 02:00:00:00:00:aa dev eth0\nneigh add "
		 "2001:db8:a::2 lladdr 02:00:00:00:00:bb dev eth1\n"
		 "route add default via 10.9.0.2\nroute add default via 2001:db8:9::2\n");
	netns_enter(l->w);
}

/* ---- the hosts' servers: TCP listeners that read, UDP echoes ---- */

const uint16_t lab_ports[LAB_PORTS] = {22, 80, 443, 8080, 53};

bool lab_is_served(uint16_t port)
{
	size_t i;

	for (i = 0; i < LAB_PORTS; i++)
		if (lab_ports[i] == port)
			return true;
	return false;
}

static int serve(int type, uint16_t port)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0,
	    room = 8 << 20;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    (type == SOCK_STREAM && listen(fd, 65535)))
		lab_die("server");
	return fd;
}

static void serve_one(struct pollfd *p, size_t *n, size_t i)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t bytes[2048];
	ssize_t got;
	int fd;

	if (i < LAB_PORTS) {
		fd = accept4(p[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0 && *n < 1000)
			p[(*n)++] = (struct pollfd){.fd = fd, .events = POLLIN};
		else if (fd >= 0)
			close(fd);
	} else if (i < 2 * LAB_PORTS) {
		got =
		    recvfrom(p[i].fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
		/* Not to another echo. */
		if (got >= 0 &&
		    !lab_is_served(ntohs(((struct sockaddr_in6 *)&from)->sin6_port)))
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
	size_t n = 2 * LAB_PORTS, i;
	int ready[2];
	char c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		lab_die("pipe");
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		lab_die("fork");
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			lab_die("servers");
		close(ready[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	netns_enter(ns);
	for (i = 0; i < LAB_PORTS; i++) {
		p[i] =
		    (struct pollfd){.fd = serve(SOCK_STREAM, lab_ports[i]), .events = POLLIN};
		p[LAB_PORTS + i] =
		    (struct pollfd){.fd = serve(SOCK_DGRAM, lab_ports[i]), .events = POLLIN};
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

	snprintf(path, sizeof(path), "%s/errors", lab_env->work);
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
	snprintf(path, sizeof(path), "%s/%s", lab_env->work, lab_part_names[part]);
	for (;;) {
		if (gen_text_write(&t->rules.part[part], path))
			lab_die(path);
		if (!lab_run("%s %s", loader(t->back, part), path))
			return 0;
		line = error_line();
		if (!tries-- || !line || !take_out(&t->rules.part[part], line))
			return 1;
		if (part == GEN_SETS)
			lab_run("ipset destroy");
		lab_env->lines_out++;
	}
}

static int rules_load(struct task *t, int ns, int tries)
{
	int part, err = 0;

	netns_enter(ns);
	for (part = 0; part < NGEN_PART && !err; part++)
		err = part_load(t, (enum gen_part)part, tries);
	return err;
}

/* ---- counters ---- */

/* Whatever only hooks behind a host's own answers reach moves with those, not with our frames
 * alone. */
static bool chain_is_ingress(const struct table *t, const struct chain *c)
{
	const struct chain *base;
	bool reached = false;

	for (base = t->chains; base; base = base->next) {
		if (!base->is_base || !chain_reaches(t, base, c))
			continue;
		if (base->hook > HOOK_FORWARD && base->hook != HOOK_INGRESS)
			return false;
		reached = true;
	}
	return reached;
}

struct counts lab_counts(const struct lab *l, int ns)
{
	return counts_read(ns, l->w, chain_is_ingress);
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
	struct counts c = lab_counts(l, l->b);
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
void counts_add_programs(struct lab *l, struct counts *c, uint64_t *ours)
{
	struct counter_value *v;
	struct diag d = {0};
	const struct link *k;
	uint32_t i;
	int err;

	netns_enter(l->b);
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
	netns_enter(l->w);
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
	else if (own_source(nh, six) && !lab_is_served(be16(th)))
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

static void out_collect(struct lab *l, lab_listen_fn *fn, void *ctx)
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
		lab_die(name);
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
		lab_die(name);
	return fd;
}

void lab_close(struct lab *l)
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
	netns_enter(l->b);
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
int lab_open(struct lab *l, struct task *t, int tries, FILE *say)
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
	snprintf(l->state_dir, sizeof(l->state_dir), "%s/state", lab_env->work);
	mkdir(l->state_dir, 0700);
	host_make(l, l->a, 'a', t->rp_filter);
	host_make(l, l->b, 'b', t->rp_filter);
	if (rules_load(t, l->a, tries) || rules_load(t, l->b, 0)) {
		lab_close(l);
		return 1;
	}
	l->names[0] = "eth0";
	l->names[1] = "eth1";
	l->s.caps = lab_env->caps;
	l->o = (struct options){.site = t->site == SITE_HOOK ? SITE_XDP : t->site,
				.state_dir = l->state_dir,
				.interfaces = l->names,
				.ninterfaces = 2,
				.early_off = t->site == SITE_HOOK,
				.hook = t->site == SITE_HOOK && !lab_takeover,
				.takeover = t->site == SITE_HOOK && lab_takeover};
	netns_enter(l->b);
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
	netns_enter(l->w);
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
size_t lab_compare(struct lab *l, lab_listen_fn *fn, void *ctx, FILE *say)
{
	struct counts a, b;
	size_t wrong;
	bool same;
	int tries;

	for (tries = 0;; tries++) {
		a = lab_counts(l, l->a);
		b = lab_counts(l, l->b);
		counts_add_programs(l, &b, NULL);
		out_collect(l, fn, ctx);
		wrong = compare(&a, &b, NULL);
		same = !out_compare(l, NULL);
		if ((!wrong && same) || tries == 25)
			break;
		counts_free(&a);
		counts_free(&b);
		usleep(1000u << (tries < 7 ? tries : 7));
	}
	if (wrong && say)
		compare(&a, &b, say);
	if (!same && say)
		out_compare(l, say);
	lab_env->came_out += l->came[0].n;
	lab_env->compared++;
	l->came[0].n = l->came[1].n = 0;
	counts_free(&a);
	counts_free(&b);
	return wrong + !same;
}

void lab_send(struct lab *l, int side, const struct frame *f)
{
	int tries = 0;

	while (send(l->out[2 * side + f->port], f->bytes, f->len, 0) < 0) {
		if (errno != ENOBUFS || tries++ > 100)
			lab_die("send");
		usleep(100);
	}
}
