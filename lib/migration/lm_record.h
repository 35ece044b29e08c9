/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_RECORD_H
#define LM_RECORD_H

/**
 * @file
 * What a migration stream is made of: a stream header, then records, each a header and a payload.
 * Little-endian, packed by layout. One decoder, lm_record_describe(), for log, tests and tools.
 *
 * A type with LM_RECORD_F_MANDATORY that a reader does not know ends the migration; without it the
 * record is skipped. New fields are new types; a payload never changes its layout.
 *
 * Several connections carry one session. Connection 0 is the control connection, the others bulk:
 * a page always travels on the connection of its address, a member on that of its index, so that
 * what is newer arrives later.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_le.h"

#define LM_STREAM_MAGIC UINT32_C(0x524d4d4c) /* "LMMR" */
#define LM_STREAM_MAJOR 1u /* others are refused */
#define LM_STREAM_MINOR 0u /* newer ones only add optional records */

struct lm_stream_hdr {
	lm_le32_t magic;
	lm_le16_t major;
	lm_le16_t minor;
	lm_le64_t reserved; /* 0; ignored */
};
static_assert(sizeof(struct lm_stream_hdr) == 16, "stream header");

#define LM_RECORD_F_MANDATORY 0x8000u
#define LM_RECORD_TYPE_MASK 0x7fffu

struct lm_record_hdr {
	lm_le16_t type;     /* enum lm_record_type | LM_RECORD_F_MANDATORY */
	lm_le16_t reserved; /* 0; ignored, and covered by the checksum */
	lm_le32_t len_bytes;
	/**
	 * XXH3-64 of the payload; its seed is the XXH3-64 of the eight bytes before and the
	 * record's number in its connection, counted from 0: what is lost, doubled or out of order
	 * shows too.
	 */
	lm_le64_t xxh3;
};
static_assert(sizeof(struct lm_record_hdr) == 16, "record header");

/** Most data in one RAM or device record. */
#define LM_RECORD_DATA_BYTES (256u * 1024)
/** Most payload of a record that is not known and not mandatory. */
#define LM_RECORD_UNKNOWN_BYTES (64u * 1024)
#define LM_RECORD_TEXT_BYTES 512u

enum lm_record_type {
	/* Every connection, first. */
	LM_RECORD_HELLO = 1,
	/* Control, source to destination. */
	LM_RECORD_COMPAT = 2,
	LM_RECORD_COMMIT = 3,
	/* Control, destination to source. */
	LM_RECORD_VERDICT = 4,
	LM_RECORD_PREPARED = 5,
	LM_RECORD_EARLY_ACK = 6,
	LM_RECORD_FENCED = 7,
	LM_RECORD_LOADED = 8,
	LM_RECORD_RUNNING = 9,
	/* Control, either way. */
	LM_RECORD_ABORT = 10,
	LM_RECORD_ALIVE = 11, /* optional: a sign of life */
	/* Bulk, source to destination. */
	LM_RECORD_RAM = 16,
	LM_RECORD_ZERO = 17,
	LM_RECORD_DEVICE = 18,
	LM_RECORD_DEVICE_END = 19,
	LM_RECORD_EARLY = 20,
	LM_RECORD_FENCE = 21,
	LM_RECORD_PROBE = 22, /* optional: bytes to measure the connection with */
};

struct lm_record_hello {
	uint8_t session[16]; /* random; the same on all connections of a session */
	lm_le16_t index;     /* of this connection; 0: control */
	lm_le16_t count;     /* of all */
	lm_le32_t flags;     /* LM_HELLO_F_* */
};
static_assert(sizeof(struct lm_record_hello) == 24, "hello");
#define LM_HELLO_F_ANSWER 0x1u /* from who listened */

struct lm_record_verdict {
	lm_le32_t error; /* 0: go on; else an errno, and text says why */
	lm_le32_t reserved;
	char text[LM_RECORD_TEXT_BYTES]; /* NUL-terminated */
};
static_assert(sizeof(struct lm_record_verdict) == 520, "verdict");

/** PREPARED, LOADED, RUNNING: what the destination's devices took for it. */
struct lm_record_took {
	lm_le64_t took_us; /* all members, wall clock */
	lm_le64_t arc_us;  /* longest single arc of a member so far; 0: not known */
};
static_assert(sizeof(struct lm_record_took) == 16, "took");

/** EARLY, EARLY_ACK: initial data is all sent; all loaded. A generation ends with REINIT. */
struct lm_record_early {
	lm_le32_t member;
	lm_le32_t generation;
};
static_assert(sizeof(struct lm_record_early) == 8, "early");

/** FENCE, FENCED: what came before on all bulk connections has been taken in. */
struct lm_record_fence {
	lm_le64_t id;    /* ascending */
	lm_le32_t flags; /* LM_FENCE_F_* */
	lm_le32_t reserved;
};
static_assert(sizeof(struct lm_record_fence) == 16, "fence");
#define LM_FENCE_F_LAST 0x1u /* nothing follows; load what there is */

/** ABORT: who sends it does not run the devices, and never will in this session. */
struct lm_record_abort {
	lm_le32_t error; /* an errno */
	lm_le32_t reserved;
	char text[LM_RECORD_TEXT_BYTES]; /* NUL-terminated */
};
static_assert(sizeof(struct lm_record_abort) == 520, "abort");

/** RAM: data follows, len_bytes of it or, with LM_RECORD_RAM_F_ZSTD, one zstd frame of so many. */
struct lm_record_ram {
	lm_le64_t addr;
	lm_le32_t len_bytes; /* of pages */
	lm_le32_t flags;
};
static_assert(sizeof(struct lm_record_ram) == 16, "ram");
#define LM_RECORD_RAM_F_ZSTD 0x1u

/** ZERO: these pages are all zeroes. */
struct lm_record_zero {
	lm_le64_t addr;
	lm_le64_t len_bytes;
};
static_assert(sizeof(struct lm_record_zero) == 16, "zero");

/** DEVICE: data follows. DEVICE_END: none does; offset is the length of the member's stream. */
struct lm_record_device {
	lm_le32_t member; /* index in the compatibility record */
	lm_le32_t reserved;
	lm_le64_t offset; /* in the member's stream */
};
static_assert(sizeof(struct lm_record_device) == 16, "device");

/** A record as it was received; payload is the reader's. */
struct lm_record {
	uint16_t type; /* without LM_RECORD_F_MANDATORY */
	uint32_t len_bytes;
	uint64_t number; /* in its connection */
	const void *payload;
};

/** Limits of a type. */
struct lm_record_rule {
	uint16_t type; /* with LM_RECORD_F_MANDATORY where it applies */
	uint32_t min_bytes;
	uint32_t max_bytes;
	const char *name;
};
/** NULL: not known. Static. */
const struct lm_record_rule *lm_record_rule(uint16_t type);
/** "RAM", "COMMIT", ...; "unknown". Static. */
const char *lm_record_name(uint16_t type);
/**
 * Check what a record says about itself: lengths, texts that end, pages that are aligned. What the
 * receiver owns (members, regions) is its own to check.
 * @return 0; -EPROTO
 */
int lm_record_check(const struct lm_record *rec);
/** In words, one line, without a newline; cut to fit. For a record that was checked. */
void lm_record_describe(const struct lm_record *rec, char *text, size_t size_bytes);

#endif /* LM_RECORD_H */
