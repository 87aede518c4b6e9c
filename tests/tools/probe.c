// SPDX-License-Identifier: GPL-2.0
/*
 * probe: sends one packet out of an interface and says whether the host behind it answered.
 *
 *   probe INTERFACE tcp|udp|icmp SRC DST [PORT]
 *
 * A host that lets the packet through answers at once (SYN-ACK, RST, port unreachable, echo
 * reply); one that drops it is silent.  Prints "passed" or "dropped".  PROBE_MS: how long it
 * waits for an answer; short where nobody asks which of the two.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"

static size_t make(uint8_t *f, const char *proto, const char *src, const char *dst,
		   uint16_t port)
{
	uint8_t *ip = f + 14, *l4 = ip + 20;
	bool tcp = !strcmp(proto, "tcp"), udp = !strcmp(proto, "udp");
	size_t len = tcp ? 20 : 12;
	struct timespec now;
	uint16_t sport;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sport = (uint16_t)(20000 + (now.tv_nsec / 1000 + getpid()) % 40000);
	f[0] = 2;
	f[6] = 2;
	f[11] = 0xaa;
	put_be16(f + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(20 + len));
	ip[8] = 64;
	ip[9] = tcp ? 6 : udp ? 17 : 1;
	if (inet_pton(AF_INET, src, ip + 12) != 1 || inet_pton(AF_INET, dst, ip + 16) != 1)
		return 0;
	put_be16(ip + 10, net_sum_fold(net_sum(ip, 20, 0)));
	if (tcp) {
		put_be16(l4, sport);
		put_be16(l4 + 2, port);
		put_be32(l4 + 4, 1);
		l4[12] = 0x50;
		l4[13] = 0x02;
		put_be16(l4 + 14, 64000);
		put_be16(l4 + 16, net_sum_fold(net_sum(
				      l4, len, net_sum(ip + 12, 8, 6 + (uint32_t)len))));
	} else if (udp) {
		put_be16(l4, sport);
		put_be16(l4 + 2, port);
		put_be16(l4 + 4, (uint16_t)len);
		put_be16(l4 + 6, net_sum_fold(net_sum(
				     l4, len, net_sum(ip + 12, 8, 17 + (uint32_t)len))));
	} else {
		l4[0] = 8;
		put_be16(l4 + 4, sport);
		put_be16(l4 + 2, net_sum_fold(net_sum(l4, len, 0)));
	}
	return 14 + 20 + len;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)), left = 600; /* ms: a busy machine answers late */
	const char *wait = getenv("PROBE_MS");
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint8_t frame[128] = {0}, got[2048];
	size_t len;
	ssize_t n;

	if (wait)
		left = atoi(wait);
	if (argc < 5 || fd < 0) {
		fputs("usage: probe INTERFACE tcp|udp|icmp SRC DST [PORT]\n", stderr);
		return 2;
	}
	len = make(frame, argv[2], argv[3], argv[4], (uint16_t)(argc > 5 ? atoi(argv[5]) : 0));
	ll.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (!len || bind(fd, (struct sockaddr *)&ll, sizeof(ll)) ||
	    send(fd, frame, len, 0) < 0) {
		fprintf(stderr, "probe: %s\n", strerror(errno));
		return 3;
	}
	while (left > 0 && poll(&poll_fd, 1, 20) >= 0) {
		left -= 20;
		while ((n = recv(fd, got, sizeof(got), MSG_DONTWAIT)) > 33) {
			if (memcmp(got + 30, frame + 26, 4))
				continue; /* not to our source */
			puts("passed");
			return 0;
		}
	}
	puts("dropped");
	return 0;
}
