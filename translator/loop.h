/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The daemon's event loop: descriptors and timers, one thread, level-triggered poll(2).  A
 * handler must not block; what takes long is the worker's (worker.h).
 */
#ifndef NF2BPF_LOOP_H
#define NF2BPF_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Lives in its owner; zeroed before first use. */
struct loop_timer {
	struct loop_timer *next;
	uint64_t at; /* 0: not running */
	void (*fn)(void *ctx);
	void *ctx;
	bool linked;
};

struct loop *loop_new(void);
void loop_free(struct loop *l); /* closes no descriptor */
/* Milliseconds of the monotonic clock. */
uint64_t loop_now(void);

typedef void (*loop_fn)(void *ctx, short revents);
/* events: POLLIN, POLLOUT.  -ENOSPC: LOOP_MAX descriptors are in it. */
#define LOOP_MAX 64
int loop_add(struct loop *l, int fd, short events, loop_fn fn, void *ctx);
void loop_set_events(struct loop *l, int fd, short events);
/* A handler may remove any descriptor, its own too. */
void loop_remove(struct loop *l, int fd);

/* at: of loop_now(); an armed timer is moved.  fn and ctx of t are set by the owner. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at);
void loop_timer_clear(struct loop_timer *t);

/* Until loop_stop(): what was given to it; or a negative errno of poll(2). */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int status);

#endif
