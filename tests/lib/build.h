/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames from words, for cases that a person writes:
 *
 *   [on eth1] [to MAC|broadcast] [from MAC] [vlan ID]... [ethertype N] [pad N] [trail HEX] [short N] PACKET
 *   [on eth1] hex HEX                      the whole frame
 *   PACKET is
 *   ip SRC > DST [ttl N] [tos N] [id N] [df] [opts HEX] [frag BYTES[+]] [len N] [ihl N] [ver N] [badsum] L4
 *   ip6 SRC > DST [hop N] [class N] [flow N] [plen N] [ver N] {hbh | dst | rt N | frag BYTES[+] | ah | ext N HEX}... L4
 *   L4 is
 *   tcp S > D [flags SAFRPUEC|none] [doff N] [opts HEX]     udp S > D [ulen N]     udplite S > D     sctp S > D
 *   icmp TYPE[/CODE] | icmp6 TYPE[/CODE] [id N] [of PACKET]     esp     proto N     (nothing behind the header)
 *   each with [data N|xHEX] [cut N] [nosum] [badsum]
 *
 * A sum, length or next header that no word asks for is right.  "+": more fragments follow.  len, ihl, plen,
 * doff, ulen: what the field says, whatever is there.  cut: so many bytes are left of the transport header and
 * data, the network length agrees.  trail: bytes behind the packet.  short: the frame ends after N bytes.
 * ext: the header's bytes after its first, the next header.
 */
#ifndef NF2BPF_TESTS_BUILD_H
#define NF2BPF_TESTS_BUILD_H

#include "frame.h"

/* 0, or -1 with what is wrong in error. */
int frame_build(const char *text, struct frame *out, char error[128]);

#endif
