// SPDX-License-Identifier: GPL-2.0
/*
 * ipsets and the host's addresses as IR sets.
 *
 * ipset (net/netfilter/ipset/): a packet is in a hash:net set if the most specific prefix that
 * holds its address is not a "nomatch" one (mtype_test_cidrs()), so prefixes are resolved into
 * disjoint intervals first.  A port belongs to a protocol; a later fragment, or a packet
 * without its whole transport header, is in no set with ports (ip_set_get_ip4_port()).  These
 * conditions stand beside the look-up as tests.  Inverted, "not in the set" is also true where
 * one of them fails, so there they become fields of the key.
 *
 * Addresses (net/ipv4/fib_frontend.c __inet_dev_addr_type()): the same resolution over the
 * routes of the local table, each with its type.
 */
#include "lower/lower.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "match/xt_ops.h"

/* Sets of boxes are searched one by one: only small ones may be (as emit/emit_set.c has it). */
#define MAX_BOXES 1024
#define TOO_MANY "too many members for a test of this form"

/* ---- prefixes into disjoint intervals ---- */

struct prefix {
	struct u128 lo, hi;
	uint32_t group, value; /* group: what the prefixes compete in */
	struct u128 other;     /* the other address of the group's key */
	uint8_t plen;
};

static int prefix_cmp(const void *pa, const void *pb)
{
	const struct prefix *a = pa, *b = pb;
	int c = u128_cmp(a->other, b->other);

	if (!c)
		c = (a->group > b->group) - (a->group < b->group);
	if (!c)
		c = u128_cmp(a->lo, b->lo);
	return c ? c : (int)a->plen - (int)b->plen;
}

static bool same_group(const struct prefix *a, const struct prefix *b)
{
	return a->group == b->group && u128_eq(a->other, b->other);
}

typedef void interval_fn(void *ctx, const struct prefix *of, struct u128 lo, struct u128 hi);

/* Prefixes of one group, sorted: each address goes to the longest prefix that holds it. */
static void resolve_group(const struct prefix *p, size_t n, interval_fn *fn, void *ctx)
{
	const struct prefix *stack[130];
	struct u128 from = U128(0);
	unsigned depth = 0;
	bool ended = false; /* from would be behind the last address */
	size_t i;

	for (i = 0; i <= n; i++) {
		/* What ends before this prefix begins. */
		while (depth && (i == n || u128_cmp(stack[depth - 1]->hi, p[i].lo) < 0)) {
			const struct prefix *top = stack[--depth];

			if (!ended && u128_cmp(from, top->hi) <= 0)
				fn(ctx, top, from, top->hi);
			from = u128_inc(top->hi);
			ended = u128_eq(from, U128(0));
		}
		if (i == n)
			return;
		if (depth && u128_cmp(from, p[i].lo) < 0)
			fn(ctx, stack[depth - 1], from, u128_dec(p[i].lo));
		from = p[i].lo;
		stack[depth++] = &p[i];
	}
}

/* False: one prefix twice with different values. */
static bool resolve(struct prefix *p, size_t n, interval_fn *fn, void *ctx)
{
	size_t i, out = 0, start = 0;

	if (!n)
		return true;
	qsort(p, n, sizeof(*p), prefix_cmp);
	for (i = 1; i < n; i++) {
		if (prefix_cmp(&p[out], &p[i]))
			p[++out] = p[i];
		else if (p[out].value != p[i].value)
			return false;
	}
	n = out + 1;
	for (i = 1; i <= n; i++) {
		if (i < n && same_group(&p[start], &p[i]))
			continue;
		resolve_group(p + start, i - start, fn, ctx);
		start = i;
	}
	return true;
}

static struct prefix prefix_of(struct u128 addr, unsigned plen, unsigned len)
{
	struct u128 mask = u128_prefix_mask(len, plen);
	struct u128 lo = u128_and(addr, mask);

	return (struct prefix){
	    .lo = lo, .hi = u128_or(lo, u128_xor(mask, u128_max(len))), .plen = (uint8_t)plen};
}

/* ---- ipset types ---- */

enum part { PART_NONE, PART_IP, PART_NET };

static const struct set_type {
	const char *name;
	uint8_t first;    /* enum part of dimension 0 */
	uint8_t port_dim; /* 0: none, else the dimension from 1 */
	uint8_t last;     /* enum part of dimension 2 */
	uint8_t dims;
	bool bitmap;
} set_types[] = {
    {"hash:ip", PART_IP, 0, PART_NONE, 1, false},
    {"hash:net", PART_NET, 0, PART_NONE, 1, false},
    {"bitmap:ip", PART_IP, 0, PART_NONE, 1, true},
    {"bitmap:port", PART_NONE, 1, PART_NONE, 1, true},
    {"hash:ip,port", PART_IP, 2, PART_NONE, 2, false},
    {"hash:net,port", PART_NET, 2, PART_NONE, 2, false},
    {"hash:ip,port,ip", PART_IP, 2, PART_IP, 3, false},
    {"hash:ip,port,net", PART_IP, 2, PART_NET, 3, false},
};

static const struct set_type *find_type(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(set_types) / sizeof(*set_types); i++)
		if (!strcmp(set_types[i].name, name))
			return &set_types[i];
	return NULL;
}

/* One test of one set by one rule. */
struct look_up {
	struct lower *lw;
	const struct ipset *s;
	const struct set_type *type;
	unsigned src_flags;
	bool negate;
	const char *why; /* it is left, for this reason */
};

static bool from_source(const struct look_up *k, unsigned dim)
{
	return k->src_flags >> dim & 1;
}

/* ---- sets of addresses: hash:ip, hash:net, bitmap:ip ---- */

struct filling {
	struct lower *lw;
	struct ir_set *to;
};

static void add_interval(void *ctx, const struct prefix *of, struct u128 lo, struct u128 hi)
{
	struct filling *f = ctx;

	if (of->value)
		ir_set_add(f->lw->ir, f->to, &lo, &hi, 0);
}

/* What a member of a type with single addresses covers; a range stands for all its addresses.
 */
static const char *member_range(const struct look_up *k, const struct ipset_member *m,
				struct u128 *lo, struct u128 *hi)
{
	unsigned len = xt_addr_len(k->lw), bits = len * 8;
	unsigned netmask = k->s->netmask ? k->s->netmask : bits;
	struct u128 host;

	if (!m->has_ip || m->nomatch || (m->has_cidr && m->cidr > bits) || netmask > bits)
		return "a member in another form than its type's";
	*lo = *hi = be_to_u128(m->ip, len);
	if (m->has_cidr) {
		struct prefix p = prefix_of(*lo, m->cidr, len);

		*lo = p.lo;
		*hi = p.hi;
	} else if (m->has_ip_to) {
		*hi = be_to_u128(m->ip_to, len);
	}
	host = u128_xor(u128_prefix_mask(len, netmask), u128_max(len));
	*lo = u128_and(*lo, u128_not(host));
	*hi = u128_or(*hi, host);
	return u128_cmp(*lo, *hi) > 0 ? "a member with an inverted range" : NULL;
}

/* hash_ip4_kadt(): an address that is 0 under the netmask is in no set; bitmap_ip_kadt(): nor
 * is one outside of the set's range. */
static const char *fill_ips(struct look_up *k, struct ir_set *to)
{
	unsigned len = xt_addr_len(k->lw);
	unsigned netmask = k->s->netmask ? k->s->netmask : len * 8;
	struct u128 lo, hi, first = U128(0), last = u128_max(len);
	const char *why = NULL;
	size_t i;

	if (k->type->bitmap) {
		first = be_to_u128(k->s->range_from, len);
		last = be_to_u128(k->s->range_to, len);
	} else if (netmask <= len * 8) {
		first = u128_inc(u128_xor(u128_prefix_mask(len, netmask), u128_max(len)));
	}
	for (i = 0; i < k->s->nmembers && !why; i++) {
		why = member_range(k, &k->s->members[i], &lo, &hi);
		if (u128_cmp(lo, first) < 0)
			lo = first;
		if (u128_cmp(hi, last) > 0)
			hi = last;
		if (!why && u128_cmp(lo, hi) <= 0)
			ir_set_add(k->lw->ir, to, &lo, &hi, 0);
	}
	return why;
}

struct prefixes {
	struct prefix *p;
	size_t n, room;
};

static void prefixes_add(struct arena *mem, struct prefixes *list, const struct prefix *p)
{
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 64;

		list->p = arena_grow(mem, list->p, list->n, room, sizeof(*list->p));
		list->room = room;
	}
	list->p[list->n++] = *p;
}

/* The net part of a member; a range is cut into prefixes as the kernel does it
 * (ip_set_range_to_cidr(): the largest that begins here and ends inside). */
static const char *member_nets(struct look_up *k, struct arena *mem, struct prefixes *list,
			       const struct ipset_member *m, bool second, struct prefix like)
{
	bool has_ip = second ? m->has_ip2 : m->has_ip;
	bool has_to = second ? m->has_ip2_to : m->has_ip_to;
	bool has_cidr = second ? m->has_cidr2 : m->has_cidr;
	unsigned len = xt_addr_len(k->lw), bits = len * 8, plen;
	struct u128 at = be_to_u128(second ? m->ip2 : m->ip, len), to;
	struct prefix p;

	plen = has_cidr ? (second ? m->cidr2 : m->cidr) : bits;
	/* INIT_CIDR() and the kernel's parser know no prefix of 0 in these types. */
	if (!has_ip || !plen || plen > bits || (has_to && bits == 128))
		return "a member in another form than its type's";
	p = prefix_of(at, plen, len);
	to = has_to && !has_cidr ? be_to_u128(second ? m->ip2_to : m->ip_to, len) : p.hi;
	if (u128_cmp(at, to) > 0)
		return "a member with an inverted range";
	for (at = p.lo;; at = u128_inc(p.hi)) {
		for (plen = has_to && !has_cidr ? 1 : plen; plen <= bits; plen++) {
			p = prefix_of(at, plen, len);
			if (u128_eq(p.lo, at) && u128_cmp(p.hi, to) <= 0)
				break;
		}
		p.group = like.group;
		p.other = like.other;
		p.value = !m->nomatch;
		prefixes_add(mem, list, &p);
		if (u128_cmp(p.hi, to) >= 0)
			return NULL;
	}
}

static const char *fill_nets(struct look_up *k, struct ir_set *to)
{
	struct filling f = {.lw = k->lw, .to = to};
	struct arena *mem = arena_new();
	struct prefixes list = {0};
	const char *why = NULL;
	size_t i;

	for (i = 0; i < k->s->nmembers && !why; i++)
		why = member_nets(k, mem, &list, &k->s->members[i], false, (struct prefix){0});
	if (!why && !resolve(list.p, list.n, add_interval, &f))
		why = "one prefix with and without nomatch";
	arena_free(mem);
	return why;
}

/* ---- ports ---- */

enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132, UDPLITE = 136 };

/* get_port(): how much of the header must be there; 0: a protocol without ports. */
static unsigned header_bytes(uint8_t proto)
{
	switch (proto) {
	case TCP:
		return 20;
	case SCTP:
		return 12;
	case UDP:
	case UDPLITE:
	case ICMP:
	case ICMPV6:
		return 8;
	}
	return 0;
}

static bool is_icmp(uint8_t proto)
{
	return proto == ICMP || proto == ICMPV6;
}

/*
 * The key of a set with ports.  Which fields it has depends on the rule: for ICMP the "port" is
 * type and code, in front of the header, whatever the direction, so a set of both kinds of
 * members asked for the destination needs both windows; an inverted test needs the conditions.
 */
struct shape {
	bool both_windows, conditions;
	bool many_protos;
	uint8_t proto; /* of all members, if not many */
	unsigned nfields;
	int addr, protocol, port, port_front, addr2, frag,
	    avail; /* place of the field, or -1 */
	struct ir_key key[IR_MAX_KEY_FIELDS + 2];
	uint8_t width[IR_MAX_KEY_FIELDS + 2];
};

static int shape_field(struct shape *sh, bool used, struct ir_field f)
{
	if (!used)
		return -1;
	sh->key[sh->nfields] = xt_key(f);
	sh->width[sh->nfields] = (uint8_t)ir_field_len(f);
	return (int)sh->nfields++;
}

static const char *shape_protos(struct look_up *k, struct shape *sh, bool front)
{
	bool icmp = false, other = false;
	size_t i;

	for (i = 0; i < k->s->nmembers; i++) {
		const struct ipset_member *m = &k->s->members[i];

		if (!m->has_proto || !m->has_port)
			return "a member in another form than its type's";
		/* Other protocols have port 0 and may be fragments; so has the other family's
		 * ICMP. */
		if (!header_bytes(m->proto) ||
		    m->proto == (k->lw->family == FAMILY_IP ? ICMPV6 : ICMP))
			return "members of a protocol without ports";
		icmp |= is_icmp(m->proto);
		other |= !is_icmp(m->proto);
		sh->many_protos |= i && m->proto != sh->proto;
		sh->proto = m->proto;
	}
	sh->both_windows = icmp && other && !front;
	return NULL;
}

static const char *shape_make(struct look_up *k, struct shape *sh)
{
	bool front = from_source(k, k->type->port_dim - 1);
	const char *why;

	*sh = (struct shape){.many_protos = k->type->bitmap, .conditions = k->negate};
	if (!k->type->bitmap) {
		why = shape_protos(k, sh, front);
		if (why)
			return why;
		if (!sh->both_windows && sh->proto && is_icmp(sh->proto))
			front = true;
	}
	sh->addr = shape_field(sh, k->type->first, xt_addr_field(k->lw, from_source(k, 0)));
	sh->protocol = shape_field(sh, !k->type->bitmap || sh->conditions, IR_FIELD(L4_PROTO));
	sh->port = shape_field(sh, true, IR_WINDOW(TH, front ? 0 : 2, 2));
	sh->port_front = shape_field(sh, sh->both_windows, IR_WINDOW(TH, 0, 2));
	sh->addr2 = shape_field(sh, k->type->last, xt_addr_field(k->lw, from_source(k, 2)));
	sh->frag = shape_field(sh, sh->conditions, IR_FIELD(FRAG));
	sh->avail = shape_field(sh, sh->conditions, IR_FIELD(L4_AVAIL));
	if (sh->nfields > IR_MAX_KEY_FIELDS)
		return "too many fields for an inverted test";
	if (!k->type->bitmap && (sh->conditions || sh->both_windows) &&
	    k->s->nmembers > MAX_BOXES)
		return TOO_MANY;
	return NULL;
}

struct box {
	struct u128 lo[IR_MAX_KEY_FIELDS + 2], hi[IR_MAX_KEY_FIELDS + 2];
};

static void box_set(struct box *b, int field, struct u128 lo, struct u128 hi)
{
	if (field < 0)
		return;
	b->lo[field] = lo;
	b->hi[field] = hi;
}

static void box_port(const struct shape *sh, struct box *b, uint8_t proto, uint16_t lo,
		     uint16_t hi)
{
	bool front = sh->both_windows && is_icmp(proto);

	box_set(b, sh->protocol, U128(proto), U128(proto));
	box_set(b, sh->port, front ? U128(0) : U128(lo), front ? u128_max(2) : U128(hi));
	box_set(b, sh->port_front, front ? U128(lo) : U128(0), front ? U128(hi) : u128_max(2));
	box_set(b, sh->frag, U128(0), U128(0));
	box_set(b, sh->avail, U128(header_bytes(proto)), u128_max(2));
}

struct port_filling {
	struct look_up *k;
	const struct shape *sh;
	struct ir_set *to;
};

/* group: protocol and port. */
static void add_port_net(void *ctx, const struct prefix *of, struct u128 lo, struct u128 hi)
{
	struct port_filling *f = ctx;
	bool second = f->k->type->last == PART_NET;
	uint16_t port = (uint16_t)of->group;
	struct box b;

	if (!of->value)
		return;
	box_port(f->sh, &b, (uint8_t)(of->group >> 16), port, port);
	box_set(&b, second ? f->sh->addr2 : f->sh->addr, lo, hi);
	if (second)
		box_set(&b, f->sh->addr, of->other, of->other);
	ir_set_add(f->k->lw->ir, f->to, b.lo, b.hi, 0);
}

static bool single_address(const struct ipset_member *m)
{
	return m->has_ip && !m->has_ip_to && !m->has_cidr;
}

/*
 * The kernel passes over an address of 0 in some versions of these types and not in others;
 * ranges of ports are resolved before a member exists.
 */
static const char *port_member_wrong(struct look_up *k, const struct ipset_member *m)
{
	unsigned len = xt_addr_len(k->lw);

	if (m->port_to && m->port_to != m->port)
		return "a member with a range of ports";
	if (k->type->first == PART_IP &&
	    (!single_address(m) || u128_eq(be_to_u128(m->ip, len), U128(0))))
		return "a member in another form than its type's";
	if (k->type->last == PART_IP && (!m->has_ip2 || m->has_ip2_to || m->has_cidr2))
		return "a member in another form than its type's";
	if (m->nomatch && k->type->first != PART_NET && k->type->last != PART_NET)
		return "a member in another form than its type's";
	if (k->s->netmask)
		return "a netmask";
	return NULL;
}

static const char *fill_ports(struct look_up *k, const struct shape *sh, struct ir_set *to)
{
	bool nets = k->type->first == PART_NET || k->type->last == PART_NET;
	struct port_filling f = {k, sh, to};
	unsigned len = xt_addr_len(k->lw);
	struct arena *mem = arena_new();
	struct prefixes list = {0};
	const char *why = NULL;
	struct box b;
	size_t i;

	for (i = 0; i < k->s->nmembers && !why; i++) {
		const struct ipset_member *m = &k->s->members[i];
		struct prefix like = {.group = (uint32_t)m->proto << 16 | m->port};
		struct u128 ip = be_to_u128(m->ip, len), ip2 = be_to_u128(m->ip2, len);

		why = port_member_wrong(k, m);
		if (!why && nets) {
			if (k->type->last == PART_NET)
				like.other = ip;
			why = member_nets(k, mem, &list, m, k->type->last == PART_NET, like);
		} else if (!why) {
			box_port(sh, &b, m->proto, m->port, m->port);
			box_set(&b, sh->addr, ip, ip);
			box_set(&b, sh->addr2, ip2, ip2);
			ir_set_add(k->lw->ir, to, b.lo, b.hi, 0);
		}
	}
	if (!why && nets && !resolve(list.p, list.n, add_port_net, &f))
		why = "one prefix with and without nomatch";
	arena_free(mem);
	return why;
}

/* bitmap_port_kadt(): TCP and UDP, ports inside the set's range. */
static const char *fill_bitmap_ports(struct look_up *k, const struct shape *sh,
				     struct ir_set *to)
{
	static const uint8_t protos[] = {TCP, UDP};
	struct box b;
	size_t i, j;

	for (i = 0; i < k->s->nmembers; i++) {
		const struct ipset_member *m = &k->s->members[i];
		uint16_t lo = m->port, hi = m->port_to > m->port ? m->port_to : m->port;

		if (!m->has_port)
			return "a member in another form than its type's";
		if (lo < k->s->port_from)
			lo = k->s->port_from;
		if (hi > k->s->port_to)
			hi = k->s->port_to;
		if (lo > hi)
			continue;
		for (j = 0; j < (sh->conditions ? 2 : 1); j++) {
			box_port(sh, &b, protos[j], lo, hi);
			ir_set_add(k->lw->ir, to, b.lo, b.hi, 0);
		}
	}
	return NULL;
}

/* Adjacent ports of a bitmap as ranges, so that its boxes are few: members come in order. */
static void merge_port_boxes(struct ir_set *s, int port)
{
	unsigned nf = s->nfields, p = (unsigned)port;
	size_t i, out = 0, step = 2; /* TCP and UDP take turns */

	if (s->nelems < 2 * step || nf < 2)
		return;
	for (i = step; i < s->nelems; i += step) {
		if (u128_eq(u128_inc(s->hi[out * nf + p]), s->lo[i * nf + p])) {
			s->hi[out * nf + p] = s->hi[i * nf + p];
			s->hi[(out + 1) * nf + p] = s->hi[i * nf + p];
			continue;
		}
		out += step;
		memmove(s->lo + out * nf, s->lo + i * nf, step * nf * sizeof(*s->lo));
		memmove(s->hi + out * nf, s->hi + i * nf, step * nf * sizeof(*s->hi));
	}
	s->nelems = out + step;
}

/* Protocols with the least of a header that get_port() asks for. */
static const struct ir_set *header_set(struct lower *lw, bool bitmap)
{
	static const uint8_t all[] = {ICMP, TCP, UDP, ICMPV6, SCTP, UDPLITE},
			     two[] = {TCP, UDP};
	static const uint8_t width[2] = {1, 2};
	const char *name = bitmap ? "headers of TCP and UDP" : "headers with ports";
	const uint8_t *protos = bitmap ? two : all;
	struct ir_set *s = xt_set_find(lw, name);
	unsigned i, n = bitmap ? sizeof(two) : sizeof(all);

	if (s)
		return s;
	s = ir_add_set(lw->ir, name, 2, width);
	for (i = 0; i < n; i++)
		ir_set_add(lw->ir, s,
			   (struct u128[]){U128(protos[i]), U128(header_bytes(protos[i]))},
			   (struct u128[]){U128(protos[i]), u128_max(2)}, 0);
	xt_set_finish(lw, s);
	return s;
}

static void port_conditions(struct look_up *k, const struct shape *sh, struct ir_rule *out)
{
	struct ir *ir = k->lw->ir;
	struct ir_key key[2] = {xt_key(IR_FIELD(L4_PROTO)), xt_key(IR_FIELD(L4_AVAIL))};

	if (sh->conditions)
		return;
	ir_test(ir, out, IR_FIELD(FRAG), CMP_EQ, U128(0));
	if (sh->many_protos)
		ir_lookup(ir, out, header_set(k->lw, k->type->bitmap), key, false);
	else
		ir_test_range(ir, out, IR_FIELD(L4_AVAIL), CMP_IN,
			      U128(header_bytes(sh->proto)), u128_max(2));
}

/* ---- one look-up ---- */

/* Several fields and no points: the evaluation of each packet walks the list. */
static const char *finish(struct lower *lw, struct ir_set *s, int port, bool bitmap)
{
	if (bitmap)
		merge_port_boxes(s, port);
	xt_set_finish(lw, s);
	if (s->nfields > 1 && !s->points && s->nelems > MAX_BOXES)
		return TOO_MANY;
	return NULL;
}

/*
 * Names, such that those of two sets never meet: ipset lets all characters into its own, so
 * what is ours stands in front of the colon.
 */
static const char *set_name(const struct look_up *k, const char *what)
{
	return arena_printf(k->lw->ir->mem, "ipset%s:%s", what, k->s->name);
}

static bool is_of(const struct ir_set *s, const char *ipset)
{
	const char *colon = strchr(s->name, ':');

	return !strncmp(s->name, "ipset", 5) && colon && !strcmp(colon + 1, ipset);
}

/* Made sets vouch for the ipset; so it is asked once, not once per rule. */
static bool already_made(const struct look_up *k)
{
	const struct ir_set *s;

	for (s = k->lw->ir->sets; s; s = s->next)
		if (is_of(s, k->s->name))
			return true;
	return false;
}

/* Takes the set just added out of the ir again: its contents are not exact. */
static void drop_last_set(struct ir *ir, struct ir_set **at)
{
	*at = NULL;
	ir->sets_tail = at;
	ir->nsets--;
}

static void lower_addresses(struct look_up *k, struct ir_rule *out)
{
	uint8_t width = (uint8_t)xt_addr_len(k->lw);
	struct ir_key key = xt_key(xt_addr_field(k->lw, from_source(k, 0)));
	const char *name = set_name(k, "");
	struct ir_set *s = xt_set_find(k->lw, name), **at = k->lw->ir->sets_tail;

	if (!s) {
		s = ir_add_set(k->lw->ir, name, 1, &width);
		k->why = k->type->first == PART_NET ? fill_nets(k, s) : fill_ips(k, s);
		if (k->why) {
			drop_last_set(k->lw->ir, at);
			return;
		}
		xt_set_finish(k->lw, s);
	}
	xt_lookup(k->lw, out, s, &key, k->negate);
}

static const char *port_set_name(const struct look_up *k, const struct shape *sh)
{
	const char *family =
	    k->lw->family == FAMILY_IP6 ? " 6" : " 4"; /* bitmap:port serves both */

	return set_name(k, arena_printf(k->lw->ir->mem, "%s%s%s", k->type->bitmap ? family : "",
					sh->both_windows ? " both" : "",
					sh->conditions ? " header" : ""));
}

static struct ir_set *make_port_set(struct look_up *k, const struct shape *sh, const char *name)
{
	struct ir_set **at = k->lw->ir->sets_tail;
	struct ir_set *s = ir_add_set(k->lw->ir, name, sh->nfields, sh->width);

	k->why = k->type->bitmap ? fill_bitmap_ports(k, sh, s) : fill_ports(k, sh, s);
	if (!k->why)
		k->why = finish(k->lw, s, sh->port, k->type->bitmap && sh->conditions);
	if (!k->why)
		return s;
	drop_last_set(k->lw->ir, at);
	return NULL;
}

static void lower_ports(struct look_up *k, struct ir_rule *out)
{
	struct lower *lw = k->lw;
	const char *name;
	struct shape sh;
	struct ir_set *s;

	/* ip_set_get_ip6_port() looks behind an AH header, nf_tables' walk does not. */
	if (lw->family == FAMILY_IP6 && lw->dialect == DIALECT_NFT) {
		k->why = "ports of IPv6 packets in nf_tables";
		return;
	}
	k->why = shape_make(k, &sh);
	if (k->why)
		return;
	name = port_set_name(k, &sh);
	s = xt_set_find(lw, name);
	if (!s)
		s = make_port_set(k, &sh, name);
	if (!s)
		return;
	if (s->nelems)
		port_conditions(k, &sh, out);
	xt_lookup(lw, out, s, sh.key, k->negate);
}

/* Does the packet path change the set (target SET)? Then what we read is old with the next
 * packet. */
static bool changed_by(const struct rule *r)
{
	size_t i;

	if (r->kind == BACKEND_LEGACY)
		return r->xt.verdict == XTV_EXTENSION && r->xt.target.name &&
		       !strcmp(r->xt.target.name, "SET");
	for (i = 0; i < r->nexprs; i++)
		if (r->exprs[i].kind == NEXPR_TARGET && r->exprs[i].xt.name &&
		    !strcmp(r->exprs[i].xt.name, "SET"))
			return true;
	return false;
}

static bool sets_change(const struct ruleset *rs)
{
	const struct table *t;
	const struct chain *c;
	const struct rule *r;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				if (changed_by(r))
					return true;
	return false;
}

/* Why the members that we read do not tell what the kernel will say. */
static const char *contents_wrong(const struct look_up *k, bool *pure)
{
	const struct ipset *s = k->s;

	*pure = !s->has_counters;
	if (s->odd)
		return s->odd;
	if (s->has_counters)
		return "it counts per entry";
	if (s->has_timeout)
		return "entries expire without an event";
	return NULL;
}

/* src_flags: bit 0 is the first dimension. */
void lower_ipset(struct lower *lw, const struct ipset *s, unsigned dims, unsigned src_flags,
		 bool negate, struct ir_rule *out)
{
	struct look_up k = {.lw = lw,
			    .s = s,
			    .type = find_type(s->type),
			    .src_flags = src_flags,
			    .negate = negate};
	bool pure;

	if (!k.type) {
		xt_leave(lw, out, false, "ipset %s of type %s", s->name, s->type);
		return;
	}
	/* ip_set_test(): 0 for another family, or if the rule names fewer dimensions. */
	if (dims < k.type->dims ||
	    ((s->family == FAMILY_IP || s->family == FAMILY_IP6) && s->family != lw->family)) {
		xt_constant(lw, out, negate);
		return;
	}
	k.why = contents_wrong(&k, &pure);
	if (!k.why && !already_made(&k) && sets_change(lw->rs))
		k.why = "rules may change it";
	if (!k.why && k.type->port_dim)
		lower_ports(&k, out);
	else if (!k.why)
		lower_addresses(&k, out);
	if (k.why)
		xt_leave(lw, out, pure, "ipset %s: %s", s->name, k.why);
}

/* ---- types of addresses ---- */

/* fib_table_lookup() fails for these (fib_props[].error), which is "unicast" again. */
static uint32_t route_type(const struct route *r)
{
	switch (r->type) {
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_MULTICAST:
		return r->type;
	}
	return RTN_UNICAST;
}

static struct prefix route_prefix(const struct lower *lw, const struct route *r)
{
	unsigned len = xt_addr_len(lw);
	struct prefix p = prefix_of(be_to_u128(r->dst, len), r->plen, len);

	p.value = route_type(r);
	return p;
}

static bool inside(const struct prefix *p, const struct prefix *of)
{
	return p->plen >= of->plen && u128_cmp(of->lo, p->lo) <= 0 &&
	       u128_cmp(p->hi, of->hi) <= 0;
}

/* Answers that __inet_dev_addr_type() gives before it asks the table. */
static unsigned fixed_types(struct prefix fixed[3])
{
	fixed[0] = prefix_of(U128(0), 32, 4);
	fixed[0].value = RTN_BROADCAST;
	fixed[1] = prefix_of(U128(0xffffffff), 32, 4);
	fixed[1].value = RTN_BROADCAST;
	fixed[2] = prefix_of(U128(0xe0000000), 4, 4);
	fixed[2].value = RTN_MULTICAST;
	return 3;
}

/* ipv6_addr_is_multicast() is all that IPv6 knows before the table. */
static unsigned fixed_types6(struct prefix fixed[3])
{
	fixed[0] = prefix_of((struct u128){UINT64_C(0xff) << 56, 0}, 8, 16);
	fixed[0].value = RTN_MULTICAST;
	return 1;
}

/* The local table; not_sure: those of its routes that may be passed over (multipath says so: a
 * dead next hop, a TOS, another route to the same prefix).  False: not understood. */
static bool local_routes(const struct lower *lw, struct arena *mem, struct prefixes *list,
			 struct prefixes *not_sure)
{
	struct prefix fixed[3];
	unsigned i, n = lw->family == FAMILY_IP ? fixed_types(fixed) : fixed_types6(fixed);
	const struct route *r;

	for (i = 0; i < n; i++)
		prefixes_add(mem, list, &fixed[i]);
	for (r = lw->rs->env.routes; r; r = r->next) {
		struct prefix p;
		bool covered = false;

		if (r->family != lw->family || r->table != RT_TABLE_LOCAL)
			continue;
		if (r->plen > xt_addr_len(lw) * 8)
			return false;
		p = route_prefix(lw, r);
		for (i = 0; i < n; i++)
			covered |= inside(&p, &fixed[i]);
		if (covered)
			continue;
		prefixes_add(mem, list, &p);
		if (r->multipath)
			prefixes_add(mem, not_sure, &p);
	}
	return true;
}

/* Could an address be of this type or not, depending on whether such a route is taken? */
static bool type_not_sure(const struct prefixes *list, const struct prefixes *not_sure,
			  uint32_t type)
{
	size_t i, j;

	for (i = 0; i < not_sure->n; i++) {
		const struct prefix *u = &not_sure->p[i];

		if (u->value == type || type == RTN_UNICAST)
			return true;
		for (j = 0; j < list->n; j++)
			if (list->p[j].value == type && inside(u, &list->p[j]))
				return true;
	}
	return false;
}

struct outermost {
	struct prefix *p;
	size_t n;
};

/* The prefixes of list that no other holds, in order. list is sorted. */
static struct outermost outermost_of(struct arena *mem, const struct prefixes *list)
{
	struct outermost o = {arena_array(mem, list->n, sizeof(*o.p)), 0};
	size_t i;

	for (i = 0; i < list->n; i++)
		if (list->p[i].value != RTN_UNICAST &&
		    (!o.n || !inside(&list->p[i], &o.p[o.n - 1])))
			o.p[o.n++] = list->p[i];
	return o;
}

static bool held(const struct outermost *o, const struct prefix *p)
{
	size_t from = 0, to = o->n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (u128_cmp(o->p[mid].lo, p->lo) <= 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from && inside(p, &o->p[from - 1]);
}

/*
 * As long as a host never had routing rules of its own, the kernel keeps the routes of table
 * main in the local table's trie (fib_trie_unmerge()), and there a look-up may find them.  That
 * changes nothing unless one of them is more specific than a local one, or is itself of such a
 * type.  IPv6 asks its tables one after the other, by the rules.
 */
static bool main_table_matters(const struct lower *lw, const struct outermost *o)
{
	const struct route *r;

	if (lw->family == FAMILY_IP6 && lw->rs->env.custom_rules6)
		return true;
	for (r = lw->rs->env.routes; r; r = r->next) {
		struct prefix p;

		if (r->family != lw->family || r->table == RT_TABLE_LOCAL)
			continue;
		if (r->plen > xt_addr_len(lw) * 8)
			return true;
		p = route_prefix(lw, r);
		if (p.value != RTN_UNICAST && !(p.value == RTN_MULTICAST && held(o, &p)))
			return true;
		if (lw->family == FAMILY_IP && p.value == RTN_UNICAST && held(o, &p)) {
			/* All of multicast is answered before the table. */
			if (p.lo.lo >> 28 != 14)
				return true;
		}
	}
	return false;
}

struct type_filling {
	struct lower *lw;
	struct ir_set *to;
	uint32_t type;
};

static void add_typed(void *ctx, const struct prefix *of, struct u128 lo, struct u128 hi)
{
	struct type_filling *f = ctx;

	if (of->value == f->type)
		ir_set_add(f->lw->ir, f->to, &lo, &hi, 0);
}

static struct ir_set *make_type_set(struct lower *lw, struct arena *mem, const char *name,
				    uint32_t type)
{
	uint8_t width = (uint8_t)xt_addr_len(lw);
	struct type_filling f = {.lw = lw, .type = type};
	struct prefixes list = {0}, not_sure = {0};
	struct prefix all = prefix_of(U128(0), 0, width);
	struct outermost o;
	size_t i;

	if (!local_routes(lw, mem, &list, &not_sure) || type_not_sure(&list, &not_sure, type))
		return NULL;
	qsort(list.p, list.n, sizeof(*list.p), prefix_cmp);
	o = outermost_of(mem, &list);
	if (main_table_matters(lw, &o))
		return NULL;
	for (i = 1; i < list.n; i++) /* the order of two routes to one prefix is not known */
		if (!prefix_cmp(&list.p[i - 1], &list.p[i]) &&
		    list.p[i - 1].value != list.p[i].value)
			return NULL;
	all.value = RTN_UNICAST;
	/* A route to everything stands in the place of this default. */
	if (list.p[0].plen)
		prefixes_add(mem, &list, &all);
	f.to = ir_add_set(lw->ir, name, 1, &width);
	resolve(list.p, list.n, add_typed, &f);
	xt_set_finish(lw, f.to);
	return f.to;
}

/*
 * IPv4: exactly the addresses of which inet_addr_type() says type.  IPv6: LOCAL and MULTICAST
 * only (match_lookup_rt6(), __nft_fib6_eval_type()).  NULL: not known.
 */
const struct ir_set *lower_addr_type_set(struct lower *lw, uint32_t rtn_type)
{
	const char *name;
	struct ir_set *s;
	struct arena *mem;

	if (!lw->rs->env.known || rtn_type < RTN_UNICAST || rtn_type > RTN_MULTICAST)
		return NULL;
	if (lw->family == FAMILY_IP6 && rtn_type != RTN_LOCAL && rtn_type != RTN_MULTICAST)
		return NULL;
	name = arena_printf(lw->ir->mem, "addresses of %s, type %u", family_name(lw->family),
			    rtn_type);
	s = xt_set_find(lw, name);
	if (s)
		return s;
	mem = arena_new();
	s = make_type_set(lw, mem, name, rtn_type);
	arena_free(mem);
	return s;
}
