/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One generation in service: read, compile, load, install, remember.  Used by `nf2bpfd --once`
 * and by the daemon's loop.  Assist mode only: the kernel's rules stay live and authoritative,
 * so at every moment of an install, and after any failure, the host is filtered as without us.
 */
#ifndef NF2BPF_SERVICE_H
#define NF2BPF_SERVICE_H

#include "kern/kern.h"
#include "options.h"
#include "pipeline.h"
#include "takeover.h"

/* A table whose programs could not be put in place, and the generation they were for.  It is
 * tried again with the next change; each further failure doubles the changes that it waits. */
struct refused_table {
	uint64_t handle;
	uint32_t generation;
	unsigned failures;
};

struct service {
	struct ruleset *rs; /* of the generation in service */
	struct unit *early; /* NULL: off */
	struct unit *hooks;
	struct takeover takeover;
	bool again;                 /* as after a start: what was handed back is taken again */
	const struct table *failed; /* whose program did, in an update that did */
	struct refused_table *refused;
	size_t nrefused;
	struct loaded *loaded;
	uint32_t generation;  /* of nf_tables, that the programs hold for */
	uint64_t fingerprint; /* of everything the programs depend on */
	uint64_t frame;       /* of the same without the rules */
	size_t moved;         /* keys of maps that the last update changed in place; 0: it
				 installed programs */
	struct kern_caps caps;
	size_t ninterfaces; /* where the early program stands */
	bool
	    observed; /* legacy tables have an observer; its word before the rules were read: */
	uint64_t legacy_seq;
	bool sets_observed;       /* by the same word */
	struct kern_clock *clock; /* NULL: changes of routes cannot be seen */
	bool clock_tried, timed;
	uint32_t rt_genid, fib6_sernum; /* before the routes were read */
	uint32_t serial;                /* of the install, never 0: drop_record */
	bool texts;                     /* rs has been annotated: drops.c */
};

/* Reads the rules and, unless nothing changed since s's generation, puts a new one into
 * service. *changed says which. On failure the old generation stays. */
int service_update(struct service *s, const struct options *o, bool *changed, struct diag *d);
/* What neither netlink nor an observer announces has changed since s's generation: settings
 * under /proc/sys, expectations of conntrack.  False too when it cannot be told. */
bool service_settings_moved(const struct service *s);
/* Would rs's programs load, and agree with the evaluator? Compiles, loads and tries them, and
 * attaches nothing. rs may be of rules that are not in force. */
int service_try(const struct options *o, struct ruleset *rs, struct diag *d);
/* Programs stay attached; the clock stays open. */
void service_close(struct service *s);

#endif
