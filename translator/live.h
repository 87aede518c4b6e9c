/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the daemon knows of itself: written by its worker, read by its loop, shown by status and
 * metrics.  Copied under the lock; never held while anything is done.
 */
#ifndef NF2BPF_LIVE_H
#define NF2BPF_LIVE_H

#include <jansson.h>
#include <pthread.h>
#include "service.h"

struct live_facts {
	bool installed;      /* a generation is in service: */
	uint32_t generation; /* of nf_tables */
	uint64_t legacy_seq; /* the observers' word */
	bool observed, sets_observed;
	bool must_poll; /* rules that nothing announces */
	bool held;      /* handed back until a reload is asked for */
	size_t rules, left, insns, interfaces;

	double started, since, refused_at; /* seconds since 1970; 0: never */
	uint64_t took_ms, longest_ms;      /* read, compile, verify, install */
	uint64_t reads, installs, refusals, overruns;
	char refusal[256]; /* the last one */
	char notes[2048];  /* of the last install: interfaces left out, with the remedy … */
};

struct live {
	pthread_mutex_t lock;
	struct live_facts facts;
};

double live_now(void);
void live_copy(struct live *l, struct live_facts *out);
/* After a successful update that changed something. */
void live_installed(struct live *l, const struct service *s, uint64_t took_ms,
		    const struct diag *d);
/* After any successful update. */
void live_read(struct live *l, const struct service *s);
/* True: for the same reason as the last time, and nothing has been installed since. */
bool live_refused(struct live *l, int err, const struct diag *d);
json_t *live_json(const struct live_facts *f, const struct options *o);

#endif
