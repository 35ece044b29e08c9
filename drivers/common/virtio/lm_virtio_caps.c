/* SPDX-License-Identifier: BSD-3-Clause */

/* Virtio capabilities (VIRTIO 1.3, 4.1.4). They come from the device: nothing is believed. */

#include <errno.h>
#include <stddef.h>

#include "lm_virtio_priv.h"

/* Configuration space below 256 holds at most this many capabilities. */
#define MAX_CAPS 48
#define CAP_NEXT 1

/* What makes an instance of a type usable. */
struct cap_rule {
	uint8_t cfg_type;
	uint8_t cap_bytes;
	uint8_t align;
	uint8_t length; /* least */
	size_t window;  /* in struct lm_virtio_dev */
};

static const struct cap_rule cap_rules[] = {
	{ LM_VIRTIO_PCI_CAP_COMMON_CFG, sizeof(struct lm_virtio_pci_cap), 4,
		LM_VIRTIO_PCI_COMMON_MIN_BYTES, offsetof(struct lm_virtio_dev, common) },
	{ LM_VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct lm_virtio_pci_notify_cap), 2,
		sizeof(lm_le16_t), offsetof(struct lm_virtio_dev, notify) },
	{ LM_VIRTIO_PCI_CAP_DEVICE_CFG, sizeof(struct lm_virtio_pci_cap), 4,
		1, offsetof(struct lm_virtio_dev, config) },
};

static bool
usable(const struct lm_virtio_dev *dev, const struct cap_rule *rule,
		const struct lm_virtio_pci_cap *cap)
{
	uint64_t size;

	if (cap->cap_len < rule->cap_bytes || cap->bar >= LM_PCI_NUM_BARS)
		return false;
	size = lm_pci_bar_size(dev->pci, cap->bar);
	return cap->offset % rule->align == 0 && cap->length >= rule->length &&
			cap->offset <= size && cap->length <= size - cap->offset;
}

static int
cap_take(struct lm_virtio_dev *dev, uint8_t pos, const struct lm_virtio_pci_cap *cap)
{
	struct lm_virtio_window *window;
	const struct cap_rule *rule;
	unsigned int i;

	for (i = 0; i < sizeof(cap_rules) / sizeof(cap_rules[0]); i++) {
		rule = &cap_rules[i];
		if (rule->cfg_type != cap->cfg_type)
			continue;
		/* The first usable instance counts (4.1.4.1). */
		window = (struct lm_virtio_window *)((char *)dev + rule->window);
		if (window->length != 0 || !usable(dev, rule, cap))
			return 0;
		*window = (struct lm_virtio_window){
			.bar = cap->bar, .offset = cap->offset, .length = cap->length,
		};
		if (cap->cfg_type == LM_VIRTIO_PCI_CAP_NOTIFY_CFG)
			return lm_pci_config_read(dev->pci,
					pos + offsetof(struct lm_virtio_pci_notify_cap,
					notify_off_multiplier), &dev->notify_multiplier,
					sizeof(dev->notify_multiplier));
		return 0;
	}
	return 0;
}

int
lm_virtio_caps_read(struct lm_virtio_dev *dev)
{
	struct lm_virtio_pci_cap cap;
	unsigned int left = MAX_CAPS;
	uint8_t pos;
	int ret;

	pos = lm_pci_find_cap(dev->pci, LM_VIRTIO_PCI_CAP_VNDR, 0);
	while (pos != 0 && left-- > 0) {
		/* One that starts too close to the end of the list's space is not one of ours. */
		if (pos + sizeof(struct lm_virtio_pci_notify_cap) > 256)
			break;
		ret = lm_pci_config_read(dev->pci, pos, &cap, sizeof(cap));
		if (ret == 0)
			ret = cap_take(dev, pos, &cap);
		if (ret != 0)
			return ret;
		if (cap.cap_next == 0)
			break;
		pos = lm_pci_find_cap(dev->pci, LM_VIRTIO_PCI_CAP_VNDR, cap.cap_next);
	}
	if (dev->common.length == 0 || dev->notify.length == 0)
		return lm_pci_fail(dev->pci, -ENODEV, "no usable virtio %s capability: "
				"not a modern virtio function",
				dev->common.length == 0 ? "common configuration" : "notification");
	return 0;
}
