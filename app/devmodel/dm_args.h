/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_ARGS_H
#define DM_ARGS_H

/** @file Command line of dpdk-lm-devmodel. */

#include <stdbool.h>
#include <stdint.h>

#include "dm_fault.h"

struct dm_args {
	const char *socket;
	const char *wire;
	const char *control;
	uint8_t mac[6];
	uint16_t queue_pairs;
	uint16_t queue_size;
	uint16_t mtu;
	uint64_t features;
	bool notify_shared;
	bool help;
	struct dm_faults faults;
};

void dm_args_usage(const char *program);
/** -EINVAL: a message was printed. */
int dm_args_parse(int argc, char **argv, struct dm_args *args);

#endif /* DM_ARGS_H */
