// SPDX-License-Identifier: GPL-2.0
/*
 * Comparisons and look-ups of registers, turned back into tests of fields.
 *
 * All of them end the rule (NFT_BREAK) when they do not hold.  A comparison whose outcome does
 * not depend on the packet is decided here: the rule goes on without a test, or can never
 * match.
 */
#include "lower/lower_nft.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* ---- equality ---- */

/*
 * Fields that rules commonly name.  nft compares a prefix of whole bytes with as many bytes,
 * and two neighbours (saddr and daddr) in one go; back in the shape of whole fields they can be
 * merged with other rules.  All of these bytes are in every packet of the family that reaches a
 * hook, or were shown to be there by the load's own tests.
 */
struct span {
	uint8_t off, len;
};

static const struct span spans_ip[] = {{12, 4}, {16, 4}}, spans_ip6[] = {{8, 16}, {24, 16}},
			 spans_th[] = {{0, 2}, {2, 2}};

/* The span that holds byte pos, else one of that byte alone with len 0. */
static struct span span_of(const struct nft_vm *vm, enum field id, unsigned pos)
{
	const struct span *s = NULL;
	unsigned i;

	if (id == F_NET)
		s = vm->lw->family == FAMILY_IP ? spans_ip : spans_ip6;
	else if (id == F_TH)
		s = spans_th;
	for (i = 0; s && i < 2; i++)
		if (pos >= s[i].off && pos < s[i].off + s[i].len)
			return s[i];
	return (struct span){(uint8_t)pos, 0};
}

/* An address of which only a part is compared becomes the whole address under a mask. */
static void widen_address(const struct nft_vm *vm, struct ir_field *f, struct u128 *mask,
			  struct u128 *value)
{
	struct span s = span_of(vm, f->id, f->off);
	unsigned shift;

	if (f->id != F_NET || f->off + f->len > s.off + s.len)
		return;
	shift = 8u * (s.off + s.len - f->off - f->len);
	f->off = s.off;
	f->len = s.len;
	*mask = u128_shl(*mask, shift);
	*value = u128_shl(*value, shift);
}

/* The bytes wanted of a run, placed as its mask is; false: a bit that is masked out is wanted.
 */
static bool run_value(const struct nft_vm *vm, int at, uint32_t len, const struct nft_run *run,
		      const uint8_t *data, struct u128 *value)
{
	const struct nft_byte *b = &vm->reg[at];
	uint16_t first = UINT16_MAX;
	uint8_t bytes[16] = {0};
	uint32_t i;

	for (i = 0; i < len; i++)
		if (b[i].pos < first)
			first = b[i].pos;
	for (i = 0; i < len; i++) {
		uint8_t want = data[i] ^ b[i].flip;

		if (want & ~b[i].mask)
			return false;
		bytes[b[i].pos - first] = want;
	}
	*value = u128_shl(be_to_u128(bytes, len), run->shift);
	return true;
}

static void emit_equal(struct nft_vm *vm, const struct nft_run *run, enum ir_cmp cmp,
		       struct u128 value)
{
	struct ir_field f = run->field;
	struct u128 mask = run->mask;

	widen_address(vm, &f, &mask, &value);
	ir_test_masked(vm->lw->ir, vm->out, f, mask, cmp, value);
}

static bool no_bits(struct u128 v)
{
	return u128_eq(v, U128(0));
}

/* The longest run from at on that does not leave a span it is in. */
static uint32_t longest_run(const struct nft_vm *vm, int at, uint32_t len, struct nft_run *run)
{
	struct nft_run longer;
	struct span first, s;
	uint32_t n = 0;

	first = span_of(vm, vm->reg[at].id, vm->reg[at].pos);
	while (n < len && nft_reg_run(vm, at, n + 1, &longer)) {
		s = span_of(vm, vm->reg[at].id, vm->reg[at + (int)n].pos);
		if (s.len != first.len || (s.len && s.off != first.off))
			break;
		*run = longer;
		n++;
	}
	return n;
}

static bool consts_equal(const struct nft_vm *vm, int at, uint32_t len, const uint8_t *data)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		if (vm->reg[at + (int)i].kind == BYTE_CONST &&
		    vm->reg[at + (int)i].flip != data[i])
			return false;
	return true;
}

static void lower_equal(struct nft_vm *vm, int at, uint32_t len, const uint8_t *data)
{
	struct nft_run run;
	struct u128 value;
	uint32_t i, n;

	if (!consts_equal(vm, at, len, data)) {
		nft_vm_never(vm);
		return;
	}
	for (i = 0; i < len; i += n) {
		n = 1;
		if (vm->reg[at + (int)i].kind == BYTE_CONST)
			continue;
		n = longest_run(vm, at + (int)i, len - i, &run);
		if (!run_value(vm, at + (int)i, n, &run, data + i, &value)) {
			nft_vm_never(vm);
			return;
		}
		if (!no_bits(run.mask))
			emit_equal(vm, &run, CMP_EQ, value);
	}
}

static void lower_unequal(struct nft_vm *vm, int at, uint32_t len, const uint8_t *data)
{
	struct nft_run run;
	struct u128 value;

	if (!consts_equal(vm, at, len, data))
		return;
	if (!nft_reg_any_kind(vm, at, len, BYTE_FIELD)) {
		nft_vm_never(vm);
		return;
	}
	if (!nft_reg_run(vm, at, len, &run)) {
		nft_vm_leave(vm, true, "expression cmp: inequality of several fields");
		return;
	}
	if (!run_value(vm, at, len, &run, data, &value))
		return;
	if (no_bits(run.mask))
		nft_vm_never(vm);
	else
		emit_equal(vm, &run, CMP_NE, value);
}

/* ---- order ---- */

static void emit_between(struct nft_vm *vm, const struct nft_run *run, struct u128 lo,
			 struct u128 hi, bool outside)
{
	struct ir_op *op;

	lo = u128_shl(lo, run->shift);
	hi = u128_shl(hi, run->shift);
	op = ir_rule_op(vm->lw->ir, vm->out);
	op->kind = OP_TEST;
	op->test.field = run->field;
	op->test.mask = run->mask;
	op->test.cmp = outside ? CMP_OUT : CMP_IN;
	op->test.a = lo;
	op->test.b = hi;
}

/* lo <= register <= hi, or not, as memcmp() orders bytes. */
static void lower_between(struct nft_vm *vm, int at, uint32_t len, struct u128 lo,
			  struct u128 hi, bool outside)
{
	bool all = no_bits(lo) && u128_eq(hi, u128_max(len));
	struct nft_run run;

	if (u128_cmp(lo, hi) > 0 || all) {
		/* Nothing is between, or everything. */
		if (all == outside)
			nft_vm_never(vm);
		return;
	}
	if (!nft_reg_run(vm, at, len, &run) || run.inverted) {
		nft_vm_leave(vm, true, "expression cmp: order of several fields");
		return;
	}
	if (!run.ascending) {
		nft_vm_leave(vm, true, "expression cmp: order of bytes in host order");
		return;
	}
	emit_between(vm, &run, lo, hi, outside);
}

/* d: the register against data, as memcmp() would say for constants. */
static bool op_holds(uint32_t op, int d)
{
	switch (op) {
	case NFT_CMP_EQ:
		return d == 0;
	case NFT_CMP_NEQ:
		return d != 0;
	case NFT_CMP_LT:
		return d < 0;
	case NFT_CMP_LTE:
		return d <= 0;
	case NFT_CMP_GT:
		return d > 0;
	default:
		return d >= 0;
	}
}

static bool all_const(const struct nft_vm *vm, int at, uint32_t len, uint8_t *bytes)
{
	uint32_t i;

	for (i = 0; i < len; i++) {
		if (vm->reg[at + (int)i].kind != BYTE_CONST)
			return false;
		bytes[i] = vm->reg[at + (int)i].flip;
	}
	return true;
}

static void lower_ordered(struct nft_vm *vm, int at, const struct nexpr *e)
{
	uint32_t len = e->cmp.len;
	struct u128 v, max;

	if (len > 16) {
		nft_vm_leave(vm, true, "expression cmp: order of more than 16 bytes");
		return;
	}
	v = be_to_u128(e->cmp.data, len);
	max = u128_max(len);
	switch (e->cmp.op) {
	case NFT_CMP_LT:
		if (no_bits(v))
			nft_vm_never(vm);
		else
			lower_between(vm, at, len, U128(0), u128_dec(v), false);
		break;
	case NFT_CMP_LTE:
		lower_between(vm, at, len, U128(0), v, false);
		break;
	case NFT_CMP_GT:
		if (u128_eq(v, max))
			nft_vm_never(vm);
		else
			lower_between(vm, at, len, u128_inc(v), max, false);
		break;
	default:
		lower_between(vm, at, len, v, max, false);
	}
}

/* ---- what kind of address: fib … type ---- */

/* The four bytes from at are the number of one fib expression, untouched. *off: the address. */
static bool reg_addrtype(const struct nft_vm *vm, int at, uint32_t len, uint8_t *off)
{
	unsigned i;

	if (len != 4)
		return false;
	for (i = 0; i < 4; i++) {
		const struct nft_byte *b = &vm->reg[at + (int)i];

		if (b->kind != BYTE_ADDRTYPE || (b->pos & 3) != i ||
		    b->pos >> 2 != vm->reg[at].pos >> 2)
			return false;
	}
	*off = (uint8_t)(vm->reg[at].pos >> 2);
	return true;
}

/*
 * RTN_UNICAST is what inet_dev_addr_type() says of all others, and other types come from routes
 * that no one has in the local table: only these three are asked for.
 */
static const struct ir_set *addrtype_set(struct nft_vm *vm, uint32_t type)
{
	switch (type) {
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_MULTICAST:
		return lower_addr_type_set(vm->lw, type);
	default:
		return NULL;
	}
}

static void addrtype_leave(struct nft_vm *vm, uint32_t type)
{
	nft_vm_leave(vm, true,
		     arena_printf(vm->lw->ir->mem, "expression fib: address type %u", type));
}

static void lookup_address(struct nft_vm *vm, const struct ir_set *set, uint8_t off,
			   bool negate)
{
	struct ir_key key = {.field = IR_WINDOW(NET, off, 4), .mask = u128_max(4)};

	ir_lookup(vm->lw->ir, vm->out, set, &key, negate);
}

static void lower_addrtype_cmp(struct nft_vm *vm, const struct nexpr *e, uint8_t off)
{
	uint32_t type = (uint32_t)host_to_u128(e->cmp.data, 4).lo;
	const struct ir_set *set = addrtype_set(vm, type);

	if (!set || (e->cmp.op != NFT_CMP_EQ && e->cmp.op != NFT_CMP_NEQ))
		addrtype_leave(vm, type);
	else
		lookup_address(vm, set, off, e->cmp.op == NFT_CMP_NEQ);
}

/* The types in one set: the union, made once for each combination. */
static const struct ir_set *addrtype_union(struct nft_vm *vm, const struct ir_set *const *sets,
					   size_t n)
{
	struct ir *ir = vm->lw->ir;
	const struct ir_set *old;
	struct ir_set *all;
	char *name = arena_strdup(ir->mem, "any of");
	size_t i, j;

	for (i = 0; i < n; i++)
		name = arena_printf(ir->mem, "%s %s", name, sets[i]->name);
	for (old = ir->sets; old; old = old->next)
		if (!strcmp(old->name, name))
			return old;
	all = ir_add_set(ir, name, 1, sets[0]->width);
	for (i = 0; i < n; i++)
		for (j = 0; j < sets[i]->nelems; j++)
			ir_set_add(ir, all, &sets[i]->lo[j], &sets[i]->hi[j], 0);
	return ir_set_finish(ir, all) ? NULL : all;
}

/* fib daddr type { local, broadcast } */
static void lower_addrtype_lookup(struct nft_vm *vm, const struct nft_set *s, bool invert,
				  uint8_t off)
{
	const struct nft_key layout = {.nfields = 1, .len = {4}, .host_order = 1};
	const struct ir_set *sets[3];
	const char *why;
	size_t i, n = s->nelems;

	if (s->key_len != 4 || s->flags & (NFT_SET_MAP | NFT_SET_INTERVAL) || !n || n > 3 ||
	    !nft_set_lower(vm->lw, s, &layout, &why)) {
		nft_vm_leave(vm, true, "expression lookup: address types");
		return;
	}
	for (i = 0; i < n; i++) {
		uint32_t type =
		    s->elems[i].key ? (uint32_t)host_to_u128(s->elems[i].key, 4).lo : 0;

		sets[i] = addrtype_set(vm, type);
		if (!sets[i]) {
			addrtype_leave(vm, type);
			return;
		}
	}
	for (i = 0; invert && i < n; i++)
		lookup_address(vm, sets[i], off, true);
	if (invert)
		return;
	if (n > 1)
		sets[0] = addrtype_union(vm, sets, n);
	if (sets[0])
		lookup_address(vm, sets[0], off, false);
	else
		nft_vm_leave(vm, true, "expression lookup: address types");
}

/* ---- what the packet type register holds for looped packets ---- */

/*
 * nft_meta_get_eval_pkttype_lo(): PACKET_LOOPBACK reads as multicast or broadcast.  Nothing
 * that came in by a wire has that type; at the hook only host and otherhost are never stored
 * for it.
 */
static bool pkttype_unsure(const struct nft_vm *vm, int at, uint32_t len, const uint8_t *data)
{
	uint32_t i;

	if (vm->lw->ir->site != SITE_HOOK)
		return false;
	for (i = 0; i < len; i++)
		if (vm->reg[at + (int)i].kind == BYTE_FIELD &&
		    vm->reg[at + (int)i].id == F_PKTTYPE)
			return !data || (data[i] != 0 && data[i] != 3);
	return false;
}

/* ---- expressions ---- */

static bool cmp_readable(struct nft_vm *vm, int at, uint32_t len, const char *name)
{
	if (at < 0) {
		nft_vm_leave(vm, false,
			     arena_printf(vm->lw->ir->mem, "expression %s: registers", name));
		return false;
	}
	if (nft_reg_any_unknown(vm, at, len)) {
		nft_vm_leave(vm, true,
			     arena_printf(vm->lw->ir->mem,
					  "expression %s: content of register not known",
					  name));
		return false;
	}
	return true;
}

void nft_lower_cmp(struct nft_vm *vm, const struct nexpr *e)
{
	int at = nft_reg_at(e->cmp.sreg, e->cmp.len);
	uint8_t bytes[NFT_REG_FILE], off;

	if (!e->cmp.data || e->cmp.op > NFT_CMP_GTE) {
		nft_vm_leave(vm, false, "expression cmp: operation");
		return;
	}
	if (!cmp_readable(vm, at, e->cmp.len, "cmp"))
		return;
	if (nft_reg_any_kind(vm, at, e->cmp.len, BYTE_ADDRTYPE)) {
		if (reg_addrtype(vm, at, e->cmp.len, &off))
			lower_addrtype_cmp(vm, e, off);
		else
			nft_vm_leave(vm, true, "expression fib: address type");
		return;
	}
	if (all_const(vm, at, e->cmp.len, bytes)) {
		if (!op_holds(e->cmp.op, memcmp(bytes, e->cmp.data, e->cmp.len)))
			nft_vm_never(vm);
		return;
	}
	if (pkttype_unsure(vm, at, e->cmp.len,
			   e->cmp.op == NFT_CMP_EQ || e->cmp.op == NFT_CMP_NEQ ? e->cmp.data
									       : NULL))
		nft_vm_leave(vm, true, "meta pkttype of looped packets");
	else if (e->cmp.op == NFT_CMP_EQ)
		lower_equal(vm, at, e->cmp.len, e->cmp.data);
	else if (e->cmp.op == NFT_CMP_NEQ)
		lower_unequal(vm, at, e->cmp.len, e->cmp.data);
	else
		lower_ordered(vm, at, e);
}

/* nft_range_eval() */
void nft_lower_range(struct nft_vm *vm, const struct nexpr *e)
{
	uint32_t len = e->range.len;
	int at = nft_reg_at(e->range.sreg, len);
	bool outside = e->range.op == NFT_RANGE_NEQ, inside;
	uint8_t bytes[NFT_REG_FILE];

	if (!e->range.from || !e->range.to || e->range.op > NFT_RANGE_NEQ) {
		nft_vm_leave(vm, false, "expression range: operation");
		return;
	}
	if (!cmp_readable(vm, at, len, "range"))
		return;
	if (all_const(vm, at, len, bytes)) {
		inside = memcmp(bytes, e->range.from, len) >= 0 &&
			 memcmp(bytes, e->range.to, len) <= 0;
		if (inside == outside)
			nft_vm_never(vm);
		return;
	}
	if (len > 16 || pkttype_unsure(vm, at, len, NULL)) {
		nft_vm_leave(vm, true, "expression range");
		return;
	}
	lower_between(vm, at, len, be_to_u128(e->range.from, len), be_to_u128(e->range.to, len),
		      outside);
}

/* ---- lookup ---- */

/* Field j of the key stands at register offset at. */
static bool key_field(const struct nft_vm *vm, int at, unsigned len, struct ir_key *key,
		      bool *host)
{
	struct nft_run run;

	if (!nft_reg_run(vm, at, len, &run) || run.inverted)
		return false;
	if (field_width(run.field.id) && field_width(run.field.id) != len)
		return false;
	/* A word whose bytes stand in the host's order; on big-endian hosts both orders are
	 * one. */
	*host = !run.ascending;
	if (*host && (!run.descending || __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ||
		      (len != 2 && len != 4 && len != 8)))
		return false;
	key->field = run.field;
	key->mask = run.mask;
	return true;
}

/* Between the fields of a key are zeros, in the elements too (nft_set_lower() sees to that). */
static bool key_padding(const struct nft_vm *vm, int at, unsigned len)
{
	unsigned i;

	for (i = len; i % NFT_REG32_SIZE; i++)
		if (vm->reg[at + (int)i].kind != BYTE_CONST || vm->reg[at + (int)i].flip)
			return false;
	return true;
}

static unsigned padded(unsigned len)
{
	return (len + NFT_REG32_SIZE - 1) / NFT_REG32_SIZE * NFT_REG32_SIZE;
}

/* The fields of a key that the kernel does not describe: the runs that begin at whole words. */
static bool guess_key(const struct nft_vm *vm, int at, uint32_t key_len, struct nft_key *key)
{
	struct nft_run run;
	uint32_t done = 0, n;

	key->nfields = 0;
	while (done < key_len) {
		n = vm->reg[at + (int)done].kind == BYTE_FIELD
			? longest_run(vm, at + (int)done, key_len - done, &run)
			: 0;
		if (!n || key->nfields == IR_MAX_KEY_FIELDS)
			return false;
		key->len[key->nfields++] = (uint8_t)n;
		done += padded(n);
	}
	return true;
}

static const char *lookup_key(struct nft_vm *vm, int at, const struct nft_set *s,
			      struct nft_key *layout, struct ir_key *key)
{
	unsigned j, len;
	bool host;

	if (!nft_set_key(s, layout))
		return "more fields than a key can have";
	/* One field, and if it is none, several. */
	if (!s->nfields && !key_field(vm, at, s->key_len, &key[0], &host) &&
	    !guess_key(vm, at, s->key_len, layout))
		return "a part of the key is not one field";
	for (j = 0; j < layout->nfields; j++) {
		len = layout->len[j];
		if (!key_field(vm, at, len, &key[j], &host))
			return "a part of the key is not one field";
		if (layout->nfields > 1 && !key_padding(vm, at, len))
			return "padding between the fields of the key";
		layout->host_order |= (uint32_t)host << j;
		at += (int)padded(len);
	}
	return NULL;
}

static void lookup_leave(struct nft_vm *vm, const struct nexpr *e, const char *why)
{
	bool verdict = e->lookup.has_dreg && e->lookup.dreg == NFT_REG_VERDICT;

	nft_vm_leave(vm, !verdict,
		     arena_printf(vm->lw->ir->mem, "expression lookup @%s: %s",
				  e->lookup.set_name, why));
}

/* Hits of a rule without counter of its own: that it asked its map. */
static void count_before_verdict(struct nft_vm *vm)
{
	if (vm->counted)
		return;
	ir_count(vm->lw->ir, vm->out, ir_add_counter(vm->lw->ir, &vm->rule->from, false));
	vm->counted = true;
}

static void emit_lookup(struct nft_vm *vm, const struct nexpr *e, const struct ir_set *set,
			const struct ir_key *key)
{
	bool empty = !set->nelems && set->miss < 0;

	if (empty && !e->lookup.invert) {
		nft_vm_never(vm);
	} else if (e->lookup.has_dreg) {
		count_before_verdict(vm);
		ir_vmap(vm->lw->ir, vm->out, set, key);
	} else if (!empty) {
		ir_lookup(vm->lw->ir, vm->out, set, key, e->lookup.invert);
	}
}

static void emit_target(struct nft_vm *vm, const struct ir_target *t)
{
	if (t->verdict == V_CONTINUE)
		return;
	count_before_verdict(vm);
	ir_verdict(vm->lw->ir, vm->out, t->verdict, t->chain);
	vm->done = true;
}

/* A key that is the same for all packets of the family: meta protocol vmap { ip : jump a, ip6 :
 * jump b } */
static const char *lower_const_lookup(struct nft_vm *vm, const struct nexpr *e,
				      const struct nft_set *s, const uint8_t *bytes)
{
	struct u128 number[IR_MAX_KEY_FIELDS];
	const struct ir_set *set;
	struct nft_key layout;
	const char *why = NULL;
	unsigned j, at = 0;
	long i;

	if (!nft_set_key(s, &layout))
		return "more fields than a key can have";
	set = nft_set_lower(vm->lw, s, &layout, &why);
	if (!set)
		return why;
	for (j = 0; j < layout.nfields; j++) {
		number[j] = be_to_u128(bytes + at, layout.len[j]);
		at += padded(layout.len[j]);
	}
	i = ir_set_find(set, number);
	if (!set->is_map) {
		if ((i >= 0) == e->lookup.invert)
			nft_vm_never(vm);
	} else if (i >= 0) {
		emit_target(vm, &set->targets[set->value[i]]);
	} else if (set->miss >= 0) {
		emit_target(vm, &set->targets[set->miss]);
	} else {
		nft_vm_never(vm);
	}
	return NULL;
}

static void lower_data_map(struct nft_vm *vm, const struct nexpr *e, const struct nft_set *s)
{
	int at = nft_reg_at(e->lookup.dreg, s->data_len);

	lookup_leave(vm, e, "a map to data");
	if (at < 0)
		vm->done = true;
	else
		nft_reg_set_unknown(vm, at, s->data_len);
}

void nft_lower_lookup(struct nft_vm *vm, const struct nexpr *e)
{
	const struct nft_set *s = nft_set_by_name(vm->lw, e->lookup.set_name);
	struct ir_key key[IR_MAX_KEY_FIELDS];
	const struct ir_set *set;
	struct nft_key layout;
	const char *why = NULL;
	uint8_t bytes[NFT_REG_FILE], off;
	int at;

	if (!s) {
		nft_vm_leave(vm, false,
			     arena_printf(vm->lw->ir->mem, "expression lookup: no set %s",
					  e->lookup.set_name));
		return;
	}
	at = nft_reg_at(e->lookup.sreg, s->key_len);
	/* nft_lookup_init(): a map has a destination, a set none. */
	if (e->lookup.has_dreg != !!(s->flags & NFT_SET_MAP) ||
	    (e->lookup.has_dreg && e->lookup.invert)) {
		nft_vm_leave(vm, false,
			     "expression lookup: map and destination do not go together");
		return;
	}
	if (e->lookup.has_dreg && e->lookup.dreg != NFT_REG_VERDICT) {
		lower_data_map(vm, e, s);
		return;
	}
	if (at < 0 || nft_reg_any_unknown(vm, at, s->key_len)) {
		lookup_leave(vm, e, "content of register not known");
		return;
	}
	if (!e->lookup.has_dreg && reg_addrtype(vm, at, s->key_len, &off)) {
		lower_addrtype_lookup(vm, s, e->lookup.invert, off);
		return;
	}
	if (all_const(vm, at, s->key_len, bytes)) {
		why = lower_const_lookup(vm, e, s, bytes);
		if (why)
			lookup_leave(vm, e, why);
		return;
	}
	if (pkttype_unsure(vm, at, s->key_len, NULL))
		why = "meta pkttype of looped packets";
	else
		why = lookup_key(vm, at, s, &layout, key);
	set = why ? NULL : nft_set_lower(vm->lw, s, &layout, &why);
	if (set)
		emit_lookup(vm, e, set, key);
	else
		lookup_leave(vm, e, why);
}
