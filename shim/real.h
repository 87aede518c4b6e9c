/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's own iptables commands, run as they are: with our standard streams or with a text
 * for input and their output kept.
 *
 * What they read and write goes through files without a name, never pipes: nobody waits for
 * anybody, and a command that has begun to change something ends it, whatever becomes of us.
 * (Children that are only asked something: shim/tool.h.)
 */
#ifndef NF2BPF_SHIM_REAL_H
#define NF2BPF_SHIM_REAL_H

#include <stdbool.h>
#include "base/buf.h"

struct real {
	const char *path;
	char *const *argv;     /* argv[0] is the name that it shows; ends with NULL */
	const struct buf *in;  /* NULL: our standard input */
	bool keep;             /* its output goes to out and err instead of ours */
	const char *lock_file; /* for XTABLES_LOCKFILE, or NULL: as it is */
	struct buf out, err;
	int rc; /* its exit status; 128 + signal when it was killed */
};

/* Runs it in our network namespace and waits.  0: rc is set. */
int real_run(struct real *t);
/* Becomes it.  Returns only a negative errno. */
int real_become(const char *path, char *const argv[]);
void real_free(struct real *t);

/* Everything that fd has, up to its end.  -EFBIG: more than 512 MiB. */
int real_slurp(int fd, struct buf *out);

#endif
