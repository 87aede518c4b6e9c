/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket: STATE-DIR/NETNS-INODE.sock, root only; the protocol is in
 * docs/control.md. The server is part of the daemon's loop: a client that is slow, silent,
 * half closed or sends nonsense costs a slot and some memory for a while, and never a wait.
 */
#ifndef NF2BPF_CONTROL_H
#define NF2BPF_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/diag.h"
#include "loop.h"

#define CONTROL_VERSION 1
#define CONTROL_MAX_LINE 4096 /* of a request, with its newline */
#define CONTROL_MAX_CLIENTS 16

enum control_kind {
	CONTROL_PING,
	CONTROL_STATUS,
	CONTROL_RULES,
	CONTROL_COUNTERS,
	CONTROL_METRICS,
	CONTROL_RELOAD,
	CONTROL_HANDBACK,
	CONTROL_MONITOR,
	NCONTROL
};

struct control_request {
	enum control_kind kind;
	unsigned rate; /* monitor: samples a second at most */
};

extern const char *const control_names[NCONTROL];

/* One line without its newline.  -EINVAL with a reason in why. */
int control_parse(const char *line, size_t len, struct control_request *out, char why[128]);

/* ---- server ---- */

struct control;
/* Answer by control_reply(), now or later, or control_stream(); until then the client's next
 * request waits. client is a number that is never used again. */
typedef void (*control_fn)(void *ctx, uint64_t client, const struct control_request *rq);

/* -EADDRINUSE: a daemon answers there already. */
int control_open(struct control **out, struct loop *l, const char *dir, control_fn fn,
		 void *ctx, struct diag *d);
void control_close(struct control *c);
/* Takes the reference.  "version" and "ok" are added: ok unless reply has "error". */
void control_reply(struct control *c, uint64_t client, json_t *reply);
/* The client gets what is published from now on. */
void control_stream(struct control *c, uint64_t client, unsigned rate);
/* Does not take the reference. */
void control_publish(struct control *c, json_t *line);
/* To all, whatever their rate. */
void control_tell(struct control *c, json_t *line);
/* The highest rate that a streaming client asks for; 0: nobody listens. */
unsigned control_listening(const struct control *c);

/* ---- client (control_client.c) ---- */

char *control_path(const char *dir); /* free() */
/* A connection to this namespace's daemon, or a negative errno: -ENOENT, -ECONNREFUSED: none
 * runs. */
int control_connect(const char *dir);
/* Sends a request (reference taken) and waits for its reply.  NULL with an error in d; where no
 * daemon runs, without one. */
json_t *control_call(const char *dir, json_t *request, struct diag *d);

#endif
