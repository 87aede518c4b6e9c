// SPDX-License-Identifier: GPL-2.0
/*
 * The IR from text, in the language of docs/ir.md.
 *
 * A line is a statement; its first word says which.  Chains may be named before they are
 * described, so the lines are read twice: first the counters and the heads of chains, then all
 * else.  No recursion, and every number has its bound, so that any text ends in an ir that
 * ir_check() has seen, or in one error.
 */
#include "ir/ir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum token_kind { T_END, T_WORD, T_NUMBER, T_STRING, T_SIGN, T_BAD };

struct token {
	enum token_kind kind;
	unsigned column;
	const char *at; /* T_WORD, T_NUMBER, T_SIGN: in the text */
	size_t len;
	char *string; /* T_STRING, decoded */
};

/* Names of chains or sets: open addressing, at most half full. */
struct names {
	struct {
		const char *name;
		void *what;
	} * slot;
	size_t n, room;
};

struct parser {
	struct arena *mem;
	const char *file;
	struct diag *d;
	struct ir *ir;
	struct names chains, sets;
	/* The line being read, and the token at hand. */
	const char *line, *next;
	unsigned line_number;
	struct token t;
	bool second; /* pass */
	/* What the lines that follow belong to. */
	struct ir_chain *chain;
	struct ir_rule *rule;
	struct ir_set *set;
	unsigned set_line;
	struct ir_entry *entry;
};

static int fail(struct parser *p, const char *what)
{
	return diag_error_at(p->d, -EINVAL, p->file, p->line_number, p->t.column, "%s", what);
}

/* ---- names ---- */

static size_t name_hash(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 32);
}

static size_t names_slot(const struct names *n, const char *name)
{
	size_t i = name_hash(name) & (n->room - 1);

	while (n->slot[i].name && strcmp(n->slot[i].name, name))
		i = (i + 1) & (n->room - 1);
	return i;
}

static void *names_find(const struct names *n, const char *name)
{
	return n->room ? n->slot[names_slot(n, name)].what : NULL;
}

static void names_add(struct parser *p, struct names *n, const char *name, void *what)
{
	struct names old = *n;
	size_t i, to;

	if (2 * (n->n + 1) > n->room) {
		n->room = n->room ? 2 * n->room : 64;
		n->slot = arena_array(p->mem, n->room, sizeof(*n->slot));
		for (i = 0; i < old.room; i++) {
			if (!old.slot[i].name)
				continue;
			to = names_slot(n, old.slot[i].name);
			n->slot[to] = old.slot[i];
		}
	}
	to = names_slot(n, name);
	n->slot[to].name = name;
	n->slot[to].what = what;
	n->n++;
}

/* ---- tokens ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One character of a string, decoded; 0: the string is wrong. */
static unsigned char string_char(const char **at)
{
	const char *s = *at;
	int hi, lo;

	if (*s != '\\') {
		*at = s + 1;
		return (unsigned char)*s;
	}
	if (s[1] == '"' || s[1] == '\\') {
		*at = s + 2;
		return (unsigned char)s[1];
	}
	if (s[1] != 'x')
		return 0;
	hi = hex_digit(s[2]);
	lo = hi < 0 ? -1 : hex_digit(s[3]);
	if (lo < 0)
		return 0;
	*at = s + 4;
	return (unsigned char)(hi << 4 | lo);
}

/* To the closing quote, or to the end of the line if there is none or the string is wrong. */
static void read_string(struct parser *p)
{
	const char *at = p->next + 1, *end = at;
	unsigned char c;
	size_t len = 0;

	while (*end && *end != '\n' && *end != '"')
		end += *end == '\\' && (end[1] == '"' || end[1] == '\\') ? 2 : 1;
	p->t.kind = T_BAD;
	p->next = end;
	if (*end != '"')
		return;
	p->t.string = arena_alloc(p->mem, (size_t)(end - at) + 1);
	while (at < end) {
		c = string_char(&at);
		if (!c) {
			p->next += strcspn(p->next, "\n");
			return;
		}
		p->t.string[len++] = (char)c;
	}
	p->t.kind = T_STRING;
	p->next = end + 1;
}

static void read_token(struct parser *p)
{
	const char *s;

	while (*p->next == ' ' || *p->next == '\t' || *p->next == '\r')
		p->next++;
	s = p->next;
	p->t = (struct token){.column = (unsigned)(s - p->line) + 1, .at = s, .len = 1};
	if (!*s || *s == '\n' || *s == '#') {
		p->t.kind = T_END;
		return;
	}
	if (*s == '"') {
		read_string(p);
		return;
	}
	if (is_digit(*s)) {
		p->t.kind = T_NUMBER;
		while (is_digit(s[p->t.len]) || is_letter(s[p->t.len]))
			p->t.len++;
	} else if (is_letter(*s)) {
		p->t.kind = T_WORD;
		while (is_digit(s[p->t.len]) || is_letter(s[p->t.len]) || s[p->t.len] == '.')
			p->t.len++;
	} else if ((*s == '=' || *s == '!') && s[1] == '=') {
		p->t.kind = T_SIGN;
		p->t.len = 2;
	} else {
		p->t.kind = strchr("[]:,&-", *s) ? T_SIGN : T_BAD;
	}
	p->next += p->t.len;
}

static bool is_text(const struct parser *p, enum token_kind kind, const char *text)
{
	return p->t.kind == kind && strlen(text) == p->t.len &&
	       !memcmp(p->t.at, text, p->t.len);
}

/* Takes the token if it is this word. */
static bool take_word(struct parser *p, const char *word)
{
	if (!is_text(p, T_WORD, word))
		return false;
	read_token(p);
	return true;
}

static bool take_sign(struct parser *p, const char *sign)
{
	if (!is_text(p, T_SIGN, sign))
		return false;
	read_token(p);
	return true;
}

static int want_word(struct parser *p, const char *word)
{
	return take_word(p, word) ? 0
				  : diag_error_at(p->d, -EINVAL, p->file, p->line_number,
						  p->t.column, "expected %s", word);
}

static int want_sign(struct parser *p, const char *sign)
{
	return take_sign(p, sign) ? 0
				  : diag_error_at(p->d, -EINVAL, p->file, p->line_number,
						  p->t.column, "expected '%s'", sign);
}

static int want_string(struct parser *p, const char **out)
{
	if (p->t.kind != T_STRING)
		return fail(p, "expected a name in quotes");
	*out = p->t.string;
	read_token(p);
	return 0;
}

/* v = v * base + digit; false: more than 128 bits. */
static bool push_digit(struct u128 *v, unsigned base, unsigned digit)
{
	unsigned __int128 x = (unsigned __int128)v->hi << 64 | v->lo, y;

	if (__builtin_mul_overflow(x, (unsigned __int128)base, &y) ||
	    __builtin_add_overflow(y, (unsigned __int128)digit, &y))
		return false;
	*v = (struct u128){(uint64_t)(y >> 64), (uint64_t)y};
	return true;
}

static int want_u128(struct parser *p, struct u128 max, struct u128 *out)
{
	unsigned base = 10;
	struct u128 v = U128(0);
	size_t i = 0;
	int digit;

	if (p->t.kind != T_NUMBER)
		return fail(p, "expected a number");
	if (p->t.len > 2 && p->t.at[0] == '0' && p->t.at[1] == 'x') {
		base = 16;
		i = 2;
	}
	for (; i < p->t.len; i++) {
		digit = hex_digit(p->t.at[i]);
		if (digit < 0 || digit >= (int)base)
			return fail(p, "not a number");
		if (!push_digit(&v, base, (unsigned)digit))
			return fail(p, "number too big");
	}
	if (u128_cmp(v, max) > 0)
		return fail(p, "number too big");
	*out = v;
	read_token(p);
	return 0;
}

static int want_u64(struct parser *p, uint64_t max, uint64_t *out)
{
	struct u128 v;
	int err = want_u128(p, U128(max), &v);

	if (!err)
		*out = v.lo;
	return err;
}

static int want_u32(struct parser *p, uint32_t max, uint32_t *out)
{
	uint64_t v;
	int err = want_u64(p, max, &v);

	if (!err)
		*out = (uint32_t)v;
	return err;
}

static int want_end(struct parser *p)
{
	return p->t.kind == T_END ? 0 : fail(p, "more than expected on this line");
}

/* ---- parts of lines ---- */

static int want_backend(struct parser *p, enum backend *out)
{
	unsigned b;

	for (b = 0; b < NBACKEND; b++) {
		if (take_word(p, backend_name(b))) {
			*out = b;
			return 0;
		}
	}
	return fail(p, "expected a back end");
}

static int want_family(struct parser *p, enum family *out)
{
	static const enum family all[] = {FAMILY_INET,   FAMILY_IP,     FAMILY_ARP,
					  FAMILY_NETDEV, FAMILY_BRIDGE, FAMILY_IP6};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (take_word(p, family_name(all[i]))) {
			*out = all[i];
			return 0;
		}
	}
	return fail(p, "expected a family");
}

static int want_place(struct parser *p, struct origin *o)
{
	int err = 0;

	if (take_word(p, "policy"))
		o->index = 0;
	else if (take_word(p, "rule"))
		err = want_u32(p, UINT32_MAX, &o->index);
	else
		err = fail(p, "expected policy or rule");
	if (!err && take_word(p, "handle"))
		err = want_u64(p, UINT64_MAX, &o->handle);
	if (!err && take_word(p, "line"))
		err = want_u32(p, UINT32_MAX, &o->line);
	return err;
}

/* What follows the word from. */
static int want_origin_words(struct parser *p, struct origin *out)
{
	struct origin o = {0};
	int err;

	if (take_word(p, "none")) {
		*out = o;
		return 0;
	}
	err = want_backend(p, &o.backend);
	if (!err)
		err = want_family(p, &o.family);
	if (!err)
		err = want_string(p, &o.table);
	if (!err)
		err = want_string(p, &o.chain);
	if (!err)
		err = want_place(p, &o);
	if (!err)
		*out = o;
	return err;
}

static int want_origin(struct parser *p, struct origin *out)
{
	int err = want_word(p, "from");

	return err ? err : want_origin_words(p, out);
}

static int want_chain(struct parser *p, struct ir_chain **out)
{
	struct ir_chain *c;

	if (p->t.kind != T_STRING)
		return fail(p, "expected a name in quotes");
	c = names_find(&p->chains, p->t.string);
	if (!c)
		return fail(p, "no such chain");
	*out = c;
	read_token(p);
	return 0;
}

static int want_target(struct parser *p, struct ir_target *out)
{
	static const struct {
		const char *word;
		enum ir_verdict verdict;
	} all[] = {{"continue", V_CONTINUE}, {"accept", V_ACCEPT}, {"drop", V_DROP},
		   {"return", V_RETURN},     {"jump", V_JUMP},     {"goto", V_GOTO}};
	struct ir_target t = {0};
	size_t i;
	int err = 0;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!take_word(p, all[i].word))
			continue;
		t.verdict = all[i].verdict;
		if (t.verdict == V_JUMP || t.verdict == V_GOTO)
			err = want_chain(p, &t.chain);
		if (!err)
			*out = t;
		return err;
	}
	return fail(p, "expected a verdict");
}

static int want_window(struct parser *p, struct ir_field *f)
{
	uint32_t off, len;
	int err = want_sign(p, "[");

	if (!err)
		err = want_u32(p, 255, &off);
	if (!err)
		err = want_sign(p, ":");
	if (!err)
		err = want_u32(p, 16, &len);
	if (!err && !len)
		err = fail(p, "a window of no bytes");
	if (!err)
		err = want_sign(p, "]");
	if (err)
		return err;
	f->off = (uint8_t)off;
	f->len = (uint8_t)len;
	return 0;
}

/* FIELD or FIELD[OFF:LEN], then perhaps & MASK. */
static int want_field(struct parser *p, struct ir_field *out, struct u128 *mask)
{
	struct ir_field f = {0};
	struct u128 m;
	unsigned id;
	int err = 0;

	for (id = 0; id < NFIELD; id++)
		if (is_text(p, T_WORD, field_name(id)))
			break;
	if (id == NFIELD)
		return fail(p, "no such field");
	f.id = id;
	read_token(p);
	if (!field_width(id))
		err = want_window(p, &f);
	if (err)
		return err;
	m = u128_max(ir_field_len(f));
	if (take_sign(p, "&"))
		err = want_u128(p, m, &m);
	if (err)
		return err;
	*out = f;
	*mask = m;
	return 0;
}

static int want_else(struct parser *p, struct ir_op *op)
{
	if (!take_word(p, "else"))
		return 0;
	op->on_fail = FAIL_LEAVE;
	if (take_word(p, "leave"))
		return 0;
	op->on_fail = FAIL_DROP;
	return want_word(p, "drop");
}

/* ---- ops ---- */

static int want_cmp(struct parser *p, enum ir_cmp *out)
{
	if (take_sign(p, "=="))
		*out = CMP_EQ;
	else if (take_sign(p, "!="))
		*out = CMP_NE;
	else if (take_word(p, "in"))
		*out = CMP_IN;
	else if (take_word(p, "out"))
		*out = CMP_OUT;
	else
		return fail(p, "expected ==, !=, in or out");
	return 0;
}

static int parse_test(struct parser *p, struct ir_op *op)
{
	struct u128 max;
	int err = want_field(p, &op->test.field, &op->test.mask);

	op->kind = OP_TEST;
	if (err)
		return err;
	max = u128_max(ir_field_len(op->test.field));
	err = want_cmp(p, &op->test.cmp);
	if (!err)
		err = want_u128(p, max, &op->test.a);
	if (!err && (op->test.cmp == CMP_IN || op->test.cmp == CMP_OUT)) {
		err = want_sign(p, "-");
		if (!err)
			err = want_u128(p, max, &op->test.b);
	}
	return err ? err : want_else(p, op);
}

/* Both look-ups: the fields of the key, then the set. */
static int parse_lookup(struct parser *p, struct ir_op *op, enum ir_op_kind kind)
{
	struct ir_key key[IR_MAX_KEY_FIELDS];
	struct ir_set *s;
	unsigned n = 0;
	int err;

	do {
		if (n == IR_MAX_KEY_FIELDS)
			return fail(p, "too many fields in a key");
		err = want_field(p, &key[n].field, &key[n].mask);
		if (err)
			return err;
		n++;
	} while (take_sign(p, ","));
	op->kind = kind;
	op->lookup.negate = kind == OP_LOOKUP && take_word(p, "not");
	err = want_word(p, "in");
	if (err)
		return err;
	if (p->t.kind != T_STRING)
		return fail(p, "expected a name in quotes");
	s = names_find(&p->sets, p->t.string);
	if (!s)
		return fail(p, "no such set");
	if (s->nfields != n)
		return fail(p, "key and set differ in their number of fields");
	read_token(p);
	op->lookup.set = s;
	op->lookup.key = arena_memdup(p->mem, key, n * sizeof(*key));
	return kind == OP_LOOKUP ? want_else(p, op) : 0;
}

static int parse_set_lookup(struct parser *p, struct ir_op *op)
{
	return parse_lookup(p, op, OP_LOOKUP);
}

static int parse_vmap(struct parser *p, struct ir_op *op)
{
	return parse_lookup(p, op, OP_VMAP);
}

static int parse_leave(struct parser *p, struct ir_op *op)
{
	op->kind = OP_LEAVE;
	op->leave.pure = take_word(p, "pure");
	return want_string(p, &op->leave.reason);
}

static int parse_count(struct parser *p, struct ir_op *op)
{
	op->kind = OP_COUNT;
	if (!p->ir->ncounters)
		return fail(p, "no such counter");
	return want_u32(p, p->ir->ncounters - 1, &op->count);
}

static int parse_verdict(struct parser *p, struct ir_op *op)
{
	op->kind = OP_VERDICT;
	return want_target(p, &op->verdict);
}

static int parse_op(struct parser *p)
{
	static const struct {
		const char *word;
		int (*parse)(struct parser *p, struct ir_op *op);
	} ops[] = {{"test", parse_test},   {"lookup", parse_set_lookup},
		   {"vmap", parse_vmap},   {"count", parse_count},
		   {"leave", parse_leave}, {"verdict", parse_verdict}};
	struct ir_op op = {0};
	size_t i;
	int err;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (is_text(p, T_WORD, ops[i].word))
			break;
	if (i == sizeof(ops) / sizeof(ops[0]))
		return fail(p, "no such statement");
	if (!p->rule)
		return fail(p, "an op outside a rule");
	read_token(p);
	err = ops[i].parse(p, &op);
	if (!err)
		*ir_rule_op(p->ir, p->rule) = op;
	return err;
}

/* ---- lines ---- */

/* Room for one more in an array that knows only its length: it grows at each power of two. */
static void *one_more(struct parser *p, void *array, size_t n, size_t size)
{
	if (n & (n - 1))
		return array;
	return arena_grow(p->mem, array, n, n ? 2 * n : 1, size);
}

static int parse_ir(struct parser *p)
{
	uint32_t generation = 0;
	unsigned site;
	int err = want_word(p, "ir");

	if (err)
		return err;
	for (site = 0; site < NSITE; site++)
		if (take_word(p, site_specs[site].name))
			break;
	if (site == NSITE)
		return fail(p, "no such site");
	if (take_word(p, "generation"))
		err = want_u32(p, UINT32_MAX, &generation);
	if (err)
		return err;
	p->ir = ir_new(p->mem, site);
	p->ir->generation = generation;
	return 0;
}

static int parse_hook(struct parser *p)
{
	uint32_t hook, priority;
	struct origin from;
	bool negative;
	int err = want_u32(p, UINT32_MAX, &hook);

	if (!err)
		err = want_word(p, "priority");
	if (err)
		return err;
	negative = take_sign(p, "-");
	err = want_u32(p, (uint32_t)INT32_MAX + negative, &priority);
	if (!err)
		err = want_origin(p, &from);
	if (err)
		return err;
	p->ir->hook = hook;
	p->ir->priority = (int32_t)(negative ? -(int64_t)priority : (int64_t)priority);
	p->ir->from = from;
	return 0;
}

static int parse_counter(struct parser *p)
{
	struct origin from;
	bool in_view;
	uint32_t id;
	int err = want_u32(p, UINT32_MAX, &id);

	if (err)
		return err;
	if (id != p->ir->ncounters)
		return fail(p, "counters are numbered from 0 in their order");
	in_view = take_word(p, "view");
	if (!in_view)
		err = want_word(p, "own");
	if (!err)
		err = want_origin(p, &from);
	if (!err)
		ir_add_counter(p->ir, &from, in_view);
	return err;
}

/* First pass. */
static int parse_chain_head(struct parser *p)
{
	struct ir_target policy = {0};
	struct origin from;
	struct ir_chain *c;
	const char *name = NULL;
	uint32_t counter = 0;
	bool base;
	int err = want_string(p, &name);

	if (!err && names_find(&p->chains, name))
		err = fail(p, "a chain of this name exists");
	if (err)
		return err;
	base = take_word(p, "policy");
	if (base) {
		err = want_target(p, &policy);
		if (!err)
			err = want_word(p, "counter");
		if (!err)
			err = want_u32(p, INT32_MAX, &counter);
	}
	if (!err)
		err = want_origin(p, &from);
	if (err)
		return err;
	c = ir_add_chain(p->ir, name, &from);
	c->is_base = base;
	c->policy = policy;
	c->policy_counter = base ? (int32_t)counter : -1;
	names_add(p, &p->chains, c->name, c);
	return 0;
}

static int parse_rule(struct parser *p)
{
	if (!p->chain)
		return fail(p, "a rule outside a chain");
	p->rule = ir_add_rule(p->ir, p->chain, NULL);
	return 0;
}

static int parse_from(struct parser *p)
{
	struct ir_rule *r = p->rule;
	struct origin from;
	int err;

	if (!r)
		return fail(p, "an origin outside a rule");
	if (r->nfrom == UINT16_MAX)
		return fail(p, "too many origins of one rule");
	err = want_origin_words(p, &from);
	if (err)
		return err;
	r->from = one_more(p, r->from, r->nfrom, sizeof(*r->from));
	r->from[r->nfrom++] = arena_memdup(p->mem, &from, sizeof(from));
	return 0;
}

static int parse_set_head(struct parser *p, bool is_map)
{
	uint8_t width[IR_MAX_KEY_FIELDS];
	const char *name = NULL;
	unsigned n = 0;
	uint32_t w;
	int err = want_string(p, &name);

	if (!err && names_find(&p->sets, name))
		err = fail(p, "a set of this name exists");
	if (err)
		return err;
	do {
		if (n == IR_MAX_KEY_FIELDS)
			return fail(p, "too many fields in a set");
		err = want_u32(p, 16, &w);
		if (!err && !w)
			err = fail(p, "a field of no bytes");
		if (err)
			return err;
		width[n++] = (uint8_t)w;
	} while (take_sign(p, ","));
	p->set = ir_add_set(p->ir, name, n, width);
	p->set->is_map = is_map;
	p->set_line = p->line_number;
	names_add(p, &p->sets, p->set->name, p->set);
	return 0;
}

static int parse_set(struct parser *p)
{
	return parse_set_head(p, false);
}

static int parse_map(struct parser *p)
{
	return parse_set_head(p, true);
}

static int parse_set_target(struct parser *p)
{
	struct ir_set *s = p->set;
	struct ir_target t;
	uint32_t index;
	int err;

	if (!s || !s->is_map)
		return fail(p, "a target outside a map");
	err = want_u32(p, UINT32_MAX, &index);
	if (!err && index != s->ntargets)
		err = fail(p, "targets are numbered from 0 in their order");
	if (!err)
		err = want_target(p, &t);
	if (err)
		return err;
	s->targets = one_more(p, s->targets, s->ntargets, sizeof(*s->targets));
	s->targets[s->ntargets++] = t;
	return 0;
}

static int parse_set_miss(struct parser *p)
{
	uint32_t index;
	int err;

	if (!p->set || !p->set->is_map)
		return fail(p, "a catch-all outside a map");
	err = want_u32(p, INT32_MAX, &index);
	if (!err)
		p->set->miss = (int32_t)index;
	return err;
}

static int parse_set_element(struct parser *p)
{
	struct u128 lo[IR_MAX_KEY_FIELDS], hi[IR_MAX_KEY_FIELDS];
	struct ir_set *s = p->set;
	uint32_t value = 0;
	unsigned i;
	int err = 0;

	if (!s)
		return fail(p, "an element outside a set");
	for (i = 0; i < s->nfields && !err; i++) {
		if (i)
			err = want_sign(p, ",");
		if (!err)
			err = want_u128(p, u128_max(s->width[i]), &lo[i]);
		if (err)
			return err;
		hi[i] = lo[i];
		if (take_sign(p, "-"))
			err = want_u128(p, u128_max(s->width[i]), &hi[i]);
	}
	if (!err && s->is_map) {
		err = want_sign(p, ":");
		if (!err)
			err = want_u32(p, UINT32_MAX, &value);
	}
	if (!err)
		ir_set_add(p->ir, s, lo, hi, value);
	return err;
}

static int finish_set(struct parser *p)
{
	struct ir_set *s = p->set;
	int err;

	p->set = NULL;
	if (!s)
		return 0;
	err = ir_set_finish(p->ir, s);
	if (!err)
		return 0;
	return diag_error_at(p->d, err, p->file, p->set_line, 0, "%s",
			     err == -EEXIST ? "elements overlap with different values"
					    : "an element is empty or too wide");
}

static int parse_entry(struct parser *p)
{
	enum family family;
	unsigned id;
	int err;

	for (id = 0; id < NENTRY; id++)
		if (take_word(p, entry_name(id)))
			break;
	if (id == NENTRY)
		return fail(p, "no such entry");
	if (p->ir->entries[id].used)
		return fail(p, "this entry exists");
	err = want_family(p, &family);
	if (err)
		return err;
	p->entry = &p->ir->entries[id];
	p->entry->used = true;
	p->entry->family = family;
	return 0;
}

static int parse_stage(struct parser *p)
{
	struct ir_entry *e = p->entry;
	struct ir_stage s = {0};
	int err;

	if (!e)
		return fail(p, "a stage outside an entry");
	err = want_chain(p, &s.chain);
	if (err)
		return err;
	if (take_word(p, "nft"))
		s.dialect = DIALECT_NFT;
	else if (take_word(p, "xt"))
		s.dialect = DIALECT_XT;
	else
		return fail(p, "expected nft or xt");
	s.new_only = take_word(p, "new_only");
	s.tracked = take_word(p, "tracked");
	s.order_unknown = take_word(p, "order_unknown");
	e->stages = one_more(p, e->stages, e->nstages, sizeof(*e->stages));
	e->stages[e->nstages++] = s;
	return 0;
}

/* ---- the text ---- */

static void skip_line(struct parser *p)
{
	while (p->t.kind != T_END && p->t.kind != T_BAD)
		read_token(p);
}

static int parse_first(struct parser *p)
{
	if (!p->ir)
		return parse_ir(p);
	if (is_text(p, T_WORD, "ir"))
		return fail(p, "a second ir");
	if (take_word(p, "counter"))
		return parse_counter(p);
	if (take_word(p, "chain"))
		return parse_chain_head(p);
	skip_line(p);
	return 0;
}

static int parse_done(struct parser *p)
{
	skip_line(p);
	return 0;
}

static int parse_chain(struct parser *p)
{
	int err = want_chain(p, &p->chain);

	skip_line(p);
	return err;
}

/* begins: ends what the lines before it belonged to. */
static int parse_second(struct parser *p)
{
	static const struct {
		const char *word;
		int (*parse)(struct parser *p);
		bool begins;
	} lines[] = {{"ir", parse_done, true},        {"counter", parse_done, true},
		     {"hook", parse_hook, true},      {"set", parse_set, true},
		     {"map", parse_map, true},        {"chain", parse_chain, true},
		     {"entry", parse_entry, true},    {"target", parse_set_target, false},
		     {"miss", parse_set_miss, false}, {"elem", parse_set_element, false},
		     {"rule", parse_rule, false},     {"from", parse_from, false},
		     {"stage", parse_stage, false}};
	size_t i;
	int err = 0;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!take_word(p, lines[i].word))
			continue;
		if (lines[i].begins) {
			p->chain = NULL;
			p->rule = NULL;
			p->entry = NULL;
			err = finish_set(p);
		}
		return err ? err : lines[i].parse(p);
	}
	return parse_op(p);
}

static int parse_lines(struct parser *p, const char *text)
{
	const char *line = text;
	int err = 0;

	p->line_number = 0;
	while (*line && !err) {
		p->line_number++;
		p->line = p->next = line;
		read_token(p);
		if (p->t.kind != T_END)
			err = p->second ? parse_second(p) : parse_first(p);
		if (!err && p->t.kind == T_BAD)
			err = fail(p, "not a token of this language");
		if (!err)
			err = want_end(p);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return err;
}

struct ir *ir_parse(struct arena *mem, const char *text, const char *file, struct diag *d)
{
	struct parser p = {.mem = mem, .file = file, .d = d};
	int err = parse_lines(&p, text);

	if (!err && !p.ir) {
		diag_error_at(d, -EINVAL, file, 1, 1, "expected ir");
		return NULL;
	}
	p.second = true;
	if (!err)
		err = parse_lines(&p, text);
	if (!err)
		err = finish_set(&p);
	if (!err)
		err = ir_check(p.ir, d);
	return err ? NULL : p.ir;
}
