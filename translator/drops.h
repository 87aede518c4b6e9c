/* SPDX-License-Identifier: GPL-2.0 */
/* A dropped packet as a person and a machine want to read it. */
#ifndef NF2BPF_DROPS_H
#define NF2BPF_DROPS_H

#include <jansson.h>
#include "service.h"

/* Which rule each counter of an install stands for, with its text: a copy that may outlive the
 * service. */
struct drops;

/* Of s's programs; asks the tools for the rules' texts, once for an install.  NULL: nothing is
 * installed. */
struct drops *drops_make(struct service *s, const struct options *o);
void drops_free(struct drops *t);

/*
 * "time" (seconds since 1970), "site", "interface", "packet" (in the words of nf2bpf explain),
 * "length", "rule" (null when the rules have changed since), "bytes" (hex) and "link" (how many
 * of these are the link layer's header).  t: NULL or of another install, then rule is null.
 */
json_t *drops_json(const struct drops *t, const struct drop_record *r);

#endif
