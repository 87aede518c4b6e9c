/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The stages in order: read → ruleset → lower → IR → check → opt → emit → image → load.
 * Everything a generation owns lives in its ruleset's arena and dies with it.
 */
#ifndef NF2BPF_PIPELINE_H
#define NF2BPF_PIPELINE_H

#include "emit/emit.h"
#include "ir/ir.h"
#include "ir/ir_eval.h"
#include "kern/kern.h"
#include "model/ruleset.h"

/* The program of one site: an early site, or one base chain of one family at the hook. */
struct unit {
	struct unit *next;
	enum site_kind site;
	enum family family;        /* hook site */
	const struct chain *chain; /* hook site */
	struct ir *ir;             /* NULL: refused, see refusal */
	struct ir *opt;            /* what is emitted; the meaning is ir's */
	bool emitted;
	bool takeover; /* hook site: it stands in for its chain */
	struct image image;
	const char *refusal; /* why there is no program, or NULL */
	const char *left;    /* why it has no program in force, where it is known: placements */
	const char
	    *note; /* what the stages remarked (an entry that leaves everything …), or NULL */
};

/* Files of iptables-save or nft text; none: the live rules of this network namespace with
 * everything they depend on. NULL with the errors in d. */
struct ruleset *pipeline_read(const char *const *files, size_t nfiles, struct diag *d);
/* The same, and each rule as its tool prints it, where that can be had (rule.text). */
struct ruleset *pipeline_read_texts(const char *const *files, size_t nfiles, struct diag *d);

/* site SITE_HOOK with chain NULL: a unit per filter or route base chain and family (NULL when
 * there is none). Lowering tells whether anything changed; emitting is for what is to be loaded
 * or shown. */
struct unit *pipeline_lower(const struct ruleset *rs, enum site_kind site, const char *chain);
void pipeline_emit(const struct ruleset *rs, struct unit *units);
/* Both. */
struct unit *pipeline_compile(const struct ruleset *rs, enum site_kind site, const char *chain);

#endif
