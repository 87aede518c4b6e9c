// SPDX-License-Identifier: GPL-2.0
/*
 * lower/lower.c: which base chains become which stages, in which order.  The orders are those
 * of the kernel: priorities of include/uapi/linux/netfilter_ipv4.h, nf_hook_entries_grow() for
 * equal ones, nf_nat_inet_fn() for nat chains.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ir/ir_eval.h"
#include "lower/lower.h"

static struct ruleset *rs;
static struct diag diag;

static int setup(void **state)
{
	rs = ruleset_new();
	rs->generation = 42;
	return 0;
}

static int teardown(void **state)
{
	ruleset_free(rs);
	diag_free(&diag);
	diag = (struct diag){0};
	return 0;
}

/* ---- rulesets ---- */

static struct table *nft(enum family family, const char *name)
{
	return ruleset_add_table(rs, BACKEND_NFT, family, name);
}

static struct chain *base(struct table *t, const char *name, enum hook hook, int32_t priority,
			  uint32_t policy)
{
	struct chain *c = table_add_chain(rs, t, name);

	c->is_base = true;
	c->hook = hook;
	c->priority = priority;
	c->policy = policy;
	c->type = CHAIN_FILTER;
	return c;
}

static struct nexpr *add_expr(struct rule *r, enum nexpr_kind kind, const char *name)
{
	if (!r->exprs)
		r->exprs = arena_array(rs->mem, 8, sizeof(*r->exprs));
	r->exprs[r->nexprs] = (struct nexpr){.kind = kind, .name = name};
	return &r->exprs[r->nexprs++];
}

static struct rule *verdict(struct chain *c, int32_t code, const char *to)
{
	struct rule *r = chain_add_rule(rs, c);
	struct nexpr *e = add_expr(r, NEXPR_IMMEDIATE, "immediate");

	e->immediate.is_verdict = true;
	e->immediate.verdict = (struct nft_verdict){code, to};
	return r;
}

/* ip ttl N */
static void match_ttl(struct rule *r, uint8_t ttl)
{
	struct nexpr *e = add_expr(r, NEXPR_PAYLOAD, "payload");

	e->payload.base = NFT_PAYLOAD_NETWORK_HEADER;
	e->payload.offset = 8;
	e->payload.len = e->payload.dreg = 1;
	e = add_expr(r, NEXPR_CMP, "cmp");
	e->cmp.sreg = e->cmp.len = 1;
	e->cmp.data = arena_memdup(rs->mem, &ttl, 1);
}

static void drop_ttl(struct chain *c, uint8_t ttl)
{
	struct rule *r = chain_add_rule(rs, c);
	struct nexpr *e;

	match_ttl(r, ttl);
	e = add_expr(r, NEXPR_IMMEDIATE, "immediate");
	e->immediate.is_verdict = true;
	e->immediate.verdict.code = NF_DROP;
}

static void opaque(struct chain *c, const char *name)
{
	add_expr(chain_add_rule(rs, c), NEXPR_OPAQUE, name);
}

/* ip ttl 5 ct state invalid drop */
static void ct_state_drop(struct chain *c)
{
	static const uint32_t invalid = 1;
	struct rule *r = chain_add_rule(rs, c);
	struct nexpr *e;

	match_ttl(r, 5);
	e = add_expr(r, NEXPR_CT, "ct");
	e->ct.key = NFT_CT_STATE;
	e->ct.dreg = 1;
	e = add_expr(r, NEXPR_CMP, "cmp");
	e->cmp.sreg = 1;
	e->cmp.data = (const uint8_t *)&invalid;
	e->cmp.len = 4;
	e = add_expr(r, NEXPR_IMMEDIATE, "immediate");
	e->immediate.is_verdict = true;
	e->immediate.verdict.code = NF_DROP;
}

/* ---- results ---- */

static struct ir *early(void)
{
	struct ir *ir = NULL;
	int err = lower_early(rs, SITE_XDP, rs->mem, &ir, &diag);

	if (err)
		diag_print(&diag, stderr, "test");
	assert_int_equal(err, 0);
	assert_int_equal(ir->generation, 42);
	return ir;
}

/* "a b? c!" : ? order unknown, ! new only. */
static const char *stages(const struct ir *ir, enum ir_entry_id id)
{
	const struct ir_entry *e = &ir->entries[id];
	const char *text = "";
	size_t i;

	assert_int_equal(e->used, e->nstages > 0);
	for (i = 0; i < e->nstages; i++)
		text = arena_printf(
		    rs->mem, "%s%s%s%s%s", text, i ? " " : "", e->stages[i].chain->from.chain,
		    e->stages[i].order_unknown ? "?" : "", e->stages[i].new_only ? "!" : "");
	return text;
}

#define STAGES(ir, id, text) assert_string_equal(stages(ir, ENTRY_##id), text)

static const struct ir_chain *find_chain(const struct ir *ir, const char *name)
{
	const struct ir_chain *c;

	for (c = ir->chains; c; c = c->next)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static const char *first_leave(const struct ir_chain *c)
{
	const struct ir_rule *r;
	uint32_t i;

	for (r = c->rules; r; r = r->next)
		for (i = 0; i < r->nops; i++)
			if (r->ops[i].kind == OP_LEAVE)
				return r->ops[i].leave.reason;
	return "none";
}

static bool noted(const char *what)
{
	size_t i;

	for (i = 0; i < diag.n; i++)
		if (strstr(diag.items[i].text, what))
			return true;
	return false;
}

/* ---- early ---- */

static void test_nothing(void **state)
{
	struct ir *ir = early();
	unsigned e;

	for (e = 0; e < NENTRY; e++)
		assert_false(ir->entries[e].used);
}

static void test_priorities(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *u = nft(FAMILY_INET, "u"),
		     *v = nft(FAMILY_IP6, "v");
	struct ir *ir;

	base(t, "late", HOOK_INPUT, 10, NF_DROP);
	base(u, "first", HOOK_INPUT, -10, NF_DROP);
	base(t, "middle", HOOK_INPUT, 0, NF_DROP);
	base(v, "six", HOOK_INPUT, -20, NF_DROP);
	base(t, "out", HOOK_OUTPUT, 0, NF_DROP);
	base(u, "fwd", HOOK_FORWARD, 0, NF_DROP);
	base(u, "pre", HOOK_PREROUTING, -150, NF_ACCEPT);
	base(nft(FAMILY_BRIDGE, "br"), "bridged", HOOK_INPUT, 0, NF_DROP);
	base(nft(FAMILY_ARP, "arp"), "arps", HOOK_INPUT, 0, NF_DROP);
	ir = early();
	STAGES(ir, PRE4, "pre");
	STAGES(ir, IN4, "first middle late");
	STAGES(ir, FWD4, "fwd");
	STAGES(ir, IN6, "six first");
	assert_int_equal(ir->entries[ENTRY_IN6].family, FAMILY_IP6);
	assert_int_equal(ir->entries[ENTRY_IN4].stages[0].dialect, DIALECT_NFT);
	/* Each family has its own copy of an inet chain. */
	assert_string_equal(ir->entries[ENTRY_IN4].stages[0].chain->name, "inet/ip u first");
	assert_string_equal(ir->entries[ENTRY_IN6].stages[1].chain->name, "inet/ip6 u first");
}

static void test_policies(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *legacy;
	const struct ir_chain *c;
	struct ir *ir;

	base(t, "counted", HOOK_INPUT, 0, NF_DROP)->has_policy_counter = true;
	base(t, "plain", HOOK_INPUT, 1, NF_DROP);
	legacy = ruleset_add_table(rs, BACKEND_LEGACY, FAMILY_IP, "filter");
	base(legacy, "INPUT", HOOK_INPUT, 2, NF_DROP);
	ir = early();
	STAGES(ir, IN4, "counted plain INPUT");
	c = ir->entries[ENTRY_IN4].stages[0].chain;
	assert_int_equal(c->policy.verdict, V_DROP);
	assert_true(ir->counters[c->policy_counter].in_view);
	assert_int_equal(ir->counters[c->policy_counter].from.index, 0);
	c = ir->entries[ENTRY_IN4].stages[1].chain;
	assert_false(ir->counters[c->policy_counter].in_view);
	c = ir->entries[ENTRY_IN4].stages[2].chain;
	assert_true(ir->counters[c->policy_counter].in_view);
	assert_string_equal(c->name, "legacy ip filter INPUT");
	assert_int_equal(ir->entries[ENTRY_IN4].stages[2].dialect, DIALECT_XT);
}

/* nf_hook_entries_grow(): within a table the chain made last stands first; between tables
 * nobody knows. */
static void test_equal_priority(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *u = nft(FAMILY_IP, "u");
	struct ir *ir;

	base(t, "t1", HOOK_INPUT, 0, NF_DROP);
	base(t, "t2", HOOK_INPUT, 0, NF_DROP);
	base(t, "f1", HOOK_FORWARD, 0, NF_DROP);
	base(u, "f2", HOOK_FORWARD, 0, NF_DROP);
	base(u, "f3", HOOK_FORWARD, 1, NF_DROP);
	ir = early();
	STAGES(ir, IN4, "t2 t1");
	STAGES(ir, FWD4, "f1? f2? f3");
}

static void test_equal_priority_harmless(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *u = nft(FAMILY_IP, "u"),
		     *v = nft(FAMILY_IP, "v");
	struct ir *ir;

	/* Only one of them does more than count. */
	base(t, "drops", HOOK_INPUT, 0, NF_DROP);
	verdict(base(u, "accepts", HOOK_INPUT, 0, NF_ACCEPT), NF_ACCEPT, NULL);
	base(t, "f", HOOK_FORWARD, 0, NF_DROP);
	opaque(base(v, "logs", HOOK_FORWARD, 0, NF_ACCEPT), "log");
	ir = early();
	STAGES(ir, IN4, "drops"); /* and what only accepts behind it is not evaluated */
	/* Was the packet logged before it was dropped? */
	STAGES(ir, FWD4, "f?");
}

static void test_nat(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *legacy;
	struct ir *ir;

	base(t, "mangle", HOOK_PREROUTING, -150, NF_ACCEPT);
	/* Whatever their own priorities, they run at -100 and 100. */
	base(t, "nat_late", HOOK_PREROUTING, 500, NF_DROP)->type = CHAIN_NAT;
	base(t, "nat_soon", HOOK_PREROUTING, -500, NF_ACCEPT)->type = CHAIN_NAT;
	base(t, "after", HOOK_PREROUTING, -50, NF_DROP);
	base(t, "in", HOOK_INPUT, 0, NF_DROP);
	base(t, "nat_in", HOOK_INPUT, -100, NF_DROP)->type = CHAIN_NAT;
	base(t, "last", HOOK_INPUT, 150, NF_DROP);
	legacy = ruleset_add_table(rs, BACKEND_LEGACY, FAMILY_IP6, "nat");
	base(legacy, "PREROUTING", HOOK_PREROUTING, -100, NF_DROP);
	/* Nothing asks for conntrack: nat chains are passed by without a count (seen on 6.18).
	 */
	ir = early();
	STAGES(ir, PRE4, "mangle after");
	STAGES(ir, IN4, "in last");
	opaque(base(nft(FAMILY_INET, "tracks"), "out", HOOK_OUTPUT, 0, NF_ACCEPT), "ct");
	ir = early();
	STAGES(ir, PRE4, "mangle nat_soon! nat_late! after");
	STAGES(ir, IN4, "in nat_in! last");
	STAGES(ir, PRE6, "PREROUTING!");
}

static void test_nat_beside_filter(void **state)
{
	struct table *t = nft(FAMILY_IP, "t");
	struct ir *ir;

	opaque(base(t, "nat", HOOK_PREROUTING, -300, NF_ACCEPT), "nat");
	t->chains->type = CHAIN_NAT;
	base(t, "filter", HOOK_PREROUTING, -100, NF_DROP);
	ir = early();
	STAGES(ir, PRE4, "nat?! filter?");
}

static void test_dormant(void **state)
{
	struct table *t = nft(FAMILY_IP, "t");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_DROP);
	struct ir *ir;

	t->flags = NFT_TABLE_F_DORMANT;
	STAGES(early(), IN4, "");
	/* The hook site stands for such a chain. */
	assert_int_equal(lower_hook(rs, c, FAMILY_IP, rs->mem, &ir, &diag), 0);
}

static void test_trim(void **state)
{
	struct table *t = nft(FAMILY_INET, "t");
	struct chain *c;
	struct ir *ir;

	base(t, "pre", HOOK_PREROUTING, -150, NF_ACCEPT);
	drop_ttl(base(t, "drop4", HOOK_INPUT, 0, NF_ACCEPT), 1);
	opaque(base(t, "logs", HOOK_INPUT, 10, NF_ACCEPT), "log");
	base(t, "accepts", HOOK_INPUT, 20, NF_ACCEPT);
	/* What stands behind a leave of every packet cannot drop. */
	c = base(t, "fwd", HOOK_FORWARD, 0, NF_DROP);
	opaque(c, "numgen");
	drop_ttl(c, 1);
	base(t, "fwd2", HOOK_FORWARD, 10, NF_DROP);
	ir = early();
	STAGES(ir, PRE4, "pre");
	STAGES(ir, IN4, "drop4");
	STAGES(ir, FWD4, "");
}

static void test_trim_all(void **state)
{
	struct table *t = nft(FAMILY_INET, "t");
	struct chain *user = table_add_chain(rs, t, "user"),
		     *deep = table_add_chain(rs, t, "deep");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_ACCEPT);
	struct ir *ir;

	base(t, "pre", HOOK_PREROUTING, -150, NF_ACCEPT);
	verdict(c, NFT_JUMP, "user");
	verdict(user, NFT_GOTO, "deep");
	verdict(deep, NF_ACCEPT, NULL);
	ir = early();
	STAGES(ir, PRE4, "");
	STAGES(ir, IN4, "");
	/* The drop is two chains away. */
	drop_ttl(user, 1);
	user->rules = user->rules->next; /* before the goto */
	ir = early();
	STAGES(ir, PRE4, "pre");
	STAGES(ir, IN4, "in");
}

static void test_sees_first(void **state)
{
	struct table *dev = nft(FAMILY_NETDEV, "d");
	struct ir *ir;

	base(nft(FAMILY_INET, "t"), "in", HOOK_INPUT, 0, NF_DROP);
	base(dev, "out", HOOK_EGRESS, 0, NF_DROP);
	STAGES(early(), IN4, "in");
	base(dev, "ingress", HOOK_INGRESS, 0, NF_ACCEPT);
	ir = early();
	STAGES(ir, PRE4, "");
	STAGES(ir, IN4, "");
	STAGES(ir, IN6, "");
	assert_true(noted("netdev ingress chain ingress"));
	dev->flags = NFT_TABLE_F_DORMANT;
	STAGES(early(), IN6, "in");
}

static void test_inet_ingress(void **state)
{
	struct table *t = nft(FAMILY_INET, "t");

	base(t, "in", HOOK_INPUT, 0, NF_DROP);
	base(t, "ingress", HOOK_INGRESS, 0, NF_ACCEPT);
	STAGES(early(), IN4, "");
	assert_true(noted("inet ingress chain ingress"));
}

static void test_flowtable(void **state)
{
	struct table *t = nft(FAMILY_INET, "t");
	struct ir *ir;

	base(t, "in", HOOK_INPUT, 0, NF_DROP);
	base(t, "fwd", HOOK_FORWARD, 0, NF_DROP);
	t->has_flowtable = true;
	ir = early();
	/* Nor does an answer that it translates meet the input hook. */
	STAGES(ir, IN4, "");
	STAGES(ir, FWD4, "");
	STAGES(ir, FWD6, "");
	assert_true(noted("a flowtable may carry the packet past this hook"));
}

static void test_odd(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *u = nft(FAMILY_IP6, "u");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_DROP);
	struct ir *ir = NULL;

	base(u, "six", HOOK_INPUT, 0, NF_DROP);
	c->odd = "chain: attribute 99";
	ir = early();
	STAGES(ir, IN4, "");
	STAGES(ir, IN6, "six");
	assert_true(noted("chain in: chain: attribute 99"));
	assert_int_equal(lower_hook(rs, c, FAMILY_IP, rs->mem, &ir, &diag), -EOPNOTSUPP);
	assert_true(noted("attribute 99"));
	/* Of a user chain only the rules are in doubt. */
	c->odd = NULL;
	verdict(c, NFT_JUMP, "user");
	table_add_chain(rs, t, "user")->odd = "chain: attribute 98";
	ir = early();
	STAGES(ir, IN4, "in");
	assert_string_equal(first_leave(find_chain(ir, "ip t user")), "chain: attribute 98");
}

/* ---- conntrack ---- */

static void test_before_conntrack(void **state)
{
	struct table *t = nft(FAMILY_IP, "t");
	struct chain *raw = base(t, "raw", HOOK_PREROUTING, -300, NF_ACCEPT);
	struct chain *at = base(t, "at", HOOK_PREROUTING, -200, NF_ACCEPT);
	struct chain *after = base(t, "after", HOOK_PREROUTING, -199, NF_DROP);
	struct chain *user = table_add_chain(rs, t, "user");
	struct ir *ir;

	ct_state_drop(at);
	ct_state_drop(after);
	ct_state_drop(user);
	verdict(raw, NFT_JUMP, "user");
	verdict(after, NFT_JUMP, "user");
	ir = early();
	STAGES(ir, PRE4, "raw at after");
	assert_string_equal(first_leave(find_chain(ir, "ip t at")),
			    "conntrack before its hook");
	assert_string_equal(first_leave(find_chain(ir, "ip t after")), "none");
	/* The same user chain, on both sides. */
	assert_string_equal(first_leave(find_chain(ir, "ip t user before conntrack")),
			    "conntrack before its hook");
	assert_string_equal(first_leave(find_chain(ir, "ip t user")), "none");
}

static void test_before_conntrack_hooks(void **state)
{
	static const struct {
		enum hook hook;
		int32_t priority;
		bool before;
	} cases[] = {{HOOK_OUTPUT, -300, true},       {HOOK_OUTPUT, -200, true},
		     {HOOK_OUTPUT, 0, false},         {HOOK_INPUT, -300, false},
		     {HOOK_POSTROUTING, -300, false}, {HOOK_PREROUTING, -300, true}};
	struct table *t = nft(FAMILY_IP, "t");
	struct ir *ir = NULL;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain *c = base(t, arena_printf(rs->mem, "c%zu", i), cases[i].hook,
				       cases[i].priority, NF_ACCEPT);

		ct_state_drop(c);
		assert_int_equal(lower_hook(rs, c, FAMILY_IP, rs->mem, &ir, &diag), 0);
		assert_string_equal(first_leave(ir->chains),
				    cases[i].before ? "conntrack before its hook" : "none");
	}
}

/* ---- chains ---- */

static void test_user_chains(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *u = nft(FAMILY_IP, "u");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_ACCEPT),
		     *f = base(t, "fwd", HOOK_FORWARD, 0, NF_ACCEPT);
	struct chain *shared = table_add_chain(rs, t, "shared");
	const struct ir_chain *ic;
	struct ir *ir;

	table_add_chain(rs, t, "unused");
	drop_ttl(table_add_chain(rs, u, "shared"), 9);
	drop_ttl(shared, 1);
	verdict(c, NFT_JUMP, "shared");
	verdict(f, NFT_JUMP, "shared");
	verdict(f, NFT_GOTO, "elsewhere");
	ir = early();
	assert_int_equal(ir->nchains, 3); /* in, fwd, shared */
	ic = find_chain(ir, "ip t shared");
	assert_non_null(ic);
	assert_int_equal(ic->nrules, 1);
	assert_false(ic->is_base);
	assert_string_equal(first_leave(find_chain(ir, "ip t fwd")),
			    "jump to chain elsewhere, which is not there");
}

static struct chain *ladder(struct table *t, unsigned steps)
{
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_ACCEPT);
	unsigned i;

	for (i = 0; i < steps; i++) {
		const char *name = arena_printf(rs->mem, "step%u", i);

		verdict(c, NFT_JUMP, name);
		c = table_add_chain(rs, t, name);
	}
	drop_ttl(c, 1);
	return t->chains;
}

static void test_depth(void **state)
{
	struct ir *ir;

	ladder(nft(FAMILY_IP, "t"), 16);
	ladder(nft(FAMILY_IP6, "u"), 17);
	ir = early();
	STAGES(ir, IN4, "in");
	STAGES(ir, IN6, "");
	assert_string_equal(first_leave(find_chain(ir, "ip t step14")), "none");
	assert_string_equal(first_leave(find_chain(ir, "ip6 u step15")),
			    "jumps more than 16 deep");
}

static void test_circle(void **state)
{
	struct table *t = nft(FAMILY_IP, "t");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_DROP),
		     *a = table_add_chain(rs, t, "a"), *b = table_add_chain(rs, t, "b");
	struct ir *ir;

	verdict(c, NFT_JUMP, "a");
	verdict(a, NFT_JUMP, "b");
	verdict(b, NFT_GOTO, "a");
	ir = early();
	STAGES(ir, IN4, "in");
	assert_string_equal(first_leave(find_chain(ir, "ip t a")), "jumps in a circle");
	assert_string_equal(first_leave(find_chain(ir, "ip t b")), "jumps in a circle");
}

static void test_many_chains(void **state)
{
	const unsigned n = 71000;
	struct table *t = nft(FAMILY_IP, "t");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_DROP);
	struct timespec a, b;
	struct ir *ir;
	unsigned i;

	for (i = 0; i < n; i++) {
		const char *name = arena_printf(rs->mem, "KUBE-SVC-%u", i * 2654435761u);

		verdict(c, NFT_JUMP, name);
		drop_ttl(table_add_chain(rs, t, name), (uint8_t)i);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	ir = early();
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(ir->nchains, n + 1);
	print_message("%u chains: %.0f ms\n", n,
		      (double)(b.tv_sec - a.tv_sec) * 1e3 +
			  (double)(b.tv_nsec - a.tv_nsec) / 1e6);
}

/* ---- the hook site ---- */

static int hook_error(const struct chain *c, enum family family)
{
	struct ir *ir = (void *)1;
	int err = lower_hook(rs, c, family, rs->mem, &ir, &diag);

	assert_ptr_equal(ir, (void *)1); /* untouched */
	assert_int_equal(diag.items[diag.n - 1].severity, DIAG_ERROR);
	return err;
}

static void test_hook_refusals(void **state)
{
	struct table *t = nft(FAMILY_INET, "t"), *ip = nft(FAMILY_IP, "ip");
	struct chain *nat = base(t, "nat", HOOK_POSTROUTING, 100, NF_ACCEPT);

	nat->type = CHAIN_NAT;
	assert_int_equal(hook_error(nat, FAMILY_IP), -EOPNOTSUPP);
	assert_int_equal(hook_error(base(t, "ingress", HOOK_INGRESS, 0, NF_ACCEPT), FAMILY_IP),
			 -EOPNOTSUPP);
	assert_int_equal(
	    hook_error(base(nft(FAMILY_NETDEV, "d"), "d", HOOK_INGRESS, 0, NF_ACCEPT),
		       FAMILY_IP),
	    -EOPNOTSUPP);
	assert_int_equal(hook_error(base(ip, "in", HOOK_INPUT, 0, NF_ACCEPT), FAMILY_IP6),
			 -EOPNOTSUPP);
	assert_int_equal(
	    hook_error(base(nft(FAMILY_BRIDGE, "b"), "in", HOOK_INPUT, 0, NF_ACCEPT),
		       FAMILY_IP),
	    -EOPNOTSUPP);
	assert_int_equal(hook_error(table_add_chain(rs, t, "user"), FAMILY_IP), -EINVAL);
}

/* A program stands just before its chain: nobody may stand between the two, and nobody beside
 * the chain. */
static void test_hook_crowded(void **state)
{
	struct table *t = nft(FAMILY_IP, "t"), *inet = nft(FAMILY_INET, "i"),
		     *six = nft(FAMILY_IP6, "s");
	struct chain *c = base(t, "c", HOOK_INPUT, 20, NF_ACCEPT),
		     *other = base(inet, "o", HOOK_FORWARD, 20, NF_DROP);
	static const struct {
		enum hook hook;
		int32_t priority;
		bool ok;
	} cases[] = {{HOOK_FORWARD, 20, true},
		     {HOOK_INPUT, 20, false},
		     {HOOK_INPUT, 19, false},
		     {HOOK_INPUT, 18, true},
		     {HOOK_INPUT, 21, true}},
	  own[] = {{HOOK_PREROUTING, -99, false},  {HOOK_PREROUTING, -100, false},
		   {HOOK_PREROUTING, -199, false}, {HOOK_PREROUTING, -150, true},
		   {HOOK_PREROUTING, -101, true},  {HOOK_INPUT, 101, false},
		   {HOOK_FORWARD, -99, true}};
	struct ir *ir;
	size_t i;

	base(six, "x", HOOK_INPUT, 20, NF_DROP);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		other->hook = cases[i].hook;
		other->priority = cases[i].priority;
		assert_int_equal(lower_hook(rs, c, FAMILY_IP, rs->mem, &ir, &diag),
				 cases[i].ok ? 0 : -EOPNOTSUPP);
	}
	other->priority = 20;
	inet->flags |= NFT_TABLE_F_DORMANT;
	assert_int_equal(lower_hook(rs, c, FAMILY_IP, rs->mem, &ir, &diag), 0);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		c->hook = own[i].hook;
		c->priority = own[i].priority;
		assert_int_equal(lower_hook(rs, c, FAMILY_IP, rs->mem, &ir, &diag),
				 own[i].ok ? 0 : -EOPNOTSUPP);
	}
}

static void test_hook(void **state)
{
	struct chain *c = base(nft(FAMILY_INET, "t"), "fwd", HOOK_FORWARD, -7, NF_ACCEPT);
	struct ir *ir = NULL;

	drop_ttl(c, 1);
	assert_int_equal(lower_hook(rs, c, FAMILY_IP6, rs->mem, &ir, &diag), 0);
	assert_int_equal(ir->site, SITE_HOOK);
	assert_int_equal(ir->hook, 2); /* NF_INET_FORWARD */
	assert_int_equal(ir->priority, -7);
	assert_string_equal(ir->from.chain, "fwd");
	assert_int_equal(ir->entries[ENTRY_HOOK].family, FAMILY_IP6);
	assert_true(ir->entries[ENTRY_HOOK].used);
	assert_int_equal(ir->entries[ENTRY_HOOK].nstages, 1);
	assert_false(ir->entries[ENTRY_IN4].used);
}

/* ---- packets ---- */

static struct eval_result result;

static void test_packets(void **state)
{
	struct table *t = nft(FAMILY_IP, "t");
	struct chain *c = base(t, "in", HOOK_INPUT, 0, NF_DROP),
		     *user = table_add_chain(rs, t, "user");
	uint8_t nh[20] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	struct packet p = {.data = nh, .len = sizeof(nh)};
	struct ir *ir;
	uint32_t sum = 0;
	unsigned i;

	/* jump user; accept ttl 64 happens there; ttl 1 is dropped, everything else by the
	 * policy */
	verdict(c, NFT_JUMP, "user");
	drop_ttl(user, 1);
	match_ttl(chain_add_rule(rs, user), 64);
	add_expr(user->rules->next, NEXPR_IMMEDIATE, "immediate")->immediate.is_verdict = true;
	user->rules->next->exprs[2].immediate.verdict.code = NF_ACCEPT;
	ir = early();
	for (i = 0; i < 20; i += 2)
		sum += be16(nh + i);
	put_be16(nh + 10, (uint16_t) ~(sum + (sum >> 16)));
	ir_eval(ir, ENTRY_IN4, &p, &result);
	assert_int_equal(result.verdict, EVAL_ACCEPT);
	assert_int_equal(result.nhits, 2); /* the jump and the accept */
	assert_int_equal(ir->counters[result.hits[1]].from.index, 2);
	nh[8] = 63;
	put_be16(nh + 10, (uint16_t)(be16(nh + 10) + 0x100));
	ir_eval(ir, ENTRY_IN4, &p, &result);
	assert_int_equal(result.verdict, EVAL_DROP);
	assert_string_equal(result.by->chain, "in");
	assert_int_equal(result.by->index, 0);
	assert_int_equal(result.nhits, 2); /* the jump and the policy */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_nothing),
	    T(test_priorities),
	    T(test_policies),
	    T(test_equal_priority),
	    T(test_equal_priority_harmless),
	    T(test_nat),
	    T(test_nat_beside_filter),
	    T(test_dormant),
	    T(test_trim),
	    T(test_trim_all),
	    T(test_sees_first),
	    T(test_inet_ingress),
	    T(test_flowtable),
	    T(test_odd),
	    T(test_before_conntrack),
	    T(test_before_conntrack_hooks),
	    T(test_user_chains),
	    T(test_depth),
	    T(test_circle),
	    T(test_many_chains),
	    T(test_hook_refusals),
	    T(test_hook_crowded),
	    T(test_hook),
	    T(test_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
