// SPDX-License-Identifier: GPL-2.0
/*
 * A jump to a chain that leaves every packet is a leave.
 *
 * A chain leaves all if, in order, rules that can only leave or go on are followed by one that
 * leaves whatever comes.  So do the chains of services and their ends, which end in targets of
 * the kernel's: they need not be unfolded, and the jumps to them are one action.  What a packet
 * counted on its way does not matter once it is left: at an early site nothing is committed, at
 * the hook the kernel's chain counts it.
 *
 * The end of a service may ask for the protocol once more that the way to it has asked for, so
 * a chain is looked at for packets of one protocol or of any.
 *
 * Chains are visited without recursion, since they may be as deep as there are chains: each
 * waits for those it jumps to (no jumps in circles: ir_check()).
 */
#include "opt/opt.h"

enum leaves { NOT_ASKED, ASKED, LEAVES, LEAVES_NOT };

/* What is known of l4.proto: a number, or ANY. */
enum { ANY, TCP, UDP, SCTP, NKNOWN };

static const uint8_t protocols[NKNOWN] = {[TCP] = 6, [UDP] = 17, [SCTP] = 132};

struct visit {
	const struct ir_chain *chain;
	unsigned known;
	const struct ir_rule *rule; /* at hand */
};

struct leaving {
	uint8_t *leaves; /* by chain id and what is known */
	struct visit *stack;
	size_t depth;
	struct visit first; /* to be visited before an answer can be given */
};

static uint8_t *leaves_of(const struct leaving *l, const struct ir_chain *c, unsigned known)
{
	return &l->leaves[(size_t)c->id * NKNOWN + known];
}

enum does { GOES_ON, LEAVES_ALL, OTHER, WAITS };

static enum does target_does(struct leaving *l, const struct ir_target *t, unsigned known)
{
	switch (t->verdict) {
	case V_CONTINUE:
		return GOES_ON;
	case V_JUMP:
	case V_GOTO:
		switch (*leaves_of(l, t->chain, known)) {
		case LEAVES:
			return LEAVES_ALL;
		case NOT_ASKED:
			l->first = (struct visit){t->chain, known, t->chain->rules};
			return WAITS;
		default:
			return OTHER;
		}
	default:
		return OTHER;
	}
}

enum answer { HOLDS, FAILS, MAY_HOLD };

static enum answer test_answer(const struct ir_op *op, unsigned *known)
{
	unsigned k;

	if (op->kind != OP_TEST || op->test.field.id != F_L4_PROTO || op->test.cmp != CMP_EQ ||
	    (op->test.mask.lo & 0xff) != 0xff)
		return MAY_HOLD;
	if (*known != ANY)
		return op->test.a.lo == protocols[*known] ? HOLDS : FAILS;
	for (k = ANY + 1; k < NKNOWN; k++)
		if (op->test.a.lo == protocols[k])
			*known = k;
	return MAY_HOLD;
}

/* OTHER: it may do something else to a packet than to leave it or to pass it on. */
static enum does rule_does(struct leaving *l, const struct ir_rule *r, unsigned known)
{
	bool asks = false;
	enum does d;
	uint32_t i;

	for (i = 0; i < r->nops; i++) {
		const struct ir_op *op = &r->ops[i];

		switch (op->kind) {
		case OP_TEST:
		case OP_LOOKUP:
			switch (test_answer(op, &known)) {
			case HOLDS:
				continue;
			case FAILS:
				if (op->on_fail != FAIL_NEXT)
					return OTHER;
				return GOES_ON;
			case MAY_HOLD:
				break;
			}
			if (op->on_fail == FAIL_DROP)
				return OTHER;
			asks = true;
			break;
		case OP_COUNT:
			break;
		case OP_LEAVE:
			return asks ? GOES_ON : LEAVES_ALL;
		case OP_VERDICT:
			d = target_does(l, &op->verdict, known);
			return d == LEAVES_ALL && asks ? GOES_ON : d;
		default:
			return OTHER;
		}
	}
	return GOES_ON;
}

static void visit_first(struct leaving *l)
{
	*leaves_of(l, l->first.chain, l->first.known) = ASKED;
	l->stack[l->depth++] = l->first;
}

/* Works off the stack. */
static void chains_visit(struct leaving *l)
{
	struct visit *v;
	enum does does;

	while (l->depth) {
		v = &l->stack[l->depth - 1];
		does = v->rule ? rule_does(l, v->rule, v->known) : OTHER;
		switch (does) {
		case GOES_ON:
			v->rule = v->rule->next;
			break;
		case WAITS:
			visit_first(l);
			break;
		case LEAVES_ALL:
		case OTHER:
			*leaves_of(l, v->chain, v->known) = does == OTHER ? LEAVES_NOT : LEAVES;
			l->depth--;
			break;
		}
	}
}

/* What the rule's tests say of a packet that comes to its end. */
static unsigned rule_known(const struct ir_rule *r)
{
	unsigned known = ANY;
	uint32_t i;

	for (i = 0; i < r->nops; i++)
		if (test_answer(&r->ops[i], &known) == FAILS)
			return ANY; /* nothing comes there */
	return known;
}

static void rule_leaves(struct leaving *l, struct ir_rule *r)
{
	struct ir_op *op = r->nops ? &r->ops[r->nops - 1] : NULL;
	unsigned known;
	enum does does;

	if (!op || op->kind != OP_VERDICT ||
	    (op->verdict.verdict != V_JUMP && op->verdict.verdict != V_GOTO))
		return;
	known = rule_known(r);
	does = target_does(l, &op->verdict, known);
	if (does == WAITS) {
		visit_first(l);
		chains_visit(l);
		does = target_does(l, &op->verdict, known);
	}
	if (does != LEAVES_ALL)
		return;
	/* Its count goes with it. */
	if (op > r->ops && op[-1].kind == OP_COUNT)
		op--;
	*op = (struct ir_op){.kind = OP_LEAVE,
			     .leave = {.reason = "all that follows is the kernel's"}};
	r->nops = (uint32_t)(op - r->ops) + 1;
}

void opt_leaving(struct ir *ir)
{
	size_t n = (size_t)ir->nchains * NKNOWN;
	struct leaving l = {
	    .leaves = arena_array(ir->mem, n, 1),
	    .stack = arena_array(ir->mem, n, sizeof(*l.stack)),
	};
	struct ir_chain *c;
	struct ir_rule *r;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			rule_leaves(&l, r);
}
