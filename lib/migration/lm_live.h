/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_LIVE_H
#define LM_LIVE_H

/**
 * @file
 * Reading memory that lives: devices and CPUs write to it meanwhile, and hold no lock of ours.
 *
 * What is read here may be torn, and that does not matter: a page's mark is taken before the page
 * is read, and whoever writes marks it after, so it is sent once more. The last pass comes when
 * nobody writes. This is the only place that reads so, and the only one of which ThreadSanitizer
 * is told that the race is meant: its own words for it, which bind it to these reads, and not to a
 * function's name in a file of exceptions. What is read here and used there is a copy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define LM_LIVE_BEGIN() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define LM_LIVE_END() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#define LM_LIVE_BEGIN() ((void)0)
#define LM_LIVE_END() ((void)0)
#endif

static inline void
lm_live_copy(void *to, const void *from, size_t len_bytes)
{
	LM_LIVE_BEGIN();
	memcpy(to, from, len_bytes);
	LM_LIVE_END();
}

/** Was it all zeroes while it was looked at? len_bytes > 0 */
static inline bool
lm_live_is_zero(const uint8_t *from, size_t len_bytes)
{
	bool zero;

	LM_LIVE_BEGIN();
	zero = from[0] == 0 && memcmp(from, from + 1, len_bytes - 1) == 0;
	LM_LIVE_END();
	return zero;
}

#endif /* LM_LIVE_H */
