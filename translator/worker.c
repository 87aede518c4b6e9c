// SPDX-License-Identifier: GPL-2.0
#include "worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "loop.h"

struct worker {
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	unsigned pending;
	bool stop;
	uint64_t since;
	int done; /* eventfd */
	void (*run)(void *ctx, unsigned jobs);
	void *ctx;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t one = 1;
	unsigned jobs;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->pending && !w->stop)
			pthread_cond_wait(&w->wake, &w->lock);
		if (w->stop)
			break;
		jobs = w->pending;
		w->pending = 0;
		w->since = loop_now();
		pthread_mutex_unlock(&w->lock);
		w->run(w->ctx, jobs);
		pthread_mutex_lock(&w->lock);
		w->since = 0;
		if (write(w->done, &one, sizeof(one)) < 0)
			abort(); /* an eventfd of one reader takes it */
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct worker *worker_start(void (*run)(void *ctx, unsigned jobs), void *ctx)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		no_memory();
	w->run = run;
	w->ctx = ctx;
	w->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (w->done >= 0 && !pthread_create(&w->thread, NULL, work, w))
		return w;
	if (w->done >= 0)
		close(w->done);
	free(w);
	return NULL;
}

void worker_post(struct worker *w, unsigned jobs)
{
	pthread_mutex_lock(&w->lock);
	w->pending |= jobs;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

int worker_fd(const struct worker *w)
{
	return w->done;
}

void worker_clear(struct worker *w)
{
	uint64_t n;

	(void)!read(w->done, &n, sizeof(n));
}

uint64_t worker_busy_since(struct worker *w)
{
	uint64_t since;

	pthread_mutex_lock(&w->lock);
	since = w->since;
	pthread_mutex_unlock(&w->lock);
	return since;
}

void worker_stop(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	close(w->done);
	free(w);
}
