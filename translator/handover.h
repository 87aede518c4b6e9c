/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs that go have counted is not lost when others take their place. */
#ifndef NF2BPF_HANDOVER_H
#define NF2BPF_HANDOVER_H

#include "options.h"
#include "state.h"

struct handover {
	struct state old;
	struct kern_counts **counts; /* of each of its sites, held open */
};

/* Before anything is replaced or removed. */
int handover_begin(struct handover *h, const struct options *o, struct arena *mem,
		   struct diag *d);
/* After the sites of now are in service: their state is saved, with all that is left of the old
 * one for the rules of rs. */
int handover_end(struct handover *h, const struct options *o, struct state *now,
		 const struct ruleset *rs, struct diag *d);
void handover_close(struct handover *h);
/* Without programs from now on: what they have counted stays pending.  Call before they are
 * detached, then end and close: the state has no site then. */
int handover_retire(struct handover *h, const struct options *o, struct diag *d);
/* kern_detach() with what belongs around it. */
int handover_detach(const struct options *o, size_t *removed, struct diag *d);

#endif
