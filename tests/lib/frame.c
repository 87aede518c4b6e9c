// SPDX-License-Identifier: GPL-2.0
#include "frame.h"

#include <stdlib.h>
#include <string.h>

struct frame_source {
	uint64_t state;
	struct ir_op const **tests; /* OP_TEST over a window */
	size_t ntests;
	uint16_t serial; /* a source port of its own: each frame a new flow for conntrack */
};

static uint64_t rnd(struct frame_source *s)
{
	/* xorshift64* */
	s->state ^= s->state >> 12;
	s->state ^= s->state << 25;
	s->state ^= s->state >> 27;
	return s->state * 0x2545f4914f6cdd1dull;
}

static bool chance(struct frame_source *s, unsigned percent)
{
	return rnd(s) % 100 < percent;
}

struct frame_source *frame_source_new(const struct ir *ir, uint64_t seed)
{
	struct frame_source *s = calloc(1, sizeof(*s));
	const struct ir_chain *c;
	const struct ir_rule *r;
	size_t room = 0;
	uint32_t i;

	if (!s)
		abort();
	s->state = seed * 0x9e3779b97f4a7c15ull | 1;
	s->serial = (uint16_t)(1024 + seed * 7919 % 20000);
	for (c = ir ? ir->chains : NULL; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			room += r->nops;
	s->tests = calloc(room + 1, sizeof(*s->tests));
	if (!s->tests)
		abort();
	for (c = ir ? ir->chains : NULL; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			for (i = 0; i < r->nops; i++)
				if (r->ops[i].kind == OP_TEST &&
				    !field_width(r->ops[i].test.field.id))
					s->tests[s->ntests++] = &r->ops[i];
	return s;
}

void frame_source_free(struct frame_source *s)
{
	free(s->tests);
	free(s);
}

/* Writes a test's constant, or a neighbour of it, into the packet. */
static void apply_test(struct frame_source *s, const struct ir_op *op, uint8_t *base,
		       size_t room)
{
	struct ir_field f = op->test.field;
	struct u128 v = op->test.a, old;

	if ((size_t)f.off + f.len > room)
		return;
	if (op->test.cmp == CMP_IN || op->test.cmp == CMP_OUT)
		v = chance(s, 50) ? op->test.b : v;
	if (chance(s, 15))
		v = u128_inc(v);
	else if (chance(s, 15))
		v = u128_dec(v);
	old = be_to_u128(base + f.off, f.len);
	v = u128_or(u128_and(v, op->test.mask), u128_and(old, u128_not(op->test.mask)));
	u128_to_be(u128_and(v, u128_max(f.len)), base + f.off, f.len);
}

static void apply_tests(struct frame_source *s, enum field window, uint8_t *base, size_t room)
{
	unsigned tries = 1 + (unsigned)(rnd(s) % 4);
	const struct ir_op *op;

	while (s->ntests && tries--) {
		op = s->tests[rnd(s) % s->ntests];
		if (op->test.field.id == window)
			apply_test(s, op, base, room);
	}
}

static size_t make_l4(struct frame_source *s, uint8_t proto, uint8_t *p)
{
	static const uint8_t flags[] = {0x02, 0x02, 0x02, 0x10, 0x12, 0x11, 0x04,
					0x14, 0x00, 0x29, 0x3f, 0xc2, 0x18};
	static const uint16_t ports[] = {22, 53, 80, 443, 0, 65535, 1024, 8080, 137};
	size_t len;

	memset(p, 0, 64);
	switch (proto) {
	case 6:
		put_be16(p, s->serial++);
		put_be16(p + 2, chance(s, 70) ? ports[rnd(s) % 9] : (uint16_t)rnd(s));
		put_be32(p + 4, (uint32_t)rnd(s));
		p[12] = 5 << 4;
		p[13] = flags[rnd(s) % sizeof(flags)];
		put_be16(p + 14, 64000);
		len = 20;
		if (chance(s, 30)) {
			static const uint8_t options[] = {2, 4, 5, 0xb4, 1, 3,
							  3, 7, 4, 2,    1, 1};

			memcpy(p + 20, options, sizeof(options));
			p[12] = 8 << 4;
			len = 32;
			if (chance(s, 20))
				p[20 + rnd(s) % 12] = (uint8_t)rnd(s);
		}
		if (chance(s, 4))
			p[12] = (uint8_t)rnd(s);
		return len + (chance(s, 20) ? rnd(s) % 20 : 0);
	case 17:
	case 136:
		put_be16(p, s->serial++);
		put_be16(p + 2, chance(s, 70) ? ports[rnd(s) % 9] : (uint16_t)rnd(s));
		len = 8 + rnd(s) % 24;
		put_be16(p + 4, chance(s, 95) ? (uint16_t)len : (uint16_t)rnd(s));
		return len;
	case 1:
	case 58:
		p[0] = chance(s, 60) ? (proto == 1 ? 8 : 128)
				     : (uint8_t)(rnd(s) % 20 + (proto == 58 ? 128 : 0));
		p[1] = chance(s, 70) ? 0 : (uint8_t)(rnd(s) % 16);
		put_be16(p + 4, s->serial++);
		return 8 + rnd(s) % 24;
	case 132:
		put_be16(p, s->serial++);
		put_be16(p + 2, ports[rnd(s) % 9]);
		p[12] = 1;
		put_be16(p + 14, 20);
		return 32;
	default:
		return 8 + rnd(s) % 40;
	}
}

static void checksum_l4(uint8_t proto, uint8_t *l4, size_t len, uint32_t pseudo)
{
	static const struct {
		uint8_t proto, offset;
	} where[] = {{6, 16}, {17, 6}, {1, 2}, {58, 2}};
	size_t i;
	uint16_t sum;

	for (i = 0; i < 4; i++) {
		if (where[i].proto != proto || len < where[i].offset + 2u)
			continue;
		put_be16(l4 + where[i].offset, 0);
		sum = net_sum_fold(net_sum(l4, len, proto == 1 ? 0 : pseudo));
		put_be16(l4 + where[i].offset, proto == 17 && !sum ? 0xffff : sum);
	}
}

static const uint8_t protos4[] = {6,   6,  6,  6,  17,  17, 17, 1,  1,
				  132, 47, 50, 51, 136, 2,  0,  255};
static const uint8_t protos6[] = {6, 6, 6, 6, 17, 17, 17, 58, 58, 132, 50, 59, 47};

static size_t make_ip4(struct frame_source *s, uint8_t *nh)
{
	static const uint32_t dsts[] = {0x0a090001, 0x0a090001, 0x0a090001, 0x0a090101,
					0x0a090102, 0x0a090102, 0x0a0900ff, 0xe0000001,
					0xffffffff, 0x08080808, 0x7f000001, 0x0a090002};
	uint8_t proto = protos4[rnd(s) % sizeof(protos4)];
	size_t ihl = 20, len;

	memset(nh, 0, 60);
	nh[1] = chance(s, 80) ? 0 : (uint8_t)rnd(s);
	put_be16(nh + 4, (uint16_t)rnd(s));
	nh[8] = chance(s, 90) ? 64 : (uint8_t)(rnd(s) % 3);
	nh[9] = proto;
	put_be32(nh + 12,
		 chance(s, 60) ? 0x0a090000 + (uint32_t)(rnd(s) % 256) : (uint32_t)rnd(s));
	put_be32(nh + 16,
		 chance(s, 92) ? dsts[rnd(s) % (chance(s, 60) ? 4 : 12)] : (uint32_t)rnd(s));
	if (chance(s, 6)) { /* options: NOP … or a record route */
		ihl = 20 + 4 * (1 + rnd(s) % 10);
		memset(nh + 20, 1, ihl - 20);
		if (chance(s, 30) && ihl >= 28) {
			nh[20] = 7;
			nh[21] = 7;
			nh[22] = 4;
		}
	}
	if (chance(s, 6))
		put_be16(nh + 6, (uint16_t)(chance(s, 50)
						? 0x2000
						: (rnd(s) % 4) | (chance(s, 50) ? 0x2000 : 0)));
	else if (chance(s, 20))
		put_be16(nh + 6, 0x4000);
	apply_tests(s, F_NET, nh, 20);
	proto = nh[9];
	len = make_l4(s, proto, nh + ihl);
	apply_tests(s, F_TH, nh + ihl, len);
	if (chance(s, 4))
		len = rnd(s) % (len + 1); /* truncated */
	nh[0] = (uint8_t)(0x40 | ihl / 4);
	put_be16(nh + 2, (uint16_t)(ihl + len));
	checksum_l4(proto, nh + ihl, len, net_sum(nh + 12, 8, (uint32_t)(proto + len)));
	if (chance(s, 3) && len)
		nh[ihl + rnd(s) % len] ^= 0x40; /* a bad checksum */
	if (chance(s, 2))
		nh[0] = (uint8_t)rnd(s);
	if (chance(s, 2))
		put_be16(nh + 2, (uint16_t)rnd(s));
	put_be16(nh + 10, 0);
	put_be16(nh + 10, net_sum_fold(net_sum(nh, ihl, 0)));
	if (chance(s, 2))
		nh[10] ^= 1;
	return ihl + len;
}

/* One extension header of 8·n bytes; returns its length. */
static size_t make_ext(struct frame_source *s, uint8_t kind, uint8_t *p)
{
	size_t len = 8;

	memset(p, 0, 64);
	switch (kind) {
	case 44:
		put_be16(p + 2, (uint16_t)(chance(s, 50)
					       ? 1
					       : (rnd(s) % 8) << 3 | (chance(s, 50) ? 1 : 0)));
		put_be32(p + 4, (uint32_t)rnd(s));
		return 8;
	case 51:
		len = 8 + 4 * (1 + rnd(s) % 5);
		p[1] = (uint8_t)(len / 4 - 2);
		return len;
	case 43:
		p[1] = 2;
		p[2] = chance(s, 50) ? 4 : 0;
		return 24;
	default:
		/* PadN to the end. The kernel drops more than 7 bytes of padding before any
		 * hook (ip6_parse_tlv). */
		p[2] = 1;
		p[3] = 4;
		return len;
	}
}

static size_t make_ip6(struct frame_source *s, uint8_t *nh)
{
	static const uint8_t kinds[] = {0, 60, 43, 44, 51, 60};
	static const uint8_t prefix[2][8] = {{0x20, 1, 0x0d, 0xb8, 0, 9},
					     {0x20, 1, 0x0d, 0xb8, 0, 0x0a}};
	uint8_t proto = protos6[rnd(s) % sizeof(protos6)], *next = nh + 6, kind;
	unsigned n = chance(s, 25) ? 1 + (unsigned)(rnd(s) % (chance(s, 20) ? 10 : 3)) : 0, i;
	size_t off = 40, len;

	memset(nh, 0, 40);
	nh[0] = 0x60 | (chance(s, 80) ? 0 : (uint8_t)rnd(s) & 0xf);
	nh[1] = chance(s, 80) ? 0 : (uint8_t)rnd(s);
	nh[7] = chance(s, 90) ? 64 : (uint8_t)(rnd(s) % 3);
	memcpy(nh + 8, prefix[rnd(s) % 2], 8);
	memcpy(nh + 24, prefix[rnd(s) % 2], 8);
	nh[23] = (uint8_t)(2 + rnd(s) % 40);
	nh[39] = (uint8_t)(1 + (chance(s, 20) ? rnd(s) % 3 : 0));
	if (chance(s, 5)) {
		memset(nh + 24, 0, 16);
		nh[24] = 0xff;
		nh[25] = 2;
		nh[39] = 1;
	}
	apply_tests(s, F_NET, nh, 40);
	if (!n)
		proto = nh[6] && chance(s, 30) ? nh[6] : proto;
	for (i = 0; i < n; i++) {
		kind = i ? kinds[1 + rnd(s) % 5] : kinds[rnd(s) % 6];
		*next = kind;
		next = nh + off;
		off += make_ext(s, kind, nh + off);
	}
	*next = proto;
	len = make_l4(s, proto, nh + off);
	apply_tests(s, F_TH, nh + off, len);
	if (chance(s, 4))
		len = rnd(s) % (len + 1);
	checksum_l4(proto, nh + off, len, net_sum(nh + 8, 32, (uint32_t)(proto + len)));
	if (chance(s, 3) && len)
		nh[off + rnd(s) % len] ^= 0x40;
	if (n && chance(s, 8)) { /* cut in an extension header, often a byte behind its begin */
		off = 40 + rnd(s) % (off - 39);
		if (chance(s, 60))
			off = 41 + 8 * (off / 8 - 5);
		len = 0;
	}
	put_be16(nh + 4, (uint16_t)(off - 40 + len));
	if (chance(s, 2))
		put_be16(nh + 4, (uint16_t)rnd(s));
	nh[0] = (uint8_t)((nh[0] & 0x0f) | 0x60);
	return off + len;
}

void frame_next(struct frame_source *s, struct frame *f)
{
	static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 1}};
	bool six = chance(s, 35);
	uint8_t *eth = f->bytes;
	size_t len;

	memset(f, 0, sizeof(*f));
	f->port = chance(s, 80) ? 0 : 1;
	f->iifname = f->port ? "eth1" : "eth0";
	memcpy(eth, macs[f->port], 6);
	eth[6] = 2;
	eth[11] = 0xaa;
	put_be16(eth + 12, six ? 0x86dd : 0x0800);
	len = six ? make_ip6(s, eth + 14) : make_ip4(s, eth + 14);
	if (chance(s, 2)) {
		memset(eth, 0xff, 6);
		f->pkttype = 1;
	} else if (chance(s, 2)) {
		eth[5] = 0x77;
		f->pkttype = 3;
	}
	f->len = 14 + len;
	if (chance(s, 2)) { /* a VLAN tag made by hand */
		memmove(eth + 16, eth + 12, f->len - 12);
		put_be16(eth + 12, 0x8100);
		put_be16(eth + 14, 5);
		f->len += 4;
	} else if (chance(s, 1)) {
		put_be16(eth + 12, 0x0806);
	} else if (chance(s, 30) && f->len < 60) {
		f->len = 60; /* padded as on a wire */
	}
	if (chance(s, 1))
		f->len = 14 + rnd(s) % (f->len - 13);
}
