/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_TRACKER_PVT_H
#define LM_TRACKER_PVT_H

/**
 * @file
 * Inside of the tracker: what is mapped and kept (lm_tracker.c), who tells (lm_tracker_source.c),
 * which ranges a source is started with (lm_tracker_range.c), how it is read (lm_tracker_report.c),
 * and how members of a group are called on their threads (lm_tracker_member.c).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "lm_bitmap.h"
#include "lm_group.h"
#include "lm_tracker.h"

#define LM_TRACKER_NAME_BYTES 64
/** Pages of one report, at most, where a source takes any length: 2 MiB of bitmap. */
#define LM_TRACKER_REPORT_PAGES (UINT64_C(1) << 24)

/** One lm_tracker_map(). */
struct lm_track_map {
	struct lm_interval iv;
	bool fresh;             /* came while tracking ran: always dirty */
	struct lm_bitmap *kept; /* R5: by address, read from sources and not yet with a sink */
	struct lm_track_map *next_gone;
};

/** Both ends are part of it. */
struct lm_track_piece {
	uint64_t first; /* IOVA */
	uint64_t last;
};

/**
 * A member's thread can be inside for longer than it is waited for: until it has left, what it
 * reads and writes in its source is left alone.
 */
struct lm_track_source {
	char name[LM_TRACKER_NAME_BYTES];
	const struct lm_source_ops *ops; /* NULL: blind from birth */
	void *src;
	struct lm_dirty_traits traits;
	struct lm_provider provider;     /* what src points to, for a provider's log */
	int member;                      /* of the tracker's group; negative: called directly */
	bool inside;                     /* under the lock of what is shared */
	bool late;                       /* so too: a thread that returns takes nothing from it */
	bool log_runs;                   /* it was started, and not told to stop */
	int ret;                         /* of the last start or stop */
	struct lm_track_piece *pieces;   /* what is to be read now */
	unsigned int nb_pieces;
	unsigned int max_pieces;
	bool started;
	bool blind;                      /* it tells nothing: all memory is dirty, always */
	uint64_t page_size_bytes;        /* of reports */
	struct lm_range *ranges;         /* ascending; as it was started */
	unsigned int nb_ranges;
	uint64_t *words;                 /* R5: its private bitmap, of one report */
	uint64_t most_pages;             /* of one report, where it need not cover a range */
	uint64_t reports;
	uint64_t failures;
	uint64_t dirty_pages;
};

/** What a member's thread that is late may still use; the last one to leave frees it. */
struct lm_track_shared {
	_Atomic unsigned int refs; /* the tracker's, and each thread's that is inside a source */
	pthread_mutex_t lock;      /* protects what threads take from and to the tracker */
	struct lm_tracker *tracker; /* not for a thread that is late */
	struct lm_group *group;    /* NULL: no member is a source */
	uint64_t page_size_bytes;  /* of results */
	struct lm_track_source **sources;
	unsigned int nb_sources;
};

struct lm_tracker {
	uint64_t page_size_bytes;
	struct lm_timeline *timeline;
	bool running;
	struct lm_track_map **maps; /* ascending by IOVA */
	unsigned int nb_maps;
	struct lm_track_map *gone;  /* unmapped, and a sink has not taken what is kept */
	struct lm_track_shared *shared;
};

static inline uint64_t
lm_range_last(const struct lm_range *r)
{
	return r->addr + (r->len_bytes - 1);
}

static inline uint64_t
lm_track_align(const struct lm_track_source *s)
{
	return s->traits.align_pages > 1 ? s->traits.align_pages : 1;
}

static inline uint64_t
lm_track_map_last(const struct lm_track_map *m)
{
	return m->iv.from + (m->iv.len_bytes - 1);
}

/** Index of the first map that ends at or after iova; nb_maps if none does. */
unsigned int lm_track_find(const struct lm_tracker *t, uint64_t iova);
/** Before a start: nothing is kept, no memory is fresh. */
void lm_track_forget(struct lm_tracker *t);

/**
 * Choose the ranges that a source is started with, as its traits demand, and its report buffer.
 * @return 0; -E2BIG: what must be one range is longer than 64 bits can say; -ENOMEM
 */
int lm_track_ranges_make(const struct lm_tracker *t, struct lm_track_source *s);
/**
 * The buffer for reports of the page size that the source chose.
 * @return 0; -EINVAL: not a page size; -ENOMEM
 */
int lm_track_buffer_make(struct lm_track_source *s, uint64_t own_page_bytes,
		uint64_t page_size_bytes);
void lm_track_ranges_free(struct lm_track_source *s);

/**
 * Start a source whose ranges are made, stopping before what runs in it from earlier.
 * @return 0; -errno: nothing runs in it
 */
int lm_track_start(struct lm_track_source *s, uint64_t page_size_bytes);
int lm_track_stop(struct lm_track_source *s);

/**
 * Which pieces of a started source to read, for all mapped memory in [first, last].
 * @return 0; -ENOMEM
 */
int lm_track_plan(const struct lm_tracker *t, struct lm_track_source *s, uint64_t first,
		uint64_t last);
/** Read one, into the source's own bitmap. @return 0 or -errno */
int lm_track_read(struct lm_track_source *s, const struct lm_track_piece *piece);
/** What it said, into what is kept; all of it where error is not 0. */
void lm_track_take(struct lm_tracker *t, struct lm_track_source *s,
		const struct lm_track_piece *piece, int error);

/* lm_tracker_member.c */

enum lm_track_visit {
	LM_TRACK_START, /* those with ranges */
	LM_TRACK_READ,  /* those with pieces */
	LM_TRACK_STOP,  /* those whose log runs */
};
/**
 * All members that are sources at once, on their threads.
 * @return 0; -ETIMEDOUT: at least one was late, or lost before: its late is set
 */
int lm_track_visit(struct lm_tracker *t, enum lm_track_visit what);
/** Before a start: one whose thread has left is not late any more. */
bool lm_track_still_late(struct lm_track_shared *shared, struct lm_track_source *s);
void lm_track_unref(struct lm_track_shared *shared);

/** Count a failure; the first since the start goes to the timeline. */
void lm_track_failed(struct lm_tracker *t, struct lm_track_source *s, const char *what,
		uint64_t len_bytes, int error);

#endif /* LM_TRACKER_PVT_H */
