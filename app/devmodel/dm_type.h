/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_TYPE_H
#define DM_TYPE_H

/**
 * @file
 * Kinds of device that the program can be: the first word of its command line.
 *
 * A new kind is one object of this type, listed in dm_type.c.
 */

#include "dm_args.h"
#include "dm_function.h"
#include "dm_wire.h"

struct dm_type {
	const char *name;
	const char *summary;   /* for --help */
	uint32_t max_sockets;  /* functions; at least one */
	uint32_t max_wires;    /* 0: the device has no cable */
	bool has_options;      /* --option; checked in check() */
	bool has_faults;       /* dm_device_ops.fault is there: what it refuses is known late */
	/** Arguments that this kind cannot take. @return 0, or dm_args_bad() of the option. */
	int (*check)(const struct dm_args *args);
	/**
	 * Create the devices of all args->nb_sockets functions, in the order of --socket; on
	 * failure those that exist are destroyed by the caller. A device that has a wire gets
	 * wires[i], i < args->nb_wires; they stay the caller's.
	 */
	int (*create)(const struct dm_args *args, struct dm_wire *const *wires,
			struct dm_function *functions);
};

extern const struct dm_type dm_type_exerciser;
extern const struct dm_type dm_type_pds;
extern const struct dm_type dm_type_virtio_net;

/** NULL: no such kind. */
const struct dm_type *dm_type_find(const char *name);
/** One by one from index 0; NULL past the last. */
const struct dm_type *dm_type_get(unsigned int index);

#endif /* DM_TYPE_H */
