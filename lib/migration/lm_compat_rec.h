/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_COMPAT_REC_H
#define LM_COMPAT_REC_H

/**
 * @file
 * The compatibility record: what has to fit between two sides, sent before anything else, so that
 * a mismatch is refused while the source still runs. The kernel and vfio-user have no such
 * question; a device would notice at its load, when it is too late.
 *
 * The payload is a list of items, each { le16 type, le16 0, le32 length, body }, with
 * LM_RECORD_F_MANDATORY in its type where a reader that does not know it has to refuse.
 */

#include <stddef.h>
#include <stdint.h>

#include "lm_group.h"
#include "lm_ram.h"

#define LM_COMPAT_MAX_BYTES (1024u * 1024)
#define LM_COMPAT_MAX_MEMBERS 1024u
#define LM_COMPAT_MAX_REGIONS 4096u
#define LM_COMPAT_BARS 6u
#define LM_COMPAT_IOVAS 8u

/** One device; zero-filled fields are not known, and are not compared then. */
struct lm_compat_member {
	char name[LM_GROUP_NAME_BYTES]; /* the same on both sides; order does not matter */
	char provider[24];              /* as struct lm_caps */
	char device[40];
	char firmware[40];
	uint64_t flags;                 /* LM_STATE_F_* */
	uint64_t bar_bytes[LM_COMPAT_BARS];
	uint64_t page_sizes;            /* bit n: the device can be mapped 1 << n bytes at a time */
	uint32_t nb_msix;
	uint32_t nb_iovas;              /* 0: any address */
	struct lm_range iovas[LM_COMPAT_IOVAS];
};

struct lm_compat_region {
	char name[32];
	uint64_t addr;
	uint64_t size_bytes;
};

/** The window of memory that a process shares with its devices; size 0: there is none. */
struct lm_compat_window {
	uint64_t addr; /* virtual address and IOVA, the same on both sides */
	uint64_t size_bytes;
	uint64_t page_bytes;
	uint32_t element_bytes; /* of a buffer, headroom and all */
	uint32_t headroom_bytes;
	uint32_t numa_node; /* for the reader; not compared */
	uint32_t reserved;
};

struct lm_compat {
	uint32_t page_bytes; /* of RAM records: LM_RAM_PAGE_BYTES */
	unsigned int nb_members;
	unsigned int nb_regions;
	struct lm_compat_member *members;
	struct lm_compat_region *regions;
	struct lm_compat_window window;
};

/**
 * What a group and its RAM say about themselves; the rest is the caller's to fill in.
 * @param group may be NULL
 * @param ram may be NULL
 * @return 0 or -ENOMEM
 */
int lm_compat_create(const struct lm_group *group, const struct lm_ram *ram,
		struct lm_compat **compat);
/** NULL is allowed. */
void lm_compat_destroy(struct lm_compat *compat);

/** @return bytes; -EMSGSIZE: more than LM_COMPAT_MAX_BYTES; -ENOMEM. *payload: for free() */
int lm_compat_encode(const struct lm_compat *compat, void **payload);
/**
 * @return 0; -EPROTO: it makes no sense; -ENOTSUP: a mandatory item that is not known; -ENOMEM
 */
int lm_compat_decode(const void *payload, size_t len_bytes, struct lm_compat **compat);

/**
 * Can what the source has go to this destination?
 *
 * @param why every reason in words, separated by "; "; empty when it can
 * @param members the destination's member for each of the source's, by index; may be NULL
 * @return 0; -EXDEV: it cannot
 */
int lm_compat_compare(const struct lm_compat *source, const struct lm_compat *destination,
		char *why, size_t why_bytes, unsigned int *members);
/** All of it as text, a line each, for dumps; emit is called once a line. */
void lm_compat_describe(const struct lm_compat *compat,
		void (*emit)(void *ctx, const char *line), void *ctx);

#endif /* LM_COMPAT_REC_H */
