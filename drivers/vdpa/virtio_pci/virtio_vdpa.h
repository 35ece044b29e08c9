/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_VDPA_H
#define VIRTIO_VDPA_H

/**
 * @file
 * vDPA driver for modern virtio-pci network functions: the device object.
 *
 * Threads. The vhost event thread runs the rte_vdpa operations and is the manager: it parks a
 * queue (lm_quiesce.h) before it changes anything that the worker reads. The worker relays and
 * forwards kicks. Telemetry threads read figures only. `lock` serialises managers (vhost thread,
 * unplug).
 *
 * A queue is off, direct (the device works on the guest's ring) or relayed (it works on a shadow
 * ring in our memory, virtio_vdpa_relay.h).
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include <rte_lcore.h>
#include <rte_spinlock.h>
#include <vdpa_driver.h>

#include "lm_compat.h"
#include "lm_device.h"
#include "lm_imap.h"
#include "lm_pci.h"
#include "lm_quiesce.h"
#include "lm_timeline.h"
#include "lm_vhost_log.h"
#include "lm_virtio.h"
#include "virtio_vdpa_relay.h"

#define VIRTIO_VDPA_MAX_PAIRS 64
#define VIRTIO_VDPA_MAX_QUEUES (2 * VIRTIO_VDPA_MAX_PAIRS)
#define VIRTIO_VDPA_MAX_REGIONS 64
#define VIRTIO_VDPA_NO_VECTOR 0xffff
#define VIRTIO_VDPA_PROTOCOL_F_BACKEND_REQ 5 /* rte_vhost.h renames it in 23.03 */
#define VIRTIO_VDPA_PROTOCOL_F_BACKEND_SEND_FD 10
#define VIRTIO_VDPA_STOP_BUDGET_MS 200

extern int virtio_vdpa_logtype;
#define RTE_LOGTYPE_VIRTIO_VDPA virtio_vdpa_logtype
/** Log a line about a device; dev is anything with a name. */
#define VDPA_LOG(level, dev, fmt, ...) \
	RTE_LOG_LINE(level, VIRTIO_VDPA, "%s: " fmt, (dev)->name, ## __VA_ARGS__)
/** Log a line before there is a device. */
#define VDPA_LOG_NAME(level, name, fmt, ...) \
	RTE_LOG_LINE(level, VIRTIO_VDPA, "%s: " fmt, name, ## __VA_ARGS__)

enum virtio_vdpa_mode {
	VIRTIO_VDPA_OFF,
	VIRTIO_VDPA_DIRECT,
	VIRTIO_VDPA_RELAY,
};
const char *virtio_vdpa_mode_name(enum virtio_vdpa_mode mode);

/** Has the front end a queue's doorbell page? */
enum virtio_vdpa_notifier {
	VIRTIO_VDPA_NOTIFIER_NONE,
	VIRTIO_VDPA_NOTIFIER_MAPPED,
	VIRTIO_VDPA_NOTIFIER_REFUSED,
};

/** What a device argument string says. */
struct virtio_vdpa_args {
	char socket[108];
	char premap[512];
	char positions[512];
	uint64_t features;        /* mask */
	uint32_t stop_budget_ms;
	uint32_t test_log_drop;   /* one page in N; 0: off */
	rte_cpuset_t relay_cpus;
	bool has_relay_cpus;
	int32_t relay_thread;     /* shared by devices with the same number; -1: own */
	bool log_full;
	bool relay;               /* never direct */
	bool notifiers;           /* the front end may map doorbell pages */
	bool vdpa;                /* PCI only: opt in */
};

struct virtio_vdpa;
struct virtio_vdpa_positions;

struct virtio_vdpa_queue {
	struct virtio_vdpa *dev;
	uint16_t index;
	uint16_t size;
	uint16_t max_size;        /* of the function */
	bool known;               /* the front end has given addresses */
	bool ready;               /* rte_vhost says so (set_vring_state) */
	bool enabled;             /* SET_VRING_ENABLE */
	_Atomic uint8_t mode;     /* enum virtio_vdpa_mode; changed only while parked */
	struct lm_quiesce guard;

	/* guest's ring; packed: descriptor ring, driver event, device event */
	void *desc, *avail, *used;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint16_t base;            /* where it started; packed: bit 15 is the wrap counter */
	uint16_t said_base;       /* what the front end has said last */

	int kickfd, callfd;       /* duplicates of our own; -1: none */
	int irqfd;                /* device -> worker, while relayed */
	bool kick_watched;
	uint64_t notify_offset;   /* of its doorbell page, in dev->notify_fd */
	_Atomic uint8_t notifier; /* enum virtio_vdpa_notifier */

	struct virtio_vdpa_relay *relay;
	struct lm_pci_mem shadow;
	bool asleep;              /* worker's */
	bool broken;              /* worker's: the relay refused the ring */
	bool disordered;          /* worker's: it has been said */
	bool await_used;          /* worker's: tell of the first completion */
	bool await_kick;          /* worker's: tell of the first kick */
	_Atomic uint8_t held;     /* enum virtio_vdpa_relay_held, as the worker last saw it */
	uint64_t held_since_us;   /* the switcher's; 0: not held */

	/* figures; live ones are the relay's and are read under stat_lock */
	rte_spinlock_t stat_lock;
	struct virtio_vdpa_relay_stats past;  /* of relays that are gone */
	struct virtio_vdpa_relay_stats zero;  /* at the last reset of statistics */
	_Atomic uint64_t kicks_forwarded;
	_Atomic uint64_t switches;
	_Atomic uint64_t holes;   /* of direct queues; relays count theirs */
	_Atomic uint64_t errors;
	_Atomic uint32_t error;   /* enum virtio_vdpa_relay_error, the last one */
};

enum virtio_vdpa_counter {
	VIRTIO_VDPA_CONF_US,
	VIRTIO_VDPA_STOP_US,
	VIRTIO_VDPA_LOG_ON_US,
	VIRTIO_VDPA_CONFS,
	VIRTIO_VDPA_STOPS,
	VIRTIO_VDPA_MAPPED_PAGES,
	VIRTIO_VDPA_KEPT_PAGES,
	VIRTIO_VDPA_MAP_US,
	VIRTIO_VDPA_BUDGET_OVERRUNS,
	VIRTIO_VDPA_ALL_DIRTY,
	VIRTIO_VDPA_RARP_SENT,
	VIRTIO_VDPA_RARP_SKIPPED,
	VIRTIO_VDPA_TX_DROPPED,      /* Tx chains completed unsent when a queue was left */
	VIRTIO_VDPA_RX_RETURNED,     /* Rx buffers handed back empty */
	VIRTIO_VDPA_UNTOLD,          /* chains that are out on rings that do not tell which */
	VIRTIO_VDPA_MQ_PAIRS,
	VIRTIO_VDPA_CVQ_ERRORS,
	VIRTIO_VDPA_SLEEPS,
	VIRTIO_VDPA_POSITIONS,       /* packed queues that went on where another process stopped */
	VIRTIO_VDPA_WRAPS,           /* queues that went back to direct at the wrap */
	VIRTIO_VDPA_WRAP_US,         /* the last one: from the first chain held back to direct */
	VIRTIO_VDPA_COUNTERS
};

struct virtio_vdpa_worker;
struct virtio_vdpa_switcher;

struct virtio_vdpa {
	TAILQ_ENTRY(virtio_vdpa) next;
	char name[32];
	struct virtio_vdpa_args args;
	struct rte_device *rte_dev;
	struct rte_vdpa_device *vdpa;
	pthread_mutex_t lock;

	struct lm_pci *pci;
	struct lm_virtio_dev *virtio;
	struct lm_virtio_cvq *cvq;
	uint16_t cvq_index;
	uint64_t device_features;
	uint64_t guest_features;      /* what the guest may be given */
	uint64_t driver_features;     /* negotiated with the device */
	bool packed;                  /* the guest's rings are; the function's are always split */
	bool ring_reset;              /* negotiated, and not found stuck since */
	bool ring_reset_stuck;        /* ever */
	bool reset_pending;           /* one that was too slow still runs: nothing to write */
	bool late;                    /* switching to relay is for the switcher to finish */
	bool drained;                 /* by SUSPEND, before this reset */
	_Atomic bool disordered;      /* seen to complete out of order */
	uint16_t device_pairs;        /* what the function has; places its control queue */
	uint16_t max_pairs;           /* what we use */
	uint16_t nb_queues;
	uint16_t pairs;               /* set by the control queue */

	int vid;
	bool notify_pages;            /* each queue has one that can be mapped */
	int notify_fd;                /* the handle's */
	_Atomic bool notifier_busy;   /* the switcher waits for the front end */
	bool hooked;                  /* extern message hooks are on this vid */
	_Atomic bool configured;
	_Atomic bool log_on;
	_Atomic bool lost;
	bool rarp_pending;
	bool rarp_mac_known;
	uint8_t rarp_mac[6];
	struct lm_pci_mem frame;

	/* guest memory, as of the last dev_conf */
	struct lm_imap *gpa_to_hva;
	struct lm_imap *hva_to_gpa;
	uint64_t memory_id;           /* whose it is; never 0 */
	uint64_t max_gpa;
	uint64_t log_max_gpa;
	struct lm_vhost_log *log;
	rte_spinlock_t log_lock;      /* of the pointer, for telemetry */

	struct virtio_vdpa_positions *positions; /* NULL: not kept */
	bool bases_asked;             /* by the front end, since the configuration */
	struct virtio_vdpa_worker *worker;
	struct virtio_vdpa_switcher *switcher;
	struct lm_timeline *timeline;
	struct lm_device *lm;
	struct lm_device_view view;
	_Atomic uint64_t counter[VIRTIO_VDPA_COUNTERS];
	struct virtio_vdpa_queue queue[];
};

/** A point in time by which something must be done, and what it is called. */
struct virtio_vdpa_deadline {
	uint64_t begin_us;
	uint64_t end_us;
	const char *phase;
};

static inline uint64_t
virtio_vdpa_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline struct virtio_vdpa_deadline
virtio_vdpa_deadline_start(const struct virtio_vdpa *dev, const char *phase)
{
	uint64_t now = virtio_vdpa_now_us();

	return (struct virtio_vdpa_deadline){ .begin_us = now,
		.end_us = now + (uint64_t)dev->args.stop_budget_ms * 1000, .phase = phase };
}

/** At least a quarter of the budget, so that the way out of a late phase has a chance, too. */
static inline uint64_t
virtio_vdpa_deadline_left_us(const struct virtio_vdpa_deadline *d)
{
	uint64_t now = virtio_vdpa_now_us(), least = (d->end_us - d->begin_us) / 4;

	return now + least < d->end_us ? d->end_us - now : least;
}

static inline void
virtio_vdpa_count(struct virtio_vdpa *dev, enum virtio_vdpa_counter counter, uint64_t n)
{
	atomic_fetch_add_explicit(&dev->counter[counter], n, memory_order_relaxed);
}

static inline void
virtio_vdpa_gauge(struct virtio_vdpa *dev, enum virtio_vdpa_counter counter, uint64_t value)
{
	atomic_store_explicit(&dev->counter[counter], value, memory_order_relaxed);
}

static inline enum virtio_vdpa_mode
virtio_vdpa_queue_mode(const struct virtio_vdpa_queue *q)
{
	return (enum virtio_vdpa_mode)atomic_load_explicit(&q->mode, memory_order_relaxed);
}

/* virtio_vdpa.c: life of a device */

/** Take the function over: reset it, register with rte_vdpa and telemetry. Owns pci on success. */
int virtio_vdpa_create(struct rte_device *rte_dev, const char *name,
		const struct virtio_vdpa_args *args, struct lm_pci *pci);
/** -ENODEV when this rte_device is not ours. */
int virtio_vdpa_remove(const struct rte_device *rte_dev);
struct virtio_vdpa *virtio_vdpa_by_vid(int vid);
struct virtio_vdpa *virtio_vdpa_by_vdpa(const struct rte_vdpa_device *vdpa);

/* virtio_vdpa_args.c: device arguments */

/** Unknown keys and bad values are refused with a message that says what is valid. */
int virtio_vdpa_args_parse(const char *name, const char *str, bool is_pci,
		struct virtio_vdpa_args *args);

/* virtio_vdpa_conf.c: what the front end said -> a running device, and back */

int virtio_vdpa_conf(int vid);
/** A connection that we have not seen makes void what the last one said. Locked. */
void virtio_vdpa_conf_vid(struct virtio_vdpa *dev, int vid);
int virtio_vdpa_close(int vid);
int virtio_vdpa_set_vring_state(int vid, int vring, int state);
int virtio_vdpa_set_features(int vid);
/** Stop, save positions, start again; for queues that appear while the device runs. */
int virtio_vdpa_restart(struct virtio_vdpa *dev, const char *why);
void virtio_vdpa_close_locked(struct virtio_vdpa *dev);

/* virtio_vdpa_mem.c: guest memory */

int virtio_vdpa_mem_sync(struct virtio_vdpa *dev);
void virtio_vdpa_mem_clear(struct virtio_vdpa *dev);
/** The VM is gone: unmap its memory now, so that the next one does not wait for it. */
void virtio_vdpa_mem_release(struct virtio_vdpa *dev);
/** Every page of the guest's memory into the log: the answer when we do not know. */
void virtio_vdpa_mem_mark_all(struct virtio_vdpa *dev, const char *why);

/* virtio_vdpa_start.c: negotiation and bringing the device up; queues are parked */

uint64_t virtio_vdpa_guest_features(uint64_t device_features, uint64_t mask);
/** What is negotiated with the function for what the front end has negotiated with us. */
uint64_t virtio_vdpa_driver_features(const struct virtio_vdpa *dev, uint64_t negotiated);
#define VIRTIO_VDPA_RESET_US 5000000 /* where nobody waits with a budget */
/** Reset, negotiate, program every queue that has a mode, DRIVER_OK, control commands. */
int virtio_vdpa_start(struct virtio_vdpa *dev, uint64_t reset_timeout_us);
int virtio_vdpa_queue_program(struct virtio_vdpa_queue *q);

/* virtio_vdpa_ladder.c: queues are parked */

/** The device stops touching all queues, or is given up. @return name of the rung that did it. */
const char *virtio_vdpa_ladder(struct virtio_vdpa *dev, const struct virtio_vdpa_deadline *d);
/** Can the function be told to finish what it has taken, and is it out of order? */
bool virtio_vdpa_drains(const struct virtio_vdpa *dev);
/** Device reset; one that timed out before is waited for, not asked for again. */
int virtio_vdpa_reset(struct virtio_vdpa *dev, uint64_t timeout_us);
/** Ring reset of one queue; -ENOTSUP where the function has none, or one that got stuck. */
int virtio_vdpa_ring_reset(struct virtio_vdpa_queue *q, const struct virtio_vdpa_deadline *d);
/** The device's process is gone; said once. Any thread. */
void virtio_vdpa_lost(struct virtio_vdpa *dev);

/* virtio_vdpa_mode.c: modes of queues; they are parked */

/** Choose a mode for a queue from its base, make the relay where one is needed. */
int virtio_vdpa_mode_choose(struct virtio_vdpa_queue *q, uint16_t base);
/** After the device let go: finish the ring, free the relay, mode off. @return base. */
uint16_t virtio_vdpa_queue_finish(struct virtio_vdpa_queue *q);
/** Queues not parked: these two park them. */
int virtio_vdpa_log_start(struct virtio_vdpa *dev);
void virtio_vdpa_log_stop(struct virtio_vdpa *dev);
/** One more try at a switch to relay that did not get done; queues not parked. */
int virtio_vdpa_log_late(struct virtio_vdpa *dev);
/** Relay -> direct, where the relay is held at index 0; the queue is parked. */
int virtio_vdpa_mode_direct(struct virtio_vdpa_queue *q, const struct virtio_vdpa_deadline *d);
/** Can relayed queues go back to direct while they run? */
bool virtio_vdpa_can_return(const struct virtio_vdpa *dev);

/* virtio_vdpa_ring.c: a split ring that a device has left */

uint16_t virtio_vdpa_ring_used_idx(const void *used);
/**
 * Complete, with length 0, what the device left behind before the last chain it used, so that
 * the rest is a suffix of the available ring. outstanding[] as virtio_vdpa_ring_outstanding()
 * gave it. Writes the used ring.
 * @return number of chains completed.
 */
unsigned int virtio_vdpa_ring_close_holes(const void *avail, void *used, uint16_t size,
		const uint16_t *outstanding, unsigned int nb);

/* virtio_vdpa_ctrl.c: control queue and announcements */

int virtio_vdpa_cvq_prepare(struct virtio_vdpa *dev);
void virtio_vdpa_ctrl_apply(struct virtio_vdpa *dev);
void virtio_vdpa_ctrl_pairs(struct virtio_vdpa *dev);
int virtio_vdpa_migration_done(int vid);
void virtio_vdpa_rarp_try(struct virtio_vdpa *dev);

/* virtio_vdpa_vhost.c: messages that rte_vhost does not pass on; queue fds */

void virtio_vdpa_vhost_hook(struct virtio_vdpa *dev);
int virtio_vdpa_log_attach(struct virtio_vdpa *dev);
void virtio_vdpa_log_detach(struct virtio_vdpa *dev);
/** Take fresh duplicates of the queue's kick and call fds (queue parked). */
void virtio_vdpa_fds_bind(struct virtio_vdpa_queue *q);
void virtio_vdpa_fds_unbind(struct virtio_vdpa_queue *q);
/** Interrupt the guest, whatever it asked for. */
void virtio_vdpa_call(const struct virtio_vdpa_queue *q);
/** After a rebind nothing may hang on a lost signal: one call, one kick. */
void virtio_vdpa_nudge(struct virtio_vdpa_queue *q);
/** Bind the queue's MSI-X vector, or all of them, to what their modes ask for. */
int virtio_vdpa_irq_bind(struct virtio_vdpa_queue *q);
int virtio_vdpa_irq_bind_all(struct virtio_vdpa *dev);

/* virtio_vdpa_notifier.c: doorbell pages that the front end maps */

/** At the start: does each queue have one? */
int virtio_vdpa_notifier_pages(struct virtio_vdpa *dev);
int virtio_vdpa_notifier_fd(int vid);
int virtio_vdpa_notifier_area(int vid, int qid, uint64_t *offset, uint64_t *size);
/** Pages of direct queues to the front end, others back. The switcher's; waits for answers. */
void virtio_vdpa_notifier_sync(struct virtio_vdpa *dev);
/** The front end has let go of all by itself, or is gone. */
void virtio_vdpa_notifier_forget(struct virtio_vdpa *dev);
/** Wait, but not for long, until the switcher is out of rte_vhost. */
void virtio_vdpa_notifier_leave(struct virtio_vdpa *dev);
/** May kicks go past us? */
bool virtio_vdpa_notifier_open(const struct virtio_vdpa_queue *q);
const char *virtio_vdpa_notifier_name(const struct virtio_vdpa_queue *q);

/* virtio_vdpa_positions.c: where packed rings stand, for the process after this one */

/** A file that cannot be used is said, and done without. */
int virtio_vdpa_positions_open(struct virtio_vdpa *dev, const char *path);
void virtio_vdpa_positions_close(struct virtio_vdpa *dev);
/** Where a packed ring starts, if the front end says base; kept from now on. */
uint16_t virtio_vdpa_positions_begin(struct virtio_vdpa_queue *q, uint16_t base);
/** For the relay. */
_Atomic uint64_t *virtio_vdpa_positions_of(const struct virtio_vdpa_queue *q);
/** The front end knows them. */
void virtio_vdpa_positions_forget(struct virtio_vdpa *dev);

/* virtio_vdpa_runner.c: who runs the workers */

/** A worker's place in a thread, or the service that runs it. */
struct virtio_vdpa_seat;
/**
 * With service cores: a service of the device's own. Else a control thread, the device's own or,
 * with relay_thread=N, one that all devices with the same N share.
 */
int virtio_vdpa_runner_join(struct virtio_vdpa *dev, struct virtio_vdpa_worker *w,
		struct virtio_vdpa_seat **seat);
/** Returns when nobody runs the worker any more. */
void virtio_vdpa_runner_leave(struct virtio_vdpa_seat *seat);
/** In a few words, for telemetry. */
void virtio_vdpa_runner_describe(const struct virtio_vdpa_seat *seat, char *buf, size_t size);

/* virtio_vdpa_worker.c: relaying and kicks */

/** One round over all relayed queues. @return chains moved */
unsigned int virtio_vdpa_worker_poll(struct virtio_vdpa_worker *w);
/** Ask for notifications; true: no work until the worker's fd is readable. */
bool virtio_vdpa_worker_may_sleep(struct virtio_vdpa_worker *w);
/** Must a relay be looked at now and then, because kicks may go past us? */
bool virtio_vdpa_worker_naps(const struct virtio_vdpa_worker *w);
/** Take what is signalled on the eventfds; does not wait. */
void virtio_vdpa_worker_events(struct virtio_vdpa_worker *w);
int virtio_vdpa_worker_fd(const struct virtio_vdpa_worker *w);
void virtio_vdpa_worker_describe(const struct virtio_vdpa_worker *w, char *buf, size_t size);

int virtio_vdpa_worker_create(struct virtio_vdpa *dev, struct virtio_vdpa_worker **worker);
void virtio_vdpa_worker_destroy(struct virtio_vdpa_worker *w);
void virtio_vdpa_worker_wake(struct virtio_vdpa_worker *w);
void virtio_vdpa_worker_watch(struct virtio_vdpa_worker *w, struct virtio_vdpa_queue *q);
void virtio_vdpa_worker_unwatch(struct virtio_vdpa_worker *w, struct virtio_vdpa_queue *q);
/** Park all queues or one; -ETIMEDOUT names the late one in the log. */
int virtio_vdpa_park_all(struct virtio_vdpa *dev, uint64_t timeout_us);
void virtio_vdpa_release_all(struct virtio_vdpa *dev);
int virtio_vdpa_park(struct virtio_vdpa_queue *q, uint64_t timeout_us);
void virtio_vdpa_release(struct virtio_vdpa_queue *q);

/* virtio_vdpa_switch.c: switches that nobody waits for */

int virtio_vdpa_switcher_create(struct virtio_vdpa *dev, struct virtio_vdpa_switcher **switcher);
void virtio_vdpa_switcher_destroy(struct virtio_vdpa_switcher *s);
void virtio_vdpa_switcher_wake(struct virtio_vdpa_switcher *s);

/* virtio_vdpa_stats.c */

int virtio_vdpa_get_stats_names(struct rte_vdpa_device *vdpa, struct rte_vdpa_stat_name *names,
		unsigned int size);
int virtio_vdpa_get_stats(struct rte_vdpa_device *vdpa, int qid, struct rte_vdpa_stat *stats,
		unsigned int n);
int virtio_vdpa_reset_stats(struct rte_vdpa_device *vdpa, int qid);
/** Figures of a queue since the last reset, of all its relays. */
void virtio_vdpa_queue_stats(struct virtio_vdpa_queue *q, struct virtio_vdpa_relay_stats *s);
/** Chains until the queue can be direct again; 0: is, or will not be. */
uint32_t virtio_vdpa_queue_to_wrap(struct virtio_vdpa_queue *q);
/** Keep what the relay counted and let go of it. */
void virtio_vdpa_queue_stats_keep(struct virtio_vdpa_queue *q);

/* virtio_vdpa_tel.c */

int virtio_vdpa_tel_register(struct virtio_vdpa *dev);
void virtio_vdpa_event(struct virtio_vdpa *dev, const char *phase, const char *event,
		uint64_t bytes, int error);

#endif /* VIRTIO_VDPA_H */
