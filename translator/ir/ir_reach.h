/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a packet can come to before it is certainly left to the kernel.  A rule whose leave asks
 * nothing (a LOG of everything) ends the way of every packet: what stands behind it never
 * judges one at this site.  Pure.
 */
#ifndef NF2BPF_IR_IR_REACH_H
#define NF2BPF_IR_IR_REACH_H

#include "ir/ir.h"

struct ir_reach {
	/* One per rule, chain by chain in the order of the lists; see ir_reach_rule(). */
	bool *reached;
	size_t nrules;
	/* Per chain id: its first rule that leaves every packet, or NULL. */
	const struct ir_rule **blocker;
	/* Per chain id: number of its first rule in reached[]; and whether any packet comes. */
	size_t *first;
	bool *chain_reached;
};

void ir_reach_make(const struct ir *ir, struct arena *mem, struct ir_reach *out);

/* Does the rule leave every packet that comes to it? */
bool ir_rule_leaves_all(const struct ir_rule *r);

#endif
