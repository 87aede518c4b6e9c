/* SPDX-License-Identifier: GPL-2.0 */
/* The options that all commands share, and their exit codes. */
#ifndef NF2BPF_OPTIONS_H
#define NF2BPF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include "ir/ir.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_DIFFERENT =
	    1,           /* check: some rules stay in the kernel; eval: two verdicts differ */
	EXIT_INPUT = 2,  /* usage, or rules that cannot be read */
	EXIT_SYSTEM = 3, /* the kernel or the privileges lack something; nothing was changed */
};

struct options {
	const char *netns;    /* name under /run/netns, or a path */
	const char **netnses; /* nf2bpfd: all that were named */
	size_t nnetnses;
	const char *bpffs; /* NULL: /sys/fs/bpf */
	const char *state_dir;
	enum site_kind site;
	bool site_given, early_off, hook, once, json;
	bool takeover, shadow, on_stop_hand_back;
	const char **interfaces;
	size_t ninterfaces;
	const char *stage; /* dump */
	const char *chain; /* hook site: "ip filter INPUT" or INPUT */
	const char *pcap;
	const char *html;    /* check: write the page here */
	const char *fail_on; /* check: what makes it exit with 1; NULL: kernel */
	bool markdown;
	const char **rules; /* explain: files, instead of the live rules */
	size_t nrules;
	const char *why_not; /* explain: a rule */
	size_t packet;       /* explain: of the capture, from 1; 0: the first */
	const char *iifname, *oifname, *ct_state;
	unsigned poll_ms;
	unsigned rate;        /* monitor: samples a second at most, 0: the daemon's default */
	bool sync;            /* counters */
	unsigned counters_ms; /* how often legacy tables are topped up, 0: never */
	unsigned sync_ms;     /* how often nf_tables rules get their counters, 0: never */
	const char **args;    /* what is left: files */
	size_t nargs;
};

int cmd_counters(const struct options *o);
int cmd_check(const struct options *o);
int cmd_dump(const struct options *o);
int cmd_diff(const struct options *o);
int cmd_eval(const struct options *o);
int cmd_handback(const struct options *o);
int cmd_metrics(const struct options *o);
int cmd_monitor(const struct options *o);
int cmd_explain(const struct options *o);
int cmd_off(const struct options *o);
int cmd_reload(const struct options *o);
int cmd_rules(const struct options *o);
int cmd_status(const struct options *o);
int cmd_verify(const struct options *o);
int cmd_daemon(const struct options *o);

#endif
