// SPDX-License-Identifier: GPL-2.0
/*
 * flow: traffic without a pause, every packet of which is accounted for.
 *
 *   flow WIRE-NETNS INTERFACE HOST-NETNS [PAIRS-PER-SECOND]
 *
 * Each round sends one UDP packet of every lane (below) out of INTERFACE in WIRE-NETNS: lane 0
 * must come to its socket in HOST-NETNS, the others must not; all lanes have a socket there, so
 * a packet that is let through is seen.  Each line on standard input is a question: what was
 * sent has had time to arrive, and one line answers:
 *
 *   LINE sent=ROUNDS lost=N passed=N
 *
 * lost: of lane 0, since the start; passed: of all others.  After a line that begins with
 * "hold" nothing is sent until the next line, so that counters can be compared with ROUNDS.
 * Standard input's end ends it, with exit status 1 if anything was lost or let through.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"

#define FRAME_BYTES (14 + 20 + 8 + 8)
#define SETTLE_MS 20
#define SETTLE_MAX_MS 2000

/* Port and source; the rules of the test are made for these. */
static const struct lane {
	const char *source;
	uint16_t port;
} lanes[] = {
    {"10.9.0.7", 7000},     /* accepted */
    {"198.51.100.7", 7001}, /* dropped by a legacy rule */
    {"10.9.0.7", 7002},     /* by an nft rule */
    {"192.0.2.7", 7003},    /* by a set */
};

#define NLANES (sizeof(lanes) / sizeof(lanes[0]))

static uint8_t frames[NLANES][FRAME_BYTES];
static int sockets[NLANES], out;
static uint64_t sent, arrived[NLANES];

static void die(const char *what)
{
	fprintf(stderr, "flow: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void enter(const char *netns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static void frame_make(uint8_t *f, const struct lane *lane)
{
	static const uint8_t ethernet[] = {2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0xaa, 8, 0};
	uint8_t *ip = f + 14, *udp = ip + 20;
	uint32_t sum = 0;

	memcpy(f, ethernet, sizeof(ethernet));
	ip[0] = 0x45;
	put_be16(ip + 2, 20 + 8 + 8);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	inet_pton(AF_INET, lane->source, ip + 12);
	inet_pton(AF_INET, "10.9.0.1", ip + 16);
	for (int i = 0; i < 20; i += 2)
		sum += be16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(ip + 10, (uint16_t) ~(sum + (sum >> 16)));
	put_be16(udp, 5000);
	put_be16(udp + 2, lane->port);
	put_be16(udp + 4, 8 + 8); /* checksum 0: none */
}

static void sockets_open(const char *host)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int room = 8 << 20;

	enter(host);
	for (size_t i = 0; i < NLANES; i++) {
		a.sin_port = htons(lanes[i].port);
		sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (sockets[i] < 0 || bind(sockets[i], (struct sockaddr *)&a, sizeof(a)))
			die("socket");
		setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	}
}

static void wire_open(const char *wire, const char *ifname)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};

	enter(wire);
	a.sll_ifindex = (int)if_nametoindex(ifname);
	out = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (!a.sll_ifindex || out < 0 || bind(out, (struct sockaddr *)&a, sizeof(a)))
		die(ifname);
	/* Nothing is to be received here. */
	shutdown(out, SHUT_RD);
}

static void receive(void)
{
	uint8_t bytes[64];

	for (size_t i = 0; i < NLANES; i++)
		while (recv(sockets[i], bytes, sizeof(bytes), 0) >= 0)
			arrived[i]++;
}

static void round_send(void)
{
	for (size_t i = 0; i < NLANES; i++)
		while (send(out, frames[i], FRAME_BYTES, 0) != FRAME_BYTES)
			if (errno != ENOBUFS && errno != EINTR && errno != EAGAIN)
				die("send");
	sent++;
	receive();
}

static uint64_t passed(void)
{
	uint64_t n = 0;

	for (size_t i = 1; i < NLANES; i++)
		n += arrived[i];
	return n;
}

static void settle(void)
{
	struct timespec pause = {.tv_nsec = SETTLE_MS * 1000000};
	unsigned waited = 0;

	do {
		nanosleep(&pause, NULL);
		receive();
		waited += SETTLE_MS;
	} while (arrived[0] < sent && waited < SETTLE_MAX_MS);
}

int main(int argc, char **argv)
{
	struct timespec pause = {0};
	struct pollfd in = {.fd = 0, .events = POLLIN};
	unsigned long rate = argc > 4 ? strtoul(argv[4], NULL, 10) : 1000;
	char line[256];

	if (argc < 4 || !rate) {
		fputs("Usage: flow WIRE-NETNS INTERFACE HOST-NETNS [PER-SECOND]\n", stderr);
		return 2;
	}
	sockets_open(argv[3]);
	wire_open(argv[1], argv[2]);
	for (size_t i = 0; i < NLANES; i++)
		frame_make(frames[i], &lanes[i]);
	setvbuf(stdin, NULL, _IONBF, 0);
	pause.tv_nsec = rate > 1 ? 1000000000l / (long)rate : 999999999;
	for (;;) {
		round_send();
		if (poll(&in, 1, 0) <= 0) {
			nanosleep(&pause, NULL);
			continue;
		}
		settle();
		if (!fgets(line, sizeof(line), stdin))
			break;
		line[strcspn(line, "\n")] = '\0';
		printf("%s sent=%llu lost=%llu passed=%llu\n", line, (unsigned long long)sent,
		       (unsigned long long)(sent - arrived[0]), (unsigned long long)passed());
		fflush(stdout);
		if (!strncmp(line, "hold", 4) && !fgets(line, sizeof(line), stdin))
			break;
	}
	return sent != arrived[0] || passed();
}
