/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "lm_device.h"
#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_vdpa.h"

RTE_LOG_REGISTER_DEFAULT(virtio_vdpa_logtype, NOTICE);

/* All devices, for callbacks that rte_vhost gives a number or its own handle only. */
TAILQ_HEAD(virtio_vdpa_list, virtio_vdpa);
static struct virtio_vdpa_list devices = TAILQ_HEAD_INITIALIZER(devices);
static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;

static int
op_queue_num(struct rte_vdpa_device *vdpa, uint32_t *queue_num)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vdpa(vdpa);

	if (dev == NULL)
		return -ENODEV;
	*queue_num = dev->max_pairs; /* rte_vhost and QEMU count pairs here */
	return 0;
}

static int
op_features(struct rte_vdpa_device *vdpa, uint64_t *features)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vdpa(vdpa);

	if (dev == NULL)
		return -ENODEV;
	*features = dev->guest_features | 1ULL << VHOST_F_LOG_ALL |
		1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	return 0;
}

static int
op_protocol_features(struct rte_vdpa_device *vdpa, uint64_t *features)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vdpa(vdpa);

	if (dev == NULL)
		return -ENODEV;
	/*
	 * Not CONFIGURE_MEM_SLOTS: rte_vhost would change memory without telling us.
	 */
	*features = 1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_LOG_SHMFD |
		1ULL << VHOST_USER_PROTOCOL_F_RARP | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK |
		1ULL << VIRTIO_VDPA_PROTOCOL_F_BACKEND_REQ |
		1ULL << VHOST_USER_PROTOCOL_F_STATUS;
	if ((dev->guest_features & 1ULL << LM_VIRTIO_NET_F_MTU) != 0)
		*features |= 1ULL << VHOST_USER_PROTOCOL_F_NET_MTU;
	if (dev->notify_pages)
		*features |= 1ULL << VIRTIO_VDPA_PROTOCOL_F_BACKEND_SEND_FD |
			1ULL << VHOST_USER_PROTOCOL_F_HOST_NOTIFIER;
	return 0;
}

/* After a stop only the control queue is alive; before its memory goes, it must go too. */
static void
device_silence(struct virtio_vdpa *dev)
{
	int ret;

	if (atomic_load(&dev->lost))
		return;
	ret = virtio_vdpa_reset(dev, (uint64_t)dev->args.stop_budget_ms * 1000);
	if (ret != 0)
		VDPA_LOG(WARNING, dev, "the function does not finish its reset: %s",
			strerror(-ret));
}

/* The connection is gone; its number may come back for another one. */
static int
op_dev_cleanup(int vid)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);

	if (dev == NULL)
		return 0;
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_close_locked(dev);
	device_silence(dev);
	virtio_vdpa_mem_release(dev);
	dev->vid = -1;
	dev->hooked = false;
	dev->rarp_pending = false;
	dev->rarp_mac_known = false;
	pthread_mutex_unlock(&dev->lock);
	/* rte_vhost frees what the switcher may be using. */
	virtio_vdpa_notifier_leave(dev);
	virtio_vdpa_notifier_forget(dev);
	return 0;
}

static int
op_no_fd(int vid)
{
	RTE_SET_USED(vid);
	return -ENOTSUP;
}

static int
op_get_config(int vid, uint8_t *config, uint32_t size)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	int ret;

	if (dev == NULL)
		return -ENODEV;
	pthread_mutex_lock(&dev->lock);
	ret = lm_virtio_config_get(dev->virtio, 0, config, size);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

static int
op_set_config(int vid, uint8_t *config, uint32_t offset, uint32_t size, uint32_t flags)
{
	struct virtio_vdpa *dev = virtio_vdpa_by_vid(vid);
	int ret;

	RTE_SET_USED(flags);
	if (dev == NULL)
		return -ENODEV;
	pthread_mutex_lock(&dev->lock);
	ret = lm_virtio_config_set(dev->virtio, offset, config, size);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

static int
op_dev_type(struct rte_vdpa_device *vdpa, uint32_t *type)
{
	RTE_SET_USED(vdpa);
	*type = RTE_VHOST_VDPA_DEVICE_TYPE_NET;
	return 0;
}

static struct rte_vdpa_dev_ops virtio_vdpa_ops = {
	.get_queue_num = op_queue_num,
	.get_features = op_features,
	.get_protocol_features = op_protocol_features,
	.dev_conf = virtio_vdpa_conf,
	.dev_close = virtio_vdpa_close,
	.dev_cleanup = op_dev_cleanup,
	.set_vring_state = virtio_vdpa_set_vring_state,
	.set_features = virtio_vdpa_set_features,
	.migration_done = virtio_vdpa_migration_done,
	.get_vfio_group_fd = op_no_fd,
	.get_vfio_device_fd = virtio_vdpa_notifier_fd,
	.get_notify_area = virtio_vdpa_notifier_area,
	.get_stats_names = virtio_vdpa_get_stats_names,
	.get_stats = virtio_vdpa_get_stats,
	.reset_stats = virtio_vdpa_reset_stats,
	.get_config = op_get_config,
	.set_config = op_set_config,
	.get_dev_type = op_dev_type,
};

static struct virtio_vdpa *
device_by_rte(const struct rte_device *rte_dev)
{
	struct virtio_vdpa *dev;

	pthread_mutex_lock(&devices_lock);
	TAILQ_FOREACH(dev, &devices, next) {
		/* cppcheck-suppress uninitvar; it does not know the macro */
		if (dev->rte_dev == rte_dev)
			break;
	}
	pthread_mutex_unlock(&devices_lock);
	return dev;
}

struct virtio_vdpa *
virtio_vdpa_by_vdpa(const struct rte_vdpa_device *vdpa)
{
	return device_by_rte(vdpa->device);
}

struct virtio_vdpa *
virtio_vdpa_by_vid(int vid)
{
	struct rte_vdpa_device *vdpa = rte_vhost_get_vdpa_device(vid);

	return vdpa == NULL ? NULL : virtio_vdpa_by_vdpa(vdpa);
}

/* How many queue pairs the function has: its configuration says, its vectors limit. */
static int
device_pairs(struct virtio_vdpa *dev)
{
	uint16_t pairs = 1, offset = offsetof(struct lm_virtio_net_config, max_virtqueue_pairs);
	uint32_t vectors = lm_pci_irq_count(dev->pci);
	int ret;

	if ((dev->device_features & 1ULL << LM_VIRTIO_NET_F_MQ) != 0) {
		ret = lm_virtio_config_get(dev->virtio, offset, &pairs, sizeof(pairs));
		if (ret != 0)
			return ret;
	}
	dev->device_pairs = pairs;
	pairs = RTE_MIN(pairs, VIRTIO_VDPA_MAX_PAIRS);
	pairs = RTE_MIN(pairs, lm_virtio_num_queues(dev->virtio) / 2);
	if (pairs == 0 || vectors < 3) {
		VDPA_LOG(ERR, dev, "the function has %u queues and %" PRIu32 " MSI-X vectors; "
			"2 and 3 are needed", lm_virtio_num_queues(dev->virtio), vectors);
		return -ENODEV;
	}
	if (2u * pairs + 1 > vectors) {
		pairs = (uint16_t)((vectors - 1) / 2);
		VDPA_LOG(WARNING, dev, "%" PRIu32 " MSI-X vectors are enough for %u queue pairs "
			"only", vectors, pairs);
	}
	dev->max_pairs = pairs;
	dev->nb_queues = 2 * pairs;
	return 0;
}

static int
queues_create(struct virtio_vdpa *dev)
{
	char name[sizeof(((struct lm_quiesce *)NULL)->name)];
	struct virtio_vdpa_queue *q;
	uint16_t i;
	int ret;

	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		ret = lm_virtio_queue_max(dev->virtio, i, &q->max_size);
		if (ret != 0)
			return ret;
		q->irqfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (q->irqfd < 0)
			return -errno;
		snprintf(name, sizeof(name), "%.18s queue %hu", dev->name, i);
		lm_quiesce_setup(&q->guard, name);
	}
	return 0;
}

static void
device_free(struct virtio_vdpa *dev)
{
	uint16_t i;

	if (dev->switcher != NULL)
		virtio_vdpa_switcher_destroy(dev->switcher);
	if (dev->worker != NULL)
		virtio_vdpa_worker_destroy(dev->worker);
	for (i = 0; i < VIRTIO_VDPA_MAX_QUEUES; i++) {
		if (dev->queue[i].shadow.vaddr != NULL)
			lm_pci_mem_free(dev->pci, &dev->queue[i].shadow);
		if (dev->queue[i].irqfd >= 0)
			close(dev->queue[i].irqfd);
	}
	if (dev->frame.vaddr != NULL)
		lm_pci_mem_free(dev->pci, &dev->frame);
	if (dev->cvq != NULL)
		lm_virtio_cvq_destroy(dev->cvq);
	if (dev->virtio != NULL)
		lm_virtio_close(dev->virtio);
	virtio_vdpa_mem_clear(dev);
	virtio_vdpa_positions_close(dev);
	if (dev->log != NULL)
		lm_vhost_log_destroy(dev->log);
	if (dev->timeline != NULL)
		lm_timeline_destroy(dev->timeline);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

static struct virtio_vdpa *
device_alloc(struct rte_device *rte_dev, const char *name, const struct virtio_vdpa_args *args,
		struct lm_pci *pci)
{
	struct virtio_vdpa *dev;
	uint16_t i;

	dev = calloc(1, sizeof(*dev) + VIRTIO_VDPA_MAX_QUEUES * sizeof(dev->queue[0]));
	if (dev == NULL)
		return NULL;
	strlcpy(dev->name, name, sizeof(dev->name));
	dev->rte_dev = rte_dev;
	dev->args = *args;
	dev->pci = pci;
	dev->vid = -1;
	pthread_mutex_init(&dev->lock, NULL);
	rte_spinlock_init(&dev->log_lock);
	for (i = 0; i < VIRTIO_VDPA_MAX_QUEUES; i++) {
		dev->queue[i].dev = dev;
		dev->queue[i].index = i;
		dev->queue[i].kickfd = -1;
		dev->queue[i].callfd = -1;
		dev->queue[i].irqfd = -1;
		rte_spinlock_init(&dev->queue[i].stat_lock);
	}
	return dev;
}

/* Everything but the registrations. */
static int
device_open(struct virtio_vdpa *dev)
{
	int ret;

	ret = lm_quiesce_init();
	if (ret == 0)
		ret = lm_timeline_create(dev->name, &dev->timeline);
	if (ret == 0)
		ret = lm_virtio_open(dev->pci, &dev->virtio);
	if (ret != 0)
		return ret;
	if (lm_virtio_device_id(dev->virtio) != 1) {
		VDPA_LOG(ERR, dev, "virtio device id %u is not a network function",
			lm_virtio_device_id(dev->virtio));
		return -ENODEV;
	}
	dev->device_features = lm_virtio_device_features(dev->virtio);
	dev->guest_features = virtio_vdpa_guest_features(dev->device_features, dev->args.features);
	if ((dev->guest_features & 1ULL << LM_VIRTIO_F_VERSION_1) == 0) {
		VDPA_LOG(ERR, dev, "VERSION_1 is not among the features 0x%" PRIx64 " & 0x%" PRIx64,
			dev->device_features, dev->args.features);
		return -ENODEV;
	}
	ret = lm_virtio_reset(dev->virtio, 5000000);
	if (ret == 0)
		ret = lm_pci_bus_master(dev->pci, true);
	if (ret == 0)
		ret = device_pairs(dev);
	if (ret == 0)
		ret = queues_create(dev);
	if (ret == 0)
		ret = lm_pci_mem_alloc(dev->pci, lm_pci_page_size(dev->pci), &dev->frame);
	if (ret == 0 && dev->args.premap[0] != '\0')
		ret = lm_pci_premap(dev->pci, dev->args.premap);
	if (ret == 0 && dev->args.positions[0] != '\0')
		virtio_vdpa_positions_open(dev, dev->args.positions);
	if (ret == 0 && dev->args.notifiers)
		virtio_vdpa_notifier_pages(dev);
	if (ret == 0)
		ret = virtio_vdpa_worker_create(dev, &dev->worker);
	if (ret == 0)
		ret = virtio_vdpa_switcher_create(dev, &dev->switcher);
	return ret;
}

/* Undo all of virtio_vdpa_create(); the function itself stays open. */
static void
device_withdraw(struct virtio_vdpa *dev)
{
	if (dev->vdpa != NULL)
		rte_vdpa_unregister_device(dev->vdpa);
	pthread_mutex_lock(&dev->lock);
	virtio_vdpa_close_locked(dev);
	device_silence(dev);
	pthread_mutex_unlock(&dev->lock);
	pthread_mutex_lock(&devices_lock);
	TAILQ_REMOVE(&devices, dev, next);
	pthread_mutex_unlock(&devices_lock);
	lm_device_unregister(dev->lm);
	device_free(dev);
}

int
virtio_vdpa_create(struct rte_device *rte_dev, const char *name,
		const struct virtio_vdpa_args *args, struct lm_pci *pci)
{
	struct virtio_vdpa *dev = device_alloc(rte_dev, name, args, pci);
	int ret;

	if (dev == NULL)
		return -ENOMEM;
	ret = device_open(dev);
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "cannot take the function over: %s", strerror(-ret));
		device_free(dev);
		return ret;
	}
	if (args->test_log_drop != 0)
		VDPA_LOG(WARNING, dev, "test_log_drop=%" PRIu32 ": marks of one page in %" PRIu32
			" are thrown away, migrations corrupt the guest", args->test_log_drop,
			args->test_log_drop);
	ret = virtio_vdpa_tel_register(dev);
	if (ret != 0) {
		VDPA_LOG(ERR, dev, "cannot register with telemetry: %s", strerror(-ret));
		device_free(dev);
		return ret;
	}
	pthread_mutex_lock(&devices_lock);
	TAILQ_INSERT_TAIL(&devices, dev, next);
	pthread_mutex_unlock(&devices_lock);
	dev->vdpa = rte_vdpa_register_device(rte_dev, &virtio_vdpa_ops);
	if (dev->vdpa == NULL) {
		VDPA_LOG(ERR, dev, "rte_vdpa refuses the device");
		device_withdraw(dev);
		return -ENODEV;
	}
	virtio_vdpa_event(dev, "start", "probed", 0, 0);
	return 0;
}

int
virtio_vdpa_remove(const struct rte_device *rte_dev)
{
	struct virtio_vdpa *dev = device_by_rte(rte_dev);
	struct lm_pci *pci;

	if (dev == NULL)
		return -ENODEV;
	pci = dev->pci;
	device_withdraw(dev);
	lm_pci_close(pci);
	return 0;
}

const char *
virtio_vdpa_mode_name(enum virtio_vdpa_mode mode)
{
	static const char * const names[] = { "off", "direct", "relay" };

	return mode < RTE_DIM(names) ? names[mode] : "?";
}
