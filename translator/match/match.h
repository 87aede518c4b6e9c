/* SPDX-License-Identifier: GPL-2.0 */
/*
 * x_tables extensions: one file per match or target, one line in match.def.  A match appends
 * the tests that mean exactly what the kernel's function of that name and revision does,
 * hotdrop included (FAIL_DROP).  What it cannot express exactly it leaves, with a reason that
 * names match and option. The same functions serve legacy rules and nf_tables' xt-compat
 * expressions; lw->dialect says where the transport header is found.
 */
#ifndef NF2BPF_MATCH_MATCH_H
#define NF2BPF_MATCH_MATCH_H

#include "lower/lower.h"

struct match_ops {
	const char *name; /* the kernel's: "tcp", "conntrack" … */
	uint8_t revision;
	size_t size; /* bytes of the kernel's struct, unaligned */
	void (*lower)(struct lower *lw, const void *data, size_t len, struct ir_rule *out);
};

struct target_ops {
	const char *name;
	uint8_t revision;
	size_t size;
	void (*lower)(struct lower *lw, const void *data, size_t len, struct ir_rule *out);
};

/* Never fails: unknown name, revision or size is an OP_LEAVE that says so (pure only where the
 * match is known to have no side effect: match_is_pure). */
void match_lower(struct lower *lw, const struct xt_ext *m, struct ir_rule *out);
void target_lower(struct lower *lw, const struct xt_ext *t, struct ir_rule *out);
/* Matches without state of their own, so that not asking them changes nothing. Unknown names:
 * false. */
bool match_is_pure(const char *name);

#endif
