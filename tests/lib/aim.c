// SPDX-License-Identifier: GPL-2.0
#include "aim.h"

#include <stdlib.h>
#include <string.h>

#include "genrules.h"

#define WAY_MAX 64

struct target {
	const struct ir *ir;
	const struct ir_chain *chain;
	const struct ir_rule *rule;
};

struct aim {
	uint64_t state;
	struct target *targets;
	size_t n, room;
	uint16_t serial;
};

/* A frame while it is made. */
struct draft {
	struct aim *a;
	struct frame *f;
	uint8_t *nh, *th;
	size_t l4_len, want_len;
	uint8_t proto, frag;
	bool six, proto_set, short_l4;
};

static uint64_t rnd(struct aim *a)
{
	return gen_random(&a->state) >> 8;
}

static bool chance(struct aim *a, unsigned percent)
{
	return rnd(a) % 100 < percent;
}

struct aim *aim_new(uint64_t seed)
{
	struct aim *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	a->state = seed * 0x9e3779b97f4a7c15ull | 1;
	a->serial = (uint16_t)(seed * 7919);
	return a;
}

void aim_free(struct aim *a)
{
	free(a->targets);
	free(a);
}

void aim_add(struct aim *a, const struct ir *ir)
{
	const struct ir_chain *c;
	const struct ir_rule *r;

	for (c = ir->chains; c; c = c->next) {
		for (r = c->rules; r; r = r->next) {
			if (a->n == a->room) {
				a->room = a->room ? 2 * a->room : 64;
				a->targets = realloc(a->targets, a->room * sizeof(*a->targets));
				if (!a->targets)
					abort();
			}
			a->targets[a->n++] = (struct target){ir, c, r};
		}
	}
}

/* ---- values ---- */

static struct u128 random_value(struct aim *a)
{
	return (struct u128){gen_random(&a->state), gen_random(&a->state)};
}

/* Between lo and hi, often on one of them, and with some chance just outside. */
static struct u128 near_range(struct aim *a, struct u128 lo, struct u128 hi)
{
	uint64_t span = hi.lo - lo.lo;
	struct u128 v = chance(a, 50) ? lo : hi;

	if (chance(a, 30) && lo.hi == hi.hi && span && span + 1)
		v.lo = lo.lo + rnd(a) % (span + 1);
	if (chance(a, 7))
		v = u128_inc(hi);
	else if (chance(a, 7))
		v = u128_dec(lo);
	return v;
}

static void put_window(uint8_t *base, size_t room, struct ir_field f, struct u128 mask,
		       struct u128 v)
{
	struct u128 old;

	if (!base || (size_t)f.off + f.len > room)
		return;
	old = be_to_u128(base + f.off, f.len);
	v = u128_or(u128_and(v, mask), u128_and(old, u128_not(mask)));
	u128_to_be(u128_and(v, u128_max(f.len)), base + f.off, f.len);
}

static void put_field(struct draft *d, struct ir_field f, struct u128 mask, struct u128 v,
		      bool late)
{
	char name[16];

	if ((f.id == F_TH || f.id == F_TCPOPTS || f.id == F_L4_AVAIL) != late)
		return;
	switch (f.id) {
	case F_LL:
		put_window(d->f->bytes, 12, f, mask, v);
		break;
	case F_NET:
		put_window(d->nh, d->six ? 40 : 20, f, mask, v);
		break;
	case F_TH:
		put_window(d->th, d->l4_len, f, mask, v);
		break;
	case F_L4_PROTO:
		d->proto = (uint8_t)v.lo;
		d->proto_set = true;
		break;
	case F_LEN:
		d->want_len = (size_t)v.lo;
		break;
	case F_IIFNAME:
		u128_to_ifname(u128_and(v, mask), name);
		d->f->port = !strncmp(name, "eth1", 4);
		break;
	case F_PKTTYPE:
		d->f->pkttype = (uint8_t)v.lo;
		break;
	case F_FRAG:
		d->frag = v.lo ? 2 : 0;
		break;
	case F_L4_AVAIL:
		d->short_l4 = v.lo && chance(d->a, 10);
		break;
	case F_TCPOPTS:
		if (d->proto == 6 && v.lo && !(v.lo & (v.lo - 1)) && d->l4_len >= 24) {
			d->th[20] = (uint8_t)__builtin_ctzll(v.lo);
			d->th[21] = d->th[20] < 2 ? 1 : 4;
		}
		break;
	default:
		break; /* what the bytes decide by themselves */
	}
}

static void put_op(struct draft *d, const struct ir_op *op, bool late)
{
	const struct ir_set *s;
	struct u128 v;
	size_t i;
	unsigned j;

	if (op->kind == OP_TEST) {
		switch (op->test.cmp) {
		case CMP_EQ:
			v = near_range(d->a, op->test.a, op->test.a);
			break;
		case CMP_IN:
			v = near_range(d->a, op->test.a, op->test.b);
			break;
		case CMP_NE:
			v = chance(d->a, 20) ? op->test.a
					     : u128_xor(op->test.a, random_value(d->a));
			break;
		default:
			v = chance(d->a, 30)   ? near_range(d->a, op->test.a, op->test.b)
			    : chance(d->a, 50) ? u128_inc(op->test.b)
					       : u128_dec(op->test.a);
		}
		/* An address that must differ stays what it was: most others lead nowhere. */
		if (op->test.cmp == CMP_NE && op->test.field.id == F_NET &&
		    op->test.field.len >= 4 && chance(d->a, 70))
			return;
		put_field(d, op->test.field, op->test.mask, v, late);
	} else if (op->kind == OP_LOOKUP || op->kind == OP_VMAP) {
		s = op->lookup.set;
		if (!s->nelems || (op->lookup.negate && chance(d->a, 70)))
			return;
		i = rnd(d->a) % s->nelems;
		for (j = 0; j < s->nfields; j++)
			put_field(d, op->lookup.key[j].field, op->lookup.key[j].mask,
				  near_range(d->a, s->lo[i * s->nfields + j],
					     s->hi[i * s->nfields + j]),
				  late);
	}
}

/* ---- the way to the rule ---- */

static const struct ir_rule *rule_to(const struct ir *ir, const struct ir_chain *to,
				     const struct ir_chain **in)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	uint32_t i;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			for (i = 0; i < r->nops; i++)
				if (r->ops[i].kind == OP_VERDICT &&
				    r->ops[i].verdict.chain == to) {
					*in = c;
					return r;
				}
	return NULL;
}

static size_t way_find(const struct target *t, const struct ir_rule **way)
{
	const struct ir_chain *c = t->chain;
	const struct ir_rule *r = t->rule;
	size_t n = 0;

	while (r && n < WAY_MAX) {
		way[n++] = r;
		r = c->is_base ? NULL : rule_to(t->ir, c, &c);
	}
	return n;
}

static void put_way(struct draft *d, const struct ir_rule **way, size_t n, bool late)
{
	uint32_t i;

	while (n--)
		for (i = 0; i < way[n]->nops; i++)
			put_op(d, &way[n]->ops[i], late);
}

static const struct ir_entry *entry_of(const struct ir *ir, const struct ir_chain *base)
{
	const struct ir_entry *some = NULL;
	size_t i;
	int e;

	for (e = 0; e < NENTRY; e++) {
		if (!ir->entries[e].used)
			continue;
		some = &ir->entries[e];
		for (i = 0; i < some->nstages; i++)
			if (some->stages[i].chain == base)
				return some;
	}
	return some;
}

/* ---- bytes ---- */

static void start_network(struct draft *d)
{
	static const uint32_t dsts[] = {0x0a090001, 0x0a090001, 0x0a090101,
					0x0a090102, 0x0a090102, 0x08080808};
	static const uint8_t net[6] = {0x20, 1, 0x0d, 0xb8, 0, 9};
	struct aim *a = d->a;

	memset(d->nh, 0, 128);
	d->proto = chance(a, 45)   ? 6
		   : chance(a, 60) ? 17
		   : chance(a, 60) ? (d->six ? 58 : 1)
				   : 132;
	if (!d->six) {
		put_be16(d->f->bytes + 12, 0x0800);
		d->nh[0] = 0x45;
		put_be16(d->nh + 4, a->serial);
		d->nh[8] = 64;
		put_be32(d->nh + 12, 0x0a090000 + (uint32_t)(rnd(a) % 256));
		put_be32(d->nh + 16, dsts[rnd(a) % 6]);
		return;
	}
	put_be16(d->f->bytes + 12, 0x86dd);
	d->nh[0] = 0x60;
	d->nh[7] = 64;
	memcpy(d->nh + 8, net, 6);
	memcpy(d->nh + 24, net, 6);
	d->nh[23] = (uint8_t)(2 + rnd(a) % 40);
	d->nh[29] = chance(a, 40) ? 10 : 9;
	d->nh[39] = (uint8_t)(1 + (chance(a, 30) ? rnd(a) % 3 : 0));
}

static void start_transport(struct draft *d)
{
	static const uint16_t ports[] = {22, 53, 80, 443, 0, 65535, 1024, 8080};
	uint8_t *th;

	d->th = th = d->nh + (d->six ? 40 : 20);
	memset(th, 0, FRAME_MAX - 64);
	if (!d->proto_set && d->nh[d->six ? 6 : 9])
		d->proto = d->nh[d->six ? 6 : 9];
	d->l4_len = d->proto == 6    ? 24
		    : d->proto == 17 ? 8 + rnd(d->a) % 20
				     : 16 + rnd(d->a) % 16;
	put_be16(th, d->a->serial++);
	put_be16(th + 2, ports[rnd(d->a) % 8]);
	if (d->proto == 6) {
		put_be32(th + 4, (uint32_t)rnd(d->a));
		th[12] = 6 << 4;
		th[13] = chance(d->a, 60) ? 2 : (uint8_t)rnd(d->a);
		put_be32(th + 20, 0x02040578); /* the greatest segment is 1400 */
	} else if (d->proto == 17 || d->proto == 136) {
		put_be16(th + 4, (uint16_t)d->l4_len);
	} else if (d->proto == 1 || d->proto == 58) {
		put_be16(th, d->proto == 1 ? 0x0800 : 0x8000);
	}
}

static void put_link(struct draft *d)
{
	uint8_t *eth = d->f->bytes;

	d->f->iifname = d->f->port ? "eth1" : "eth0";
	eth[5] = (uint8_t)d->f->port;
	if (d->f->pkttype == 1)
		memset(eth, 0xff, 6);
	else if (d->f->pkttype == 2)
		eth[0] |= 1;
	else if (d->f->pkttype == 3)
		eth[5] = 0x77;
}

static void checksums(uint8_t *nh, bool six, uint8_t proto, uint8_t *th, size_t len)
{
	static const uint8_t where[][2] = {{6, 16}, {17, 6}, {1, 2}, {58, 2}};
	uint32_t pseudo = six ? net_sum(nh + 8, 32, 0) : net_sum(nh + 12, 8, 0);
	size_t i;
	uint16_t sum;

	for (i = 0; i < 4; i++) {
		if (where[i][0] != proto || len < where[i][1] + 2u)
			continue;
		put_be16(th + where[i][1], 0);
		sum = net_sum_fold(
		    net_sum(th, len, proto == 1 ? 0 : pseudo + proto + (uint32_t)len));
		put_be16(th + where[i][1], proto == 17 && !sum ? 0xffff : sum);
	}
	if (!six) {
		put_be16(nh + 10, 0);
		put_be16(nh + 10, net_sum_fold(net_sum(nh, 20, 0)));
	}
}

static void finish(struct draft *d)
{
	size_t ihl = d->six ? 40 : 20;

	if (d->want_len > ihl + d->l4_len && d->want_len <= 1500) {
		d->l4_len = d->want_len - ihl;
		if (d->proto == 17 || d->proto == 136)
			put_be16(d->th + 4, (uint16_t)d->l4_len);
	}
	if (d->short_l4)
		d->l4_len = rnd(d->a) % d->l4_len;
	d->nh[d->six ? 6 : 9] = d->proto;
	if (d->six) {
		d->nh[0] = (uint8_t)(0x60 | (d->nh[0] & 15));
		put_be16(d->nh + 4, (uint16_t)d->l4_len);
	} else {
		d->nh[0] = 0x45;
		put_be16(d->nh + 2, (uint16_t)(ihl + d->l4_len));
		if (d->frag)
			put_be16(d->nh + 6, (uint16_t)(1 + rnd(d->a) % 40));
	}
	checksums(d->nh, d->six, d->proto, d->th, d->l4_len);
	d->f->len = 14 + ihl + d->l4_len;
	if (d->f->len < 60 && chance(d->a, 20))
		d->f->len = 60;
}

bool aim_next(struct aim *a, struct frame *out)
{
	struct draft d = {.a = a, .f = out, .nh = out->bytes + 14};
	const struct ir_rule *way[WAY_MAX];
	const struct ir_entry *entry;
	const struct target *t;
	const struct ir_chain *base, *up;
	size_t n;

	if (!a->n)
		return false;
	t = &a->targets[rnd(a) % a->n];
	memset(out, 0, sizeof(*out));
	for (base = t->chain; base && !base->is_base;) {
		up = NULL;
		if (!rule_to(t->ir, base, &up))
			break;
		base = up;
	}
	entry = entry_of(t->ir, base);
	d.six = entry && entry->family == FAMILY_IP6;
	out->bytes[0] = 2;
	out->bytes[6] = 2;
	out->bytes[11] = 0xaa;
	out->port = chance(a, 80) ? 0 : 1;
	n = way_find(t, way);
	start_network(&d);
	put_way(&d, way, n, false);
	start_transport(&d);
	put_way(&d, way, n, true);
	put_link(&d);
	finish(&d);
	return true;
}

void aim_mutate(struct aim *a, struct frame *f)
{
	size_t n = 1 + rnd(a) % 3, at, room = f->len > 90 ? 76 : f->len - 14;
	bool six = be16(f->bytes + 12) == 0x86dd;
	uint8_t *nh = f->bytes + 14;

	if (f->len < 60)
		return;
	while (n--) {
		at = rnd(a) % room;
		nh[at] =
		    (uint8_t)(chance(a, 50) ? nh[at] + 1 - 2 * (int)(rnd(a) % 2) : (int)rnd(a));
	}
	if (chance(a, 85) && !six && f->len >= 14u + be16(nh + 2) && (nh[0] & 15) == 5 &&
	    be16(nh + 2) >= 20)
		checksums(nh, false, nh[9], nh + 20, be16(nh + 2) - 20u);
	else if (chance(a, 85) && six && f->len >= 54u + be16(nh + 4))
		checksums(nh, true, nh[6], nh + 40, be16(nh + 4));
}

void aim_fragment(struct aim *a, struct frame *f)
{
	uint8_t *nh = f->bytes + 14, *h = nh + 40;
	uint16_t at = (uint16_t)(1 + rnd(a) % 40);
	size_t len = f->len - 14;

	if (be16(f->bytes + 12) == 0x0800 && len >= 20 && nh[0] == 0x45) {
		put_be16(nh + 6, (uint16_t)(at | (rnd(a) & 1) << 13));
		checksums(nh, false, 0, nh + 20, len - 20);
	} else if (be16(f->bytes + 12) == 0x86dd && len >= 44 && f->len + 8 <= FRAME_MAX) {
		memcpy(nh + 2, h + 2, 2);
		memmove(h + 8, h, len - 40);
		memset(h, 0, 8);
		h[0] = nh[6];
		put_be16(h + 2, (uint16_t)(at << 3 | (rnd(a) & 1)));
		put_be16(h + 6, (uint16_t)rnd(a));
		nh[6] = 44;
		put_be16(nh + 4, (uint16_t)(be16(nh + 4) + 8));
		f->len += 8;
	}
}
