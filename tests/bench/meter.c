// SPDX-License-Identifier: GPL-2.0
/*
 * meter: the part of the measurement that must be quick and near the kernel.  It reads commands
 * from stdin, one a line, and answers each with one line of JSON, {"error": …} when it cannot.
 *
 *   flows KEY FILE                          prepared frames, 64 bytes each (a power of two)
 *   attach NETNS INTERFACE drop|floor       native XDP until meter ends
 *   serve NETNS PORT                        a UDP socket whose filter drops everything
 *   converse NETNS PORT FROM SRC DST N      N flows from FROM that conntrack knows; then serve
 *   blast KEY TX-NETNS TX-IF RX-NETNS RX-IF PID SECONDS [SINK-NETNS SINK-IF]
 *                                           sends, and says what the receiver's thread did
 *   alone KEY NETNS INTERFACE SLOTS N       ns of the program in the pinned slot, per packet
 *   slot SLOTS                              id of the program in it
 *   counters FILE…                          sum of packets in pinned counter maps
 *   memory SLOTS                            bytes of the program and its maps, instructions
 *
 * The frames leave by XDP_TX from BPF_PROG_TEST_RUN (BPF_F_TEST_XDP_LIVE_FRAMES) on CPU 0; the
 * receiver's cost is the CPU time of its NAPI thread (PID), which the caller keeps on another
 * CPU.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS 65536
#define FLOW_BYTES 64
#define FRAME 60
#define MAX_KEYS 32
#define MAX_ARGS 16

struct flow_table {
	char key[64];
	uint8_t *frames;
	uint32_t n;
};

struct meter {
	struct bpf_object *obj;
	struct flow_table tables[MAX_KEYS];
	size_t ntables;
	const struct flow_table *loaded; /* in the map */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int say_error(const char *what, int err)
{
	printf("{\"error\": \"%s: %s\"}\n", what, strerror(err < 0 ? -err : err));
	return -1;
}

static int netns_enter(const char *name)
{
	char path[300];
	int fd, err;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return say_error(path, errno);
	err = setns(fd, CLONE_NEWNET) ? errno : 0;
	close(fd);
	return err ? say_error(path, err) : 0;
}

static int program_fd(const struct meter *m, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(m->obj, name);

	return p ? bpf_program__fd(p) : -ENOENT;
}

static int map_fd(const struct meter *m, const char *name)
{
	return bpf_object__find_map_fd_by_name(m->obj, name);
}

/* ---- flows ---- */

static int cmd_flows(struct meter *m, char **arg)
{
	struct flow_table *t;
	FILE *f = fopen(arg[1], "rb");
	size_t n;

	if (!f)
		return say_error(arg[1], errno);
	for (t = m->tables; t < m->tables + m->ntables; t++)
		if (!strcmp(t->key, arg[0]))
			break;
	if (t == m->tables + MAX_KEYS) {
		fclose(f);
		return say_error("too many flow tables", ENOSPC);
	}
	if (t == m->tables + m->ntables) {
		m->ntables++;
		snprintf(t->key, sizeof(t->key), "%s", arg[0]);
		t->frames = malloc((size_t)FLOWS * FLOW_BYTES);
		if (!t->frames)
			abort();
	}
	n = fread(t->frames, FLOW_BYTES, FLOWS, f);
	fclose(f);
	if (m->loaded == t)
		m->loaded = NULL;
	t->n = (uint32_t)n;
	if (!n || n & (n - 1))
		return say_error("the number of flows is no power of two", EINVAL);
	puts("{}");
	return 0;
}

/* .bss of bench.bpf.c */
static uint32_t *cursor(const struct meter *m)
{
	struct bpf_map *map;
	size_t size;

	bpf_object__for_each_map(map, m->obj)
	{
		const char *dot = strchr(bpf_map__name(map), '.');

		if (dot && !strcmp(dot, ".bss"))
			return (uint32_t *)bpf_map__initial_value(map, &size); /* mmap()ed */
	}
	return NULL;
}

/* The named table into the map that the senders read. */
static const struct flow_table *flows_select(struct meter *m, const char *key)
{
	const struct flow_table *t;
	uint32_t *c = cursor(m), i;

	for (t = m->tables; t < m->tables + m->ntables; t++)
		if (!strcmp(t->key, key))
			break;
	if (t == m->tables + m->ntables || !c) {
		say_error("no such flows", ENOENT);
		return NULL;
	}
	if (m->loaded == t)
		return t;
	for (i = 0; i < t->n; i++)
		bpf_map_update_elem(map_fd(m, "flows"), &i, t->frames + (size_t)i * FLOW_BYTES,
				    BPF_ANY);
	c[0] = t->n - 1;
	m->loaded = t;
	return t;
}

/* ---- attach, serve, converse ---- */

static int cmd_attach(struct meter *m, char **arg)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = 1U << 2); /* XDP_FLAGS_DRV_MODE */
	char name[32];
	int fd;

	if (netns_enter(arg[0]))
		return -1;
	snprintf(name, sizeof(name), "bench_%s", arg[2]);
	fd = bpf_link_create(program_fd(m, name), (int)if_nametoindex(arg[1]), BPF_XDP, &opts);
	if (fd < 0)
		return say_error("attach", errno);
	puts(
	    "{}"); /* the descriptor holds the link as long as we live, or the interface does */
	return 0;
}

static int socket_bound(const char *addr, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
	struct timeval wait = {.tv_sec = 1};

	if (addr && inet_pton(AF_INET, addr, &a.sin_addr) != 1)
		return -1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)))
		return -1;
	return fd;
}

static int socket_deafen(int fd)
{
	struct sock_filter none = {.code = BPF_RET | BPF_K, .k = 0};
	struct sock_fprog prog = {1, &none};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int cmd_serve(char **arg)
{
	int fd;

	if (netns_enter(arg[0]))
		return -1;
	fd = socket_bound(NULL, atoi(arg[1]));
	if (fd < 0 || socket_deafen(fd))
		return say_error("serve", errno);
	puts("{}");
	return 0;
}

/* One datagram each way, so that conntrack calls the flow established. */
static int converse_once(const char *from_ns, const char *src, const char *dst, int sport,
			 int port, int server)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char byte = 0;
	int fd, ok;

	if (netns_enter(from_ns) || inet_pton(AF_INET, dst, &to.sin_addr) != 1)
		return -1;
	fd = socket_bound(src, sport);
	if (fd < 0)
		return say_error("converse", errno);
	ok = sendto(fd, &byte, 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1 &&
	     recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &len) == 1 &&
	     sendto(server, &byte, 1, 0, (struct sockaddr *)&peer, len) == 1 &&
	     recv(fd, &byte, 1, 0) == 1;
	if (!ok)
		say_error("converse: no answer", errno);
	close(fd);
	return ok ? 0 : -1;
}

static int cmd_converse(char **arg)
{
	int port = atoi(arg[1]), n = atoi(arg[5]), server, i;

	if (netns_enter(arg[0]))
		return -1;
	server = socket_bound(NULL, port);
	if (server < 0)
		return say_error("converse", errno);
	for (i = 0; i < n; i++)
		if (converse_once(arg[2], arg[3], arg[4], 1024 + i, port, server))
			return -1;
	if (socket_deafen(server))
		return say_error("converse", errno);
	puts("{}");
	return 0;
}

/* ---- blast ---- */

struct seen {
	double cpu, wall;           /* ns of the thread, seconds */
	unsigned long long rx;      /* frames that the receiver took from its ring */
	unsigned long long ip, udp; /* InReceives; datagrams that reached UDP, wanted or not */
	unsigned long long sink;
};

static unsigned long long number_in(const char *path)
{
	unsigned long long v = 0;
	FILE *f = fopen(path, "r");

	if (!f || fscanf(f, "%llu", &v) != 1)
		v = 0;
	if (f)
		fclose(f);
	return v;
}

/* A number of /proc/net/dev: the column counts from 0 after the name. */
static unsigned long long device_number(const char *ifname, int column)
{
	char line[512], *at, *end;
	size_t len = strlen(ifname);
	unsigned long long v = 0;
	FILE *f = fopen("/proc/thread-self/net/dev", "r");

	while (f && fgets(line, sizeof(line), f)) {
		at = line + strspn(line, " ");
		if (strncmp(at, ifname, len) || at[len] != ':')
			continue;
		at += len + 1;
		for (int i = 0; i <= column; i++, at = end)
			v = strtoull(at, &end, 10);
	}
	if (f)
		fclose(f);
	return v;
}

/* A number of /proc/net/snmp by its header. */
static unsigned long long snmp_number(const char *proto, const char *name)
{
	char head[1024], value[1024], *h, *v, *hs, *vs;
	unsigned long long found = 0;
	FILE *f = fopen("/proc/thread-self/net/snmp", "r");

	while (f && fgets(head, sizeof(head), f) && fgets(value, sizeof(value), f)) {
		h = strtok_r(head, " \n", &hs);
		v = strtok_r(value, " \n", &vs);
		if (!h || !v || strcmp(h, proto))
			continue;
		while ((h = strtok_r(NULL, " \n", &hs)) && (v = strtok_r(NULL, " \n", &vs)))
			if (!strcmp(h, name))
				found = strtoull(v, NULL, 10);
	}
	if (f)
		fclose(f);
	return found;
}

static int seen_read(struct seen *s, char **arg, int narg)
{
	char path[64];

	if (netns_enter(arg[3]))
		return -1;
	snprintf(path, sizeof(path), "/proc/%s/schedstat", arg[5]);
	s->cpu = (double)number_in(path);
	s->wall = now();
	s->rx = device_number(arg[4], 1);
	s->ip = snmp_number("Ip:", "InReceives");
	s->udp = snmp_number("Udp:", "InErrors") + snmp_number("Udp:", "NoPorts") +
		 snmp_number("Udp:", "InDatagrams");
	s->sink = 0;
	if (narg > 8) {
		if (netns_enter(arg[7]))
			return -1;
		s->sink = device_number(arg[8], 1);
	}
	return 0;
}

static int blast(const struct meter *m, const char *netns, const char *ifname,
		 const struct flow_table *t, double seconds)
{
	struct xdp_md ctx = {.data_end = FRAME};
	double end;

	if (netns_enter(netns))
		return -1;
	ctx.ingress_ifindex = if_nametoindex(ifname);
	end = now() + seconds;
	do {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->frames,
			    .data_size_in = FRAME, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
			    .repeat = 1 << 13, .batch_size = 64,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
		if (bpf_prog_test_run_opts(program_fd(m, "bench_send"), &opts))
			return say_error("live frames", errno);
	} while (now() < end);
	return 0;
}

/* 'R' while the thread runs or waits for its CPU. */
static char thread_state(const char *pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f)
		fclose(f);
	return state;
}

/* The receiver has worked off its ring when its thread no longer runs, nor wants to. */
static void drain(const char *pid)
{
	char path[64];
	unsigned long long before, after;

	snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
	after = number_in(path);
	for (int i = 0; i < 400; i++) {
		before = after;
		usleep(5000);
		after = number_in(path);
		if (after == before && thread_state(pid) != 'R')
			return;
	}
}

static int cmd_blast(struct meter *m, char **arg, int narg)
{
	const struct flow_table *t = flows_select(m, arg[0]);
	struct seen a, b;

	if (!t || seen_read(&a, arg, narg) || blast(m, arg[1], arg[2], t, atof(arg[6])))
		return -1;
	drain(arg[5]);
	if (seen_read(&b, arg, narg))
		return -1;
	printf("{\"cpu_ns\": %.0f, \"seconds\": %.4f, \"rx\": %llu, \"ip\": %llu, "
	       "\"udp\": %llu, \"sink\": %llu}\n",
	       b.cpu - a.cpu, b.wall - a.wall, b.rx - a.rx, b.ip - a.ip, b.udp - a.udp,
	       b.sink - a.sink);
	return 0;
}

/* ---- programs and maps of others, by their pins ---- */

/* Which slot is in use, by the word beside the pinned slots. */
static uint32_t slot_in_use(const char *slots)
{
	uint32_t zero = 0, words[64] = {0};
	char path[512];
	int fd;

	snprintf(path, sizeof(path) - 16, "%s", slots);
	snprintf(strrchr(path, '/') + 1, 16, "words");
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		bpf_map_lookup_elem(fd, &zero, words);
		close(fd);
	}
	return words[0] & 1;
}

static uint32_t slot_program_id(const char *path)
{
	uint32_t slot = slot_in_use(path), id = 0;
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return 0;
	bpf_map_lookup_elem(fd, &slot, &id);
	close(fd);
	return id;
}

static int slot_open(const char *path)
{
	uint32_t id = slot_program_id(path);

	return id ? bpf_prog_get_fd_by_id(id) : -1;
}

static int cmd_slot(char **arg)
{
	printf("{\"id\": %u}\n", slot_program_id(arg[0]));
	return 0;
}

static int alone_run(struct meter *m, const struct flow_table *t, int prog, uint32_t ifindex,
		     unsigned repeat, uint32_t *ns, uint32_t *verdict)
{
	struct xdp_md ctx = {.data_end = FRAME, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->frames, .data_size_in = FRAME,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = (int)repeat);
	uint32_t zero = 0;

	if (bpf_map_update_elem(map_fd(m, "under_test"), &zero, &prog, BPF_ANY) ||
	    bpf_prog_test_run_opts(program_fd(m, "bench_alone"), &opts))
		return say_error("test run", errno);
	*ns = opts.duration;
	*verdict = opts.retval;
	return 0;
}

static int cmd_alone(struct meter *m, char **arg)
{
	const struct flow_table *t = flows_select(m, arg[0]);
	uint32_t ns, empty, verdict, ignored, ifindex;
	unsigned repeat = (unsigned)atoi(arg[4]);
	int prog, err;

	if (!t || netns_enter(arg[1]))
		return -1;
	ifindex = if_nametoindex(arg[2]);
	prog = slot_open(arg[3]);
	if (prog < 0)
		return say_error(arg[3], errno);
	err =
	    alone_run(m, t, program_fd(m, "bench_empty"), ifindex, repeat, &empty, &ignored) ||
	    alone_run(m, t, prog, ifindex, repeat, &ns, &verdict);
	close(prog);
	if (err)
		return -1;
	printf("{\"ns\": %d, \"empty_ns\": %u, \"verdict\": %u}\n", (int)(ns - empty), empty,
	       verdict);
	return 0;
}

static int cmd_counters(char **arg, int narg)
{
	struct bpf_map_info info;
	unsigned long long sum = 0;
	int cpus = libbpf_num_possible_cpus(), fd;
	uint32_t len, id;
	uint64_t *v;

	for (int i = 0; i < narg; i++) {
		fd = bpf_obj_get(arg[i]);
		len = sizeof(info);
		memset(&info, 0, sizeof(info));
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
			return say_error(arg[i], errno);
		v = calloc((size_t)cpus, (info.value_size + 7) & ~7U);
		if (!v)
			abort();
		for (id = 0; id < info.max_entries; id++) {
			if (bpf_map_lookup_elem(fd, &id, v))
				continue;
			for (int c = 0; c < cpus; c++)
				sum += v[(size_t)c * ((info.value_size + 7) / 8)];
		}
		free(v);
		close(fd);
	}
	printf("{\"packets\": %llu}\n", sum);
	return 0;
}

static unsigned long long memlock(int fd)
{
	char path[64], line[256];
	unsigned long long v = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "memlock: %llu", &v);
	if (f)
		fclose(f);
	return v;
}

static int cmd_memory(char **arg)
{
	uint32_t ids[256], len;
	struct bpf_prog_info info = {0};
	unsigned long long bytes;
	int prog = slot_open(arg[0]), fd;

	if (prog < 0)
		return say_error(arg[0], errno);
	info.nr_map_ids = 256;
	info.map_ids = (uint64_t)(uintptr_t)ids;
	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(prog, &info, &len)) {
		close(prog);
		return say_error("program", errno);
	}
	bytes = memlock(prog) + info.jited_prog_len;
	for (uint32_t i = 0; i < info.nr_map_ids && i < 256; i++) {
		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		bytes += memlock(fd);
		close(fd);
	}
	close(prog);
	printf("{\"bytes\": %llu, \"insns\": %u, \"jited\": %u, \"maps\": %u}\n", bytes,
	       info.xlated_prog_len / 8, info.jited_prog_len, info.nr_map_ids);
	return 0;
}

/* ---- commands ---- */

static void command(struct meter *m, char **arg, int n)
{
	if (n == 3 && !strcmp(arg[0], "flows"))
		cmd_flows(m, arg + 1);
	else if (n == 4 && !strcmp(arg[0], "attach"))
		cmd_attach(m, arg + 1);
	else if (n == 3 && !strcmp(arg[0], "serve"))
		cmd_serve(arg + 1);
	else if (n == 7 && !strcmp(arg[0], "converse"))
		cmd_converse(arg + 1);
	else if ((n == 8 || n == 10) && !strcmp(arg[0], "blast"))
		cmd_blast(m, arg + 1, n - 1);
	else if (n == 6 && !strcmp(arg[0], "alone"))
		cmd_alone(m, arg + 1);
	else if (n == 2 && !strcmp(arg[0], "slot"))
		cmd_slot(arg + 1);
	else if (n >= 2 && !strcmp(arg[0], "counters"))
		cmd_counters(arg + 1, n - 1);
	else if (n == 2 && !strcmp(arg[0], "memory"))
		cmd_memory(arg + 1);
	else
		say_error("no such command", EINVAL);
}

int main(int argc, char **argv)
{
	struct meter m = {0};
	char line[4096], *arg[MAX_ARGS], *save;
	cpu_set_t cpus;
	int n;

	if (argc != 2) {
		fputs("meter: meter OBJECT < commands\n", stderr);
		return 2;
	}
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	m.obj = bpf_object__open_file(argv[1], NULL);
	if (!m.obj || bpf_object__load(m.obj)) {
		fprintf(stderr, "meter: %s: %s\n", argv[1], strerror(errno));
		return 3;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		n = 0;
		for (char *a = strtok_r(line, " \n", &save); a && n < MAX_ARGS;
		     a = strtok_r(NULL, " \n", &save))
			arg[n++] = a;
		if (n)
			command(&m, arg, n);
	}
	bpf_object__close(m.obj);
	return 0;
}
