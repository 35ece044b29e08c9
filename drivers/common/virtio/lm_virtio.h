/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VIRTIO_H
#define LM_VIRTIO_H

/**
 * @file
 * Modern virtio-pci transport over lm_pci: registers, queues, notification, control queue.
 *
 * Source: Virtual I/O Device (VIRTIO) 1.3, sections 2, 4.1 and 5.1. Register layouts are in
 * virtio_pci_if.h, ring layouts in virtio_ring_if.h, network formats in virtio_net_if.h.
 * One thread at a time per device, except lm_virtio_notify(), which any thread may call.
 * All calls return 0 or -errno; errors of the function below (-ENOTCONN, -ETIMEDOUT) pass through,
 * and lm_pci_strerror() has the words. The device is not trusted: what it presents is checked.
 *
 * Order (3.1.1): lm_virtio_reset(), lm_virtio_negotiate(), lm_virtio_queue_setup() and
 * lm_virtio_cvq_create() or _setup(), lm_virtio_driver_ok().
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_pci.h"

struct lm_virtio_dev;

/**
 * Reads capabilities, checks bounds; takes no ownership of pci. Switches memory decoding on.
 * @return -ENODEV: not virtio, or no usable modern interface; -EPROTO: no virtqueue
 */
int lm_virtio_open(struct lm_pci *pci, struct lm_virtio_dev **dev);
void lm_virtio_close(struct lm_virtio_dev *dev);

uint16_t lm_virtio_device_id(const struct lm_virtio_dev *dev); /* 1 net, 2 block */
uint16_t lm_virtio_num_queues(const struct lm_virtio_dev *dev);
uint64_t lm_virtio_device_features(const struct lm_virtio_dev *dev); /* read once at open */

/** Write 0 and wait until it reads 0, else -ETIMEDOUT. Forgets features and status. */
int lm_virtio_reset(struct lm_virtio_dev *dev, uint64_t timeout_us);
/**
 * Bus mastering, ACKNOWLEDGE, DRIVER, features, FEATURES_OK and its read-back. -ENOTSUP when
 * refused, when not offered, without VERSION_1, or with NOTIFICATION_DATA (not driven).
 */
int lm_virtio_negotiate(struct lm_virtio_dev *dev, uint64_t features);
/** -EINVAL before a successful lm_virtio_negotiate(); -EIO: the device asks for a reset at once. */
int lm_virtio_driver_ok(struct lm_virtio_dev *dev);
int lm_virtio_status(struct lm_virtio_dev *dev, uint8_t *status);
/**
 * SUSPEND (feature bit 43, status bit 0x10, after 1.3): wait until the device takes no more buffers
 * and has used all that it took. Queues keep their place; until lm_virtio_resume() nothing of them
 * may be touched, and no doorbell rung.
 * @return 0; -ENOTSUP: not negotiated; -EINVAL: not running; -ETIMEDOUT: it is still running, and
 *   may suspend later
 */
int lm_virtio_suspend(struct lm_virtio_dev *dev, uint64_t timeout_us);
/**
 * Go on where lm_virtio_suspend() stopped.
 * @return 0; -EINVAL: not suspended; -EIO: the device asks for a reset; -ETIMEDOUT
 */
int lm_virtio_resume(struct lm_virtio_dev *dev, uint64_t timeout_us);

struct lm_virtio_queue_conf {
	uint16_t size;
	uint16_t vector; /* 0xffff: none */
	uint64_t desc_iova;
	uint64_t driver_iova; /* available ring, packed: driver event suppression */
	uint64_t device_iova; /* used ring, packed: device event suppression */
};
/** Largest size to use; for split rings rounded down to a power of two. -ENOENT: no such queue. */
int lm_virtio_queue_max(struct lm_virtio_dev *dev, uint16_t queue, uint16_t *size);
/**
 * Program and enable. -EINVAL: size or alignment; -EBUSY: enabled already; -ENXIO: the vector is
 * refused; -EPROTO: size not accepted, or a doorbell outside the notification area.
 */
int lm_virtio_queue_setup(struct lm_virtio_dev *dev, uint16_t queue,
		const struct lm_virtio_queue_conf *conf);
/**
 * RING_RESET (feature bit 40): wait until the device lets go of the queue; then it may be set up
 * again, under DRIVER_OK. -ENOTSUP: not negotiated; -ETIMEDOUT.
 */
int lm_virtio_queue_reset(struct lm_virtio_dev *dev, uint16_t queue, uint64_t timeout_us);
/** 0xffff: none. -ENXIO: refused. */
int lm_virtio_config_vector(struct lm_virtio_dev *dev, uint16_t vector);
/** Does nothing before the queue's first set-up. */
void lm_virtio_notify(struct lm_virtio_dev *dev, uint16_t queue);
/** BAR, offset and length of a queue's own notification area, for host notifiers. */
int lm_virtio_notify_area(struct lm_virtio_dev *dev, uint16_t queue, unsigned int *bar,
		uint64_t *offset, uint64_t *size_bytes);

/**
 * Consistent read under config_generation, each field of a known type with its own width.
 * -EINVAL: beyond the device's configuration; -EPROTO: it never stops changing.
 */
int lm_virtio_config_get(struct lm_virtio_dev *dev, uint32_t offset, void *buf, uint32_t len_bytes);
int lm_virtio_config_set(struct lm_virtio_dev *dev, uint32_t offset, const void *buf,
		uint32_t len_bytes);

/**
 * The driver's own control queue, in memory of its own. Set up between lm_virtio_negotiate() and
 * lm_virtio_driver_ok(); commands need DRIVER_OK.
 */
struct lm_virtio_cvq;
/** -ENOTSUP: fewer than four entries. */
int lm_virtio_cvq_create(struct lm_virtio_dev *dev, uint16_t queue, struct lm_virtio_cvq **cvq);
/** After a device reset only: until then the memory is the device's. NULL is fine. */
void lm_virtio_cvq_destroy(struct lm_virtio_cvq *cvq);
/** Program the queue again after a device reset. */
int lm_virtio_cvq_setup(struct lm_virtio_cvq *cvq);
/**
 * @return 0, -EIO when the device answers ERR, -ETIMEDOUT, -EPROTO on nonsense; after the last two
 *   -EINVAL until the device is reset and lm_virtio_cvq_setup() called. -EMSGSIZE: over 4096 bytes.
 */
int lm_virtio_cvq_cmd(struct lm_virtio_cvq *cvq, uint8_t class, uint8_t cmd, const void *data,
		uint32_t len_bytes, uint64_t timeout_us);

#endif /* LM_VIRTIO_H */
