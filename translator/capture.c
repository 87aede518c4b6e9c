// SPDX-License-Identifier: GPL-2.0
#include "capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <string.h>

#include "base/net.h"

#define ETHERNET_BYTES 14
#define MAX_BYTES 65536

static int link_skip(int link)
{
	switch (link) {
	case DLT_EN10MB:
		return 0;
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		return ETHERNET_BYTES;
	default:
		return -EINVAL;
	}
}

int capture_read(const char *path, int (*each)(void *ctx, const uint8_t *frame, uint32_t len),
		 void *ctx, size_t *cut, struct diag *d)
{
	uint8_t frame[ETHERNET_BYTES + MAX_BYTES] = {0};
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(path, error);
	int skip, got = 0, err = 0;
	struct pcap_pkthdr *h;
	const u_char *bytes;

	if (!pcap)
		return diag_error(d, -EINVAL, "%s", error);
	skip = link_skip(pcap_datalink(pcap));
	if (skip < 0)
		err = diag_error_at(d, -EINVAL, path, 0, 0,
				    "link type %s: Ethernet or raw IP is wanted",
				    pcap_datalink_val_to_name(pcap_datalink(pcap)));
	while (!err && (got = pcap_next_ex(pcap, &h, &bytes)) == 1) {
		if (h->caplen > MAX_BYTES || h->caplen < h->len || !h->caplen) {
			(*cut)++;
			continue;
		}
		memcpy(frame + skip, bytes, h->caplen);
		if (skip)
			put_be16(frame + 12, bytes[0] >> 4 == 6 ? 0x86dd : 0x0800);
		err = each(ctx, frame, h->caplen + (uint32_t)skip);
	}
	if (!err && got == PCAP_ERROR)
		err = diag_error_at(d, -EINVAL, path, 0, 0, "%s", pcap_geterr(pcap));
	pcap_close(pcap);
	return err;
}
