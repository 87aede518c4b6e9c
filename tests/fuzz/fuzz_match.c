// SPDX-License-Identifier: GPL-2.0
/*
 * Matches and targets of any name, revision and bytes, in both dialects and families.  First
 * byte: bit 0 IPv6, bit 1 a match of nf_tables; the protocol; then for each match: name,
 * revision, length, bytes.
 */
#include <linux/netfilter_ipv6/ip6_tables.h>
#include "match/match.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = {
#define MATCH(name, revision, type, fn) name,
#include "match/match.def"
#undef MATCH
    "comment", "limit", "string", "policy", "tcpmss", "LOG", "REJECT", "SET"};

static struct xt_ext take_ext(struct input *in, struct arena *mem)
{
	struct xt_ext x = {.name = names[input_byte(in) % (sizeof(names) / sizeof(*names))]};

	x.revision = input_byte(in);
	x.set_name = x.revision & 0x80 ? "s" : NULL;
	x.revision &= 0x7f;
	x.data = input_blob(in, mem, input_byte(in), &x.len);
	return x;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct ruleset *rs = ruleset_new();
	uint8_t how = input_byte(&in);
	enum family family = how & 1 ? FAMILY_IP6 : FAMILY_IP;
	struct table *t =
	    ruleset_add_table(rs, how & 2 ? BACKEND_NFT : BACKEND_LEGACY, family, "filter");
	struct chain *c = table_add_chain(rs, t, "INPUT");
	struct rule *r = chain_add_rule(rs, c);
	struct nexpr drop = {
	    .kind = NEXPR_IMMEDIATE, .name = "immediate", .immediate = {.is_verdict = true}};

	*c = (struct chain){.table = t,
			    .name = c->name,
			    .is_base = true,
			    .hook = HOOK_INPUT,
			    .policy = 1,
			    .rules = c->rules,
			    .rules_tail = c->rules_tail,
			    .nrules = 1,
			    .from = c->from};
	r->kind = t->backend;
	r->xt.verdict = XTV_DROP;
	r->xt.base.proto = input_byte(&in);
	r->xt.base.flags = family == FAMILY_IP6 ? IP6T_F_PROTO : 0;
	r->xt.matches = arena_array(rs->mem, size + 1, sizeof(*r->xt.matches));
	r->exprs = arena_array(rs->mem, size + 2, sizeof(*r->exprs));
	while (in.left > 3) {
		struct xt_ext x = take_ext(&in, rs->mem);

		r->xt.matches[r->xt.nmatches++] = x;
		r->exprs[r->nexprs++] =
		    (struct nexpr){.kind = NEXPR_MATCH, .name = "match", .xt = x};
	}
	r->exprs[r->nexprs++] = drop;
	fuzz_ruleset(rs);
	ruleset_free(rs);
	return 0;
}
