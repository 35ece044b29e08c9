/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_pci_mig.h"
#include "lm_vfio.h"

#define DIM(array) (sizeof(array) / sizeof((array)[0]))

struct lm_vfio {
	struct lm_pci *pci;
	struct lm_pci *function; /* NULL: pci is it */
	struct lm_pci_mig_caps mig;
	enum lm_state at; /* as last seen; only decides which sizes are asked for */
	atomic_bool logs;
	struct lm_caps caps;
};

static int
vfio_caps(void *dev, struct lm_caps *caps)
{
	*caps = ((const struct lm_vfio *)dev)->caps;
	return 0;
}

static int
vfio_state(void *dev, enum lm_state *state)
{
	struct lm_vfio *v = dev;
	uint32_t now;
	int ret;

	ret = lm_pci_mig_state(v->pci, &now);
	if (ret != 0)
		return ret;
	v->at = (enum lm_state)now;
	*state = v->at;
	return 0;
}

static int
vfio_arc(void *dev, enum lm_state from, enum lm_state to)
{
	struct lm_vfio *v = dev;
	int ret;

	(void)from;
	ret = lm_pci_mig_set_state(v->pci, to);
	if (ret == 0)
		v->at = to;
	return ret;
}

#define ARC(from, to, recover) \
	{ LM_STATE_##from, LM_STATE_##to, LM_STATE_##recover, vfio_arc }
static const struct lm_state_arc arcs[] = {
	ARC(STOP, STOP_COPY, STOP),
	ARC(STOP_COPY, STOP, STOP),
	ARC(STOP, RESUMING, STOP),
	ARC(RESUMING, STOP, ERROR),
	ARC(RUNNING, STOP, RUNNING),
	ARC(STOP, RUNNING, STOP),
	ARC(RUNNING, RUNNING_P2P, RUNNING),
	ARC(RUNNING_P2P, RUNNING, RUNNING),
	ARC(RUNNING_P2P, STOP, RUNNING),
	ARC(STOP, RUNNING_P2P, STOP),
	ARC(RUNNING, PRE_COPY, RUNNING),
	ARC(PRE_COPY, RUNNING, RUNNING),
	ARC(PRE_COPY, STOP_COPY, RUNNING),
	ARC(PRE_COPY, PRE_COPY_P2P, RUNNING),
	ARC(PRE_COPY_P2P, PRE_COPY, RUNNING),
	ARC(PRE_COPY_P2P, RUNNING_P2P, RUNNING),
	ARC(RUNNING_P2P, PRE_COPY_P2P, RUNNING),
	ARC(PRE_COPY_P2P, STOP_COPY, RUNNING),
};
#undef ARC

/* To RUNNING by single arcs; at most what the longest path has. */
static int
run(struct lm_vfio *v)
{
	enum lm_state at, next;
	unsigned int i;
	int ret;

	for (i = 0; i <= LM_STATE_PATH_MAX; i++) {
		ret = vfio_state(v, &at);
		if (ret != 0 || at == LM_STATE_RUNNING)
			return ret;
		ret = lm_state_next(at, LM_STATE_RUNNING, v->mig.flags, &next);
		if (ret == 0)
			ret = vfio_arc(v, at, next);
		if (ret != 0)
			return ret;
	}
	return -EPROTO;
}

static int
vfio_reset(void *dev)
{
	struct lm_vfio *v = dev;
	enum lm_state at;
	int ret = 0;

	if (v->function != NULL)
		ret = lm_pci_reset(v->function);
	if (ret != 0 && ret != -ENOTSUP)
		return ret;
	ret = lm_pci_reset(v->pci);
	if (ret == -EINVAL && run(v) == 0)
		ret = lm_pci_reset(v->pci);
	if (ret != 0)
		return ret;
	ret = vfio_state(v, &at);
	if (ret != 0 || at == LM_STATE_RUNNING)
		return ret;
	return at == LM_STATE_ERROR ? -EIO : run(v);
}

static bool
saves(const struct lm_vfio *v)
{
	return v->at == LM_STATE_PRE_COPY || v->at == LM_STATE_PRE_COPY_P2P;
}

static int
vfio_info(void *dev, struct lm_mig_info *info)
{
	struct lm_pci_mig_precopy precopy;
	struct lm_vfio *v = dev;
	int ret;

	if (saves(v)) {
		ret = lm_pci_mig_precopy_info(v->pci, &precopy);
		if (ret != 0 && ret != -ENOTTY)
			return ret;
		info->has_precopy = ret == 0;
		info->initial_bytes = precopy.initial_bytes;
		info->dirty_bytes = precopy.dirty_bytes;
		info->reinit = v->mig.has_reinit && precopy.reinit;
	}
	ret = lm_pci_mig_data_size(v->pci, &info->stop_copy_bytes);
	if (ret != 0 && ret != -ENOTTY)
		return ret;
	info->has_stop_copy = ret == 0;
	info->poll_fd = lm_pci_mig_poll_fd(v->pci);
	return 0;
}

static int
vfio_read(void *dev, void *buf, uint32_t len_bytes)
{
	return lm_pci_mig_read(((struct lm_vfio *)dev)->pci, buf, len_bytes);
}

static int
vfio_write(void *dev, const void *buf, uint32_t len_bytes)
{
	return lm_pci_mig_write(((struct lm_vfio *)dev)->pci, buf, len_bytes);
}

static int
vfio_dirty_start(void *dev, const struct lm_range *ranges, unsigned int nb,
		uint64_t *page_size_bytes)
{
	struct lm_pci_log_range *list;
	struct lm_vfio *v = dev;
	unsigned int i;
	int ret;

	if (atomic_load(&v->logs))
		return -EINVAL;
	list = calloc(nb, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (i = 0; i < nb; i++) {
		list[i].iova = ranges[i].addr;
		list[i].size_bytes = ranges[i].len_bytes;
	}
	ret = lm_pci_log_start(v->pci, list, nb, page_size_bytes);
	/* It runs, and not by us: a reset left it on, or who had the device before. */
	if (ret == -EINVAL && lm_pci_log_stop(v->pci) == 0)
		ret = lm_pci_log_start(v->pci, list, nb, page_size_bytes);
	free(list);
	atomic_store(&v->logs, ret == 0);
	return ret;
}

static int
vfio_dirty_report(void *dev, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	struct lm_vfio *v = dev;

	return lm_pci_log_report(v->pci, iova, len_bytes, page_size_bytes, bitmap);
}

static int
vfio_dirty_stop(void *dev)
{
	struct lm_vfio *v = dev;

	atomic_store(&v->logs, false);
	return lm_pci_log_stop(v->pci);
}

static const struct lm_provider_ops logging_ops = {
	.name = "vfio",
	.caps = vfio_caps,
	.arcs = arcs,
	.nb_arcs = DIM(arcs),
	.state = vfio_state,
	.reset = vfio_reset,
	.info = vfio_info,
	.read = vfio_read,
	.write = vfio_write,
	.dirty_start = vfio_dirty_start,
	.dirty_report = vfio_dirty_report,
	.dirty_stop = vfio_dirty_stop,
};

static const struct lm_provider_ops plain_ops = {
	.name = "vfio",
	.caps = vfio_caps,
	.arcs = arcs,
	.nb_arcs = DIM(arcs),
	.state = vfio_state,
	.reset = vfio_reset,
	.info = vfio_info,
	.read = vfio_read,
	.write = vfio_write,
};

/* PCI Local Bus 3.0, 6.1: vendor and device begin configuration space. */
static int
read_caps(struct lm_vfio *v)
{
	const char *driver = lm_pci_driver(v->pci);
	struct lm_caps *c = &v->caps;
	uint16_t ids[2];
	int ret;

	ret = lm_pci_mig_caps(v->pci, &v->mig);
	if (ret == 0)
		ret = lm_pci_config_read(v->pci, 0, ids, sizeof(ids));
	if (ret != 0)
		return ret;
	c->flags = v->mig.flags;
	c->dirty = (struct lm_dirty_traits){
		.present = v->mig.has_log,
		.whole_ranges = v->mig.log.whole_ranges,
		.fixed_page_size = v->mig.log.fixed_page_size,
		.align_pages = v->mig.log.align_pages,
		.max_ranges = v->mig.log.max_ranges,
		.ends_with_stop_copy = v->mig.log.ends_with_stop_copy,
	};
	snprintf(c->provider, sizeof(c->provider), "%s", driver[0] != '\0' ? driver : "vfio-user");
	snprintf(c->device, sizeof(c->device), "%04x:%04x", ids[0], ids[1]);
	return 0;
}

int
lm_vfio_open(struct lm_pci *pci, struct lm_vfio **dev)
{
	struct lm_vfio *v = calloc(1, sizeof(*v));
	enum lm_state at;
	int ret;

	if (v == NULL)
		return -ENOMEM;
	v->pci = pci;
	ret = read_caps(v);
	if (ret == 0)
		ret = vfio_state(v, &at);
	if (ret != 0) {
		free(v);
		return ret;
	}
	*dev = v;
	return 0;
}

void
lm_vfio_close(struct lm_vfio *v)
{
	if (v == NULL)
		return;
	if (atomic_load(&v->logs))
		lm_pci_log_stop(v->pci);
	free(v);
}

void
lm_vfio_function(struct lm_vfio *v, struct lm_pci *function)
{
	v->function = function;
}

struct lm_provider
lm_vfio_provider(struct lm_vfio *v)
{
	return (struct lm_provider){
		.ops = v->mig.has_log ? &logging_ops : &plain_ops, .dev = v,
	};
}
