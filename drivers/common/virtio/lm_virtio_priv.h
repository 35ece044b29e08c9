/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VIRTIO_PRIV_H
#define LM_VIRTIO_PRIV_H

/* Inside of drivers/common/virtio. */

#include <stdatomic.h>

#include "lm_virtio.h"
#include "virtio_pci_if.h"

/* Part of a BAR that a capability describes, bounds checked; length 0: none. */
struct lm_virtio_window {
	unsigned int bar;
	uint64_t offset;
	uint64_t length;
};

struct lm_virtio_queue {
	struct lm_pci_doorbell doorbell;
	uint32_t notify_value;
	atomic_bool can_notify;
};

struct lm_virtio_dev {
	struct lm_pci *pci;
	struct lm_virtio_window common;
	struct lm_virtio_window notify;
	struct lm_virtio_window config; /* the device type's own */
	uint32_t notify_multiplier;
	uint16_t device_id;
	uint16_t num_queues;
	uint64_t device_features;
	uint64_t features; /* negotiated; 0 after a reset */
	uint8_t status;    /* last written */
	struct lm_virtio_queue *queues;
};

/* Registers of the common configuration, each with its own width. */
int lm_virtio_reg_read8(struct lm_virtio_dev *dev, uint32_t reg, uint8_t *value);
int lm_virtio_reg_read16(struct lm_virtio_dev *dev, uint32_t reg, uint16_t *value);
int lm_virtio_reg_read32(struct lm_virtio_dev *dev, uint32_t reg, uint32_t *value);
int lm_virtio_reg_write8(struct lm_virtio_dev *dev, uint32_t reg, uint8_t value);
int lm_virtio_reg_write16(struct lm_virtio_dev *dev, uint32_t reg, uint16_t value);
int lm_virtio_reg_write32(struct lm_virtio_dev *dev, uint32_t reg, uint32_t value);
int lm_virtio_reg_write64(struct lm_virtio_dev *dev, uint32_t reg, uint64_t value);

/** Find the windows in the capability list. */
int lm_virtio_caps_read(struct lm_virtio_dev *dev);

static inline bool
lm_virtio_has(const struct lm_virtio_dev *dev, unsigned int feature)
{
	return (dev->features & LM_VIRTIO_BIT(feature)) != 0;
}

/* A wait with a deadline: yields first, then sleeps ever longer, up to 1 ms. */
struct lm_virtio_wait {
	uint64_t end_us;
	uint32_t turns;
};
void lm_virtio_wait_start(struct lm_virtio_wait *wait, uint64_t timeout_us);
/** @return false when the deadline has passed */
bool lm_virtio_wait_turn(struct lm_virtio_wait *wait);

#endif /* LM_VIRTIO_PRIV_H */
