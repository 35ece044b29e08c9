/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_VRING_H
#define DM_VRING_H

/**
 * @file
 * Device side of a virtqueue, split (VIRTIO 1.3, 2.7) or packed (2.8).
 *
 * Each descriptor and index is copied once, then checked. The first broken rule stops the ring:
 * dm_vring_fetch() then returns -EIO until the ring is started again. Chains are used in the order
 * in which they were taken; with IN_ORDER, chains without writable buffers that become visible
 * together share one used element.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dm_device.h"
#include "virtio_ring_if.h"

struct dm_vring_conf {
	uint64_t desc_iova;
	uint64_t driver_iova; /* available ring, or driver event */
	uint64_t device_iova; /* used ring, or device event */
	uint16_t size;        /* checked by the caller: a power of two when split */
	uint16_t index;       /* for messages */
	bool packed;
	bool event_idx;
	bool indirect;
	bool in_order;
};

struct dm_vring_split {
	const struct lm_vring_desc *desc;
	struct lm_vring_avail *avail;
	struct lm_vring_used *used;
	uint16_t avail_next;   /* next entry to take */
	uint16_t used_next;    /* next entry to write */
	uint16_t used_shown;   /* what the driver sees */
	uint16_t used_last;    /* the entry written last */
	uint16_t flags_shown;  /* what we last wrote, so that idling writes nothing */
	uint16_t event_shown;
	bool event_valid;
};

struct dm_vring_pos {
	uint16_t off;
	bool wrap;
};

struct dm_vring_packed {
	struct lm_vring_packed_desc *desc;
	struct lm_vring_packed_event *driver;
	struct lm_vring_packed_event *device;
	struct dm_vring_pos avail; /* next descriptor to take */
	struct dm_vring_pos used;  /* next one to write */
	struct dm_vring_pos shown; /* the first that the driver does not see yet */
	struct dm_vring_pos last;  /* the element written last */
	uint32_t hidden;           /* descriptors from shown to used */
	uint32_t taken;            /* descriptors from used to avail */
	uint16_t first_flags;      /* of the element at shown: they make all visible */
	uint16_t flags_shown;
	uint16_t event_shown;
	uint64_t ids[LM_VRING_MAX_SIZE / 64]; /* buffers that we hold */
};

/* Done with, and not used yet. */
struct dm_vring_kept {
	uint16_t head;
	uint32_t written_bytes;
};

#define DM_VRING_MAX_KEPT 64u

struct dm_vring_ops;

struct dm_vring {
	struct dm_host *host;
	struct dm_vring_conf conf;
	const struct dm_vring_ops *ops;
	bool broken;
	bool mergeable; /* the element written last stands for read-only chains */
	struct dm_vring_kept kept[DM_VRING_MAX_KEPT];
	uint32_t nb_kept;
	uint32_t seed;  /* of the choice among them */

	bool resolved;
	uint32_t dma_epoch; /* of the pointers below */
	union {
		struct dm_vring_split split;
		struct dm_vring_packed packed;
	};
};

/** One chain: readable buffers first, then writable ones. */
struct dm_chain {
	struct iovec *iov;   /* of the caller */
	uint32_t iov_max;
	uint32_t nb_read;
	uint32_t nb_write;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint16_t head;       /* its name: head of a split chain, id of a packed one */
	uint16_t slots;      /* packed: descriptors in the ring */
	uint16_t at;         /* packed: offset and wrap of the first, as in an event */
};

void dm_vring_start(struct dm_vring *vr, struct dm_host *host, const struct dm_vring_conf *conf);

/**
 * Take the next available chain; chain->iov and iov_max are inputs.
 * @return 1, 0 when there is none, -EIO when the ring is broken.
 */
int dm_vring_fetch(struct dm_vring *vr, struct dm_chain *chain);
/** Undo the last nb fetches, which gave chains[]; none was pushed. */
void dm_vring_unfetch(struct dm_vring *vr, const struct dm_chain *chains, uint16_t nb);
/** Write a used element; the driver does not see it yet. */
void dm_vring_push(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes);
/**
 * Push it, or keep it and push one of at most `most` that were kept before: a device out of order.
 * Of split rings only, and not with IN_ORDER.
 */
void dm_vring_push_any(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes,
		uint64_t most);
/** Push what is kept. */
void dm_vring_push_kept(struct dm_vring *vr);
/** Show what was pushed. @return true when the driver wants an interrupt for it. */
bool dm_vring_publish(struct dm_vring *vr);
/** Ask for a doorbell at the next available chain. @return false: there is one already. */
bool dm_vring_notify_on(struct dm_vring *vr);
/** May the driver say, in a doorbell's upper half, that this is next in its ring (2.9)? */
bool dm_vring_next_ok(const struct dm_vring *vr, uint16_t next);
/** Doorbells are not needed for now. */
void dm_vring_notify_off(struct dm_vring *vr);
/**
 * Positions, for people; 0 when they cannot be read. Split: the driver's available index and the
 * used index that it sees. Packed: the next descriptor to take and to use, with the wrap counter
 * in bit 15.
 */
uint16_t dm_vring_avail_idx(struct dm_vring *vr);
uint16_t dm_vring_used_idx(const struct dm_vring *vr);

#endif /* DM_VRING_H */
