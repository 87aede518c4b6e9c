// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpfd: read, compile, attach, and follow.
 *
 * Two threads.  The loop (loop.h) reads events, timers and signals and never waits for anything
 * else; the worker (worker.h) reads the rules, compiles and installs.  Between them stand bits:
 * why the rules must be read again (enum why), collected until they settle, and the jobs of the
 * worker (enum job).  What the worker found out is published under a lock.
 *
 * nf_tables and the host announce their changes by netlink, legacy tables and ipsets by their
 * observers.  Every --poll milliseconds the settings under /proc/sys are compared, which
 * announce nothing; and everything is read again then where an observer cannot be had.  Until
 * the new program is in its slot, the old one finds that the rules have moved on and leaves
 * every packet to the kernel; so being slow costs speed, never a verdict.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "control.h"
#include "counters.h"
#include "drops.h"
#include "handover.h"
#include "live.h"
#include "loop.h"
#include "metrics.h"
#include "notice.h"
#include "notify.h"
#include "options.h"
#include "rules.h"
#include "service.h"
#include "shadow.h"
#include "placement.h"
#include "worker.h"

/*
 * A change after a pause is compiled at once: a transaction is whole when it is announced, and
 * a legacy table is replaced by one call.  More changes soon after are a burst (a rule per
 * command): it is compiled when it has been quiet for QUIET_MS, or when HOLD has gone by, which
 * doubles each time; so a burst of any length costs few compiles, and a change waits
 * HOLD_MAX_MS at most.
 */
#define FIRST_MS 2
#define QUIET_MS 20
#define HOLD_MIN_MS 250
#define HOLD_MAX_MS 2000
#define PERIODIC_MS 1000
#define WATCH_MS 1000
#define SHADOW_MS 5000

enum job {
	JOB_UPDATE = 1,   /* read, and install what has changed */
	JOB_PERIODIC = 2, /* counters */
	JOB_SETTINGS = 4, /* compare what announces nothing */
	JOB_CONTROL = 8,  /* what clients asked for */
	JOB_STOP = 16,    /* hand back, if that is asked for */
	JOB_WATCH = 32,   /* somebody wants to see drops */
};

/* Why the rules are read again. */
enum why {
	WHY_RULES = 1,  /* nf_tables */
	WHY_HOST = 2,   /* interfaces, addresses, routes, settings */
	WHY_WORD = 4,   /* of the observers */
	WHY_POLL = 8,   /* what announces nothing */
	WHY_ASKED = 16, /* a signal */
	WHY_LOST = 32,  /* events were lost */
};

/* A client's request that the worker answers. */
struct errand {
	uint64_t client;
	enum control_kind kind;
	unsigned rate;
	json_t *reply; /* NULL: a stream begins */
};

struct daemon {
	const struct options *o;
	struct service service; /* the worker's alone while it runs */
	struct live live;
	struct loop *loop;
	struct control *control;
	struct worker *worker;
	struct counters counters; /* the worker's, as are the next two */
	uint64_t synced, compared;
	size_t disagree; /* counters, in shadow */
	int counters_err;
	struct mnl_socket *nft, *host;
	/* Opened by the worker once, then the loop's. */
	struct kern_bell *bell;
	struct kern_observed *observed;
	bool bell_added;
	int signals;
	bool stopping;

	/* Under live.lock: between loop and worker. */
	bool moved; /* settings have changed: read again */
	struct errand asked[CONTROL_MAX_CLIENTS], done[CONTROL_MAX_CLIENTS];
	size_t nasked, ndone;
	bool watched; /* somebody wants to see drops */
	/* Made by the worker for the loop, which takes them. */
	struct kern_watch *fresh_watch;
	struct drops *fresh_drops;

	/* The loop's. */
	struct kern_watch *watch;
	struct drops *drops;
	uint64_t lost; /* of kern_watch_lost(), that were told */
	struct loop_timer watching;

	/* settling */
	unsigned why;
	uint32_t newest; /* nf_tables generation that was announced */
	uint64_t first, posted;
	unsigned hold;
	struct loop_timer settle, poll, periodic, watchdog;
	uint64_t watchdog_ms;
};

/* ---- live drops ---- */

static void on_drop(void *ctx, const struct drop_record *r)
{
	struct daemon *m = ctx;
	json_t *line = drops_json(m->drops, r);

	if (line)
		control_publish(m->control, line);
	json_decref(line);
}

/* The worker: what the loop needs to show the drops of the programs in service. */
static int watch_make(struct daemon *m)
{
	struct kern_watch *watch = kern_watch_open(m->o->bpffs, on_drop, m);
	struct drops *drops = watch ? drops_make(&m->service, m->o) : NULL;

	if (!watch)
		return -ENOENT;
	pthread_mutex_lock(&m->live.lock);
	kern_watch_close(m->fresh_watch);
	drops_free(m->fresh_drops);
	m->fresh_watch = watch;
	m->fresh_drops = drops;
	m->watched = true;
	pthread_mutex_unlock(&m->live.lock);
	return 0;
}

static void watch_renew(struct daemon *m)
{
	bool watched;

	pthread_mutex_lock(&m->live.lock);
	watched = m->watched;
	pthread_mutex_unlock(&m->live.lock);
	if (watched)
		watch_make(m);
}

/* ---- the worker's side ---- */

static void report(struct live *l, const struct service *s)
{
	struct live_facts f;

	live_copy(l, &f);
	if (s->moved) {
		log_info("event=moved generation=%u keys=%zu took_ms=%llu", f.generation,
			 s->moved, (unsigned long long)f.took_ms);
		return;
	}
	log_info(
	    "event=installed generation=%u site=%s rules=%zu left=%zu insns=%zu interfaces=%zu "
	    "took_ms=%llu",
	    f.generation, s->early ? site_specs[s->early->site].name : "off", f.rules, f.left,
	    f.insns, f.interfaces, (unsigned long long)f.took_ms);
}

/* Unobserved ipsets announce nothing; a program that stays alone would go on with what they
 * held. */
static void warn_once(const struct service *s, const struct options *o)
{
	if (o->once && s->rs && s->rs->ipsets && !s->sets_observed)
		log_warning(
		    "event=ipset once=yes remedy=\"run nf2bpfd without --once, or again after "
		    "each change of an ipset: they announce none\"");
}

/* What is attached may have been compiled from what is no longer there and no program can
 * notice: an ipset, a setting.  Out with it; the kernel's own rules are live. */
static void stand_back(struct service *s, const struct options *o, int why, bool again)
{
	struct diag d = {0};
	size_t removed = 0, woken = 0;

	s->fingerprint = 0; /* the same rules again are a new generation */
	/* What sleeps wakes before its program goes; else it is better off with an old one. */
	if (!takeover_hand_back(o, NULL, 0, false, &woken, &d))
		handover_detach(o, &removed, &d);
	diag_print(&d, stderr, "nf2bpfd");
	diag_free(&d);
	/* A line per transition: the next attempts are told when they end otherwise. */
	log_at(again && !removed ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
	       "event=refused error=\"%s\" detached=%zu in_force=\"the kernel's rules\"",
	       strerror(-why), removed);
}

static int update(struct daemon *m, bool *changed)
{
	struct service *s = &m->service;
	const struct options *o = m->o;
	uint64_t start = loop_now();
	struct diag d = {0};
	int err = service_update(s, o, changed, &d);
	bool again = err && live_refused(&m->live, err, &d);

	if ((err && !again) || *changed)
		diag_print(&d, stderr, "nf2bpfd");
	/* A wrong --interface says nothing about the rules: what is attached stays. */
	if (err == -ENODEV && o->once) {
		log_error("event=refused error=\"%s\"", strerror(-err));
	} else if (err) {
		stand_back(s, o, err, again);
	} else {
		live_read(&m->live, s);
		if (*changed) {
			live_installed(&m->live, s, loop_now() - start, &d);
			report(&m->live, s);
		}
	}
	diag_free(&d);
	return err;
}

/* When there is an observer, which may come later. */
static void observers_open(struct daemon *m)
{
	struct kern_observed *observed;
	struct kern_bell *bell;

	if (!m->service.observed || m->bell)
		return;
	bell = kern_bell_open(m->o->bpffs);
	observed = kern_observed_open(m->o->bpffs);
	pthread_mutex_lock(&m->live.lock);
	m->bell = bell;
	m->observed = observed;
	pthread_mutex_unlock(&m->live.lock);
}

static void job_update(struct daemon *m)
{
	bool changed, held;

	pthread_mutex_lock(&m->live.lock);
	held = m->live.facts.held;
	pthread_mutex_unlock(&m->live.lock);
	if (held)
		return;
	update(m, &changed);
	observers_open(m);
	if (changed)
		watch_renew(m);
}

static void job_settings(struct daemon *m)
{
	bool moved = service_settings_moved(&m->service);

	pthread_mutex_lock(&m->live.lock);
	m->moved = moved;
	pthread_mutex_unlock(&m->live.lock);
}

static void hold(struct daemon *m, bool held)
{
	pthread_mutex_lock(&m->live.lock);
	m->live.facts.held = held;
	pthread_mutex_unlock(&m->live.lock);
}

/* ---- counters ---- */

static int sync_nft(struct counters *k, const struct options *o, struct counters_result *out,
		    struct diag *d)
{
	return counters_sync_nft(o, NULL, out, d);
}

/* -ESTALE: the rules are about to be read again, and what is pending waits. */
static void report_counters(struct daemon *m, const char *what,
			    int (*write)(struct counters *, const struct options *,
					 struct counters_result *, struct diag *))
{
	struct counters_result r;
	struct diag d = {0};
	int err = write(&m->counters, m->o, &r, &d);

	if (r.packets)
		log_debug("event=counters written=%s packets=%llu rules=%zu policies=%zu "
			  "left=%zu",
			  what, (unsigned long long)r.packets, r.rules, r.policies, r.left);
	if (err && err != -ESTALE && err != m->counters_err)
		log_warning("event=counters written=%s error=\"%s\"", what,
			    counters_error(err));
	if (err != -ESTALE)
		m->counters_err = err;
	diag_free(&d);
}

/* ---- what clients ask the worker for ---- */

static json_t *error_json(const char *text)
{
	return json_pack("{s:s}", "error", text);
}

/* Everything again, as after a start; what was handed back is taken again. */
static json_t *answer_reload(struct daemon *m)
{
	struct live_facts f;
	bool changed;
	int err;

	hold(m, false);
	m->service.fingerprint = 0;
	m->service.again = true;
	m->service.nrefused = 0;
	err = update(m, &changed);
	observers_open(m);
	watch_renew(m);
	live_copy(&m->live, &f);
	if (err)
		return error_json(f.refusal);
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "generation", (json_int_t)f.generation,
			 "rules", (json_int_t)f.rules, "left", (json_int_t)f.left, "interfaces",
			 (json_int_t)f.interfaces, "took_ms", (json_int_t)f.took_ms);
}

static json_t *answer_handback(struct daemon *m)
{
	struct diag d = {0};
	size_t removed = 0, woken;
	int err;

	hold(m, true);
	err = takeover_hand_back(m->o, NULL, 0, false, &woken, &d);
	if (!err)
		err = handover_detach(m->o, &removed, &d);
	m->service.fingerprint = 0;
	report_counters(m, "legacy", counters_topup_legacy);
	report_counters(m, "nft", sync_nft);
	diag_print(&d, stderr, "nf2bpfd");
	diag_free(&d);
	if (err)
		return error_json(strerror(-err));
	log_info("event=handback detached=%zu until=reload in_force=\"the kernel's rules\"",
		 removed);
	return json_pack("{s:I}", "detached", (json_int_t)removed);
}

static json_t *answer_rules(struct daemon *m, enum control_kind kind)
{
	struct diag d = {0};
	json_t *rules = rules_json(m->o, &d), *reply, *self;
	struct buf text = {0};
	struct live_facts f;

	if (!rules) {
		reply = error_json(d.n ? d.items[d.n - 1].text : "cannot read the rules");
	} else if (kind == CONTROL_METRICS) {
		live_copy(&m->live, &f);
		self = live_json(&f, m->o);
		metrics_print(m->o, rules, self, &text);
		json_decref(self);
		reply = json_pack("{s:s}", "text", buf_str(&text));
		buf_free(&text);
	} else if (kind == CONTROL_COUNTERS) {
		reply = json_pack("{s:o}", "counters", rules_counters(rules));
	} else {
		reply = json_pack("{s:O}", "result", rules);
	}
	json_decref(rules);
	diag_free(&d);
	return reply ? reply : error_json("a rule is not UTF-8");
}

static json_t *answer(struct daemon *m, enum control_kind kind)
{
	switch (kind) {
	case CONTROL_MONITOR:
		return watch_make(m) ? error_json("no program is in service") : NULL;
	case CONTROL_RELOAD:
		return answer_reload(m);
	case CONTROL_HANDBACK:
		return answer_handback(m);
	case CONTROL_RULES:
	case CONTROL_COUNTERS:
	case CONTROL_METRICS:
		return answer_rules(m, kind);
	default:
		return error_json("not a request for the worker");
	}
}

/* One errand a round: an update does not wait for a queue of them. */
static void job_control(struct daemon *m)
{
	struct errand one;
	size_t n;

	pthread_mutex_lock(&m->live.lock);
	n = m->nasked;
	if (n) {
		one = m->asked[0];
		memmove(&m->asked[0], &m->asked[1], --m->nasked * sizeof(one));
	}
	pthread_mutex_unlock(&m->live.lock);
	if (!n)
		return;
	if (n > 1)
		worker_post(m->worker, JOB_CONTROL);
	one.reply = answer(m, one.kind);
	pthread_mutex_lock(&m->live.lock);
	/* There are no more than clients; a client has one request. */
	if (m->ndone < CONTROL_MAX_CLIENTS)
		m->done[m->ndone++] = one;
	else
		json_decref(one.reply);
	pthread_mutex_unlock(&m->live.lock);
}

/* In shadow.  A line when the number of those that disagree has changed. */
static void report_shadow(struct daemon *m)
{
	struct arena *mem = arena_new();
	struct buf text = {0};
	struct shadow_row *rows;
	struct diag d = {0};
	size_t n = 0, i, disagree = 0;

	if (shadow_compare(m->o, mem, &rows, &n, &d))
		n = 0;
	for (i = 0; i < n; i++) {
		if (rows[i].agrees)
			continue;
		if (!disagree++) {
			origin_print(&rows[i].from, &text);
			buf_puts(&text, ": ");
			shadow_print(&rows[i], &text);
		}
	}
	if (disagree != m->disagree)
		log_at(disagree ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		       "event=shadow agree=%zu disagree=%zu first=\"%s\"", n - disagree,
		       disagree, buf_str(&text));
	m->disagree = disagree;
	buf_free(&text);
	diag_free(&d);
	arena_free(mem);
}

/* What is done every PERIODIC_MS beside following changes (counters). */
static void job_periodic(struct daemon *m)
{
	uint64_t now = loop_now();

	if (m->o->shadow) {
		/* Nothing is written then: it would be a count that no program made. */
		if (now - m->compared >= SHADOW_MS)
			report_shadow(m);
		if (now - m->compared >= SHADOW_MS)
			m->compared = now;
		return;
	}
	if (m->o->counters_ms)
		report_counters(m, "legacy", counters_topup_legacy);
	if (m->o->sync_ms && now - m->synced >= m->o->sync_ms) {
		m->synced = now;
		report_counters(m, "nft", sync_nft);
	}
}

/* Seam: before the daemon goes on SIGTERM; the programs stay unless this takes them away. */
static void job_stop(struct daemon *m)
{
	struct diag d = {0};
	size_t woken = 0;

	if (!m->o->on_stop_hand_back)
		return;
	if (!takeover_hand_back(m->o, NULL, 0, false, &woken, &d))
		log_info("event=hand-back tables=%zu", woken);
	diag_print(&d, stderr, "nf2bpfd");
	diag_free(&d);
}

static void work(void *ctx, unsigned jobs)
{
	struct daemon *m = ctx;

	if (jobs & JOB_STOP) {
		job_stop(m);
		return;
	}
	if (jobs & JOB_UPDATE)
		job_update(m);
	else if (jobs & JOB_SETTINGS)
		job_settings(m);
	if (jobs & JOB_WATCH)
		watch_make(m);
	if (jobs & JOB_CONTROL)
		job_control(m);
	if (jobs & JOB_PERIODIC)
		job_periodic(m);
}

/* ---- settling: from notices to a job ---- */

static void touch(struct daemon *m, unsigned why)
{
	uint64_t now = loop_now(), at;

	if (!m->why)
		m->first = now;
	m->why |= why;
	if (now - m->posted > HOLD_MAX_MS)
		m->hold = HOLD_MIN_MS;
	if (now - m->posted > HOLD_MIN_MS && m->first == now) {
		at = now + FIRST_MS;
	} else if (m->settle.at && m->settle.at <= m->first + FIRST_MS) {
		return;
	} else {
		at = now + QUIET_MS;
		if (at > m->first + m->hold)
			at = m->first + m->hold;
	}
	loop_timer_set(m->loop, &m->settle, at);
}

/* Does what was announced differ from what is in service?  Events of a generation that was read
 * while they were under way cost nothing. */
static bool worth_reading(struct daemon *m)
{
	struct live_facts f;
	uint64_t seq;

	live_copy(&m->live, &f);
	if (!f.installed || m->why & ~(unsigned)(WHY_RULES | WHY_WORD))
		return true;
	if (m->why & WHY_RULES && m->newest != f.generation)
		return true;
	return m->why & WHY_WORD &&
	       (!f.observed || !m->observed || kern_observed_read(m->observed, &seq) ||
		seq != f.legacy_seq);
}

static void on_settled(void *ctx)
{
	struct daemon *m = ctx;
	uint64_t now = loop_now();

	/* While the worker is busy, more may come: one round for all. */
	if (worker_busy_since(m->worker)) {
		loop_timer_set(m->loop, &m->settle, now + QUIET_MS);
		return;
	}
	if (now - m->first >= m->hold && m->hold < HOLD_MAX_MS)
		m->hold *= 2;
	if (worth_reading(m)) {
		m->posted = now;
		worker_post(m->worker, JOB_UPDATE);
	}
	m->why = 0;
}

/* ---- the loop's handlers ---- */

static void overrun(struct daemon *m, const char *bus)
{
	log_warning("event=overrun bus=%s next=\"read again\"", bus);
	pthread_mutex_lock(&m->live.lock);
	m->live.facts.overruns++;
	pthread_mutex_unlock(&m->live.lock);
}

static void on_nft(void *ctx, short revents)
{
	struct daemon *m = ctx;
	struct notice n;

	notice_drain(m->nft, &n);
	if (n.generation_set)
		m->newest = n.generation;
	if (n.lost)
		overrun(m, "nf_tables");
	if (n.lost || n.generation_set)
		touch(m, n.lost ? WHY_LOST : WHY_RULES);
}

static void on_host(void *ctx, short revents)
{
	struct daemon *m = ctx;
	struct notice n;

	notice_drain(m->host, &n);
	if (n.lost)
		overrun(m, "route");
	if (n.lost || n.messages)
		touch(m, n.lost ? WHY_LOST : WHY_HOST);
}

static void on_signal(void *ctx, short revents)
{
	struct daemon *m = ctx;
	struct signalfd_siginfo info;

	if (read(m->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		touch(m, WHY_ASKED);
	} else if (!m->stopping) {
		log_info("event=stop signal=%u programs=stay", info.ssi_signo);
		notify("STOPPING=1\n");
		m->stopping = true;
		worker_post(m->worker, JOB_STOP);
	}
}

static void on_bell(void *ctx, short revents)
{
	struct daemon *m = ctx;

	kern_bell_clear(m->bell);
	touch(m, WHY_WORD);
}

static void bell_follow(struct daemon *m)
{
	struct kern_bell *bell;

	pthread_mutex_lock(&m->live.lock);
	bell = m->bell;
	pthread_mutex_unlock(&m->live.lock);
	if (bell && !m->bell_added)
		m->bell_added = !loop_add(m->loop, kern_bell_fd(bell), POLLIN, on_bell, m);
}

static void deliver(struct daemon *m)
{
	struct errand done[CONTROL_MAX_CLIENTS];
	size_t n, i;

	pthread_mutex_lock(&m->live.lock);
	n = m->ndone;
	memcpy(done, m->done, n * sizeof(done[0]));
	m->ndone = 0;
	pthread_mutex_unlock(&m->live.lock);
	for (i = 0; i < n; i++) {
		if (done[i].reply)
			control_reply(m->control, done[i].client, done[i].reply);
		else
			control_stream(m->control, done[i].client, done[i].rate);
	}
}

static void on_drops(void *ctx, short revents)
{
	struct daemon *m = ctx;

	kern_watch_take(m->watch);
}

static void watch_close(struct daemon *m)
{
	if (!m->watch)
		return;
	loop_remove(m->loop, kern_watch_fd(m->watch));
	kern_watch_close(m->watch);
	drops_free(m->drops);
	m->watch = NULL;
	m->drops = NULL;
}

/* What the worker has made for the loop. */
static void watch_take(struct daemon *m)
{
	struct kern_watch *watch;
	struct drops *drops;

	pthread_mutex_lock(&m->live.lock);
	watch = m->fresh_watch;
	drops = m->fresh_drops;
	m->fresh_watch = NULL;
	m->fresh_drops = NULL;
	pthread_mutex_unlock(&m->live.lock);
	if (!watch)
		return;
	if (m->watch)
		kern_watch_take(m->watch); /* by the rules that they were dropped by */
	watch_close(m);
	m->watch = watch;
	m->drops = drops;
	m->lost = kern_watch_lost(watch);
	if (loop_add(m->loop, kern_watch_fd(watch), POLLIN, on_drops, m))
		log_warning("event=monitor error=\"too many descriptors\"");
}

static void tell_lost(struct daemon *m)
{
	uint64_t lost = kern_watch_lost(m->watch);
	json_t *line;

	if (lost <= m->lost)
		return;
	line = json_pack("{s:I,s:s}", "lost", (json_int_t)(lost - m->lost), "where", "program");
	control_tell(m->control, line);
	json_decref(line);
	m->lost = lost;
}

/* Every second while somebody listens, and once more: then the programs are told that nobody
 * does. */
static void on_watching(void *ctx)
{
	struct daemon *m = ctx;
	unsigned rate = control_listening(m->control);

	if (m->watch)
		kern_watch_listen(m->watch, rate);
	if (rate) {
		if (m->watch)
			tell_lost(m);
		else if (!worker_busy_since(m->worker))
			worker_post(m->worker, JOB_WATCH); /* closed as it was asked for */
		loop_timer_set(m->loop, &m->watching, loop_now() + WATCH_MS);
		return;
	}
	pthread_mutex_lock(&m->live.lock);
	m->watched = false;
	pthread_mutex_unlock(&m->live.lock);
	watch_close(m);
}

static void on_worker(void *ctx, short revents)
{
	struct daemon *m = ctx;
	bool moved;

	worker_clear(m->worker);
	bell_follow(m);
	watch_take(m);
	deliver(m);
	if (m->watch || control_listening(m->control))
		on_watching(m);
	pthread_mutex_lock(&m->live.lock);
	moved = m->moved;
	m->moved = false;
	pthread_mutex_unlock(&m->live.lock);
	if (moved)
		touch(m, WHY_POLL);
	if (m->stopping && !worker_busy_since(m->worker))
		loop_stop(m->loop, 0);
}

static void on_request(void *ctx, uint64_t client, const struct control_request *rq)
{
	struct daemon *m = ctx;
	struct live_facts f;

	switch (rq->kind) {
	case CONTROL_PING:
		control_reply(m->control, client, json_pack("{s:i}", "pid", (int)getpid()));
		return;
	case CONTROL_STATUS:
		live_copy(&m->live, &f);
		control_reply(m->control, client,
			      json_pack("{s:o}", "daemon", live_json(&f, m->o)));
		return;
	default:
		break;
	}
	pthread_mutex_lock(&m->live.lock);
	/* A client that went away may leave its errand behind. */
	if (m->nasked < CONTROL_MAX_CLIENTS) {
		m->asked[m->nasked++] =
		    (struct errand){.client = client, .kind = rq->kind, .rate = rq->rate};
		client = 0;
	}
	pthread_mutex_unlock(&m->live.lock);
	if (client)
		control_reply(m->control, client, error_json("too many requests"));
	else
		worker_post(m->worker, JOB_CONTROL);
}

static void on_poll(void *ctx)
{
	struct daemon *m = ctx;
	struct live_facts f;

	live_copy(&m->live, &f);
	if (f.must_poll || !f.installed)
		touch(m, WHY_POLL);
	else
		worker_post(m->worker, JOB_SETTINGS);
	loop_timer_set(m->loop, &m->poll, loop_now() + m->o->poll_ms);
}

static unsigned periodic_ms(const struct options *o)
{
	unsigned ms = o->counters_ms ? o->counters_ms : PERIODIC_MS;

	return o->sync_ms && o->sync_ms < ms ? o->sync_ms : ms;
}

static void on_periodic(void *ctx)
{
	struct daemon *m = ctx;

	worker_post(m->worker, JOB_PERIODIC);
	loop_timer_set(m->loop, &m->periodic, loop_now() + periodic_ms(m->o));
}

/* Alive is: the loop turns, and the worker is not stuck. */
static void on_watchdog(void *ctx)
{
	struct daemon *m = ctx;
	uint64_t since = worker_busy_since(m->worker), now = loop_now();

	if (!since || now - since < 2 * m->watchdog_ms)
		notify("WATCHDOG=1\n");
	else
		log_error("event=stuck since_ms=%llu", (unsigned long long)(now - since));
	loop_timer_set(m->loop, &m->watchdog, now + m->watchdog_ms / 3);
}

/* ---- start and end ---- */

static void timer_start(struct daemon *m, struct loop_timer *t, void (*fn)(void *), uint64_t ms)
{
	t->fn = fn;
	t->ctx = m;
	if (ms)
		loop_timer_set(m->loop, t, loop_now() + ms);
}

/* Before the worker starts: it inherits the mask. */
static int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int follow_begin(struct daemon *m)
{
	const char *watchdog = getenv("WATCHDOG_USEC");
	int err;

	m->worker = worker_start(work, m);
	if (!m->worker)
		return -EAGAIN;
	m->hold = HOLD_MIN_MS;
	m->watchdog_ms = watchdog ? strtoull(watchdog, NULL, 10) / 1000 : 0;
	err = loop_add(m->loop, mnl_socket_get_fd(m->nft), POLLIN, on_nft, m);
	if (!err)
		err = loop_add(m->loop, mnl_socket_get_fd(m->host), POLLIN, on_host, m);
	if (!err)
		err = loop_add(m->loop, m->signals, POLLIN, on_signal, m);
	if (!err)
		err = loop_add(m->loop, worker_fd(m->worker), POLLIN, on_worker, m);
	if (!err)
		bell_follow(m);
	timer_start(m, &m->settle, on_settled, 0);
	timer_start(m, &m->poll, on_poll, m->o->poll_ms);
	timer_start(m, &m->periodic, on_periodic, periodic_ms(m->o));
	timer_start(m, &m->watching, on_watching, 0);
	timer_start(m, &m->watchdog, on_watchdog, m->watchdog_ms / 3);
	return err;
}

static int follow(struct daemon *m)
{
	int err;

	m->signals = signals_open();
	if (m->signals < 0)
		return m->signals;
	err = follow_begin(m);
	if (!err) {
		/* A host whose rules cannot be compiled now may have better ones later: stay.
		 */
		notify("READY=1\n");
		err = loop_run(m->loop);
	}
	if (m->worker)
		worker_stop(m->worker);
	if (m->watch)
		kern_watch_listen(m->watch, 0);
	watch_close(m);
	kern_watch_close(m->fresh_watch);
	drops_free(m->fresh_drops);
	kern_bell_close(m->bell);
	kern_observed_close(m->observed);
	close(m->signals);
	return err;
}

static int check_privileges(struct daemon *m)
{
	struct diag d = {0};
	int err = kern_probe(&m->service.caps, &d);

	diag_print(&d, stderr, "nf2bpfd");
	diag_free(&d);
	if (err)
		return err;
	if (!m->service.caps.privileged) {
		fprintf(stderr,
			"nf2bpfd: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed: %s\n",
			m->service.caps.missing);
		return -EPERM;
	}
	if (m->service.caps.missing[0])
		log_warning("event=probe missing=\"%s\"", m->service.caps.missing);
	return 0;
}

/* The socket first: it tells whether a daemon is at work here. */
static int open_all(struct daemon *m)
{
	struct diag d = {0};
	int err;

	m->loop = loop_new();
	err = control_open(&m->control, m->loop, m->o->state_dir, on_request, m, &d);
	diag_print(&d, stderr, "nf2bpfd");
	diag_free(&d);
	if (err)
		return err;
	/* Before the first reading: no change between it and the loop is missed. */
	m->nft = notice_open_nft();
	m->host = notice_open_host();
	if (m->nft && m->host)
		return 0;
	fprintf(stderr, "nf2bpfd: cannot follow changes: %s\n", strerror(errno));
	return -EIO;
}

static void close_all(struct daemon *m)
{
	control_close(m->control);
	if (m->nft)
		mnl_socket_close(m->nft);
	if (m->host)
		mnl_socket_close(m->host);
	loop_free(m->loop);
	service_close(&m->service);
	kern_clock_close(m->service.clock);
}

int cmd_daemon(const struct options *o)
{
	struct daemon m = {.o = o, .live.lock = PTHREAD_MUTEX_INITIALIZER, .signals = -1};
	int err = check_privileges(&m);
	bool changed;

	if (!err && !o->once)
		err = open_all(&m);
	if (!err) {
		m.live.facts.started = live_now();
		err = update(&m, &changed);
		observers_open(&m);
		warn_once(&m.service, o);
		if (!o->once)
			err = follow(&m);
	}
	close_all(&m);
	return err ? EXIT_SYSTEM : EXIT_OK;
}
