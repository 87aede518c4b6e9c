// SPDX-License-Identifier: GPL-2.0
/* base: numbers of packet fields, the arena, texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/net.h"

static void assert_u128(struct u128 got, uint64_t hi, uint64_t lo)
{
	assert_int_equal(got.hi, hi);
	assert_int_equal(got.lo, lo);
}

static void test_bytes(void **state)
{
	uint8_t b[16] = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x2a}, back[16];

	assert_u128(be_to_u128(b, 16), 0x20010db800000001ull, 0x2a);
	assert_u128(be_to_u128(b, 0), 0, 0);
	assert_u128(be_to_u128(b, 1), 0, 0x20);
	assert_u128(be_to_u128(b, 3), 0, 0x20010d);
	u128_to_be(be_to_u128(b, 16), back, 16);
	assert_memory_equal(b, back, 16);
	assert_int_equal(be16(b), 0x2001);
	assert_int_equal(be32(b), 0x20010db8);
}

static void test_prefix(void **state)
{
	assert_u128(u128_prefix_mask(4, 0), 0, 0);
	assert_u128(u128_prefix_mask(4, 1), 0, 0x80000000);
	assert_u128(u128_prefix_mask(4, 31), 0, 0xfffffffe);
	assert_u128(u128_prefix_mask(4, 32), 0, 0xffffffff);
	assert_u128(u128_prefix_mask(16, 0), 0, 0);
	assert_u128(u128_prefix_mask(16, 64), UINT64_MAX, 0);
	assert_u128(u128_prefix_mask(16, 65), UINT64_MAX, 1ull << 63);
	assert_u128(u128_prefix_mask(16, 128), UINT64_MAX, UINT64_MAX);
	assert_int_equal(u128_mask_plen(U128(0xffffff00), 4), 24);
	assert_int_equal(u128_mask_plen(U128(0xff00ff00), 4), -1);
	assert_int_equal(u128_mask_plen(U128(0), 4), 0);
}

static void test_arithmetic(void **state)
{
	struct u128 top = {UINT64_MAX, UINT64_MAX};

	assert_u128(u128_inc((struct u128){0, UINT64_MAX}), 1, 0);
	assert_u128(u128_dec((struct u128){1, 0}), 0, UINT64_MAX);
	assert_u128(u128_inc(top), 0, 0);
	assert_u128(u128_dec(U128(0)), UINT64_MAX, UINT64_MAX);
	assert_u128(u128_shl(U128(1), 127), 1ull << 63, 0);
	assert_u128(u128_shr((struct u128){1ull << 63, 0}, 127), 0, 1);
	assert_u128(u128_shl(U128(1), 64), 1, 0);
	assert_u128(u128_shr(top, 128), 0, 0);
	assert_true(u128_cmp((struct u128){1, 0}, U128(UINT64_MAX)) > 0);
	assert_true(u128_cmp(U128(3), U128(3)) == 0);
}

/* The example of RFC 1071, section 3: the words sum up to 0xddf2. */
static void test_sum(void **state)
{
	const uint8_t b[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	assert_int_equal(net_sum_fold(net_sum(b, 8, 0)), (uint16_t)~0xddf2);
	assert_int_equal(net_sum(b, 3, 0), 0x0001 + 0xf200);
	assert_int_equal(net_sum(b + 4, 4, net_sum(b, 4, 0)), net_sum(b, 8, 0));
}

static void test_ifname(void **state)
{
	char name[16];

	assert_u128(ifname_to_u128("lo"), 0x6c6f000000000000ull, 0);
	u128_to_ifname(ifname_to_u128("a123456789012345678"), name);
	assert_string_equal(name, "a12345678901234");
}

static void test_arena(void **state)
{
	struct arena *a = arena_new();
	char *small = arena_strdup(a, "one"), *big = arena_alloc(a, 10 << 20),
	     *after = arena_printf(a, "%d", 42);
	int *n = arena_array(a, 3, sizeof(*n));

	assert_string_equal(small, "one");
	assert_string_equal(after, "42");
	assert_int_equal(big[(10 << 20) - 1], 0);
	assert_int_equal((uintptr_t)n % 16, 0);
	n[2] = 7;
	n = arena_grow(a, n, 3, 6, sizeof(*n));
	assert_int_equal(n[2], 7);
	assert_int_equal(n[5], 0);
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	arena_free(a);
}

static void test_buf(void **state)
{
	struct buf b = {0};
	int i;

	assert_string_equal(buf_str(&b), "");
	for (i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	buf_hex(&b, "\x00\xff", 2);
	assert_int_equal(b.len, 3890 + 4);
	assert_string_equal(buf_str(&b) + 3890, "00ff");
	buf_free(&b);
}

static void test_diag(void **state)
{
	struct origin from = {
	    .family = FAMILY_IP, .table = "filter", .chain = "INPUT", .index = 3};
	struct diag d = {0};
	char text[512] = {0};
	FILE *f = fmemopen(text, sizeof(text) - 1, "w");

	assert_int_equal(diag_error_at(&d, -22, "f.v4", 7, 3, "what %d", 1), -22);
	diag_warn(&d, "careful");
	diag_error_from(&d, -7, &from, "too long");
	assert_int_equal(d.nerrors, 2);
	diag_print(&d, f, "prog");
	fclose(f);
	assert_string_equal(text, "f.v4:7:3: error: what 1\nprog: warning: careful\n"
				  "prog: error: ip filter INPUT rule 3: too long\n");
	diag_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes),      cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_sum),
	    cmocka_unit_test(test_ifname),     cmocka_unit_test(test_arena),
	    cmocka_unit_test(test_buf),        cmocka_unit_test(test_diag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
