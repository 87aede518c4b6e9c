/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Refusals and errors, collected here and printed at the edge (command or daemon), never from
 * the stage that found them.  A function that returns a negative errno has added one
 * DIAG_ERROR.
 */
#ifndef NF2BPF_BASE_DIAG_H
#define NF2BPF_BASE_DIAG_H

#include <stddef.h>
#include <stdio.h>
#include "base/origin.h"

enum severity { DIAG_NOTE, DIAG_WARNING, DIAG_ERROR };

struct diag_item {
	enum severity severity;
	char *file;            /* input file, or NULL */
	unsigned line, column; /* from 1; 0: none */
	struct origin from;    /* table == NULL: none */
	char *text;
};

struct diag {
	struct diag_item *items;
	size_t n, room, nerrors;
};

/* Each returns err, so that a caller can write: return diag_error(d, -EINVAL, …). */
int diag_error(struct diag *d, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int diag_error_at(struct diag *d, int err, const char *file, unsigned line, unsigned column,
		  const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int diag_error_from(struct diag *d, int err, const struct origin *from, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diag_warn(struct diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_note(struct diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The last error did not stop anything after all: it becomes a warning.  Returns its text. */
const char *diag_demote(struct diag *d);
/* What has a file, a line and a column is shown with the line and a mark under the column. */
void diag_print(const struct diag *d, FILE *out, const char *program);
void diag_free(struct diag *d);

#endif
