// SPDX-License-Identifier: GPL-2.0
/* The kernel's answers to a list of ipsets, and a rule that asks each set that came out, in
 * every direction. */
#include "../../translator/read/read_ipset.c"
#include "tests/fuzz/fuzz.h"

/* First byte: dimensions (two bits) and their directions (three bits). */
static void ask_sets(struct ruleset *rs, enum family family, uint8_t how)
{
	struct table *t = ruleset_add_table(rs, BACKEND_LEGACY, family, "filter");
	struct chain *c = table_add_chain(rs, t, "INPUT");
	const struct ipset *s;
	struct rule *r;

	c->is_base = true;
	c->hook = HOOK_INPUT;
	c->policy = 1;
	for (s = rs->ipsets; s; s = s->next) {
		struct xt_set_info_match_v4 info = {
		    .match_set = {.index = s->index,
				  .dim = (how & 3) + 1,
				  .flags = (uint8_t)(how >> 2 & 15)}};

		r = chain_add_rule(rs, c);
		r->xt.verdict = XTV_DROP;
		r->xt.nmatches = 1;
		r->xt.matches = arena_alloc(rs->mem, sizeof(*r->xt.matches));
		*r->xt.matches =
		    (struct xt_ext){.name = "set",
				    .revision = 4,
				    .len = sizeof(info),
				    .data = arena_memdup(rs->mem, &info, sizeof(info))};
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = input_byte(&in);
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};
	struct reader r = {.rs = rs, .d = &d, .protocol = 7, .tail = &rs->ipsets};
	struct list l = {.r = &r};

	if (input_messages(&in, rs->mem, on_list, &l) >= 0 && l.set) {
		append(&r, l.set);
		ask_sets(rs, FAMILY_IP, how);
		ask_sets(rs, FAMILY_IP6, how);
		fuzz_ruleset(rs);
	}
	diag_free(&d);
	ruleset_free(rs);
	return 0;
}
