// SPDX-License-Identifier: GPL-2.0
/*
 * Members of a set of nf_tables were added or deleted.  The commit has moved nf_tables'
 * generation, so the programs leave every packet already.  If the new image has the same code
 * and only other map contents, these are written into the maps of the program in service; then
 * the word that the programs compare moves to the new generation, last, so that no packet is
 * judged by anything but one generation's rules.  Who dies on the way leaves programs that
 * leave every packet, until a start loads new ones.
 *
 * The counters go on in their map, for the same rules: so the state file stays as it is.
 */
#include "inplace.h"

#include <string.h>

#include "carry.h"
#include "state.h"

static bool same_origin(const struct origin *a, const struct origin *b)
{
	return a->backend == b->backend && a->family == b->family && a->index == b->index &&
	       a->handle == b->handle && !strcmp(a->table, b->table) &&
	       !strcmp(a->chain, b->chain);
}

static bool same_counters(const struct ir *a, const struct ir *b)
{
	uint32_t i;

	if (a->ncounters != b->ncounters)
		return false;
	for (i = 0; i < a->ncounters; i++)
		if (a->counters[i].in_view != b->counters[i].in_view ||
		    !same_origin(&a->counters[i].from, &b->counters[i].from))
			return false;
	return true;
}

/* All but nf_tables' generation, which is a word in a map, is part of the program. */
static bool same_frame(const struct service *s, const struct service *next)
{
	return s->frame == next->frame && s->observed == next->observed &&
	       s->legacy_seq == next->legacy_seq && s->sets_observed == next->sets_observed &&
	       s->timed == next->timed && s->rt_genid == next->rt_genid &&
	       s->fib6_sernum == next->fib6_sernum;
}

/* Zeroed counters take what is pending with them: that is a handover's. */
static bool counts_go_on(const struct options *o, const struct ruleset *rs)
{
	struct arena *mem = arena_new();
	struct diag quiet = {0};
	struct state state;
	bool same = !state_load(o->state_dir, mem, &state, &quiet) && state.epoch &&
		    carry_unchanged(&state, rs);

	diag_free(&quiet);
	arena_free(mem);
	return same;
}

/* Nobody has put another program into its place. */
static bool in_service(const struct service *s, const struct options *o)
{
	uint32_t id = kern_counters_id(s->loaded), now;

	return !kern_counters_current(o->bpffs, s->early->site, "early", &now) && id == now;
}

/* Shadow mode compares from an install on; in takeover the tables are part of it. */
static bool possible(const struct service *s, const struct service *next,
		     const struct options *o)
{
	return s->rs && s->loaded && s->fingerprint && s->caps.generation_guard &&
	       !o->takeover && !o->shadow && !s->hooks && !next->hooks && s->early &&
	       next->early && s->early->emitted && next->early->emitted &&
	       same_frame(s, next) && same_counters(s->early->ir, next->early->ir) &&
	       kern_same_code(&s->early->image, &next->early->image) && in_service(s, o);
}

int inplace_update(struct service *s, struct service *next, const struct options *o,
		   size_t *changed, struct diag *d)
{
	uint32_t held;
	int err;

	/* Not stale: then it was not nf_tables that changed. */
	if (!possible(s, next, o) || kern_generation(o->bpffs, &held) ||
	    held != s->generation || held == next->generation || !counts_go_on(o, next->rs))
		return 0;
	err = kern_refill(s->loaded, &s->early->image, &next->early->image, changed, d);
	if (!err)
		err = kern_generation_move(o->bpffs, held, next->generation);
	if (err)
		return err;
	next->loaded = s->loaded;
	next->ninterfaces = s->ninterfaces;
	next->serial = s->serial; /* of the program */
	s->loaded = NULL;
	return 1;
}
