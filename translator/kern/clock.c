// SPDX-License-Identifier: GPL-2.0
/* The kernel's own numbers of routing changes (bpf/clock.bpf.c). */
#include "kern/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kern_clock {
	int prog, numbers;
};

static int clock_load(struct bpf_object *obj, struct kern_clock *c)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, "read_clock");
	int err = prog ? bpf_object__load(obj) : -ENOENT;

	if (err)
		return err;
	c->prog = dup(bpf_program__fd(prog));
	c->numbers = dup(bpf_object__find_map_fd_by_name(obj, "numbers"));
	return c->prog < 0 || c->numbers < 0 ? -EMFILE : 0;
}

int kern_clock_open(struct kern_clock **out, struct diag *d)
{
	struct bpf_object *obj = template_open_clock(d);
	struct kern_clock *c;
	struct buf text = {0};
	int err;

	if (!obj)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		no_memory();
	c->prog = c->numbers = -1;
	quiet_begin(&text);
	err = clock_load(obj, c);
	quiet_end();
	bpf_object__close(obj);
	buf_free(&text);
	if (err) {
		kern_clock_close(c);
		diag_note(d, "changes of routes cannot be seen from BPF (%s)", strerror(-err));
		return err;
	}
	*out = c;
	return 0;
}

int kern_clock_read(const struct kern_clock *c, uint32_t *rt_genid, uint32_t *fib6_sernum)
{
	uint8_t frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	uint32_t key = 0, rt, sernum;

	if (bpf_prog_test_run_opts(c->prog, &opts))
		return -errno;
	if (opts.retval != XDP_PASS)
		return -EOPNOTSUPP;
	if (bpf_map_lookup_elem(c->numbers, &key, &rt))
		return -errno;
	key = 1;
	if (bpf_map_lookup_elem(c->numbers, &key, &sernum))
		return -errno;
	*rt_genid = rt;
	*fib6_sernum = sernum;
	return 0;
}

void kern_clock_close(struct kern_clock *c)
{
	if (!c)
		return;
	if (c->prog >= 0)
		close(c->prog);
	if (c->numbers >= 0)
		close(c->numbers);
	free(c);
}
