// SPDX-License-Identifier: GPL-2.0
/* nf_tables' answers to a dump: any bytes, then the whole way of what came out of them. */
#include "read/read.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};

	if (!read_nft_messages(rs, data, size, &d))
		fuzz_ruleset(rs);
	diag_free(&d);
	ruleset_free(rs);
	return 0;
}
