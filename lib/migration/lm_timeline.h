/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_TIMELINE_H
#define LM_TIMELINE_H

/**
 * @file
 * Timeline: a ring of what happened to a device, always on, read by telemetry.
 *
 * Writers never block and never allocate; the ring keeps the newest LM_TIMELINE_EVENTS. Each
 * event has a sequence number, so that a reader sees gaps.
 */

#include <stdint.h>

struct lm_timeline;

#define LM_TIMELINE_EVENTS 1024

struct lm_timeline_event {
	uint64_t seq;
	uint64_t t_ns;     /* CLOCK_MONOTONIC */
	uint64_t bytes;
	int32_t error;     /* 0 or -errno */
	char device[24];
	char phase[20];    /* "start", "log-on", "stop", ... */
	char event[28];    /* "begin", "end", "queue 1 relay", ... */
};

/** device is copied, cut to 23 characters. @return 0 or -ENOMEM */
int lm_timeline_create(const char *device, struct lm_timeline **tl);
/** NULL is allowed. Nobody may add or read any more. */
void lm_timeline_destroy(struct lm_timeline *tl);
/**
 * Add an event, now. Any thread; texts are copied and cut. error is 0 or -errno, bytes whatever the
 * phase counts. Without tl it does nothing. An event is dropped, and its number skipped, only if a
 * writer slept inside this function while the ring went once around.
 */
void lm_timeline_add(struct lm_timeline *tl, const char *phase, const char *event, uint64_t bytes,
		int error);
/**
 * Copy events with seq >= from in ascending order, at most max. Any thread, never blocks; copies
 * are whole, events that are being overwritten or written are passed over. To read on, give the
 * last seq + 1 as from.
 * @return number copied
 */
unsigned int lm_timeline_read(const struct lm_timeline *tl, uint64_t from,
		struct lm_timeline_event *events, unsigned int max);
/** Sequence number of the oldest event still held, and of the next one. */
void lm_timeline_bounds(const struct lm_timeline *tl, uint64_t *oldest, uint64_t *next);

#endif /* LM_TIMELINE_H */
