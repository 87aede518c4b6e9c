// SPDX-License-Identifier: GPL-2.0
/* nf2bpf monitor: drops as they happen, a line each, until it is interrupted. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "control.h"
#include "options.h"
#include "print.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_time(double at)
{
	time_t t = (time_t)at;
	char text[16] = "";
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%T", &tm);
	printf("%s.%06d ", text, (int)((at - (double)t) * 1e6));
}

static void print_rule(const json_t *rule)
{
	const char *text = json_string_value(json_object_get(rule, "text"));

	if (!json_is_object(rule)) {
		fputs(": by rules that have changed since\n", stdout);
		return;
	}
	printf(": %s %s %s %s", text_of(rule, "backend"), text_of(rule, "family"),
	       text_of(rule, "table"), text_of(rule, "chain"));
	if (number_of(rule, "index"))
		printf(" %lld", number_of(rule, "index"));
	printf(": %s%s%s\n", colour_on(COLOUR_BOLD, stdout), text ? text : "(text not known)",
	       colour_off(stdout));
}

static void print_drop(const json_t *j)
{
	print_time(json_number_value(json_object_get(j, "time")));
	printf("%s %s %s %s%s%s length %lld", text_of(j, "site"),
	       json_is_true(json_object_get(j, "out")) ? "out" : "in", text_of(j, "interface"),
	       colour_on(COLOUR_RED, stdout), text_of(j, "packet"), colour_off(stdout),
	       number_of(j, "length"));
	print_rule(json_object_get(j, "rule"));
}

static void print_line(const char *line, bool json)
{
	json_t *j;

	if (json) {
		puts(line);
		return;
	}
	j = json_loads(line, 0, NULL);
	if (json_object_get(j, "lost"))
		printf("%s%lld more were dropped and are not shown%s\n",
		       colour_on(COLOUR_YELLOW, stdout), number_of(j, "lost"),
		       colour_off(stdout));
	else if (j)
		print_drop(j);
	json_decref(j);
}

/* The reply to the request.  False: refused, or it is no reply. */
static bool stream_begins(const char *line)
{
	json_t *j = json_loads(line, 0, NULL);
	const char *error = json_string_value(json_object_get(j, "error"));
	bool ok = json_is_true(json_object_get(j, "ok"));

	if (!ok)
		fprintf(stderr, "nf2bpf monitor: %s\n", error ? error : "no answer");
	json_decref(j);
	return ok;
}

/* Until the daemon ends, or standard output. */
static int stream(FILE *in, bool json)
{
	char *line = NULL;
	size_t room = 0;
	bool begun = false;
	ssize_t n;

	while ((n = getline(&line, &room, in)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (!begun && !stream_begins(line))
			break;
		if (begun) {
			print_line(line, json);
			if (fflush(stdout)) {
				free(line);
				return EXIT_OK; /* nobody reads any more */
			}
		}
		begun = true;
	}
	free(line);
	if (begun)
		fputs("nf2bpf monitor: nf2bpfd has ended\n", stderr);
	return EXIT_SYSTEM;
}

int cmd_monitor(const struct options *o)
{
	struct buf request = {0};
	int fd = control_connect(o->state_dir), status = EXIT_SYSTEM;
	FILE *in;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		fputs("nf2bpf monitor: no nf2bpfd runs in this network namespace, and without "
		      "one drops are not shown\n",
		      stderr);
	else if (fd < 0)
		fprintf(stderr, "nf2bpf monitor: control socket: %s\n", strerror(-fd));
	if (fd < 0)
		return EXIT_SYSTEM;
	buf_printf(&request, "{\"version\":%d,\"request\":\"monitor\"", CONTROL_VERSION);
	if (o->rate)
		buf_printf(&request, ",\"rate\":%u", o->rate);
	buf_puts(&request, "}\n");
	in = fdopen(fd, "r");
	if (!in)
		no_memory();
	if (send(fd, request.data, request.len, MSG_NOSIGNAL) == (ssize_t)request.len)
		status = stream(in, o->json);
	else
		fprintf(stderr, "nf2bpf monitor: control socket: %s\n", strerror(errno));
	fclose(in);
	buf_free(&request);
	return status;
}
