/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lm_provider.h over the LM commands. Commands of each arc, and their order, are those of Linux's
 * pds-vfio-pci (drivers/vfio/pci/pds/lm.c), with two differences: leaving STOP_COPY leaves the
 * tracking alone, and HOST_VF_STATUS is not said twice.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm_pci.h"
#include "lm_pds_pf_priv.h"

#define P2P LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P
#define FULL LM_PDS_LM_SUSPEND_RESUME_TYPE_FULL

/* A hint for the firmware, nothing more; Linux ignores its errors, too. */
static void
lm_pds_vf_hint(struct lm_pds_vf *vf, bool in_progress)
{
	if (vf->in_progress != in_progress && lm_pds_lm_host_status(vf->lm, in_progress) == 0)
		vf->in_progress = in_progress;
}

static int
lm_pds_vf_suspend(struct lm_pds_vf *vf, enum lm_state to, uint8_t type)
{
	int ret = lm_pds_lm_suspend_begin(vf->lm, type);

	if (ret == 0 || lm_pds_in_doubt(ret))
		vf->state = to;
	return ret == 0 ? lm_pds_lm_suspend_wait(vf->lm, type) : ret;
}

static int
lm_pds_vf_suspend_p2p(struct lm_pds_vf *vf)
{
	vf->restarts = lm_pds_core_restarts(vf->pf->core);
	lm_pds_vf_hint(vf, true);
	return lm_pds_vf_suspend(vf, LM_STATE_RUNNING_P2P, P2P);
}

static int
lm_pds_vf_suspend_full(struct lm_pds_vf *vf)
{
	return lm_pds_vf_suspend(vf, LM_STATE_STOP, FULL);
}

/* In doubt it is not at the full level, until it is suspended once more. */
static int
lm_pds_vf_resume_p2p(struct lm_pds_vf *vf)
{
	int ret = lm_pds_lm_resume(vf->lm, P2P);

	if (ret == 0 || lm_pds_in_doubt(ret))
		vf->state = LM_STATE_RUNNING_P2P;
	return ret;
}

/* In doubt it stays where it was: resuming twice does no harm. */
static int
lm_pds_vf_resume_full(struct lm_pds_vf *vf)
{
	int ret = lm_pds_lm_resume(vf->lm, FULL);

	if (ret != 0)
		return ret;
	vf->state = LM_STATE_RUNNING;
	if (!vf->tracking)
		lm_pds_vf_hint(vf, false);
	return 0;
}

static int
lm_pds_vf_save(struct lm_pds_vf *vf)
{
	uint32_t bytes = 0;
	int ret = lm_pds_lm_save(vf->lm, vf->stream, &bytes);

	if (ret != 0)
		return ret;
	vf->stream_bytes = vf->state_bytes = bytes;
	vf->at = 0;
	vf->state = LM_STATE_STOP_COPY;
	return 0;
}

static int
lm_pds_vf_save_end(struct lm_pds_vf *vf)
{
	vf->stream_bytes = vf->at = 0;
	vf->state = LM_STATE_STOP;
	return 0;
}

/* Whoever has the VF may have reset it, which takes it out of any level: nobody told. */
static int
lm_pds_vf_load_begin(struct lm_pds_vf *vf)
{
	int ret = lm_pds_lm_suspend_wait(vf->lm, FULL);

	if (ret != 0 && lm_pds_in_doubt(ret))
		return ret;
	if (ret != 0) {
		ret = lm_pds_lm_suspend(vf->lm, P2P);
		if (ret == 0)
			ret = lm_pds_lm_suspend(vf->lm, FULL);
		if (ret != 0)
			return ret;
	}
	vf->stream_bytes = vf->at = 0;
	vf->state = LM_STATE_RESUMING;
	return 0;
}

/* It stays in RESUMING when it fails, from where only a reset leads. */
static int
lm_pds_vf_load(struct lm_pds_vf *vf)
{
	int ret = lm_pds_lm_restore(vf->lm, vf->stream, vf->stream_bytes);

	if (ret != 0)
		return ret;
	vf->stream_bytes = 0;
	vf->state = LM_STATE_STOP;
	return 0;
}

static const struct {
	enum lm_state from, to;
	int (*run)(struct lm_pds_vf *vf);
} lm_pds_vf_steps[] = {
	{ LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, lm_pds_vf_suspend_p2p },
	{ LM_STATE_RUNNING_P2P, LM_STATE_STOP, lm_pds_vf_suspend_full },
	{ LM_STATE_STOP, LM_STATE_RUNNING_P2P, lm_pds_vf_resume_p2p },
	{ LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, lm_pds_vf_resume_full },
	{ LM_STATE_STOP, LM_STATE_STOP_COPY, lm_pds_vf_save },
	{ LM_STATE_STOP_COPY, LM_STATE_STOP, lm_pds_vf_save_end },
	{ LM_STATE_STOP, LM_STATE_RESUMING, lm_pds_vf_load_begin },
	{ LM_STATE_RESUMING, LM_STATE_STOP, lm_pds_vf_load },
};

#define NB_STEPS (sizeof(lm_pds_vf_steps) / sizeof(lm_pds_vf_steps[0]))

/* What a firmware that was started anew knows of a VF is that it runs, or nothing. */
static void
lm_pds_vf_look_locked(struct lm_pds_vf *vf)
{
	if (vf->state != LM_STATE_RUNNING &&
			vf->restarts != lm_pds_core_restarts(vf->pf->core)) {
		vf->state = LM_STATE_ERROR;
		vf->in_progress = false;
	}
}

static int
lm_pds_vf_arc(void *dev, enum lm_state from, enum lm_state to)
{
	struct lm_pds_vf *vf = dev;
	int ret = -EINVAL;
	unsigned int i;

	pthread_mutex_lock(&vf->lock);
	lm_pds_vf_look_locked(vf);
	for (i = 0; i < NB_STEPS && vf->state == from; i++)
		if (lm_pds_vf_steps[i].from == from && lm_pds_vf_steps[i].to == to) {
			ret = lm_pds_vf_steps[i].run(vf);
			break;
		}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static const struct lm_state_arc lm_pds_vf_arcs[] = {
	{ LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, lm_pds_vf_arc },
	{ LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, LM_STATE_RUNNING, lm_pds_vf_arc },
	{ LM_STATE_RUNNING_P2P, LM_STATE_STOP, LM_STATE_RUNNING, lm_pds_vf_arc },
	{ LM_STATE_STOP, LM_STATE_RUNNING_P2P, LM_STATE_STOP, lm_pds_vf_arc },
	{ LM_STATE_STOP, LM_STATE_STOP_COPY, LM_STATE_STOP, lm_pds_vf_arc },
	{ LM_STATE_STOP_COPY, LM_STATE_STOP, LM_STATE_STOP, lm_pds_vf_arc },
	{ LM_STATE_STOP, LM_STATE_RESUMING, LM_STATE_STOP, lm_pds_vf_arc },
	{ LM_STATE_RESUMING, LM_STATE_STOP, LM_STATE_ERROR, lm_pds_vf_arc },
};

static int
lm_pds_vf_caps(void *dev, struct lm_caps *caps)
{
	struct lm_pds_vf *vf = dev;
	uint32_t bytes = 0, max = 0;
	int ret;

	ret = lm_pds_lm_dirty_limits(vf->lm, &max);
	/* A firmware without tracking refuses the question; one that is gone does not. */
	if (ret != 0 && lm_pds_in_doubt(ret))
		return ret;
	caps->dirty.present = ret == 0;
	caps->dirty.max_ranges = max;
	ret = lm_pds_lm_state_bytes(vf->lm, &bytes);
	if (ret != 0)
		return ret;
	pthread_mutex_lock(&vf->lock);
	vf->state_bytes = bytes + (uint32_t)sizeof(struct lm_pds_state_hdr);
	pthread_mutex_unlock(&vf->lock);
	caps->flags = LM_STATE_F_STOP_COPY | LM_STATE_F_P2P;
	snprintf(caps->provider, sizeof(caps->provider), "pds");
	snprintf(caps->device, sizeof(caps->device), "%04x:%04x", LM_PCI_VENDOR_ID_PENSANDO,
			vf->pf->vf_device);
	snprintf(caps->firmware, sizeof(caps->firmware), "%s",
			lm_pds_core_fw_version(vf->pf->core));
	return 0;
}

static int
lm_pds_vf_state(void *dev, enum lm_state *state)
{
	struct lm_pds_vf *vf = dev;

	pthread_mutex_lock(&vf->lock);
	lm_pds_vf_look_locked(vf);
	*state = vf->state;
	pthread_mutex_unlock(&vf->lock);
	return 0;
}

/* After the VF's own reset this changes nothing at the device; without one it lets the VF go. */
static int
lm_pds_vf_reset(void *dev)
{
	struct lm_pds_vf *vf = dev;
	int ret;

	pthread_mutex_lock(&vf->lock);
	ret = lm_pds_lm_resume(vf->lm, FULL);
	if (ret == 0) {
		vf->state = LM_STATE_RUNNING;
		vf->stream_bytes = vf->at = 0;
		(void)lm_pds_lm_after_reset(vf->lm); /* tracking knows by itself when it is lost */
		if (!vf->tracking)
			lm_pds_vf_hint(vf, false);
	}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_pds_vf_info(void *dev, struct lm_mig_info *info)
{
	struct lm_pds_vf *vf = dev;

	pthread_mutex_lock(&vf->lock);
	info->stop_copy_bytes = vf->state == LM_STATE_STOP_COPY ? vf->stream_bytes - vf->at :
			vf->state_bytes;
	info->has_stop_copy = true;
	pthread_mutex_unlock(&vf->lock);
	return 0;
}

static int
lm_pds_vf_read(void *dev, void *buf, uint32_t len_bytes)
{
	struct lm_pds_vf *vf = dev;
	uint32_t left;
	int ret = -EINVAL;

	pthread_mutex_lock(&vf->lock);
	if (vf->state == LM_STATE_STOP_COPY) {
		left = vf->stream_bytes - vf->at;
		ret = (int)(len_bytes < left ? len_bytes : left);
		memcpy(buf, vf->stream + vf->at, (size_t)ret);
		vf->at += (uint32_t)ret;
	}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_pds_vf_write(void *dev, const void *buf, uint32_t len_bytes)
{
	struct lm_pds_vf *vf = dev;
	int ret = 0;

	pthread_mutex_lock(&vf->lock);
	if (vf->state != LM_STATE_RESUMING)
		ret = -EINVAL;
	else if (len_bytes > LM_PDS_STATE_MAX_BYTES - vf->stream_bytes)
		ret = lm_pci_fail(vf->pf->pci, -EFBIG, "%s: a state of more than %zu bytes",
				lm_pci_name(vf->pf->pci), LM_PDS_STATE_MAX_BYTES);
	if (ret == 0) {
		memcpy(vf->stream + vf->stream_bytes, buf, len_bytes);
		vf->stream_bytes += len_bytes;
	}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_pds_vf_dirty_start(void *dev, const struct lm_range *ranges, unsigned int nb,
		uint64_t *page_size_bytes)
{
	struct lm_pds_vf *vf = dev;
	struct lm_pds_range *list;
	unsigned int i;
	int ret = -EINVAL;

	list = calloc(nb + 1u, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (i = 0; i < nb; i++) {
		list[i].addr = ranges[i].addr;
		list[i].len_bytes = ranges[i].len_bytes;
	}
	pthread_mutex_lock(&vf->lock);
	if (!vf->tracking) {
		lm_pds_vf_hint(vf, true);
		ret = lm_pds_lm_dirty_start(vf->lm, list, nb, page_size_bytes);
		vf->tracking = ret == 0;
		if (ret != 0 && vf->state == LM_STATE_RUNNING)
			lm_pds_vf_hint(vf, false);
	}
	pthread_mutex_unlock(&vf->lock);
	free(list);
	return ret;
}

/* May come beside everything else: lm_pds_lm.h has a lock of its own for it. */
static int
lm_pds_vf_dirty_report(void *dev, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	struct lm_pds_vf *vf = dev;

	return lm_pds_lm_dirty_report(vf->lm, iova, len_bytes, page_size_bytes, bitmap);
}

static int
lm_pds_vf_dirty_stop(void *dev)
{
	struct lm_pds_vf *vf = dev;
	int ret;

	pthread_mutex_lock(&vf->lock);
	ret = vf->tracking ? lm_pds_lm_dirty_stop(vf->lm) : -EINVAL;
	vf->tracking = false;
	if (vf->state == LM_STATE_RUNNING)
		lm_pds_vf_hint(vf, false);
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

const struct lm_provider_ops lm_pds_vf_ops = {
	.name = "pds",
	.caps = lm_pds_vf_caps,
	.arcs = lm_pds_vf_arcs,
	.nb_arcs = sizeof(lm_pds_vf_arcs) / sizeof(lm_pds_vf_arcs[0]),
	.state = lm_pds_vf_state,
	.reset = lm_pds_vf_reset,
	.info = lm_pds_vf_info,
	.read = lm_pds_vf_read,
	.write = lm_pds_vf_write,
	.dirty_start = lm_pds_vf_dirty_start,
	.dirty_report = lm_pds_vf_dirty_report,
	.dirty_stop = lm_pds_vf_dirty_stop,
};
