/* SPDX-License-Identifier: BSD-3-Clause */

/* The PF's life: set-up, health, recovery. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_pds_priv.h"

#define DEFAULT_TIMEOUT_MS 5000
#define HEARTBEAT_US 10000000 /* Linux's ionic gives it as long */
#define DRIVER_NAME "dpdk-lm"
#define MAX_QUEUE_ID LM_PDS_DBELL_QID_MASK

static struct lm_pds_queues *
lm_pds_queues_of(struct lm_pds_core *core)
{
	return core->queue_mem.vaddr;
}

void
lm_pds_event_add_locked(struct lm_pds_core *core, enum lm_pds_event event, uint32_t arg)
{
	if (core->nb_events == sizeof(core->events) / sizeof(core->events[0]))
		return;
	core->events[core->nb_events].event = event;
	core->events[core->nb_events++].arg = arg;
}

void
lm_pds_core_unlock(struct lm_pds_core *core)
{
	struct {
		enum lm_pds_event event;
		uint32_t arg;
	} events[sizeof(core->events) / sizeof(core->events[0])];
	uint32_t nb = core->nb_events, i;

	for (i = 0; i < nb; i++) {
		events[i].event = core->events[i].event;
		events[i].arg = core->events[i].arg;
	}
	core->nb_events = 0;
	pthread_mutex_unlock(&core->lock);
	for (i = 0; i < nb && core->params.event != NULL; i++)
		core->params.event(core->params.ctx, events[i].event, events[i].arg);
}

static int
lm_pds_identify(struct lm_pds_core *core)
{
	uint8_t cmd[LM_PDS_DEVCMD_BYTES] = {
		LM_PDS_CORE_CMD_IDENTIFY, LM_PDS_CORE_IDENTITY_VERSION_1
	};
	struct lm_pds_core_drv_identity drv;
	int ret;

	memset(&drv, 0, sizeof(drv));
	drv.drv_type = LM_PDS_DRIVER_DPDK;
	memcpy(drv.driver_ver_str, DRIVER_NAME, sizeof(DRIVER_NAME));
	ret = lm_pds_devcmd(core, cmd, &drv, sizeof(drv), &core->identity, sizeof(core->identity));
	if (ret != 0)
		return ret;
	if (core->identity.ndbpgs_per_lif == 0)
		return lm_pci_fail(core->pci, -EPROTO, "%s: the device has no doorbell page",
				lm_pci_name(core->pci));
	return 0;
}

static int
lm_pds_init(struct lm_pds_core *core)
{
	const uint64_t base = core->queue_mem.iova;
	uint8_t cmd[LM_PDS_DEVCMD_BYTES] = { LM_PDS_CORE_CMD_INIT };
	struct lm_pds_core_dev_init_data_in in;
	struct lm_pds_core_dev_init_data_out out;
	uint64_t page;
	int ret;

	memset(lm_pds_queues_of(core), 0, sizeof(struct lm_pds_queues));
	memset(&in, 0, sizeof(in));
	in.adminq_q_base = base + offsetof(struct lm_pds_queues, cmd);
	in.adminq_cq_base = base + offsetof(struct lm_pds_queues, comp);
	in.notifyq_cq_base = base + offsetof(struct lm_pds_queues, events);
	in.flags = LM_PDS_CORE_QINIT_F_ENA;
	in.adminq_ring_size = LM_PDS_AQ_LG2;
	in.notifyq_ring_size = LM_PDS_NQ_LG2;
	ret = lm_pds_devcmd(core, cmd, &in, sizeof(in), &out, sizeof(out));
	if (ret != 0)
		return ret;
	page = (uint64_t)out.core_hw_index * core->identity.ndbpgs_per_lif;
	if (out.adminq_hw_type >= LM_PDS_DBELL_TYPES || out.adminq_hw_index > MAX_QUEUE_ID ||
			page >= lm_pci_bar_size(core->pci, core->dbell_bar) /
			LM_PDS_DBELL_PAGE_BYTES)
		return lm_pci_fail(core->pci, -EPROTO, "%s: its doorbell lies outside the BAR",
				lm_pci_name(core->pci));
	core->doorbell = page * LM_PDS_DBELL_PAGE_BYTES +
			(uint64_t)out.adminq_hw_type * sizeof(uint64_t);
	core->doorbell_qid = (uint64_t)out.adminq_hw_index << LM_PDS_DBELL_QID_SHIFT;
	core->head = 0;
	core->color = LM_PDS_COMP_COLOR_MASK;
	core->nq_tail = 0;
	core->last_eid = 0;
	return 0;
}

int
lm_pds_core_setup_locked(struct lm_pds_core *core)
{
	uint8_t reset[LM_PDS_DEVCMD_BYTES] = { LM_PDS_CORE_CMD_RESET };
	uint8_t status;
	int ret;

	ret = lm_pci_bar_read(core->pci, core->regs_bar,
			offsetof(struct lm_pds_core_dev_info_regs, fw_status), &status, 1);
	if (ret != 0)
		return ret;
	core->generation = status & LM_PDS_CORE_FW_STS_F_GENERATION;
	core->broken = true;
	ret = lm_pds_fw_check(core);
	/* RESET first, so that nothing is written to the old queues any more. */
	if (ret == 0)
		ret = lm_pds_devcmd(core, reset, NULL, 0, NULL, 0);
	if (ret == 0)
		ret = lm_pds_identify(core);
	if (ret == 0)
		ret = lm_pds_init(core);
	core->broken = ret != 0;
	core->fw_down = ret == -ENXIO;
	return ret;
}

int
lm_pds_core_recover_locked(struct lm_pds_core *core)
{
	int ret = lm_pds_fw_check(core);

	if (ret == 0 && !core->broken && !core->fw_down)
		return 0;
	if (ret != 0 && ret != -ESTALE) {
		if (ret == -ENXIO && !core->fw_down) {
			core->fw_down = true;
			lm_pds_event_add_locked(core, LM_PDS_EV_FW_DOWN, 0);
		}
		return ret;
	}
	core->restarts += ret == -ESTALE || core->fw_down;
	ret = lm_pds_core_setup_locked(core);
	if (ret != 0)
		return ret;
	core->epoch++;
	lm_pds_event_add_locked(core, LM_PDS_EV_RECOVERED, 0);
	return 0;
}

static void
lm_pds_heartbeat_locked(struct lm_pds_core *core)
{
	uint64_t now_us = lm_pds_now_us();
	uint32_t beat;

	if (lm_pci_bar_read(core->pci, core->regs_bar, offsetof(struct lm_pds_core_dev_info_regs,
			fw_heartbeat), &beat, sizeof(beat)) != 0)
		return;
	/* A firmware without one says 0 for ever. */
	if (beat != core->heartbeat || beat == 0 || core->heartbeat_us == 0) {
		core->heartbeat = beat;
		core->heartbeat_us = now_us;
	} else if (now_us - core->heartbeat_us > HEARTBEAT_US) {
		core->heartbeat_us = now_us;
		lm_pds_event_add_locked(core, LM_PDS_EV_STALLED, 0);
	}
}

int
lm_pds_core_health(struct lm_pds_core *core)
{
	int ret;

	pthread_mutex_lock(&core->lock);
	ret = lm_pds_core_recover_locked(core);
	if (ret == 0) {
		lm_pds_heartbeat_locked(core);
		lm_pds_notify_take_locked(core);
	}
	lm_pds_core_unlock(core);
	return ret;
}

/* The n-th memory BAR counts, whatever its number. */
static int
lm_pds_find_bars(struct lm_pds_core *core)
{
	unsigned int found[2] = { 0, 0 };
	unsigned int bar, nb = 0;
	uint32_t signature;

	for (bar = 0; bar < LM_PCI_NUM_BARS && nb < 2; bar++)
		if (lm_pci_bar_size(core->pci, bar) != 0)
			found[nb++] = bar;
	core->regs_bar = found[0];
	core->dbell_bar = found[1];
	if (nb < 2 || lm_pci_bar_size(core->pci, core->regs_bar) < LM_PDS_CORE_BAR0_SIZE ||
			lm_pci_bar_read(core->pci, core->regs_bar, 0, &signature,
			sizeof(signature)) != 0 || signature != LM_PDS_CORE_DEV_INFO_SIGNATURE)
		return lm_pci_fail(core->pci, -ENODEV, "%s: not a pds device",
				lm_pci_name(core->pci));
	return 0;
}

static int
lm_pds_fw_version_read(struct lm_pds_core *core)
{
	const uint64_t offset = offsetof(struct lm_pds_core_dev_info_regs, fw_version);
	uint32_t i;
	int ret = 0;

	for (i = 0; i < sizeof(core->fw_version) && ret == 0; i += 4)
		ret = lm_pci_bar_read(core->pci, core->regs_bar, offset + i, core->fw_version + i,
				4);
	core->fw_version[sizeof(core->fw_version) - 1] = '\0';
	return ret;
}

static void
lm_pds_core_free(struct lm_pds_core *core)
{
	lm_pci_mem_free(core->pci, &core->queue_mem);
	lm_pci_mem_free(core->pci, &core->data_mem);
	pthread_mutex_destroy(&core->lock);
	pthread_mutex_destroy(&core->data_lock);
	free(core);
}

int
lm_pds_core_open(struct lm_pci *pci, const struct lm_pds_core_params *params,
		struct lm_pds_core **core)
{
	struct lm_pds_core *c = calloc(1, sizeof(*c));
	int ret;

	if (c == NULL)
		return -ENOMEM;
	c->pci = pci;
	if (params != NULL)
		c->params = *params;
	if (c->params.devcmd_timeout_ms == 0)
		c->params.devcmd_timeout_ms = DEFAULT_TIMEOUT_MS;
	if (c->params.adminq_timeout_ms == 0)
		c->params.adminq_timeout_ms = DEFAULT_TIMEOUT_MS;
	if (c->params.suspend_timeout_ms == 0)
		c->params.suspend_timeout_ms = DEFAULT_TIMEOUT_MS;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->data_lock, NULL);
	ret = lm_pds_find_bars(c);
	if (ret == 0)
		ret = lm_pds_fw_version_read(c);
	if (ret == 0)
		ret = lm_pci_mem_alloc(pci, sizeof(struct lm_pds_queues), &c->queue_mem);
	if (ret == 0)
		ret = lm_pci_mem_alloc(pci, LM_PDS_DATA_BYTES, &c->data_mem);
	if (ret == 0)
		ret = lm_pci_bus_master(pci, true);
	if (ret == 0)
		ret = lm_pds_core_setup_locked(c);
	if (ret != 0) {
		lm_pds_core_free(c);
		return ret;
	}
	*core = c;
	return 0;
}

void
lm_pds_core_close(struct lm_pds_core *core)
{
	uint8_t reset[LM_PDS_DEVCMD_BYTES] = { LM_PDS_CORE_CMD_RESET };

	if (core == NULL)
		return;
	if (lm_pds_fw_check(core) != -ENXIO)
		lm_pds_devcmd(core, reset, NULL, 0, NULL, 0);
	lm_pci_bus_master(core->pci, false);
	lm_pds_core_free(core);
}

const struct lm_pds_core_dev_identity *
lm_pds_core_identity(const struct lm_pds_core *core)
{
	return &core->identity;
}

const char *
lm_pds_core_fw_version(const struct lm_pds_core *core)
{
	return core->fw_version;
}

struct lm_pci *
lm_pds_core_pci(struct lm_pds_core *core)
{
	return core->pci;
}

uint32_t
lm_pds_core_epoch(struct lm_pds_core *core)
{
	uint32_t epoch;

	pthread_mutex_lock(&core->lock);
	epoch = core->epoch;
	pthread_mutex_unlock(&core->lock);
	return epoch;
}

uint32_t
lm_pds_core_restarts(struct lm_pds_core *core)
{
	uint32_t restarts;

	pthread_mutex_lock(&core->lock);
	restarts = core->restarts;
	pthread_mutex_unlock(&core->lock);
	return restarts;
}

void *
lm_pds_core_lock_data(struct lm_pds_core *core, uint64_t *iova)
{
	pthread_mutex_lock(&core->data_lock);
	*iova = core->data_mem.iova;
	return core->data_mem.vaddr;
}

void
lm_pds_core_unlock_data(struct lm_pds_core *core)
{
	pthread_mutex_unlock(&core->data_lock);
}
