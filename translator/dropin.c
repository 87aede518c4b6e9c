// SPDX-License-Identifier: GPL-2.0
#include "dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "control.h"
#include "read/read.h"
#include "service.h"
#include "shim/real.h"
#include "shim/tool.h"
#include "state.h"

#define OPTIONS_FILE "/etc/nf2bpf/dropin"
#define OPTIONS_ENV "NF2BPF_DROPIN"
#define UPDATE_TRIES 5
#define DAEMON_WAIT_MS 5000

struct applet {
	const char *suffix;
	int (*run)(struct dropin *d);
};

static const struct applet applets[] = {
    {"-restore", dropin_restore}, {"-save", dropin_save}, {"", dropin_command}};

/* ip[6]tables[-bpf][-restore|-save] */
static const struct applet *applet_find(const char *argv0, enum family *family)
{
	const char *name = strrchr(argv0, '/');
	bool six;
	size_t i;

	name = name ? name + 1 : argv0;
	six = !strncmp(name, "ip6tables", 9);
	if (!six && strncmp(name, "iptables", 8))
		return NULL;
	name += six ? 9 : 8;
	if (!strncmp(name, "-bpf", 4))
		name += 4;
	for (i = 0; i < sizeof(applets) / sizeof(*applets); i++) {
		if (strcmp(name, applets[i].suffix))
			continue;
		*family = six ? FAMILY_IP6 : FAMILY_IP;
		return &applets[i];
	}
	return NULL;
}

bool dropin_named(const char *argv0)
{
	enum family f;

	return applet_find(argv0, &f) != NULL;
}

const char *dropin_base(const struct dropin *d)
{
	return d->family == FAMILY_IP6 ? "ip6tables" : "iptables";
}

/* ---- options of our own: in a file, in the environment, on the command line ---- */

static bool option_is(const char *arg, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(arg, name, len) || arg[len] != '=')
		return false;
	*value = arg + len + 1;
	return true;
}

static int option_early(struct options *o, const char *v)
{
	if (!strcmp(v, "off"))
		o->early_off = true;
	else if (!strcmp(v, "xdp"))
		o->site = SITE_XDP;
	else if (!strcmp(v, "tc"))
		o->site = SITE_TC;
	else
		return -EINVAL;
	return 0;
}

static int option_personality(struct dropin *d, const char *v)
{
	if (!strcmp(v, "legacy"))
		d->personality = BACKEND_LEGACY;
	else if (!strcmp(v, "nf_tables"))
		d->personality = BACKEND_NFT;
	else
		return -EINVAL;
	d->personality_given = true;
	return 0;
}

/* 0: it is ours; -ENOENT: it is none; -EINVAL: it is ours, but not what we know. */
static int option_set(struct dropin *d, const char *arg)
{
	const char *v;

	if (!strcmp(arg, "--json-errors"))
		d->json_errors = true;
	else if (!strcmp(arg, "--compat-partial"))
		d->partial = true;
	else if (!strcmp(arg, "--require-bpf"))
		d->require = true;
	else if (!strcmp(arg, "--no-bpf"))
		d->no_bpf = true;
	else if (option_is(arg, "--personality", &v))
		return option_personality(d, v);
	else if (option_is(arg, "--early", &v))
		return option_early(&d->o, v);
	else if (!strcmp(arg, "--mode=takeover"))
		d->o.takeover = true;
	else if (!strcmp(arg, "--mode=assist"))
		d->o.takeover = false;
	else if (option_is(arg, "--interface", &v) && v[0])
		d->o.interfaces[d->o.ninterfaces++] = v;
	else if (option_is(arg, "--netns", &d->o.netns) ||
		 option_is(arg, "--bpffs", &d->o.bpffs) ||
		 option_is(arg, "--state-dir", &d->o.state_dir))
		return 0;
	else
		return -ENOENT;
	return 0;
}

static int option_refuse(const char *where, const char *arg)
{
	fprintf(stderr, "nf2bpf: %s: unknown option or value '%s'\n", where, arg);
	return XT_PARAMETER_PROBLEM;
}

/* Words of text, which stay in mem. */
static int options_of_text(struct dropin *d, const char *where, const char *text)
{
	char *copy = arena_strdup(d->mem, text), *save, *word, *line, *next;

	/* Not more words than bytes. */
	d->o.interfaces =
	    arena_grow(d->mem, d->o.interfaces, d->o.ninterfaces,
		       d->o.ninterfaces + strlen(text) + 1, sizeof(*d->o.interfaces));
	for (line = copy; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (line[0] == '#')
			continue;
		for (word = strtok_r(line, " \t", &save); word;
		     word = strtok_r(NULL, " \t", &save))
			if (option_set(d, word))
				return option_refuse(where, word);
	}
	return 0;
}

static int options_elsewhere(struct dropin *d)
{
	const char *env = getenv(OPTIONS_ENV);
	struct buf text = {0};
	int fd = open(OPTIONS_FILE, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd >= 0) {
		if (!real_slurp(fd, &text))
			err = options_of_text(d, OPTIONS_FILE, buf_str(&text));
		close(fd);
		buf_free(&text);
	}
	if (!err && env)
		err = options_of_text(d, OPTIONS_ENV, env);
	return err;
}

/* Ours come before all others: behind them a word may be the value of an option (a comment). */
static int options_of_line(struct dropin *d, int argc, char **argv)
{
	int i, err;

	d->o.interfaces = arena_grow(d->mem, d->o.interfaces, d->o.ninterfaces,
				     d->o.ninterfaces + (size_t)argc, sizeof(*d->o.interfaces));
	for (i = 1; i < argc; i++) {
		err = option_set(d, argv[i]);
		if (err == -ENOENT)
			break;
		if (err)
			return option_refuse("command line", argv[i]);
	}
	d->argv = arena_array(d->mem, (size_t)(argc - i) + 2, sizeof(*d->argv));
	d->argc = 1 + argc - i;
	memcpy(d->argv + 1, argv + i, (size_t)(argc - i) * sizeof(*argv));
	return 0;
}

/* ---- which iptables? ---- */

/* What the host's `iptables` is, as far as that is not ourselves. */
static enum backend personality_of_host(const struct dropin *d)
{
	const char *link = tool_find(d->mem, dropin_base(d));
	char real[PATH_MAX];

	if (link && realpath(link, real) && strstr(real, "legacy"))
		return BACKEND_LEGACY;
	/* Ours, or nf_tables: what the distributions prefer, where it is installed. */
	return tool_find(d->mem, "iptables-nft") ? BACKEND_NFT : BACKEND_LEGACY;
}

static int find_real(struct dropin *d, const char *suffix)
{
	const char *kind = d->personality == BACKEND_LEGACY ? "legacy" : "nft";

	d->argv[0] = arena_printf(d->mem, "%s%s", dropin_base(d), suffix);
	d->path =
	    tool_find(d->mem, arena_printf(d->mem, "%s-%s%s", dropin_base(d), kind, suffix));
	if (d->path)
		return 0;
	fprintf(stderr, "nf2bpf: %s-%s%s is not installed\n", dropin_base(d), kind, suffix);
	return XT_OTHER_PROBLEM;
}

/* The network namespace alone, as in main.c. */
static int enter_netns(const char *name)
{
	char path[256];
	int fd, err;

	snprintf(path, sizeof(path), strchr(name, '/') ? "%s" : "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 || setns(fd, CLONE_NEWNET);
	if (err)
		fprintf(stderr, "nf2bpf: network namespace %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err ? XT_PARAMETER_PROBLEM : 0;
}

int dropin_become(struct dropin *d)
{
	int err = real_become(d->path, d->argv);

	fprintf(stderr, "nf2bpf: %s: %s\n", d->path, strerror(-err));
	return XT_OTHER_PROBLEM;
}

int dropin_main(int argc, char **argv)
{
	struct dropin d = {.mem = arena_new(),
			   .o = {.site = SITE_XDP, .state_dir = "/run/nf2bpf", .once = true}};
	const struct applet *a = applet_find(argv[0], &d.family);
	int rc = options_elsewhere(&d);

	if (!rc)
		rc = options_of_line(&d, argc, argv);
	if (!rc && d.o.netns)
		rc = enter_netns(d.o.netns);
	if (!rc && !d.personality_given)
		d.personality = personality_of_host(&d);
	if (!rc)
		rc = find_real(&d, a->suffix);
	if (!rc)
		rc = a->run(&d);
	arena_free(d.mem);
	return rc;
}

/* ---- after a change ---- */

void dropin_warn(const struct dropin *d, const char *fmt, ...)
{
	char text[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Programs that call us read our standard error, and know no such line. */
	if (isatty(2))
		fprintf(stderr, "%s\n", text);
	openlog("nf2bpf", LOG_PID, LOG_DAEMON);
	syslog(LOG_WARNING, "%s: %s", d->argv[0], text);
	closelog();
}

static void warn_diag(const struct dropin *d, const struct diag *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->items[i].severity == DIAG_ERROR)
			dropin_warn(d, "the kernel's rules alone are in force: %s",
				    g->items[i].text);
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static bool is_current(const struct dropin *d)
{
	struct arena *mem = arena_new();
	struct diag quiet = {0};
	struct state state;
	uint32_t generation;
	bool current = !read_nft_generation(&generation, &quiet) &&
		       !state_load(d->o.state_dir, mem, &state, &quiet) && state.sites &&
		       !state_is_stale(&state, d->o.bpffs, generation);

	diag_free(&quiet);
	arena_free(mem);
	return current;
}

/* Has a daemon that follows the rules of this namespace, and gives it time to do so. */
static bool daemon_follows(const struct dropin *d)
{
	struct diag quiet = {0};
	json_t *reply = control_call(
		   d->o.state_dir,
		   json_pack("{s:i,s:s}", "version", CONTROL_VERSION, "request", "status"),
		   &quiet),
	       *status = json_object_get(reply, "daemon");
	bool found = reply != NULL,
	     serves = json_is_true(json_object_get(status, "in_service"));
	unsigned waited = 0;

	diag_free(&quiet);
	json_decref(reply);
	while (serves && !is_current(d) && waited < DAEMON_WAIT_MS) {
		sleep_ms(5);
		waited += 5;
	}
	if (serves && waited >= DAEMON_WAIT_MS)
		dropin_warn(d, "nf2bpfd has not taken the new rules over within %d ms",
			    DAEMON_WAIT_MS);
	return found;
}

/* One of us at a time; a lock that cannot be had within the time is gone without. */
static int update_lock(const struct dropin *d)
{
	char path[512];
	unsigned waited;
	int fd;

	mkdir(d->o.state_dir, 0700);
	snprintf(path, sizeof(path), "%s/%llu.dropin.lock", d->o.state_dir,
		 (unsigned long long)kern_netns_inode());
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	for (waited = 0; fd >= 0 && waited < DAEMON_WAIT_MS; waited += 5) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			break;
		sleep_ms(5);
	}
	return fd;
}

static void update(struct dropin *d)
{
	struct service s = {0};
	struct diag g = {0};
	bool changed;
	int err = kern_probe(&s.caps, &g), tries;

	if (!err && !s.caps.privileged)
		err = diag_error(&g, -EPERM, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: %s",
				 s.caps.missing);
	for (tries = 0; !err && tries < UPDATE_TRIES; tries++) {
		diag_free(&g);
		g = (struct diag){0};
		err = service_update(&s, &d->o, &changed, &g);
		if (err != -EBUSY && err != -EAGAIN)
			break;
		err = tries + 1 < UPDATE_TRIES ? 0 : err;
	}
	if (err)
		warn_diag(d, &g);
	diag_free(&g);
	service_close(&s);
	kern_clock_close(s.clock);
}

void dropin_update(struct dropin *d)
{
	int lock;

	if (d->no_bpf || daemon_follows(d))
		return;
	lock = update_lock(d);
	/* A burst of commands: somebody has done it while we waited. */
	if (!is_current(d)) {
		log_set_level(LOG_LEVEL_ERROR);
		update(d);
	}
	if (lock >= 0)
		close(lock);
}
