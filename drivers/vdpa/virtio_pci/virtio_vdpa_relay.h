/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_VDPA_RELAY_H
#define VIRTIO_VDPA_RELAY_H

/**
 * @file
 * Relay of one virtqueue between the guest's ring, split or packed, and a split shadow ring of our
 * own.
 *
 * The guest's ring may start at any index; the device works on the shadow ring, which starts at
 * 0, and whose format does not depend on the guest's: a guest with packed rings can be served by,
 * and migrate to, any function. Descriptors (indirect tables too) are copied once, checked, and
 * only then shown to the device; buffers stay where they are, in guest memory, at IOVA =
 * guest-physical address.
 * Chains go back to the guest in the order in which it made them available, so what is
 * outstanding is always a suffix of the available ring, and the used index alone says where to
 * go on (VIRTIO 1.3, 2.7; vhost-user GET_VRING_BASE). In a packed ring the used descriptor then
 * always overwrites the first slot of its own chain, so that outstanding chains stay readable for
 * whoever comes next.
 *
 * Pure: no vhost, no PCI, no syscalls, no locks. One thread at a time.
 *
 * Nothing in guest memory is trusted. The first broken rule stops the queue (error != OK): both
 * burst functions then return 0 for ever, and a quiesce gives back what the device completed.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lm_imap;
struct lm_vhost_log;
struct virtio_vdpa_relay;

enum virtio_vdpa_relay_error {
	VIRTIO_VDPA_RELAY_OK = 0,
	VIRTIO_VDPA_RELAY_AVAIL_JUMP,     /* more than a ring made available, or index went back */
	VIRTIO_VDPA_RELAY_BAD_HEAD,       /* head >= ring size */
	VIRTIO_VDPA_RELAY_BAD_NEXT,       /* next >= ring or table size */
	VIRTIO_VDPA_RELAY_LOOP,           /* chain longer than the ring */
	VIRTIO_VDPA_RELAY_BAD_ADDR,       /* buffer or table outside guest memory */
	VIRTIO_VDPA_RELAY_ZERO_LEN,
	VIRTIO_VDPA_RELAY_BAD_ORDER,      /* readable descriptor after a writable one */
	VIRTIO_VDPA_RELAY_BAD_INDIRECT,   /* nested, with NEXT, not negotiated, or of odd length */
	VIRTIO_VDPA_RELAY_TOO_LONG,       /* total length does not fit 32 bits */
	VIRTIO_VDPA_RELAY_HEAD_BUSY,      /* head made available while outstanding */
	VIRTIO_VDPA_RELAY_DEV_BAD_ID,     /* the device used an id it was not given */
	VIRTIO_VDPA_RELAY_DEV_USED_JUMP,  /* the device's used index ran ahead */
	VIRTIO_VDPA_RELAY_ERROR_MAX
};
/** One line in plain words. */
const char *virtio_vdpa_relay_strerror(enum virtio_vdpa_relay_error error);

struct virtio_vdpa_relay_conf {
	/* guest side; host addresses, valid for size entries, aligned */
	void *desc;                   /* packed: descriptor ring */
	void *avail;                  /* packed: driver event suppression */
	void *used;                   /* packed: device event suppression */
	uint64_t desc_gpa, used_gpa;  /* for the log; desc_gpa of packed rings only */
	uint16_t size;                /* <= 32768; split: power of two */
	uint16_t base;                /* next to take == used index; packed: bit 15 is the wrap */
	bool packed;
	bool event_idx;
	bool indirect;
	bool in_order;                /* the device completes in order, and in batches */
	bool log_full;                /* do not trust used.len: log all writable bytes */
	const struct lm_imap *mem;    /* guest-physical -> host address; outlives the relay's use */
	struct lm_vhost_log *log;     /* NULL: never log */
	_Atomic uint64_t *move;       /* packed: virtio_vdpa_relay_move of what is given; or NULL */
	/* device side */
	void *shadow;                 /* virtio_vdpa_relay_shadow_size(size) bytes, zeroed */
	uint64_t shadow_iova;
};

/**
 * The last step of giving chains back to a packed ring, said before it is made, so that one who
 * finds the ring without its relay can finish it. Bit 15 of the first three is the wrap counter.
 */
struct virtio_vdpa_relay_move {
	uint16_t from; /* slot of the burst's first used descriptor, which is written last */
	uint16_t last; /* slot of the used descriptor that is being written, if not that one */
	uint16_t id;   /* its buffer */
	uint16_t to;   /* where the burst then ends */
};
static_assert(sizeof(struct virtio_vdpa_relay_move) == sizeof(uint64_t), "written in one go");

/** Entries of the shadow ring for a guest's ring of size: the next power of two. */
uint16_t virtio_vdpa_relay_device_size(uint16_t size);
size_t virtio_vdpa_relay_shadow_size(uint16_t size);
/**
 * Takes no ownership. -EINVAL: size, alignment (16, 2, 4; VIRTIO 1.3, 2.7; 16, 4, 4; 2.8) or a
 * packed ring's base is wrong; -ENOMEM.
 */
int virtio_vdpa_relay_create(const struct virtio_vdpa_relay_conf *conf,
		struct virtio_vdpa_relay **relay);
void virtio_vdpa_relay_destroy(struct virtio_vdpa_relay *r);

/** Where the device finds the shadow ring. */
void virtio_vdpa_relay_device_ring(const struct virtio_vdpa_relay *r, uint64_t *desc_iova,
		uint64_t *avail_iova, uint64_t *used_iova);

/** Guest -> device: take at most budget chains. @return chains taken. */
unsigned int virtio_vdpa_relay_avail_burst(struct virtio_vdpa_relay *r, unsigned int budget);
/** Device -> guest: give back at most budget chains, log what was written. @return chains. */
unsigned int virtio_vdpa_relay_used_burst(struct virtio_vdpa_relay *r, unsigned int budget);
/** After avail bursts: must the device be notified? Clears the need. */
bool virtio_vdpa_relay_need_kick(struct virtio_vdpa_relay *r);
/** After used bursts: must the guest be interrupted? Clears the need. */
bool virtio_vdpa_relay_need_call(struct virtio_vdpa_relay *r);

/**
 * Ask both sides to notify, then look once more. @return true when it is safe to sleep; false
 * when there is work (notifications are suppressed again).
 */
bool virtio_vdpa_relay_sleep(struct virtio_vdpa_relay *r);
/** Suppress notifications from both sides where the ring formats can. */
void virtio_vdpa_relay_wake(struct virtio_vdpa_relay *r);

/** Switch logging; affects completions from now on. Outstanding buffers are covered by quiesce. */
void virtio_vdpa_relay_set_log(struct virtio_vdpa_relay *r, bool on);

/**
 * Split rings: take nothing beyond index 0 modulo 65536, where a function that starts at 0 can have
 * the guest's own ring. Packed rings: does nothing.
 */
void virtio_vdpa_relay_hold(struct virtio_vdpa_relay *r, bool on);
enum virtio_vdpa_relay_held {
	VIRTIO_VDPA_RELAY_PASSING,  /* index 0 is not reached, or no stop there */
	VIRTIO_VDPA_RELAY_HELD,     /* it is; the device still has chains from before */
	VIRTIO_VDPA_RELAY_DRAINED,  /* it has none */
};
enum virtio_vdpa_relay_held virtio_vdpa_relay_held(const struct virtio_vdpa_relay *r);
/** Chains to go to index 0; 0 for packed rings. Any thread. */
uint32_t virtio_vdpa_relay_to_wrap(const struct virtio_vdpa_relay *r);

/**
 * Put one readable buffer of the driver's own on the device's ring (announcements); its
 * completion is not shown to the guest. -ENOSPC when the ring is full, -EBUSY while the last one
 * is still outstanding.
 */
int virtio_vdpa_relay_inject(struct virtio_vdpa_relay *r, uint64_t iova, uint32_t len_bytes);

/**
 * The device has let go of the shadow ring: give back everything it completed, log every
 * outstanding writable byte and the guest's used ring. Chains older than the last one completed
 * are given back with length 0 (stats.holes). Kicks are asked for again, for whoever comes next.
 * Can be repeated; afterwards only figures can be read.
 * @return the base for the next start: used index == next available index; in packed rings with
 * the wrap counter in bit 15, as vhost-user has it.
 */
uint16_t virtio_vdpa_relay_quiesce(struct virtio_vdpa_relay *r);

/**
 * As virtio_vdpa_relay_quiesce(), but what the device still had goes back unused, too (length 0,
 * stats.holes), so that nothing is outstanding.
 */
uint16_t virtio_vdpa_relay_give_up(struct virtio_vdpa_relay *r);

enum virtio_vdpa_relay_error virtio_vdpa_relay_error(const struct virtio_vdpa_relay *r);
/** Chains the device holds. */
unsigned int virtio_vdpa_relay_outstanding(const struct virtio_vdpa_relay *r);
/** Did the device ever complete a chain before an older one? */
bool virtio_vdpa_relay_disordered(const struct virtio_vdpa_relay *r);

struct virtio_vdpa_relay_stats {
	uint64_t avail_chains;
	uint64_t avail_descs;
	uint64_t used_chains;
	uint64_t written_bytes;   /* as the device reported, after clamping */
	uint64_t kicks;
	uint64_t calls;
	uint64_t logged_pages;    /* marks, repeats included */
	uint64_t len_clamped;     /* used.len larger than what was writable */
	uint64_t out_of_order;    /* completions that had to wait for an older one */
	uint64_t full;            /* bursts cut because the shadow ring or table pool was full */
	uint64_t injected;
	uint64_t holes;           /* chains given back unused: a later one was, or none were kept */
};
void virtio_vdpa_relay_stats_get(const struct virtio_vdpa_relay *r,
		struct virtio_vdpa_relay_stats *stats);

/**
 * What a device that worked on the guest's own ring left behind, after it let go: which of the
 * chains made available are not used. Fills outstanding[] (at most size entries) with head ids in
 * available order.
 * Exact on the ring's first lap. Later the rings hold the last `size` entries only, and the answer
 * is that of every history with up to twice the disorder that is seen in them; a chain that stays
 * out for longer, while few others come and go, can make a ring look complete.
 * @return their number; *holes counts used chains that lie after the first outstanding one;
 * -ERANGE when the rings do not tell; -ENOMEM; -EINVAL.
 */
int virtio_vdpa_ring_outstanding(const void *avail, const void *used, uint16_t size,
		uint16_t *outstanding, unsigned int *holes);
/** Do the rings look as if the device had completed in order? It may be at work. */
bool virtio_vdpa_ring_ordered(const void *avail, const void *used, uint16_t size);

#endif /* VIRTIO_VDPA_RELAY_H */
