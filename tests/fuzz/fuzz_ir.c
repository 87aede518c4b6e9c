// SPDX-License-Identifier: GPL-2.0
/* IR text; after a NUL byte, a frame for its entries. */
#include <string.h>
#include "tests/fuzz/fuzz.h"

static void try_frame(const struct ir *ir, struct arena *mem, const uint8_t *frame, size_t len)
{
	struct packet p = {.data = frame,
			   .len = len,
			   .has_ll = true,
			   .iif = 1,
			   .iifname = "eth0",
			   .ct_state = 8,
			   .ct_ok = 1};
	struct early_world world = {.tcp_loose = true, .ct_sure = true};
	static struct eval_result result;
	struct image img = {0};
	struct diag d = {0};
	unsigned e;

	if (!emit_image(ir, mem, &img, &d))
		for (e = 0; e < NENTRY; e++)
			fuzz_packet(ir, &img, (enum ir_entry_id)e, &p);
	diag_free(&d);
	if (ir->site != SITE_HOOK)
		ir_eval_early(ir, &p, &world, &result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t len = nul ? (size_t)(nul - data) : size;
	struct arena *mem = arena_new();
	struct diag d = {0};
	struct ir *ir = ir_parse(mem, arena_strndup(mem, (const char *)data, len), "input", &d);

	if (ir) {
		fuzz_ir(ir, false);
		if (nul)
			try_frame(ir, mem, nul + 1, size - len - 1);
		ir_specialise(ir);
		fuzz_ir(ir, true);
	}
	diag_free(&d);
	arena_free(mem);
	return 0;
}
