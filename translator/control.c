// SPDX-License-Identifier: GPL-2.0
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"

#define STUCK_MS 10000 /* half a request, or a reply that is not read */
#define SWEEP_MS 1000
#define STREAM_BYTES (256 << 10) /* unread samples beyond this are lost, and counted */
#define RATE_DEFAULT 100
#define RATE_MAX 10000

const char *const control_names[NCONTROL] = {"ping",    "status", "rules",    "counters",
					     "metrics", "reload", "handback", "monitor"};

/* ---- requests ---- */

static int refuse(char why[128], const char *what)
{
	snprintf(why, 128, "%s", what);
	return -EINVAL;
}

static int parse_kind(const json_t *value, struct control_request *out, char why[128])
{
	const char *name = json_string_value(value);
	enum control_kind k;

	for (k = 0; name && k < NCONTROL; k++) {
		if (!strcmp(name, control_names[k])) {
			out->kind = k;
			return 0;
		}
	}
	return refuse(why, name ? "unknown request" : "\"request\" is not a string");
}

static int parse_object(json_t *root, struct control_request *out, char why[128])
{
	bool kind = false, version = false;
	const char *key;
	json_t *value;

	if (!json_is_object(root))
		return refuse(why, "not an object");
	*out = (struct control_request){.rate = RATE_DEFAULT};
	json_object_foreach(root, key, value)
	{
		if (!strcmp(key, "request")) {
			if (parse_kind(value, out, why))
				return -EINVAL;
			kind = true;
		} else if (!strcmp(key, "version")) {
			if (json_integer_value(value) != CONTROL_VERSION)
				return refuse(why, "this daemon speaks version 1");
			version = true;
		} else if (!strcmp(key, "rate")) {
			if (json_integer_value(value) < 1 ||
			    json_integer_value(value) > RATE_MAX)
				return refuse(why, "\"rate\" is not a number from 1 to 10000");
			out->rate = (unsigned)json_integer_value(value);
		} else {
			return refuse(why, "unknown member");
		}
	}
	if (!kind)
		return refuse(why, "no \"request\"");
	return version ? 0 : refuse(why, "no \"version\"");
}

int control_parse(const char *line, size_t len, struct control_request *out, char why[128])
{
	struct control_request rq;
	json_error_t error;
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	int err;

	if (!root) {
		snprintf(why, 128, "not JSON: %.100s", error.text);
		return -EINVAL;
	}
	err = parse_object(root, &rq, why);
	json_decref(root);
	if (!err)
		*out = rq;
	return err;
}

/* ---- clients ---- */

struct client {
	struct control *owner;
	uint64_t id; /* 0: free */
	int fd;
	char in[CONTROL_MAX_LINE];
	size_t nin;
	struct buf out;
	size_t sent;
	bool busy;      /* a request is being answered */
	bool working;   /* within client_work() */
	bool end;       /* it sends no more */
	bool doomed;    /* close when out is sent */
	unsigned rate;  /* it streams */
	uint64_t due;   /* when its last sample was due, microseconds */
	unsigned lost;  /* samples */
	uint64_t moved; /* when it last made progress */
};

struct control {
	struct loop *loop;
	int fd;
	char *path;
	control_fn fn;
	void *ctx;
	uint64_t ids;
	struct client clients[CONTROL_MAX_CLIENTS];
	struct loop_timer sweep;
};

static void client_close(struct client *c)
{
	loop_remove(c->owner->loop, c->fd);
	close(c->fd);
	buf_free(&c->out);
	*c = (struct client){.owner = c->owner, .fd = -1};
}

static struct client *client_find(struct control *c, uint64_t id)
{
	int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (id && c->clients[i].id == id)
			return &c->clients[i];
	return NULL;
}

/* Sends what it takes.  False: the client is gone. */
static bool client_flush(struct client *c)
{
	ssize_t n;

	while (c->sent < c->out.len) {
		n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			client_close(c);
			return false;
		}
		c->sent += (size_t)n;
		c->moved = loop_now();
	}
	if (c->sent == c->out.len)
		c->sent = c->out.len = 0;
	if (!c->out.len && (c->doomed || (c->end && !c->busy && !c->rate && !c->nin))) {
		client_close(c);
		return false;
	}
	loop_set_events(c->owner->loop, c->fd,
			(short)((c->end || c->busy || (c->out.len && !c->rate) ? 0 : POLLIN) |
				(c->out.len ? POLLOUT : 0)));
	return true;
}

static void client_put(struct client *c, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);

	if (!text)
		no_memory();
	if (!c->out.len)
		c->moved = loop_now();
	buf_puts(&c->out, text);
	buf_puts(&c->out, "\n");
	free(text);
}

static void client_refuse(struct client *c, const char *why)
{
	json_t *reply =
	    json_pack("{s:i,s:b,s:s}", "version", CONTROL_VERSION, "ok", 0, "error", why);

	client_put(c, reply);
	json_decref(reply);
}

/* One request.  The handler may have answered, so that c is free, when this returns. */
static void client_request(struct client *c, const char *line, size_t len)
{
	struct control_request rq;
	char why[128];

	if (control_parse(line, len, &rq, why)) {
		client_refuse(c, why);
		return;
	}
	c->busy = true;
	c->owner->fn(c->owner->ctx, c->id, &rq);
}

/* Takes the next whole request out of what has come in.  False: there is none yet. */
static bool client_next(struct client *c, char line[CONTROL_MAX_LINE], size_t *len)
{
	char *newline = memchr(c->in, '\n', c->nin);

	if (!newline || c->busy || c->rate || c->doomed || c->out.len)
		return false;
	*len = (size_t)(newline - c->in);
	memcpy(line, c->in, *len);
	c->nin -= *len + 1;
	memmove(c->in, newline + 1, c->nin);
	return true;
}

static void client_check(struct client *c)
{
	if (c->busy || c->doomed || c->rate || c->out.len)
		return;
	if (c->nin == sizeof(c->in))
		client_refuse(c, "a request is one line of less than 4096 bytes");
	else if (c->end && c->nin)
		client_refuse(c, "the connection ended within a request");
	else
		return;
	c->doomed = true;
}

/* The requests that have come in, one after the other, each when the reply before it is sent.
 */
static void client_work(struct client *c)
{
	char line[CONTROL_MAX_LINE];
	size_t len;

	c->working = true;
	while (client_next(c, line, &len)) {
		client_request(c, line, len);
		if (!client_flush(c))
			return;
	}
	client_check(c);
	c->working = false;
	client_flush(c);
}

static void client_read(struct client *c)
{
	/* A stream's client has nothing to say that matters. */
	size_t room = c->rate ? sizeof(c->in) : sizeof(c->in) - c->nin;
	char *at = c->rate ? c->in : c->in + c->nin;
	ssize_t n = recv(c->fd, at, room, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		client_close(c);
		return;
	}
	c->moved = loop_now();
	if (!n)
		c->end = true;
	else if (!c->rate)
		c->nin += (size_t)n;
	client_work(c);
}

static void on_client(void *ctx, short revents)
{
	struct client *c = ctx;

	/* POLLHUP: both directions are closed.  What it has sent may still be unread. */
	if (revents & POLLERR || (revents & POLLHUP && !(revents & POLLIN))) {
		client_close(c);
		return;
	}
	if (revents & POLLIN)
		client_read(c);
	else if (revents & POLLOUT && client_flush(c))
		client_work(c);
}

/* ---- the socket ---- */

static bool peer_is_root(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static struct client *client_new(struct control *c, int fd)
{
	struct client *free_one = NULL;
	int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS && !free_one; i++)
		if (!c->clients[i].id)
			free_one = &c->clients[i];
	if (!free_one || loop_add(c->loop, fd, POLLIN, on_client, free_one))
		return NULL;
	*free_one = (struct client){.owner = c, .id = ++c->ids, .fd = fd, .moved = loop_now()};
	return free_one;
}

static void on_accept(void *ctx, short revents)
{
	static const char full[] =
	    "{\"version\":1,\"ok\":false,\"error\":\"too many clients\"}\n";
	struct control *c = ctx;
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!peer_is_root(fd)) {
		log_warning("event=control refused=\"not root\"");
		close(fd);
		return;
	}
	if (!client_new(c, fd)) {
		if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_debug("event=control full=yes");
		close(fd);
	} else if (!c->sweep.at) {
		loop_timer_set(c->loop, &c->sweep, loop_now() + SWEEP_MS);
	}
}

/* Out with those that do not go on with what they began. */
static void on_sweep(void *ctx)
{
	struct control *c = ctx;
	uint64_t now = loop_now();
	bool any = false;
	int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *k = &c->clients[i];

		if (!k->id)
			continue;
		if ((k->out.len || (k->nin && !k->busy && !k->rate)) &&
		    now - k->moved > STUCK_MS)
			client_close(k);
		else
			any = true;
	}
	if (any)
		loop_timer_set(c->loop, &c->sweep, now + SWEEP_MS);
}

static int socket_listen(const char *path, struct diag *d)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err;
	mode_t mask;

	if (strlen(path) >= sizeof(addr.sun_path))
		return diag_error(d, -ENAMETOOLONG, "%s: too long for a socket", path);
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return diag_error(d, -errno, "socket: %s", strerror(errno));
	unlink(path);
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16) ? -errno : 0;
	umask(mask);
	if (!err)
		return fd;
	close(fd);
	return diag_error(d, err, "%s: %s", path, strerror(-err));
}

int control_open(struct control **out, struct loop *l, const char *dir, control_fn fn,
		 void *ctx, struct diag *d)
{
	struct control *c;
	int fd, i;

	if (mkdir(dir, 0755) && errno != EEXIST)
		return diag_error(d, -errno, "cannot make %s: %s", dir, strerror(errno));
	fd = control_connect(dir);
	if (fd >= 0) {
		close(fd);
		return diag_error(d, -EADDRINUSE,
				  "another nf2bpfd serves this network namespace");
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		no_memory();
	*c = (struct control){.loop = l, .fn = fn, .ctx = ctx, .path = control_path(dir)};
	for (i = 0; i < CONTROL_MAX_CLIENTS; i++)
		c->clients[i] = (struct client){.owner = c, .fd = -1};
	c->sweep.fn = on_sweep;
	c->sweep.ctx = c;
	c->fd = socket_listen(c->path, d);
	if (c->fd >= 0 && !loop_add(l, c->fd, POLLIN, on_accept, c)) {
		*out = c;
		return 0;
	}
	i = c->fd;
	free(c->path);
	free(c);
	return i < 0 ? i : -ENOSPC;
}

void control_close(struct control *c)
{
	int i;

	if (!c)
		return;
	for (i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].id)
			client_close(&c->clients[i]);
	loop_remove(c->loop, c->fd);
	unlink(c->path);
	close(c->fd);
	free(c->path);
	free(c);
}

/* ---- answers ---- */

void control_reply(struct control *c, uint64_t client, json_t *reply)
{
	struct client *k = client_find(c, client);

	if (k && k->busy) {
		json_object_set_new(reply, "version", json_integer(CONTROL_VERSION));
		json_object_set_new(reply, "ok",
				    json_boolean(!json_object_get(reply, "error")));
		client_put(k, reply);
		k->busy = false;
		if (!k->working && client_flush(k))
			client_work(k);
	}
	json_decref(reply);
}

void control_stream(struct control *c, uint64_t client, unsigned rate)
{
	struct client *k = client_find(c, client);
	json_t *first;

	if (!k)
		return;
	first = json_pack("{s:i,s:b,s:s,s:i}", "version", CONTROL_VERSION, "ok", 1, "stream",
			  "monitor", "rate", (int)rate);
	client_put(k, first);
	json_decref(first);
	k->busy = false;
	k->rate = rate;
	k->nin = 0;
	client_flush(k);
}

/* A pause saves up samples for a second. */
static bool client_due(struct client *k, uint64_t now)
{
	uint64_t due = k->due;

	if (due + 1000000 < now)
		due = now - 1000000;
	due += 1000000 / k->rate;
	if (due > now)
		return false;
	k->due = due;
	return true;
}

void control_publish(struct control *c, json_t *line)
{
	uint64_t now = loop_now() * 1000;
	int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *k = &c->clients[i];

		if (!k->id || !k->rate)
			continue;
		if (k->out.len > STREAM_BYTES || !client_due(k, now)) {
			k->lost++;
			continue;
		}
		if (k->lost) {
			json_t *lost =
			    json_pack("{s:i,s:s}", "lost", (int)k->lost, "where", "client");

			client_put(k, lost);
			json_decref(lost);
			k->lost = 0;
		}
		client_put(k, line);
		client_flush(k);
	}
}

void control_tell(struct control *c, json_t *line)
{
	int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct client *k = &c->clients[i];

		if (!k->id || !k->rate || k->out.len > STREAM_BYTES)
			continue;
		client_put(k, line);
		client_flush(k);
	}
}

unsigned control_listening(const struct control *c)
{
	unsigned max = 0;
	int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (c->clients[i].id && c->clients[i].rate > max)
			max = c->clients[i].rate;
	return max;
}
