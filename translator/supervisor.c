// SPDX-License-Identifier: GPL-2.0
#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "loop.h"
#include "notify.h"

#define NETNS_DIR "/run/netns"
#define TICK_MS 500
#define DELAY_MIN_MS 1000 /* before a child is started again; doubles up to: */
#define DELAY_MAX_MS 60000
#define WELL_MS 60000   /* it ran this long: the delay begins anew */
#define SILENT_MS 60000 /* no sign of life: it hangs */
#define BEAT_USEC "15000000"

struct child {
	struct child *next;
	char *netns;
	pid_t pid; /* 0: waits for its start at */
	uint64_t at, began, beat;
	unsigned delay;
	bool listed; /* still wanted */
};

struct supervisor {
	const struct options *o;
	int (*follow)(const struct options *o, const char *netns);
	struct loop *loop;
	struct child *children;
	struct loop_timer tick;
	int signals, beats;
	struct sockaddr_un addr; /* where children report, as to systemd */
	sigset_t old_mask;
	bool stopping;
	uint64_t watchdog_ms, watchdog_at;
};

/* ---- children ---- */

/* A child is not a daemon of its own for systemd: what it tells comes here. */
static void child_run(struct supervisor *s, const char *netns)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	close(s->signals);
	close(s->beats);
	setenv("NOTIFY_SOCKET", s->addr.sun_path, 1);
	setenv("WATCHDOG_USEC", BEAT_USEC, 1);
	log_set_netns(netns);
	_exit(s->follow(s->o, netns));
}

static void child_start(struct supervisor *s, struct child *c)
{
	uint64_t now = loop_now();
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		child_run(s, c->netns);
	c->began = c->beat = now;
	if (pid > 0) {
		c->pid = pid;
		log_info("event=child netns=%s pid=%d", c->netns, (int)pid);
	} else {
		c->at = now + DELAY_MAX_MS;
		log_error("event=child netns=%s error=\"%s\"", c->netns, strerror(errno));
	}
}

static void child_ended(struct supervisor *s, struct child *c, int status)
{
	uint64_t now = loop_now();

	c->pid = 0;
	if (s->stopping || !c->listed)
		return;
	if (now - c->began > WELL_MS)
		c->delay = DELAY_MIN_MS;
	c->at = now + c->delay;
	log_error("event=child_ended netns=%s %s=%d again_ms=%u", c->netns,
		  WIFSIGNALED(status) ? "signal" : "status",
		  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), c->delay);
	c->delay = c->delay * 2 < DELAY_MAX_MS ? c->delay * 2 : DELAY_MAX_MS;
}

static struct child *child_of(struct supervisor *s, const char *netns)
{
	struct child *c;

	for (c = s->children; c && strcmp(c->netns, netns); c = c->next)
		;
	return c;
}

static void child_want(struct supervisor *s, const char *netns)
{
	struct child *c = child_of(s, netns);

	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c || !(c->netns = strdup(netns)))
			no_memory();
		c->delay = DELAY_MIN_MS;
		c->next = s->children;
		s->children = c;
	}
	c->listed = true;
}

static void list_all(struct supervisor *s)
{
	DIR *dir = opendir(NETNS_DIR);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			child_want(s, e->d_name);
	if (dir)
		closedir(dir);
}

static void list(struct supervisor *s)
{
	struct child *c;
	size_t i;

	for (c = s->children; c; c = c->next)
		c->listed = false;
	for (i = 0; i < s->o->nnetnses; i++) {
		if (!strcmp(s->o->netnses[i], "all"))
			list_all(s);
		else
			child_want(s, s->o->netnses[i]);
	}
}

static void forget(struct supervisor *s)
{
	struct child **at = &s->children, *c;

	while ((c = *at)) {
		if (c->pid || c->listed) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		free(c->netns);
		free(c);
	}
}

static bool any_runs(const struct supervisor *s)
{
	const struct child *c;

	for (c = s->children; c && !c->pid; c = c->next)
		;
	return c;
}

/* ---- the loop ---- */

static void on_tick(void *ctx)
{
	struct supervisor *s = ctx;
	uint64_t now = loop_now();
	struct child *c;

	if (!s->stopping)
		list(s);
	for (c = s->children; c; c = c->next) {
		if (c->pid && !c->listed && !s->stopping) {
			log_info("event=child_stop netns=%s why=gone", c->netns);
			kill(c->pid, SIGTERM);
		} else if (c->pid && now - c->beat > SILENT_MS) {
			log_error("event=child_stop netns=%s why=silent", c->netns);
			kill(c->pid, SIGKILL);
			c->beat = now;
		} else if (!c->pid && c->listed && now >= c->at && !s->stopping) {
			child_start(s, c);
		}
	}
	forget(s);
	if (s->watchdog_ms && now >= s->watchdog_at) {
		notify("WATCHDOG=1\n");
		s->watchdog_at = now + s->watchdog_ms / 3;
	}
	loop_timer_set(s->loop, &s->tick, now + TICK_MS);
}

static void reap(struct supervisor *s)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (c = s->children; c; c = c->next)
			if (c->pid == pid)
				child_ended(s, c, status);
	if (s->stopping && !any_runs(s))
		loop_stop(s->loop, EXIT_OK);
}

static void on_signal(void *ctx, short revents)
{
	struct supervisor *s = ctx;
	struct signalfd_siginfo info;
	struct child *c;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) {
		reap(s);
		return;
	}
	if (info.ssi_signo != SIGHUP) {
		s->stopping = true;
		notify("STOPPING=1\n");
	}
	for (c = s->children; c; c = c->next)
		if (c->pid)
			kill(c->pid, (int)info.ssi_signo);
	if (s->stopping && !any_runs(s))
		loop_stop(s->loop, EXIT_OK);
}

/* Who says something lives. */
static void on_beat(void *ctx, short revents)
{
	struct supervisor *s = ctx;
	char text[256], control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cm;
	struct ucred who = {0};
	struct child *c;

	if (recvmsg(s->beats, &msg, MSG_DONTWAIT) < 0)
		return;
	for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_CREDENTIALS)
			memcpy(&who, CMSG_DATA(cm), sizeof(who));
	for (c = s->children; c; c = c->next)
		if (c->pid && c->pid == who.pid)
			c->beat = loop_now();
}

/* ---- start ---- */

static int beats_open(struct supervisor *s)
{
	int one = 1;
	mode_t mask;

	s->addr.sun_family = AF_UNIX;
	if (snprintf(s->addr.sun_path, sizeof(s->addr.sun_path), "%s/supervisor.%d.sock",
		     s->o->state_dir, (int)getpid()) >= (int)sizeof(s->addr.sun_path))
		return -ENAMETOOLONG;
	if (mkdir(s->o->state_dir, 0755) && errno != EEXIST)
		return -errno;
	s->beats = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->beats < 0)
		return -errno;
	unlink(s->addr.sun_path);
	mask = umask(0177);
	if (bind(s->beats, (struct sockaddr *)&s->addr, sizeof(s->addr)) ||
	    setsockopt(s->beats, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)))
		one = -errno;
	umask(mask);
	return one < 0 ? one : loop_add(s->loop, s->beats, POLLIN, on_beat, s);
}

static int signals_open(struct supervisor *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? -errno : loop_add(s->loop, s->signals, POLLIN, on_signal, s);
}

int supervise(const struct options *o,
	      int (*follow)(const struct options *o, const char *netns))
{
	const char *watchdog = getenv("WATCHDOG_USEC");
	struct supervisor s = {
	    .o = o, .follow = follow, .loop = loop_new(), .signals = -1, .beats = -1};
	int err = beats_open(&s);

	if (!err)
		err = signals_open(&s);
	if (err) {
		fprintf(stderr, "nf2bpfd: cannot supervise: %s\n", strerror(-err));
	} else {
		s.watchdog_ms = watchdog ? strtoull(watchdog, NULL, 10) / 1000 : 0;
		s.tick.fn = on_tick;
		s.tick.ctx = &s;
		on_tick(&s);
		/* A namespace that cannot be followed now does not keep the others waiting. */
		notify("READY=1\n");
		err = loop_run(s.loop);
		unlink(s.addr.sun_path);
	}
	list(&s); /* nothing runs: forget all */
	for (struct child *c = s.children; c; c = c->next)
		c->listed = false;
	forget(&s);
	loop_free(s.loop);
	return err < 0 ? EXIT_SYSTEM : err;
}
