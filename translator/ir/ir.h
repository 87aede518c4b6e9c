/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The IR: what a ruleset means at one site, as chains of rules of ops.
 *
 * A rule is a list of ops, run in order.  A test that fails ends the rule (on_fail says how:
 * the next rule, a drop of the packet, which is what x_tables calls hotdrop, or that it is left
 * to the kernel).  OP_COUNT counts the packet for one counter.  OP_VERDICT ends the rule with a
 * verdict; a rule without one goes on to the next. OP_LEAVE is what this site cannot know or
 * do: when a packet reaches it, the whole packet is left to the kernel, with the reason.  A
 * pure OP_LEAVE stands for a match without side effects, so that ir_hoist_leave may move it
 * behind the tests that follow it: the packet is left only if all that is known of the rule
 * matches.
 *
 * An ir is one program: its entries are the points where the C part of the site calls it, and
 * each entry runs base chains (stages) in the kernel's order.  A stage that accepts goes on to
 * the next stage; a drop is final; after the last stage the entry is accepted.
 *
 * Counters: an early site commits the counters of a packet only when it drops it; every packet
 * that it leaves is counted by the kernel.
 */
#ifndef NF2BPF_IR_IR_H
#define NF2BPF_IR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/net.h"
#include "base/origin.h"

enum field {
#define FIELD(id, name, width) F_##id,
#include "ir/field.def"
#undef FIELD
	NFIELD,
};

const char *field_name(enum field f);
unsigned field_width(enum field f); /* 0: window */

struct ir_field {
	enum field id;
	uint8_t off, len; /* windows only: first byte and number of bytes (1 … 16) */
};

/* Bytes of the value: the window's length or the field's width. */
unsigned ir_field_len(struct ir_field f);

enum ir_cmp {
	CMP_EQ, /* (field & mask) == a */
	CMP_NE,
	CMP_IN,  /* a <= (field & mask) <= b, as unsigned numbers */
	CMP_OUT, /* not that */
	NCMP,
};

enum ir_fail { FAIL_NEXT, FAIL_DROP, FAIL_LEAVE, NFAIL };

/* ---- sets ---- */

struct ir_target {
	enum ir_verdict {
		V_CONTINUE, /* fall to the next rule: as a map's value, the rule simply goes on
			     */
		V_ACCEPT,
		V_DROP,
		V_RETURN,
		V_JUMP,
		V_GOTO,
		NVERDICT,
	} verdict;
	struct ir_chain *chain; /* of V_JUMP and V_GOTO */
};

#define IR_MAX_KEY_FIELDS 5

/*
 * A set of keys of nfields fields (their lengths in width[], 1 … 16 bytes).  Element i holds
 * for field j the closed interval lo[i * nfields + j] … hi[…]. Invariant, made by
 * ir_set_finish: one field: sorted, disjoint; several fields: either all elements are points
 * (sorted, unique) or they are boxes of which the first that holds wins. is_map: value[i]
 * indexes targets.
 */
struct ir_set {
	struct ir_set *next;
	const char *name; /* unique in the ir, for dumps */
	uint32_t id;
	unsigned nfields;
	uint8_t width[IR_MAX_KEY_FIELDS];
	struct u128 *lo, *hi;
	uint32_t *value;
	size_t nelems, room;
	bool is_map, points;
	struct ir_target *targets;
	uint32_t ntargets;
	int32_t miss; /* map: index of the catch-all's target, or -1 */
};

/* ---- ops, rules, chains ---- */

enum ir_op_kind { OP_TEST, OP_LOOKUP, OP_VMAP, OP_COUNT, OP_LEAVE, OP_VERDICT, NOP_KIND };

struct ir_key {
	struct ir_field field;
	struct u128 mask; /* applied before the look-up; all ones of the field's length: none */
};

struct ir_op {
	enum ir_op_kind kind;
	enum ir_fail on_fail; /* OP_TEST, OP_LOOKUP */
	union {
		struct {
			struct ir_field field;
			enum ir_cmp cmp;
			struct u128 mask, a, b;
		} test;
		struct { /* OP_LOOKUP and OP_VMAP */
			const struct ir_set *set;
			struct ir_key *key; /* set->nfields of them */
			bool negate;        /* OP_LOOKUP only */
		} lookup;
		uint32_t count; /* counter id */
		struct {
			const char *reason; /* "match string", "target LOG", … */
			bool pure;
		} leave;
		struct ir_target verdict;
	};
};

struct ir_rule {
	struct ir_rule *next;
	const struct origin **from; /* merged rules have several */
	uint16_t nfrom;
	struct ir_op *ops;
	uint32_t nops, room;
};

struct ir_chain {
	struct ir_chain *next;
	const char *name; /* unique in the ir: "filter/INPUT", "ip filter INPUT" … */
	uint32_t id;
	bool is_base;
	struct ir_target policy; /* of a base chain: V_ACCEPT or V_DROP */
	int32_t policy_counter;  /* counter id; every base chain has one */
	struct origin from;
	struct ir_rule *rules, **rules_tail;
	size_t nrules;
};

/* How the transport header is found: facts differ between the back ends (IPv6 AH, failed
 * walks). */
enum dialect { DIALECT_XT, DIALECT_NFT, NDIALECT };

struct ir_stage {
	struct ir_chain *chain;
	enum dialect dialect;
	bool new_only;      /* a nat chain: skipped unless ct.state is new (8) */
	bool tracked;       /* behind conntrack: a drop of a packet that has an entry is left to
			       the kernel, whose entry the packet changes */
	bool order_unknown; /* shares hook and priority with another stage: a drop here is left
			       to the kernel */
};

enum ir_entry_id {
	ENTRY_PRE4,
	ENTRY_IN4,
	ENTRY_FWD4,
	ENTRY_PRE6,
	ENTRY_IN6,
	ENTRY_FWD6,
	ENTRY_HOOK,
	NENTRY
};

const char *entry_name(enum ir_entry_id e); /* "pre4" … "hook" */

struct ir_entry {
	bool used;          /* false: nothing runs here, the entry is accepted */
	enum family family; /* FAMILY_IP or FAMILY_IP6 */
	struct ir_stage *stages;
	size_t nstages;
};

/* ---- counters ---- */

/* Kinds of counters: of the legacy view, or only ours (nft rules without one; where it ran, how
 * often). */
struct ir_counter {
	struct origin from;
	bool in_view; /* the kernel has this counter too */
};

/* ---- sites ---- */

enum site_kind { SITE_XDP, SITE_TC, SITE_HOOK, NSITE };

/* What a site can know; data only.  fields: bit per enum field. */
struct site_spec {
	const char *name; /* "xdp", "tc", "nf" */
	uint64_t fields;
	bool early; /* drop when certain, else leave; conntrack by assumption and look-up */
	uint8_t window[3]; /* bytes that can be read from LL, NET, TH */
};

extern const struct site_spec site_specs[NSITE];

struct ir {
	struct arena *mem;
	enum site_kind site;
	uint32_t generation;
	struct ir_entry entries[NENTRY];
	struct ir_chain *chains, **chains_tail;
	uint32_t nchains;
	struct ir_set *sets, **sets_tail;
	uint32_t nsets;
	struct ir_counter *counters;
	uint32_t ncounters, counters_room;
	/* The hook site only: where the program attaches. */
	uint32_t hook;
	int32_t priority;
	struct origin from;
};

/* ---- the builder ---- */

struct ir *ir_new(struct arena *mem, enum site_kind site);
struct ir_chain *ir_add_chain(struct ir *ir, const char *name, const struct origin *from);
struct ir_rule *ir_add_rule(struct ir *ir, struct ir_chain *c, const struct origin *from);
uint32_t ir_add_counter(struct ir *ir, const struct origin *from, bool in_view);
struct ir_set *ir_add_set(struct ir *ir, const char *name, unsigned nfields,
			  const uint8_t *width);
/* lo, hi: nfields values. */
void ir_set_add(struct ir *ir, struct ir_set *s, const struct u128 *lo, const struct u128 *hi,
		uint32_t value);
/* Sorts, merges, checks.  -EEXIST: overlapping elements with different values. */
int ir_set_finish(struct ir *ir, struct ir_set *s);
/* Index of the element that holds key[], or -1. */
long ir_set_find(const struct ir_set *s, const struct u128 *key);

/* Why (some of) its packets are left to the kernel: the reason of its first OP_LEAVE, or NULL.
 */
const char *ir_rule_leave(const struct ir_rule *r);
struct ir_op *ir_rule_op(struct ir *ir, struct ir_rule *r); /* appends a zeroed op */
/* Shorthands; mask all ones unless given. */
void ir_test(struct ir *ir, struct ir_rule *r, struct ir_field f, enum ir_cmp cmp,
	     struct u128 a);
void ir_test_masked(struct ir *ir, struct ir_rule *r, struct ir_field f, struct u128 mask,
		    enum ir_cmp cmp, struct u128 a);
void ir_test_range(struct ir *ir, struct ir_rule *r, struct ir_field f, enum ir_cmp cmp,
		   struct u128 a, struct u128 b);
struct ir_op *ir_test_last(struct ir_rule *r); /* the op just added, to set on_fail */
void ir_lookup(struct ir *ir, struct ir_rule *r, const struct ir_set *set,
	       const struct ir_key *key, bool negate);
void ir_vmap(struct ir *ir, struct ir_rule *r, const struct ir_set *set,
	     const struct ir_key *key);
void ir_count(struct ir *ir, struct ir_rule *r, uint32_t counter);
void ir_leave(struct ir *ir, struct ir_rule *r, bool pure, const char *reason);
void ir_verdict(struct ir *ir, struct ir_rule *r, enum ir_verdict v, struct ir_chain *chain);

#define IR_FIELD(id) ((struct ir_field){F_##id, 0, 0})
#define IR_WINDOW(id, off, len) ((struct ir_field){F_##id, off, len})

/* Tests of fields that the site cannot know become pure OP_LEAVE; then pure leaves move behind
 * the tests that follow them, up to the next op with an effect (COUNT, VERDICT, impure LEAVE,
 * or a test with FAIL_DROP: that one must not be passed, its drop would come too early). */
void ir_specialise(struct ir *ir);

/* A test or look-up that only says whether its rule goes on. */
bool ir_op_only_matches(const struct ir_op *op);
/* At an early site: tests of ct.state move behind the other tests of their rule, as far as
 * pure leaves would.  Part of ir_specialise(). */
void ir_ask_ct_late(struct ir *ir);

/* ---- ct.state at an early site (ct_state.c) ---- */

#define CT_STATE_INVALID 1u
#define CT_STATE_NEW 8u

bool ir_is_ct_state(const struct ir_op *op); /* a test, look-up or map that asks for it */
/* Does the test, or look-up in a set of that field alone, hold for this state? */
bool ir_ct_holds(const struct ir_op *op, uint32_t state);
/* May it answer a new packet and an invalid one differently? */
bool ir_asks_new(const struct ir_op *op);

/* Does it ask TCP segments for what GRO changes when it merges some: lengths, sequence and
 * checksum, FIN and PSH, payload? */
bool ir_is_merge_sensitive(const struct ir *ir);

/* Invariants: every reference inside this ir, masks and values inside their field's width, a <=
 * b, sets finished, no op after a verdict, jumps acyclic and at most 16 deep.  -EINVAL with the
 * place. */
int ir_check(const struct ir *ir, struct diag *d);

/* ---- text: printing a parse changes nothing ---- */
void ir_print(const struct ir *ir, struct buf *out);
/* A test, look-up or verdict map alone, as it stands in the text. */
void ir_print_question(const struct ir_op *op, struct buf *out);
struct ir *ir_parse(struct arena *mem, const char *text, const char *file,
		    struct diag *d); /* NULL: error in d */

#endif
