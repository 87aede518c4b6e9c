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
#include "loop.h"
#include "notice.h"
#include "options.h"
#include "service.h"
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

enum job {
	JOB_UPDATE = 1,   /* read, and install what has changed */
	JOB_PERIODIC = 2, /* counters */
	JOB_SETTINGS = 4, /* compare what announces nothing */
	JOB_STOP = 8,     /* hand back, if that is asked for */
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

/* What the worker tells the loop. */
struct published {
	pthread_mutex_t lock;
	bool installed; /* a generation is in service: */
	uint32_t generation;
	bool must_poll; /* rules that nothing announces */
	bool moved;     /* settings have changed: read again */
	bool observed;
	uint64_t legacy_seq;
};

struct daemon {
	const struct options *o;
	struct service service; /* the worker's alone while it runs */
	struct published pub;
	struct loop *loop;
	struct worker *worker;
	struct mnl_socket *nft, *host;
	/* Opened by the worker once, then the loop's. */
	struct kern_bell *bell;
	struct kern_observed *observed;
	bool bell_added;
	int signals;
	bool stopping;

	/* settling */
	unsigned why;
	uint32_t newest; /* nf_tables generation that was announced */
	uint64_t first, posted;
	unsigned hold;
	struct loop_timer settle, poll, periodic, watchdog;
	uint64_t watchdog_ms;
};

/* sd_notify(3) without the library: one datagram. */
static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, strlen(path));
	if (*path == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_warning("event=notify error=\"%s\"", strerror(errno));
	close(fd);
}

/* ---- the worker's side ---- */

static void report(const struct service *s, uint64_t took_ms)
{
	const struct unit *e = s->early;
	const struct ir_chain *c;
	const struct ir_rule *r;
	size_t rules = 0, left = 0;

	for (c = e && e->ir ? e->ir->chains : NULL; c; c = c->next) {
		rules += c->nrules;
		for (r = c->rules; r; r = r->next)
			left += ir_rule_leave(r) != NULL;
	}
	log_info(
	    "event=installed generation=%u site=%s rules=%zu left=%zu insns=%zu interfaces=%zu "
	    "took_ms=%llu",
	    s->rs->generation, e ? site_specs[e->site].name : "off", rules, left,
	    s->loaded ? loaded_insns(s->loaded) : 0, s->ninterfaces,
	    (unsigned long long)took_ms);
}

/* Unobserved ipsets announce nothing; a program that stays alone would go on with what they held. */
static void warn_once(const struct service *s, const struct options *o)
{
	if (o->once && s->rs && s->rs->ipsets && !s->sets_observed)
		log_warning(
		    "event=ipset once=yes remedy=\"run nf2bpfd without --once, or again after "
		    "each change of an ipset: they announce none\"");
}

/* What is attached may have been compiled from what is no longer there and no program can
 * notice: an ipset, a setting.  Out with it; the kernel's own rules are live. */
static void stand_back(struct service *s, const struct options *o, int why)
{
	struct diag d = {0};
	size_t removed = 0;

	s->fingerprint = 0; /* the same rules again are a new generation */
	kern_detach(o->bpffs, &removed, &d);
	diag_print(&d, stderr, "nf2bpfd");
	diag_free(&d);
	log_error("event=refused error=\"%s\" detached=%zu in_force=\"the kernel's rules\"",
		  strerror(-why), removed);
}

static int update(struct service *s, const struct options *o)
{
	uint64_t start = loop_now();
	struct diag d = {0};
	bool changed;
	int err = service_update(s, o, &changed, &d);

	if (err || changed)
		diag_print(&d, stderr, "nf2bpfd");
	/* A wrong --interface says nothing about the rules: what is attached stays. */
	if (err == -ENODEV && o->once)
		log_error("event=refused error=\"%s\"", strerror(-err));
	else if (err)
		stand_back(s, o, err);
	else if (changed)
		report(s, loop_now() - start);
	diag_free(&d);
	return err;
}

static void publish(struct daemon *m, int err)
{
	const struct service *s = &m->service;

	pthread_mutex_lock(&m->pub.lock);
	m->pub.installed = !err && s->rs;
	m->pub.generation = s->rs ? s->rs->generation : 0;
	m->pub.observed = s->observed;
	m->pub.must_poll = !s->rs || !s->observed || (s->rs->ipsets && !s->sets_observed);
	m->pub.legacy_seq = s->legacy_seq;
	if (s->observed && !m->bell)
		m->bell = kern_bell_open(m->o->bpffs);
	if (s->observed && !m->observed)
		m->observed = kern_observed_open(m->o->bpffs);
	pthread_mutex_unlock(&m->pub.lock);
}

static void job_settings(struct daemon *m)
{
	bool moved = service_settings_moved(&m->service);

	pthread_mutex_lock(&m->pub.lock);
	m->pub.moved = moved;
	pthread_mutex_unlock(&m->pub.lock);
}

/* Seam: what is done every PERIODIC_MS beside following changes (counters). */
static void job_periodic(struct daemon *m)
{
}

/* Seam: before the daemon goes on SIGTERM; the programs stay unless this takes them away. */
static void job_stop(struct daemon *m)
{
}

static void work(void *ctx, unsigned jobs)
{
	struct daemon *m = ctx;

	if (jobs & JOB_STOP) {
		job_stop(m);
		return;
	}
	if (jobs & JOB_UPDATE)
		publish(m, update(&m->service, m->o));
	else if (jobs & JOB_SETTINGS)
		job_settings(m);
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
	bool worth = true;
	uint64_t seq;

	pthread_mutex_lock(&m->pub.lock);
	if (m->pub.installed && !(m->why & ~(unsigned)(WHY_RULES | WHY_WORD))) {
		worth = m->why & WHY_RULES && m->newest != m->pub.generation;
		if (!worth && m->why & WHY_WORD)
			worth = !m->pub.observed || !m->observed ||
				kern_observed_read(m->observed, &seq) ||
				seq != m->pub.legacy_seq;
	}
	pthread_mutex_unlock(&m->pub.lock);
	return worth;
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

static void on_nft(void *ctx, short revents)
{
	struct daemon *m = ctx;
	struct notice n;

	notice_drain(m->nft, &n);
	if (n.generation_set)
		m->newest = n.generation;
	if (n.lost)
		log_warning("event=overrun bus=nf_tables next=\"read again\"");
	if (n.lost || n.generation_set)
		touch(m, n.lost ? WHY_LOST : WHY_RULES);
}

static void on_host(void *ctx, short revents)
{
	struct daemon *m = ctx;
	struct notice n;

	notice_drain(m->host, &n);
	if (n.lost)
		log_warning("event=overrun bus=route next=\"read again\"");
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

/* The worker opens the bell when there is an observer, which may come later. */
static void bell_follow(struct daemon *m)
{
	struct kern_bell *bell;

	pthread_mutex_lock(&m->pub.lock);
	bell = m->bell;
	pthread_mutex_unlock(&m->pub.lock);
	if (bell && !m->bell_added)
		m->bell_added = !loop_add(m->loop, kern_bell_fd(bell), POLLIN, on_bell, m);
}

static void on_worker(void *ctx, short revents)
{
	struct daemon *m = ctx;
	bool moved;

	worker_clear(m->worker);
	bell_follow(m);
	pthread_mutex_lock(&m->pub.lock);
	moved = m->pub.moved;
	m->pub.moved = false;
	pthread_mutex_unlock(&m->pub.lock);
	if (moved)
		touch(m, WHY_POLL);
	if (m->stopping && !worker_busy_since(m->worker))
		loop_stop(m->loop, 0);
}

static void on_poll(void *ctx)
{
	struct daemon *m = ctx;
	bool must;

	pthread_mutex_lock(&m->pub.lock);
	must = m->pub.must_poll || !m->pub.installed;
	pthread_mutex_unlock(&m->pub.lock);
	if (must)
		touch(m, WHY_POLL);
	else
		worker_post(m->worker, JOB_SETTINGS);
	loop_timer_set(m->loop, &m->poll, loop_now() + m->o->poll_ms);
}

static void on_periodic(void *ctx)
{
	struct daemon *m = ctx;

	worker_post(m->worker, JOB_PERIODIC);
	loop_timer_set(m->loop, &m->periodic, loop_now() + PERIODIC_MS);
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
	timer_start(m, &m->periodic, on_periodic, PERIODIC_MS);
	timer_start(m, &m->watchdog, on_watchdog, m->watchdog_ms / 3);
	return err;
}

static int follow(struct daemon *m)
{
	int err;

	m->signals = signals_open();
	if (m->signals < 0)
		return m->signals;
	m->loop = loop_new();
	err = follow_begin(m);
	if (!err) {
		/* A host whose rules cannot be compiled now may have better ones later: stay.
		 */
		notify("READY=1\n");
		err = loop_run(m->loop);
	}
	if (m->worker)
		worker_stop(m->worker);
	kern_bell_close(m->bell);
	kern_observed_close(m->observed);
	loop_free(m->loop);
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

int cmd_daemon(const struct options *o)
{
	struct daemon m = {.o = o, .pub.lock = PTHREAD_MUTEX_INITIALIZER, .signals = -1};
	int err = check_privileges(&m);

	if (err)
		return EXIT_SYSTEM;
	if (!o->once) {
		/* Before the first reading: no change between it and the loop is missed. */
		m.nft = notice_open_nft();
		m.host = notice_open_host();
		if (!m.nft || !m.host) {
			fprintf(stderr, "nf2bpfd: cannot follow changes: %s\n",
				strerror(errno));
			return EXIT_SYSTEM;
		}
	}
	err = update(&m.service, o);
	publish(&m, err);
	warn_once(&m.service, o);
	if (!o->once) {
		err = follow(&m);
		mnl_socket_close(m.nft);
		mnl_socket_close(m.host);
	}
	service_close(&m.service);
	kern_clock_close(m.service.clock);
	return err ? EXIT_SYSTEM : EXIT_OK;
}
