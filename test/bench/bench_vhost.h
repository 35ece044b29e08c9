/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef BENCH_VHOST_H
#define BENCH_VHOST_H

/**
 * @file
 * A vhost device of DPDK's own vhost library, connected to a front end in this process that does
 * what is needed to have a dirty log and, when asked for, one ring.
 */

#include <stdint.h>

/**
 * EAL must be up. dir: where the socket goes. The log is log_fd, log_bytes long.
 * @return 0 with *vid set, or -errno with what failed on stderr
 */
int bench_vhost_start(const char *dir, int log_fd, uint64_t log_bytes, int *vid);

/** A split ring in memory that the front end shares at guest-physical 0. */
struct bench_vhost_ring {
	int mem_fd;
	void *mem;
	uint64_t mem_bytes;
	uint64_t desc_offset, avail_offset, used_offset;
	uint32_t size;
};
/** After bench_vhost_start(): gives a queue to rte_vhost, and the memory with it. */
int bench_vhost_ring_set(const struct bench_vhost_ring *ring, uint32_t queue);
/** Nothing is logged from now on. */
int bench_vhost_log_off(void);
void bench_vhost_stop(void);

#endif /* BENCH_VHOST_H */
