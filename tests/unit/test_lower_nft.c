// SPDX-License-Identifier: GPL-2.0
/*
 * lower/lower_nft*.c: rules as `nft --debug=netlink` shows them.
 *
 * First the ops that come out, for one rule each; then sets; then random rules on random
 * packets: a second, independent reading of the expressions (tests/lib/raw_nft.c) must agree
 * with the evaluator of the IR wherever the IR does not leave the packet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ir/ir_eval.h"
#include "lower/lower.h"
#include "read/read.h"
#include "tests/lib/raw.h"

static struct ruleset *rs;
static struct table *table;
static struct chain *base;
static struct rule *rule;

static int setup(void **state)
{
	rs = ruleset_new();
	table = ruleset_add_table(rs, BACKEND_NFT, FAMILY_INET, "t");
	base = table_add_chain(rs, table, "c");
	base->is_base = true;
	base->hook = HOOK_INPUT;
	base->type = CHAIN_FILTER;
	rule = chain_add_rule(rs, base);
	rule->exprs = arena_array(rs->mem, 64, sizeof(*rule->exprs));
	return 0;
}

static int teardown(void **state)
{
	ruleset_free(rs);
	return 0;
}

/* ---- expressions ---- */

static struct nexpr *expr(enum nexpr_kind kind, const char *name)
{
	struct nexpr *e = &rule->exprs[rule->nexprs++];

	*e = (struct nexpr){.kind = kind, .name = name};
	return e;
}

static const uint8_t *bytes(const void *p, size_t n)
{
	return arena_memdup(rs->mem, p, n);
}

static void payload(uint32_t b, uint32_t offset, uint32_t len, uint32_t dreg)
{
	struct nexpr *e = expr(NEXPR_PAYLOAD, "payload");

	e->payload.base = b;
	e->payload.offset = offset;
	e->payload.len = len;
	e->payload.dreg = dreg;
}

static void meta(uint32_t key, uint32_t dreg)
{
	struct nexpr *e = expr(NEXPR_META, "meta");

	e->meta.key = key;
	e->meta.dreg = dreg;
}

static void ct(uint32_t key, uint32_t dreg)
{
	struct nexpr *e = expr(NEXPR_CT, "ct");

	e->ct.key = key;
	e->ct.dreg = dreg;
}

static void cmp(uint32_t op, uint32_t sreg, const void *data, uint32_t len)
{
	struct nexpr *e = expr(NEXPR_CMP, "cmp");

	e->cmp.op = op;
	e->cmp.sreg = sreg;
	e->cmp.data = bytes(data, len);
	e->cmp.len = len;
}

static void range(uint32_t op, uint32_t sreg, const void *from, const void *to, uint32_t len)
{
	struct nexpr *e = expr(NEXPR_RANGE, "range");

	e->range.op = op;
	e->range.sreg = sreg;
	e->range.from = bytes(from, len);
	e->range.to = bytes(to, len);
	e->range.len = len;
}

static void bitwise(uint32_t sreg, uint32_t dreg, const void *mask, const void * xor,
		    uint32_t len)
{
	struct nexpr *e = expr(NEXPR_BITWISE, "bitwise");

	e->bitwise.op = NFT_BITWISE_BOOL;
	e->bitwise.sreg = sreg;
	e->bitwise.dreg = dreg;
	e->bitwise.len = len;
	e->bitwise.mask = bytes(mask, len);
	e->bitwise.xor = bytes(xor, len);
}

static void byteorder(uint32_t sreg, uint32_t dreg, uint32_t len, uint32_t size)
{
	struct nexpr *e = expr(NEXPR_BYTEORDER, "byteorder");

	e->byteorder.op = NFT_BYTEORDER_HTON;
	e->byteorder.sreg = sreg;
	e->byteorder.dreg = dreg;
	e->byteorder.len = len;
	e->byteorder.size = size;
}

static void lookup(const char *set, uint32_t sreg, bool invert)
{
	struct nexpr *e = expr(NEXPR_LOOKUP, "lookup");

	e->lookup.set_name = set;
	e->lookup.sreg = sreg;
	e->lookup.invert = invert;
}

static void vmap(const char *set, uint32_t sreg)
{
	lookup(set, sreg, false);
	rule->exprs[rule->nexprs - 1].lookup.has_dreg = true;
	rule->exprs[rule->nexprs - 1].lookup.dreg = NFT_REG_VERDICT;
}

static void counter(void)
{
	expr(NEXPR_COUNTER, "counter");
	rule->has_counter = true;
}

static void verdict(int32_t code, const char *chain)
{
	struct nexpr *e = expr(NEXPR_IMMEDIATE, "immediate");

	e->immediate.dreg = NFT_REG_VERDICT;
	e->immediate.is_verdict = true;
	e->immediate.verdict = (struct nft_verdict){code, chain};
}

#define B(...) ((const uint8_t[]){__VA_ARGS__})
#define NB(...) sizeof((const uint8_t[]){__VA_ARGS__})
#define CMP(op, sreg, ...) cmp(NFT_CMP_##op, sreg, B(__VA_ARGS__), NB(__VA_ARGS__))

static void l4proto(uint8_t proto)
{
	meta(NFT_META_L4PROTO, 1);
	CMP(EQ, 1, proto);
}

/* ---- what comes out ---- */

static struct ir *hook_ir(enum family family)
{
	struct diag d = {0};
	struct ir *ir = NULL;
	int err = lower_hook(rs, base, family, rs->mem, &ir, &d);

	diag_print(&d, stderr, "test");
	diag_free(&d);
	assert_int_equal(err, 0);
	return ir;
}

/* The ops of the rule, one a line, without the counters' numbers. */
static char *ops(enum family family)
{
	struct ir *ir = hook_ir(family);
	struct buf text = {0}, out = {0};
	char *line, *save = NULL, *result;
	bool in_rule = false;

	ir_print(ir, &text);
	for (line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strcmp(line, "  rule"))
			in_rule = !in_rule;
		else if (strncmp(line, "    ", 4))
			in_rule = false;
		else if (in_rule && strncmp(line + 4, "from ", 5))
			buf_printf(&out, "%s\n",
				   !strncmp(line + 4, "count ", 6) ? "count" : line + 4);
	}
	result = arena_strdup(rs->mem, buf_str(&out));
	buf_free(&text);
	buf_free(&out);
	rule->nexprs = 0;
	return result;
}

#define EXPECT(family, text) assert_string_equal(ops(FAMILY_##family), text)

static void test_port(void **state)
{
	/* tcp dport 22 counter accept */
	l4proto(6);
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	CMP(EQ, 1, 0, 22);
	counter();
	verdict(NF_ACCEPT, NULL);
	EXPECT(IP, "test l4.proto == 0x6\n"
		   "test l4.avail in 0x4-0xffff\n"
		   "test th[2:2] == 0x16\n"
		   "count\n"
		   "verdict accept\n");
	l4proto(6);
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	CMP(GTE, 1, 4, 0);
	verdict(NF_DROP, NULL);
	/* On IPv6 the header may not be found; without a counter of its own the rule gets ours.
	 */
	EXPECT(IP6, "test l4.ok == 0x1\n"
		    "test l4.proto == 0x6\n"
		    "test l4.avail in 0x4-0xffff\n"
		    "test th[2:2] in 0x400-0xffff\n"
		    "count\n"
		    "verdict drop\n");
}

static void test_counter_is_in_view(void **state)
{
	struct ir *ir;

	/* counter ip saddr 10.0.0.1 counter drop: the first is the one that the model has */
	counter();
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 1);
	CMP(EQ, 1, 10, 0, 0, 1);
	counter();
	verdict(NF_DROP, NULL);
	ir = hook_ir(FAMILY_IP);
	assert_int_equal(ir->ncounters, 3); /* the policy's too */
	assert_false(ir->counters[0].in_view);
	assert_true(ir->counters[1].in_view);
	assert_int_equal(ir->counters[1].from.index, 1);
	assert_false(ir->counters[2].in_view);
	EXPECT(IP, "count\ntest nh[12:4] == 0xa000001\ncount\nverdict drop\n");
}

static void test_prefix(void **state)
{
	/* ip saddr 10.1.0.0/16: nft compares two bytes */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 2, 1);
	CMP(EQ, 1, 10, 1);
	EXPECT(IP, "test nh[12:4] & 0xffff0000 == 0xa010000\ncount\n");
	/* ip daddr != 10.0.0.0/20 */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 4, 1);
	bitwise(1, 1, B(255, 255, 240, 0), B(0, 0, 0, 0), 4);
	CMP(NEQ, 1, 10, 0, 0, 0);
	EXPECT(IP, "test nh[16:4] & 0xfffff000 != 0xa000000\ncount\n");
	/* Both addresses in one comparison. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 8, 1);
	CMP(EQ, 1, 10, 0, 0, 1, 10, 0, 0, 2);
	EXPECT(IP, "test nh[12:4] == 0xa000001\ntest nh[16:4] == 0xa000002\ncount\n");
	/* A bit wanted that the mask takes away: never; but a counter before stays. */
	counter();
	payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 4, 1);
	bitwise(1, 1, B(255, 255, 240, 0), B(0, 0, 0, 0), 4);
	CMP(EQ, 1, 10, 0, 0, 1);
	verdict(NF_DROP, NULL);
	EXPECT(IP, "count\n");
}

static void test_header_beyond(void **state)
{
	/* Byte 22 is not in every IPv4 packet, but in every IPv6 packet. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 20, 2, 1);
	CMP(EQ, 1, 1, 2);
	EXPECT(IP, "test len in 0x16-0xffffffff\ntest nh[20:2] == 0x102\ncount\n");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 20, 2, 1);
	CMP(EQ, 1, 1, 2);
	EXPECT(IP6, "test nh[8:16] & 0xffff0000 == 0x1020000\ncount\n");
	/* Not in the window of the site. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 60, 2, 1);
	CMP(EQ, 1, 1, 2);
	EXPECT(IP, "test len in 0x3e-0xffffffff\n"
		   "leave pure \"nh[60:2] not known at nf\"\ncount\n");
	payload(NFT_PAYLOAD_INNER_HEADER, 0, 2, 1);
	CMP(EQ, 1, 1, 2);
	EXPECT(IP, "leave pure \"expression payload: inner header\"\ncount\n");
}

static void test_link_layer(void **state)
{
	payload(NFT_PAYLOAD_LL_HEADER, 6, 6, 1);
	CMP(EQ, 1, 2, 0, 0, 0, 0, 1);
	EXPECT(IP, "test ll.ok == 0x1\ntest ll[6:6] == 0x20000000001\ncount\n");
	/* The type: a tag that was taken off would stand before it. */
	payload(NFT_PAYLOAD_LL_HEADER, 12, 2, 1);
	CMP(EQ, 1, 8, 0);
	EXPECT(IP, "leave pure \"expression payload: link-layer header behind the "
		   "addresses\"\ncount\n");
}

static void test_family_constants(void **state)
{
	meta(NFT_META_NFPROTO, 1);
	CMP(EQ, 1, 2);
	verdict(NF_DROP, NULL);
	EXPECT(IP, "count\nverdict drop\n");
	meta(NFT_META_NFPROTO, 1);
	CMP(EQ, 1, 2);
	verdict(NF_DROP, NULL);
	EXPECT(IP6, "");
	meta(NFT_META_PROTOCOL, 1);
	CMP(EQ, 1, 0x86, 0xdd);
	EXPECT(IP6, "count\n");
	meta(NFT_META_PROTOCOL, 1);
	CMP(NEQ, 1, 0x86, 0xdd);
	EXPECT(IP, "count\n");
}

static void test_names(void **state)
{
	meta(NFT_META_IIFNAME, 1);
	CMP(EQ, 1, 'e', 't', 'h', '0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	EXPECT(IP, "test iifname == 0x65746830000000000000000000000000\ncount\n");
	/* oifname "eth*" */
	meta(NFT_META_OIFNAME, 1);
	CMP(NEQ, 1, 'e', 't', 'h');
	EXPECT(IP, "test oifname & 0xffffff00000000000000000000000000 "
		   "!= 0x65746800000000000000000000000000\ncount\n");
}

static void test_host_order(void **state)
{
	uint32_t mark = 0x01020304, mask = 0xff, zero = 0;
	char want[128];

	meta(NFT_META_MARK, 1);
	cmp(NFT_CMP_EQ, 1, &mark, 4);
	EXPECT(IP, "test mark == 0x1020304\ncount\n");
	meta(NFT_META_MARK, 1);
	bitwise(1, 1, &mask, &zero, 4);
	cmp(NFT_CMP_NEQ, 1, &zero, 4);
	EXPECT(IP, "test mark & 0xff != 0x0\ncount\n");
	/* mark 10-20: nft swaps first */
	meta(NFT_META_MARK, 1);
	byteorder(1, 1, 4, 4);
	range(NFT_RANGE_EQ, 1, B(0, 0, 0, 10), B(0, 0, 0, 20), 4);
	EXPECT(IP, "test mark in 0xa-0x14\ncount\n");
	meta(NFT_META_LEN, 1);
	byteorder(1, 1, 4, 4);
	CMP(GT, 1, 0, 0, 5, 220);
	EXPECT(IP, "test len in 0x5dd-0xffffffff\ncount\n");
	/* Unswapped, memcmp() orders the lowest byte first. */
	meta(NFT_META_MARK, 1);
	cmp(NFT_CMP_LT, 1, &mark, 4);
	snprintf(want, sizeof(want), "%s",
		 __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		     ? "leave pure \"expression cmp: order of bytes in host order\"\ncount\n"
		     : "test mark in 0x0-0x1020303\ncount\n");
	EXPECT(IP, want);
	/* A port turned twice is a port. */
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, 1);
	byteorder(1, 2, 2, 2);
	byteorder(2, 2, 2, 2);
	CMP(LTE, 2, 0, 7);
	EXPECT(IP, "test l4.avail in 0x2-0xffff\ntest th[0:2] "
		   "in 0x0-0x7\ncount\n");
}

static void test_order_of_constants(void **state)
{
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	CMP(LT, 1, 0);
	verdict(NF_DROP, NULL);
	EXPECT(IP, "");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	CMP(GT, 1, 255);
	EXPECT(IP, "");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	CMP(LTE, 1, 255);
	EXPECT(IP, "count\n");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	range(NFT_RANGE_NEQ, 1, B(5), B(9), 1);
	EXPECT(IP, "test nh[8:1] out 0x5-0x9\ncount\n");
	/* An inverted range holds nothing. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	range(NFT_RANGE_EQ, 1, B(9), B(5), 1);
	EXPECT(IP, "");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	range(NFT_RANGE_NEQ, 1, B(9), B(5), 1);
	EXPECT(IP, "count\n");
}

static void test_conntrack(void **state)
{
	uint32_t bits = 2 | 4, zero = 0;

	ct(NFT_CT_STATE, 1);
	bitwise(1, 1, &bits, &zero, 4);
	cmp(NFT_CMP_NEQ, 1, &zero, 4);
	EXPECT(IP, "test ct.state & 0x6 != 0x0\ncount\n");
	/* Without an entry there is no status, and the rule does not match. */
	ct(NFT_CT_STATUS, 1);
	cmp(NFT_CMP_NEQ, 1, &bits, 4);
	ct(NFT_CT_DIRECTION, 2);
	CMP(EQ, 2, 1);
	EXPECT(IP, "test ct.ok == 0x1\ntest ct.status != 0x6\ntest ct.dir == 0x1\ncount\n");
	ct(NFT_CT_ZONE, 1);
	CMP(EQ, 1, 0, 1);
	EXPECT(IP, "leave pure \"ct zone\"\ncount\n");
	ct(NFT_CT_MARK, 1);
	rule->exprs[0].ct.set = true;
	verdict(NF_DROP, NULL);
	EXPECT(IP, "leave \"ct mark set\"\n");
}

static void test_leaves(void **state)
{
	static const struct {
		const char *name;
		bool pure;
	} opaque[] = {{"limit", false},  {"log", false},    {"nat", false},
		      {"numgen", false}, {"quota", false},  {"dynset", false},
		      {"rt", true},      {"hash", true},    {"osf", true},
		      {"new", false},    {"objref", false}, {"notrack", false}};
	char want[128];
	size_t i;

	for (i = 0; i < sizeof(opaque) / sizeof(opaque[0]); i++) {
		/* The tests behind a pure one come first, behind the others nothing is lowered.
		 */
		expr(NEXPR_OPAQUE, opaque[i].name);
		payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
		CMP(EQ, 1, 64);
		verdict(NF_DROP, NULL);
		snprintf(want, sizeof(want), "%sleave %s\"expression %s\"\n%s",
			 opaque[i].pure ? "test nh[8:1] == 0x40\n" : "",
			 opaque[i].pure ? "pure " : "", opaque[i].name,
			 opaque[i].pure ? "count\nverdict drop\n" : "");
		EXPECT(IP, want);
	}
	meta(NFT_META_MARK, 1);
	rule->exprs[0].meta.set = true;
	EXPECT(IP, "leave \"meta mark set\"\n");
	meta(NFT_META_SKUID, 1);
	CMP(EQ, 1, 0, 0, 0, 0);
	EXPECT(IP, "leave pure \"meta skuid\"\ncount\n");
	meta(99, 1);
	EXPECT(IP, "leave pure \"meta key 99\"\ncount\n");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	rule->exprs[0].payload.set = true;
	EXPECT(IP, "leave \"expression payload: writes to the packet\"\n");
	/* Whatever the reader did not understand. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	rule->exprs[0].odd = "payload: attribute 77";
	verdict(NF_DROP, NULL);
	EXPECT(IP, "leave \"payload: attribute 77\"\n");
	/* A register that nothing wrote, and one that does not exist. */
	CMP(EQ, 2, 1);
	EXPECT(IP, "leave pure \"expression cmp: content of register not known\"\ncount\n");
	CMP(EQ, 24, 1);
	EXPECT(IP, "leave \"expression cmp: registers\"\n");
	/* What was loaded is overwritten by what we do not know. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	expr(NEXPR_OPAQUE, "rt");
	CMP(EQ, 1, 64);
	verdict(NF_DROP, NULL);
	EXPECT(IP, "leave pure \"expression rt\"\ncount\nverdict drop\n");
}

static void test_registers(void **state)
{
	/* NFT_REG32_04 is the first word of NFT_REG_2. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG32_04);
	CMP(EQ, 2, 64);
	EXPECT(IP, "test nh[8:1] == 0x40\ncount\n");
	/* A load fills its last word with zeros. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	CMP(EQ, 1, 64, 0, 0, 0);
	EXPECT(IP, "test nh[8:1] == 0x40\ncount\n");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, 1);
	CMP(EQ, 1, 64, 0, 0, 1);
	EXPECT(IP, "");
	/* Neighbours in the registers, not in the packet. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_00);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG32_01);
	CMP(EQ, 1, 10, 0, 0, 1, 64);
	EXPECT(IP, "test nh[12:4] == 0xa000001\ntest nh[8:1] == 0x40\ncount\n");
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_00);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG32_01);
	CMP(NEQ, 1, 10, 0, 0, 1, 64);
	EXPECT(IP, "leave pure \"expression cmp: inequality of several fields\"\ncount\n");
	/* As many bytes as a run of the header has, but four of them twice and four never. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_00);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_01);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 20, 4, NFT_REG32_02);
	CMP(NEQ, 1, 10, 0, 0, 1, 10, 0, 0, 1, 10, 0, 0, 1);
	EXPECT(IP6, "leave pure \"expression cmp: inequality of several fields\"\ncount\n");
}

static void test_verdicts(void **state)
{
	verdict(NFT_RETURN, NULL);
	EXPECT(IP, "count\nverdict return\n");
	verdict(NFT_CONTINUE, NULL);
	EXPECT(IP, "count\n");
	verdict(NFT_BREAK, NULL);
	verdict(NF_DROP, NULL);
	EXPECT(IP, "");
	verdict(NF_QUEUE, NULL);
	EXPECT(IP, "count\nleave \"verdict 3\"\n");
	verdict(NFT_JUMP, "nowhere");
	EXPECT(IP, "count\nleave \"jump to chain nowhere, which is not there\"\n");
	verdict(NFT_JUMP, "c"); /* a base chain */
	EXPECT(IP, "count\nleave \"jump to chain c, which is not there\"\n");
	table_add_chain(rs, table, "user");
	verdict(NFT_GOTO, "user");
	EXPECT(IP6, "count\nverdict goto \"inet/ip6 t user\"\n");
}

/*
 * nft_payload_fast_eval() reads a later fragment where nft_payload_eval() ends the rule; a load
 * of 3 bytes is always the latter's.
 */
static void test_later_fragment(void **state)
{
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 3, 1);
	CMP(EQ, 1, 1, 2, 3);
	EXPECT(IP, "test l4.frag == 0x0\ntest l4.avail in 0x3-0xffff\n"
		   "test th[0:2] == 0x102\ntest th[2:1] == 0x3\ncount\n");
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 1);
	CMP(EQ, 1, 8);
	EXPECT(IP, "test l4.avail in 0x1-0xffff\ntest th[0:1] == 0x8\ncount\n");
	/* A kernel that nobody has looked at. */
	rs->env.nft_unknown = true;
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 1);
	CMP(EQ, 1, 8);
	EXPECT(IP, "test l4.frag == 0x0 else leave\ntest l4.avail in 0x1-0xffff\n"
		   "test th[0:1] == 0x8\ncount\n");
	rs->env.nft_unknown = false;
}

static void exthdr(uint32_t op, uint8_t type, uint32_t flags, uint32_t dreg)
{
	struct nexpr *e = expr(NEXPR_EXTHDR, "exthdr");

	e->exthdr.op = op;
	e->exthdr.type = type;
	e->exthdr.flags = flags;
	e->exthdr.len = 1;
	e->exthdr.dreg = dreg;
}

/* nft_exthdr_ipv6_eval(), nft_exthdr_tcp_eval(): presence is 0 or 1 in the register, a value
 * that is not there breaks. A packet with any such header or option is left. */
static void test_exthdr(void **state)
{
	/* exthdr frag exists: never for a packet without extension headers */
	exthdr(NFT_EXTHDR_OP_IPV6, 44, NFT_EXTHDR_F_PRESENT, 1);
	CMP(EQ, 1, 1);
	EXPECT(IP6, "test l4.ok == 0x1 else leave\ntest exthdrs == 0x0 else leave\n");
	/* exthdr frag missing */
	exthdr(NFT_EXTHDR_OP_IPV6, 44, NFT_EXTHDR_F_PRESENT, 1);
	CMP(EQ, 1, 0);
	EXPECT(IP6, "test l4.ok == 0x1 else leave\ntest exthdrs == 0x0 else leave\ncount\n");
	/* rt type 0 */
	exthdr(NFT_EXTHDR_OP_IPV6, 43, 0, 1);
	CMP(EQ, 1, 0);
	EXPECT(IP6, "test l4.ok == 0x1 else leave\ntest exthdrs == 0x0 else leave\n");
	/* tcp option maxseg exists */
	exthdr(NFT_EXTHDR_OP_TCPOPT, 2, NFT_EXTHDR_F_PRESENT, 1);
	CMP(NEQ, 1, 1);
	EXPECT(
	    IP,
	    "test l4.frag == 0x0 else leave\ntest tcp.opts & 0x4 == 0x0 else leave\ncount\n");
}

/* ---- sets ---- */

static struct nft_set *new_set(const char *name, uint32_t flags, uint32_t key_len, size_t room)
{
	struct nft_set *s = table_add_set(rs, table, name);

	s->flags = flags;
	s->key_len = key_len;
	s->elems = arena_array(rs->mem, room, sizeof(*s->elems));
	if (flags & NFT_SET_MAP)
		s->data_type = NFT_DATA_VERDICT;
	return s;
}

static struct set_elem *add_elem(struct nft_set *s, const void *key)
{
	struct set_elem *e = &s->elems[s->nelems++];

	e->key = bytes(key, s->key_len);
	return e;
}

static struct set_elem *add_verdict(struct nft_set *s, const void *key, int32_t code)
{
	struct set_elem *e = add_elem(s, key);

	e->has_verdict = true;
	e->verdict.code = code;
	return e;
}

static const char *why_not(const struct nft_set *s)
{
	struct lower lw = {
	    .rs = rs, .ir = ir_new(rs->mem, SITE_HOOK), .family = FAMILY_IP, .table = table};
	const char *why = "made";

	assert_true(!lower_nft_set(&lw, s, &why) == !!strcmp(why, "made"));
	return why;
}

static const struct ir_set *made(const struct nft_set *s)
{
	struct lower lw = {
	    .rs = rs, .ir = ir_new(rs->mem, SITE_HOOK), .family = FAMILY_IP, .table = table};
	const char *why = NULL;
	const struct ir_set *set = lower_nft_set(&lw, s, &why);

	if (!set)
		fail_msg("%s", why);
	assert_ptr_equal(lower_nft_set(&lw, s, &why), set);
	return set;
}

static void test_set_hash(void **state)
{
	struct nft_set *s = new_set("ports", 0, 2, 4);

	add_elem(s, B(0, 80));
	add_elem(s, B(0, 22));
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	lookup("ports", 1, false);
	EXPECT(IP, "test l4.avail in 0x4-0xffff\n"
		   "lookup th[2:2] in \"inet t @ports\"\ncount\n");
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	lookup("ports", 1, true);
	EXPECT(IP, "test l4.avail in 0x4-0xffff\n"
		   "lookup th[2:2] not in \"inet t @ports\"\ncount\n");
	lookup("nothing", 1, false);
	EXPECT(IP, "leave \"expression lookup: no set nothing\"\n");
	/* An empty one holds nothing. */
	s->nelems = 0;
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	lookup("ports", 1, false);
	EXPECT(IP, "");
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	lookup("ports", 1, true);
	EXPECT(IP, "test l4.avail in 0x4-0xffff\ncount\n");
}

static void test_set_host_order(void **state)
{
	struct nft_set *s = new_set("marks", 0, 4, 4);
	uint32_t mark = 7;
	struct ir *ir;

	add_elem(s, &mark);
	meta(NFT_META_MARK, 1);
	lookup("marks", 1, false);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 1);
	lookup("marks", 1, false);
	ir = hook_ir(FAMILY_IP);
	/* The same elements are another number in another order of bytes. */
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
		assert_int_equal(ir->nsets, 2);
		assert_true(u128_eq(ir->sets->lo[0], U128(7)));
		assert_true(u128_eq(ir->sets->next->lo[0], U128(0x07000000)));
	}
}

static void assert_interval(const struct ir_set *s, size_t i, uint64_t lo, uint64_t hi)
{
	assert_true(i < s->nelems);
	assert_true(u128_eq(s->lo[i], U128(lo)));
	assert_true(u128_eq(s->hi[i], U128(hi)));
}

static void test_set_interval(void **state)
{
	struct nft_set *s = new_set("nets", NFT_SET_INTERVAL, 4, 16);
	const struct ir_set *set;

	/* 10.0.0.0/8, 192.168.0.0/24 and the 25.0.0.0/8 beside it, 255.0.0.0/8: as dumped, from
	 * the end */
	add_elem(s, B(255, 0, 0, 0));
	add_elem(s, B(192, 168, 2, 0))->interval_end = true;
	add_elem(s, B(192, 168, 1, 0));
	add_elem(s, B(192, 168, 1, 0))->interval_end = true;
	add_elem(s, B(192, 168, 0, 0));
	add_elem(s, B(11, 0, 0, 0))->interval_end = true;
	add_elem(s, B(10, 0, 0, 0));
	add_elem(s, B(0, 0, 0, 0))->interval_end = true;
	set = made(s);
	assert_int_equal(set->nelems, 3);
	assert_interval(set, 0, 0x0a000000, 0x0affffff);
	assert_interval(set, 1, 0xc0a80000, 0xc0a801ff);
	assert_interval(set, 2, 0xff000000, 0xffffffff);
}

static void test_set_interval_host_order(void **state)
{
	struct nft_set *s = new_set("marks", NFT_SET_INTERVAL, 4, 16);
	struct ir *ir;

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		skip();
	/* A point stays a point. */
	add_elem(s, B(7, 0, 0, 0));
	add_elem(s, B(7, 0, 0, 1))->interval_end = true;
	meta(NFT_META_MARK, 1);
	lookup("marks", 1, false);
	ir = hook_ir(FAMILY_IP);
	assert_interval(ir->sets, 0, 7, 7);
	s->elems[1].key = B(8, 0, 0, 0);
	assert_string_equal(
	    ops(FAMILY_IP),
	    "leave pure \"expression lookup @marks: an interval of words in host order\"\n"
	    "count\n");
	/* After hton it is the packet's order. */
	meta(NFT_META_MARK, 1);
	byteorder(1, 1, 4, 4);
	lookup("marks", 1, false);
	EXPECT(IP, "lookup mark in \"inet t @marks\"\ncount\n");
}

static void test_set_concat(void **state)
{
	struct nft_set *s = new_set("pairs", NFT_SET_INTERVAL | NFT_SET_CONCAT, 8, 4);
	const struct ir_set *set;

	s->nfields = 2;
	s->field_len[0] = 4;
	s->field_len[1] = 2;
	add_elem(s, B(10, 0, 0, 0, 0, 80, 0, 0))->key_end =
	    bytes(B(10, 0, 0, 255, 0, 81, 0, 0), 8);
	add_elem(s, B(10, 1, 0, 0, 0, 22, 0, 0));
	set = made(s);
	assert_int_equal(set->nfields, 2);
	assert_false(set->points);
	assert_true(u128_eq(set->lo[0], U128(0x0a000000)) &&
		    u128_eq(set->hi[0], U128(0x0a0000ff)));
	assert_true(u128_eq(set->lo[1], U128(80)) && u128_eq(set->hi[1], U128(81)));
	assert_true(u128_eq(set->lo[2], set->hi[2]) && u128_eq(set->hi[3], U128(22)));
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 1);
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_01);
	lookup("pairs", 1, false);
	EXPECT(IP, "test l4.avail in 0x4-0xffff\n"
		   "lookup nh[12:4], th[2:2] in \"inet t @pairs\"\ncount\n");
	/* The second field was not written. */
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, 1);
	lookup("pairs", 1, false);
	EXPECT(
	    IP,
	    "leave pure \"expression lookup @pairs: content of register not known\"\ncount\n");
	s->elems[0].key = B(10, 0, 0, 0, 0, 80, 1, 0);
	assert_string_equal(why_not(s), "padding in a key");
}

/* Only interval sets say where their fields are: the registers of a hash set's look-up do. */
static void test_set_concat_undescribed(void **state)
{
	struct nft_set *s = new_set("pairs", 0, 8, 4);

	add_elem(s, B(0, 80, 0, 0, 10, 0, 0, 1));
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_01);
	lookup("pairs", 1, false);
	EXPECT(IP, "test l4.avail in 0x4-0xffff\n"
		   "lookup th[2:2], nh[12:4] in \"inet t @pairs as 2.4\"\ncount\n");
	s->flags |= NFT_SET_INTERVAL;
	payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_01);
	lookup("pairs", 1, false);
	EXPECT(IP, "test l4.avail in 0x4-0xffff\n"
		   "leave pure \"expression lookup @pairs: intervals of several fields, not "
		   "described\"\n"
		   "count\n");
}

static void test_set_refusals(void **state)
{
	struct nft_set *s = new_set("s", 0, 4, 4);

	add_elem(s, B(1, 2, 3, 4));
	assert_string_equal(why_not(s), "made");
	s->elems[0].timeout_ms = 1000;
	assert_string_equal(why_not(s), "elements with a timeout");
	s->elems[0].timeout_ms = 0;
	s->elems[0].has_exprs = true;
	assert_string_equal(why_not(s), "elements with expressions");
	s->elems[0].has_exprs = false;
	s->elems[0].odd = "element flags 0x8";
	assert_string_equal(why_not(s), "element flags 0x8");
	s->elems[0].odd = NULL;
	s->flags = NFT_SET_EVAL;
	assert_string_equal(why_not(s), "filled by the packet path");
	s->flags = NFT_SET_OBJECT;
	assert_string_equal(why_not(s), "a map to objects");
	s->flags = NFT_SET_MAP;
	s->data_type = 7;
	assert_string_equal(why_not(s), "a map to data");
	s->flags = 0;
	s->odd = "set flags 0x1000";
	assert_string_equal(why_not(s), "set flags 0x1000");
	s->odd = NULL;
	s->nfields = IR_MAX_KEY_FIELDS + 1;
	assert_string_equal(why_not(s), "more fields than a key can have");
	s->nfields = 0;
	s->key_len = 20;
	s->elems[0].key = bytes((uint8_t[20]){0}, 20);
	assert_string_equal(why_not(s), "a field of the key has more than 16 bytes");
}

/* Without any flag of the set's: net/netfilter/nft_dynset.c nft_dynset_init() */
static void test_set_written(void **state)
{
	struct nft_set *s = new_set("s", 0, 4, 4), *other = new_set("other", 0, 4, 4);
	struct nlattr a = {.nla_len = sizeof(a) + 2, .nla_type = NFTA_DYNSET_SET_NAME};
	uint8_t raw[8] = {0};
	struct nexpr *e;

	memcpy(raw, &a, sizeof(a));
	memcpy(raw + sizeof(a), "s", 2);
	e = expr(NEXPR_OPAQUE, "dynset");
	e->raw = raw;
	e->raw_len = sizeof(raw);
	assert_string_equal(why_not(s), "filled by the packet path");
	assert_string_equal(why_not(other), "made");
	e->raw_len = 5; /* not readable: it may be any */
	assert_string_equal(why_not(other), "filled by the packet path");
}

static void test_vmap(void **state)
{
	struct nft_set *s = new_set("v", NFT_SET_MAP, 1, 8);
	struct set_elem *e;
	struct ir *ir;
	const struct ir_set *set;

	table_add_chain(rs, table, "user");
	add_verdict(s, B(6), NF_ACCEPT);
	add_verdict(s, B(17), NF_DROP);
	add_verdict(s, B(58), NF_DROP);
	add_verdict(s, B(1), NFT_JUMP)->verdict.chain = "user";
	e = &s->elems[s->nelems++];
	e->catchall = e->has_verdict = true;
	e->verdict.code = NFT_CONTINUE;
	meta(NFT_META_L4PROTO, 1);
	vmap("v", 1);
	verdict(NF_DROP, NULL);
	ir = hook_ir(FAMILY_IP);
	set = ir->sets;
	assert_int_equal(set->ntargets, 4);
	assert_int_equal(set->targets[set->miss].verdict, V_CONTINUE);
	assert_int_equal(set->targets[set->value[0]].verdict, V_JUMP);
	assert_string_equal(set->targets[set->value[0]].chain->name, "inet/ip t user");
	assert_int_equal(set->targets[set->value[1]].verdict, V_ACCEPT);
	assert_int_equal(set->value[2], set->value[3]);
	EXPECT(IP, "count\nvmap l4.proto in \"inet t @v of ip\"\nverdict drop\n");
	s->elems[3].verdict.chain = "nowhere";
	meta(NFT_META_L4PROTO, 1);
	vmap("v", 1);
	EXPECT(IP, "leave \"expression lookup @v: jump to a chain that is not there\"\n");
	s->elems[3].verdict.code = NF_QUEUE;
	meta(NFT_META_L4PROTO, 1);
	vmap("v", 1);
	EXPECT(IP, "leave \"expression lookup @v: verdict 3\"\n");
}

static void test_vmap_constant(void **state)
{
	struct nft_set *s = new_set("v", NFT_SET_MAP, 2, 8);

	table_add_chain(rs, table, "six");
	add_verdict(s, B(0x86, 0xdd), NFT_JUMP)->verdict.chain = "six";
	meta(NFT_META_PROTOCOL, 1);
	vmap("v", 1);
	EXPECT(IP6, "count\nverdict jump \"inet/ip6 t six\"\n");
	meta(NFT_META_PROTOCOL, 1);
	vmap("v", 1);
	verdict(NF_DROP, NULL);
	EXPECT(IP, "");
}

static void test_vmap_overlap(void **state)
{
	struct nft_set *s = new_set("v", NFT_SET_MAP | NFT_SET_INTERVAL | NFT_SET_CONCAT, 8, 4);
	struct lower lw = {
	    .rs = rs, .ir = ir_new(rs->mem, SITE_HOOK), .family = FAMILY_IP, .table = table};
	const char *why = NULL;

	s->nfields = 2;
	s->field_len[0] = s->field_len[1] = 4;
	add_verdict(s, B(1, 0, 0, 0, 0, 0, 0, 0), NF_DROP)->key_end = B(1, 0, 0, 9, 9, 0, 0, 0);
	add_verdict(s, B(0, 0, 0, 0, 5, 0, 0, 0), NF_ACCEPT)->key_end =
	    B(9, 0, 0, 0, 5, 0, 0, 1);
	assert_null(lower_nft_set(&lw, s, &why));
	assert_string_equal(why, "ranges with different verdicts overlap");
}

static void test_set_large(void **state)
{
	const size_t n = 100000;
	struct nft_set *s = new_set("big", 0, 4, n),
		       *nets = new_set("nets", NFT_SET_INTERVAL, 4, 2 * n);
	struct timespec a, b;
	uint8_t key[4];
	size_t i;

	for (i = 0; i < n; i++) {
		put_be32(key, (uint32_t)i * 2654435761u);
		add_elem(s, key);
		put_be32(key, (uint32_t)(n - i) * 8);
		add_elem(nets, key);
		put_be32(key, (uint32_t)(n - i) * 8 + 4);
		add_elem(nets, key)->interval_end = true;
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(made(s)->nelems, n);
	assert_int_equal(made(nets)->nelems, n);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("two sets of %zu elements: %.0f ms\n", n,
		      (double)(b.tv_sec - a.tv_sec) * 1e3 +
			  (double)(b.tv_nsec - a.tv_nsec) / 1e6);
}

/* ---- what nft itself makes of its language ---- */

static const struct {
	const char *text, *want; /* for IPv4 */
} spoken[] = {
    {"ip saddr 10.0.0.0/8 drop",
     "test nh[12:4] & 0xff000000 == 0xa000000\ncount\nverdict drop\n"},
    {"ip6 saddr ::1 drop", ""},
    {"ip dscp cs1 drop", "test nh[1:1] & 0xfc == 0x20\ncount\nverdict drop\n"},
    {"ip frag-off & 0x1fff != 0 drop", "test nh[6:2] & 0x1fff != 0x0\ncount\nverdict drop\n"},
    {"iifname \"eth*\" drop",
     "test iifname & 0xffffff00000000000000000000000000 == 0x65746800000000000000000000000000\n"
     "count\nverdict drop\n"},
    {"meta mark 5 drop", "test mark == 0x5\ncount\nverdict drop\n"},
    {"meta mark 5-9 drop",
     "test mark in 0x5-0xffffffff\ntest mark in 0x0-0x9\ncount\nverdict drop\n"},
    {"meta mark and 0xff00 == 0x1200 drop",
     "test mark & 0xff00 == 0x1200\ncount\nverdict drop\n"},
    {"meta length > 100 drop", "test len in 0x65-0xffffffff\ncount\nverdict drop\n"},
    {"ct state established,related accept",
     "test ct.state & 0x6 != 0x0\ncount\nverdict accept\n"},
    {"ct state { established, new } accept",
     "lookup ct.state in \"inet t @__set0 host order 1\"\ncount\nverdict accept\n"},
    {"tcp flags & (syn | ack) == syn drop",
     "test l4.proto == 0x6\ntest l4.avail in 0xe-0xffff\n"
     "test th[13:1] & 0x12 == 0x2\ncount\nverdict drop\n"},
    {"tcp dport { 22, 80-90 } drop",
     "test l4.proto == 0x6\ntest l4.avail in 0x4-0xffff\n"
     "lookup th[2:2] in \"inet t @__set0\"\ncount\nverdict drop\n"},
    {"ip saddr . tcp dport { 10.0.0.1 . 22 } drop",
     "test l4.proto == 0x6\ntest l4.avail in 0x4-0xffff\n"
     "lookup nh[12:4], th[2:2] in \"inet t @__set0 as 4.2\"\ncount\nverdict drop\n"},
    {"ip saddr . tcp dport { 10.0.0.0/8 . 22-23 } drop",
     "test l4.proto == 0x6\ntest l4.avail in 0x4-0xffff\n"
     "lookup nh[12:4], th[2:2] in \"inet t @__set0\"\ncount\nverdict drop\n"},
    {"meta mark . meta l4proto { 7 . tcp } drop",
     "lookup mark, l4.proto in \"inet t @__set0 as 4.1 host order 1\"\ncount\nverdict drop\n"},
    {"meta l4proto vmap { tcp : drop, udp : accept }",
     "count\nvmap l4.proto in \"inet t @__map0 of ip\"\n"},
    {"limit rate 3/second drop", "leave \"expression limit\"\n"},
};

/* One rule in a ruleset of its own, in the kernel and back. */
static void speak(const char *text)
{
	char path[] = "/tmp/nf2bpf-test-XXXXXX";
	int fd = mkstemp(path), err;
	FILE *f = fdopen(fd, "w");
	struct diag d = {0};

	assert_non_null(f);
	fprintf(f, "table inet t {\nchain c {\ntype filter hook input priority 0\n%s\n}\n}\n",
		text);
	fclose(f);
	ruleset_free(rs);
	rs = ruleset_new();
	err = read_nft_file(rs, path, &d);
	unlink(path);
	diag_print(&d, stderr, text);
	diag_free(&d);
	assert_int_equal(err, 0);
	table = rs->tables;
	base = table_find_chain(table, "c");
	rule = base->rules;
}

static void test_spoken(void **state)
{
	size_t i;

	if (geteuid()) {
		print_message("needs root: nft is asked in a network namespace of its own\n");
		skip();
	}
	for (i = 0; i < sizeof(spoken) / sizeof(spoken[0]); i++) {
		speak(spoken[i].text);
		assert_string_equal(ops(FAMILY_IP), spoken[i].want);
	}
}

/* ---- random packets ---- */

static uint64_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

struct frame {
	struct packet p;
	uint8_t data[128];
};

static void random_frame(struct frame *f, enum family family)
{
	static const uint8_t protos[] = {6, 17, 1, 58, 132};
	static const char *const names[] = {"eth0", "eth1", "wlan0", "lo1", ""};
	size_t header = family == FAMILY_IP ? 20 : 40, n, i;
	uint8_t *nh;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < sizeof(f->data); i++)
		f->data[i] = (uint8_t)rnd(4);
	f->p.has_ll = rnd(2);
	nh = f->data + (f->p.has_ll ? 14 : 0);
	n = header + (rnd(3) ? 20 : rnd(30));
	if (family == FAMILY_IP) {
		n += (size_t)(rnd(4) ? 0 : 8);
		nh[0] = n >= 28 && !rnd(4) ? 0x47 : 0x45;
		put_be16(nh + 2, (uint16_t)n);
		put_be16(nh + 6, (uint16_t)(rnd(4) ? 0 : rnd(8)));
		nh[9] = protos[rnd(5)];
		nh[12] = nh[16] = 10;
		if ((size_t)(nh[0] & 15) * 4 > n)
			nh[0] = 0x45;
		put_be16(nh + 10, 0);
		uint32_t sum = 0;
		for (i = 0; i < (size_t)(nh[0] & 15) * 4; i += 2)
			sum += be16(nh + i);
		sum = (sum & 0xffff) + (sum >> 16);
		put_be16(nh + 10, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
	} else {
		nh[0] = 0x60;
		put_be16(nh + 4, (uint16_t)(n - 40));
		nh[6] = rnd(4) ? protos[rnd(5)] : 44;
		nh[8] = nh[24] = 0x20;
		if (nh[6] == 44) {
			nh[40] = protos[rnd(5)];
			put_be16(nh + 42, (uint16_t)(rnd(2) ? rnd(2) : rnd(64)));
		}
	}
	if (f->p.has_ll)
		put_be16(f->data + 12, family == FAMILY_IP ? 0x0800 : 0x86dd);
	f->p.data = f->data;
	f->p.len = n + (f->p.has_ll ? 14 : 0);
	f->p.iif = rnd(4);
	f->p.oif = rnd(4);
	strcpy(f->p.iifname, names[rnd(5)]);
	strcpy(f->p.oifname, names[rnd(5)]);
	f->p.mark = rnd(4) << 8 * rnd(4);
	f->p.pkttype = (uint8_t)rnd(4);
	f->p.ct_ok = (uint8_t)rnd(2);
	f->p.ct_state = f->p.ct_ok ? 2u << rnd(3) : rnd(2) ? 1 : 64;
	f->p.ct_status = f->p.ct_ok ? rnd(16) : 0;
	f->p.ct_mark = f->p.ct_ok ? rnd(4) << 8 * rnd(4) : 0;
	f->p.ct_dir = f->p.ct_ok ? (uint8_t)rnd(2) : 0;
}

/* ---- random rules, made around what one packet has in the registers ---- */

static uint32_t random_load(uint32_t dreg)
{
	static const uint32_t keys[] = {NFT_META_LEN,     NFT_META_PROTOCOL, NFT_META_NFPROTO,
					NFT_META_L4PROTO, NFT_META_MARK,     NFT_META_IIF,
					NFT_META_OIF,     NFT_META_IIFNAME,  NFT_META_OIFNAME,
					NFT_META_PKTTYPE};
	static const uint8_t lens[] = {4, 2, 1, 1, 4, 4, 4, 16, 16, 1};
	static const uint32_t ct_keys[] = {NFT_CT_STATE, NFT_CT_STATUS, NFT_CT_MARK,
					   NFT_CT_DIRECTION};
	uint32_t i, len;

	switch (rnd(8)) {
	case 0:
	case 1:
		i = rnd(10);
		if (dreg > 20 && lens[i] == 16)
			i = 4;
		meta(keys[i], dreg);
		return lens[i];
	case 2:
		i = rnd(4);
		ct(ct_keys[i], dreg);
		return i == 3 ? 1 : 4;
	case 3:
	case 4:
		len = 1 + rnd(4);
		payload(NFT_PAYLOAD_TRANSPORT_HEADER, rnd(12), len, dreg);
		return len;
	case 5:
		len = 1 + rnd(6);
		payload(NFT_PAYLOAD_LL_HEADER, rnd(7), len, dreg);
		return len;
	default:
		len = rnd(3) ? 4 : 1 + rnd(dreg > 20 ? 4 : 16);
		payload(NFT_PAYLOAD_NETWORK_HEADER, rnd(2) ? 12 : rnd(24), len, dreg);
		return len;
	}
}

static void near_bytes(uint8_t *b, const uint8_t *reg, uint32_t len)
{
	memcpy(b, reg, len);
	if (!rnd(3))
		b[rnd(len)] ^= (uint8_t)(1 << rnd(3));
}

static void random_mask(uint32_t reg, uint32_t len)
{
	uint8_t mask[16], xor[16] = {
			      0};
	uint32_t i;

	for (i = 0; i < len; i++)
		mask[i] = rnd(3) ? 0xff : rnd(2) ? 0 : 0xf1;
	if (!rnd(4))
		xor[rnd(len)] = 3;
	bitwise(reg, reg, mask, xor, len);
}

static void sort_pair(uint8_t *a, uint8_t *b, uint32_t len)
{
	uint8_t t[64];

	if (memcmp(a, b, len) <= 0)
		return;
	memcpy(t, a, len);
	memcpy(a, b, len);
	memcpy(b, t, len);
}

/* A set of few elements of which one may be the registers' content. */
static struct nft_set *random_set(const uint8_t *reg, uint32_t key_len,
				  const uint8_t *field_len, uint32_t nfields, bool map)
{
	char name[16];
	bool intervals = rnd(2);
	uint32_t flags = map ? NFT_SET_MAP : 0, i, j, at, n = 1 + rnd(3);
	struct nft_set *s;
	static unsigned number;
	uint8_t a[64] = {0}, b[64] = {0};

	snprintf(name, sizeof(name), "s%u", number++);
	if (intervals)
		flags |= NFT_SET_INTERVAL | (nfields > 1 ? NFT_SET_CONCAT : 0);
	s = new_set(name, flags, key_len, 16);
	if (nfields > 1 && intervals) {
		s->nfields = nfields;
		memcpy(s->field_len, field_len, nfields);
	}
	for (i = 0; i < n; i++) {
		const int32_t code = rnd(2) ? NF_DROP : NF_ACCEPT;
		struct set_elem *e;

		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		for (at = 0, j = 0; j < nfields; at += (field_len[j++] + 3u) / 4 * 4) {
			near_bytes(a + at, reg + at, field_len[j]);
			near_bytes(b + at, reg + at, field_len[j]);
			if (i)
				a[at] = b[at] = (uint8_t)(a[at] + 16 * i);
			sort_pair(a + at, b + at, field_len[j]);
		}
		if (!intervals || nfields > 1) {
			e = add_elem(s, a);
			if (intervals)
				e->key_end = bytes(b, key_len);
		} else {
			struct u128 end = u128_inc(be_to_u128(b, key_len));

			e = add_elem(s, a);
			if (u128_cmp(end, u128_max(key_len)) <= 0) {
				u128_to_be(end, b, key_len);
				add_elem(s, b)->interval_end = true;
				e = &s->elems[s->nelems - 2];
			}
		}
		e->has_verdict = map;
		e->verdict.code = code;
		if (!memcmp(a, reg, key_len) && !intervals)
			break; /* no element twice */
	}
	if (!intervals && s->nelems == 3 && !memcmp(s->elems[1].key, s->elems[2].key, key_len))
		s->nelems = 2;
	if (!intervals && s->nelems >= 2 && !memcmp(s->elems[0].key, s->elems[1].key, key_len))
		s->nelems = 1;
	return s;
}

static void random_lookup(struct raw_machine *m, uint32_t sreg, uint32_t len)
{
	uint8_t field_len[2] = {(uint8_t)len, 0};
	uint32_t nfields = 1, key_len = len, next = (len + 3) / 4;
	struct nft_set *s;
	bool map = !rnd(4);

	if (len <= 4 && rnd(2)) {
		field_len[1] = (uint8_t)random_load(sreg + next);
		raw_machine_step(m, &rule->exprs[rule->nexprs - 1]);
		nfields = 2;
		key_len = 4 + (field_len[1] + 3u) / 4 * 4;
	}
	s = random_set(raw_machine_reg(m, sreg), key_len, field_len, nfields, map);
	if (map)
		vmap(s->name, sreg);
	else
		lookup(s->name, sreg, rnd(3) == 0);
}

static void random_match(struct raw_machine *m)
{
	uint32_t dreg = 8 + 4 * rnd(4), len = random_load(dreg), first = rule->nexprs - 1, n;
	uint8_t a[16], b[16];

	raw_machine_step(m, &rule->exprs[first]);
	for (n = rnd(3) ? 0 : 1 + rnd(2); n; n--) {
		random_mask(dreg, len);
		raw_machine_step(m, &rule->exprs[rule->nexprs - 1]);
	}
	if (!rnd(3) && (len == 4 || len == 2)) {
		byteorder(dreg, dreg, len, len);
		raw_machine_step(m, &rule->exprs[rule->nexprs - 1]);
	}
	near_bytes(a, raw_machine_reg(m, dreg), len);
	near_bytes(b, raw_machine_reg(m, dreg), len);
	switch (rnd(6)) {
	case 0:
	case 1:
		cmp(NFT_CMP_EQ, dreg, a, rnd(4) ? len : 1 + rnd(len));
		break;
	case 2:
		cmp(NFT_CMP_NEQ, dreg, a, len);
		break;
	case 3:
		cmp(NFT_CMP_LT + rnd(4), dreg, a, len);
		break;
	case 4:
		sort_pair(a, b, len);
		range(rnd(3) ? NFT_RANGE_EQ : NFT_RANGE_NEQ, dreg, a, b, len);
		break;
	default:
		random_lookup(m, dreg, len);
	}
}

static struct eval_result result;

static struct raw_result reading;

static void compare(const struct ir *ir, struct raw *raw, const struct frame *f,
		    enum family family, unsigned *left, unsigned *matched)
{
	size_t i, hits = 0;

	ir_eval(ir, ENTRY_HOOK, &f->p, &result);
	if (result.verdict == EVAL_LEAVE) {
		(*left)++;
		return;
	}
	raw_hook(raw, base, family, &f->p, &reading);
	for (i = 0; i < result.nhits; i++)
		hits += ir->counters[result.hits[i]].in_view;
	*matched += reading.nhits > 0;
	if (reading.verdict != (result.verdict == EVAL_DROP ? RAW_DROP : RAW_ACCEPT) ||
	    hits != reading.nhits) {
		struct buf text = {0};

		ruleset_print(rs, &text);
		ir_print(ir, &text);
		fail_msg("verdict %d, %zu hits; the machine says %d (%s), %zu\n%s",
			 result.verdict, hits, reading.verdict,
			 reading.why ? reading.why : "known", reading.nhits, buf_str(&text));
	}
}

/* A rule around what the packet has in the registers. */
static void random_rule(const struct packet *p)
{
	struct raw *raw = raw_new(rs);
	struct raw_machine *m = raw_machine_new(raw, base, p);
	unsigned n;

	for (n = 1 + rnd(3); n; n--)
		random_match(m);
	raw_machine_free(m);
	raw_free(raw);
	counter();
	verdict(NF_DROP, NULL);
}

static void test_random(void **state)
{
	unsigned round, left = 0, matched = 0, all = 0, i;
	struct frame f[6];
	struct raw *raw;

	for (round = 0; round < 12000; round++) {
		enum family family = rnd(2) ? FAMILY_IP : FAMILY_IP6;

		if (round) { /* the first is made by setup() */
			teardown(NULL);
			setup(NULL);
		}
		base->hook = HOOK_FORWARD; /* the hook with both interfaces */
		base->policy = NF_ACCEPT;
		for (i = 0; i < 6; i++)
			random_frame(&f[i], family);
		random_rule(&f[0].p);
		struct ir *ir = hook_ir(family);

		raw = raw_new(rs);
		for (i = 0; i < 6; i++)
			compare(ir, raw, &f[i], family, &left, &matched);
		raw_free(raw);
		all += 6;
	}
	print_message("%u packets: %u matched, %u left\n", all, matched, left);
	assert_true(matched > all / 20);
	assert_true(left < all / 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_port),
	    T(test_counter_is_in_view),
	    T(test_prefix),
	    T(test_header_beyond),
	    T(test_link_layer),
	    T(test_family_constants),
	    T(test_names),
	    T(test_host_order),
	    T(test_order_of_constants),
	    T(test_conntrack),
	    T(test_leaves),
	    T(test_registers),
	    T(test_verdicts),
	    T(test_later_fragment),
	    T(test_exthdr),
	    T(test_set_hash),
	    T(test_set_host_order),
	    T(test_set_interval),
	    T(test_set_interval_host_order),
	    T(test_set_concat),
	    T(test_set_concat_undescribed),
	    T(test_set_refusals),
	    T(test_set_written),
	    T(test_vmap),
	    T(test_vmap_constant),
	    T(test_vmap_overlap),
	    T(test_set_large),
	    T(test_spoken),
	    T(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
