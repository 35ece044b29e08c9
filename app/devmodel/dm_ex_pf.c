/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dm_ex_pf.h"
#include "exerciser_admin_if.h"

#define DM_EX_PF_SLEEP_US 100000u
#define DM_EX_PF_MAX_DATA (1u << 20)

/** A VF and the command that is under way for it. */
struct dm_ex_vf {
	struct dm_ex *ex;
	uint64_t iova; /* of the command; 0: none */
	struct lm_ex_admin cmd;
};

struct dm_ex_pf {
	struct dm_host *host;
	uint32_t nb_vfs;
	struct dm_ex_vf vfs[DM_EX_MAX_VFS];
	uint64_t commands;
	uint64_t errors;
	uint64_t lost; /* commands that could not be read, or answered */
};

static void *
dm_ex_pf_span(struct dm_ex_pf *pf, uint64_t iova, uint64_t len_bytes, uint32_t prot)
{
	uint64_t len = len_bytes;
	void *ptr = NULL;

	if (pf->host->bus_master)
		ptr = pf->host->dma_span(pf->host->ctx, iova, &len, prot);
	return ptr == NULL || len < len_bytes ? NULL : ptr;
}

/* NULL and -EFAULT; no data is no fault. */
static int
dm_ex_pf_data(struct dm_ex_pf *pf, const struct lm_ex_admin *cmd, uint32_t prot, void **data)
{
	if (cmd->data_bytes > DM_EX_PF_MAX_DATA)
		return -EINVAL;
	*data = cmd->data_bytes == 0 ? NULL :
			dm_ex_pf_span(pf, cmd->data_iova, cmd->data_bytes, prot);
	return *data == NULL && cmd->data_bytes != 0 ? -EFAULT : 0;
}

static int
dm_ex_pf_caps(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	const struct dm_dirty_conf *log = &ex->conf.log;

	(void)pf;
	cmd->out[0] = ex->conf.mig_flags;
	cmd->out[1] = (ex->conf.has_log ? LM_EX_ADMIN_LOG_PRESENT : 0) |
			(log->fixed_page ? LM_EX_ADMIN_LOG_FIXED_PAGE : 0);
	cmd->out[2] = log->align_pages | (uint64_t)log->max_ranges << 32;
	cmd->out[3] = ex->conf.compat;
	return 0;
}

static int
dm_ex_pf_state(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	(void)pf;
	cmd->out[0] = ex->state;
	return 0;
}

static int
dm_ex_pf_arc(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	(void)pf;
	if (cmd->in[0] != (uint64_t)ex->state || cmd->in[1] >= LM_STATE_NB ||
			cmd->in[0] == cmd->in[1])
		return -EINVAL;
	return dm_ex_go(ex, (enum lm_state)cmd->in[1], false);
}

static int
dm_ex_pf_info(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	uint32_t flags = 0;

	(void)pf;
	if (dm_ex_fault_count(&ex->faults, &ex->faults.info_fail))
		return -EIO;
	cmd->out[2] = dm_ex_left_bytes(ex);
	cmd->out[3] = 0;
	if (ex->state != LM_STATE_PRE_COPY && ex->state != LM_STATE_PRE_COPY_P2P)
		return 0;
	dm_ex_info(ex, &flags, &cmd->out[0], &cmd->out[1]);
	cmd->out[3] = LM_EX_ADMIN_INFO_PRECOPY | (flags != 0 ? LM_EX_ADMIN_INFO_REINIT : 0);
	return 0;
}

static int
dm_ex_pf_read(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	void *data;
	int ret = dm_ex_pf_data(pf, cmd, LM_VU_PROT_WRITE, &data);

	if (ret == 0)
		ret = dm_ex_read(ex, data, cmd->data_bytes);
	if (ret < 0)
		return ret;
	cmd->out[0] = (uint64_t)ret;
	return 0;
}

static int
dm_ex_pf_write(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	void *data;
	int ret = dm_ex_pf_data(pf, cmd, LM_VU_PROT_READ, &data);

	return ret != 0 ? ret : dm_ex_write(ex, data, cmd->data_bytes);
}

static int
dm_ex_pf_log_start(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	struct lm_vu_range ranges[DM_DIRTY_MAX_RANGES];
	uint32_t nb = cmd->data_bytes / sizeof(ranges[0]);
	void *data;
	int ret = dm_ex_pf_data(pf, cmd, LM_VU_PROT_READ, &data);

	if (!ex->conf.has_log || cmd->data_bytes % sizeof(ranges[0]) != 0)
		return -EINVAL;
	if (nb > DM_DIRTY_MAX_RANGES)
		return -E2BIG;
	if (ret != 0)
		return ret;
	if (nb > 0)
		memcpy(ranges, data, nb * sizeof(ranges[0]));
	ret = dm_dirty_ranges_check(ranges, nb, cmd->in[0]);
	cmd->out[0] = cmd->in[0];
	return ret != 0 ? ret : dm_ex_log_start(ex, ranges, nb, &cmd->out[0]);
}

static int
dm_ex_pf_log_report(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	const struct lm_vu_range range = { .iova = cmd->in[0], .length_bytes = cmd->in[1] };
	void *data;
	int ret = dm_ex_pf_data(pf, cmd, LM_VU_PROT_WRITE, &data);

	if (ret == 0)
		ret = dm_dirty_ranges_check(&range, 1, cmd->in[2]);
	if (ret != 0)
		return ret;
	if (cmd->data_iova % 8 != 0 ||
			cmd->data_bytes != (range.length_bytes / cmd->in[2] + 63) / 64 * 8)
		return -EINVAL;
	return dm_ex_log_report(ex, range.iova, range.length_bytes, cmd->in[2], data);
}

static int
dm_ex_pf_log_stop(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	(void)pf;
	(void)cmd;
	return dm_ex_log_stop(ex);
}

static int
dm_ex_pf_vf_reset(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd)
{
	(void)pf;
	(void)cmd;
	if (dm_ex_fault_count(&ex->faults, &ex->faults.reset_fail))
		return -EIO;
	dm_ex_reset(ex);
	return 0;
}

typedef int (*dm_ex_pf_fn)(struct dm_ex_pf *pf, struct dm_ex *ex, struct lm_ex_admin *cmd);

static const dm_ex_pf_fn dm_ex_pf_fns[] = {
	[LM_EX_ADMIN_CAPS] = dm_ex_pf_caps,
	[LM_EX_ADMIN_STATE] = dm_ex_pf_state,
	[LM_EX_ADMIN_ARC] = dm_ex_pf_arc,
	[LM_EX_ADMIN_INFO] = dm_ex_pf_info,
	[LM_EX_ADMIN_READ] = dm_ex_pf_read,
	[LM_EX_ADMIN_WRITE] = dm_ex_pf_write,
	[LM_EX_ADMIN_LOG_START] = dm_ex_pf_log_start,
	[LM_EX_ADMIN_LOG_REPORT] = dm_ex_pf_log_report,
	[LM_EX_ADMIN_LOG_STOP] = dm_ex_pf_log_stop,
	[LM_EX_ADMIN_RESET] = dm_ex_pf_vf_reset,
};

/* Results first, done last: the driver polls it. */
static void
dm_ex_pf_answer(struct dm_ex_pf *pf, uint64_t iova, struct lm_ex_admin *cmd, int ret)
{
	struct lm_ex_admin *to = dm_ex_pf_span(pf, iova, sizeof(*to), LM_VU_PROT_WRITE);

	pf->commands++;
	pf->errors += ret != 0;
	if (to == NULL) {
		pf->lost++;
		return;
	}
	memcpy(to->out, cmd->out, sizeof(to->out));
	to->error = (uint32_t)-ret;
	atomic_store_explicit((_Atomic uint32_t *)&to->done, 1, memory_order_release);
	if (cmd->vf < pf->nb_vfs)
		pf->host->irq(pf->host->ctx, (uint16_t)cmd->vf);
}

static void
dm_ex_pf_run(struct dm_ex_pf *pf, struct dm_ex_vf *vf)
{
	uint64_t iova = vf->iova;
	int ret = dm_ex_pf_fns[vf->cmd.opcode](pf, vf->ex, &vf->cmd);

	if (ret == -EINPROGRESS)
		return;
	vf->iova = 0;
	dm_ex_pf_answer(pf, iova, &vf->cmd, ret);
}

static void
dm_ex_pf_doorbell(struct dm_ex_pf *pf, uint64_t iova)
{
	struct lm_ex_admin cmd, *from = NULL;

	if (iova % LM_EX_ADMIN_ALIGN == 0 && iova != 0)
		from = dm_ex_pf_span(pf, iova, sizeof(cmd), LM_VU_PROT_READ);
	if (from == NULL) {
		pf->lost++;
		dm_rule_broken(pf->host->rules, DM_RULE_DMA_UNMAPPED, "command at 0x%llx",
				(unsigned long long)iova);
		return;
	}
	memcpy(&cmd, from, sizeof(cmd));
	memset(cmd.out, 0, sizeof(cmd.out));
	if (cmd.vf >= pf->nb_vfs || cmd.opcode == 0 ||
			cmd.opcode >= sizeof(dm_ex_pf_fns) / sizeof(dm_ex_pf_fns[0])) {
		dm_ex_pf_answer(pf, iova, &cmd, -EINVAL);
		return;
	}
	if (pf->vfs[cmd.vf].iova != 0) {
		dm_ex_pf_answer(pf, iova, &cmd, -EBUSY);
		return;
	}
	pf->vfs[cmd.vf].iova = iova;
	pf->vfs[cmd.vf].cmd = cmd;
	dm_ex_pf_run(pf, &pf->vfs[cmd.vf]);
}

static int
dm_ex_pf_bar_read(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes)
{
	const struct dm_ex_pf *pf = dev;
	uint64_t value = offset == LM_EX_PF_REG_MAGIC ? LM_EX_PF_MAGIC :
			offset == LM_EX_PF_REG_NB_VFS ? pf->nb_vfs : 0;

	(void)bar;
	memset(buf, 0xff, len_bytes);
	if (len_bytes == sizeof(value) && offset % sizeof(value) == 0)
		memcpy(buf, &value, sizeof(value));
	return 0;
}

static int
dm_ex_pf_bar_write(void *dev, uint32_t bar, uint64_t offset, const void *buf, uint32_t len_bytes)
{
	struct dm_ex_pf *pf = dev;
	uint64_t value;

	(void)bar;
	if (offset != LM_EX_PF_REG_DOORBELL || len_bytes != sizeof(value)) {
		dm_rule_broken(pf->host->rules, DM_RULE_WRITE_READ_ONLY, "0x%llx",
				(unsigned long long)offset);
		return 0;
	}
	memcpy(&value, buf, sizeof(value));
	dm_ex_pf_doorbell(pf, value);
	return 0;
}

/* Commands are forgotten; VFs stay what they are. */
static void
dm_ex_pf_reset(void *dev)
{
	struct dm_ex_pf *pf = dev;
	uint32_t i;

	for (i = 0; i < pf->nb_vfs; i++)
		pf->vfs[i].iova = 0;
}

static void
dm_ex_pf_destroy(void *dev)
{
	free(dev);
}

static int
dm_ex_pf_add_caps(void *dev)
{
	(void)dev;
	return 0;
}

static void
dm_ex_pf_io_event(void *dev, uint32_t index)
{
	(void)dev;
	(void)index;
}

static bool
dm_ex_pf_no_pci_window(void *dev, uint32_t *bar, uint64_t *offset, uint32_t *len_bytes)
{
	(void)dev;
	(void)bar;
	(void)offset;
	(void)len_bytes;
	return false;
}

static unsigned int
dm_ex_pf_poll(void *dev, uint64_t now_ns)
{
	struct dm_ex_pf *pf = dev;
	unsigned int work = 0;
	uint32_t i;

	for (i = 0; i < pf->nb_vfs; i++)
		if (pf->vfs[i].iova != 0 && dm_ex_waits(pf->vfs[i].ex) <= now_ns) {
			dm_ex_pf_run(pf, &pf->vfs[i]);
			work++;
		}
	return work;
}

/* A VF that waits says itself when it is to be looked at. */
static uint32_t
dm_ex_pf_sleep(void *dev)
{
	(void)dev;
	return DM_EX_PF_SLEEP_US;
}

static int
dm_ex_pf_stats(void *dev, json_t *object)
{
	const struct dm_ex_pf *pf = dev;
	int ret = json_object_set_new(object, "commands", json_integer((json_int_t)pf->commands));

	ret |= json_object_set_new(object, "errors", json_integer((json_int_t)pf->errors));
	ret |= json_object_set_new(object, "lost", json_integer((json_int_t)pf->lost));
	return ret == 0 ? 0 : -ENOMEM;
}

static int
dm_ex_pf_control(void *dev, const char *cmd, const json_t *args, const char **error)
{
	(void)dev;
	(void)cmd;
	(void)args;
	(void)error;
	return -ENOTSUP;
}

static const struct dm_device_ops dm_ex_pf_device_ops = {
	.destroy = dm_ex_pf_destroy,
	.add_caps = dm_ex_pf_add_caps,
	.window = dm_ex_pf_no_pci_window,
	.bar_read = dm_ex_pf_bar_read,
	.bar_write = dm_ex_pf_bar_write,
	.reset = dm_ex_pf_reset,
	.io_event = dm_ex_pf_io_event,
	.poll = dm_ex_pf_poll,
	.sleep = dm_ex_pf_sleep,
	.stats = dm_ex_pf_stats,
	.control = dm_ex_pf_control,
};

int
dm_ex_pf_create(struct dm_host *host, struct dm_ex *const *vfs, uint32_t nb_vfs,
		struct dm_device *device)
{
	struct dm_ex_pf *pf;
	uint32_t i;

	if (nb_vfs == 0 || nb_vfs > DM_EX_MAX_VFS)
		return -EINVAL;
	pf = calloc(1, sizeof(*pf));
	if (pf == NULL)
		return -ENOMEM;
	pf->host = host;
	pf->nb_vfs = nb_vfs;
	for (i = 0; i < nb_vfs; i++)
		pf->vfs[i].ex = vfs[i];
	memset(device, 0, sizeof(*device));
	device->name = "exerciser-pf";
	device->ops = &dm_ex_pf_device_ops;
	device->dev = pf;
	device->ids = (struct dm_pci_ids){
		.vendor = LM_EX_VENDOR, .device = LM_EX_DEVICE_PF, .sub_vendor = LM_EX_VENDOR,
		.sub_device = LM_EX_DEVICE_PF, .class_code = LM_EX_CLASS, .revision = 1,
	};
	device->bars[LM_EX_BAR_REGS] = (struct lm_vu_region_conf){
		.size_bytes = LM_EX_PF_REGS_BYTES,
		.flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE, .fd = -1,
	};
	device->bar_64bit[LM_EX_BAR_REGS] = true;
	device->msix_bar = LM_EX_BAR_MSIX;
	device->nb_vectors = (uint16_t)nb_vfs;
	device->wake_fd = -1;
	return 0;
}
