/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "dm_loop.h"

#define DM_LOOP_MAX_SOURCES 256
#define DM_LOOP_MAX_EVENTS 16
#define DM_LOOP_BUSY_ROUNDS 8     /* bursts between two looks at the descriptors */
#define DM_LOOP_SPIN_NS 20000     /* without work, before asking for notifications */
#define DM_LOOP_CROWDED_NS 20000  /* a yield that takes longer: others want this core */

struct dm_loop_source {
	int fd; /* -1: free */
	dm_loop_fn fn;
	void *ctx;
};

struct dm_loop {
	struct dm_loop_worker worker;
	struct dm_loop_source sources[DM_LOOP_MAX_SOURCES];
	int epoll_fd;
	bool stop;
	bool crowded;
};

uint64_t
dm_loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int
dm_loop_create(const struct dm_loop_worker *worker, struct dm_loop **loop)
{
	struct dm_loop *l = calloc(1, sizeof(*l));
	int i;

	if (l == NULL)
		return -ENOMEM;
	l->worker = *worker;
	for (i = 0; i < DM_LOOP_MAX_SOURCES; i++)
		l->sources[i].fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		i = -errno;
		free(l);
		return i;
	}
	*loop = l;
	return 0;
}

void
dm_loop_destroy(struct dm_loop *loop)
{
	if (loop == NULL)
		return;
	close(loop->epoll_fd);
	free(loop);
}

int
dm_loop_add(struct dm_loop *loop, int fd, dm_loop_fn fn, void *ctx)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct dm_loop_source *s = NULL;
	uint32_t i;

	for (i = 0; i < DM_LOOP_MAX_SOURCES && s == NULL; i++)
		if (loop->sources[i].fd < 0) {
			s = &loop->sources[i];
			event.data.u32 = i;
		}
	if (s == NULL)
		return -ENOSPC;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return -errno;
	s->fd = fd;
	s->fn = fn;
	s->ctx = ctx;
	return 0;
}

void
dm_loop_del(struct dm_loop *loop, int fd)
{
	uint32_t i;

	for (i = 0; i < DM_LOOP_MAX_SOURCES; i++)
		if (loop->sources[i].fd == fd) {
			epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
			loop->sources[i].fd = -1;
		}
}

static void
dm_loop_wait(struct dm_loop *loop, uint32_t timeout_us)
{
	const struct timespec timeout = {
		.tv_sec = timeout_us / 1000000,
		.tv_nsec = (long)(timeout_us % 1000000) * 1000,
	};
	struct epoll_event events[DM_LOOP_MAX_EVENTS];
	const struct dm_loop_source *s;
	int nb, i;

	nb = epoll_pwait2(loop->epoll_fd, events, DM_LOOP_MAX_EVENTS, &timeout, NULL);
	for (i = 0; i < nb; i++) {
		s = &loop->sources[events[i].data.u32];
		/* An earlier one of this round may have taken it away. */
		if (s->fd >= 0 && s->fn != NULL)
			s->fn(s->ctx);
	}
}

/* Give others the core. On a crowded machine spinning only takes their time. */
static void
dm_loop_yield(struct dm_loop *loop)
{
	uint64_t begin_ns = dm_loop_now_ns();

	sched_yield();
	loop->crowded = dm_loop_now_ns() - begin_ns > DM_LOOP_CROWDED_NS;
}

void
dm_loop_run(struct dm_loop *loop)
{
	uint64_t idle_since_ns = 0;
	unsigned int rounds = 0;
	uint32_t sleep_us;
	uint64_t now_ns;

	while (!loop->stop) {
		now_ns = dm_loop_now_ns();
		if (loop->worker.poll(loop->worker.ctx, now_ns) != 0) {
			idle_since_ns = 0;
			if (++rounds % DM_LOOP_BUSY_ROUNDS == 0)
				dm_loop_wait(loop, 0);
			continue;
		}
		if (idle_since_ns == 0)
			idle_since_ns = now_ns;
		if (!loop->crowded && now_ns - idle_since_ns < DM_LOOP_SPIN_NS) {
			dm_loop_yield(loop);
			continue;
		}
		sleep_us = loop->worker.sleep(loop->worker.ctx);
		loop->crowded = false;
		dm_loop_wait(loop, sleep_us);
	}
}

void
dm_loop_stop(struct dm_loop *loop)
{
	loop->stop = true;
}
