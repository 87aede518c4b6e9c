// SPDX-License-Identifier: GPL-2.0
/* state: what counters mean survives a save and a load, and totals follow their rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "carry.h"
#include "ledger.h"
#include "state.h"

static struct ir *two_counters(struct arena *mem, uint64_t handle, uint32_t index)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct origin rule = {.backend = BACKEND_NFT,
			      .family = FAMILY_IP,
			      .table = "t",
			      .chain = "c",
			      .index = index,
			      .handle = handle};
	struct origin policy = {.backend = BACKEND_LEGACY,
				.family = FAMILY_IP6,
				.table = "filter",
				.chain = "INPUT"};

	ir_add_counter(ir, &rule, true);
	ir_add_counter(ir, &policy, false);
	return ir;
}

static void test_round_trip(void **state)
{
	char dir[] = "/tmp/nf2bpf-state-XXXXXX";
	struct arena *mem = arena_new();
	struct state s = {.mem = mem, .generation = 77}, back;
	struct state_site *site;
	struct diag d = {0};

	assert_non_null(mkdtemp(dir));
	site = state_add_site(&s, two_counters(mem, 5, 1), "early");
	site->counters[0].carried = (struct counter_value){1ull << 40, 9};
	assert_int_equal(state_save(dir, &s, &d), 0);
	assert_int_equal(state_load(dir, mem, &back, &d), 0);
	assert_int_equal(back.generation, 77);
	site = state_find_site(&back, SITE_XDP, "early");
	assert_non_null(site);
	assert_null(state_find_site(&back, SITE_TC, "early"));
	assert_int_equal(site->ncounters, 2);
	assert_int_equal(site->counters[0].carried.packets, 1ull << 40);
	assert_int_equal(site->counters[0].from.handle, 5);
	assert_string_equal(site->counters[1].from.chain, "INPUT");
	assert_int_equal(site->counters[1].from.backend, BACKEND_LEGACY);
	assert_false(site->counters[1].in_view);
	assert_int_equal(state_remove(dir), 0);
	assert_int_equal(state_load(dir, mem, &back, &d), 0);
	assert_null(back.sites);
	rmdir(dir);
	arena_free(mem);
}

static void test_damaged(void **state)
{
	char dir[] = "/tmp/nf2bpf-state-XXXXXX", path[128];
	struct arena *mem = arena_new();
	struct state s = {.generation = 3};
	struct diag d = {0};
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%llu.json", dir,
		 (unsigned long long)kern_netns_inode());
	f = fopen(path, "w");
	fputs("{\"format\": 1, \"generation\"", f);
	fclose(f);
	assert_true(state_load(dir, mem, &s, &d) < 0);
	assert_int_equal(s.generation, 3);
	assert_int_equal(d.nerrors, 1);
	unlink(path);
	rmdir(dir);
	diag_free(&d);
	arena_free(mem);
}

/* ---- which rule is which ---- */

static struct rule *add_rule(struct ruleset *rs, const char *table, const char *chain,
			     enum backend backend, uint8_t what, uint64_t packets)
{
	struct table *t = ruleset_find_table(rs, backend, FAMILY_IP, table);
	struct chain *c;
	struct rule *r;

	if (!t)
		t = ruleset_add_table(rs, backend, FAMILY_IP, table);
	c = table_find_chain(t, chain);
	if (!c)
		c = table_add_chain(rs, t, chain);
	c->is_base = true;
	r = chain_add_rule(rs, c);
	r->kind = backend;
	r->xt.base.src[0] = what;
	r->xt.target.name = "";
	r->packets = packets;
	r->bytes = packets * 60;
	return r;
}

/* A chain of legacy rules that say what the letters say, with counters. */
static struct ruleset *letters(const char *text, const uint64_t *packets)
{
	struct ruleset *rs = ruleset_new();

	for (; *text; text++)
		add_rule(rs, "filter", "INPUT", BACKEND_LEGACY, (uint8_t)*text, *packets++);
	return rs;
}

static struct state describe(const struct ruleset *rs)
{
	struct state s = {.mem = rs->mem};
	struct ir *ir = ir_new(rs->mem, SITE_XDP);
	const struct chain *c = rs->tables->chains;
	const struct rule *r;

	for (r = c->rules; r; r = r->next)
		ir_add_counter(ir, &r->from, true);
	ir_add_counter(ir, &c->from, true);
	state_add_site(&s, ir, "early");
	carry_describe(&s, rs);
	return s;
}

/* Of each letter of after, the pending packets that it has, as text: each rule of before had 1,
 * 2, 4 … of them. */
static void expect_carried(const char *before, const uint64_t *had, const char *after,
			   const uint64_t *has, const char *wanted)
{
	struct ruleset *rs1 = letters(before, had), *rs2 = letters(after, has);
	struct state old = describe(rs1), now = {.mem = rs2->mem};
	struct counter_value live[40] = {{0, 0}};
	unsigned long long got[40] = {0};
	struct buf text = {0};
	uint64_t discarded;
	size_t i;

	for (i = 0; before[i]; i++)
		live[i] = (struct counter_value){1ull << i, 60ull << i};
	carry_over(&now, &old, live, rs2, &discarded);
	for (i = 0; i < now.ncarried; i++)
		got[now.carried[i].from.index - 1] = now.carried[i].carried.packets;
	for (i = 0; after[i]; i++)
		buf_printf(&text, "%s%llu", i ? " " : "", got[i]);
	assert_string_equal(buf_str(&text), wanted);
	buf_free(&text);
	ruleset_free(rs1);
	ruleset_free(rs2);
}

static const uint64_t zeros[8] = {0}, tens[8] = {10, 10, 10, 10, 10, 10, 10, 10};

static void test_carry_places(void **state)
{
	expect_carried("abc", tens, "abc", tens, "1 2 4");
	expect_carried("abc", tens, "xabc", tens, "0 1 2 4");
	expect_carried("abc", tens, "abcx", tens, "1 2 4 0");
	expect_carried("abc", tens, "axbc", tens, "1 0 2 4");
	expect_carried("abc", tens, "ac", tens, "1 4");
	expect_carried("abc", tens, "bc", tens, "2 4");
	expect_carried("abc", tens, "axc", tens, "1 0 4");
	expect_carried("abcd", tens, "xbyd", tens, "0 2 0 8");
	expect_carried("abcd", tens, "dcba", tens, "8 4 2 1");
	expect_carried("aaa", tens, "xaaa", tens, "0 1 2 4");
	expect_carried("aba", tens, "abxa", tens, "1 2 0 4");
}

static void test_carry_zeroed(void **state)
{
	const uint64_t some[8] = {10, 0, 10}, one_less[8] = {10, 9, 10}, mixed[8] = {0, 0, 10};

	expect_carried("abc", tens, "abc", zeros, "0 0 0");
	expect_carried("abc", tens, "abc", one_less, "1 0 4");
	/* Nothing to see at b: the others of its chain decide. */
	expect_carried("abc", some, "abc", zeros, "0 0 0");
	expect_carried("abc", some, "abc", some, "1 2 4");
	expect_carried("abc", some, "abc", mixed, "0 2 4");
	expect_carried("abc", zeros, "abc", zeros, "1 2 4");
}

/* A rule of nf_tables is known by its handle, but only while it says the same. */
static void test_carry_handles(void **state)
{
	struct ruleset *rs1 = ruleset_new(), *rs2 = ruleset_new();
	struct nexpr drop = {.kind = NEXPR_IMMEDIATE, .name = "immediate"};
	struct nexpr other = {.kind = NEXPR_META, .name = "meta"};
	struct counter_value live[3] = {{10, 600}, {20, 1200}, {0, 0}};
	struct state old, now = {.mem = rs2->mem};
	uint64_t discarded;
	struct rule *r;

	r = add_rule(rs1, "t", "c", BACKEND_NFT, 0, 1);
	r->from.handle = 5;
	r->exprs = &drop;
	r->nexprs = 1;
	r = add_rule(rs1, "t", "c", BACKEND_NFT, 0, 1);
	r->from.handle = 6;
	r->exprs = &drop;
	r->nexprs = 1;
	r = add_rule(rs2, "t", "c", BACKEND_NFT, 0, 1);
	r->from.handle = 6;
	r->exprs = &other;
	r->nexprs = 1;
	r = add_rule(rs2, "t", "c", BACKEND_NFT, 0, 1);
	r->from.handle = 5;
	r->exprs = &drop;
	r->nexprs = 1;
	old = describe(rs1);
	carry_over(&now, &old, live, rs2, &discarded);
	assert_int_equal(now.ncarried, 1);
	assert_int_equal(now.carried[0].from.index, 2);
	assert_int_equal(now.carried[0].carried.packets, 10);
	assert_int_equal(discarded, 20);
	ruleset_free(rs1);
	ruleset_free(rs2);
}

/* ---- the ledger ---- */

static void test_ledger(void **state)
{
	char dir[] = "/tmp/nf2bpf-state-XXXXXX";
	struct arena *mem = arena_new();
	struct state s = {.mem = mem}, back;
	struct ledger l;
	struct diag d = {0};

	assert_non_null(mkdtemp(dir));
	state_add_site(&s, two_counters(mem, 5, 1), "early");
	assert_int_equal(state_save(dir, &s, &d), 0);
	assert_int_equal(ledger_open(dir, s.epoch, 3, &l), -EINVAL);
	assert_int_equal(ledger_open(dir, s.epoch + 1, 2, &l), -ENOENT);
	assert_int_equal(ledger_open(dir, s.epoch, 2, &l), 0);
	l.slots[0].next = (struct counter_value){7, 420};
	ledger_intend(&l, INTENT_LEGACY, 1);
	assert_true(l.head->seq & 1);
	ledger_settle(&l, false);
	assert_int_equal(l.slots[0].next.packets, 0);
	l.slots[0].next = (struct counter_value){7, 420};
	ledger_intend(&l, INTENT_LEGACY, 2);
	ledger_settle(&l, true);
	ledger_settle(&l, true); /* as after a crash in the middle */
	assert_false(l.head->seq & 1);
	ledger_close(&l);
	assert_int_equal(state_load(dir, mem, &back, &d), 0);
	assert_int_equal(back.sites->counters[0].written.packets, 7);
	assert_int_equal(
	    counter_pending(&back.sites->counters[0], (struct counter_value){9, 500}).packets,
	    2);
	assert_int_equal(
	    counter_pending(&back.sites->counters[0], (struct counter_value){3, 500}).packets,
	    0);
	/* A new epoch begins with nothing written, and the old ledger goes. */
	assert_int_equal(state_save(dir, &s, &d), 0);
	assert_int_equal(ledger_open(dir, back.epoch, 2, &l), -ENOENT);
	assert_int_equal(state_load(dir, mem, &back, &d), 0);
	assert_int_equal(back.sites->counters[0].written.packets, 0);
	assert_int_equal(state_remove(dir), 0);
	assert_int_equal(rmdir(dir), 0);
	arena_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_carry_places),  cmocka_unit_test(test_carry_zeroed),
	    cmocka_unit_test(test_carry_handles), cmocka_unit_test(test_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
