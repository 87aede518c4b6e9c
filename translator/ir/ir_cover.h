/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rules that no packet can reach, because an earlier rule of their chain takes all of theirs,
 * or because their own tests contradict each other.  Conservative: what is not seen to be so is
 * not said. Pure.
 */
#ifndef NF2BPF_IR_IR_COVER_H
#define NF2BPF_IR_IR_COVER_H

#include "ir/ir.h"

/* Do by's tests hold for every packet for which r's tests hold? */
bool ir_rule_covers(const struct ir_rule *by, const struct ir_rule *r);
/* Can no packet match it? */
bool ir_rule_is_void(const struct ir_rule *r);
/* Does no packet that matches it come to the rule behind it? */
bool ir_rule_ends(const struct ir_rule *r);
/* Same tests and same verdict: the later of two of one chain says nothing new. */
bool ir_rule_repeats(const struct ir_rule *a, const struct ir_rule *b);

enum ir_dead_kind {
	DEAD_NOT,    /* or not seen to be */
	DEAD_SHADOW, /* an earlier rule takes all its packets */
	DEAD_REPEAT, /* likewise, and both say the same */
	DEAD_VOID,   /* its tests contradict each other */
};

struct ir_dead {
	enum ir_dead_kind kind;
	const struct ir_rule *by; /* NULL for DEAD_VOID */
};

/* out: c->nrules elements.  At most *budget pairs of rules are compared; *budget is what is
 * left (0: not all was looked at). */
void ir_find_dead(const struct ir_chain *c, struct ir_dead *out, size_t *budget,
		  struct arena *scratch);

#endif
