/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "virtio_pci_if.h"
#include "virtio_ring_if.h"
#include "virtio_vdpa.h"

static bool
conf_ring_parts(struct virtio_vdpa_queue *q, const struct rte_vhost_vring *vring)
{
	const struct lm_imap *to_gpa = q->dev->hva_to_gpa;
	bool packed = q->dev->packed;
	uint64_t avail = packed ? sizeof(struct lm_vring_packed_event) :
		lm_vring_avail_bytes(vring->size);
	uint64_t used = packed ? sizeof(struct lm_vring_packed_event) :
		lm_vring_used_bytes(vring->size);

	if (packed ? vring->size == 0 || vring->size > LM_VRING_MAX_SIZE :
			!lm_vring_split_size_ok(vring->size))
		return false;
	return lm_imap_lookup(to_gpa, (uintptr_t)vring->desc, lm_vring_desc_bytes(vring->size),
			&q->desc_gpa) &&
		lm_imap_lookup(to_gpa, (uintptr_t)vring->avail, avail, &q->avail_gpa) &&
		lm_imap_lookup(to_gpa, (uintptr_t)vring->used, used, &q->used_gpa);
}

/*
 * A queue is known when the front end has given addresses; it may be enabled much later. The
 * parts of a packed ring come in the same places.
 */
static int
conf_ring(struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa *dev = q->dev;
	struct rte_vhost_vring vring;

	q->known = false;
	q->used = NULL;
	if (rte_vhost_get_vhost_vring(dev->vid, q->index, &vring) != 0)
		return 0;
	if (vring.desc == NULL || vring.avail == NULL || vring.used == NULL)
		return 0;
	if (!conf_ring_parts(q, &vring)) {
		VDPA_LOG(ERR, dev, "queue %u: a %s ring of %u entries does not lie in guest memory",
			q->index, dev->packed ? "packed" : "split", vring.size);
		return -EINVAL;
	}
	q->desc = vring.desc;
	q->avail = vring.avail;
	q->used = vring.used;
	q->size = vring.size;
	q->known = true;
	return 0;
}

static int
conf_queues(struct virtio_vdpa *dev)
{
	uint16_t avail_base, used_base, i;
	struct virtio_vdpa_queue *q;
	int ret;

	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		ret = conf_ring(q);
		if (ret != 0)
			return ret;
		if (!q->known)
			continue;
		if (rte_vhost_get_vring_base(dev->vid, i, &avail_base, &used_base) != 0)
			return -ENODATA;
		ret = virtio_vdpa_mode_choose(q, avail_base);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static void
conf_queue_fresh(struct virtio_vdpa_queue *q)
{
	q->enabled |= q->ready;
	q->await_used = true;
	q->await_kick = true;
}

static int
conf_all(struct virtio_vdpa *dev)
{
	const struct lm_vhost_log *log;
	uint64_t features;
	uint16_t i;
	int ret;

	if (rte_vhost_get_negotiated_features(dev->vid, &features) != 0)
		return -ENODATA;
	/* Relays are made before the negotiation, which takes these or fails. */
	dev->driver_features = virtio_vdpa_driver_features(dev, features);
	dev->packed = (features & 1ULL << LM_VIRTIO_F_RING_PACKED) != 0;
	log = dev->log;
	ret = virtio_vdpa_mem_sync(dev);
	if (ret != 0)
		return ret;
	virtio_vdpa_event(dev, "configure", "memory mapped",
		atomic_load(&dev->counter[VIRTIO_VDPA_MAPPED_PAGES]) << LM_VHOST_LOG_PAGE_SHIFT, 0);
	atomic_store(&dev->log_on, (features & 1ULL << VHOST_F_LOG_ALL) != 0);
	if (atomic_load(&dev->log_on)) {
		virtio_vdpa_log_attach(dev);
		/* Memory grew: what the smaller log still kept is gone with it. */
		if (log != NULL && log != dev->log)
			virtio_vdpa_mem_mark_all(dev, "configure");
	}
	ret = conf_queues(dev);
	/* Before the start, which sets the number of pairs: later, flows would change queues. */
	for (i = 0; i < dev->nb_queues; i++)
		conf_queue_fresh(&dev->queue[i]);
	if (ret == 0)
		ret = virtio_vdpa_start(dev, VIRTIO_VDPA_RESET_US);
	for (i = 0; i < dev->nb_queues && ret == 0; i++) {
		if (dev->queue[i].ready)
			virtio_vdpa_fds_bind(&dev->queue[i]);
	}
	return ret != 0 ? ret : virtio_vdpa_irq_bind_all(dev);
}

/* Undo a configuration that failed half way; nothing has run yet. */
static void
conf_undo(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d)
{
	uint16_t i;

	virtio_vdpa_ladder(dev, d);
	for (i = 0; i < dev->nb_queues; i++) {
		virtio_vdpa_queue_finish(&dev->queue[i]);
		virtio_vdpa_fds_unbind(&dev->queue[i]);
	}
	virtio_vdpa_log_detach(dev);
}

static int
conf_locked(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_deadline d = virtio_vdpa_deadline_start(dev, "configure");
	uint16_t i;
	int ret;

	if (atomic_load(&dev->lost))
		return -ENODEV;
	if (atomic_load(&dev->configured))
		return 0;
	virtio_vdpa_event(dev, d.phase, "begin", 0, 0);
	ret = virtio_vdpa_park_all(dev, virtio_vdpa_deadline_left_us(&d));
	if (ret != 0)
		return ret;
	ret = conf_all(dev);
	if (ret != 0)
		conf_undo(dev, &d);
	else
		atomic_store(&dev->configured, true);
	virtio_vdpa_release_all(dev);
	if (ret == 0) {
		for (i = 0; i < dev->nb_queues; i++)
			virtio_vdpa_nudge(&dev->queue[i]);
		virtio_vdpa_rarp_try(dev);
		virtio_vdpa_count(dev, VIRTIO_VDPA_CONFS, 1);
	} else {
		VDPA_LOG(ERR, dev, "configure: failed: %s", strerror(-ret));
		if (ret == -ENOTCONN)
			virtio_vdpa_lost(dev);
	}
	virtio_vdpa_switcher_wake(dev->switcher);
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_CONF_US, virtio_vdpa_now_us() - d.begin_us);
	virtio_vdpa_event(dev, d.phase, "end", 0, ret);
	return ret;
}

void
virtio_vdpa_conf_vid(struct virtio_vdpa *dev, int vid)
{
	uint16_t i;

	if (dev->vid != vid) {
		dev->vid = vid;
		virtio_vdpa_notifier_forget(dev);
		for (i = 0; i < VIRTIO_VDPA_MAX_QUEUES; i++) {
			dev->queue[i].ready = false;
			dev->queue[i].enabled = false;
		}
	}
	virtio_vdpa_vhost_hook(dev);
}

int
virtio_vdpa_conf(int vid)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	int ret;

	if (dev == NULL)
		return -ENODEV;
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_conf_vid(dev, vid);
	ret = conf_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

/* Positions of all queues to rte_vhost; what is outstanding is the suffix that starts there. */
static void
close_queues(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_queue *q;
	uint16_t base, i;

	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		if (q->known) {
			base = virtio_vdpa_queue_finish(q);
			rte_vhost_set_vring_base(dev->vid, i, base, base);
		}
		virtio_vdpa_fds_unbind(q);
		q->known = false;
		q->desc = NULL;
		q->avail = NULL;
		q->used = NULL;
	}
}

static bool
close_any_direct(const struct virtio_vdpa *dev)
{
	uint16_t i;

	for (i = 0; i < dev->nb_queues; i++) {
		if (virtio_vdpa_queue_mode(&dev->queue[i]) == VIRTIO_VDPA_DIRECT)
			return true;
	}
	return false;
}

void
virtio_vdpa_close_locked(struct virtio_vdpa *dev)
{
	struct virtio_vdpa_deadline d = virtio_vdpa_deadline_start(dev, "stop");
	bool doubt = false, parked;
	uint64_t took;

	if (!atomic_load(&dev->configured))
		return;
	virtio_vdpa_event(dev, d.phase, "begin", 0, 0);
	parked = virtio_vdpa_park_all(dev, virtio_vdpa_deadline_left_us(&d)) == 0;
	if (virtio_vdpa_ladder(dev, &d) == NULL)
		doubt = true;
	if (!parked)
		parked = virtio_vdpa_park_all(dev, virtio_vdpa_deadline_left_us(&d)) == 0;
	if (!parked) {
		/* Memory that a stuck worker may still use must outlive it: keep all, mark all. */
		VDPA_LOG(CRIT, dev, "stop: the relay thread does not let go");
		doubt = true;
	}
	/* A direct queue under logging was never tracked. */
	doubt = doubt || dev->late || close_any_direct(dev);
	dev->late = false;
	if (parked)
		close_queues(dev);
	if (parked && dev->bases_asked)
		virtio_vdpa_positions_forget(dev);
	if (dev->bases_asked)
		virtio_vdpa_notifier_forget(dev);
	dev->bases_asked = false;
	took = virtio_vdpa_now_us() - d.begin_us;
	if (took > (uint64_t)dev->args.stop_budget_ms * 1000) {
		virtio_vdpa_count(dev, VIRTIO_VDPA_BUDGET_OVERRUNS, 1);
		VDPA_LOG(WARNING, dev, "stop took %" PRIu64 " us, budget %" PRIu32 " ms", took,
			dev->args.stop_budget_ms);
		doubt = true;
	}
	if (doubt && atomic_load(&dev->log_on))
		virtio_vdpa_mem_mark_all(dev, d.phase);
	virtio_vdpa_log_detach(dev);
	atomic_store(&dev->configured, false);
	atomic_store(&dev->log_on, false);
	if (parked)
		virtio_vdpa_release_all(dev);
	virtio_vdpa_gauge(dev, VIRTIO_VDPA_STOP_US, virtio_vdpa_now_us() - d.begin_us);
	virtio_vdpa_count(dev, VIRTIO_VDPA_STOPS, 1);
	virtio_vdpa_event(dev, d.phase, "end", 0, parked ? 0 : -ETIMEDOUT);
}

int
virtio_vdpa_close(int vid)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);

	if (dev == NULL)
		return -ENODEV;
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_close_locked(dev);
	pthread_mutex_unlock(&dev->lock);
	return 0;
}

int
virtio_vdpa_restart(struct virtio_vdpa *dev, const char *why)
{
	virtio_vdpa_event(dev, "restart", why, 0, 0);
	virtio_vdpa_close_locked(dev);
	return conf_locked(dev);
}

/* rte_vhost says 0, then 1, for every new kick or call fd: only the fds change, nothing stops. */
static int
state_locked(struct virtio_vdpa *dev, struct virtio_vdpa_queue *q, bool ready)
{
	int ret;

	q->ready = ready;
	if (ready)
		q->enabled = true;
	if (!atomic_load(&dev->configured))
		return 0;
	if (ready && virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_OFF)
		return virtio_vdpa_restart(dev, "a queue appeared");
	ret = virtio_vdpa_park(q, (uint64_t)dev->args.stop_budget_ms * 1000);
	if (ret != 0)
		return ret;
	virtio_vdpa_fds_unbind(q);
	if (ready)
		virtio_vdpa_fds_bind(q);
	if (!atomic_load(&dev->lost))
		ret = virtio_vdpa_irq_bind(q);
	virtio_vdpa_release(q);
	if (ready) {
		virtio_vdpa_ctrl_pairs(dev);
		virtio_vdpa_nudge(q);
		virtio_vdpa_rarp_try(dev);
	}
	return ret;
}

int
virtio_vdpa_set_vring_state(int vid, int vring, int state)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	int ret;

	if (dev == NULL)
		return -ENODEV;
	if (vring < 0 || vring >= dev->nb_queues)
		return 0;
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_conf_vid(dev, vid);
	ret = state_locked(dev, &dev->queue[vring], state != 0);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

int
virtio_vdpa_set_features(int vid)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	uint64_t features;
	int ret = 0;
	bool want;

	if (dev == NULL)
		return -ENODEV;
	if (rte_vhost_get_negotiated_features(vid, &features) != 0)
		return -EINVAL;
	want = (features & 1ULL << VHOST_F_LOG_ALL) != 0;
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_conf_vid(dev, vid);
	if (atomic_load(&dev->configured) && want != atomic_load(&dev->log_on)) {
		if (want)
			ret = virtio_vdpa_log_start(dev);
		else
			virtio_vdpa_log_stop(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return ret;
}
