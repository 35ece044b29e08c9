/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_DEVICE_H
#define LM_DEVICE_H

/**
 * @file
 * Registry of migratable devices in this process, and their view in telemetry.
 *
 * Commands (rte_telemetry):
 *  - /lm/list: names, as an array
 *  - /lm/info,NAME  /lm/stats,NAME  /lm/caps,NAME: a dictionary; "left_out" is added with the
 *    number of entries that did not fit
 *  - /lm/timeline,NAME[,SEQ]: {"oldest": seq, "next": seq, "events": [...]}, a page of events from
 *    SEQ on. Each is one string "SEQ T_NS BYTES ERROR PHASE EVENT", separated by single spaces, of
 *    which only EVENT may hold more (DPDK 22.11 cannot nest dictionaries in an array). Go on with
 *    the last SEQ + 1 until it is "next".
 *
 * An unknown name or a bad parameter answers {"error": "..."}. Each reply is below DPDK's 16 KiB.
 * Characters that telemetry refuses in names become '_', those that JSON would escape in texts
 * become '.'. Handlers only read.
 */

#include <stdint.h>

struct lm_timeline;
struct lm_device;

/** A named figure; values only, so that telemetry threads never call into a driver's datapath. */
struct lm_figure {
	char name[40];  /* [A-Za-z0-9_/] only: telemetry's alphabet */
	uint64_t value;
};

struct lm_text {
	char name[40];
	char value[88];
};

/** Callbacks run on telemetry threads: they read, never block, never touch the device. */
struct lm_device_view {
	/** Fill at most max; return how many. */
	unsigned int (*stats)(void *ctx, struct lm_figure *out, unsigned int max);
	unsigned int (*info)(void *ctx, struct lm_text *out, unsigned int max);
	unsigned int (*caps)(void *ctx, struct lm_text *out, unsigned int max);
	const struct lm_timeline *timeline;
	void *ctx;
};

/**
 * Show a device in telemetry. Any thread.
 *
 * @param name copied; 1..63 characters, no comma, quote or backslash
 * @param view stays the caller's, and valid until lm_device_unregister() returns
 * @return 0; -EINVAL: bad name; -EEXIST: name is taken; -ENOMEM
 */
int lm_device_register(const char *name, const struct lm_device_view *view,
		struct lm_device **dev);
/** Returns when no telemetry handler is inside the view; not from within one. NULL is allowed. */
void lm_device_unregister(struct lm_device *dev);

#endif /* LM_DEVICE_H */
