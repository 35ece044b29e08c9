/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio_pci_if.h"
#include "virtio_ring_if.h"
#include "virtio_vdpa.h"

/* Modes of a queue. The caller has parked it, and the device does not have it. */

static void
mode_set(struct virtio_vdpa_queue *q, enum virtio_vdpa_mode mode)
{
	char event[28];

	if (virtio_vdpa_queue_mode(q) == mode)
		return;
	atomic_store_explicit(&q->mode, (uint8_t)mode, memory_order_relaxed);
	atomic_fetch_add_explicit(&q->switches, 1, memory_order_relaxed);
	snprintf(event, sizeof(event), "queue %u %s", q->index, virtio_vdpa_mode_name(mode));
	virtio_vdpa_event(q->dev, "mode", event, 0, 0);
}

/* Shadow memory stays with the queue: mapping it is paid once, not in every blackout. */
static int
mode_shadow(struct virtio_vdpa_queue *q)
{
	size_t need = virtio_vdpa_relay_shadow_size(q->size);
	int ret;

	if (q->shadow.vaddr != NULL && q->shadow.size_bytes < need) {
		lm_pci_mem_free(q->dev->pci, &q->shadow);
		memset(&q->shadow, 0, sizeof(q->shadow));
	}
	if (q->shadow.vaddr == NULL) {
		ret = lm_pci_mem_alloc(q->dev->pci, need, &q->shadow);
		if (ret != 0) {
			memset(&q->shadow, 0, sizeof(q->shadow));
			return ret;
		}
	}
	memset(q->shadow.vaddr, 0, need);
	return 0;
}

/* One that completes out of order may leave a ring that does not tell what was out on it. */
static bool
mode_may_direct(const struct virtio_vdpa *dev)
{
	bool orders = (dev->driver_features &
		(1ULL << LM_VIRTIO_F_IN_ORDER | 1ULL << LM_VIRTIO_F_SUSPEND)) != 0;

	return !dev->packed && !dev->args.relay && (orders || !atomic_load(&dev->disordered));
}

bool
virtio_vdpa_can_return(const struct virtio_vdpa *dev)
{
	return mode_may_direct(dev) && !dev->ring_reset_stuck &&
		(dev->driver_features & 1ULL << LM_VIRTIO_F_RING_RESET) != 0;
}

static int
mode_relay(struct virtio_vdpa_queue *q, uint16_t base)
{
	struct virtio_vdpa *dev = q->dev;
	struct virtio_vdpa_relay_conf conf = {
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.desc_gpa = q->desc_gpa,
		.used_gpa = q->used_gpa,
		.size = q->size,
		.base = base,
		.packed = dev->packed,
		.event_idx = (dev->driver_features & 1ULL << LM_VIRTIO_F_EVENT_IDX) != 0,
		.indirect = (dev->driver_features & 1ULL << LM_VIRTIO_F_INDIRECT_DESC) != 0,
		.in_order = (dev->driver_features & 1ULL << LM_VIRTIO_F_IN_ORDER) != 0,
		.log_full = dev->args.log_full,
		.mem = dev->gpa_to_hva,
		.log = dev->log,
		.move = dev->packed ? virtio_vdpa_positions_of(q) : NULL,
	};
	struct virtio_vdpa_relay *relay;
	int ret;

	ret = mode_shadow(q);
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "queue %u: no memory for a shadow ring: %s", q->index,
			lm_pci_strerror(dev->pci));
	} else {
		conf.shadow = q->shadow.vaddr;
		conf.shadow_iova = q->shadow.iova;
		ret = virtio_vdpa_relay_create(&conf, &relay);
	}
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "cannot relay queue %u (%u entries): %s", q->index, q->size,
			strerror(-ret));
		return ret;
	}
	virtio_vdpa_relay_set_log(relay, atomic_load(&dev->log_on));
	virtio_vdpa_relay_hold(relay, !atomic_load(&dev->log_on) && virtio_vdpa_can_return(dev));
	atomic_store(&q->held, VIRTIO_VDPA_RELAY_PASSING);
	q->asleep = false;
	q->broken = false;
	rte_spinlock_lock(&q->stat_lock);
	q->relay = relay;
	rte_spinlock_unlock(&q->stat_lock);
	mode_set(q, VIRTIO_VDPA_RELAY);
	return 0;
}

int
virtio_vdpa_mode_choose(struct virtio_vdpa_queue *q, uint16_t base)
{
	uint16_t used_idx;

	/* A packed ring that a function has worked on does not tell where it stood. */
	if (q->dev->packed)
		base = virtio_vdpa_positions_begin(q, base);
	q->base = base;
	if (q->dev->packed)
		return mode_relay(q, base);
	used_idx = virtio_vdpa_ring_used_idx(q->used);
	if (base != used_idx) {
		VDPA_LOG(WARNING, q->dev, "queue %u: the front end says index %u, the ring in "
			"guest memory %u; the ring is believed", q->index, base, used_idx);
		base = used_idx;
	}
	/* After a reset a function can only start at index 0. */
	if (base == 0 && !atomic_load(&q->dev->log_on) && mode_may_direct(q->dev)) {
		((struct lm_vring_used *)q->used)->flags = 0; /* as fresh rings have it */
		mode_set(q, VIRTIO_VDPA_DIRECT);
		return 0;
	}
	return mode_relay(q, base);
}

/* Chains that the device kept while it used later ones went back unused. */
static void
mode_count_holes(struct virtio_vdpa_queue *q, uint64_t nb)
{
	virtio_vdpa_count(q->dev, q->index % 2 == 1 ? VIRTIO_VDPA_TX_DROPPED :
		VIRTIO_VDPA_RX_RETURNED, nb);
}

static void
mode_leave_relay(struct virtio_vdpa_queue *q, bool keep)
{
	struct virtio_vdpa_relay *relay = q->relay;
	struct virtio_vdpa_relay_stats stats;

	q->base = keep ? virtio_vdpa_relay_quiesce(relay) : virtio_vdpa_relay_give_up(relay);
	virtio_vdpa_relay_stats_get(relay, &stats);
	mode_count_holes(q, stats.holes);
	if (virtio_vdpa_relay_need_call(relay))
		virtio_vdpa_call(q);
	virtio_vdpa_queue_stats_keep(q);
	virtio_vdpa_relay_destroy(relay);
}

/* The used index stands; if it is wrong, the guest sees buffers twice, or never again. */
static void
mode_untold(struct virtio_vdpa_queue *q, int error)
{
	struct virtio_vdpa *dev = q->dev;
	const struct lm_vring_avail *avail = q->avail;
	uint16_t nb = lm_vring_load_relaxed(&avail->idx) - virtio_vdpa_ring_used_idx(q->used);

	VDPA_LOG(ERR, dev, "queue %u: %u chains are out, and the ring does not tell which: %s; "
		"going on at the used index, relayed from now on. If the guest's driver complains "
		"of it, load that anew; relay=1 avoids this", q->index, nb, error == -ERANGE ?
		"the function completes out of order" : strerror(-error));
	virtio_vdpa_event(dev, "outstanding", "not told, chains", nb, error);
	virtio_vdpa_count(dev, VIRTIO_VDPA_UNTOLD, nb);
	atomic_fetch_add_explicit(&q->errors, 1, memory_order_relaxed);
}

/* What the device left on the guest's own ring becomes a plain suffix; see the used index. */
static void
mode_close_holes(struct virtio_vdpa_queue *q)
{
	unsigned int holes = 0, closed = 0;
	uint16_t *outstanding;
	int nb;

	outstanding = malloc(q->size * sizeof(*outstanding));
	nb = outstanding == NULL ? -ENOMEM :
		virtio_vdpa_ring_outstanding(q->avail, q->used, q->size, outstanding, &holes);
	if (nb < 0)
		mode_untold(q, nb);
	else if (holes != 0)
		closed = virtio_vdpa_ring_close_holes(q->avail, q->used, q->size, outstanding,
			(unsigned int)nb);
	free(outstanding);
	if (nb < 0 || holes != 0)
		atomic_store(&q->dev->disordered, true);
	if (closed != 0) {
		atomic_fetch_add_explicit(&q->holes, closed, memory_order_relaxed);
		mode_count_holes(q, closed);
		virtio_vdpa_event(q->dev, "outstanding", "holes completed", closed, 0);
		virtio_vdpa_call(q);
	}
}

static void
mode_leave_direct(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa *dev = q->dev;
	struct lm_log_cache cache = { 0 };

	/*
	 * With IN_ORDER there are no holes, and not every chain has an element of its own. Nor are
	 * there after SUSPEND.
	 */
	if ((dev->driver_features & 1ULL << LM_VIRTIO_F_IN_ORDER) == 0 && !dev->drained)
		mode_close_holes(q);
	q->base = virtio_vdpa_ring_used_idx(q->used);
	if (atomic_load(&dev->log_on)) {
		lm_vhost_log_mark(dev->log, &cache, q->used_gpa, lm_vring_used_bytes(q->size));
		lm_vhost_log_flush(dev->log, &cache);
	}
}

uint16_t
virtio_vdpa_queue_finish(struct virtio_vdpa_queue *q)
{
	switch (virtio_vdpa_queue_mode(q)) {
	case VIRTIO_VDPA_RELAY:
		mode_leave_relay(q, true);
		break;
	case VIRTIO_VDPA_DIRECT:
		mode_leave_direct(q);
		break;
	default:
		break;
	}
	mode_set(q, VIRTIO_VDPA_OFF);
	return q->base;
}

int
virtio_vdpa_mode_direct(struct virtio_vdpa_queue *q, const struct virtio_vdpa_deadline *d)
{
	int ret;

	ret = virtio_vdpa_ring_reset(q, d);
	if (ret != 0)
		return ret;
	mode_leave_relay(q, false);
	mode_set(q, VIRTIO_VDPA_DIRECT);
	ret = virtio_vdpa_queue_program(q);
	return ret != 0 ? ret : virtio_vdpa_irq_bind(q);
}

/* Direct -> relay for one queue that the function can give up alone. */
static int
log_switch_queue(struct virtio_vdpa_queue *q, const struct virtio_vdpa_deadline *d)
{
	int ret;

	ret = virtio_vdpa_ring_reset(q, d);
	if (ret == 0)
		ret = mode_relay(q, virtio_vdpa_queue_finish(q));
	if (ret == 0)
		ret = virtio_vdpa_queue_program(q);
	if (ret == 0)
		ret = virtio_vdpa_irq_bind(q);
	return ret;
}

/* Everything off and on again, as relays: the way for functions without ring reset. */
static int
log_switch_all(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	struct virtio_vdpa_queue *q;
	uint16_t base, i;
	int ret = 0;

	if (virtio_vdpa_ladder(dev, d) == NULL)
		return -EIO;
	for (i = 0; i < dev->nb_queues && ret == 0; i++) {
		q = &dev->queue[i];
		if (!q->known)
			continue;
		base = virtio_vdpa_queue_finish(q);
		ret = mode_relay(q, base);
	}
	if (ret == 0)
		ret = virtio_vdpa_start(dev, virtio_vdpa_deadline_left_us(d));
	return ret != 0 ? ret : virtio_vdpa_irq_bind_all(dev);
}

/* A queue that is tracked stays where it is tracked; else it is on its way back to direct. */
static void
mode_log(struct virtio_vdpa_queue *q, bool on)
{
	virtio_vdpa_relay_set_log(q->relay, on);
	virtio_vdpa_relay_hold(q->relay, !on && virtio_vdpa_can_return(q->dev));
}

/* Queues parked, log_on set. */
static int
log_switch(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	struct virtio_vdpa_queue *q;
	int ret = 0;
	uint16_t i;

	/* SUSPEND is for all queues at once. */
	if (virtio_vdpa_drains(dev))
		ret = -ENOTSUP;
	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY)
			mode_log(q, true);
		else if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_DIRECT && ret == 0)
			ret = log_switch_queue(q, d);
	}
	if (ret == 0)
		return 0;
	virtio_vdpa_event(dev, "log-on", "whole device", 0, ret);
	return log_switch_all(dev, d);
}

static int
log_switch_parked(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	uint16_t i;
	int ret;

	ret = virtio_vdpa_park_all(dev, virtio_vdpa_deadline_left_us(d));
	atomic_store(&dev->log_on, true);
	if (ret != 0)
		return ret;
	ret = log_switch(dev, d);
	virtio_vdpa_release_all(dev);
	for (i = 0; i < dev->nb_queues; i++)
		virtio_vdpa_nudge(&dev->queue[i]);
	return ret;
}

int
virtio_vdpa_log_start(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_deadline d = virtio_vdpa_deadline_start(dev, "log-on");
	uint64_t took;
	int ret;

	virtio_vdpa_event(dev, d.phase, "begin", 0, 0);
	virtio_vdpa_log_attach(dev);
	ret = log_switch_parked(dev, &d);
	took = virtio_vdpa_now_us() - d.begin_us;
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_LOG_ON_US, took);
	if (took > (uint64_t)dev->args.stop_budget_ms * 1000) {
		virtio_vdpa_count(dev, VIRTIO_VDPA_BUDGET_OVERRUNS, 1);
		VDPA_LOG(WARNING, dev, "log-on took %" PRIu64 " us, budget %" PRIu32 " ms", took,
			dev->args.stop_budget_ms);
		virtio_vdpa_mem_mark_all(dev, d.phase);
	}
	virtio_vdpa_switcher_wake(dev->switcher);
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "log-on: cannot track what the function writes yet: %s",
			strerror(-ret));
		dev->late = true;
	}
	virtio_vdpa_event(dev, d.phase, "end", 0, ret);
	return ret;
}

/*
 * What the vhost thread could not wait for. What the function wrote until now is in no log, so
 * everything is dirty once when it is done.
 */
int
virtio_vdpa_log_late(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_deadline d = virtio_vdpa_deadline_start(dev, "log-on late");
	int ret;

	if (!dev->late || !atomic_load(&dev->configured) || atomic_load(&dev->lost)) {
		dev->late = false;
		return 0;
	}
	ret = log_switch_parked(dev, &d);
	if (ret == 0) {
		dev->late = false;
		virtio_vdpa_mem_mark_all(dev, d.phase);
	}
	virtio_vdpa_event(dev, d.phase, "end", 0, ret);
	return ret;
}

/*
 * A function can go back to the guest's ring only where index 0 comes by: with ring reset, relays
 * are held there, and the switcher does it.
 */
void
virtio_vdpa_log_stop(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_queue *q;
	uint16_t i;

	atomic_store(&dev->log_on, false);
	if (virtio_vdpa_park_all(dev, (uint64_t)dev->args.stop_budget_ms * 1000) == 0) {
		for (i = 0; i < dev->nb_queues; i++) {
			q = &dev->queue[i];
			if (virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY)
				mode_log(q, false);
		}
		virtio_vdpa_release_all(dev);
	}
	virtio_vdpa_log_detach(dev);
	virtio_vdpa_event(dev, "log-off", "end", 0, 0);
}
