/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files lower_nft*.c: the register machine and the sets. */
#ifndef NF2BPF_LOWER_LOWER_NFT_H
#define NF2BPF_LOWER_LOWER_NFT_H

#include "lower/lower.h"

#define NFT_REG_FILE 64

/*
 * One byte of the register file, for any packet: a constant (flip), or (byte & mask) ^ flip of
 * a byte of a field.  Bytes of a window are numbered as in the window, those of a plain field
 * from its most significant one, so that byte orders are only permutations.
 */
struct nft_byte {
	enum nft_byte_kind {
		BYTE_UNKNOWN, /* never written, or what we do not model */
		BYTE_CONST,
		BYTE_FIELD,
		BYTE_ADDRTYPE, /* of the number that fib … type stores; field: the address */
	} kind;
	enum field id; /* of BYTE_ADDRTYPE: F_NET */
	uint16_t pos;  /* of BYTE_ADDRTYPE: offset of the address << 2 | number of the byte */
	uint8_t mask, flip;
};

struct nft_vm {
	struct lower *lw;
	const struct rule *rule;
	struct ir_rule *out;
	struct nft_byte reg[NFT_REG_FILE];
	bool done;    /* nothing after this can be reached, or is worth lowering */
	bool counted; /* the model's counter of the rule was met */
	/* What tests of this rule have established. */
	bool ll_ok, l4_ok, no_frag, ct_ok;
	uint32_t l4_avail, len;
};

/* ---- lower_nft_reg.c: the register file ---- */

/* Offset in the register file, or -1: no such register, or len bytes do not fit. */
int nft_reg_at(uint32_t reg, uint32_t len);
void nft_reg_set_const(struct nft_vm *vm, int at, const uint8_t *bytes, uint32_t len);
void nft_reg_set_unknown(struct nft_vm *vm, int at, uint32_t len);
/* len bytes of a window from offset on, or of a plain field in network order. */
void nft_reg_set_bytes(struct nft_vm *vm, int at, enum field id, uint32_t offset, uint32_t len);
/* A plain field as a word of the host's order. */
void nft_reg_set_host(struct nft_vm *vm, int at, enum field id);
/* Fill the last word up with zeros, as the kernel does. */
void nft_reg_pad(struct nft_vm *vm, int at, uint32_t len);

/* A run of register bytes that are pieces of one field. */
struct nft_run {
	struct ir_field field;
	struct u128 mask;
	unsigned shift; /* bits below the last byte of the run: 0 for a window */
	bool ascending; /* the register bytes are in network order */
	bool descending;
	bool inverted; /* xor is not zero */
};

/* All len bytes from at as one run; false: they are not. */
bool nft_reg_run(const struct nft_vm *vm, int at, uint32_t len, struct nft_run *run);
bool nft_reg_any_unknown(const struct nft_vm *vm, int at, uint32_t len);
bool nft_reg_any_kind(const struct nft_vm *vm, int at, uint32_t len, enum nft_byte_kind kind);

void nft_lower_bitwise(struct nft_vm *vm, const struct nexpr *e);
void nft_lower_byteorder(struct nft_vm *vm, const struct nexpr *e);

/* ---- lower_nft.c ---- */

/* A packet that comes here is left; impure: the rest of the rule is of no interest. */
void nft_vm_leave(struct nft_vm *vm, bool pure, const char *reason);
/* The rule cannot match from here on: takes back the tests since the last effect. */
void nft_vm_never(struct nft_vm *vm);

/* ---- lower_nft_cmp.c ---- */

void nft_lower_cmp(struct nft_vm *vm, const struct nexpr *e);
void nft_lower_range(struct nft_vm *vm, const struct nexpr *e);
void nft_lower_lookup(struct nft_vm *vm, const struct nexpr *e);

/* ---- lower_nft_set.c ---- */

/*
 * How a set's key stands in the registers.  The kernel describes the fields of a key only for
 * interval sets of several fields: elsewhere the registers tell.
 */
struct nft_key {
	unsigned nfields;
	uint8_t len[IR_MAX_KEY_FIELDS]; /* each padded to whole words when there are several */
	/* Bit j: field j is a plain field whose bytes stand in the host's order.  The elements
	 * of the IR set are numbers as the field's. */
	uint32_t host_order;
};

/* False: more fields than an IR set can have. */
bool nft_set_key(const struct nft_set *s, struct nft_key *key);
const struct ir_set *nft_set_lower(struct lower *lw, const struct nft_set *s,
				   const struct nft_key *key, const char **why);
/* By name, in the table being lowered; constant time. */
const struct nft_set *nft_set_by_name(struct lower *lw, const char *name);

#endif
