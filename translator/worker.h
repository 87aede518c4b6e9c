/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The daemon's worker: one thread beside the loop, which does what may take long (reading
 * rules, compiling, loading, counters), so that events are read and clients answered meanwhile.
 * It is the only one that touches the service and the libraries that are not made for threads
 * (libxtables, libnftables, libbpf's print function).
 *
 * Jobs are bits: what is posted while the worker is busy is done once, in the next round.
 */
#ifndef NF2BPF_WORKER_H
#define NF2BPF_WORKER_H

#include <stdint.h>

struct worker;

/* run is called in the worker's thread with the jobs of a round.  The thread inherits the
 * caller's network namespace and blocked signals. NULL: no thread. */
struct worker *worker_start(void (*run)(void *ctx, unsigned jobs), void *ctx);
void worker_post(struct worker *w, unsigned jobs);
/* Readable after a round; worker_clear() makes it wait again. */
int worker_fd(const struct worker *w);
void worker_clear(struct worker *w);
/* When the round under way began (loop_now()), 0: idle. */
uint64_t worker_busy_since(struct worker *w);
/* Ends after the round under way; frees. */
void worker_stop(struct worker *w);

#endif
