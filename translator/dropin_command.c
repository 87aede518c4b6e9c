// SPDX-License-Identifier: GPL-2.0
#include "dropin.h"

#include <errno.h>
#include <string.h>
#include <stdio.h>

#include "shim/real.h"

int dropin_save(struct dropin *d)
{
	return dropin_become(d);
}

/* A command that may change rules.  A word too many that looks like one costs an update that
 * finds nothing to do. */
static bool is_change(const char *word)
{
	static const char *const names[] = {
	    "append", "check",     "delete", "insert",       "replace",      "flush",
	    "zero",   "new-chain", "policy", "delete-chain", "rename-chain", "new"};
	size_t i;

	if (word[0] != '-')
		return false;
	if (word[1] != '-')
		return strpbrk(word + 1, "ADIRFZNXPE") != NULL;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (word[2] && !strncmp(names[i], word + 2, strcspn(word + 2, "=")))
			return true;
	return false;
}

int dropin_command(struct dropin *d)
{
	struct real t = {.path = d->path, .argv = d->argv};
	bool change = false;
	int i, err;

	for (i = 1; i < d->argc; i++)
		change |= is_change(d->argv[i]);
	if (!change)
		return dropin_become(d);
	err = real_run(&t);
	if (err) {
		fprintf(stderr, "nf2bpf: %s: %s\n", d->path, strerror(-err));
		return XT_OTHER_PROBLEM;
	}
	if (!t.rc)
		dropin_update(d);
	return t.rc;
}
