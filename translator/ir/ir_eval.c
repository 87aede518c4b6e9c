// SPDX-License-Identifier: GPL-2.0
/*
 * The meaning of the IR, one packet at a time.  Read this beside nft_do_chain()
 * (net/netfilter/nf_tables_core.c) and ipt_do_table() (net/ipv4/netfilter/ip_tables.c): one
 * walk serves both, because their differences are in the ops (hotdrop, dialect) and not in the
 * walk.
 */
#include "ir/ir_eval.h"

#include <stdlib.h>
#include <string.h>
#include "bpf/abi.h"

#define MAX_DEPTH 16
/* An acyclic graph of chains can still be walked for ages; an ir that is one is left. */
#define MAX_STEPS (1u << 24)

/* What a rule or a chain of rules came to. */
enum outcome {
	GO_ON, /* the next op, the next rule, the next stage */
	NEXT,  /* this rule is done */
	ACCEPT,
	DROP,
	LEAVE, /* result->reason says why */
	RETURN,
	CALL, /* run->target says where */
};

struct run {
	const struct ir *ir;
	const struct packet_view *view;
	struct eval_result *out;
	const struct ir_stage *stage;
	const struct ir_rule *rule; /* being run */
	struct ir_target target;    /* of CALL */
	bool early;
	unsigned steps;
};

static const struct origin *rule_origin(const struct ir_rule *r)
{
	return r->nfrom ? r->from[0] : NULL;
}

static enum outcome leave(struct run *run, const char *reason)
{
	run->out->reason = reason;
	return LEAVE;
}

static enum outcome count(struct run *run, uint32_t counter)
{
	if (run->out->nhits == EVAL_MAX_HITS)
		return leave(run, "too many counters for one packet");
	run->out->hits[run->out->nhits++] = counter;
	return GO_ON;
}

/* False: an early site does not know the conntrack state that is asked for. */
static bool field_get(struct run *run, struct ir_field f, struct u128 *value)
{
	*value = packet_view_field(run->view, run->stage->dialect, f);
	if (f.id != F_CT_STATE || !run->early)
		return true;
	run->out->tracked = true;
	return value->lo;
}

/* A packet that is taken for new is invalid if its checksum is wrong: what would then be
 * answered otherwise hangs on it. */
static void ct_used(struct run *run, const struct ir_op *op, struct u128 state)
{
	if (run->early && state.lo == CT_STATE_NEW && ir_asks_new(op))
		run->out->used_ct = true;
}

#define CT_NOT_KNOWN "conntrack state not known"

bool ir_test_holds(const struct ir_op *op, struct u128 value)
{
	bool inside;

	value = u128_and(value, op->test.mask);
	switch (op->test.cmp) {
	case CMP_EQ:
		return u128_eq(value, op->test.a);
	case CMP_NE:
		return !u128_eq(value, op->test.a);
	case CMP_IN:
	case CMP_OUT:
		inside = u128_cmp(op->test.a, value) <= 0 && u128_cmp(value, op->test.b) <= 0;
		return inside == (op->test.cmp == CMP_IN);
	case NCMP:
		break;
	}
	abort(); /* ir_check() */
}

static enum outcome failed(struct run *run, const struct ir_op *op)
{
	if (op->on_fail == FAIL_LEAVE)
		return leave(run, "kernels differ here");
	return op->on_fail == FAIL_DROP ? DROP : NEXT;
}

static enum outcome run_test(struct run *run, const struct ir_op *op)
{
	struct u128 value;

	if (!field_get(run, op->test.field, &value))
		return leave(run, CT_NOT_KNOWN);
	if (op->test.field.id == F_CT_STATE)
		ct_used(run, op, value);
	return ir_test_holds(op, value) ? GO_ON : failed(run, op);
}

/* The element, or -1; false: a field of the key is not known. */
static bool find(struct run *run, const struct ir_op *op, long *element)
{
	const struct ir_set *s = op->lookup.set;
	struct u128 key[IR_MAX_KEY_FIELDS];
	bool known = true;
	unsigned i;

	for (i = 0; i < s->nfields; i++) {
		if (!field_get(run, op->lookup.key[i].field, &key[i]))
			known = false;
		if (op->lookup.key[i].field.id == F_CT_STATE)
			ct_used(run, op, key[i]);
		key[i] = u128_and(key[i], op->lookup.key[i].mask);
	}
	if (known)
		*element = ir_set_find(s, key);
	return known;
}

static enum outcome run_lookup(struct run *run, const struct ir_op *op)
{
	long element;

	if (!find(run, op, &element))
		return leave(run, CT_NOT_KNOWN);
	return (element >= 0) != op->lookup.negate ? GO_ON : failed(run, op);
}

static enum outcome run_target(struct run *run, const struct ir_target *t,
			       enum outcome on_continue)
{
	switch (t->verdict) {
	case V_CONTINUE:
		return on_continue;
	case V_ACCEPT:
		return ACCEPT;
	case V_DROP:
		return DROP;
	case V_RETURN:
		return RETURN;
	case V_JUMP:
	case V_GOTO:
		run->target = *t;
		return CALL;
	case NVERDICT:
		break;
	}
	abort(); /* ir_check() */
}

/* nft_lookup_eval(): without an element and without a catch-all the rule does not match. */
static enum outcome run_vmap(struct run *run, const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;
	long element;

	if (!find(run, op, &element))
		return leave(run, CT_NOT_KNOWN);
	if (element >= 0)
		return run_target(run, &s->targets[s->value[element]], GO_ON);
	if (s->miss >= 0)
		return run_target(run, &s->targets[s->miss], GO_ON);
	return NEXT;
}

static enum outcome run_op(struct run *run, const struct ir_op *op)
{
	switch (op->kind) {
	case OP_TEST:
		return run_test(run, op);
	case OP_LOOKUP:
		return run_lookup(run, op);
	case OP_VMAP:
		return run_vmap(run, op);
	case OP_COUNT:
		return count(run, op->count);
	case OP_LEAVE:
		return leave(run, op->leave.reason);
	case OP_VERDICT:
		return run_target(run, &op->verdict, NEXT);
	case NOP_KIND:
		break;
	}
	abort(); /* ir_check() */
}

static enum outcome run_rule(struct run *run, const struct ir_rule *r)
{
	enum outcome o = GO_ON;
	uint32_t i;

	run->rule = r;
	if (run->steps++ == MAX_STEPS)
		return leave(run, "too many rules for one packet");
	for (i = 0; i < r->nops && o == GO_ON; i++)
		o = run_op(run, &r->ops[i]);
	return o;
}

static enum outcome run_policy(struct run *run)
{
	const struct ir_chain *base = run->stage->chain;

	run->out->by = &base->from;
	if (count(run, (uint32_t)base->policy_counter) == LEAVE)
		return LEAVE;
	return base->policy.verdict == V_DROP ? DROP : ACCEPT;
}

/*
 * A jump remembers the rule behind it, a goto does not: so what a chain reached by goto comes
 * back to is the last jump, and at base level the policy.
 */
static enum outcome run_base(struct run *run)
{
	const struct ir_rule *stack[MAX_DEPTH], *r = run->stage->chain->rules;
	enum outcome o;
	unsigned depth = 0;

	for (;;) {
		if (!r) { /* the chain's end */
			if (!depth)
				return run_policy(run);
			r = stack[--depth];
			continue;
		}
		o = run_rule(run, r);
		switch (o) {
		case GO_ON:
		case NEXT:
			r = r->next;
			break;
		case RETURN:
			r = NULL;
			break;
		case CALL:
			if (run->target.verdict == V_JUMP) {
				if (depth == MAX_DEPTH) {
					run->out->by = rule_origin(r);
					return leave(run, "jumps too deep");
				}
				stack[depth++] = r->next;
			}
			r = run->target.chain->rules;
			break;
		case ACCEPT:
		case DROP:
		case LEAVE:
			run->out->by = rule_origin(r);
			return o;
		}
	}
}

/* net/netfilter/nf_nat_core.c nf_nat_inet_fn(): only a connection's first packet is shown to
 * the nat chains. */
static enum outcome run_stage(struct run *run)
{
	struct u128 state;
	enum outcome o;

	run->out->tracked |= run->stage->tracked;
	if (run->stage->new_only) {
		if (!field_get(run, IR_FIELD(CT_STATE), &state)) {
			run->out->by = &run->stage->chain->from;
			return leave(run, CT_NOT_KNOWN);
		}
		if (state.lo != CT_STATE_NEW)
			return ACCEPT;
		run->out->used_ct = run->early;
	}
	o = run_base(run);
	if (o == DROP && run->stage->order_unknown)
		return leave(run, "order of two chains at one priority not known");
	return o;
}

/* Appends to out->hits; the outcome is ACCEPT, DROP or LEAVE. */
static enum outcome run_entry(struct run *run, enum ir_entry_id id)
{
	const struct ir_entry *e = &run->ir->entries[id];
	enum outcome o = ACCEPT;
	size_t i;

	run->steps = 0;
	if (!e->used)
		return ACCEPT;
	if (e->family != run->view->family)
		return leave(run, "not a packet of this entry's family");
	for (i = 0; i < e->nstages && o == ACCEPT; i++) {
		run->stage = &e->stages[i];
		o = run_stage(run);
	}
	return o;
}

static void result_set(struct eval_result *out, enum outcome o)
{
	switch (o) {
	case ACCEPT:
		out->verdict = EVAL_ACCEPT;
		return;
	case DROP:
		out->verdict = EVAL_DROP;
		return;
	default:
		out->verdict = EVAL_LEAVE;
		return;
	}
}

static void result_clear(struct eval_result *out)
{
	out->verdict = EVAL_LEAVE;
	out->by = NULL;
	out->reason = NULL;
	out->used_ct = out->tracked = false;
	out->nhits = 0;
	out->bytes = 0;
}

void ir_eval(const struct ir *ir, enum ir_entry_id entry, const struct packet *p,
	     struct eval_result *out)
{
	struct packet_view view;
	struct run run = {
	    .ir = ir, .view = &view, .out = out, .early = site_specs[ir->site].early};

	result_clear(out);
	if (!packet_view_init(&view, p)) {
		out->reason = "not an IP packet that reaches a hook";
		return;
	}
	out->bytes = (uint32_t)view.len;
	result_set(out, run_entry(&run, entry));
}

/* ---- the early site ---- */

/* net/ethernet/eth.c eth_type_trans(): -1 for a frame to someone else. */
static int frame_pkttype(const uint8_t *frame, const struct early_world *world)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (!memcmp(frame, broadcast, 6))
		return 1;
	if (frame[0] & 1)
		return 2;
	if (world->check_mac && memcmp(frame, world->mac, 6))
		return -1;
	return 0;
}

/* Headers that hide what follows: extension headers, and others that parts of the kernel treat
 * so. */
static bool next_header_plain(uint8_t next)
{
	switch (next) {
	case 0:   /* hop-by-hop */
	case 43:  /* routing */
	case 44:  /* fragment */
	case 51:  /* AH */
	case 59:  /* none */
	case 60:  /* destination */
	case 135: /* mobility */
	case 139: /* HIP */
	case 140: /* shim6 */
		return false;
	}
	return true;
}

static bool transport_complete(uint8_t proto, enum family family, const uint8_t *th,
			       size_t avail)
{
	size_t doff;

	switch (proto) {
	case 6:
		doff = avail < 20 ? 0 : (size_t)(th[12] >> 4) * 4;
		return doff >= 20 && doff <= avail;
	case 17:
		return avail >= 8;
	case 1:
		return family != FAMILY_IP || avail >= 8;
	case 58:
		return family != FAMILY_IP6 || avail >= 8;
	}
	return true;
}

/* Why a packet is not plain enough for an early site, or NULL. */
static const char *not_plain(const struct packet_view *v)
{
	const struct l4_info *l4 = &v->l4[DIALECT_NFT];

	if (v->family == FAMILY_IP) {
		if ((v->nh[0] & 15) != 5)
			return "IPv4 options";
		if (be16(v->nh + 6) & 0x3fff)
			return "fragment";
	} else {
		if (!next_header_plain(v->nh[6]))
			return "IPv6 extension header";
		if (v->len == 40) /* a length of 0 is also how a jumbogram begins */
			return "IPv6 packet without payload";
	}
	if (!transport_complete(l4->proto, v->family, v->nh + l4->off, v->len - l4->off))
		return "transport header incomplete";
	return NULL;
}

/*
 * net/ipv4/ip_forward.c ip_forward(), net/ipv6/ip6_output.c ip6_forward(): the time to live is
 * taken down before the forward hook sees the packet.  False: the kernel will not forward it.
 */
static bool decrease_hops(uint8_t *nh, enum family family)
{
	uint32_t check;

	if (family == FAMILY_IP6) {
		if (nh[7] <= 1)
			return false;
		nh[7]--;
		return true;
	}
	if (nh[8] <= 1)
		return false;
	nh[8]--;
	/* ip_decrease_ttl(): the checksum follows (RFC 1141), and never becomes 0xffff. */
	check = be16(nh + 10) + 0x0100u;
	put_be16(nh + 10, (uint16_t)(check + (check >= 0xffff)));
	return true;
}

struct early {
	struct run run;
	struct packet_view view;
	struct packet packet; /* as the site sees it; its data may be written */
	const struct early_world *world;
};

static enum outcome early_in(struct early *e)
{
	return run_entry(&e->run, e->view.family == FAMILY_IP ? ENTRY_IN4 : ENTRY_IN6);
}

static enum outcome early_forward(struct early *e, uint8_t *data)
{
	uint8_t *nh = data + (e->view.nh - e->packet.data);

	if (!decrease_hops(nh, e->view.family))
		return leave(&e->run, "not forwarded: time to live");
	return run_entry(&e->run, e->view.family == FAMILY_IP ? ENTRY_FWD4 : ENTRY_FWD6);
}

static enum outcome early_entries(struct early *e, uint8_t *data)
{
	uint32_t oif = 0;
	char oifname[16] = "";
	enum outcome o;

	o = run_entry(&e->run, e->view.family == FAMILY_IP ? ENTRY_PRE4 : ENTRY_PRE6);
	if (o != ACCEPT)
		return o;
	if (e->packet.pkttype != 0)
		return leave(&e->run, "not sent to this host alone");
	switch (e->world->route ? e->world->route(e->world->ctx, e->view.family, e->view.nh,
						  e->packet.iif, &oif, oifname)
				: ROUTE_UNKNOWN) {
	case ROUTE_LOCAL:
		return early_in(e);
	case ROUTE_FORWARD:
		e->packet.oif = oif;
		memcpy(e->packet.oifname, oifname, sizeof(oifname));
		return early_forward(e, data);
	default:
		return leave(&e->run, "route not known");
	}
}

static bool can_be_asked(const struct early *e)
{
	uint8_t proto = e->view.l4[DIALECT_NFT].proto;

	return proto == 6 || proto == 17;
}

/* A drop was decided: NULL if it is certain, else why not.  The class is that of the packet as
 * it came. */
static const char *drop_uncertain(const struct early *e, const uint8_t *nh)
{
	const struct early_world *w = e->world;

	if (e->run.out->nhits > PKT_MAX_HITS)
		return "too many counters for one packet";
	if (!e->run.out->used_ct && !e->run.out->tracked &&
	    !w->nat[e->view.family == FAMILY_IP6])
		return NULL;
	if (w->ct_entry_exists)
		return "conntrack has an entry";
	if (!e->run.out->used_ct)
		return can_be_asked(e) ? NULL : "conntrack cannot be asked for this protocol";
	if (e->packet.ct_state == 8 &&
	    packet_ct_class(nh, e->view.len, e->view.family, w->tcp_loose, true) != 8)
		return "checksum wrong";
	return NULL;
}

/*
 * The class is certain for a SYN, for UDP, and for flags that are never right.  Of any other
 * TCP segment an entry may be about to appear: that of a packet just before it
 * (tcp_valid_flags[] has the right ones).
 */
static uint32_t early_class(const struct early *e)
{
	static const uint8_t uncertain[] = {0x12, 0x04, 0x14, 0x11, 0x31, 0x10, 0x30};
	const struct l4_info *l4 = &e->view.l4[DIALECT_NFT];
	size_t i;

	if (l4->proto == 6)
		for (i = 0; i < sizeof(uncertain); i++)
			if ((e->view.nh[l4->off + 13] & 0x37) == uncertain[i])
				return 0;
	return packet_ct_class(e->view.nh, e->view.len, e->view.family, e->world->tcp_loose,
			       false);
}

/* TCP with payload may be merged by GRO before any hook; UDP to a DHCP client is read in front
 * of netfilter. */
static const char *not_single(const struct early *e)
{
	const struct l4_info *l4 = &e->view.l4[DIALECT_NFT];
	const uint8_t *th = e->view.nh + l4->off;
	size_t avail = e->view.len - l4->off;

	if (l4->proto == 17 && be16(th + 2) == 68)
		return "to a DHCP client";
	/* The last question walks all rules. */
	if (l4->proto == 6 && e->run.ir->site == SITE_XDP &&
	    avail > (size_t)(th[12] >> 4) * 4 && ir_is_merge_sensitive(e->run.ir))
		return "a segment that may be merged with others";
	return NULL;
}

static enum outcome early_judge(struct early *e, const struct packet *p, uint8_t *data)
{
	struct eval_result *out = e->run.out;
	const char *why;
	enum outcome o;
	int pkttype;

	if (!p->has_ll || p->len < 14)
		return leave(&e->run, "no Ethernet frame");
	pkttype = frame_pkttype(p->data, e->world);
	if (pkttype < 0)
		return leave(&e->run, "frame to another host");
	e->packet.pkttype = (uint8_t)pkttype;
	if (!packet_view_init(&e->view, &e->packet))
		return leave(&e->run, "not a plain IP packet");
	out->bytes = (uint32_t)e->view.len;
	why = not_plain(&e->view);
	if (why)
		return leave(&e->run, why);
	why = not_single(e);
	if (why)
		return leave(&e->run, why);
	/* drop_unicast_in_l2_multicast: ip6_rcv_core() drops it, ip_rcv_finish_core() behind
	 * PREROUTING */
	if (e->packet.pkttype != 0 && e->view.family == FAMILY_IP6 && e->view.nh[24] != 0xff)
		return leave(&e->run, "unicast in a frame to a group");
	if (e->world->ct_sure)
		e->packet.ct_state = early_class(e);
	o = early_entries(e, data);
	if (o == ACCEPT)
		return leave(&e->run, "accepted: the kernel goes on");
	if (o != DROP)
		return o;
	why = drop_uncertain(e, e->view.nh);
	return why ? leave(&e->run, why) : DROP;
}

void ir_eval_early(const struct ir *ir, const struct packet *p, const struct early_world *world,
		   struct eval_result *out)
{
	uint8_t *data = malloc(p->len ? p->len : 1);
	struct early e = {.world = world, .packet = *p};

	if (!data)
		abort(); /* as the arena: out of memory ends the process */
	if (p->len)
		memcpy(data, p->data, p->len);
	e.run = (struct run){.ir = ir, .view = &e.view, .out = out, .early = true};
	e.packet.data = data;
	/* What no early site knows, and at the hooks before the route there is no output
	 * device. */
	e.packet.oif = 0;
	memset(e.packet.oifname, 0, sizeof(e.packet.oifname));
	e.packet.mark = 0;
	e.packet.ct_state = e.packet.ct_status = e.packet.ct_mark = 0;
	e.packet.ct_dir = e.packet.ct_ok = 0;
	result_clear(out);
	result_set(out, early_judge(&e, p, data));
	free(data);
}
