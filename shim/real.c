// SPDX-License-Identifier: GPL-2.0
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_BYTES (512u << 20)

int real_slurp(int fd, struct buf *out)
{
	char chunk[65536];
	ssize_t len;

	for (;;) {
		len = read(fd, chunk, sizeof(chunk));
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return len ? -errno : 0;
		buf_put(out, chunk, (size_t)len);
		if (out->len > LIMIT_BYTES)
			return -EFBIG;
	}
}

/* A file without a name with these bytes, to be read from its beginning. */
static int file_of(const struct buf *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);
	size_t at = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (text && at < text->len) {
		n = write(fd, text->data + at, text->len - at);
		if (n < 0) {
			n = -errno;
			close(fd);
			return (int)n;
		}
		at += (size_t)n;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void __attribute__((noreturn)) child(const struct real *t, const int fds[3])
{
	sigset_t none;
	int i;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (i = 0; i < 3; i++)
		if (fds[i] >= 0 && dup2(fds[i], i) < 0)
			_exit(127);
	if (t->lock_file)
		setenv("XTABLES_LOCKFILE", t->lock_file, 1);
	execv(t->path, t->argv);
	_exit(127);
}

static int wait_for(pid_t pid, int *rc)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	*rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

static int run(struct real *t, int fds[3])
{
	pid_t pid = fork();
	int err;

	if (pid < 0)
		return -errno;
	if (!pid)
		child(t, fds);
	err = wait_for(pid, &t->rc);
	if (err || !t->keep)
		return err;
	lseek(fds[1], 0, SEEK_SET);
	lseek(fds[2], 0, SEEK_SET);
	err = real_slurp(fds[1], &t->out);
	return err ? err : real_slurp(fds[2], &t->err);
}

int real_run(struct real *t)
{
	int fds[3] = {-1, -1, -1}, err = 0, i;

	t->out.len = t->err.len = 0;
	for (i = 0; i < 3 && !err; i++) {
		if (i ? !t->keep : !t->in)
			continue;
		fds[i] = file_of(i ? NULL : t->in);
		if (fds[i] < 0)
			err = fds[i];
	}
	if (!err)
		err = run(t, fds);
	for (i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err;
}

int real_become(const char *path, char *const argv[])
{
	execv(path, argv);
	return -errno;
}

void real_free(struct real *t)
{
	buf_free(&t->out);
	buf_free(&t->err);
}
