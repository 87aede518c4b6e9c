// SPDX-License-Identifier: GPL-2.0
/* bpfcount: how many BPF objects of each kind this kernel holds now, whoever holds them. */
#include <bpf/bpf.h>
#include <stdio.h>

static unsigned count(int (*next)(__u32 start, __u32 *id))
{
	__u32 id = 0;
	unsigned n = 0;

	while (!next(id, &id))
		n++;
	return n;
}

int main(void)
{
	printf("maps=%u programs=%u links=%u btf=%u\n", count(bpf_map_get_next_id),
	       count(bpf_prog_get_next_id), count(bpf_link_get_next_id),
	       count(bpf_btf_get_next_id));
	return 0;
}
