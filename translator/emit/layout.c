// SPDX-License-Identifier: GPL-2.0
/*
 * Labels → offsets, in one pass after the other over code whose jumps all go forward:
 *
 *   thread   a jump to a goto goes where the goto goes
 *   reach    code that nothing leads to is taken out (the verifier refuses a program that has
 * any), and so is a goto to the next insn place    conditional jumps beyond 32767 insns become
 * a jump over a long goto (gotol, Linux 6.6); this moves code, so it repeats until nothing
 * changes
 *
 * The verifier's walk.  At a conditional jump it puts the jump's target on a stack and follows
 * the fall-through to the end of the program.  A list of rules with two tests each so leaves
 * one target per rule on that stack, which holds 8,192.  When they are taken off at last, each
 * has been seen and costs nothing; they only must not be many at once.  So in front of long
 * code stands a switch that never runs: it offers the verifier, from the last to the first, a
 * label every SWITCH_STEP jumps as an entry of its own.  Whatever is walked later finds the
 * code from the next such label on already walked.  This holds because at these labels only R6
 * is live, and because the switch makes pkt->hits, nhits, used_ct and tracked unknown first, so
 * that what it proves covers every real path.
 *
 * What the switch tests is false in truth and unknown to the verifier: whether the address of
 * struct pkt is not a multiple of 8.  (A pointer's copy to a 32-bit register is any number to
 * the verifier; it asks for CAP_PERFMON, as do stack writes at a variable offset.)
 */
#include "emit/emit_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "bpf/abi.h"

#define PKT_OFFSET(member) ((int)__builtin_offsetof(struct pkt, member))

#define SWITCH_FROM 2048 /* conditional jumps in a program that gets a switch */
#define SWITCH_STEP 512

struct flow {
	struct emitter *e;
	uint32_t *target; /* by insn: of a jump, threaded; UINT32_MAX: none */
	bool *keep;
	uint32_t
	    *pos; /* by insn: its place in the output; of a dropped one the next kept one's */
	uint8_t *size;             /* by insn: 1, or 3 when a conditional jump became long */
	uint32_t *points, npoints; /* insns that the switch offers */
	size_t nconds;
};

static bool is_goto(const struct einsn *x)
{
	return x->label >= 0 && x->insn.bpf.code == (BPF_JMP | BPF_JA);
}

static bool is_exit(const struct einsn *x)
{
	return x->insn.bpf.code == (BPF_JMP | BPF_EXIT);
}

/* Backwards: what a jump leads to is threaded before the jump is. */
static void thread(struct flow *f)
{
	const struct emitter *e = f->e;
	size_t i = e->ncode;
	uint32_t to;

	while (i--) {
		f->target[i] = UINT32_MAX;
		if (e->code[i].label < 0)
			continue;
		to = e->labels[e->code[i].label].pos;
		assert(to > i && to < e->ncode);
		f->target[i] = is_goto(&e->code[to]) ? f->target[to] : to;
	}
}

static void reach(struct flow *f)
{
	const struct emitter *e = f->e;
	uint32_t next = (uint32_t)e->ncode;
	size_t i;

	f->keep[0] = true;
	for (i = 0; i < e->ncode; i++) {
		if (!f->keep[i])
			continue;
		if (f->target[i] != UINT32_MAX)
			f->keep[f->target[i]] = true;
		if (!is_goto(&e->code[i]) && !is_exit(&e->code[i]))
			f->keep[i + 1] = true;
	}
	for (i = e->ncode; i--;) {
		if (!f->keep[i])
			continue;
		/* The jumps to this goto went on to its target, and who falls into it may fall
		 * on. */
		if (is_goto(&e->code[i]) && f->target[i] == next)
			f->keep[i] = false;
		else
			next = (uint32_t)i;
	}
}

static bool is_cond(const struct flow *f, size_t i)
{
	return f->target[i] != UINT32_MAX && !is_goto(&f->e->code[i]);
}

/* Bytes true where a clean label stands. */
static bool *clean_insns(const struct flow *f)
{
	const struct emitter *e = f->e;
	bool *clean = arena_array(e->scratch, e->ncode + 1, 1);
	size_t i;

	for (i = 0; i < e->nlabels; i++)
		if (e->labels[i].pos != LABEL_UNBOUND && e->labels[i].clean)
			clean[e->labels[i].pos] = true;
	return clean;
}

static void choose_points(struct flow *f)
{
	const struct emitter *e = f->e;
	const bool *clean = clean_insns(f);
	size_t i, since = 0;

	for (i = 0; i < e->ncode; i++)
		f->nconds += f->keep[i] && is_cond(f, i);
	if (f->nconds < SWITCH_FROM)
		return;
	f->points = arena_array(e->scratch, f->nconds / SWITCH_STEP + 1, sizeof(*f->points));
	for (i = 0; i < e->ncode; i++) {
		if (!f->keep[i])
			continue;
		if (since >= SWITCH_STEP && clean[i]) {
			f->points[f->npoints++] = (uint32_t)i;
			since = 0;
		}
		since += is_cond(f, i);
	}
}

/* Before the switch: R6 = packet, and the look at it. */
#define PROLOGUE 2
#define SWITCH_FIXED 14 /* insns of the switch beside its points */
#define SWITCH_POINT 2

static uint32_t switch_size(const struct flow *f)
{
	return f->npoints ? SWITCH_FIXED + SWITCH_POINT * f->npoints : 0;
}

static void number(struct flow *f)
{
	const struct emitter *e = f->e;
	uint32_t pos = 0;
	size_t i;

	for (i = 0; i < e->ncode; i++) {
		if (i == PROLOGUE)
			pos += switch_size(f);
		f->pos[i] = pos;
		if (f->keep[i])
			pos += f->size[i];
	}
	f->pos[e->ncode] = pos;
}

static void place(struct flow *f)
{
	const struct emitter *e = f->e;
	bool moved;
	size_t i;

	do {
		moved = false;
		number(f);
		for (i = 0; i < e->ncode; i++) {
			if (!f->keep[i] || f->size[i] == 3 || !is_cond(f, i))
				continue;
			if (f->pos[f->target[i]] - f->pos[i] - 1 <= INT16_MAX)
				continue;
			f->size[i] = 3;
			moved = true;
		}
	} while (moved);
}

/* ---- output ---- */

static struct insn plain(uint8_t code, unsigned dst, unsigned src, int16_t off, int32_t imm)
{
	return (struct insn){
	    .bpf = {.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm},
	    .map = -1};
}

/* goto from the insn at `at` to the one at `to`. */
static struct insn go_to(uint32_t at, uint32_t to)
{
	uint32_t off = to - at - 1;

	assert(to > at);
	if (off <= INT16_MAX)
		return plain(BPF_JMP | BPF_JA, 0, 0, (int16_t)off, 0);
	return plain(BPF_JMP32 | BPF_JA, 0, 0, 0, (int32_t)off);
}

static void put_switch(const struct flow *f, struct insn *out)
{
	uint32_t start = f->pos[PROLOGUE], at = start - switch_size(f), i;

	out[at] = plain(BPF_ALU | BPF_MOV | BPF_X, 2, 6, 0, 0);
	out[at++].note = "the verifier's switch: only the jump over it ever runs";
	out[at++] = plain(BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
	out[at++] = plain(BPF_ALU | BPF_AND | BPF_K, 3, 0, 0, 7);
	out[at] = plain(BPF_JMP32 | BPF_JEQ | BPF_K, 3, 0, (int16_t)(start - at - 1), 0);
	at++;
	out[at++] = plain(BPF_ST | BPF_MEM | BPF_B, 6, 0, PKT_OFFSET(used_ct), 1);
	out[at++] = plain(BPF_ST | BPF_MEM | BPF_B, 6, 0, PKT_OFFSET(tracked), 1);
	out[at++] = plain(BPF_STX | BPF_MEM | BPF_B, 6, 2, PKT_OFFSET(nhits), 0);
	out[at++] = plain(BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
	out[at++] = plain(BPF_ALU | BPF_AND | BPF_K, 3, 0, 0, PKT_MAX_HITS - 1);
	out[at++] = plain(BPF_ALU64 | BPF_LSH | BPF_K, 3, 0, 0, 2);
	out[at++] = plain(BPF_ALU64 | BPF_ADD | BPF_X, 3, 6, 0, 0);
	out[at++] = plain(BPF_STX | BPF_MEM | BPF_W, 3, 2, PKT_OFFSET(hits), 0);
	for (i = f->npoints; i--;) {
		out[at++] = plain(BPF_JMP32 | BPF_JNE | BPF_K, 2, 0, 1, (int32_t)(2 * i + 1));
		out[at] = go_to(at, f->pos[f->points[i]]);
		at++;
	}
	out[at++] = plain(BPF_ALU | BPF_MOV | BPF_K, 0, 0, 0, PKT_LEAVE);
	out[at++] = plain(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	assert(at == start);
}

static void put_insn(const struct flow *f, size_t i, struct insn *out)
{
	const struct einsn *x = &f->e->code[i];
	uint32_t at = f->pos[i], to;

	out[at] = x->insn;
	if (f->target[i] == UINT32_MAX)
		return;
	to = f->pos[f->target[i]];
	if (is_goto(x)) {
		out[at].bpf = go_to(at, to).bpf;
	} else if (f->size[i] == 1) {
		out[at].bpf.off = (int16_t)(to - at - 1);
	} else {
		/* if … goto +1; goto +1; goto far */
		out[at].bpf.off = 1;
		out[at + 1] = go_to(at + 1, at + 3);
		out[at + 2] = go_to(at + 2, to);
		out[at + 1].from = out[at + 2].from = x->insn.from;
	}
}

static void flow_init(struct flow *f, struct emitter *e)
{
	size_t i;

	*f = (struct flow){.e = e};
	f->target = arena_array(e->scratch, e->ncode + 1, sizeof(*f->target));
	f->keep = arena_array(e->scratch, e->ncode + 1, sizeof(*f->keep));
	f->pos = arena_array(e->scratch, e->ncode + 1, sizeof(*f->pos));
	f->size = arena_array(e->scratch, e->ncode + 1, sizeof(*f->size));
	for (i = 0; i < e->ncode; i++)
		f->size[i] = 1;
}

int layout(struct emitter *e, struct subprogram *out)
{
	struct insn *insns;
	struct flow f;
	size_t i, n;

	flow_init(&f, e);
	thread(&f);
	reach(&f);
	choose_points(&f);
	place(&f);
	n = f.pos[e->ncode];
	if (e->total + n > EMIT_MAX_INSNS)
		return -E2BIG;
	insns = arena_array(e->img->mem, n, sizeof(*insns));
	for (i = 0; i < e->ncode; i++)
		if (f.keep[i])
			put_insn(&f, i, insns);
	if (f.npoints)
		put_switch(&f, insns);
	out->insns = insns;
	out->ninsns = n;
	return 0;
}
