/* SPDX-License-Identifier: GPL-2.0 */
/* IR → relocatable BPF: a subprogram per used entry, and the maps they use.  Pure. */
#ifndef NF2BPF_EMIT_EMIT_H
#define NF2BPF_EMIT_EMIT_H

#include <linux/bpf.h>
#include "ir/ir.h"

struct insn {
	struct bpf_insn bpf;
	int32_t map;               /* ld_imm64 of this map of the image, else -1 */
	const struct origin *from; /* the rule it was emitted for, or NULL */
	const char *note;          /* pseudo-assembly of a block's first insn, or NULL */
};

/* A map to be made and filled by the loader.  keys and values: nelems packed entries. */
struct mapspec {
	const char *name; /* at most 15 characters */
	enum bpf_map_type type;
	uint32_t key_size, value_size, max_entries, flags;
	const uint8_t *keys, *values;
	size_t nelems;
	const char *set;   /* the IR set it holds */
	const char *shape; /* "hash", "lpm", "bitmap", … */
};

/* A run of rules that became tables; for those who ask. */
struct segment {
	const char *chain;
	const struct ir_rule *first;
	size_t nrules, bytes;
	unsigned ns; /* estimated, of one packet */
	const char *shape;
};

struct subprogram {
	struct insn
	    *insns; /* last is BPF_EXIT; R1 = struct pkt * on entry, returns enum pkt_code */
	size_t ninsns;
};

struct image {
	struct arena *mem;
	enum site_kind site;
	uint32_t generation;
	struct subprogram entries[NENTRY]; /* ninsns 0: entry not used */
	struct mapspec *maps;
	size_t nmaps;
	struct segment *segments;
	size_t nsegments;
	uint32_t ncounters;
	size_t inlined_rules; /* after the chain graph was unfolded */
};

/* -E2BIG with the reason when the program would pass the verifier's walls. */
int emit_image(const struct ir *ir, struct arena *mem, struct image *out, struct diag *d);
void image_print(const struct image *img, struct buf *out);      /* --stage=insn */
void image_print_maps(const struct image *img, struct buf *out); /* --stage=map */

#endif
