// SPDX-License-Identifier: GPL-2.0
/*
 * Native nf_tables rules: the expressions are run for all packets at once.
 *
 * A rule of nf_tables is a straight program of a small register machine
 * (net/netfilter/nf_tables_core.c nft_do_chain()): each expression reads or writes registers,
 * and may end the rule by setting the verdict register, to NFT_BREAK when a test does not hold.
 * We run the same program over registers that hold descriptions of packet fields
 * (lower_nft_reg.c) and append what decides its way: a load that may fail becomes a test that
 * it does not, a comparison a test of the fields that the register stands for.  What has no
 * such form leaves the packet to the kernel, by the name of the expression.
 *
 * A leave is pure when the expression does nothing but find out something: then not asking it
 * for packets that the rest of the rule does not match changes nothing.
 */
#include "lower/lower_nft.h"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include "match/match.h"

/* ---- ends of a rule ---- */

void nft_vm_leave(struct nft_vm *vm, bool pure, const char *reason)
{
	ir_leave(vm->lw->ir, vm->out, pure, reason);
	vm->done |= !pure;
}

static bool has_effect(const struct ir_op *op)
{
	switch (op->kind) {
	case OP_TEST:
		/* load_transport() leaves because of what the rule may do behind the load. */
		if (op->on_fail == FAIL_LEAVE && op->test.field.id == F_FRAG)
			return false;
		return op->on_fail != FAIL_NEXT;
	case OP_LOOKUP:
		return op->on_fail != FAIL_NEXT;
	case OP_LEAVE:
		return !op->leave.pure;
	default:
		return true;
	}
}

void nft_vm_never(struct nft_vm *vm)
{
	struct ir_rule *r = vm->out;

	while (r->nops && !has_effect(&r->ops[r->nops - 1]))
		r->nops--;
	vm->done = true;
}

static void leave_name(struct nft_vm *vm, bool pure, const struct nexpr *e)
{
	nft_vm_leave(vm, pure, arena_printf(vm->lw->ir->mem, "expression %s", e->name));
}

/* Hits of a rule that has no counter in the kernel. */
static void count_hit(struct nft_vm *vm)
{
	if (vm->counted)
		return;
	ir_count(vm->lw->ir, vm->out, ir_add_counter(vm->lw->ir, &vm->rule->from, false));
	vm->counted = true;
}

static void test_flag(struct nft_vm *vm, struct ir_field f, uint64_t value, bool *known)
{
	if (!*known)
		ir_test(vm->lw->ir, vm->out, f, CMP_EQ, U128(value));
	*known = true;
}

static void test_at_least(struct nft_vm *vm, struct ir_field f, uint32_t least, uint32_t *known)
{
	if (*known >= least)
		return;
	ir_test_range(vm->lw->ir, vm->out, f, CMP_IN, U128(least), u128_max(ir_field_len(f)));
	*known = least;
}

/* IPv4 always has a transport protocol (nft_set_pktinfo_ipv4()). */
static void test_l4_ok(struct nft_vm *vm)
{
	if (vm->lw->family != FAMILY_IP)
		test_flag(vm, IR_FIELD(L4_OK), 1, &vm->l4_ok);
}

/* ---- loads from the packet: net/netfilter/nft_payload.c nft_payload_eval() ---- */

static int load_dest(struct nft_vm *vm, const struct nexpr *e, uint32_t dreg, uint32_t len)
{
	int at = nft_reg_at(dreg, len);

	if (at < 0)
		nft_vm_leave(
		    vm, false,
		    arena_printf(vm->lw->ir->mem, "expression %s: registers", e->name));
	return at;
}

/* The value is not known here; asking for it does nothing else. */
static void load_unknown(struct nft_vm *vm, int at, uint32_t len, const char *reason)
{
	nft_vm_leave(vm, true, reason);
	nft_reg_set_unknown(vm, at, len);
}

static void load_network(struct nft_vm *vm, uint32_t end)
{
	uint32_t header = vm->lw->family == FAMILY_IP ? 20 : 40;

	if (vm->len < header)
		vm->len = header;
	test_at_least(vm, IR_FIELD(LEN), end, &vm->len);
}

/*
 * A load of 1, 2 or 4 aligned bytes is nft_payload_fast_eval()'s: where the bytes are in the
 * linear part of the skb it reads them in a later fragment too, in IPv6 from the network
 * header, for the walk gives a later fragment no transport offset; l4.avail is what it can
 * read.  All other loads (nft_payload_eval()) break there.  So it has been in every kernel that
 * has had netfilter programs, up to 6.18; of a newer one later fragments are left.
 */
static bool load_is_fast(uint32_t offset, uint32_t len)
{
	return (len == 1 || len == 2 || len == 4) && offset % len == 0;
}

static void load_transport(struct nft_vm *vm, uint32_t offset, uint32_t len)
{
	bool fast = load_is_fast(offset, len);

	test_l4_ok(vm);
	if (fast && !vm->no_frag && vm->lw->rs->env.nft_unknown) {
		ir_test(vm->lw->ir, vm->out, IR_FIELD(FRAG), CMP_EQ, U128(0));
		ir_test_last(vm->out)->on_fail = FAIL_LEAVE;
		vm->no_frag = true;
	}
	if (!fast)
		test_flag(vm, IR_FIELD(FRAG), 0, &vm->no_frag);
	test_at_least(vm, IR_FIELD(L4_AVAIL), offset + len, &vm->l4_avail);
}

static void lower_payload(struct nft_vm *vm, const struct nexpr *e)
{
	static const enum field windows[] = {F_LL, F_NET, F_TH};
	uint32_t len = e->payload.len, end = e->payload.offset + len;
	int at;

	if (e->payload.set) {
		nft_vm_leave(vm, false, "expression payload: writes to the packet");
		return;
	}
	at = load_dest(vm, e, e->payload.dreg, len);
	if (at < 0)
		return;
	if (e->payload.base > NFT_PAYLOAD_TRANSPORT_HEADER || e->payload.offset > UINT8_MAX ||
	    end > UINT8_MAX) {
		load_unknown(vm, at, len,
			     e->payload.base == NFT_PAYLOAD_INNER_HEADER
				 ? "expression payload: inner header"
				 : "expression payload: offset");
		return;
	}
	/* Behind the addresses a tag may stand that the device has taken off
	 * (nft_payload_need_vlan_adjust()). */
	if (e->payload.base == NFT_PAYLOAD_LL_HEADER &&
	    end > offsetof(struct ethhdr, h_proto)) {
		load_unknown(vm, at, len,
			     "expression payload: link-layer header behind the addresses");
		return;
	}
	nft_reg_set_bytes(vm, at, windows[e->payload.base], e->payload.offset, len);
	switch (e->payload.base) {
	case NFT_PAYLOAD_LL_HEADER:
		test_flag(vm, IR_FIELD(LL_OK), 1, &vm->ll_ok);
		break;
	case NFT_PAYLOAD_NETWORK_HEADER:
		load_network(vm, end);
		break;
	default:
		load_transport(vm, e->payload.offset, len);
	}
}

/* ---- meta: net/netfilter/nft_meta.c nft_meta_get_eval() ---- */

static const char *const meta_names[] = {
    [NFT_META_LEN] = "length",
    [NFT_META_PROTOCOL] = "protocol",
    [NFT_META_PRIORITY] = "priority",
    [NFT_META_MARK] = "mark",
    [NFT_META_IIF] = "iif",
    [NFT_META_OIF] = "oif",
    [NFT_META_IIFNAME] = "iifname",
    [NFT_META_OIFNAME] = "oifname",
    [NFT_META_IIFTYPE] = "iiftype",
    [NFT_META_OIFTYPE] = "oiftype",
    [NFT_META_SKUID] = "skuid",
    [NFT_META_SKGID] = "skgid",
    [NFT_META_NFTRACE] = "nftrace",
    [NFT_META_RTCLASSID] = "rtclassid",
    [NFT_META_SECMARK] = "secmark",
    [NFT_META_NFPROTO] = "nfproto",
    [NFT_META_L4PROTO] = "l4proto",
    [NFT_META_BRI_IIFNAME] = "ibrname",
    [NFT_META_BRI_OIFNAME] = "obrname",
    [NFT_META_PKTTYPE] = "pkttype",
    [NFT_META_CPU] = "cpu",
    [NFT_META_IIFGROUP] = "iifgroup",
    [NFT_META_OIFGROUP] = "oifgroup",
    [NFT_META_CGROUP] = "cgroup",
    [NFT_META_PRANDOM] = "random",
    [NFT_META_SECPATH] = "ipsec",
    [NFT_META_IIFKIND] = "iifkind",
    [NFT_META_OIFKIND] = "oifkind",
    [NFT_META_BRI_IIFPVID] = "ibrpvid",
    [NFT_META_BRI_IIFVPROTO] = "ibrvproto",
    [NFT_META_TIME_NS] = "time",
    [NFT_META_TIME_DAY] = "day",
    [NFT_META_TIME_HOUR] = "hour",
};

static const char *meta_reason(struct nft_vm *vm, uint32_t key, bool set)
{
	const size_t n = sizeof(meta_names) / sizeof(meta_names[0]);
	const char *name = key < n ? meta_names[key] : NULL;

	if (!name)
		name = arena_printf(vm->lw->ir->mem, "key %u", key);
	return arena_printf(vm->lw->ir->mem, "meta %s%s", name, set ? " set" : "");
}

/* Bytes that the load writes; 1: a key that we do not know, as many as it likes. */
static uint32_t meta_len(uint32_t key)
{
	switch (key) {
	case NFT_META_PROTOCOL:
	case NFT_META_NFPROTO:
	case NFT_META_L4PROTO:
	case NFT_META_PKTTYPE:
	case NFT_META_LEN:
	case NFT_META_MARK:
	case NFT_META_IIF:
	case NFT_META_OIF:
		return 4;
	case NFT_META_IIFNAME:
	case NFT_META_OIFNAME:
		return 16;
	default:
		return 1;
	}
}

static void lower_meta(struct nft_vm *vm, const struct nexpr *e)
{
	static const uint8_t ethertype[2][2] = {{ETH_P_IP >> 8, ETH_P_IP & 0xff},
						{ETH_P_IPV6 >> 8, ETH_P_IPV6 & 0xff}};
	const uint8_t nfproto = (uint8_t)vm->lw->family;
	int at;

	if (e->meta.set) {
		nft_vm_leave(vm, false, meta_reason(vm, e->meta.key, true));
		return;
	}
	at = load_dest(vm, e, e->meta.dreg, meta_len(e->meta.key));
	if (at < 0)
		return;
	switch (e->meta.key) {
	case NFT_META_LEN:
		nft_reg_set_host(vm, at, F_LEN);
		break;
	case NFT_META_PROTOCOL:
		nft_reg_set_const(vm, at, ethertype[vm->lw->family == FAMILY_IP6], 2);
		break;
	case NFT_META_NFPROTO:
		nft_reg_set_const(vm, at, &nfproto, 1);
		break;
	case NFT_META_L4PROTO:
		test_l4_ok(vm);
		nft_reg_set_host(vm, at, F_L4_PROTO);
		break;
	case NFT_META_MARK:
		nft_reg_set_host(vm, at, F_MARK);
		break;
	/* No device: 0 or an empty name is stored, as in these fields. */
	case NFT_META_IIF:
		nft_reg_set_host(vm, at, F_IIF);
		break;
	case NFT_META_OIF:
		nft_reg_set_host(vm, at, F_OIF);
		break;
	case NFT_META_IIFNAME:
		nft_reg_set_bytes(vm, at, F_IIFNAME, 0, 16);
		break;
	case NFT_META_OIFNAME:
		nft_reg_set_bytes(vm, at, F_OIFNAME, 0, 16);
		break;
	case NFT_META_PKTTYPE:
		nft_reg_set_host(vm, at, F_PKTTYPE);
		break;
	default:
		load_unknown(vm, at, (uint32_t)(NFT_REG_FILE - at),
			     meta_reason(vm, e->meta.key, false));
	}
}

/* ---- ct: net/netfilter/nft_ct.c nft_ct_get_eval() ---- */

static const char *ct_reason(struct nft_vm *vm, uint32_t key, bool set)
{
	static const char *const names[] = {
	    [NFT_CT_STATE] = "state",         [NFT_CT_DIRECTION] = "direction",
	    [NFT_CT_STATUS] = "status",       [NFT_CT_MARK] = "mark",
	    [NFT_CT_SECMARK] = "secmark",     [NFT_CT_EXPIRATION] = "expiration",
	    [NFT_CT_HELPER] = "helper",       [NFT_CT_L3PROTOCOL] = "l3proto",
	    [NFT_CT_SRC] = "saddr",           [NFT_CT_DST] = "daddr",
	    [NFT_CT_PROTOCOL] = "protocol",   [NFT_CT_PROTO_SRC] = "proto-src",
	    [NFT_CT_PROTO_DST] = "proto-dst", [NFT_CT_LABELS] = "label",
	    [NFT_CT_PKTS] = "packets",        [NFT_CT_BYTES] = "bytes",
	    [NFT_CT_AVGPKT] = "avgpkt",       [NFT_CT_ZONE] = "zone",
	    [NFT_CT_EVENTMASK] = "event",     [NFT_CT_SRC_IP] = "saddr",
	    [NFT_CT_DST_IP] = "daddr",        [NFT_CT_SRC_IP6] = "saddr",
	    [NFT_CT_DST_IP6] = "daddr",       [NFT_CT_ID] = "id",
	};
	const char *name = key < sizeof(names) / sizeof(names[0]) ? names[key] : NULL;

	if (!name)
		name = arena_printf(vm->lw->ir->mem, "key %u", key);
	return arena_printf(vm->lw->ir->mem, "ct %s%s", name, set ? " set" : "");
}

static void lower_ct(struct nft_vm *vm, const struct nexpr *e)
{
	enum field id = NFIELD;
	int at;

	if (e->ct.set) {
		nft_vm_leave(vm, false, ct_reason(vm, e->ct.key, true));
		return;
	}
	at = load_dest(vm, e, e->ct.dreg, 4);
	if (at < 0)
		return;
	switch (e->ct.key) {
	case NFT_CT_STATE:
		id = F_CT_STATE;
		break;
	case NFT_CT_STATUS:
		id = F_CT_STATUS;
		break;
	case NFT_CT_MARK:
		id = F_CT_MARK;
		break;
	case NFT_CT_DIRECTION:
		id = F_CT_DIR;
		break;
	}
	if (id == NFIELD || e->ct.has_dir) {
		load_unknown(vm, at, (uint32_t)(NFT_REG_FILE - at),
			     ct_reason(vm, e->ct.key, false));
		return;
	}
	/* The state alone is there without an entry. */
	if (id != F_CT_STATE)
		test_flag(vm, IR_FIELD(CT_OK), 1, &vm->ct_ok);
	nft_reg_set_host(vm, at, id);
}

/* ---- fib: net/ipv4/netfilter/nft_fib_ipv4.c nft_fib4_eval_type() ---- */

static void lower_fib(struct nft_vm *vm, const struct nexpr *e)
{
	uint32_t flags = e->fib.flags, off = flags == NFTA_FIB_F_DADDR ? 16 : 12;
	int at = load_dest(vm, e, e->fib.dreg, 1);
	unsigned i;

	if (at < 0)
		return;
	/* With an interface the answer depends on it; IPv6 asks the whole routing table. */
	if (e->fib.result != NFT_FIB_RESULT_ADDRTYPE || vm->lw->family != FAMILY_IP ||
	    (flags != NFTA_FIB_F_DADDR && flags != NFTA_FIB_F_SADDR) || at + 4 > NFT_REG_FILE) {
		load_unknown(vm, at, (uint32_t)(NFT_REG_FILE - at),
			     e->fib.result == NFT_FIB_RESULT_ADDRTYPE
				 ? "expression fib: address type"
				 : "expression fib: route");
		return;
	}
	for (i = 0; i < 4; i++)
		vm->reg[at + (int)i] = (struct nft_byte){.kind = BYTE_ADDRTYPE,
							 .id = F_NET,
							 .pos = (uint16_t)(off << 2 | i),
							 .mask = 0xff};
}

/* ---- verdicts and counters ---- */

static void lower_jump(struct nft_vm *vm, const struct nft_verdict *v)
{
	struct ir_chain *c = v->chain ? vm->lw->chain(vm->lw, v->chain) : NULL;

	if (c)
		ir_verdict(vm->lw->ir, vm->out, v->code == NFT_JUMP ? V_JUMP : V_GOTO, c);
	else
		nft_vm_leave(vm, false,
			     arena_printf(vm->lw->ir->mem,
					  "jump to chain %s, which is not there",
					  v->chain ? v->chain : ""));
}

static void lower_verdict(struct nft_vm *vm, const struct nft_verdict *v)
{
	if (v->code == NFT_CONTINUE) /* the next expression is run */
		return;
	if (v->code == NFT_BREAK) {
		nft_vm_never(vm);
		return;
	}
	vm->done = true;
	count_hit(vm);
	switch (v->code) {
	case NF_ACCEPT:
		ir_verdict(vm->lw->ir, vm->out, V_ACCEPT, NULL);
		break;
	case NF_DROP:
		ir_verdict(vm->lw->ir, vm->out, V_DROP, NULL);
		break;
	case NFT_RETURN:
		ir_verdict(vm->lw->ir, vm->out, V_RETURN, NULL);
		break;
	case NFT_JUMP:
	case NFT_GOTO:
		lower_jump(vm, v);
		break;
	default:
		nft_vm_leave(vm, false, arena_printf(vm->lw->ir->mem, "verdict %d", v->code));
	}
}

static void lower_immediate(struct nft_vm *vm, const struct nexpr *e)
{
	int at;

	if (e->immediate.is_verdict) {
		lower_verdict(vm, &e->immediate.verdict);
		return;
	}
	at = e->immediate.data ? load_dest(vm, e, e->immediate.dreg, e->immediate.len) : -1;
	if (at >= 0)
		nft_reg_set_const(vm, at, e->immediate.data, e->immediate.len);
	else if (!vm->done)
		nft_vm_leave(vm, false, "expression immediate: no data");
}

/* ---- the rule ---- */

/* Expressions that only find something out, or only move bits between registers. */
static bool opaque_is_pure(const char *name)
{
	static const char *const names[] = {"rt",   "socket", "osf",  "hash",
					    "xfrm", "tunnel", "inner"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static void lower_opaque(struct nft_vm *vm, const struct nexpr *e)
{
	bool pure = opaque_is_pure(e->name);

	leave_name(vm, pure, e);
	/* Where it writes is in its raw bytes: no register is known any more. */
	if (pure)
		nft_reg_set_unknown(vm, 0, NFT_REG_FILE);
}

static void test_else_leave(struct nft_vm *vm, struct ir_field f, struct u128 mask,
			    uint64_t value)
{
	ir_test_masked(vm->lw->ir, vm->out, f, mask, CMP_EQ, U128(value));
	ir_test_last(vm->out)->on_fail = FAIL_LEAVE;
}

/* False: whether the header or option is there cannot be said of any packet. */
static bool test_exthdr_absent(struct nft_vm *vm, const struct nexpr *e)
{
	if (e->exthdr.op == NFT_EXTHDR_OP_IPV6 && vm->lw->family == FAMILY_IP6) {
		/* A walk that fails, or that ends at an AH header, has not seen everything. */
		if (!vm->l4_ok)
			test_else_leave(vm, IR_FIELD(L4_OK), u128_max(1), 1);
		vm->l4_ok = true;
		test_else_leave(vm, IR_FIELD(EXTHDRS), u128_max(1), 0);
		return true;
	}
	if (e->exthdr.op == NFT_EXTHDR_OP_TCPOPT && e->exthdr.type < 64) {
		/* x_tables' walk goes at least as far, and takes kinds for met whose length
		 * runs over. */
		if (!vm->no_frag)
			test_else_leave(vm, IR_FIELD(FRAG), u128_max(2), 0);
		vm->no_frag = true;
		test_else_leave(vm, IR_FIELD(TCPOPTS), U128(1ull << e->exthdr.type), 0);
		return true;
	}
	return false;
}

/*
 * net/netfilter/nft_exthdr.c.  Nearly all packets have none of these headers and options: so
 * much is lowered, a packet that has one is left.
 */
static void lower_exthdr(struct nft_vm *vm, const struct nexpr *e)
{
	static const char *const what[] = {"IPv6 extension header", "TCP option", "IPv4 option",
					   "SCTP chunk", "DCCP option"};
	const size_t n = sizeof(what) / sizeof(what[0]);
	const uint8_t zero = 0;
	const char *reason =
	    arena_printf(vm->lw->ir->mem, "expression exthdr: %s%s",
			 e->exthdr.op < n ? what[e->exthdr.op] : "of unknown kind",
			 e->exthdr.set ? ", written" : "");
	int at;

	if (e->exthdr.set) {
		nft_vm_leave(vm, false, reason);
		return;
	}
	at = load_dest(vm, e, e->exthdr.dreg, 1);
	if (at < 0)
		return;
	if (!test_exthdr_absent(vm, e)) {
		load_unknown(vm, at, (uint32_t)(NFT_REG_FILE - at), reason);
	} else if (e->exthdr.flags & NFT_EXTHDR_F_PRESENT) {
		nft_reg_set_const(vm, at, &zero, 1);
		nft_reg_pad(vm, at, 1);
	} else {
		nft_vm_never(vm);
	}
}

/* The first is the one that the model (and so the legacy view) knows by the rule. */
static void lower_counter(struct nft_vm *vm, const struct rule *r, const struct nexpr *e)
{
	const struct nexpr *before = r->exprs;

	while (before < e && before->kind != NEXPR_COUNTER)
		before++;
	ir_count(vm->lw->ir, vm->out, ir_add_counter(vm->lw->ir, &r->from, before == e));
}

/* An extension that ended the rule for every packet. */
static void note_end(struct nft_vm *vm)
{
	const struct ir_op *last = vm->out->nops ? ir_test_last(vm->out) : NULL;

	if (last)
		vm->done |=
		    last->kind == OP_VERDICT || (last->kind == OP_LEAVE && !last->leave.pure);
}

static void lower_match(struct nft_vm *vm, const struct nexpr *e)
{
	match_lower(vm->lw, &e->xt, vm->out);
	note_end(vm);
}

static void lower_target(struct nft_vm *vm, const struct nexpr *e)
{
	count_hit(vm);
	target_lower(vm->lw, &e->xt, vm->out);
	note_end(vm);
}

static void lower_expr(struct nft_vm *vm, const struct rule *r, const struct nexpr *e)
{
	if (e->odd) {
		nft_vm_leave(vm, false, e->odd);
		return;
	}
	switch (e->kind) {
	case NEXPR_PAYLOAD:
		lower_payload(vm, e);
		break;
	case NEXPR_META:
		lower_meta(vm, e);
		break;
	case NEXPR_CMP:
		nft_lower_cmp(vm, e);
		break;
	case NEXPR_BITWISE:
		nft_lower_bitwise(vm, e);
		break;
	case NEXPR_RANGE:
		nft_lower_range(vm, e);
		break;
	case NEXPR_LOOKUP:
		nft_lower_lookup(vm, e);
		break;
	case NEXPR_IMMEDIATE:
		lower_immediate(vm, e);
		break;
	case NEXPR_COUNTER:
		lower_counter(vm, r, e);
		break;
	case NEXPR_CT:
		lower_ct(vm, e);
		break;
	case NEXPR_EXTHDR:
		lower_exthdr(vm, e);
		break;
	case NEXPR_BYTEORDER:
		nft_lower_byteorder(vm, e);
		break;
	case NEXPR_FIB:
		lower_fib(vm, e);
		break;
	case NEXPR_MATCH:
		lower_match(vm, e);
		break;
	case NEXPR_TARGET:
		lower_target(vm, e);
		break;
	default:
		lower_opaque(vm, e);
	}
}

static bool has_counter(const struct rule *r)
{
	size_t i;

	for (i = 0; i < r->nexprs; i++)
		if (r->exprs[i].kind == NEXPR_COUNTER)
			return true;
	return false;
}

void lower_nft_rule(struct lower *lw, const struct rule *r, struct ir_rule *out)
{
	struct nft_vm vm = {.lw = lw, .rule = r, .out = out, .counted = has_counter(r)};
	size_t i;

	for (i = 0; !vm.done && i < r->nexprs; i++)
		lower_expr(&vm, r, &r->exprs[i]);
	if (!vm.done)
		count_hit(&vm);
}
