// SPDX-License-Identifier: GPL-2.0
#include "words.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/net.h"

#define ETH_BYTES 14
#define MAX_WORDS 128

struct words {
	char text[4096], more[4096];
	const char *word[MAX_WORDS + 1]; /* NULL at the end */
	size_t at;
	char *error;
	bool bad;
};

/* One IP packet while it is put together. */
struct parts {
	uint8_t *nh;
	size_t room, len, l4; /* bytes so far; where the transport header is */
	size_t next;          /* offset of the byte that names the next header */
	bool six, bad_ip_sum, bad_sum, no_sum;
	uint8_t proto;
	long len_field, ihl, version, cut; /* -1: as it is */
};

static void wrong(struct words *w, const char *fmt, ...)
{
	va_list ap;

	if (w->bad)
		return;
	w->bad = true;
	va_start(ap, fmt);
	vsnprintf(w->error, 128, fmt, ap);
	va_end(ap);
}

static const char *take(struct words *w)
{
	if (w->word[w->at])
		return w->word[w->at++];
	wrong(w, "something is missing at the end");
	return "";
}

static bool next_is(struct words *w, const char *word)
{
	if (!w->word[w->at] || strcmp(w->word[w->at], word))
		return false;
	w->at++;
	return true;
}

static unsigned long take_number(struct words *w, unsigned long max)
{
	const char *s = take(w);
	unsigned long v;
	char *end;

	v = strtoul(s, &end, 0);
	if (!*s || *end || v > max)
		wrong(w, "'%s' is not a number up to %lu", s, max);
	return v;
}

/* Bytes of hex digits; colons between are allowed. */
static size_t hex_bytes(struct words *w, const char *s, uint8_t *out, size_t room)
{
	size_t n = 0;
	unsigned v;

	for (; *s; s += 2) {
		if (*s == ':' && s[1])
			s++;
		if (n == room || sscanf(s, "%2x", &v) != 1 || !s[1]) {
			wrong(w, "bad or too many hex digits at '%s'", s);
			return n;
		}
		out[n++] = (uint8_t)v;
	}
	return n;
}

static void take_mac(struct words *w, uint8_t *mac)
{
	const char *s = take(w);

	if (!strcmp(s, "broadcast"))
		memset(mac, 0xff, 6);
	else if (hex_bytes(w, s, mac, 6) != 6)
		wrong(w, "'%s' is not a MAC address", s);
}

static uint8_t *append(struct words *w, struct parts *p, size_t n)
{
	static uint8_t nowhere[WORDS_FRAME_MAX];
	uint8_t *at = p->nh + p->len;

	if (n > p->room - p->len) {
		wrong(w, "the frame is too long");
		return nowhere;
	}
	memset(at, 0, n);
	p->len += n;
	return at;
}

static size_t append_hex(struct words *w, struct parts *p, const char *s)
{
	uint8_t bytes[WORDS_FRAME_MAX];
	size_t n = hex_bytes(w, s, bytes, sizeof(bytes));

	memcpy(append(w, p, n), bytes, n);
	return n;
}

/* ---- checksums ---- */

static void sum_l4(struct parts *p)
{
	size_t len = p->len - p->l4, at;
	uint8_t *th = p->nh + p->l4;
	uint32_t pseudo;
	uint16_t sum;

	switch (p->proto) {
	case 6:
		at = 16;
		break;
	case 17:
		at = 6;
		break;
	case 1:
	case 58:
		at = 2;
		break;
	default:
		return;
	}
	if (p->no_sum || len < at + 2)
		return;
	pseudo = net_sum(p->nh + (p->six ? 8 : 12), p->six ? 32 : 8, (uint32_t)len + p->proto);
	sum = net_sum_fold(net_sum(th, len, p->proto == 1 ? 0 : pseudo));
	if (p->proto == 17 && !sum)
		sum = 0xffff;
	put_be16(th + at, p->bad_sum ? sum ^ 0x0101 : sum);
}

/* ---- transport ---- */

static void take_ports(struct words *w, uint8_t *th)
{
	put_be16(th, (uint16_t)take_number(w, 65535));
	if (!next_is(w, ">"))
		wrong(w, "'>' is missing between the ports");
	put_be16(th + 2, (uint16_t)take_number(w, 65535));
}

static uint8_t take_flags(struct words *w)
{
	static const char letters[] = "FSRPAUEC";
	const char *s = take(w), *at;
	uint8_t flags = 0;

	if (!strcmp(s, "none"))
		return 0;
	for (; *s; s++) {
		at = strchr(letters, *s);
		if (!at)
			wrong(w, "no TCP flag '%c'", *s);
		else
			flags |= (uint8_t)(1u << (at - letters));
	}
	return flags;
}

static void build_tcp(struct words *w, struct parts *p)
{
	uint8_t *th = append(w, p, 20);
	long doff = -1;
	size_t n = 0;

	take_ports(w, th);
	put_be32(th + 4, 1000);
	put_be16(th + 14, 64000);
	th[13] = 2;
	for (;;) {
		if (next_is(w, "flags"))
			th[13] = take_flags(w);
		else if (next_is(w, "doff"))
			doff = (long)take_number(w, 15);
		else if (next_is(w, "opts"))
			n = append_hex(w, p, take(w));
		else
			break;
	}
	th[12] = (uint8_t)((doff >= 0 ? (size_t)doff : (20 + n) / 4) << 4);
}

static void build_udp(struct words *w, struct parts *p, bool lite)
{
	uint8_t *th = append(w, p, 8);
	long ulen = -1;

	take_ports(w, th);
	if (next_is(w, "ulen"))
		ulen = (long)take_number(w, 65535);
	put_be16(th + 4, lite        ? 0
			 : ulen >= 0 ? (uint16_t)ulen
				     : 0xfffe); /* 0xfffe: what there is, set at the end */
}

static void build_packet(struct words *w, struct parts *p);

static void build_icmp(struct words *w, struct parts *p)
{
	uint8_t *th = append(w, p, 8);
	struct parts inner;
	const char *s = take(w);
	unsigned type, code = 0;

	if (sscanf(s, "%u/%u", &type, &code) < 1 || type > 255 || code > 255)
		wrong(w, "'%s' is not TYPE[/CODE]", s);
	th[0] = (uint8_t)type;
	th[1] = (uint8_t)code;
	if (next_is(w, "id"))
		put_be16(th + 4, (uint16_t)take_number(w, 65535));
	if (!next_is(w, "of"))
		return;
	inner = (struct parts){.nh = p->nh + p->len, .room = p->room - p->len};
	build_packet(w, &inner);
	p->len += inner.len;
}

static void take_data(struct words *w, struct parts *p)
{
	for (;;) {
		if (next_is(w, "data")) {
			if (w->word[w->at] && w->word[w->at][0] == 'x')
				append_hex(w, p, take(w) + 1);
			else
				append(w, p, take_number(w, 1600));
		} else if (next_is(w, "cut")) {
			p->cut = (long)take_number(w, 1600);
		} else if (next_is(w, "nosum")) {
			p->no_sum = true;
		} else if (next_is(w, "badsum")) {
			p->bad_sum = true;
		} else {
			return;
		}
	}
}

static void build_l4(struct words *w, struct parts *p)
{
	const char *s;

	p->l4 = p->len;
	if (!w->word[w->at]) { /* a bare header: no next header */
		p->nh[p->next] = p->six ? 59 : 255;
		return;
	}
	s = take(w);
	if (!strcmp(s, "tcp")) {
		p->proto = 6;
		build_tcp(w, p);
	} else if (!strcmp(s, "udp") || !strcmp(s, "udplite")) {
		p->proto = s[3] ? 136 : 17;
		build_udp(w, p, s[3]);
	} else if (!strcmp(s, "icmp") || !strcmp(s, "icmp6")) {
		p->proto = s[4] ? 58 : 1;
		build_icmp(w, p);
	} else if (!strcmp(s, "sctp")) {
		p->proto = 132;
		take_ports(w, append(w, p, 12));
	} else if (!strcmp(s, "esp")) {
		p->proto = 50;
		put_be32(append(w, p, 24), 0x1234);
	} else if (!strcmp(s, "proto")) {
		p->proto = (uint8_t)take_number(w, 255);
	} else {
		wrong(w, "unknown word '%s'", s);
	}
	take_data(w, p);
	p->nh[p->next] = p->proto;
	if (p->proto == 17 && p->len >= p->l4 + 8 && be16(p->nh + p->l4 + 4) == 0xfffe)
		put_be16(p->nh + p->l4 + 4, (uint16_t)(p->len - p->l4));
	if (p->cut >= 0 && p->l4 + (size_t)p->cut < p->len)
		p->len = p->l4 + (size_t)p->cut;
	sum_l4(p);
}

/* ---- network ---- */

/* BYTES[+]: offset and whether more follow. */
static unsigned take_fragment(struct words *w, bool *more)
{
	const char *s = take(w);
	unsigned long v;
	char *end;

	v = strtoul(s, &end, 0);
	*more = *end == '+';
	if (end == s || (*end && strcmp(end, "+")) || v % 8 || v > 65528)
		wrong(w, "'%s' is not a fragment's offset in bytes", s);
	return (unsigned)v;
}

static void take_addresses(struct words *w, int af, uint8_t *src, uint8_t *dst)
{
	const char *s = take(w);

	if (inet_pton(af, s, src) != 1)
		wrong(w, "'%s' is not an address", s);
	if (!next_is(w, ">"))
		wrong(w, "'>' is missing between the addresses");
	s = take(w);
	if (inet_pton(af, s, dst) != 1)
		wrong(w, "'%s' is not an address", s);
}

static void build_ip(struct words *w, struct parts *p)
{
	uint8_t *nh = append(w, p, 20);
	unsigned frag = 0;
	bool more;

	take_addresses(w, AF_INET, nh + 12, nh + 16);
	nh[8] = 64;
	p->next = 9;
	for (;;) {
		if (next_is(w, "ttl"))
			nh[8] = (uint8_t)take_number(w, 255);
		else if (next_is(w, "tos"))
			nh[1] = (uint8_t)take_number(w, 255);
		else if (next_is(w, "id"))
			put_be16(nh + 4, (uint16_t)take_number(w, 65535));
		else if (next_is(w, "df"))
			frag |= 0x4000;
		else if (next_is(w, "opts"))
			append_hex(w, p, take(w));
		else if (next_is(w, "frag"))
			frag |= take_fragment(w, &more) / 8 | (more ? 0x2000 : 0);
		else if (next_is(w, "len"))
			p->len_field = (long)take_number(w, 65535);
		else if (next_is(w, "ihl"))
			p->ihl = (long)take_number(w, 15);
		else if (next_is(w, "ver"))
			p->version = (long)take_number(w, 15);
		else if (next_is(w, "badsum"))
			p->bad_ip_sum = true;
		else
			break;
	}
	put_be16(nh + 6, (uint16_t)frag);
	build_l4(w, p);
	nh[0] = (uint8_t)((p->version >= 0 ? p->version : 4) << 4 |
			  (p->ihl >= 0 ? p->ihl : (long)p->l4 / 4));
	put_be16(nh + 2, (uint16_t)(p->len_field >= 0 ? (size_t)p->len_field : p->len));
	/* Over what the header says it has: the kernel sums no other bytes. */
	put_be16(
	    nh + 10,
	    net_sum_fold(net_sum(
		nh, p->ihl >= 5 && (size_t)p->ihl * 4 <= p->len ? (size_t)p->ihl * 4 : p->l4,
		0)));
	if (p->bad_ip_sum)
		nh[11] ^= 1;
}

static uint8_t *extension(struct words *w, struct parts *p, uint8_t kind, size_t n)
{
	p->nh[p->next] = kind;
	p->next = p->len;
	return append(w, p, n);
}

static bool take_extension(struct words *w, struct parts *p)
{
	uint8_t *h, kind;
	unsigned frag;
	bool more;

	if (next_is(w, "hbh") || next_is(w, "dst")) {
		h = extension(w, p, w->word[w->at - 1][0] == 'h' ? 0 : 60, 8);
		h[2] = 1; /* PadN of 4 */
		h[3] = 4;
	} else if (next_is(w, "rt")) {
		kind = (uint8_t)take_number(w, 255);
		h = extension(w, p, 43, 24);
		h[1] = 2;
		h[2] = kind;
	} else if (next_is(w, "frag")) {
		frag = take_fragment(w, &more);
		h = extension(w, p, 44, 8);
		put_be16(h + 2, (uint16_t)(frag | more));
		put_be32(h + 4, 0x77);
	} else if (next_is(w, "ah")) {
		h = extension(w, p, 51, 24);
		h[1] = 4;
	} else if (next_is(w, "ext")) {
		kind = (uint8_t)take_number(w, 255);
		extension(w, p, kind, 1);
		append_hex(w, p, take(w));
	} else {
		return false;
	}
	return true;
}

static void build_ip6(struct words *w, struct parts *p)
{
	uint8_t *nh = append(w, p, 40);
	unsigned class = 0, flow = 0;

	p->six = true;
	take_addresses(w, AF_INET6, nh + 8, nh + 24);
	nh[7] = 64;
	p->next = 6;
	for (;;) {
		if (next_is(w, "hop"))
			nh[7] = (uint8_t)take_number(w, 255);
		else if (next_is(w, "class"))
			class = (unsigned)take_number(w, 255);
		else if (next_is(w, "flow"))
			flow = (unsigned)take_number(w, 0xfffff);
		else if (next_is(w, "plen"))
			p->len_field = (long)take_number(w, 65535);
		else if (next_is(w, "ver"))
			p->version = (long)take_number(w, 15);
		else if (!take_extension(w, p))
			break;
	}
	build_l4(w, p);
	put_be32(nh, (uint32_t)(p->version >= 0 ? p->version : 6) << 28 | class << 20 | flow);
	put_be16(nh + 4, (uint16_t)(p->len_field >= 0 ? (size_t)p->len_field : p->len - 40));
}

static void build_packet(struct words *w, struct parts *p)
{
	p->len_field = p->ihl = p->version = p->cut = -1;
	if (next_is(w, "ip"))
		build_ip(w, p);
	else if (next_is(w, "ip6"))
		build_ip6(w, p);
	else
		wrong(w, "'ip' or 'ip6' is missing before '%s'",
		      w->word[w->at] ? w->word[w->at] : "the end");
}

/* ---- the frame ---- */

static void words_split(struct words *w, const char *text)
{
	size_t n = 0;
	char *s, *save;

	/* NULL: w->text is there already. */
	if (text && (size_t)snprintf(w->text, sizeof(w->text), "%s", text) >= sizeof(w->text))
		wrong(w, "too many words");
	for (s = strtok_r(w->text, " \t\n", &save); s; s = strtok_r(NULL, " \t\n", &save)) {
		if (n == MAX_WORDS) {
			wrong(w, "too many words");
			break;
		}
		w->word[n++] = s;
	}
	w->word[n] = NULL;
}

static void build_frame(struct words *w, struct words_packet *f)
{
	struct parts p = {.room = WORDS_FRAME_MAX - 100};
	long type = -1, pad = 0, cut = -1;
	size_t head = 12, i, ntags = 0;
	uint16_t tags[4], ip_type;
	const char *trail = "";

	f->bytes[0] = f->bytes[6] = 2;
	f->bytes[11] = 0xaa;
	for (;;) {
		if (next_is(w, "to")) {
			take_mac(w, f->bytes);
			f->to_said = true;
		} else if (next_is(w, "from"))
			take_mac(w, f->bytes + 6);
		else if (next_is(w, "vlan") && ntags < 4)
			tags[ntags++] = (uint16_t)take_number(w, 65535);
		else if (next_is(w, "ethertype"))
			type = (long)take_number(w, 65535);
		else if (next_is(w, "pad"))
			pad = (long)take_number(w, 1600);
		else if (next_is(w, "trail"))
			trail = take(w);
		else if (next_is(w, "short"))
			cut = (long)take_number(w, 1600);
		else
			break;
	}
	for (i = 0; i < ntags; i++, head += 4) {
		put_be16(f->bytes + head, 0x8100);
		put_be16(f->bytes + head + 2, tags[i]);
	}
	ip_type = w->word[w->at] && !strcmp(w->word[w->at], "ip6") ? 0x86dd : 0x0800;
	put_be16(f->bytes + head, type >= 0 ? (uint16_t)type : ip_type);
	p.nh = f->bytes + head + 2;
	build_packet(w, &p);
	append_hex(w, &p, trail);
	f->len = head + 2 + p.len;
	if (f->len < (size_t)pad)
		f->len = (size_t)pad;
	if (cut >= 0 && f->len > (size_t)cut)
		f->len = (size_t)cut;
}

/* ---- the short form ---- */

/* ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT; *port: -1 if there is none. */
static void split_address(struct words *w, const char *s, char addr[64], long *port)
{
	const char *end = s + strlen(s), *colon = strrchr(s, ':');
	unsigned long v;
	char *rest;

	*port = -1;
	if (*s == '[') {
		end = strchr(s, ']');
		colon = end && end[1] == ':' ? end + 1 : NULL;
		s++;
	} else if (colon && colon != strchr(s, ':')) {
		colon = NULL; /* of IPv6 */
	} else if (colon) {
		end = colon;
	}
	if (!end || end - s >= 64) {
		wrong(w, "'%s' is not an address", s);
		return;
	}
	memcpy(addr, s, (size_t)(end - s));
	addr[end - s] = '\0';
	if (!colon)
		return;
	v = strtoul(colon + 1, &rest, 10);
	if (!colon[1] || *rest || v > 65535)
		wrong(w, "'%s' is not a port", colon + 1);
	*port = (long)v;
}

static bool is_short(const struct words *w)
{
	static const char *const protos[] = {"tcp",  "udp",   "udplite", "sctp",
					     "icmp", "icmp6", "esp"};
	const char *const *word = &w->word[w->at];
	size_t i;

	for (i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (word[0] && !strcmp(word[0], protos[i]))
			return word[1] && word[2] && !strcmp(word[2], ">") &&
			       (strchr(word[1], '.') || strchr(word[1], ':'));
	return false;
}

/* "syn", "syn,ack", "S." … as words; one that is none of them ends the flags. */
static bool take_flag_names(struct words *w, char letters[16])
{
	static const struct {
		const char *name;
		char letter;
	} names[] = {{"syn", 'S'}, {"ack", 'A'}, {"fin", 'F'}, {"rst", 'R'},
		     {"psh", 'P'}, {"urg", 'U'}, {"ece", 'E'}, {"cwr", 'C'}};
	const char *s = w->word[w->at];
	size_t n = strlen(letters), len, i;

	for (; s && *s; s += len + (s[len] == ',')) {
		len = strcspn(s, ",");
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (len == strlen(names[i].name) && !memcmp(s, names[i].name, len))
				break;
		if (i == sizeof(names) / sizeof(names[0]) || n >= 15)
			return false;
		letters[n++] = names[i].letter;
	}
	if (s)
		w->at++;
	return s;
}

/* "tcp 10.0.0.1:1234 > 192.0.2.1:22 syn …" becomes "ip … tcp …", which follows in w. */
static void expand_short(struct words *w)
{
	const char *proto = take(w), *from = take(w), *to;
	char src[64] = "", dst[64] = "", flags[16] = "", *text = w->text;
	long sport, dport;
	size_t n = 0, at;
	static const size_t room = sizeof(w->text);
	bool ports = strncmp(proto, "icmp", 4) && strcmp(proto, "esp");

	take(w); /* ">" */
	to = take(w);
	split_address(w, from, src, &sport);
	split_address(w, to, dst, &dport);
	if (!ports && (sport >= 0 || dport >= 0))
		wrong(w, "%s has no ports", proto);
	while (!strcmp(proto, "tcp") && take_flag_names(w, flags))
		;
	at = w->at;
	if (w->bad)
		return;
	text = w->more;
	if (ports)
		n = (size_t)snprintf(text, room, "%s %s > %s %s %ld > %ld",
				     strchr(src, ':') ? "ip6" : "ip", src, dst, proto,
				     sport < 0 ? 1024 : sport, dport < 0 ? 0 : dport);
	else
		n = (size_t)snprintf(text, room, "%s %s > %s %s",
				     strchr(src, ':') ? "ip6" : "ip", src, dst, proto);
	if (*flags)
		n += (size_t)snprintf(text + n, room - n, " flags %s", flags);
	for (; w->word[at] && n < room; at++)
		n += (size_t)snprintf(text + n, room - n, " %s", w->word[at]);
	if (n >= room) {
		wrong(w, "too many words");
		return;
	}
	snprintf(w->text, room, "%s", w->more);
	w->at = 0;
	words_split(w, NULL);
}

/* ---- what surrounds the packet ---- */

static void take_ifname(struct words *w, char name[16])
{
	const char *s = take(w);

	if (strlen(s) > 15 || !*s)
		wrong(w, "'%s' is not an interface's name", s);
	else
		strcpy(name, s);
}

static uint32_t take_state(struct words *w)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} states[] = {
	    {"invalid", 1}, {"established", 2}, {"related", 4}, {"new", 8}, {"untracked", 64}};
	const char *s = take(w);
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(states[i].name, s))
			return states[i].bit;
	wrong(w, "unknown state '%s'", s);
	return 0;
}

static bool take_around(struct words *w, struct words_packet *p)
{
	if (next_is(w, "in") || next_is(w, "on"))
		take_ifname(w, p->iifname);
	else if (next_is(w, "out"))
		take_ifname(w, p->oifname);
	else if (next_is(w, "mark"))
		p->mark = (uint32_t)take_number(w, UINT32_MAX);
	else if (next_is(w, "state"))
		p->ct_state = take_state(w);
	else
		return false;
	return true;
}

int words_packet(const char *text, struct words_packet *out, char error[128])
{
	struct words *w = calloc(1, sizeof(*w));
	struct words_packet *p = calloc(1, sizeof(*p));
	int bad;

	if (!w || !p)
		no_memory();
	w->error = error;
	words_split(w, text);
	while (take_around(w, p))
		;
	if (is_short(w))
		expand_short(w);
	p->to_said = next_is(w, "hex");
	if (p->to_said)
		p->len = hex_bytes(w, take(w), p->bytes, WORDS_FRAME_MAX);
	else
		build_frame(w, p);
	while (take_around(w, p))
		;
	if (w->word[w->at])
		wrong(w, "nothing can follow before '%s'", w->word[w->at]);
	if (p->len < ETH_BYTES)
		wrong(w, "a frame has at least 14 bytes");
	bad = w->bad;
	if (!bad)
		*out = *p;
	free(w);
	free(p);
	return bad ? -1 : 0;
}
