// SPDX-License-Identifier: GPL-2.0
/*
 * Legacy tables are topped up in place by ADD_COUNTERS, which knows entries by their place
 * alone.  So the table is read while the observer's word is the one that the state was made
 * for, and the observer itself refuses the addition when the word has moved.
 *
 * When this process dies between asking the kernel and remembering it, the intent in the ledger
 * and the number that the observer noted tell whether the kernel was asked.  What is left: the
 * process is killed inside the call, after the observer and before the kernel has copied the
 * counters, some microseconds; then this top-up is lost.
 */
#include "counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "counters_nft.h"
#include "pipeline.h"
#include "placement.h"
#include "read/read.h"

#define READ_ATTEMPTS 5

/* ---- the state with its ledger ---- */

void counters_close(struct counters *k)
{
	ledger_close(&k->ledger);
	if (k->mem)
		arena_free(k->mem);
	*k = (struct counters){0};
}

static bool unchanged(const struct counters *k, const struct stat *st)
{
	return k->mem && k->inode == st->st_ino && k->modified.tv_sec == st->st_mtim.tv_sec &&
	       k->modified.tv_nsec == st->st_mtim.tv_nsec;
}

static int load(struct counters *k, const struct options *o, struct diag *d)
{
	int err;

	k->mem = arena_new();
	err = state_load(o->state_dir, k->mem, &k->state, d);
	if (err)
		return err;
	if (!k->state.epoch)
		return -ENOENT;
	k->c = state_counters(&k->state, &k->n);
	k->live = arena_array(k->mem, k->n, sizeof(*k->live));
	return ledger_open(o->state_dir, k->state.epoch, k->n, &k->ledger);
}

int counters_refresh(struct counters *k, const struct options *o, struct diag *d)
{
	struct stat st;
	size_t i;
	int err;

	if (state_stat(o->state_dir, &st)) {
		counters_close(k);
		return -ENOENT;
	}
	if (!unchanged(k, &st)) {
		counters_close(k);
		err = load(k, o, d);
		if (err) {
			counters_close(k);
			return err;
		}
		k->inode = st.st_ino;
		k->modified = st.st_mtim;
	}
	for (i = 0; i < k->n; i++) {
		k->c[i]->written = k->ledger.slots[i].written;
		k->c[i]->kernel = k->ledger.slots[i].kernel;
	}
	state_read_live(&k->state, o->bpffs, k->live);
	return 0;
}

struct counter_value counters_pending(const struct counters *k, size_t i)
{
	struct state_counter c = *k->c[i];

	c.written = k->ledger.slots[i].written;
	return counter_pending(&c, k->live[i]);
}

static bool any_value(struct counter_value v)
{
	return v.packets || v.bytes;
}

const char *counters_error(int err)
{
	switch (err) {
	case -ESTALE:
		return "the rules have changed since the programs were made; try again when "
		       "they have been read";
	case -EOPNOTSUPP:
		return "without an observer of legacy tables nothing guards against a "
		       "replacement in between";
	case -EAGAIN:
		return "the rules kept changing";
	default:
		return strerror(-err);
	}
}

/* ---- after a crash ---- */

int counters_recover_locked(struct counters *k, const struct options *o, struct diag *d)
{
	struct ledger_head *h = k->ledger.head;
	uint64_t last = 0;
	bool done = false;
	int err = 0;

	if (!(h->seq & 1))
		return 0;
	if (h->intent == INTENT_LEGACY)
		done = !kern_legacy_word(o->bpffs, LEGACY_TOPUP, &last) && last == h->number;
	else if (h->intent == INTENT_NFT)
		err = counters_nft_happened(k, &done, d);
	if (err)
		return err;
	log_warning("event=counters recovered=%s written=%s",
		    h->intent == INTENT_NFT ? "nft" : "legacy", done ? "yes" : "no");
	ledger_settle(&k->ledger, done);
	return 0;
}

int counters_recover(const struct options *o, struct diag *d)
{
	int lock = ledger_lock(o->state_dir, true), err;
	struct counters k = {0};
	struct diag quiet = {0};

	if (lock < 0)
		return diag_error(d, lock, "cannot lock %s: %s", o->state_dir, strerror(-lock));
	/* A state that cannot be read is state_load()'s to complain about. */
	err = counters_refresh(&k, o, &quiet) ? 0 : counters_recover_locked(&k, o, d);
	counters_close(&k);
	ledger_unlock(lock);
	diag_free(&quiet);
	return err;
}

/* ---- topping up a legacy table ---- */

static bool of_table(const struct state_counter *c, enum family family, const char *table)
{
	return c->in_view && c->from.backend == BACKEND_LEGACY && c->from.family == family &&
	       !strcmp(c->from.table, table);
}

static bool legacy_pending(const struct counters *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (k->c[i]->in_view && k->c[i]->from.backend == BACKEND_LEGACY &&
		    any_value(counters_pending(k, i)))
			return true;
	return false;
}

static uint64_t place_hash(const char *chain, uint32_t index)
{
	uint64_t h = index * 0x9e3779b97f4a7c15ull;

	while (*chain)
		h = (h ^ (uint8_t)*chain++) * 0x100000001b3ull;
	return h ^ h >> 32;
}

/* Entries by chain and index: open addressing over their numbers + 1. */
struct places {
	const struct ipt_counter *entries;
	uint32_t *slots;
	size_t mask;
};

static uint32_t *place_slot(const struct places *p, const char *chain, uint32_t index)
{
	size_t i = place_hash(chain, index) & p->mask;
	const struct ipt_counter *e;

	for (; p->slots[i]; i = (i + 1) & p->mask) {
		e = &p->entries[p->slots[i] - 1];
		if (e->index == index && !strcmp(e->chain, chain))
			break;
	}
	return &p->slots[i];
}

static void places_make(struct places *p, const struct ipt_counter *entries, size_t n)
{
	size_t room = 16, i;

	while (room < 2 * n)
		room *= 2;
	*p = (struct places){entries, calloc(room, sizeof(*p->slots)), room - 1};
	if (!p->slots)
		no_memory();
	for (i = 0; i < n; i++)
		if (entries[i].chain)
			*place_slot(p, entries[i].chain, entries[i].index) = (uint32_t)i + 1;
}

/* One table, read while the word was seq. */
struct topup {
	enum family family;
	const char *table;
	struct ipt_counter *entries;
	struct counter_value *add;
	size_t n;
	uint32_t *at; /* of each counter: its entry's place + 1; 0: not of this table */
};

/* The ledger's next and add[]; false: nothing to add. */
static bool topup_plan(struct counters *k, struct topup *t, struct counters_result *out)
{
	struct counter_value pending;
	struct ledger_slot *slot;
	struct places p;
	bool any = false;
	size_t i, at;

	places_make(&p, t->entries, t->n);
	for (i = 0; i < k->n; i++) {
		slot = &k->ledger.slots[i];
		slot->next = slot->written;
		if (!of_table(k->c[i], t->family, t->table))
			continue;
		t->at[i] = *place_slot(&p, k->c[i]->from.chain, k->c[i]->from.index);
		if (!t->at[i])
			continue;
		at = t->at[i] - 1;
		pending = counters_pending(k, i);
		if (!any_value(pending))
			continue;
		any = true;
		slot->next.packets += pending.packets;
		slot->next.bytes += pending.bytes;
		t->add[at].packets += pending.packets;
		t->add[at].bytes += pending.bytes;
		out->rules += k->c[i]->from.index != 0;
		out->policies += !k->c[i]->from.index;
		out->packets += pending.packets;
		out->bytes += pending.bytes;
	}
	free(p.slots);
	return any;
}

static void remember_kernel(struct counters *k, const struct topup *t)
{
	const struct ipt_counter *e;
	size_t i;

	for (i = 0; i < k->n; i++) {
		if (!t->at[i])
			continue;
		e = &t->entries[t->at[i] - 1];
		k->ledger.slots[i].kernel =
		    (struct counter_value){e->packets + t->add[t->at[i] - 1].packets,
					   e->bytes + t->add[t->at[i] - 1].bytes};
	}
}

static int topup_table(struct counters *k, const struct options *o, struct topup *t,
		       struct arena *mem, struct counters_result *out)
{
	uint64_t last = 0, seq;
	struct counters_result mine = {0};
	int err;

	if (kern_observed(o->bpffs, &seq) || seq != k->state.legacy_seq)
		return -ESTALE;
	err = read_ipt_counters(mem, t->family, t->table, &t->entries, &t->n);
	if (err)
		return err;
	t->add = arena_array(mem, t->n, sizeof(*t->add));
	t->at = arena_array(mem, k->n, sizeof(*t->at));
	k->ledger.head->seq |= 1; /* readers wait */
	if (!topup_plan(k, t, &mine)) {
		ledger_settle(&k->ledger, false);
		return 0;
	}
	kern_legacy_word(o->bpffs, LEGACY_TOPUP, &last);
	last = (uint32_t)(last + 1);
	ledger_intend(&k->ledger, INTENT_LEGACY, last);
	err = kern_topup(t->family, t->table, seq, (uint32_t)last, t->add, t->n);
	if (!err)
		remember_kernel(k, t);
	ledger_settle(&k->ledger, !err);
	if (err)
		return err == -EPERM ? -ESTALE : err;
	if (kern_observed(o->bpffs, &seq) || seq != k->state.legacy_seq)
		log_warning("event=topup table=%s packets=%llu raced=\"perhaps: the table was "
			    "replaced just now\"",
			    t->table, (unsigned long long)mine.packets);
	out->rules += mine.rules;
	out->policies += mine.policies;
	out->packets += mine.packets;
	out->bytes += mine.bytes;
	return 0;
}

static bool seen_before(const struct counters *k, size_t i)
{
	size_t j;

	/* Counters of a table stand together but for those of other sites: this is short. */
	for (j = i; j-- > 0;)
		if (of_table(k->c[j], k->c[i]->from.family, k->c[i]->from.table))
			return true;
	return false;
}

static int topup_all(struct counters *k, const struct options *o, struct counters_result *out,
		     struct diag *d)
{
	int err = counters_recover_locked(k, o, d);
	struct arena *mem;
	struct topup t;
	size_t i;

	for (i = 0; i < k->n && !err; i++) {
		if (!k->c[i]->in_view || k->c[i]->from.backend != BACKEND_LEGACY ||
		    seen_before(k, i))
			continue;
		t = (struct topup){.family = k->c[i]->from.family,
				   .table = k->c[i]->from.table};
		mem = arena_new();
		err = topup_table(k, o, &t, mem, out);
		arena_free(mem);
	}
	return err;
}

int counters_topup_legacy(struct counters *k, const struct options *o,
			  struct counters_result *out, struct diag *d)
{
	int err, lock;

	*out = (struct counters_result){0};
	err = counters_refresh(k, o, d);
	if (err == -ENOENT)
		return 0;
	if (err || !legacy_pending(k))
		return err;
	if (!k->state.observed)
		return -EOPNOTSUPP;
	lock = ledger_lock(o->state_dir, false);
	if (lock < 0)
		return lock == -EWOULDBLOCK ? 0 : lock;
	/* Again: another may have been at it until now. */
	err = counters_refresh(k, o, d);
	if (!err)
		err = topup_all(k, o, out, d);
	ledger_unlock(lock);
	return err == -ENOENT ? 0 : err;
}

/* ---- for display ---- */

/* A rule of nf_tables is known by its handle: its place moves when others are added before it.
 */
static bool same_rule(const struct origin *a, const struct origin *b)
{
	if (a->handle && b->handle)
		return a->handle == b->handle && a->backend == b->backend &&
		       a->family == b->family && !strcmp(a->table, b->table);
	return origin_same(a, b);
}

static struct tally_slot *tally_slot(const struct tally *t, const struct origin *from)
{
	struct origin key = *from;
	size_t i;

	if (key.handle)
		key.index = (uint32_t)key.handle | 1u << 31;
	for (i = origin_hash(&key) & t->mask;
	     t->slots[i].from && !same_rule(t->slots[i].from, from);)
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

const struct tally_slot *tally_find(const struct tally *t, const struct origin *from)
{
	return tally_slot(t, from);
}

void tally_make(struct tally *t, const struct counters *k)
{
	struct counter_value pending, *sum;
	struct tally_slot *slot;
	size_t room = 64, i;

	while (room < 2 * k->n + 2)
		room *= 2;
	t->mask = room - 1;
	t->slots = calloc(room, sizeof(*t->slots));
	if (!t->slots)
		no_memory();
	for (i = 0; i < k->n; i++) {
		slot = tally_slot(t, &k->c[i]->from);
		slot->from = &k->c[i]->from;
		sum = k->c[i]->in_view ? &slot->view : &slot->own;
		pending = counters_pending(k, i);
		sum->packets += pending.packets;
		sum->bytes += pending.bytes;
	}
}

void tally_free(struct tally *t)
{
	free(t->slots);
	*t = (struct tally){0};
}

static void sleep_ms(long ms)
{
	const struct timespec t = {.tv_nsec = ms * 1000000};

	nanosleep(&t, NULL);
}

/* Even and quiet, or what it is after a while: a writer that died is settled by the next. */
static uint64_t quiet_seq(const struct counters *k)
{
	int tries;

	for (tries = 0; tries < 50 && k->ledger.head->seq & 1; tries++)
		sleep_ms(10);
	return k->ledger.head->seq;
}

struct ruleset *counters_read_rules(const struct options *o, struct counters *k,
				    struct tally *t, struct diag *d)
{
	struct ruleset *rs = NULL;
	uint64_t seq = 0, epoch;
	int tries, err;

	for (tries = 0; tries < READ_ATTEMPTS; tries++) {
		err = counters_refresh(k, o, d);
		if (err && err != -ENOENT)
			return NULL;
		epoch = k->state.epoch;
		seq = err ? 0 : quiet_seq(k);
		ruleset_free(rs);
		rs = pipeline_read_texts(NULL, 0, d);
		if (!rs)
			return NULL;
		err = counters_refresh(k, o, d);
		if (err && err != -ENOENT) {
			ruleset_free(rs);
			return NULL;
		}
		if (k->state.epoch == epoch && (!epoch || k->ledger.head->seq == seq))
			break;
	}
	tally_make(t, k);
	return rs;
}
