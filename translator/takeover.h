/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Takeover: a BPF program at each hook of a table's chains judges in the table's place, and the
 * table sleeps.
 *
 * The order leaves no moment without a filter.  Taking over: programs loaded, tried and in
 * their slots, links in place; the tables written down; one transaction puts them to sleep,
 * which the kernel refuses if anything has changed since the rules were read.  Before it, and
 * beside a chain that is still registered, the programs drop by the same rules as the chain.
 * Handing back: the tables wake first; the programs see that and stand aside (bpf/stand.bpf.h);
 * then they go.  On any failure the tables wake.
 */
#ifndef NF2BPF_TAKEOVER_H
#define NF2BPF_TAKEOVER_H

#include "options.h"
#include "pipeline.h"

struct taken {
	const struct table *table;
	bool asleep;        /* for us, when the rules were read */
	const char *reason; /* why it is not taken over, or NULL */
};

struct takeover {
	struct taken *tables; /* the nf_tables ones of the ruleset */
	size_t n;
	uint32_t nft_net_id;
};

/* A table that sleeps for us counts as live from here on: its flag is cleared in rs, which must
 * just have been read.  What was written down and is void is forgotten; with start, also what
 * was handed back. */
int takeover_recall(const struct options *o, struct ruleset *rs, bool start,
		    struct takeover *out, struct diag *d);
/* Which of them can be taken over, by what became of all units of the hook site (emitted). */
void takeover_choose(const struct options *o, const struct kern_caps *caps,
		     const struct ruleset *rs, const struct unit *hooks, struct takeover *t);
/* Why a table's rules keep it from being taken over, on any kernel; NULL: they do not.  hooks:
 * all units of the hook site, emitted. */
const char *takeover_refusal(const struct ruleset *rs, const struct unit *hooks,
			     const struct table *t);
const struct taken *takeover_find(const struct takeover *t, const struct table *table);
const struct taken *takeover_by_handle(const struct takeover *t, uint64_t handle);
/* Wakes those that sleep and can be taken over no longer.  -EAGAIN: some did, the rules must be
 * read again. */
int takeover_wake_others(const struct options *o, const struct ruleset *rs, uint32_t generation,
			 const struct takeover *t, struct diag *d);
/* Is there one that is yet to be put to sleep? */
bool takeover_has_awake(const struct takeover *t);
/* Writes down those that are to sleep, then puts them to sleep; *generation: after it. -EAGAIN:
 * one was handed back meanwhile, or the rules have changed; they must be read again. */
int takeover_write_down(const struct options *o, const struct takeover *t, struct diag *d);
int takeover_sleep(const struct options *o, const struct takeover *t, uint32_t *generation,
		   struct diag *d);

/* Without having read the rules: wakes every table that sleeps for us, or the named ones
 * ("ip filter", "filter").  hold: they are not taken over again.  *woken: how many; the
 * programs may go then: no packet is left that was on its way to them before. */
int takeover_hand_back(const struct options *o, const char *const *names, size_t nnames,
		       bool hold, size_t *woken, struct diag *d);

#endif
