/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs that go have counted is not lost when others take their place. */
#ifndef NF2BPF_HANDOVER_H
#define NF2BPF_HANDOVER_H

#include "options.h"
#include "state.h"

struct handover {
	struct state old;
	struct kern_counts **counts; /* of its first n sites, held open; NULL: not there */
	size_t n;                    /* after them stand the sites that are to come */
};

/* Before anything is replaced or removed. */
int handover_begin(struct handover *h, const struct options *o, struct arena *mem,
		   struct diag *d);
/* Before the switch to the sites of now: from here on the state describes both sides. rs: the
 * rules of now.  No site: all programs go. */
int handover_prepare(struct handover *h, const struct options *o, struct state *now,
		     const struct ruleset *rs, struct diag *d);
/* After the switch: the state of now alone, with all that is left of the old one. */
int handover_end(struct handover *h, const struct options *o, struct state *now,
		 struct diag *d);
void handover_close(struct handover *h);
/* Without programs from now on: what they have counted stays pending.  Call when they are
 * silent and before they are detached: the state has no site then. */
int handover_retire(struct handover *h, const struct options *o, struct diag *d);
/* kern_detach() with what belongs around it. */
int handover_detach(const struct options *o, size_t *removed, struct diag *d);

#endif
