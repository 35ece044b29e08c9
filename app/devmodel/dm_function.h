/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_FUNCTION_H
#define DM_FUNCTION_H

/**
 * @file
 * One PCI function on one vfio-user socket, carrying one device.
 */

#include "dm_device.h"
#include "dm_loop.h"

#define DM_FUNCTION_MAX_IO 32

struct dm_function;

struct dm_function_io {
	struct dm_function *f;
	uint32_t index;
};

struct dm_function {
	struct dm_host host;
	struct dm_rules rules;
	struct dm_faults faults;
	struct dm_pci pci;
	struct dm_device device; /* ops NULL: none yet */
	struct lm_vu_server *server;
	struct lm_vu_server_ops server_ops; /* without what the device lacks */
	struct dm_loop *loop;
	const char *path;
	struct dm_function_io io[DM_FUNCTION_MAX_IO];
	uint64_t connections;
	uint64_t irqs_unbound; /* raised with nothing bound to the vector */
};

/** First step: what a device needs to be created. path outlives the function. */
void dm_function_init(struct dm_function *f, const char *path);
/** With f->device filled: build its configuration space and open the socket. */
int dm_function_open(struct dm_function *f);
/** Watch the socket and the device's descriptors. */
int dm_function_watch(struct dm_function *f, struct dm_loop *loop);
/** Also of one that was never opened. */
void dm_function_close(struct dm_function *f);
int dm_function_stats(struct dm_function *f, json_t *object);
/** Of the function in general, or of its device. @return 0, -EINVAL. */
int dm_function_fault(struct dm_function *f, const char *spec);

/** Fill in what the device has of migration and logging. */
void dm_function_mig_ops(const struct dm_function *f, struct lm_vu_server_ops *ops);

#endif /* DM_FUNCTION_H */
