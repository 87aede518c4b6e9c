// SPDX-License-Identifier: GPL-2.0
/* nf2bpf verify: the trial run of every load, on demand and with all witnesses. Nothing is
 * attached. */
#include <jansson.h>
#include <stdio.h>

#include "options.h"
#include "trial.h"
#include "world.h"

static int verify_unit(const struct options *o, const struct ruleset *rs, const struct unit *u,
		       const struct kern_caps *caps, struct diag *d)
{
	const char *place = u->chain
				? arena_printf(rs->mem, "nf %s %s %s", family_name(u->family),
					       u->chain->table->name, u->chain->name)
				: site_specs[u->site].name;
	struct loaded *l = NULL;
	struct kern_world world;
	struct trial t;
	int err;

	if (!u->emitted) {
		printf("%s: no program: %s\n", place, u->refusal);
		return 0;
	}
	world_make(rs, u, rs->mem, &world);
	err = kern_load(&u->image, &world, caps, &l, d);
	if (err)
		return EXIT_SYSTEM;
	err = trial_run(rs, u, l, 0, &t, d);
	if (!err && o->json)
		printf("{\"place\": \"%s\", \"rules\": %zu, \"reached\": %zu, \"packets\": "
		       "%zu, \"drops\": %zu, \"insns\": %zu}\n",
		       place, t.rules, t.rules_hit, t.packets, t.drops, loaded_insns(l));
	else if (!err)
		printf("%s: %zu rules, %zu of them reached by a witness; %zu packets, %zu "
		       "dropped; evaluator and program agree; %zu "
		       "instructions\n",
		       place, t.rules, t.rules_hit, t.packets, t.drops, loaded_insns(l));
	kern_unload(l);
	return err ? EXIT_DIFFERENT : EXIT_OK;
}

int cmd_verify(const struct options *o)
{
	struct diag d = {0};
	struct ruleset *rs = pipeline_read(o->args, o->nargs, &d);
	struct kern_caps caps;
	const struct unit *u;
	int worst = EXIT_OK, code;

	if (!rs || kern_probe(&caps, &d)) {
		diag_print(&d, stderr, "nf2bpf verify");
		diag_free(&d);
		return rs || !o->nargs ? EXIT_SYSTEM : EXIT_INPUT;
	}
	for (u = pipeline_compile(rs, o->hook ? SITE_HOOK : o->site, o->chain); u;
	     u = u->next) {
		code = verify_unit(o, rs, u, &caps, &d);
		worst = code > worst ? code : worst;
	}
	diag_print(&d, stderr, "nf2bpf verify");
	diag_free(&d);
	ruleset_free(rs);
	return worst;
}
