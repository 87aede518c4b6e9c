/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between the files of emit/: code under construction.
 *
 * Code is a growing list of insns whose jumps name labels.  A label is bound to a position
 * later than every jump to it: all jumps go forward.  layout.c turns labels into offsets.
 *
 * Registers: R6 is the struct pkt; R0 … R5 are scratch and hold nothing from one op to the
 * next, so that at every label marked clean R6 is the only live register.
 */
#ifndef NF2BPF_EMIT_EMIT_PRIV_H
#define NF2BPF_EMIT_EMIT_PRIV_H

#include "emit/emit.h"

/* Of one image.  The kernel refuses programs of a million insns; the template needs some of
 * them. */
#define EMIT_MAX_INSNS 900000

struct einsn {
	struct insn insn;
	int32_t label; /* where it jumps, else -1 */
};

struct label {
	uint32_t pos; /* LABEL_UNBOUND until it is bound */
	bool clean;   /* only R6 is live here */
};

#define LABEL_UNBOUND UINT32_MAX

/* A chain unfolded in front of the place where its packets go when it ends. */
struct instance {
	const struct ir_chain *chain;
	int label;
};

/*
 * Somewhere that control goes.  Before its label stand the chains that end there (sorted by
 * rank, so that jumps among them go forward), then the tail: code that counts the counter in W1
 * and falls in.
 */
struct place {
	int label, tail; /* tail: -1 when nobody asked for it */
	struct instance *chains;
	size_t next, nchains, room;
};

struct map_memo {
	const struct ir_set *set;
	const char *shape;
	uint32_t host_order; /* bit per key field: the field is a host-order number */
};

struct emitter {
	const struct ir *ir;
	struct image *img;
	struct diag *d;
	struct arena *scratch; /* freed at the end of emit_image */
	/* the subprogram under construction */
	struct einsn *code;
	size_t ncode, code_room;
	struct label *labels;
	size_t nlabels, labels_room;
	const struct origin *from; /* of the insns to come */
	const char *note;          /* of the next insn */
	struct place leave;
	struct place *drop, *accept; /* of the stage under construction */
	bool tracked;                /* likewise */
	/* of the whole image */
	uint32_t *rank;    /* of a chain by id: every jump goes from a lower to a higher rank */
	size_t *instances; /* of a chain by id: how often it was unfolded */
	struct map_memo *memo; /* beside img->maps */
	bool *warned;          /* of a set by id: its look-ups are left */
	size_t maps_room, total, inlined_rules;
	/* the runs of rules that became tables (emit_segment.c) */
	struct segment_memo *segments;
	size_t nsegments, segments_room;
	struct set_memo *set_tables; /* a list */
	uint8_t *tables;             /* the value of their map */
	size_t tables_len, tables_room;
	int32_t tables_map; /* -1: none yet */
	int err;
};

/* ---- emit.c: insns and labels ---- */
int label_new(struct emitter *e);
void label_bind(struct emitter *e, int label);
void label_bind_clean(struct emitter *e, int label);
void emit_note(struct emitter *e, const char *note);
void emit_insn(struct emitter *e, uint8_t code, unsigned dst, unsigned src, int16_t off,
	       int32_t imm);
void emit_mov32(struct emitter *e, unsigned dst, uint32_t imm);
void emit_load(struct emitter *e, unsigned size, unsigned dst, unsigned src, int off);
void emit_store(struct emitter *e, unsigned size, unsigned dst, int off, unsigned src);
void emit_store_imm(struct emitter *e, unsigned size, unsigned dst, int off, int32_t imm);
/* dst = v, by the shortest insn. */
void emit_const64(struct emitter *e, unsigned dst, uint64_t v);
void emit_map_fd(struct emitter *e, unsigned dst, int32_t map);
void emit_goto(struct emitter *e, int label);
/* if dst OP imm goto label; op is BPF_JEQ …; 32-bit compare. */
void emit_jump32(struct emitter *e, uint8_t op, unsigned dst, uint32_t imm, int label);
/* The same with 64 bits; wide constants go through R5. */
void emit_jump64(struct emitter *e, uint8_t op, unsigned dst, uint64_t imm, int label);

void emit_ld_imm64(struct emitter *e, unsigned dst, uint64_t v, unsigned pseudo, int32_t map);
/* pkt->hits[pkt->nhits++] = id, for n ids or, with ids NULL, for the one in W1.  Uses R2, R3.
 */
void emit_hits(struct emitter *e, const uint32_t *ids, unsigned n);
/* Where a verdict sends the packet; next: after this rule; end: after this chain.  A jump to a
 * chain is laid before the place where it ends. */
int target_label(struct emitter *e, const struct ir_target *t, int go_on, struct place *next,
		 struct place *end);

/* ---- emit_test.c ---- */

/* What is known of a test without a packet.  ALWAYS: no insn was emitted. */
enum truth { MAYBE, NEVER, ALWAYS };

/* The tests from op on, as many as can be decided together (*n).  Falls through when they hold,
 * else goes to fail.  NEVER: they cannot hold; whoever gets here must go to fail. */
enum truth emit_tests(struct emitter *e, const struct ir_op *op, unsigned left, int fail,
		      unsigned *n);
/* (f & mask) in lo … hi. */
enum truth emit_in(struct emitter *e, struct ir_field f, struct u128 mask, struct u128 lo,
		   struct u128 hi, int fail);
/* At an early site, where ct.state is asked: leaves the packet when it is not known; asks_new:
 * as ir_asks_new(). */
void emit_ct_guard(struct emitter *e, bool asks_new);
int field_offset(struct ir_field f);    /* in struct pkt */
bool field_is_bytes(struct ir_field f); /* big-endian bytes, else a host-order number */
/* Bytes of v as they stand in struct pkt. */
void field_to_memory(struct ir_field f, struct u128 v, uint8_t bytes[16]);
/* R1 = the field as a number, masked; at most 8 bytes.  Uses R5. */
void emit_load_number(struct emitter *e, struct ir_field f, struct u128 mask);
/* R1 = len bytes of the field's number, from its byte `from` (0: least) on.  Uses R5. */
void emit_load_part(struct emitter *e, struct ir_field f, unsigned from, unsigned len);
/* An unsigned host-order word of the machine that runs the program, from its bytes in memory.
 */
uint64_t memory_word(const uint8_t *bytes, unsigned size);

/* ---- emit_set.c ---- */

/* Goes to labels[value of the element that holds the key] (a set that is no map: labels[0]) or
 * to miss. */
void emit_find(struct emitter *e, const struct ir_op *op, const int *labels, int miss);

/* A new array map of one element, whose value is to come. */
int32_t emit_tables_map(struct emitter *e);

/* Numbers from start (to the next run) go to label. */
struct run {
	uint64_t start;
	int label;
};

/* By binary search in code on R1; run[0] starts at 0. */
void emit_tree(struct emitter *e, bool wide, const struct run *r, size_t n);
/* Appends, or joins with the run before. */
void run_add(struct run *r, size_t *n, uint64_t start, int label);

/* Goes to labels[value of the element …] with W1 the value, as emit_find(). */
void emit_value_tree(struct emitter *e, const struct ir_set *s, const int *labels, int miss);

/* ---- emit_segment.c ---- */

/* As emit_find(), by tables.  False, and nothing is emitted: the set does not fit. */
bool emit_find_tables(struct emitter *e, const struct ir_op *op, const int *labels, int miss);

struct classifier;
/* The tables that the rules from r on are worth, as classify_build(). */
const struct classifier *segment_find(struct emitter *e, const struct ir_rule *r, size_t *max,
				      size_t *straight);
void emit_classifier(struct emitter *e, const struct classifier *c, struct place *next,
		     struct place *end);
/* The map of all tables, once all code is laid. */
void segments_finish(struct emitter *e);

/* ---- layout.c ---- */

/* e->code → out, with offsets; *out's insns live in e->img->mem.  Forgets e->code and its
 * labels. */
int layout(struct emitter *e, struct subprogram *out);

/* ---- insn_text.c ---- */
/* The pseudo-assembly of a test or look-up, for insn.note; in e->img->mem. */
const char *note_test(struct emitter *e, struct ir_field f, struct u128 mask, const char *cmp,
		      struct u128 a, const struct u128 *b);

#endif
