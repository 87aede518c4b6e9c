// SPDX-License-Identifier: GPL-2.0
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lower/lower.h"
#include "tests/unit/emit_run.h"
#include "witness.h"

#define MAX_PACKETS 300 /* of one ir */

/* ---- the input ---- */

void input_take(struct input *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

uint8_t input_byte(struct input *in)
{
	uint8_t b;

	input_take(in, &b, 1);
	return b;
}

uint8_t *input_blob(struct input *in, struct arena *mem, size_t max, size_t *len)
{
	uint8_t *p;

	*len = max < in->left ? max : in->left;
	p = arena_alloc(mem, *len);
	input_take(in, p, *len);
	return p;
}

int input_messages(struct input *in, struct arena *mem, mnl_cb_t cb, void *data)
{
	int rc = MNL_CB_OK;
	uint32_t want;
	size_t len;

	while (rc > MNL_CB_STOP && in->left >= NLMSG_HDRLEN) {
		memcpy(&want, in->at, sizeof(want));
		if (want < NLMSG_HDRLEN || want > in->left)
			break;
		/* Copied: libmnl's buffer is aligned, and a sanitizer sees an overrun. */
		rc = mnl_cb_run(input_blob(in, mem, want, &len), want, 0, 0, cb, data);
		len = NLMSG_ALIGN(want) - want;
		input_blob(in, mem, len, &len);
	}
	return rc;
}

/* ---- one packet ---- */

static bool same(const struct eval_result *want, unsigned code, const struct pkt *k, bool early)
{
	static const unsigned codes[NEVAL] = {
	    [EVAL_ACCEPT] = PKT_CONTINUE, [EVAL_DROP] = PKT_DROP, [EVAL_LEAVE] = PKT_LEAVE};

	if (want->nhits > PKT_MAX_HITS)
		return code == PKT_LEAVE;
	return code == codes[want->verdict] && k->nhits == want->nhits &&
	       !memcmp(k->hits, want->hits, want->nhits * sizeof(*k->hits)) &&
	       (!early || k->used_ct == want->used_ct);
}

static void report(const struct ir *ir, const struct image *img, enum ir_entry_id entry,
		   const struct eval_result *want, unsigned code, const struct pkt *k,
		   const struct packet *p)
{
	struct buf b = {0};
	size_t i;

	ir_print(ir, &b);
	image_print(img, &b);
	buf_printf(&b, "entry %s frame ", entry_name(entry));
	buf_hex(&b, p->data, p->len);
	buf_printf(&b, "\nevaluator: verdict %d (%s) used_ct %d hits", want->verdict,
		   want->reason ? want->reason : "", want->used_ct);
	for (i = 0; i < want->nhits; i++)
		buf_printf(&b, " %u", want->hits[i]);
	buf_printf(&b, "\nprogram: code %u used_ct %d hits", code, k->used_ct);
	for (i = 0; i < k->nhits && i < PKT_MAX_HITS; i++)
		buf_printf(&b, " %u", k->hits[i]);
	fprintf(stderr, "%s\n", buf_str(&b));
	abort();
}

/* A struct pkt has one transport header: fit for all stages only where the dialects find the
 * same. */
static bool one_dialect(const struct ir_entry *e, const struct packet_view *v)
{
	size_t i;

	for (i = 1; i < e->nstages; i++)
		if (e->stages[i].dialect != e->stages[0].dialect &&
		    (v->l4[0].ok != v->l4[1].ok || v->l4[0].proto != v->l4[1].proto ||
		     v->l4[0].err != v->l4[1].err || v->l4[0].exthdrs != v->l4[1].exthdrs ||
		     v->l4[0].frag != v->l4[1].frag || v->l4[0].off != v->l4[1].off))
			return false;
	return true;
}

void fuzz_packet(const struct ir *ir, const struct image *img, enum ir_entry_id entry,
		 const struct packet *p)
{
	const struct ir_entry *e = &ir->entries[entry];
	static struct eval_result want;
	struct packet_view v;
	struct pkt k;
	unsigned code;

	if (!e->used || !packet_view_init(&v, p) || v.family != e->family ||
	    !one_dialect(e, &v))
		return;
	pkt_fill(p, e->family, e->nstages ? e->stages[0].dialect : DIALECT_XT, &k);
	ir_eval(ir, entry, p, &want);
	code = interp_run(img, entry, &k);
	if (!same(&want, code, &k, ir->site != SITE_HOOK))
		report(ir, img, entry, &want, code, &k, p);
}

/* ---- an ir ---- */

static void must_not_fail(int err, struct diag *d, const char *what)
{
	if (err) {
		diag_print(d, stderr, what);
		abort();
	}
	diag_free(d);
}

/* Printing a parse changes nothing. */
static void check_text(const struct ir *ir)
{
	struct arena *mem = arena_new();
	struct buf first = {0}, second = {0};
	struct diag d = {0};
	struct ir *again;

	ir_print(ir, &first);
	again = ir_parse(mem, buf_str(&first), "printed", &d);
	if (!again)
		fputs(buf_str(&first), stderr);
	must_not_fail(!again, &d, "ir_parse");
	ir_print(again, &second);
	if (strcmp(buf_str(&first), buf_str(&second))) {
		fprintf(stderr, "%s\nis read and printed as\n%s\n", buf_str(&first),
			buf_str(&second));
		abort();
	}
	buf_free(&first);
	buf_free(&second);
	arena_free(mem);
}

static void try_witnesses(const struct ir *ir, const struct image *img, enum ir_entry_id entry)
{
	static struct witness w;
	const struct ir_chain *c;
	const struct ir_rule *r;
	unsigned n = 0, i;

	for (c = ir->chains; c; c = c->next) {
		for (r = c->rules; r; r = r->next) {
			for (i = 0; i < witness_count(r); i++) {
				if (n++ == MAX_PACKETS)
					return;
				witness_make(ir->entries[entry].family, r, i, NULL, 0, &w);
				fuzz_packet(ir, img, entry, &w.packet);
			}
		}
	}
}

void fuzz_ir(const struct ir *ir, bool ours)
{
	struct arena *mem = arena_new();
	struct image img = {0};
	struct diag d = {0};
	unsigned e;
	int err;

	check_text(ir);
	err = emit_image(ir, mem, &img, &d);
	if (err == -E2BIG || (err && d.nerrors && !ours)) {
		diag_free(&d);
	} else {
		must_not_fail(err, &d, "emit_image");
		for (e = 0; e < NENTRY; e++)
			if (ir->entries[e].used)
				try_witnesses(ir, &img, (enum ir_entry_id)e);
	}
	arena_free(mem);
}

/* ---- a ruleset ---- */

static void fuzz_hook(const struct ruleset *rs, const struct chain *c, enum family family)
{
	struct arena *mem = arena_new();
	struct diag d = {0};
	struct ir *ir = NULL;

	if (lower_hook(rs, c, family, mem, &ir, &d)) {
		if (ir)
			abort();
		/* A chain may be refused; an ir of ours that ir_check() refuses is a mistake.
		 */
		must_not_fail(!d.nerrors || strstr(d.items[d.n - 1].text, "ir:"), &d,
			      "lower_hook");
	} else {
		must_not_fail(ir_check(ir, &d), &d, "ir_check");
		fuzz_ir(ir, true);
	}
	diag_free(&d);
	arena_free(mem);
}

void fuzz_ruleset(const struct ruleset *rs)
{
	static const enum site_kind early[] = {SITE_XDP, SITE_TC};
	const struct table *t;
	const struct chain *c;
	struct buf text = {0};
	unsigned i;

	ruleset_print(rs, &text);
	buf_free(&text);
	for (i = 0; i < 2; i++) {
		struct arena *mem = arena_new();
		struct diag d = {0};
		struct ir *ir = NULL;

		must_not_fail(lower_early(rs, early[i], mem, &ir, &d), &d, "lower_early");
		fuzz_ir(ir, true);
		arena_free(mem);
	}
	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (i = 0; c->is_base && i < 2; i++)
				fuzz_hook(rs, c, i ? FAMILY_IP6 : FAMILY_IP);
}
