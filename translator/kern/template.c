// SPDX-License-Identifier: GPL-2.0
/* The compiled C parts: opening them from memory, and loading the dispatchers. */
#include "kern/priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

extern const char template_site_xdp[], template_site_xdp_end[];
extern const char template_site_tc[], template_site_tc_end[];
extern const char template_site_hook[], template_site_hook_end[];
extern const char template_clock[], template_clock_end[];
extern const char template_tables[], template_tables_end[];
extern const char template_observe[], template_observe_end[];
extern const char template_dispatch[], template_dispatch_end[];

/* XDP with frags, so that interfaces with a large MTU can have it too. */
const struct site_type site_types[NSITE] = {
    [SITE_XDP] = {"site_xdp", "dispatch_xdp", "nf2bpf_xdp", BPF_PROG_TYPE_XDP, BPF_XDP,
		  BPF_F_XDP_HAS_FRAGS},
    [SITE_TC] = {"site_tc", "dispatch_tc", "nf2bpf_tc", BPF_PROG_TYPE_SCHED_CLS, 0, 0},
    [SITE_HOOK] = {"site_hook", "dispatch_hook", "nf2bpf_hook", PROG_TYPE_NETFILTER,
		   ATTACH_NETFILTER, 0},
};

static __thread struct buf *said; /* libbpf's print callback has no argument for it */

static int say(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[2048];

	if (!said || level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	buf_puts(said, line);
	return 0;
}

void quiet_begin(struct buf *text)
{
	said = text;
	libbpf_set_print(say);
}

void quiet_end(void)
{
	said = NULL;
}

static struct bpf_object *open_embedded(const char *name, const char *from, const char *to,
					struct diag *d)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	struct bpf_object *obj;
	struct buf text = {0};
	int err;

	quiet_begin(&text);
	obj = bpf_object__open_mem(from, to - from, &opts);
	err = errno;
	quiet_end();
	if (!obj)
		diag_error(d, -err, "cannot open the template %s: %s: %s", name, strerror(err),
			   buf_str(&text));
	buf_free(&text);
	return obj;
}

struct bpf_object *template_open_observer(struct diag *d)
{
	return open_embedded("nf2bpf_observe", template_observe, template_observe_end, d);
}

struct bpf_object *template_open_clock(struct diag *d)
{
	return open_embedded("nf2bpf_clock", template_clock, template_clock_end, d);
}

struct bpf_object *template_open_tables(struct diag *d)
{
	return open_embedded("nf2bpf_tables", template_tables, template_tables_end, d);
}

struct bpf_object *template_open(enum site_kind site, struct diag *d)
{
	struct bpf_object *obj;
	struct bpf_program *prog;

	switch (site) {
	case SITE_XDP:
		obj = open_embedded("nf2bpf_xdp", template_site_xdp, template_site_xdp_end, d);
		break;
	case SITE_TC:
		obj = open_embedded("nf2bpf_tc", template_site_tc, template_site_tc_end, d);
		break;
	case SITE_HOOK:
		obj = open_embedded("nf2bpf_nf", template_site_hook, template_site_hook_end, d);
		break;
	default:
		diag_error(d, -EINVAL, "no template for site %d", site);
		return NULL;
	}
	if (!obj)
		return NULL;
	prog = bpf_object__find_program_by_name(obj, site_types[site].template);
	if (!prog) {
		bpf_object__close(obj);
		diag_error(d, -EINVAL, "template without program %s",
			   site_types[site].template);
		return NULL;
	}
	bpf_program__set_type(prog, site_types[site].type);
	bpf_program__set_expected_attach_type(prog, site_types[site].attach);
	return obj;
}

/* Only the site's own program is loaded. */
static void dispatcher_choose(struct bpf_object *obj, enum site_kind site)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		bool own = !strcmp(bpf_program__name(prog), site_types[site].dispatcher);

		bpf_program__set_autoload(prog, own);
		if (own) {
			bpf_program__set_type(prog, site_types[site].type);
			bpf_program__set_expected_attach_type(prog, site_types[site].attach);
		}
	}
}

int dispatcher_load(enum site_kind site, int words_fd, int slots_fd, int *new_slots,
		    struct diag *d)
{
	struct bpf_object *obj;
	struct bpf_map *slots, *words;
	struct buf text = {0};
	int fd, err;

	obj = open_embedded("nf2bpf_dispatch", template_dispatch, template_dispatch_end, d);
	if (!obj)
		return -EINVAL;
	dispatcher_choose(obj, site);
	slots = bpf_object__find_map_by_name(obj, "slots");
	words = bpf_object__find_map_by_name(obj, ".data.words");
	quiet_begin(&text);
	err = slots && words ? bpf_map__reuse_fd(words, words_fd) : -EINVAL;
	if (!err && slots_fd >= 0)
		err = bpf_map__reuse_fd(slots, slots_fd);
	if (!err)
		err = bpf_object__load(obj);
	quiet_end();
	if (err) {
		err = diag_error(d, err, "cannot load the dispatcher %s: %s: %s",
				 site_types[site].dispatcher, strerror(-err), buf_str(&text));
		goto out;
	}
	fd = dup(bpf_program__fd(
	    bpf_object__find_program_by_name(obj, site_types[site].dispatcher)));
	if (slots_fd < 0)
		*new_slots = dup(bpf_map__fd(slots));
	err = fd >= 0 ? fd : diag_error(d, -errno, "dup: %s", strerror(errno));
out:
	buf_free(&text);
	bpf_object__close(obj);
	return err;
}
