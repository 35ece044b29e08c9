/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_SERVER_H
#define LM_VU_SERVER_H

/**
 * @file
 * vfio-user server: presents one PCI function on a UNIX socket to one client at a time.
 *
 * Event-loop friendly and single-threaded: the owner polls lm_vu_server_fd() and calls
 * lm_vu_server_process(); callbacks run inside that call. All functions on one server belong to
 * one thread. Everything that the client sends is checked here; a callback sees only offsets,
 * lengths and states that are in range. What a callback returns as -errno the client gets as
 * error of its command. One that cannot finish yet returns -EINPROGRESS: its command waits, and
 * those behind it, until lm_vu_server_resume(); then it is called again with the same arguments.
 *
 * A client that vanishes loses its mappings and interrupt bindings, the device keeps its state.
 * A client that shrinks a file after mapping it makes the device's next access a SIGBUS: nothing
 * on this side can prevent that, so give each client a process of its own.
 * While one is connected, others wait in the socket's queue.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_vu_client.h" /* struct lm_vu_area, lm_vu_range */
#include "lm_vu_proto.h"

struct lm_vu_server;

struct lm_vu_region_conf {
	uint64_t size_bytes; /* 0: no such region */
	uint32_t flags;      /* LM_VU_REGION_F_READ, _WRITE; _MMAP with fd and areas */
	int fd;              /* owned by the caller, stays open; -1: trapped */
	uint64_t fd_offset;
	const struct lm_vu_area *areas; /* nb_areas 0 with _MMAP: the whole region */
	uint32_t nb_areas;
	const struct lm_vu_ioeventfd *ioeventfds; /* fds owned by the caller */
	uint32_t nb_ioeventfds;
};

/** Callbacks; region_read and region_write are needed, all others may be NULL. */
struct lm_vu_server_ops {
	/** 0 or -errno; region has been checked, offset + len lies inside it. */
	int (*region_read)(void *ctx, uint32_t region, uint64_t offset, void *buf,
			uint32_t len_bytes);
	int (*region_write)(void *ctx, uint32_t region, uint64_t offset, const void *buf,
			uint32_t len_bytes);
	/** Without it the device is reported as not resettable. */
	int (*reset)(void *ctx);
	/** Optional. After a map; before an unmap, so that cached pointers can be dropped. */
	void (*dma_mapped)(void *ctx, uint64_t iova, uint64_t size_bytes, uint32_t prot);
	void (*dma_unmapping)(void *ctx, uint64_t iova, uint64_t size_bytes);
	/** Optional. Vectors were bound or unbound; not called when the client vanishes. */
	void (*irqs_changed)(void *ctx, uint32_t index);
	/** Optional. After version negotiation; and after all was unmapped, with the reason. */
	void (*connected)(void *ctx);
	void (*disconnected)(void *ctx, const char *why);
	/** Optional. A command was carried out, the client's or ours; not called when it failed. */
	void (*carried_out)(void *ctx, uint16_t command);

	/**
	 * Optional migration: the first five all or none. States are VFIO's (linux/vfio.h), never
	 * ERROR, and only those that mig_flags allows; arcs are the device's own affair.
	 * mig_read: -ENOMSG means "nothing now" in PRE_COPY. len_bytes is up to LM_VU_MAX_XFER.
	 */
	uint64_t (*mig_flags)(void *ctx);
	int (*mig_state_get)(void *ctx, uint32_t *state);
	int (*mig_state_set)(void *ctx, uint32_t state);
	int (*mig_read)(void *ctx, void *buf, uint32_t len_bytes); /* bytes, 0 end, -errno */
	int (*mig_write)(void *ctx, const void *buf, uint32_t len_bytes);
	int (*mig_precopy_info)(void *ctx, uint32_t *flags, uint64_t *initial, uint64_t *dirty);
	int (*mig_data_size)(void *ctx, uint64_t *bytes);

	/**
	 * Optional DMA logging; all or none. Ranges are aligned to *page_size_bytes (a power of
	 * two of 4096 or more; to be replaced by the device's choice), do not overlap, and are at
	 * most 256; none stands for everything. bitmap is zero, with whole 64-bit words.
	 */
	int (*log_start)(void *ctx, const struct lm_vu_range *ranges, uint32_t nb_ranges,
			uint64_t *page_size_bytes);
	int (*log_stop)(void *ctx);
	int (*log_report)(void *ctx, uint64_t iova, uint64_t length_bytes,
			uint64_t page_size_bytes, uint64_t *bitmap);
};

struct lm_vu_server_conf {
	const char *path;
	struct lm_vu_region_conf regions[LM_VU_NUM_REGIONS];
	uint32_t irq_counts[LM_VU_NUM_IRQS];
	uint32_t max_dma_maps; /* 0: 1024 */
	uint8_t iova_bits;     /* that the device can address, told to clients; 0: all */
	/**
	 * Refuse what libvfio-user refuses (its lib/libvfio-user.c and lib/dma.c of 2026): while
	 * the device is in STOP or STOP_COPY all commands but region access (in STOP only),
	 * DEVICE_FEATURE and MIG_DATA_READ; features that it does not know with -EINVAL; a report
	 * that is not exactly one mapping with the page size of the start. log_start gets no ranges
	 * then. MIG_DATA_READ is answered with as many bytes as were asked for, of which the first
	 * argsz count.
	 */
	bool strict;
	const struct lm_vu_server_ops *ops;
	void *ctx;
};

/**
 * Listens at once; refuses a path where another server answers, replaces a stale socket. conf is
 * copied, with areas and ioeventfds; descriptors and ops stay the caller's and must outlive the
 * server.
 * @return 0; -EADDRINUSE: somebody serves this path; -EEXIST: it is no socket; -ENAMETOOLONG;
 * -EINVAL: conf contradicts itself (areas not aligned, sorted and inside, incomplete ops, more
 * than 2048 vectors or 65535 maps); -ENOMEM, -errno of socket calls
 */
int lm_vu_server_create(const struct lm_vu_server_conf *conf, struct lm_vu_server **server);
/** Disconnects and removes the socket file, if it is still ours. NULL is allowed. */
void lm_vu_server_destroy(struct lm_vu_server *s);

/** One epoll fd for listening and connection: readable when process() has work. */
int lm_vu_server_fd(const struct lm_vu_server *s);
/**
 * Handle what has arrived, at most 64 messages; the fd stays readable while there is more. Waits
 * only for a client that does not read its replies, 5 s at most, then drops it.
 * @return messages handled, or -errno when the listener fails (-EMFILE and the like)
 */
int lm_vu_server_process(struct lm_vu_server *s);
/** A callback that returned -EINPROGRESS is called again, in the next process(). */
void lm_vu_server_resume(struct lm_vu_server *s);
bool lm_vu_server_connected(const struct lm_vu_server *s);
/** Of the connection; limits on descriptors and transfers are the client's. */
const struct lm_vu_caps *lm_vu_server_caps(const struct lm_vu_server *s);

/**
 * Device view of memory: a pointer to [iova, iova + len) if it lies in one mapping that has an
 * fd and the rights in prot, else NULL. Valid until dma_unmapping or disconnection.
 */
void *lm_vu_server_dma_ptr(struct lm_vu_server *s, uint64_t iova, uint64_t len_bytes,
		uint32_t prot);
/** As above, but *len_bytes is cut to what is contiguous from iova. */
void *lm_vu_server_dma_span(struct lm_vu_server *s, uint64_t iova, uint64_t *len_bytes,
		uint32_t prot);
/**
 * DMA to any mapping: copied, or by message where there is no fd. Waits for the client up to 5 s,
 * then drops it; commands of the client that come meanwhile are kept for later.
 * @return 0; -EFAULT: not mapped, or without the right; -ENOTCONN, -ETIMEDOUT, -ECONNRESET,
 * -EPROTO: the client is lost; else the client's errno
 */
int lm_vu_server_dma_read(struct lm_vu_server *s, uint64_t iova, void *buf, uint32_t len_bytes);
int lm_vu_server_dma_write(struct lm_vu_server *s, uint64_t iova, const void *buf,
		uint32_t len_bytes);

/**
 * Signal a vector; false when nothing is bound to it. Never blocks. INTx that the client has
 * masked is kept and signalled by unmasking.
 */
bool lm_vu_server_irq_trigger(struct lm_vu_server *s, uint32_t index, uint32_t vector);

#endif /* LM_VU_SERVER_H */
