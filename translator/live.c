// SPDX-License-Identifier: GPL-2.0
#include "live.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double live_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void live_copy(struct live *l, struct live_facts *out)
{
	pthread_mutex_lock(&l->lock);
	*out = l->facts;
	pthread_mutex_unlock(&l->lock);
}

static void take_service(struct live_facts *f, const struct service *s)
{
	f->installed = s->rs != NULL;
	f->generation = s->rs ? s->generation : 0;
	f->legacy_seq = s->legacy_seq;
	f->observed = s->observed;
	f->sets_observed = s->sets_observed;
	f->must_poll = !s->rs || !s->observed || (s->rs->ipsets && !s->sets_observed);
}

void live_read(struct live *l, const struct service *s)
{
	pthread_mutex_lock(&l->lock);
	take_service(&l->facts, s);
	l->facts.reads++;
	pthread_mutex_unlock(&l->lock);
}

static void count_rules(struct live_facts *f, const struct unit *e)
{
	const struct ir_chain *c;
	const struct ir_rule *r;

	f->rules = f->left = 0;
	for (c = e && e->ir ? e->ir->chains : NULL; c; c = c->next) {
		f->rules += c->nrules;
		for (r = c->rules; r; r = r->next)
			f->left += ir_rule_leave(r) != NULL;
	}
}

static void take_notes(struct live_facts *f, const struct diag *d)
{
	size_t i, at = 0;
	int n;

	f->notes[0] = '\0';
	for (i = 0; i < d->n && at < sizeof(f->notes) - 1; i++) {
		if (d->items[i].severity != DIAG_WARNING)
			continue;
		n = snprintf(f->notes + at, sizeof(f->notes) - at, "%s%s", at ? "\n" : "",
			     d->items[i].text);
		at += n > 0 ? (size_t)n : 0;
	}
}

void live_installed(struct live *l, const struct service *s, uint64_t took_ms,
		    const struct diag *d)
{
	struct live_facts *f = &l->facts;

	pthread_mutex_lock(&l->lock);
	count_rules(f, s->early);
	f->insns = s->loaded ? loaded_insns(s->loaded) : 0;
	f->interfaces = s->ninterfaces;
	f->since = live_now();
	f->took_ms = took_ms;
	if (took_ms > f->longest_ms)
		f->longest_ms = took_ms;
	f->installs++;
	take_notes(f, d);
	pthread_mutex_unlock(&l->lock);
}

bool live_refused(struct live *l, int err, const struct diag *d)
{
	struct live_facts *f = &l->facts;
	const char *why = strerror(-err);
	bool again;
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->items[i].severity == DIAG_ERROR)
			why = d->items[i].text;
	pthread_mutex_lock(&l->lock);
	again =
	    !f->installed && f->refusals && !strncmp(f->refusal, why, sizeof(f->refusal) - 1);
	f->installed = false;
	f->refusals++;
	f->refused_at = live_now();
	snprintf(f->refusal, sizeof(f->refusal), "%s", why);
	pthread_mutex_unlock(&l->lock);
	return again;
}

json_t *live_json(const struct live_facts *f, const struct options *o)
{
	json_t *j = json_pack(
	    "{s:i,s:f,s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:b,s:I}", "pid", (int)getpid(),
	    "started", f->started, "mode",
	    o->takeover ? "takeover"
	    : o->shadow ? "shadow"
			: "assist",
	    "in_service", f->installed && !f->held, "handed_back", f->held, "generation",
	    (json_int_t)f->generation, "rules", (json_int_t)f->rules, "left",
	    (json_int_t)f->left, "insns", (json_int_t)f->insns, "interfaces",
	    (json_int_t)f->interfaces, "legacy_observed", f->observed, "ipsets_observed",
	    f->sets_observed, "polls_rules", f->must_poll, "poll_ms", (json_int_t)o->poll_ms);

	if (!j)
		return json_object();
	json_object_set_new(j, "since", f->since > 0 ? json_real(f->since) : json_null());
	json_object_set_new(j, "compile",
			    json_pack("{s:I,s:I,s:I,s:I}", "last_ms", (json_int_t)f->took_ms,
				      "longest_ms", (json_int_t)f->longest_ms, "installs",
				      (json_int_t)f->installs, "reads", (json_int_t)f->reads));
	json_object_set_new(j, "overruns", json_integer((json_int_t)f->overruns));
	json_object_set_new(j, "refusals", json_integer((json_int_t)f->refusals));
	json_object_set_new(
	    j, "last_refusal",
	    f->refusals ? json_pack("{s:f,s:s}", "at", f->refused_at, "error", f->refusal)
			: json_null());
	json_object_set_new(j, "notes", json_string(f->notes));
	return j;
}
