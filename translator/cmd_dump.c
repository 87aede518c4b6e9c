// SPDX-License-Identifier: GPL-2.0
/* nf2bpf dump: each stage as text; and nf2bpf off. */
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "pipeline.h"

static int dump_units(const struct unit *u, const char *stage, struct buf *out)
{
	for (; u; u = u->next) {
		if (u->refusal)
			buf_printf(out, "# refused: %s\n", u->refusal);
		if (!strcmp(stage, "ir") && u->ir)
			ir_print(u->ir, out);
		else if (!strcmp(stage, "opt") && u->opt)
			ir_print(u->opt, out);
		else if (!strcmp(stage, "insn") && u->emitted)
			image_print(&u->image, out);
		else if (!strcmp(stage, "map") && u->emitted)
			image_print_maps(&u->image, out);
	}
	return EXIT_OK;
}

int cmd_dump(const struct options *o)
{
	static const char *const stages[] = {"ruleset", "ir", "opt", "insn", "map"};
	struct ruleset *rs;
	struct diag d = {0};
	struct buf out = {0};
	size_t i;

	for (i = 0; i < 5 && (!o->stage || strcmp(o->stage, stages[i])); i++)
		;
	if (i == 5) {
		fputs("nf2bpf dump: --stage is ruleset, ir, opt, insn or map\n", stderr);
		return EXIT_INPUT;
	}
	rs = pipeline_read(o->args, o->nargs, &d);
	diag_print(&d, stderr, "nf2bpf dump");
	diag_free(&d);
	if (!rs)
		return o->nargs ? EXIT_INPUT : EXIT_SYSTEM;
	if (!i)
		ruleset_print(rs, &out);
	else
		dump_units(pipeline_compile(rs, o->hook ? SITE_HOOK : o->site, o->chain),
			   o->stage, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
	ruleset_free(rs);
	return EXIT_OK;
}
