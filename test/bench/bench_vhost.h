/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef BENCH_VHOST_H
#define BENCH_VHOST_H

/**
 * @file
 * A vhost device of DPDK's own vhost library, connected to a front end in this process that does
 * what is needed to have a dirty log and nothing more: no memory table, no rings.
 */

#include <stdint.h>

/**
 * EAL must be up. dir: where the socket goes. The log is log_fd, log_bytes long.
 * @return 0 with *vid set, or -errno with what failed on stderr
 */
int bench_vhost_start(const char *dir, int log_fd, uint64_t log_bytes, int *vid);
void bench_vhost_stop(void);

#endif /* BENCH_VHOST_H */
