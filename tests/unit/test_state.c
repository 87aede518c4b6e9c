// SPDX-License-Identifier: GPL-2.0
/* state: what counters mean survives a save and a load, and totals follow their rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

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

/* A rule that moved down keeps its total by its handle; another handle at its old place gets
 * none. */
static void test_carry(void **state)
{
	struct arena *mem = arena_new();
	struct state old = {.mem = mem}, now = {.mem = mem};
	struct state_site *before = state_add_site(&old, two_counters(mem, 5, 1), "early"),
			  *after, *other;
	struct counter_value values[2] = {{10, 600}, {3, 180}};

	before->counters[0].carried = (struct counter_value){1, 60};
	after = state_add_site(&now, two_counters(mem, 5, 2), "early");
	other = state_add_site(&now, two_counters(mem, 6, 1), "early");
	state_carry(after, before, values);
	state_carry(other, before, values);
	assert_int_equal(after->counters[0].carried.packets, 11);
	assert_int_equal(after->counters[0].carried.bytes, 660);
	assert_int_equal(after->counters[1].carried.packets, 3);
	assert_int_equal(other->counters[0].carried.packets, 0);
	assert_int_equal(other->counters[1].carried.packets, 3);
	arena_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_carry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
