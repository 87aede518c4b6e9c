// SPDX-License-Identifier: GPL-2.0
/* nf2bpf off: detach everything of this network namespace. The kernel's rules were live all the
 * time. */
#include <stdio.h>

#include "options.h"
#include "state.h"

int cmd_off(const struct options *o)
{
	struct diag d = {0};
	size_t removed = 0;
	int err = kern_off(o->bpffs, &removed, &d);

	if (!err)
		err = state_remove(o->state_dir);
	diag_print(&d, stderr, "nf2bpf off");
	diag_free(&d);
	if (err)
		return EXIT_SYSTEM;
	if (o->json)
		printf("{\"detached\": %zu}\n", removed);
	else
		printf("%zu programs detached; the kernel's rules are in force\n", removed);
	return EXIT_OK;
}
