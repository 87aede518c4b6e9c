// SPDX-License-Identifier: GPL-2.0
/*
 * setwindow: how long a program may still judge by a member that has just left an ipset.
 *
 *   setwindow WORD-PIN SET ADDRESS ROUNDS
 *
 * Adds and deletes a member by netlink, and watches two things at once: the acknowledgement of
 * the delete, which the kernel queues when the member is gone, and the word that the observer
 * bumps (bpf/observe.bpf.c).  One thread sends; another, on another CPU, spins on the socket
 * and then on the word.  Prints the distribution of the nanoseconds from the acknowledgement to
 * the word's move, and how often the word was there first.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct mnl_socket *nl;
static int word_fd;
static atomic_uint turn; /* the watcher is ready for this round */
static uint64_t *waits;
static unsigned rounds;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t word(void)
{
	uint32_t zero = 0;
	uint64_t value = 0;

	if (bpf_map_lookup_elem(word_fd, &zero, &value)) {
		perror("word");
		exit(1);
	}
	return value;
}

static void request(int cmd, const char *set, uint32_t addr)
{
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;
	struct nlattr *data, *ip;

	h->nlmsg_type = (NFNL_SUBSYS_IPSET << 8) | cmd;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_INET;
	mnl_attr_put_u8(h, IPSET_ATTR_PROTOCOL, 6);
	mnl_attr_put_strz(h, IPSET_ATTR_SETNAME, set);
	data = mnl_attr_nest_start(h, IPSET_ATTR_DATA);
	ip = mnl_attr_nest_start(h, IPSET_ATTR_IP);
	mnl_attr_put_u32(h, IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, addr);
	mnl_attr_nest_end(h, ip);
	mnl_attr_nest_end(h, data);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0) {
		perror("send");
		exit(1);
	}
}

/* Spins until the acknowledgement is there. */
static void acknowledged(void)
{
	char buf[4096];
	const struct nlmsgerr *e;
	ssize_t n;

	do
		n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), MSG_DONTWAIT);
	while (n < 0 && (errno == EAGAIN || errno == EINTR));
	e = mnl_nlmsg_get_payload((const struct nlmsghdr *)buf);
	if (n < 0 || (e->error && e->error != -IPSET_ERR_EXIST)) {
		fprintf(stderr, "ipset: error %d\n", n < 0 ? -errno : e->error);
		exit(1);
	}
}

static void *watch(void *ctx)
{
	uint64_t before, start;
	unsigned i;

	for (i = 0; i < rounds; i++) {
		before = word();
		atomic_store(&turn, i + 1);
		acknowledged();
		start = now_ns();
		waits[i] = 0;
		if (word() == before) {
			while (word() == before)
				;
			waits[i] = now_ns() - start;
		}
	}
	return ctx;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	uint32_t addr;
	pthread_t t;
	unsigned i, first = 0;

	if (argc != 5 || inet_pton(AF_INET, argv[3], &addr) != 1) {
		fputs("usage: setwindow WORD-PIN SET ADDRESS ROUNDS\n", stderr);
		return 2;
	}
	rounds = (unsigned)strtoul(argv[4], NULL, 10);
	waits = calloc(rounds + 1, sizeof(*waits));
	word_fd = bpf_obj_get(argv[1]);
	nl = mnl_socket_open(NETLINK_NETFILTER);
	if (!rounds || !waits || word_fd < 0 || !nl || mnl_socket_bind(nl, 0, 0) < 0) {
		perror("setwindow");
		return 1;
	}
	/* Every other round adds the member again: a change like the delete. */
	if (pthread_create(&t, NULL, watch, NULL))
		return 1;
	for (i = 0; i < rounds; i++) {
		while (atomic_load(&turn) != i + 1)
			;
		request(i % 2 ? IPSET_CMD_ADD : IPSET_CMD_DEL, argv[2], addr);
	}
	pthread_join(t, NULL);
	qsort(waits, rounds, sizeof(*waits), by_value);
	while (first < rounds && !waits[first])
		first++;
	printf("rounds=%u word_first=%u median_ns=%llu p90_ns=%llu p99_ns=%llu p999_ns=%llu "
	       "max_ns=%llu\n",
	       rounds, first, (unsigned long long)waits[rounds / 2],
	       (unsigned long long)waits[rounds * 9ull / 10],
	       (unsigned long long)waits[rounds * 99ull / 100],
	       (unsigned long long)waits[rounds * 999ull / 1000],
	       (unsigned long long)waits[rounds - 1]);
	return 0;
}
