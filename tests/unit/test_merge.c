// SPDX-License-Identifier: GPL-2.0
/* shim/merge.c: every count of a listing becomes another, and nothing else does. The listings
 * are iptables 1.8.9's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "shim/merge.h"

/* The count of rule N of any chain is N of 1000 N bytes; of a policy, 7 of 123456 bytes. */
static bool find(void *ctx, const char *table, const char *chain, size_t index,
		 uint64_t *packets, uint64_t *bytes)
{
	if (strcmp(table, ctx ? (const char *)ctx : "filter") || !strcmp(chain, "UNKNOWN"))
		return false;
	*packets = index ? index : 7;
	*bytes = index ? 1000 * index : 123456;
	return true;
}

static void check(const char *in, const char *want)
{
	struct merge m = {.find = find, .table = "filter"};
	struct buf out = {0};

	merge_counts(&m, in, &out);
	assert_string_equal(buf_str(&out), want);
	buf_free(&out);
}

static void test_save(void **state)
{
	check("# Generated\n*filter\n:INPUT DROP [0:0]\n:FOO - [0:0]\n[1:2] -A INPUT -j FOO\n"
	      "[3:4] -A INPUT -m comment --comment \"[5:6] -A\" -j DROP\n[0:0] -A FOO -j "
	      "DROP\nCOMMIT\n"
	      "*nat\n:INPUT ACCEPT [0:0]\n[1:1] -A INPUT -j ACCEPT\nCOMMIT\n",
	      "# Generated\n*filter\n:INPUT DROP [7:123456]\n:FOO - [0:0]\n[1:1000] -A INPUT "
	      "-j FOO\n"
	      "[2:2000] -A INPUT -m comment --comment \"[5:6] -A\" -j DROP\n[1:1000] -A FOO -j "
	      "DROP\nCOMMIT\n"
	      "*nat\n:INPUT ACCEPT [0:0]\n[1:1] -A INPUT -j ACCEPT\nCOMMIT\n");
}

static void test_list_rules(void **state)
{
	check("-P INPUT ACCEPT -c 0 0\n-N FOO\n-A INPUT -s 1.2.3.4/32 -c 0 0 -j DROP\n"
	      "-A INPUT -m comment --comment \" -c 1 2 x\" -c 0 0\n-A INPUT -c 9 9 -g FOO\n-A "
	      "UNKNOWN -c 1 1\n",
	      "-P INPUT ACCEPT -c 7 123456\n-N FOO\n-A INPUT -s 1.2.3.4/32 -c 1 1000 -j DROP\n"
	      "-A INPUT -m comment --comment \" -c 1 2 x\" -c 2 2000\n-A INPUT -c 3 3000 -g "
	      "FOO\n-A UNKNOWN -c 1 1\n");
	check("-A INPUT -j DROP\n-P INPUT DROP\n", "-A INPUT -j DROP\n-P INPUT DROP\n");
}

static void test_table(void **state)
{
	check("Chain INPUT (policy DROP 0 packets, 0 bytes)\n"
	      " pkts bytes target     prot opt in     out     source               destination "
	      "        \n"
	      "    0     0 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0   "
	      "         "
	      "/* 1 2 */\n"
	      "12345K 1000 DROP       0    --  *      *       0.0.0.0/0            0.0.0.0/0   "
	      "        \n"
	      "\n"
	      "Chain FOO (1 references)\n"
	      "num   pkts bytes target     prot opt in     out     source               "
	      "destination         \n"
	      "1        0     0            0    --  *      *       0.0.0.0/0            "
	      "0.0.0.0/0           \n",
	      "Chain INPUT (policy DROP 7 packets, 123K bytes)\n"
	      " pkts bytes target     prot opt in     out     source               destination "
	      "        \n"
	      "    1  1000 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0   "
	      "         "
	      "/* 1 2 */\n"
	      "    2  2000 DROP       0    --  *      *       0.0.0.0/0            0.0.0.0/0   "
	      "        \n"
	      "\n"
	      "Chain FOO (1 references)\n"
	      "num   pkts bytes target     prot opt in     out     source               "
	      "destination         \n"
	      "1        1  1000            0    --  *      *       0.0.0.0/0            "
	      "0.0.0.0/0           \n");
	check("Chain INPUT (policy ACCEPT 0 packets, 0 bytes)\n"
	      "    pkts      bytes target     prot opt in     out     source               "
	      "destination         \n"
	      "       0        0 DROP       6    --  *      *       0.0.0.0/0            "
	      "0.0.0.0/0           \n",
	      "Chain INPUT (policy ACCEPT 7 packets, 123456 bytes)\n"
	      "    pkts      bytes target     prot opt in     out     source               "
	      "destination         \n"
	      "       1     1000 DROP       6    --  *      *       0.0.0.0/0            "
	      "0.0.0.0/0           \n");
	check("Chain INPUT (policy ACCEPT)\ntarget     prot opt source               "
	      "destination         \n"
	      "DROP       6    --  0.0.0.0/0            0.0.0.0/0           \n",
	      "Chain INPUT (policy ACCEPT)\ntarget     prot opt source               "
	      "destination         \n"
	      "DROP       6    --  0.0.0.0/0            0.0.0.0/0           \n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_save),
					   cmocka_unit_test(test_list_rules),
					   cmocka_unit_test(test_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
