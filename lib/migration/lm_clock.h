/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_CLOCK_H
#define LM_CLOCK_H

/** @file Deadlines on CLOCK_MONOTONIC; private to this library. */

#include <sched.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t
lm_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static inline uint64_t
lm_clock_after_us(uint64_t us)
{
	uint64_t now = lm_clock_ns();

	return us > (UINT64_MAX - now) / 1000 ? UINT64_MAX : now + us * 1000;
}

/** Between two looks at what another thread does: yield at first, then sleep. */
static inline void
lm_clock_relax(unsigned int tries)
{
	const struct timespec nap = { .tv_nsec = 20000 };

	if (tries < 64)
		sched_yield();
	else
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

#endif /* LM_CLOCK_H */
