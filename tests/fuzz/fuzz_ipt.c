// SPDX-License-Identifier: GPL-2.0
/*
 * Entries of x_tables as libiptc hands them out.  First byte: 0 IPv4, else IPv6.  Then for
 * each: what libiptc says the target is, the length (two bytes), the entry.
 */
#include <string.h>
#include "read/read_ipt.h"
#include "tests/fuzz/fuzz.h"

static const char *const labels[] = {"ACCEPT", "DROP", "RETURN", "user",
				     "",       "LOG",  "QUEUE",  "nowhere"};

static struct chain *make_chains(struct ruleset *rs, enum family family)
{
	struct table *t = ruleset_add_table(rs, BACKEND_LEGACY, family, "filter");
	struct chain *in = table_add_chain(rs, t, "INPUT"),
		     *user = table_add_chain(rs, t, "user");
	const struct ipt_builtin *b;
	size_t n;

	b = ipt_builtin_chains("filter", &n);
	ipt_builtin_set(in, b);
	chain_add_rule(rs, user)->xt.verdict = XTV_DROP;
	return in;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	enum family family = input_byte(&in) ? FAMILY_IP6 : FAMILY_IP;
	struct ruleset *rs = ruleset_new();
	struct chain *c = make_chains(rs, family);
	const char *label;
	size_t len;

	while (in.left > 3) {
		label = labels[input_byte(&in) % 8];
		len = (size_t)input_byte(&in) << 8;
		len |= input_byte(&in);
		const uint8_t *entry = input_blob(&in, rs->mem, len, &len);
		struct rule r = {0};

		if (!ipt_entry_decode(rs->mem, family, entry, len, label, &r)) {
			struct rule *added = chain_add_rule(rs, c);

			added->xt = r.xt;
			added->kind = BACKEND_LEGACY;
		}
	}
	fuzz_ruleset(rs);
	ruleset_free(rs);
	return 0;
}
