// SPDX-License-Identifier: GPL-2.0
/*
 * A run of rules as tables (classify/classify.h): code that asks them, of a size that does not
 * depend on the number of rules.
 *
 * All tables of an image are one value of one array map, read through its address: no helper is
 * called.  The verifier asks for a comparison before each access; what it compares with is the
 * table's size, so the jump is never taken.
 *
 * Registers: R6 is the packet, as everywhere; R7 the least prio so far; R8 the action; R9 the
 * leaf's records.  The key stands on the subprogram's stack, a multiple of two of slots, so
 * that a node's slot number can be masked instead of compared.
 */
#include "emit/emit_priv.h"

#include <string.h>
#include "bpf/abi.h"
#include "classify/classify.h"

#define PKT_OFFSET(member) ((int)__builtin_offsetof(struct pkt, member))

struct segment_memo {
	const struct ir_rule *first;
	const struct classifier *c; /* NULL: the next `straight` rules are none */
	size_t straight, max;
	uint32_t nodes, records, results; /* places in e->tables */
};

/* Of a set, by the fields that are looked up. */
struct set_memo {
	struct set_memo *next;
	const struct ir_op *op;
	struct segment_memo tables; /* tables.c NULL: it does not fit */
};

/* ---- the tables ---- */

static uint32_t table_put(struct emitter *e, const void *bytes, size_t len, size_t pad)
{
	size_t at = e->tables_len, room = e->tables_room ? e->tables_room : 4096;

	while (room < at + len + pad)
		room *= 2;
	if (room != e->tables_room)
		e->tables = arena_grow(e->scratch, e->tables, at, room, 1);
	e->tables_room = room;
	if (len)
		memcpy(e->tables + at, bytes, len);
	e->tables_len = at + len + pad;
	return (uint32_t)at;
}

static void tables_put(struct emitter *e, struct segment_memo *m)
{
	const struct classifier *c = m->c;
	uint32_t i, at;

	m->nodes = table_put(e, c->nodes, 8 * (size_t)c->nnodes, 0);
	/* Whoever reads a leaf may read CL_MAX_LEAF records from any place. */
	m->records = table_put(e, c->records, 8 * (size_t)c->nwords,
			       (size_t)8 * c->record_words * CL_MAX_LEAF);
	if (c->linear)
		return;
	m->results = table_put(e, NULL, 0, 8 * (size_t)c->nresults);
	for (i = 0, at = m->results; i < c->nresults; i++, at += 8) {
		memcpy(e->tables + at, &c->results[i].counter, 4);
		memcpy(e->tables + at + 4, &c->results[i].action, 4);
	}
}

static void segment_note(struct emitter *e, const struct classifier *c,
			 const struct ir_set *set)
{
	struct image *img = e->img;
	const struct ir_rule *r = c->first;
	const char *chain = set ? set->name : r->nfrom ? r->from[0]->chain : NULL;

	img->segments = arena_grow(img->mem, img->segments, img->nsegments, img->nsegments + 1,
				   sizeof(*img->segments));
	img->segments[img->nsegments++] = (struct segment){
	    .chain = chain ? arena_strdup(img->mem, chain) : "",
	    .first = r,
	    .nrules = set ? set->nelems : c->nrules,
	    .bytes = classify_bytes(c),
	    .ns = c->ns,
	    .shape = classify_shape(c, img->mem),
	};
}

static struct segment_memo *memo_find(const struct emitter *e, const struct ir_rule *first)
{
	size_t i;

	for (i = e->nsegments; i--;)
		if (e->segments[i].first == first)
			return &e->segments[i];
	return NULL;
}

/* A chain that is unfolded several times shares its tables. */
const struct classifier *segment_find(struct emitter *e, const struct ir_rule *r, size_t *max,
				      size_t *straight)
{
	struct segment_memo *m = NULL, found = {.first = r, .max = *max};
	const struct ir_rule *far = r;
	size_t n;

	/* Most chains are short. */
	for (n = 0; far && n < CL_MIN_RULES; n++)
		far = far->next;
	if (n < CL_MIN_RULES) {
		*straight = n;
		return NULL;
	}
	m = memo_find(e, r);
	if (!m) {
		found.c = classify_build(e->scratch, e->ir, r, &found.max, &found.straight);
		if (found.c) {
			tables_put(e, &found);
			segment_note(e, found.c, NULL);
			if (e->tables_map < 0)
				e->tables_map = emit_tables_map(e);
		}
		if (e->nsegments == e->segments_room) {
			size_t room = e->segments_room ? 2 * e->segments_room : 16;

			e->segments = arena_grow(e->scratch, e->segments, e->nsegments, room,
						 sizeof(*e->segments));
			e->segments_room = room;
		}
		m = &e->segments[e->nsegments++];
		*m = found;
	}
	*max = m->max;
	*straight = m->c ? 0 : m->straight;
	return m->c;
}

static bool same_lookup(const struct ir_op *a, const struct ir_op *b)
{
	unsigned j;

	if (a->lookup.set != b->lookup.set || a->kind != b->kind)
		return false;
	for (j = 0; j < a->lookup.set->nfields; j++) {
		const struct ir_key *x = &a->lookup.key[j], *y = &b->lookup.key[j];

		if (x->field.id != y->field.id || x->field.off != y->field.off ||
		    x->field.len != y->field.len || !u128_eq(x->mask, y->mask))
			return false;
	}
	return true;
}

static const struct segment_memo *set_tables(struct emitter *e, const struct ir_op *op)
{
	struct set_memo *m;

	for (m = e->set_tables; m; m = m->next)
		if (same_lookup(m->op, op))
			return &m->tables;
	m = arena_alloc(e->scratch, sizeof(*m));
	m->next = e->set_tables;
	m->op = op;
	e->set_tables = m;
	m->tables.c = classify_build_set(e->scratch, e->ir, op);
	if (m->tables.c) {
		tables_put(e, &m->tables);
		segment_note(e, m->tables.c, op->lookup.set);
		if (e->tables_map < 0)
			e->tables_map = emit_tables_map(e);
	}
	return &m->tables;
}

void segments_finish(struct emitter *e)
{
	struct mapspec *spec;

	if (e->tables_map < 0)
		return;
	spec = &e->img->maps[e->tables_map];
	spec->value_size = (uint32_t)e->tables_len;
	spec->values = arena_memdup(e->img->mem, e->tables, e->tables_len);
}

/* ---- code ---- */

#define MAX_KEY_SLOTS 16

struct search {
	struct emitter *e;
	const struct classifier *c;
	const struct segment_memo *m;
	int key;        /* the key's place on the stack */
	unsigned slots; /* of the key there: a power of two */
	int done;       /* of the tree at hand */
};

static void mov(struct emitter *e, unsigned dst, unsigned src)
{
	emit_insn(e, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void alu(struct emitter *e, uint8_t op, unsigned dst, int32_t imm)
{
	emit_insn(e, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

static void table_address(const struct search *s, unsigned dst, uint32_t at)
{
	emit_ld_imm64(s->e, dst, (uint64_t)at << 32, BPF_PSEUDO_MAP_VALUE, s->e->tables_map);
}

static void emit_key(const struct search *s)
{
	struct emitter *e = s->e;
	const struct cl_part *p;
	bool first;
	unsigned slot;

	emit_note(e, "the key");
	for (slot = 0; slot < s->slots; slot++) {
		if (slot >= s->c->nslots) {
			emit_store_imm(e, 8, 10, s->key + 8 * (int)slot, 0);
			continue;
		}
		first = true;
		for (p = s->c->part; p < s->c->part + s->c->nparts; p++) {
			if (p->slot != slot)
				continue;
			emit_load_part(e, p->field, p->from, p->len);
			if (p->shift)
				alu(e, BPF_LSH, 1, p->shift);
			if (first)
				mov(e, 2, 1);
			else
				emit_insn(e, BPF_ALU64 | BPF_OR | BPF_X, 2, 1, 0, 0);
			first = false;
		}
		if (s->c->slot[slot].uniform && s->c->slot[slot].mask != UINT64_MAX) {
			emit_const64(e, 1, s->c->slot[slot].mask);
			emit_insn(e, BPF_ALU64 | BPF_AND | BPF_X, 2, 1, 0, 0);
		}
		emit_store(e, 8, 10, s->key + 8 * (int)slot, 2);
	}
}

/* R0 = the node at the root's child. */
static void emit_root(const struct search *s, uint64_t root)
{
	struct emitter *e = s->e;
	unsigned slot = root >> 3 & 15, shift = root >> 8 & 63;

	emit_note(e, "root");
	emit_load(e, 8, 0, 10, s->key + 8 * (int)slot);
	if (shift)
		alu(e, BPF_RSH, 0, (int32_t)shift);
	alu(e, BPF_AND, 0, (int32_t)(root >> 16 & 0xffff));
	alu(e, BPF_LSH, 0, 3);
	table_address(s, 1, s->m->nodes + 8 * (uint32_t)(root >> 32));
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 1, 0, 0, 0);
	emit_load(e, 8, 0, 1, 0);
}

/* R0 = the child of the node R0. */
static void emit_step(const struct search *s, int leaf)
{
	struct emitter *e = s->e;

	emit_note(e, "child");
	emit_insn(e, BPF_JMP | BPF_JSET | BPF_K, 0, 0, 0, CL_LEAF);
	e->code[e->ncode - 1].label = leaf;
	if (s->slots > 1) {
		mov(e, 1, 0);
		alu(e, BPF_AND, 1, (int32_t)(s->slots - 1) * 8);
		mov(e, 2, 10);
		emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 2, 1, 0, 0);
		emit_load(e, 8, 2, 2, s->key);
	} else {
		emit_load(e, 8, 2, 10, s->key);
	}
	mov(e, 1, 0);
	alu(e, BPF_RSH, 1, 8);
	alu(e, BPF_AND, 1, 63);
	emit_insn(e, BPF_ALU64 | BPF_RSH | BPF_X, 2, 1, 0, 0);
	mov(e, 1, 0);
	alu(e, BPF_RSH, 1, 16);
	alu(e, BPF_AND, 1, 0xffff);
	emit_insn(e, BPF_ALU64 | BPF_AND | BPF_X, 2, 1, 0, 0);
	alu(e, BPF_RSH, 0, 32);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0);
	emit_jump64(e, BPF_JGE, 0, s->c->nnodes, s->done);
	alu(e, BPF_LSH, 0, 3);
	table_address(s, 1, s->m->nodes);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 1, 0, 0, 0);
	emit_load(e, 8, 0, 1, 0);
}

/* R1 is the prio of a record that holds. */
static void emit_better(const struct search *s)
{
	struct emitter *e = s->e;

	emit_insn(e, BPF_JMP32 | BPF_JGE | BPF_X, 1, 7, 0, 0);
	e->code[e->ncode - 1].label = s->done;
	emit_insn(e, BPF_ALU | BPF_MOV | BPF_X, 7, 1, 0, 0);
	emit_goto(e, s->done);
}

static void emit_narrow(const struct search *s, int at, int next)
{
	struct emitter *e = s->e;

	emit_load(e, 8, 1, 9, at);
	emit_load(e, 8, 2, 10, s->key);
	alu(e, BPF_RSH, 2, 32);
	emit_insn(e, BPF_JMP32 | BPF_JNE | BPF_X, 1, 2, 0, 0);
	e->code[e->ncode - 1].label = next;
	alu(e, BPF_RSH, 1, 32);
	emit_better(s);
}

/* The record at offset `at` from R9, or goto next. */
static void emit_record(const struct search *s, int at, int next)
{
	struct emitter *e = s->e;
	unsigned slot;

	for (slot = 0; slot < s->c->nslots; slot++) {
		int key = s->key + 8 * (int)slot;

		if (s->c->slot[slot].range) {
			emit_load(e, 4, 1, 10, key);
			emit_load(e, 4, 2, 9, at);
			emit_insn(e, BPF_ALU | BPF_SUB | BPF_X, 1, 2, 0, 0);
			emit_load(e, 4, 2, 9, at + 4);
			emit_insn(e, BPF_JMP32 | BPF_JGT | BPF_X, 1, 2, 0, 0);
			at += 8;
		} else if (s->c->slot[slot].uniform) {
			emit_load(e, 8, 1, 10, key);
			emit_load(e, 8, 2, 9, at);
			emit_insn(e, BPF_JMP | BPF_JNE | BPF_X, 1, 2, 0, 0);
			at += 8;
		} else {
			emit_load(e, 8, 1, 9, at + 8);
			emit_load(e, 8, 2, 10, key);
			emit_insn(e, BPF_ALU64 | BPF_AND | BPF_X, 1, 2, 0, 0);
			emit_load(e, 8, 2, 9, at);
			emit_insn(e, BPF_JMP | BPF_JNE | BPF_X, 1, 2, 0, 0);
			at += 16;
		}
		e->code[e->ncode - 1].label = next;
	}
	emit_load(e, 4, 1, 9, at);
	emit_better(s);
}

/* fixed: the number of records, or 0: it is in R0. */
static void emit_records(const struct search *s, unsigned widest, unsigned fixed)
{
	struct emitter *e = s->e;
	unsigned k, n = fixed ? fixed : widest;
	int next;

	for (k = 0; k < n; k++) {
		emit_note(e, "record");
		if (!fixed)
			emit_jump32(e, BPF_JLE, 0, k, s->done);
		next = k + 1 < n ? label_new(e) : s->done;
		if (s->c->narrow)
			emit_narrow(s, 8 * (int)k, next);
		else
			emit_record(s, (int)(8 * k * s->c->record_words), next);
		if (k + 1 < n)
			label_bind(e, next);
	}
}

static void emit_leaf(const struct search *s, const struct cl_tree *t)
{
	struct emitter *e = s->e;

	emit_note(e, "leaf");
	mov(e, 1, 0);
	alu(e, BPF_RSH, 1, 32);
	emit_jump64(e, BPF_JGT, 1, s->c->nwords, s->done);
	alu(e, BPF_LSH, 1, 3);
	table_address(s, 9, s->m->records);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 9, 1, 0, 0);
	alu(e, BPF_RSH, 0, 8);
	alu(e, BPF_AND, 0, 0xff);
	emit_records(s, t->widest, 0);
}

static void emit_search_tree(struct search *s, const struct cl_tree *t)
{
	struct emitter *e = s->e;
	unsigned depth;
	int leaf;

	s->done = label_new(e);
	if (t != s->c->tree && t->least) {
		emit_note(e, "a better one than this tree has is known?");
		emit_jump32(e, BPF_JLE, 7, t->least, s->done);
	}
	if (t->root & CL_LEAF) {
		table_address(s, 9, s->m->records + 8 * (uint32_t)(t->root >> 32));
		emit_records(s, 0, t->root >> 8 & 0xff);
	} else {
		leaf = label_new(e);
		emit_root(s, t->root);
		for (depth = 1; depth < t->depth; depth++)
			emit_step(s, leaf);
		label_bind(e, leaf);
		emit_leaf(s, t);
	}
	label_bind(e, s->done);
}

/* ---- the result ---- */

/* By the action in R8, one of from … to - 1. */
static void emit_dispatch(struct emitter *e, const int *labels, uint32_t from, uint32_t to)
{
	struct run *r = arena_array(e->scratch, to - from, sizeof(*r));
	size_t n = 0;
	uint32_t i;

	for (i = from; i < to; i++)
		run_add(r, &n, n ? i : 0, labels[i]);
	if (n > 1)
		mov(e, 1, 8);
	emit_tree(e, false, r, n);
}

static void emit_result(struct search *s, const int *labels)
{
	struct emitter *e = s->e;
	const struct classifier *c = s->c;
	uint32_t counted = 0;
	int uncounted = label_new(e);

	while (counted < c->nactions && c->actions[counted].count)
		counted++;
	if (c->linear) {
		emit_insn(e, BPF_ALU | BPF_MOV | BPF_X, 1, 7, 0, 0);
		emit_insn(e, BPF_ALU | BPF_ADD | BPF_K, 1, 0, 0,
			  (int32_t)c->results[0].counter);
	} else {
		emit_insn(e, BPF_ALU | BPF_MOV | BPF_X, 0, 7, 0, 0);
		alu(e, BPF_LSH, 0, 3);
		table_address(s, 1, s->m->results);
		emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0);
		emit_load(e, 4, 8, 0, 4);
		if (counted && counted < c->nactions)
			emit_jump32(e, BPF_JGE, 8, counted, uncounted);
		emit_load(e, 4, 1, 0, 0);
	}
	if (counted) {
		emit_hits(e, NULL, 1);
		emit_dispatch(e, labels, 0, counted);
	}
	label_bind(e, uncounted);
	if (counted < c->nactions)
		emit_dispatch(e, labels, counted, c->nactions);
}

/* R7 = the least prio, or nresults. */
static void emit_search(struct search *s)
{
	struct emitter *e = s->e;
	unsigned t;

	for (s->slots = 1; s->slots < s->c->nslots;)
		s->slots *= 2;
	s->key = -8 * (int)s->slots;
	emit_key(s);
	emit_note(e, "none found yet");
	emit_mov32(e, 7, s->c->nresults);
	for (t = 0; t < s->c->ntrees; t++)
		emit_search_tree(s, &s->c->tree[t]);
	emit_note(e, "found?");
}

bool emit_find_tables(struct emitter *e, const struct ir_op *op, const int *labels, int miss)
{
	struct search s = {.e = e, .m = set_tables(e, op)};

	s.c = s.m->c;
	if (!s.c)
		return false;
	emit_search(&s);
	emit_jump32(e, BPF_JGE, 7, s.c->nresults, miss);
	if (op->kind == OP_LOOKUP) {
		emit_goto(e, labels[0]);
		return true;
	}
	emit_insn(e, BPF_ALU | BPF_MOV | BPF_X, 0, 7, 0, 0);
	alu(e, BPF_LSH, 0, 3);
	table_address(&s, 1, s.m->results);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0);
	emit_load(e, 4, 1, 0, 0);
	emit_value_tree(e, op->lookup.set, labels, miss);
	return true;
}

/* What follows from asking for ct.state (classify.h). */
static int emit_asking(struct emitter *e, const struct cl_action *a, int label, int *target)
{
	*target = label;
	return a->asks_ct && !a->leave ? label_new(e) : label;
}

static void emit_asked(struct emitter *e, const struct cl_action *a, int label, int target)
{
	if (label == target)
		return;
	label_bind_clean(e, label);
	emit_note(e, "ct.state was asked; leave if not known");
	emit_load(e, 4, 1, 6, PKT_OFFSET(ct_state));
	emit_jump32(e, BPF_JEQ, 1, 0, e->leave.label);
	if (a->asks_new)
		emit_store_imm(e, 1, 6, PKT_OFFSET(used_ct), 1);
	emit_goto(e, target);
}

void emit_classifier(struct emitter *e, const struct classifier *c, struct place *next,
		     struct place *end)
{
	struct search s = {.e = e, .c = c, .m = memo_find(e, c->first)};
	int *labels = arena_array(e->scratch, c->nactions, sizeof(*labels));
	int *targets = arena_array(e->scratch, c->nactions, sizeof(*targets));
	uint32_t i;

	for (i = 0; i < c->nactions; i++)
		labels[i] =
		    emit_asking(e, &c->actions[i],
				c->actions[i].leave ? e->leave.label
						    : target_label(e, &c->actions[i].target,
								   next->label, next, end),
				&targets[i]);
	e->from = NULL;
	e->inlined_rules += c->nrules;
	emit_search(&s);
	emit_jump32(e, BPF_JGE, 7, c->nresults, next->label);
	emit_result(&s, labels);
	for (i = 0; i < c->nactions; i++)
		emit_asked(e, &c->actions[i], labels[i], targets[i]);
}
