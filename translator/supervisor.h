/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Several network namespaces: a child process follows each.  A process, because the namespace
 * belongs to a thread and the daemon has several, because libraries keep state per process, and
 * because a child that crashes, hangs or runs out of memory takes nothing with it: it is
 * started again, the others never notice, and the programs that it left know when they are
 * stale.
 */
#ifndef NF2BPF_SUPERVISOR_H
#define NF2BPF_SUPERVISOR_H

#include "options.h"

/* o->netnses: names, or "all": those under /run/netns, as they come and go.  follow is called
 * in the child and ends it.  Returns an exit status when told to stop. */
int supervise(const struct options *o,
	      int (*follow)(const struct options *o, const char *netns));

#endif
