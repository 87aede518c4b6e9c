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

#include "options.h"
#include "base/diag.h"

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
