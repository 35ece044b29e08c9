/* SPDX-License-Identifier: BSD-3-Clause */

/* The VF as a device: life, reset, polling, control. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_pds_vf.h"

#define DM_PDS_VF_CLASS 0x020000 /* network, Ethernet */
#define DM_PDS_TICK_NS 500000
#define DM_PDS_STORE_SLEEP_US 1000     /* a doorbell may be a store that wakes nobody */
#define DM_PDS_WIRE_POLL_US 1000       /* the wire has no descriptor */
#define DM_PDS_WIRE_SLEEP_US 10000

static const struct dm_pds_fn_ops dm_pds_vf_fn_ops = {
	.devcmd_place = LM_PDS_PLACE_ETH,
	.trace_devcmd = "eth.devcmd",
	.trace_adminq = "eth.adminq",
	.devcmd = dm_pds_vf_devcmd,
	.doorbell = dm_pds_vf_doorbell,
};

static int
dm_pds_vf_bar_read(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes)
{
	return dm_pds_bar_read(dev, bar, offset, buf, len_bytes);
}

static int
dm_pds_vf_bar_write(void *dev, uint32_t bar, uint64_t offset, const void *buf,
		uint32_t len_bytes)
{
	return dm_pds_bar_write(dev, bar, offset, buf, len_bytes);
}

/* Suspend level, queues and filters go; dirty tracking stays until DIRTY_DISABLE. */
static void
dm_pds_vf_reset(void *dev)
{
	struct dm_pds_vf *vf = dev;

	dm_pds_fn_reset(&vf->fn);
	dm_pds_lif_reset(vf);
}

static void
dm_pds_vf_tick(struct dm_pds_vf *vf, uint64_t now_ns)
{
	vf->tick_ns = now_ns;
	dm_wire_tick(vf->wire, now_ns);
	if (vf->fn.level == DM_PDS_RUNNING) {
		dm_pds_link_check(vf);
		dm_pds_info_tick(vf, now_ns);
	}
}

static unsigned int
dm_pds_vf_poll(void *dev, uint64_t now_ns)
{
	struct dm_pds_vf *vf = dev;
	unsigned int work;
	uint16_t i;

	work = dm_pds_fn_tick(&vf->fn, now_ns);
	if (now_ns - vf->tick_ns >= DM_PDS_TICK_NS)
		dm_pds_vf_tick(vf, now_ns);
	if (vf->fn.level != DM_PDS_SUSPENDED_FULL)
		dm_pds_db_poll(&vf->fn);
	work += dm_pds_cmdq_poll(&vf->fn, &vf->lif.adminq, now_ns, dm_pds_vf_adminq);
	if (vf->fn.level == DM_PDS_RUNNING)
		for (i = 0; i < vf->pairs; i++)
			work += dm_pds_tx_poll(vf, i);
	return work + dm_pds_rx_poll(vf);
}

static uint32_t
dm_pds_vf_sleep(void *dev)
{
	struct dm_pds_vf *vf = dev;
	uint64_t now_ns = vf->fn.host->now_ns(vf->fn.host->ctx);
	uint32_t max_us = dm_wire_fd(vf->wire) < 0 ? DM_PDS_WIRE_POLL_US : DM_PDS_WIRE_SLEEP_US;
	const uint8_t *frame;

	dm_pds_vf_tick(vf, now_ns);
	if (dm_wire_peek(vf->wire, &frame) != 0)
		return 0;
	if (vf->fn.db_stored && max_us > DM_PDS_STORE_SLEEP_US)
		max_us = DM_PDS_STORE_SLEEP_US;
	return dm_pds_fn_sleep_us(&vf->fn, now_ns, max_us);
}

static int
dm_pds_vf_control(void *dev, const char *cmd, const json_t *args, const char **error)
{
	struct dm_pds_vf *vf = dev;
	struct lm_ionic_reset_event reset = { .ecode = LM_IONIC_EVENT_RESET };
	const json_t *up;

	if (strcmp(cmd, "link") == 0) {
		up = json_object_get(args, "up");
		if (!json_is_boolean(up)) {
			*error = "link needs \"up\": true or false";
			return -EINVAL;
		}
		vf->link_forced_down = !json_boolean_value(up);
		dm_pds_link_check(vf);
		return 0;
	}
	if (strcmp(cmd, "reset-event") != 0)
		return -ENOTSUP;
	dm_pds_notify(&vf->fn, &vf->lif.notifyq, &reset);
	return 0;
}

static int
dm_pds_vf_fault(void *dev, const char *spec)
{
	struct dm_pds_vf *vf = dev;

	return dm_pds_fault_parse(&vf->fn.faults, spec);
}

static int
dm_pds_vf_add_caps(void *dev)
{
	(void)dev;
	return 0;
}

static void
dm_pds_vf_destroy(void *dev)
{
	struct dm_pds_vf *vf = dev;

	dm_pds_dirty_disable(&vf->fn.dirty);
	dm_pds_db_fini(&vf->fn);
	free(vf);
}

static const struct dm_device_ops dm_pds_vf_ops = {
	.destroy = dm_pds_vf_destroy,
	.add_caps = dm_pds_vf_add_caps,
	.bar_read = dm_pds_vf_bar_read,
	.bar_write = dm_pds_vf_bar_write,
	.reset = dm_pds_vf_reset,
	.poll = dm_pds_vf_poll,
	.sleep = dm_pds_vf_sleep,
	.stats = dm_pds_vf_stats,
	.control = dm_pds_vf_control,
	.fault = dm_pds_vf_fault,
};

void
dm_pds_vf_bars(const struct dm_pds_vf *vf, uint64_t bar_bytes[6], bool bar_64bit[6])
{
	uint64_t pages = 1;

	while (pages < vf->fn.nb_pages)
		pages *= 2;
	bar_bytes[DM_PDS_REGS_BAR] = LM_PDS_CORE_BAR0_SIZE;
	bar_64bit[DM_PDS_REGS_BAR] = true;
	bar_bytes[DM_PDS_DBELL_BAR] = pages * LM_PDS_DBELL_PAGE_BYTES;
	bar_bytes[DM_PDS_MSIX_BAR] = DM_PCI_MSIX_BAR_BYTES;
}

int
dm_pds_vf_create(const struct dm_pds_vf_conf *conf, struct dm_device *device)
{
	struct dm_pds_vf *vf;
	int ret;

	if (conf->pairs == 0 || conf->pairs > DM_PDS_MAX_PAIRS)
		return -EINVAL;
	vf = calloc(1, sizeof(*vf));
	if (vf == NULL)
		return -ENOMEM;
	vf->wire = conf->wire;
	vf->pairs = conf->pairs;
	vf->id = conf->id;
	memcpy(vf->mac, conf->mac, sizeof(vf->mac));
	dm_pds_fn_init(&vf->fn, conf->host, &dm_pds_vf_fn_ops, 1 + conf->pairs, 1 + conf->pairs);
	dm_pds_fn_fill(&vf->fn, device);
	ret = dm_pds_db_init(&vf->fn, &device->bars[DM_PDS_DBELL_BAR]);
	if (ret != 0) {
		free(vf);
		return ret;
	}
	dm_pds_lif_reset(vf);
	device->name = "pds-vf";
	device->ops = &dm_pds_vf_ops;
	device->dev = vf;
	device->ids.vendor = LM_PCI_VENDOR_ID_PENSANDO;
	device->ids.device = LM_PCI_DEVICE_ID_PENSANDO_IONIC_ETH_VF;
	device->ids.sub_vendor = LM_PCI_VENDOR_ID_PENSANDO;
	device->ids.class_code = DM_PDS_VF_CLASS;
	device->wake_fd = dm_wire_fd(vf->wire);
	return 0;
}
