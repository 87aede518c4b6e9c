// SPDX-License-Identifier: GPL-2.0
#include "witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETH_BYTES 14
/* A fragment, a truncated header, an extension header or IP options, another protocol; then
 * other addresses, in case an early rule takes all packets from those that stand for any. */
#define ODDITIES 6
#define ODDITY_ADDRESSES 4

#define MAX_TARGETS 8 /* of a map that get a witness of their own */

struct draft {
	uint8_t *nh;
	enum family family;
	size_t ihl, l4_len;
	uint8_t proto;
	bool proto_set;
	uint64_t want_len; /* 0: as it comes */
	struct witness *out;
};

/* Ways in which a witness can stand to one op, beside holding it.  Of a set HOLDS_HIGH is its
 * last element; of a map that and what follows its targets, the second one first. */
enum way { HOLDS, FAILS, FAILS_LOW, HOLDS_HIGH, LOOKUP_HIGH = 2, SECOND_TARGET };

static unsigned op_ways(const struct ir_op *op)
{
	switch (op->kind) {
	case OP_TEST:
		return op->test.cmp == CMP_IN || op->test.cmp == CMP_OUT ? 3 : 1;
	case OP_LOOKUP:
		return 2;
	case OP_VMAP:
		return 2 + (op->lookup.set->ntargets < MAX_TARGETS ? op->lookup.set->ntargets
								   : MAX_TARGETS);
	default:
		return 0;
	}
}

unsigned witness_count(const struct ir_rule *r)
{
	unsigned n = 1 + ODDITIES;
	uint32_t i;

	for (i = 0; i < r->nops; i++)
		n += op_ways(&r->ops[i]);
	return n;
}

/* Both ends of a range and what is next to them; where there is nothing next to an end, the
 * other end's. */
static struct u128 range_value(const struct ir_op *op, enum way way)
{
	struct u128 max = u128_max(ir_field_len(op->test.field)), a = op->test.a,
		    b = op->test.b;
	bool above = !u128_eq(b, max), below = !u128_eq(a, U128(0));
	bool out = op->test.cmp == CMP_OUT;

	if ((way == HOLDS && !out) || (way == FAILS && out))
		return a;
	if ((way == HOLDS_HIGH && !out) || (way == FAILS_LOW && out))
		return b;
	if (way == FAILS || way == HOLDS)
		return above ? u128_inc(b) : u128_dec(a);
	return below ? u128_dec(a) : u128_inc(b);
}

static struct u128 test_value(const struct ir_op *op, enum way way)
{
	struct u128 v = op->test.a;

	if (op->test.cmp == CMP_IN || op->test.cmp == CMP_OUT)
		return range_value(op, way);
	if ((op->test.cmp == CMP_EQ) == (way == HOLDS))
		return v;
	/* A neighbour that the mask can see: flip its lowest bit. */
	return u128_xor(
	    v, u128_and(op->test.mask, u128_xor(op->test.mask, u128_dec(op->test.mask))));
}

static void put_window(uint8_t *base, size_t room, struct ir_field f, struct u128 mask,
		       struct u128 v)
{
	struct u128 old;

	if ((size_t)f.off + f.len > room)
		return;
	old = be_to_u128(base + f.off, f.len);
	u128_to_be(u128_or(u128_and(v, mask), u128_and(old, u128_not(mask))), base + f.off,
		   f.len);
}

static void put_field(struct draft *d, struct ir_field f, struct u128 mask, struct u128 v,
		      bool late)
{
	struct packet *p = &d->out->packet;
	bool th = f.id == F_TH;

	if (th != late) /* the transport header is made once the protocol is known */
		return;
	switch (f.id) {
	case F_LL:
		put_window(d->out->frame, ETH_BYTES, f, mask, v);
		break;
	case F_NET:
		put_window(d->nh, d->ihl, f, mask, v);
		break;
	case F_TH:
		put_window(d->nh + d->ihl, d->l4_len, f, mask, v);
		break;
	case F_L4_PROTO:
		d->proto = (uint8_t)v.lo;
		d->proto_set = true;
		break;
	case F_LEN:
		d->want_len = v.lo;
		break;
	case F_IIFNAME:
		u128_to_ifname(u128_and(v, mask), p->iifname);
		break;
	case F_OIFNAME:
		u128_to_ifname(u128_and(v, mask), p->oifname);
		break;
	case F_IIF:
		p->iif = (uint32_t)v.lo;
		break;
	case F_OIF:
		p->oif = (uint32_t)v.lo;
		break;
	case F_MARK:
		p->mark = (uint32_t)v.lo;
		break;
	case F_PKTTYPE:
		p->pkttype = (uint8_t)v.lo;
		break;
	case F_CT_STATE:
		p->ct_state = (uint32_t)(v.lo & mask.lo ? v.lo & mask.lo : 8);
		p->ct_state &= ~p->ct_state + 1; /* a packet has one state */
		break;
	case F_CT_STATUS:
		p->ct_status = (uint32_t)v.lo;
		break;
	case F_CT_MARK:
		p->ct_mark = (uint32_t)v.lo;
		break;
	case F_CT_DIR:
		p->ct_dir = (uint8_t)(v.lo & 1);
		break;
	default: /* what the bytes decide by themselves */
		break;
	}
}

/* The element of the set that a way stands for, or with to, one that leads there. */
static size_t element_of(const struct ir_op *op, unsigned way, const struct ir_chain *to)
{
	const struct ir_set *s = op->lookup.set;
	size_t i;

	if (way == LOOKUP_HIGH)
		return s->nelems - 1;
	if (op->kind != OP_VMAP || (!to && way < SECOND_TARGET))
		return 0;
	for (i = 0; i < s->nelems; i++)
		if (to ? s->targets[s->value[i]].chain == to
		       : s->value[i] == way - SECOND_TARGET)
			return i;
	return 0;
}

static void put_element(struct draft *d, const struct ir_op *op, unsigned way,
			const struct ir_chain *to, bool late)
{
	const struct ir_set *s = op->lookup.set;
	unsigned n = s->nfields, j;
	struct u128 v;
	size_t i;

	if (!s->nelems)
		return;
	i = element_of(op, way, to);
	for (j = 0; j < n; j++) {
		v = way == LOOKUP_HIGH ? s->hi[i * n + j] : s->lo[i * n + j];
		if (way == FAILS)
			v = u128_inc(s->hi[j]);
		put_field(d, op->lookup.key[j].field, op->lookup.key[j].mask, v, late);
	}
}

static void put_rule(struct draft *d, const struct ir_rule *r, unsigned variant,
		     const struct ir_chain *to, bool late)
{
	const struct ir_op *op;
	unsigned at = 0, n;
	enum way way;
	uint32_t i;

	for (i = 0; i < r->nops; i++, at += n) {
		op = &r->ops[i];
		n = op_ways(op);
		way = variant > at && variant <= at + n ? (enum way)(variant - at) : HOLDS;
		if (op->kind == OP_TEST)
			put_field(d, op->test.field, op->test.mask, test_value(op, way), late);
		else if (op->kind == OP_LOOKUP || op->kind == OP_VMAP)
			put_element(d, op, way, to, late);
	}
}

/* which: 0 for documentation, else in use. */
static void start_network(struct draft *d, unsigned which)
{
	static const uint32_t four[][2] = {{0xc0000201, 0xc0000202}, /* 192.0.2.1 */
					   {0x0a141e28, 0x0a141e29},
					   {0x08080808, 0x0a141e29}},
			      six[] = {0x20010db8, 0xfd123456, 0x2a001450};

	d->nh = d->out->frame + ETH_BYTES;
	if (d->family == FAMILY_IP) {
		put_be16(d->out->frame + 12, 0x0800);
		d->ihl = 20;
		d->nh[0] = 0x45;
		d->nh[8] = 64;
		put_be32(d->nh + 12, four[which][0]);
		put_be32(d->nh + 16, four[which][1]);
	} else {
		put_be16(d->out->frame + 12, 0x86dd);
		d->ihl = 40;
		d->nh[0] = 0x60;
		d->nh[7] = 64;
		put_be32(d->nh + 8, six[which]);
		d->nh[23] = 1;
		put_be32(d->nh + 24, six[which]);
		d->nh[39] = 2;
	}
}

static void start_transport(struct draft *d)
{
	uint8_t *th = d->nh + d->ihl;

	if (!d->proto_set) {
		d->proto = d->nh[d->family == FAMILY_IP ? 9 : 6];
		d->proto = d->proto ? d->proto : 6;
	}
	d->nh[d->family == FAMILY_IP ? 9 : 6] = d->proto;
	d->l4_len = d->proto == 6 ? 20 : 24; /* no payload: GRO might merge it */
	put_be16(th, 40000);
	put_be16(th + 2, 80);
	if (d->proto == 6) {
		th[12] = 0x50;
		th[13] = 2;
	} else if (d->proto == 17) {
		put_be16(th + 4, (uint16_t)d->l4_len);
	}
}

static void finish(struct draft *d)
{
	static const uint8_t where[][2] = {{6, 16}, {17, 6}, {1, 2}, {58, 2}};
	uint8_t *th = d->nh + d->ihl;
	size_t total, i;
	uint32_t pseudo;

	if (d->want_len > d->ihl + d->l4_len && d->want_len <= WITNESS_BYTES - ETH_BYTES)
		d->l4_len = d->want_len - d->ihl;
	total = d->ihl + d->l4_len;
	if (d->proto == 17 && be16(th + 4) == 24)
		put_be16(th + 4, (uint16_t)d->l4_len);
	pseudo = d->family == FAMILY_IP ? net_sum(d->nh + 12, 8, 0) : net_sum(d->nh + 8, 32, 0);
	pseudo += d->proto + (uint32_t)d->l4_len;
	for (i = 0; i < 4; i++) {
		if (where[i][0] != d->proto)
			continue;
		put_be16(th + where[i][1], 0);
		put_be16(th + where[i][1],
			 net_sum_fold(net_sum(th, d->l4_len, d->proto == 1 ? 0 : pseudo)));
	}
	if (d->family == FAMILY_IP) {
		d->nh[0] = 0x45;
		put_be16(d->nh + 2, (uint16_t)total);
		put_be16(d->nh + 10, 0);
		put_be16(d->nh + 10, net_sum_fold(net_sum(d->nh, 20, 0)));
	} else {
		d->nh[0] = (uint8_t)(0x60 | (d->nh[0] & 15));
		put_be16(d->nh + 4, (uint16_t)d->l4_len);
	}
	d->out->len = ETH_BYTES + total;
}

static void make_odd(struct draft *d, unsigned oddity)
{
	if (oddity == 0 && d->family == FAMILY_IP)
		put_be16(d->nh + 6, 0x2001); /* a later fragment */
	else if (oddity == 1)
		d->l4_len = 6;
	else if (oddity == 2 && d->family == FAMILY_IP6)
		d->nh[6] = 60; /* the bytes that follow are taken for destination options */
	else if (oddity == 3)
		d->nh[d->family == FAMILY_IP ? 9 : 6] = 132;
}

void witness_make(enum family family, const struct ir_rule *r, unsigned variant,
		  const struct witness_step *with, size_t n, struct witness *out)
{
	struct draft d = {.family = family, .out = out};
	unsigned odd = witness_count(r) - ODDITIES;
	size_t i;

	memset(out, 0, sizeof(*out));
	out->packet =
	    (struct packet){.data = out->frame, .has_ll = true, .ct_state = 8, .ct_ok = 1};
	start_network(
	    &d, variant >= odd + ODDITY_ADDRESSES ? variant - odd - ODDITY_ADDRESSES + 1 : 0);
	for (i = 0; i < n; i++)
		put_rule(&d, with[i].rule, 0, with[i].to, false);
	put_rule(&d, r, variant, NULL, false);
	start_transport(&d);
	for (i = 0; i < n; i++)
		put_rule(&d, with[i].rule, 0, with[i].to, true);
	put_rule(&d, r, variant, NULL, true);
	if (variant >= odd)
		make_odd(&d, variant - odd);
	finish(&d);
	if (out->packet.pkttype == 1)
		memset(out->frame, 0xff, 6);
	else if (out->packet.pkttype == 2)
		out->frame[0] |= 1;
	out->packet.len = out->len;
	if (out->packet.ct_state == 1 || out->packet.ct_state == 64)
		out->packet.ct_ok = 0;
}

/* ---- jumps ---- */

static void note_jump(struct witness_jump *jumps, const struct ir_chain *in,
		      const struct ir_rule *r, const struct ir_chain *to)
{
	if (to && !jumps[to->id].in)
		jumps[to->id] = (struct witness_jump){{r, to}, in};
}

static void note_jumps(struct witness_jump *jumps, const struct ir_chain *in,
		       const struct ir_rule *r)
{
	const struct ir_op *op;
	uint32_t i, j;

	for (i = 0; i < r->nops; i++) {
		op = &r->ops[i];
		if (op->kind == OP_VERDICT)
			note_jump(jumps, in, r, op->verdict.chain);
		for (j = 0; op->kind == OP_VMAP && j < op->lookup.set->ntargets; j++)
			note_jump(jumps, in, r, op->lookup.set->targets[j].chain);
	}
}

struct witness_jump *witness_jumps(const struct ir *ir)
{
	struct witness_jump *jumps = calloc((size_t)ir->nchains + 1, sizeof(*jumps));
	const struct ir_chain *c;
	const struct ir_rule *r;

	if (!jumps)
		abort(); /* as the arena does */
	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			note_jumps(jumps, c, r);
	return jumps;
}
