/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_DEVICE_PVT_H
#define LM_DEVICE_PVT_H

/** @file Between the registry (lm_device.c) and its telemetry (lm_telemetry.c). */

#include <sys/queue.h>

#include "lm_device.h"

#define LM_DEVICE_NAME_BYTES 64

struct lm_device {
	TAILQ_ENTRY(lm_device) link;
	char name[LM_DEVICE_NAME_BYTES];
	const struct lm_device_view *view;
	unsigned int nb_inside; /* handlers; under the registry's lock */
};

/** Find by name and hold it; NULL when there is none. */
struct lm_device *lm_device_enter(const char *name);
void lm_device_leave(struct lm_device *dev);
/** Copy at most max names; return how many there are. */
unsigned int lm_device_names(char (*names)[LM_DEVICE_NAME_BYTES], unsigned int max);

#endif /* LM_DEVICE_PVT_H */
