// SPDX-License-Identifier: GPL-2.0
/* nf2bpf status: what is attached in this network namespace, and what the kernel offers. */
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "control.h"
#include "options.h"
#include "placement.h"
#include "print.h"
#include "read/read.h"
#include "shadow.h"
#include "state.h"

struct offer {
	const char *name;
	bool there;
};

static void print_caps(const struct kern_caps *caps, json_t *root)
{
	const struct offer offers[] = {
	    {"privileges", caps->privileged},
	    {"btf", caps->btf},
	    {"jit", caps->jit},
	    {"xdp", caps->xdp},
	    {"tcx", caps->tcx},
	    {"clsact", caps->clsact},
	    {"netfilter-link", caps->netfilter_link},
	    {"conntrack-lookup", caps->ct_lookup},
	    {"generation-guard", caps->generation_guard},
	};
	json_t *j = json_object();
	size_t i;

	for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		json_object_set_new(j, offers[i].name, json_boolean(offers[i].there));
		if (!root)
			printf("%s%s%s%s", i ? ", " : "kernel: ",
			       colour_on(offers[i].there ? COLOUR_GREEN : COLOUR_RED, stdout),
			       offers[i].name, offers[i].there ? "" : " missing");
		if (!root)
			fputs(colour_off(stdout), stdout);
	}
	if (root) {
		json_object_set_new(root, "kernel", j);
		json_object_set_new(root, "missing", json_string(caps->missing));
		return;
	}
	json_decref(j);
	puts("");
	if (caps->missing[0])
		puts(caps->missing);
}

static void print_sites(const struct kern_site *sites, size_t n, json_t *root)
{
	json_t *array = json_array();
	struct grid g;
	size_t i;

	grid_begin(&g, 5, 0x1c);
	grid_cell(&g, COLOUR_BOLD, "SITE");
	grid_cell(&g, COLOUR_BOLD, "PLACE");
	grid_cell(&g, COLOUR_BOLD, "PROGRAM");
	grid_cell(&g, COLOUR_BOLD, "LINK");
	grid_cell(&g, COLOUR_BOLD, "INSNS");
	for (i = 0; i < n; i++) {
		json_array_append_new(array, json_pack("{s:s,s:s,s:I,s:I,s:I}", "site",
						       site_specs[sites[i].site].name, "place",
						       sites[i].place, "program",
						       (json_int_t)sites[i].prog_id, "link",
						       (json_int_t)sites[i].link_id, "insns",
						       (json_int_t)sites[i].ninsns));
		grid_cell(&g, COLOUR_GREEN, "%s", site_specs[sites[i].site].name);
		grid_cell(&g, COLOUR_NONE, "%s", sites[i].place);
		grid_cell(&g, COLOUR_NONE, "%u", sites[i].prog_id);
		grid_cell(&g, COLOUR_NONE, "%u", sites[i].link_id);
		grid_cell(&g, COLOUR_NONE, "%u", sites[i].ninsns);
	}
	if (root || !n)
		g.nrows = 0;
	grid_end(&g, stdout);
	if (root)
		json_object_set_new(root, "sites", array);
	else
		json_decref(array);
}

/* Tables that sleep while programs judge in their place. */
static void print_taken(const struct options *o, bool stale, bool shadow, json_t *root)
{
	json_t *array = json_array();
	struct kern_table *tables;
	struct diag d = {0};
	size_t n = 0, i, asleep = 0;

	if (!kern_tables(o->bpffs, &tables, &n, &d)) {
		for (i = 0; i < n; i++) {
			if (tables[i].held)
				continue;
			asleep++;
			json_array_append_new(array,
					      json_pack("{s:s,s:s,s:I}", "family",
							family_name(tables[i].family), "table",
							tables[i].name, "handle",
							(json_int_t)tables[i].handle));
			if (!root)
				printf("taken over: table %s %s sleeps, BPF judges in its "
				       "place%s\n",
				       family_name(tables[i].family), tables[i].name,
				       stale ? " by the rules before" : "");
		}
		free(tables);
	}
	if (!root && !asleep && !shadow)
		puts("mode: assist; the kernel's rules are live");
	if (root)
		json_object_set_new(root, "taken_over", array);
	else
		json_decref(array);
	diag_free(&d);
}

/* What programs in shadow would have done, beside what the kernel did. */
static void print_shadow(const struct options *o, json_t *root)
{
	json_t *array = json_array();
	struct arena *mem = arena_new();
	struct shadow_row *rows;
	struct diag d = {0};
	size_t n = 0, i, agree = 0;
	int err = shadow_compare(o, mem, &rows, &n, &d);

	for (i = 0; i < n; i++)
		agree += rows[i].agrees;
	if (!err && !root)
		printf("mode: shadow; the programs count and decide nothing; %zu counters "
		       "agree with the kernel's, %s%zu disagree%s\n",
		       agree, colour_on(agree == n ? COLOUR_GREEN : COLOUR_RED, stdout),
		       n - agree, colour_off(stdout));
	for (i = 0; i < n; i++) {
		struct buf text = {0};

		if (rows[i].agrees)
			continue;
		origin_print(&rows[i].from, &text);
		buf_puts(&text, ": ");
		shadow_print(&rows[i], &text);
		if (root)
			json_array_append_new(array, json_string(buf_str(&text)));
		else
			printf("%s%s%s\n", colour_on(COLOUR_RED, stdout), buf_str(&text),
			       colour_off(stdout));
		buf_free(&text);
	}
	if (root && !err)
		json_object_set_new(root, "shadow",
				    json_pack("{s:I,s:I,s:O}", "agree", (json_int_t)agree,
					      "disagree", (json_int_t)(n - agree),
					      "disagreements", array));
	diag_print(&d, stderr, "nf2bpf status");
	diag_free(&d);
	json_decref(array);
	arena_free(mem);
}

static void print_left(const struct state *state, json_t *root)
{
	json_t *array = root ? json_array() : NULL;
	const struct state_left *l;

	for (l = state->left; l; l = l->next) {
		if (root)
			json_array_append_new(array, json_pack("{s:s,s:s}", "place", l->place,
							       "reason", l->reason));
		else
			printf("%snf %s is left to the kernel: %s%s\n",
			       colour_on(COLOUR_YELLOW, stdout), l->place, l->reason,
			       colour_off(stdout));
	}
	if (root)
		json_object_set_new(root, "left", array);
}

/* ---- the daemon's own view, when one runs ---- */

static void print_time(const char *what, double at)
{
	time_t t = (time_t)at;
	char text[64];
	struct tm tm;

	if (at <= 0 || !localtime_r(&t, &tm))
		return;
	strftime(text, sizeof(text), "%F %T", &tm);
	printf("%s%s", what, text);
}

static long long member(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_window(const json_t *self)
{
	bool legacy = json_is_true(json_object_get(self, "legacy_observed"));
	long long ms = member(self, "poll_ms");

	if (!legacy)
		printf("legacy tables and ipsets are read again every %lld ms: for up to that "
		       "time a program may judge by old ones\n",
		       ms);
	else if (json_is_true(json_object_get(self, "polls_rules")))
		printf("ipsets cannot be observed and are read again every %lld ms: for up to "
		       "that time a program may judge by old members\n",
		       ms);
}

static void print_self(const json_t *self)
{
	const json_t *compile = json_object_get(self, "compile");
	const json_t *refusal = json_object_get(self, "last_refusal");
	const char *notes = json_string_value(json_object_get(self, "notes"));

	printf("nf2bpfd %lld", member(self, "pid"));
	print_time(" since ", json_number_value(json_object_get(self, "started")));
	print_time("; installed ", json_number_value(json_object_get(self, "since")));
	printf("; %lld compiles, the last %lld ms, the longest %lld ms\n",
	       member(compile, "installs"), member(compile, "last_ms"),
	       member(compile, "longest_ms"));
	if (json_is_true(json_object_get(self, "handed_back")))
		puts("handed back: the kernel's rules alone filter until `nf2bpf reload`");
	print_window(self);
	if (json_is_object(refusal)) {
		print_time("last refusal ", json_number_value(json_object_get(refusal, "at")));
		printf(": %s\n", json_string_value(json_object_get(refusal, "error")));
	}
	if (notes && *notes)
		printf("%s%s%s\n", colour_on(COLOUR_YELLOW, stdout), notes, colour_off(stdout));
}

static void print_daemon(const struct options *o, json_t *root)
{
	struct diag d = {0};
	json_t *reply = control_call(o->state_dir, json_pack("{s:s}", "request", "status"), &d);
	json_t *self = json_object_get(reply, "daemon");

	diag_print(&d, stderr, "nf2bpf status");
	diag_free(&d);
	if (root)
		json_object_set(root, "daemon", self ? self : json_null());
	else if (self)
		print_self(self);
	else
		puts("no nf2bpfd runs in this network namespace");
	json_decref(reply);
}

int cmd_status(const struct options *o)
{
	struct arena *mem = arena_new();
	json_t *root = o->json ? json_object() : NULL;
	struct kern_site *sites = NULL;
	struct kern_caps caps;
	uint32_t generation = 0;
	struct diag d = {0};
	struct state state;
	size_t n = 0;
	bool stale;
	int err;

	err = kern_probe(&caps, &d);
	if (!err)
		err = kern_list(o->bpffs, &sites, &n, &d);
	if (!err)
		err = state_load(o->state_dir, mem, &state, &d);
	if (!err)
		err = read_nft_generation(&generation, &d);
	diag_print(&d, stderr, "nf2bpf status");
	diag_free(&d);
	if (err) {
		arena_free(mem);
		return EXIT_SYSTEM;
	}
	if (root)
		json_object_set_new(root, "version", json_integer(1));
	print_sites(sites, n, root);
	stale = state_is_stale(&state, o->bpffs, generation);
	if (root) {
		json_object_set_new(root, "generation", json_integer(generation));
		json_object_set_new(root, "stale", json_boolean(stale));
		json_object_set_new(root, "legacy_observed", json_boolean(n && state.observed));
		json_object_set_new(root, "compiled_for",
				    n ? json_integer(state.generation) : json_null());
	} else if (!n) {
		puts("nothing is attached in this network namespace: the kernel judges every "
		     "packet");
	} else {
		printf("compiled for nf_tables generation %u, the kernel's is "
		       "%u; legacy tables are %s\n%s",
		       state.generation, generation,
		       state.observed ? "observed" : "read again at intervals",
		       stale ? "stale: the rules have changed; until they are compiled again "
			       "every packet is left to the kernel's live tables\n"
			     : "");
	}
	print_taken(o, stale, state.sites && state.sites->shadow, root);
	if (state.sites && state.sites->shadow)
		print_shadow(o, root);
	print_daemon(o, root);
	print_left(&state, root);
	print_caps(&caps, root);
	if (root) {
		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(root);
	}
	free(sites);
	arena_free(mem);
	return EXIT_OK;
}
