/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_TRACE_H
#define DM_TRACE_H

/**
 * @file
 * What drivers have asked of a device at least once: registers, commands, feature bits.
 *
 * A test with a foreign driver saves it; devtools/judged.py makes a page of it.
 */

#include <stdint.h>

#define DM_TRACE_GROUPS 32
#define DM_TRACE_NUMBERS 65536u /* larger ones are not kept */

struct dm_trace;

int dm_trace_create(struct dm_trace **trace);
/** NULL is allowed. */
void dm_trace_destroy(struct dm_trace *t);
/** group: static text. t NULL: nobody asks, nothing happens. */
void dm_trace_mark(struct dm_trace *t, const char *group, uint32_t number);
/** Each byte of an access. */
void dm_trace_bytes(struct dm_trace *t, const char *group, uint64_t first, uint32_t len_bytes);
/** Each bit that is set. */
void dm_trace_bits(struct dm_trace *t, const char *group, uint64_t bits);
/** {"device": ..., "marks": {group: [number, ...]}} @return 0, -errno */
int dm_trace_save(const struct dm_trace *t, const char *device, const char *path);

#endif /* DM_TRACE_H */
