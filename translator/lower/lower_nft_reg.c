// SPDX-License-Identifier: GPL-2.0
/*
 * The register file of nf_tables, byte by byte.
 *
 * An expression loads a field, masks it, swaps it, compares it.  We keep of each register byte
 * which byte of which field it is and what mask and xor it has been through; then a comparison
 * of registers is a test of fields again, whatever way the bytes took.  What is not of that
 * form is unknown.
 */
#include "lower/lower_nft.h"

#include <linux/netfilter/nf_tables.h>
#include <string.h>

int nft_reg_at(uint32_t reg, uint32_t len)
{
	uint32_t at;

	/* nft_parse_register(): NFT_REG_1 … 4 are views of four words each. */
	if (reg >= NFT_REG_1 && reg <= NFT_REG_4)
		at = (reg - NFT_REG_1) * NFT_REG_SIZE;
	else if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15)
		at = (reg - NFT_REG32_00) * NFT_REG32_SIZE;
	else
		return -1;
	return len && len <= NFT_REG_FILE - at ? (int)at : -1;
}

static uint32_t word_end(uint32_t len)
{
	return (len + NFT_REG32_SIZE - 1) / NFT_REG32_SIZE * NFT_REG32_SIZE;
}

static void set_byte(struct nft_vm *vm, int at, uint8_t value)
{
	vm->reg[at] = (struct nft_byte){.kind = BYTE_CONST, .flip = value};
}

void nft_reg_pad(struct nft_vm *vm, int at, uint32_t len)
{
	uint32_t i;

	for (i = len; i < word_end(len); i++)
		set_byte(vm, at + (int)i, 0);
}

void nft_reg_set_const(struct nft_vm *vm, int at, const uint8_t *bytes, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		set_byte(vm, at + (int)i, bytes[i]);
	nft_reg_pad(vm, at, len);
}

void nft_reg_set_unknown(struct nft_vm *vm, int at, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < word_end(len); i++)
		vm->reg[at + (int)i] = (struct nft_byte){.kind = BYTE_UNKNOWN};
}

void nft_reg_set_bytes(struct nft_vm *vm, int at, enum field id, uint32_t offset, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		vm->reg[at + (int)i] = (struct nft_byte){
		    .kind = BYTE_FIELD, .id = id, .pos = (uint16_t)(offset + i), .mask = 0xff};
	nft_reg_pad(vm, at, len);
}

/* Byte i of a host word of len bytes, counted from the most significant one. */
static unsigned host_byte(unsigned i, unsigned len)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? len - 1 - i : i;
}

void nft_reg_set_host(struct nft_vm *vm, int at, enum field id)
{
	unsigned i, len = field_width(id);

	for (i = 0; i < len; i++)
		vm->reg[at + (int)i] = (struct nft_byte){.kind = BYTE_FIELD,
							 .id = id,
							 .pos = (uint16_t)host_byte(i, len),
							 .mask = 0xff};
	nft_reg_pad(vm, at, len);
}

bool nft_reg_any_kind(const struct nft_vm *vm, int at, uint32_t len, enum nft_byte_kind kind)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		if (vm->reg[at + (int)i].kind == kind)
			return true;
	return false;
}

bool nft_reg_any_unknown(const struct nft_vm *vm, int at, uint32_t len)
{
	return nft_reg_any_kind(vm, at, len, BYTE_UNKNOWN);
}

static void find_order(const struct nft_byte *b, uint32_t len, struct nft_run *run)
{
	uint32_t i;

	run->ascending = run->descending = true;
	for (i = 1; i < len; i++) {
		run->ascending &= b[i].pos == b[i - 1].pos + 1;
		run->descending &= b[i].pos + 1 == b[i - 1].pos;
	}
}

bool nft_reg_run(const struct nft_vm *vm, int at, uint32_t len, struct nft_run *run)
{
	const struct nft_byte *b = &vm->reg[at];
	uint16_t first = UINT16_MAX, last = 0;
	uint8_t mask[16] = {0};
	uint32_t i, seen = 0;

	memset(run, 0, sizeof(*run));
	if (!len || len > 16)
		return false;
	for (i = 0; i < len; i++) {
		if (b[i].kind != BYTE_FIELD || b[i].id != b[0].id)
			return false;
		if (b[i].pos < first)
			first = b[i].pos;
		if (b[i].pos > last)
			last = b[i].pos;
		run->inverted |= b[i].flip;
	}
	if (last - first + 1u != len)
		return false;
	for (i = 0; i < len; i++) {
		mask[b[i].pos - first] = b[i].mask;
		seen |= 1u << (b[i].pos - first);
	}
	if (seen != (1u << len) - 1)
		return false; /* a byte twice, another never */
	find_order(b, len, run);
	run->field = (struct ir_field){.id = b[0].id};
	run->mask = be_to_u128(mask, len);
	if (field_width(b[0].id)) {
		run->shift = 8 * (field_width(b[0].id) - 1 - last);
		run->mask = u128_shl(run->mask, run->shift);
	} else {
		run->field.off = (uint8_t)first;
		run->field.len = (uint8_t)len;
	}
	return true;
}

/* nft_bitwise_eval_bool(): whole words; mask and xor are zero beyond len. */
static void bitwise_bool(struct nft_vm *vm, const struct nexpr *e, int from, int to)
{
	struct nft_byte in[NFT_REG_FILE];
	uint32_t i, len = e->bitwise.len;

	memcpy(in, &vm->reg[from], len * sizeof(*in));
	for (i = 0; i < len; i++) {
		struct nft_byte b = in[i];
		uint8_t mask = e->bitwise.mask[i], flip = e->bitwise.xor [i];

		if (b.kind == BYTE_FIELD || b.kind == BYTE_CONST) {
			b.mask &= mask;
			b.flip = (b.flip & mask) ^ flip;
		} else if (!mask) {
			b = (struct nft_byte){.kind = BYTE_CONST, .flip = flip};
		} else if (mask != 0xff || flip) {
			b = (struct nft_byte){.kind = BYTE_UNKNOWN};
		}
		vm->reg[to + (int)i] = b;
	}
	nft_reg_pad(vm, to, len);
}

void nft_lower_bitwise(struct nft_vm *vm, const struct nexpr *e)
{
	uint32_t words = word_end(e->bitwise.len);
	int from = nft_reg_at(e->bitwise.sreg, words), to = nft_reg_at(e->bitwise.dreg, words);

	if (from < 0 || to < 0) {
		nft_vm_leave(vm, false, "expression bitwise: registers");
		return;
	}
	/* Word by word in the kernel: with registers that overlap, later words see earlier
	 * results. */
	if (e->bitwise.op != NFT_BITWISE_BOOL || !e->bitwise.mask || !e->bitwise.xor ||
	    (from < to && from + (int)words > to)) {
		nft_vm_leave(vm, true,
			     e->bitwise.op == NFT_BITWISE_BOOL ? "expression bitwise"
							       : "expression bitwise: shift");
		nft_reg_set_unknown(vm, to, e->bitwise.len);
		return;
	}
	bitwise_bool(vm, e, from, to);
}

void nft_lower_byteorder(struct nft_vm *vm, const struct nexpr *e)
{
	uint32_t len = e->byteorder.len, size = e->byteorder.size, i;
	int from = nft_reg_at(e->byteorder.sreg, len), to = nft_reg_at(e->byteorder.dreg, len);
	struct nft_byte in[NFT_REG_FILE];

	if (from < 0 || to < 0) {
		nft_vm_leave(vm, false, "expression byteorder: registers");
		return;
	}
	/* Less than a word: nft_byteorder_eval() goes over len / size words, that is none. */
	if ((size == 2 || size == 4 || size == 8) && len < size) {
		if (from != to)
			nft_reg_set_unknown(vm, to, len);
		return;
	}
	/* Several words of 2 or 8 bytes: kernels differ in where they put them (c301f0981fdd).
	 */
	if ((size != 2 && size != 4 && size != 8) ||
	    !(len == size || (size == 4 && len % 4 == 0)) ||
	    (from < to && from + (int)len > to)) {
		nft_vm_leave(vm, true, "expression byteorder");
		nft_reg_set_unknown(vm, to, len);
		return;
	}
	memcpy(in, &vm->reg[from], len * sizeof(*in));
	/* ntoh and hton are the same permutation; nothing beyond len is written. */
	for (i = 0; i < len; i++)
		vm->reg[to + (int)i] = in[i / size * size + host_byte(i % size, size)];
}
