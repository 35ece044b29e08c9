/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "dm_virtio.h"

#define DM_VIRTIO_STATUS_DRIVER_BITS \
	(LM_VIRTIO_STATUS_ACKNOWLEDGE | LM_VIRTIO_STATUS_DRIVER | LM_VIRTIO_STATUS_DRIVER_OK | \
	LM_VIRTIO_STATUS_FEATURES_OK | LM_VIRTIO_STATUS_FAILED)

/* Longest sleep when a doorbell may be a store that wakes nobody, and when it surely wakes us. The
 * second is bounded too: a driver may change its way of ringing. */
#define DM_VIRTIO_NAP_US 1000
#define DM_VIRTIO_SLEEP_US 10000
#define DM_VIRTIO_NO_QUEUE_SLEEP_US 100000

static void
dm_virtio_irq(struct dm_virtio *v, uint16_t vector, uint8_t isr)
{
	/* 4.1.4.5.1: a change of configuration shows in any case, a used buffer without MSI-X. */
	if (vector == LM_VIRTIO_MSI_NO_VECTOR || isr == LM_VIRTIO_PCI_ISR_CONFIG)
		v->isr |= isr;
	if (vector == LM_VIRTIO_MSI_NO_VECTOR)
		return;
	if (dm_fault_irq(v->host->faults))
		return;
	v->host->irq(v->host->ctx, vector);
}

static void
dm_virtio_queue_clear(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	dm_virtio_doorbell_drain(v, (uint16_t)(q - v->queues));
	memset(q, 0, sizeof(*q));
	q->size = v->queue_size_max;
	q->vector = LM_VIRTIO_MSI_NO_VECTOR;
}

void
dm_virtio_reset(struct dm_virtio *v)
{
	uint16_t i;

	for (i = 0; i < v->num_queues; i++)
		dm_virtio_queue_clear(v, &v->queues[i]);
	v->accepted = 0;
	v->device_feature_select = 0;
	v->driver_feature_select = 0;
	v->config_vector = LM_VIRTIO_MSI_NO_VECTOR;
	v->queue_select = 0;
	v->status = 0;
	v->isr = 0;
	v->resetting = false;
	v->suspending = false;
	v->type->reset(v->ctx);
}

/* The driver stops a queue, or all: memory is still ours until it is told so. */
static void
dm_virtio_queue_stop(struct dm_virtio *v, uint16_t index)
{
	if (dm_virtio_queue_live(v, index))
		v->type->queue_stopping(v->ctx, index);
	dm_virtio_queue_clear(v, &v->queues[index]);
}

static void
dm_virtio_device_stop(struct dm_virtio *v)
{
	uint16_t i;

	for (i = 0; i < v->num_queues; i++)
		dm_virtio_queue_stop(v, i);
	dm_virtio_reset(v);
}

int
dm_virtio_init(struct dm_virtio *v, const struct dm_virtio_conf *conf, struct dm_device *device)
{
	memset(v, 0, sizeof(*v));
	v->host = conf->host;
	v->pci = conf->pci;
	v->type = conf->type;
	v->ctx = conf->ctx;
	v->offered = conf->features;
	v->num_queues = conf->num_queues;
	v->queue_size_max = conf->queue_size_max;
	v->nb_vectors = conf->num_queues + 1;
	v->notify_multiplier = conf->notify_shared ? 0 : DM_VIRTIO_NOTIFY_PAGE;
	v->notify_guest = conf->notify_guest;
	device->nb_vectors = v->nb_vectors;
	device->msix_bar = DM_VIRTIO_MSIX_BAR;
	return dm_virtio_doorbell_init(v, device);
}

void
dm_virtio_fini(struct dm_virtio *v)
{
	dm_virtio_doorbell_fini(v);
}

/* FEATURES_OK stays clear when the set makes no sense to us (3.1.1, 2.2.2). */
static bool
dm_virtio_features_ok(struct dm_virtio *v)
{
	const struct dm_virtio_feature_need *n;
	uint32_t i;

	if ((v->accepted & ~v->offered) != 0) {
		dm_rule_broken(v->host->rules, DM_RULE_FEATURE_NOT_OFFERED, "0x%llx",
				(unsigned long long)(v->accepted & ~v->offered));
		return false;
	}
	if (!dm_virtio_has(v, LM_VIRTIO_F_VERSION_1)) {
		dm_rule_broken(v->host->rules, DM_RULE_FEATURE_VERSION, "accepted 0x%llx",
				(unsigned long long)v->accepted);
		return false;
	}
	for (i = 0; i < v->type->nb_needs; i++) {
		n = &v->type->needs[i];
		if (dm_virtio_has(v, n->bit) && (v->accepted & n->any) == 0) {
			dm_rule_broken(v->host->rules, DM_RULE_FEATURE_NEEDS,
					"bit %u without any of 0x%llx", n->bit,
					(unsigned long long)n->any);
			return false;
		}
	}
	return true;
}

/* A device that started before its driver said so still has its rings at index 0. */
static void
dm_virtio_queue_start(struct dm_virtio *v, uint16_t index)
{
	struct dm_virtio_queue *q = &v->queues[index];
	const struct dm_vring_conf conf = {
		.desc_iova = q->desc_iova,
		.driver_iova = q->driver_iova,
		.device_iova = q->device_iova,
		.size = q->size,
		.index = index,
		.packed = dm_virtio_has(v, LM_VIRTIO_F_RING_PACKED),
		.event_idx = dm_virtio_has(v, LM_VIRTIO_F_EVENT_IDX),
		.indirect = dm_virtio_has(v, LM_VIRTIO_F_INDIRECT_DESC),
		.in_order = dm_virtio_has(v, LM_VIRTIO_F_IN_ORDER),
	};

	dm_vring_start(&q->ring, v->host, &conf);
}

static void
dm_virtio_device_reset_start(struct dm_virtio *v)
{
	uint64_t slow_us = v->host->faults->slow_reset_us;

	if (v->host->faults->deaf_reset != 0) {
		v->status = 0;
		return;
	}
	if (slow_us == 0 || v->status == 0) {
		dm_virtio_device_stop(v);
		return;
	}
	v->resetting = true;
	v->reset_end_ns = v->host->now_ns(v->host->ctx) + slow_us * 1000;
}

static void
dm_virtio_status_check(struct dm_virtio *v, uint8_t status)
{
	uint8_t added = status & ~v->status;

	if ((added & LM_VIRTIO_STATUS_DRIVER) != 0 && (status & LM_VIRTIO_STATUS_ACKNOWLEDGE) == 0)
		dm_rule_broken(v->host->rules, DM_RULE_STATUS_ORDER, "DRIVER in 0x%02x", status);
	if ((added & LM_VIRTIO_STATUS_FEATURES_OK) != 0 && (status & LM_VIRTIO_STATUS_DRIVER) == 0)
		dm_rule_broken(v->host->rules, DM_RULE_STATUS_ORDER, "FEATURES_OK in 0x%02x",
				status);
	if ((added & LM_VIRTIO_STATUS_DRIVER_OK) != 0 &&
			(v->status & LM_VIRTIO_STATUS_FEATURES_OK) == 0)
		dm_rule_broken(v->host->rules, DM_RULE_STATUS_ORDER, "DRIVER_OK in 0x%02x",
				status);
}

/* What a device out of order keeps, it keeps for this long. */
#define DM_VIRTIO_KEEP_NS 5000000u

static void
dm_virtio_use_kept(struct dm_virtio *v)
{
	uint16_t i;

	for (i = 0; i < v->num_queues; i++) {
		if (!dm_virtio_queue_live(v, i) || v->queues[i].ring.nb_kept == 0)
			continue;
		dm_vring_push_kept(&v->queues[i].ring);
		dm_virtio_queue_publish(v, i);
	}
}

/*
 * SUSPEND, after 1.3: all that was taken is used and shown when the driver sees it. Queues are
 * worked on between its accesses, so only what is kept is left to do. The rings stay where they
 * are.
 */
static void
dm_virtio_suspend(struct dm_virtio *v)
{
	uint16_t i;

	for (i = 0; i < v->num_queues; i++)
		dm_virtio_doorbell_drain(v, i);
	dm_virtio_use_kept(v);
	v->suspending = false;
	v->status |= LM_VIRTIO_STATUS_SUSPEND;
	v->status &= (uint8_t)~LM_VIRTIO_STATUS_DRIVER_OK;
}

/* @return true when the write was about suspension, and is done with. */
static bool
dm_virtio_status_suspend(struct dm_virtio *v, uint8_t status)
{
	uint64_t slow_us = v->host->faults->slow_suspend_us;

	if ((v->status & LM_VIRTIO_STATUS_SUSPEND) != 0) {
		if ((status & LM_VIRTIO_STATUS_DRIVER_OK) == 0)
			return false;
		v->status |= LM_VIRTIO_STATUS_DRIVER_OK;
		v->status &= (uint8_t)~LM_VIRTIO_STATUS_SUSPEND;
		return true;
	}
	if ((status & LM_VIRTIO_STATUS_SUSPEND) == 0)
		return false;
	if (!dm_virtio_has(v, LM_VIRTIO_F_SUSPEND) ||
			(v->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0) {
		dm_rule_broken(v->host->rules, DM_RULE_STATUS_SUSPEND, "0x%02x after 0x%02x",
				status, v->status);
		return true;
	}
	if (slow_us == 0) {
		dm_virtio_suspend(v);
	} else if (!v->suspending) {
		v->suspending = true;
		v->suspend_end_ns = v->host->now_ns(v->host->ctx) + slow_us * 1000;
	}
	return true;
}

void
dm_virtio_status_write(struct dm_virtio *v, uint8_t status)
{
	if (status == 0) {
		dm_virtio_device_reset_start(v);
		return;
	}
	if (dm_virtio_status_suspend(v, status))
		return;
	if ((status & ~(DM_VIRTIO_STATUS_DRIVER_BITS | LM_VIRTIO_STATUS_NEEDS_RESET |
			LM_VIRTIO_STATUS_SUSPEND)) != 0)
		dm_rule_broken(v->host->rules, DM_RULE_STATUS_UNKNOWN, "0x%02x", status);
	if ((v->status & DM_VIRTIO_STATUS_DRIVER_BITS & ~status) != 0)
		dm_rule_broken(v->host->rules, DM_RULE_STATUS_CLEARED, "0x%02x after 0x%02x",
				status, v->status);

	dm_trace_bits(v->host->trace, "status", status);
	dm_virtio_status_check(v, status);
	status = (status & DM_VIRTIO_STATUS_DRIVER_BITS) | v->status;
	if ((status & ~v->status & LM_VIRTIO_STATUS_FEATURES_OK) != 0 && !dm_virtio_features_ok(v))
		status &= ~LM_VIRTIO_STATUS_FEATURES_OK;
	if ((status & LM_VIRTIO_STATUS_FEATURES_OK) == 0)
		status &= ~LM_VIRTIO_STATUS_DRIVER_OK;
	if ((status & LM_VIRTIO_STATUS_DRIVER_OK) != 0)
		dm_trace_bits(v->host->trace, "feature", v->accepted);
	v->status = status;
}

bool
dm_virtio_queue_size_ok(const struct dm_virtio *v, uint32_t size)
{
	return size != 0 && size <= v->queue_size_max && (lm_vring_split_size_ok(size) ||
			dm_virtio_has(v, LM_VIRTIO_F_RING_PACKED));
}

static bool
dm_virtio_queue_check(struct dm_virtio *v, uint16_t index)
{
	const struct dm_virtio_queue *q = &v->queues[index];
	uint64_t driver_align = dm_virtio_has(v, LM_VIRTIO_F_RING_PACKED) ?
			LM_VRING_PACKED_EVENT_ALIGN : LM_VRING_AVAIL_ALIGN;

	if ((v->status & LM_VIRTIO_STATUS_FEATURES_OK) == 0) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_EARLY, "queue %u", index);
		return false;
	}
	if ((v->status & LM_VIRTIO_STATUS_DRIVER_OK) != 0 &&
			!dm_virtio_has(v, LM_VIRTIO_F_RING_RESET))
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_LATE, "queue %u", index);
	if (!dm_virtio_queue_size_ok(v, q->size)) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_SIZE, "queue %u, size %u", index,
				q->size);
		return false;
	}
	if (q->desc_iova % LM_VRING_DESC_ALIGN != 0 ||
			q->driver_iova % driver_align != 0 ||
			q->device_iova % LM_VRING_USED_ALIGN != 0) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_ALIGN, "queue %u", index);
		return false;
	}
	return true;
}

void
dm_virtio_queue_enable(struct dm_virtio *v, uint16_t index)
{
	struct dm_virtio_queue *q = &v->queues[index];

	if (q->enabled || !dm_virtio_queue_check(v, index))
		return;
	q->enabled = true;
	q->doorbell = DM_VIRTIO_DOORBELL_UNKNOWN;
	dm_virtio_queue_start(v, index);
}

void
dm_virtio_queue_reset_start(struct dm_virtio *v, uint16_t index)
{
	struct dm_virtio_queue *q = &v->queues[index];
	const struct dm_faults *f = v->host->faults;

	if (!dm_virtio_has(v, LM_VIRTIO_F_RING_RESET) || !q->enabled) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_RESET, "queue %u", index);
		return;
	}
	if (f->stuck_ring_reset != 0 || f->slow_ring_reset_us != 0) {
		q->resetting = true;
		q->reset_end_ns = f->stuck_ring_reset != 0 ? UINT64_MAX :
				v->host->now_ns(v->host->ctx) + f->slow_ring_reset_us * 1000;
		return;
	}
	dm_virtio_queue_stop(v, index);
}

void
dm_virtio_tick(struct dm_virtio *v, uint64_t now_ns)
{
	uint16_t i;

	if (v->resetting && now_ns >= v->reset_end_ns)
		dm_virtio_device_stop(v);
	if (v->suspending && now_ns >= v->suspend_end_ns)
		dm_virtio_suspend(v);
	if (v->host->faults->disorder != 0 && now_ns - v->kept_ns >= DM_VIRTIO_KEEP_NS) {
		dm_virtio_use_kept(v);
		v->kept_ns = now_ns;
	}
	for (i = 0; i < v->num_queues; i++)
		if (v->queues[i].resetting && now_ns >= v->queues[i].reset_end_ns)
			dm_virtio_queue_stop(v, i);
}

bool
dm_virtio_queue_live(const struct dm_virtio *v, uint16_t index)
{
	return (v->status & (LM_VIRTIO_STATUS_DRIVER_OK | LM_VIRTIO_STATUS_NEEDS_RESET)) ==
			LM_VIRTIO_STATUS_DRIVER_OK && v->queues[index].enabled;
}

void
dm_virtio_queue_publish(struct dm_virtio *v, uint16_t index)
{
	struct dm_virtio_queue *q = &v->queues[index];

	if (!dm_vring_publish(&q->ring))
		return;
	q->irqs++;
	dm_virtio_irq(v, q->vector, LM_VIRTIO_PCI_ISR_QUEUE);
}

void
dm_virtio_failed(struct dm_virtio *v)
{
	if ((v->status & LM_VIRTIO_STATUS_NEEDS_RESET) != 0)
		return;
	v->status |= LM_VIRTIO_STATUS_NEEDS_RESET;
	dm_virtio_config_changed(v);
}

void
dm_virtio_config_changed(struct dm_virtio *v)
{
	v->generation++;
	if ((v->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0)
		return;
	if (v->host->faults->lost_config_irq != 0)
		return;
	v->config_irqs++;
	dm_virtio_irq(v, v->config_vector, LM_VIRTIO_PCI_ISR_CONFIG);
}

uint32_t
dm_virtio_sleep(struct dm_virtio *v)
{
	uint32_t sleep_us = DM_VIRTIO_NO_QUEUE_SLEEP_US;
	bool again = false;
	uint32_t bound;
	uint16_t i;

	dm_virtio_doorbell_poll(v);
	for (i = 0; i < v->num_queues; i++) {
		if (v->queues[i].resetting)
			sleep_us = DM_VIRTIO_NAP_US;
		if (!dm_virtio_queue_live(v, i))
			continue;
		if (!v->type->queue_waits(v->ctx, i)) {
			/* From its first doorbell on, by which we learn how it is rung. */
			if (v->queues[i].doorbell != DM_VIRTIO_DOORBELL_UNKNOWN)
				dm_vring_notify_off(&v->queues[i].ring);
			continue;
		}
		if (!dm_vring_notify_on(&v->queues[i].ring))
			again = true;
		bound = v->queues[i].doorbell == DM_VIRTIO_DOORBELL_WAKES ? DM_VIRTIO_SLEEP_US :
				DM_VIRTIO_NAP_US;
		if (bound < sleep_us)
			sleep_us = bound;
	}
	if (v->resetting || v->suspending)
		sleep_us = DM_VIRTIO_NAP_US;
	return again ? 0 : sleep_us;
}
