/* SPDX-License-Identifier: GPL-2.0 */
/* Each rule of the live kernel with where it runs and what it has counted on each side. */
#ifndef NF2BPF_RULES_H
#define NF2BPF_RULES_H

#include <jansson.h>
#include "base/diag.h"
#include "options.h"

/* What `nf2bpf rules --json` prints; from the kernel, the pins and the state file, so with or
 * without a daemon.  NULL with an error. */
json_t *rules_json(const struct options *o, struct diag *d);

/* Its counters alone: an array of who, packets, bytes.  A new reference. */
json_t *rules_counters(const json_t *rules);

#endif
