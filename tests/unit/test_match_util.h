/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One x_tables entry and one packet: what becomes of the packet.  The entry is lowered alone,
 * checked, and evaluated as a hook program, whose counters tell "matched" from "hot-dropped".
 */
#ifndef NF2BPF_TESTS_TEST_MATCH_UTIL_H
#define NF2BPF_TESTS_TEST_MATCH_UTIL_H

#include "test_ir_packets.h"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include "match/match.h"

enum outcome { NO_MATCH, MATCH, HOTDROP, LEFT };

static struct ruleset *rs;
static enum dialect dialect;
static struct eval_result result;
static const char *ops_text; /* of the last lowering */

static inline int setup(void **state)
{
	rs = ruleset_new();
	dialect = DIALECT_XT;
	return 0;
}

static inline int teardown(void **state)
{
	ruleset_free(rs);
	return 0;
}

/* An entry without any test: iptables -A INPUT */
static inline struct rule *entry(enum family family)
{
	struct table *t = ruleset_find_table(rs, BACKEND_LEGACY, family, "filter");
	struct chain *c;

	if (!t) {
		t = ruleset_add_table(rs, BACKEND_LEGACY, family, "filter");
		c = table_add_chain(rs, t, "INPUT");
		c->is_base = true;
	}
	c = t->chains;
	struct rule *r = chain_add_rule(rs, c);

	r->xt.verdict = XTV_CONTINUE;
	return r;
}

static inline void entry_proto(struct rule *r, uint16_t proto)
{
	r->xt.base.proto = proto;
	if (r->from.family == FAMILY_IP6)
		r->xt.base.flags |= IP6T_F_PROTO;
}

/* Padded to 8 bytes, as in the kernel's entries. */
static inline void entry_match(struct rule *r, const char *name, uint8_t revision,
			       const void *data, size_t len)
{
	struct xt_entry *e = &r->xt;
	uint8_t *padded = arena_alloc(rs->mem, len + 8);

	memcpy(padded, data, len);
	e->matches =
	    arena_grow(rs->mem, e->matches, e->nmatches, e->nmatches + 1, sizeof(*e->matches));
	e->matches[e->nmatches++] = (struct xt_ext){
	    .name = name, .revision = revision, .data = padded, .len = (len + 7) / 8 * 8};
}

static struct ir_chain *user_chain;

static inline struct ir_chain *find_user_chain(struct lower *lw, const char *name)
{
	if (strcmp(name, "user"))
		return NULL;
	if (!user_chain)
		user_chain = ir_add_chain(lw->ir, "filter/user", NULL);
	return user_chain;
}

/* Counter 0: the policy, accept. */
static inline struct ir *lower_entries(enum site_kind site, struct rule *const *rules, size_t n)
{
	struct ir *ir = ir_new(rs->mem, site);
	enum family family = rules[0]->from.family;
	struct lower lw = {.rs = rs,
			   .ir = ir,
			   .family = family,
			   .dialect = dialect,
			   .hook = HOOK_INPUT,
			   .chain = find_user_chain};
	struct ir_entry *e = &ir->entries[ENTRY_HOOK];
	struct diag d = {0};
	struct buf text = {0};
	struct ir_chain *c;
	size_t i;

	user_chain = NULL;
	c = ir_add_chain(ir, "filter/INPUT", &rules[0]->chain->from);
	c->is_base = true;
	c->policy.verdict = V_ACCEPT;
	c->policy_counter = (int32_t)ir_add_counter(ir, NULL, true);
	for (i = 0; i < n; i++)
		lower_xt_rule(&lw, rules[i], ir_add_rule(ir, c, &rules[i]->from));
	e->used = true;
	e->family = family;
	e->stages = arena_alloc(rs->mem, sizeof(*e->stages));
	e->stages[0] = (struct ir_stage){.chain = c, .dialect = dialect};
	e->nstages = 1;
	if (ir_check(ir, &d))
		diag_print(&d, stderr, "test");
	assert_int_equal(d.nerrors, 0);
	diag_free(&d);
	ir_print(ir, &text);
	ops_text = arena_strdup(rs->mem, buf_str(&text));
	buf_free(&text);
	return ir;
}

static inline enum outcome judge_packet(struct rule *r, const struct packet *p)
{
	struct ir *ir = lower_entries(SITE_HOOK, &r, 1);

	ir_eval(ir, ENTRY_HOOK, p, &result);
	switch (result.verdict) {
	case EVAL_LEAVE:
		return LEFT;
	case EVAL_DROP:
		assert_int_equal(result.nhits, 0);
		return HOTDROP;
	default:
		break;
	}
	assert_int_equal(result.hits[result.nhits - 1], 0);
	return result.nhits == 2 ? MATCH : NO_MATCH;
}

static inline enum outcome judge(struct rule *r, const struct made *m)
{
	struct packet p = made_packet(m, false);

	return judge_packet(r, &p);
}

/* ---- packets ---- */

static inline struct made tcp4(uint16_t sport, uint16_t dport, uint8_t flags)
{
	struct made m = {0};

	put_ipv4(&m, 6);
	put_tcp(&m, dport, flags);
	put_be16(m.bytes + 20, sport);
	made_finish_ipv4(&m, 0);
	return m;
}

static inline struct made tcp6(uint16_t sport, uint16_t dport, uint8_t flags)
{
	struct made m = {0};

	put_ipv6(&m, 6);
	put_tcp(&m, dport, flags);
	put_be16(m.bytes + 40, sport);
	made_finish_ipv6(&m, 0);
	return m;
}

static inline struct made udp4(uint16_t sport, uint16_t dport)
{
	struct made m = {0};

	put_ipv4(&m, 17);
	put_udp(&m, dport, 4);
	put_be16(m.bytes + 20, sport);
	made_finish_ipv4(&m, 0);
	return m;
}

static inline struct made udp6(uint16_t sport, uint16_t dport)
{
	struct made m = {0};

	put_ipv6(&m, 17);
	put_udp(&m, dport, 4);
	put_be16(m.bytes + 40, sport);
	made_finish_ipv6(&m, 0);
	return m;
}

static inline struct made raw4(uint8_t proto, const void *payload, size_t len)
{
	struct made m = {0};

	put_ipv4(&m, proto);
	made_put(&m, payload, len);
	made_finish_ipv4(&m, 0);
	return m;
}

static inline struct made raw6(uint8_t next, const void *payload, size_t len)
{
	struct made m = {0};

	put_ipv6(&m, next);
	made_put(&m, payload, len);
	made_finish_ipv6(&m, 0);
	return m;
}

static inline struct made icmp4(uint8_t type, uint8_t code)
{
	return raw4(1, (const uint8_t[]){type, code, 0, 0, 0, 0, 0, 0}, 8);
}

static inline struct made icmp6(uint8_t type, uint8_t code)
{
	return raw6(58, (const uint8_t[]){type, code, 0, 0, 0, 0, 0, 0}, 8);
}

/* One byte of the IPv4 header changed. */
static inline struct made patched4(struct made m, size_t off, uint8_t value)
{
	m.bytes[off] = value;
	made_finish_ipv4(&m, 0);
	return m;
}

/* A later fragment, its bytes as they are; offset in units of 8 bytes. */
static inline struct made fragment4(struct made m, uint16_t offset)
{
	put_be16(m.bytes + 6, offset);
	made_finish_ipv4(&m, 0);
	return m;
}

static inline struct made cut4(struct made m, size_t transport_bytes)
{
	m.len = 20 + transport_bytes;
	made_finish_ipv4(&m, 0);
	return m;
}

static inline struct made cut6(struct made m, size_t transport_bytes)
{
	m.len = 40 + transport_bytes;
	made_finish_ipv6(&m, 0);
	return m;
}

static inline struct made addressed4(struct made m, uint32_t src, uint32_t dst)
{
	put_be32(m.bytes + 12, src);
	put_be32(m.bytes + 16, dst);
	made_finish_ipv4(&m, 0);
	return m;
}

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

/* outcome, entry, packet (an expression) */
#define EXPECT(want, r, ...)                                                                   \
	do {                                                                                   \
		struct made packet_ = (__VA_ARGS__);                                           \
		enum outcome got_ = judge((r), &packet_);                                      \
                                                                                               \
		if (got_ != (want))                                                            \
			fprintf(stderr, "%s\n", ops_text);                                     \
		assert_int_equal(got_, (want));                                                \
	} while (0)

#endif
