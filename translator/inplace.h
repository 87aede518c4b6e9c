/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rules of which only members of sets have changed: the programs stay, their maps get the new
 * contents.
 */
#ifndef NF2BPF_INPLACE_H
#define NF2BPF_INPLACE_H

#include "service.h"

/* next is read, lowered and emitted; s is in service.  1: done, next's program is s's;
 * *changed: keys.  0: something else has changed, and nothing was done.  Negative: the
 * program's maps may be neither's, it leaves every packet, and has to be replaced. */
int inplace_update(struct service *s, struct service *next, const struct options *o,
		   size_t *changed, struct diag *d);

#endif
