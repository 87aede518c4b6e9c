// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses of -s and -d: libxtables' xtables_ipparse_multiple() and
 * xtables_ip6parse_multiple(), except that names of hosts and networks are not looked up: what
 * such a rule means was settled when it was loaded, and no resolver can tell us that now.
 */
#include "read/read_save.h"

#include <ctype.h>
#include <string.h>

static bool parse_mask(const char *text, bool v6, uint8_t mask[16])
{
	unsigned bits, len = v6 ? 16 : 4, max = 8 * len, i;
	const void *numeric;

	numeric = v6 ? (const void *)xtables_numeric_to_ip6addr(text)
		     : xtables_numeric_to_ipmask(text);
	memset(mask, 0, 16);
	if (text[0] && numeric) {
		memcpy(mask, numeric, len);
		return true;
	}
	if (!xtables_strtoui(text, NULL, &bits, 0, max))
		return false;
	for (i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return true;
}

/* One of the list: xtables_ipparse_multiple() without names. */
static int parse_address(struct save_cmd *c, struct save_addrs *a, char *text)
{
	uint8_t *addr = a->list[a->n].addr, *mask = a->list[a->n].mask;
	bool v6 = c->family == FAMILY_IP6;
	size_t len = v6 ? 16 : 4, i;
	char *slash = strrchr(text, '/');
	const void *numeric;

	memset(mask, 0, 16);
	memset(mask, 0xff, len);
	if (slash) {
		*slash = '\0';
		if (!parse_mask(slash + 1, v6, mask))
			return save_cmd_blame(c, a->arg, "invalid mask `%s'", slash + 1);
	}
	memset(addr, 0, 16);
	a->n++;
	for (i = 0; i < len && !mask[i]; i++)
		;
	if (i == len)
		return 0; /* any name will do before /0 */
	numeric = v6 ? (const void *)xtables_numeric_to_ip6addr(text)
		     : xtables_numeric_to_ipaddr(text);
	if (!numeric)
		return save_cmd_blame(c, a->arg, "`%s' is not a numeric %s address", text,
				      v6 ? "IPv6" : "IPv4");
	memcpy(addr, numeric, len);
	for (i = 0; i < len; i++)
		addr[i] &= mask[i];
	return 0;
}

static int parse_addresses(struct save_cmd *c, struct save_addrs *a)
{
	char any4[] = "0.0.0.0/0", any6[] = "::/0";
	char *text = a->text, *comma;
	size_t n = 1;
	int err;

	if (!text)
		text = c->family == FAMILY_IP6 ? any6 : any4;
	for (comma = strchr(text, ','); comma; comma = strchr(comma + 1, ','))
		n++;
	if (n > a->room) {
		a->room = 2 * n;
		a->list = arena_array(c->table->mem, a->room, sizeof(*a->list));
	}
	for (; text; text = comma) {
		comma = strchr(text, ',');
		if (comma)
			*comma++ = '\0';
		while (isspace((unsigned char)*text))
			text++;
		err = parse_address(c, a, text);
		if (err)
			return err;
	}
	return 0;
}

int save_addr_parse(struct save_cmd *c)
{
	int err = parse_addresses(c, &c->src);

	if (!err)
		err = parse_addresses(c, &c->dst);
	if (err)
		return err;
	if ((c->src.n > 1 || c->dst.n > 1) && (c->inv & (IPT_INV_SRCIP | IPT_INV_DSTIP)))
		return save_cmd_blame(
		    c, c->src.n > 1 ? c->src.arg : c->dst.arg,
		    "! not allowed with multiple source or destination addresses");
	if (c->command == CMD_REPLACE && (c->src.n != 1 || c->dst.n != 1))
		return save_cmd_blame(c, c->src.n > 1 ? c->src.arg : c->dst.arg,
				      "replacement rule does not specify a unique address");
	return 0;
}
