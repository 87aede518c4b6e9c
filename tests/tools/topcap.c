// SPDX-License-Identifier: GPL-2.0
/*
 * The frames of packet cases as a capture: topcap [hook] CASES FILE.
 * With "hook" as the hooks see them: without what stands behind the packet, which the IP layer cuts off.
 */
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "ir/ir_eval.h"

static size_t trimmed(const struct frame *f)
{
	struct packet p = {.data = f->bytes, .len = f->len, .has_ll = true};
	enum family family;
	const uint8_t *nh;
	size_t len;

	return packet_network(&p, &family, &nh, &len) ? (size_t)(nh - f->bytes) + len : f->len;
}

int main(int argc, char **argv)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	struct case_file f;
	struct pcap_pkthdr h = {0};
	pcap_dumper_t *to;
	bool hook = argc == 4 && !strcmp(argv[1], "hook");
	size_t i;

	argv += hook;
	if (argc - hook != 3) {
		fputs("Usage: topcap [hook] CASES FILE\n", stderr);
		return 2;
	}
	if (case_file_read(argv[1], &f))
		return 2;
	to = pcap ? pcap_dump_open(pcap, argv[2]) : NULL;
	if (!to) {
		fprintf(stderr, "topcap: cannot write %s\n", argv[2]);
		return 3;
	}
	for (i = 0; i < f.ncases; i++) {
		h.len = h.caplen = (bpf_u_int32)(hook ? trimmed(&f.cases[i].frame) : f.cases[i].frame.len);
		pcap_dump((u_char *)to, &h, f.cases[i].frame.bytes);
	}
	pcap_dump_close(to);
	pcap_close(pcap);
	return 0;
}
