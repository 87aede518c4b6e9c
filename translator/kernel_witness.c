// SPDX-License-Identifier: GPL-2.0
/*
 * The child's namespace has the packet's incoming interface, a veth whose other end sends the
 * frame; its destination is a local address, or lies behind a second veth.  A table of our own
 * counts at the end of INPUT and FORWARD's POSTROUTING: who is counted there has come through.
 *
 * The rules come as text: of files, or of the tools that print the live ones.
 */
#include "kernel_witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lower/lower.h"
#include "shim/tool.h"

#define OWN_TABLE "nf2bpf_witness"
#define WIRE "nf2bpf-wire"
#define WAIT_US 10000
#define WAITS 200

/* One text of rules and the tool that loads it. */
struct load {
	struct load *next;
	const char *tool, *text;
};

struct ask {
	const struct ruleset *rs;
	const struct packet *p;
	enum family family;
	const uint8_t *nh;
	enum route_kind route;
	struct load *loads, **tail;
	struct arena *mem;
	const char *error;
};

static bool fail(struct ask *a, const char *what)
{
	if (!a->error)
		a->error = what;
	return false;
}

/* ---- the rules as text ---- */

static void load_add(struct ask *a, const char *tool, const char *text)
{
	struct load *l = arena_alloc(a->mem, sizeof(*l));

	l->tool = tool;
	l->text = text;
	*a->tail = l;
	a->tail = &l->next;
}

/* What a tool prints becomes the input of another. */
static bool load_live(struct ask *a, const char *save, const char *arg, const char *arg2,
		      const char *restore)
{
	char *const argv[] = {(char *)save, (char *)arg, (char *)arg2, NULL};
	const char *path = tool_find(a->mem, save);
	struct buf text = {0};
	bool ok = path && !tool_run(path, argv, &text);

	if (ok)
		load_add(a, restore, arena_strdup(a->mem, buf_str(&text)));
	buf_free(&text);
	return ok || fail(a, arena_printf(a->mem, "%s cannot be asked for the rules", save));
}

static bool gather_live(struct ask *a)
{
	bool legacy[2] = {false, false}, compat[2] = {false, false}, native = false;
	const struct table *t;
	bool ok = true;

	for (t = a->rs->tables; t; t = t->next) {
		bool six = t->family == FAMILY_IP6;

		if (t->backend == BACKEND_LEGACY)
			legacy[six] = true;
		else if (t->iptables_nft)
			compat[six] = true;
		else
			native = true;
	}
	if (a->rs->ipsets)
		ok = load_live(a, "ipset", "save", NULL, "ipset");
	if (ok && native && (compat[0] || compat[1]))
		return fail(a, "nft's and iptables-nft's tables are mixed");
	if (ok && native)
		ok = load_live(a, "nft", "list", "ruleset", "nft");
	if (ok && legacy[0])
		ok =
		    load_live(a, "iptables-legacy-save", NULL, NULL, "iptables-legacy-restore");
	if (ok && legacy[1])
		ok = load_live(a, "ip6tables-legacy-save", NULL, NULL,
			       "ip6tables-legacy-restore");
	if (ok && compat[0])
		ok = load_live(a, "iptables-nft-save", NULL, NULL, "iptables-nft-restore");
	if (ok && compat[1])
		ok = load_live(a, "ip6tables-nft-save", NULL, NULL, "ip6tables-nft-restore");
	return ok;
}

static bool gather_file(struct ask *a, const char *path)
{
	const struct table *t;
	bool six = false, save = false;
	struct buf text = {0};
	char part[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return fail(a, "standard input can be read once only");
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_put(&text, part, (size_t)n);
	close(fd);
	for (t = a->rs->tables; t; t = t->next) {
		save |= t->backend == BACKEND_LEGACY;
		six |= t->backend == BACKEND_LEGACY && t->family == FAMILY_IP6;
	}
	load_add(a,
		 !save ? "nft"
		 : six ? "ip6tables-legacy-restore"
		       : "iptables-legacy-restore",
		 arena_strdup(a->mem, buf_str(&text)));
	buf_free(&text);
	return true;
}

/* ---- the child: its host ---- */

static bool feed(struct ask *a, const char *tool, const char *text)
{
	static const char *const args[][4] = {
	    {"nft", "-f", "-", NULL},
	    {"ip", "-batch", "-", NULL},
	    {"ipset", "restore", NULL, NULL},
	};
	const char *path = tool_find(a->mem, tool);
	char *argv[4] = {(char *)tool, NULL, NULL, NULL};
	size_t i;

	if (!path)
		return fail(a, arena_printf(a->mem, "%s is not installed", tool));
	for (i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		if (!strcmp(args[i][0], tool))
			memcpy(argv, args[i], sizeof(argv));
	return !tool_feed(path, argv, text) ||
	       fail(a, arena_printf(a->mem, "%s does not load the rules there", tool));
}

static void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0) {
		/* The packet then does not come through, and that is what is said. */
	}
	if (fd >= 0)
		close(fd);
}

static bool host_make(struct ask *a)
{
	bool six = a->family == FAMILY_IP6;
	const char *in = *a->p->iifname ? a->p->iifname : "eth0",
		   *out = *a->p->oifname ? a->p->oifname : "eth1";
	int af = six ? AF_INET6 : AF_INET, plen = six ? 128 : 32;
	const uint8_t *mac = a->p->data;
	char src[64], dst[64];
	struct buf text = {0};
	bool ok;

	inet_ntop(af, a->nh + (six ? 8 : 12), src, sizeof(src));
	inet_ntop(af, a->nh + (six ? 24 : 16), dst, sizeof(dst));
	set_sysctl("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
	set_sysctl("/proc/sys/net/ipv6/conf/default/router_solicitations", "0");
	set_sysctl("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	set_sysctl("/proc/sys/net/ipv4/conf/default/rp_filter", "0");
	buf_puts(&text, "link set lo up\n");
	if (!strcmp(in, "lo")) {
		buf_free(&text);
		return fail(a, "packets of lo are not sent over a wire");
	}
	buf_printf(&text, "link add %s type veth peer name " WIRE "\n", in);
	if (!(mac[0] & 1))
		buf_printf(&text, "link set %s address %02x:%02x:%02x:%02x:%02x:%02x\n", in,
			   mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	buf_printf(&text,
		   "link set " WIRE " addrgenmode none up\nlink set %s addrgenmode none up\n",
		   in);
	if (a->route == ROUTE_FORWARD) {
		buf_printf(&text,
			   "link add %s type veth peer name nf2bpf-far\nlink set nf2bpf-far "
			   "addrgenmode none up\nlink set %s addrgenmode none up\n",
			   out, out);
		buf_printf(
		    &text,
		    "route add %s/%d dev %s\nneigh add %s lladdr 02:00:00:00:00:bb dev %s\n",
		    dst, plen, out, dst, out);
	} else if (a->nh[six ? 24 : 16] != (six ? 0xff : 0xe0)) {
		buf_printf(&text, "addr add %s/%d dev lo\n", dst, plen);
	}
	buf_printf(&text, "route add %s/%d dev %s\n", src, plen, in);
	ok = feed(a, "ip", buf_str(&text));
	buf_free(&text);
	if (a->route == ROUTE_FORWARD) {
		set_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
		set_sysctl("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	}
	return ok;
}

/* Nothing but the packet: hosts say this and that by themselves, in IPv6 above all. */
static bool rules_load(struct ask *a)
{
	bool six = a->family == FAMILY_IP6;
	char src[64], dst[64];
	const struct load *l;
	const char *packet;

	for (l = a->loads; l; l = l->next)
		if (!feed(a, l->tool, l->text))
			return false;
	inet_ntop(six ? AF_INET6 : AF_INET, a->nh + (six ? 8 : 12), src, sizeof(src));
	inet_ntop(six ? AF_INET6 : AF_INET, a->nh + (six ? 24 : 16), dst, sizeof(dst));
	packet = arena_printf(a->mem, "%s saddr %s %s daddr %s counter", six ? "ip6" : "ip",
			      src, six ? "ip6" : "ip", dst);
	return feed(
	    a, "nft",
	    arena_printf(a->mem,
			 "table inet " OWN_TABLE " {\n"
			 " chain came { type filter hook prerouting priority "
			 "-2147483000; %s; }\n"
			 " chain in { type filter hook input priority 2147483000; %s; }\n"
			 " chain out { type filter hook postrouting priority "
			 "2147483000; %s; }\n}\n",
			 packet, packet, packet));
}

/* ---- the child: the packet ---- */

static bool packet_send(struct ask *a)
{
	struct sockaddr_ll to = {
	    .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(WIRE), .sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && sendto(fd, a->p->data, a->p->len, 0, (struct sockaddr *)&to,
				    sizeof(to)) == (ssize_t)a->p->len;

	if (fd >= 0)
		close(fd);
	return ok || fail(a, "the frame cannot be sent");
}

/* Rules and policies that have counted something, a line each; the counters of rules as they
 * are loaded may start at more than nothing. */
struct seen {
	struct ruleset *rs;
	uint64_t total;
	bool came; /* the packet has come to the first hook */
};

static bool rules_read(struct ask *a, struct seen *s)
{
	struct diag d = {0};
	const struct table *t;
	const struct chain *c;
	const struct rule *r;

	s->rs = pipeline_read(NULL, 0, &d);
	diag_free(&d);
	s->total = 0;
	s->came = false;
	if (!s->rs)
		return fail(a, "the rules cannot be read there");
	for (t = s->rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next) {
			s->total += c->policy_packets;
			for (r = c->rules; r; r = r->next) {
				s->total += r->packets;
				s->came |= r->packets && !strcmp(t->name, OWN_TABLE) &&
					   !strcmp(c->name, "came");
			}
		}
	return true;
}

static void say(struct buf *out, const struct origin *from)
{
	buf_printf(out, "%d\t%d\t%u\t%s\t%s\n", from->backend, from->family, from->index,
		   from->table, from->chain);
}

static void compare(const struct seen *before, const struct seen *after, struct buf *out)
{
	const struct table *t, *bt;
	const struct chain *c, *bc;
	const struct rule *r, *br;

	for (t = after->rs->tables; t; t = t->next) {
		bt = ruleset_find_table(before->rs, t->backend, t->family, t->name);
		for (c = bt ? t->chains : NULL; c; c = c->next) {
			bc = table_find_chain(bt, c->name);
			br = bc ? bc->rules : NULL;
			for (r = c->rules; r && br; r = r->next, br = br->next)
				if (r->packets > br->packets)
					say(out, &r->from);
			if (bc && c->policy_packets > bc->policy_packets)
				say(out, &c->from);
		}
	}
}

/* Until it has come, and nothing more is counted. */
static bool packet_try(struct ask *a, struct buf *out)
{
	struct seen before, after = {0};
	uint64_t last = 0;
	int i, quiet = 0;

	if (!rules_read(a, &before) || !packet_send(a))
		return false;
	last = before.total;
	for (i = 0; i < WAITS && quiet < 3; i++) {
		usleep(WAIT_US);
		if (after.rs)
			ruleset_free(after.rs);
		if (!rules_read(a, &after))
			return false;
		quiet = after.came && after.total == last ? quiet + 1 : 0;
		last = after.total;
	}
	compare(&before, &after, out);
	return after.came || fail(a, "the packet does not come to the first hook");
}

/* The answer: "ok" or "no TEXT", then what counted. */
static void __attribute__((noreturn)) child(struct ask *a, int fd)
{
	struct buf out = {0};
	bool ok;

	signal(SIGPIPE, SIG_DFL);
	setenv("XTABLES_LOCKFILE", "/dev/null", 1);
	ok = !unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET) ||
	     fail(a, "a private network namespace is not allowed");
	ok = ok && host_make(a) && rules_load(a);
	if (ok)
		buf_puts(&out, "ok\n");
	if (!ok || !packet_try(a, &out)) {
		buf_free(&out);
		buf_printf(&out, "no %s\n", a->error ? a->error : "for an unknown reason");
	}
	_exit(write(fd, buf_str(&out), out.len) != (ssize_t)out.len);
}

/* ---- the parent ---- */

static void answer_line(const struct ask *a, char *line, struct kernel_witness *out)
{
	char *field[5], *save, *s;
	struct origin *from;
	size_t n = 0;

	for (s = strtok_r(line, "\t", &save); s && n < 5; s = strtok_r(NULL, "\t", &save))
		field[n++] = s;
	if (n != 5)
		return;
	if (!strcmp(field[3], OWN_TABLE)) {
		if (!strcmp(field[4], a->route == ROUTE_FORWARD ? "out" : "in") &&
		    atoi(field[2]))
			out->accepted = true;
		return;
	}
	out->met = arena_grow(a->mem, out->met, out->nmet, out->nmet + 1, sizeof(*out->met));
	from = &out->met[out->nmet++];
	from->backend = (enum backend)atoi(field[0]);
	from->family = (enum family)atoi(field[1]);
	from->index = (uint32_t)strtoul(field[2], NULL, 10);
	from->table = arena_strdup(a->mem, field[3]);
	from->chain = arena_strdup(a->mem, field[4]);
}

static void answer_read(const struct ask *a, char *text, struct kernel_witness *out)
{
	char *save, *line = strtok_r(text, "\n", &save);

	if (!line || strcmp(line, "ok")) {
		out->why_not = arena_strdup(a->mem, line && !strncmp(line, "no ", 3)
							? line + 3
							: "the child that asks it failed");
		return;
	}
	out->asked = true;
	while ((line = strtok_r(NULL, "\n", &save)))
		answer_line(a, line, out);
}

static const char *cannot_be_sent(const struct ask *a)
{
	if (!a->p->has_ll)
		return "the packet has no Ethernet header";
	if (a->p->mark)
		return "a packet from the wire has no mark";
	if (a->p->ct_state != 8 && a->p->ct_state != 1)
		return "a first packet is new or invalid";
	return NULL;
}

void kernel_witness_ask(const struct ruleset *rs, const char *const *files, size_t nfiles,
			const struct packet *p, enum route_kind route,
			struct kernel_witness *out)
{
	struct ask a = {.rs = rs, .p = p, .route = route, .mem = rs->mem};
	struct kernel_witness w = {0};
	struct buf answer = {0};
	int fds[2];
	size_t i, len;
	pid_t pid;

	a.tail = &a.loads;
	if (!packet_network(p, &a.family, &a.nh, &len))
		w.why_not = "no packet that comes to an IP hook";
	else
		w.why_not = cannot_be_sent(&a);
	for (i = 0; i < nfiles && !w.why_not; i++)
		if (!gather_file(&a, files[i]))
			w.why_not = a.error;
	if (!nfiles && !w.why_not && !gather_live(&a))
		w.why_not = a.error;
	if (w.why_not || pipe2(fds, O_CLOEXEC)) {
		*out = w;
		return;
	}
	pid = fork();
	if (!pid)
		child(&a, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		w.why_not = "no child process can be had";
	} else if (tool_finish(pid, fds[0], &answer)) {
		w.why_not = "the child that asks it failed";
	} else {
		answer_read(&a, answer.data ? answer.data : (char[]){""}, &w);
	}
	buf_free(&answer);
	*out = w;
}
