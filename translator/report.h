/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The migration report: of every rule where it would run, and if not in BPF, why; and what else
 * is to be said of it.  Made of a ruleset and its compiled units; printed as text, JSON,
 * Markdown or one HTML page (report_*.c).  Everything lives in the ruleset's arena.
 */
#ifndef NF2BPF_REPORT_H
#define NF2BPF_REPORT_H

#include "kern/kern.h"
#include "pipeline.h"
#include "placement.h"

enum report_place { PLACE_EARLY, PLACE_HOOK, PLACE_KERNEL, NPLACE };

/* What is wrong with a rule, or could be better. */
enum report_finding {
	FINDING_SHADOWED = 1 << 0, /* an earlier rule takes all its packets: by */
	FINDING_REPEATED = 1 << 1, /* likewise, and says the same */
	FINDING_VOID = 1 << 2,     /* its tests contradict each other */
	FINDING_NEVER_HIT = 1 << 3,
	FINDING_SET = 1 << 4,       /* one of several that differ in one value */
	FINDING_CONNTRACK = 1 << 5, /* asks conntrack */
};

struct report_rule {
	const struct rule *rule;
	enum report_place place;
	bool early, hook;          /* all of it is judged there */
	const char *why;           /* of what stays in the kernel; NULL: nothing does */
	const struct rule *behind; /* it never judges a packet early: this rule leaves all */
	const char *needs;         /* the kernel that its place asks for */
	const char *remedy;        /* what would help, or NULL */
	unsigned findings;         /* enum report_finding */
	const struct rule *by;
	unsigned group; /* FINDING_SET: rules of one group have the same number, from 1 */
};

struct report_table {
	const struct table *table;
	size_t rules, in[NPLACE];
	bool takeover;
	const char *why_not; /* takeover */
};

/* Why rules do not run early, the most frequent first. */
struct report_reason {
	const char *why, *remedy;
	size_t n;
};

struct report_iface {
	const struct iface *iface;
	bool usable;
	const char *remark; /* what stands in the way, or is worth knowing; NULL: nothing */
};

struct report {
	const struct ruleset *rs;
	enum site_kind site;
	struct report_rule *rules;
	size_t nrules, in[NPLACE];
	struct report_table *tables;
	size_t ntables;
	size_t nchains, chains_in[NPLACE]; /* by the place of their last-placed rule */
	/* Live rules only: packets that rules and policies have dropped, by where the rule
	 * would run. */
	uint64_t dropped[NPLACE], ndropped;
	struct report_reason *reasons;
	size_t nreasons;
	struct report_iface *ifaces;
	size_t nifaces;
	const char *kernel_missing; /* what this kernel lacks, or NULL */
	const char *warning;        /* legacy and nft rules side by side; or NULL */
	size_t longest;             /* rules that a packet may have to pass on one way */
	size_t dead, never_hit, conntrack, groups, grouped;
	bool dead_all; /* all pairs of rules were looked at */
	bool live;
	uint64_t observed_s; /* live: counters are not older than this */
};

/* caps: of the live kernel, or NULL (files). */
void report_make(const struct ruleset *rs, enum site_kind site, const struct kern_caps *caps,
		 struct report *out);

const char *report_place_name(const struct report *r, enum report_place p);
/* "ip filter INPUT", "legacy ip filter INPUT" */
void report_chain_name(const struct chain *c, struct buf *out);
/* What is said of the rule beyond its place: "never reached: rule 3 takes its packets", … */
void report_print_findings(const struct report_rule *r, struct buf *out);

/* Of one packet, in ns: estimates from a table of measured costs (report_cost.c). */
struct report_cost {
	double kernel_drop; /* now: a packet that the last rule of the longest way drops */
	double early_drop;  /* the same, dropped by our early program; 0: none would be */
	double kernel_pass; /* now: a packet that passes all rules of the longest way */
	double hook_pass;   /* the same with every table taken over; 0: not possible */
};

void report_cost(const struct report *r, struct report_cost *out);

void report_text(const struct report *r, FILE *out);
void report_json(const struct report *r, FILE *out);
void report_markdown(const struct report *r, FILE *out);
void report_html(const struct report *r, FILE *out);
/* The JSON that the page holds too; the caller frees it. */
char *report_json_text(const struct report *r, bool indent);

#endif
