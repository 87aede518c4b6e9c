// SPDX-License-Identifier: GPL-2.0
/* The state file of another run: whatever it says, it is refused or read, saved, and read again
 * as the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "carry.h"
#include "state.h"
#include "tests/fuzz/fuzz.h"

static char dir[] = "/tmp/fuzz_state.XXXXXX";

static void dir_remove(void)
{
	state_remove(dir);
	rmdir(dir);
}

static void dir_make(void)
{
	if (strcmp(dir + sizeof(dir) - 7, "XXXXXX"))
		return;
	if (!mkdtemp(dir))
		abort();
	atexit(dir_remove);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *mem = arena_new();
	struct state s = {0}, again = {0};
	struct diag d = {0};
	char path[128];
	uint64_t discarded;
	struct ruleset *rs;
	size_t n;
	FILE *f;

	dir_make();
	snprintf(path, sizeof(path), "%s/%llu.json", dir,
		 (unsigned long long)kern_netns_inode());
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		abort();
	if (!state_load(dir, mem, &s, &d)) {
		rs = ruleset_new();
		if (state_save(dir, &s, &d) || state_load(dir, mem, &again, &d) ||
		    again.generation != s.generation || !s.sites != !again.sites)
			abort();
		state_counters(&s, &n);
		carry_over(&again, &s, arena_array(mem, n, sizeof(struct counter_value)), rs,
			   &discarded);
		if (again.ncarried)
			abort(); /* no rule is there */
		ruleset_free(rs);
	}
	diag_free(&d);
	arena_free(mem);
	return 0;
}
