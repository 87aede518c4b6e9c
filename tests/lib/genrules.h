/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random rulesets as a person would write them: iptables-save text for both families, ipset
 * text, or nft text. Deterministic for a seed.  Not each is accepted by the tools: who uses
 * them must count what is refused.
 */
#ifndef NF2BPF_TESTS_GENRULES_H
#define NF2BPF_TESTS_GENRULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text by lines, of which some may be taken out again. */
struct gen_text {
	char **lines;
	bool *out; /* of each line: taken out */
	size_t n, room;
};

enum gen_part { GEN_SETS, GEN_V4, GEN_V6, GEN_NFT, NGEN_PART }; /* in the order of loading */

struct gen_rules {
	struct gen_text part[NGEN_PART]; /* n == 0: not there */
};

void gen_iptables(struct gen_rules *g, uint64_t seed);
void gen_nft(struct gen_rules *g, uint64_t seed);

/* One line, without its newline. */
void gen_text_add(struct gen_text *t, const char *line);
int gen_text_read(struct gen_text *t, const char *path); /* 0 or -errno */
int gen_text_write(const struct gen_text *t,
		   const char *path); /* the lines that are not taken out */
void gen_rules_free(struct gen_rules *g);

/* xorshift64*: never call it with a state of zero. */
uint64_t gen_random(uint64_t *state);

#endif
