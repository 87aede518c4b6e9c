/* SPDX-License-Identifier: GPL-2.0 */
/*
 * iptables-bpf-restore, iptables-bpf-save, iptables-bpf and their ip6tables- twins.
 *
 * A command that nearly behaves as iptables does is of no use to the programs that call it.  So
 * the host's own iptables parses, prints and edits, under the name by which it is known; ours
 * is when: a restore is tried whole in a network namespace of its own before anything changes,
 * all its tables are one transaction, and a command that returns 0 has put the programs of the
 * new rules in force too, where those translate.
 */
#ifndef NF2BPF_DROPIN_H
#define NF2BPF_DROPIN_H

#include "options.h"
#include "model/ruleset.h"

enum {
	XT_OTHER_PROBLEM = 1, /* xtables.h: enum xtables_exittype */
	XT_PARAMETER_PROBLEM = 2,
	XT_RESOURCE_PROBLEM = 4,
};

struct dropin {
	struct arena *mem;
	struct options o;
	enum family family;       /* FAMILY_IP or FAMILY_IP6 */
	enum backend personality; /* whose rules, texts and exit codes */
	bool personality_given;
	bool json_errors, partial, require, no_bpf;
	const char *path; /* of the real command */
	int argc;         /* what is for the real command; argv[0] is the name that it shows */
	char **argv;
};

/* Is the program called by one of the names? */
bool dropin_named(const char *argv0);
/* Returns the exit status. */
int dropin_main(int argc, char **argv);

int dropin_restore(struct dropin *d);
int dropin_save(struct dropin *d);
int dropin_command(struct dropin *d);

/* Becomes the real command; returns only when there is none. */
int dropin_become(struct dropin *d);
/* The rules have changed: puts their programs in force, by the daemon if one runs. A failure is
 * no failure of the command, whose rules the kernel enforces: it is said in the system's log,
 * and on a terminal. */
void dropin_update(struct dropin *d);
/* The same for what is to be said of an update. */
void dropin_warn(const struct dropin *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "iptables" or "ip6tables". */
const char *dropin_base(const struct dropin *d);

#endif
