/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "exerciser_admin_if.h"
#include "lm_clock.h"
#include "lm_exerciser_pf.h"
#include "lm_pci.h"

#define LM_EX_PF_DATA_BYTES (1u << 20)
#define LM_EX_PF_MAX_VFS 64u
#define LM_EX_PF_MAX_ERRNO 4095u

/** A VF: its slot in DMA memory is a command and LM_EX_PF_DATA_BYTES of data behind a page. */
struct lm_ex_pf_vf {
	struct lm_ex_pf *pf;
	uint32_t index;
	int irq_fd;
	pthread_mutex_t lock; /* everything below, and the slot */
	bool is_late;         /* the command in the slot was not answered in time */
	struct lm_ex_admin *cmd;
	uint8_t *data;
	uint64_t cmd_iova;
	uint64_t data_iova;
};

struct lm_ex_pf {
	struct lm_pci *pci;
	uint64_t timeout_us;
	uint32_t nb_vfs;
	struct lm_pci_mem mem;
	struct lm_ex_pf_vf vfs[LM_EX_PF_MAX_VFS];
};

#define LM_EX_PF_SLOT_BYTES (LM_EX_PAGE_BYTES + LM_EX_PF_DATA_BYTES)

static bool
lm_ex_pf_is_done(const struct lm_ex_pf_vf *vf)
{
	return atomic_load_explicit((_Atomic uint32_t *)&vf->cmd->done, memory_order_acquire) != 0;
}

/* The interrupt only wakes; what counts is the flag. */
static int
lm_ex_pf_wait_locked(struct lm_ex_pf_vf *vf)
{
	uint64_t end_ns = lm_clock_after_us(vf->pf->timeout_us), now_ns;
	struct pollfd p = { .fd = vf->irq_fd, .events = POLLIN };
	eventfd_t count;

	while (!lm_ex_pf_is_done(vf)) {
		now_ns = lm_clock_ns();
		vf->is_late = now_ns >= end_ns;
		if (vf->is_late)
			return lm_pci_fail(vf->pf->pci, -ETIMEDOUT, "VF %" PRIu32
					": no answer to command %" PRIu32 " of its PF", vf->index,
					vf->cmd->opcode);
		if (!lm_pci_alive(vf->pf->pci))
			return lm_pci_fail(vf->pf->pci, -ENOTCONN, "VF %" PRIu32
					": its PF is gone", vf->index);
		/* A lost interrupt costs 10 ms. */
		poll(&p, 1, end_ns - now_ns > 10000000 ? 10 : 1);
		eventfd_read(vf->irq_fd, &count);
	}
	vf->is_late = false;
	return 0;
}

/* data_bytes of vf->data go along; cmd is in and out. */
static int
lm_ex_pf_cmd_locked(struct lm_ex_pf_vf *vf, struct lm_ex_admin *cmd, uint32_t data_bytes)
{
	uint64_t iova = vf->cmd_iova;
	uint32_t error;
	int ret = vf->is_late ? lm_ex_pf_wait_locked(vf) : 0;

	if (ret != 0)
		return ret;
	cmd->vf = vf->index;
	cmd->data_iova = vf->data_iova;
	cmd->data_bytes = data_bytes;
	memcpy(vf->cmd, cmd, sizeof(*cmd));
	ret = lm_pci_bar_write(vf->pf->pci, LM_EX_BAR_REGS, LM_EX_PF_REG_DOORBELL, &iova,
			sizeof(iova));
	if (ret == 0)
		ret = lm_ex_pf_wait_locked(vf);
	if (ret != 0)
		return ret;
	memcpy(cmd->out, vf->cmd->out, sizeof(cmd->out));
	error = vf->cmd->error;
	if (error > LM_EX_PF_MAX_ERRNO)
		return -EIO;
	return -(int)error;
}

/* A command without data. */
static int
lm_ex_pf_cmd(struct lm_ex_pf_vf *vf, struct lm_ex_admin *cmd)
{
	int ret;

	pthread_mutex_lock(&vf->lock);
	ret = lm_ex_pf_cmd_locked(vf, cmd, 0);
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_ex_pf_caps(void *dev, struct lm_caps *caps)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_CAPS };
	struct lm_ex_pf_vf *vf = dev;
	int ret = lm_ex_pf_cmd(vf, &cmd);

	if (ret != 0)
		return ret;
	caps->flags = cmd.out[0];
	caps->dirty.present = (cmd.out[1] & LM_EX_ADMIN_LOG_PRESENT) != 0;
	caps->dirty.fixed_page_size = (cmd.out[1] & LM_EX_ADMIN_LOG_FIXED_PAGE) != 0;
	caps->dirty.align_pages = (uint32_t)cmd.out[2];
	caps->dirty.max_ranges = (uint32_t)(cmd.out[2] >> 32);
	snprintf(caps->provider, sizeof(caps->provider), "exerciser");
	snprintf(caps->device, sizeof(caps->device), "%04x:%04x", LM_EX_VENDOR, LM_EX_DEVICE_VF);
	snprintf(caps->firmware, sizeof(caps->firmware), "compat %" PRIu64, cmd.out[3]);
	return 0;
}

static int
lm_ex_pf_state(void *dev, enum lm_state *state)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_STATE };
	int ret = lm_ex_pf_cmd(dev, &cmd);

	*state = cmd.out[0] < LM_STATE_NB ? (enum lm_state)cmd.out[0] : LM_STATE_ERROR;
	return ret;
}

static int
lm_ex_pf_arc(void *dev, enum lm_state from, enum lm_state to)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_ARC, .in = { from, to } };

	return lm_ex_pf_cmd(dev, &cmd);
}

static int
lm_ex_pf_reset(void *dev)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_RESET };

	return lm_ex_pf_cmd(dev, &cmd);
}

static int
lm_ex_pf_info(void *dev, struct lm_mig_info *info)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_INFO };
	int ret = lm_ex_pf_cmd(dev, &cmd);

	if (ret != 0)
		return ret;
	info->has_precopy = (cmd.out[3] & LM_EX_ADMIN_INFO_PRECOPY) != 0;
	info->reinit = (cmd.out[3] & LM_EX_ADMIN_INFO_REINIT) != 0;
	info->initial_bytes = cmd.out[0];
	info->dirty_bytes = cmd.out[1];
	info->stop_copy_bytes = cmd.out[2];
	info->has_stop_copy = true;
	return 0;
}

static int
lm_ex_pf_read(void *dev, void *buf, uint32_t len_bytes)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_READ };
	struct lm_ex_pf_vf *vf = dev;
	int ret;

	if (len_bytes > LM_EX_PF_DATA_BYTES)
		len_bytes = LM_EX_PF_DATA_BYTES;
	pthread_mutex_lock(&vf->lock);
	ret = lm_ex_pf_cmd_locked(vf, &cmd, len_bytes);
	if (ret == 0 && cmd.out[0] > len_bytes)
		ret = -EIO;
	if (ret == 0) {
		ret = (int)cmd.out[0];
		memcpy(buf, vf->data, cmd.out[0]);
	}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_ex_pf_write(void *dev, const void *buf, uint32_t len_bytes)
{
	struct lm_ex_pf_vf *vf = dev;
	const uint8_t *from = buf;
	int ret = 0;

	pthread_mutex_lock(&vf->lock);
	if (vf->is_late)
		ret = lm_ex_pf_wait_locked(vf);
	while (ret == 0 && len_bytes > 0) {
		struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_WRITE };
		uint32_t n = len_bytes < LM_EX_PF_DATA_BYTES ? len_bytes : LM_EX_PF_DATA_BYTES;

		memcpy(vf->data, from, n);
		ret = lm_ex_pf_cmd_locked(vf, &cmd, n);
		from += n;
		len_bytes -= n;
	}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_ex_pf_dirty_start(void *dev, const struct lm_range *ranges, unsigned int nb,
		uint64_t *page_size_bytes)
{
	struct lm_ex_admin cmd = {
		.opcode = LM_EX_ADMIN_LOG_START, .in = { *page_size_bytes },
	};
	struct lm_ex_pf_vf *vf = dev;
	int ret = 0;

	if (nb > LM_EX_PF_DATA_BYTES / sizeof(*ranges))
		return -E2BIG;
	static_assert(sizeof(*ranges) == LM_EX_RANGE_BYTES, "is also the command's layout");
	pthread_mutex_lock(&vf->lock);
	if (vf->is_late)
		ret = lm_ex_pf_wait_locked(vf);
	if (ret == 0 && nb > 0)
		memcpy(vf->data, ranges, nb * sizeof(*ranges));
	if (ret == 0)
		ret = lm_ex_pf_cmd_locked(vf, &cmd, (uint32_t)(nb * sizeof(*ranges)));
	pthread_mutex_unlock(&vf->lock);
	*page_size_bytes = ret == 0 ? cmd.out[0] : *page_size_bytes;
	return ret;
}

/* One piece whose bitmap fits into the slot. */
static int
lm_ex_pf_report_locked(struct lm_ex_pf_vf *vf, const struct lm_range *piece, uint64_t page_bytes,
		uint64_t *bitmap)
{
	uint64_t words = (piece->len_bytes / page_bytes + 63) / 64, word, i;
	struct lm_ex_admin cmd = {
		.opcode = LM_EX_ADMIN_LOG_REPORT,
		.in = { piece->addr, piece->len_bytes, page_bytes },
	};
	int ret = vf->is_late ? lm_ex_pf_wait_locked(vf) : 0;

	if (ret != 0)
		return ret;
	memset(vf->data, 0, words * sizeof(word));
	ret = lm_ex_pf_cmd_locked(vf, &cmd, (uint32_t)(words * sizeof(word)));
	for (i = 0; ret == 0 && i < words; i++) {
		memcpy(&word, vf->data + i * sizeof(word), sizeof(word));
		bitmap[i] |= word;
	}
	return ret;
}

static int
lm_ex_pf_dirty_report(void *dev, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	struct lm_ex_pf_vf *vf = dev;
	struct lm_range piece = { .addr = iova };
	uint64_t most_bytes;
	int ret = 0;

	if (page_size_bytes < LM_EX_PAGE_BYTES || page_size_bytes > UINT64_C(1) << 32)
		return -EINVAL;
	most_bytes = LM_EX_PF_DATA_BYTES * UINT64_C(8) * page_size_bytes;
	pthread_mutex_lock(&vf->lock);
	while (ret == 0 && len_bytes > 0) {
		piece.len_bytes = len_bytes < most_bytes ? len_bytes : most_bytes;
		ret = lm_ex_pf_report_locked(vf, &piece, page_size_bytes, bitmap);
		bitmap += LM_EX_PF_DATA_BYTES / 8;
		piece.addr += piece.len_bytes;
		len_bytes -= piece.len_bytes;
	}
	pthread_mutex_unlock(&vf->lock);
	return ret;
}

static int
lm_ex_pf_dirty_stop(void *dev)
{
	struct lm_ex_admin cmd = { .opcode = LM_EX_ADMIN_LOG_STOP };

	return lm_ex_pf_cmd(dev, &cmd);
}

/* A device that failed on its way out goes back to where it ran; one on its way in is reset. */
static const struct lm_state_arc lm_ex_pf_arcs[] = {
	{ LM_STATE_RUNNING, LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_RUNNING_P2P, LM_STATE_STOP, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_STOP, LM_STATE_RUNNING_P2P, LM_STATE_STOP, lm_ex_pf_arc },
	{ LM_STATE_RUNNING, LM_STATE_STOP, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_STOP, LM_STATE_RUNNING, LM_STATE_STOP, lm_ex_pf_arc },
	{ LM_STATE_STOP, LM_STATE_STOP_COPY, LM_STATE_STOP, lm_ex_pf_arc },
	{ LM_STATE_STOP_COPY, LM_STATE_STOP, LM_STATE_STOP, lm_ex_pf_arc },
	{ LM_STATE_STOP, LM_STATE_RESUMING, LM_STATE_STOP, lm_ex_pf_arc },
	{ LM_STATE_RESUMING, LM_STATE_STOP, LM_STATE_ERROR, lm_ex_pf_arc },
	{ LM_STATE_RUNNING, LM_STATE_PRE_COPY, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_PRE_COPY, LM_STATE_RUNNING, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_PRE_COPY, LM_STATE_PRE_COPY_P2P, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_PRE_COPY, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_RUNNING_P2P, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_RUNNING_P2P, LM_STATE_PRE_COPY_P2P, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_PRE_COPY, LM_STATE_STOP_COPY, LM_STATE_RUNNING, lm_ex_pf_arc },
	{ LM_STATE_PRE_COPY_P2P, LM_STATE_STOP_COPY, LM_STATE_RUNNING, lm_ex_pf_arc },
};

static const struct lm_provider_ops lm_ex_pf_ops = {
	.name = "exerciser",
	.caps = lm_ex_pf_caps,
	.arcs = lm_ex_pf_arcs,
	.nb_arcs = sizeof(lm_ex_pf_arcs) / sizeof(lm_ex_pf_arcs[0]),
	.state = lm_ex_pf_state,
	.reset = lm_ex_pf_reset,
	.info = lm_ex_pf_info,
	.read = lm_ex_pf_read,
	.write = lm_ex_pf_write,
	.dirty_start = lm_ex_pf_dirty_start,
	.dirty_report = lm_ex_pf_dirty_report,
	.dirty_stop = lm_ex_pf_dirty_stop,
};

int
lm_ex_pf_vf(struct lm_ex_pf *pf, unsigned int vf, struct lm_provider *provider)
{
	if (vf >= pf->nb_vfs)
		return -ENOENT;
	provider->ops = &lm_ex_pf_ops;
	provider->dev = &pf->vfs[vf];
	return 0;
}

unsigned int
lm_ex_pf_nb_vfs(const struct lm_ex_pf *pf)
{
	return pf->nb_vfs;
}

static int
lm_ex_pf_probe(struct lm_pci *pci, uint32_t *nb_vfs)
{
	uint64_t magic, nb;
	uint16_t ids[2];
	int ret = lm_pci_config_read(pci, 0, ids, sizeof(ids));

	if (ret != 0)
		return ret;
	if (ids[0] != LM_EX_VENDOR || ids[1] != LM_EX_DEVICE_PF)
		return lm_pci_fail(pci, -ENODEV, "this is no PF of exercisers");
	ret = lm_pci_bar_read(pci, LM_EX_BAR_REGS, LM_EX_PF_REG_MAGIC, &magic, sizeof(magic));
	if (ret == 0)
		ret = lm_pci_bar_read(pci, LM_EX_BAR_REGS, LM_EX_PF_REG_NB_VFS, &nb, sizeof(nb));
	if (ret == 0 && (magic != LM_EX_PF_MAGIC || nb == 0 || nb > LM_EX_PF_MAX_VFS))
		ret = lm_pci_fail(pci, -ENODEV, "this PF is of another version, or has no VFs");
	*nb_vfs = ret == 0 ? (uint32_t)nb : 0;
	return ret;
}

static int
lm_ex_pf_vf_open(struct lm_ex_pf *pf, uint32_t index)
{
	struct lm_ex_pf_vf *vf = &pf->vfs[index];
	uint64_t offset = index * (uint64_t)LM_EX_PF_SLOT_BYTES;

	vf->pf = pf;
	vf->index = index;
	vf->cmd = (struct lm_ex_admin *)(void *)((uint8_t *)pf->mem.vaddr + offset);
	vf->data = (uint8_t *)pf->mem.vaddr + offset + LM_EX_PAGE_BYTES;
	vf->cmd_iova = pf->mem.iova + offset;
	vf->data_iova = vf->cmd_iova + LM_EX_PAGE_BYTES;
	vf->irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (vf->irq_fd < 0)
		return -errno;
	return lm_pci_irq_set(pf->pci, index, 1, &vf->irq_fd);
}

int
lm_ex_pf_open(struct lm_pci *pci, const struct lm_ex_pf_conf *conf, struct lm_ex_pf **pf)
{
	struct lm_ex_pf *new_pf = calloc(1, sizeof(*new_pf));
	uint32_t i;
	int ret;

	if (new_pf == NULL)
		return -ENOMEM;
	new_pf->pci = pci;
	new_pf->timeout_us = UINT64_C(1000) * (conf != NULL && conf->timeout_ms != 0 ?
			conf->timeout_ms : LM_EX_PF_TIMEOUT_MS);
	for (i = 0; i < LM_EX_PF_MAX_VFS; i++) {
		new_pf->vfs[i].irq_fd = -1;
		pthread_mutex_init(&new_pf->vfs[i].lock, NULL);
	}
	ret = lm_ex_pf_probe(pci, &new_pf->nb_vfs);
	if (ret == 0)
		ret = lm_pci_bus_master(pci, true);
	if (ret == 0)
		ret = lm_pci_mem_alloc(pci, new_pf->nb_vfs * (uint64_t)LM_EX_PF_SLOT_BYTES,
				&new_pf->mem);
	for (i = 0; ret == 0 && i < new_pf->nb_vfs; i++)
		ret = lm_ex_pf_vf_open(new_pf, i);
	if (ret != 0) {
		lm_ex_pf_close(new_pf);
		return ret;
	}
	*pf = new_pf;
	return 0;
}

/* What is late would write to memory that is gone: the reset drops it. */
void
lm_ex_pf_close(struct lm_ex_pf *pf)
{
	bool is_late = false;
	uint32_t i;

	if (pf == NULL)
		return;
	for (i = 0; i < LM_EX_PF_MAX_VFS; i++)
		is_late |= pf->vfs[i].is_late;
	if (is_late)
		lm_pci_reset(pf->pci);
	if (pf->nb_vfs != 0)
		lm_pci_irq_disable(pf->pci);
	lm_pci_mem_free(pf->pci, &pf->mem);
	for (i = 0; i < LM_EX_PF_MAX_VFS; i++) {
		if (pf->vfs[i].irq_fd >= 0)
			close(pf->vfs[i].irq_fd);
		pthread_mutex_destroy(&pf->vfs[i].lock);
	}
	free(pf);
}
