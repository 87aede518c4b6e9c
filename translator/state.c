// SPDX-License-Identifier: GPL-2.0
#include "state.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"

#define STATE_FORMAT 2

static void state_path(const char *dir, const char *suffix, char *out, size_t size)
{
	snprintf(out, size, "%s/%llu.json%s", dir, (unsigned long long)kern_netns_inode(),
		 suffix);
}

/* ---- one counter ---- */

static json_t *counter_to_json(const struct state_counter *c)
{
	return json_pack("[i,i,s,s,I,I,b,I,I,I]", (int)c->from.backend, (int)c->from.family,
			 c->from.table, c->from.chain, (json_int_t)c->from.index,
			 (json_int_t)c->from.handle, c->in_view, (json_int_t)c->carried.packets,
			 (json_int_t)c->carried.bytes, (json_int_t)c->spec);
}

static int counter_from_json(json_t *j, struct arena *mem, struct state_counter *out)
{
	json_int_t index, handle, packets, bytes, spec;
	const char *table, *chain;
	int backend, family, view;

	if (json_unpack(j, "[i,i,s,s,I,I,b,I,I,I]", &backend, &family, &table, &chain, &index,
			&handle, &view, &packets, &bytes, &spec))
		return -EINVAL;
	*out = (struct state_counter){
	    .from = {.backend = (enum backend)backend,
		     .family = (enum family)family,
		     .table = arena_strdup(mem, table),
		     .chain = arena_strdup(mem, chain),
		     .index = (uint32_t)index,
		     .handle = (uint64_t)handle},
	    .in_view = view,
	    .spec = (uint64_t)spec,
	    .carried = {(uint64_t)packets, (uint64_t)bytes},
	};
	return 0;
}

static json_t *counters_to_json(const struct state_counter *c, size_t n)
{
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(out, counter_to_json(&c[i]));
	return out;
}

static int counters_from_json(json_t *j, struct arena *mem, struct state_counter **out,
			      size_t *n)
{
	struct state_counter *c;
	size_t i;

	if (!json_is_array(j))
		return -EINVAL;
	c = arena_array(mem, json_array_size(j), sizeof(*c));
	for (i = 0; i < json_array_size(j); i++)
		if (counter_from_json(json_array_get(j, i), mem, &c[i]))
			return -EINVAL;
	*out = c;
	*n = i;
	return 0;
}

/* ---- sites ---- */

static void append_site(struct state *s, struct state_site *site)
{
	struct state_site **tail = &s->sites;

	while (*tail)
		tail = &(*tail)->next;
	site->next = NULL;
	*tail = site;
}

static json_t *base_to_json(const struct state_site *site)
{
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < site->ncounters; i++) {
		const struct state_base *b = &site->counters[i].base;

		json_array_append_new(
		    out, json_pack("[I,I,I,I,I,I]", (json_int_t)b->before.packets,
				   (json_int_t)b->before.bytes, (json_int_t)b->bpf.packets,
				   (json_int_t)b->bpf.bytes, (json_int_t)b->after.packets,
				   (json_int_t)b->after.bytes));
	}
	return out;
}

static int base_from_json(json_t *j, struct state_site *site)
{
	json_int_t v[6];
	size_t i;

	if (!j)
		return 0;
	if (json_array_size(j) != site->ncounters)
		return -EINVAL;
	for (i = 0; i < site->ncounters; i++) {
		if (json_unpack(json_array_get(j, i), "[I,I,I,I,I,I]", &v[0], &v[1], &v[2],
				&v[3], &v[4], &v[5]))
			return -EINVAL;
		site->counters[i].base = (struct state_base){
		    .before = {(uint64_t)v[0], (uint64_t)v[1]},
		    .bpf = {(uint64_t)v[2], (uint64_t)v[3]},
		    .after = {(uint64_t)v[4], (uint64_t)v[5]},
		};
	}
	return 0;
}

static int site_from_json(json_t *j, struct state *s)
{
	struct state_site *site = arena_alloc(s->mem, sizeof(*site));
	const char *name, *place;
	json_int_t map_id;
	enum site_kind kind;
	json_t *counters, *base = NULL;
	int exact = 0;

	if (json_unpack(j, "{s:s,s:s,s:I,s:o,s?b,s?o}", "site", &name, "place", &place, "map",
			&map_id, "counters", &counters, "exact", &exact, "shadow", &base))
		return -EINVAL;
	for (kind = 0; kind < NSITE && strcmp(site_specs[kind].name, name); kind++)
		;
	if (kind == NSITE ||
	    counters_from_json(counters, s->mem, &site->counters, &site->ncounters) ||
	    base_from_json(base, site))
		return -EINVAL;
	site->exact = exact;
	site->shadow = base != NULL;
	site->site = kind;
	site->place = arena_strdup(s->mem, place);
	site->map_id = (uint32_t)map_id;
	append_site(s, site);
	return 0;
}

static json_t *site_to_json(const struct state_site *site)
{
	json_t *j = json_pack("{s:s,s:s,s:I,s:o}", "site", site_specs[site->site].name, "place",
			      site->place, "map", (json_int_t)site->map_id, "counters",
			      counters_to_json(site->counters, site->ncounters));

	if (!site->shadow)
		return j;
	json_object_set_new(j, "exact", json_boolean(site->exact));
	json_object_set_new(j, "shadow", base_to_json(site));
	return j;
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

/* Keys are names of sites; one that is not known here is of another version. */
static json_t *counted_to_json(const struct state *s)
{
	json_t *out = json_object();
	enum site_kind kind;

	for (kind = 0; kind < NSITE; kind++)
		json_object_set_new(out, site_specs[kind].name,
				    json_pack("[I,I]", (json_int_t)s->counted[kind].packets,
					      (json_int_t)s->counted[kind].bytes));
	return out;
}

static void counted_from_json(const json_t *j, struct state *s)
{
	json_int_t packets, bytes;
	enum site_kind kind;

	for (kind = 0; kind < NSITE; kind++)
		if (!json_unpack(json_object_get(j, site_specs[kind].name), "[I,I]", &packets,
				 &bytes))
			s->counted[kind] =
			    (struct counter_value){(uint64_t)packets, (uint64_t)bytes};
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

static json_t *left_to_json(const struct state_left *l)
{
	json_t *out = json_array();

	for (; l; l = l->next)
		json_array_append_new(out, json_pack("[s,s]", l->place, l->reason));
	return out;
}

/* ---- the file ---- */

static int state_from_json(json_t *root, struct state *s)
{
	json_t *sites, *carried, *left = NULL, *counted = NULL;
	json_int_t legacy_seq, epoch, generation;
	int format, observed;
	size_t i;

	if (json_unpack(root, "{s:i,s:I,s:b,s:I,s:I,s:o,s:o,s?o,s?o}", "format", &format,
			"generation", &generation, "observed", &observed, "legacy_seq",
			&legacy_seq, "epoch", &epoch, "sites", &sites, "carried", &carried,
			"left", &left, "counted", &counted) ||
	    format != STATE_FORMAT || !json_is_array(sites))
		return -EINVAL;
	s->generation = (uint32_t)generation;
	s->observed = observed;
	s->legacy_seq = (uint64_t)legacy_seq;
	s->epoch = (uint64_t)epoch;
	for (i = 0; i < json_array_size(sites); i++)
		if (site_from_json(json_array_get(sites, i), s))
			return -EINVAL;
	if (left_from_json(left, s))
		return -EINVAL;
	counted_from_json(counted, s);
	return counters_from_json(carried, s->mem, &s->carried, &s->ncarried);
}

/* No ledger of this epoch: nothing was written. */
static void read_ledger(const char *dir, struct state *s)
{
	struct state_counter **c;
	struct ledger l;
	size_t i, n;

	c = state_counters(s, &n);
	if (ledger_open(dir, s->epoch, n, &l))
		return;
	for (i = 0; i < n; i++) {
		c[i]->written = l.slots[i].written;
		c[i]->kernel = l.slots[i].kernel;
	}
	ledger_close(&l);
}

int state_load(const char *dir, struct arena *mem, struct state *out, struct diag *d)
{
	struct state s = {.mem = mem};
	json_error_t error;
	json_t *root;
	char path[512];
	int err;

	state_path(dir, "", path, sizeof(path));
	if (access(path, F_OK)) {
		*out = s;
		return 0;
	}
	root = json_load_file(path, 0, &error);
	if (!root)
		return diag_error_at(d, load_error(&error), path, (unsigned)error.line,
				     (unsigned)error.column, "%s", error.text);
	err = state_from_json(root, &s);
	json_decref(root);
	if (err)
		return diag_error_at(d, err, path, 0, 0, "not a state file of this version");
	read_ledger(dir, &s);
	*out = s;
	return 0;
}

static int create_ledger(const char *dir, struct state *s)
{
	struct counter_value *kernel;
	struct state_counter **c;
	struct timespec ts;
	size_t i, n;

	clock_gettime(CLOCK_REALTIME, &ts);
	s->epoch = (uint64_t)ts.tv_sec << 30 ^ (uint64_t)ts.tv_nsec;
	c = state_counters(s, &n);
	kernel = arena_array(s->mem, n, sizeof(*kernel));
	for (i = 0; i < n; i++) {
		kernel[i] = c[i]->kernel;
		c[i]->written = (struct counter_value){0, 0};
	}
	return ledger_create(dir, s->epoch, n, kernel);
}

/* Epoch of the file that is there, 0: none. */
static uint64_t saved_epoch(const char *dir)
{
	json_int_t epoch = 0;
	char path[512];
	json_t *root;

	state_path(dir, "", path, sizeof(path));
	root = json_load_file(path, 0, NULL);
	json_unpack(root, "{s:I}", "epoch", &epoch);
	json_decref(root);
	return (uint64_t)epoch;
}

int state_save(const char *dir, struct state *s, struct diag *d)
{
	json_t *sites = json_array(), *root;
	const struct state_site *site;
	char path[512], fresh[512];
	uint64_t before = saved_epoch(dir);
	int err;

	mkdir(dir, 0700);
	state_path(dir, "", path, sizeof(path));
	err = create_ledger(dir, s);
	if (err) {
		json_decref(sites);
		return diag_error_at(d, err, path, 0, 0, "cannot write its ledger: %s",
				     strerror(-err));
	}
	for (site = s->sites; site; site = site->next)
		json_array_append_new(sites, site_to_json(site));
	root = json_pack("{s:i,s:I,s:b,s:I,s:I,s:o,s:o,s:o,s:o}", "format", STATE_FORMAT,
			 "generation", (json_int_t)s->generation, "observed", s->observed,
			 "legacy_seq", (json_int_t)s->legacy_seq, "epoch", (json_int_t)s->epoch,
			 "sites", sites, "carried", counters_to_json(s->carried, s->ncarried),
			 "left", left_to_json(s->left), "counted", counted_to_json(s));
	state_path(dir, ".new", fresh, sizeof(fresh));
	err = json_dump_file(root, fresh, JSON_COMPACT);
	json_decref(root);
	if (err || rename(fresh, path)) {
		ledger_remove(dir, s->epoch);
		return diag_error_at(d, -EIO, path, 0, 0, "cannot write: %s", strerror(errno));
	}
	if (before && before != s->epoch)
		ledger_remove(dir, before);
	return 0;
}

bool state_is_stale(const struct state *s, const char *bpffs, uint32_t generation)
{
	uint32_t held = s->generation;
	uint64_t seq;

	if (!s->sites)
		return false;
	/* It moves on with what does not concern the programs. */
	kern_generation(bpffs, &held);
	if (held != generation)
		return true;
	return s->observed && (kern_observed(bpffs, &seq) || seq != s->legacy_seq);
}

int state_stat(const char *dir, struct stat *st)
{
	char path[512];

	state_path(dir, "", path, sizeof(path));
	return stat(path, st) ? -errno : 0;
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
	uint64_t epoch = saved_epoch(dir);
	char path[512];

	if (epoch)
		ledger_remove(dir, epoch);
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

/* ---- all counters ---- */

struct state_counter **state_counters(const struct state *s, size_t *n)
{
	const struct state_site *site;
	struct state_counter **out;
	size_t total = s->ncarried, at = 0, i;

	for (site = s->sites; site; site = site->next)
		total += site->ncounters;
	out = arena_array(s->mem, total, sizeof(*out));
	for (site = s->sites; site; site = site->next)
		for (i = 0; i < site->ncounters; i++)
			out[at++] = &site->counters[i];
	for (i = 0; i < s->ncarried; i++)
		out[at++] = &s->carried[i];
	*n = total;
	return out;
}

void state_read_live(const struct state *s, const char *bpffs, struct counter_value *out)
{
	const struct state_site *site;

	state_read_shadow(s, bpffs, out);
	for (site = s->sites; site; out += site->ncounters, site = site->next)
		if (site->shadow)
			memset(out, 0, site->ncounters * sizeof(*out));
}

void state_read_shadow(const struct state *s, const char *bpffs, struct counter_value *out)
{
	const struct state_site *site;
	struct diag quiet = {0};
	size_t at = 0;

	for (site = s->sites; site; site = site->next) {
		if (kern_counters_of(bpffs, site->site, site->place, site->map_id, out + at,
				     site->ncounters, &quiet))
			memset(out + at, 0, site->ncounters * sizeof(*out));
		at += site->ncounters;
	}
	memset(out + at, 0, s->ncarried * sizeof(*out));
	diag_free(&quiet);
}

void state_counted(const struct state *s, const struct counter_value *live,
		   struct counter_value out[NSITE])
{
	const struct state_site *site;
	size_t at = 0, i;

	memcpy(out, s->counted, sizeof(s->counted));
	for (site = s->sites; site; site = site->next) {
		for (i = 0; i < site->ncounters; i++, at++) {
			out[site->site].packets += live[at].packets;
			out[site->site].bytes += live[at].bytes;
		}
	}
}

/* written may be "below zero" while a counter owes what its old rule counted at the end. */
static uint64_t less(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) > 0 ? a - b : 0;
}

struct counter_value counter_pending(const struct state_counter *c, struct counter_value live)
{
	return (struct counter_value){
	    less(c->carried.packets + live.packets, c->written.packets),
	    less(c->carried.bytes + live.bytes, c->written.bytes)};
}
