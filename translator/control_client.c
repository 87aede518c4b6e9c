// SPDX-License-Identifier: GPL-2.0
/* The other end of the control socket, for the commands. */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "kern/kern.h"

#define REPLY_MAX (1u << 30)

char *control_path(const char *dir)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%" PRIu64 ".sock", dir, kern_netns_inode()) < 0)
		no_memory();
	return path;
}

int control_connect(const char *dir)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char *path = control_path(dir);
	int fd, err = 0;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		free(path);
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, strlen(path));
	free(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int send_line(int fd, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	struct buf line = {0};
	ssize_t n;

	if (!text)
		no_memory();
	buf_printf(&line, "%s\n", text);
	free(text);
	/* Shorter than any socket buffer: whole or not at all. */
	n = send(fd, line.data, line.len, MSG_NOSIGNAL);
	buf_free(&line);
	return n < 0 ? -errno : 0;
}

static int receive_line(int fd, struct buf *out)
{
	char bytes[1 << 16];
	ssize_t n;

	while (!out->len || out->data[out->len - 1] != '\n') {
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ECONNRESET;
		buf_put(out, bytes, (size_t)n);
		if (out->len > REPLY_MAX)
			return -EMSGSIZE;
	}
	return 0;
}

json_t *control_call(const char *dir, json_t *request, struct diag *d)
{
	int fd = control_connect(dir), err;
	struct buf line = {0};
	json_t *reply = NULL;
	json_error_t error;

	if (fd < 0) {
		json_decref(request);
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			diag_error(d, fd, "control socket: %s", strerror(-fd));
		return NULL;
	}
	json_object_set_new(request, "version", json_integer(CONTROL_VERSION));
	err = send_line(fd, request);
	if (!err)
		err = receive_line(fd, &line);
	if (err)
		diag_error(d, err, "control socket: %s", strerror(-err));
	else if (!(reply = json_loadb(line.data, line.len, 0, &error)))
		diag_error(d, -EINVAL, "the daemon's reply is not JSON: %s", error.text);
	json_decref(request);
	buf_free(&line);
	close(fd);
	return reply;
}
