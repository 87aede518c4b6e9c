// SPDX-License-Identifier: GPL-2.0
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void move_to(int fd)
{
	if (!setns(fd, CLONE_NEWNET))
		return;
	fprintf(stderr, "nf2bpf: cannot change the network namespace: %s\n", strerror(errno));
	_exit(4);
}

void stage_enter(const struct stage *s)
{
	move_to(s->inside);
}

void stage_leave(const struct stage *s)
{
	move_to(s->live);
}

/* /proc/thread-self: the namespace of this thread, not of the process's first. */
int stage_open(struct stage *s)
{
	static const char path[] = "/proc/thread-self/ns/net";
	int err;

	s->inside = -1;
	s->live = open(path, O_RDONLY | O_CLOEXEC);
	if (s->live < 0)
		return -errno;
	if (unshare(CLONE_NEWNET)) {
		err = -errno;
		stage_close(s);
		return err;
	}
	s->inside = open(path, O_RDONLY | O_CLOEXEC);
	err = s->inside < 0 ? -errno : 0;
	stage_leave(s);
	if (err)
		stage_close(s);
	return err;
}

void stage_close(struct stage *s)
{
	if (s->live >= 0)
		close(s->live);
	if (s->inside >= 0)
		close(s->inside);
	s->live = s->inside = -1;
}
