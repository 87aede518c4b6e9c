// SPDX-License-Identifier: GPL-2.0
/*
 * Rules come from tables of templates, one line per test or target.  In a template stand for
 * random values:
 *   %!  an inversion, or nothing        %P  a port           %R  a port or a range   %L several
 * ports %A  an address                      %N  a network        %Y  a range of addresses %I an
 * interface                    %b  a byte           %w  16 bits             %W  a range of them
 *   %q  a range of 32 bits              %m  a MAC address    %M  a mark, maybe with a mask
 *   %T  a type of address               %C  states of connections      %F  TCP flags: mask and
 * value %S  an ipset and its directions     %s  a named nft set of the type that follows: a
 * address, p port, 2 both %6  six bits                        %l  a length of a packet Values
 * lie on boundaries more often than between them.  Networks and ports are few, so that packets
 * hit.
 */
#include "genrules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V4 = 1, V6 = 2, BOTH = 3 };
/* Where a test or target may stand. */
enum { PRE = 1, IN = 2, FWD = 4, OUT = 8, INGRESS = PRE | IN | FWD, ANYWHERE = 15 };

struct template
{
	const char *text;
	int families, hooks;
	const char *tables; /* NULL: any; else substrings of "raw mangle nat filter" */
};

struct gen {
	struct gen_rules *out;
	uint64_t state;
	bool six, nft;
	bool helped; /* conntrack looks into TFTP: what it expects is related */
};

uint64_t gen_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static unsigned below(struct gen *g, unsigned n)
{
	return (unsigned)((gen_random(&g->state) >> 16) % n);
}

static bool chance(struct gen *g, unsigned percent)
{
	return below(g, 100) < percent;
}

/* ---- texts ---- */

void gen_text_add(struct gen_text *t, const char *line)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->lines = realloc(t->lines, t->room * sizeof(*t->lines));
		t->out = realloc(t->out, t->room * sizeof(*t->out));
		if (!t->lines || !t->out)
			abort();
	}
	t->lines[t->n] = strdup(line);
	if (!t->lines[t->n])
		abort();
	t->out[t->n++] = false;
}

int gen_text_read(struct gen_text *t, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;

	if (!f)
		return -errno;
	while (getline(&line, &room, f) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		gen_text_add(t, line);
	}
	free(line);
	fclose(f);
	return 0;
}

int gen_text_write(const struct gen_text *t, const char *path)
{
	FILE *f = fopen(path, "w");
	size_t i;

	if (!f)
		return -errno;
	for (i = 0; i < t->n; i++)
		if (!t->out[i])
			fprintf(f, "%s\n", t->lines[i]);
	return fclose(f) ? -errno : 0;
}

void gen_rules_free(struct gen_rules *g)
{
	size_t i, n;

	for (i = 0; i < NGEN_PART; i++) {
		for (n = 0; n < g->part[i].n; n++)
			free(g->part[i].lines[n]);
		free(g->part[i].lines);
		free(g->part[i].out);
	}
	memset(g, 0, sizeof(*g));
}

__attribute__((format(printf, 3, 4))) static void line(struct gen *g, enum gen_part part,
						       const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gen_text_add(&g->out->part[part], text);
}

/* ---- values ---- */

struct out {
	char *p;
	size_t len, room;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->p + o->len, o->room - o->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n < o->room - o->len ? (size_t)n : o->room - o->len - 1;
}

static unsigned pick_port(struct gen *g)
{
	static const uint16_t ports[] = {22,    22,    53,   80,   443,  0,   1,
					 65535, 65534, 1023, 1024, 8080, 137, 32768};

	return chance(g, 85) ? ports[below(g, sizeof(ports) / sizeof(ports[0]))]
			     : below(g, 65536);
}

static unsigned pick_byte(struct gen *g)
{
	static const uint8_t bytes[] = {0, 1, 2, 63, 64, 65, 128, 254, 255};

	return chance(g, 75) ? bytes[below(g, sizeof(bytes))] : below(g, 256);
}

static unsigned pick_length(struct gen *g)
{
	static const uint16_t lengths[] = {0,  20, 28, 40,   41,   44,   48,
					   52, 60, 72, 1000, 1500, 65535};

	return chance(g, 75) ? lengths[below(g, 13)] : below(g, 120);
}

static unsigned pick_word(struct gen *g)
{
	static const uint16_t words[] = {0, 1, 255, 256, 0x7fff, 0x8000, 65534, 65535};

	return chance(g, 70) ? words[below(g, 8)] : below(g, 65536);
}

static uint32_t pick_long(struct gen *g)
{
	static const uint32_t longs[] = {0,          1,          255,       0x7fffffff,
					 0x80000000, 0xfffffffe, 0xffffffff};

	return chance(g, 60) ? longs[below(g, 7)] : (uint32_t)gen_random(&g->state);
}

static void put_range(struct gen *g, struct out *o, uint32_t a, uint32_t b)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;

	if (low == high)
		put(o, "%u", low);
	else
		put(o, "%u%c%u", low, g->nft ? '-' : ':', high);
}

static uint32_t pick_ip4(struct gen *g)
{
	static const uint32_t own[] = {0x0a090001, 0x0a090002, 0x0a0900ff, 0x0a090101,
				       0x0a090102, 0x08080808, 0xe0000001, 0x7f000001};

	if (chance(g, 30))
		return own[below(g, 8)];
	return chance(g, 80) ? 0x0a090000 + below(g, 256) : (uint32_t)gen_random(&g->state);
}

static void pick_ip6(struct gen *g, uint8_t ip[16])
{
	static const uint8_t first[16] = {0x20, 1, 0x0d, 0xb8, 0, 9};

	memcpy(ip, first, 16);
	if (chance(g, 30))
		ip[5] = 10;
	ip[15] = (uint8_t)(chance(g, 40) ? 1 : below(g, 42));
	if (chance(g, 8)) {
		memset(ip, 0, 16);
		ip[0] = 0xff;
		ip[1] = 2;
		ip[15] = 1;
	}
}

static void put_address(struct gen *g, struct out *o, unsigned plen)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	unsigned i, bits = g->six ? 128 : 32;
	uint32_t a;

	if (g->six) {
		pick_ip6(g, ip);
	} else {
		a = htonl(pick_ip4(g));
		memcpy(ip, &a, 4);
	}
	for (i = plen; i < bits; i++)
		ip[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	put(o, "%s", inet_ntop(g->six ? AF_INET6 : AF_INET, ip, text, sizeof(text)));
}

static void put_network(struct gen *g, struct out *o)
{
	static const uint8_t four[] = {0, 1, 4, 8, 16, 24, 25, 26, 28, 31, 32, 32},
			     six[] = {0, 1, 3, 16, 48, 63, 64, 65, 120, 125, 127, 128};
	unsigned plen = g->six ? six[below(g, 12)] : four[below(g, 12)];

	if (!g->nft && !g->six && chance(g, 8)) {
		put(o, "10.9.0.%u/255.255.255.%u", below(g, 2) * 64, 65 + below(g, 2) * 128);
		return;
	}
	put_address(g, o, plen);
	put(o, "/%u", plen);
}

static void put_address_range(struct gen *g, struct out *o)
{
	unsigned a = below(g, 200), b = a + 1 + below(g, 55);

	if (g->six)
		put(o, "2001:db8:9::%x-2001:db8:9::%x", a / 8, b / 8 + 1);
	else
		put(o, "10.9.0.%u-10.9.0.%u", a, b);
}

static void put_ports(struct gen *g, struct out *o)
{
	unsigned n = 1 + below(g, 6), at = below(g, 100), end;

	while (n-- && at < 65000) {
		end = chance(g, 40) ? at + 1 + below(g, 60) : at;
		put_range(g, o, at, end);
		at = end + 2 + below(g, chance(g, 50) ? 50 : 9000);
		if (n && at < 65000)
			put(o, g->nft ? ", " : ",");
	}
}

static void put_states(struct gen *g, struct out *o)
{
	static const char *const up[] = {"NEW", "ESTABLISHED", "RELATED", "INVALID",
					 "UNTRACKED"};
	static const char *const low[] = {"new", "established", "related", "invalid",
					  "untracked"};
	unsigned some = 1 + below(g, 31), i;
	const char *comma = "";

	if (chance(g, 50))
		some = 1u << below(g, 5);
	for (i = 0; i < 5; i++) {
		if (!(some >> i & 1))
			continue;
		put(o, "%s%s", comma, g->nft ? low[i] : up[i]);
		comma = ",";
	}
}

static void put_flags(struct gen *g, struct out *o)
{
	static const char *const both[] = {"FIN,SYN,RST,ACK SYN",
					   "FIN,SYN,RST,PSH,ACK,URG NONE",
					   "SYN,FIN SYN,FIN",
					   "ACK ACK",
					   "FIN,SYN,RST,PSH,ACK,URG FIN,PSH,URG",
					   "RST RST",
					   "SYN,RST SYN,RST",
					   "URG NONE",
					   "SYN,ACK SYN"};

	put(o, "%s", both[below(g, 9)]);
}

static void put_set(struct gen *g, struct out *o)
{
	static const struct {
		const char *name;
		int families, words;
	} sets[] = {{"hosts", BOTH, 1},   {"nets", BOTH, 1}, {"hostport", BOTH, 2},
		    {"netport", BOTH, 2}, {"ports", V4, 1},  {"bits", V4, 1}};
	const char *a = below(g, 3) ? "src" : "dst", *b = below(g, 3) ? "dst" : "src";
	unsigned i = below(g, g->six ? 4 : 6);

	put(o, "%s%s %s", sets[i].name, g->six ? "6" : "", a);
	if (sets[i].words == 2)
		put(o, ",%s", b);
}

static void put_type(struct gen *g, struct out *o)
{
	static const char *const four[] = {"LOCAL",           "BROADCAST",        "MULTICAST",
					   "UNICAST",         "UNSPEC",           "ANYCAST",
					   "LOCAL,BROADCAST", "UNICAST,MULTICAST"};
	static const char *const six[] = {"LOCAL", "MULTICAST", "UNICAST", "UNSPEC", "ANYCAST"};
	static const char *const low[] = {"local", "broadcast", "multicast", "unicast"};

	put(o, "%s", g->nft ? low[below(g, 4)] : g->six ? six[below(g, 5)] : four[below(g, 8)]);
}

static void put_value(struct gen *g, struct out *o, const char **p)
{
	static const char *const ifaces[] = {"eth0", "eth1", "eth+", "eth2",
					     "lo",   "e+",   "eth0+"};
	static const char *const nft_ifaces[] = {"eth0", "eth1", "eth*", "eth2", "lo"};

	switch (*(*p)++) {
	case '!':
		put(o, chance(g, 30) ? (g->nft ? "!= " : "! ") : "");
		break;
	case 'P':
		put(o, "%u", pick_port(g));
		break;
	case 'R':
		chance(g, 50) ? put_range(g, o, pick_port(g), pick_port(g))
			      : put(o, "%u", pick_port(g));
		break;
	case 'L':
		put_ports(g, o);
		break;
	case 'A':
		put_address(g, o, g->six ? 128 : 32);
		break;
	case 'N':
		put_network(g, o);
		break;
	case 'Y':
		put_address_range(g, o);
		break;
	case 'I':
		put(o, "%s", g->nft ? nft_ifaces[below(g, 5)] : ifaces[below(g, 7)]);
		break;
	case 'b':
		put(o, "%u", pick_byte(g));
		break;
	case '6':
		put(o, "%u", pick_byte(g) & 63);
		break;
	case 'w':
		put(o, "%u", pick_word(g));
		break;
	case 'W':
		put_range(g, o, pick_word(g), pick_word(g));
		break;
	case 'l':
		put_range(g, o, pick_length(g), pick_length(g));
		break;
	case 'q':
		put_range(g, o, pick_long(g), pick_long(g));
		break;
	case 'm':
		put(o, "02:00:00:00:00:%s", below(g, 3) ? "aa" : "ab");
		break;
	case 'M':
		chance(g, 50) ? put(o, "0x%x/0x%x", below(g, 4), below(g, 4) | 1)
			      : put(o, "0x%x", below(g, 3));
		break;
	case 'T':
		put_type(g, o);
		break;
	case 'C':
		put_states(g, o);
		break;
	case 'F':
		put_flags(g, o);
		break;
	case 'S':
		put_set(g, o);
		break;
	default:
		put(o, "%%");
	}
}

static void fill(struct gen *g, struct out *o, const char *text)
{
	while (*text) {
		if (*text != '%')
			put(o, "%c", *text++);
		else
			text++, put_value(g, o, &text);
	}
}

/* ---- iptables ---- */

/* What may stand together: a protocol's tests (first of a rule), then any number of the others.
 */
static const struct template proto_tests[] = {
    {"-p tcp -m tcp %!--dport %R", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp %!--sport %R", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp %!--sport %R %!--dport %R", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp %!--tcp-flags %F", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp %!--tcp-option 4", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp %!--tcp-option 2", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp --dport %P --tcp-flags %F", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcp", BOTH, ANYWHERE, NULL},
    {"-p udp -m udp", BOTH, ANYWHERE, NULL},
    {"-p udp -m udp %!--dport %R", BOTH, ANYWHERE, NULL},
    {"-p udp -m udp %!--sport %R", BOTH, ANYWHERE, NULL},
    {"-p tcp -m multiport %!--dports %L", BOTH, ANYWHERE, NULL},
    {"-p udp -m multiport %!--ports %L", BOTH, ANYWHERE, NULL},
    {"-p udplite -m multiport %!--sports %L", BOTH, ANYWHERE, NULL},
    {"-p sctp -m multiport --dports %L", BOTH, ANYWHERE, NULL},
    {"-p sctp -m sctp %!--dport %R", BOTH, ANYWHERE, NULL},
    {"-p sctp -m sctp --sport %R %!--dport %R", BOTH, ANYWHERE, NULL},
    {"-p sctp -m sctp --chunk-types any DATA,INIT", BOTH, ANYWHERE, NULL},
    {"-p dccp -m dccp %!--dport %R", BOTH, ANYWHERE, NULL},
    {"-p icmp -m icmp %!--icmp-type 8", V4, ANYWHERE, NULL},
    {"-p icmp -m icmp %!--icmp-type %b/%b", V4, ANYWHERE, NULL},
    {"-p icmp -m icmp --icmp-type any", V4, ANYWHERE, NULL},
    {"-p ipv6-icmp -m icmp6 %!--icmpv6-type 128", V6, ANYWHERE, NULL},
    {"-p ipv6-icmp -m icmp6 %!--icmpv6-type %b/%b", V6, ANYWHERE, NULL},
    {"-p esp -m esp %!--espspi %q", BOTH, ANYWHERE, NULL},
    {"-p ah -m ah %!--ahspi %q", BOTH, ANYWHERE, NULL},
    {"%!-p %b", BOTH, ANYWHERE, NULL},
    {"%!-p tcp", BOTH, ANYWHERE, NULL},
    {"%!-p udp", BOTH, ANYWHERE, NULL},
    {"-p tcp -m ecn %!--ecn-tcp-ece", BOTH, ANYWHERE, NULL},
    {"-p tcp -m tcpmss %!--mss 0:1460", BOTH, ANYWHERE, NULL},
};

/* What depends on the order of the packets stands only where the hosts' own answers do not come
 * by. */
static const struct template other_tests[] = {
    {"%!-s %N", BOTH, ANYWHERE, NULL},
    {"%!-s %A", BOTH, ANYWHERE, NULL},
    {"%!-d %N", BOTH, ANYWHERE, NULL},
    {"%!-d %A", BOTH, ANYWHERE, NULL},
    {"%!-i %I", BOTH, INGRESS, NULL},
    {"%!-o %I", BOTH, FWD | OUT, NULL},
    {"%!-f", V4, ANYWHERE, NULL},
    {"-m length %!--length %l", BOTH, ANYWHERE, NULL},
    {"-m ttl %!--ttl-eq %b", V4, ANYWHERE, NULL},
    {"-m ttl --ttl-lt %b", V4, ANYWHERE, NULL},
    {"-m ttl --ttl-gt %b", V4, ANYWHERE, NULL},
    {"-m hl %!--hl-eq %b", V6, ANYWHERE, NULL},
    {"-m hl --hl-lt %b", V6, ANYWHERE, NULL},
    {"-m hl --hl-gt %b", V6, ANYWHERE, NULL},
    {"-m dscp %!--dscp %6", BOTH, ANYWHERE, NULL},
    {"-m tos %!--tos %b/%b", BOTH, ANYWHERE, NULL},
    {"-m iprange %!--src-range %Y", BOTH, ANYWHERE, NULL},
    {"-m iprange %!--dst-range %Y", BOTH, ANYWHERE, NULL},
    {"-m mac %!--mac-source %m", BOTH, INGRESS, NULL},
    {"-m mark %!--mark %M", BOTH, ANYWHERE, NULL},
    {"-m connmark %!--mark %M", BOTH, ANYWHERE, NULL},
    {"-m pkttype %!--pkt-type unicast", BOTH, INGRESS, NULL},
    {"-m pkttype %!--pkt-type broadcast", BOTH, INGRESS, NULL},
    {"-m pkttype %!--pkt-type multicast", BOTH, INGRESS, NULL},
    {"-m addrtype %!--dst-type %T", BOTH, ANYWHERE, NULL},
    {"-m addrtype %!--src-type %T", BOTH, ANYWHERE, NULL},
    {"-m addrtype %!--dst-type LOCAL --limit-iface-in", BOTH, IN, NULL},
    {"-m conntrack %!--ctstate %C", BOTH, ANYWHERE, NULL},
    {"-m conntrack %!--ctstate %C", BOTH, ANYWHERE, NULL},
    {"-m state %!--state %C", BOTH, ANYWHERE, NULL},
    {"-m conntrack %!--ctproto tcp", BOTH, ANYWHERE, NULL},
    {"-m conntrack %!--ctorigsrc %N", BOTH, ANYWHERE, NULL},
    {"-m conntrack %!--ctorigdst %N", BOTH, ANYWHERE, NULL},
    {"-m conntrack %!--ctstatus NONE", BOTH, ANYWHERE, NULL},
    {"-m conntrack %!--ctstatus SEEN_REPLY,CONFIRMED", BOTH, ANYWHERE, NULL},
    {"-m conntrack --ctdir ORIGINAL", BOTH, ANYWHERE, NULL},
    {"-m conntrack --ctdir REPLY --ctstate ESTABLISHED", BOTH, ANYWHERE, NULL},
    {"-m set %!--match-set %S", BOTH, ANYWHERE, NULL},
    {"-m set %!--match-set %S", BOTH, ANYWHERE, NULL},
    {"-m set --match-set nets src --return-nomatch", V4, ANYWHERE, NULL},
    {"-m frag %!--fragid %q", V6, ANYWHERE, NULL},
    {"-m frag --fragfirst", V6, ANYWHERE, NULL},
    {"-m frag --fragmore", V6, ANYWHERE, NULL},
    {"-m frag --fraglast --fragres", V6, ANYWHERE, NULL},
    {"-m hbh %!--hbh-len 8", V6, ANYWHERE, NULL},
    {"-m hbh --hbh-opts 1:4", V6, ANYWHERE, NULL},
    {"-m dst %!--dst-len 8", V6, ANYWHERE, NULL},
    {"-m dst --dst-opts 1:4", V6, ANYWHERE, NULL},
    {"-m rt %!--rt-type 0", V6, ANYWHERE, NULL},
    {"-m rt %!--rt-segsleft 0:4", V6, ANYWHERE, NULL},
    {"-m rt --rt-len 24", V6, ANYWHERE, NULL},
    {"-m ah --ahres", V6, ANYWHERE, NULL},
    {"-m ipv6header --header frag --soft", V6, ANYWHERE, NULL},
    {"-m eui64", V6, INGRESS, NULL},
    {"-m comment --comment \"two words\"", BOTH, ANYWHERE, NULL},
    {"-m string %!--string evil --algo bm", BOTH, ANYWHERE, NULL},
    {"-m limit --limit 1/hour --limit-burst 5", BOTH, INGRESS, NULL},
    {"-m statistic --mode nth %!--every 3 --packet 0", BOTH, INGRESS, NULL},
    {"-m u32 --u32 \"0&0xf=5\"", V4, ANYWHERE, NULL},
    {"-m ecn %!--ecn-ip-ect 1", BOTH, ANYWHERE, NULL},
    {"-m policy --dir in --pol none", BOTH, PRE | IN | FWD, NULL},
    {"-m rpfilter --loose", BOTH, PRE, "raw mangle"},
    {"-m rpfilter --invert", BOTH, PRE, "raw mangle"},
    {"-m quota --quota 2000", BOTH, INGRESS, NULL},
    {"-m recent --name all --set", BOTH, INGRESS, NULL},
    {"-m recent --name all --rcheck", BOTH, INGRESS, NULL},
    {"-m connbytes --connbytes 1:100 --connbytes-dir both --connbytes-mode packets", BOTH,
     ANYWHERE, NULL},
    {"-m helper %!--helper tftp", BOTH, ANYWHERE, NULL},
    {"-m socket", BOTH, PRE | IN, "raw mangle filter"},
    {"-m realm --realm 0", V4, IN | FWD, NULL},
};

static const struct template targets[] = {
    {"-j ACCEPT", BOTH, ANYWHERE, NULL},
    {"-j DROP", BOTH, ANYWHERE, "raw mangle filter"},
    {"-j DROP", BOTH, ANYWHERE, "raw mangle filter"},
    {"-j DROP", BOTH, ANYWHERE, "raw mangle filter"},
    {"-j RETURN", BOTH, ANYWHERE, NULL},
    {"", BOTH, ANYWHERE, NULL},
};

/* A host that rejects its own answers tells itself so, at no certain time: not at OUTPUT. */
static const struct template rare_targets[] = {
    {"-j REJECT", BOTH, IN | FWD, "filter"},
    {"-p tcp -j REJECT --reject-with tcp-reset", BOTH, IN | FWD, "filter"},
    {"-j LOG --log-prefix \"x \"", BOTH, ANYWHERE, NULL},
    {"-j NFLOG --nflog-group 5", BOTH, ANYWHERE, NULL},
    {"-j MARK --set-xmark %M", BOTH, ANYWHERE, "mangle"},
    {"-j CONNMARK --set-xmark %M", BOTH, ANYWHERE, "mangle"},
    {"-j DSCP --set-dscp %6", BOTH, ANYWHERE, "mangle"},
    {"-j TOS --set-tos %b/%b", BOTH, ANYWHERE, "mangle"},
    {"-j TTL --ttl-set %b", V4, ANYWHERE, "mangle"},
    {"-j HL --hl-set %b", V6, ANYWHERE, "mangle"},
    {"-j CT --notrack", BOTH, PRE, "raw"},
    {"-j NFQUEUE --queue-num 3 --queue-bypass", BOTH, ANYWHERE, "mangle filter"},
    {"-j NFQUEUE --queue-num 3", BOTH, ANYWHERE, "mangle filter"},
    {"-j SET --add-set fading src", V4, ANYWHERE, "mangle filter"},
    {"-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 500", BOTH, FWD, "mangle"},
    {"-p tcp -j REDIRECT --to-ports 80", BOTH, PRE, "nat"},
    {"-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.1.2:80", V4, PRE, "nat"},
    {"-p udp -j DNAT --to-destination 10.9.0.1:53", V4, PRE, "nat"},
};

static bool fits(const struct gen *g, const struct template *t, int hook, const char *table)
{
	return (t->families & (g->six ? V6 : V4)) && (!hook || (t->hooks & hook) == hook) &&
	       (!t->tables || strstr(t->tables, table));
}

static const struct template *pick(struct gen *g, const struct template *all, size_t n,
				   int hook, const char *table)
{
	const struct template *t;
	int tries = 50;

	while (tries--) {
		t = &all[below(g, (unsigned)n)];
		if (fits(g, t, hook, table))
			return t;
	}
	return NULL;
}

#define PICK(g, all, hook, table) pick(g, all, sizeof(all) / sizeof((all)[0]), hook, table)

static void add_template(struct gen *g, struct out *o, const struct template *t)
{
	if (!t || !*t->text)
		return;
	/* A protocol is named once. */
	if (!strncmp(t->text, "-p", 2) && strstr(o->p, "-p "))
		return;
	put(o, " ");
	fill(g, o, t->text);
}

/* hook: what reaches the chain; of a user chain all that may.  next: the first user chain it
 * may jump to. */
static void gen_rule(struct gen *g, const char *chain, int hook, const char *table,
		     unsigned next, unsigned nchains)
{
	char text[900];
	struct out o = {text, 0, sizeof(text)};
	unsigned n = below(g, 10), others = n < 4 ? 1 : n < 7 ? 2 : n < 8 ? 0 : 3;
	bool proto = chance(g, 60);
	unsigned kind = below(g, 100);

	/* What reaches the rule that follows is counted by one that has no test. */
	if (chance(g, 35))
		line(g, g->six ? GEN_V6 : GEN_V4, "-A %s", chain);
	put(&o, "-A %s", chain);
	if (proto)
		add_template(g, &o, PICK(g, proto_tests, hook, table));
	if (proto && chance(g, 60))
		others = 0;
	while (others--)
		add_template(g, &o, PICK(g, other_tests, hook, table));
	if (kind < 22 && next < nchains)
		put(&o, " -%c u%u", chance(g, 30) ? 'g' : 'j', next + below(g, nchains - next));
	else if (kind < 34 || (!strcmp(table, "nat") && kind < 60))
		add_template(g, &o, PICK(g, rare_targets, hook, table));
	else
		add_template(g, &o, PICK(g, targets, hook, table));
	line(g, g->six ? GEN_V6 : GEN_V4, "%s", text);
}

static const struct base {
	const char *table;
	struct {
		const char *chain;
		int hook;
	} chains[5];
} bases[] = {
    {"raw", {{"PREROUTING", PRE}, {"OUTPUT", OUT}}},
    {"mangle",
     {{"PREROUTING", PRE},
      {"INPUT", IN},
      {"FORWARD", FWD},
      {"OUTPUT", OUT},
      {"POSTROUTING", 0}}},
    {"nat", {{"PREROUTING", PRE}, {"INPUT", 0}, {"OUTPUT", 0}, {"POSTROUTING", 0}}},
    {"filter", {{"INPUT", IN}, {"FORWARD", FWD}, {"OUTPUT", OUT}}},
};

/* Before all other rules: who asks for it, and who sees what it expects. */
static void gen_helper(struct gen *g, const char *table)
{
	enum gen_part part = g->six ? GEN_V6 : GEN_V4;

	if (!strcmp(table, "raw"))
		line(g, part, "-A PREROUTING -p udp -m udp --dport 69 -j CT --helper tftp");
	if (strcmp(table, "filter") != 0)
		return;
	line(g, part, "-A FORWARD");
	line(g, part, "-A FORWARD -m helper --helper tftp");
	line(g, part, "-A FORWARD -p udp -m conntrack --ctstate RELATED");
}

static void gen_table(struct gen *g, const struct base *b)
{
	enum gen_part part = g->six ? GEN_V6 : GEN_V4;
	bool filter = !strcmp(b->table, "filter"), nat = !strcmp(b->table, "nat"),
	     policy = !nat;
	unsigned nchains = nat ? 0 : below(g, filter ? 6 : 3), i, n;
	char name[16];
	int hook;

	line(g, part, "*%s", b->table);
	for (i = 0; i < 5 && b->chains[i].chain; i++) {
		hook = b->chains[i].hook;
		policy = (hook & (PRE | IN | FWD)) && !nat && chance(g, filter ? 35 : 8);
		line(g, part, ":%s %s [0:0]", b->chains[i].chain, policy ? "DROP" : "ACCEPT");
	}
	for (i = 0; i < nchains; i++)
		line(g, part, ":u%u - [0:0]", i);
	if (g->helped)
		gen_helper(g, b->table);
	for (i = 0; i < 5 && b->chains[i].chain; i++) {
		hook = b->chains[i].hook;
		n = !(hook & INGRESS) ? below(g, 2)
		    : filter          ? 3 + below(g, 14)
				      : 1 + below(g, 5);
		while (hook && n--)
			gen_rule(g, b->chains[i].chain, hook, b->table, 0,
				 hook & INGRESS ? nchains : 0);
	}
	for (i = 0; i < nchains; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		for (n = 1 + below(g, 5); n; n--)
			gen_rule(g, name, filter ? IN | FWD : INGRESS, b->table, i + 1,
				 nchains);
	}
	line(g, part, "COMMIT");
}

/* ipset knows no masks but prefixes, and none of length 0 in hash:net and hash:net,port. */
static bool ipset_refuses(const char *member)
{
	const char *slash = strchr(member, '/');

	return slash && ((slash[1] == '0') || strchr(slash, '.'));
}

static void gen_ipset(struct gen *g, const char *name, const char *type, const char *member)
{
	char text[256];
	struct out o;
	unsigned n = 2 + below(g, 12);

	line(g, GEN_SETS, "create %s%s %s%s", name, g->six ? "6" : "", type,
	     strncmp(type, "hash", 4) ? ""
	     : g->six                 ? " family inet6"
				      : " family inet");
	while (n--) {
		o = (struct out){text, 0, sizeof(text)};
		fill(g, &o, member);
		if (!ipset_refuses(text))
			line(g, GEN_SETS, "add -exist %s%s %s", name, g->six ? "6" : "", text);
	}
}

static void gen_ipsets(struct gen *g)
{
	static const char *const protos[] = {"tcp", "udp", "sctp", "udplite"};
	char member[64];
	unsigned i;

	for (g->six = false;; g->six = true) {
		gen_ipset(g, "hosts", "hash:ip", "%A");
		gen_ipset(g, "nets", "hash:net", "%N");
		if (chance(g, 50))
			line(g, GEN_SETS,
			     g->six ? "add -exist nets6 2001:db8:9::10/124 nomatch"
				    : "add -exist nets 10.9.0.16/28 nomatch");
		snprintf(member, sizeof(member), "%%A,%s:%%P", protos[below(g, 4)]);
		gen_ipset(g, "hostport", "hash:ip,port", member);
		gen_ipset(g, "netport", "hash:net,port", "%N,tcp:%P");
		if (g->six)
			break;
		gen_ipset(g, "ports", "bitmap:port range 0-65535", "%P");
		line(g, GEN_SETS, "create bits bitmap:ip range 10.9.0.0/24");
		for (i = 0; i < 8; i++)
			line(g, GEN_SETS, "add -exist bits 10.9.0.%u", below(g, 256));
	}
	line(g, GEN_SETS, "create fading hash:ip family inet timeout 600");
}

void gen_iptables(struct gen_rules *out, uint64_t seed)
{
	struct gen g = {.out = out, .state = seed * 0x9e3779b97f4a7c15ull | 1};
	unsigned tables;
	int six, i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < 4; i++)
		gen_random(&g.state);
	gen_ipsets(&g);
	/* Tables besides filter change what others see: conntrack, defragmentation. Not always
	 * all. */
	tables = below(&g, 8) | 8;
	g.helped = chance(&g, 20);
	if (g.helped)
		tables |= 1;
	for (six = 0; six < 2; six++) {
		g.six = six;
		for (i = 0; i < 4; i++)
			if (tables >> i & 1)
				gen_table(&g, &bases[i]);
	}
}

/* ---- nft ---- */

static const struct template nft_tests[] = {
    {"ip saddr %!%N", V4, ANYWHERE, NULL},
    {"ip saddr %!%A", V4, ANYWHERE, NULL},
    {"ip daddr %!%A", V4, ANYWHERE, NULL},
    {"ip saddr %!%Y", V4, ANYWHERE, NULL},
    {"ip saddr %!{ %Y, 192.0.0.0/4, 8.8.8.8 }", V4, ANYWHERE, NULL},
    {"ip saddr %!@addrs", V4, ANYWHERE, NULL},
    {"ip daddr %!@some", V4, ANYWHERE, NULL},
    {"ip6 saddr %!%N", V6, ANYWHERE, NULL},
    {"ip6 daddr %!%A", V6, ANYWHERE, NULL},
    {"ip6 saddr %!%Y", V6, ANYWHERE, NULL},
    {"ip6 saddr %!@addrs6", V6, ANYWHERE, NULL},
    {"tcp dport %!%R", BOTH, ANYWHERE, NULL},
    {"tcp sport %!%R", BOTH, ANYWHERE, NULL},
    {"tcp dport %!{ %L }", BOTH, ANYWHERE, NULL},
    {"udp dport %!{ %L }", BOTH, ANYWHERE, NULL},
    {"udp dport %!@ports", BOTH, ANYWHERE, NULL},
    {"udp sport %!%R", BOTH, ANYWHERE, NULL},
    {"udp length %!%l", BOTH, ANYWHERE, NULL},
    {"sctp dport %!%R", BOTH, ANYWHERE, NULL},
    {"dccp dport %!%R", BOTH, ANYWHERE, NULL},
    {"udplite dport %!%R", BOTH, ANYWHERE, NULL},
    {"th dport %!%R", BOTH, ANYWHERE, NULL},
    {"meta l4proto { tcp, udp } th dport %!%R", BOTH, ANYWHERE, NULL},
    {"tcp flags syn / fin,syn,rst,ack", BOTH, ANYWHERE, NULL},
    {"tcp flags & (fin|syn) %!(fin|syn)", BOTH, ANYWHERE, NULL},
    {"tcp flags & (fin|syn|rst|psh|ack|urg) == 0", BOTH, ANYWHERE, NULL},
    {"tcp flags %!syn", BOTH, ANYWHERE, NULL},
    {"tcp option maxseg size 1-1500", BOTH, ANYWHERE, NULL},
    {"tcp option sack-perm exists", BOTH, ANYWHERE, NULL},
    {"tcp window %!%W", BOTH, ANYWHERE, NULL},
    {"meta l4proto %!{ tcp, udp, 132 }", BOTH, ANYWHERE, NULL},
    {"meta l4proto %!%b", BOTH, ANYWHERE, NULL},
    {"ip protocol %!%b", V4, ANYWHERE, NULL},
    {"ip6 nexthdr %!%b", V6, ANYWHERE, NULL},
    {"ip ttl %!%b", V4, ANYWHERE, NULL},
    {"ip ttl < %b", V4, ANYWHERE, NULL},
    {"ip ttl >= %b", V4, ANYWHERE, NULL},
    {"ip6 hoplimit %!%b", V6, ANYWHERE, NULL},
    {"ip6 hoplimit > %b", V6, ANYWHERE, NULL},
    {"ip dscp %!%6", V4, ANYWHERE, NULL},
    {"ip6 dscp %!%6", V6, ANYWHERE, NULL},
    {"ip ecn 1", V4, ANYWHERE, NULL},
    {"ip6 flowlabel %!%w", V6, ANYWHERE, NULL},
    {"ip frag-off & 0x1fff %!0", V4, ANYWHERE, NULL},
    {"ip frag-off & 0x2000 %!0", V4, ANYWHERE, NULL},
    {"ip length %!%l", V4, ANYWHERE, NULL},
    {"ip6 length %!%l", V6, ANYWHERE, NULL},
    {"meta length %!%l", BOTH, ANYWHERE, NULL},
    {"ip hdrlength %!5", V4, ANYWHERE, NULL},
    {"ip version 4", V4, ANYWHERE, NULL},
    {"icmp type %!{ echo-request, destination-unreachable }", V4, ANYWHERE, NULL},
    {"icmp type %!echo-request", V4, ANYWHERE, NULL},
    {"icmp code %!%b", V4, ANYWHERE, NULL},
    {"icmpv6 type %!{ echo-request, nd-neighbor-solicit }", V6, ANYWHERE, NULL},
    {"icmpv6 code %!%b", V6, ANYWHERE, NULL},
    {"ah spi %!%q", BOTH, ANYWHERE, NULL},
    {"esp spi %!%q", BOTH, ANYWHERE, NULL},
    {"exthdr frag exists", V6, ANYWHERE, NULL},
    {"exthdr hbh missing", V6, ANYWHERE, NULL},
    {"frag more-fragments 1", V6, ANYWHERE, NULL},
    {"rt type %!0", V6, ANYWHERE, NULL},
    {"iifname %!\"%I\"", BOTH, INGRESS, NULL},
    {"oifname %!\"%I\"", BOTH, FWD, NULL},
    {"iif %!\"eth0\"", BOTH, INGRESS, NULL},
    {"oif %!\"eth1\"", BOTH, FWD, NULL},
    {"iifname { \"eth0\", \"eth2\" }", BOTH, INGRESS, NULL},
    {"meta iiftype %!ether", BOTH, INGRESS, NULL},
    {"ether saddr %!%m", BOTH, INGRESS, NULL},
    {"ether daddr %!02:00:00:00:00:00", BOTH, INGRESS, NULL},
    {"meta pkttype %!unicast", BOTH, INGRESS, NULL},
    {"meta pkttype %!{ broadcast, multicast }", BOTH, INGRESS, NULL},
    {"meta mark %!%b", BOTH, ANYWHERE, NULL},
    {"meta mark & 0x3 %!0x1", BOTH, ANYWHERE, NULL},
    {"meta nfproto ipv4", V4, ANYWHERE, NULL},
    {"meta protocol ip", V4, ANYWHERE, NULL},
    {"meta protocol %!ip6", BOTH, ANYWHERE, NULL},
    {"ct state %C", BOTH, ANYWHERE, NULL},
    {"ct state %!%C", BOTH, ANYWHERE, NULL},
    {"ct state %!{ %C }", BOTH, ANYWHERE, NULL},
    {"ct status dnat", BOTH, ANYWHERE, NULL},
    {"ct status & 0xe %!0", BOTH, ANYWHERE, NULL},
    {"ct mark %!%b", BOTH, ANYWHERE, NULL},
    {"ct direction original", BOTH, ANYWHERE, NULL},
    {"ct direction reply", BOTH, ANYWHERE, NULL},
    {"ct helper %!\"tftp\"", BOTH, ANYWHERE, NULL},
    {"fib daddr type %!%T", BOTH, ANYWHERE, NULL},
    {"fib saddr type %!{ local, broadcast }", BOTH, ANYWHERE, NULL},
    {"fib saddr . iif oif missing", BOTH, PRE, NULL},
    {"@nh,0,4 %!%b", V4, ANYWHERE, NULL},
    {"@nh,64,8 %!%b", V4, ANYWHERE, NULL},
    {"@th,16,16 %!%P", BOTH, ANYWHERE, NULL},
    {"@ll,48,48 0x0200000000aa", BOTH, INGRESS, NULL},
    {"ip saddr . tcp dport @pairs", V4, ANYWHERE, NULL},
    {"ip saddr . tcp dport %!{ 10.9.0.1 . 22, 10.9.0.%b . 80, 10.9.0.%b . 53 }", V4, ANYWHERE,
     NULL},
    {"ip saddr . meta l4proto . th dport @boxes", V4, ANYWHERE, NULL},
    {"iifname . ip daddr { \"eth0\" . 10.9.0.1, \"eth1\" . 10.9.1.1 }", V4, INGRESS, NULL},
    {"ip6 saddr . udp dport @pairs6", V6, ANYWHERE, NULL},
    {"limit rate 1/hour burst 5 packets", BOTH, ANYWHERE, NULL},
    {"quota 2000 bytes", BOTH, ANYWHERE, NULL},
    {"numgen inc mod 3 0", BOTH, ANYWHERE, NULL},
    {"jhash ip saddr mod 4 seed 0x1234 0", V4, ANYWHERE, NULL},
    {"socket transparent 0", BOTH, PRE | IN, NULL},
};

/* Instead of a counter and a verdict. */
static const char *const nft_maps[] = {
    "tcp dport vmap @verdicts",
    "udp dport vmap { 53 : accept, 137-139 : drop, 80 : continue, 443 : return }",
    "ip saddr vmap { 10.9.0.0-10.9.0.31 : drop, 10.9.0.64/26 : continue }",
    "ct state vmap { established : accept, related : accept, invalid : drop }",
    "meta l4proto vmap { tcp : jump u3, udp : goto u3 }",
    "ip daddr . udp dport vmap { 10.9.0.1 . 53 : drop, 10.9.0.1 . 22 : accept }",
};

static const char *const nft_verdicts[] = {"accept", "drop", "drop",    "drop",
					   "return", "",     "continue"};
static const char *const nft_rare[] = {"reject",
				       "log prefix \"x \"",
				       "meta mark set 1",
				       "ct mark set 2",
				       "queue num 3",
				       "queue flags bypass to 3",
				       "ip ttl set 9",
				       "log group 5",
				       "reject with tcp reset",
				       "update @fading { ip saddr }",
				       "notrack",
				       "add @seen { ip saddr . tcp dport }"};

/* nft refuses a rule with two protocols. */
static bool names_transport(const char *text)
{
	static const char *const words[] = {"tcp", "udp", "sctp",    "dccp",     "icmp",
					    "spi", "th ", "l4proto", "protocol", "nexthdr"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

static void nft_rule(struct gen *g, const char *family, int hook, unsigned next,
		     unsigned nchains)
{
	int families = !strcmp(family, "ip") ? V4 : !strcmp(family, "ip6") ? V6 : BOTH;
	char text[900] = "";
	struct out o = {text, 0, sizeof(text)};
	unsigned n = below(g, 10), tests = n < 6 ? 1 : n < 9 ? 2 : 3, kind = below(g, 100);
	const struct template *t;

	if (chance(g, 35))
		line(g, GEN_NFT, "\t\tcounter");
	/* One family a rule: a test of the other would refuse the whole ruleset. */
	g->six = families == V6 || (families == BOTH && chance(g, 35));
	if (kind < 6 && !(families == V6)) {
		line(g, GEN_NFT, "\t\t%s",
		     nft_maps[next == 0 && nchains == 4 ? below(g, 6) : 1 + below(g, 3)]);
		return;
	}
	while (tests--) {
		t = PICK(g, nft_tests, hook, "");
		if (!t || (names_transport(t->text) && names_transport(text)))
			continue;
		fill(g, &o, t->text);
		put(&o, " ");
	}
	put(&o, chance(g, 88) ? "counter " : "");
	if (kind < 25 && next < nchains)
		put(&o, "%s u%u", chance(g, 30) ? "goto" : "jump",
		    next + below(g, nchains - next));
	else if (kind < 35)
		put(&o, "%s", nft_rare[below(g, 12)]);
	else
		put(&o, "%s", nft_verdicts[below(g, 7)]);
	line(g, GEN_NFT, "\t\t%s", text);
}

static void nft_set(struct gen *g, const char *name, const char *type, const char *flags,
		    const char *elem, unsigned most)
{
	char text[800];
	struct out o = {text, 0, sizeof(text)};
	unsigned n = 1 + below(g, most);

	while (n--) {
		fill(g, &o, elem);
		put(&o, n ? ", " : "");
	}
	line(g, GEN_NFT, "\tset %s { type %s; %selements = { %s } }", name, type, flags, text);
}

static void nft_sets(struct gen *g, bool four, bool six, unsigned nchains)
{
	g->six = false;
	line(g, GEN_NFT,
	     "\tset ports { type inet_service; flags interval; elements = { 53, 137-139, 65535 "
	     "} }");
	if (nchains == 4)
		line(g, GEN_NFT,
		     "\tmap verdicts { type inet_service : verdict; elements = { 22 : accept, "
		     "80 : jump u3, 443 : goto u3, 0 : drop } }");
	if (four) {
		nft_set(g, "addrs", "ipv4_addr", "flags interval; auto-merge; ", "%N", 6);
		nft_set(g, "some", "ipv4_addr", "", "%A", 20);
		nft_set(g, "pairs", "ipv4_addr . inet_service", "", "%A . %P", 12);
		line(g, GEN_NFT,
		     "\tset boxes { type ipv4_addr . inet_proto . inet_service; flags "
		     "interval; elements = { 10.9.0.0/26 . tcp . 0-1023,"
		     " 10.9.0.%u-10.9.0.250 . udp . %u, 0.0.0.0/1 . 132 . 22-65535 } }",
		     64 + below(g, 100), pick_port(g));
		line(g, GEN_NFT,
		     "\tset fading { type ipv4_addr; flags dynamic,timeout; timeout 1h; }");
		line(
		    g, GEN_NFT,
		    "\tset seen { type ipv4_addr . inet_service; flags dynamic; size 65535; }");
	}
	if (six) {
		g->six = true;
		nft_set(g, "addrs6", "ipv6_addr", "flags interval; auto-merge; ", "%N", 6);
		nft_set(g, "pairs6", "ipv6_addr . inet_service", "", "%A . %P", 12);
		g->six = false;
	}
}

static void nft_table(struct gen *g, const char *family, const char *name)
{
	static const struct {
		const char *name, *hook;
		int at;
		int priorities[4];
	} chains[] = {{"early", "prerouting", PRE, {-310, -150, -300, 10}},
		      {"inside", "input", IN, {0, -10, 5, 20}},
		      {"across", "forward", FWD, {0, -150, 5, 20}}};
	unsigned nchains = chance(g, 75) ? 4 : 0, i, n;

	line(g, GEN_NFT, "table %s %s {", family, name);
	nft_sets(g, strcmp(family, "ip6") != 0, strcmp(family, "ip") != 0, nchains);
	/* A chain may jump only to those that the text has named before. */
	for (i = nchains; i--;) {
		line(g, GEN_NFT, "\tchain u%u {", i);
		for (n = 1 + below(g, 5); n; n--)
			nft_rule(g, family, IN | PRE, i + 1, nchains);
		line(g, GEN_NFT, "\t}");
	}
	for (i = 0; i < 3; i++) {
		line(g, GEN_NFT, "\tchain %s {", chains[i].name);
		line(g, GEN_NFT, "\t\ttype filter hook %s priority %d; policy %s;",
		     chains[i].hook, chains[i].priorities[below(g, 4)],
		     chance(g, i ? 35 : 8) ? "drop" : "accept");
		for (n = i ? 3 + below(g, 12) : 1 + below(g, 8); n; n--)
			nft_rule(g, family, chains[i].at, 0, nchains);
		line(g, GEN_NFT, "\t}");
	}
	line(g, GEN_NFT, "}");
}

static void nft_helper(struct gen *g)
{
	line(g, GEN_NFT, "table inet help {");
	line(g, GEN_NFT, "\tct helper files { type \"tftp\" protocol udp; }");
	line(g, GEN_NFT, "\tchain pre {");
	line(g, GEN_NFT, "\t\ttype filter hook prerouting priority -190; policy accept;");
	line(g, GEN_NFT, "\t\tudp dport 69 counter ct helper set \"files\"");
	line(g, GEN_NFT, "\t}");
	line(g, GEN_NFT, "\tchain across {");
	line(g, GEN_NFT, "\t\ttype filter hook forward priority -160; policy accept;");
	line(g, GEN_NFT, "\t\tcounter");
	line(g, GEN_NFT, "\t\tct helper \"tftp\" counter");
	line(g, GEN_NFT, "\t}");
	line(g, GEN_NFT, "}");
}

void gen_nft(struct gen_rules *out, uint64_t seed)
{
	static const char *const families[] = {"inet", "inet", "ip", "ip6"};
	struct gen g = {.out = out, .state = seed * 0x9e3779b97f4a7c15ull | 1, .nft = true};
	unsigned tables, i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < 4; i++)
		gen_random(&g.state);
	tables = 1 + below(&g, 2);
	for (i = 0; i < tables; i++)
		nft_table(&g, families[below(&g, 4)], i ? "two" : "one");
	if (chance(&g, 20))
		nft_helper(&g);
	if (chance(&g, 15)) {
		line(&g, GEN_NFT, "table ip nat {");
		line(&g, GEN_NFT,
		     "\tchain pre { type nat hook prerouting priority -100; tcp dport 8080 "
		     "counter dnat to 10.9.0.1:80; }");
		line(&g, GEN_NFT, "}");
	}
}
