/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_VRING_SPLIT_H
#define DM_VRING_SPLIT_H

/**
 * @file
 * Device side of a split virtqueue (VIRTIO 1.3, 2.7).
 *
 * Each descriptor and index is copied once, then checked. The first broken rule stops the ring:
 * dm_vring_fetch() then returns -EIO until the ring is started again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dm_device.h"
#include "virtio_ring_if.h"

struct dm_vring_conf {
	uint64_t desc_iova;
	uint64_t avail_iova;
	uint64_t used_iova;
	uint16_t size; /* checked by the caller: lm_vring_split_size_ok() */
	uint16_t index; /* for messages */
	bool event_idx;
	bool indirect;
};

struct dm_vring {
	struct dm_host *host;
	struct dm_vring_conf conf;
	bool broken;

	bool resolved;
	uint32_t dma_epoch; /* of the pointers below */
	const struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;

	uint16_t avail_next;   /* next entry to take */
	uint16_t used_next;    /* next entry to write */
	uint16_t used_shown;   /* what the driver sees */
	uint16_t flags_shown;  /* what we last wrote, so that idling writes nothing */
	uint16_t event_shown;
	bool event_valid;
};

/** One chain: readable buffers first, then writable ones. */
struct dm_chain {
	struct iovec *iov;   /* of the caller */
	uint32_t iov_max;
	uint32_t nb_read;
	uint32_t nb_write;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint16_t head;
};

void dm_vring_start(struct dm_vring *vr, struct dm_host *host, const struct dm_vring_conf *conf);

/**
 * Take the next available chain; chain->iov and iov_max are inputs.
 * @return 1, 0 when there is none, -EIO when the ring is broken.
 */
int dm_vring_fetch(struct dm_vring *vr, struct dm_chain *chain);
/** Undo the last nb fetches that were not pushed. */
void dm_vring_unfetch(struct dm_vring *vr, uint16_t nb);
/** Write a used element; the driver does not see it yet. */
void dm_vring_push(struct dm_vring *vr, uint16_t head, uint32_t written_bytes);
/** Show what was pushed. @return true when the driver wants an interrupt for it. */
bool dm_vring_publish(struct dm_vring *vr);
/** Ask for a doorbell at the next available chain. @return false: there is one already. */
bool dm_vring_notify_on(struct dm_vring *vr);
/** Doorbells are not needed for now. */
void dm_vring_notify_off(struct dm_vring *vr);
/** The driver's available index, for people; 0 when it cannot be read. */
uint16_t dm_vring_avail_idx(struct dm_vring *vr);

#endif /* DM_VRING_SPLIT_H */
