// SPDX-License-Identifier: GPL-2.0
/*
 * Image → a loaded program.
 *
 * libbpf resolves CO-RE, kfuncs and maps of the template for the running kernel.  When it is
 * about to load the program, the emitted instructions are spliced in, and it loads the whole
 * without BTF of functions (the emitted ones have none).
 */
#include "kern/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_BYTES (1 << 20)
#define LOG_LINES 6 /* of the verifier, in the diag */

#define SEARCHED_ROUTES 256 /* more are not searched for needless ones */
#define ARRAY_IFINDEX 4096  /* below that, interfaces stand in an array by their number */

static bool reads(const struct image *img, size_t from, size_t to)
{
	for (int e = 0; e < NENTRY; e++)
		if (splice_reads(img, e, from, to))
			return true;
	return false;
}

static bool reads4(const struct image *img, size_t from, size_t to)
{
	return splice_reads(img, ENTRY_PRE4, from, to) ||
	       splice_reads(img, ENTRY_IN4, from, to) ||
	       splice_reads(img, ENTRY_FWD4, from, to);
}

static void wants_find(struct site_config *c, const struct image *img)
{
	c->has_pre[0] = img->entries[ENTRY_PRE4].ninsns != 0;
	c->has_pre[1] = img->entries[ENTRY_PRE6].ninsns != 0;
	c->want_tcp_opts =
	    reads(img, offsetof(struct pkt, tcp_opts), offsetof(struct pkt, len));
	c->want_name =
	    reads(img, offsetof(struct pkt, iifname), offsetof(struct pkt, tcp_opts));
	c->want_th = reads(img, offsetof(struct pkt, th) + 8, offsetof(struct pkt, ll));
	c->want_ll = reads(img, offsetof(struct pkt, ll), offsetof(struct pkt, iifname)) ||
		     reads(img, offsetof(struct pkt, ll_ok), offsetof(struct pkt, pkttype));
	c->want_iface = reads(img, offsetof(struct pkt, iif), offsetof(struct pkt, mark));
	c->want_mark = reads(img, offsetof(struct pkt, mark), offsetof(struct pkt, ct_state));
	c->want_pkttype =
	    reads(img, offsetof(struct pkt, pkttype), offsetof(struct pkt, ct_dir));
	c->want_ct = reads(img, offsetof(struct pkt, ct_state), offsetof(struct pkt, frag)) ||
		     reads(img, offsetof(struct pkt, ct_dir), offsetof(struct pkt, exthdrs));
	c->want_rest = reads4(img, offsetof(struct pkt, nh) + 20, offsetof(struct pkt, th)) ||
		       splice_reads(img, ENTRY_HOOK, offsetof(struct pkt, nh) + 20,
				    offsetof(struct pkt, th));
}

/* ---- the few addresses and routes of a common host, as constants ---- */

static uint32_t be32_of(const uint8_t *addr)
{
	uint32_t v;

	memcpy(&v, addr, 4);
	return v;
}

/* 127/8 is left out: the template refuses such addresses before it asks. */
static void locals_find(struct site_config *c, const struct kern_world *w)
{
	size_t i, n = 0;

	memset(c->local4, 0, sizeof(c->local4));
	for (i = 0; i < w->nlocals; i++) {
		const struct kern_local *l = &w->locals[i];

		if (l->family != FAMILY_IP || (l->addr[0] == 127 && l->plen >= 8))
			continue;
		if (l->plen != 32 || n == SITE_FEW)
			return;
		c->local4[n++] = (struct local4){be32_of(l->addr), l->type};
	}
	c->few_locals = 1;
	c->nlocals = (uint8_t)n;
}

static int by_length(const void *a, const void *b)
{
	const struct kern_source *const *x = a, *const *y = b;

	return (int)(*y)->plen - (int)(*x)->plen;
}

static bool source_covers(const struct kern_source *a, const struct kern_source *b)
{
	uint32_t mask = a->plen ? htonl(UINT32_MAX << (32 - a->plen)) : 0;

	return a->plen < b->plen && !((be32_of(a->addr) ^ be32_of(b->addr)) & mask);
}

/* Of several routes to one prefix (metrics) it is not said here which the kernel takes. */
static uint32_t source_oif(const struct kern_source **all, size_t n, size_t i)
{
	for (size_t j = 0; j < n; j++)
		if (all[j]->plen == all[i]->plen && all[j]->oif != all[i]->oif &&
		    be32_of(all[j]->addr) == be32_of(all[i]->addr))
			return 0;
	return all[i]->oif;
}

/* all: the longest first.  Does the next shorter one say the same of number i's addresses? */
static bool source_is_needless(const struct kern_source **all, size_t n, size_t i)
{
	for (size_t j = i + 1; j < n; j++)
		if (source_covers(all[j], all[i]))
			return source_oif(all, n, j) == source_oif(all, n, i);
	return false;
}

static void routes_find(struct site_config *c, const struct kern_world *w)
{
	const struct kern_source **all = calloc(w->nsources + 1, sizeof(const void *));
	size_t i, n = 0, few = 0;

	if (!all)
		no_memory();
	for (i = 0; i < w->nsources; i++)
		if (w->sources[i].family == FAMILY_IP)
			all[n++] = &w->sources[i];
	qsort(all, n, sizeof(const void *), by_length);
	for (i = 0; i < SITE_FEW; i++) /* matches nothing */
		c->route4[i] = (struct route4){.mask = 0, .net = 1};
	for (i = 0; i < n && n <= SEARCHED_ROUTES; i++) {
		if (source_is_needless(all, n, i))
			continue;
		if (few < SITE_FEW)
			c->route4[few] = (struct route4){
			    .mask = all[i]->plen ? htonl(UINT32_MAX << (32 - all[i]->plen)) : 0,
			    .net = be32_of(all[i]->addr),
			    .oif = source_oif(all, n, i)};
		few++;
	}
	c->few_routes = n <= SEARCHED_ROUTES && few <= SITE_FEW;
	c->nroutes = (uint8_t)(few < SITE_FEW ? few : SITE_FEW);
	free(all);
}

static void config_complete(struct site_config *c, const struct image *img,
			    const struct kern_caps *caps)
{
	/* The world may forbid an entry (IPsec policies are asked before the forward hook). */
	c->has_in[0] &= img->entries[ENTRY_IN4].ninsns != 0;
	c->has_in[1] &= img->entries[ENTRY_IN6].ninsns != 0;
	c->has_fwd[0] &= img->entries[ENTRY_FWD4].ninsns != 0;
	c->has_fwd[1] &= img->entries[ENTRY_FWD6].ninsns != 0;
	wants_find(c, img);
	c->have_ct_lookup = img->site != SITE_HOOK && caps->ct_lookup;
	if (!c->nf_conn_btf_id)
		c->nf_conn_btf_id = caps->nf_conn_btf_id;
}

/* ---- the template ---- */

static int set_entries(struct bpf_object *obj, const char *name, size_t n)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	return map ? bpf_map__set_max_entries(map, n ? n : 1) : 0;
}

static int set_ifaces(struct bpf_object *obj, const struct kern_world *w)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "ifaces");
	uint32_t max = 0;

	for (size_t i = 0; i < w->nifaces; i++)
		if (w->ifaces[i].ifindex > max)
			max = w->ifaces[i].ifindex;
	if (!map || max >= ARRAY_IFINDEX)
		return set_entries(obj, "ifaces", w->nifaces);
	if (bpf_map__set_type(map, BPF_MAP_TYPE_ARRAY))
		return -EINVAL;
	return bpf_map__set_max_entries(map, max + 1);
}

/* libbpf names the section's map after the object: the one whose name ends in ".rodata". */
static struct bpf_map *config_map(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *dot = strchr(bpf_map__name(map), '.');

		if (dot && !strcmp(dot, ".rodata"))
			return map;
	}
	return NULL;
}

static int set_config(struct bpf_object *obj, const struct site_config *config)
{
	struct bpf_map *map = config_map(obj);
	size_t size;

	if (!map)
		return -ENOENT;
	if (!bpf_map__initial_value(map, &size) || size != sizeof(*config))
		return -EINVAL;
	return bpf_map__set_initial_value(map, config, sizeof(*config));
}

static int use_observer(struct bpf_object *obj, const char *bpffs)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "legacy_seq");
	int fd = observe_map_open(bpffs), err;

	if (fd < 0)
		return fd;
	err = map ? bpf_map__reuse_fd(map, fd) : -ENOENT;
	close(fd);
	return err;
}

/* The words of the namespace, or the object's own. */
static int use_words(struct bpf_object *obj, const struct kern_world *w)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".data.words");

	if (!map)
		return -ENOENT;
	return w->sw ? bpf_map__reuse_fd(map, switch_words(w->sw)) : 0;
}

static int fill_words(struct bpf_object *obj, const struct kern_world *w)
{
	struct site_words words = {.generation = {w->generation, w->generation}};
	uint32_t zero = 0;

	if (w->sw)
		return 0;
	return bpf_map_update_elem(bpf_object__find_map_fd_by_name(obj, ".data.words"), &zero,
				   &words, BPF_ANY)
		   ? -errno
		   : 0;
}

static void key_fill(struct local_key *key, enum family family, const uint8_t addr[16],
		     uint8_t plen)
{
	memset(key, 0, sizeof(*key));
	key->prefixlen = 8 + plen;
	key->family = family;
	memcpy(key->addr, addr, family == FAMILY_IP ? 4 : 16);
}

static int fill_world(struct bpf_object *obj, const struct kern_world *w)
{
	int local = bpf_object__find_map_fd_by_name(obj, "local");
	int ifaces = bpf_object__find_map_fd_by_name(obj, "ifaces");
	int sources = bpf_object__find_map_fd_by_name(obj, "sources");
	struct local_key key;
	size_t i;

	if (local < 0 || ifaces < 0 || sources < 0)
		return -ENOENT;
	for (i = 0; i < w->nlocals; i++) {
		key_fill(&key, w->locals[i].family, w->locals[i].addr, w->locals[i].plen);
		if (bpf_map_update_elem(local, &key, &w->locals[i].type, BPF_ANY))
			return -errno;
	}
	for (i = 0; i < w->nsources; i++) {
		key_fill(&key, w->sources[i].family, w->sources[i].addr, w->sources[i].plen);
		if (bpf_map_update_elem(sources, &key, &w->sources[i].oif, BPF_ANY))
			return -errno;
	}
	for (i = 0; i < w->nifaces; i++) {
		struct iface_value value = w->ifaces[i].value;

		value.known = 1;
		value.route = ROUTE_KNOWN | (value.forwarding ? ROUTE_FORWARDS : 0) |
			      (value.forwarding6 ? ROUTE_FORWARDS6 : 0) |
			      (uint32_t)value.rp_filter << ROUTE_RP_SHIFT;
		if (bpf_map_update_elem(ifaces, &w->ifaces[i].ifindex, &value, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* ---- the whole program ---- */

/* The last lines of a verifier log, without the line of statistics. */
static const char *log_tail(char *log)
{
	size_t len = strlen(log);
	int lines = 0;

	while (len && log[len - 1] == '\n')
		log[--len] = '\0';
	while (len) {
		if (log[len - 1] == '\n' && ++lines == LOG_LINES)
			break;
		len--;
	}
	return log + len;
}

/* What is to be spliced into the program that libbpf is about to load. */
struct splicing {
	const struct image *img;
	const int *map_fd;
	struct diag *d;
	struct bpf_object *obj;
	struct site_config config; /* as it was set */
	size_t ninsns;             /* of the whole; 0: it did not come so far */
};

/* libbpf's handlers of sections are the process's: each is registered once, for libbpf 1.1 uses
 * what it has freed when the last has been taken away, and finds its work here. */
static __thread struct splicing *splicing;

/* libbpf_prog_prepare_load_fn_t */
static int splice_prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts,
			  long cookie)
{
	struct splicing *s = splicing;
	size_t n = bpf_program__insn_cnt(prog);
	struct fold_config config;
	struct bpf_insn *tmpl, *insns;
	int err;

	if (!s)
		return -EINVAL;
	tmpl = malloc(n * sizeof(*tmpl));
	if (!tmpl)
		no_memory();
	memcpy(tmpl, bpf_program__insns(prog), n * sizeof(*tmpl));
	config = (struct fold_config){bpf_map__fd(config_map(s->obj)), &s->config,
				      sizeof(s->config)};
	fold_template(tmpl, n, &config);
	err = splice_image(tmpl, n, s->img, s->map_fd, &insns, &n, s->d);
	free(tmpl);
	if (err)
		return err;
	err = bpf_program__set_insns(prog, insns, n);
	free(insns);
	if (err)
		return err;
	s->ninsns = n;
	opts->prog_flags = site_types[s->img->site].flags;
	opts->prog_btf_fd = 0;
	opts->func_info = opts->line_info = NULL;
	opts->func_info_cnt = opts->line_info_cnt = 0;
	return 0;
}

static int template_load(struct bpf_object *obj, struct splicing *s, const struct kern_world *w,
			 const struct kern_caps *caps, struct diag *d)
{
	const struct image *img = s->img;
	struct site_config config = w->config;
	struct buf text = {0};
	bool refused;
	char *log;
	int err;

	config_complete(&config, img, caps);
	config.slot = w->sw ? kern_switch_slot(w->sw) : 0;
	locals_find(&config, w);
	routes_find(&config, w);
	quiet_begin(&text);
	err = set_config(obj, &config);
	s->obj = obj;
	s->config = config;
	if (!err)
		err = use_words(obj, w);
	if (!err && config.check_legacy)
		err = use_observer(obj, w->bpffs);
	if (!err && w->sw)
		err = watch_use(obj, w->bpffs);
	if (!err)
		err = set_entries(obj, "counters", img->ncounters);
	if (!err)
		err = set_entries(obj, "local", w->nlocals);
	if (!err)
		err = set_entries(obj, "sources", w->nsources);
	if (!err)
		err = set_ifaces(obj, w);
	log = calloc(1, LOG_BYTES);
	if (!log)
		no_memory();
	bpf_program__set_log_buf(
	    bpf_object__find_program_by_name(obj, site_types[img->site].template), log,
	    LOG_BYTES);
	if (!err)
		err = bpf_object__load(obj);
	refused = err && s->ninsns;
	if (!err)
		err = fill_words(obj, w);
	quiet_end();
	if (refused)
		diag_error(
		    d, err,
		    "the kernel refuses the program of site %s (%zu instructions): %s: %s",
		    site_specs[img->site].name, s->ninsns, strerror(-err), log_tail(log));
	else if (err)
		diag_error(d, err, "cannot load the template of site %s: %s: %s",
			   site_specs[img->site].name, strerror(-err), buf_str(&text));
	else if (img->site != SITE_HOOK && (err = fill_world(obj, w)))
		diag_error(d, err, "cannot fill the maps of local addresses and interfaces: %s",
			   strerror(-err));
	free(log);
	buf_free(&text);
	return err;
}

static void maps_close(int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
	free(fd);
}

static int maps_create(const struct image *img, int **out, struct diag *d)
{
	int *fd = calloc(img->nmaps + 1, sizeof(*fd)), err = 0;
	size_t i;

	if (!fd)
		no_memory();
	for (i = 0; i < img->nmaps; i++)
		fd[i] = -1;
	for (i = 0; i < img->nmaps && !err; i++)
		err = mapspec_create(&img->maps[i], &fd[i], d);
	if (err)
		maps_close(fd, img->nmaps);
	else
		*out = fd;
	return err;
}

static void loaded_measure(struct loaded *l)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(l->prog_fd, &info, &len))
		return;
	l->ninsns = info.xlated_prog_len / sizeof(struct bpf_insn);
	l->nverified = info.verified_insns;
}

static int handler_register(enum site_kind site)
{
	static bool registered[NSITE];
	const struct site_type *t = &site_types[site];
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = splice_prepare);
	int id;

	if (registered[site])
		return 0;
	id = libbpf_register_prog_handler(t->section, t->type, t->attach, &opts);
	registered[site] = id >= 0;
	return id < 0 ? id : 0;
}

static int loaded_make(struct bpf_object *obj, const struct image *img, struct loaded **out,
		       struct diag *d)
{
	const char *name = site_types[img->site].template;
	struct loaded *l = calloc(1, sizeof(*l));
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int err;

	if (!l)
		no_memory();
	*l = (struct loaded){.site = img->site, .ncounters = img->ncounters, .stand_fd = -1};
	l->prog_fd = dup(bpf_program__fd(bpf_object__find_program_by_name(obj, name)));
	l->counters_fd = dup(bpf_object__find_map_fd_by_name(obj, "counters"));
	l->override_fd = dup(bpf_object__find_map_fd_by_name(obj, ".data.override"));
	if (img->site == SITE_HOOK)
		l->stand_fd = dup(bpf_object__find_map_fd_by_name(obj, ".data.stand"));
	if (l->prog_fd < 0 || l->counters_fd < 0 || l->override_fd < 0) {
		kern_unload(l);
		return diag_error(d, -EMFILE, "too many open files");
	}
	if (bpf_obj_get_info_by_fd(l->counters_fd, &info, &len)) {
		err = -errno;
		kern_unload(l);
		return diag_error(d, err, "cannot look at the new counters: %s",
				  strerror(-err));
	}
	l->counters_id = info.id;
	loaded_measure(l);
	*out = l;
	return 0;
}

int kern_load(const struct image *img, const struct kern_world *world,
	      const struct kern_caps *caps, struct loaded **out, struct diag *d)
{
	struct splicing s = {.img = img, .d = d};
	struct bpf_object *obj;
	int *map_fd = NULL, err = handler_register(img->site);

	if (err)
		return diag_error(d, err, "cannot prepare the load of site %s",
				  site_specs[img->site].name);
	obj = template_open(img->site, d);
	if (!obj)
		return -EINVAL;
	err = maps_create(img, &map_fd, d);
	s.map_fd = map_fd;
	splicing = &s;
	if (!err)
		err = template_load(obj, &s, world, caps, d);
	splicing = NULL;
	if (!err)
		err = loaded_make(obj, img, out, d);
	if (!err) { /* for kern_refill() */
		(*out)->map_fd = map_fd;
		(*out)->nmaps = img->nmaps;
		map_fd = NULL;
	}
	if (map_fd)
		maps_close(map_fd, img->nmaps);
	bpf_object__close(obj);
	return err;
}

void kern_unload(struct loaded *l)
{
	if (!l)
		return;
	if (l->prog_fd >= 0)
		close(l->prog_fd);
	if (l->counters_fd >= 0)
		close(l->counters_fd);
	if (l->override_fd >= 0)
		close(l->override_fd);
	if (l->stand_fd >= 0)
		close(l->stand_fd);
	maps_close(l->map_fd, l->nmaps);
	free(l);
}

size_t loaded_insns(const struct loaded *l)
{
	return l->ninsns;
}

size_t loaded_verified(const struct loaded *l)
{
	return l->nverified;
}
