/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which rule is which, from one generation of rules to the next, and what is left of its
 * counts.
 */
#ifndef NF2BPF_CARRY_H
#define NF2BPF_CARRY_H

#include "state.h"

/* A hash of what a rule says, without its counter and without state that packets change. */
uint64_t rule_spec(const struct rule *r);

/* Fills in spec and kernel of all counters that a rule or policy of rs stands behind. */
void carry_describe(struct state *s, const struct ruleset *rs);

/* Does every counter of s stand for the same rule in rs, and was none zeroed? */
bool carry_unchanged(struct state *s, const struct ruleset *rs);

/* now->carried becomes what is left of old's counts (live: state_read_live() of old) for the
 * rules of rs, the generation of now.  *discarded: packets whose rule is gone or was zeroed.
 * old's own counters stand for rules of rs afterwards, and for what they count beyond live. */
void carry_over(struct state *now, struct state *old, const struct counter_value *live,
		const struct ruleset *rs, uint64_t *discarded);

#endif
