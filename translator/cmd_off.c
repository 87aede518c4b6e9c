// SPDX-License-Identifier: GPL-2.0
/* nf2bpf off: wake what sleeps, then detach everything of this network namespace.  The kernel's
 * rules get what the programs have counted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "handover.h"
#include "options.h"
#include "pipeline.h"
#include "state.h"
#include "takeover.h"

static uint64_t still_pending(const struct options *o)
{
	struct counters k = {0};
	struct diag quiet = {0};
	uint64_t packets = 0;
	size_t i;

	if (!counters_refresh(&k, o, &quiet))
		for (i = 0; i < k.n; i++)
			if (k.c[i]->in_view)
				packets += counters_pending(&k, i).packets;
	counters_close(&k);
	diag_free(&quiet);
	return packets;
}

/* The state of no program, with what is left for the rules of now. */
static int retire(struct handover *before, const struct options *o, struct diag *d)
{
	struct state now = {0};
	struct ruleset *rs;
	int err;

	now.observed = !kern_observed(o->bpffs, &now.legacy_seq);
	rs = pipeline_read(NULL, 0, d);
	if (!rs)
		return handover_retire(before, o, d);
	now.mem = rs->mem;
	now.generation = rs->generation;
	err = handover_prepare(before, o, &now, rs, d);
	if (!err)
		err = handover_end(before, o, &now, d);
	ruleset_free(rs);
	return err;
}

/* The programs go, the observer stays until their counts are written. Whatever fails here must
 * not keep them attached. */
static void hand_back(const struct options *o, size_t *removed)
{
	struct counters_result result;
	struct handover before = {0};
	struct counters k = {0};
	struct diag quiet = {0};
	struct arena *mem = arena_new();
	uint64_t packets;
	bool state;

	state = !handover_begin(&before, o, mem, &quiet) && before.old.epoch;
	/* Their counts are saved while their pins are there. */
	state = state && !kern_silence(o->bpffs, &quiet) && !retire(&before, o, &quiet);
	kern_detach(o->bpffs, removed, &quiet);
	if (state) {
		counters_topup_legacy(&k, o, &result, &quiet);
		counters_sync_nft(o, NULL, &result, &quiet);
		packets = still_pending(o);
		if (packets)
			fprintf(stderr,
				"nf2bpf off: %llu counted packets could not be written into "
				"the kernel's counters\n",
				(unsigned long long)packets);
	}
	handover_close(&before);
	counters_close(&k);
	arena_free(mem);
	diag_free(&quiet);
}

int cmd_off(const struct options *o)
{
	struct diag d = {0};
	size_t removed = 0, more = 0, woken;
	int err = takeover_hand_back(o, NULL, 0, false, &woken, &d);

	if (err) {
		diag_print(&d, stderr, "nf2bpf off");
		diag_free(&d);
		return EXIT_SYSTEM;
	}

	hand_back(o, &removed);
	err = kern_off(o->bpffs, &more, &d);
	removed += more;
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
