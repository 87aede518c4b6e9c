// SPDX-License-Identifier: GPL-2.0
/*
 * IR → BPF: control flow.  One subprogram per used entry.
 *
 * Rules.  Each test is a load and a conditional jump to the next rule; the matching path falls
 * through. Nothing stays in a register from one test to the next, so that the verifier finds
 * the states at a label equal and walks what follows once.
 *
 * Chains are unfolded.  What a chain does depends on its stage and on where its packets go when
 * it ends, so its code is laid once per such place (struct place), however many jumps lead
 * there: a jump in the last rule of a chain and a goto hand on the place of the chain that they
 * stand in.  The code of a chain stands directly before the place where it ends, after all
 * jumps to it; among the chains of one place the one with the lower rank comes first.  So every
 * jump goes forward and no subprogram call is needed.
 *
 * Counting appends the counter's id to pkt->hits; the C part commits them when the packet's
 * verdict is known. A rule that ends with one counter and a verdict shares the counting with
 * the others that go the same way (the place's tail).
 *
 * A packet with more hits than pkt->hits has room for is left to the kernel.
 */
#include "emit/emit_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "bpf/abi.h"
#include "classify/classify.h"

#define PKT_OFFSET(member) ((int)__builtin_offsetof(struct pkt, member))

/* ---- insns and labels ---- */

int label_new(struct emitter *e)
{
	if (e->nlabels == e->labels_room) {
		size_t room = e->labels_room ? 2 * e->labels_room : 1024;

		e->labels =
		    arena_grow(e->scratch, e->labels, e->nlabels, room, sizeof(*e->labels));
		e->labels_room = room;
	}
	e->labels[e->nlabels] = (struct label){LABEL_UNBOUND, false};
	return (int)e->nlabels++;
}

void label_bind(struct emitter *e, int label)
{
	assert(e->labels[label].pos == LABEL_UNBOUND);
	e->labels[label].pos = (uint32_t)e->ncode;
}

void label_bind_clean(struct emitter *e, int label)
{
	label_bind(e, label);
	e->labels[label].clean = true;
}

void emit_note(struct emitter *e, const char *note)
{
	e->note = note;
}

/* Past the limit nothing is kept: the caller sees e->err at the next rule. */
static struct einsn *insn_new(struct emitter *e)
{
	struct einsn *x;

	if (e->ncode == e->code_room) {
		size_t room = e->code_room ? 2 * e->code_room : 4096;

		e->code = arena_grow(e->scratch, e->code, e->ncode, room, sizeof(*e->code));
		e->code_room = room;
	}
	if (e->total + e->ncode >= EMIT_MAX_INSNS)
		e->err = -E2BIG;
	x = &e->code[e->err && e->ncode ? e->ncode - 1 : e->ncode++];
	*x = (struct einsn){.insn = {.map = -1, .from = e->from, .note = e->note}, .label = -1};
	e->note = NULL;
	return x;
}

void emit_insn(struct emitter *e, uint8_t code, unsigned dst, unsigned src, int16_t off,
	       int32_t imm)
{
	struct einsn *x = insn_new(e);

	x->insn.bpf = (struct bpf_insn){
	    .code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

void emit_mov32(struct emitter *e, unsigned dst, uint32_t imm)
{
	emit_insn(e, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)imm);
}

void emit_load(struct emitter *e, unsigned size, unsigned dst, unsigned src, int off)
{
	static const uint8_t code[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W, [8] = BPF_DW};

	emit_insn(e, BPF_LDX | BPF_MEM | code[size], dst, src, (int16_t)off, 0);
}

void emit_store(struct emitter *e, unsigned size, unsigned dst, int off, unsigned src)
{
	static const uint8_t code[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W, [8] = BPF_DW};

	emit_insn(e, BPF_STX | BPF_MEM | code[size], dst, src, (int16_t)off, 0);
}

void emit_store_imm(struct emitter *e, unsigned size, unsigned dst, int off, int32_t imm)
{
	static const uint8_t code[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W, [8] = BPF_DW};

	emit_insn(e, BPF_ST | BPF_MEM | code[size], dst, 0, (int16_t)off, imm);
}

void emit_ld_imm64(struct emitter *e, unsigned dst, uint64_t v, unsigned pseudo, int32_t map)
{
	struct einsn *x = insn_new(e);

	x->insn.bpf = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW,
					.dst_reg = dst,
					.src_reg = pseudo,
					.imm = (int32_t)(uint32_t)v};
	x->insn.map = map;
	emit_insn(e, 0, 0, 0, 0, (int32_t)(uint32_t)(v >> 32));
}

void emit_const64(struct emitter *e, unsigned dst, uint64_t v)
{
	if (v <= UINT32_MAX) /* a 32-bit move clears the upper half */
		emit_mov32(e, dst, (uint32_t)v);
	else if ((uint64_t)(int64_t)(int32_t)v == v)
		emit_insn(e, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)v);
	else
		emit_ld_imm64(e, dst, v, 0, -1);
}

void emit_map_fd(struct emitter *e, unsigned dst, int32_t map)
{
	emit_ld_imm64(e, dst, 0, BPF_PSEUDO_MAP_FD, map);
}

void emit_goto(struct emitter *e, int label)
{
	struct einsn *x = insn_new(e);

	x->insn.bpf.code = BPF_JMP | BPF_JA;
	x->label = label;
}

static void emit_jump(struct emitter *e, uint8_t code, unsigned dst, unsigned src, int32_t imm,
		      int label)
{
	struct einsn *x = insn_new(e);

	x->insn.bpf =
	    (struct bpf_insn){.code = code, .dst_reg = dst, .src_reg = src, .imm = imm};
	x->label = label;
}

void emit_jump32(struct emitter *e, uint8_t op, unsigned dst, uint32_t imm, int label)
{
	emit_jump(e, BPF_JMP32 | op | BPF_K, dst, 0, (int32_t)imm, label);
}

void emit_jump64(struct emitter *e, uint8_t op, unsigned dst, uint64_t imm, int label)
{
	/* The kernel extends a 64-bit compare's immediate with its sign. */
	if ((uint64_t)(int64_t)(int32_t)imm == imm) {
		emit_jump(e, BPF_JMP | op | BPF_K, dst, 0, (int32_t)imm, label);
		return;
	}
	emit_const64(e, 5, imm);
	emit_jump(e, BPF_JMP | op | BPF_X, dst, 5, 0, label);
}

static void emit_return(struct emitter *e, enum pkt_code code)
{
	emit_mov32(e, 0, code);
	emit_insn(e, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* ---- places ---- */

static void place_init(struct emitter *e, struct place *p)
{
	*p = (struct place){.label = label_new(e), .tail = -1};
}

/* Label of c unfolded before p.  p is not bound yet and c's rank is above that of every chain
 * already laid there, since a chain is laid after all chains that jump to it. */
static int place_chain(struct emitter *e, struct place *p, const struct ir_chain *c)
{
	uint32_t rank = e->rank[c->id];
	size_t from = p->next, to = p->nchains, mid;

	if (!c->rules)
		return p->label;
	while (from < to) {
		mid = from + (to - from) / 2;
		if (p->chains[mid].chain == c)
			return p->chains[mid].label;
		if (e->rank[p->chains[mid].chain->id] < rank)
			from = mid + 1;
		else
			to = mid;
	}
	if (p->nchains == p->room) {
		size_t room = p->room ? 2 * p->room : 4;

		p->chains =
		    arena_grow(e->scratch, p->chains, p->nchains, room, sizeof(*p->chains));
		p->room = room;
	}
	memmove(p->chains + from + 1, p->chains + from,
		(p->nchains - from) * sizeof(*p->chains));
	p->nchains++;
	p->chains[from] = (struct instance){c, label_new(e)};
	return p->chains[from].label;
}

/* pkt->nhits stands at an odd address: the verifier keeps it as any byte, whatever the path. */
void emit_hits(struct emitter *e, const uint32_t *ids, unsigned n)
{
	unsigned i;

	emit_note(e, "count");
	emit_load(e, 1, 2, 6, PKT_OFFSET(nhits));
	emit_jump32(e, BPF_JGT, 2, PKT_MAX_HITS - n, e->leave.label);
	emit_insn(e, BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
	emit_insn(e, BPF_ALU64 | BPF_LSH | BPF_K, 3, 0, 0, 2);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 3, 6, 0, 0);
	if (!ids)
		emit_store(e, 4, 3, PKT_OFFSET(hits), 1);
	for (i = 0; ids && i < n; i++)
		emit_store_imm(e, 4, 3, PKT_OFFSET(hits) + 4 * (int)i, (int32_t)ids[i]);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, (int32_t)n);
	emit_store(e, 1, 6, PKT_OFFSET(nhits), 2);
}

/* counter, then goto p: by p's tail. */
static void emit_count_goto(struct emitter *e, uint32_t counter, struct place *p)
{
	if (p->tail < 0)
		p->tail = label_new(e);
	emit_note(e, "count by the tail");
	emit_mov32(e, 1, counter);
	emit_goto(e, p->tail);
}

static void emit_chain(struct emitter *e, const struct ir_chain *c, struct place *end);

/* The code that leads to p, then p's label. */
static void place_bind(struct emitter *e, struct place *p)
{
	struct instance in;

	while (p->next < p->nchains) {
		in = p->chains[p->next++];
		label_bind_clean(e, in.label);
		emit_chain(e, in.chain, p);
	}
	e->from = NULL;
	if (p->tail >= 0) {
		label_bind(e, p->tail);
		emit_hits(e, NULL, 1);
	}
	label_bind_clean(e, p->label);
}

/* ---- rules ---- */

int target_label(struct emitter *e, const struct ir_target *t, int go_on, struct place *next,
		 struct place *end)
{
	switch (t->verdict) {
	case V_CONTINUE:
		return go_on;
	case V_ACCEPT:
		return e->accept->label;
	case V_DROP:
		return e->drop->label;
	case V_RETURN:
		return end->label;
	case V_JUMP:
		return place_chain(e, next, t->chain);
	case V_GOTO:
		return place_chain(e, end, t->chain);
	case NVERDICT:
		break;
	}
	assert(!"ir_check has seen every verdict");
	return e->leave.label;
}

static void emit_verdict(struct emitter *e, const struct ir_target *t, struct place *next,
			 struct place *end)
{
	static const char *const notes[NVERDICT] = {
	    [V_CONTINUE] = "continue", [V_ACCEPT] = "accept", [V_DROP] = "drop",
	    [V_RETURN] = "return",     [V_JUMP] = "jump",     [V_GOTO] = "goto",
	};

	emit_note(e, notes[t->verdict]);
	emit_goto(e, target_label(e, t, next->label, next, end));
}

/* A run of OP_COUNT from op, of which *n ops are consumed; true: the rule ended with them. */
static bool emit_counts(struct emitter *e, const struct ir_op *op, unsigned left, unsigned *n,
			struct place *end)
{
	const struct ir_op *after;
	struct place *dest = NULL;
	uint32_t ids[PKT_MAX_HITS];
	unsigned i;

	for (i = 0; i < left && i < PKT_MAX_HITS && op[i].kind == OP_COUNT; i++)
		ids[i] = op[i].count;
	*n = i;
	after = i < left ? op + i : NULL;
	if (i == 1 && after && after->kind == OP_VERDICT) {
		if (after->verdict.verdict == V_DROP)
			dest = e->drop;
		else if (after->verdict.verdict == V_ACCEPT)
			dest = e->accept;
		else if (after->verdict.verdict == V_RETURN)
			dest = end;
	}
	if (dest) {
		emit_count_goto(e, ids[0], dest);
		return true;
	}
	emit_hits(e, ids, i);
	return false;
}

/* The map's targets that some element or the miss uses; the labels of the others are not asked
 * for, since that would lay their chains. */
static void emit_vmap(struct emitter *e, const struct ir_op *op, struct place *next,
		      struct place *end)
{
	const struct ir_set *s = op->lookup.set;
	int *labels = arena_array(e->scratch, s->ntargets, sizeof(*labels));
	int go_on = label_new(e), miss = next->label;
	size_t i;

	memset(labels, 0xff, s->ntargets * sizeof(*labels));
	for (i = 0; i < s->nelems; i++)
		if (labels[s->value[i]] < 0)
			labels[s->value[i]] =
			    target_label(e, &s->targets[s->value[i]], go_on, next, end);
	if (s->miss >= 0)
		miss = target_label(e, &s->targets[s->miss], go_on, next, end);
	emit_find(e, op, labels, miss);
	label_bind_clean(e, go_on);
}

static void emit_lookup(struct emitter *e, const struct ir_op *op, int fail)
{
	int pass = label_new(e);

	emit_find(e, op, op->lookup.negate ? &fail : &pass, op->lookup.negate ? pass : fail);
	label_bind_clean(e, pass);
}

static int fail_label(const struct emitter *e, const struct ir_op *op, const struct place *next)
{
	switch (op->on_fail) {
	case FAIL_DROP:
		return e->drop->label;
	case FAIL_LEAVE:
		return e->leave.label;
	default: /* FAIL_NEXT: ir_check() */
		return next->label;
	}
}

/* next: where a packet goes that the rule does not end; end: where it goes after the chain. */
static void emit_rule(struct emitter *e, const struct ir_rule *r, struct place *next,
		      struct place *end)
{
	unsigned i, n;

	e->from = r->nfrom ? r->from[0] : NULL;
	e->inlined_rules++;
	for (i = 0; i < r->nops; i++) {
		const struct ir_op *op = &r->ops[i];
		int fail = fail_label(e, op, next);

		switch (op->kind) {
		case OP_TEST:
			if (emit_tests(e, op, r->nops - i, fail, &n) == NEVER) {
				emit_note(e, "never holds");
				emit_goto(e, fail);
				return;
			}
			i += n - 1;
			break;
		case OP_LOOKUP:
			emit_lookup(e, op, fail);
			break;
		case OP_VMAP:
			emit_vmap(e, op, next, end);
			break;
		case OP_COUNT:
			if (emit_counts(e, op, r->nops - i, &n, end))
				return;
			i += n - 1;
			break;
		case OP_LEAVE:
			emit_note(e, op->leave.reason);
			emit_goto(e, e->leave.label);
			return;
		case OP_VERDICT:
			emit_verdict(e, &op->verdict, next, end);
			return;
		case NOP_KIND:
			assert(!"ir_check has seen every op");
		}
	}
	emit_goto(e, next->label);
}

/* The rules from first to the end of the chain: runs of them as tables, the others one after
 * the other. */
static void emit_segment(struct emitter *e, const struct ir_rule *first, struct place *end)
{
	const struct ir_rule *r = first, *behind;
	const struct classifier *c;
	size_t straight = 0, max = SIZE_MAX;
	struct place here, *next;

	for (; r && !e->err; r = behind) {
		c = straight ? NULL : segment_find(e, r, &max, &straight);
		if (c && c->asks_ct && !e->tracked) {
			/* Who asks would have to be seen. */
			straight = c->nrules;
			c = NULL;
		}
		behind = c ? c->behind : r->next;
		next = end;
		if (behind) {
			place_init(e, &here);
			next = &here;
		}
		if (c) {
			emit_classifier(e, c, next, end);
		} else {
			emit_rule(e, r, next, end);
			straight--;
		}
		if (behind)
			place_bind(e, &here);
	}
}

/* Ends with a goto, so that nothing falls into what follows. */
static void emit_chain(struct emitter *e, const struct ir_chain *c, struct place *end)
{
	e->instances[c->id]++;
	if (c->rules)
		emit_segment(e, c->rules, end);
	else
		emit_goto(e, end->label);
}

/* ---- stages and entries ---- */

/* nf_nat runs its chains only for a packet that begins a connection
 * (net/netfilter/nf_nat_core.c nf_nat_inet_fn()). */
static void emit_new_only(struct emitter *e)
{
	struct ir_field state = IR_FIELD(CT_STATE);

	emit_ct_guard(e, true);
	emit_note(e, "ct.state == new, else skip the chain");
	emit_load(e, 4, 1, 6, field_offset(state));
	emit_jump32(e, BPF_JNE, 1, 8, e->accept->label);
}

static void emit_stage(struct emitter *e, const struct ir_stage *st, struct place *drop)
{
	const struct ir_chain *c = st->chain;
	struct place accept, policy, *dest;

	place_init(e, &accept);
	place_init(e, &policy);
	e->accept = &accept;
	e->drop = st->order_unknown ? &e->leave : drop;
	e->from = &c->from;
	e->tracked = st->tracked;
	if (st->tracked) {
		emit_note(e, "behind conntrack");
		emit_store_imm(e, 1, 6, PKT_OFFSET(tracked), 1);
	}
	if (st->new_only)
		emit_new_only(e);
	emit_chain(e, c, &policy);
	place_bind(e, &policy);
	e->from = &c->from;
	dest = c->policy.verdict == V_ACCEPT ? e->accept : e->drop;
	if (c->policy_counter >= 0) {
		emit_count_goto(e, (uint32_t)c->policy_counter, dest);
	} else {
		emit_note(e, "policy");
		emit_goto(e, dest->label);
	}
	place_bind(e, &accept);
}

static int emit_entry(struct emitter *e, const struct ir_entry *entry, struct subprogram *out)
{
	struct place drop;
	size_t i;

	e->ncode = e->nlabels = 0;
	e->from = NULL;
	place_init(e, &e->leave);
	place_init(e, &drop);
	emit_note(e, "r6 = packet");
	emit_insn(e, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	/* As a global function the subprogram may not trust its argument; as a static one the
	 * verifier knows better and takes the jump out. */
	emit_jump(e, BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 0, e->leave.label);
	for (i = 0; i < entry->nstages && !e->err; i++)
		emit_stage(e, &entry->stages[i], &drop);
	if (e->err)
		return e->err;
	e->from = NULL;
	emit_note(e, "return continue");
	emit_return(e, PKT_CONTINUE);
	place_bind(e, &drop);
	emit_note(e, "return drop");
	emit_return(e, PKT_DROP);
	place_bind(e, &e->leave);
	emit_note(e, "return leave");
	emit_return(e, PKT_LEAVE);
	return layout(e, out);
}

/* ---- the image ---- */

/* Topological order without recursion: gotos may be as deep as there are chains. */
struct ranking {
	struct emitter *e;
	uint32_t *jumps; /* to a chain by id, from chains without rank */
	const struct ir_chain **order;
	uint32_t n;
	bool counting; /* first pass: jumps are counted, second: taken off */
};

static void rank_target(struct ranking *k, const struct ir_target *t)
{
	if (t->verdict != V_JUMP && t->verdict != V_GOTO)
		return;
	if (k->counting)
		k->jumps[t->chain->id]++;
	else if (!--k->jumps[t->chain->id])
		k->order[k->n++] = t->chain;
}

static void rank_chain(struct ranking *k, const struct ir_chain *c)
{
	const struct ir_rule *r;
	uint32_t i, j;

	for (r = c->rules; r; r = r->next) {
		for (i = 0; i < r->nops; i++) {
			const struct ir_op *op = &r->ops[i];

			if (op->kind == OP_VERDICT)
				rank_target(k, &op->verdict);
			if (op->kind != OP_VMAP)
				continue;
			for (j = 0; j < op->lookup.set->ntargets; j++)
				rank_target(k, &op->lookup.set->targets[j]);
		}
	}
}

static int rank_chains(struct emitter *e)
{
	uint32_t n = e->ir->nchains, i;
	struct ranking k = {.e = e, .counting = true};
	const struct ir_chain *c;

	e->rank = arena_array(e->scratch, n, sizeof(*e->rank));
	e->instances = arena_array(e->scratch, n, sizeof(*e->instances));
	k.jumps = arena_array(e->scratch, n, sizeof(*k.jumps));
	k.order = arena_array(e->scratch, n, sizeof(*k.order));
	for (c = e->ir->chains; c; c = c->next)
		rank_chain(&k, c);
	for (c = e->ir->chains; c; c = c->next)
		if (!k.jumps[c->id])
			k.order[k.n++] = c;
	k.counting = false;
	for (i = 0; i < k.n; i++) {
		e->rank[k.order[i]->id] = i;
		rank_chain(&k, k.order[i]);
	}
	return k.n == n ? 0 : diag_error(e->d, -ELOOP, "the chains jump in a circle");
}

static int too_big(struct emitter *e)
{
	const struct ir_chain *c, *most = NULL;

	for (c = e->ir->chains; c; c = c->next)
		if (!most ||
		    e->instances[c->id] * c->nrules > e->instances[most->id] * most->nrules)
			most = c;
	if (!most)
		return diag_error(e->d, -E2BIG, "the program would pass %u instructions",
				  EMIT_MAX_INSNS);
	return diag_error_from(e->d, -E2BIG, &most->from,
			       "the program would pass %u instructions; chain %s (%zu rules) "
			       "was unfolded %zu times",
			       EMIT_MAX_INSNS, most->name, most->nrules,
			       e->instances[most->id]);
}

/* What would make wrong code and not merely slow code; the rest is ir_check's. */
static int check_field(struct emitter *e, const struct ir_rule *r, struct ir_field f,
		       unsigned want)
{
	static const uint8_t window[] = {
	    [F_LL] = PKT_LL_BYTES, [F_NET] = PKT_NET_BYTES, [F_TH] = PKT_TH_BYTES};
	const struct origin *from = r->nfrom ? r->from[0] : NULL;
	struct origin none = {0};

	if (f.id < NFIELD && !field_width(f.id) &&
	    (f.len < 1 || f.len > 16 || f.off + f.len > window[f.id]))
		return diag_error_from(e->d, -EINVAL, from ? from : &none,
				       "%s[%u:%u] is outside its window", field_name(f.id),
				       f.off, f.len);
	if (f.id >= NFIELD || (want && ir_field_len(f) != want))
		return diag_error_from(e->d, -EINVAL, from ? from : &none,
				       "a key has the wrong width");
	return 0;
}

static int check_rule(struct emitter *e, const struct ir_rule *r)
{
	uint32_t i;
	unsigned j;
	int err = 0;

	for (i = 0; i < r->nops && !err; i++) {
		const struct ir_op *op = &r->ops[i];

		if (op->kind == OP_TEST)
			err = check_field(e, r, op->test.field, 0);
		if (op->kind != OP_LOOKUP && op->kind != OP_VMAP)
			continue;
		for (j = 0; j < op->lookup.set->nfields && !err; j++)
			err = check_field(e, r, op->lookup.key[j].field,
					  op->lookup.set->width[j]);
	}
	return err;
}

static int check_fields(struct emitter *e)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	int err = 0;

	for (c = e->ir->chains; c; c = c->next)
		for (r = c->rules; r && !err; r = r->next)
			err = check_rule(e, r);
	return err;
}

static int emit_entries(struct emitter *e)
{
	int i, err;

	err = rank_chains(e);
	if (!err)
		err = check_fields(e);
	for (i = 0; i < NENTRY && !err; i++) {
		if (!e->ir->entries[i].used)
			continue;
		err = emit_entry(e, &e->ir->entries[i], &e->img->entries[i]);
		e->total += e->img->entries[i].ninsns;
	}
	return err == -E2BIG ? too_big(e) : err;
}

int emit_image(const struct ir *ir, struct arena *mem, struct image *out, struct diag *d)
{
	struct image img = {.mem = mem,
			    .site = ir->site,
			    .generation = ir->generation,
			    .ncounters = ir->ncounters};
	struct emitter e = {
	    .ir = ir, .img = &img, .d = d, .scratch = arena_new(), .tables_map = -1};
	int err = emit_entries(&e);

	if (!err) {
		segments_finish(&e);
		img.inlined_rules = e.inlined_rules;
		*out = img;
	}
	arena_free(e.scratch);
	return err;
}
