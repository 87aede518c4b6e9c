// SPDX-License-Identifier: GPL-2.0
#include "drops.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/net.h"
#include "placement.h"
#include "read/read.h"
#include "shim/view.h"

struct drops_rule {
	struct origin from;
	const char *text; /* NULL: not to be had */
};

struct drops_unit {
	const char *site;
	struct drops_rule *rules; /* by counter */
	uint32_t n;
};

struct drops {
	struct arena *mem;
	uint32_t serial;
	struct drops_unit *units; /* by site_config.unit */
	size_t nunits;
};

/* ---- rules by origin ---- */

struct known {
	uint64_t hash;
	const struct origin *from;
	const struct rule *rule; /* NULL: a policy */
	const struct chain *chain;
};

static int by_hash(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static struct known *known_make(const struct ruleset *rs, size_t *n)
{
	struct known *all = NULL;
	const struct table *t;
	const struct chain *c;
	const struct rule *r;
	size_t count = 0, room = 0;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			room += 1 + c->nrules;
	all = calloc(room + 1, sizeof(*all));
	if (!all)
		no_memory();
	for (t = rs->tables; t; t = t->next) {
		for (c = t->chains; c; c = c->next) {
			all[count++] = (struct known){origin_hash(&c->from), &c->from, NULL, c};
			for (r = c->rules; r && count < room; r = r->next)
				all[count++] =
				    (struct known){origin_hash(&r->from), &r->from, r, c};
		}
	}
	qsort(all, count, sizeof(*all), by_hash);
	*n = count;
	return all;
}

static const struct known *known_find(const struct known *all, size_t n,
				      const struct origin *from)
{
	struct known key = {.hash = origin_hash(from)};
	const struct known *k = bsearch(&key, all, n, sizeof(*all), by_hash);

	while (k && k > all && k[-1].hash == key.hash)
		k--;
	for (; k && k < all + n && k->hash == key.hash; k++)
		if (origin_same(k->from, from))
			return k;
	return NULL;
}

static const char *known_text(const struct known *k, struct arena *mem)
{
	struct buf text = {0};
	const char *out;

	if (k->rule && !k->rule->text)
		return NULL;
	if (k->rule)
		view_print_rule(k->rule, &text);
	else
		buf_printf(&text, "policy %s", k->chain->policy ? "ACCEPT" : "DROP");
	out = arena_strdup(mem, buf_str(&text));
	buf_free(&text);
	return out;
}

/* ---- the table of an install ---- */

/* The texts are asked for after the rules were read: are they still those? */
static bool rules_stayed(const struct service *s, const struct options *o)
{
	struct diag quiet = {0};
	uint32_t generation;
	uint64_t seq;
	bool stayed = !read_nft_generation(&generation, &quiet) && generation == s->generation;

	diag_free(&quiet);
	if (stayed && s->observed)
		stayed = !kern_observed(o->bpffs, &seq) && seq == s->legacy_seq;
	return stayed;
}

static void unit_fill(struct drops *t, const struct unit *u, const struct known *all, size_t n,
		      bool stayed)
{
	struct drops_unit *out = &t->units[t->nunits++];
	uint32_t i;

	out->site = site_specs[u->site].name;
	if (!u->ir)
		return;
	out->n = u->ir->ncounters;
	out->rules = arena_array(t->mem, out->n, sizeof(*out->rules));
	for (i = 0; i < out->n; i++) {
		const struct origin *from = &u->ir->counters[i].from;
		const struct known *k = known_find(all, n, from);

		out->rules[i].from = *from;
		out->rules[i].from.table = arena_strdup(t->mem, from->table);
		out->rules[i].from.chain = arena_strdup(t->mem, from->chain);
		if (k && (stayed || !k->rule))
			out->rules[i].text = known_text(k, t->mem);
	}
}

struct drops *drops_make(struct service *s, const struct options *o)
{
	struct diag quiet = {0};
	const struct unit *u;
	struct known *all;
	struct drops *t;
	size_t n, units = 1;
	bool stayed;

	if (!s->rs)
		return NULL;
	if (!s->texts)
		view_annotate(s->rs, &quiet);
	s->texts = true;
	diag_free(&quiet);
	stayed = rules_stayed(s, o);
	t = calloc(1, sizeof(*t));
	if (!t)
		no_memory();
	t->mem = arena_new();
	t->serial = s->serial;
	for (u = s->hooks; u; u = u->next)
		units++;
	t->units = arena_array(t->mem, units, sizeof(*t->units));
	all = known_make(s->rs, &n);
	/* In the order of service.c: the early one is unit 0, there or not. */
	if (s->early)
		unit_fill(t, s->early, all, n, stayed);
	else
		t->nunits++;
	for (u = s->hooks; u; u = u->next)
		unit_fill(t, u, all, n, stayed);
	free(all);
	return t;
}

void drops_free(struct drops *t)
{
	if (t)
		arena_free(t->mem);
	free(t);
}

/* ---- the packet, in words ---- */

static void flags_print(uint8_t flags, struct buf *out)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh",
					    "ack", "urg", "ece", "cwr"};
	const char *between = " ";
	int i;

	for (i = 0; i < 8; i++) {
		if (!(flags & 1 << i))
			continue;
		buf_printf(out, "%s%s", between, names[i]);
		between = ",";
	}
}

static void address_print(int family, const uint8_t *addr, const uint8_t *port, struct buf *out)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(family, addr, text, sizeof(text));
	if (!port)
		buf_puts(out, text);
	else if (family == AF_INET6)
		buf_printf(out, "[%s]:%u", text, be16(port));
	else
		buf_printf(out, "%s:%u", text, be16(port));
}

struct words {
	int family;
	const uint8_t *src, *dst, *l4; /* l4: NULL: not there or cut off */
	size_t nl4;
	uint8_t proto;
	const char *more; /* what else is to be said of the packet */
};

static bool has_ports(const struct words *w)
{
	return w->l4 && w->nl4 >= 4 &&
	       (w->proto == IPPROTO_TCP || w->proto == IPPROTO_UDP ||
		w->proto == IPPROTO_UDPLITE || w->proto == IPPROTO_SCTP);
}

static void words_print(const struct words *w, struct buf *out)
{
	bool ports = has_ports(w), icmp = w->proto == IPPROTO_ICMP,
	     icmp6 = w->proto == IPPROTO_ICMPV6;

	switch (w->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
		buf_puts(out, w->proto == IPPROTO_TCP    ? "tcp "
			      : w->proto == IPPROTO_UDP  ? "udp "
			      : w->proto == IPPROTO_SCTP ? "sctp "
							 : "udplite ");
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		buf_puts(out, icmp ? "icmp " : "icmp6 ");
		break;
	default:
		buf_puts(out, w->family == AF_INET6 ? "ip6 " : "ip ");
	}
	address_print(w->family, w->src, ports ? w->l4 : NULL, out);
	buf_puts(out, " > ");
	address_print(w->family, w->dst, ports ? w->l4 + 2 : NULL, out);
	if ((icmp || icmp6) && w->l4 && w->nl4 >= 2)
		buf_printf(out, " %u/%u", w->l4[0], w->l4[1]);
	else if (w->proto == IPPROTO_TCP && ports && w->nl4 >= 14)
		flags_print(w->l4[13], out);
	else if (!ports && !icmp && !icmp6)
		buf_printf(out, " proto %u", w->proto);
	buf_puts(out, w->more);
}

/* Extension headers as far as they are there (RFC 8200); more: when it ends before a transport
 * header. */
static void walk6(const uint8_t *nh, size_t len, struct words *w)
{
	size_t off = 40;

	w->proto = nh[6];
	while (w->proto == IPPROTO_HOPOPTS || w->proto == IPPROTO_ROUTING ||
	       w->proto == IPPROTO_DSTOPTS || w->proto == IPPROTO_FRAGMENT ||
	       w->proto == IPPROTO_AH) {
		size_t step;

		if (off + 8 > len)
			return;
		if (w->proto == IPPROTO_FRAGMENT && be16(nh + off + 2) & 0xfff8) {
			w->proto = nh[off];
			w->more = " (a later fragment)";
			return;
		}
		step = w->proto == IPPROTO_FRAGMENT ? 8
		       : w->proto == IPPROTO_AH     ? (nh[off + 1] + 2u) * 4
						    : (nh[off + 1] + 1u) * 8;
		w->proto = nh[off];
		off += step;
	}
	if (off < len) {
		w->l4 = nh + off;
		w->nl4 = len - off;
	}
}

static void packet_print(uint8_t family, const uint8_t *nh, size_t len, struct buf *out)
{
	struct words w = {.more = ""};
	size_t ihl;

	if (family == AF_INET && len >= 20) {
		ihl = (nh[0] & 15u) * 4;
		w.family = AF_INET;
		w.src = nh + 12;
		w.dst = nh + 16;
		w.proto = nh[9];
		if (be16(nh + 6) & 0x1fff) {
			w.more = " (a later fragment)";
		} else if (ihl >= 20 && ihl < len) {
			w.l4 = nh + ihl;
			w.nl4 = len - ihl;
		}
	} else if (family == AF_INET6 && len >= 40) {
		w.family = AF_INET6;
		w.src = nh + 8;
		w.dst = nh + 24;
		walk6(nh, len, &w);
	} else {
		buf_printf(out, "(%zu bytes)", len);
		return;
	}
	words_print(&w, out);
}

/* ---- a record ---- */

static double record_time(const struct drop_record *r)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
	       (double)(int64_t)(kern_watch_now() - r->time) / 1e9;
}

static json_t *rule_json(const struct drops_rule *r)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s?}", "backend",
			 backend_name(r->from.backend), "family", family_name(r->from.family),
			 "table", r->from.table, "chain", r->from.chain, "index",
			 (json_int_t)r->from.index, "handle", (json_int_t)r->from.handle,
			 "text", r->text);
}

static json_t *hex_json(const uint8_t *bytes, size_t n)
{
	char text[2 * DROP_BYTES + 1];
	size_t i;

	for (i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	text[2 * n] = '\0';
	return json_string(text);
}

json_t *drops_json(const struct drops *t, const struct drop_record *r)
{
	size_t n = r->captured > DROP_BYTES ? DROP_BYTES : r->captured;
	size_t link = r->link > n ? n : r->link;
	char name[IF_NAMESIZE] = "";
	const struct drops_unit *u = NULL;
	struct buf packet = {0};
	json_t *j, *rule = NULL;

	if (t && t->serial == r->serial && r->unit < t->nunits)
		u = &t->units[r->unit];
	if (u && r->counter < u->n)
		rule = rule_json(&u->rules[r->counter]);
	if (!if_indextoname(r->iif ? r->iif : r->oif, name))
		snprintf(name, sizeof(name), "#%u", r->iif ? r->iif : r->oif);
	packet_print(r->family, r->data + link, n - link, &packet);
	j = json_pack("{s:f,s:s,s:s,s:b,s:s,s:I,s:o,s:i,s:o}", "time", record_time(r), "site",
		      u && u->site ? u->site
		      : r->link    ? "early"
				   : "nf",
		      "interface", name, "out", !r->iif, "packet", buf_str(&packet), "length",
		      (json_int_t)r->len, "rule", rule ? rule : json_null(), "link", (int)link,
		      "bytes", hex_json(r->data, n));
	buf_free(&packet);
	return j;
}
