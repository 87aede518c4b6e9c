// SPDX-License-Identifier: GPL-2.0
/* nf2bpf reload, handback, metrics: what the daemon is asked for. */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "control.h"
#include "metrics.h"
#include "options.h"
#include "rules.h"
#include "takeover.h"

/* 0 and the reply, or an exit status. */
static int ask(const struct options *o, const char *name, json_t **out)
{
	struct diag d = {0};
	json_t *reply = control_call(o->state_dir, json_pack("{s:s}", "request", name), &d);
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (!reply && !d.nerrors)
		fprintf(stderr, "nf2bpf %s: no nf2bpfd runs in this network namespace\n", name);
	diag_print(&d, stderr, "nf2bpf");
	diag_free(&d);
	if (error)
		fprintf(stderr, "nf2bpf %s: %s\n", name, error);
	if (reply && !error) {
		*out = reply;
		return EXIT_OK;
	}
	json_decref(reply);
	return EXIT_SYSTEM;
}

static bool control_answers(const char *dir)
{
	int fd = control_connect(dir);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void print_json(json_t *reply)
{
	json_dumpf(reply, stdout, JSON_INDENT(2));
	putchar('\n');
}

static long long number(const json_t *reply, const char *key)
{
	return json_integer_value(json_object_get(reply, key));
}

int cmd_reload(const struct options *o)
{
	json_t *reply;
	int status = ask(o, "reload", &reply);

	if (status)
		return status;
	if (o->json)
		print_json(reply);
	else
		printf("generation %lld: %lld rules, %lld of them left to the kernel, on %lld "
		       "interfaces, in %lld ms\n",
		       number(reply, "generation"), number(reply, "rules"),
		       number(reply, "left"), number(reply, "interfaces"),
		       number(reply, "took_ms"));
	json_decref(reply);
	return EXIT_OK;
}

/* What sleeps is woken here, with or without a daemon; that one detaches the rest. */
int cmd_handback(const struct options *o)
{
	struct diag d = {0};
	json_t *reply;
	size_t woken = 0;
	int status = takeover_hand_back(o, o->args, o->nargs, true, &woken, &d);

	diag_print(&d, stderr, "nf2bpf handback");
	diag_free(&d);
	if (status)
		return EXIT_SYSTEM;
	if (woken && !o->json)
		printf("%zu tables woken; the kernel judges by them\n", woken);
	if (o->nargs || (woken && !control_answers(o->state_dir))) {
		if (o->json)
			printf("{\"woken\": %zu}\n", woken);
		return EXIT_OK;
	}
	status = ask(o, "handback", &reply);
	if (status)
		return status;
	json_object_set_new(reply, "woken", json_integer((json_int_t)woken));
	if (o->json)
		print_json(reply);
	else
		printf("%lld programs detached; the kernel's rules are in force until `nf2bpf "
		       "reload`\n",
		       number(reply, "detached"));
	json_decref(reply);
	return EXIT_OK;
}

int cmd_metrics(const struct options *o)
{
	json_t *rules, *reply;
	struct diag d = {0};
	struct buf text = {0};

	reply = control_call(o->state_dir, json_pack("{s:s}", "request", "status"), &d);
	rules = rules_json(o, &d);
	if (rules) {
		metrics_print(o, rules, json_object_get(reply, "daemon"), &text);
		fputs(buf_str(&text), stdout);
	}
	diag_print(&d, stderr, "nf2bpf metrics");
	diag_free(&d);
	buf_free(&text);
	json_decref(reply);
	json_decref(rules);
	return rules ? EXIT_OK : EXIT_SYSTEM;
}
