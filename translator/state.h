/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the counters of the programs in service mean, kept as JSON in
 * STATE-DIR/NETNS-INODE.json, so that another process can read pinned counters by rule, and
 * counts go on across generations.
 *
 * Each counter stands for one rule or policy.  One that the kernel has too (in_view) is
 * pending: what has been counted and not yet been written into the kernel's own. Of the others
 * the total is kept.  When a new generation of rules comes, carry.h takes what is left of the
 * old one's counts to the rules that are still there.
 */
#ifndef NF2BPF_STATE_H
#define NF2BPF_STATE_H

#include <sys/stat.h>

#include "ir/ir.h"
#include "kern/kern.h"
#include "model/ruleset.h"

/* In shadow: what both sides said when the programs began (shadow.h). */
struct state_base {
	struct counter_value before, bpf, after;
};

struct state_counter {
	struct origin from;
	bool in_view;
	uint64_t spec;                /* rule_spec() */
	struct counter_value carried; /* of earlier programs */
	/* From the ledger: how much of all this is in the kernel's counter already, and what
	 * that was, at least, when it was last seen. */
	struct counter_value written, kernel;
	struct state_base base;
};

struct state_site {
	struct state_site *next;
	enum site_kind site;
	const char *place; /* as kern_site.place */
	uint32_t map_id;   /* of the counters map that this describes */
	bool shadow;       /* the program decides nothing: what it counts is not pending */
	bool exact;        /* in shadow: it counts all that its table counts */
	struct state_counter *counters;
	size_t ncounters;
};

/* A hook chain that is compiled but has no program in force, and why. */
struct state_left {
	struct state_left *next;
	const char *place, *reason;
};

struct state {
	struct arena *mem;
	uint32_t generation;
	bool observed;       /* the programs ask the observer of legacy tables for */
	uint64_t legacy_seq; /* this word */
	uint64_t epoch;      /* of the ledger; state_save() gives a new one */
	struct state_site *sites;
	struct state_counter *carried; /* not of a program in service */
	size_t ncarried;
	/* All that programs of such sites counted whose place others have taken: never falls.
	 */
	struct counter_value counted[NSITE];
	struct state_left *left;
};

/* Have the rules changed since? Then the programs leave every packet. generation: the kernel's
 * now. */
bool state_is_stale(const struct state *s, const char *bpffs, uint32_t generation);

/* Missing file: 0 and no sites. A file that cannot be understood: -EINVAL with an error, one
 * that cannot be read -EIO. */
int state_load(const char *dir, struct arena *mem, struct state *out, struct diag *d);
/* Atomically: a new file renamed over the old, with a new ledger in which nothing is written
 * and kernel is what the counters say.  Under ledger_lock(). */
int state_save(const char *dir, struct state *s, struct diag *d);
/* A file that cannot be understood gets another name (.damaged): what it held is lost. */
int state_set_aside(const char *dir);
int state_remove(const char *dir);
int state_stat(const char *dir, struct stat *st); /* of the file */

struct state_site *state_add_site(struct state *s, const struct ir *ir, const char *place);
struct state_site *state_find_site(const struct state *s, enum site_kind site,
				   const char *place);
void state_add_left(struct state *s, const char *place, const char *reason);
/* The reason, or NULL. */
const char *state_find_left(const struct state *s, const char *place);
/* All counters in the ledger's order; in s->mem. */
struct state_counter **state_counters(const struct state *s, size_t *n);
/* What the programs in service have counted, in that order; zeros where the pinned map is not
 * the one that the state describes.  n elements. */
void state_read_live(const struct state *s, const char *bpffs, struct counter_value *out);
/* counted[] with what the programs in service have added since (live: state_read_live()). */
void state_counted(const struct state *s, const struct counter_value *live,
		   struct counter_value out[NSITE]);
/* The same of programs in shadow, for which state_read_live() says nothing. */
void state_read_shadow(const struct state *s, const char *bpffs, struct counter_value *out);
/* carried + live - written, for counters in view. */
struct counter_value counter_pending(const struct state_counter *c, struct counter_value live);

#endif
