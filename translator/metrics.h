/* SPDX-License-Identifier: GPL-2.0 */
/* Prometheus text exposition. */
#ifndef NF2BPF_METRICS_H
#define NF2BPF_METRICS_H

#include <jansson.h>
#include "base/buf.h"
#include "options.h"

#define METRICS_MAX_RULES 1000 /* series are dear: rules beyond it are only counted */

/* rules: of rules_json(); self: of live_json(), or NULL: no daemon runs. */
void metrics_print(const struct options *o, const json_t *rules, const json_t *self,
		   struct buf *out);

#endif
