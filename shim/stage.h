/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network namespace of our own, where a change of rules is tried by the tool that would make
 * it.  It has no interfaces and no traffic, and goes with the process.
 */
#ifndef NF2BPF_SHIM_STAGE_H
#define NF2BPF_SHIM_STAGE_H

struct stage {
	int live, inside; /* descriptors of the two namespaces, -1: not open */
};

/* Leaves the caller where it was.  -EPERM: without CAP_SYS_ADMIN. */
int stage_open(struct stage *s);
/* The calling thread, and what it starts, into the namespace or back. To stay where one does
 * not belong would change other rules than were meant: failure ends the process. */
void stage_enter(const struct stage *s);
void stage_leave(const struct stage *s);
void stage_close(struct stage *s);

#endif
