/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_GEN_SEQ_H
#define DM_GEN_SEQ_H

/**
 * @file
 * Which frames of a flow have come back: one bit a frame, for every frame ever sent. Nothing
 * wraps; when the bits are used up the flow ends.
 */

#include <stdint.h>

#define DM_GEN_SEQ_CHUNK (1u << 20) /* frames a chunk, 128 KiB */
#define DM_GEN_SEQ_CHUNKS 64
#define DM_GEN_SEQ_MAX ((uint64_t)DM_GEN_SEQ_CHUNK * DM_GEN_SEQ_CHUNKS)

struct dm_gen_seq {
	uint64_t *chunks[DM_GEN_SEQ_CHUNKS];
	uint64_t base;    /* first of this measurement */
	uint64_t next;    /* to send */
	uint64_t above;   /* one more than the highest that came back */
};

enum dm_gen_seq_verdict {
	DM_GEN_SEQ_IN_ORDER,
	DM_GEN_SEQ_LATE,      /* a later one was here before; also counts as received */
	DM_GEN_SEQ_DUPLICATE,
	DM_GEN_SEQ_STALE,     /* from before dm_gen_seq_rebase() */
	DM_GEN_SEQ_UNSENT,
};

/** Make room for the bit of s->next. @return 0, -ENOSPC (flow ends) or -ENOMEM. */
int dm_gen_seq_reserve(struct dm_gen_seq *s);
enum dm_gen_seq_verdict dm_gen_seq_mark(struct dm_gen_seq *s, uint64_t seq);
/** What was sent until now no longer counts. */
void dm_gen_seq_rebase(struct dm_gen_seq *s);
void dm_gen_seq_free(struct dm_gen_seq *s);

#endif /* DM_GEN_SEQ_H */
