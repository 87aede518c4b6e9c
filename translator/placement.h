/* SPDX-License-Identifier: GPL-2.0 */
/* Where each rule runs: what the units of a site say of it, found by its origin in constant
 * time. */
#ifndef NF2BPF_PLACEMENT_H
#define NF2BPF_PLACEMENT_H

#include "pipeline.h"

struct placement {
	bool lowered;       /* the site has the rule */
	const char *reason; /* why (some of) its packets stay in the kernel, or NULL */
};

struct placements; /* in the arena; borrows the units' strings */

struct placements *placements_make(const struct unit *units, struct arena *mem);
/* Of a rule, or of a chain's policy (index 0). An inet rule is lowered only if every family's
 * program has it. */
struct placement placements_find(const struct placements *p, const struct origin *from);

/* "ip filter INPUT rule 3", "legacy ip filter INPUT policy". */
void origin_print(const struct origin *from, struct buf *out);
bool origin_same(const struct origin *a, const struct origin *b);
uint64_t origin_hash(const struct origin *from);

#endif
