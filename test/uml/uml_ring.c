/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "uml_ring.h"

void
uml_ring_init(struct uml_ring *r)
{
	memset(r, 0, sizeof(*r));
	r->kick_fd = -1;
	r->call_fd = -1;
}

void
uml_ring_close(struct uml_ring *r)
{
	if (r->kick_fd >= 0)
		close(r->kick_fd);
	if (r->call_fd >= 0)
		close(r->call_fd);
	uml_ring_init(r);
}

/* Descriptors from the head on; the table is copied entry by entry before it is looked at. */
static int
uml_ring_walk(const struct uml_ring *r, const struct uml_memory *m, const struct vring_desc *table,
		struct uml_chain *chain)
{
	unsigned int n = 0;
	struct vring_desc d;
	uint16_t at = chain->head;

	chain->nb_out = 0;
	chain->nb_in = 0;
	do {
		if (at >= r->size || n == UML_RING_MAX_IOVS)
			return -EPROTO;
		memcpy(&d, &table[at], sizeof(d));
		if ((d.flags & VRING_DESC_F_INDIRECT) != 0)
			return -EPROTO;
		chain->iovs[n].iov_base = uml_memory_guest(m, d.addr, d.len);
		chain->iovs[n].iov_len = d.len;
		if (chain->iovs[n].iov_base == NULL)
			return -EPROTO;
		if ((d.flags & VRING_DESC_F_WRITE) != 0)
			chain->nb_in++;
		else if (chain->nb_in == 0)
			chain->nb_out++;
		else
			return -EPROTO;
		at = d.next;
		n++;
	} while ((d.flags & VRING_DESC_F_NEXT) != 0);
	return 0;
}

int
uml_ring_pop(struct uml_ring *r, const struct uml_memory *m, struct uml_chain *chain)
{
	const struct vring_desc *table;
	struct vring_avail *avail;
	uint16_t idx;
	int ret;

	if (!r->enabled)
		return 0;
	table = uml_memory_user(m, r->desc_addr, (uint64_t)r->size * sizeof(*table));
	avail = uml_memory_user(m, r->avail_addr, sizeof(*avail) + (uint64_t)r->size * 2);
	if (table == NULL || avail == NULL)
		return -EPROTO;
	idx = atomic_load_explicit((_Atomic uint16_t *)&avail->idx, memory_order_acquire);
	if (idx == r->last_avail)
		return 0;
	if ((uint16_t)(idx - r->last_avail) > r->size)
		return -EPROTO;
	chain->head = avail->ring[r->last_avail % r->size];
	ret = uml_ring_walk(r, m, table, chain);
	if (ret != 0)
		return ret;
	r->last_avail++;
	return 1;
}

int
uml_ring_push(struct uml_ring *r, const struct uml_memory *m, const struct uml_chain *chain,
		uint32_t len_bytes)
{
	const uint64_t one = 1;
	struct vring_used *used;
	struct vring_avail *avail;

	used = uml_memory_user(m, r->used_addr,
			sizeof(*used) + (uint64_t)r->size * sizeof(used->ring[0]));
	avail = uml_memory_user(m, r->avail_addr, sizeof(*avail));
	if (used == NULL || avail == NULL)
		return -EPROTO;
	used->ring[r->used_idx % r->size].id = chain->head;
	used->ring[r->used_idx % r->size].len = len_bytes;
	r->used_idx++;
	atomic_store_explicit((_Atomic uint16_t *)&used->idx, r->used_idx, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	/* A full pipe has a call in it already. */
	if ((avail->flags & VRING_AVAIL_F_NO_INTERRUPT) == 0 && r->call_fd >= 0 &&
			write(r->call_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return -EPROTO;
	return 0;
}
