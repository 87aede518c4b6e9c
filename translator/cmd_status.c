// SPDX-License-Identifier: GPL-2.0
/* nf2bpf status: what is attached in this network namespace, and what the kernel offers. */
#include <jansson.h>
#include <stdlib.h>

#include "options.h"
#include "print.h"
#include "read/read.h"
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
		printf("mode: assist; compiled for nf_tables generation %u, the kernel's is "
		       "%u; legacy tables are %s\n%s",
		       state.generation, generation,
		       state.observed ? "observed" : "read again at intervals",
		       stale ? "stale: the rules have changed, every packet is left to the "
			       "kernel until they are compiled "
			       "again\n"
			     : "");
	}
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
