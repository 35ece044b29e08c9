/* SPDX-License-Identifier: BSD-3-Clause */

/* Where the structures lie: capabilities, BAR dispatch, the window in configuration space. */

#include <errno.h>
#include <string.h>

#include "dm_virtio.h"
#include "dm_virtio_caps.h"

static uint64_t
dm_virtio_notify_bytes(const struct dm_virtio *v)
{
	return v->notify_multiplier == 0 ? DM_VIRTIO_NOTIFY_PAGE :
			(uint64_t)v->num_queues * v->notify_multiplier;
}

static uint8_t
dm_virtio_add_cap(struct dm_virtio *v, uint8_t cfg_type, uint32_t offset, uint32_t length,
		uint8_t cap_len)
{
	struct lm_virtio_pci_cap cap;
	uint8_t at = dm_pci_add_cap(v->pci, LM_VIRTIO_PCI_CAP_VNDR, cap_len);

	if (at == 0)
		return 0;
	memset(&cap, 0, sizeof(cap));
	cap.cap_len = cap_len;
	cap.cfg_type = cfg_type;
	cap.bar = DM_VIRTIO_BAR;
	cap.offset = offset;
	cap.length = length;
	/* Id and link are there already. */
	memcpy(&v->pci->config[at + 2], (const uint8_t *)&cap + 2, sizeof(cap) - 2);
	return at;
}

int
dm_virtio_add_caps(struct dm_virtio *v)
{
	uint8_t at;

	if (dm_virtio_add_cap(v, LM_VIRTIO_PCI_CAP_COMMON_CFG, DM_VIRTIO_COMMON_OFF,
			sizeof(struct lm_virtio_pci_common_cfg),
			sizeof(struct lm_virtio_pci_cap)) == 0 ||
			dm_virtio_add_cap(v, LM_VIRTIO_PCI_CAP_ISR_CFG, DM_VIRTIO_ISR_OFF, 1,
			sizeof(struct lm_virtio_pci_cap)) == 0 ||
			dm_virtio_add_cap(v, LM_VIRTIO_PCI_CAP_DEVICE_CFG, DM_VIRTIO_DEVICE_OFF,
			v->type->config_bytes, sizeof(struct lm_virtio_pci_cap)) == 0)
		return -ENOSPC;

	at = dm_virtio_add_cap(v, LM_VIRTIO_PCI_CAP_NOTIFY_CFG, DM_VIRTIO_NOTIFY_OFF,
			(uint32_t)dm_virtio_notify_bytes(v),
			sizeof(struct lm_virtio_pci_notify_cap));
	if (at == 0)
		return -ENOSPC;
	dm_pci_put(v->pci, at + offsetof(struct lm_virtio_pci_notify_cap, notify_off_multiplier),
			v->notify_multiplier, 4);

	at = dm_virtio_add_cap(v, LM_VIRTIO_PCI_CAP_PCI_CFG, 0, 0,
			sizeof(struct lm_virtio_pci_cfg_cap));
	if (at == 0)
		return -ENOSPC;
	v->cfg_window = at;
	dm_pci_allow(v->pci, at + offsetof(struct lm_virtio_pci_cap, bar), 0xff, 1);
	dm_pci_allow(v->pci, at + offsetof(struct lm_virtio_pci_cap, offset), UINT32_MAX, 4);
	dm_pci_allow(v->pci, at + offsetof(struct lm_virtio_pci_cap, length), UINT32_MAX, 4);
	dm_pci_allow(v->pci, at + offsetof(struct lm_virtio_pci_cfg_cap, pci_cfg_data),
			UINT32_MAX, 4);
	v->pci->window = (uint8_t)(at + offsetof(struct lm_virtio_pci_cfg_cap, pci_cfg_data));
	return 0;
}

bool
dm_virtio_window(const struct dm_virtio *v, uint64_t bar_bytes, uint64_t *offset,
		uint32_t *len_bytes)
{
	struct lm_virtio_pci_cap cap;

	memcpy(&cap, &v->pci->config[v->cfg_window], sizeof(cap));
	if (cap.bar != DM_VIRTIO_BAR || (cap.length != 1 && cap.length != 2 && cap.length != 4) ||
			cap.offset % cap.length != 0 ||
			(uint64_t)cap.offset + cap.length > bar_bytes)
		return false;
	*offset = cap.offset;
	*len_bytes = cap.length;
	return true;
}

static bool
dm_virtio_inside(struct dm_virtio *v, uint64_t offset, uint64_t len_bytes, uint64_t base,
		uint64_t size_bytes)
{
	if (offset < base || offset - base >= size_bytes)
		return false;
	if (len_bytes <= size_bytes - (offset - base))
		return true;
	dm_rule_broken(v->host->rules, DM_RULE_ACCESS_RANGE, "%llu bytes at 0x%llx",
			(unsigned long long)len_bytes, (unsigned long long)offset);
	return false;
}

int
dm_virtio_bar_read(struct dm_virtio *v, uint64_t offset, void *buf, uint32_t len_bytes)
{
	memset(buf, 0, len_bytes);
	if (dm_virtio_inside(v, offset, len_bytes, DM_VIRTIO_COMMON_OFF,
			sizeof(struct lm_virtio_pci_common_cfg))) {
		dm_virtio_common_read(v, (uint32_t)offset, buf, len_bytes);
	} else if (dm_virtio_inside(v, offset, len_bytes, DM_VIRTIO_ISR_OFF, 1)) {
		*(uint8_t *)buf = v->isr;
		v->isr = 0;
	} else if (dm_virtio_inside(v, offset, len_bytes, DM_VIRTIO_DEVICE_OFF,
			v->type->config_bytes)) {
		v->type->config_read(v->ctx, (uint32_t)(offset - DM_VIRTIO_DEVICE_OFF), buf,
				len_bytes);
	}
	return 0;
}

int
dm_virtio_bar_write(struct dm_virtio *v, uint64_t offset, const void *buf, uint32_t len_bytes)
{
	if (dm_virtio_inside(v, offset, len_bytes, DM_VIRTIO_COMMON_OFF,
			sizeof(struct lm_virtio_pci_common_cfg)))
		dm_virtio_common_write(v, (uint32_t)offset, buf, len_bytes);
	else if (dm_virtio_inside(v, offset, len_bytes, DM_VIRTIO_NOTIFY_OFF,
			dm_virtio_notify_bytes(v)))
		dm_virtio_doorbell_write(v, offset - DM_VIRTIO_NOTIFY_OFF, buf, len_bytes);
	else if (dm_virtio_inside(v, offset, len_bytes, DM_VIRTIO_DEVICE_OFF,
			v->type->config_bytes))
		dm_rule_broken(v->host->rules, DM_RULE_WRITE_READ_ONLY,
				"device configuration at 0x%llx", (unsigned long long)offset);
	return 0;
}
