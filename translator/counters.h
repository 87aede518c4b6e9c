/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs have counted, and how it gets into the kernel's own counters.
 *
 * A packet that a program judges is counted by the program alone: it is pending until it has
 * been added to the kernel's counter of the same rule or policy.  The true value of a counter
 * is always kernel + pending.
 */
#ifndef NF2BPF_COUNTERS_H
#define NF2BPF_COUNTERS_H

#include <sys/types.h>
#include <time.h>

#include "base/diag.h"
#include "ledger.h"
#include "options.h"
#include "state.h"

/* The state with its ledger, kept open by who looks often.  Start from {0}. */
struct counters {
	struct arena *mem;
	struct state state;
	struct state_counter **c; /* all n, in the ledger's order */
	size_t n;
	struct counter_value *live; /* what their programs have counted */
	struct ledger ledger;
	ino_t inode; /* of the state file */
	struct timespec modified;
};

/* Reads the state if it is new, and what the programs have counted.  -ENOENT: no state. */
int counters_refresh(struct counters *k, const struct options *o, struct diag *d);
void counters_close(struct counters *k);
struct counter_value counters_pending(const struct counters *k, size_t i);

/* What an error of the functions below means, as a sentence. */
const char *counters_error(int err);

/* Settles what a writer that died has left in the ledger. */
int counters_recover(const struct options *o, struct diag *d);
/* The same for who holds the ledger's lock. */
int counters_recover_locked(struct counters *k, const struct options *o, struct diag *d);

/* By rule, for display: counts that are not in the kernel's counters. */
struct tally_slot {
	const struct origin *from;
	struct counter_value view,
	    own; /* counters of the legacy view, and ours of rules without one */
};

struct tally {
	struct tally_slot *slots;
	size_t mask;
};

void tally_make(struct tally *t, const struct counters *k);
const struct tally_slot *tally_find(const struct tally *t, const struct origin *from);
void tally_free(struct tally *t);

/* The rules and the tally that belongs to them: taken again while a writer is at work in
 * between.  NULL: errors in d. */
struct ruleset *counters_read_rules(const struct options *o, struct counters *k,
				    struct tally *t, struct diag *d);

/* One table of nf_tables; a NULL pointer in its place: all. */
struct counters_scope {
	enum family family;
	const char *table;
};

struct counters_result {
	size_t rules, policies; /* counters that were written */
	size_t left;            /* counters with something pending that could not be written: */
	const char *reason;     /* why the first of them; a constant, or NULL */
	uint64_t packets, bytes; /* that are no longer pending */
	size_t batches;          /* each is a generation of nf_tables */
	uint32_t generation;     /* after the last of them */
};

/*
 * Adds what is pending to the kernel's legacy tables.  k is kept by the caller from call to
 * call.  0 with nothing written: nothing was pending, or somebody else is at it.  -ESTALE: the
 * rules have changed, let the service read them first.  -EOPNOTSUPP: without an observer
 * nothing guards against a replacement in between.
 */
int counters_topup_legacy(struct counters *k, const struct options *o,
			  struct counters_result *out, struct diag *d);

/*
 * Adds what is pending to the kernel's rules of nf_tables: each such rule is replaced by itself
 * with another counter; handle, place and every other attribute stay as the kernel dumped them.
 * What the old rule counts until the replacement is pending afterwards.
 *
 * Needs: the network namespace of the calling thread; the state file describes what is in
 * service, and the rules have not changed since (else -ESTALE: let the service read them
 * first).  The caller must not hold the lock of the pins (struct pins).  It may be called from
 * any process, at any time; -EAGAIN when others kept changing the rules.
 * A dormant table's policies are written too; those of a table that is awake are not, because
 * the kernel does not say what a policy's old counter held at the end.  So a hand-back calls
 * this while the table is dormant and the programs are silent.
 * Afterwards nf_tables has a new generation, and the programs follow it by themselves, unless
 * somebody else's commit came in between.
 */
int counters_sync_nft(const struct options *o, const struct counters_scope *only,
		      struct counters_result *out, struct diag *d);

#endif
