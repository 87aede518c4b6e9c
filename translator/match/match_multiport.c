// SPDX-License-Identifier: GPL-2.0
/* net/netfilter/xt_multiport.c multiport_mt(), ports_match_v1() */
#include "match/matches.h"

#include <linux/netfilter/xt_multiport.h>
#include <string.h>

struct port_ranges {
	uint16_t lo[XT_MULTI_PORTS], hi[XT_MULTI_PORTS];
	unsigned n;
};

/* False: a range without its end, which the kernel's checkentry does not let through. */
static bool decode(const struct xt_multiport_v1 *info, struct port_ranges *r)
{
	unsigned i;

	r->n = 0;
	if (info->count > XT_MULTI_PORTS)
		return false;
	for (i = 0; i < info->count; i++) {
		uint16_t lo = info->ports[i], hi = lo;

		if (info->pflags[i]) {
			if (++i == info->count)
				return false;
			hi = info->ports[i];
		}
		if (lo > hi) /* holds no port */
			continue;
		r->lo[r->n] = lo;
		r->hi[r->n++] = hi;
	}
	return true;
}

static const char *set_name(struct lower *lw, const struct port_ranges *r, bool either)
{
	struct buf b = {0};
	const char *name;
	unsigned i;

	buf_puts(&b, either ? "either port" : "ports");
	for (i = 0; i < r->n; i++) {
		buf_printf(&b, "%c%u", i ? ',' : ' ', r->lo[i]);
		if (r->hi[i] != r->lo[i])
			buf_printf(&b, "-%u", r->hi[i]);
	}
	name = arena_strdup(lw->ir->mem, buf_str(&b));
	buf_free(&b);
	return name;
}

static const struct ir_set *port_set(struct lower *lw, const struct port_ranges *r, bool either)
{
	static const uint8_t width[2] = {2, 2};
	const char *name = set_name(lw, r, either);
	struct ir_set *s = xt_set_find(lw, name);
	unsigned i;

	if (s)
		return s;
	s = ir_add_set(lw->ir, name, either ? 2 : 1, width);
	for (i = 0; i < r->n; i++) {
		struct u128 lo = U128(r->lo[i]), hi = U128(r->hi[i]);

		ir_set_add(lw->ir, s, (struct u128[]){lo, U128(0)},
			   (struct u128[]){hi, u128_max(2)}, 0);
		if (either)
			ir_set_add(lw->ir, s, (struct u128[]){U128(0), lo},
				   (struct u128[]){u128_max(2), hi}, 0);
	}
	xt_set_finish(lw, s);
	return s;
}

static void lower_ports(struct lower *lw, struct ir_rule *out, const struct port_ranges *r,
			uint8_t flags, bool invert)
{
	bool either = flags == XT_MULTIPORT_EITHER;
	struct ir_key key[2] = {xt_key(IR_WINDOW(TH, 0, 2)), xt_key(IR_WINDOW(TH, 2, 2))};

	if (flags == XT_MULTIPORT_DESTINATION)
		key[0] = key[1];
	if (!r->n)
		xt_constant(lw, out, invert);
	else if (r->n == 1 && !either)
		xt_range(lw, out, key[0].field, U128(r->lo[0]), U128(r->hi[0]), invert);
	else
		xt_lookup(lw, out, port_set(lw, r, either), key, invert);
}

void match_multiport1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_multiport_v1 info;
	struct port_ranges r;

	memcpy(&info, data, sizeof(info));
	if (info.flags > XT_MULTIPORT_EITHER || info.invert > 1 || !decode(&info, &r)) {
		xt_leave(lw, out, false, "match multiport in an unknown form");
		return;
	}
	/* It reads the two ports only, whatever the protocol's header. */
	if (xt_transport(lw, out, "multiport", 4))
		lower_ports(lw, out, &r, info.flags, info.invert);
}
