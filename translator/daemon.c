// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpfd: read, compile, attach, and follow.  nf_tables and the host announce their changes by
 * netlink, legacy tables by their observer; ipsets announce nothing, so everything is read
 * again every --poll milliseconds. A burst of changes settles before it is compiled.  Until the
 * new program is in its slot, the old one finds that the rules have moved on and leaves every
 * packet to the kernel.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "options.h"
#include "service.h"

#define SETTLE_MS 20
#define SETTLE_MAX_MS 250
#define OBSERVE_MS 20

#define GROUP(g) (1u << ((g)-1))
/* Interfaces, addresses, routes, routing rules, and settings such as rp_filter and forwarding.
 */
#define HOST_GROUPS                                                                            \
	(GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV6_IFADDR) |       \
	 GROUP(RTNLGRP_IPV4_ROUTE) | GROUP(RTNLGRP_IPV6_ROUTE) | GROUP(RTNLGRP_IPV4_RULE) |    \
	 GROUP(RTNLGRP_IPV6_RULE) | GROUP(RTNLGRP_IPV4_NETCONF) | GROUP(RTNLGRP_IPV6_NETCONF))

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

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
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_warning("event=notify error=\"%s\"", strerror(errno));
	close(fd);
}

static struct mnl_socket *subscribe(int bus, unsigned groups)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (nl && mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	return nl;
}

/* Empties the socket; what was said does not matter, everything is read again. */
static void drain(struct mnl_socket *nl)
{
	char bytes[1 << 16];

	while (mnl_socket_recvfrom(nl, bytes, sizeof(bytes)) > 0 || errno == ENOBUFS)
		errno = 0;
}

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

/* ipsets announce nothing; a program that stays alone would go on with what they held. */
static void warn_once(const struct service *s, const struct options *o)
{
	if (o->once && s->rs && s->rs->ipsets)
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
	uint64_t start = now_ms();
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
		report(s, now_ms() - start);
	diag_free(&d);
	return err;
}

static bool settle(struct pollfd *fds, struct mnl_socket **nl)
{
	uint64_t end = now_ms() + SETTLE_MAX_MS;
	int i;

	do {
		for (i = 0; i < 2; i++)
			drain(nl[i]);
		if (fds[2].revents || poll(fds, 3, SETTLE_MS) <= 0)
			return fds[2].revents;
	} while (now_ms() < end);
	return fds[2].revents;
}

/* Until netlink or a signal says something, the observer's word changes, or it is time to read
 * what announces nothing. False: poll() failed. */
static bool wait_for_change(const struct service *s, const struct options *o,
			    struct pollfd *fds)
{
	struct kern_observed *observed = s->observed ? kern_observed_open(o->bpffs) : NULL;
	uint64_t end = now_ms() + o->poll_ms, seq;
	bool moved = false;
	int n;

	do {
		n = poll(fds, 3, (int)(o->poll_ms < OBSERVE_MS ? o->poll_ms : OBSERVE_MS));
		if (n < 0 && errno == EINTR)
			n = 0;
		moved = observed && !kern_observed_read(observed, &seq) && seq != s->legacy_seq;
	} while (!n && !moved && now_ms() < end);
	kern_observed_close(observed);
	return n >= 0;
}

static int follow(struct service *s, const struct options *o, struct mnl_socket **nl)
{
	struct signalfd_siginfo info;
	struct pollfd fds[3] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	sigset_t signals;
	int i;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (i = 0; i < 2; i++)
		fds[i].fd = mnl_socket_get_fd(nl[i]);
	fds[2].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fds[2].fd < 0)
		return -errno;
	for (;;) {
		if (!wait_for_change(s, o, fds))
			return -errno;
		if (!settle(fds, nl)) {
			update(s, o);
			continue;
		}
		if (read(fds[2].fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGHUP) {
			log_info("event=stop signal=%u programs=stay", info.ssi_signo);
			close(fds[2].fd);
			return 0;
		}
		update(s, o);
	}
}

int cmd_daemon(const struct options *o)
{
	struct mnl_socket *nl[2] = {NULL, NULL};
	struct service s = {0};
	struct diag d = {0};
	int err;

	err = kern_probe(&s.caps, &d);
	if (err) {
		diag_print(&d, stderr, "nf2bpfd");
		diag_free(&d);
		return EXIT_SYSTEM;
	}
	if (!s.caps.privileged) {
		fprintf(stderr,
			"nf2bpfd: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed: %s\n",
			s.caps.missing);
		return EXIT_SYSTEM;
	}
	if (s.caps.missing[0])
		log_warning("event=probe missing=\"%s\"", s.caps.missing);
	if (!o->once) {
		nl[0] = subscribe(NETLINK_NETFILTER, GROUP(NFNLGRP_NFTABLES));
		nl[1] = subscribe(NETLINK_ROUTE, HOST_GROUPS);
		if (!nl[0] || !nl[1]) {
			fprintf(stderr, "nf2bpfd: cannot follow changes: %s\n",
				strerror(errno));
			return EXIT_SYSTEM;
		}
	}
	err = update(&s, o);
	warn_once(&s, o);
	if (!o->once) {
		/* A host whose rules cannot be compiled now may have better ones later: stay.
		 */
		notify("READY=1\n");
		err = follow(&s, o, nl);
		notify("STOPPING=1\n");
		mnl_socket_close(nl[0]);
		mnl_socket_close(nl[1]);
	}
	service_close(&s);
	kern_clock_close(s.clock);
	diag_free(&d);
	return err ? EXIT_SYSTEM : EXIT_OK;
}
