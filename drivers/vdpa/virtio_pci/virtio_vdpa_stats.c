/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <rte_string_fns.h>

#include "virtio_vdpa.h"

/* Figures of a queue, for rte_vdpa_get_stats() and for telemetry. */

#define FIELD(name) { #name, offsetof(struct virtio_vdpa_relay_stats, name) }
static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD(avail_chains),
	FIELD(avail_descs),
	FIELD(used_chains),
	FIELD(written_bytes),
	FIELD(kicks),
	FIELD(calls),
	FIELD(logged_pages),
	FIELD(len_clamped),
	FIELD(out_of_order),
	FIELD(full),
	FIELD(injected),
	FIELD(holes),
};
static const char * const extra[] = { "kicks_forwarded", "switches", "errors", "mode" };
static_assert(RTE_DIM(fields) * sizeof(uint64_t) == sizeof(struct virtio_vdpa_relay_stats),
	"a figure of the relay is not shown");

static uint64_t *
field_at(struct virtio_vdpa_relay_stats *s, unsigned int i)
{
	return (uint64_t *)((char *)s + fields[i].offset);
}

static void
stats_combine(struct virtio_vdpa_relay_stats *s, const struct virtio_vdpa_relay_stats *other,
		bool subtract)
{
	struct virtio_vdpa_relay_stats copy = *other;
	unsigned int i;

	for (i = 0; i < RTE_DIM(fields); i++)
		*field_at(s, i) += subtract ? -*field_at(&copy, i) : *field_at(&copy, i);
}

/* Since the device was probed; under stat_lock. */
static void
stats_total(const struct virtio_vdpa_queue *q, struct virtio_vdpa_relay_stats *s)
{
	memset(s, 0, sizeof(*s));
	if (q->relay != NULL)
		virtio_vdpa_relay_stats_get(q->relay, s);
	stats_combine(s, &q->past, false);
	s->holes += atomic_load(&q->holes);
}

void
virtio_vdpa_queue_stats(struct virtio_vdpa_queue *q, struct virtio_vdpa_relay_stats *s)
{
	rte_spinlock_lock(&q->stat_lock);
	stats_total(q, s);
	stats_combine(s, &q->zero, true);
	rte_spinlock_unlock(&q->stat_lock);
}

uint32_t
virtio_vdpa_queue_to_wrap(struct virtio_vdpa_queue *q)
{
	uint32_t n = 0;

	rte_spinlock_lock(&q->stat_lock);
	if (q->relay != NULL && virtio_vdpa_can_return(q->dev))
		n = virtio_vdpa_relay_to_wrap(q->relay);
	rte_spinlock_unlock(&q->stat_lock);
	return n;
}

void
virtio_vdpa_queue_stats_keep(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa_relay_stats s;

	rte_spinlock_lock(&q->stat_lock);
	stats_total(q, &s);
	s.holes -= atomic_load(&q->holes);
	q->past = s;
	q->relay = NULL;
	rte_spinlock_unlock(&q->stat_lock);
}

int
virtio_vdpa_get_stats_names(struct rte_vdpa_device *vdpa, struct rte_vdpa_stat_name *names,
		unsigned int size)
{
	unsigned int nb = RTE_DIM(fields) + RTE_DIM(extra), i;

	RTE_SET_USED(vdpa);
	if (names == NULL || size < nb)
		return (int)nb;
	for (i = 0; i < nb; i++)
		strlcpy(names[i].name, i < RTE_DIM(fields) ? fields[i].name :
			extra[i - RTE_DIM(fields)], sizeof(names[i].name));
	return (int)nb;
}

int
virtio_vdpa_get_stats(struct rte_vdpa_device *vdpa, int qid, struct rte_vdpa_stat *stats,
		unsigned int n)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vdpa(vdpa);
	uint64_t values[RTE_DIM(fields) + RTE_DIM(extra)];
	struct virtio_vdpa_relay_stats s;
	struct virtio_vdpa_queue *q;
	unsigned int i;

	if (dev == NULL || qid < 0 || qid >= dev->nb_queues)
		return -ENODEV;
	q = &dev->queue[qid];
	virtio_vdpa_queue_stats(q, &s);
	for (i = 0; i < RTE_DIM(fields); i++)
		values[i] = *field_at(&s, i);
	values[i++] = atomic_load(&q->kicks_forwarded);
	values[i++] = atomic_load(&q->switches);
	values[i++] = atomic_load(&q->errors);
	values[i++] = atomic_load(&q->mode);
	n = RTE_MIN(n, (unsigned int)RTE_DIM(values));
	for (i = 0; i < n; i++) {
		stats[i].id = i;
		stats[i].value = values[i];
	}
	return (int)n;
}

int
virtio_vdpa_reset_stats(struct rte_vdpa_device *vdpa, int qid)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vdpa(vdpa);
	struct virtio_vdpa_queue *q;

	if (dev == NULL || qid < 0 || qid >= dev->nb_queues)
		return -ENODEV;
	q = &dev->queue[qid];
	rte_spinlock_lock(&q->stat_lock);
	stats_total(q, &q->zero);
	rte_spinlock_unlock(&q->stat_lock);
	atomic_store(&q->kicks_forwarded, 0);
	atomic_store(&q->switches, 0);
	atomic_store(&q->errors, 0);
	return 0;
}
