/* SPDX-License-Identifier: BSD-3-Clause */

/* Queues: set-up, ring reset, vectors, notification (VIRTIO 1.3, 4.1.4.3, 4.1.4.4, 4.1.5). */

#include <errno.h>
#include <inttypes.h>

#include "lm_virtio_priv.h"
#include "virtio_ring_if.h"

static int
queue_select(struct lm_virtio_dev *dev, uint16_t queue)
{
	if (queue >= dev->num_queues)
		return lm_pci_fail(dev->pci, -EINVAL, "no queue %u, the function has %u", queue,
				dev->num_queues);
	return lm_virtio_reg_write16(dev, LM_VIRTIO_PCI_COMMON_Q_SELECT, queue);
}

/* A split ring is a power of two: what the device says beyond it stays unused. */
static uint16_t
size_limit(const struct lm_virtio_dev *dev, uint16_t size)
{
	uint32_t fit = LM_VRING_MAX_SIZE;

	if (lm_virtio_has(dev, LM_VIRTIO_F_RING_PACKED))
		return size < fit ? size : (uint16_t)fit;
	while (fit > size)
		fit /= 2;
	return (uint16_t)fit;
}

int
lm_virtio_queue_max(struct lm_virtio_dev *dev, uint16_t queue, uint16_t *size)
{
	int ret;

	ret = queue_select(dev, queue);
	if (ret == 0)
		ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_SIZE, size);
	if (ret != 0)
		return ret;
	if (*size == 0)
		return lm_pci_fail(dev->pci, -ENOENT, "queue %u is absent", queue);
	*size = size_limit(dev, *size);
	return 0;
}

static int
conf_check(struct lm_virtio_dev *dev, uint16_t queue, const struct lm_virtio_queue_conf *conf)
{
	bool packed = lm_virtio_has(dev, LM_VIRTIO_F_RING_PACKED);
	uint64_t driver_align = packed ? LM_VRING_PACKED_EVENT_ALIGN : LM_VRING_AVAIL_ALIGN;

	if (conf->size == 0 || conf->size != size_limit(dev, conf->size))
		return lm_pci_fail(dev->pci, -EINVAL, "queue %u: size %u", queue, conf->size);
	if (conf->desc_iova % LM_VRING_DESC_ALIGN != 0 || conf->driver_iova % driver_align != 0 ||
			conf->device_iova % LM_VRING_USED_ALIGN != 0)
		return lm_pci_fail(dev->pci, -EINVAL, "queue %u: ring parts at 0x%" PRIx64
				", 0x%" PRIx64 ", 0x%" PRIx64 " are not aligned", queue,
				conf->desc_iova, conf->driver_iova, conf->device_iova);
	return 0;
}

static int
vector_write(struct lm_virtio_dev *dev, uint32_t reg, uint16_t vector, const char *what,
		unsigned int index)
{
	uint16_t got;
	int ret;

	ret = lm_virtio_reg_write16(dev, reg, vector);
	if (ret == 0)
		ret = lm_virtio_reg_read16(dev, reg, &got);
	if (ret != 0)
		return ret;
	/* 4.1.5.1.2.1: the device answers "none" to a vector that it cannot serve. */
	if (got != vector)
		return lm_pci_fail(dev->pci, -ENXIO, "%s %u: vector %u refused, it reads 0x%04x",
				what, index, vector, got);
	return 0;
}

int
lm_virtio_config_vector(struct lm_virtio_dev *dev, uint16_t vector)
{
	return vector_write(dev, LM_VIRTIO_PCI_COMMON_MSIX, vector, "configuration", 0);
}

/* Where the selected queue's doorbell is, as an offset in the notification window. */
static int
notify_offset(struct lm_virtio_dev *dev, uint16_t queue, uint64_t *offset)
{
	uint16_t off;
	int ret;

	ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_NOFF, &off);
	if (ret != 0)
		return ret;
	*offset = (uint64_t)off * dev->notify_multiplier;
	if (*offset > dev->notify.length - sizeof(lm_le16_t))
		return lm_pci_fail(dev->pci, -EPROTO, "queue %u: doorbell at 0x%" PRIx64
				" is outside the notification area of 0x%" PRIx64 " bytes", queue,
				*offset, dev->notify.length);
	return 0;
}

static int
doorbell_setup(struct lm_virtio_dev *dev, uint16_t queue)
{
	struct lm_virtio_queue *q = &dev->queues[queue];
	struct lm_pci_doorbell doorbell;
	uint16_t value = queue;
	uint64_t offset;
	int ret;

	ret = notify_offset(dev, queue, &offset);
	if (ret == 0 && lm_virtio_has(dev, LM_VIRTIO_F_NOTIF_CONFIG_DATA))
		ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_NDATA, &value);
	if (ret == 0)
		ret = lm_pci_doorbell_init(dev->pci, dev->notify.bar, dev->notify.offset + offset,
				sizeof(lm_le16_t), &doorbell);
	if (ret != 0)
		return ret;
	if (atomic_load(&q->can_notify) && q->notify_value == value &&
			q->doorbell.offset == doorbell.offset)
		return 0;
	atomic_store(&q->can_notify, false);
	q->doorbell = doorbell;
	q->notify_value = value;
	atomic_store(&q->can_notify, true);
	return 0;
}

static int
queue_program(struct lm_virtio_dev *dev, uint16_t queue, const struct lm_virtio_queue_conf *conf)
{
	uint16_t got;
	int ret;

	ret = lm_virtio_reg_write16(dev, LM_VIRTIO_PCI_COMMON_Q_SIZE, conf->size);
	if (ret == 0)
		ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_SIZE, &got);
	if (ret == 0 && got != conf->size)
		return lm_pci_fail(dev->pci, -EPROTO, "queue %u: size %u refused, it reads %u",
				queue, conf->size, got);
	if (ret == 0)
		ret = lm_virtio_reg_write64(dev, LM_VIRTIO_PCI_COMMON_Q_DESCLO, conf->desc_iova);
	if (ret == 0)
		ret = lm_virtio_reg_write64(dev, LM_VIRTIO_PCI_COMMON_Q_DRIVERLO,
				conf->driver_iova);
	if (ret == 0)
		ret = lm_virtio_reg_write64(dev, LM_VIRTIO_PCI_COMMON_Q_DEVICELO,
				conf->device_iova);
	if (ret == 0)
		ret = vector_write(dev, LM_VIRTIO_PCI_COMMON_Q_MSIX, conf->vector, "queue", queue);
	if (ret == 0)
		ret = doorbell_setup(dev, queue);
	if (ret == 0)
		ret = lm_virtio_reg_write16(dev, LM_VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	if (ret != 0 || (dev->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0)
		return ret;
	/* The queue runs from now on: a kick may take another way and be faster than the writes. */
	ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_ENABLE, &got);
	if (ret == 0 && got != 1)
		return lm_pci_fail(dev->pci, -EPROTO, "queue %u: enable reads %u", queue, got);
	return ret;
}

int
lm_virtio_queue_setup(struct lm_virtio_dev *dev, uint16_t queue,
		const struct lm_virtio_queue_conf *conf)
{
	uint16_t max, enabled;
	int ret;

	ret = conf_check(dev, queue, conf);
	if (ret == 0)
		ret = queue_select(dev, queue);
	if (ret == 0)
		ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_ENABLE, &enabled);
	if (ret == 0 && enabled != 0)
		return lm_pci_fail(dev->pci, -EBUSY, "queue %u is enabled already", queue);
	if (ret == 0)
		ret = lm_virtio_queue_max(dev, queue, &max);
	if (ret != 0)
		return ret;
	if (conf->size > max)
		return lm_pci_fail(dev->pci, -EINVAL, "queue %u: size %u, the device has %u", queue,
				conf->size, max);
	return queue_program(dev, queue, conf);
}

int
lm_virtio_queue_reset(struct lm_virtio_dev *dev, uint16_t queue, uint64_t timeout_us)
{
	struct lm_virtio_wait wait;
	uint16_t resetting, enabled;
	int ret;

	if (!lm_virtio_has(dev, LM_VIRTIO_F_RING_RESET))
		return lm_pci_fail(dev->pci, -ENOTSUP, "queue %u: RING_RESET is not negotiated",
				queue);
	ret = queue_select(dev, queue);
	if (ret == 0)
		ret = lm_virtio_reg_write16(dev, LM_VIRTIO_PCI_COMMON_Q_RESET, 1);
	if (ret != 0)
		return ret;
	/* 2.6.1: done when both read 0. */
	lm_virtio_wait_start(&wait, timeout_us);
	do {
		ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_RESET, &resetting);
		if (ret == 0)
			ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_Q_ENABLE, &enabled);
		if (ret != 0 || (resetting == 0 && enabled == 0))
			return ret;
	} while (lm_virtio_wait_turn(&wait));
	return lm_pci_fail(dev->pci, -ETIMEDOUT, "ring reset of queue %u: reset %u, enable %u "
			"after %" PRIu64 " us", queue, resetting, enabled, timeout_us);
}

void
lm_virtio_notify(struct lm_virtio_dev *dev, uint16_t queue)
{
	const struct lm_virtio_queue *q = &dev->queues[queue];

	if (atomic_load_explicit(&q->can_notify, memory_order_acquire))
		lm_pci_doorbell_ring(&q->doorbell, q->notify_value);
}

int
lm_virtio_notify_area(struct lm_virtio_dev *dev, uint16_t queue, unsigned int *bar,
		uint64_t *offset, uint64_t *size)
{
	uint64_t at;
	int ret;

	ret = queue_select(dev, queue);
	if (ret == 0)
		ret = notify_offset(dev, queue, &at);
	if (ret != 0)
		return ret;
	*bar = dev->notify.bar;
	*offset = dev->notify.offset + at;
	*size = dev->notify_multiplier != 0 ? dev->notify_multiplier : sizeof(lm_le16_t);
	if (*size > dev->notify.length - at)
		*size = dev->notify.length - at;
	return 0;
}
