// SPDX-License-Identifier: GPL-2.0
/*
 * nf_tables expressions: one row per name that we know, with the function that reads its
 * attributes.
 *
 * Nothing is skipped.  A name without a row becomes NEXPR_OPAQUE; in a known expression an
 * attribute that its row does not list, a missing or doubled one, a wrong length, a register
 * outside the file or an operation that the kernel had not when this was written sets odd, and
 * the rule that holds it stays in the kernel for that reason.  libnftnl is not used here: it
 * ignores attributes newer than itself (bitwise with two registers, for one), and what is
 * ignored is mistranslated.
 *
 * The attributes expected are those that the dump function of each expression writes in the
 * kernel (net/netfilter/nft_NAME.c, nft_NAME_dump()); the limits are those of its init
 * function.
 */
#include "read/read.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <stdarg.h>
#include <stdio.h>
#include "read/nft_attr.h"

#define MAX_ATTR 12
#define REG_FILE_BYTES 64 /* NFT_REG32_COUNT * NFT_REG32_SIZE */

struct decoder {
	struct arena *mem;
	struct nexpr *e;
	struct attr slot[MAX_ATTR + 1];
};

static void set_odd(struct decoder *dec, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The first reason stands. */
static void set_odd(struct decoder *dec, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (dec->e->odd)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dec->e->odd = arena_printf(dec->mem, "%s: %s", dec->e->name, text);
}

static bool has(const struct decoder *dec, uint16_t type)
{
	return dec->slot[type].data;
}

/* ---- values ---- */

static bool opt_sized(struct decoder *dec, uint16_t type, size_t len)
{
	const struct attr *a = &dec->slot[type];

	if (!a->data)
		return false;
	if (a->len == len)
		return true;
	set_odd(dec, "attribute %u has %zu bytes instead of %zu", type, a->len, len);
	return false;
}

static void need(struct decoder *dec, uint16_t type)
{
	if (!has(dec, type))
		set_odd(dec, "attribute %u is missing", type);
}

static bool opt_u32(struct decoder *dec, uint16_t type, uint32_t *out)
{
	if (!opt_sized(dec, type, 4))
		return false;
	*out = be32(dec->slot[type].data);
	return true;
}

static void need_u32(struct decoder *dec, uint16_t type, uint32_t *out)
{
	need(dec, type);
	opt_u32(dec, type, out);
}

static void need_u32_max(struct decoder *dec, uint16_t type, uint32_t *out, uint32_t max)
{
	need_u32(dec, type, out);
	if (*out > max)
		set_odd(dec, "attribute %u is %u, more than %u", type, *out, max);
}

static void opt_u8(struct decoder *dec, uint16_t type, uint8_t *out)
{
	if (opt_sized(dec, type, 1))
		*out = dec->slot[type].data[0];
}

static void need_u64(struct decoder *dec, uint16_t type, uint64_t *out)
{
	need(dec, type);
	if (opt_sized(dec, type, 8))
		*out = attr_be64(dec->slot[type].data);
}

/* A register that holds len bytes (net/netfilter/nf_tables_api.c, nft_parse_register() and
 * nft_validate_register_load()). */
static void check_register(struct decoder *dec, uint32_t reg, uint32_t len)
{
	uint32_t at;

	if (reg >= NFT_REG_1 && reg <= NFT_REG_4)
		at = (reg - NFT_REG_1) * NFT_REG_SIZE;
	else if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15)
		at = (reg - NFT_REG32_00) * NFT_REG32_SIZE;
	else {
		set_odd(dec, "register %u is none of data", reg);
		return;
	}
	if (!len || len > REG_FILE_BYTES || at + len > REG_FILE_BYTES)
		set_odd(dec, "%u bytes do not fit into register %u", len, reg);
}

static void need_register(struct decoder *dec, uint16_t type, uint32_t *out, uint32_t len)
{
	need(dec, type);
	if (opt_u32(dec, type, out))
		check_register(dec, *out, len);
}

/* Expressions that read into dreg or write from sreg: just one of them, false: a write. */
static bool is_read(struct decoder *dec, uint16_t dreg, uint16_t sreg)
{
	if (has(dec, dreg) && has(dec, sreg))
		set_odd(dec, "both a source and a destination register");
	return !has(dec, sreg);
}

static const uint8_t *need_value(struct decoder *dec, uint16_t type, uint32_t *len)
{
	struct nft_datum v = {0};
	const char *odd;

	need(dec, type);
	if (!has(dec, type))
		return NULL;
	odd = nft_datum_decode(dec->mem, "data", &dec->slot[type], &v);
	if (odd) {
		set_odd(dec, "%s", odd);
		return NULL;
	}
	if (v.is_verdict) {
		set_odd(dec, "attribute %u is a verdict", type);
		return NULL;
	}
	*len = v.len;
	return v.value;
}

static const char *need_name(struct decoder *dec, uint16_t type)
{
	const struct attr *a = &dec->slot[type];

	need(dec, type);
	if (!a->data)
		return "";
	if (!a->len || a->data[a->len - 1] || strlen((const char *)a->data) != a->len - 1)
		set_odd(dec, "attribute %u is no text", type);
	return attr_str(dec->mem, a);
}

/* ---- data and verdicts ---- */

static const char *verdict_decode(struct arena *mem, const char *what, const struct attr *a,
				  struct nft_verdict *out)
{
	struct attr slot[NFTA_VERDICT_CHAIN_ID + 1];
	const char *odd = attr_parse(mem, what, a->data, a->len, slot, NFTA_VERDICT_CHAIN_ID);
	struct nft_verdict v = {0};

	if (odd)
		return odd;
	if (!slot[NFTA_VERDICT_CODE].data || slot[NFTA_VERDICT_CODE].len != 4)
		return arena_printf(mem, "%s: verdict without code", what);
	v.code = (int32_t)be32(slot[NFTA_VERDICT_CODE].data);
	v.chain = attr_str(mem, &slot[NFTA_VERDICT_CHAIN]);
	if (slot[NFTA_VERDICT_CHAIN_ID].data)
		return arena_printf(mem, "%s: verdict with a chain id", what);
	switch (v.code) {
	case NFT_JUMP:
	case NFT_GOTO:
		if (!v.chain || !*v.chain)
			return arena_printf(mem, "%s: jump without chain", what);
		break;
	case NFT_CONTINUE:
	case NFT_BREAK:
	case NFT_RETURN:
	case NF_DROP:
	case NF_ACCEPT:
		if (v.chain)
			return arena_printf(mem, "%s: verdict %d with a chain", what, v.code);
		break;
	default:
		/* NF_QUEUE and the verdicts with bits above NF_VERDICT_MASK that the kernel's
		 * nft_verdict_init() lets through. */
		return arena_printf(mem, "%s: verdict code %d", what, v.code);
	}
	*out = v;
	return NULL;
}

const char *nft_datum_decode(struct arena *mem, const char *what, const struct attr *a,
			     struct nft_datum *out)
{
	struct attr slot[NFTA_DATA_VERDICT + 1];
	const struct attr *value = &slot[NFTA_DATA_VALUE], *verdict = &slot[NFTA_DATA_VERDICT];
	const char *odd;

	memset(out, 0, sizeof(*out));
	odd = attr_parse(mem, what, a->data, a->len, slot, NFTA_DATA_VERDICT);
	if (odd)
		return odd;
	if (!value->data == !verdict->data)
		return arena_printf(mem, "%s: neither one value nor one verdict", what);
	if (verdict->data) {
		odd = verdict_decode(mem, what, verdict, &out->verdict);
		out->is_verdict = !odd;
		return odd;
	}
	if (!value->len || value->len > NFT_DATA_VALUE_MAXLEN)
		return arena_printf(mem, "%s: value of %zu bytes", what, value->len);
	out->value = arena_memdup(mem, value->data, value->len);
	out->len = (uint32_t)value->len;
	return NULL;
}

/* ---- one function per expression ---- */

static void decode_payload(struct decoder *dec, struct nexpr *e)
{
	uint32_t sreg = 0;

	need_u32_max(dec, NFTA_PAYLOAD_BASE, &e->payload.base, NFT_PAYLOAD_INNER_HEADER);
	/* nft_payload_policy allows 255, on newer kernels 65535. */
	need_u32_max(dec, NFTA_PAYLOAD_OFFSET, &e->payload.offset, UINT16_MAX);
	need_u32_max(dec, NFTA_PAYLOAD_LEN, &e->payload.len, UINT8_MAX);
	e->payload.set = !is_read(dec, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_SREG);
	if (e->payload.set) {
		need_register(dec, NFTA_PAYLOAD_SREG, &sreg, e->payload.len);
		return;
	}
	need_register(dec, NFTA_PAYLOAD_DREG, &e->payload.dreg, e->payload.len);
	if (has(dec, NFTA_PAYLOAD_CSUM_TYPE) || has(dec, NFTA_PAYLOAD_CSUM_OFFSET) ||
	    has(dec, NFTA_PAYLOAD_CSUM_FLAGS))
		set_odd(dec, "checksum attributes on a read");
}

static void decode_meta(struct decoder *dec, struct nexpr *e)
{
	need_u32(dec, NFTA_META_KEY, &e->meta.key);
	e->meta.set = !is_read(dec, NFTA_META_DREG, NFTA_META_SREG);
	if (e->meta.set)
		need_register(dec, NFTA_META_SREG, &e->meta.sreg, 1);
	else
		need_register(dec, NFTA_META_DREG, &e->meta.dreg, 1);
}

static void decode_cmp(struct decoder *dec, struct nexpr *e)
{
	need_u32_max(dec, NFTA_CMP_OP, &e->cmp.op, NFT_CMP_GTE);
	e->cmp.data = need_value(dec, NFTA_CMP_DATA, &e->cmp.len);
	need_register(dec, NFTA_CMP_SREG, &e->cmp.sreg, e->cmp.len);
}

static void decode_bitwise_shift(struct decoder *dec, struct nexpr *e)
{
	uint32_t len = 0;
	const uint8_t *v = need_value(dec, NFTA_BITWISE_DATA, &len);

	if (has(dec, NFTA_BITWISE_MASK) || has(dec, NFTA_BITWISE_XOR))
		set_odd(dec, "a shift with a mask");
	if (!v)
		return;
	if (len != sizeof(e->bitwise.shift)) {
		set_odd(dec, "shift of %u bytes", len);
		return;
	}
	/* A word in host order: nft_bitwise_eval_lshift() uses priv->data.data[0] as it is. */
	memcpy(&e->bitwise.shift, v, sizeof(e->bitwise.shift));
	if (e->bitwise.shift >= 32)
		set_odd(dec, "shift by %u bits", e->bitwise.shift);
}

static void decode_bitwise_bool(struct decoder *dec, struct nexpr *e)
{
	uint32_t mask_len = 0, xor_len = 0;
	const uint8_t *mask = need_value(dec, NFTA_BITWISE_MASK, &mask_len);
	const uint8_t * xor = need_value(dec, NFTA_BITWISE_XOR, &xor_len);

	if (has(dec, NFTA_BITWISE_DATA))
		set_odd(dec, "a mask with a shift");
	if (!mask || !xor)
		return;
	if (mask_len != e->bitwise.len || xor_len != e->bitwise.len) {
		set_odd(dec, "mask of %u and xor of %u bytes for %u", mask_len, xor_len,
			e->bitwise.len);
		return;
	}
	e->bitwise.mask = mask;
	e->bitwise.xor = xor;
}

static void decode_bitwise(struct decoder *dec, struct nexpr *e)
{
	need_u32_max(dec, NFTA_BITWISE_LEN, &e->bitwise.len, REG_FILE_BYTES);
	need_register(dec, NFTA_BITWISE_SREG, &e->bitwise.sreg, e->bitwise.len);
	need_register(dec, NFTA_BITWISE_DREG, &e->bitwise.dreg, e->bitwise.len);
	e->bitwise.op = NFT_BITWISE_BOOL; /* kernels before 5.6 report none */
	opt_u32(dec, NFTA_BITWISE_OP, &e->bitwise.op);
	switch (e->bitwise.op) {
	case NFT_BITWISE_BOOL:
		decode_bitwise_bool(dec, e);
		break;
	case NFT_BITWISE_LSHIFT:
	case NFT_BITWISE_RSHIFT:
		decode_bitwise_shift(dec, e);
		break;
	default: /* AND, OR and XOR of two registers, since 6.13 */
		set_odd(dec, "operation %u", e->bitwise.op);
	}
}

static void decode_range(struct decoder *dec, struct nexpr *e)
{
	uint32_t from_len = 0, to_len = 0;
	const uint8_t *from = need_value(dec, NFTA_RANGE_FROM_DATA, &from_len);
	const uint8_t *to = need_value(dec, NFTA_RANGE_TO_DATA, &to_len);

	need_u32_max(dec, NFTA_RANGE_OP, &e->range.op, NFT_RANGE_NEQ);
	if (from && to && from_len == to_len) {
		e->range.from = from;
		e->range.to = to;
		e->range.len = from_len;
	} else {
		set_odd(dec, "range from %u to %u bytes", from_len, to_len);
	}
	need_register(dec, NFTA_RANGE_SREG, &e->range.sreg, e->range.len);
}

static void decode_lookup(struct decoder *dec, struct nexpr *e)
{
	uint32_t flags = 0;

	e->lookup.set_name = need_name(dec, NFTA_LOOKUP_SET);
	need_register(dec, NFTA_LOOKUP_SREG, &e->lookup.sreg, 1);
	e->lookup.has_dreg = opt_u32(dec, NFTA_LOOKUP_DREG, &e->lookup.dreg);
	if (e->lookup.has_dreg && e->lookup.dreg != NFT_REG_VERDICT)
		check_register(dec, e->lookup.dreg, 1);
	opt_u32(dec, NFTA_LOOKUP_FLAGS, &flags);
	e->lookup.invert = flags & NFT_LOOKUP_F_INV;
	if (flags & ~(uint32_t)NFT_LOOKUP_F_INV)
		set_odd(dec, "flags 0x%x", flags);
	if (has(dec, NFTA_LOOKUP_SET_ID)) /* only in a transaction */
		set_odd(dec, "a set id");
}

static void decode_immediate(struct decoder *dec, struct nexpr *e)
{
	struct nft_datum v = {0};
	const char *odd;

	need_u32(dec, NFTA_IMMEDIATE_DREG, &e->immediate.dreg);
	need(dec, NFTA_IMMEDIATE_DATA);
	if (!has(dec, NFTA_IMMEDIATE_DATA))
		return;
	odd = nft_datum_decode(dec->mem, "data", &dec->slot[NFTA_IMMEDIATE_DATA], &v);
	if (odd)
		set_odd(dec, "%s", odd);
	else if (v.is_verdict != (e->immediate.dreg == NFT_REG_VERDICT))
		set_odd(dec, "a value and register %u do not go together", e->immediate.dreg);
	if (odd)
		return;
	e->immediate.is_verdict = v.is_verdict;
	e->immediate.verdict = v.verdict;
	e->immediate.data = v.value;
	e->immediate.len = v.len;
	if (!v.is_verdict)
		check_register(dec, e->immediate.dreg, v.len);
}

static void decode_counter(struct decoder *dec, struct nexpr *e)
{
	need_u64(dec, NFTA_COUNTER_PACKETS, &e->counter.packets);
	need_u64(dec, NFTA_COUNTER_BYTES, &e->counter.bytes);
}

static void decode_ct(struct decoder *dec, struct nexpr *e)
{
	need_u32(dec, NFTA_CT_KEY, &e->ct.key);
	e->ct.has_dir = has(dec, NFTA_CT_DIRECTION);
	opt_u8(dec, NFTA_CT_DIRECTION, &e->ct.dir);
	if (e->ct.dir > 1) /* IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY */
		set_odd(dec, "direction %u", e->ct.dir);
	e->ct.set = !is_read(dec, NFTA_CT_DREG, NFTA_CT_SREG);
	if (e->ct.set)
		need_register(dec, NFTA_CT_SREG, &e->ct.sreg, 1);
	else
		need_register(dec, NFTA_CT_DREG, &e->ct.dreg, 1);
}

static void decode_exthdr(struct decoder *dec, struct nexpr *e)
{
	uint32_t sreg = 0;

	need(dec, NFTA_EXTHDR_TYPE);
	opt_u8(dec, NFTA_EXTHDR_TYPE, &e->exthdr.type);
	opt_u32(dec, NFTA_EXTHDR_OFFSET, &e->exthdr.offset);
	opt_u32(dec, NFTA_EXTHDR_LEN, &e->exthdr.len);
	e->exthdr.op = NFT_EXTHDR_OP_IPV6;
	opt_u32(dec, NFTA_EXTHDR_OP, &e->exthdr.op);
	if (e->exthdr.op > NFT_EXTHDR_OP_MAX)
		set_odd(dec, "operation %u", e->exthdr.op);
	opt_u32(dec, NFTA_EXTHDR_FLAGS, &e->exthdr.flags);
	if (e->exthdr.flags & ~(uint32_t)NFT_EXTHDR_F_PRESENT)
		set_odd(dec, "flags 0x%x", e->exthdr.flags);
	if (e->exthdr.offset > UINT8_MAX)
		set_odd(dec, "offset %u", e->exthdr.offset);
	/* No register at all: nft_exthdr_tcp_strip_eval() wipes the option from the packet. */
	e->exthdr.set =
	    !is_read(dec, NFTA_EXTHDR_DREG, NFTA_EXTHDR_SREG) || !has(dec, NFTA_EXTHDR_DREG);
	if (has(dec, NFTA_EXTHDR_SREG))
		need_register(dec, NFTA_EXTHDR_SREG, &sreg, e->exthdr.len);
	if (has(dec, NFTA_EXTHDR_DREG)) {
		need(dec, NFTA_EXTHDR_OFFSET);
		need(dec, NFTA_EXTHDR_LEN);
		need_register(dec, NFTA_EXTHDR_DREG, &e->exthdr.dreg, e->exthdr.len);
	}
}

static void decode_byteorder(struct decoder *dec, struct nexpr *e)
{
	need_u32_max(dec, NFTA_BYTEORDER_OP, &e->byteorder.op, NFT_BYTEORDER_HTON);
	need_u32_max(dec, NFTA_BYTEORDER_LEN, &e->byteorder.len, REG_FILE_BYTES);
	need_u32(dec, NFTA_BYTEORDER_SIZE, &e->byteorder.size);
	if (e->byteorder.size != 2 && e->byteorder.size != 4 && e->byteorder.size != 8)
		set_odd(dec, "words of %u bytes", e->byteorder.size);
	need_register(dec, NFTA_BYTEORDER_SREG, &e->byteorder.sreg, e->byteorder.len);
	need_register(dec, NFTA_BYTEORDER_DREG, &e->byteorder.dreg, e->byteorder.len);
}

static void decode_fib(struct decoder *dec, struct nexpr *e)
{
	need_u32(dec, NFTA_FIB_RESULT, &e->fib.result);
	need_u32(dec, NFTA_FIB_FLAGS, &e->fib.flags);
	need_register(dec, NFTA_FIB_DREG, &e->fib.dreg, 1);
}

/* NFTA_MATCH_* and NFTA_TARGET_* have the same numbers. */
static void decode_xt(struct decoder *dec, struct nexpr *e)
{
	const struct attr *info = &dec->slot[NFTA_MATCH_INFO];
	uint32_t revision = 0;

	_Static_assert((int)NFTA_MATCH_NAME == (int)NFTA_TARGET_NAME &&
			   (int)NFTA_MATCH_REV == (int)NFTA_TARGET_REV &&
			   (int)NFTA_MATCH_INFO == (int)NFTA_TARGET_INFO,
		       "one decoder for both");
	e->xt.name = need_name(dec, NFTA_MATCH_NAME);
	need_u32_max(dec, NFTA_MATCH_REV, &revision, UINT8_MAX);
	e->xt.revision = (uint8_t)revision;
	need(dec, NFTA_MATCH_INFO);
	e->xt.len = info->len;
	e->xt.data = arena_memdup(dec->mem, info->data, info->len);
}

/* ---- the table ---- */

static const struct row {
	const char *name;
	enum nexpr_kind kind;
	uint16_t max; /* greatest attribute that the decoder knows */
	void (*decode)(struct decoder *, struct nexpr *);
} rows[] = {
    {"payload", NEXPR_PAYLOAD, NFTA_PAYLOAD_CSUM_FLAGS, decode_payload},
    {"meta", NEXPR_META, NFTA_META_SREG, decode_meta},
    {"cmp", NEXPR_CMP, NFTA_CMP_DATA, decode_cmp},
    {"bitwise", NEXPR_BITWISE, NFTA_BITWISE_DATA, decode_bitwise},
    {"range", NEXPR_RANGE, NFTA_RANGE_TO_DATA, decode_range},
    {"lookup", NEXPR_LOOKUP, NFTA_LOOKUP_FLAGS, decode_lookup},
    {"immediate", NEXPR_IMMEDIATE, NFTA_IMMEDIATE_DATA, decode_immediate},
    {"counter", NEXPR_COUNTER, NFTA_COUNTER_PAD, decode_counter},
    {"ct", NEXPR_CT, NFTA_CT_SREG, decode_ct},
    {"exthdr", NEXPR_EXTHDR, NFTA_EXTHDR_SREG, decode_exthdr},
    {"byteorder", NEXPR_BYTEORDER, NFTA_BYTEORDER_SIZE, decode_byteorder},
    {"fib", NEXPR_FIB, NFTA_FIB_FLAGS, decode_fib},
    {"match", NEXPR_MATCH, NFTA_MATCH_INFO, decode_xt},
    {"target", NEXPR_TARGET, NFTA_TARGET_INFO, decode_xt},
};

static const struct row *find_row(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

void nft_expr_decode(struct arena *mem, const void *attrs, size_t len, struct nexpr *out)
{
	struct attr slot[NFTA_EXPR_DATA + 1];
	struct decoder dec = {.mem = mem, .e = out};
	const struct attr *name = &slot[NFTA_EXPR_NAME], *data = &slot[NFTA_EXPR_DATA];
	const struct row *row;
	const char *odd;

	memset(out, 0, sizeof(*out));
	out->kind = NEXPR_OPAQUE;
	out->odd = attr_parse(mem, "expression", attrs, len, slot, NFTA_EXPR_DATA);
	if (!name->data || !name->len || !name->data[0]) {
		out->name = "unnamed";
		out->raw = arena_memdup(mem, attrs, len);
		out->raw_len = len;
		if (!out->odd)
			out->odd = "expression without a name";
		return;
	}
	out->name = attr_str(mem, name);
	out->raw = arena_memdup(mem, data->data, data->len);
	out->raw_len = data->len;
	row = find_row(out->name);
	if (!row)
		return;
	out->kind = row->kind;
	odd = attr_parse(mem, out->name, data->data, data->len, dec.slot, row->max);
	if (!out->odd)
		out->odd = odd;
	row->decode(&dec, out);
}
