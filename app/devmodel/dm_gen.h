/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_GEN_H
#define DM_GEN_H

/**
 * @file
 * Generator of test frames (dm_frame_if.h) and checker of their echoes.
 *
 * No thread, clock, socket or log of its own: the caller gives CLOCK_MONOTONIC in ns, which never
 * goes back, and carries the frames. One thread only.
 */

#include <stdbool.h>
#include <stdint.h>

#define DM_GEN_FLOWS_MAX 4096u
#define DM_GEN_RATE_MAX 100000000u

struct dm_gen;

struct dm_gen_conf {
	uint32_t rate_pps;   /* over all flows; 1..DM_GEN_RATE_MAX */
	uint32_t size_min_bytes, size_max_bytes; /* of frames; DM_FRAME_LEN_MIN..DM_FRAME_LEN_MAX */
	uint32_t flows;      /* 1..DM_GEN_FLOWS_MAX, taken in turn */
	uint32_t burst;      /* frames that may be sent late; time missed beyond is not made up */
	uint64_t seed;       /* of the sizes */
	uint8_t guest_mac[6];
};

enum dm_gen_verdict {
	DM_GEN_RECEIVED,
	DM_GEN_REORDERED,  /* received, after a later one of its flow */
	DM_GEN_DUPLICATED,
	DM_GEN_CORRUPT,    /* a byte is wrong, or it was never sent */
	DM_GEN_STALE,      /* sent before dm_gen_reset() */
	DM_GEN_FOREIGN,    /* another protocol */
	DM_GEN_VERDICTS,
};

struct dm_gen_stats {
	uint64_t sent, sent_bytes;
	uint64_t received, received_bytes; /* distinct and whole, reordered ones included */
	uint64_t duplicated, reordered, corrupt, stale, foreign;
	uint64_t latency_p50_ns, latency_p99_ns, latency_max_ns;
	/** Between two received frames, or since the last one while running. */
	uint64_t longest_silence_ns, silence_begin_ns;
	uint64_t flows_ended; /* no room left for sequence numbers */
};

/** 1000 frames/s of 74 to 1514 bytes in 4 flows. */
void dm_gen_conf_init(struct dm_gen_conf *conf);
/**
 * Set one value from text: rate=PPS, size=MIN[-MAX], flows=N, burst=N, seed=N, mac=MAC (the
 * guest's).
 *
 * @return 0, -ENOENT (no such key) or -EINVAL.
 */
int dm_gen_conf_set(struct dm_gen_conf *conf, const char *key, const char *value);
/** @return 0, or -EINVAL: not six hexadecimal bytes, or no station's address. */
int dm_gen_parse_mac(const char *text, uint8_t mac[6]);

/** @return 0, -EINVAL (a value of @p conf out of range) or -ENOMEM. */
int dm_gen_create(const struct dm_gen_conf *conf, struct dm_gen **gen);
void dm_gen_destroy(struct dm_gen *g);

void dm_gen_start(struct dm_gen *g, uint64_t now_ns);
/** Echoes still count. */
void dm_gen_stop(struct dm_gen *g, uint64_t now_ns);
bool dm_gen_running(const struct dm_gen *g);
/** Counters to 0; echoes of what was sent until now become stale. */
void dm_gen_reset(struct dm_gen *g);
void dm_gen_set_guest_mac(struct dm_gen *g, const uint8_t mac[6]);

/**
 * The next frame, if one is due: its length, else 0. *frame is valid, and shown again, until
 * dm_gen_commit() counts it as sent.
 */
uint32_t dm_gen_peek(struct dm_gen *g, uint64_t now_ns, const uint8_t **frame);
void dm_gen_commit(struct dm_gen *g);
/** When dm_gen_peek() will have a frame; UINT64_MAX when stopped. */
uint64_t dm_gen_due_ns(const struct dm_gen *g);

enum dm_gen_verdict dm_gen_check(struct dm_gen *g, const uint8_t *frame, uint32_t len,
	uint64_t now_ns);
void dm_gen_stats_get(const struct dm_gen *g, uint64_t now_ns, struct dm_gen_stats *stats);

#endif /* DM_GEN_H */
