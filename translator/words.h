/* SPDX-License-Identifier: GPL-2.0 */
/* clang-format off */
/*
 * A packet from words, as a person writes them:
 *
 *   [AROUND]... [LINK]... PACKET [AROUND]...      [AROUND]... hex HEX (the whole frame)
 *   AROUND   in IF | on IF | out IF | mark N | state new|established|related|invalid|untracked
 *   LINK     to MAC|broadcast | from MAC | vlan ID | ethertype N | pad N | trail HEX | short N
 *   PACKET   tcp|udp|udplite|sctp ADDRESS[:PORT] > ADDRESS[:PORT] [syn,ack,…] [DATA]...
 *            (IPv6 with a port: [ADDRESS]:PORT)
 *            icmp|icmp6 ADDRESS > ADDRESS TYPE[/CODE] [DATA]...     esp ADDRESS > ADDRESS
 *            ip SRC > DST [ttl N] [tos N] [id N] [df] [opts HEX] [frag BYTES[+]] [len N]
 *               [ihl N] [ver N] [badsum] L4
 *            ip6 SRC > DST [hop N] [class N] [flow N] [plen N] [ver N]
 *               {hbh | dst | rt N | frag BYTES[+] | ah | ext N HEX}... L4
 *   L4       tcp S > D [flags SAFRPUEC|none] [doff N] [opts HEX] | udp S > D [ulen N] |
 *            udplite S > D | sctp S > D | icmp TYPE[/CODE] [id N] [of PACKET] | icmp6 … |
 *            esp | proto N | (nothing behind the header), each with [DATA]...
 *   DATA     data N|xHEX | cut N | nosum | badsum
 *
 * A sum, length or next header that no word asks for is right.  "+": more fragments follow.
 * len, ihl, plen, doff, ulen: what the field says, whatever is there.  cut: so many bytes are
 * left of the transport header and data, the network length agrees.  trail: bytes behind the
 * packet.  short: the frame ends after N bytes.  ext: the header's bytes after its first, the
 * next header.
 */
/* clang-format on */
#ifndef NF2BPF_WORDS_H
#define NF2BPF_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_FRAME_MAX 2048

struct words_packet {
	uint8_t bytes[WORDS_FRAME_MAX];
	size_t len;
	bool to_said;                  /* else to 02:00:00:00:00:00 */
	char iifname[16], oifname[16]; /* "": not said */
	uint32_t mark;
	uint32_t ct_state; /* nf_tables' bit, 0: not said */
};

/* 0, or -1 with what is wrong in error. */
int words_packet(const char *text, struct words_packet *out, char error[128]);

#endif
