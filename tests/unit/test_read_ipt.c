// SPDX-License-Identifier: GPL-2.0
/*
 * Entries are made here by hand from struct ipt_entry; the live reader is compared with what
 * iptables-legacy was told (root, a network namespace of its own).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include "read/read.h"
#include "read/read_ipt.h"

/* ---- entries ---- */

struct entry4 {
	struct ipt_entry e;
	struct {
		struct xt_entry_match m;
		uint8_t data[16];
	} match;
	struct {
		struct xt_entry_target t;
		int32_t verdict;
		uint32_t pad;
	} target;
};

static void make_entry(struct entry4 *x)
{
	memset(x, 0, sizeof(*x));
	x->e.ip.src.s_addr = 0x0100000a; /* 10.0.0.1 on a little-endian machine */
	x->e.ip.smsk.s_addr = 0xffffffff;
	x->e.ip.proto = 6;
	x->e.ip.invflags = IPT_INV_SRCIP;
	strcpy(x->e.ip.iniface, "eth0");
	memset(x->e.ip.iniface_mask, 0xff, 5);
	x->e.counters.pcnt = 7;
	x->e.counters.bcnt = 420;
	x->e.target_offset = offsetof(struct entry4, target);
	x->e.next_offset = sizeof(*x);
	x->match.m.u.match_size = sizeof(x->match);
	strcpy(x->match.m.u.user.name, "tcp");
	x->match.m.u.user.revision = 3;
	x->match.data[2] = 0xab;
	x->target.t.u.target_size = sizeof(x->target);
}

static void test_entry(void **state)
{
	struct arena *mem = arena_new();
	struct rule r = {0};
	struct entry4 x;

	make_entry(&x);
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), "DROP", &r), 0);
	assert_int_equal(r.xt.verdict, XTV_DROP);
	assert_int_equal(r.xt.base.src_mask[3], 0xff);
	assert_memory_equal(r.xt.base.src, &x.e.ip.src, 4);
	assert_int_equal(r.xt.base.proto, 6);
	assert_int_equal(r.xt.base.inv, IPT_INV_SRCIP);
	assert_string_equal(r.xt.base.in, "eth0");
	assert_int_equal(r.xt.base.in_mask[4], 0xff);
	assert_int_equal(r.xt.base.in_mask[5], 0);
	assert_true(r.has_counter);
	assert_int_equal(r.packets, 7);
	assert_int_equal(r.bytes, 420);
	assert_int_equal(r.xt.nmatches, 1);
	assert_string_equal(r.xt.matches[0].name, "tcp");
	assert_int_equal(r.xt.matches[0].revision, 3);
	assert_int_equal(r.xt.matches[0].len, 16);
	assert_int_equal(r.xt.matches[0].data[2], 0xab);
	arena_free(mem);
}

static void test_entry_verdicts(void **state)
{
	static const struct {
		const char *label;
		uint8_t flags;
		enum xt_verdict_kind verdict;
	} cases[] = {
	    {"", 0, XTV_CONTINUE},           {"ACCEPT", 0, XTV_ACCEPT},
	    {"RETURN", 0, XTV_RETURN},       {"QUEUE", 0, XTV_QUEUE},
	    {"chain", 0, XTV_JUMP},          {"chain", IPT_F_GOTO, XTV_GOTO},
	    {"chain", IPT_F_FRAG, XTV_JUMP},
	};
	struct arena *mem = arena_new();
	struct entry4 x;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rule r = {0};

		make_entry(&x);
		x.e.ip.flags = cases[i].flags;
		assert_int_equal(
		    ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), cases[i].label, &r), 0);
		assert_int_equal(r.xt.verdict, cases[i].verdict);
		if (!strcmp(cases[i].label, "chain"))
			assert_string_equal(r.xt.jump, "chain");
		else
			assert_null(r.xt.jump);
	}
	arena_free(mem);
}

static void test_entry_target(void **state)
{
	struct arena *mem = arena_new();
	struct rule r = {0};
	struct entry4 x;

	make_entry(&x);
	strcpy(x.target.t.u.user.name, "MARK");
	x.target.t.u.user.revision = 2;
	/* A chain of the same name would give the same label: the entry decides. */
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), "MARK", &r), 0);
	assert_int_equal(r.xt.verdict, XTV_EXTENSION);
	assert_string_equal(r.xt.target.name, "MARK");
	assert_int_equal(r.xt.target.revision, 2);
	assert_int_equal(r.xt.target.len, 8);
	arena_free(mem);
}

static void test_entry_malformed(void **state)
{
	struct arena *mem = arena_new();
	struct rule r = {0}, untouched = {0};
	struct entry4 x;
	size_t len;

	make_entry(&x);
	for (len = 0; len < sizeof(x); len++)
		assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, len, "DROP", &r),
				 -EBADMSG);
	x.match.m.u.match_size = 8; /* less than its own header */
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), "DROP", &r), -EBADMSG);
	make_entry(&x);
	x.match.m.u.match_size = sizeof(x.match) + 8; /* runs into the target */
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), "DROP", &r), -EBADMSG);
	make_entry(&x);
	x.e.target_offset = 8;
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), "DROP", &r), -EBADMSG);
	make_entry(&x);
	memset(x.match.m.u.user.name, 'x', sizeof(x.match.m.u.user.name)); /* does not end */
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP, &x, sizeof(x), "DROP", &r), -EBADMSG);
	assert_memory_equal(&r, &untouched, sizeof(r));
	arena_free(mem);
}

static void test_entry6(void **state)
{
	struct {
		struct ip6t_entry e;
		struct xt_entry_target t;
		int32_t verdict;
		uint32_t pad;
	} x = {0};
	struct arena *mem = arena_new();
	struct rule r = {0};

	x.e.ipv6.dst.s6_addr[15] = 1;
	memset(&x.e.ipv6.dmsk, 0xff, 16);
	x.e.ipv6.tos = 0x10;
	x.e.ipv6.proto = 58;
	x.e.ipv6.flags = IP6T_F_PROTO | IP6T_F_GOTO;
	x.e.target_offset = sizeof(x.e);
	x.e.next_offset = sizeof(x);
	x.t.u.target_size = sizeof(x) - sizeof(x.e);
	assert_int_equal(ipt_entry_decode(mem, FAMILY_IP6, &x, sizeof(x), "next", &r), 0);
	assert_int_equal(r.xt.verdict, XTV_GOTO);
	assert_int_equal(r.xt.base.dst[15], 1);
	assert_int_equal(r.xt.base.dst_mask[15], 0xff);
	assert_int_equal(r.xt.base.tos, 0x10);
	assert_int_equal(r.xt.base.proto, 58);
	arena_free(mem);
}

/* include/uapi/linux/netfilter_ipv4.h enum nf_ip_hook_priorities */
static void test_builtin(void **state)
{
	static const struct {
		const char *table, *chain;
		enum hook hook;
		int priority;
		enum chain_type type;
	} want[] = {
	    {"raw", "PREROUTING", HOOK_PREROUTING, -300, CHAIN_FILTER},
	    {"mangle", "OUTPUT", HOOK_OUTPUT, -150, CHAIN_ROUTE},
	    {"mangle", "POSTROUTING", HOOK_POSTROUTING, -150, CHAIN_FILTER},
	    {"nat", "PREROUTING", HOOK_PREROUTING, -100, CHAIN_NAT},
	    {"nat", "OUTPUT", HOOK_OUTPUT, -100, CHAIN_NAT},
	    {"nat", "INPUT", HOOK_INPUT, 100, CHAIN_NAT},
	    {"nat", "POSTROUTING", HOOK_POSTROUTING, 100, CHAIN_NAT},
	    {"filter", "FORWARD", HOOK_FORWARD, 0, CHAIN_FILTER},
	    {"security", "INPUT", HOOK_INPUT, 50, CHAIN_FILTER},
	};
	const struct ipt_builtin *b;
	size_t i, j, n;

	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		b = ipt_builtin_chains(want[i].table, &n);
		assert_non_null(b);
		for (j = 0; j < n && strcmp(b[j].chain, want[i].chain); j++)
			;
		assert_true(j < n);
		assert_int_equal(b[j].hook, want[i].hook);
		assert_int_equal(b[j].priority, want[i].priority);
		assert_int_equal(b[j].type, want[i].type);
	}
	assert_null(ipt_builtin_chains("broute", &n));
}

/* ---- the kernel ---- */

static bool own_netns(void)
{
	if (geteuid() != 0) {
		print_message("needs root\n");
		return false;
	}
	setenv("XTABLES_LOCKFILE", "/tmp/nf2bpf-test-read-ipt.lock", 1);
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	print_message("no network namespace: %s\n", strerror(errno));
	return false;
}

static void shell(const char *command)
{
	assert_int_equal(system(command), 0);
}

static void test_live(void **state)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};
	struct table *t;
	struct chain *c;
	struct rule *r;

	if (!own_netns())
		skip();
	/* Nothing is loaded here yet, and reading loads nothing. */
	assert_int_equal(read_ipt(rs, &d), 0);
	assert_null(rs->tables);
	assert_int_equal(read_ipt(rs, &d), 0);
	assert_null(rs->tables);

	shell("iptables-legacy -N user");
	shell("iptables-legacy -A user -s 192.0.2.0/24 ! -i eth+ -p tcp --dport 80 -j ACCEPT");
	shell("iptables-legacy -A user");
	shell("iptables-legacy -A INPUT -c 5 600 -g user");
	shell("iptables-legacy -A INPUT -m comment --comment 'to user' -j user");
	shell("iptables-legacy -A INPUT -j LOG --log-prefix x");
	shell("iptables-legacy -P FORWARD DROP");
	shell("ip6tables-legacy -t mangle -A OUTPUT -d 2001:db8::/32 -j RETURN");
	assert_int_equal(read_ipt(rs, &d), 0);

	t = ruleset_find_table(rs, BACKEND_LEGACY, FAMILY_IP, "filter");
	assert_non_null(t);
	c = table_find_chain(t, "FORWARD");
	assert_true(c->is_base);
	assert_int_equal(c->policy, 0);
	c = table_find_chain(t, "user");
	assert_false(c->is_base);
	assert_int_equal(c->nrules, 2);
	r = c->rules;
	assert_memory_equal(r->xt.base.src, "\xc0\x00\x02\x00", 4);
	assert_memory_equal(r->xt.base.src_mask, "\xff\xff\xff\x00", 4);
	assert_int_equal(r->xt.base.inv, IPT_INV_VIA_IN);
	assert_memory_equal(r->xt.base.in_mask, "\xff\xff\xff\x00", 4);
	assert_string_equal(r->xt.matches[0].name, "tcp");
	assert_int_equal(r->xt.verdict, XTV_ACCEPT);
	assert_int_equal(r->from.index, 1);
	assert_int_equal(r->next->xt.verdict, XTV_CONTINUE);
	r = table_find_chain(t, "INPUT")->rules;
	assert_int_equal(r->xt.verdict, XTV_GOTO);
	assert_string_equal(r->xt.jump, "user");
	assert_int_equal(r->packets, 5);
	assert_int_equal(r->bytes, 600);
	r = r->next;
	assert_int_equal(r->xt.verdict, XTV_JUMP);
	assert_string_equal(r->comment, "to user");
	r = r->next;
	assert_int_equal(r->xt.verdict, XTV_EXTENSION);
	assert_string_equal(r->xt.target.name, "LOG");

	assert_null(ruleset_find_table(rs, BACKEND_LEGACY, FAMILY_IP, "nat"));
	t = ruleset_find_table(rs, BACKEND_LEGACY, FAMILY_IP6, "mangle");
	assert_non_null(t);
	c = table_find_chain(t, "OUTPUT");
	assert_int_equal(c->type, CHAIN_ROUTE);
	assert_memory_equal(c->rules->xt.base.dst, "\x20\x01\x0d\xb8", 4);
	assert_int_equal(c->rules->xt.verdict, XTV_RETURN);
	assert_int_equal(d.n, 0);
	diag_free(&d);
	ruleset_free(rs);
}

static void test_live_set(void **state)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};
	struct rule *r;

	if (!own_netns())
		skip();
	if (system("ipset create first hash:ip && ipset create second hash:ip") != 0) {
		print_message("no ipset\n");
		skip();
	}
	shell("iptables-legacy -A INPUT -m set --match-set second src -j DROP");
	shell("iptables-legacy -A INPUT -j SET --del-set first dst");
	assert_int_equal(read_ipt(rs, &d), 0);
	r = table_find_chain(rs->tables, "INPUT")->rules;
	assert_string_equal(r->xt.matches[0].set_name, "second");
	assert_string_equal(r->next->xt.target.set_name, "first");
	diag_free(&d);
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_entry),        cmocka_unit_test(test_entry_verdicts),
	    cmocka_unit_test(test_entry_target), cmocka_unit_test(test_entry_malformed),
	    cmocka_unit_test(test_entry6),       cmocka_unit_test(test_builtin),
	    cmocka_unit_test(test_live),         cmocka_unit_test(test_live_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
