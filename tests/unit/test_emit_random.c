// SPDX-License-Identifier: GPL-2.0
/*
 * Random IR and random packets: the emitted code against the reference evaluator, verdict and
 * counters. The code runs in the interpreter of emit_run.h and, as root, for some of the irs in
 * the kernel too.
 *
 * SEED=n runs one seed and prints the program; ROUNDS=n sets the number of irs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "emit/emit.h"
#include "ir/ir_eval.h"
#include "opt/opt.h"
#include "tests/unit/emit_run.h"

#define NPACKETS 12
#define MAX_CHAINS 15 /* user chains: jumps at most 15 deep by number */

struct gen {
	uint64_t state;
	const uint8_t *choices; /* taken first, one per choice; then the generator's own numbers
				   (tests/fuzz) */
	size_t nchoices;
	struct arena *mem;
	struct ir *ir;
	enum family family;
	enum dialect dialect;
	enum ir_entry_id entry;
	struct ir_chain *user[MAX_CHAINS];
	unsigned nuser;
	struct packet packets[NPACKETS];
	int fixed; /* the packet whose values are taken, or -1 */
	uint8_t bytes[NPACKETS][256];
};

static uint64_t rnd(struct gen *g)
{
	if (g->nchoices) {
		g->nchoices--;
		return *g->choices++;
	}
	g->state ^= g->state << 13;
	g->state ^= g->state >> 7;
	g->state ^= g->state << 17;
	return g->state * UINT64_C(0x2545f4914f6cdd1d) >> 11;
}

static unsigned below(struct gen *g, unsigned n)
{
	return (unsigned)(rnd(g) % n);
}

static bool chance(struct gen *g, unsigned percent)
{
	return below(g, 100) < percent;
}

/* ---- packets ---- */

static void checksum_ipv4(uint8_t *nh)
{
	uint32_t sum = 0;
	unsigned i;

	put_be16(nh + 10, 0);
	for (i = 0; i < (nh[0] & 15u) * 4; i += 2)
		sum += be16(nh + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(nh + 10, (uint16_t) ~(sum + (sum >> 16)));
}

static size_t fill_ipv4(struct gen *g, uint8_t *nh)
{
	static const uint8_t protos[] = {1, 6, 17, 6, 17, 132, 47};
	unsigned ihl = chance(g, 80) ? 5 : 5 + below(g, 4), payload = below(g, 60);

	nh[0] = (uint8_t)(0x40 | ihl);
	nh[9] = protos[below(g, 7)];
	put_be16(nh + 2, (uint16_t)(ihl * 4 + payload));
	put_be16(nh + 6, chance(g, 80) ? 0x4000 : (uint16_t)(below(g, 2) << 13 | below(g, 3)));
	if (chance(g, 50))
		put_be32(nh + 12, 0x0a000000 + below(g, 300));
	checksum_ipv4(nh);
	return ihl * 4 + payload;
}

static size_t fill_ipv6(struct gen *g, uint8_t *nh)
{
	static const uint8_t next[] = {6, 17, 58, 0, 43, 44, 60, 51, 59};
	unsigned payload = 8 + below(g, 100);

	nh[0] = (uint8_t)(0x60 | below(g, 16));
	put_be16(nh + 4, (uint16_t)payload);
	nh[6] = next[below(g, 9)];
	nh[40] = next[below(g, 9)];
	nh[41] = (uint8_t)below(g, 3);
	nh[8] = 0x20;
	nh[24] = 0xfd;
	return 40 + payload;
}

static void make_packet(struct gen *g, unsigned n)
{
	struct packet *p = &g->packets[n];
	uint8_t *b = g->bytes[n], *nh;
	size_t i, len;

	/* Few different bytes, so that tests meet. */
	for (i = 0; i < sizeof(g->bytes[n]); i++)
		b[i] = chance(g, 60) ? (uint8_t)below(g, 4) : (uint8_t)rnd(g);
	p->has_ll = chance(g, 70);
	nh = p->has_ll ? b + 14 : b;
	if (p->has_ll)
		put_be16(b + 12, g->family == FAMILY_IP ? 0x0800 : 0x86dd);
	len = g->family == FAMILY_IP ? fill_ipv4(g, nh) : fill_ipv6(g, nh);
	p->data = b;
	p->len = len + (size_t)(nh - b);
	p->iif = below(g, 4);
	p->oif = below(g, 4);
	snprintf(p->iifname, 16, "%s%u", chance(g, 50) ? "eth" : "verylongname-", p->iif);
	snprintf(p->oifname, 16, "%s%u", chance(g, 50) ? "eth" : "wg", p->oif);
	p->mark = chance(g, 50) ? below(g, 300) : (uint32_t)rnd(g);
	p->pkttype = (uint8_t)below(g, 4);
	if (site_specs[g->ir->site].early) /* new, invalid, not known */
		p->ct_state = (uint32_t[]){0, 1, 8, 8}[below(g, 4)];
	else
		p->ct_state = (uint32_t[]){0, 1, 2, 4, 8, 8, 8, 64}[below(g, 8)];
	p->ct_status = (uint32_t)rnd(g) & 0x3fff;
	p->ct_mark = below(g, 20);
	p->ct_dir = (uint8_t)below(g, 2);
	p->ct_ok = (uint8_t)below(g, 2);
}

/* ---- values ---- */

static struct u128 random_value(struct gen *g, unsigned len)
{
	struct u128 v = {rnd(g) << 20 ^ rnd(g), rnd(g) << 20 ^ rnd(g)};

	return u128_and(v, u128_max(len));
}

static struct ir_field random_field(struct gen *g)
{
	static const uint8_t room[] = {PKT_LL_BYTES, PKT_NET_BYTES, PKT_TH_BYTES};
	struct ir_field f = {(enum field)(chance(g, 60) ? below(g, 3) : below(g, NFIELD)), 0,
			     0};
	static const uint8_t lens[] = {1, 2, 4, 8, 16, 2, 4};

	if (field_width(f.id))
		return f;
	do {
		f.len = chance(g, 60) ? lens[below(g, 7)] : (uint8_t)(1 + below(g, 16));
		f.off = (uint8_t)below(g, room[f.id]);
		if (chance(g, 40))
			f.off &= (uint8_t) ~(f.len - 1);
	} while (f.off + f.len > room[f.id]);
	return f;
}

static struct u128 random_mask(struct gen *g, unsigned len)
{
	switch (below(g, 7)) {
	case 0:
	case 1:
		return u128_prefix_mask(len, below(g, 8 * len + 1));
	case 2:
		return random_value(g, len);
	case 3:
		return u128_and(u128_shl(U128(1 + below(g, 255)), below(g, 8 * len)),
				u128_max(len));
	default:
		return u128_max(len);
	}
}

/* Mostly what one of the packets has there. */
static struct u128 near_value(struct gen *g, struct ir_field f, struct u128 mask)
{
	const struct packet *p =
	    &g->packets[g->fixed >= 0 ? g->fixed : (int)below(g, NPACKETS)];
	struct u128 v = u128_and(packet_field(p, g->family, g->dialect, f), mask);

	switch (below(g, g->fixed >= 0 ? 50 : 8)) {
	case 0:
		return random_value(g, ir_field_len(f));
	case 1:
		return u128_and(random_value(g, ir_field_len(f)), mask);
	case 2:
		return u128_and(chance(g, 50) ? u128_inc(v) : u128_dec(v),
				u128_max(ir_field_len(f)));
	default:
		return v;
	}
}

static void swap_if(struct u128 *a, struct u128 *b)
{
	struct u128 t = *a;

	if (u128_cmp(*a, *b) <= 0)
		return;
	*a = *b;
	*b = t;
}

static void random_range(struct gen *g, struct ir_field f, struct u128 mask, struct u128 *a,
			 struct u128 *b)
{
	unsigned len = ir_field_len(f);
	struct u128 m;

	*a = near_value(g, f, mask);
	switch (below(g, 6)) {
	case 0: /* a prefix */
		m = u128_prefix_mask(len, below(g, 8 * len + 1));
		*a = u128_and(*a, m);
		*b = u128_or(*a, u128_and(u128_not(m), u128_max(len)));
		return;
	case 1: /* to the end */
		*b = u128_max(len);
		return;
	case 2: /* from the beginning */
		*b = *a;
		*a = U128(0);
		return;
	case 3: /* short */
		*b = u128_or(*a, u128_and(U128(below(g, 256)), u128_max(len)));
		return;
	default:
		*b = near_value(g, f, mask);
	}
	swap_if(a, b);
}

/* ---- sets ---- */

static bool overlaps(const struct ir_set *s, const struct u128 *lo, const struct u128 *hi)
{
	size_t i;
	unsigned j;

	for (i = 0; i < s->nelems; i++) {
		for (j = 0; j < s->nfields; j++)
			if (u128_cmp(hi[j], s->lo[i * s->nfields + j]) < 0 ||
			    u128_cmp(lo[j], s->hi[i * s->nfields + j]) > 0)
				break;
		if (j == s->nfields)
			return true;
	}
	return false;
}

static void random_element(struct gen *g, const struct ir_key *key, unsigned n, bool points,
			   struct u128 *lo, struct u128 *hi)
{
	unsigned j;

	for (j = 0; j < n; j++) {
		if (points || chance(g, 30))
			lo[j] = hi[j] = chance(g, 40)
					    ? random_value(g, ir_field_len(key[j].field))
					    : near_value(g, key[j].field, key[j].mask);
		else
			random_range(g, key[j].field, key[j].mask, &lo[j], &hi[j]);
	}
}

static void random_target(struct gen *g, struct ir_target *t, unsigned chain);

static const struct ir_set *random_set(struct gen *g, struct ir_key *key, bool is_map,
				       unsigned chain)
{
	static const unsigned sizes[] = {0, 1, 2, 3, 4, 5, 8, 9, 20, 60, 80, 200};
	unsigned n = chance(g, 50) ? 1 : 1 + below(g, IR_MAX_KEY_FIELDS), i, j;
	unsigned want = sizes[below(g, n == 1 ? 12 : 10)];
	bool points = chance(g, 50);
	uint8_t width[IR_MAX_KEY_FIELDS];
	struct u128 lo[IR_MAX_KEY_FIELDS], hi[IR_MAX_KEY_FIELDS];
	struct ir_set *s;

	for (j = 0; j < n; j++) {
		key[j].field = random_field(g);
		width[j] = (uint8_t)ir_field_len(key[j].field);
		key[j].mask = chance(g, 70) ? u128_max(width[j]) : random_mask(g, width[j]);
	}
	s = ir_add_set(g->ir, arena_printf(g->mem, "set%u", g->ir->nsets), n, width);
	s->is_map = is_map;
	if (is_map) {
		s->ntargets = 1 + below(g, chance(g, 80) ? 4 : 40);
		s->targets = arena_array(g->mem, s->ntargets, sizeof(*s->targets));
		for (i = 0; i < s->ntargets; i++)
			random_target(g, &s->targets[i], chain);
		s->miss = chance(g, 30) ? (int)below(g, s->ntargets) : -1;
	}
	for (i = 0; i < want; i++) {
		random_element(g, key, n, points, lo, hi);
		/* Boxes may overlap: the first wins. */
		if ((n == 1 || points) && is_map && overlaps(s, lo, hi))
			continue;
		ir_set_add(g->ir, s, lo, hi, is_map ? below(g, s->ntargets) : 0);
	}
	assert_int_equal(ir_set_finish(g->ir, s), 0);
	return s;
}

/* ---- rules ---- */

/* chain: the number of the chain that the verdict stands in; jumps lead to higher ones. */
static void random_target(struct gen *g, struct ir_target *t, unsigned chain)
{
	static const enum ir_verdict verdicts[] = {V_CONTINUE, V_ACCEPT, V_DROP, V_DROP,
						   V_RETURN,   V_JUMP,   V_JUMP, V_JUMP,
						   V_GOTO,     V_GOTO};

	t->verdict = verdicts[below(g, 10)];
	t->chain = NULL;
	if (t->verdict != V_JUMP && t->verdict != V_GOTO)
		return;
	if (chain >= g->nuser)
		t->verdict = V_CONTINUE;
	else
		t->chain = g->user[chain + below(g, chance(g, 50) ? 1 : g->nuser - chain)];
}

static void random_test_of(struct gen *g, struct ir_rule *r, struct ir_field f)
{
	struct u128 mask = random_mask(g, ir_field_len(f)), a, b;
	struct ir_op *op;

	switch (below(g, 5)) {
	case 0:
		random_range(g, f, mask, &a, &b);
		ir_test_range(g->ir, r, f, chance(g, 60) ? CMP_IN : CMP_OUT, a, b);
		break;
	case 1:
		ir_test_masked(g->ir, r, f, mask, CMP_NE, near_value(g, f, mask));
		break;
	default:
		ir_test_masked(g->ir, r, f, mask, CMP_EQ, near_value(g, f, mask));
	}
	op = ir_test_last(r);
	op->test.mask = mask;
	if (chance(g, 3))
		op->on_fail = FAIL_DROP;
}

static void random_test(struct gen *g, struct ir_rule *r)
{
	random_test_of(g, r, random_field(g));
}

static void random_op(struct gen *g, struct ir_rule *r, unsigned chain)
{
	struct ir_key key[IR_MAX_KEY_FIELDS];
	const struct ir_set *s;
	unsigned kind = below(g, 100);

	if (kind < 55) {
		random_test(g, r);
	} else if (kind < 65) {
		s = random_set(g, key, chance(g, 10), chain);
		ir_lookup(g->ir, r, s, key, chance(g, 50));
		if (chance(g, 5))
			ir_test_last(r)->on_fail = FAIL_DROP;
	} else if (kind < 73) {
		s = random_set(g, key, true, chain);
		ir_vmap(g->ir, r, s, key);
	} else if (kind < 98) {
		ir_count(g->ir, r, below(g, g->ir->ncounters));
	} else {
		ir_leave(g->ir, r, chance(g, 50), "not known");
	}
}

static void random_rules(struct gen *g, struct ir_chain *c, unsigned chain, unsigned max)
{
	unsigned n = below(g, max + 1), nops, i;
	struct origin from = {BACKEND_NFT, g->family, "t", c->name, 0, 0, 0};
	struct ir_target t;
	struct ir_rule *r;

	for (i = 0; i < n; i++) {
		from.index = i + 1;
		r = ir_add_rule(g->ir, c, &from);
		/* Many tests of one packet: a conjunction that holds. */
		if (chance(g, 25)) {
			g->fixed = (int)below(g, NPACKETS);
			for (nops = 2 + below(g, 5); nops; nops--)
				random_test(g, r);
			g->fixed = -1;
		}
		for (nops = below(g, 4); nops; nops--)
			random_op(g, r, chain);
		if (chance(g, 70)) {
			random_target(g, &t, chain);
			ir_verdict(g->ir, r, t.verdict, t.chain);
		}
	}
}

/* A list of rules of the same few fields, long enough to become tables. */
/* "--ctstate NEW" in each rule of a list, and what else may be asked there. */
static void random_ct_test(struct gen *g, struct ir_rule *r)
{
	static const uint8_t masks[] = {8, 8, 8, 8, 9, 6, 1, 14};

	if (chance(g, 20))
		ir_test(g->ir, r, IR_FIELD(CT_STATE), chance(g, 50) ? CMP_EQ : CMP_NE,
			U128(chance(g, 90) ? 8 : 1));
	else
		ir_test_masked(g->ir, r, IR_FIELD(CT_STATE),
			       U128(masks[below(g, chance(g, 10) ? 8 : 6)]), CMP_NE, U128(0));
}

static void random_run(struct gen *g, struct ir_chain *c, unsigned chain)
{
	unsigned n = 12 + below(g, chance(g, 80) ? 30 : 200), nfields = 1 + below(g, 5), i, k;
	bool jumps = chance(g, 30), exact = chance(g, 25), asks = chance(g, 30);
	struct origin from = {BACKEND_NFT, g->family, "t", c->name, 0, 0, 0};
	struct ir_field f[5];
	struct ir_target t;
	struct ir_rule *r;

	for (i = 0; i < 5; i++)
		f[i] = random_field(g);
	/* A list of single values: records of one mask, or of one word. */
	if (exact)
		nfields = 1 + chance(g, 30);
	for (i = 0; i < n; i++) {
		from.index = (uint32_t)c->nrules + 1;
		r = ir_add_rule(g->ir, c, &from);
		g->fixed = chance(g, 50) ? (int)below(g, NPACKETS) : -1;
		for (k = 0; exact && k < nfields; k++)
			ir_test(g->ir, r, f[k], CMP_EQ,
				near_value(g, f[k], u128_max(ir_field_len(f[k]))));
		for (k = exact ? 0 : below(g, 5) + (jumps ? 2 : 1); k; k--)
			random_test_of(g, r, f[below(g, nfields)]);
		g->fixed = -1;
		if (asks && chance(g, 60))
			random_ct_test(g, r);
		if (chance(g, 1))
			random_op(g, r, chain);
		if (chance(g, 90))
			ir_count(g->ir, r, below(g, g->ir->ncounters));
		if (chance(g, 3)) {
			ir_leave(g->ir, r, true, "not known");
			continue;
		}
		random_target(g, &t, chain);
		if (!jumps && (t.verdict == V_JUMP || t.verdict == V_CONTINUE))
			t = (struct ir_target){V_DROP, NULL};
		if (t.verdict != V_CONTINUE || chance(g, 50))
			ir_verdict(g->ir, r, t.verdict, t.chain);
	}
}

static void random_stages(struct gen *g)
{
	struct ir_entry *e = &g->ir->entries[g->entry];
	struct ir_chain *c;
	size_t i;

	e->used = true;
	e->family = g->family;
	e->nstages = below(g, 4);
	e->stages = arena_array(g->mem, e->nstages, sizeof(*e->stages));
	for (i = 0; i < e->nstages; i++) {
		c = ir_add_chain(g->ir, arena_printf(g->mem, "base%zu", i), NULL);
		c->is_base = true;
		c->policy.verdict = chance(g, 70) ? V_ACCEPT : V_DROP;
		c->policy_counter = (int32_t)below(g, g->ir->ncounters);
		random_rules(g, c, 0, 8);
		if (chance(g, 30)) {
			random_run(g, c, 0);
			random_rules(g, c, 0, 4);
		}
		e->stages[i] = (struct ir_stage){.chain = c,
						 .dialect = g->dialect,
						 .new_only = chance(g, 15),
						 .tracked = chance(g, 60),
						 .order_unknown = chance(g, 15)};
	}
}

static void gen_init(struct gen *g, uint64_t seed, const uint8_t *choices, size_t nchoices)
{
	struct diag d = {0};
	unsigned i;

	*g = (struct gen){.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .mem = arena_new()};
	for (i = 0; i < 20; i++)
		rnd(g);
	g->choices = choices;
	g->nchoices = nchoices;
	g->fixed = -1;
	g->family = chance(g, 50) ? FAMILY_IP : FAMILY_IP6;
	g->dialect = (enum dialect)below(g, NDIALECT);
	g->ir = ir_new(g->mem, chance(g, 50) ? SITE_HOOK : SITE_XDP);
	g->entry = g->ir->site == SITE_HOOK ? ENTRY_HOOK
		   : g->family == FAMILY_IP ? ENTRY_IN4
					    : ENTRY_IN6;
	for (i = 0; i < NPACKETS; i++) {
		struct packet_view v;

		do
			make_packet(g, i);
		while (!packet_view_init(&v, &g->packets[i]));
	}
	for (i = 0; i < 40; i++)
		ir_add_counter(g->ir, NULL, true);
	g->nuser = below(g, MAX_CHAINS + 1);
	for (i = 0; i < g->nuser; i++)
		g->user[i] = ir_add_chain(g->ir, arena_printf(g->mem, "user%u", i), NULL);
	for (i = 0; i < g->nuser; i++)
		random_rules(g, g->user[i], i + 1, g->nuser > 8 ? 2 : 4);
	random_stages(g);
	if (ir_check(g->ir, &d))
		diag_print(&d, stderr, "ir_check");
	assert_int_equal(d.nerrors, 0);
	diag_free(&d);
}

/* ---- the comparison ---- */

static bool same(const struct eval_result *want, unsigned code, const struct pkt *k, bool early)
{
	static const unsigned codes[NEVAL] = {
	    [EVAL_ACCEPT] = PKT_CONTINUE, [EVAL_DROP] = PKT_DROP, [EVAL_LEAVE] = PKT_LEAVE};

	if (want->nhits > PKT_MAX_HITS)
		return code == PKT_LEAVE;
	/* What a program has noted of a packet that it leaves is void. */
	if (want->verdict == EVAL_LEAVE)
		return code == PKT_LEAVE;
	return code == codes[want->verdict] && k->nhits == want->nhits &&
	       !memcmp(k->hits, want->hits, want->nhits * sizeof(*k->hits)) &&
	       (!early || k->used_ct == want->used_ct);
}

static void explain(const struct gen *g, unsigned packet, const struct eval_result *want,
		    unsigned code, const struct pkt *k, const struct image *img)
{
	struct buf b = {0};
	size_t i;

	fprintf(stderr, "packet %u: want verdict %d (%s), got code %u; hits want", packet,
		want->verdict, want->reason ? want->reason : "", code);
	for (i = 0; i < want->nhits; i++)
		fprintf(stderr, " %u", want->hits[i]);
	fprintf(stderr, ", got");
	for (i = 0; i < k->nhits && i < PKT_MAX_HITS; i++)
		fprintf(stderr, " %u", k->hits[i]);
	fprintf(stderr, "; used_ct %d %d\n", want->used_ct, k->used_ct);
	if (getenv("SEED")) {
		image_print(img, &b);
		image_print_maps(img, &b);
		fputs(buf_str(&b), stderr);
	}
	buf_free(&b);
}

struct totals {
	size_t segments, segment_rules;
	size_t irs, runs, loads, skipped, verdicts[NEVAL], hits, insns;
};

static bool compare_packets(const struct gen *g, const struct image *img, struct kernel_prog *k,
			    struct totals *t)
{
	static struct eval_result want;
	struct pkt p, q;
	unsigned i, code;

	for (i = 0; i < NPACKETS; i++) {
		pkt_fill(&g->packets[i], g->family, g->dialect, &p);
		q = p;
		ir_eval(g->ir, g->entry, &g->packets[i], &want);
		code = interp_run(img, g->entry, &p);
		if (!same(&want, code, &p, g->ir->site != SITE_HOOK)) {
			explain(g, i, &want, code, &p, img);
			return false;
		}
		t->runs++;
		t->verdicts[want.verdict]++;
		t->hits += want.nhits;
		if (!k)
			continue;
		code = kernel_run(k, &q);
		if (!same(&want, code, &q, g->ir->site != SITE_HOOK)) {
			fprintf(stderr, "in the kernel: ");
			explain(g, i, &want, code, &q, img);
			return false;
		}
	}
	return true;
}

static bool one_round(uint64_t seed, bool kernel, struct totals *t)
{
	struct kernel_prog k = {.fd = -1};
	struct image img = {0};
	struct diag d = {0};
	struct gen g;
	struct ir *opt;
	bool ok = true;
	size_t i;
	int err;

	gen_init(&g, seed, NULL, 0);
	/* Not opt_run(): these packets are none that an early site shows to its rules. */
	opt = opt_copy(g.ir, g.mem);
	opt_leaving(opt);
	err = emit_image(opt, g.mem, &img, &d);
	if (err == -E2BIG) {
		t->skipped++;
		goto out;
	}
	assert_int_equal(err, 0);
	t->irs++;
	t->insns += img.entries[g.entry].ninsns;
	t->segments += img.nsegments;
	for (i = 0; i < img.nsegments; i++)
		t->segment_rules += img.segments[i].nrules;
	if (kernel && img.nmaps <= 64) {
		err = kernel_load(&img, g.entry, &k);
		if (err) {
			fprintf(stderr, "load: %s\n%s\n", strerror(-err), k.log);
			ok = false;
		}
		t->loads++;
	}
	ok = ok && compare_packets(&g, &img, k.fd >= 0 ? &k : NULL, t);
	kernel_free(&k);
	if (!ok)
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
out:
	diag_free(&d);
	arena_free(g.mem);
	return ok;
}

static void run_rounds(bool kernel, unsigned rounds, uint64_t first)
{
	const char *n = getenv("ROUNDS"), *seed = getenv("SEED");
	struct totals t = {0};
	unsigned i, failed = 0;

	if (n)
		rounds = (unsigned)atoi(n);
	if (seed) {
		assert_true(one_round((uint64_t)atoll(seed), kernel, &t));
		return;
	}
	for (i = 0; i < rounds && failed < 3; i++)
		failed += !one_round(first + i, kernel, &t);
	printf("tables %zu of %zu rules; ", t.segments, t.segment_rules);
	printf("irs %zu (too big %zu, in the kernel %zu) packets %zu accept %zu drop %zu leave "
	       "%zu hits %zu insns %zu\n",
	       t.irs, t.skipped, t.loads, t.runs, t.verdicts[EVAL_ACCEPT],
	       t.verdicts[EVAL_DROP], t.verdicts[EVAL_LEAVE], t.hits, t.insns);
	assert_int_equal(failed, 0);
	assert_true(seed || t.segments > rounds / 20);
}

static void test_interpreted(void **state)
{
	run_rounds(false, 3000, 1);
}

static void test_kernel(void **state)
{
	if (geteuid()) {
		print_message("loading programs needs root\n");
		skip();
	}
	run_rounds(true, 300, 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_interpreted),
	    cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
