// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing that a program has counted is lost between it and the next, whoever dies on the way.
 *
 * Before the switch the state is saved with the sites of both sides: those of the new programs,
 * whose maps are still zero, and those of the old ones, whose counters stand for the new rules
 * already.  Both maps are pinned, and the state names them by their ids, so the sum is right
 * before, at and after the switch.  When no CPU runs the old programs any longer their counts
 * are folded into the state (carried), and their pins go.  Where that did not happen, whoever
 * comes next does it first (handover_begin()).
 */
#include "handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "carry.h"
#include "counters.h"
#include "ledger.h"

/* Rules are to be judged, whatever has become of their earlier counts. */
static int load_state(struct state *old, const struct options *o, struct arena *mem,
		      struct diag *d)
{
	int err = state_load(o->state_dir, mem, old, d);

	if (err != -EINVAL)
		return err;
	err = state_set_aside(o->state_dir);
	if (err)
		return err;
	log_warning("event=state error=\"%s\" next=\"counts start again\"", diag_demote(d));
	*old = (struct state){.mem = mem};
	return 0;
}

static size_t count_sites(const struct state *s)
{
	const struct state_site *site;
	size_t n = 0;

	for (site = s->sites; site; site = site->next)
		n++;
	return n;
}

/* The kernel may refuse a call for a moment.  What is not known then is not nothing: rather no
 * new programs than counts that are lost. */
#define TRIES 3

static int counts_open(struct handover *h, const struct options *o, struct diag *d)
{
	const struct state_site *site;
	int err, tries;

	h->counts = calloc(count_sites(&h->old) + 1, sizeof(*h->counts));
	if (!h->counts)
		no_memory();
	for (site = h->old.sites; site; site = site->next) {
		err = -EAGAIN;
		for (tries = 0; err && tries < TRIES; tries++)
			err = kern_counts_open(o->bpffs, site->site, site->place, site->map_id,
					       site->ncounters, &h->counts[h->n]);
		if (err)
			return diag_error(d, err, "cannot open the pinned counters: %s",
					  strerror(-err));
		h->n++;
	}
	return 0;
}

void handover_close(struct handover *h)
{
	while (h->n)
		kern_counts_close(h->counts[--h->n]);
	free(h->counts);
	h->counts = NULL;
}

/* What the programs that go have counted by now, in the order of state_counters(). */
static int read_counts(const struct handover *h, struct counter_value **out, struct diag *d)
{
	const struct state_site *site;
	struct counter_value *live;
	size_t n, at = 0, i = 0;
	int err, tries;

	state_counters(&h->old, &n);
	live = arena_array(h->old.mem, n, sizeof(*live));
	for (site = h->old.sites; site; site = site->next, i++) {
		/* What programs in shadow count, the kernel counts as well. */
		err = i < h->n && h->counts[i] && !site->shadow ? -EAGAIN : 0;
		for (tries = 0; err && tries < TRIES; tries++)
			err = kern_counts_read(h->counts[i], live + at, site->ncounters);
		if (err)
			return diag_error(d, err, "cannot read the pinned counters: %s",
					  strerror(-err));
		at += site->ncounters;
	}
	*out = live;
	return 0;
}

/* Another process may have written counters back since the beginning. */
static void reread_written(struct handover *h, const struct options *o)
{
	struct state_counter **c;
	struct ledger l;
	size_t n, i;

	c = state_counters(&h->old, &n);
	if (ledger_open(o->state_dir, h->old.epoch, n, &l))
		return;
	for (i = 0; i < n; i++) {
		c[i]->written = l.slots[i].written;
		c[i]->kernel = l.slots[i].kernel;
	}
	ledger_close(&l);
}

static bool has_counts(const struct handover *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->counts[i])
			return true;
	return false;
}

/* ---- folding ---- */

static void carry(struct state *now, const struct state_counter *c, struct counter_value live)
{
	struct counter_value pending = counter_pending(c, live);

	if (!pending.packets && !pending.bytes)
		return;
	now->carried[now->ncarried] = *c;
	now->carried[now->ncarried++].carried = pending;
}

/* Counters of programs that stay begin a new ledger. */
static void rebase(struct state_site *site)
{
	struct state_counter *c;

	for (c = site->counters; c < site->counters + site->ncounters; c++) {
		c->carried.packets -= c->written.packets;
		c->carried.bytes -= c->written.bytes;
	}
}

/* now: h->old with the sites that stay alone.  stays[]: by site. */
static void fold(struct handover *h, const struct counter_value *live, const bool *stays,
		 struct state *now)
{
	struct state_site *site, *next, **tail;
	size_t n, at = 0, i, k = 0;

	*now = h->old;
	state_counters(&h->old, &n);
	now->carried = arena_array(now->mem, n, sizeof(*now->carried));
	now->ncarried = 0;
	now->sites = NULL;
	tail = &now->sites;
	for (site = h->old.sites; site; site = next, k++) {
		next = site->next;
		if (stays[k]) {
			rebase(site);
			*tail = site;
			tail = &site->next;
			at += site->ncounters;
			continue;
		}
		for (i = 0; i < site->ncounters; i++, at++) {
			carry(now, &site->counters[i], live[at]);
			now->counted[site->site].packets += live[at].packets;
			now->counted[site->site].bytes += live[at].bytes;
		}
	}
	*tail = NULL;
	for (i = 0; i < h->old.ncarried; i++)
		carry(now, &h->old.carried[i], live[at + i]);
}

/* The state becomes that of the sites that stay.  mine: what else is new in it. */
static int fold_and_save(struct handover *h, const struct options *o, const bool *stays,
			 const struct state *mine, struct diag *d)
{
	struct counter_value *live;
	struct state now;
	int lock, err;

	if (has_counts(h))
		kern_quiesce();
	lock = ledger_lock(o->state_dir, true);
	if (lock < 0)
		return diag_error(d, lock, "cannot lock the state");
	reread_written(h, o);
	err = read_counts(h, &live, d);
	if (err) {
		ledger_unlock(lock);
		return err;
	}
	fold(h, live, stays, &now);
	now.generation = mine->generation;
	now.left = mine->left;
	err = state_save(o->state_dir, &now, d);
	ledger_unlock(lock);
	handover_close(h);
	h->old = now;
	return err;
}

/* ---- the steps ---- */

/* Is the site's program in service? */
static int site_stays(const struct state_site *site, const struct options *o, bool *stays,
		      struct diag *d)
{
	int err = -EAGAIN, tries;
	uint32_t id;

	for (tries = 0; err && tries < TRIES; tries++)
		err = kern_counters_current(o->bpffs, site->site, site->place, &id);
	if (err)
		return diag_error(d, err, "cannot look at the pinned counters: %s",
				  strerror(-err));
	*stays = site->map_id && site->map_id == id;
	return 0;
}

int handover_begin(struct handover *h, const struct options *o, struct arena *mem,
		   struct diag *d)
{
	const struct state_site *site;
	bool *stays, all = true;
	size_t i = 0;
	int err;

	err = counters_recover(o, d);
	if (!err)
		err = load_state(&h->old, o, mem, d);
	if (!err)
		err = counts_open(h, o, d);
	if (err)
		return err;
	/* What an earlier switch has left, or one that did not come to pass. */
	stays = arena_array(mem, h->n + 1, sizeof(*stays));
	for (site = h->old.sites; site && !err; site = site->next, i++) {
		err = site_stays(site, o, &stays[i], d);
		all &= stays[i];
	}
	if (err || all)
		return err;
	err = fold_and_save(h, o, stays, &h->old, d);
	return err ? err : counts_open(h, o, d);
}

static void append_sites(struct state *s, struct state_site *more)
{
	struct state_site **tail = &s->sites;

	while (*tail)
		tail = &(*tail)->next;
	*tail = more;
}

int handover_prepare(struct handover *h, const struct options *o, struct state *now,
		     const struct ruleset *rs, struct diag *d)
{
	struct counter_value *live;
	uint64_t discarded;
	struct state both;
	int lock, err;

	lock = ledger_lock(o->state_dir, true);
	if (lock < 0)
		return diag_error(d, lock, "cannot lock the state");
	reread_written(h, o);
	err = read_counts(h, &live, d);
	if (err) {
		ledger_unlock(lock);
		return err;
	}
	carry_describe(now, rs);
	carry_over(now, &h->old, live, rs, &discarded);
	if (discarded)
		log_info("event=counters discarded=%llu reason=\"zeroed, or the rule is gone\"",
			 (unsigned long long)discarded);
	memcpy(now->counted, h->old.counted, sizeof(now->counted));
	both = *now;
	both.sites = h->old.sites;
	append_sites(&both, now->sites);
	err = state_save(o->state_dir, &both, d);
	ledger_unlock(lock);
	h->old = both;
	return err;
}

int handover_end(struct handover *h, const struct options *o, struct state *now, struct diag *d)
{
	bool *stays = arena_array(h->old.mem, count_sites(&h->old) + 1, sizeof(*stays));
	size_t before = h->n, all = count_sites(&h->old), i;

	for (i = before; i < all; i++)
		stays[i] = true;
	return fold_and_save(h, o, stays, now, d);
}

int handover_retire(struct handover *h, const struct options *o, struct diag *d)
{
	bool *stays = arena_array(h->old.mem, count_sites(&h->old) + 1, sizeof(*stays));
	struct state now = {.generation = h->old.generation};

	return fold_and_save(h, o, stays, &now, d);
}

int handover_detach(const struct options *o, size_t *removed, struct diag *d)
{
	struct arena *mem = arena_new();
	struct handover h = {0};
	bool known = !handover_begin(&h, o, mem, d) && h.old.epoch;
	int err;

	/* Their counts are saved while their pins are there. */
	if (known && !kern_silence(o->bpffs, d))
		handover_retire(&h, o, d);
	err = kern_detach(o->bpffs, removed, d);
	handover_close(&h);
	arena_free(mem);
	return err;
}
