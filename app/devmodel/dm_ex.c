/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_ex.h"

#define DM_EX_SLEEP_US 100000u
#define DM_EX_WATCH_US 2000u /* while it is stopped it looks whether peers write */

/* What a driver finds after a reset. */
static void
dm_ex_blank(struct dm_ex *ex)
{
	uint64_t migrations = ex->counters[DM_EX_COUNTER(LM_EX_REG_MIGRATIONS)];

	memset(ex->config, 0, sizeof(ex->config));
	memset(ex->ranges, 0, sizeof(ex->ranges));
	memset(ex->counters, 0, sizeof(ex->counters));
	ex->config[DM_EX_CONFIG(LM_EX_REG_SEED)] = ex->conf.seed;
	ex->config[DM_EX_CONFIG(LM_EX_REG_STRIDE)] = 1;
	ex->config[DM_EX_CONFIG(LM_EX_REG_PAGE_WRITE)] = LM_EX_PAGE_BYTES;
	ex->config[DM_EX_CONFIG(LM_EX_REG_STATE_BYTES)] = ex->conf.state_bytes;
	ex->counters[DM_EX_COUNTER(LM_EX_REG_MIGRATIONS)] = migrations;
	ex->started = false;
	ex->paused = false;
	ex->bad = dm_ex_blocks(ex) != 0;
	ex->nb_ops = 0;
	ex->peer_late = 0;
	memset(ex->window, 0, LM_EX_WINDOW_BYTES);
	memset(ex->window_was, 0, LM_EX_WINDOW_BYTES);
	memset(ex->marks, 0, sizeof(ex->marks));
	memset(ex->origin_marks, 0, sizeof(ex->origin_marks));
}

/* As VFIO_DEVICE_RESET: whatever migration was doing is over. */
void
dm_ex_reset(struct dm_ex *ex)
{
	dm_ex_save_end(ex);
	dm_ex_load_drop(ex);
	if (ex->dirty.on)
		dm_dirty_stop(&ex->dirty);
	ex->walk.on = false;
	ex->io_wait_ns = 0;
	ex->io_waited = false;
	ex->state = LM_STATE_RUNNING;
	dm_ex_blank(ex);
}

static void
dm_ex_ops_closed(void *dev)
{
	dm_ex_reset(dev);
}

/* libvfio-user leaves the migration state alone; a session begins anew. */
static void
dm_ex_ops_reset(void *dev)
{
	struct dm_ex *ex = dev;
	enum lm_state state = ex->state;

	dm_ex_reset(ex);
	if (!ex->conf.strict)
		return;
	if (state == LM_STATE_PRE_COPY && dm_ex_save_begin(ex, false) == 0)
		ex->state = state;
	if (state == LM_STATE_RESUMING && dm_ex_load_begin(ex) == 0)
		ex->state = state;
}

static void
dm_ex_destroy(void *dev)
{
	struct dm_ex *ex = dev;

	dm_ex_save_end(ex);
	dm_ex_load_drop(ex);
	if (ex->dirty.on)
		dm_dirty_stop(&ex->dirty);
	free(ex->mods);
	if (ex->window != NULL)
		munmap(ex->window, LM_EX_WINDOW_BYTES);
	if (ex->window_fd >= 0)
		close(ex->window_fd);
	free(ex);
}

static int
dm_ex_add_caps(void *dev)
{
	(void)dev;
	return 0;
}

static void
dm_ex_io_event(void *dev, uint32_t index)
{
	(void)dev;
	(void)index;
}

static bool
dm_ex_no_pci_window(void *dev, uint32_t *bar, uint64_t *offset, uint32_t *len_bytes)
{
	(void)dev;
	(void)bar;
	(void)offset;
	(void)len_bytes;
	return false;
}

static unsigned int
dm_ex_poll(void *dev, uint64_t now_ns)
{
	struct dm_ex *ex = dev;
	uint64_t wait_ns = dm_ex_waits(ex);

	if (wait_ns != 0 && wait_ns <= now_ns) {
		ex->host->mig_resume(ex->host->ctx);
		return 0;
	}
	if (dm_ex_is_stopped(ex) && ex->state != LM_STATE_RESUMING)
		dm_ex_window_check(ex);
	return dm_ex_steps(ex, now_ns);
}

static uint32_t
dm_ex_until(uint64_t when_ns, uint64_t now_ns, uint32_t most_us)
{
	uint64_t us = when_ns <= now_ns ? 0 : (when_ns - now_ns + 999) / 1000;

	return us < most_us ? (uint32_t)us : most_us;
}

static uint32_t
dm_ex_sleep(void *dev)
{
	struct dm_ex *ex = dev;
	uint64_t now_ns = ex->host->now_ns(ex->host->ctx);
	uint64_t wait_ns = dm_ex_waits(ex);
	uint32_t most_us = dm_ex_is_stopped(ex) ? DM_EX_WATCH_US : DM_EX_SLEEP_US;

	if (wait_ns != 0)
		most_us = dm_ex_until(wait_ns, now_ns, most_us);
	return dm_ex_runs(ex) ? dm_ex_until(ex->next_ns, now_ns, most_us) : most_us;
}

static int
dm_ex_control(void *dev, const char *cmd, const json_t *args, const char **error)
{
	struct dm_ex *ex = dev;

	(void)args;
	if (strcmp(cmd, "release") == 0) {
		dm_ex_release(ex);
		return 0;
	}
	if (strcmp(cmd, "reinit") != 0)
		return -ENOTSUP;
	if (ex->state != LM_STATE_PRE_COPY && ex->state != LM_STATE_PRE_COPY_P2P) {
		*error = "it is not in pre-copy";
		return -EINVAL;
	}
	return dm_ex_save_reinit(ex);
}

static int
dm_ex_fault(void *dev, const char *spec)
{
	struct dm_ex *ex = dev;

	return dm_ex_fault_parse(&ex->faults, spec);
}

static const struct dm_device_ops dm_ex_device_ops = {
	.destroy = dm_ex_destroy,
	.add_caps = dm_ex_add_caps,
	.window = dm_ex_no_pci_window,
	.bar_read = dm_ex_bar_read,
	.bar_write = dm_ex_bar_write,
	.reset = dm_ex_ops_reset,
	.closed = dm_ex_ops_closed,
	.io_event = dm_ex_io_event,
	.poll = dm_ex_poll,
	.sleep = dm_ex_sleep,
	.stats = dm_ex_stats,
	.control = dm_ex_control,
	.fault = dm_ex_fault,
};

static int
dm_ex_window_open(struct dm_ex *ex)
{
	int ret;

	ex->window_fd = memfd_create("exerciser", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ex->window_fd < 0)
		return -errno;
	if (ftruncate(ex->window_fd, LM_EX_WINDOW_BYTES) != 0 ||
			fcntl(ex->window_fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
		return -errno;
	ex->window = mmap(NULL, LM_EX_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			ex->window_fd, 0);
	if (ex->window != MAP_FAILED)
		return 0;
	ret = -errno;
	ex->window = NULL;
	return ret;
}

static void
dm_ex_describe(struct dm_ex *ex, struct dm_device *device)
{
	const uint32_t access = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;

	memset(device, 0, sizeof(*device));
	ex->ops = dm_ex_device_ops;
	if (ex->conf.mig_flags != 0 && !ex->conf.by_pf)
		ex->ops.mig = ex->conf.strict ? &dm_ex_strict_mig_ops : &dm_ex_mig_ops;
	if (ex->conf.has_log && !ex->conf.by_pf)
		ex->ops.log = &dm_ex_log_ops;
	device->name = "exerciser";
	device->ops = &ex->ops;
	device->dev = ex;
	device->ids = (struct dm_pci_ids){
		.vendor = LM_EX_VENDOR, .device = LM_EX_DEVICE_VF, .sub_vendor = LM_EX_VENDOR,
		.sub_device = LM_EX_DEVICE_VF, .class_code = LM_EX_CLASS, .revision = 1,
	};
	device->bars[LM_EX_BAR_REGS] = (struct lm_vu_region_conf){
		.size_bytes = LM_EX_REGS_BYTES, .flags = access, .fd = -1,
	};
	device->bars[LM_EX_BAR_WINDOW] = (struct lm_vu_region_conf){
		.size_bytes = LM_EX_WINDOW_BYTES, .flags = access | LM_VU_REGION_F_MMAP,
		.fd = ex->window_fd,
	};
	device->bar_64bit[LM_EX_BAR_REGS] = true;
	device->bar_64bit[LM_EX_BAR_WINDOW] = true;
	device->msix_bar = LM_EX_BAR_MSIX;
	device->nb_vectors = 1;
	device->wake_fd = -1;
	device->strict = ex->conf.strict;
}

int
dm_ex_create(const struct dm_ex_conf *conf, struct dm_device *device)
{
	struct dm_ex *ex = calloc(1, sizeof(*ex));
	int ret;

	if (ex == NULL)
		return -ENOMEM;
	ex->host = conf->host;
	ex->conf = *conf;
	if (ex->conf.strict) {
		ex->conf.mig_flags = LM_STATE_F_STOP_COPY | LM_STATE_F_PRE_COPY;
		ex->conf.log.fixed_page = true;
	}
	ex->dirty.conf = ex->conf.log;
	dm_ex_fault_clear(&ex->faults);
	ret = dm_ex_window_open(ex);
	if (ret != 0) {
		dm_ex_destroy(ex);
		return ret;
	}
	dm_ex_reset(ex);
	dm_ex_describe(ex, device);
	return 0;
}
