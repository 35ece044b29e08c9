/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lm_clock.h"
#include "lm_quiesce.h"
#include "lm_quiesce_pvt.h"

/* Safe until lm_quiesce_init() knows better. */
bool lm_quiesce_full_fence = true;

static int
membarrier(int cmd)
{
	return syscall(__NR_membarrier, cmd, 0, 0) < 0 ? -errno : 0;
}

int
lm_quiesce_init(void)
{
#ifndef LM_QUIESCE_FENCE
	/* Refused by an old kernel or a seccomp filter alike: bursts keep their fence. */
	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
		lm_quiesce_full_fence = false;
#endif
	return 0;
}

void
lm_quiesce_force_fence(bool on)
{
	lm_quiesce_full_fence = on;
}

void
lm_quiesce_setup(struct lm_quiesce *q, const char *name)
{
	atomic_init(&q->in_burst, 0);
	atomic_init(&q->drain, 0);
	snprintf(q->name, sizeof(q->name), "%s", name);
}

static int
wait_out(struct lm_quiesce *q, uint64_t until_ns)
{
	unsigned int tries = 0;

	while (atomic_load(&q->in_burst) != 0) {
		if (lm_clock_ns() >= until_ns)
			return -ETIMEDOUT;
		lm_clock_relax(tries++);
	}
	return 0;
}

int
lm_quiesce_park(struct lm_quiesce *const *queues, unsigned int nb, uint64_t deadline_us,
		const struct lm_quiesce **late)
{
	uint64_t until_ns = lm_clock_after_us(deadline_us);
	unsigned int i;
	int ret = 0;

	if (late != NULL)
		*late = NULL;
	for (i = 0; i < nb; i++)
		atomic_store(&queues[i]->drain, 1);
	/*
	 * A full fence in each thread that runs: a burst that read drain too early for us has its
	 * in_burst visible now. With full fences the order of the atomics says the same.
	 */
	if (!lm_quiesce_full_fence)
		ret = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (i = 0; i < nb && ret == 0; i++) {
		ret = wait_out(queues[i], until_ns);
		if (ret != 0 && late != NULL)
			*late = queues[i];
	}
	if (ret != 0)
		lm_quiesce_release(queues, nb);
	return ret;
}

void
lm_quiesce_release(struct lm_quiesce *const *queues, unsigned int nb)
{
	unsigned int i;

	for (i = 0; i < nb; i++)
		atomic_store_explicit(&queues[i]->drain, 0, memory_order_release);
}
