/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_WINDOW_H
#define LM_WINDOW_H

/**
 * @file
 * The window: all memory of a process that its devices see, at one address that is the same in
 * source and destination, virtual address and IOVA alike. A device's rings and a state that names
 * addresses mean the same on both sides, and nothing has to be translated.
 *
 * Two areas, in this order. *Control*: rings, doorbell records, firmware pages, and what ports say
 * of themselves; written by CPUs all the time, sent whole after the stop. *Buffers*: packet data
 * and nothing else.
 *
 * It is not a DPDK heap: a heap keeps its own pointers beside each piece, and those of the source
 * would overwrite the destination's. Drivers take control memory by lm_window_alloc(); packet
 * buffers are given to rte_pktmbuf_pool_create_extbuf(), which keeps mbufs elsewhere.
 *
 * One thread at a time per window.
 */

#include <stdbool.h>
#include <stdint.h>

#include "lm_provider.h"

struct lm_window;
struct lm_ram;
struct lm_compat_window;

struct lm_window_conf {
	uint64_t addr;          /* a multiple of page_bytes */
	uint64_t control_bytes; /* a multiple of page_bytes, more than 0 */
	uint64_t buffer_bytes;  /* likewise */
	/** End of the control area, kept for records of ports (lm_ports_save()); may be 0. */
	uint64_t record_bytes;
	/** 4096, or a size of huge pages. IOMMUs report dirty pages of up to this size. */
	uint64_t page_bytes;
	uint32_t element_bytes;  /* of one packet buffer */
	uint32_t headroom_bytes; /* at its begin */
	uint32_t numa_node;      /* for the reader of the compatibility record */
	/** What the IOMMU offers, in any order; the window must lie in one. 0: not known. */
	unsigned int nb_iovas;
	const struct lm_range *iovas;
	/** Keep it in memory (RLIMIT_MEMLOCK), as mapping it for devices will: fails early. */
	bool pin;
};

/**
 * Make a window of zeroes; all its memory is there when this returns.
 *
 * @return 0; -EINVAL: sizes or alignment; -ERANGE: not in what the IOMMU offers; -EEXIST: something
 * is mapped there; -ENOMEM: too little memory, too few huge pages, or RLIMIT_MEMLOCK; -errno of
 * memfd_create(2), mmap(2), mlock(2)
 */
int lm_window_create(const struct lm_window_conf *conf, struct lm_window **window);
/** Unmaps it. Devices must have let go of it. NULL is allowed. */
void lm_window_destroy(struct lm_window *window);

/** Start, as a pointer and as an address: the same number. */
void *lm_window_base(const struct lm_window *window);
uint64_t lm_window_size(const struct lm_window *window);
/** File behind it, for a device that maps by file descriptor. The window's, do not close. */
int lm_window_fd(const struct lm_window *window);
/** The area of packet buffers. */
void *lm_window_buffers(const struct lm_window *window, uint64_t *len_bytes);

/** Where records of ports are kept; NULL: conf.record_bytes was 0. */
void *lm_window_records(const struct lm_window *window, uint64_t *len_bytes);

/**
 * Take zeroed control memory. In incoming mode a driver does not: it takes by lm_window_claim()
 * what the source had.
 *
 * @param align a power of two
 * @return NULL: bad alignment, or no room left
 */
void *lm_window_alloc(struct lm_window *window, uint64_t len_bytes, uint64_t align);
/**
 * Take control memory that a record names by its offset, in any order; that claims do not overlap
 * is seen to by who reads the record. lm_window_alloc() gives out what lies behind all of them.
 *
 * @return NULL: not wholly in the control area, or within what lm_window_alloc() gave out
 */
void *lm_window_claim(struct lm_window *window, uint64_t offset, uint64_t len_bytes);
/** Give all control memory back, as after lm_window_create(); its content stays. */
void lm_window_reset(struct lm_window *window);

/** Offset of a pointer into the window. @return false: [ptr, ptr + len) is not in it */
bool lm_window_offset(const struct lm_window *window, const void *ptr, uint64_t len_bytes,
		uint64_t *offset);
/** Pointer to [offset, offset + len) of the control area, or NULL. */
void *lm_window_control_at(const struct lm_window *window, uint64_t offset, uint64_t len_bytes);
/** Pointer to [offset, offset + len) of the buffer area, or NULL. */
void *lm_window_buffer_at(const struct lm_window *window, uint64_t offset, uint64_t len_bytes);

/**
 * Register both areas as regions "window-control" and "window-buffers".
 * @param precopy send all buffers before the stop, under dirty tracking; else only what
 * lm_port_rec_mark() names, after it
 * @return as lm_ram_add()
 */
int lm_window_add_ram(struct lm_window *window, struct lm_ram *ram, bool precopy);
/** What the other side must have too, for the compatibility record. */
void lm_window_describe(const struct lm_window *window, struct lm_compat_window *desc);

#endif /* LM_WINDOW_H */
