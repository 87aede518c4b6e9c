// SPDX-License-Identifier: GPL-2.0
/*
 * blast: sends one UDP or TCP SYN frame again and again out of an interface, as fast as XDP
 * live frames go, and says how long the receiver's NAPI thread ran; the caller divides by what
 * the receiver counted.
 *
 *   blast --interface w0 --dst-mac M --src A --dst B --dport P --kthread napi/eth0 --seconds 1
 *
 * The frames leave by XDP_TX from BPF_PROG_TEST_RUN (BPF_F_TEST_XDP_LIVE_FRAMES); the receiver
 * must have NAPI (an XDP program, or GRO) and should be threaded, on another CPU.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/net.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Nanoseconds on a CPU of the kernel threads whose name starts with prefix. */
static double kthread_ns(const char *prefix)
{
	char path[300], name[64];
	unsigned long long ns, total = 0;
	struct dirent *e;
	DIR *proc = opendir("/proc");
	FILE *f;

	while (proc && (e = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (!fgets(name, sizeof(name), f) || strncmp(name, prefix, strlen(prefix))) {
			fclose(f);
			continue;
		}
		fclose(f);
		snprintf(path, sizeof(path), "/proc/%s/schedstat", e->d_name);
		f = fopen(path, "r");
		if (f && fscanf(f, "%llu", &ns) == 1)
			total += ns;
		if (f)
			fclose(f);
	}
	if (proc)
		closedir(proc);
	return (double)total;
}

static size_t make_frame(uint8_t *f, const uint8_t *mac, const char *src, const char *dst,
			 uint16_t dport)
{
	memset(f, 0, 64);
	memcpy(f, mac, 6);
	f[6] = 2;
	f[11] = 0xaa;
	put_be16(f + 12, 0x0800);
	f[14] = 0x45;
	put_be16(f + 16, 46);
	f[22] = 64;
	f[23] = 17;
	if (inet_pton(AF_INET, src, f + 26) != 1 || inet_pton(AF_INET, dst, f + 30) != 1)
		return 0;
	put_be16(f + 24, net_sum_fold(net_sum(f + 14, 20, 0)));
	put_be16(f + 34, 4000);
	put_be16(f + 36, dport);
	put_be16(f + 38, 26); /* UDP without a checksum */
	return 60;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"interface", 1, NULL, 'i'}, {"dst-mac", 1, NULL, 'm'}, {"src", 1, NULL, 's'},
	    {"dst", 1, NULL, 'd'},       {"dport", 1, NULL, 'p'},   {"kthread", 1, NULL, 'k'},
	    {"seconds", 1, NULL, 't'},   {"counter", 1, NULL, 'c'}, {0}};
	struct bpf_insn tx[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_TX},
	    {.code = BPF_JMP | BPF_EXIT}};
	const char *iface = NULL, *src = "198.51.100.7", *dst = "10.9.0.1", *kthread = "napi/";
	uint8_t frame[64], mac[6] = {2, 0, 0, 0, 0, 0};
	double seconds = 1, start, took, cpu;
	struct xdp_md ctx = {0};
	cpu_set_t cpus;
	int opt, fd;
	size_t len;
	unsigned port = 9;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case 'i':
			iface = optarg;
			break;
		case 'm':
			if (sscanf(optarg, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1,
				   mac + 2, mac + 3, mac + 4, mac + 5) != 6)
				return 2;
			break;
		case 's':
			src = optarg;
			break;
		case 'd':
			dst = optarg;
			break;
		case 'p':
			port = (unsigned)atoi(optarg);
			break;
		case 'k':
			kthread = optarg;
			break;
		case 't':
			seconds = atof(optarg);
			break;
		default:
			return 2;
		}
	}
	len = make_frame(frame, mac, src, dst, (uint16_t)port);
	if (!iface || !len) {
		fputs("blast: --interface, --src and --dst are wanted\n", stderr);
		return 2;
	}
	ctx.data_end = (uint32_t)len;
	ctx.ingress_ifindex = if_nametoindex(iface);
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "blast", "GPL", tx, 2, NULL);
	if (fd < 0 || !ctx.ingress_ifindex) {
		fprintf(stderr, "blast: %s: %s\n", iface, strerror(errno));
		return 3;
	}
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	cpu = kthread_ns(kthread);
	start = now();
	do {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
			    .data_size_in = (uint32_t)len, .ctx_in = &ctx,
			    .ctx_size_in = sizeof(ctx), .repeat = 1 << 16, .batch_size = 64,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
		if (bpf_prog_test_run_opts(fd, &opts)) {
			fprintf(stderr, "blast: live frames: %s\n", strerror(errno));
			return 3;
		}
	} while (now() - start < seconds);
	took = now() - start;
	usleep(50000);
	cpu = kthread_ns(kthread) - cpu;
	printf("{\"cpu_ns\": %.0f, \"seconds\": %.3f}\n", cpu, took);
	return 0;
}
