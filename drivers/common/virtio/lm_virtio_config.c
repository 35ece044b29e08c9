/* SPDX-License-Identifier: BSD-3-Clause */

/* Device configuration (VIRTIO 1.3, 2.5 and 4.1.3.1). */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lm_virtio_priv.h"
#include "virtio_net_if.h"

/* A device that changes its configuration this often during one read is not sane. */
#define MAX_TRIES 64

/* 4.1.3.1: each field is accessed with its own width; this is the width at each offset. */
static const uint8_t net_widths[sizeof(struct lm_virtio_net_config)] = {
	[offsetof(struct lm_virtio_net_config, status)] = 2,
	[offsetof(struct lm_virtio_net_config, max_virtqueue_pairs)] = 2,
	[offsetof(struct lm_virtio_net_config, mtu)] = 2,
	[offsetof(struct lm_virtio_net_config, speed)] = 4,
	[offsetof(struct lm_virtio_net_config, rss_max_indirection_table_length)] = 2,
	[offsetof(struct lm_virtio_net_config, supported_hash_types)] = 4,
};

static uint32_t
width_at(const struct lm_virtio_dev *dev, uint32_t offset, uint32_t len)
{
	uint32_t width = 0;

	if (dev->device_id == LM_VIRTIO_ID_NET) {
		if (offset < sizeof(net_widths))
			width = net_widths[offset];
	} else if ((len == 2 || len == 4) && offset % len == 0) {
		/* The caller reads one field. */
		width = len;
	}
	return width != 0 && width <= len ? width : 1;
}

static int
range_check(const struct lm_virtio_dev *dev, uint32_t offset, uint32_t len)
{
	if (offset > dev->config.length || len > dev->config.length - offset)
		return lm_pci_fail(dev->pci, -EINVAL, "%u bytes at %u of a device configuration "
				"of %" PRIu64 " bytes", len, offset, dev->config.length);
	return 0;
}

static int
read_once(struct lm_virtio_dev *dev, uint32_t offset, uint8_t *buf, uint32_t len)
{
	uint32_t width;
	int ret;

	while (len > 0) {
		width = width_at(dev, offset, len);
		ret = lm_pci_bar_read(dev->pci, dev->config.bar, dev->config.offset + offset, buf,
				width);
		if (ret != 0)
			return ret;
		offset += width;
		buf += width;
		len -= width;
	}
	return 0;
}

int
lm_virtio_config_get(struct lm_virtio_dev *dev, uint32_t offset, void *buf, uint32_t len)
{
	uint8_t before, after;
	unsigned int left;
	int ret;

	ret = range_check(dev, offset, len);
	if (ret == 0)
		ret = lm_virtio_reg_read8(dev, LM_VIRTIO_PCI_COMMON_CFGGENERATION, &before);
	for (left = MAX_TRIES; ret == 0 && left > 0; left--) {
		ret = read_once(dev, offset, buf, len);
		if (ret == 0)
			ret = lm_virtio_reg_read8(dev, LM_VIRTIO_PCI_COMMON_CFGGENERATION, &after);
		if (ret == 0 && before == after)
			return 0;
		before = after;
	}
	if (ret != 0)
		return ret;
	return lm_pci_fail(dev->pci, -EPROTO, "device configuration changed during each of %d "
			"reads", MAX_TRIES);
}

int
lm_virtio_config_set(struct lm_virtio_dev *dev, uint32_t offset, const void *buf, uint32_t len)
{
	const uint8_t *bytes = buf;
	uint32_t width;
	int ret;

	ret = range_check(dev, offset, len);
	while (ret == 0 && len > 0) {
		width = width_at(dev, offset, len);
		ret = lm_pci_bar_write(dev->pci, dev->config.bar, dev->config.offset + offset,
				bytes, width);
		offset += width;
		bytes += width;
		len -= width;
	}
	return ret;
}
