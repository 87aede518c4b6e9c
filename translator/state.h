/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the counters of the programs in service mean, kept as JSON in
 * STATE-DIR/NETNS-INODE.json, so that another process can read pinned counters by rule, and
 * totals go on across generations.
 */
#ifndef NF2BPF_STATE_H
#define NF2BPF_STATE_H

#include "ir/ir.h"
#include "kern/kern.h"

struct state_counter {
	struct origin from;
	bool in_view;
	struct counter_value carried; /* of earlier generations */
};

struct state_site {
	struct state_site *next;
	enum site_kind site;
	const char *place; /* as kern_site.place */
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
	struct state_site *sites;
	struct state_left *left;
};

/* Have the rules changed since? Then the programs leave every packet. generation: the kernel's
 * now. */
bool state_is_stale(const struct state *s, const char *bpffs, uint32_t generation);

/* Missing file: 0 and no sites. A file that cannot be understood: -EINVAL with an error, one
 * that cannot be read -EIO. */
int state_load(const char *dir, struct arena *mem, struct state *out, struct diag *d);
/* Atomically: a new file renamed over the old. */
int state_save(const char *dir, const struct state *s, struct diag *d);
/* A file that cannot be understood gets another name (.damaged): what it held is lost. */
int state_set_aside(const char *dir);
int state_remove(const char *dir);

struct state_site *state_add_site(struct state *s, const struct ir *ir, const char *place);
struct state_site *state_find_site(const struct state *s, enum site_kind site,
				   const char *place);
void state_add_left(struct state *s, const char *place, const char *reason);
/* The reason, or NULL. */
const char *state_find_left(const struct state *s, const char *place);
/* Adds old's totals (carried + values[]) to the counters of new that are of the same rule: nft
 * rules by handle, legacy rules and policies by place. */
void state_carry(struct state_site *to, const struct state_site *old,
		 const struct counter_value *values);

#endif
