// SPDX-License-Identifier: GPL-2.0
/* What this kernel can do, asked by trying; versions are never compared. */
#include "kern/priv.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* `r0 = code; exit` as a program of a type: 0 or -errno. */
static int try_load(enum bpf_prog_type type, enum bpf_attach_type attach, int code)
{
	const struct bpf_insn insns[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = code},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	int fd = bpf_prog_load(type, "nf2bpf_probe", "GPL", insns, 2, &opts);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static bool jit_enabled(void)
{
	FILE *f = fopen("/proc/sys/net/core/bpf_jit_enable", "r");
	int value = 0;

	/* Only the first network namespace shows it; kernels are built with the JIT on. */
	if (!f)
		return true;
	if (fscanf(f, "%d", &value) != 1)
		value = 0;
	fclose(f);
	return value > 0;
}

static bool has_func(const struct btf *btf, const char *name)
{
	return btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

/* The kernel's generation number must be where generation_current() (bpf/site.bpf.h) looks for
 * it. */
static bool guard_possible(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "netns_nftables", BTF_KIND_STRUCT);

	if (id > 0 && has_func(btf, "bpf_cast_to_kern_ctx")) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const struct btf_member *m = btf_members(t);

		for (int i = 0; i < btf_vlen(t); i++) {
			if (!strcmp(btf__name_by_offset(btf, m[i].name_off), "base_seq"))
				return true;
		}
	}
	return false;
}

/* The conntrack kfuncs are in the kernel or in its module. */
static bool lookup_possible(struct btf *vmlinux)
{
	static const char *const names[] = {"bpf_xdp_ct_lookup", "bpf_skb_ct_lookup",
					    "bpf_ct_release"};
	struct btf *module = NULL;
	bool found = true;

	if (!has_func(vmlinux, names[0]))
		module = btf__load_module_btf("nf_conntrack", vmlinux);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		found &= has_func(vmlinux, names[i]) || has_func(module, names[i]);
	btf__free(module);
	return found;
}

static void probe_btf(struct kern_caps *c)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	c->btf = btf != NULL;
	if (!btf)
		return;
	c->generation_guard = guard_possible(btf);
	c->ct_lookup = lookup_possible(btf);
	id = btf__find_by_name_kind(btf, "nf_conn", BTF_KIND_STRUCT);
	c->nf_conn_btf_id = id > 0 ? id : 0;
	btf__free(btf);
}

static void explain(struct kern_caps *c)
{
	const struct {
		bool have;
		const char *text;
	} rows[] = {
	    {c->privileged, "Not allowed to load BPF programs: nothing can be installed."},
	    {c->btf, "No kernel BTF (/sys/kernel/btf/vmlinux): no program can be loaded."},
	    {c->jit,
	     "The BPF JIT is off: programs would run slower than the kernel's own rules."},
	    {c->xdp, "No XDP programs: the early site can only be tc."},
	    {c->tcx || c->clsact, "No tc programs: the early site can only be xdp."},
	    {c->netfilter_link,
	     "No netfilter programs: the hook site (takeover) is not possible."},
	    {c->ct_lookup, "No conntrack look-up from BPF: packets whose drop rests on their "
			   "state are left."},
	    {c->generation_guard, "No way to see the kernel's rule generation from BPF: "
				  "packets are left to the kernel."},
	};
	size_t used = 0;

	c->missing[0] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].have && used < sizeof(c->missing))
			used += snprintf(c->missing + used, sizeof(c->missing) - used, "%s%s",
					 used ? " " : "", rows[i].text);
	}
}

int kern_probe(struct kern_caps *caps, struct diag *d)
{
	struct kern_caps c = {0};
	struct buf text = {0};
	int err = try_load(BPF_PROG_TYPE_XDP, BPF_XDP, XDP_PASS);

	quiet_begin(&text);
	c.xdp = !err;
	c.privileged = err != -EPERM && err != -EACCES;
	c.jit = jit_enabled();
	c.clsact = !try_load(BPF_PROG_TYPE_SCHED_CLS, 0, 0);
	c.tcx = c.clsact && tcx_supported();
	c.netfilter_link = !try_load(PROG_TYPE_NETFILTER, ATTACH_NETFILTER, 1);
	probe_btf(&c);
	quiet_end();
	buf_free(&text);
	explain(&c);
	*caps = c;
	return 0;
}
