// SPDX-License-Identifier: GPL-2.0
#include "opt/opt.h"

struct ir *opt_run(const struct ir *ir, struct arena *mem)
{
	struct ir *out = opt_copy(ir, mem);

	opt_known(out);
	opt_leaving(out);
	return out;
}
