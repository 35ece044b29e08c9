/* SPDX-License-Identifier: BSD-3-Clause */

#include "virtio_ring_if.h"
#include "virtio_vdpa.h"

uint16_t
virtio_vdpa_ring_used_idx(const void *used)
{
	const struct lm_vring_used *u = used;

	return atomic_load_explicit((const _Atomic uint16_t *)&u->idx, memory_order_acquire);
}

unsigned int
virtio_vdpa_ring_close_holes(const void *avail, void *used, uint16_t size,
		const uint16_t *outstanding, unsigned int nb)
{
	const struct lm_vring_avail *a = avail;
	struct lm_vring_used *u = used;
	uint16_t idx = u->idx, slot;
	/*
	 * The index of the guest's next chain when outstanding[] was found. The guest may have
	 * gone on since: what it added is outstanding without a gap, and none of our business.
	 */
	uint16_t end = (uint16_t)(idx + nb);
	unsigned int keep, i;

	/* From the newest chain backwards: how many are outstanding without a gap? */
	for (keep = 0; keep < nb; keep++) {
		slot = (uint16_t)(end - 1 - keep) & (size - 1);
		if (a->ring[slot] != outstanding[nb - 1 - keep])
			break;
	}
	for (i = 0; i < nb - keep; i++) {
		slot = (uint16_t)(idx + i) & (size - 1);
		u->ring[slot].id = outstanding[i];
		u->ring[slot].len = 0;
	}
	atomic_store_explicit((_Atomic uint16_t *)&u->idx, (uint16_t)(idx + nb - keep),
		memory_order_release);
	return nb - keep;
}
