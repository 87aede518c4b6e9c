// SPDX-License-Identifier: GPL-2.0
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"

struct source {
	loop_fn fn;
	void *ctx;
};

struct loop {
	struct pollfd fds[LOOP_MAX]; /* fd -1: removed, goes at the next turn */
	struct source sources[LOOP_MAX];
	int n;
	struct loop_timer *timers;
	bool stopped;
	int status;
};

uint64_t loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		no_memory();
	return l;
}

void loop_free(struct loop *l)
{
	free(l);
}

/* ---- descriptors ---- */

int loop_add(struct loop *l, int fd, short events, loop_fn fn, void *ctx)
{
	if (l->n == LOOP_MAX)
		return -ENOSPC;
	l->fds[l->n] = (struct pollfd){.fd = fd, .events = events};
	l->sources[l->n++] = (struct source){.fn = fn, .ctx = ctx};
	return 0;
}

void loop_set_events(struct loop *l, int fd, short events)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (l->fds[i].fd == fd)
			l->fds[i].events = events;
}

void loop_remove(struct loop *l, int fd)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (l->fds[i].fd == fd)
			l->fds[i].fd = -1;
}

static void sweep(struct loop *l)
{
	int i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (l->fds[i].fd < 0)
			continue;
		l->fds[n] = l->fds[i];
		l->sources[n++] = l->sources[i];
	}
	l->n = n;
}

/* ---- timers ---- */

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at)
{
	t->at = at ? at : 1;
	if (t->linked)
		return;
	t->linked = true;
	t->next = l->timers;
	l->timers = t;
}

/* It stays in the list, which is short. */
void loop_timer_clear(struct loop_timer *t)
{
	t->at = 0;
}

static int until_next(const struct loop *l)
{
	uint64_t now = loop_now(), first = UINT64_MAX;
	const struct loop_timer *t;

	for (t = l->timers; t; t = t->next)
		if (t->at && t->at < first)
			first = t->at;
	if (first == UINT64_MAX)
		return -1;
	if (first <= now)
		return 0;
	return first - now > 3600000 ? 3600000 : (int)(first - now);
}

static void run_timers(struct loop *l)
{
	uint64_t now = loop_now();
	struct loop_timer *t;

	for (t = l->timers; t && !l->stopped; t = t->next) {
		if (!t->at || t->at > now)
			continue;
		t->at = 0;
		t->fn(t->ctx);
	}
}

/* ---- run ---- */

void loop_stop(struct loop *l, int status)
{
	l->stopped = true;
	l->status = status;
}

int loop_run(struct loop *l)
{
	int i, n, ready;

	l->stopped = false;
	while (!l->stopped) {
		sweep(l);
		ready = poll(l->fds, (nfds_t)l->n, until_next(l));
		if (ready < 0 && errno != EINTR)
			return -errno;
		/* What a handler adds has no revents yet. */
		n = ready > 0 ? l->n : 0;
		for (i = 0; i < n && !l->stopped; i++)
			if (l->fds[i].fd >= 0 && l->fds[i].revents)
				l->sources[i].fn(l->sources[i].ctx, l->fds[i].revents);
		run_timers(l);
	}
	return l->status;
}
