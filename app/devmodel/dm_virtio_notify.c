/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Doorbells, VIRTIO 1.3, 4.1.4.4: one page a queue, which a driver may map and store to, and for
 * which it may take an eventfd; or one address for all, which is trapped.
 */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_virtio.h"

static uint64_t
dm_virtio_bar_bytes(const struct dm_virtio *v)
{
	uint64_t need = DM_VIRTIO_NOTIFY_OFF + (uint64_t)v->num_queues * DM_VIRTIO_NOTIFY_PAGE;
	uint64_t size = DM_VIRTIO_NOTIFY_OFF;

	while (size < need)
		size *= 2;
	return size;
}

static _Atomic uint32_t *
dm_virtio_doorbell_word(const struct dm_virtio *v, uint16_t index)
{
	return (_Atomic uint32_t *)(void *)(v->doorbells +
			(size_t)index * DM_VIRTIO_NOTIFY_PAGE);
}

/* The file may be mapped by a stranger: sealed, so that it cannot shrink under us. */
static int
dm_virtio_bar_file(struct dm_virtio *v, uint64_t size_bytes)
{
	uint16_t i;
	void *map;

	v->bar_fd = memfd_create("dm-virtio-bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (v->bar_fd < 0)
		return -errno;
	if (ftruncate(v->bar_fd, (off_t)size_bytes) != 0 || fcntl(v->bar_fd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	map = mmap(NULL, v->area.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->bar_fd,
			(off_t)v->area.offset);
	if (map == MAP_FAILED)
		return -errno;
	v->doorbells = map;
	for (i = 0; i < v->num_queues; i++)
		atomic_store(dm_virtio_doorbell_word(v, i), DM_VIRTIO_DOORBELL_IDLE);
	return 0;
}

int
dm_virtio_doorbell_init(struct dm_virtio *v, struct dm_device *device)
{
	struct lm_vu_region_conf *bar = &device->bars[DM_VIRTIO_BAR];
	uint16_t i;
	int ret;

	v->bar_fd = -1;
	for (i = 0; i < DM_VIRTIO_MAX_QUEUES; i++)
		v->event_fds[i] = -1;
	v->bar_bytes = dm_virtio_bar_bytes(v);
	bar->size_bytes = v->bar_bytes;
	bar->flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	bar->fd = -1;
	device->bar_64bit[DM_VIRTIO_BAR] = true;
	if (v->notify_multiplier == 0)
		return 0;

	v->area.offset = DM_VIRTIO_NOTIFY_OFF;
	v->area.size_bytes = (uint64_t)v->num_queues * DM_VIRTIO_NOTIFY_PAGE;
	ret = dm_virtio_bar_file(v, bar->size_bytes);
	for (i = 0; i < v->num_queues && ret == 0; i++) {
		v->event_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->event_fds[i] < 0)
			ret = -errno;
		v->ioeventfds[i].fd = v->event_fds[i];
		v->ioeventfds[i].offset = DM_VIRTIO_NOTIFY_OFF +
				(uint64_t)i * DM_VIRTIO_NOTIFY_PAGE;
		v->ioeventfds[i].size_bytes = 2;
	}
	if (ret != 0) {
		dm_virtio_doorbell_fini(v);
		return ret;
	}
	bar->flags |= LM_VU_REGION_F_MMAP;
	bar->fd = v->bar_fd;
	bar->areas = &v->area;
	bar->nb_areas = 1;
	bar->ioeventfds = v->ioeventfds;
	bar->nb_ioeventfds = v->num_queues;
	return 0;
}

void
dm_virtio_doorbell_fini(struct dm_virtio *v)
{
	uint16_t i;

	for (i = 0; i < DM_VIRTIO_MAX_QUEUES; i++)
		if (v->event_fds[i] >= 0)
			close(v->event_fds[i]);
	if (v->doorbells != NULL)
		munmap(v->doorbells, v->area.size_bytes);
	if (v->bar_fd >= 0)
		close(v->bar_fd);
	v->doorbells = NULL;
	v->bar_fd = -1;
}

static void
dm_virtio_rung(struct dm_virtio *v, uint16_t index, enum dm_virtio_doorbell how)
{
	struct dm_virtio_queue *q = &v->queues[index];

	if (how == DM_VIRTIO_DOORBELL_STORE && v->notify_guest && !dm_virtio_queue_live(v, index)) {
		v->stray_stores++;
		return;
	}
	q->kicks++;
	if (!q->enabled)
		dm_rule_broken(v->host->rules, DM_RULE_NOTIFY_DISABLED, "queue %u", index);
	else if ((v->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0)
		dm_rule_broken(v->host->rules, DM_RULE_NOTIFY_EARLY, "queue %u", index);
	else if (q->doorbell != DM_VIRTIO_DOORBELL_STORE)
		q->doorbell = how;
}

uint16_t
dm_virtio_notify_id(const struct dm_virtio *v, uint16_t index)
{
	/* Unlike the index, so that nobody takes one for the other. */
	return dm_virtio_has(v, LM_VIRTIO_F_NOTIF_CONFIG_DATA) ?
			(uint16_t)(DM_VIRTIO_NOTIF_DATA + 3 * index) : index;
}

/* A doorbell's value, which lies in the place of one queue or of all: the queue that it names. */
static int
dm_virtio_doorbell_queue(struct dm_virtio *v, uint32_t value, uint64_t offset)
{
	uint16_t id = (uint16_t)(value & LM_VIRTIO_NOTIFY_VQN_MASK);
	uint16_t next = (uint16_t)(value >> LM_VIRTIO_NOTIFY_NEXT_OFF_SHIFT);
	uint16_t i = 0;

	while (i < v->num_queues && dm_virtio_notify_id(v, i) != id)
		i++;
	if (i == v->num_queues || offset != (uint64_t)i * v->notify_multiplier) {
		dm_rule_broken(v->host->rules, DM_RULE_NOTIFY_VALUE, "0x%x at 0x%llx", id,
				(unsigned long long)offset);
		return -1;
	}
	if (dm_virtio_has(v, LM_VIRTIO_F_NOTIFICATION_DATA) && dm_virtio_queue_live(v, i) &&
			!dm_vring_next_ok(&v->queues[i].ring, next))
		dm_rule_broken(v->host->rules, DM_RULE_NOTIFY_DATA, "queue %u, next 0x%x", i,
				next);
	return i;
}

void
dm_virtio_doorbell_write(struct dm_virtio *v, uint64_t offset, const void *buf,
		uint32_t len_bytes)
{
	uint32_t width = dm_virtio_has(v, LM_VIRTIO_F_NOTIFICATION_DATA) ? 4 : 2;
	uint32_t value = 0;
	int queue;

	if (len_bytes != width) {
		dm_rule_broken(v->host->rules, DM_RULE_ACCESS_WIDTH, "doorbell of %u bytes",
				len_bytes);
		return;
	}
	memcpy(&value, buf, width);
	queue = dm_virtio_doorbell_queue(v, value, offset);
	if (queue >= 0)
		dm_virtio_rung(v, (uint16_t)queue, DM_VIRTIO_DOORBELL_WAKES);
}

void
dm_virtio_io_event(struct dm_virtio *v, uint32_t index)
{
	eventfd_t count;

	if (index >= v->num_queues || eventfd_read(v->event_fds[index], &count) != 0)
		return;
	dm_virtio_rung(v, (uint16_t)index, DM_VIRTIO_DOORBELL_WAKES);
}

static void
dm_virtio_doorbell_look(struct dm_virtio *v, uint16_t index)
{
	_Atomic uint32_t *page = dm_virtio_doorbell_word(v, index);
	uint32_t word;

	if (atomic_load_explicit(page, memory_order_relaxed) == DM_VIRTIO_DOORBELL_IDLE)
		return;
	word = atomic_exchange(page, DM_VIRTIO_DOORBELL_IDLE);
	if (dm_virtio_doorbell_queue(v, word, (uint64_t)index * v->notify_multiplier) >= 0)
		dm_virtio_rung(v, index, DM_VIRTIO_DOORBELL_STORE);
}

void
dm_virtio_doorbell_poll(struct dm_virtio *v)
{
	uint16_t i;

	if (v->doorbells == NULL)
		return;
	for (i = 0; i < v->num_queues; i++)
		dm_virtio_doorbell_look(v, i);
}

void
dm_virtio_doorbell_drain(struct dm_virtio *v, uint16_t index)
{
	if (v->doorbells == NULL)
		return;
	dm_virtio_doorbell_look(v, index);
	dm_virtio_io_event(v, index);
}
