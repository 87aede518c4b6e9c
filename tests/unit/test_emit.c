// SPDX-License-Identifier: GPL-2.0
/*
 * Emitted code with verdicts and hits written by hand; limits; the listing.  Each program runs
 * in the interpreter and, as root, in the kernel.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "emit/emit.h"
#include "tests/unit/emit_run.h"

#define NCOUNTERS 64

struct bench {
	struct ir *ir;
	struct image img;
	struct diag d;
	struct kernel_prog kernel;
	struct ir_chain *base;
};

static void bench_init(struct bench *b, enum site_kind site)
{
	unsigned i;

	*b = (struct bench){.kernel = {.fd = -1}};
	b->ir = ir_new(arena_new(), site);
	for (i = 0; i < NCOUNTERS; i++)
		ir_add_counter(b->ir, NULL, true);
}

static void bench_free(struct bench *b)
{
	kernel_free(&b->kernel);
	diag_free(&b->d);
	arena_free(b->ir->mem);
}

static struct origin origin_of(const char *chain, uint32_t index)
{
	return (struct origin){BACKEND_NFT, FAMILY_IP, "filter", chain, index, 0, 0};
}

/* Appends a stage to IN4; its policy counts counter. */
static struct ir_stage *add_stage(struct bench *b, const char *name, enum ir_verdict policy,
				  uint32_t counter)
{
	struct ir_entry *e = &b->ir->entries[ENTRY_IN4];
	struct origin from = origin_of(name, 0);
	struct ir_chain *c = ir_add_chain(b->ir, name, &from);

	c->is_base = true;
	c->policy.verdict = policy;
	c->policy_counter = (int32_t)counter;
	e->stages =
	    arena_grow(b->ir->mem, e->stages, e->nstages, e->nstages + 1, sizeof(*e->stages));
	e->stages[e->nstages].chain = c;
	e->used = true;
	b->base = c;
	return &e->stages[e->nstages++];
}

static struct ir_rule *add_rule(struct bench *b, struct ir_chain *c)
{
	struct origin from = origin_of(c->name, (uint32_t)c->nrules + 1);

	return ir_add_rule(b->ir, c, &from);
}

/* A rule that counts (counter >= 0) and ends with v. */
static struct ir_rule *rule_ends(struct bench *b, struct ir_rule *r, int counter,
				 enum ir_verdict v, struct ir_chain *to)
{
	if (counter >= 0)
		ir_count(b->ir, r, (uint32_t)counter);
	if (v != V_CONTINUE)
		ir_verdict(b->ir, r, v, to);
	return r;
}

static void bench_emit(struct bench *b)
{
	int err = ir_check(b->ir, &b->d);

	if (!err)
		err = emit_image(b->ir, b->ir->mem, &b->img, &b->d);
	if (err)
		diag_print(&b->d, stderr, "emit");
	assert_int_equal(err, 0);
	if (geteuid())
		return;
	err = kernel_load(&b->img, ENTRY_IN4, &b->kernel);
	if (err)
		fprintf(stderr, "load: %s\n%s\n", strerror(-err), b->kernel.log);
	assert_int_equal(err, 0);
}

static void check_run(const struct pkt *p, unsigned got, unsigned want, const int *hits)
{
	unsigned i;

	assert_int_equal(got, want);
	for (i = 0; hits[i] >= 0; i++) {
		assert_true(i < p->nhits);
		assert_int_equal(p->hits[i], hits[i]);
	}
	assert_int_equal(p->nhits, i);
}

/* hits: counter ids, then -1. */
static void expect(struct bench *b, const struct pkt *p, unsigned want, const int *hits)
{
	struct pkt copy = *p;

	check_run(&copy, interp_run(&b->img, ENTRY_IN4, &copy), want, hits);
	if (b->kernel.fd < 0)
		return;
	copy = *p;
	check_run(&copy, kernel_run(&b->kernel, &copy), want, hits);
}

#define EXPECT(b, p, want, ...)                                                                \
	expect(b, p, want, (const int[]){__VA_ARGS__ __VA_OPT__(, ) - 1})

/* 10.0.0.1 → 192.168.1.2, TCP 1024 → 80 */
static struct pkt tcp_packet(void)
{
	struct pkt p = {
	    .l4_ok = 1, .l4_proto = 6, .len = 60, .l4_avail = 40, .family = 2, .iif = 2};

	p.nh[0] = 0x45;
	p.nh[9] = 6;
	put_be32(p.nh + 12, 0x0a000001);
	put_be32(p.nh + 16, 0xc0a80102);
	put_be16(p.th, 1024);
	put_be16(p.th + 2, 80);
	memcpy(p.iifname, "eth0", 4);
	return p;
}

/* ---- tests of fields ---- */

static bool holds(struct ir_field f, enum ir_cmp cmp, struct u128 mask, struct u128 a,
		  struct u128 b, const struct pkt *p)
{
	struct bench t;
	struct pkt copy = *p;
	struct ir_rule *r;
	unsigned code;

	bench_init(&t, SITE_HOOK);
	add_stage(&t, "in", V_ACCEPT, 0);
	r = add_rule(&t, t.base);
	ir_test(t.ir, r, f, CMP_EQ, a);
	ir_test_last(r)->test.cmp = cmp;
	ir_test_last(r)->test.mask = mask;
	ir_test_last(r)->test.b = b;
	rule_ends(&t, r, -1, V_DROP, NULL);
	bench_emit(&t);
	code = interp_run(&t.img, ENTRY_IN4, &copy);
	copy = *p;
	if (t.kernel.fd >= 0)
		assert_int_equal(kernel_run(&t.kernel, &copy), code);
	bench_free(&t);
	assert_true(code == PKT_DROP || code == PKT_CONTINUE);
	return code == PKT_DROP;
}

static bool eq(struct ir_field f, struct u128 a, const struct pkt *p)
{
	bool is = holds(f, CMP_EQ, u128_max(ir_field_len(f)), a, U128(0), p);

	assert_int_equal(holds(f, CMP_NE, u128_max(ir_field_len(f)), a, U128(0), p), !is);
	return is;
}

static bool masked(struct ir_field f, uint64_t mask, uint64_t a, const struct pkt *p)
{
	bool is = holds(f, CMP_EQ, U128(mask), U128(a), U128(0), p);

	assert_int_equal(holds(f, CMP_NE, U128(mask), U128(a), U128(0), p), !is);
	return is;
}

static bool in(struct ir_field f, struct u128 a, struct u128 b, const struct pkt *p)
{
	bool is = holds(f, CMP_IN, u128_max(ir_field_len(f)), a, b, p);

	assert_int_equal(holds(f, CMP_OUT, u128_max(ir_field_len(f)), a, b, p), !is);
	return is;
}

static void test_equality(void **state)
{
	struct pkt p = tcp_packet();

	assert_true(eq(IR_WINDOW(NET, 12, 4), U128(0x0a000001), &p));
	assert_false(eq(IR_WINDOW(NET, 12, 4), U128(0x0100000a), &p));
	assert_true(eq(IR_WINDOW(NET, 12, 8), U128(0x0a000001c0a80102), &p));
	assert_true(eq(IR_WINDOW(NET, 13, 5), U128(0x000001c0a8), &p));
	assert_false(eq(IR_WINDOW(NET, 13, 5), U128(0x000001c0a9), &p));
	assert_true(eq(IR_WINDOW(TH, 2, 2), U128(80), &p));
	assert_true(eq(IR_FIELD(L4_PROTO), U128(6), &p));
	assert_true(eq(IR_FIELD(IIFNAME), ifname_to_u128("eth0"), &p));
	assert_false(eq(IR_FIELD(IIFNAME), ifname_to_u128("eth01"), &p));
	p.mark = 0x80000001; /* the sign must not be extended */
	assert_true(eq(IR_FIELD(MARK), U128(0x80000001), &p));
	p.tcp_opts = 0xffffffff80000000;
	assert_true(eq(IR_FIELD(TCPOPTS), U128(0xffffffff80000000), &p));
	assert_false(eq(IR_FIELD(TCPOPTS), U128(0x0000000080000000), &p));
}

static void test_masks(void **state)
{
	struct pkt p = tcp_packet();

	assert_true(masked(IR_WINDOW(NET, 16, 4), 0xffffff00, 0xc0a80100, &p));
	assert_true(masked(IR_WINDOW(NET, 16, 4), 0xffff0000, 0xc0a80000, &p));
	assert_false(masked(IR_WINDOW(NET, 16, 4), 0xfffffe00, 0xc0a80200, &p));
	assert_true(masked(IR_WINDOW(NET, 16, 4), 0, 0, &p));
	/* A value outside its mask is never met. */
	assert_false(masked(IR_WINDOW(NET, 16, 4), 0xffffff00, 0xc0a80102, &p));
	p.th[13] = 0x12;
	assert_true(masked(IR_WINDOW(TH, 13, 1), 0x17, 0x12, &p));
	assert_true(masked(IR_WINDOW(TH, 13, 1), 0x05, 0, &p));
	assert_false(masked(IR_WINDOW(TH, 13, 1), 0x02, 0, &p));
	p.tcp_opts = UINT64_C(1) << 40;
	assert_true(masked(IR_FIELD(TCPOPTS), UINT64_C(1) << 40, UINT64_C(1) << 40, &p));
}

static void test_ranges(void **state)
{
	struct ir_field dport = IR_WINDOW(TH, 2, 2), saddr6 = IR_WINDOW(NET, 8, 16);
	struct u128 a = {0x20010db800000000, 5}, b = {0x20010db800000001, 3};
	struct pkt p = tcp_packet();

	assert_true(in(dport, U128(80), U128(443), &p));
	assert_true(in(dport, U128(33), U128(80), &p));
	assert_false(in(dport, U128(81), U128(65535), &p));
	assert_false(in(dport, U128(0), U128(79), &p));
	assert_true(in(dport, U128(0), U128(65535), &p));
	p.mark = 0xfffffffe;
	assert_true(in(IR_FIELD(MARK), U128(5), U128(0xffffffff), &p));
	assert_false(in(IR_FIELD(MARK), U128(5), U128(0xfffffffd), &p));
	u128_to_be(a, p.nh + 8, 16);
	assert_true(in(saddr6, a, b, &p));
	assert_false(in(saddr6, u128_inc(a), b, &p));
	u128_to_be(b, p.nh + 8, 16);
	assert_true(in(saddr6, a, b, &p));
	assert_false(in(saddr6, a, u128_dec(b), &p));
	u128_to_be((struct u128){a.hi, UINT64_MAX}, p.nh + 8, 16);
	assert_true(in(saddr6, a, b, &p));
}

/* Ports together, protocol and l4.ok together, address apart: three words. */
static void test_conjunction(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_rule *r;
	struct bench b;
	size_t i, loads = 0;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_WINDOW(TH, 0, 2), CMP_EQ, U128(1024));
	ir_test(b.ir, r, IR_FIELD(L4_OK), CMP_EQ, U128(1));
	ir_test(b.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	ir_test_masked(b.ir, r, IR_WINDOW(NET, 16, 4), U128(0xffff0000), CMP_EQ,
		       U128(0xc0a80000));
	ir_test_range(b.ir, r, IR_WINDOW(TH, 2, 2), CMP_IN, U128(80), U128(81));
	rule_ends(&b, r, -1, V_DROP, NULL);
	bench_emit(&b);
	for (i = 0; i < b.img.entries[ENTRY_IN4].ninsns; i++)
		loads += b.img.entries[ENTRY_IN4].insns[i].from == r->from[0] &&
			 BPF_CLASS(b.img.entries[ENTRY_IN4].insns[i].bpf.code) == BPF_LDX;
	assert_int_equal(loads, 3);
	EXPECT(&b, &p, PKT_DROP);
	put_be16(p.th + 2, 81);
	EXPECT(&b, &p, PKT_DROP);
	put_be16(p.th + 2, 82);
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	put_be16(p.th + 2, 80);
	put_be16(p.th, 1025);
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	put_be16(p.th, 1024);
	p.l4_ok = 0;
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	bench_free(&b);
}

/* Tests that contradict one another: the rule never counts. */
static void test_contradiction(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	ir_test(b.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(17));
	rule_ends(&b, r, 1, V_DROP, NULL);
	bench_emit(&b);
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	p.l4_proto = 6 | 17; /* what both values laid over one another would be */
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	bench_free(&b);
}

/* ---- control ---- */

static void test_counts_and_policy(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "raw", V_ACCEPT, 10);
	add_stage(&b, "in", V_DROP, 11);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	rule_ends(&b, r, 1, V_CONTINUE, NULL);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_WINDOW(TH, 2, 2), CMP_EQ, U128(22));
	ir_count(b.ir, r, 2);
	rule_ends(&b, r, 3, V_ACCEPT, NULL);
	bench_emit(&b);
	EXPECT(&b, &p, PKT_DROP, 10, 1, 11);
	put_be16(p.th + 2, 22);
	EXPECT(&b, &p, PKT_CONTINUE, 10, 1, 2, 3);
	p.l4_proto = 17;
	EXPECT(&b, &p, PKT_CONTINUE, 10, 2, 3);
	bench_free(&b);
}

static void test_hits_overflow(void **state)
{
	struct pkt p = tcp_packet();
	struct bench b;
	unsigned i;
	int want[PKT_MAX_HITS + 1];

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	for (i = 0; i < PKT_MAX_HITS - 1; i++) {
		rule_ends(&b, add_rule(&b, b.base), (int)i, V_CONTINUE, NULL);
		want[i] = (int)i;
	}
	bench_emit(&b);
	want[i] = 0;
	want[i + 1] = -1;
	expect(&b, &p, PKT_CONTINUE, want); /* 31 rules and the policy fit */
	bench_free(&b);

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_DROP, 0);
	for (i = 0; i < PKT_MAX_HITS; i++)
		rule_ends(&b, add_rule(&b, b.base), (int)i, V_CONTINUE, NULL);
	bench_emit(&b);
	want[31] = 31;
	want[32] = -1;
	expect(&b, &p, PKT_LEAVE, want);
	bench_free(&b);
}

static void test_hotdrop(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_FIELD(L4_OK), CMP_EQ, U128(1));
	ir_test_last(r)->on_fail = FAIL_DROP;
	rule_ends(&b, r, 1, V_CONTINUE, NULL);
	bench_emit(&b);
	EXPECT(&b, &p, PKT_CONTINUE, 1, 0);
	p.l4_ok = 0;
	EXPECT(&b, &p, PKT_DROP);
	bench_free(&b);
}

/* Returns come back behind the jump; what a goto leads to comes back where its chain would
 * have. */
static void test_jump_goto_return(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_chain *x, *y;
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_DROP, 0);
	x = ir_add_chain(b.ir, "x", NULL);
	y = ir_add_chain(b.ir, "y", NULL);
	rule_ends(&b, add_rule(&b, b.base), 1, V_JUMP, x);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_FIELD(MARK), CMP_EQ, U128(3));
	rule_ends(&b, r, 2, V_GOTO, x);
	rule_ends(&b, add_rule(&b, b.base), 3, V_ACCEPT, NULL);
	/* x: mark 1 returns; mark 2 goes to y for good; else jumps to y. */
	r = add_rule(&b, x);
	ir_test(b.ir, r, IR_FIELD(MARK), CMP_EQ, U128(1));
	rule_ends(&b, r, 4, V_RETURN, NULL);
	r = add_rule(&b, x);
	ir_test(b.ir, r, IR_FIELD(MARK), CMP_EQ, U128(2));
	rule_ends(&b, r, 5, V_GOTO, y);
	rule_ends(&b, add_rule(&b, x), 6, V_JUMP, y);
	rule_ends(&b, add_rule(&b, x), 7, V_CONTINUE, NULL);
	rule_ends(&b, add_rule(&b, y), 8, V_CONTINUE, NULL);
	bench_emit(&b);
	EXPECT(&b, &p, PKT_CONTINUE, 1, 6, 8, 7, 3);
	p.mark = 1;
	EXPECT(&b, &p, PKT_CONTINUE, 1, 4, 3);
	p.mark = 2;
	EXPECT(&b, &p, PKT_CONTINUE, 1, 5, 8, 3);
	p.mark = 3; /* from the base chain by goto: its end is the policy */
	EXPECT(&b, &p, PKT_DROP, 1, 6, 8, 7, 2, 6, 8, 7, 0);
	bench_free(&b);
}

static void test_stages(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_stage *st;
	struct bench b;

	bench_init(&b, SITE_HOOK);
	st = add_stage(&b, "nat", V_ACCEPT, 0);
	st->new_only = true;
	rule_ends(&b, add_rule(&b, b.base), 1, V_ACCEPT, NULL);
	st = add_stage(&b, "twin", V_ACCEPT, 2);
	st->order_unknown = true;
	ir_test(b.ir, add_rule(&b, b.base), IR_FIELD(MARK), CMP_EQ, U128(9));
	rule_ends(&b, b.base->rules, 3, V_DROP, NULL);
	bench_emit(&b);
	p.ct_state = 2;
	EXPECT(&b, &p, PKT_CONTINUE, 2);
	p.ct_state = 8;
	EXPECT(&b, &p, PKT_CONTINUE, 1, 2);
	p.mark = 9;
	EXPECT(&b, &p, PKT_LEAVE, 1, 3);
	bench_free(&b);
}

/* An early site asks before it trusts ct.state. */
/* Dropped because it is new: it must be so. */
static void early_ct_new(void)
{
	struct pkt p = tcp_packet();
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_XDP);
	add_stage(&b, "in", V_DROP, 0);
	r = add_rule(&b, b.base);
	ir_test_masked(b.ir, r, IR_FIELD(CT_STATE), U128(8), CMP_EQ, U128(0));
	rule_ends(&b, r, 1, V_ACCEPT, NULL);
	bench_emit(&b);
	p.ct_state = 8;
	assert_int_equal(interp_run(&b.img, ENTRY_IN4, &p), PKT_DROP);
	assert_int_equal(p.used_ct, 1);
	p = tcp_packet();
	p.ct_state = 1;
	assert_int_equal(interp_run(&b.img, ENTRY_IN4, &p), PKT_CONTINUE);
	assert_int_equal(p.used_ct, 0);
	bench_free(&b);
}

static void test_early_ct(void **state)
{
	struct pkt p = tcp_packet(), copy;
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_XDP);
	add_stage(&b, "in", V_DROP, 0);
	r = add_rule(&b, b.base);
	ir_test(b.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	ir_test_masked(b.ir, r, IR_FIELD(CT_STATE), U128(6), CMP_NE, U128(0));
	rule_ends(&b, r, 1, V_ACCEPT, NULL);
	bench_emit(&b);
	EXPECT(&b, &p, PKT_LEAVE);
	p.ct_state = 8;
	EXPECT(&b, &p, PKT_DROP, 0);
	copy = p;
	interp_run(&b.img, ENTRY_IN4, &copy);
	assert_int_equal(copy.tracked, 1); /* is there an entry? */
	assert_int_equal(copy.used_ct, 0); /* were it invalid, it would do the same */
	p.ct_state = 2;
	EXPECT(&b, &p, PKT_CONTINUE, 1);
	copy = p;
	copy.l4_proto = 17; /* the state was not asked */
	assert_int_equal(interp_run(&b.img, ENTRY_IN4, &copy), PKT_DROP);
	assert_int_equal(copy.tracked, 0);
	bench_free(&b);
	early_ct_new();
}

/* A list with "--ctstate NEW" in each rule is tables; one that asks for invalid packets in the
 * midst of it would have to tell that it asked. */
static void test_early_ct_list(void **state)
{
	struct pkt p = tcp_packet(), copy;
	unsigned i, invalid;
	struct ir_rule *r;
	struct bench b;

	for (invalid = 0; invalid < 2; invalid++) {
		bench_init(&b, SITE_XDP);
		add_stage(&b, "in", V_DROP, 0);
		b.ir->entries[ENTRY_IN4].stages[0].tracked = true;
		for (i = 0; i < 20; i++) {
			r = add_rule(&b, b.base);
			ir_test(b.ir, r, IR_WINDOW(TH, 2, 2), CMP_EQ, U128(1000 + i));
			ir_test_masked(b.ir, r, IR_FIELD(CT_STATE),
				       U128(invalid && i == 10 ? 1 : 8), CMP_NE, U128(0));
			rule_ends(&b, r, 1, V_ACCEPT, NULL);
		}
		bench_emit(&b);
		assert_int_equal(b.img.nsegments, !invalid);
		put_be16(p.th + 2, 1005);
		p.ct_state = 0;
		copy = p; /* what it has counted does not matter */
		assert_int_equal(interp_run(&b.img, ENTRY_IN4, &copy), PKT_LEAVE);
		p.ct_state = 1;
		EXPECT(&b, &p, PKT_DROP, 0);
		copy = p;
		interp_run(&b.img, ENTRY_IN4, &copy);
		assert_int_equal(copy.used_ct, 0);
		p.ct_state = 8;
		EXPECT(&b, &p, PKT_CONTINUE, 1);
		copy = p;
		interp_run(&b.img, ENTRY_IN4, &copy);
		assert_int_equal(copy.used_ct, 1);
		put_be16(p.th + 2, 999); /* no rule asks */
		p.ct_state = 0;
		EXPECT(&b, &p, PKT_DROP, 0);
		bench_free(&b);
	}
}

/* ---- sets ---- */

/* One field, a rule that drops what is in the set: shape, then a key inside, a key outside. */
static void check_shape(struct ir_field f, const char *shape, unsigned n, unsigned step,
			unsigned width, struct pkt *p, uint8_t *bytes)
{
	struct ir_key key = {f, u128_max(ir_field_len(f))};
	uint8_t w = (uint8_t)ir_field_len(f);
	struct ir_set *s;
	struct bench b;
	unsigned i;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	s = ir_add_set(b.ir, "s", 1, &w);
	for (i = 0; i < n; i++) {
		struct u128 lo = U128(1000 + i * step), hi = U128(1000 + i * step + width - 1);

		ir_set_add(b.ir, s, &lo, &hi, 0);
	}
	assert_int_equal(ir_set_finish(b.ir, s), 0);
	ir_lookup(b.ir, add_rule(&b, b.base), s, &key, false);
	rule_ends(&b, b.base->rules, 1, V_DROP, NULL);
	bench_emit(&b);
	assert_int_equal(b.img.nmaps, shape ? 1 : 0);
	if (shape)
		assert_string_equal(b.img.maps[0].shape, shape);
	for (i = 0; i < n; i += 1 + n / 7) {
		u128_to_be(U128(1000 + i * step), bytes, w);
		EXPECT(&b, p, PKT_DROP, 1);
		u128_to_be(U128(1000 + i * step + width - 1), bytes, w);
		EXPECT(&b, p, PKT_DROP, 1);
		u128_to_be(U128(1000 + i * step + width), bytes, w);
		EXPECT(&b, p, PKT_CONTINUE, 0);
	}
	u128_to_be(U128(999), bytes, w);
	EXPECT(&b, p, PKT_CONTINUE, 0);
	bench_free(&b);
}

static void test_set_shapes(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_field dport = IR_WINDOW(TH, 2, 2), saddr = IR_WINDOW(NET, 12, 4),
			saddr6 = IR_WINDOW(NET, 8, 16);

	check_shape(dport, NULL, 3, 10, 1, &p, p.th + 2);
	check_shape(dport, NULL, 3, 10, 4, &p, p.th + 2);
	check_shape(dport, "bitmap", 100, 10, 4, &p, p.th + 2);
	check_shape(saddr, "hash", 100, 10, 1, &p, p.nh + 12);
	check_shape(saddr, "hash", 100, 10, 3, &p, p.nh + 12); /* spread out */
	check_shape(saddr, NULL, 40, 1000, 700, &p, p.nh + 12);
	check_shape(saddr, "tables", 100, 1000, 700, &p, p.nh + 12);
	check_shape(saddr6, NULL, 4, 1000, 700, &p, p.nh + 8);
	check_shape(saddr6, "tables", 100, 1000, 700, &p, p.nh + 8);
	check_shape(saddr6, "hash", 100, 10, 1, &p, p.nh + 8);
}

/* Address . protocol . port as a hash, to verdicts. */
static void test_vmap_concat(void **state)
{
	static const uint8_t width[] = {4, 1, 2};
	struct ir_key key[] = {{IR_WINDOW(NET, 12, 4), U128(0xffffff00)},
			       {IR_FIELD(L4_PROTO), U128(0xff)},
			       {IR_WINDOW(TH, 2, 2), U128(0xffff)}};
	struct pkt p = tcp_packet();
	struct ir_chain *x;
	struct ir_set *s;
	struct bench b;
	unsigned i;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	x = ir_add_chain(b.ir, "x", NULL);
	rule_ends(&b, add_rule(&b, x), 5, V_CONTINUE, NULL);
	s = ir_add_set(b.ir, "m", 3, width);
	s->is_map = true;
	s->ntargets = 3;
	s->targets = arena_array(b.ir->mem, 3, sizeof(*s->targets));
	s->targets[0].verdict = V_DROP;
	s->targets[1] = (struct ir_target){V_JUMP, x};
	s->targets[2].verdict = V_CONTINUE;
	for (i = 0; i < 30; i++) {
		struct u128 k[] = {U128(0x0a000000), U128(6), U128(80 + i)};

		ir_set_add(b.ir, s, k, k, i % 3);
	}
	assert_int_equal(ir_set_finish(b.ir, s), 0);
	ir_vmap(b.ir, add_rule(&b, b.base), s, key);
	rule_ends(&b, b.base->rules, 1, V_CONTINUE, NULL);
	rule_ends(&b, add_rule(&b, b.base), 2, V_CONTINUE, NULL);
	bench_emit(&b);
	assert_int_equal(b.img.nmaps, 1);
	assert_int_equal(b.img.maps[0].key_size, 16);
	EXPECT(&b, &p, PKT_DROP);
	put_be16(p.th + 2, 81);
	EXPECT(&b, &p, PKT_CONTINUE, 5, 2, 0);
	put_be16(p.th + 2, 82);
	EXPECT(&b, &p, PKT_CONTINUE, 1, 2, 0);
	p.l4_proto = 17; /* a miss ends the rule */
	EXPECT(&b, &p, PKT_CONTINUE, 2, 0);
	s->miss = 0;
	kernel_free(&b.kernel);
	bench_emit(&b);
	EXPECT(&b, &p, PKT_DROP);
	bench_free(&b);
}

static void boxes_rule(struct bench *b, struct ir_set *s, const struct ir_key *key)
{
	assert_int_equal(ir_set_finish(b->ir, s), 0);
	ir_lookup(b->ir, add_rule(b, b->base), s, key, false);
	rule_ends(b, b->base->rules, 1, V_DROP, NULL);
	bench_emit(b);
}

/* Intervals in several fields, many of them. */
static void test_many_boxes(void **state)
{
	static const uint8_t width[] = {4, 2};
	struct ir_key key[] = {{IR_WINDOW(NET, 12, 4), U128(0xffffffff)},
			       {IR_WINDOW(TH, 2, 2), U128(0xffff)}};
	struct pkt p = tcp_packet();
	struct ir_set *s;
	struct bench b;
	unsigned i;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	s = ir_add_set(b.ir, "boxes", 2, width);
	for (i = 0; i < 5000; i++) {
		struct u128 lo[] = {U128(0x0b000000 + 256 * i), U128(1)},
			    hi[] = {U128(0x0b0000ff + 256 * i), U128(9)};

		ir_set_add(b.ir, s, lo, hi, 0);
	}
	boxes_rule(&b, s, key);
	assert_string_equal(b.img.maps[0].shape, "tables");
	put_be16(p.th + 2, 9);
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	put_be32(p.nh + 12, 0x0b000000 + 256 * 4999 + 255);
	EXPECT(&b, &p, PKT_DROP, 1);
	put_be16(p.th + 2, 10);
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	bench_free(&b);
}

/* All overlap all: left to the kernel. */
static void test_too_many_boxes(void **state)
{
	static const uint8_t width[] = {2, 2, 2, 2};
	struct ir_key key[] = {{IR_WINDOW(NET, 12, 2), U128(0xffff)},
			       {IR_WINDOW(NET, 14, 2), U128(0xffff)},
			       {IR_WINDOW(TH, 0, 2), U128(0xffff)},
			       {IR_WINDOW(TH, 2, 2), U128(0xffff)}};
	struct pkt p = tcp_packet();
	struct ir_set *s;
	struct bench b;
	unsigned i, j;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	s = ir_add_set(b.ir, "boxes", 4, width);
	for (i = 0; i < 3000; i++) {
		struct u128 lo[4], hi[4];

		for (j = 0; j < 4; j++) {
			lo[j] = U128((i + 1) * (7919 + 2 * j) * 31 % 30011);
			hi[j] = U128(lo[j].lo + 30000);
		}
		ir_set_add(b.ir, s, lo, hi, 0);
	}
	boxes_rule(&b, s, key);
	EXPECT(&b, &p, PKT_LEAVE);
	assert_int_equal(b.d.n, 1);
	assert_int_equal(b.d.items[0].severity, DIAG_WARNING);
	assert_non_null(strstr(b.d.items[0].text, "set boxes"));
	bench_free(&b);
}

/* ---- limits ---- */

/* Sixteen chains, each of which jumps to the next four times: 4^16 copies. */
static void test_multiplying_chains(void **state)
{
	struct ir_chain *c, *next;
	struct bench b;
	unsigned i, j;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	c = b.base;
	for (i = 0; i < 15; i++) {
		next = ir_add_chain(b.ir, arena_printf(b.ir->mem, "c%u", i), NULL);
		for (j = 0; j < 4; j++)
			rule_ends(&b, add_rule(&b, c), 1, V_JUMP, next);
		rule_ends(&b, add_rule(&b, c), 1, V_CONTINUE, NULL);
		c = next;
	}
	rule_ends(&b, add_rule(&b, c), 2, V_CONTINUE, NULL);
	assert_int_equal(ir_check(b.ir, &b.d), 0);
	assert_int_equal(emit_image(b.ir, b.ir->mem, &b.img, &b.d), -E2BIG);
	assert_int_equal(b.d.nerrors, 1);
	assert_non_null(strstr(b.d.items[0].text, "chain c"));
	assert_null(b.img.mem); /* untouched */
	bench_free(&b);
}

/* 5000 chains that go to one another are no recursion and no copies. */
static void test_long_goto(void **state)
{
	struct pkt p = tcp_packet();
	struct ir_chain *c, *next;
	struct bench b;
	unsigned i;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_DROP, 0);
	c = b.base;
	for (i = 0; i < 5000; i++) {
		next = ir_add_chain(b.ir, arena_printf(b.ir->mem, "c%u", i), NULL);
		ir_test(b.ir, add_rule(&b, c), IR_FIELD(MARK), CMP_NE, U128(i));
		rule_ends(&b, c->rules, -1, V_GOTO, next);
		rule_ends(&b, add_rule(&b, c), 1, V_RETURN, NULL);
		c = next;
	}
	rule_ends(&b, add_rule(&b, c), 2, V_ACCEPT, NULL);
	bench_emit(&b);
	p.mark = 77;
	EXPECT(&b, &p, PKT_DROP, 1, 0);
	p.mark = 7777;
	EXPECT(&b, &p, PKT_CONTINUE, 2);
	bench_free(&b);
}

/* counted: rules that only count, so that every one may be passed both ways. */
static void many_rules(unsigned n, bool counted)
{
	struct pkt p = tcp_packet();
	struct ir_rule *r;
	struct bench b;
	unsigned i;
	double ms;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	for (i = 0; i < n; i++) {
		r = add_rule(&b, b.base);
		ir_test(b.ir, r, IR_WINDOW(NET, 12, 4), CMP_EQ, U128(0x0a000000 + i / 4));
		ir_test(b.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
		ir_test(b.ir, r, IR_WINDOW(TH, 2, 2), CMP_EQ, U128(1000 + i % 60000));
		rule_ends(&b, r, (int)(i % NCOUNTERS), counted ? V_CONTINUE : V_DROP, NULL);
	}
	ms = now_ms();
	bench_emit(&b);
	printf("%u rules: compiled and loaded in %.0f ms (verified and translated in %.0f), "
	       "%zu insns\n%s",
	       n, now_ms() - ms, b.kernel.load_ms, b.img.entries[ENTRY_IN4].ninsns,
	       b.kernel.log);
	put_be32(p.nh + 12, 0x0a000000 + (n - 1) / 4);
	put_be16(p.th + 2, (uint16_t)(1000 + (n - 1) % 60000));
	if (counted)
		EXPECT(&b, &p, PKT_CONTINUE, (int)((n - 1) % NCOUNTERS), 0);
	else
		EXPECT(&b, &p, PKT_DROP, (int)((n - 1) % NCOUNTERS));
	put_be32(p.nh + 12, 0x0b000000);
	EXPECT(&b, &p, PKT_CONTINUE, 0);
	bench_free(&b);
}

static void test_many_rules(void **state)
{
	many_rules(10000, false);
	many_rules(10000, true);
}

/* One rule whose code is longer than a conditional jump reaches: the first test jumps over it.
 */
static void test_far_jumps(void **state)
{
	static const uint8_t width[] = {16, 16, 16};
	struct ir_key key[3];
	struct pkt p = tcp_packet();
	struct ir_set *s;
	struct bench b;
	unsigned i, j;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "in", V_ACCEPT, 0);
	s = ir_add_set(b.ir, "boxes", 3, width);
	for (j = 0; j < 3; j++)
		key[j] = (struct ir_key){IR_WINDOW(NET, 8 * j, 16), u128_max(16)};
	for (i = 0; i < 1000; i++) {
		struct u128 lo[3], hi[3];

		for (j = 0; j < 3; j++) {
			lo[j] = (struct u128){UINT64_C(0x1234567812345678) + i, 5};
			hi[j] = (struct u128){UINT64_C(0x2345678923456789) + i, 3};
		}
		ir_set_add(b.ir, s, lo, hi, 0);
	}
	assert_int_equal(ir_set_finish(b.ir, s), 0);
	ir_test(b.ir, add_rule(&b, b.base), IR_FIELD(MARK), CMP_EQ, U128(1));
	ir_lookup(b.ir, b.base->rules, s, key, false);
	rule_ends(&b, b.base->rules, 1, V_DROP, NULL);
	rule_ends(&b, add_rule(&b, b.base), 2, V_CONTINUE, NULL);
	bench_emit(&b);
	assert_true(b.img.entries[ENTRY_IN4].ninsns > 40000);
	EXPECT(&b, &p, PKT_CONTINUE, 2, 0);
	p.mark = 1;
	EXPECT(&b, &p, PKT_CONTINUE, 2, 0);
	memset(p.nh, 0x23, sizeof(p.nh));
	EXPECT(&b, &p, PKT_DROP, 1);
	bench_free(&b);
}

/* ---- the listing ---- */

static void test_listing(void **state)
{
	struct buf out = {0}, again = {0};
	struct ir_rule *r;
	struct bench b;

	bench_init(&b, SITE_HOOK);
	add_stage(&b, "INPUT", V_ACCEPT, 0);
	r = add_rule(&b, b.base);
	ir_test_masked(b.ir, r, IR_WINDOW(NET, 12, 4), U128(0xffffff00), CMP_EQ,
		       U128(0x0a000000));
	rule_ends(&b, r, 1, V_DROP, NULL);
	bench_emit(&b);
	image_print(&b.img, &out);
	assert_non_null(strstr(buf_str(&out), "entry in4: "));
	assert_non_null(strstr(buf_str(&out), "; ip filter INPUT rule 1\n"));
	assert_non_null(strstr(buf_str(&out), "// nh[12:4] & 0xffffff00 == 0xa000000\n"));
	assert_non_null(strstr(buf_str(&out), "; ip filter INPUT policy\n"));
	assert_non_null(strstr(buf_str(&out), "// return drop\n"));
	assert_int_equal(emit_image(b.ir, b.ir->mem, &b.img, &b.d), 0);
	image_print(&b.img, &again);
	assert_string_equal(buf_str(&out), buf_str(&again));
	buf_free(&out);
	buf_free(&again);
	bench_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_equality),
	    cmocka_unit_test(test_masks),
	    cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_conjunction),
	    cmocka_unit_test(test_contradiction),
	    cmocka_unit_test(test_counts_and_policy),
	    cmocka_unit_test(test_hits_overflow),
	    cmocka_unit_test(test_hotdrop),
	    cmocka_unit_test(test_jump_goto_return),
	    cmocka_unit_test(test_stages),
	    cmocka_unit_test(test_early_ct),
	    cmocka_unit_test(test_early_ct_list),
	    cmocka_unit_test(test_set_shapes),
	    cmocka_unit_test(test_vmap_concat),
	    cmocka_unit_test(test_many_boxes),
	    cmocka_unit_test(test_too_many_boxes),
	    cmocka_unit_test(test_multiplying_chains),
	    cmocka_unit_test(test_long_goto),
	    cmocka_unit_test(test_many_rules),
	    cmocka_unit_test(test_far_jumps),
	    cmocka_unit_test(test_listing),
	};

	if (geteuid())
		print_message("not root: the interpreter only\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
