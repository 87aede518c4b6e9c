/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadow mode: the programs count what they would have decided, decide nothing, and every
 * packet goes on to the kernel's rules.  So each rule is counted on both sides.
 *
 * At the hooks the programs count everything that their chains count: both counts are equal
 * where the whole table is translated, and else ours is not above the kernel's.  Early programs
 * count what they would drop: for each rule not more than the kernel.
 *
 * Two counts cannot be read at one moment.  So the kernel's are read before and after ours, now
 * and when the programs began: what the kernel counted in between is then known to lie between
 * two bounds, which are one where there is no traffic.  Only what is certain is called a
 * disagreement.
 */
#ifndef NF2BPF_SHADOW_H
#define NF2BPF_SHADOW_H

#include <jansson.h>
#include "options.h"
#include "state.h"

/* After the programs of now are in service, before it is saved: what both sides say now. */
int shadow_begin(struct state *now, const struct options *o, struct diag *d);

struct shadow_row {
	struct origin from;
	bool early; /* else the hook site */
	bool exact;
	struct counter_value bpf;       /* since they began */
	struct counter_value low, high; /* what the kernel counted in that time */
	bool agrees;
};

/* Of every counter that both sides have; in mem.  -ENOENT: the programs in service are not in
 * shadow. */
int shadow_compare(const struct options *o, struct arena *mem, struct shadow_row **out,
		   size_t *n, struct diag *d);
const struct shadow_row *shadow_find(const struct shadow_row *rows, size_t n,
				     const struct origin *from);
json_t *shadow_json(const struct shadow_row *r);
/* "bpf 5, kernel 7", and "would drop 71 %" … */
void shadow_print(const struct shadow_row *r, struct buf *out);

#endif
