/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The system's own tools as child processes: without a shell, with a plain environment, in the
 * network namespace of the calling thread, at most 20 s each.  All return 0 or a negative
 * errno; -EIO: the tool failed.
 */
#ifndef NF2BPF_SHIM_TOOL_H
#define NF2BPF_SHIM_TOOL_H

#include <sys/types.h>
#include "base/arena.h"
#include "base/buf.h"

/* Its path in the system's directories, or NULL. */
const char *tool_find(struct arena *mem, const char *name);
/* What it prints goes to out. */
int tool_run(const char *path, char *const argv[], struct buf *out);
/* text is its standard input; what it prints is lost. */
int tool_feed(const char *path, char *const argv[], const char *text);
/* Reads a child's output from fd, which is closed, and collects the child; it is killed when
 * that fails. */
int tool_finish(pid_t pid, int fd, struct buf *out);

#endif
