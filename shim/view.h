/* SPDX-License-Identifier: GPL-2.0 */
/* Rules as the tool that owns them prints them. */
#ifndef NF2BPF_SHIM_VIEW_H
#define NF2BPF_SHIM_VIEW_H

#include "model/ruleset.h"

/*
 * Fills rule.text of a ruleset read from the live kernel of the calling thread's network
 * namespace: iptables and iptables-nft rules as their -save prints them ("-A INPUT -p tcp …"),
 * nft rules as `nft list` does, both without counters.  Where a tool is absent, fails, or shows
 * other chains or another number of rules than rs has, text stays NULL and a note says so; that
 * is no error.  Rulesets of files get the texts of rs->listing, if any (nft files). Runs the
 * tools as child processes and waits for them, at most 20 s each.
 */
int view_annotate(struct ruleset *rs, struct diag *d);

/* The text; without one "handle N", or "rule N" for a rule that has no handle. */
void view_print_rule(const struct rule *r, struct buf *out);

#endif
