// SPDX-License-Identifier: GPL-2.0
/* iptables-save text, for both families. */
#include "read/read.h"
#include "tests/fuzz/fuzz.h"

static void try_family(enum family family, const uint8_t *data, size_t size)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};

	rs->file = "input";
	if (!read_save(rs, family, arena_strndup(rs->mem, (const char *)data, size), "input",
		       &d))
		fuzz_ruleset(rs);
	diag_free(&d);
	ruleset_free(rs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_family(FAMILY_IP, data, size);
	try_family(FAMILY_IP6, data, size);
	return 0;
}
