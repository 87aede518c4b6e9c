/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IR → IR of the same meaning, cheaper to run.  Pure.  The ir that comes in is not touched: the
 * trial run compares the program with the evaluator's reading of it, so a wrong pass is found
 * before its program is attached.
 */
#ifndef NF2BPF_OPT_OPT_H
#define NF2BPF_OPT_OPT_H

#include "ir/ir.h"

/* All passes, in order; the result lives in mem.  Counters, origins and the order of rules
 * stay.
 */
struct ir *opt_run(const struct ir *ir, struct arena *mem);

/* ---- the passes ---- */

/* A copy whose rules may be changed: counters and the elements of sets are shared. */
struct ir *opt_copy(const struct ir *ir, struct arena *mem);
/* Takes out tests that hold for every packet that the site's C part shows to the rules, and
 * tests that follow from those before them in their rule. */
void opt_known(struct ir *ir);
/* Jumps to chains that leave every packet become leaves. */
void opt_leaving(struct ir *ir);

#endif
