/* SPDX-License-Identifier: GPL-2.0 */
/* Network namespaces of a test, and the counters of the rules in one. Failures end the test. */
#ifndef NF2BPF_TESTS_COUNTS_H
#define NF2BPF_TESTS_COUNTS_H

#include "bpf/abi.h"
#include "model/ruleset.h"

/* Descriptors of the calling thread's namespace, and of a new one that it enters. */
int netns_here(void);
int netns_new(void);
void netns_enter(int ns);

struct count {
	const struct origin *from;
	const struct rule *rule;   /* NULL: a policy */
	const struct rule *before; /* the rule before it in its chain */
	bool ingress;              /* as counts_ingress_fn says of its chain */
	struct counter_value v;
};

/* Those of rules and policies that the kernel counts, in the order of the model. */
struct counts {
	struct count *c;
	size_t n;
	struct ruleset *rs;
};

/* Do the packets that a test sends decide alone what the chain counts? */
typedef bool counts_ingress_fn(const struct table *t, const struct chain *c);

/* Of namespace ns; ends in namespace home. */
struct counts counts_read(int ns, int home, counts_ingress_fn *ingress);
void counts_free(struct counts *c);
long counts_find(const struct counts *c, const struct origin *from); /* -1: none */

/* Does a jump, a goto or a verdict map lead from one chain to the other, or are they the same?
 */
bool chain_reaches(const struct table *t, const struct chain *from, const struct chain *to);

#endif
