/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Many rules, few look-ups: a run of rules that only compare fields becomes tables.
 *
 * A rule is a box: for each field a value under a mask or a range.  What is asked for a packet
 * is the first rule whose box holds it.  Each box has a number (prio), in the order of the
 * rules; the answer is the least number, and result[prio] says what to count and where to go.
 *
 * A test that fails with a drop or a leave is a box of its own: the tests before it hold and it
 * does not.  It cannot overlap the rule's own box, so their order does not matter.
 *
 * Rules that end nothing (a counter alone, a jump to a chain that comes back) may stand in a
 * run only if no later rule of the run can match the same packet; so whoever comes back goes on
 * behind the run.
 *
 * At an early site ct.state is 8 (new), 1 (invalid) or 0 (not known: a test leaves the packet).
 * A test of it that stands last in its rule may be asked in a run if a new packet holds it or
 * no packet does: then whoever asks without the rule's matching is not new, and nothing hangs
 * on that.  The rule's box takes the packets whose state is not known, too; its action leaves
 * them.
 *
 * The key.  The fields that the run asks for are numbers in slots of 64 bits.  Fields compared
 * under masks share a slot, the most significant first; a field with a range that is no prefix
 * has one of its own.  Wider fields take two slots.
 *
 * The trees.  A node takes a window of at most 16 bits of one slot and goes to the child of
 * that number; a leaf is a few records, complete boxes, compared one after the other, the least
 * prio first.  Any window is right, since a leaf compares everything; windows are chosen to
 * leave few records in a leaf and to copy few boxes into several children.  Boxes that say
 * nothing of the window that suits the others go to a further tree.  The answer is the least
 * prio over all trees.  The work for a packet is bounded by construction: trees, depth and
 * records of a leaf have limits, and so has memory for each rule.  A run that does not fit is
 * shortened by halves.
 */
#ifndef NF2BPF_CLASSIFY_CLASSIFY_H
#define NF2BPF_CLASSIFY_CLASSIFY_H

#include "ir/ir.h"

#define CL_MIN_RULES 12 /* fewer are cheaper as straight code */
#define CL_MAX_SLOTS 12
#define CL_MAX_PARTS 24
#define CL_MAX_TREES 10
#define CL_MAX_DEPTH 6 /* nodes on a path, the root not counted */
#define CL_MAX_LEAF 16 /* records of a leaf */
/* Memory: nodes, and records, for each box of a run, beside a fixed number. */
#define CL_FREE_NODES 4096
#define CL_NODES_PER_BOX 24
#define CL_FREE_RECORDS 1024
#define CL_RECORDS_PER_BOX 12
#define CL_NONE UINT32_MAX

/* len bytes of a field, its number's byte `from` (0: least) on, at bit `shift` of a slot. */
struct cl_part {
	struct ir_field field;
	uint8_t slot, from, len, shift;
};

struct cl_slot {
	bool range; /* lo <= number <= hi, at most 32 bits; else (number & mask) == value */
	/* All boxes have this mask: it is applied to the key, and records hold values alone. */
	bool uniform;
	uint64_t mask;
};

/* Per slot two words: value and mask, or lo and hi. */
struct cl_box {
	uint32_t prio;
	bool final; /* nothing behind it is asked when it holds */
	const uint64_t *w;
};

struct cl_action {
	struct ir_target target; /* V_CONTINUE: go on behind the run */
	bool leave;              /* to the kernel */
	bool count;
	/* Early sites: the rule tests ct.state, so leave when it is not known; and as
	 * ir_asks_new(). */
	bool asks_ct, asks_new;
};

struct cl_result {
	uint32_t counter; /* if its action counts */
	uint32_t action;
	const struct ir_rule *rule;
};

/* Words of nodes[]: a leaf has bit 0 set, the number of records in bits 8-15 and the first
 * record's place in records[] in the upper half.  An inner node has the slot in bits 3-6, the
 * shift in 8-13, the window's mask in 16-31 and the place of its first child in the upper half.
 */
#define CL_LEAF 1u

struct cl_tree {
	uint64_t root;          /* a node */
	uint32_t least;         /* prio */
	unsigned depth, widest; /* nodes below the root; records of a leaf */
	size_t nboxes;
};

struct classifier {
	const struct ir_rule *first, *behind; /* the run: first … before behind (or NULL) */
	size_t nrules;
	struct cl_slot slot[CL_MAX_SLOTS];
	unsigned nslots;
	struct cl_part part[CL_MAX_PARTS];
	unsigned nparts;
	struct cl_box *boxes;
	size_t nboxes;
	struct cl_result *results; /* by prio */
	struct cl_action *actions; /* those that count first */
	uint32_t nresults, nactions;
	/* All results are action 0 and counter is that of the first plus prio. */
	bool linear;
	struct cl_tree tree[CL_MAX_TREES];
	unsigned ntrees;
	uint64_t *nodes, *records;
	uint32_t nnodes, nwords, record_words;
	bool narrow;  /* one slot, uniform, of which the upper half counts: a record is one word
		       */
	bool asks_ct; /* some action does: only for stages behind conntrack */
	unsigned ns;  /* estimated time of a look-up */
};

/*
 * The longest run from first, of at most *max rules, that is worth tables.  NULL: the first
 * *straight rules are better as straight code.  *max becomes what is worth trying next: a run
 * that had to be shortened says that its neighbours must be too.  Pure; the result lives in
 * mem.
 */
struct classifier *classify_build(struct arena *mem, const struct ir *ir,
				  const struct ir_rule *first, size_t *max, size_t *straight);
/* The same of a set: the element that holds the key is the prio, and its value the result's
 * counter.  NULL: it does not fit. */
struct classifier *classify_build_set(struct arena *mem, const struct ir *ir,
				      const struct ir_op *lookup);
size_t classify_bytes(const struct classifier *c);
/* prio or CL_NONE: by the trees, and, for tests, by all boxes in order. */
uint32_t classify_find(const struct classifier *c, const uint64_t *key);
uint32_t classify_find_linear(const struct classifier *c, const uint64_t *key);
/* "4 trees of depth 3, …" */
const char *classify_shape(const struct classifier *c, struct arena *mem);

/* ---- between box.c and tree.c ---- */

bool cl_box_holds(const struct classifier *c, const uint64_t *w, const uint64_t *key);
/* -E2BIG: over the limits. */
int cl_trees_build(struct arena *mem, struct classifier *c);

/* One way in which a test can hold: a value under a mask, or a range of a number of at most 4
 * bytes. */
struct cl_alt {
	bool range;
	struct u128 a, b; /* value and mask, or lo and hi */
};

#define CL_MAX_ALTS 64

/* The ways in which a test or look-up holds (or, with fails, fails), disjoint or not.  -1: it
 * cannot be said in at most CL_MAX_ALTS. */
int cl_alternatives(const struct ir_op *op, bool fails, struct cl_alt *out);

/* The first rule (its place in the run) that a rule before it would hide from a packet that
 * comes back, or nrules. rule_of: of each box. */
size_t cl_first_hidden(const struct classifier *c, const uint32_t *rule_of);

#endif
