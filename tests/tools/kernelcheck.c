// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel as oracle, by the thousand.  For each of many rulesets (random ones of genrules.h,
 * or files) a process of its own makes three network namespaces: W sends; A is filtered by
 * netfilter alone; B has the same rules and our programs, at xdp, tc or the netfilter hooks.
 * Batches of the same frames go to both, then short conversations (TCP with the hosts'
 * listeners, UDP with their echoes, ICMP errors about both), so that packets of established and
 * related flows pass too, also the answers to connections that pass by (--no-replies: not
 * those).  After each batch
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
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aim.h"
#include "frame.h"
#include "genrules.h"
#include "lab.h"
#include "placement.h"

#define BATCH 200
#define FLOWS 24
#define NEIGHBOUR_SEQ 5000

struct feature {
	char name[56];
	uint64_t matched, passed,
	    ours; /* by netfilter in A; and how many of the matched our programs took in B */
};

/* Shared by all processes. */
struct tally {
	struct feature features[2048];
	size_t nfeatures;
	uint64_t rulesets, refused, packets, early, disagreements, unstable, broken;
};

static struct tally *tally;
static struct lab_env *env; /* likewise */
static bool verbose;
/* Also answers that the hosts only pass on: whoever drops one behind conntrack, its entry has
 * changed. */
static bool replies = true;
static double shrink_seconds = 150;
static volatile sig_atomic_t stopped; /* asked to end: after the ruleset at hand */

static void stop(int signal)
{
	stopped = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- frames ---- */

/* In batches; a batch is at one interface, and no longer than a veth's ring. */
static size_t frames_run(struct lab *l, const struct frame *f, size_t n, FILE *say)
{
	size_t i, wrong = 0;

	for (i = 0; i < n && !wrong; i++) {
		lab_send(l, 0, &f[i]);
		lab_send(l, 1, &f[i]);
		if (i + 1 == n || (i + 1) % BATCH == 0 || f[i + 1].port != f[i].port)
			wrong = lab_compare(l, NULL, NULL, say);
	}
	return wrong;
}

struct source {
	struct frame_source *plain;
	struct aim *aim;
	uint64_t state;
	bool ordered; /* the rules hold what depends on the order of the packets */
};

static bool text_is_ordered(const struct gen_text *t)
{
	static const char *const words[] = {"limit",  "statistic", "quota", "recent",
					    "numgen", "update @",  "add @"};
	size_t i, n;

	for (i = 0; i < t->n; i++)
		for (n = 0; n < sizeof(words) / sizeof(words[0]); n++)
			if (strstr(t->lines[i], words[n]))
				return true;
	return false;
}

/* What a host answers to itself comes in again, at no certain place between the frames. */
static void source_not_own(struct frame *f)
{
	static const uint8_t net[5] = {0x20, 1, 0x0d, 0xb8, 0};
	uint8_t *nh = f->bytes + 14;

	if (be16(f->bytes + 12) == 0x86dd && f->len >= 54 && !memcmp(nh + 8, net, 5) &&
	    nh[23] == 1)
		nh[23] = 3;
}

static struct source source_new(const struct lab *l, const struct task *t, uint64_t seed)
{
	const struct unit *u;
	struct source s = {.aim = aim_new(seed), .state = seed | 1};
	int part;

	if (l->s.early && l->s.early->ir)
		aim_add(s.aim, l->s.early->ir);
	for (u = l->s.hooks; u; u = u->next)
		if (u->ir && u->chain->hook <= HOOK_FORWARD)
			aim_add(s.aim, u->ir);
	s.plain = frame_source_new(l->s.early   ? l->s.early->ir
				   : l->s.hooks ? l->s.hooks->ir
						: NULL,
				   seed);
	for (part = 0; part < NGEN_PART; part++)
		s.ordered |= text_is_ordered(&t->rules.part[part]);
	return s;
}

/* Whoever the packet is for, the frame is for all or a group: the forward hook never sees it.
 */
static void source_to_many(struct source *s, struct frame *f)
{
	f->pkttype = 1 + (gen_random(&s->state) >> 40) % 2;
	if (f->pkttype == 1)
		memset(f->bytes, 0xff, 6);
	else
		f->bytes[0] |= 1;
}

/* Right checksums of TCP, UDP or ICMP directly behind the network header. */
static void mend(struct frame *f, bool six)
{
	uint8_t *nh = f->bytes + 14, *th = nh + (six ? 40 : 20), proto = nh[six ? 6 : 9];
	size_t len = f->len - (size_t)(th - f->bytes), at = proto == 6    ? 16
							    : proto == 17 ? 6
									  : 2;
	uint32_t pseudo =
	    proto == 1 ? 0 : net_sum(nh + (six ? 8 : 12), six ? 32 : 8, proto + (uint32_t)len);

	put_be16(th + at, 0);
	put_be16(th + at, net_sum_fold(net_sum(th, len, pseudo)));
	if (!six) {
		put_be16(nh + 10, 0);
		put_be16(nh + 10, net_sum_fold(net_sum(nh, 20, 0)));
	}
}

/* The source address is the one that the sender's interface gives itself (RFC 4291). */
static void source_of_interface(struct frame *f)
{
	uint8_t *nh = f->bytes + 14, *mac = f->bytes + 6;
	bool known = nh[6] == 6 || nh[6] == 17 || nh[6] == 58;

	if (be16(f->bytes + 12) != 0x86dd || f->len < 62 || be16(nh + 4) + 54u != f->len ||
	    !known)
		return;
	memcpy(nh + 16, mac, 3);
	nh[16] ^= 2;
	nh[19] = 0xff;
	nh[20] = 0xfe;
	memcpy(nh + 21, mac + 3, 3);
	mend(f, true);
}

static void source_next(struct source *s, int port, struct frame *f)
{
	static const uint8_t own[2][6] = {{2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 1}};
	uint64_t dice = gen_random(&s->state);
	unsigned kind = (unsigned)(dice >> 20) % 100;

	if (kind < 45 || !aim_next(s->aim, f))
		frame_next(s->plain, f);
	if (kind >= 85 && f->len >= 60)
		aim_mutate(s->aim, f);
	if (lab_takeover && kind % 10 == 9)
		aim_fragment(s->aim, f);
	if (f->len < 15)
		f->len = 15;
	if (!f->pkttype && (gen_random(&s->state) >> 40) % 100 < 2)
		source_to_many(s, f);
	if (dice >> 59 == 0)
		source_of_interface(f);
	if (s->ordered)
		source_not_own(f);
	f->port = port;
	if (!f->pkttype)
		memcpy(f->bytes, own[port], 6);
}

/* ---- conversations ---- */

struct flow {
	bool six, udp;
	bool through; /* to the neighbour behind the host, which answers: replies come in too */
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
	static const uint8_t six[3][16] = {
	    {0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2},
	    {0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
	    {0x20, 1, 0x0d, 0xb8, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
	static const uint32_t four[] = {0x0a090002, 0x0a090001, 0x0a090102};
	unsigned to = f->through ? 2 : 1;

	if (f->six) {
		memcpy(nh + 8, six[back ? to : 0], 16);
		memcpy(nh + 24, six[back ? 0 : to], 16);
	} else {
		put_be32(nh + 12, four[back ? to : 0]);
		put_be32(nh + 16, four[back ? 0 : to]);
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

static void flow_start(struct frame *out, const struct flow *f)
{
	memset(out, 0, sizeof(*out));
	out->bytes[0] = out->bytes[6] = 2;
	out->bytes[11] = 0xaa;
	put_be16(out->bytes + 12, f->six ? 0x86dd : 0x0800);
	out->iifname = "eth0";
}

/* back: the answer of the neighbour behind the host. */
static void flow_segment(struct frame *out, const struct flow *f, int side, bool back,
			 uint8_t flags, size_t data)
{
	uint8_t *nh = out->bytes + 14, *th = nh + (f->six ? 40 : 20);

	flow_start(out, f);
	out->port = back;
	out->bytes[5] = back;
	put_be16(th, back ? f->dport : f->sport);
	put_be16(th + 2, back ? f->sport : f->dport);
	if (f->udp) {
		put_be16(th + 4, (uint16_t)(8 + data));
		flow_network(f, nh, 17, 8 + data, back);
	} else {
		put_be32(th + 4,
			 back ? NEIGHBOUR_SEQ + (flags != 0x12) : f->seq + (flags != 2));
		put_be32(th + 8, !(flags & 0x10) ? 0
				 : back          ? f->seq + 1
				 : f->through    ? NEIGHBOUR_SEQ + 1
						 : f->ack[side]);
		th[12] = 0x50;
		th[13] = flags;
		put_be16(th + 14, 64000);
		flow_network(f, nh, 6, 20 + data, back);
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
				flow_segment(&f, &t->flows[i], side, false, (uint8_t)flags,
					     (size_t)data);
			lab_send(l, side, &f);
		}
	}
	tally->packets += FLOWS;
	usleep(3000);
	return lab_compare(l, talk_listen, t, say);
}

/* The neighbour's answers: packets in the other direction of connections that the host only
 * passes on. */
static size_t talk_back(struct lab *l, struct talk *t, int flags, FILE *say)
{
	struct frame f;
	size_t i;
	int side;

	for (i = 0; i < FLOWS; i++) {
		if (!t->flows[i].through)
			continue;
		for (side = 0; side < 2; side++) {
			flow_segment(&f, &t->flows[i], side, true, (uint8_t)flags, 0);
			lab_send(l, side, &f);
		}
		tally->packets++;
	}
	return lab_compare(l, talk_listen, t, say);
}

/* Entries that run out between two packets of a flow: the second begins a connection, or is
 * invalid. */
static size_t talk_age(struct lab *l, struct talk *t, FILE *say)
{
	size_t wrong;

	lab_timeouts(l, 1);
	wrong = talk_step(l, t, 0x02, 0, say);
	if (!wrong)
		wrong = talk_step(l, t, 0x10, 0, say);
	usleep(2300000);
	lab_timeouts(l, 30);
	if (!wrong)
		wrong = talk_step(l, t, 0x18, 7, say);
	if (!wrong)
		wrong = talk_back(l, t, 0x12, say);
	return wrong;
}

/* A host that translates gives a flow that looks like another one a port at random
 * (nf_nat_l4proto_unique_tuple()): what it passes on cannot be compared. */
static bool translates(const struct ruleset *rs)
{
	const struct table *t;
	const struct chain *c;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			if (c->is_base && (c->type == CHAIN_NAT || !strcmp(t->name, "nat")))
				return true;
	return false;
}

/*
 * TFTP: the neighbour answers to a request from a port of its own.  Where conntrack has a
 * helper for it (the rules say so) the answer is expected: related, and its helper is its
 * master's.  A second answer belongs to that connection.
 */
static size_t talk_helper(struct lab *l, struct talk *t, FILE *say)
{
	static const char request[] = "\0\1file\0octet";
	struct flow f = {.udp = true, .through = true};
	size_t wrong = 0;
	struct frame out;
	int step, side;

	for (step = 0; step < 6 && !wrong; step++) {
		f.six = step >= 3;
		f.sport = (uint16_t)(t->flows[0].sport + FLOWS + (size_t)f.six);
		f.dport = step % 3 ? 3001 : 69;
		flow_segment(&out, &f, 0, step % 3, 0, sizeof(request));
		memcpy(out.bytes + out.len - sizeof(request), request, sizeof(request));
		if (step % 3)
			out.bytes[out.len - sizeof(request) + 1] = 3; /* data */
		mend(&out, f.six);
		for (side = 0; side < 2; side++)
			lab_send(l, side, &out);
		tally->packets++;
		wrong = lab_compare(l, talk_listen, t, say);
	}
	return wrong;
}

static size_t talk_run(struct lab *l, uint64_t seed, FILE *say)
{
	/* SYN, ACK, data, an error, data, FIN, RST; UDP flows send data at each step.  Then
	 * what the neighbour says to it: SYN and ACK, ACK, FIN; 0: nothing. */
	static const int steps[][3] = {{0x02, 0, 0x12}, {0x10, 0, 0},    {0x18, 30, 0x10},
				       {-1, 0, 0},      {0x18, 5, 0x18}, {0x11, 0, 0x11},
				       {0x14, 0, 0}};
	struct talk t = {.state = seed * 0x9e3779b97f4a7c15ull | 1};
	bool translated = translates(l->s.rs);
	uint32_t moved = 0;
	size_t i, wrong;
	unsigned step;

	for (i = 0; i < FLOWS; i++) {
		t.flows[i].six = i % 3 == 2;
		t.flows[i].udp = i % 2;
		t.flows[i].through = replies && !translated && i / 6 % 2;
		t.flows[i].sport = (uint16_t)(20000 + (seed * 31 + i) % 40000);
		t.flows[i].dport = i % 5 == 4
				       ? (uint16_t)(gen_random(&t.state) >> 40)
				       : lab_ports[(gen_random(&t.state) >> 40) % LAB_PORTS];
		t.flows[i].seq = 1000;
	}
	for (step = 0; step < 7; step++) {
		for (i = 0; i < FLOWS; i++)
			t.flows[i].seq += moved;
		wrong = talk_step(l, &t, steps[step][0], steps[step][1], say);
		if (!wrong && steps[step][2])
			wrong = talk_back(l, &t, steps[step][2], say);
		if (wrong)
			return wrong;
		moved = (uint32_t)steps[step][1];
	}
	wrong = replies && !translated ? talk_helper(l, &t, say) : 0;
	return wrong || seed % 4 ? wrong : talk_age(l, &t, say);
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
	struct counts a = lab_counts(l, l->a), b = lab_counts(l, l->b);
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
			feature_add(lab_back_names[back], s.name[n], a.c[i].v.packets,
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
	uint64_t talk; /* a conversation's seed, after the frames; 0: none */
	bool refused;  /* our programs do not load: the trial lab_run found something, or the
			  verifier */
};

static int disagrees(struct task *t, const struct evidence *e, FILE *say)
{
	struct lab l;
	size_t wrong;
	int err = lab_open(&l, t, 0, say);

	if (err)
		return err < 0 && e->refused;
	wrong = e->refused ? 0 : frames_run(&l, e->frames, e->n, say);
	if (!wrong && e->talk)
		wrong = talk_run(&l, e->talk, say);
	lab_close(&l);
	return wrong > 0;
}

/* Takes out runs of frames, shorter and shorter, as long as the rest disagrees. */
static void shrink_frames(struct task *t, struct evidence *e, double until)
{
	struct frame *fewer = calloc(e->n, sizeof(*fewer));
	struct evidence try = {fewer, 0, e->talk, false};
	size_t run_len, at;

	for (run_len = e->talk ? e->n : e->n / 2; run_len && e->n && now() < until;
	     run_len /= 2) {
		for (at = 0; at < e->n && now() < until;) {
			size_t cut = run_len < e->n - at ? run_len : e->n - at;

			memcpy(fewer, e->frames, at * sizeof(*fewer));
			memcpy(fewer + at, e->frames + at + cut,
			       (e->n - at - cut) * sizeof(*fewer));
			try.n = e->n - cut;
			if ((try.n || try.talk) && disagrees(t, &try, NULL)) {
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

static void frames_write(const char *path, const struct evidence *e)
{
	FILE *f = fopen(path, "w");
	size_t i, n;

	for (i = 0; f && i < e->n; i++) {
		fprintf(f, "%d ", e->frames[i].port);
		for (n = 0; n < e->frames[i].len; n++)
			fprintf(f, "%02x", e->frames[i].bytes[n]);
		fputc('\n', f);
	}
	if (f)
		fclose(f);
}

static void write_evidence(struct task *t, const struct evidence *e, uint64_t seed)
{
	char dir[96], path[160];
	size_t i, n;
	int part;

	snprintf(dir, sizeof(dir), "/tmp/kernelcheck-%s-%llu", lab_back_names[t->back],
		 (unsigned long long)seed);
	mkdir(dir, 0755);
	printf("DISAGREE: seed %llu, %s, %s, rp_filter %d; shows again with\n  kernelcheck "
	       "--backend %s --site %s --rp-filter %d",
	       (unsigned long long)seed, lab_back_names[t->back], site_specs[t->site].name,
	       t->rp_filter, lab_back_names[t->back], site_specs[t->site].name, t->rp_filter);
	for (part = 0; part < NGEN_PART; part++) {
		snprintf(path, sizeof(path), "%s/%s", dir, lab_part_names[part]);
		if (!t->rules.part[part].n)
			continue;
		gen_text_write(&t->rules.part[part], path);
		printf(" --file %s", path);
	}
	if (e->refused) {
		printf(" --packets 0");
	} else if (e->n) {
		snprintf(path, sizeof(path), "%s/frames", dir);
		frames_write(path, e);
		printf(" --frames %s", path);
	}
	if (e->talk)
		printf(" --talk %llu%s", (unsigned long long)e->talk,
		       lab_takeover ? " --takeover"
		       : replies    ? ""
				    : " --no-replies");
	putchar('\n');
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
	struct evidence last;
	int part;

	/* The last batch or the conversation alone, if that is enough. */
	last = (struct evidence){e->frames, e->n, e->talk, e->refused};
	last.n = e->talk ? 0 : e->n % BATCH ? e->n % BATCH : e->n < BATCH ? e->n : BATCH;
	last.frames = e->frames + (e->n - last.n);
	if (disagrees(t, &last, NULL)) {
		*e = last;
	} else if (!disagrees(t, e, NULL)) {
		printf("unstable: seed %llu, %s, %s, rp_filter %d: %s disagreed once, not "
		       "again from the start\n",
		       (unsigned long long)seed, lab_back_names[t->back],
		       site_specs[t->site].name, t->rp_filter,
		       e->talk ? "a conversation" : "a batch");
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
	struct evidence e = {calloc(packets + BATCH, sizeof(struct frame)), 0, 0, false};
	struct source source;
	struct lab l;
	struct frame *frames = e.frames;
	size_t i, wrong = 0;
	int port, err = lab_open(&l, t, 60, NULL);

	if (err > 0) {
		char path[128], line[256];
		FILE *f;

		tally->refused++;
		snprintf(path, sizeof(path), "%s/errors", env->work);
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
	source = source_new(&l, t, seed);
	while (e.n < packets && !wrong) {
		port = (e.n / BATCH) % 4 == 3;
		for (i = 0; i < BATCH; i++)
			source_next(&source, port, &e.frames[e.n + i]);
		wrong = frames_run(&l, e.frames + e.n, BATCH, verbose ? stdout : NULL);
		e.n += BATCH;
		tally->packets += BATCH;
	}
	if (!wrong) {
		e.talk = seed | 1;
		wrong = talk_run(&l, e.talk, verbose ? stdout : NULL);
	}
	features_count(&l, t->back);
	lab_close(&l);
	if (wrong)
		found(t, &e, seed);
	free(frames);
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
		lab_die("fork");
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
		       lab_back_names[t->back], site_specs[t->site].name, status);
	}
	if (verbose)
		printf("seed %llu %s %s rp=%d: %.2f s\n", (unsigned long long)seed,
		       lab_back_names[t->back], site_specs[t->site].name, t->rp_filter,
		       now() - start);
}

static void report(unsigned long seed, double seconds, bool details)
{
	size_t i, dead = 0;

	printf("seed %lu: %llu rulesets (%llu refused, %llu lines taken out), %llu packets, "
	       "%llu counted by our programs, %llu came out, %llu comparisons, "
	       "%.0f s: %llu disagreements, %llu unstable, %llu broken\n",
	       seed, (unsigned long long)tally->rulesets, (unsigned long long)tally->refused,
	       (unsigned long long)env->lines_out, (unsigned long long)tally->packets,
	       (unsigned long long)tally->early, (unsigned long long)env->came_out,
	       (unsigned long long)env->compared, seconds,
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
		lab_die(path);
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
		if (fixed->rp_filter >= 0)
			t.rp_filter = fixed->rp_filter;
		if (t.back == NATIVE)
			gen_nft(&t.rules, seed + i);
		else
			gen_iptables(&t.rules, seed + i);
		ruleset_start(&t, packets, seed + i);
		gen_rules_free(&t.rules);
	}
}

/* No two kernels throw the same dice. */
static void take_random_out(struct gen_rules *g)
{
	struct gen_text *t;
	size_t i;

	for (t = g->part; t < g->part + NGEN_PART; t++)
		for (i = 0; i < t->n; i++)
			if (strstr(t->lines[i], "mode random") ||
			    strstr(t->lines[i], "numgen random"))
				t->out[i] = true;
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
		take_random_out(&t.rules);
		sets_guess(&t);
		if (verbose)
			printf("%s\n", files[i]);
		ruleset_start(&t, packets, seed + (uint64_t)i);
		gen_rules_free(&t.rules);
	}
}

static void *shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		lab_die("mmap");
	return p;
}

static void setup(void)
{
	struct diag d = {0};
	cpu_set_t one;

	if (geteuid()) {
		puts("needs root for network namespaces");
		exit(77);
	}
	tally = shared(sizeof(*tally));
	lab_env = env = shared(sizeof(*env));
	snprintf(env->work, sizeof(env->work), "/tmp/kernelcheck.%d", getpid());
	if (mkdir(env->work, 0700))
		lab_die(env->work);
	sched_getaffinity(0, sizeof(one), &one);
	if (CPU_COUNT(&one) > 1) {
		CPU_ZERO(&one);
		CPU_SET(getpid() % 2, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		lab_die("mount namespace");
	if (kern_probe(&env->caps, &d)) {
		diag_print(&d, stderr, "kernelcheck");
		exit(3);
	}
	diag_free(&d);
}

static enum back back_named(const char *name)
{
	int i;

	for (i = 0; i < NBACK && strcmp(name, lab_back_names[i]); i++)
		;
	return i < NBACK ? (enum back)i : LEGACY;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"rulesets", 1, NULL, 'n'},  {"packets", 1, NULL, 'p'},
	    {"seed", 1, NULL, 's'},      {"backend", 1, NULL, 'b'},
	    {"site", 1, NULL, 'S'},      {"rp-filter", 1, NULL, 'r'},
	    {"file", 1, NULL, 'f'},      {"frames", 1, NULL, 'F'},
	    {"talk", 1, NULL, 't'},      {"seconds", 1, NULL, 'T'},
	    {"verbose", 0, NULL, 'v'},   {"quiet", 0, NULL, 'q'},
	    {"no-shrink", 0, NULL, 'N'}, {"no-replies", 0, NULL, 'R'},
	    {"takeover", 0, NULL, 'O'},  {0}};
	unsigned long rulesets = 9, seed = 1;
	bool back_fixed = false, site_fixed = false, quiet = false, again = false;
	struct evidence e = {0};
	struct task fixed = {.rp_filter = -1};
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
				lab_die(optarg);
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
		case 'O':
			lab_takeover = true;
			break;
		case 'R':
			replies = false;
			break;
		case 'q':
			quiet = true;
			break;
		default:
			return 2;
		}
	}
	if (again && fixed.rp_filter < 0)
		fixed.rp_filter = 0;
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
	lab_run("rm -rf %s", env->work);
	return tally->disagreements || tally->broken ? 1 : 0;
}
