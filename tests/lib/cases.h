/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packet cases: text files (tests/packets/NAME.cases) in which a person says what netfilter does with a frame.
 *
 *   rules4 FILE   rules6 FILE   native FILE   ipsets FILE   paths, from the case file; "#" begins a comment
 *   rp_filter N
 *   NAME                      a case; its lines begin with a tab
 *   <tab>before FRAME         sent first, not judged (a connection's first packet, a first fragment)
 *   <tab>frame FRAME          in the words of build.h
 *   <tab>want VERDICT COUNTER...
 *   <tab>want@BACKEND VERDICT COUNTER...     where legacy, compat or native differ
 *   <tab>early drop|leave     whether the early program drops it (not asked where the line is missing)
 *
 * VERDICT: accept, drop (by a rule or a policy), lost (between the hooks: routing, time to live, waiting for
 * fragments), unseen (no netfilter hook of the family sees it).
 * COUNTER: [TABLE/]CHAIN:RULE, or CHAIN:policy (not of the native back end, which has none): all that the frame
 * moves in chains of prerouting, input and forward, once each.  A word len=N: the bytes that each counts.
 */
#ifndef NF2BPF_TESTS_CASES_H
#define NF2BPF_TESTS_CASES_H

#include "frame.h"

enum case_backend { CASE_LEGACY, CASE_COMPAT, CASE_NATIVE, NCASE_BACKEND };

#define CASE_MAX_BEFORE 8

struct packet_case {
	char *name;
	unsigned line;
	struct frame before[CASE_MAX_BEFORE], frame;
	unsigned nbefore;
	char *want[NCASE_BACKEND]; /* "accept INPUT:1 …" or NULL */
	enum { EARLY_ANY, EARLY_DROP, EARLY_LEAVE } early;
};

struct case_file {
	char *rules4, *rules6, *native, *ipsets; /* paths, or NULL */
	int rp_filter;
	struct packet_case *cases;
	size_t ncases;
};

/* 0; or -1, what is wrong has been printed. */
int case_file_read(const char *path, struct case_file *out);

#endif
