// SPDX-License-Identifier: GPL-2.0
/* rtnetlink's answers: links, routes or routing rules by the first byte; the bytes of one dump.
 */
#include "../../translator/read/read_env.c"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = input_byte(&in);
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};
	struct reader r = {.rs = rs,
			   .d = &d,
			   .family = how & 4 ? FAMILY_IP6 : FAMILY_IP,
			   .table = RT_TABLE_LOCAL};
	struct buf text = {0};

	r.routes_tail = &r.env.routes;
	input_messages(&in, rs->mem, how & 1 ? on_route : how & 2 ? on_policy : on_link, &r);
	r.env.known = true;
	rs->env = r.env;
	ruleset_print(rs, &text);
	buf_free(&text);
	diag_free(&d);
	ruleset_free(rs);
	return 0;
}
