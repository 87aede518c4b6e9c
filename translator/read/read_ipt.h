/* SPDX-License-Identifier: GPL-2.0 */
/* What both readers of x_tables rules (read_ipt.c, read_save*.c) know of the kernel's tables.
 */
#ifndef NF2BPF_READ_READ_IPT_H
#define NF2BPF_READ_READ_IPT_H

#include "model/ruleset.h"

struct ipt_builtin {
	const char *chain;
	enum hook hook;
	int32_t priority;
	enum chain_type type;
};

/* The built-in chains of a table in the kernel's order; NULL: the kernel has no such table. */
const struct ipt_builtin *ipt_builtin_chains(const char *table, size_t *n);

/* Makes c a base chain as b says, with policy ACCEPT and counters of zero. */
void ipt_builtin_set(struct chain *c, const struct ipt_builtin *b);

/* The text of a comment match among these, copied to mem, or NULL. */
const char *ipt_comment(struct arena *mem, const struct xt_ext *matches, size_t nmatches);

/*
 * Fills r->xt, counters and comment from a struct ipt_entry (FAMILY_IP) or ip6t_entry
 * (FAMILY_IP6) of len bytes. label is what libiptc calls the target: a verdict, a chain, a
 * module, or "" for none. -EBADMSG when offsets or sizes do not fit in len; r is then
 * untouched.
 */
int ipt_entry_decode(struct arena *mem, enum family family, const void *entry, size_t len,
		     const char *label, struct rule *r);

#endif
