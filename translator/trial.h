/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trial run: before a program is attached, witness packets of its rules go through it
 * (BPF_PROG_TEST_RUN) and through the evaluator, which must agree on every verdict and, in sum,
 * on every counter.
 */
#ifndef NF2BPF_TRIAL_H
#define NF2BPF_TRIAL_H

#include "ir/ir_eval.h"
#include "pipeline.h"

/* A rule that no witness reached, and where the plainest of its witnesses ended. */
struct trial_missed {
	const struct origin *rule;
	enum eval_verdict verdict;
	const struct origin *by; /* or NULL: behind the last chain */
	const char *reason;      /* of EVAL_LEAVE, or NULL */
	bool tried;              /* false: it has no witness, or none was chosen */
};

struct trial {
	size_t rules, rules_hit;
	size_t paths;              /* sequences of rules that counted, with their verdict */
	size_t witnesses, packets; /* there are, were tried: fewer because of max_packets, or at
				      the hook because they never come there */
	size_t drops;
	struct trial_missed *missed; /* in the ir's memory */
	size_t nmissed;
};

/* At most max_packets, evenly over all rules; 0: all witnesses. -EBADMSG: a disagreement, the
 * rule and the frame are in d; the program must not be attached. Leaves the program's counters
 * at zero. */
int trial_run(const struct ruleset *rs, const struct unit *u, struct loaded *l,
	      size_t max_packets, struct trial *out, struct diag *d);

/* NULL: it was reached. */
const struct trial_missed *trial_missed_find(const struct trial *t, const struct origin *rule);

/* What a program must be told so that it sees p as the evaluator does; route as in struct
 * site_override. */
void trial_override(const struct packet *p, bool early, uint8_t route,
		    struct site_override *out);

#endif
