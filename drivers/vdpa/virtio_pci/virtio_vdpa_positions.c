/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio_ring_if.h"
#include "virtio_vdpa.h"

/*
 * Where packed rings stand, in a file that outlives this process. A packed ring does not tell it,
 * and when a back end dies the front end gives the next one what it gave to the last. So the relay
 * says each step before it makes it (struct virtio_vdpa_relay_move), and one that was not made to
 * its end is made here.
 */

#define POSITIONS_MAGIC 0x31736f706d6cULL /* "lmpos1" */
#define WRAP LM_VRING_MAX_SIZE
#define BOTH (LM_VRING_PACKED_F_AVAIL | LM_VRING_PACKED_F_USED)

struct position {
	uint64_t memory;    /* of which guest; 0: nothing is known */
	uint64_t desc_gpa;
	uint16_t size;
	uint16_t said;      /* by the front end, at the start */
	uint32_t pad;
	_Atomic uint64_t move; /* struct virtio_vdpa_relay_move */
};
static_assert(sizeof(struct position) == 32, "a file's layout");

struct positions_file {
	uint64_t magic;
	uint64_t pad[3];
	struct position queue[VIRTIO_VDPA_MAX_QUEUES];
};

struct virtio_vdpa_positions {
	int fd;
	struct positions_file *file;
};

static int
positions_fd(const char *path)
{
	struct stat st;
	int fd, ret = 0;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		ret = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		ret = -EPERM;
	else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		ret = -EBUSY;
	else if (ftruncate(fd, sizeof(struct positions_file)) != 0)
		ret = -errno;
	if (ret != 0)
		close(fd);
	return ret != 0 ? ret : fd;
}

int
virtio_vdpa_positions_open(struct virtio_vdpa *dev, const char *path)
{
	struct virtio_vdpa_positions *p = calloc(1, sizeof(*p));
	void *map = MAP_FAILED;
	int ret;

	if (p == NULL)
		return -ENOMEM;
	p->fd = positions_fd(path);
	ret = p->fd < 0 ? p->fd : 0;
	if (ret == 0) {
		map = mmap(NULL, sizeof(*p->file), PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
		ret = map == MAP_FAILED ? -errno : 0;
	}
	if (ret != 0) {
		VDPA_LOG(WARNING, dev, "positions=%s: %s; the guest's packed queues do not survive "
			"a restart of this process", path, strerror(-ret));
		if (p->fd >= 0)
			close(p->fd);
		free(p);
		return ret;
	}
	p->file = map;
	if (p->file->magic != POSITIONS_MAGIC) {
		memset(p->file, 0, sizeof(*p->file));
		p->file->magic = POSITIONS_MAGIC;
	}
	dev->positions = p;
	return 0;
}

void
virtio_vdpa_positions_close(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_positions *p = dev->positions;

	if (p == NULL)
		return;
	munmap(p->file, sizeof(*p->file));
	close(p->fd);
	free(p);
	dev->positions = NULL;
}

static struct lm_vring_packed_desc *
slot_at(const struct virtio_vdpa_queue *q, uint16_t at)
{
	return (struct lm_vring_packed_desc *)q->desc + (at & (WRAP - 1));
}

static uint16_t
slot_flags(const struct virtio_vdpa_queue *q, uint16_t at)
{
	return lm_vring_load_relaxed(&slot_at(q, at)->flags);
}

static bool
slot_is_avail(const struct virtio_vdpa_queue *q, uint16_t at)
{
	return lm_vring_packed_is_avail(slot_flags(q, at), (at & WRAP) != 0);
}

/* A ring that nobody has used anything of: available from the start on, then as it was made. */
static bool
ring_is_fresh(const struct virtio_vdpa_queue *q)
{
	uint32_t i = 0;

	while (i < q->size && lm_vring_packed_is_avail(slot_flags(q, (uint16_t)i), true))
		i++;
	while (i < q->size && (slot_flags(q, (uint16_t)i) & BOTH) == 0)
		i++;
	return i == q->size;
}

static bool
move_ok(const struct virtio_vdpa_queue *q, const struct virtio_vdpa_relay_move *m)
{
	return (m->from & (WRAP - 1)) < q->size && (m->last & (WRAP - 1)) < q->size &&
		(m->to & (WRAP - 1)) < q->size;
}

/* Of a chain that is available: the id is in its last descriptor. */
static uint16_t
chain_id(const struct virtio_vdpa_queue *q, uint16_t at)
{
	const struct lm_vring_packed_desc *ring = q->desc;
	uint32_t slot = at & (WRAP - 1), nb = 1;

	while ((lm_vring_load_relaxed(&ring[slot].flags) & LM_VRING_DESC_F_NEXT) != 0 &&
			nb++ < q->size)
		slot = slot + 1 == q->size ? 0 : slot + 1;
	return lm_vring_load_relaxed(&ring[slot].id);
}

/* What was written is not known, so nothing is said to be. */
static void
slot_use(const struct virtio_vdpa_queue *q, uint16_t at, uint16_t id)
{
	struct lm_vring_packed_desc *d = slot_at(q, at);

	d->id = id;
	d->len = 0;
	lm_vring_store_release(&d->flags, (at & WRAP) != 0 ? BOTH : 0);
}

/*
 * A burst whose first descriptor is still available is not seen by the guest yet. Its chains are
 * done, and their used descriptors are written, but for the first and perhaps the last.
 */
static bool
move_finish(const struct virtio_vdpa_queue *q, const struct virtio_vdpa_relay_move *m)
{
	if (m->from == m->to || !slot_is_avail(q, m->from))
		return false;
	if (m->last != m->from && slot_is_avail(q, m->last))
		slot_use(q, m->last, m->id);
	slot_use(q, m->from, chain_id(q, m->from));
	return true;
}

static bool
position_known(const struct virtio_vdpa_queue *q, const struct position *p, uint16_t base)
{
	return p != NULL && p->memory == q->dev->memory_id && p->desc_gpa == q->desc_gpa &&
		p->size == q->size && p->said == base;
}

/* What has been used there already is behind the ring's position. */
static void
position_doubt(struct virtio_vdpa_queue *q, uint16_t base)
{
	if ((base & (WRAP - 1)) >= q->size ||
			(slot_flags(q, base) & BOTH) != ((base & WRAP) != 0 ? BOTH : 0))
		return;
	VDPA_LOG(ERR, q->dev, "queue %u: the front end says %u, wrap %u, and the packed ring has "
		"gone on from there, nobody knows how far: no traffic until the guest's driver is "
		"loaded anew; positions=FILE avoids this", q->index, base & (WRAP - 1),
		(base & WRAP) != 0);
	virtio_vdpa_event(q->dev, "configure", "position lost, queue", q->index, -ENODATA);
	atomic_fetch_add_explicit(&q->errors, 1, memory_order_relaxed);
}

static void
position_log(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa *dev = q->dev;
	struct lm_log_cache cache = { 0 };

	if (!atomic_load(&dev->log_on))
		return;
	lm_vhost_log_mark(dev->log, &cache, q->desc_gpa, lm_vring_desc_bytes(q->size));
	lm_vhost_log_flush(dev->log, &cache);
}

static uint16_t
position_find(struct virtio_vdpa_queue *q, const struct position *p, uint16_t base)
{
	union {
		uint64_t word;
		struct virtio_vdpa_relay_move move;
	} said = { .word = p == NULL ? 0 : atomic_load(&p->move) };
	struct virtio_vdpa *dev = q->dev;

	bool known = position_known(q, p, base) && move_ok(q, &said.move);

	/* Made anew meanwhile, or before its first step was made to the end. */
	if (ring_is_fresh(q) && (!known || said.move.from != WRAP))
		return base;
	if (!known) {
		position_doubt(q, base);
		return base;
	}
	if (move_finish(q, &said.move))
		position_log(q);
	if (said.move.to == base)
		return base;
	VDPA_LOG(NOTICE, dev, "queue %u: going on at %u, wrap %u, where the process before this "
		"one stopped", q->index, said.move.to & (WRAP - 1), (said.move.to & WRAP) != 0);
	virtio_vdpa_event(dev, "configure", "position taken over, queue", q->index, 0);
	virtio_vdpa_count(dev, VIRTIO_VDPA_POSITIONS, 1);
	return said.move.to;
}

uint16_t
virtio_vdpa_positions_begin(struct virtio_vdpa_queue *q, uint16_t base)
{
	struct virtio_vdpa *dev = q->dev;
	struct position *p = dev->positions == NULL ? NULL :
		&dev->positions->file->queue[q->index];
	uint16_t at = position_find(q, p, base);

	if (p == NULL)
		return at;
	p->memory = 0;
	atomic_thread_fence(memory_order_release);
	p->desc_gpa = q->desc_gpa;
	p->size = q->size;
	p->said = q->said_base;
	atomic_store(&p->move, at * 0x1000000000001u); /* from and to */
	p->memory = dev->memory_id;
	return at;
}

_Atomic uint64_t *
virtio_vdpa_positions_of(const struct virtio_vdpa_queue *q)
{
	return q->dev->positions == NULL ? NULL : &q->dev->positions->file->queue[q->index].move;
}

void
virtio_vdpa_positions_forget(struct virtio_vdpa *dev)
{
	uint16_t i;

	for (i = 0; dev->positions != NULL && i < VIRTIO_VDPA_MAX_QUEUES; i++)
		dev->positions->file->queue[i].memory = 0;
}
