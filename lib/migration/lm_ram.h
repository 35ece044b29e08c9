/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_RAM_H
#define LM_RAM_H

/**
 * @file
 * Memory that this process owns and moves itself: regions, what of them is dirty, and what is to
 * be sent next. With QEMU as the owner of RAM there is none of this; the vhost log is used.
 *
 * Regions are known by an address that is the same on both sides (IOVA = VA in a window, or a
 * guest-physical address). Marks may come from any thread; taking pages to send, one thread at a
 * time; adding regions only before either.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_bitmap.h"

struct lm_ram;

/** Written by CPUs too: track them (userfaultfd write-protect), where that works, else resend. */
#define LM_RAM_F_CPU_WRITES 0x1u
/**
 * Control area: lm_ram_take() passes it over until it is asked for what comes after the stop. Who
 * begins a migration by lm_ram_mark_all() therefore has it sent whole then.
 */
#define LM_RAM_F_AFTER_STOP 0x2u
/** Goes only where it is marked by address: lm_ram_mark_all() passes it over. */
#define LM_RAM_F_NAMED_ONLY 0x4u

#define LM_RAM_PAGE_BYTES 4096u

struct lm_ram_region {
	char name[32];       /* unique, the same on both sides */
	uint64_t addr;       /* page aligned */
	uint64_t size_bytes; /* a multiple of the page */
	void *vaddr;         /* in this process; the caller's, must outlive struct lm_ram */
	uint32_t flags;      /* LM_RAM_F_* */
};

/** @return 0 or -ENOMEM */
int lm_ram_create(struct lm_ram **ram);
/** NULL is allowed. */
void lm_ram_destroy(struct lm_ram *ram);
/**
 * Copied; all clean. Costs one bit of heap a page, touched only where pages get dirty.
 * @return 0; -EINVAL: no name or one that does not end, no vaddr, empty, not aligned, or wraps;
 * -EEXIST: the name is taken or ranges overlap; -ENOMEM
 */
int lm_ram_add(struct lm_ram *ram, const struct lm_ram_region *region);
unsigned int lm_ram_count(const struct lm_ram *ram);
/** NULL beyond the last; ascending by address. */
const struct lm_ram_region *lm_ram_get(const struct lm_ram *ram, unsigned int index);

/**
 * Mark every page that [addr, addr + len) touches. Any thread; the data must have been written
 * before (R1). What lies in no region is ignored.
 */
void lm_ram_mark(struct lm_ram *ram, uint64_t addr, uint64_t len_bytes);
/** All pages of all regions but LM_RAM_F_NAMED_ONLY. Any thread. */
void lm_ram_mark_all(struct lm_ram *ram);
/**
 * OR a bitmap by address, of any page size and alignment; it is left as it was. Any thread; the
 * caller keeps bm unchanged meanwhile.
 * @return 0
 */
int lm_ram_merge(struct lm_ram *ram, const struct lm_bitmap *bm);
/** Dirty now; after_stop: only control areas, else all others. Any thread. */
uint64_t lm_ram_dirty_bytes(const struct lm_ram *ram, bool after_stop);

/** A run of pages to send. */
struct lm_ram_run {
	uint64_t addr;
	uint64_t len_bytes;
	const void *data; /* the live pages */
};
/**
 * Take the next run of dirty pages: their bits are cleared before this returns, so what is written
 * from then on is dirty again (R2). Goes around the regions from *cursor on, which the caller sets
 * to 0 once; ends when a whole turn found nothing. One thread at a time, whatever others mark.
 * A run lies in one region.
 *
 * @param after_stop regions LM_RAM_F_AFTER_STOP too
 * @param max_bytes cut a run to this, rounded down to pages, but not to less than one
 * @return true: *run is filled; false: nothing is dirty
 */
bool lm_ram_take(struct lm_ram *ram, bool after_stop, uint64_t max_bytes, uint64_t *cursor,
		struct lm_ram_run *run);
/** Put a run back that could not be sent. Any thread. */
void lm_ram_give_back(struct lm_ram *ram, const struct lm_ram_run *run);

/** Destination: a writable pointer to [addr, addr + len) if it lies in one region, else NULL. */
void *lm_ram_ptr(struct lm_ram *ram, uint64_t addr, uint64_t len_bytes);

/**
 * Track what CPUs of this process write, system calls for it included, to regions
 * LM_RAM_F_CPU_WRITES from now on; what was written before is not told. Their memory must not be
 * registered with a userfaultfd of others. Each page's first write after a harvest costs a fault in
 * the kernel (about 1 us). Writes by devices and by other processes are not seen.
 *
 * Where the kernel has no asynchronous write-protect for this memory (userfaultfd, Linux 6.7), the
 * region is resent whole at every lm_ram_cpu_harvest(). One thread at a time; regions added later
 * are not tracked.
 *
 * @param whole number of regions that are resent whole; may be NULL
 * @return 0; -EALREADY
 */
int lm_ram_cpu_start(struct lm_ram *ram, unsigned int *whole);
/**
 * Mark what CPUs wrote since the last harvest, and protect it again. A region that cannot be read
 * is marked whole. May run beside lm_ram_take() and marks of others.
 * @return 0; -EINVAL: not started
 */
int lm_ram_cpu_harvest(struct lm_ram *ram);
/** Harmless when not started. lm_ram_destroy() does it too. */
void lm_ram_cpu_stop(struct lm_ram *ram);

#endif /* LM_RAM_H */
