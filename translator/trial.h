/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trial run: before a program is attached, witness packets of its rules go through it
 * (BPF_PROG_TEST_RUN) and through the evaluator, which must agree on every verdict and, in sum,
 * on every counter.
 */
#ifndef NF2BPF_TRIAL_H
#define NF2BPF_TRIAL_H

#include "pipeline.h"

struct trial {
	size_t rules, rules_hit, packets, drops;
};

/* max_packets 0: all witnesses. -EBADMSG: a disagreement, the rule and the frame are in d; the
 * program must not be attached. Leaves the program's counters at zero. */
int trial_run(const struct ruleset *rs, const struct unit *u, struct loaded *l,
	      size_t max_packets, struct trial *out, struct diag *d);

/* What a program must be told so that it sees p as the evaluator does; route as in struct
 * site_override. */
void trial_override(const struct packet *p, bool early, uint8_t route,
		    struct site_override *out);

#endif
