// SPDX-License-Identifier: GPL-2.0
/* opt: what comes out means what went in, as the evaluator reads both, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ir/ir_eval.h"
#include "opt/opt.h"

static uint64_t state;

static unsigned below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n);
}

/* ---- rules that ask for what an early site knows ---- */

static void random_test(struct ir *ir, struct ir_rule *r)
{
	static const struct {
		struct ir_field f;
		uint16_t about[4];
	} kinds[] = {
	    {{F_FRAG, 0, 0}, {0, 1, 8, 0}},       {{F_L4_AVAIL, 0, 0}, {8, 20, 21, 9}},
	    {{F_L4_AVAIL, 0, 0}, {7, 8, 19, 20}}, {{F_L4_OK, 0, 0}, {0, 1, 1, 1}},
	    {{F_L4_ERR, 0, 0}, {0, 1, 2, 0}},     {{F_EXTHDRS, 0, 0}, {0, 1, 4, 0}},
	    {{F_L4_PROTO, 0, 0}, {6, 17, 1, 58}}, {{F_L4_PROTO, 0, 0}, {6, 17, 6, 17}},
	    {{F_TH, 2, 2}, {80, 53, 80, 53}},     {{F_LEN, 0, 0}, {40, 28, 60, 48}},
	};
	unsigned k = below(10), cmp = below(8);
	struct u128 a = U128(kinds[k].about[below(4)]), b = U128(a.lo + below(3));

	if (cmp < 4)
		ir_test(ir, r, kinds[k].f, CMP_EQ, a);
	else if (cmp == 4)
		ir_test(ir, r, kinds[k].f, CMP_NE, a);
	else
		ir_test_range(ir, r, kinds[k].f, cmp == 5 ? CMP_OUT : CMP_IN, a,
			      below(2) ? b : u128_max(ir_field_len(kinds[k].f)));
	if (u128_cmp(ir_test_last(r)->test.b, u128_max(ir_field_len(kinds[k].f))) > 0)
		ir_test_last(r)->test.b = u128_max(ir_field_len(kinds[k].f));
	if (!below(4))
		ir_test_last(r)->on_fail = below(3) ? FAIL_DROP : FAIL_LEAVE;
}

static struct ir *random_ir(struct arena *mem, enum family family)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct origin from = {BACKEND_LEGACY, family, "filter", "INPUT", 1, 0, 0};
	struct ir_entry *e = &ir->entries[family == FAMILY_IP ? ENTRY_IN4 : ENTRY_IN6];
	struct ir_chain *c = ir_add_chain(ir, "base", &from), *u = ir_add_chain(ir, "u", &from);
	struct ir_rule *r;
	unsigned n, k;

	for (n = 0; n < 10; n++)
		ir_add_counter(ir, &from, true);
	c->is_base = true;
	c->policy.verdict = V_DROP;
	c->policy_counter = 9;
	for (n = 0; n < 9; n++) {
		r = ir_add_rule(ir, n < 6 ? c : u, &from);
		if (below(3)) /* what matches begin with */
			ir_test(ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(below(2) ? 6 : 17));
		for (k = 1 + below(3); k; k--)
			random_test(ir, r);
		ir_count(ir, r, n);
		if (n == 2)
			ir_verdict(ir, r, V_JUMP, u);
		else if (below(2))
			ir_verdict(ir, r, below(3) ? V_DROP : V_ACCEPT, NULL);
	}
	e->used = true;
	e->family = family;
	e->nstages = 1;
	e->stages = arena_array(mem, 1, sizeof(*e->stages));
	e->stages[0] = (struct ir_stage){.chain = c, .dialect = (enum dialect)below(NDIALECT)};
	return ir;
}

/* ---- packets around the least complete header ---- */

static size_t random_frame(uint8_t *f, enum family family)
{
	static const uint8_t protos[] = {6, 17, 1, 58, 47, 6, 17, 44};
	unsigned proto = protos[below(family == FAMILY_IP6 ? 8 : 7)];
	unsigned l4 = (proto == 6 ? 18 : 6) + below(6) + 20 * !below(4), i;
	uint8_t *nh = f + 14, *th = nh + (family == FAMILY_IP ? 20 : 40);
	uint32_t sum = 0;

	memset(f, 0, 200);
	f[0] = 2;
	put_be16(th + 2, below(2) ? 80 : 53);
	th[12] = below(6) ? 0x50 : 0x60;
	th[13] = 2;
	if (family == FAMILY_IP) {
		put_be16(f + 12, 0x0800);
		nh[0] = 0x45;
		put_be16(nh + 2, (uint16_t)(20 + l4));
		put_be16(nh + 6, below(5) ? 0 : (uint16_t[]){1, 0x2000, 8}[below(3)]);
		nh[8] = 64;
		nh[9] = (uint8_t)proto;
		put_be32(nh + 12, 0x0a000001);
		put_be32(nh + 16, 0x0a000002);
		for (i = 0; i < 20; i += 2)
			sum += be16(nh + i);
		sum = (sum & 0xffff) + (sum >> 16);
		put_be16(nh + 10, (uint16_t) ~(sum + (sum >> 16)));
		return 14 + 20 + l4;
	}
	put_be16(f + 12, 0x86dd);
	nh[0] = 0x60;
	put_be16(nh + 4, (uint16_t)l4);
	nh[6] = (uint8_t)proto;
	nh[7] = 64;
	nh[8] = nh[24] = 0x20;
	nh[23] = 1;
	nh[39] = 2;
	return 14 + 40 + l4;
}

static enum route_kind route_local(void *ctx, enum family family, const uint8_t *nh,
				   uint32_t iif, uint32_t *oif, char oifname[16])
{
	return ROUTE_LOCAL;
}

/* ---- tests ---- */

static void test_same_meaning(void **unused)
{
	struct early_world world = {.route = route_local, .ct_sure = true, .tcp_loose = true};
	static struct eval_result a, b;
	size_t drops = 0, shorter = 0;
	uint64_t seed;
	uint8_t frame[256];
	unsigned i;

	for (seed = 1; seed <= 3000; seed++) {
		struct arena *mem = arena_new();
		enum family family;
		struct ir *ir, *opt;
		struct diag d = {0};

		state = seed * UINT64_C(0x9e3779b97f4a7c15);
		family = below(2) ? FAMILY_IP : FAMILY_IP6;
		ir = random_ir(mem, family);
		assert_int_equal(ir_check(ir, &d), 0);
		opt = opt_run(ir, mem);
		assert_int_equal(ir_check(opt, &d), 0);
		shorter += opt->chains->rules->nops < ir->chains->rules->nops;
		for (i = 0; i < 40; i++) {
			struct packet p = {
			    .data = frame, .has_ll = true, .iif = 1, .iifname = "e"};

			p.len = random_frame(frame, family);
			ir_eval_early(ir, &p, &world, &a);
			ir_eval_early(opt, &p, &world, &b);
			assert_int_equal(a.verdict, b.verdict);
			drops += a.verdict == EVAL_DROP;
			if (a.verdict != EVAL_DROP)
				continue;
			assert_int_equal(a.nhits, b.nhits);
			assert_memory_equal(a.hits, b.hits, a.nhits * sizeof(*a.hits));
		}
		diag_free(&d);
		arena_free(mem);
	}
	/* Otherwise nothing was tried. */
	assert_true(drops > 10000);
	assert_true(shorter > 300);
}

static void test_copy(void **unused)
{
	static const char text[] =
	    "ir xdp generation 7\n"
	    "counter 0 own from none\n"
	    "counter 1 view from none\n"
	    "set \"s\" 4\n  elem 0xa000001\n"
	    "map \"m\" 2\n  target 0 drop\n  target 1 jump \"u\"\n  miss 0\n  elem 0x50 : 1\n"
	    "chain \"b\" policy drop counter 0 from none\n"
	    "  rule\n    from none\n    lookup nh[12:4] in \"s\"\n    vmap th[2:2] in \"m\"\n"
	    "  rule\n    from none\n    test l4.proto == 0x6\n    count 1\n    verdict goto "
	    "\"u\"\n"
	    "chain \"u\" from none\n"
	    "  rule\n    from none\n    leave \"target LOG\"\n"
	    "entry in4 ip\n  stage \"b\" xt new_only\n";
	struct arena *mem = arena_new(), *other = arena_new();
	struct buf a = {0}, b = {0}, c = {0};
	struct diag d = {0};
	struct ir *ir = ir_parse(mem, text, "text", &d), *copy;

	assert_non_null(ir);
	ir_print(ir, &a);
	copy = opt_copy(ir, other);
	ir_print(copy, &b);
	assert_string_equal(buf_str(&a), buf_str(&b));
	/* Jumps and maps of the copy lead to its own chains; the original is not touched. */
	assert_ptr_equal(copy->sets->next->targets[1].chain, copy->chains->next);
	assert_ptr_equal(copy->chains->rules->next->ops[2].verdict.chain, copy->chains->next);
	assert_ptr_equal(copy->chains->rules->ops[1].lookup.set, copy->sets->next);
	assert_ptr_equal(copy->entries[ENTRY_IN4].stages[0].chain, copy->chains);
	opt_run(ir, other);
	ir_print(ir, &c);
	assert_string_equal(buf_str(&a), buf_str(&c));
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
	diag_free(&d);
	arena_free(mem);
	arena_free(other);
}

/* As kube-proxy lays its chains: what a service comes to is the kernel's, whichever end. */
#define KUBE                                                                                   \
	"chain \"b\" policy drop counter 0 from none\n"                                        \
	"  rule\n    from none\n    test nh[16:4] == 0xa000001\n    test l4.proto == 0x6\n"    \
	"    count 1\n    verdict jump \"svc\"\n"                                              \
	"chain \"svc\" from none\n"                                                            \
	"  rule\n    from none\n    test nh[12:4] != 0xa000001\n    verdict jump \"mark\"\n"   \
	"  rule\n    from none\n    count 1\n    verdict goto \"sep\"\n"                       \
	"chain \"mark\" from none\n"                                                           \
	"  rule\n    from none\n    count 1\n    leave \"target MARK\"\n"                      \
	"entry in4 ip\n  stage \"b\" xt\n"

static bool jump_leaves(const char *sep)
{
	struct arena *mem = arena_new();
	struct buf text = {0};
	struct diag d = {0};
	const struct ir_rule *r;
	struct ir *ir;
	bool leaves;

	buf_printf(&text,
		   "ir xdp\ncounter 0 own from none\ncounter 1 view from none\n" KUBE
		   "chain \"sep\" from none\n%s",
		   sep);
	ir = ir_parse(mem, buf_str(&text), "text", &d);
	assert_non_null(ir);
	r = opt_run(ir, mem)->chains->rules;
	leaves = ir_rule_leave(r);
	assert_int_equal(r->nops, leaves ? 3 : 4);
	buf_free(&text);
	diag_free(&d);
	arena_free(mem);
	return leaves;
}

static void test_leaving(void **unused)
{
	assert_true(jump_leaves("rule\n test l4.proto == 6\n leave \"target DNAT\"\n"));
	assert_true(jump_leaves("rule\n test l4.proto == 17\n verdict drop\n"
				"rule\n leave \"target DNAT\"\n"));
	assert_false(jump_leaves("rule\n test l4.proto == 17\n leave \"target DNAT\"\n"));
	assert_false(jump_leaves("rule\n test nh[8:1] == 1\n leave \"target DNAT\"\n"));
	assert_false(jump_leaves("rule\n test nh[8:1] == 1\n verdict drop\n"
				 "rule\n leave \"target DNAT\"\n"));
	assert_false(jump_leaves("rule\n test nh[8:1] == 1 else drop\n"
				 " leave \"target DNAT\"\nrule\n leave \"x\"\n"));
	assert_false(jump_leaves("rule\n test nh[8:1] == 1\n verdict return\n"
				 "rule\n leave \"target DNAT\"\n"));
}

/* Conntrack asked last: the same answer where the state is known, and a packet whose state is
 * not is left only if the rest matches. */
static void test_ct_late(void **unused)
{
	static const char text[] =
	    "ir xdp\ncounter 0 own from none\ncounter 1 view from none\n"
	    "set \"s\" 4\n elem 8\n elem 2\n"
	    "chain \"b\" policy drop counter 0 from none\n"
	    "rule\n test ct.state & 8 != 0\n test th[2:2] == 1\n lookup ct.state in \"s\"\n"
	    " test nh[8:1] == 64\n count 1\n leave \"x\"\n"
	    "rule\n test ct.state == 1\n test l4.proto == 17 else drop\n test th[2:2] == 2\n"
	    "entry in4 ip\n stage \"b\" xt tracked\n";
	struct arena *mem = arena_new();
	struct diag d = {0};
	struct ir *ir = ir_parse(mem, text, "text", &d);
	const struct ir_op *op;

	assert_non_null(ir);
	ir_specialise(ir);
	op = ir->chains->rules->ops;
	assert_int_equal(op[0].test.field.id, F_TH);
	assert_int_equal(op[1].test.field.id, F_NET);
	assert_int_equal(op[2].test.field.id, F_CT_STATE);
	assert_int_equal(op[3].kind, OP_LOOKUP);
	assert_int_equal(op[4].kind, OP_COUNT);
	/* A drop on the way must not come earlier. */
	op = ir->chains->rules->next->ops;
	assert_int_equal(op[0].test.field.id, F_CT_STATE);
	assert_int_equal(op[1].test.field.id, F_L4_PROTO);
	diag_free(&d);
	arena_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_meaning),
	    cmocka_unit_test(test_copy),
	    cmocka_unit_test(test_leaving),
	    cmocka_unit_test(test_ct_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
