// SPDX-License-Identifier: GPL-2.0
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 20000
#define LIMIT_BYTES (512u << 20)

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Everything that comes out of fd, until its end. */
static int drain(int fd, struct buf *out)
{
	int64_t end = now_ms() + LIMIT_MS, left;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char chunk[65536];
	ssize_t len;

	for (;;) {
		left = end - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
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

int tool_finish(pid_t pid, int fd, struct buf *out)
{
	int rc = drain(fd, out), status = 0;

	close(fd);
	if (rc)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return rc; /* ECHILD: somebody ignores SIGCHLD; the output has to tell
				    */
	if (!rc && (!WIFEXITED(status) || WEXITSTATUS(status)))
		rc = -EIO;
	return rc;
}

const char *tool_find(struct arena *mem, const char *name)
{
	static const char *const dirs[] = {"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin",
					   "/bin"};
	const char *path;
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		path = arena_printf(mem, "%s/%s", dirs[i], name);
		if (!access(path, X_OK))
			return path;
	}
	return NULL;
}

static int spawn_tool(const char *path, char *const argv[], int in, int out, pid_t *pid)
{
	static char env_path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", env_lang[] = "LC_ALL=C";
	char *const env[] = {env_path, env_lang, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t set;
	int rc;

	/* A daemon blocks and handles signals; its children must not. */
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawn_file_actions_init(&files);
	if (in >= 0)
		posix_spawn_file_actions_adddup2(&files, in, 0);
	else
		posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(pid, path, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

int tool_run(const char *path, char *const argv[], struct buf *out)
{
	int fds[2], rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	rc = spawn_tool(path, argv, -1, fds[1], &pid);
	close(fds[1]);
	if (!rc)
		return tool_finish(pid, fds[0], out);
	close(fds[0]);
	return rc;
}

/* Through a file without a name: a pipe would wait for a child that writes before it reads. */
int tool_feed(const char *path, char *const argv[], const char *text)
{
	size_t len = strlen(text);
	struct buf out = {0};
	int in = memfd_create("input", MFD_CLOEXEC), fds[2], rc;
	pid_t pid;

	if (in < 0)
		return -errno;
	if (write(in, text, len) != (ssize_t)len || lseek(in, 0, SEEK_SET) ||
	    pipe2(fds, O_CLOEXEC) < 0) {
		close(in);
		return -EIO;
	}
	rc = spawn_tool(path, argv, in, fds[1], &pid);
	close(in);
	close(fds[1]);
	if (rc)
		close(fds[0]);
	else
		rc = tool_finish(pid, fds[0], &out);
	buf_free(&out);
	return rc;
}
