// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpf explain: the way of one packet, rule by rule, and what three witnesses say of it: the
 * evaluator, the loaded programs (BPF_PROG_TEST_RUN), and the kernel itself.  They must agree;
 * if they do not, that is our bug, and it is said so.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "kernel_witness.h"
#include "lower/lower.h"
#include "options.h"
#include "placement.h"
#include "print.h"
#include "shim/view.h"
#include "trial.h"
#include "way.h"
#include "words.h"
#include "world.h"

struct program {
	const char *place;
	const struct unit *unit;
	bool ran;
	const char *why_not;
	enum eval_verdict said, expected; /* early: EVAL_LEAVE for what it passes on */
};

struct explain {
	const struct options *o;
	struct ruleset *rs;
	struct words_packet words;
	struct packet packet;
	enum route_kind route;
	struct unit *early, *hooks;
	struct way way;
	struct eval_result *early_result;
	struct program *programs;
	size_t nprograms;
	struct kernel_witness kernel;
	bool agree;
	struct diag d;
};

/* ---- the packet ---- */

struct nth {
	size_t wanted, at;
	struct words_packet *out;
	bool found;
};

static int take_nth(void *ctx, const uint8_t *frame, uint32_t len)
{
	struct nth *n = ctx;

	if (++n->at != n->wanted)
		return 0;
	if (len > WORDS_FRAME_MAX)
		return -EMSGSIZE;
	memcpy(n->out->bytes, frame, len);
	n->out->len = len;
	n->found = true;
	return 1;
}

static int packet_from_capture(struct explain *x)
{
	struct nth n = {.wanted = x->o->packet ? x->o->packet : 1, .out = &x->words};
	size_t cut;
	int err = capture_read(x->o->pcap, take_nth, &n, &cut, &x->d);

	if (n.found)
		return 0;
	if (err < 0)
		return diag_error(&x->d, err, "%s: packet %zu: %s", x->o->pcap, n.wanted,
				  strerror(-err));
	return diag_error(&x->d, -ENOENT, "%s has no packet %zu", x->o->pcap, n.wanted);
}

static int packet_make(struct explain *x)
{
	struct buf text = {0};
	char error[128];
	size_t i;
	int err = 0;

	for (i = 0; i < x->o->nargs; i++)
		buf_printf(&text, "%s%s", i ? " " : "", x->o->args[i]);
	if (x->o->pcap)
		err = packet_from_capture(x);
	else if (words_packet(buf_str(&text), &x->words, error))
		err = diag_error(&x->d, -EINVAL, "packet: %s", error);
	buf_free(&text);
	return err;
}

static uint32_t state_of(const struct packet *p)
{
	enum family family;
	const uint8_t *nh;
	size_t len;

	return packet_network(p, &family, &nh, &len)
		   ? packet_ct_class(nh, len, family, true, true)
		   : 8;
}

/* Of files nothing is known of the host: a packet with a way out is forwarded, another is for
 * us. */
static void packet_surround(struct explain *x)
{
	struct packet *p = &x->packet;
	enum family family;
	const uint8_t *nh;
	uint32_t oif = 0;
	size_t len;

	*p = (struct packet){.data = x->words.bytes,
			     .len = x->words.len,
			     .has_ll = true,
			     .mark = x->words.mark,
			     .ct_state = x->words.ct_state};
	memcpy(p->iifname, x->words.iifname, sizeof(p->iifname));
	memcpy(p->oifname, x->words.oifname, sizeof(p->oifname));
	if (!*p->iifname)
		strcpy(p->iifname, "eth0");
	p->iif = if_nametoindex(p->iifname);
	p->oif = *p->oifname ? if_nametoindex(p->oifname) : 0;
	if (!p->ct_state)
		p->ct_state = state_of(p);
	if (!p->ct_state)
		p->ct_state = 8;
	x->route = *p->oifname ? ROUTE_FORWARD : ROUTE_LOCAL;
	if (x->rs->file || *p->oifname || !packet_network(p, &family, &nh, &len))
		return;
	x->route = world_route(x->rs, family, nh, p->iif, &oif, p->oifname);
	p->oif = oif;
	if (x->route == ROUTE_UNKNOWN)
		x->route = ROUTE_LOCAL;
}

/* The host of a file has the address that the packet is for. */
static void assume_local(struct explain *x)
{
	struct route *r;
	enum family family;
	const uint8_t *nh;
	size_t len;

	if (!x->rs->file || x->route != ROUTE_LOCAL ||
	    !packet_network(&x->packet, &family, &nh, &len))
		return;
	r = arena_alloc(x->rs->mem, sizeof(*r));
	r->family = family;
	r->plen = family == FAMILY_IP6 ? 128 : 32;
	memcpy(r->dst, nh + (family == FAMILY_IP6 ? 24 : 16), r->plen / 8);
	/* Multicast and broadcast are no host's own addresses. */
	if (family == FAMILY_IP6 ? r->dst[0] == 0xff : r->dst[0] >= 0xe0)
		return;
	r->type = RTN_LOCAL;
	r->table = RT_TABLE_LOCAL;
	r->next = x->rs->env.routes;
	x->rs->env.routes = r;
}

/* ---- the witnesses ---- */

static enum route_kind route_given(void *ctx, enum family family, const uint8_t *nh,
				   uint32_t iif, uint32_t *oif, char oifname[16])
{
	const struct explain *x = ctx;

	*oif = x->packet.oif;
	memcpy(oifname, x->packet.oifname, 16);
	return x->route;
}

static void evaluate_early(struct explain *x)
{
	struct early_world world;

	world_early(x->rs, &world);
	if (x->rs->file) {
		world.tcp_loose = true;
		world.ct_sure = true;
	}
	world.route = route_given;
	world.ctx = x;
	world.ct_entry_exists = x->packet.ct_state & (2 | 4);
	ir_eval_early(x->early->ir, &x->packet, &world, x->early_result);
}

static void run_program(struct explain *x, struct program *r, const struct kern_caps *caps)
{
	bool early = r->unit->site != SITE_HOOK;
	struct packet p = early ? x->packet : way_packet(x->rs, r->unit, &x->packet);
	struct loaded *l = NULL;
	struct site_override ov;
	struct kern_world world;
	struct diag quiet = {0};
	enum pkt_code code;
	int err;

	if (!r->unit->emitted) {
		r->why_not = r->unit->refusal ? r->unit->refusal : "no program";
		return;
	}
	world_make(x->rs, r->unit, x->rs->mem, &world);
	world.config.check_generation = 0;
	world.config.tcp_loose = 1;
	world.config.ct_sure = 1;
	err = kern_load(&r->unit->image, &world, caps, &l, &quiet);
	if (!err) {
		trial_override(&p, early, x->route == ROUTE_FORWARD ? 2 : 1, &ov);
		err = kern_test_run(l, &ov, p.data, p.len, 1, &code, NULL, &quiet);
	}
	if (l)
		kern_unload(l);
	diag_free(&quiet);
	if (err) {
		r->why_not =
		    err == -EPERM ? "loading needs CAP_BPF and CAP_NET_ADMIN" : strerror(-err);
		return;
	}
	r->ran = true;
	r->said = code == PKT_DROP ? EVAL_DROP : early ? EVAL_LEAVE : EVAL_ACCEPT;
	/* A hook program has one word for accept and leave. */
	if (r->said != EVAL_DROP && !early && r->expected == EVAL_LEAVE)
		r->said = EVAL_LEAVE;
	if (early && r->expected == EVAL_ACCEPT)
		r->expected = EVAL_LEAVE;
	x->agree &= r->said == r->expected;
}

static void run_programs(struct explain *x)
{
	struct kern_caps caps;
	struct diag quiet = {0};
	bool probed = !kern_probe(&caps, &quiet);
	size_t i;

	diag_free(&quiet);
	x->programs = arena_array(x->rs->mem, x->way.nsteps + 1, sizeof(*x->programs));
	if (x->early->ir)
		x->programs[x->nprograms++] =
		    (struct program){.place = site_specs[x->early->site].name,
				     .unit = x->early,
				     .expected = x->early_result->verdict};
	for (i = 0; i < x->way.nsteps; i++)
		if (x->way.steps[i].unit->ir)
			x->programs[x->nprograms++] =
			    (struct program){.place = "hook",
					     .unit = x->way.steps[i].unit,
					     .expected = x->way.steps[i].verdict};
	for (i = 0; i < x->nprograms; i++) {
		if (probed)
			run_program(x, &x->programs[i], &caps);
		else
			x->programs[i].why_not = "the kernel cannot be asked";
	}
}

/* Where the evaluator is certain, the kernel must say the same. */
static void ask_kernel(struct explain *x)
{
	bool certain = x->way.verdict != EVAL_LEAVE && !x->way.remark;

	kernel_witness_ask(x->rs, x->o->rules, x->o->nrules, &x->packet, x->route, &x->kernel);
	if (x->kernel.asked && certain)
		x->agree &= x->kernel.accepted == (x->way.verdict == EVAL_ACCEPT);
}

/* ---- why not ---- */

static const struct unit *unit_with(const struct explain *x, const struct origin *from,
				    const struct ir_rule **rule)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	const struct unit *u;
	uint16_t i;

	for (u = x->hooks; u; u = u->next)
		for (c = u->ir && u->family == x->way.family ? u->ir->chains : NULL; c;
		     c = c->next)
			for (r = c->rules; r; r = r->next)
				for (i = 0; i < r->nfrom; i++)
					if (origin_same(r->from[i], from)) {
						*rule = r;
						return u;
					}
	return NULL;
}

/* "ip filter INPUT 3", "INPUT 3", "INPUT:3", or a line of the file. */
static const struct rule *rule_named(const struct explain *x, const char *name)
{
	char chain[256], full[600], *end;
	unsigned long number;
	const struct table *t;
	const struct chain *c;
	const struct rule *r;
	size_t len = strlen(name);

	while (len && name[len - 1] >= '0' && name[len - 1] <= '9')
		len--;
	number = strtoul(name + len, &end, 10);
	if (!name[len] || len >= sizeof(chain))
		return NULL;
	snprintf(chain, sizeof(chain), "%.*s", (int)(len ? len - 1 : 0), name);
	for (t = x->rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next) {
			snprintf(full, sizeof(full), "%s %s %s", family_name(t->family),
				 t->name, c->name);
			for (r = c->rules; r; r = r->next)
				if (len ? r->from.index == number &&
					      (!strcmp(chain, c->name) || !strcmp(chain, full))
					: r->from.line == number)
					return r;
		}
	return NULL;
}

static bool way_met(const struct way *w, const struct origin *from)
{
	size_t i, n;

	for (i = 0; i < w->nsteps; i++)
		for (n = 0; n < w->steps[i].nmet; n++)
			if (origin_same(w->steps[i].met[n], from))
				return true;
	return false;
}

/* Bytes of a window as the packet has them, else a number. */
static void print_value(struct buf *out, struct ir_field f, struct u128 v)
{
	uint8_t bytes[16];
	unsigned len = ir_field_len(f), i;

	u128_to_be(v, bytes, len);
	buf_puts(out, "0x");
	for (i = 0; i < len; i++)
		if (bytes[i] || i + 1 == len)
			break;
	for (; i < len; i++)
		buf_printf(out, "%02x", bytes[i]);
}

/* Does the packet meet it?  What it has instead goes to has. */
static bool question_holds(const struct ir_op *o, const struct packet_view *v,
			   enum dialect dialect, struct buf *has)
{
	struct u128 key[IR_MAX_KEY_FIELDS], value;
	unsigned i;

	if (o->kind == OP_TEST) {
		value = packet_view_field(v, dialect, o->test.field);
		print_value(has, o->test.field, value);
		return ir_test_holds(o, value);
	}
	for (i = 0; i < o->lookup.set->nfields; i++) {
		value = packet_view_field(v, dialect, o->lookup.key[i].field);
		buf_puts(has, i ? ", " : "");
		print_value(has, o->lookup.key[i].field, value);
		key[i] = u128_and(value, o->lookup.key[i].mask);
	}
	return (ir_set_find(o->lookup.set, key) >= 0) != o->lookup.negate;
}

/* The first of its tests that the packet does not meet, as text; NULL: it meets all. */
static const char *failed_test(const struct explain *x, const struct unit *u,
			       const struct ir_rule *r)
{
	enum dialect dialect = u->ir->entries[ENTRY_HOOK].stages[0].dialect;
	struct packet p = way_packet(x->rs, u, &x->packet);
	struct packet_view v;
	const char *out = NULL;
	uint32_t i;

	if (!packet_view_init(&v, &p))
		return "no packet that comes to an IP hook";
	for (i = 0; i < r->nops && !out; i++) {
		const struct ir_op *o = &r->ops[i];
		struct buf text = {0}, has = {0};

		if (o->kind != OP_TEST && o->kind != OP_LOOKUP)
			continue;
		if (!question_holds(o, &v, dialect, &has)) {
			ir_print_question(o, &text);
			out = arena_printf(x->rs->mem, "\"%s\" fails: the packet has %s",
					   buf_str(&text), buf_str(&has));
		}
		buf_free(&text);
		buf_free(&has);
	}
	return out;
}

/* "filter INPUT rule 3: -A INPUT …" */
static void rule_print(const struct explain *x, const struct origin *from, struct buf *out)
{
	const struct rule *r = from->index ? way_rule(x->rs, from) : NULL;

	origin_print(from, out);
	if (r && r->from.line)
		buf_printf(out, " (line %u)", r->from.line);
	if (r) {
		buf_puts(out, ": ");
		view_print_rule(r, out);
	}
}

static const char *why_not(struct explain *x)
{
	const struct rule *r = rule_named(x, x->o->why_not);
	const struct ir_rule *ir_rule = NULL;
	const struct unit *u;
	const char *failed;
	struct buf by = {0};

	if (!r) {
		diag_error(
		    &x->d, -ENOENT,
		    "no rule %s: say \"ip filter INPUT 3\", \"INPUT 3\", or a line of the "
		    "file",
		    x->o->why_not);
		return NULL;
	}
	if (way_met(&x->way, &r->from))
		return "the packet matches it";
	u = unit_with(x, &r->from, &ir_rule);
	if (!u)
		return "it is in no chain that the packet's family comes to, or that is "
		       "followed "
		       "here";
	failed = failed_test(x, u, ir_rule);
	if (failed)
		return failed;
	if (!x->way.by)
		return "its tests hold, but the packet does not come to its chain";
	rule_print(x, x->way.by, &by);
	failed = arena_printf(x->rs->mem, "its tests hold, but the packet is decided by %s",
			      buf_str(&by));
	buf_free(&by);
	return failed;
}

/* ---- what is printed ---- */

static const char *verdict_word(enum eval_verdict v, bool early)
{
	switch (v) {
	case EVAL_DROP:
		return "drop";
	case EVAL_ACCEPT:
		return "accept";
	default:
		return early ? "passes it on" : "left to the kernel";
	}
}

static const char *unit_place(const struct explain *x, const struct unit *u)
{
	const struct chain *c = u->chain;

	if (!c)
		return site_specs[u->site].name;
	return arena_printf(x->rs->mem, "%s: %s%s %s %s (priority %d)", hook_name(c->hook),
			    c->table->backend == BACKEND_LEGACY ? "legacy " : "",
			    family_name(c->table->family), c->table->name, c->name,
			    c->priority);
}

/* Which of the programs in place, or the kernel's rules, gives the verdict in assist mode. */
static const char *given_by(const struct explain *x)
{
	if (x->early->ir && x->early_result->verdict == EVAL_DROP)
		return arena_printf(x->rs->mem, "the %s program, before the stack",
				    site_specs[x->early->site].name);
	if (x->way.verdict == EVAL_DROP)
		return "the kernel's rules, or a program at the hook";
	return "the kernel's rules";
}

static const char *early_reason(const struct explain *x)
{
	if (!x->early->ir)
		return x->early->refusal;
	if (x->early_result->verdict == EVAL_DROP)
		return NULL;
	return x->early_result->reason ? x->early_result->reason
				       : "only drops are decided early";
}

static void print_step(const struct explain *x, const struct way_step *s)
{
	struct buf text = {0};
	const struct rule *r;
	size_t i;

	printf("  %s\n", unit_place(x, s->unit));
	for (i = 0; i < s->nmet; i++) {
		text.len = 0;
		rule_print(x, s->met[i], &text);
		r = s->met[i]->index ? way_rule(x->rs, s->met[i]) : NULL;
		printf("    %s", buf_str(&text));
		if (r && r->has_counter && !x->rs->file)
			printf("  [%llu packets]", (unsigned long long)r->packets);
		putchar('\n');
	}
	printf("    -> %s%s%s%s\n",
	       colour_on(s->verdict == EVAL_DROP     ? COLOUR_RED
			 : s->verdict == EVAL_ACCEPT ? COLOUR_GREEN
						     : COLOUR_YELLOW,
			 stdout),
	       verdict_word(s->verdict, false), colour_off(stdout),
	       s->reason ? arena_printf(x->rs->mem, ": %s", s->reason) : "");
	buf_free(&text);
}

static void print_witnesses(const struct explain *x)
{
	struct buf text = {0};
	struct grid g;
	size_t i;

	puts("witnesses");
	grid_begin(&g, 3, 0);
	grid_cell(&g, COLOUR_BOLD, "  WHO");
	grid_cell(&g, COLOUR_BOLD, "SAYS");
	grid_cell(&g, COLOUR_BOLD, " ");
	grid_cell(&g, COLOUR_NONE, "  evaluator");
	grid_cell(&g, COLOUR_NONE, "%s", verdict_word(x->way.verdict, false));
	grid_cell(&g, COLOUR_NONE, "%s", x->way.reason ? x->way.reason : "");
	for (i = 0; i < x->nprograms; i++) {
		const struct program *p = &x->programs[i];
		bool early = p->unit->site != SITE_HOOK;

		grid_cell(&g, COLOUR_NONE, "  program %s", unit_place(x, p->unit));
		grid_cell(&g, p->ran && p->said != p->expected ? COLOUR_RED : COLOUR_NONE, "%s",
			  p->ran ? verdict_word(p->said, early) : "not asked");
		grid_cell(&g, COLOUR_NONE, "%s",
			  p->why_not                 ? p->why_not
			  : early && early_reason(x) ? early_reason(x)
						     : "");
	}
	grid_cell(&g, COLOUR_NONE, "  kernel");
	grid_cell(&g, COLOUR_NONE, "%s",
		  !x->kernel.asked     ? "not asked"
		  : x->kernel.accepted ? "accept"
				       : "drop");
	grid_cell(&g, COLOUR_NONE, "%s",
		  x->kernel.why_not ? x->kernel.why_not
				    : "the same rules in a private namespace");
	grid_end(&g, stdout);
	if (x->kernel.nmet && x->way.verdict == EVAL_LEAVE) {
		puts("rules that counted it in the kernel");
		for (i = 0; i < x->kernel.nmet; i++) {
			text.len = 0;
			rule_print(x, &x->kernel.met[i], &text);
			printf("  %s\n", buf_str(&text));
		}
	}
	buf_free(&text);
	if (!x->agree)
		printf("%sThe witnesses differ: this is a bug of nf2bpf, please report it with "
		       "the "
		       "rules and this output.%s\n",
		       colour_on(COLOUR_RED, stdout), colour_off(stdout));
}

static void print_text(struct explain *x, const char *why)
{
	struct buf by = {0};
	size_t i;

	printf("packet of %zu bytes in %s, %s\n", x->packet.len, x->packet.iifname,
	       x->route == ROUTE_FORWARD
		   ? arena_printf(x->rs->mem, "forwarded to %s", x->packet.oifname)
		   : "for this host");
	if (x->rs->file && !*x->words.oifname)
		puts("(assumed: nothing is known of the host of a file; \"out IF\" forwards "
		     "it)");
	for (i = 0; i < x->way.nsteps; i++)
		print_step(x, &x->way.steps[i]);
	if (x->way.remark)
		printf("  (%s)\n", x->way.remark);
	printf("verdict: %s", verdict_word(x->way.verdict, false));
	if (x->way.by && x->way.verdict == EVAL_DROP) {
		rule_print(x, x->way.by, &by);
		printf(" by %s", buf_str(&by));
	}
	printf("; given by %s\n", given_by(x));
	if (why)
		printf("why not rule %s: %s\n", x->o->why_not, why);
	print_witnesses(x);
	buf_free(&by);
}

static json_t *origins_to_json(const struct explain *x, const struct origin *const *from,
			       size_t n)
{
	json_t *j = json_array();
	struct buf text = {0};
	const struct rule *r;
	size_t i;

	for (i = 0; i < n; i++) {
		r = from[i]->index ? way_rule(x->rs, from[i]) : NULL;
		text.len = 0;
		if (r)
			view_print_rule(r, &text);
		json_array_append_new(j, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s}", "backend",
						   backend_name(from[i]->backend), "family",
						   family_name(from[i]->family), "table",
						   from[i]->table, "chain", from[i]->chain,
						   "index", (json_int_t)from[i]->index, "line",
						   (json_int_t)(r ? r->from.line : 0), "rule",
						   text.len ? buf_str(&text) : ""));
	}
	buf_free(&text);
	return j;
}

static void print_json(struct explain *x, const char *why)
{
	json_t *steps = json_array(), *programs = json_array(), *kernel = json_array(), *root;
	size_t i;

	for (i = 0; i < x->way.nsteps; i++) {
		const struct way_step *s = &x->way.steps[i];

		json_array_append_new(
		    steps, json_pack("{s:s,s:s,s:s?,s:o}", "place", unit_place(x, s->unit),
				     "verdict", verdict_word(s->verdict, false), "reason",
				     s->reason, "rules", origins_to_json(x, s->met, s->nmet)));
	}
	for (i = 0; i < x->nprograms; i++) {
		const struct program *p = &x->programs[i];

		json_array_append_new(
		    programs,
		    json_pack("{s:s,s:s?,s:s?}", "place", unit_place(x, p->unit), "verdict",
			      p->ran ? verdict_word(p->said, p->unit->site != SITE_HOOK) : NULL,
			      "not_asked", p->why_not));
	}
	for (i = 0; i < x->kernel.nmet; i++) {
		const struct origin *from = &x->kernel.met[i];
		json_t *one = origins_to_json(x, &from, 1);

		json_array_extend(kernel, one);
		json_decref(one);
	}
	root = json_pack("{s:i,s:s,s:s?,s:s,s:b,s:s?,s:o,s:o,s:{s:s?,s:s?,s:o}}", "version", 1,
			 "verdict", verdict_word(x->way.verdict, false), "reason",
			 x->way.reason, "given_by", given_by(x), "agree", x->agree, "why_not",
			 why, "steps", steps, "programs", programs, "kernel", "verdict",
			 !x->kernel.asked     ? NULL
			 : x->kernel.accepted ? "accept"
					      : "drop",
			 "not_asked", x->kernel.why_not, "rules", kernel);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

/* ---- all of it ---- */

static int explain(struct explain *x)
{
	const char *why = NULL;
	int err;

	packet_surround(x);
	assume_local(x);
	x->early = pipeline_compile(x->rs, x->o->site, NULL);
	x->hooks = pipeline_compile(x->rs, SITE_HOOK, NULL);
	err = way_take(x->rs, x->hooks, &x->packet, x->route, x->rs->mem, &x->way);
	if (err)
		return diag_error(&x->d, err, "no packet that comes to an IP hook");
	if (x->early->ir)
		evaluate_early(x);
	run_programs(x);
	ask_kernel(x);
	if (x->o->why_not) {
		why = why_not(x);
		if (!why)
			return -ENOENT;
	}
	if (x->o->json)
		print_json(x, why);
	else
		print_text(x, why);
	return 0;
}

int cmd_explain(const struct options *o)
{
	struct explain x = {.o = o, .agree = true};
	int code = EXIT_INPUT;

	if (!o->nargs && !o->pcap) {
		fputs("nf2bpf explain: a packet is missing: in eth0 tcp 10.0.0.1:1234 > "
		      "192.0.2.1:22 syn\n",
		      stderr);
		return EXIT_INPUT;
	}
	x.early_result = calloc(1, sizeof(*x.early_result));
	if (!x.early_result)
		no_memory();
	if (!packet_make(&x)) {
		x.rs = pipeline_read_texts(o->rules, o->nrules, &x.d);
		if (!x.rs && !o->nrules)
			code = EXIT_SYSTEM;
		if (x.rs && o->nrules)
			x.rs->env.known = true;
		if (x.rs && !explain(&x))
			code = x.agree ? EXIT_OK : EXIT_DIFFERENT;
	}
	diag_print(&x.d, stderr, "nf2bpf explain");
	diag_free(&x.d);
	free(x.early_result);
	if (x.rs)
		ruleset_free(x.rs);
	return code;
}
