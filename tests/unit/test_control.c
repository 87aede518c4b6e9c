// SPDX-License-Identifier: GPL-2.0
/* The control socket: requests, and clients that are slow, huge, malformed or half closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "control.h"

static int parse(const char *line, struct control_request *rq)
{
	char why[128];

	return control_parse(line, strlen(line), rq, why);
}

static void test_requests(void **state)
{
	static const char *const refused[] = {
	    "",
	    "{}",
	    "[]",
	    "\"status\"",
	    "{\"version\":1}",
	    "{\"request\":\"status\"}",
	    "{\"version\":2,\"request\":\"status\"}",
	    "{\"version\":\"1\",\"request\":\"status\"}",
	    "{\"version\":1,\"request\":\"Status\"}",
	    "{\"version\":1,\"request\":5}",
	    "{\"version\":1,\"request\":\"status\",\"request\":\"ping\"}",
	    "{\"version\":1,\"request\":\"status\",\"more\":1}",
	    "{\"version\":1,\"request\":\"status\"} x",
	    "{\"version\":1,\"request\":\"monitor\",\"rate\":0}",
	    "{\"version\":1,\"request\":\"monitor\",\"rate\":10001}",
	};
	struct control_request rq;
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(parse(refused[i], &rq), -EINVAL);
	assert_int_equal(parse("{\"request\":\"reload\",\"version\":1}", &rq), 0);
	assert_int_equal(rq.kind, CONTROL_RELOAD);
	assert_int_equal(
	    parse(" { \"version\": 1, \"request\": \"monitor\", \"rate\": 7 } ", &rq), 0);
	assert_int_equal(rq.kind, CONTROL_MONITOR);
	assert_int_equal(rq.rate, 7);
}

/* ---- a server in this process; its handler answers pings and keeps reloads waiting ---- */

struct fixture {
	char dir[32];
	struct loop *loop;
	struct control *control;
	struct loop_timer timer;
	uint64_t waiting;
	unsigned asked;
};

static void handle(void *ctx, uint64_t client, const struct control_request *rq)
{
	struct fixture *f = ctx;

	f->asked++;
	if (rq->kind == CONTROL_RELOAD)
		f->waiting = client;
	else if (rq->kind == CONTROL_MONITOR)
		control_stream(f->control, client, rq->rate);
	else if (rq->kind == CONTROL_RULES)
		control_reply(f->control, client,
			      json_pack("{s:o}", "big", json_sprintf("%*d", 1 << 20, 7)));
	else
		control_reply(f->control, client, json_pack("{s:i}", "n", (int)f->asked));
}

static void tick(void *ctx)
{
	struct fixture *f = ctx;

	loop_stop(f->loop, 0);
}

/* What the daemon's loop does in some milliseconds; it must come back. */
static void turn(struct fixture *f)
{
	loop_timer_set(f->loop, &f->timer, loop_now() + 20);
	assert_int_equal(loop_run(f->loop), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct diag d = {0};

	strcpy(f->dir, "/tmp/test_control.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->loop = loop_new();
	f->timer.fn = tick;
	f->timer.ctx = f;
	assert_int_equal(control_open(&f->control, f->loop, f->dir, handle, f, &d), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_close(f->control);
	loop_free(f->loop);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int client(struct fixture *f)
{
	int fd = control_connect(f->dir);

	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What has come: "" nothing yet, "end" the server has closed. */
static const char *hear(int fd, char text[1 << 16])
{
	ssize_t n = recv(fd, text, (1 << 16) - 1, MSG_DONTWAIT);

	if (n < 0)
		return "";
	text[n] = '\0';
	return n ? text : "end";
}

#define PING "{\"version\":1,\"request\":\"ping\"}\n"
#define RELOAD "{\"version\":1,\"request\":\"reload\"}\n"

static void test_one_by_one(void **state)
{
	struct fixture *f = *state;
	char text[1 << 16];
	int fd = client(f), i;

	for (i = 0; i < 100; i++)
		say(fd, PING);
	turn(f);
	assert_int_equal(f->asked, 100);
	assert_non_null(
	    strstr(hear(fd, text), "{\"n\":1,\"version\":1,\"ok\":true}\n{\"n\":2,"));
	/* The next waits for the answer of the one before. */
	say(fd, RELOAD PING);
	turn(f);
	assert_string_equal(hear(fd, text), "");
	control_reply(f->control, f->waiting, json_pack("{s:s}", "error", "no"));
	turn(f);
	assert_string_equal(hear(fd, text), "{\"error\":\"no\",\"version\":1,\"ok\":false}\n{"
					    "\"n\":102,\"version\":1,\"ok\":true}\n");
	close(fd);
}

static void test_half(void **state)
{
	struct fixture *f = *state;
	char text[1 << 16];
	int fd = client(f), i;

	for (i = 0; PING[i]; i++) {
		assert_int_equal(send(fd, &PING[i], 1, 0), 1);
		turn(f);
	}
	assert_string_equal(hear(fd, text), "{\"n\":1,\"version\":1,\"ok\":true}\n");
	say(fd, PING RELOAD);
	shutdown(fd, SHUT_WR);
	turn(f);
	assert_string_equal(hear(fd, text), "{\"n\":2,\"version\":1,\"ok\":true}\n");
	control_reply(f->control, f->waiting, json_object());
	turn(f);
	assert_string_equal(hear(fd, text), "{\"version\":1,\"ok\":true}\n");
	assert_string_equal(hear(fd, text), "end");
	close(fd);
	fd = client(f);
	say(fd, "{\"version\":1");
	shutdown(fd, SHUT_WR);
	turn(f);
	assert_non_null(strstr(hear(fd, text), "ended within a request"));
	close(fd);
	/* Gone before the answer. */
	fd = client(f);
	say(fd, RELOAD);
	turn(f);
	close(fd);
	turn(f);
	control_reply(f->control, f->waiting, json_object());
	turn(f);
}

static void test_huge(void **state)
{
	static char many[3 * CONTROL_MAX_LINE];
	struct fixture *f = *state;
	char text[1 << 16];
	int fd = client(f);

	memset(many, 'x', sizeof(many) - 1);
	say(fd, many);
	turn(f);
	assert_non_null(strstr(hear(fd, text), "one line of less than 4096 bytes"));
	close(fd);
	fd = client(f);
	say(fd, "nonsense\n" PING);
	turn(f);
	assert_non_null(strstr(hear(fd, text), "not JSON"));
	assert_non_null(strstr(text, "{\"n\":1,"));
	close(fd);
}

/* Who does not read gets no more than one answer made for him, and delays nobody. */
static void test_slow(void **state)
{
	struct fixture *f = *state;
	char text[1 << 16];
	int slow = client(f), fd, i;

	for (i = 0; i < 1000; i++)
		send(slow, "{\"version\":1,\"request\":\"rules\"}\n", 32,
		     MSG_DONTWAIT | MSG_NOSIGNAL);
	turn(f);
	assert_int_equal(f->asked, 1);
	fd = client(f);
	say(fd, PING);
	turn(f);
	assert_string_equal(hear(fd, text), "{\"n\":2,\"version\":1,\"ok\":true}\n");
	close(slow);
	close(fd);
	turn(f);
}

static void test_crowd(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_MAX_CLIENTS + 1], i;
	char text[1 << 16];

	for (i = 0; i <= CONTROL_MAX_CLIENTS; i++) {
		fds[i] = client(f);
		turn(f);
	}
	assert_non_null(strstr(hear(fds[CONTROL_MAX_CLIENTS], text), "too many clients"));
	for (i = 0; i <= CONTROL_MAX_CLIENTS; i++)
		close(fds[i]);
	turn(f);
	fds[0] = client(f);
	say(fds[0], PING);
	turn(f);
	assert_string_equal(hear(fds[0], text), "{\"n\":1,\"version\":1,\"ok\":true}\n");
	close(fds[0]);
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	json_t *line = json_pack("{s:s}", "sample", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	char text[1 << 16];
	int fd = client(f), i;
	size_t heard = 0;

	say(fd, "{\"version\":1,\"request\":\"monitor\",\"rate\":10000}\n");
	turn(f);
	assert_int_equal(control_listening(f->control), 10000);
	for (i = 0; i < 100000; i++)
		control_publish(f->control, line);
	for (i = 0; i < 200; i++) {
		heard += strlen(hear(fd, text));
		turn(f);
		if (i > 20 && !*hear(fd, text))
			break;
	}
	assert_true(heard > 1000 && heard < 2000000);
	control_publish(f->control, line);
	turn(f);
	assert_non_null(strstr(hear(fd, text), "{\"lost\":"));
	close(fd);
	turn(f);
	assert_int_equal(control_listening(f->control), 0);
	json_decref(line);
}

static void test_second(void **state)
{
	struct fixture *f = *state;
	struct control *second;
	struct diag d = {0};

	assert_int_equal(control_open(&second, f->loop, f->dir, handle, f, &d), -EADDRINUSE);
	diag_free(&d);
	turn(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test_setup_teardown(test_one_by_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_half, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_huge, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_second, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
