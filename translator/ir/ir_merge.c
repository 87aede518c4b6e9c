// SPDX-License-Identifier: GPL-2.0
/*
 * GRO makes one packet of consecutive TCP segments of a flow, between XDP and the netfilter
 * hooks (net/ipv4/tcp_offload.c tcp_gro_receive(), net/ipv4/af_inet.c inet_gro_complete()).
 * What it keeps are the addresses, the ports, the acknowledgement and the flags but FIN and
 * PSH; lengths, the IPv4 id, the sequence number and the checksums change.
 */
#include "ir/ir.h"

static bool overlaps(struct ir_field f, unsigned from, unsigned to)
{
	return f.off < to && f.off + f.len > from;
}

/* Bytes 0 to 3 of the TCP header are the ports; of byte 13 all flags but FIN (1) and PSH (8)
 * are kept. */
static bool field_changes(struct ir_field f, struct u128 mask)
{
	switch (f.id) {
	case F_LEN:
		return true;
	case F_NET: /* IPv4 length and id, checksum; IPv6 length */
		return overlaps(f, 2, 6) || overlaps(f, 10, 12);
	case F_TH:
		if (f.off == 13 && f.len == 1)
			return mask.lo & 9;
		return f.off + f.len > 4;
	default:
		return false;
	}
}

static bool op_changes(const struct ir_op *op)
{
	unsigned i;

	if (op->kind == OP_TEST)
		return field_changes(op->test.field, op->test.mask);
	if (op->kind != OP_LOOKUP && op->kind != OP_VMAP)
		return false;
	for (i = 0; i < op->lookup.set->nfields; i++)
		if (field_changes(op->lookup.key[i].field, op->lookup.key[i].mask))
			return true;
	return false;
}

bool ir_is_merge_sensitive(const struct ir *ir)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	uint32_t i;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			for (i = 0; i < r->nops; i++)
				if (op_changes(&r->ops[i]))
					return true;
	return false;
}
