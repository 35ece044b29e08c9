/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "dm_serve.h"

struct dm_pds_pf *
serve_pf(struct dm_serve *s)
{
	return s->functions[0].device.dev;
}

struct dm_pds_vf *
serve_vf(struct dm_serve *s)
{
	return s->functions[1].device.dev;
}

static unsigned int
serve_poll(void *ctx, uint64_t now_ns)
{
	struct dm_serve *s = ctx;
	unsigned int work = 0;
	int i;

	for (i = 0; i < SERVE_MAX; i++)
		work += s->functions[i].device.ops->poll(s->functions[i].device.dev, now_ns);
	return work;
}

static uint32_t
serve_sleep(void *ctx)
{
	struct dm_serve *s = ctx;
	uint32_t least = UINT32_MAX, us;
	int i;

	for (i = 0; i < SERVE_MAX; i++) {
		us = s->functions[i].device.ops->sleep(s->functions[i].device.dev);
		least = us < least ? us : least;
	}
	return least;
}

static void
serve_called(void *ctx)
{
	struct dm_serve *s = ctx;
	eventfd_t count;

	eventfd_read(s->call_fd, &count);
	pthread_mutex_lock(&s->lock);
	if (s->fn == NULL)
		dm_loop_stop(s->loop);
	else
		s->fn(s, s->ctx);
	s->fn = NULL;
	s->ctx = NULL;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
}

static void *
serve_thread(void *ctx)
{
	struct dm_serve *s = ctx;

	dm_loop_run(s->loop);
	return NULL;
}

void
serve_call(struct dm_serve *s, void (*fn)(struct dm_serve *s, void *ctx), void *ctx)
{
	pthread_mutex_lock(&s->lock);
	s->fn = fn;
	s->ctx = ctx;
	eventfd_write(s->call_fd, 1);
	while (s->fn != NULL)
		pthread_cond_wait(&s->done, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void
fault_call(struct dm_serve *s, void *ctx)
{
	const char *spec = *(const char **)ctx;

	assert_int_equal(dm_function_fault(&s->functions[0], spec), 0);
}

void
serve_fault(struct dm_serve *s, const char *spec)
{
	serve_call(s, fault_call, &spec);
}

void
serve_start(struct dm_serve *s, uint16_t pairs)
{
	const struct dm_loop_worker worker = { serve_poll, serve_sleep, s };
	struct dm_pds_vf_conf vf = { .pairs = pairs, .mac = { 2, 0, 0, 0, 0, 1 } };
	int i;

	memset(s, 0, sizeof(*s));
	snprintf(s->dir, sizeof(s->dir), "/tmp/dm-serve.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_int_equal(dm_loop_create(&worker, &s->loop), 0);
	assert_int_equal(dm_wire_open("loop", &s->wire), 0);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->done, NULL);
	s->call_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(dm_loop_add(s->loop, s->call_fd, serve_called, s), 0);
	for (i = 0; i < SERVE_MAX; i++) {
		snprintf(s->paths[i], sizeof(s->paths[i]), "%s/%d", s->dir, i);
		dm_function_init(&s->functions[i], s->paths[i]);
	}
	assert_int_equal(dm_pds_pf_create(&s->functions[0].host, &s->functions[0].pci,
			&s->functions[0].device), 0);
	vf.host = &s->functions[1].host;
	vf.wire = s->wire;
	assert_int_equal(dm_pds_vf_create(&vf, &s->functions[1].device), 0);
	dm_pds_pf_add_vf(serve_pf(s), serve_vf(s));
	for (i = 0; i < SERVE_MAX; i++) {
		assert_int_equal(dm_function_open(&s->functions[i]), 0);
		assert_int_equal(dm_function_watch(&s->functions[i], s->loop), 0);
	}
	assert_int_equal(pthread_create(&s->thread, NULL, serve_thread, s), 0);
}

void
serve_stop(struct dm_serve *s)
{
	int i;

	eventfd_write(s->call_fd, 1);
	pthread_join(s->thread, NULL);
	for (i = 0; i < SERVE_MAX; i++)
		dm_function_close(&s->functions[i]);
	dm_wire_close(s->wire);
	dm_loop_destroy(s->loop);
	close(s->call_fd);
	rmdir(s->dir);
}
