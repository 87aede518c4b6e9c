/* SPDX-License-Identifier: GPL-2.0 */
/* Packets of a capture file as Ethernet frames. (A file of its own: pcap.h and linux/bpf.h
 * define the same name.) */
#ifndef NF2BPF_CAPTURE_H
#define NF2BPF_CAPTURE_H

#include <stdint.h>
#include "base/diag.h"

/* Calls each for every whole packet; raw IP gets an Ethernet header of zeros; packets that the
 * capture cut are skipped and counted in *cut. Stops at the first non-zero return, which it
 * returns. */
int capture_read(const char *path, int (*each)(void *ctx, const uint8_t *frame, uint32_t len),
		 void *ctx, size_t *cut, struct diag *d);

#endif
