// SPDX-License-Identifier: GPL-2.0
/* The frames of packet cases as a capture: topcap CASES FILE. */
#include <pcap/pcap.h>
#include <stdio.h>

#include "cases.h"

int main(int argc, char **argv)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	struct case_file f;
	struct pcap_pkthdr h = {0};
	pcap_dumper_t *to;
	size_t i;

	if (argc != 3) {
		fputs("Usage: topcap CASES FILE\n", stderr);
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
		h.len = h.caplen = (bpf_u_int32)f.cases[i].frame.len;
		pcap_dump((u_char *)to, &h, f.cases[i].frame.bytes);
	}
	pcap_dump_close(to);
	pcap_close(pcap);
	return 0;
}
