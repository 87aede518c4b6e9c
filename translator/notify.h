/* SPDX-License-Identifier: GPL-2.0 */
/* sd_notify(3) without the library: one datagram to $NOTIFY_SOCKET, if there is one. */
#ifndef NF2BPF_NOTIFY_H
#define NF2BPF_NOTIFY_H

void notify(const char *text);

#endif
