// SPDX-License-Identifier: GPL-2.0
/* The IR and packets that test_emit_random.c makes, but the input makes its choices; the
 * emitted code against the evaluator. */
int test_emit_random_main(void);
#define main test_emit_random_main
#include "../unit/test_emit_random.c"
#undef main
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct totals t = {0};
	struct image img = {0};
	struct diag d = {0};
	struct gen g;
	int err;

	gen_init(&g, 1, data, size);
	err = emit_image(g.ir, g.mem, &img, &d);
	if (err != -E2BIG && (err || !compare_packets(&g, &img, NULL, &t)))
		abort();
	fuzz_ir(g.ir, true);
	diag_free(&d);
	arena_free(g.mem);
	return 0;
}
