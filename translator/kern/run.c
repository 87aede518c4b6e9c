// SPDX-License-Identifier: GPL-2.0
/* One packet through a loaded program: BPF_PROG_TEST_RUN. */
#include "kern/priv.h"

#include <errno.h>
#include <string.h>
#include "base/net.h"

/* struct nf_hook_state as the kernel takes it; only hook and pf may be set
 * (net/bpf/test_run.c). */
struct hook_context {
	uint8_t hook, pf;
	uint64_t in, out, sk, net, okfn;
};

#define HOOK_PRE_ROUTING 0
#define ETH_BYTES 14

static int override_set(const struct loaded *l, const struct site_override *override)
{
	struct site_override value = {0};
	uint32_t zero = 0;

	if (override) {
		value = *override;
		value.on = 1;
	}
	return bpf_map_update_elem(l->override_fd, &zero, &value, BPF_ANY) ? -errno : 0;
}

static int verdict_decode(enum site_kind site, uint32_t retval, enum pkt_code *verdict)
{
	switch (site) {
	case SITE_XDP:
		if (retval != XDP_DROP && retval != XDP_PASS)
			return -EPROTO;
		*verdict = retval == XDP_DROP ? PKT_DROP : PKT_LEAVE;
		return 0;
	case SITE_TC:
		if (retval != 2 && retval != (uint32_t)-1)
			return -EPROTO;
		*verdict = retval == 2 ? PKT_DROP : PKT_LEAVE;
		return 0;
	case SITE_HOOK:
		if (retval > 1)
			return -EPROTO;
		*verdict = retval ? PKT_CONTINUE : PKT_DROP;
		return 0;
	default:
		return -EINVAL;
	}
}

int kern_test_run(struct loaded *l, const struct site_override *override, const void *data,
		  size_t len, unsigned repeat, enum pkt_code *verdict, uint32_t *duration_ns,
		  struct diag *d)
{
	struct hook_context hook = {.hook = HOOK_PRE_ROUTING, .pf = FAMILY_IP};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = len,
		    .repeat = repeat ? repeat : 1);
	int err, off;

	if (len < ETH_BYTES)
		return diag_error(d, -EINVAL, "a frame of %zu bytes", len);
	if (l->site == SITE_HOOK) {
		if (be16((const uint8_t *)data + 12) == 0x86dd)
			hook.pf = FAMILY_IP6;
		opts.ctx_in = &hook;
		opts.ctx_size_in = sizeof(hook);
	}
	err = override_set(l, override);
	if (err)
		return diag_error(d, err, "cannot set the trial's surroundings: %s",
				  strerror(-err));
	err = bpf_prog_test_run_opts(l->prog_fd, &opts) ? -errno : 0;
	off = override_set(l, NULL);
	if (err || (err = off))
		return diag_error(d, err, "trial run of %zu bytes: %s", len, strerror(-err));
	err = verdict_decode(l->site, opts.retval, verdict);
	if (err)
		return diag_error(d, err, "trial run returned %u", opts.retval);
	if (duration_ns)
		*duration_ns = opts.duration;
	return 0;
}
