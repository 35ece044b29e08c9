/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_VIRTIO_H
#define DM_VIRTIO_H

/**
 * @file
 * Device side of the modern virtio-pci transport (VIRTIO 1.3, 4.1): registers, status, queues,
 * doorbells, interrupts. A device type (dm_virtio_net.h) sits on top.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dm_device.h"
#include "dm_vring.h"
#include "virtio_pci_if.h"

#define DM_VIRTIO_BAR 0       /* 64-bit, with BAR 1 */
#define DM_VIRTIO_MSIX_BAR 2
#define DM_VIRTIO_COMMON_OFF 0x0000u
#define DM_VIRTIO_ISR_OFF 0x1000u
#define DM_VIRTIO_DEVICE_OFF 0x2000u
#define DM_VIRTIO_NOTIFY_OFF 0x8000u
#define DM_VIRTIO_NOTIFY_PAGE 0x1000u
#define DM_VIRTIO_MAX_QUEUES 17
#define DM_VIRTIO_NOTIF_DATA 0x4000u       /* queue_notif_config_data of queue 0 */
#define DM_VIRTIO_DOORBELL_IDLE 0xffffffffu /* what a page holds while nobody rang */

/** How a queue's driver rings: decides how long the thread may sleep. */
enum dm_virtio_doorbell {
	DM_VIRTIO_DOORBELL_UNKNOWN,
	DM_VIRTIO_DOORBELL_WAKES,  /* by eventfd or message */
	DM_VIRTIO_DOORBELL_STORE,  /* into the mapped page: only polling sees it */
};

struct dm_virtio_queue {
	uint64_t desc_iova;
	uint64_t driver_iova;
	uint64_t device_iova;
	uint16_t size;
	uint16_t vector;
	bool enabled;
	bool resetting;
	uint64_t reset_end_ns;
	enum dm_virtio_doorbell doorbell;
	uint64_t kicks;
	uint64_t irqs;
	struct dm_vring ring; /* good while enabled and DRIVER_OK */
};

/** Feature bit that makes sense only with another, or one of several. */
struct dm_virtio_feature_need {
	uint8_t bit;
	uint64_t any;
};

struct dm_virtio_type {
	uint16_t virtio_id;
	uint32_t config_bytes;
	const struct dm_virtio_feature_need *needs;
	uint32_t nb_needs;
	void (*config_read)(void *ctx, uint32_t offset, void *buf, uint32_t len_bytes);
	/** Does work wait for what the driver makes available here (not so: receive queues)? */
	bool (*queue_waits)(void *ctx, uint16_t index);
	/** A live queue is about to stop: the last moment for DMA. */
	void (*queue_stopping)(void *ctx, uint16_t index);
	/** The device is at its initial state again. */
	void (*reset)(void *ctx);
};

struct dm_virtio {
	struct dm_host *host;
	struct dm_pci *pci;
	const struct dm_virtio_type *type;
	void *ctx;

	uint64_t offered;
	uint64_t accepted;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t config_vector;
	uint16_t queue_select;
	uint8_t status;
	uint8_t generation;
	uint8_t isr;
	bool resetting;
	uint64_t reset_end_ns;
	bool suspending; /* SUSPEND was asked for and is not shown yet */
	uint64_t suspend_end_ns;
	uint64_t kept_ns; /* when queues out of order were last emptied */

	uint16_t num_queues;
	uint16_t queue_size_max;
	uint16_t nb_vectors;
	uint32_t notify_multiplier; /* 0: shared */
	bool notify_guest;
	uint64_t stray_stores;      /* of a guest, to queues that are off */
	uint64_t config_irqs;
	struct dm_virtio_queue queues[DM_VIRTIO_MAX_QUEUES];

	int bar_fd;                 /* memfd behind the doorbell pages; -1: shared doorbell */
	uint8_t *doorbells;         /* its pages */
	int event_fds[DM_VIRTIO_MAX_QUEUES];
	struct lm_vu_ioeventfd ioeventfds[DM_VIRTIO_MAX_QUEUES];
	struct lm_vu_area area;
	uint64_t bar_bytes;
	uint8_t cfg_window;         /* offset of the PCI_CFG capability */
};

struct dm_virtio_conf {
	struct dm_host *host;
	struct dm_pci *pci;
	const struct dm_virtio_type *type;
	void *ctx;
	uint64_t features;
	uint16_t num_queues;
	uint16_t queue_size_max;
	bool notify_shared;
	bool notify_guest; /* a guest has the pages: stores to queues that are off break no rule */
};

/** Fills the device's BARs too. */
int dm_virtio_init(struct dm_virtio *v, const struct dm_virtio_conf *conf,
		struct dm_device *device);
void dm_virtio_fini(struct dm_virtio *v);
/** Everything to its initial state, at once. */
void dm_virtio_reset(struct dm_virtio *v);

int dm_virtio_bar_read(struct dm_virtio *v, uint64_t offset, void *buf, uint32_t len_bytes);
int dm_virtio_bar_write(struct dm_virtio *v, uint64_t offset, const void *buf,
		uint32_t len_bytes);
void dm_virtio_common_read(struct dm_virtio *v, uint32_t offset, void *buf, uint32_t len_bytes);
void dm_virtio_common_write(struct dm_virtio *v, uint32_t offset, const void *buf,
		uint32_t len_bytes);

/* Status and queues; called by the registers. */
void dm_virtio_status_write(struct dm_virtio *v, uint8_t status);
bool dm_virtio_queue_size_ok(const struct dm_virtio *v, uint32_t size);
void dm_virtio_queue_enable(struct dm_virtio *v, uint16_t index);
void dm_virtio_queue_reset_start(struct dm_virtio *v, uint16_t index);

/* Doorbells. */
int dm_virtio_doorbell_init(struct dm_virtio *v, struct dm_device *device);
void dm_virtio_doorbell_fini(struct dm_virtio *v);
void dm_virtio_doorbell_write(struct dm_virtio *v, uint64_t offset, const void *buf,
		uint32_t len_bytes);
void dm_virtio_io_event(struct dm_virtio *v, uint32_t index);
/** Look at the mapped pages. */
void dm_virtio_doorbell_poll(struct dm_virtio *v);
/** Take what was rung before a reset or a suspension: it is older, though it arrives later. */
void dm_virtio_doorbell_drain(struct dm_virtio *v, uint16_t index);

/** Finish resets whose time has come. */
void dm_virtio_tick(struct dm_virtio *v, uint64_t now_ns);
/** May this queue be worked on? */
bool dm_virtio_queue_live(const struct dm_virtio *v, uint16_t index);
/** Show what was pushed and interrupt where the driver asks for it. */
void dm_virtio_queue_publish(struct dm_virtio *v, uint16_t index);
/** The ring is broken: NEEDS_RESET and a configuration interrupt, all queues stop. */
void dm_virtio_failed(struct dm_virtio *v);
void dm_virtio_config_changed(struct dm_virtio *v);
/** As dm_device_ops.sleep. */
uint32_t dm_virtio_sleep(struct dm_virtio *v);
int dm_virtio_stats(struct dm_virtio *v, json_t *object);

/** What a queue's doorbell gets in its lower half (4.1.5.2). */
uint16_t dm_virtio_notify_id(const struct dm_virtio *v, uint16_t index);

static inline bool
dm_virtio_has(const struct dm_virtio *v, unsigned int bit)
{
	return (v->accepted & LM_VIRTIO_BIT(bit)) != 0;
}

#endif /* DM_VIRTIO_H */
