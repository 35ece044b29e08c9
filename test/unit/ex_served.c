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

#include "ex_served.h"

static unsigned int
served_poll(void *ctx, uint64_t now_ns)
{
	struct ex_served *s = ctx;
	unsigned int work = 0;
	uint32_t i;

	for (i = 0; i < s->nb; i++)
		work += s->functions[i].device.ops->poll(s->functions[i].device.dev, now_ns);
	return work;
}

static uint32_t
served_sleep(void *ctx)
{
	struct ex_served *s = ctx;
	uint32_t least_us = UINT32_MAX, us, i;

	for (i = 0; i < s->nb; i++) {
		us = s->functions[i].device.ops->sleep(s->functions[i].device.dev);
		least_us = us < least_us ? us : least_us;
	}
	return least_us;
}

static void
served_stop(void *ctx)
{
	struct ex_served *s = ctx;

	dm_loop_stop(s->loop);
}

static void
served_open(struct ex_served *s)
{
	uint32_t i;

	for (i = 0; i < s->nb; i++) {
		assert_int_equal(dm_function_open(&s->functions[i]), 0);
		assert_int_equal(dm_function_watch(&s->functions[i], s->loop), 0);
	}
}

void
ex_served_init(struct ex_served *s, const struct dm_ex_conf *conf, uint32_t nb)
{
	const struct dm_loop_worker worker = {
		.poll = served_poll, .sleep = served_sleep, .ctx = s,
	};
	struct dm_ex *vfs[EX_SERVED_MAX];
	struct dm_ex_conf own = *conf;
	uint32_t first = conf->by_pf ? 1 : 0, i;

	memset(s, 0, sizeof(*s));
	snprintf(s->dir, sizeof(s->dir), "/tmp/lm-ex-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->nb = nb;
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(dm_loop_create(&worker, &s->loop), 0);
	assert_int_equal(dm_loop_add(s->loop, s->stop_fd, served_stop, s), 0);
	for (i = 0; i < nb; i++) {
		snprintf(s->paths[i], sizeof(s->paths[i]), "%s/%u", s->dir, i);
		dm_function_init(&s->functions[i], s->paths[i]);
	}
	for (i = first; i < nb; i++, own.seed++) {
		own.host = &s->functions[i].host;
		assert_int_equal(dm_ex_create(&own, &s->functions[i].device), 0);
		vfs[i - first] = s->functions[i].device.dev;
	}
	if (first == 1)
		assert_int_equal(dm_ex_pf_create(&s->functions[0].host, vfs, nb - 1,
				&s->functions[0].device), 0);
	served_open(s);
}

void
ex_served_fault(struct ex_served *s, uint32_t function, const char *spec)
{
	assert_int_equal(dm_function_fault(&s->functions[function], spec), 0);
}

static void *
served_run(void *arg)
{
	struct ex_served *s = arg;

	dm_loop_run(s->loop);
	return NULL;
}

void
ex_served_start(struct ex_served *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, served_run, s), 0);
}

void
ex_served_fini(struct ex_served *s)
{
	uint32_t i;

	eventfd_write(s->stop_fd, 1);
	pthread_join(s->thread, NULL);
	for (i = 0; i < s->nb; i++)
		dm_function_close(&s->functions[i]);
	dm_loop_destroy(s->loop);
	close(s->stop_fd);
	rmdir(s->dir);
}

struct lm_pci *
ex_served_open(struct ex_served *s, uint32_t function)
{
	struct lm_pci *pci = NULL;

	if (lm_pci_open_vfio_user(s->paths[function], NULL, &pci) != 0)
		fail_msg("%s", lm_pci_strerror(NULL));
	return pci;
}
