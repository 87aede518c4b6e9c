// SPDX-License-Identifier: GPL-2.0
/* A ruleset made ready; the hooks that a frame meets on its way in; conntrack's first word. */
#include "raw.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "base/net.h"
#include "raw_priv.h"

/* ---- statistics ---- */

#define NSTAT 512

static struct raw_stat stats[NSTAT];
static size_t nstats;

static uint32_t hash(uint32_t h, const char *s)
{
	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

static bool stat_is(const struct raw_stat *st, const char *prefix, const char *name)
{
	size_t n = strlen(prefix);

	return !strncmp(st->name, prefix, n) && !strcmp(st->name + n, name);
}

void raw_stat_add(const char *prefix, const char *name, bool yes, bool hotdrop)
{
	uint32_t at = hash(hash(2166136261u, prefix), name) % NSTAT;
	char *text;

	while (stats[at].name && !stat_is(&stats[at], prefix, name))
		at = (at + 1) % NSTAT;
	if (!stats[at].name) {
		if (nstats > NSTAT / 2)
			return;
		text = malloc(strlen(prefix) + strlen(name) + 1);
		if (!text)
			abort();
		strcpy(text, prefix);
		strcat(text, name);
		stats[at].name = text;
		nstats++;
	}
	stats[at].yes += yes;
	stats[at].no += !yes && !hotdrop;
	stats[at].hotdrop += hotdrop;
}

static int stat_cmp(const void *a, const void *b)
{
	return strcmp(((const struct raw_stat *)a)->name, ((const struct raw_stat *)b)->name);
}

const struct raw_stat *raw_stats(size_t *n)
{
	static struct raw_stat sorted[NSTAT];
	size_t i;

	*n = 0;
	for (i = 0; i < NSTAT; i++)
		if (stats[i].name)
			sorted[(*n)++] = stats[i];
	qsort(sorted, *n, sizeof(*sorted), stat_cmp);
	return sorted;
}

/* ---- a ruleset made ready ---- */

const struct raw_chain *raw_find_chain(const struct raw *r, const struct chain *c)
{
	size_t i;

	for (i = 0; i < r->nchains; i++)
		if (r->chains[i].chain == c)
			return &r->chains[i];
	return NULL;
}

const struct raw_chain *raw_find_name(const struct raw *r, const struct table *t,
				      const char *name)
{
	size_t i;

	for (i = 0; i < r->nchains; i++)
		if (r->chains[i].chain->table == t && !strcmp(r->chains[i].chain->name, name))
			return &r->chains[i];
	return NULL;
}

const struct route *raw_local_route(const struct raw *r, enum family f, const uint8_t *a)
{
	const struct route *at, *best = NULL;
	unsigned i;

	for (at = r->rs->env.routes; at; at = at->next) {
		if (at->family != f || at->table != RT_TABLE_LOCAL ||
		    (best && at->plen <= best->plen))
			continue;
		for (i = 0; i < at->plen; i++)
			if ((a[i / 8] ^ at->dst[i / 8]) & 0x80 >> i % 8)
				break;
		if (i == at->plen)
			best = at;
	}
	return best;
}

static void make_xt(struct raw *r, struct raw_rule *out, const struct rule *rule)
{
	const struct xt_entry *e = &rule->xt;
	size_t i;

	out->ops = arena_array(r->mem, 2 * e->nmatches + 1, sizeof(*out->ops));
	for (i = 0; i < e->nmatches; i++) {
		out->ops[i] = raw_match_find(&e->matches[i], false);
		out->ops[i + e->nmatches] = raw_match_find(&e->matches[i], true);
	}
	if (e->jump)
		out->jump = raw_find_name(r, rule->chain->table, e->jump);
}

void raw_expr_make(const struct raw *r, const struct chain *c, const struct nexpr *e,
		   struct raw_expr *out)
{
	size_t i;

	*out = (struct raw_expr){0};
	if (e->kind == NEXPR_LOOKUP) {
		out->set = table_find_set(c->table, e->lookup.set_name);
		for (i = 0; out->set && i < out->set->nelems; i++)
			if (out->set->elems[i].catchall)
				out->catchall = &out->set->elems[i];
	} else if (e->kind == NEXPR_IMMEDIATE && e->immediate.is_verdict &&
		   e->immediate.verdict.chain) {
		out->jump = raw_find_name(r, c->table, e->immediate.verdict.chain);
	} else if (e->kind == NEXPR_MATCH) {
		out->ops[0] = raw_match_find(&e->xt, false);
		out->ops[1] = raw_match_find(&e->xt, true);
	}
}

static void make_nft(struct raw *r, struct raw_rule *out, const struct rule *rule)
{
	struct raw_expr *x = arena_array(r->mem, rule->nexprs + 1, sizeof(*x));
	size_t i;

	out->exprs = x;
	for (i = 0; i < rule->nexprs; i++)
		raw_expr_make(r, rule->chain, &rule->exprs[i], &x[i]);
}

struct raw *raw_new(const struct ruleset *rs)
{
	struct arena *mem = arena_new();
	struct raw *r = arena_alloc(mem, sizeof(*r));
	const struct table *t;
	const struct chain *c;
	const struct rule *rule;
	size_t i, n = 0;

	r->rs = rs;
	r->mem = mem;
	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			n++;
	r->chains = arena_array(mem, n + 1, sizeof(*r->chains));
	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			r->chains[r->nchains++].chain = c;
	for (i = 0; i < n; i++) {
		struct raw_chain *rc = &r->chains[i];

		rc->rules = arena_array(mem, rc->chain->nrules + 1, sizeof(*rc->rules));
		for (rule = rc->chain->rules; rule; rule = rule->next) {
			rc->rules[rc->n].rule = rule;
			if (rule->kind == BACKEND_LEGACY)
				make_xt(r, &rc->rules[rc->n++], rule);
			else
				make_nft(r, &rc->rules[rc->n++], rule);
		}
	}
	return r;
}

void raw_free(struct raw *r)
{
	arena_free(r->mem);
}

/* ---- results ---- */

bool raw_count(struct raw_result *out, const struct origin *from)
{
	if (out->nhits == RAW_MAX_HITS)
		return false;
	out->hits[out->nhits++] = from;
	return true;
}

void raw_unknown(struct raw_result *out, const char *why)
{
	out->verdict = RAW_UNKNOWN;
	out->why = why;
}

static void result_clear(struct raw_result *out)
{
	out->verdict = RAW_UNSEEN;
	out->why = NULL;
	out->by = NULL;
	out->nhits = 0;
	out->bytes = 0;
}

/* ---- one chain ---- */

/* skb->_nfct as the packet tells it. */
static void take_ct(struct raw_skb *s)
{
	const struct packet *p = s->p;

	s->ct = p->ct_ok;
	s->ctinfo = 0;
	if (!p->ct_ok) {
		if (p->ct_state == 64)
			s->ctinfo = CTI_UNTRACKED;
		return;
	}
	s->ctinfo = p->ct_state == 2   ? CTI_ESTABLISHED
		    : p->ct_state == 4 ? CTI_RELATED
				       : CTI_NEW;
	if (p->ct_dir)
		s->ctinfo += CTI_REPLY;
}

static void run_chain(struct raw *r, const struct chain *base, const struct raw_skb *s,
		      struct raw_result *out)
{
	const struct raw_chain *c = raw_find_chain(r, base);

	if (base->odd || base->table->odd)
		raw_unknown(out, "chain with an unknown attribute");
	else if (base->table->backend == BACKEND_LEGACY)
		raw_ipt_run(r, c, s, out);
	else
		raw_nft_run(r, c, s, out);
}

/* nf_conntrack_in() runs at -200 where packets come in or are made: before, there is nothing.
 */
static bool before_conntrack(const struct chain *base)
{
	return (base->hook == HOOK_PREROUTING || base->hook == HOOK_OUTPUT) &&
	       base->priority <= -200;
}

void raw_skb_hook(struct raw_skb *s, const struct chain *base)
{
	static const char none[16];
	bool in = base->hook != HOOK_OUTPUT && base->hook != HOOK_POSTROUTING,
	     out = base->hook != HOOK_PREROUTING && base->hook != HOOK_INPUT;

	s->hook = base->hook;
	s->in = in ? s->p->iifname : none;
	s->iif = in ? s->p->iif : 0;
	s->out = out ? s->p->oifname : none;
	s->oif = out ? s->p->oif : 0;
	take_ct(s);
	if (before_conntrack(base)) {
		s->ct = false;
		s->ctinfo = 0;
	}
}

void raw_hook(struct raw *r, const struct chain *base, enum family family,
	      const struct packet *p, struct raw_result *out)
{
	struct raw_skb s;

	result_clear(out);
	if (!raw_skb_init(&s, p) || s.six != (family == FAMILY_IP6))
		return;
	out->bytes = (uint32_t)s.len;
	raw_skb_hook(&s, base);
	run_chain(r, base, &s, out);
}

/* ---- the way in ---- */

struct place {
	const struct chain *chain;
	int32_t priority;
	size_t number;
};

static bool is_nat(const struct chain *c)
{
	return c->type == CHAIN_NAT ||
	       (c->table->backend == BACKEND_LEGACY && !strcmp(c->table->name, "nat"));
}

static int place_cmp(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

static size_t places(const struct raw *r, enum hook hook, bool six, struct place *out,
		     size_t room)
{
	size_t i, n = 0;

	for (i = 0; i < r->nchains; i++) {
		const struct chain *c = r->chains[i].chain;
		const struct table *t = c->table;
		bool serves = t->family == (six ? FAMILY_IP6 : FAMILY_IP) ||
			      (t->backend == BACKEND_NFT && t->family == FAMILY_INET);

		if (!c->is_base || c->hook != hook || !serves ||
		    (t->backend == BACKEND_NFT && t->flags & NFT_TABLE_F_DORMANT))
			continue;
		if (n == room)
			break;
		out[n].chain = c;
		out[n].number = i;
		/* nf_nat_inet_fn() stands at a place of its own */
		out[n].priority = !is_nat(c)                ? c->priority
				  : hook == HOOK_PREROUTING ? -100
							    : 100;
		n++;
	}
	qsort(out, n, sizeof(*out), place_cmp);
	return n;
}

/* False: the result is final. */
static bool run_hook(struct raw *r, enum hook hook, struct raw_skb *s, struct raw_result *out)
{
	struct place p[64];
	size_t n = places(r, hook, s->six, p, 64), i;

	for (i = 0; i < n; i++) {
		raw_skb_hook(s, p[i].chain);
		/* Only a connection's first packet is shown to nat chains. */
		if (is_nat(p[i].chain)) {
			if (!s->ct || s->ctinfo % CTI_REPLY == CTI_ESTABLISHED)
				continue;
			if (s->ctinfo % CTI_REPLY == CTI_RELATED) {
				raw_unknown(out, "nat of a related packet");
				return false;
			}
		}
		run_chain(r, p[i].chain, s, out);
		if (out->verdict != RAW_ACCEPT)
			return false;
	}
	out->verdict = RAW_ACCEPT;
	return true;
}

/* ip_forward(), ip6_forward(): one hop less before the hook. False: no more hops. */
static bool take_hop(uint8_t *nh, bool six)
{
	uint32_t sum = 0;
	unsigned i, ihl = (nh[0] & 15u) * 4;

	if (nh[six ? 7 : 8] <= 1)
		return false;
	nh[six ? 7 : 8]--;
	if (six)
		return true;
	nh[10] = nh[11] = 0;
	for (i = 0; i < ihl; i += 2)
		sum += (uint32_t)(nh[i] << 8 | nh[i + 1]);
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	put_be16(nh + 10, (uint16_t)~sum);
	return true;
}

void raw_ingress(struct raw *r, const struct packet *p, const struct early_world *w,
		 struct raw_result *out)
{
	uint8_t data[2048];
	struct packet copy = *p;
	enum route_kind kind;
	struct raw_skb s;

	result_clear(out);
	if (p->len > sizeof(data))
		return raw_unknown(out, "a long frame");
	memcpy(data, p->data, p->len);
	copy.data = data;
	copy.oif = 0;
	memset(copy.oifname, 0, sizeof(copy.oifname));
	/* eth_type_trans(); a frame to somebody else goes no further than ip_rcv() */
	if (copy.pkttype == 3 || !raw_skb_init(&s, &copy))
		return;
	out->bytes = (uint32_t)s.len;
	if (!run_hook(r, HOOK_PREROUTING, &s, out))
		return;
	kind = w->route(w->ctx, s.six ? FAMILY_IP6 : FAMILY_IP, s.nh, copy.iif, &copy.oif,
			copy.oifname);
	if (kind == ROUTE_UNKNOWN)
		return raw_unknown(out, "route");
	if (kind == ROUTE_FORWARD && !take_hop(data + (s.nh - data), s.six))
		return raw_unknown(out, "no hops left");
	run_hook(r, kind == ROUTE_LOCAL ? HOOK_INPUT : HOOK_FORWARD, &s, out);
}

/* ---- conntrack ---- */

/* Extensions of x_tables and expressions that call nf_ct_netns_get(), and those that do not. */
static int name_tracks(const char *name)
{
	static const char *const yes[] = {
	    "conntrack",  "state",    "connmark",    "connlabel", "connbytes", "connlimit",
	    "helper",     "cluster",  "SNAT",        "DNAT",      "REDIRECT",  "NETMAP",
	    "MASQUERADE", "CONNMARK", "CONNSECMARK", "SYNPROXY",  "ct",        "nat",
	    "masq",       "redir",    "synproxy"};
	static const char *const no[] = {
	    "addrtype",  "ah",        "comment",    "dccp",     "dscp",      "dst",
	    "esp",       "frag",      "hbh",        "hl",       "icmp",      "icmp6",
	    "iprange",   "length",    "limit",      "mac",      "mark",      "multiport",
	    "pkttype",   "rt",        "sctp",       "set",      "tcp",       "tos",
	    "ttl",       "udp",       "udplite",    "LOG",      "NFLOG",     "REJECT",
	    "MARK",      "log",       "reject",     "SET",      "recent",    "owner",
	    "hashlimit", "payload",   "meta",       "cmp",      "bitwise",   "range",
	    "lookup",    "immediate", "counter",    "exthdr",   "byteorder", "fib",
	    "quota",     "numgen",    "hash",       "socket",   "queue",     "dynset",
	    "notrack",   "string",    "statistic",  "TCPMSS",   "NFQUEUE",   "rpfilter",
	    "policy",    "ecn",       "tcpmss",     "DSCP",     "TOS",       "TTL",
	    "HL",        "CLASSIFY",  "TRACE",      "AUDIT",    "u32",       "time",
	    "NOTRACK",   "physdev",   "bpf",        "cpu",      "devgroup",  "realm",
	    "eui64",     "mh",        "ipv6header", "CHECKSUM", "TEE",       "match",
	    "target"};
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!strcmp(name, yes[i]))
			return 1;
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (!strcmp(name, no[i]))
			return 0;
	return -1;
}

/* yes, else not known, else no */
static int either(int a, int b)
{
	return a == 1 || b == 1 ? 1 : a == -1 || b == -1 ? -1 : 0;
}

/* xt_ct_tg_check(): not for "no tracking" alone. */
static int target_tracks(const struct xt_ext *t)
{
	uint16_t flags = 0;

	if (strcmp(t->name, "CT"))
		return name_tracks(t->name);
	if (t->len >= 2)
		memcpy(&flags, t->data, 2);
	return !(flags & XT_CT_NOTRACK);
}

static int rule_tracks(const struct rule *r)
{
	int tracks = 0;
	size_t i;

	for (i = 0; r->kind == BACKEND_LEGACY && i < r->xt.nmatches; i++)
		tracks = either(tracks, name_tracks(r->xt.matches[i].name));
	if (r->kind == BACKEND_LEGACY && r->xt.verdict == XTV_EXTENSION)
		tracks = either(tracks, target_tracks(&r->xt.target));
	for (i = 0; r->kind == BACKEND_NFT && i < r->nexprs; i++) {
		const struct nexpr *e = &r->exprs[i];

		if (e->kind == NEXPR_TARGET)
			tracks = either(tracks, target_tracks(&e->xt));
		else
			tracks = either(
			    tracks, name_tracks(e->kind == NEXPR_MATCH ? e->xt.name : e->name));
	}
	return tracks;
}

int raw_tracks(const struct raw *r, enum family family)
{
	const struct rule *rule;
	int tracks = 0;
	size_t i;

	for (i = 0; i < r->nchains; i++) {
		const struct table *t = r->chains[i].chain->table;

		if (t->family != family && t->family != FAMILY_INET)
			continue;
		if (t->objects || t->has_flowtable)
			tracks = either(tracks, -1);
		for (rule = r->chains[i].chain->rules; rule; rule = rule->next)
			tracks = either(tracks, rule_tracks(rule));
	}
	return tracks;
}

enum { INVALID = 1, ESTABLISHED = 2, RELATED = 4, NEW = 8 };

static bool sum_right(const struct raw_skb *s, size_t off, uint8_t proto)
{
	size_t n = s->len - off, i, alen = s->six ? 32 : 8;
	const uint8_t *a = s->nh + (s->six ? 8 : 12), *th = s->nh + off;
	uint64_t sum = proto + n;

	for (i = 0; i < alen; i += 2)
		sum += (uint64_t)(a[i] << 8 | a[i + 1]);
	for (i = 0; i < n; i++)
		sum += (uint64_t)th[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return sum == 0xffff;
}

/* nf_conntrack_proto_tcp.c: tcp_error(), tcp_valid_flags, then the first state of the table */
static uint32_t tcp_classes(const struct raw_skb *s, size_t off, bool loose)
{
	const uint8_t *th = raw_at(s, off, 20);
	size_t doff;
	uint8_t f;

	if (!th)
		return INVALID;
	doff = (th[12] >> 4) * 4u;
	if (doff < 20 || doff > s->len - off)
		return INVALID;
	f = th[13] & 0x37; /* not PSH, ECE, CWR */
	switch (f) {
	case 0x02: /* SYN */
	case 0x22: /* SYN URG */
		break;
	case 0x10: /* ACK: picked up, if that is allowed */
	case 0x30:
		if (!loose)
			return INVALID;
		break;
	default:
		return INVALID;
	}
	return sum_right(s, off, IPPROTO_TCP) ? NEW : NEW | INVALID;
}

uint32_t raw_ct_classes(const struct packet *p, bool tcp_loose)
{
	struct raw_skb s;
	const uint8_t *th;
	uint8_t proto;
	size_t off;
	uint32_t n;

	if (!raw_skb_init(&s, p))
		return NEW | INVALID;
	proto = s.nh[s.six ? 6 : 9];
	off = s.six ? 40 : (s.nh[0] & 15u) * 4;
	if (!s.six && (s.nh[6] << 8 | s.nh[7]) & 0x3fff)
		return NEW | INVALID | RELATED | ESTABLISHED;
	switch (proto) {
	case IPPROTO_TCP:
		return tcp_classes(&s, off, tcp_loose);
	case IPPROTO_UDP: /* udp_error() */
		th = raw_at(&s, off, 8);
		if (!th)
			return INVALID;
		n = (uint32_t)(th[4] << 8 | th[5]);
		if (n < 8 || n > s.len - off)
			return INVALID;
		if (!(th[6] | th[7]) || sum_right(&s, off, proto))
			return NEW;
		return NEW | INVALID;
	default:
		return NEW | INVALID | RELATED;
	}
}
