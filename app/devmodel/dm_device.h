/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_DEVICE_H
#define DM_DEVICE_H

/**
 * @file
 * The contract between a function (configuration space, socket, interrupts) and a device module
 * (registers, queues, data). Everything runs in one thread; no callback may block.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "dm_fault.h"
#include "dm_pci.h"
#include "dm_rules.h"
#include "dm_trace.h"
#include "lm_vu_server.h"

/** What a device may ask of the function that carries it. */
struct dm_host {
	void *ctx;
	/**
	 * Memory as the device sees it: a pointer to at most *len_bytes from iova, cut to what is
	 * contiguous; NULL when nothing is mapped there with the rights in prot (LM_VU_PROT_*).
	 * Good until dma_epoch changes.
	 */
	void *(*dma_span)(void *ctx, uint64_t iova, uint64_t *len_bytes, uint32_t prot);
	void (*irq)(void *ctx, uint16_t vector);
	uint64_t (*now_ns)(void *ctx); /* monotonic */
	/** A function of dm_mig_ops or dm_log_ops that returned -EINPROGRESS can go on. */
	void (*mig_resume)(void *ctx);

	uint32_t dma_epoch;
	bool bus_master;
	struct dm_rules *rules;
	struct dm_faults *faults;
	struct dm_trace *trace; /* NULL: nobody asks */
};

#define DM_MAX_BARS 6

/**
 * Migration of a device that commands its own, as the functions of lm_vu_server_ops; the last two
 * may be NULL. One that takes time returns -EINPROGRESS and calls mig_resume when it is done: then
 * it is called again, with the same arguments, for its result. dm_device_ops.reset in any state
 * ends what goes on here: data is thrown away, the state is RUNNING, logging is off.
 */
struct dm_mig_ops {
	uint64_t (*flags)(void *dev);
	int (*state_get)(void *dev, uint32_t *state);
	int (*state_set)(void *dev, uint32_t state);
	int (*read)(void *dev, void *buf, uint32_t len_bytes);
	int (*write)(void *dev, const void *buf, uint32_t len_bytes);
	int (*precopy_info)(void *dev, uint32_t *flags, uint64_t *initial, uint64_t *dirty);
	int (*data_size)(void *dev, uint64_t *bytes);
};

/** DMA logging, likewise. */
struct dm_log_ops {
	int (*start)(void *dev, const struct lm_vu_range *ranges, uint32_t nb_ranges,
			uint64_t *page_size_bytes);
	int (*stop)(void *dev);
	int (*report)(void *dev, uint64_t iova, uint64_t length_bytes, uint64_t page_size_bytes,
			uint64_t *bitmap);
};

struct dm_device_ops {
	void (*destroy)(void *dev);
	/** Add capabilities to the configuration space. -ENOSPC: no room. */
	int (*add_caps)(void *dev);
	/** Where the window of dm_pci.h points; false: nowhere. */
	bool (*window)(void *dev, uint32_t *bar, uint64_t *offset, uint32_t *len_bytes);
	/** As lm_vu_server_ops: offset and length lie inside the BAR. */
	int (*bar_read)(void *dev, uint32_t bar, uint64_t offset, void *buf, uint32_t len_bytes);
	int (*bar_write)(void *dev, uint32_t bar, uint64_t offset, const void *buf,
			uint32_t len_bytes);
	/** Function-level reset, also when the driver goes away. Takes effect at once. */
	void (*reset)(void *dev);
	/** The driver has gone away, after reset; may be NULL. */
	void (*closed)(void *dev);
	/** An I/O eventfd of bar_io[] has fired. */
	void (*io_event)(void *dev, uint32_t index);
	/** Do a bounded amount of work. @return its amount; 0: nothing to do. */
	unsigned int (*poll)(void *dev, uint64_t now_ns);
	/**
	 * Ask for notifications and look once more. @return 0: there is work, else for how many
	 * microseconds at most the thread may sleep.
	 */
	uint32_t (*sleep)(void *dev);
	/** Add the device's members to an object. */
	int (*stats)(void *dev, json_t *object);
	/** -ENOTSUP: no such command; *error: static text for -EINVAL. */
	int (*control)(void *dev, const char *cmd, const json_t *args, const char **error);
	/** A fault that dm_fault_parse() does not know; may be NULL. -EINVAL: unknown here too. */
	int (*fault)(void *dev, const char *spec);
	const struct dm_mig_ops *mig; /* NULL: does not migrate by itself */
	const struct dm_log_ops *log; /* NULL: no DMA logging */
};

/** What a device shows of itself; filled by its create function. */
struct dm_device {
	const char *name;
	const struct dm_device_ops *ops;
	void *dev;
	struct dm_pci_ids ids;
	struct lm_vu_region_conf bars[DM_MAX_BARS]; /* size_bytes 0: none; flags and fds as there */
	bool bar_64bit[DM_MAX_BARS];
	uint32_t msix_bar;                          /* the function puts MSI-X here */
	uint16_t nb_vectors;
	int wake_fd;                                /* also wakes the thread; -1: none */
	bool strict;                                /* as lm_vu_server_conf */
	uint8_t iova_bits;
};

#endif /* DM_DEVICE_H */
