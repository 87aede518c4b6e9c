// SPDX-License-Identifier: GPL-2.0
/* The language of docs/ir.md: golden text, round trips, refusals with their place, and
 * mutilated texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ir/ir.h"

static struct arena *mem;

static int setup(void **state)
{
	mem = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(mem);
	return 0;
}

/* As printed, every statement of the language. */
static const char golden[] =
    "ir nf generation 12\n"
    "hook 1 priority -150 from nft inet \"t\" \"in\" policy handle 3\n"
    "\n"
    "counter 0 own from nft inet \"t\" \"in\" policy\n"
    "counter 1 view from legacy ip6 \"a \\\"b\\\\\" \"c\\x09\\xc3\\xa4\" rule 2 handle "
    "18446744073709551615 line 7\n"
    "counter 2 own from none\n"
    "\n"
    "set \"boxes\" 4, 2\n"
    "  elem 0xa000000-0xa0000ff, 0x50\n"
    "  elem 0x1, 0x1-0xffff\n"
    "\n"
    "set \"wide\" 16\n"
    "  elem 0x0-0x9\n"
    "  elem 0x20010db8000000000000000000000000-0x20010db8ffffffffffffffffffffffff\n"
    "\n"
    "map \"verdicts\" 2\n"
    "  target 0 drop\n"
    "  target 1 jump \"user\"\n"
    "  target 2 continue\n"
    "  miss 2\n"
    "  elem 0x1-0x2 : 0\n"
    "  elem 0x3 : 1\n"
    "\n"
    "chain \"in\" policy drop counter 0 from nft inet \"t\" \"in\" policy\n"
    "  rule\n"
    "    from nft inet \"t\" \"in\" rule 1 handle 9\n"
    "    from nft inet \"t\" \"in\" rule 2\n"
    "    test l4.proto == 0x6\n"
    "    test nh[12:4] & 0xffffff00 != 0xa000000\n"
    "    test l4.avail in 0x14-0xffff else drop\n"
    "    test th[2:2] & 0xfff out 0x1-0x2\n"
    "    lookup nh[16:4], th[0:2] not in \"boxes\" else drop\n"
    "    lookup nh[8:16] & 0xffffffffffffffff0000000000000000 in \"wide\"\n"
    "    vmap th[2:2] in \"verdicts\"\n"
    "    count 1\n"
    "    leave pure \"match string\"\n"
    "    leave \"target LOG\"\n"
    "    verdict goto \"user\"\n"
    "  rule\n"
    "\n"
    "chain \"user\" from none\n"
    "  rule\n"
    "    verdict return\n"
    "\n"
    "entry hook ip6\n"
    "  stage \"in\" nft new_only order_unknown\n"
    "  stage \"in\" xt\n";

static struct ir *parse(const char *text)
{
	struct diag d = {0};
	struct ir *ir = ir_parse(mem, text, "f", &d);

	diag_print(&d, stderr, "test");
	assert_int_equal(d.nerrors, !ir);
	diag_free(&d);
	return ir;
}

static void assert_prints(const struct ir *ir, const char *text)
{
	struct buf out = {0};

	ir_print(ir, &out);
	assert_string_equal(buf_str(&out), text);
	buf_free(&out);
}

static void golden_text(void **state)
{
	struct ir *ir = parse(golden);

	assert_non_null(ir);
	assert_prints(ir, golden);
}

/* Not only what is printed: what was read. */
static void golden_meaning(void **state)
{
	const struct ir *ir = parse(golden);
	const struct ir_rule *r;
	const struct ir_op *op;

	assert_non_null(ir);
	assert_int_equal(ir->site, SITE_HOOK);
	assert_int_equal(ir->generation, 12);
	assert_int_equal(ir->priority, -150);
	assert_int_equal(ir->nchains, 2);
	assert_int_equal(ir->nsets, 3);
	assert_string_equal(ir->counters[1].from.table, "a \"b\\");
	assert_string_equal(ir->counters[1].from.chain, "c\t\xc3\xa4");
	assert_true(ir->counters[1].from.handle == UINT64_MAX);
	assert_true(ir->counters[1].in_view);
	assert_int_equal(ir->entries[ENTRY_HOOK].family, FAMILY_IP6);
	assert_true(ir->entries[ENTRY_HOOK].stages[0].new_only);
	assert_int_equal(ir->entries[ENTRY_HOOK].stages[1].dialect, DIALECT_XT);
	assert_int_equal(ir->chains->policy.verdict, V_DROP);
	r = ir->chains->rules;
	assert_int_equal(r->nfrom, 2);
	assert_int_equal(r->nops, 11);
	op = &r->ops[1];
	assert_int_equal(op->test.field.id, F_NET);
	assert_int_equal(op->test.field.off, 12);
	assert_int_equal(op->test.cmp, CMP_NE);
	assert_int_equal(op->test.mask.lo, 0xffffff00);
	assert_int_equal(r->ops[2].on_fail, FAIL_DROP);
	assert_int_equal(r->ops[2].test.mask.lo, 0xffff);
	assert_true(r->ops[4].lookup.negate);
	assert_ptr_equal(r->ops[10].verdict.chain, ir->chains->next);
	assert_false(ir->sets->points);
}

static void free_form(void **state)
{
	const struct ir *ir = parse(
	    "\n# comment\n\tir\txdp # no generation\r\nset \"s\" 2\nelem 9\nelem 3\nelem 4-5\n"
	    "elem 10\ncounter 0 own from none");

	assert_non_null(ir);
	assert_prints(ir, "ir xdp generation 0\n\ncounter 0 own from none\n\nset \"s\" 2\n"
			  "  elem 0x3-0x5\n  elem 0x9-0xa\n");
}

static void assert_refused(const char *text, unsigned line, unsigned column, const char *what)
{
	struct diag d = {0};

	assert_null(ir_parse(mem, text, "f", &d));
	assert_int_equal(d.nerrors, 1);
	assert_string_equal(d.items[0].text, what);
	assert_int_equal(d.items[0].line, line);
	assert_int_equal(d.items[0].column, column);
	if (line)
		assert_string_equal(d.items[0].file, "f");
	diag_free(&d);
}

#define RULE "ir nf\nchain \"c\" from none\nrule\n"
#define SET "ir nf\nset \"s\" 2, 1\n"

static void refusals(void **state)
{
	assert_refused("", 1, 1, "expected ir");
	assert_refused("chain \"c\"\n", 1, 1, "expected ir");
	assert_refused("ir moon\n", 1, 4, "no such site");
	assert_refused("ir nf generation 4294967296\n", 1, 18, "number too big");
	assert_refused("ir nf\nir nf\n", 2, 1, "a second ir");
	assert_refused("ir nf\nfrob\n", 2, 1, "no such statement");
	assert_refused("ir nf\ntest len == 1\n", 2, 1, "an op outside a rule");
	assert_refused("ir nf\n  rule\n", 2, 7, "a rule outside a chain");
	assert_refused("ir nf\nchain \"c\n", 2, 7, "expected a name in quotes");
	assert_refused("ir nf\nchain \"c\\q\" from none\n", 2, 7, "expected a name in quotes");
	assert_refused("ir nf\nchain \"c\\x00\" from none\n", 2, 7,
		       "expected a name in quotes");
	assert_refused("ir nf\nchain \"c\" from none\nchain \"c\" from none\n", 3, 11,
		       "a chain of this name exists");
	assert_refused("ir nf\nchain \"c\" from nft ip \"t\" \"c\" rule\n", 2, 35,
		       "expected a number");
	assert_refused("ir nf\ncounter 1 own from none\n", 2, 11,
		       "counters are numbered from 0 in their order");
	assert_refused(RULE "test moon == 1\n", 4, 6, "no such field");
	assert_refused(RULE "test len = 1\n", 4, 10, "not a token of this language");
	assert_refused(RULE "test len 1\n", 4, 10, "expected ==, !=, in or out");
	assert_refused(RULE "test len == 0x100000000\n", 4, 13, "number too big");
	assert_refused(RULE "test len == 340282366920938463463374607431768211456\n", 4, 13,
		       "number too big");
	assert_refused(RULE "test len == 0x\n", 4, 13, "not a number");
	assert_refused(RULE "test len == 12a\n", 4, 13, "not a number");
	assert_refused(RULE "test nh == 1\n", 4, 9, "expected '['");
	assert_refused(RULE "test nh[0:17] == 1\n", 4, 11, "number too big");
	assert_refused(RULE "test nh[0:0] == 1\n", 4, 12, "a window of no bytes");
	assert_refused(RULE "test nh[256:1] == 1\n", 4, 9, "number too big");
	assert_refused(RULE "test len == 1 else accept\n", 4, 20, "expected drop");
	assert_refused(RULE "test len == 1 2\n", 4, 15, "more than expected on this line");
	assert_refused(RULE "test len == 1 ;\n", 4, 15, "not a token of this language");
	assert_refused(RULE "lookup len in \"s\"\n", 4, 15, "no such set");
	assert_refused(RULE "verdict jump \"d\"\n", 4, 14, "no such chain");
	assert_refused(RULE "verdict maybe\n", 4, 9, "expected a verdict");
	assert_refused(RULE "count 0\n", 4, 7, "no such counter");
	assert_refused(RULE "set \"s\" 2\ntest len == 1\n", 5, 1, "an op outside a rule");
	assert_refused(SET "elem 1\n", 3, 7, "expected ','");
	assert_refused(SET "elem 1, 256\n", 3, 9, "number too big");
	assert_refused(SET "target 0 drop\n", 3, 8, "a target outside a map");
	assert_refused("ir nf\nset \"s\" 1, 1, 1, 1, 1, 1\n", 2, 24,
		       "too many fields in a set");
	assert_refused("ir nf\nset \"s\" 0\n", 2, 10, "a field of no bytes");
	assert_refused("ir nf\nset \"s\" 1\nelem 5-4\n", 2, 0,
		       "an element is empty or too wide");
	assert_refused("ir nf\nmap \"s\" 1\ntarget 0 drop\ntarget 1 accept\nelem 1-5 : 0\nelem "
		       "5 : 1\nchain \"c\" from none\n",
		       2, 0, "elements overlap with different values");
	assert_refused("ir nf\nentry in4 ip\nentry in4 ip\n", 3, 11, "this entry exists");
	/* and what ir_check() says, without a place in the file */
	assert_refused("ir nf\nchain \"c\" from none\nentry hook ip\nstage \"c\" nft\n", 0, 0,
		       "ir: entry hook: stage 0 is no base chain of the ir");
}

/* The text with one byte changed, cut or doubled: an ir that prints and parses to itself, or
 * one error. */
static void assert_sane(const char *text)
{
	struct buf once = {0}, twice = {0};
	struct diag d = {0};
	struct ir *ir;

	arena_free(mem);
	mem = arena_new();
	ir = ir_parse(mem, text, "f", &d);
	if (ir) {
		assert_int_equal(d.nerrors, 0);
		ir_print(ir, &once);
		ir = ir_parse(mem, buf_str(&once), "g", &d);
		assert_non_null(ir);
		ir_print(ir, &twice);
		assert_string_equal(buf_str(&once), buf_str(&twice));
	} else {
		assert_int_equal(d.nerrors, 1);
	}
	buf_free(&once);
	buf_free(&twice);
	diag_free(&d);
}

static void mutilated(void **state)
{
	static const char bytes[] = "\"\\\n#-:[],&=!x0 9a\x80";
	char text[sizeof(golden) + 1];
	size_t i, j, len = sizeof(golden) - 1;

	for (i = 0; i < len; i++) {
		memcpy(text, golden, sizeof(golden));
		text[i] = '\0'; /* cut */
		assert_sane(text);
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			text[i] = bytes[j];
			assert_sane(text);
		}
		memcpy(text, golden, i);
		strcpy(text + i, golden + i + 1); /* a byte less */
		assert_sane(text);
	}
}

static void long_input(void **state)
{
	struct buf text = {0};
	struct diag d = {0};
	unsigned i;

	/* Many strings on one line, a long string, many chains that jump forward. */
	buf_puts(&text, "ir nf\nfrom");
	for (i = 0; i < 50000; i++)
		buf_puts(&text, " \"\"");
	assert_null(ir_parse(mem, buf_str(&text), "f", &d));
	diag_free(&d);
	text.len = 0;
	buf_puts(&text, "ir nf\n");
	for (i = 0; i < 20000; i++)
		buf_printf(&text, "chain \"c%u\" from none\nrule\nverdict goto \"c%u\"\n", i,
			   i + 1);
	buf_puts(&text, "chain \"c20000\" from none\n");
	assert_non_null(ir_parse(mem, buf_str(&text), "f", &d));
	buf_free(&text);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(golden_text), T(golden_meaning), T(free_form),
	    T(refusals),    T(mutilated),      T(long_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
