// SPDX-License-Identifier: GPL-2.0
/* A line of a client: refused with a reason, or a request that is one of the list. */
#include <stdlib.h>
#include <string.h>
#include "control.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request rq = {.kind = NCONTROL, .rate = 12345678};
	char why[128] = "";
	int err = control_parse((const char *)data, size, &rq, why);

	if (err) {
		/* Untouched, and a reason that fits. */
		if (rq.kind != NCONTROL || rq.rate != 12345678 || !*why ||
		    !memchr(why, '\0', sizeof(why)))
			abort();
	} else if (rq.kind >= NCONTROL || rq.rate < 1 || rq.rate > 10000) {
		abort();
	}
	return 0;
}
