// SPDX-License-Identifier: GPL-2.0
#include "service.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "read/read.h"
#include "handover.h"
#include "inplace.h"
#include "shadow.h"
#include "state.h"
#include "trial.h"
#include "world.h"

#define EARLY_PLACE "early"
#define UPDATE_TRIES 20    /* when the rules change on the way */
#define TRIAL_PACKETS 2000 /* on every load; nf2bpf verify tries all */

/* ---- has anything changed? ---- */

static uint64_t hash_add(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static uint64_t hash_world(uint64_t h, const struct ruleset *rs, const struct unit *u)
{
	struct arena *mem = arena_new();
	struct kern_world w;
	size_t i;

	if (u->ir) {
		world_make(rs, u, mem, &w);
		h = hash_add(h, &w.config, sizeof(w.config));
		for (i = 0; i < w.nlocals; i++)
			h = hash_add(h, w.locals[i].addr, 17) + w.locals[i].type +
			    w.locals[i].family;
		for (i = 0; i < w.nsources; i++)
			h = hash_add(h, w.sources[i].addr, 17) + w.sources[i].oif;
		for (i = 0; i < w.nifaces; i++)
			h = hash_add(h, &w.ifaces[i].value, sizeof(w.ifaces[i].value)) +
			    w.ifaces[i].ifindex;
	}
	arena_free(mem);
	return h;
}

static uint64_t hash_unit(uint64_t h, const struct ruleset *rs, const struct unit *u)
{
	struct buf text = {0};

	if (u->ir) {
		ir_print(u->ir, &text);
		h = hash_add(h, text.data, text.len);
	}
	buf_free(&text);
	return hash_world(h, rs, u);
}

static uint64_t hash_ifaces(uint64_t h, const struct ruleset *rs)
{
	const struct iface *i;

	for (i = rs->env.ifaces; i; i = i->next)
		h = h * 31 + i->ifindex + (i->flags & IFF_UP);
	return h;
}

static uint64_t service_frame(const struct service *s, const struct options *o)
{
	uint64_t h = hash_ifaces(0xcbf29ce484222325ull ^ (uint64_t)o->site, s->rs);

	return s->early ? hash_world(h, s->rs, s->early) : h;
}

static uint64_t service_fingerprint(const struct service *s, const struct options *o)
{
	uint64_t h =
	    (0xcbf29ce484222325ull ^ s->rs->generation) * 0x100000001b3ull ^ s->legacy_seq;
	const struct unit *u;

	h = hash_add(h, &s->rt_genid, sizeof(s->rt_genid));
	h = hash_add(h, &s->fib6_sernum, sizeof(s->fib6_sernum));
	if (s->early)
		h = hash_unit(h, s->rs, s->early);
	for (u = s->hooks; u; u = u->next)
		h = hash_unit(h, s->rs, u);
	return hash_ifaces(h, s->rs) ^ (uint64_t)o->site;
}

/* ---- install ---- */

static bool interface_wanted(const struct ruleset *rs, const struct options *o,
			     const struct iface *i)
{
	const char *why;
	size_t n;

	for (n = 0; n < o->ninterfaces; n++)
		if (!strcmp(o->interfaces[n], i->name))
			return true;
	return !o->ninterfaces && (i->flags & IFF_UP) && world_iface_usable(rs, i, &why);
}

static int check_interfaces(const struct ruleset *rs, const struct options *o, struct diag *d)
{
	const struct iface *i;
	const char *why;
	size_t n;

	for (n = 0; n < o->ninterfaces; n++) {
		for (i = rs->env.ifaces; i && strcmp(i->name, o->interfaces[n]); i = i->next)
			;
		if (!i)
			return diag_error(d, -ENODEV,
					  "no interface %s in this network namespace",
					  o->interfaces[n]);
		if (!world_iface_usable(rs, i, &why))
			return diag_error(d, -EOPNOTSUPP, "%s: %s", i->name, why);
	}
	return 0;
}

static bool ir_has_program(const struct ir *ir)
{
	int e;

	for (e = 0; e < NENTRY; e++)
		if (ir->entries[e].used)
			return true;
	return false;
}

/* site_config.unit: 0 early, then the hook site's in their order. */
static uint32_t unit_number(const struct service *s, const struct unit *u)
{
	const struct unit *i;
	uint32_t n = 1;

	if (u == s->early)
		return 0;
	for (i = s->hooks; i && i != u; i = i->next)
		n++;
	return n;
}

static int load_unit(const struct service *s, const struct options *o,
		     const struct kern_switch *sw, const struct unit *u, struct loaded **out,
		     struct diag *d)
{
	struct kern_world world;
	struct loaded *l = NULL;
	struct trial trial;
	int err;

	world_make(s->rs, u, s->rs->mem, &world);
	world.bpffs = o->bpffs;
	world.sw = sw;
	if (u->takeover) {
		world.config.takeover = 1;
		world.config.hook = (uint8_t)u->chain->hook;
		world.config.hook_family = (uint8_t)u->family;
		world.config.table_handle = u->chain->table->handle;
		world.config.chain_handle = u->chain->handle;
		world.config.nft_net_id = s->takeover.nft_net_id;
	}
	world.config.shadow = o->shadow;
	if (o->shadow && u->site == SITE_HOOK)
		world.config.count_accepts = 1;
	world.config.serial = s->serial;
	world.config.unit = unit_number(s, u);
	world.config.check_legacy = s->observed;
	world.config.legacy_seq = s->legacy_seq;
	world.config.check_routes = s->timed && u->site != SITE_HOOK;
	world.config.rt_genid = s->rt_genid;
	world.config.fib6_sernum = s->fib6_sernum;
	err = kern_load(&u->image, &world, &s->caps, &l, d);
	if (err)
		return err;
	err = trial_run(s->rs, u, l, TRIAL_PACKETS, &trial, d);
	if (err) {
		kern_unload(l);
		return err;
	}
	log_debug("event=trial site=%s rules=%zu hit=%zu packets=%zu drops=%zu",
		  site_specs[u->site].name, trial.rules, trial.rules_hit, trial.packets,
		  trial.drops);
	*out = l;
	return 0;
}

static int install_early(struct service *s, const struct options *o, struct kern_switch *sw,
			 struct state *now, struct diag *d)
{
	struct kern_attach at = {.bpffs = o->bpffs, .sw = sw, .any = !o->ninterfaces};
	struct loaded *loaded = NULL;
	struct state_site *site;
	const struct iface *i;
	const char **names;
	uint32_t *indexes;
	size_t n = 0;
	int err;

	for (i = s->rs->env.ifaces; i; i = i->next)
		n++;
	names = arena_array(s->rs->mem, n, sizeof(*names));
	indexes = arena_array(s->rs->mem, n, sizeof(*indexes));
	for (i = s->rs->env.ifaces; i; i = i->next) {
		if (!interface_wanted(s->rs, o, i))
			continue;
		names[at.n] = i->name;
		indexes[at.n++] = i->ifindex;
	}
	at.ifnames = names;
	at.ifindexes = indexes;
	if (!at.n)
		return diag_error(d, -ENODEV,
				  "no Ethernet interface is up: name one with --interface");
	err = load_unit(s, o, sw, s->early, &loaded, d);
	if (err)
		return err;
	site = state_add_site(now, s->early->ir, EARLY_PLACE);
	site->shadow = o->shadow;
	site->map_id = kern_counters_id(loaded);
	err = kern_install(loaded, &at, &s->caps, d);
	if (err) {
		kern_unload(loaded);
		return err;
	}
	s->loaded = loaded;
	s->ninterfaces = at.n;
	return 0;
}

/* As in kern_site.place. */
static const char *hook_place(const struct unit *u, struct arena *mem)
{
	return arena_printf(mem, "%s %s %d", family_name(u->family), hook_name(u->chain->hook),
			    u->chain->priority);
}

/* One chain stays with the kernel; the others go on. */
static void leave_hook(const struct unit *u, const char *place, const char *reason,
		       struct state *now)
{
	log_warning("event=left site=nf chain=\"%s %s %s\" reason=\"%s\"",
		    family_name(u->family), u->chain->table->name, u->chain->name, reason);
	state_add_left(now, place, reason);
}

/* In the chain's place: what was asleep stays so, from the switch on; what is to be put to
 * sleep is ready. */
static int stand(const struct service *s, const struct unit *u, struct loaded *l,
		 struct diag *d)
{
	const struct taken *t = takeover_find(&s->takeover, u->chain->table);
	int err = kern_stand(l, u->chain->table->handle,
			     t && t->asleep ? STANDING_IN : STANDING_READY);

	return err ? diag_error(d, err, "cannot tell a program where it stands: %s",
				strerror(-err))
		   : 0;
}

static bool ir_leaves(const struct ir *ir)
{
	const struct ir_chain *c;
	const struct ir_rule *r;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			if (ir_rule_leave(r))
				return true;
	return false;
}

/* Do the programs count all that the table's rules count? */
static bool table_is_whole(const struct service *s, const struct table *t)
{
	const struct unit *u;

	for (u = s->hooks; u; u = u->next)
		if (u->chain->table == t && (!u->emitted || ir_leaves(u->ir)))
			return false;
	return true;
}

static int install_hook(struct service *s, const struct options *o, struct kern_switch *sw,
			struct unit *u, struct state *now, struct diag *d)
{
	struct kern_attach at = {.bpffs = o->bpffs,
				 .sw = sw,
				 .family = u->family,
				 .hook = u->ir->hook,
				 .priority = u->ir->priority};
	const char *place = hook_place(u, s->rs->mem);
	struct loaded *loaded = NULL;
	struct state_site *site;
	int err = load_unit(s, o, sw, u, &loaded, d);

	if (!err && u->takeover)
		err = stand(s, u, loaded, d);
	if (err) {
		kern_unload(loaded);
		return err;
	}
	site = state_add_site(now, u->ir, place);
	site->map_id = kern_counters_id(loaded);
	site->shadow = o->shadow;
	site->exact = table_is_whole(s, u->chain->table);
	err = kern_install(loaded, &at, &s->caps, d);
	kern_unload(loaded); /* the pins keep it */
	if (err != -EADDRINUSE)
		return err;
	now->sites = site->next;
	leave_hook(u, place, diag_demote(d), now);
	/* The table cannot be taken over without this chain. */
	return u->takeover ? -EADDRINUSE : 0;
}

/* Each program into its next slot. */
static int install_units(struct service *s, const struct options *o, struct kern_switch *sw,
			 struct state *now, struct diag *d)
{
	struct unit *u;
	int err = 0;

	if (s->early && ir_has_program(s->early->ir))
		err = install_early(s, o, sw, now, d);
	for (u = s->hooks; u && !err; u = u->next) {
		if (!u->emitted)
			leave_hook(u, hook_place(u, s->rs->mem), u->refusal, now);
		else if (ir_has_program(u->ir))
			err = install_hook(s, o, sw, u, now, d);
		if (err && u->takeover)
			s->failed = u->chain->table;
	}
	return err;
}

/* After the switch: until then the programs drop beside their chains.  No packet is left that
 * was on its way then: one that an older program had passed on would find its chain gone. */
static int put_to_sleep(struct service *s, const struct options *o, struct diag *d)
{
	uint32_t before = s->generation;
	int err;

	if (takeover_has_awake(&s->takeover))
		kern_quiesce();
	err = takeover_sleep(o, &s->takeover, &s->generation, d);
	/* Our own commit has changed no rule. */
	if (!err && before != s->generation)
		kern_generation_move(o->bpffs, before, s->generation);
	return err == -ERESTART ? -EAGAIN : err;
}

/* For status: which tables stay awake, and why. */
static void note_not_taken(const struct service *s, const struct options *o, struct state *now)
{
	const struct taken *t;

	for (t = s->takeover.tables; o->takeover && t < s->takeover.tables + s->takeover.n; t++)
		if (t->reason)
			state_add_left(now,
				       arena_printf(s->rs->mem, "table %s %s",
						    family_name(t->table->family),
						    t->table->name),
				       t->reason);
}

static int install(struct service *s, const struct options *o, struct handover *before,
		   struct state *now, struct diag *d)
{
	struct kern_switch *sw = NULL;
	int err;

	err = check_interfaces(s->rs, o, d);
	if (err)
		return err;
	if (s->early && !s->early->emitted)
		return diag_error(d, -E2BIG, "%s: %s", site_specs[s->early->site].name,
				  s->early->refusal);
	err = kern_switch_begin(o->bpffs, &sw, d);
	if (err)
		return err;
	note_not_taken(s, o, now);
	err = install_units(s, o, sw, now, d);
	if (err) {
		kern_switch_abort(sw);
		return err;
	}
	err = takeover_write_down(o, &s->takeover, d);
	if (!err)
		err = handover_prepare(before, o, now, s->rs, d);
	if (err) {
		kern_switch_abort(sw);
		return err;
	}
	err = kern_switch_commit(sw, s->generation, d);
	if (!err)
		err = put_to_sleep(s, o, d);
	now->generation = s->generation;
	return err;
}

/* ---- one update ---- */

/* Do the programs in service hold for this generation? */
static bool generation_held(const struct options *o, uint32_t generation)
{
	uint32_t held;

	return !kern_generation(o->bpffs, &held) && held == generation;
}

static struct refused_table *refused_find(const struct service *s, uint64_t handle)
{
	size_t i;

	for (i = 0; i < s->nrefused; i++)
		if (s->refused[i].handle == handle)
			return &s->refused[i];
	return NULL;
}

/* Now the others go on without the table whose programs could not be put in place. */
static int remember_refused(struct service *s, const struct service *next, int err)
{
	const struct table *t = next->failed;
	struct refused_table *r;

	if (!t)
		return err;
	r = refused_find(s, t->handle);
	if (!r) {
		s->refused = reallocarray(s->refused, s->nrefused + 1, sizeof(*r));
		if (!s->refused)
			no_memory();
		r = &s->refused[s->nrefused++];
		*r = (struct refused_table){.handle = t->handle};
	}
	r->generation = next->generation;
	r->failures++;
	log_warning("event=left table=\"%s %s\" error=\"%s\" failures=%u",
		    family_name(t->family), t->name, strerror(-err), r->failures);
	return -EAGAIN;
}

/* The refusals go on with the next service, but of tables that are gone or in place now. */
static void pass_refused(struct service *s, struct service *next)
{
	size_t i, n = 0;

	for (i = 0; i < s->nrefused; i++) {
		const struct taken *t =
		    takeover_by_handle(&next->takeover, s->refused[i].handle);

		if (t && t->reason)
			s->refused[n++] = s->refused[i];
	}
	next->refused = s->refused;
	next->nrefused = n;
	s->refused = NULL;
	s->nrefused = 0;
}

/* Of the hook site's units, those that are wanted. */
static struct unit *choose_hooks(struct service *s, const struct options *o)
{
	struct unit *first = NULL, **tail = &first, *u, *next;
	const struct taken *t;

	for (u = s->hooks; u; u = next) {
		next = u->next;
		t = takeover_find(&s->takeover, u->chain->table);
		u->takeover = o->takeover && t && !t->reason;
		if (!u->takeover && !o->hook)
			continue;
		*tail = u;
		tail = &u->next;
	}
	*tail = NULL;
	return first;
}

#define RETRY_MAX_SHIFT 6

static void refuse_failed(struct service *next, const struct service *s)
{
	size_t i;

	for (i = 0; i < next->takeover.n; i++) {
		struct taken *t = &next->takeover.tables[i];
		const struct refused_table *r = refused_find(s, t->table->handle);
		unsigned shift = r ? r->failures - 1 : 0;

		if (shift > RETRY_MAX_SHIFT)
			shift = RETRY_MAX_SHIFT;
		if (r && !t->reason && next->generation - r->generation < 1u << shift)
			t->reason = "its programs could not be put in place; see the log";
	}
}

static int lower_all(struct service *next, const struct service *s, const struct options *o,
		     struct diag *d)
{
	size_t i;
	int err;

	if (!o->early_off)
		next->early = pipeline_lower(next->rs, o->site, NULL);
	if (o->hook || o->takeover)
		next->hooks =
		    pipeline_lower(next->rs, SITE_HOOK, o->takeover ? NULL : o->chain);
	if (o->takeover) {
		pipeline_emit(next->rs, next->hooks);
		takeover_choose(o, &next->caps, next->rs, next->hooks, &next->takeover);
		refuse_failed(next, s);
	} else {
		for (i = 0; i < next->takeover.n; i++)
			next->takeover.tables[i].reason =
			    o->shadow ? "shadow mode" : "assist mode";
	}
	err = takeover_wake_others(o, next->rs, next->generation, &next->takeover, d);
	next->hooks = choose_hooks(next, o);
	return err;
}

/* The programs of an earlier daemon have other numbers. */
static uint32_t serial_next(const struct service *s)
{
	uint32_t next = s->serial ? s->serial + 1 : (uint32_t)(kern_watch_now() >> 10);

	return next ? next : 1;
}

/* Where the time of an update goes, for --verbose. */
enum stage {
	STAGE_READ,
	STAGE_LOWER,
	STAGE_COMPARE, /* with what is in service */
	STAGE_EMIT,
	STAGE_MOVE, /* in place, or found that it cannot be */
	STAGE_INSTALL,
	STAGE_SETTLE,
	NSTAGE
};

struct laps {
	uint64_t last;
	unsigned us[NSTAGE];
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void lap(struct laps *l, enum stage what)
{
	uint64_t now = now_us();

	l->us[what] = (unsigned)(now - l->last);
	l->last = now;
}

static void report_laps(const struct laps *l)
{
	log_debug("event=stages read_us=%u lower_us=%u compare_us=%u emit_us=%u move_us=%u "
		  "install_us=%u settle_us=%u",
		  l->us[STAGE_READ], l->us[STAGE_LOWER], l->us[STAGE_COMPARE],
		  l->us[STAGE_EMIT], l->us[STAGE_MOVE], l->us[STAGE_INSTALL],
		  l->us[STAGE_SETTLE]);
}

static int update_once(struct service *s, const struct options *o, bool *changed,
		       struct diag *d)
{
	struct service next = {.caps = s->caps};
	struct handover before = {0};
	struct laps laps = {.last = now_us()};
	struct state now;
	int err;

	if (!s->clock_tried) {
		s->clock_tried = true;
		kern_clock_open(&s->clock, d);
	}
	next.clock_tried = true;
	next.clock = s->clock;
	next.timed = s->clock && !kern_clock_read(s->clock, &next.rt_genid, &next.fib6_sernum);
	/* Before the rules are read: a change after this makes the programs stale, never wrong.
	 */
	next.observed = !kern_observe(o->bpffs, &next.legacy_seq, d);
	next.sets_observed = next.observed && kern_sets_observed(o->bpffs);
	next.rs = pipeline_read(NULL, 0, d);
	/* The first ipsets: what was read before they were observed may be old already. */
	if (next.rs && next.rs->ipsets && next.observed && !next.sets_observed &&
	    !kern_observe_sets(o->bpffs, d)) {
		next.sets_observed = true;
		ruleset_free(next.rs);
		next.rs = pipeline_read(NULL, 0, d);
	}
	if (!next.rs)
		return -EIO;
	lap(&laps, STAGE_READ);
	/* Where only counters are new, the rules keep their earlier generation's number. */
	next.generation = next.rs->generation;
	if (s->rs && generation_held(o, next.generation))
		next.rs->generation = s->rs->generation;
	err = takeover_recall(o, next.rs, !s->rs || s->again, &next.takeover, d);
	if (!err)
		err = lower_all(&next, s, o, d);
	if (err) {
		ruleset_free(next.rs);
		return err;
	}
	lap(&laps, STAGE_LOWER);
	next.fingerprint = service_fingerprint(&next, o);
	lap(&laps, STAGE_COMPARE);
	if (s->rs && next.fingerprint == s->fingerprint) {
		s->generation = next.generation;
		ruleset_free(next.rs);
		return 0;
	}
	next.serial = serial_next(s);
	pipeline_emit(next.rs, next.early);
	if (!o->takeover)
		pipeline_emit(next.rs, next.hooks);
	lap(&laps, STAGE_EMIT);
	next.frame = service_frame(&next, o);
	/* In shadow a change begins a new comparison. */
	err = o->shadow ? 0 : inplace_update(s, &next, o, &next.moved, d);
	lap(&laps, STAGE_MOVE);
	if (err > 0) {
		next.serial = s->serial; /* the programs are the same */
		report_laps(&laps);
		service_close(s);
		*s = next;
		*changed = true;
		return 0;
	}
	if (err) {
		log_warning("event=inplace error=\"%s\" next=\"new programs\"", diag_demote(d));
		s->fingerprint = 0; /* its maps are no base for another try */
	}
	next.moved = 0;
	now = (struct state){.mem = next.rs->mem,
			     .generation = next.generation,
			     .observed = next.observed,
			     .legacy_seq = next.legacy_seq};
	err = handover_begin(&before, o, next.rs->mem, d);
	if (!err)
		err = install(&next, o, &before, &now, d);
	if (!err && o->shadow)
		err = shadow_begin(&now, o, d);
	lap(&laps, STAGE_INSTALL);
	if (!err)
		err = handover_end(&before, o, &now, d);
	handover_close(&before);
	if (!err)
		err = kern_settle(o->bpffs, d);
	lap(&laps, STAGE_SETTLE);
	report_laps(&laps);
	if (err) {
		err = remember_refused(s, &next, err);
		kern_unload(next.loaded);
		ruleset_free(next.rs);
		return err;
	}
	pass_refused(s, &next);
	service_close(s);
	*s = next;
	*changed = true;
	return 0;
}

int service_update(struct service *s, const struct options *o, bool *changed, struct diag *d)
{
	int err = -EAGAIN, tries;

	*changed = false;
	for (tries = 0; err == -EAGAIN && tries < UPDATE_TRIES; tries++)
		err = update_once(s, o, changed, d);
	return err;
}

/* ---- without being attached ---- */

int service_try(const struct options *o, struct ruleset *rs, struct diag *d)
{
	struct service s = {.rs = rs};
	struct unit *units[2] = {0}, *u;
	struct loaded *l;
	int err = kern_probe(&s.caps, d), i;

	if (!err && !s.caps.privileged)
		err = diag_error(d, -EPERM, "%s", s.caps.missing);
	if (!err && !o->early_off)
		units[0] = pipeline_compile(rs, o->site, NULL);
	if (!err && o->hook)
		units[1] = pipeline_compile(rs, SITE_HOOK, o->chain);
	for (i = 0; i < 2; i++) {
		for (u = units[i]; u && !err; u = u->next) {
			if (!u->emitted || !ir_has_program(u->ir))
				continue;
			err = load_unit(&s, o, NULL, u, &l, d);
			if (!err)
				kern_unload(l);
		}
	}
	return err;
}

static uint64_t env_hash(const struct ruleset *rs)
{
	struct ruleset bare = {.env = rs->env};
	struct buf text = {0};
	uint64_t h;

	ruleset_print(&bare, &text);
	h = hash_add(0xcbf29ce484222325ull, text.data, text.len);
	buf_free(&text);
	return h;
}

bool service_settings_moved(const struct service *s)
{
	struct ruleset *now;
	struct diag quiet = {0};
	bool moved;

	if (!s->rs)
		return false;
	now = ruleset_new();
	moved = !read_env(now, &quiet) && env_hash(now) != env_hash(s->rs);
	ruleset_free(now);
	diag_free(&quiet);
	return moved;
}

void service_close(struct service *s)
{
	if (s->loaded)
		kern_unload(s->loaded);
	ruleset_free(s->rs);
	free(s->refused);
	s->loaded = NULL;
	s->rs = NULL;
	s->refused = NULL;
	s->nrefused = 0;
}
