// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel as oracle.  Three network namespaces: W sends; A is filtered by netfilter alone; B
 * has the same rules and our early programs.  The same frames go to both.  After each frame:
 *
 *  - every rule's and policy's counters of A must equal those of B's kernel plus B's programs;
 *  - the evaluator, run over each base chain of the packet's way in turn, must predict A's
 * counters;
 *  - the loaded hook program of each of those chains (BPF_PROG_TEST_RUN) must say what the
 * evaluator says.
 *
 * Packets are made to hit: from the constants of the rules, their neighbours, and mutations.
 * Or, with --cases, they are a person's, who says what netfilter does with them
 * (tests/lib/cases.h); then A's counters must also have moved as the person says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "counts.h"
#include "frame.h"
#include "lower/lower.h"
#include "placement.h"
#include "read/read.h"
#include "service.h"
#include "state.h"
#include "world.h"

static char state_dir[64];

static int ns_w, ns_a, ns_b; /* descriptors of the namespaces */
static bool verbose;

static void die(const char *what)
{
	fprintf(stderr, "oracle: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* ---- namespaces ---- */

static int run_in(int ns, const char *fmt, ...)
{
	char command[4096];
	va_list ap;
	int status;
	pid_t pid;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (setns(ns, CLONE_NEWNET))
			_exit(126);
		execl("/bin/sh", "sh", "-ec", command, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void must(int ns, const char *command)
{
	if (run_in(ns, "%s", command)) {
		fprintf(stderr, "oracle: failed: %s\n", command);
		exit(3);
	}
}

static void host_setup(int ns, char letter, int rp_filter)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "for i in 0 1; do ip link add %c$i type veth peer name eth$i netns "
		 "/proc/%d/fd/%d; done",
		 letter, getpid(), ns);
	must(ns_w, text);
	snprintf(text, sizeof(text),
		 "for i in 0 1; do sysctl -qw net.ipv6.conf.%c$i.disable_ipv6=1; ip link set "
		 "%c$i up; done",
		 letter, letter);
	must(ns_w, text);
	must(ns, "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 "
		 "net.ipv6.conf.default.autoconf=0"
		 " net.ipv6.conf.default.accept_ra=0 net.ipv4.icmp_ratelimit=0 "
		 "net.ipv6.icmp.ratelimit=0 net.ipv4.ip_forward=1"
		 " net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.router_solicitations=0"
		 " net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=1000000");
	must(ns,
	     "ip link set lo up; for i in 0 1; do sysctl -qw "
	     "net.ipv6.conf.eth$i.addr_gen_mode=1 net.ipv6.conf.eth$i.accept_dad=0;"
	     " ip link set eth$i address 02:00:00:00:00:0$i; ip link set eth$i up; done;"
	     "ip addr add 10.9.0.1/24 dev eth0; ip addr add 10.9.1.1/24 dev eth1;"
	     "ip addr add 2001:db8:9::1/64 dev eth0 nodad; ip addr add 2001:db8:a::1/64 dev "
	     "eth1 nodad;"
	     "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:aa dev eth0; ip neigh add 10.9.1.2 "
	     "lladdr 02:00:00:00:00:bb dev eth1;"
	     "ip neigh add 2001:db8:9::2 lladdr 02:00:00:00:00:aa dev eth0; ip neigh add "
	     "2001:db8:a::2 lladdr 02:00:00:00:00:bb dev eth1;"
	     "ip route add default via 10.9.0.2; ip -6 route add default via 2001:db8:9::2");
	if (run_in(ns,
		   "sysctl -qw net.ipv4.conf.all.rp_filter=%d net.ipv4.conf.eth0.rp_filter=%d "
		   "net.ipv4.conf.eth1.rp_filter=%d",
		   rp_filter, rp_filter, rp_filter))
		die("rp_filter");
}

static void rules_load(int ns, const char *back, const char *file4, const char *file6,
		       const char *sets)
{
	const char *restore = !strcmp(back, "legacy") ? "legacy" : "nft";

	if (sets && run_in(ns, "ipset restore < %s", sets))
		exit(3);
	if (!strcmp(back, "native")) {
		if (run_in(ns, "nft -f %s", file4))
			exit(3);
		return;
	}
	if (file4 && run_in(ns, "iptables-%s-restore < %s", restore, file4))
		exit(3);
	if (file6 && run_in(ns, "ip6tables-%s-restore < %s", restore, file6))
		exit(3);
}

/* ---- counters ---- */

/* Chains of other hooks move with the hosts' own answers. */
static bool some_ingress_reaches(const struct table *t, const struct chain *c)
{
	const struct chain *base;

	for (base = t->chains; base; base = base->next)
		if (base->is_base &&
		    (base->hook <= HOOK_FORWARD || base->hook == HOOK_INGRESS) &&
		    chain_reaches(t, base, c))
			return true;
	return false;
}

static struct counts host_counts(int ns)
{
	return counts_read(ns, ns_w, some_ingress_reaches);
}

/* ---- B's programs ---- */

static void counts_add_programs(struct counts *c, const struct service *s)
{
	const struct ir *ir = s->early ? s->early->ir : NULL;
	struct counter_value *v;
	struct diag d = {0};
	long to;
	uint32_t i;

	if (!s->loaded)
		return;
	v = calloc(ir->ncounters + 1, sizeof(*v));
	if (kern_counters(s->loaded, v, ir->ncounters, &d)) {
		diag_print(&d, stderr, "oracle");
		exit(3);
	}
	for (i = 0; i < ir->ncounters; i++) {
		if (!ir->counters[i].in_view || !v[i].packets)
			continue;
		to = counts_find(c, &ir->counters[i].from);
		if (to < 0) {
			fputs("oracle: a counter of the program has no rule\n", stderr);
			exit(3);
		}
		c->c[to].v.packets += v[i].packets;
		c->c[to].v.bytes += v[i].bytes;
	}
	free(v);
}

/* ---- the evaluator over the packet's way ---- */

struct way {
	const struct unit *units; /* hook units of A's rules */
	struct ruleset *rs;
	struct loaded **loaded;      /* per unit */
	struct counter_value *delta; /* predicted, per count of A */
	bool forward; /* predict forwarded packets too: whoever chose the frames knows their way
		       */
};

struct tally {
	size_t frames, dropped_early, compared, unknown, hook_runs;
	size_t wrong_counters, wrong_evaluator, wrong_program, wrong_cases;
};

static bool unit_before(const struct unit *a, const struct unit *b)
{
	return a->chain->priority < b->chain->priority;
}

static bool has_nat(const struct ruleset *rs, enum hook hook)
{
	const struct table *t;
	const struct chain *c;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			if (c->is_base && c->type == CHAIN_NAT && c->hook == hook)
				return true;
	return false;
}

/* Runs the chains of one hook in order; 0 go on, 1 dropped, -1 not known. */
static int way_hook(struct way *w, enum hook hook, enum family family, struct packet *p,
		    struct counts *before, struct counter_value *delta, struct tally *t)
{
	const struct unit *u, *next, *last = NULL;
	static struct eval_result r;
	struct site_override ov;
	long to;
	enum pkt_code code;
	struct diag d = {0};
	size_t i, n;

	/* What nat does with the first packet of a flow is not the evaluator's. */
	if (p->ct_state == 8 && has_nat(w->rs, hook))
		return -1;
	for (;;) {
		next = NULL;
		for (u = w->units; u; u = u->next)
			if (u->chain->hook == hook && u->family == family &&
			    (!last || unit_before(last, u)) && (!next || unit_before(u, next)))
				next = u;
		if (!next)
			return 0;
		last = next;
		if (!next->emitted)
			return -1;
		ir_eval(next->ir, ENTRY_HOOK, p, &r);
		for (u = w->units, n = 0; u != next; u = u->next)
			n++;
		if (w->loaded[n]) {
			ov = (struct site_override){.on = 1,
						    .iif = p->iif,
						    .oif = p->oif,
						    .any_mac = 1,
						    .ct_state = p->ct_state,
						    .ct_ok = p->ct_ok,
						    .pkttype = p->pkttype};
			memcpy(ov.iifname, p->iifname, 16);
			memcpy(ov.oifname, p->oifname, 16);
			if (kern_test_run(w->loaded[n], &ov, p->data, p->len, 1, &code, NULL,
					  &d)) {
				diag_print(&d, stderr, "oracle");
				exit(3);
			}
			t->hook_runs++;
			if ((r.verdict == EVAL_DROP) != (code == PKT_DROP)) {
				struct buf b = {0};

				origin_print(&next->ir->from, &b);
				fprintf(stderr,
					"DISAGREE program: %s: evaluator %d, program %d\n",
					buf_str(&b), r.verdict, code);
				buf_free(&b);
				t->wrong_program++;
			}
		}
		if (r.verdict == EVAL_LEAVE) {
			if (verbose)
				fprintf(stderr, "  left: %s\n", r.reason);
			return -1;
		}
		for (i = 0; i < r.nhits; i++) {
			if (!next->ir->counters[r.hits[i]].in_view)
				continue;
			to = counts_find(before, &next->ir->counters[r.hits[i]].from);
			if (to < 0)
				return -1;
			delta[to].packets++;
			delta[to].bytes += r.bytes;
		}
		if (r.verdict == EVAL_DROP)
			return 1;
	}
}

/* ip_forward(), ip6_forward(): the time to live is taken down before the hook. */
static bool way_forward(struct way *w, enum family family, struct packet *p, uint8_t *nh,
			struct counts *before, struct counter_value *delta, struct tally *t)
{
	uint8_t *hops = family == FAMILY_IP ? nh + 8 : nh + 7;
	uint32_t check = be16(nh + 10) + 0x0100u;

	if (!w->forward || (family == FAMILY_IP && (nh[0] & 15) != 5))
		return false;
	if (p->pkttype || *hops <= 1)
		return true;
	--*hops;
	if (family == FAMILY_IP)
		put_be16(nh + 10, (uint16_t)(check + (check >= 0xffff)));
	return way_hook(w, HOOK_FORWARD, family, p, before, delta, t) >= 0;
}

/* A tag of VLAN 0 gives a priority only: netfilter sees the packet. */
static bool frame_is_priority_tagged(const struct frame *f)
{
	return f->len >= 18 && be16(f->bytes + 12) == 0x8100 && !(be16(f->bytes + 14) & 0xfff);
}

/* ip_rcv_options(), behind prerouting, judges all other options. */
static bool options_are_harmless(const uint8_t *nh)
{
	size_t i;

	for (i = 20; i < (size_t)(nh[0] & 15) * 4; i++)
		if (nh[i] > 1)
			return false;
	return true;
}

/* What A's ingress counters will have grown by; false: the evaluator does not know. */
static bool way_predict(struct way *w, const struct frame *f, struct counts *before,
			struct counter_value *delta, struct tally *t)
{
	struct packet p = {.data = f->bytes,
			   .len = f->len,
			   .has_ll = true,
			   .iif = f->iif,
			   .pkttype = f->pkttype};
	uint8_t plain[FRAME_MAX];
	enum family family;
	const uint8_t *nh;
	enum route_kind route;
	struct l4_info l4;
	bool fragment;
	size_t len;
	int got;

	memset(delta, 0, before->n * sizeof(*delta));
	if (frame_is_priority_tagged(f))
		return false;
	if (!packet_network(&p, &family, &nh, &len) || f->pkttype == 3)
		return true; /* netfilter never sees it */
	/* A hop-by-hop option that may make ipv6_parse_hopopts() drop the packet. */
	if (family == FAMILY_IP6 && nh[6] == 0 && nh[42] & 0xc0)
		return false;
	/* The stack trims padding before the hooks. */
	len += (size_t)(nh - f->bytes);
	memcpy(plain, f->bytes, len);
	p.data = plain;
	p.len = len;
	snprintf(p.iifname, sizeof(p.iifname), "%s", f->iifname);
	if (f->has_ct) {
		p.ct_state =
		    packet_ct_class(nh, len - 14, family, w->rs->env.ct_tcp_loose, true);
		if (!p.ct_state)
			return false;
		p.ct_ok = p.ct_state == 8;
	}
	packet_l4(nh, len - 14, family, DIALECT_NFT, &l4);
	/* Local delivery and conntrack put fragments together first. */
	fragment = l4.frag || l4.exthdrs & 4 || (family == FAMILY_IP && be16(nh + 6) & 0x2000);
	if (fragment && f->has_ct)
		return false;
	got = way_hook(w, HOOK_PREROUTING, family, &p, before, delta, t);
	if (got)
		return got > 0;
	if (fragment || (family == FAMILY_IP && !options_are_harmless(nh)))
		return false;
	route = world_route(w->rs, family, nh, f->iif, &p.oif, p.oifname);
	if (route == ROUTE_LOCAL) {
		p.oif = 0;
		p.oifname[0] = '\0';
		return way_hook(w, HOOK_INPUT, family, &p, before, delta, t) >= 0;
	}
	/* Forwarding has more conditions than the evaluator's route: else A and B are compared
	 * only. */
	return route == ROUTE_FORWARD &&
	       way_forward(w, family, &p, plain + (nh - f->bytes), before, delta, t);
}

/* ---- one frame ---- */

static void print_frame(const struct frame *f)
{
	size_t i;

	fprintf(stderr, "  frame %s: ", f->iifname);
	for (i = 0; i < f->len; i++)
		fprintf(stderr, "%02x", f->bytes[i]);
	fputc('\n', stderr);
}

static size_t compare(struct counts *a, struct counts *b, const struct counter_value *delta,
		      struct counts *before, bool say)
{
	struct buf text = {0};
	size_t i, wrong = 0;

	for (i = 0; i < a->n; i++) {
		uint64_t ap = a->c[i].v.packets, ab = a->c[i].v.bytes;
		uint64_t bp, bb;

		if (b) {
			bp = b->c[i].v.packets;
			bb = b->c[i].v.bytes;
		} else {
			bp = before->c[i].v.packets + delta[i].packets;
			bb = before->c[i].v.bytes + delta[i].bytes;
		}
		if (ap == bp && ab == bb)
			continue;
		wrong++;
		if (!say)
			continue;
		text.len = 0;
		origin_print(a->c[i].from, &text);
		fprintf(stderr, "  %s: netfilter %llu/%llu, %s %llu/%llu\n", buf_str(&text),
			(unsigned long long)ap, (unsigned long long)ab,
			b ? "with us" : "evaluator", (unsigned long long)bp,
			(unsigned long long)bb);
	}
	buf_free(&text);
	return wrong;
}

static void forget_egress(struct counts *c, const struct counts *same)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!c->c[i].ingress)
			c->c[i].v = same->c[i].v;
}

static void one_frame(struct way *w, const struct service *s, const struct frame *f,
		      const int *fds, struct tally *t)
{
	struct counts before = host_counts(ns_a), a, b, a2;
	struct counter_value *delta = calloc(before.n + 1, sizeof(*delta));
	bool known;
	int tries;

	known = w && way_predict(w, f, &before, delta, t);
	if (send(fds[f->port], f->bytes, f->len, 0) < 0 ||
	    send(fds[2 + f->port], f->bytes, f->len, 0) < 0)
		die("send");
	for (tries = 0; tries < 20; tries++) {
		a = host_counts(ns_a);
		b = host_counts(ns_b);
		forget_egress(&b, &a);
		counts_add_programs(&b, s);
		if (!compare(&a, &b, NULL, NULL, false) || tries == 19)
			break;
		counts_free(&a);
		counts_free(&b);
		usleep(5000);
	}
	t->frames++;
	if (compare(&a, &b, NULL, NULL, false)) {
		fprintf(stderr, "DISAGREE with the kernel, frame %zu:\n", t->frames);
		compare(&a, &b, NULL, NULL, true);
		print_frame(f);
		t->wrong_counters++;
	}
	if (known) {
		t->compared++;
		a2 = a;
		forget_egress(&a2, &before);
		/* Chains of other hooks may have moved because of the host's answers. */
		if (compare(&a2, NULL, delta, &before, false)) {
			fprintf(stderr, "DISAGREE evaluator, frame %zu:\n", t->frames);
			compare(&a2, NULL, delta, &before, true);
			print_frame(f);
			t->wrong_evaluator++;
		}
	} else {
		t->unknown++;
	}
	free(delta);
	counts_free(&before);
	counts_free(&a);
	counts_free(&b);
}

/* ---- cases ---- */

#define WITNESS "witness"

/* Chains before, between and behind those of the rules tell how far a packet came. */
static const char witness_table[] =
    "table inet " WITNESS " {"
    " chain seen { type filter hook prerouting priority -500; counter; };"
    " chain whole { type filter hook prerouting priority -350; counter; };"
    " chain routed { type filter hook prerouting priority 500; counter; };"
    " chain input_first { type filter hook input priority -500; counter; };"
    " chain input_last { type filter hook input priority 500; counter; };"
    " chain forward_first { type filter hook forward priority -500; counter; };"
    " chain forward_last { type filter hook forward priority 500; counter; };"
    "}";

static bool witnessed(struct counts *before, struct counts *after, const char *chain)
{
	size_t i;

	for (i = 0; i < after->n; i++)
		if (!strcmp(after->c[i].from->table, WITNESS) &&
		    !strcmp(after->c[i].from->chain, chain))
			return after->c[i].v.packets > before->c[i].v.packets;
	return false;
}

static const char *case_verdict(struct counts *before, struct counts *after)
{
	if (witnessed(before, after, "input_last") || witnessed(before, after, "forward_last"))
		return "accept";
	if (witnessed(before, after, "input_first") ||
	    witnessed(before, after, "forward_first"))
		return "drop";
	if (witnessed(before, after, "routed"))
		return "lost";
	if (witnessed(before, after, "whole"))
		return "drop";
	return witnessed(before, after, "seen") ? "lost" : "unseen";
}

static enum family frame_family(const struct frame *f)
{
	size_t at = 12;

	while (at + 6 < f->len && be16(f->bytes + at) == 0x8100)
		at += 4;
	return be16(f->bytes + at) == 0x86dd ? FAMILY_IP6 : FAMILY_IP;
}

/* [TABLE/]CHAIN:RULE; NULL: none or several. */
static struct count *case_counter(struct counts *c, const char *name, enum family family)
{
	char table[64] = "", chain[64] = "", number[16] = "";
	struct count *found = NULL;
	const struct origin *o;
	size_t i, n = 0;

	if (strchr(name, '/'))
		sscanf(name, "%63[^/]/%63[^:]:%15s", table, chain, number);
	else
		sscanf(name, "%63[^:]:%15s", chain, number);
	for (i = 0; i < c->n; i++) {
		o = c->c[i].from;
		if ((o->family != family && o->family != FAMILY_INET) ||
		    strcmp(o->chain, chain) || (*table && strcmp(o->table, table)) ||
		    o->index != (uint32_t)atoi(number))
			continue;
		found = &c->c[i];
		n++;
	}
	return n == 1 ? found : NULL;
}

/* The words of want against what moved; false, and a line in text, if they differ. */
static bool case_holds(const char *want, enum case_backend back, enum family family,
		       struct counts *before, struct counts *after, struct buf *text)
{
	uint64_t *expected = calloc(after->n + 1, sizeof(*expected)), len = 0, moved;
	char words[512], *word, *verdict;
	struct count *to;
	size_t i;

	text->len = 0;
	snprintf(words, sizeof(words), "%s", want);
	verdict = strtok(words, " \t");
	if (!verdict || strcmp(verdict, case_verdict(before, after)))
		buf_printf(text, "  wanted %s, netfilter: %s\n", verdict ? verdict : "nothing",
			   case_verdict(before, after));
	while ((word = strtok(NULL, " \t"))) {
		if (sscanf(word, "len=%llu", (unsigned long long *)&len) == 1)
			continue;
		if (back == CASE_NATIVE && strstr(word, ":policy"))
			continue;
		to = case_counter(after, word, family);
		if (to)
			expected[to - after->c]++;
		else
			buf_printf(text, "  %s: not the name of one counter\n", word);
	}
	for (i = 0; i < after->n; i++) {
		if (!strcmp(after->c[i].from->table, WITNESS) || !after->c[i].ingress)
			continue;
		moved = after->c[i].v.packets - before->c[i].v.packets;
		if (moved == expected[i] &&
		    (!len || after->c[i].v.bytes - before->c[i].v.bytes == moved * len))
			continue;
		buf_puts(text, "  ");
		origin_print(after->c[i].from, text);
		buf_printf(text, ": wanted %llu, netfilter %llu/%llu\n",
			   (unsigned long long)expected[i], (unsigned long long)moved,
			   (unsigned long long)(after->c[i].v.bytes - before->c[i].v.bytes));
	}
	free(expected);
	return !text->len;
}

static void send_both(const struct frame *f, const int *fds)
{
	if (send(fds[f->port], f->bytes, f->len, 0) < 0 ||
	    send(fds[2 + f->port], f->bytes, f->len, 0) < 0)
		die("send");
}

static bool has_ct(const struct ruleset *rs)
{
	return lower_conntrack_is_on(rs, FAMILY_IP) || lower_conntrack_is_on(rs, FAMILY_IP6);
}

static uint64_t program_drops(const struct service *s);

static void one_case(struct way *w, const struct service *s, const struct packet_case *c,
		     enum case_backend back, const int *fds, struct tally *t)
{
	struct buf text = {0};
	struct counter_value *delta;
	struct frame f = c->frame;
	struct counts before, a, b;
	size_t wrong = t->wrong_program, i;
	bool known, held, same, early;
	uint64_t dropped;
	int tries;

	for (i = 0; i < c->nbefore; i++) {
		send_both(&c->before[i], fds);
		usleep(20000);
	}
	netns_enter(ns_a);
	f.iif = if_nametoindex(f.iifname);
	netns_enter(ns_w);
	f.has_ct = has_ct(w->rs);
	before = host_counts(ns_a);
	delta = calloc(before.n + 1, sizeof(*delta));
	known = !c->nbefore && way_predict(w, &f, &before, delta, t);
	dropped = program_drops(s);
	send_both(&f, fds);
	for (tries = 0;; tries++) {
		a = host_counts(ns_a);
		b = host_counts(ns_b);
		forget_egress(&b, &a);
		counts_add_programs(&b, s);
		same = !compare(&a, &b, NULL, NULL, false);
		held = case_holds(c->want[back], back, frame_family(&f), &before, &a, &text);
		if ((same && held) || tries == 19)
			break;
		counts_free(&a);
		counts_free(&b);
		usleep(5000);
	}
	early = program_drops(s) != dropped;
	t->frames++;
	t->compared += known;
	t->unknown += !known;
	t->dropped_early += early;
	if (!held || (c->early == EARLY_DROP && !early) || (c->early == EARLY_LEAVE && early)) {
		fprintf(stderr, "DISAGREE with the case, line %u, %s:\n%s", c->line, c->name,
			buf_str(&text));
		if (c->early != EARLY_ANY)
			fprintf(stderr, "  dropped early: %s\n", early ? "yes" : "no");
		t->wrong_cases++;
	}
	if (!same) {
		fprintf(stderr, "DISAGREE with the kernel, line %u, %s:\n", c->line, c->name);
		compare(&a, &b, NULL, NULL, true);
		t->wrong_counters++;
	}
	forget_egress(&a, &before);
	if (known && compare(&a, NULL, delta, &before, false)) {
		fprintf(stderr, "DISAGREE evaluator, line %u, %s:\n", c->line, c->name);
		compare(&a, NULL, delta, &before, true);
		t->wrong_evaluator++;
	}
	if (t->wrong_program != wrong)
		fprintf(stderr, "  in line %u, %s\n", c->line, c->name);
	if (!held || !same || t->wrong_program != wrong)
		print_frame(&f);
	if (verbose)
		fprintf(stderr, "%s %s %s\n", known ? "known  " : "unknown",
			early ? "early" : "     ", c->name);
	free(delta);
	buf_free(&text);
	counts_free(&before);
	counts_free(&a);
	counts_free(&b);
}

/* ---- the run ---- */

static int packet_socket(const char *name)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	ll.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !ll.sll_ifindex || bind(fd, (struct sockaddr *)&ll, sizeof(ll)))
		die(name);
	return fd;
}

static uint64_t program_drops(const struct service *s)
{
	uint64_t n = 0;
	struct counter_value *v;
	struct diag d = {0};
	uint32_t i;

	if (!s->loaded)
		return 0;
	v = calloc(s->early->ir->ncounters + 1, sizeof(*v));
	kern_counters(s->loaded, v, s->early->ir->ncounters, &d);
	for (i = 0; i < s->early->ir->ncounters; i++)
		n += v[i].packets;
	free(v);
	return n;
}

static struct way *way_new(void)
{
	struct way *w = calloc(1, sizeof(*w));
	const struct unit *u;
	struct diag d = {0};
	struct kern_world world;
	struct kern_caps caps;
	size_t n = 0;

	netns_enter(ns_a);
	w->rs = pipeline_read(NULL, 0, &d);
	if (!w->rs || kern_probe(&caps, &d)) {
		diag_print(&d, stderr, "oracle");
		exit(3);
	}
	w->units = pipeline_compile(w->rs, SITE_HOOK, NULL);
	for (u = w->units; u; u = u->next)
		n++;
	w->loaded = calloc(n + 1, sizeof(*w->loaded));
	for (u = w->units, n = 0; u; u = u->next, n++) {
		if (!u->emitted)
			continue;
		world_make(w->rs, u, w->rs->mem, &world);
		world.config.check_generation = 0;
		if (kern_load(&u->image, &world, &caps, &w->loaded[n], &d)) {
			diag_print(&d, stderr, "oracle");
			exit(3);
		}
	}
	netns_enter(ns_w);
	return w;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"backend", 1, NULL, 'b'},
					      {"rules", 1, NULL, 'r'},
					      {"rules6", 1, NULL, '6'},
					      {"site", 1, NULL, 's'},
					      {"packets", 1, NULL, 'n'},
					      {"seed", 1, NULL, 'x'},
					      {"rp-filter", 1, NULL, 'p'},
					      {"verbose", 0, NULL, 'v'},
					      {"ipsets", 1, NULL, 'i'},
					      {"cases", 1, NULL, 'c'},
					      {0}};
	const char *back = "legacy", *rules = NULL, *rules6 = NULL, *sets = NULL,
		   *names[2] = {"eth0", "eth1"};
	struct options o = {
	    .site = SITE_XDP, .state_dir = state_dir, .interfaces = names, .ninterfaces = 2};
	unsigned long packets = 200, seed = 1, i;
	struct case_file cases = {0};
	enum case_backend which;
	struct tally t = {0};
	struct service s = {0};
	struct frame_source *source;
	struct diag d = {0};
	struct frame f;
	struct way *w;
	size_t removed;
	int opt, fds[4], rp = 0, home;
	bool changed, ct;

	while ((opt = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		switch (opt) {
		case 'b':
			back = optarg;
			break;
		case 'r':
			rules = optarg;
			break;
		case '6':
			rules6 = optarg;
			break;
		case 'i':
			sets = optarg;
			break;
		case 's':
			o.site = !strcmp(optarg, "tc") ? SITE_TC : SITE_XDP;
			break;
		case 'n':
			packets = strtoul(optarg, NULL, 0);
			break;
		case 'x':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			rp = atoi(optarg);
			break;
		case 'v':
			verbose = true;
			break;
		case 'c':
			if (case_file_read(optarg, &cases))
				return 2;
			break;
		default:
			return 2;
		}
	}
	which = !strcmp(back, "native")   ? CASE_NATIVE
		: !strcmp(back, "compat") ? CASE_COMPAT
					  : CASE_LEGACY;
	if (cases.ncases) {
		rules = which == CASE_NATIVE ? cases.native : cases.rules4;
		rules6 = which == CASE_NATIVE ? NULL : cases.rules6;
		sets = cases.ipsets;
		rp = cases.rp_filter;
		packets = 0;
	}
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("mount namespace");
	snprintf(state_dir, sizeof(state_dir), "/tmp/nf2bpf-oracle-%d", getpid());
	mkdir(state_dir, 0700);
	home = netns_here();
	ns_a = netns_new();
	ns_b = netns_new();
	ns_w = netns_new();
	close(home);
	host_setup(ns_a, 'a', rp);
	host_setup(ns_b, 'b', rp);
	rules_load(ns_a, back, rules, rules6, sets);
	rules_load(ns_b, back, rules, rules6, sets);
	if (cases.ncases) {
		must(ns_a, arena_printf(arena_new(), "nft '%s'", witness_table));
		must(ns_b, arena_printf(arena_new(), "nft '%s'", witness_table));
	}
	netns_enter(ns_b);
	if (kern_probe(&s.caps, &d) || service_update(&s, &o, &changed, &d)) {
		diag_print(&d, stderr, "oracle");
		return 3;
	}
	diag_print(&d, stderr, "oracle");
	netns_enter(ns_w);
	w = way_new();
	ct = has_ct(w->rs);
	fds[0] = packet_socket("a0");
	fds[1] = packet_socket("a1");
	fds[2] = packet_socket("b0");
	fds[3] = packet_socket("b1");
	source = frame_source_new(s.early ? s.early->ir : NULL, seed);
	for (i = 0; i < packets; i++) {
		frame_next(source, &f);
		f.has_ct = ct;
		netns_enter(ns_a);
		f.iif = if_nametoindex(f.iifname);
		netns_enter(ns_w);
		one_frame(w, &s, &f, fds, &t);
	}
	w->forward = cases.ncases;
	for (i = 0; i < cases.ncases; i++)
		if (cases.cases[i].want[which])
			one_case(w, &s, &cases.cases[i], which, fds, &t);
	if (cases.ncases)
		printf("cases wrong: %zu; ", t.wrong_cases);
	printf("%-7s %-4s rp=%d seed=%lu frames=%zu evaluator=%zu unknown=%zu hook_runs=%zu "
	       "early_hits=%llu wrong: kernel %zu evaluator %zu program %zu\n",
	       back, site_specs[o.site].name, rp, seed, t.frames, t.compared, t.unknown,
	       t.hook_runs, (unsigned long long)program_drops(&s), t.wrong_counters,
	       t.wrong_evaluator, t.wrong_program);
	netns_enter(ns_b);
	kern_off(NULL, &removed, &d);
	state_remove(state_dir);
	rmdir(state_dir);
	return t.wrong_counters || t.wrong_evaluator || t.wrong_program || t.wrong_cases ? 1
											 : 0;
}
