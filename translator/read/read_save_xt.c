// SPDX-License-Identifier: GPL-2.0
/*
 * libxtables for one reading of one family.
 *
 * The library was made for a command that parses one family and exits.  Three things have to be
 * mended to use it within a process that reads both and goes on:
 *
 * - It fails through xtables_globals.exit_err, which must not return.  Ours notes the message
 * and jumps back.
 * - Its lists of extensions are global, and a target of the other family is thrown away while
 * its .so loads (xtables_register_target()), never to come back, since the .so's constructor
 * runs once.  So the lists are emptied and the .so's closed before and after: each reading
 * starts from nothing, which also means that no chain name of an earlier file hides a target
 * (notargets).
 * - It asks the kernel which revisions of an extension there are; without root it says on
 * stderr that it assumes the highest, and with root the question loads modules.  Our compat_rev
 * says yes to every revision: the highest that libxtables knows is taken, whoever runs us, on
 * whatever kernel.
 */
#include "read/read_save.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Exported by libxtables, declared in no header. */
extern struct xtables_match *xtables_pending_matches;
extern struct xtables_target *xtables_pending_targets;
extern const struct xtables_afinfo *afinfo;

/* exit_err gets no context: the one session that is open. */
static struct save_xt *open_xt;

static void fail(enum xtables_exittype status, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

static void fail(enum xtables_exittype status, const char *fmt, ...)
{
	struct save_xt *x = open_xt;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(x->message, sizeof(x->message), fmt, ap);
	va_end(ap);
	longjmp(x->fail, 1);
}

static int revision_known(const char *name, uint8_t revision, int opt)
{
	return 1;
}

/* Closes the .so's; what the lists pointed to goes with them. */
static void forget_extensions(void)
{
	xtables_matches = NULL;
	xtables_targets = NULL;
	xtables_pending_matches = NULL;
	xtables_pending_targets = NULL;
	xtables_fini();
}

int save_xt_open(struct save_xt *x, enum family f, struct option *options)
{
	*x = (struct save_xt){
	    .globals =
		{
		    .program_name = "iptables",
		    .program_version = XTABLES_VERSION,
		    .orig_opts = options,
		    .opts = options,
		    .exit_err = fail,
		    .compat_rev = revision_known,
		},
	    .old_params = xt_params,
	    .old_afinfo = afinfo,
	};
	forget_extensions();
	open_xt = x;
	if (xtables_init_all(&x->globals, f == FAMILY_IP6 ? NFPROTO_IPV6 : NFPROTO_IPV4) < 0)
		return -EINVAL;
	return 0;
}

void save_xt_close(struct save_xt *x)
{
	xtables_free_opts(1);
	forget_extensions();
	xt_params = x->old_params;
	afinfo = x->old_afinfo;
	open_xt = NULL;
}

void save_xt_reset(struct save_xt *x)
{
	struct xtables_match *m;
	struct xtables_target *t;

	for (m = xtables_matches; m; m = m->next)
		m->mflags = 0;
	for (t = xtables_targets; t; t = t->next) {
		t->tflags = 0;
		t->used = 0;
	}
	xtables_free_opts(1);
	x->globals.opts = x->globals.orig_opts;
	/* Else 256 more for each extension of each line, until it overflows. */
	x->globals.option_offset = 0;
}

/* A second use of a match in a line is a copy that points to itself (xtables_find_match()). */
void save_xt_free_matches(struct xtables_rule_match **matches)
{
	struct xtables_rule_match *rm;
	struct xtables_match *m;

	while ((rm = *matches)) {
		*matches = rm->next;
		m = rm->match;
		free(m->m);
		m->m = NULL;
		free(m->udata);
		m->udata = NULL;
		if (m->next == m)
			free(m);
		free(rm);
	}
}

void save_xt_free_target(struct xtables_target **target)
{
	struct xtables_target *t = *target;

	*target = NULL;
	if (!t)
		return;
	free(t->t);
	t->t = NULL;
	free(t->udata);
	t->udata = NULL;
	if (t->next == t)
		free(t);
}
