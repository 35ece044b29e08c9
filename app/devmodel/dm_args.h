/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_ARGS_H
#define DM_ARGS_H

/** @file Command line of dpdk-lm-devmodel. */

#include <stdbool.h>
#include <stdint.h>

#include "dm_fault.h"

#define DM_MAX_FUNCTIONS 65 /* a PF and 64 VFs */
#define DM_MAX_OPTIONS 32
#define DM_MAX_FAULT_SPECS 16

struct dm_type;

struct dm_args {
	const struct dm_type *type;
	const char *sockets[DM_MAX_FUNCTIONS]; /* one a function */
	uint32_t nb_sockets;
	const char *wires[DM_MAX_FUNCTIONS];   /* at least as many as the kind can take: "null" */
	uint32_t nb_wires;
	const char *fault_specs[DM_MAX_FAULT_SPECS]; /* for the device; others are in faults */
	uint32_t nb_fault_specs;
	const char *options[DM_MAX_OPTIONS]; /* KEY=VALUE, for the device */
	uint32_t nb_options;
	const char *control;
	const char *trace;
	uint8_t mac[6];
	uint16_t queue_pairs;
	uint16_t queue_size;
	uint16_t mtu;
	uint64_t features;
	uint16_t iova_bits; /* 0: all */
	bool notify_shared;
	bool notify_guest; /* doorbell pages may be a guest's */
	bool help;
	struct dm_faults faults;
};

void dm_args_usage(const char *program);
/** -EINVAL: a message was printed. */
int dm_args_parse(int argc, char **argv, struct dm_args *args);
/** Say what is wrong with an option's value. @return -EINVAL */
int dm_args_bad(const char *option, const char *value);

#endif /* DM_ARGS_H */
