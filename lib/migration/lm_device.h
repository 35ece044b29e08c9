/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_DEVICE_H
#define LM_DEVICE_H

/**
 * @file
 * Registry of migratable devices in this process, and their view in telemetry.
 *
 * Commands (rte_telemetry): /lm/list; /lm/info,NAME; /lm/stats,NAME; /lm/caps,NAME;
 * /lm/timeline,NAME[,SEQ] in pages below DPDK's 16 KiB reply limit. Handlers only read.
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

/** name is copied; -EEXIST when taken. view must stay valid until lm_device_unregister(). */
int lm_device_register(const char *name, const struct lm_device_view *view,
		struct lm_device **dev);
/** Returns when no telemetry handler is inside the view. */
void lm_device_unregister(struct lm_device *dev);

#endif /* LM_DEVICE_H */
