/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzz targets share.  A target is a file fuzz_NAME.c with LLVMFuzzerTestOneInput; it
 * is linked with libFuzzer (make fuzz) or with replay.c (make check), which feeds it the files
 * of corpus/NAME.
 *
 * A finding is an abort, a sanitizer's report or a hang.  The checks here abort on what outside
 * data must never bring about: an IR that ir_check() refuses although we made it, a text that
 * does not print as it was read, an emitted program that judges another way than the evaluator.
 */
#ifndef NF2BPF_TESTS_FUZZ_H
#define NF2BPF_TESTS_FUZZ_H

#include <libmnl/libmnl.h>
#include <stdint.h>
#include "emit/emit.h"
#include "ir/ir_eval.h"
#include "model/ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes bytes from the front of the input; zeros when it has ended. */
struct input {
	const uint8_t *at;
	size_t left;
};

void input_take(struct input *in, void *to, size_t len);
uint8_t input_byte(struct input *in);
/* At most max bytes that are still there, copied to memory of just that size. */
uint8_t *input_blob(struct input *in, struct arena *mem, size_t max, size_t *len);

/* The rest as netlink messages, each to cb as libmnl would, until one ends it.  libmnl itself
 * takes a length above INT_MAX for whole; the kernel sends none. */
int input_messages(struct input *in, struct arena *mem, mnl_cb_t cb, void *data);

/* ours: made and specialised by us, so that emitting may only fail by its size; else it may be
 * refused with a reason (a window that the site cannot read).  Prints and parses, emits, and
 * compares the code with the evaluator on witness packets of every rule. */
void fuzz_ir(const struct ir *ir, bool ours);
/* The emitted code and the evaluator on a packet; an entry for another family, or a frame that
 * no hook sees, is passed over. */
void fuzz_packet(const struct ir *ir, const struct image *img, enum ir_entry_id entry,
		 const struct packet *p);
/* Every site of the rules: lower, check, fuzz_ir(). */
void fuzz_ruleset(const struct ruleset *rs);

#endif
