// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpf eval: each packet of a capture through the evaluator and through the loaded program
 * (BPF_PROG_TEST_RUN), side by side, with the rule that decides; at the end the counters of
 * both.
 */
#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "options.h"
#include "placement.h"
#include "print.h"
#include "trial.h"
#include "world.h"

struct eval {
	const struct options *o;
	const struct ruleset *rs;
	const struct unit *unit;
	struct loaded *loaded; /* NULL: the evaluator alone */
	struct packet base;    /* what every packet has beside its bytes */
	struct early_world world;
	struct counter_value *counted; /* by the evaluator */
	size_t npackets, ndifferent, ndrop, nleave, ncut, nnot_run;
	struct diag *d;
	json_t *json;
	struct grid grid;
};

static enum route_kind route_local(void *ctx, enum family family, const uint8_t *nh,
				   uint32_t iif, uint32_t *oif, char oifname[16])
{
	return ROUTE_LOCAL;
}

static int state_bits(const char *name, uint32_t *bits)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} states[] = {
	    {"new", 8}, {"established", 2}, {"related", 4}, {"invalid", 1}, {"untracked", 64}};
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(states[i].name, name))
			continue;
		*bits = states[i].bit;
		return 0;
	}
	fprintf(stderr, "nf2bpf eval: unknown conntrack state '%s'\n", name);
	return -EINVAL;
}

static int eval_setup(struct eval *e)
{
	const struct options *o = e->o;
	uint32_t ct = 8;

	if (o->ct_state && state_bits(o->ct_state, &ct))
		return -EINVAL;
	e->base = (struct packet){.has_ll = true, .ct_state = ct, .ct_ok = ct != 1 && ct != 64};
	if (o->iifname) {
		snprintf(e->base.iifname, sizeof(e->base.iifname), "%s", o->iifname);
		e->base.iif = if_nametoindex(o->iifname);
	}
	if (o->oifname) {
		snprintf(e->base.oifname, sizeof(e->base.oifname), "%s", o->oifname);
		e->base.oif = if_nametoindex(o->oifname);
	}
	world_early(e->rs, &e->world);
	if (e->rs->file) { /* nothing is known of the host: its defaults are assumed */
		e->world.tcp_loose = true;
		e->world.ct_sure = true;
	}
	e->world.route = e->rs->file ? route_local : world_route;
	e->world.ctx = (void *)e->rs;
	return 0;
}

static int eval_load(struct eval *e, struct diag *d)
{
	struct kern_world world;
	struct kern_caps caps;

	if (kern_probe(&caps, d))
		return -EPERM;
	world_make(e->rs, e->unit, e->rs->mem, &world);
	world.config.check_generation = 0;
	world.config.count_accepts = 1;
	world.config.tcp_loose = e->world.tcp_loose;
	world.config.ct_sure = e->world.ct_sure;
	return kern_load(&e->unit->image, &world, &caps, &e->loaded, d);
}

static const char *verdict_word(enum eval_verdict v, bool early)
{
	return v == EVAL_DROP ? "drop" : v == EVAL_ACCEPT && !early ? "accept" : "leave";
}

/* A hook program has one word for "accept" and "leave": NF_ACCEPT, the kernel's chain comes
 * next. */
static bool same_verdict(const char *ours, const char *program)
{
	return !strcmp(ours, program) || (!strcmp(ours, "leave") && !strcmp(program, "accept"));
}

static const char *code_word(enum pkt_code code, bool early)
{
	return code == PKT_DROP ? "drop" : code == PKT_CONTINUE && !early ? "accept" : "leave";
}

static void print_packet(struct eval *e, const struct eval_result *r, const char *ours,
			 const char *program, uint32_t len)
{
	struct buf by = {0};

	if (r->by)
		origin_print(r->by, &by);
	if (e->json) {
		json_array_append_new(
		    e->json,
		    json_pack("{s:I,s:I,s:s,s:s?,s:s?,s:s?}", "packet", (json_int_t)e->npackets,
			      "length", (json_int_t)len, "evaluator", ours, "program", program,
			      "by", r->by ? buf_str(&by) : NULL, "reason", r->reason));
	} else {
		enum colour c =
		    program && !same_verdict(ours, program) ? COLOUR_RED : COLOUR_NONE;

		grid_cell(&e->grid, c, "%zu", e->npackets);
		grid_cell(&e->grid, c, "%u", len);
		grid_cell(&e->grid, c, "%s", ours);
		grid_cell(&e->grid, c, "%s", program ? program : "-");
		grid_cell(&e->grid, c, "%s", buf_str(&by));
		grid_cell(&e->grid, c, "%s", r->reason ? r->reason : "");
	}
	buf_free(&by);
}

/* -EINVAL: the kernel takes no frame of this size for a trial; counted, not an error. */
static int run_program(struct eval *e, const struct packet *p, enum pkt_code *code)
{
	struct site_override ov;
	struct diag quiet = {0};
	int err;

	trial_override(p, e->unit->site != SITE_HOOK, e->rs->file ? 1 : 0, &ov);
	err = kern_test_run(e->loaded, &ov, p->data, p->len, 1, code, NULL, &quiet);
	if (err == -EINVAL)
		e->nnot_run++;
	else if (err)
		diag_error(e->d, err, "trial run of a packet of %zu bytes: %s", p->len,
			   strerror(-err));
	diag_free(&quiet);
	return err;
}

static int eval_packet(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct eval *e = ctx;
	bool early = e->unit->site != SITE_HOOK;
	struct packet p = e->base;
	static struct eval_result r; /* large */
	const char *ours, *program = NULL;
	enum pkt_code code = PKT_LEAVE;
	enum family family;
	const uint8_t *nh;
	size_t i, nh_len;

	p.data = frame;
	p.len = len;
	if (!early && (!packet_network(&p, &family, &nh, &nh_len) || family != e->unit->family))
		return 0; /* never reaches this hook */
	if (!early)       /* the IP layer has cut the frame's padding off */
		p.len = (size_t)(nh - frame) + nh_len;
	e->npackets++;
	if (early)
		ir_eval_early(e->unit->ir, &p, &e->world, &r);
	else
		ir_eval(e->unit->ir, ENTRY_HOOK, &p, &r);
	ours = verdict_word(r.verdict, early);
	if (e->loaded) {
		int err = run_program(e, &p, &code);

		if (err)
			return err == -EINVAL ? 0 : err;
		program = code_word(code, early);
	}
	if (r.verdict == EVAL_DROP || (!early && r.verdict == EVAL_ACCEPT)) {
		for (i = 0; i < r.nhits; i++) {
			e->counted[r.hits[i]].packets++;
			e->counted[r.hits[i]].bytes += r.bytes;
		}
	}
	e->ndrop += r.verdict == EVAL_DROP;
	e->nleave += r.verdict == EVAL_LEAVE;
	e->ndifferent += program && !same_verdict(ours, program);
	print_packet(e, &r, ours, program, len);
	return 0;
}

static size_t compare_counters(struct eval *e, struct diag *d)
{
	uint32_t i, n = e->unit->ir->ncounters;
	struct counter_value *values;
	struct buf by = {0};
	size_t different = 0;

	if (!e->loaded || !n)
		return 0;
	values = calloc(n, sizeof(*values));
	if (!values)
		no_memory();
	if (kern_counters(e->loaded, values, n, d))
		different = 1;
	for (i = 0; i < n && !different; i++) {
		if (!memcmp(&values[i], &e->counted[i], sizeof(values[i])))
			continue;
		different++;
		origin_print(&e->unit->ir->counters[i].from, &by);
		fprintf(stderr,
			"nf2bpf eval: counter of %s: evaluator %llu packets, program %llu\n",
			buf_str(&by), (unsigned long long)e->counted[i].packets,
			(unsigned long long)values[i].packets);
	}
	buf_free(&by);
	free(values);
	return different;
}

static int eval_unit(struct eval *e, struct diag *d)
{
	size_t different;
	int err = eval_setup(e);

	if (err)
		return EXIT_INPUT;
	if (!e->unit->emitted) {
		fprintf(stderr, "nf2bpf eval: refused: %s\n", e->unit->refusal);
		return EXIT_SYSTEM;
	}
	if (eval_load(e, d))
		diag_warn(d, "the program could not be loaded: the evaluator answers alone");
	e->counted = calloc((size_t)e->unit->ir->ncounters + 1, sizeof(*e->counted));
	if (!e->counted)
		no_memory();
	grid_begin(&e->grid, 6, 3);
	grid_cell(&e->grid, COLOUR_BOLD, "PACKET");
	grid_cell(&e->grid, COLOUR_BOLD, "LENGTH");
	grid_cell(&e->grid, COLOUR_BOLD, "EVALUATOR");
	grid_cell(&e->grid, COLOUR_BOLD, "PROGRAM");
	grid_cell(&e->grid, COLOUR_BOLD, "BY");
	grid_cell(&e->grid, COLOUR_BOLD, "REASON");
	err = capture_read(e->o->pcap, eval_packet, e, &e->ncut, d);
	if (e->ncut)
		diag_warn(d, "%zu packets that the capture has cut were skipped", e->ncut);
	if (e->nnot_run)
		diag_warn(
		    d,
		    "%zu packets are of a size that the kernel does not take for a trial run",
		    e->nnot_run);
	if (e->json)
		e->grid.nrows = 0;
	grid_end(&e->grid, stdout);
	different = err ? 0 : compare_counters(e, d);
	if (!e->json && !err)
		printf("%zu packets: %zu dropped, %zu left to the kernel; %zu verdicts and %zu "
		       "counters differ\n",
		       e->npackets, e->ndrop, e->nleave, e->ndifferent, different);
	free(e->counted);
	if (e->loaded)
		kern_unload(e->loaded);
	if (err)
		return EXIT_INPUT;
	return e->ndifferent || different ? EXIT_DIFFERENT : EXIT_OK;
}

int cmd_eval(const struct options *o)
{
	struct diag d = {0};
	json_t *units = o->json ? json_array() : NULL;
	const struct unit *u;
	struct ruleset *rs;
	int worst = EXIT_OK, code;

	if (!o->pcap) {
		fputs("nf2bpf eval: --pcap FILE is missing\n", stderr);
		return EXIT_INPUT;
	}
	rs = pipeline_read(o->args, o->nargs, &d);
	for (u = rs ? pipeline_compile(rs, o->hook ? SITE_HOOK : o->site, o->chain) : NULL; u;
	     u = u->next) {
		struct eval e = {
		    .o = o, .rs = rs, .unit = u, .d = &d, .json = units ? json_array() : NULL};
		const char *place =
		    u->chain ? arena_printf(rs->mem, "%s %s %s", family_name(u->family),
					    u->chain->table->name, u->chain->name)
			     : site_specs[u->site].name;

		if (u->chain && !o->json)
			printf("%s:\n", place);
		code = eval_unit(&e, &d);
		worst = code > worst ? code : worst;
		if (units)
			json_array_append_new(
			    units, json_pack("{s:s,s:o}", "place", place, "packets", e.json));
	}
	if (units) {
		json_t *root = json_pack("{s:i,s:o}", "version", 1, "units", units);

		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(root);
	}
	diag_print(&d, stderr, "nf2bpf eval");
	diag_free(&d);
	if (!rs)
		return o->nargs ? EXIT_INPUT : EXIT_SYSTEM;
	ruleset_free(rs);
	return worst;
}
