// SPDX-License-Identifier: GPL-2.0
/*
 * The counters map of a program that was replaced is read once more when no CPU runs it any
 * longer, so that nothing is lost between two programs.  It stays pinned until the new state is
 * saved (kern_settle()), so when the daemon is killed before that, the old state still
 * describes it; what the new programs have counted by then, some milliseconds, is lost.
 */
#include "handover.h"

#include <errno.h>
#include <stdlib.h>

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

int handover_begin(struct handover *h, const struct options *o, struct arena *mem,
		   struct diag *d)
{
	const struct state_site *site;
	size_t n = 0;
	int err;

	err = counters_recover(o, d);
	if (!err)
		err = load_state(&h->old, o, mem, d);
	if (err)
		return err;
	for (site = h->old.sites; site; site = site->next)
		n++;
	h->counts = calloc(n + 1, sizeof(*h->counts));
	if (!h->counts)
		abort();
	n = 0;
	for (site = h->old.sites; site; site = site->next)
		h->counts[n++] = kern_counts_open(o->bpffs, site->site, site->place,
						  site->map_id, site->ncounters);
	return 0;
}

static struct counter_value *final_counts(const struct handover *h)
{
	const struct state_site *site;
	struct counter_value *live;
	size_t n, at = 0, i = 0;

	state_counters(&h->old, &n);
	live = arena_array(h->old.mem, n, sizeof(*live));
	for (site = h->old.sites; site; site = site->next, i++) {
		if (h->counts[i])
			kern_counts_read(h->counts[i], live + at, site->ncounters);
		at += site->ncounters;
	}
	return live;
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
	const struct state_site *site;
	size_t i = 0;

	for (site = h->old.sites; site; site = site->next)
		if (h->counts[i++])
			return true;
	return false;
}

int handover_end(struct handover *h, const struct options *o, struct state *now,
		 const struct ruleset *rs, struct diag *d)
{
	int lock, err;
	uint64_t discarded;

	if (has_counts(h))
		kern_quiesce();
	lock = ledger_lock(o->state_dir, true);
	if (lock < 0)
		return diag_error(d, lock, "cannot lock the state");
	reread_written(h, o);
	carry_describe(now, rs);
	carry_over(now, &h->old, final_counts(h), rs, &discarded);
	if (discarded)
		log_info("event=counters discarded=%llu reason=\"zeroed, or the rule is gone\"",
			 (unsigned long long)discarded);
	err = state_save(o->state_dir, now, d);
	ledger_unlock(lock);
	return err;
}

int handover_retire(struct handover *h, const struct options *o, struct diag *d)
{
	struct state now = {.mem = h->old.mem,
			    .generation = h->old.generation,
			    .observed = h->old.observed,
			    .legacy_seq = h->old.legacy_seq};
	struct counter_value *live, pending;
	struct state_counter **c;
	int lock, err;
	size_t n, i;

	kern_quiesce();
	lock = ledger_lock(o->state_dir, true);
	if (lock < 0)
		return diag_error(d, lock, "cannot lock the state");
	reread_written(h, o);
	live = final_counts(h);
	c = state_counters(&h->old, &n);
	now.carried = arena_array(now.mem, n, sizeof(*now.carried));
	for (i = 0; i < n; i++) {
		pending = counter_pending(c[i], live[i]);
		if (!pending.packets && !pending.bytes)
			continue;
		now.carried[now.ncarried] = *c[i];
		now.carried[now.ncarried++].carried = pending;
	}
	err = state_save(o->state_dir, &now, d);
	ledger_unlock(lock);
	return err;
}

int handover_detach(const struct options *o, size_t *removed, struct diag *d)
{
	struct arena *mem = arena_new();
	struct handover h = {0};
	bool known = !handover_begin(&h, o, mem, d);
	int err = kern_detach(o->bpffs, removed, d);

	if (known && h.old.epoch)
		handover_retire(&h, o, d);
	handover_close(&h);
	arena_free(mem);
	return err;
}

void handover_close(struct handover *h)
{
	const struct state_site *site;
	size_t i = 0;

	for (site = h->counts ? h->old.sites : NULL; site; site = site->next)
		kern_counts_close(h->counts[i++]);
	free(h->counts);
	*h = (struct handover){0};
}
