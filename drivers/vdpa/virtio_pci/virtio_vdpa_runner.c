/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_pause.h>
#include <rte_service.h>
#include <rte_service_component.h>

#include "lm_thread.h"
#include "virtio_vdpa.h"

/*
 * A thread polls all its workers while one of them has work, and sleeps on their epoll descriptors
 * after a while without any. A service polls for ever: service cores are there for that.
 */

#define RUNNER_EMPTY_ROUNDS 256
#define RUNNER_NAP_MS 1
#define RUNNER_EVENTS 16
#define RUNNER_WAKE UINT64_MAX

struct virtio_vdpa_runner;

struct virtio_vdpa_seat {
	TAILQ_ENTRY(virtio_vdpa_seat) next;
	struct virtio_vdpa *dev;
	struct virtio_vdpa_worker *worker;
	struct virtio_vdpa_runner *runner; /* NULL: a service */
	uint32_t service;
};

/* A seat to add, or to remove; the thread does it between two rounds. */
struct runner_change {
	struct virtio_vdpa_seat *seat;
	bool add;
	sem_t done;
};

struct virtio_vdpa_runner {
	TAILQ_ENTRY(virtio_vdpa_runner) next;
	TAILQ_HEAD(, virtio_vdpa_seat) seats; /* the thread's own */
	int32_t number;
	unsigned int nb_seats;                /* under runners_lock */
	struct lm_thread thread;
	int epfd, wakefd;
	rte_cpuset_t cpus;
	bool has_cpus;
	_Atomic bool stop;
	_Atomic(struct runner_change *) change;
};

TAILQ_HEAD(runner_list, virtio_vdpa_runner);
static struct runner_list runners = TAILQ_HEAD_INITIALIZER(runners);
static pthread_mutex_t runners_lock = PTHREAD_MUTEX_INITIALIZER; /* of the list, and of changes */

static void
runner_apply(struct virtio_vdpa_runner *r)
{
	struct runner_change *c = atomic_exchange_explicit(&r->change, NULL, memory_order_acq_rel);
	struct epoll_event event = { .events = EPOLLIN };

	if (c == NULL)
		return;
	event.data.ptr = c->seat;
	if (c->add) {
		TAILQ_INSERT_TAIL(&r->seats, c->seat, next);
		epoll_ctl(r->epfd, EPOLL_CTL_ADD, virtio_vdpa_worker_fd(c->seat->worker), &event);
	} else {
		TAILQ_REMOVE(&r->seats, c->seat, next);
		epoll_ctl(r->epfd, EPOLL_CTL_DEL, virtio_vdpa_worker_fd(c->seat->worker), NULL);
	}
	sem_post(&c->done);
}

static unsigned int
runner_round(struct virtio_vdpa_runner *r)
{
	struct virtio_vdpa_seat *seat;
	unsigned int n = 0;

	TAILQ_FOREACH(seat, &r->seats, next)
		n += virtio_vdpa_worker_poll(seat->worker);
	return n;
}

static bool
runner_may_sleep(struct virtio_vdpa_runner *r)
{
	struct virtio_vdpa_seat *seat;

	TAILQ_FOREACH(seat, &r->seats, next) {
		if (!virtio_vdpa_worker_may_sleep(seat->worker))
			return false;
	}
	return true;
}

static void
runner_sleep(struct virtio_vdpa_runner *r)
{
	struct epoll_event events[RUNNER_EVENTS];
	struct virtio_vdpa_seat *seat;
	int timeout_ms = -1;
	eventfd_t n;
	int nb, i;

	TAILQ_FOREACH(seat, &r->seats, next) {
		virtio_vdpa_count(seat->dev, VIRTIO_VDPA_SLEEPS, 1);
		if (virtio_vdpa_worker_naps(seat->worker))
			timeout_ms = RUNNER_NAP_MS;
	}
	nb = epoll_wait(r->epfd, events, RUNNER_EVENTS, timeout_ms);
	for (i = 0; i < nb; i++) {
		if (events[i].data.ptr == NULL)
			eventfd_read(r->wakefd, &n);
		else
			virtio_vdpa_worker_events(
				((struct virtio_vdpa_seat *)events[i].data.ptr)->worker);
	}
}

static lm_thread_ret_t
runner_main(void *arg)
{
	struct virtio_vdpa_runner *r = arg;
	uint32_t empty = 0;

	if (r->has_cpus && rte_thread_set_affinity(&r->cpus) != 0)
		RTE_LOG_LINE(WARNING, VIRTIO_VDPA,
			"cannot run a relay on the CPUs of relay_cpus=");
	while (!atomic_load_explicit(&r->stop, memory_order_acquire)) {
		if (atomic_load_explicit(&r->change, memory_order_relaxed) != NULL)
			runner_apply(r);
		if (runner_round(r) != 0) {
			empty = 0;
		} else if (++empty < RUNNER_EMPTY_ROUNDS) {
			rte_pause();
		} else if (runner_may_sleep(r)) {
			runner_sleep(r);
			empty = 0;
		}
	}
	return LM_THREAD_RETURN;
}

static void
runner_free(struct virtio_vdpa_runner *r)
{
	if (r->epfd >= 0)
		close(r->epfd);
	if (r->wakefd >= 0)
		close(r->wakefd);
	free(r);
}

static int
runner_create(const struct virtio_vdpa_args *args, struct virtio_vdpa_runner **runner)
{
	struct virtio_vdpa_runner *r = calloc(1, sizeof(*r));
	struct epoll_event event = { .events = EPOLLIN };
	int ret;

	if (r == NULL)
		return -ENOMEM;
	TAILQ_INIT(&r->seats);
	r->number = args->relay_thread;
	r->has_cpus = args->has_relay_cpus;
	r->cpus = args->relay_cpus;
	r->epfd = epoll_create1(EPOLL_CLOEXEC);
	r->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = r->epfd < 0 || r->wakefd < 0 ||
		epoll_ctl(r->epfd, EPOLL_CTL_ADD, r->wakefd, &event) != 0 ? -errno : 0;
	if (ret == 0)
		ret = lm_thread_create(&r->thread, "lm-relay", runner_main, r);
	if (ret != 0) {
		runner_free(r);
		return ret;
	}
	TAILQ_INSERT_TAIL(&runners, r, next);
	*runner = r;
	return 0;
}

/* runners_lock is held: one change at a time. Waits until the thread has done it. */
static void
runner_change(struct virtio_vdpa_seat *seat, bool add)
{
	struct runner_change c = { .seat = seat, .add = add };

	sem_init(&c.done, 0, 0);
	atomic_store_explicit(&seat->runner->change, &c, memory_order_release);
	eventfd_write(seat->runner->wakefd, 1);
	while (sem_wait(&c.done) != 0)
		;
	sem_destroy(&c.done);
}

static int
thread_join(struct virtio_vdpa_seat *seat)
{
	const struct virtio_vdpa_args *args = &seat->dev->args;
	struct virtio_vdpa_runner *r;
	int ret = 0;

	pthread_mutex_lock(&runners_lock);
	TAILQ_FOREACH(r, &runners, next) {
		if (args->relay_thread >= 0 && r->number == args->relay_thread)
			break;
	}
	if (r == NULL)
		ret = runner_create(args, &r);
	if (ret == 0) {
		seat->runner = r;
		r->nb_seats++;
		runner_change(seat, true);
	}
	pthread_mutex_unlock(&runners_lock);
	return ret;
}

static void
thread_leave(struct virtio_vdpa_seat *seat)
{
	struct virtio_vdpa_runner *r = seat->runner;

	pthread_mutex_lock(&runners_lock);
	runner_change(seat, false);
	if (--r->nb_seats == 0) {
		TAILQ_REMOVE(&runners, r, next);
		atomic_store_explicit(&r->stop, true, memory_order_release);
		eventfd_write(r->wakefd, 1);
		lm_thread_join(&r->thread);
		runner_free(r);
	}
	pthread_mutex_unlock(&runners_lock);
}

static int32_t
service_main(void *arg)
{
	struct virtio_vdpa_seat *seat = arg;

	virtio_vdpa_worker_poll(seat->worker);
	return 0;
}

/* The service core with the fewest services. @return -1: none. */
static int32_t
service_lcore(void)
{
	uint32_t lcores[RTE_MAX_LCORE];
	int32_t nb = rte_service_lcore_list(lcores, RTE_MAX_LCORE), best = -1, i;

	for (i = 0; i < nb; i++) {
		if (best < 0 || rte_service_lcore_count_services(lcores[i]) <
				rte_service_lcore_count_services((uint32_t)best))
			best = (int32_t)lcores[i];
	}
	return best;
}

static int
service_join(struct virtio_vdpa_seat *seat, int32_t lcore)
{
	struct rte_service_spec spec = { .callback = service_main, .callback_userdata = seat,
		.socket_id = SOCKET_ID_ANY };
	int ret;

	snprintf(spec.name, sizeof(spec.name), "%.24s_relay", seat->dev->name);
	ret = rte_service_component_register(&spec, &seat->service);
	if (ret != 0)
		return ret;
	rte_service_component_runstate_set(seat->service, 1);
	ret = rte_service_map_lcore_set(seat->service, (uint32_t)lcore, 1);
	if (ret == 0)
		ret = rte_service_runstate_set(seat->service, 1);
	if (ret == 0)
		ret = rte_service_lcore_start((uint32_t)lcore);
	if (ret != 0 && ret != -EALREADY) {
		rte_service_component_unregister(seat->service);
		return ret;
	}
	VDPA_LOG(NOTICE, seat->dev, "relays are polled by service core %" PRId32
		", which is busy even when no queue is relayed", lcore);
	return 0;
}

static void
service_leave(struct virtio_vdpa_seat *seat)
{
	rte_service_runstate_set(seat->service, 0);
	rte_service_component_runstate_set(seat->service, 0);
	while (rte_service_may_be_active(seat->service) == 1)
		rte_pause();
	rte_service_component_unregister(seat->service);
}

int
virtio_vdpa_runner_join(struct virtio_vdpa *dev, struct virtio_vdpa_worker *w,
		struct virtio_vdpa_seat **out)
{
	struct virtio_vdpa_seat *seat = calloc(1, sizeof(*seat));
	int32_t lcore = service_lcore();
	int ret;

	if (seat == NULL)
		return -ENOMEM;
	seat->dev = dev;
	seat->worker = w;
	ret = lcore >= 0 ? service_join(seat, lcore) : thread_join(seat);
	if (ret != 0) {
		free(seat);
		return ret;
	}
	*out = seat;
	return 0;
}

void
virtio_vdpa_runner_leave(struct virtio_vdpa_seat *seat)
{
	if (seat->runner != NULL)
		thread_leave(seat);
	else
		service_leave(seat);
	free(seat);
}

void
virtio_vdpa_runner_describe(const struct virtio_vdpa_seat *seat, char *buf, size_t size)
{
	if (seat->runner == NULL)
		snprintf(buf, size, "service %" PRIu32, seat->service);
	else if (seat->runner->number >= 0)
		snprintf(buf, size, "shared thread %" PRId32, seat->runner->number);
	else
		snprintf(buf, size, "own thread");
}
