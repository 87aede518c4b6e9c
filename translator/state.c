// SPDX-License-Identifier: GPL-2.0
#include "state.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_FORMAT 1

static void state_path(const char *dir, const char *suffix, char *out, size_t size)
{
	snprintf(out, size, "%s/%llu.json%s", dir, (unsigned long long)kern_netns_inode(),
		 suffix);
}

static json_t *counter_to_json(const struct state_counter *c)
{
	return json_pack("[i,i,s,s,I,I,b,I,I]", (int)c->from.backend, (int)c->from.family,
			 c->from.table, c->from.chain, (json_int_t)c->from.index,
			 (json_int_t)c->from.handle, c->in_view, (json_int_t)c->carried.packets,
			 (json_int_t)c->carried.bytes);
}

static int counter_from_json(json_t *j, struct arena *mem, struct state_counter *out)
{
	json_int_t index, handle, packets, bytes;
	const char *table, *chain;
	int backend, family, view;

	if (json_unpack(j, "[i,i,s,s,I,I,b,I,I]", &backend, &family, &table, &chain, &index,
			&handle, &view, &packets, &bytes))
		return -EINVAL;
	*out = (struct state_counter){
	    .from = {.backend = (enum backend)backend,
		     .family = (enum family)family,
		     .table = arena_strdup(mem, table),
		     .chain = arena_strdup(mem, chain),
		     .index = (uint32_t)index,
		     .handle = (uint64_t)handle},
	    .in_view = view,
	    .carried = {(uint64_t)packets, (uint64_t)bytes},
	};
	return 0;
}

static int site_from_json(json_t *j, struct state *s)
{
	const char *name, *place;
	struct state_site *site;
	json_t *counters, *c;
	enum site_kind kind;
	size_t i;

	if (json_unpack(j, "{s:s,s:s,s:o}", "site", &name, "place", &place, "counters",
			&counters))
		return -EINVAL;
	for (kind = 0; kind < NSITE && strcmp(site_specs[kind].name, name); kind++)
		;
	if (kind == NSITE || !json_is_array(counters))
		return -EINVAL;
	site = arena_alloc(s->mem, sizeof(*site));
	site->site = kind;
	site->place = arena_strdup(s->mem, place);
	site->ncounters = json_array_size(counters);
	site->counters = arena_array(s->mem, site->ncounters, sizeof(*site->counters));
	json_array_foreach(
	    counters, i,
	    c) if (counter_from_json(c, s->mem, &site->counters[i])) return -EINVAL;
	site->next = s->sites;
	s->sites = site;
	return 0;
}

static int left_from_json(json_t *left, struct state *s)
{
	const char *place, *reason;
	json_t *j;
	size_t i;

	json_array_foreach(left, i, j)
	{
		if (json_unpack(j, "[s,s]", &place, &reason))
			return -EINVAL;
		state_add_left(s, place, reason);
	}
	return 0;
}

/* The file's fault, or that of the moment? */
static int load_error(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_cannot_open_file:
	case json_error_out_of_memory:
	case json_error_unknown:
		return -EIO;
	default:
		return -EINVAL;
	}
}

int state_load(const char *dir, struct arena *mem, struct state *out, struct diag *d)
{
	struct state s = {.mem = mem};
	json_error_t error;
	json_t *root, *sites, *left = NULL, *j;
	char path[512];
	json_int_t legacy_seq;
	int err = 0, format, generation, observed;
	size_t i;

	state_path(dir, "", path, sizeof(path));
	if (access(path, F_OK)) {
		*out = s;
		return 0;
	}
	root = json_load_file(path, 0, &error);
	if (!root)
		return diag_error_at(d, load_error(&error), path, (unsigned)error.line,
				     (unsigned)error.column, "%s", error.text);
	if (json_unpack(root, "{s:i,s:i,s:b,s:I,s:o,s?o}", "format", &format, "generation",
			&generation, "observed", &observed, "legacy_seq", &legacy_seq, "sites",
			&sites, "left", &left) ||
	    format != STATE_FORMAT || !json_is_array(sites)) {
		err = diag_error_at(d, -EINVAL, path, 0, 0, "not a state file of this version");
	} else {
		s.generation = (uint32_t)generation;
		s.observed = observed;
		s.legacy_seq = (uint64_t)legacy_seq;
		json_array_foreach(sites, i, j) if (!err && site_from_json(j, &s)) err =
		    diag_error_at(d, -EINVAL, path, 0, 0, "site %zu is damaged", i);
		if (!err && left_from_json(left, &s))
			err = diag_error_at(d, -EINVAL, path, 0, 0, "what is left is damaged");
	}
	json_decref(root);
	if (!err)
		*out = s;
	return err;
}

int state_save(const char *dir, const struct state *s, struct diag *d)
{
	char path[512], fresh[512];
	json_t *sites = json_array(), *left = json_array(), *counters, *root;
	const struct state_site *site;
	const struct state_left *l;
	size_t i;
	int err;

	for (site = s->sites; site; site = site->next) {
		counters = json_array();
		for (i = 0; i < site->ncounters; i++)
			json_array_append_new(counters, counter_to_json(&site->counters[i]));
		json_array_append_new(sites, json_pack("{s:s,s:s,s:o}", "site",
						       site_specs[site->site].name, "place",
						       site->place, "counters", counters));
	}
	for (l = s->left; l; l = l->next)
		json_array_append_new(left, json_pack("[s,s]", l->place, l->reason));
	root = json_pack("{s:i,s:i,s:b,s:I,s:o,s:o}", "format", STATE_FORMAT, "generation",
			 (int)s->generation, "observed", s->observed, "legacy_seq",
			 (json_int_t)s->legacy_seq, "sites", sites, "left", left);
	mkdir(dir, 0700);
	state_path(dir, ".new", fresh, sizeof(fresh));
	state_path(dir, "", path, sizeof(path));
	err = json_dump_file(root, fresh, JSON_COMPACT);
	json_decref(root);
	if (err || rename(fresh, path))
		return diag_error_at(d, -EIO, path, 0, 0, "cannot write: %s", strerror(errno));
	return 0;
}

bool state_is_stale(const struct state *s, const char *bpffs, uint32_t generation)
{
	uint64_t seq;

	if (!s->sites)
		return false;
	return s->generation != generation ||
	       (s->observed && (kern_observed(bpffs, &seq) || seq != s->legacy_seq));
}

int state_set_aside(const char *dir)
{
	char path[512], aside[512];

	state_path(dir, "", path, sizeof(path));
	state_path(dir, ".damaged", aside, sizeof(aside));
	return rename(path, aside) ? -errno : 0;
}

int state_remove(const char *dir)
{
	char path[512];

	state_path(dir, "", path, sizeof(path));
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

struct state_site *state_add_site(struct state *s, const struct ir *ir, const char *place)
{
	struct state_site *site = arena_alloc(s->mem, sizeof(*site));
	uint32_t i;

	site->site = ir->site;
	site->place = arena_strdup(s->mem, place);
	site->ncounters = ir->ncounters;
	site->counters = arena_array(s->mem, ir->ncounters, sizeof(*site->counters));
	for (i = 0; i < ir->ncounters; i++) {
		site->counters[i].from = ir->counters[i].from;
		site->counters[i].in_view = ir->counters[i].in_view;
	}
	site->next = s->sites;
	s->sites = site;
	return site;
}

struct state_site *state_find_site(const struct state *s, enum site_kind site,
				   const char *place)
{
	struct state_site *i;

	for (i = s->sites; i; i = i->next)
		if (i->site == site && !strcmp(i->place, place))
			return i;
	return NULL;
}

void state_add_left(struct state *s, const char *place, const char *reason)
{
	struct state_left *l = arena_alloc(s->mem, sizeof(*l));

	*l = (struct state_left){s->left, arena_strdup(s->mem, place),
				 arena_strdup(s->mem, reason)};
	s->left = l;
}

const char *state_find_left(const struct state *s, const char *place)
{
	const struct state_left *l;

	for (l = s->left; l; l = l->next)
		if (!strcmp(l->place, place))
			return l->reason;
	return NULL;
}

/* ---- carrying totals over ---- */

static int counter_order(const void *pa, const void *pb)
{
	const struct state_counter *a = *(const struct state_counter *const *)pa;
	const struct state_counter *b = *(const struct state_counter *const *)pb;
	uint64_t ka = a->from.handle ? a->from.handle : a->from.index;
	uint64_t kb = b->from.handle ? b->from.handle : b->from.index;
	int c;

	if (a->from.backend != b->from.backend)
		return a->from.backend < b->from.backend ? -1 : 1;
	if (a->from.family != b->from.family)
		return a->from.family < b->from.family ? -1 : 1;
	if ((c = strcmp(a->from.table, b->from.table)))
		return c;
	if ((c = strcmp(a->from.chain, b->from.chain)))
		return c;
	if (ka != kb)
		return ka < kb ? -1 : 1;
	return (int)a->in_view - (int)b->in_view;
}

void state_carry(struct state_site *to, const struct state_site *old,
		 const struct counter_value *values)
{
	struct state_counter **sorted, *key, **found;
	size_t i;

	sorted = calloc(to->ncounters + 1, sizeof(*sorted));
	if (!sorted)
		abort();
	for (i = 0; i < to->ncounters; i++)
		sorted[i] = &to->counters[i];
	qsort(sorted, to->ncounters, sizeof(*sorted), counter_order);
	for (i = 0; i < old->ncounters; i++) {
		key = &old->counters[i];
		found = bsearch(&key, sorted, to->ncounters, sizeof(*sorted), counter_order);
		if (!found)
			continue;
		(*found)->carried.packets += key->carried.packets + values[i].packets;
		(*found)->carried.bytes += key->carried.bytes + values[i].bytes;
	}
	free(sorted);
}
