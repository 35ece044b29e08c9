/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_CLIENT_H
#define LM_VU_CLIENT_H

/**
 * @file
 * vfio-user client: drives one device that another process serves on a UNIX socket.
 *
 * Requests are synchronous and bounded by a deadline. After a timeout or a malformed reply the
 * connection is closed, because message ids can no longer be trusted; every later call returns
 * -ENOTCONN. No hidden threads: server-to-client commands (DMA_READ, DMA_WRITE) are answered
 * while a request waits and by lm_vu_client_process(). Calls on one client are serialised by a
 * mutex inside; any thread may call, save from the client's own callbacks.
 *
 * Besides what is said at each function, all that talk to the server return:
 * -ETIMEDOUT (no reply in time), -ECONNRESET (server is gone), -EPROTO (malformed reply): the
 * connection is closed with it; -ENOTCONN: it was closed before; -ENOMEM; any other: the errno
 * that the server answered (-EIO where it named none), the connection lives on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_vu_proto.h"

struct lm_vu_client;

/**
 * Serve the device's message-mode DMA; NULL members refuse with EINVAL. len_bytes is 1 to
 * LM_VU_MAX_XFER; the address is as the server sent it, to be checked here. Return 0 or -errno,
 * which goes to the server. They run inside other calls on the client and must make none.
 */
struct lm_vu_client_ops {
	int (*dma_read)(void *ctx, uint64_t iova, void *buf, uint32_t len_bytes);
	int (*dma_write)(void *ctx, uint64_t iova, const void *buf, uint32_t len_bytes);
};

struct lm_vu_client_conf {
	/** Per request; 0: 5000. State changes and resets of a device count, so be generous. */
	uint32_t timeout_ms;
	/** The server's commands on a socket of their own, where it agrees: see lm_vu_caps. */
	bool offer_twin_socket;
	const struct lm_vu_client_ops *ops; /* may be NULL; must outlive the client */
	void *ctx;
};

struct lm_vu_area {
	uint64_t offset;
	uint64_t size_bytes;
};

struct lm_vu_region_info {
	uint32_t flags; /* LM_VU_REGION_F_* */
	uint32_t nb_areas;
	uint64_t size_bytes;
	uint64_t mmap_offset; /* add to an area's offset when mapping fd */
	int fd; /* -1, or owned by the caller */
	/** Mappable parts, inside the region; the whole region when the server names none. */
	struct lm_vu_area areas[LM_VU_MAX_AREAS];
};

struct lm_vu_ioeventfd {
	uint64_t offset; /* in the region */
	uint64_t size_bytes;
	uint64_t datamatch;
	uint32_t flags; /* KVM_IOEVENTFD_FLAG_* */
	int fd; /* owned by the caller */
};

/**
 * Connect and negotiate; does not wait for a server that is not there.
 * @return 0; -ENAMETOOLONG; -errno of connect() (-ENOENT, -ECONNREFUSED: nobody listens, -EAGAIN:
 * too many wait); -ETIMEDOUT: a server that serves somebody else; -EPROTO: not compatible
 */
int lm_vu_client_connect(const char *path, const struct lm_vu_client_conf *conf,
		struct lm_vu_client **client);
/** Ends the connection; the server unmaps and unbinds everything. NULL is allowed. */
void lm_vu_client_close(struct lm_vu_client *c);

/** Pollable: readable when lm_vu_client_process() has something to do or the peer is gone. */
int lm_vu_client_fd(const struct lm_vu_client *c);
/** Answer what the server has asked, without waiting. @return 0, or why the connection ended */
int lm_vu_client_process(struct lm_vu_client *c);
bool lm_vu_client_alive(const struct lm_vu_client *c);
/** What was negotiated; limits are already cut to ours. Constant for the client's life. */
const struct lm_vu_caps *lm_vu_client_caps(const struct lm_vu_client *c);

/** flags: VFIO_DEVICE_FLAGS_RESET 0x1, _PCI 0x2 */
int lm_vu_client_device_info(struct lm_vu_client *c, uint32_t *flags, uint32_t *num_regions,
		uint32_t *num_irqs);
/**
 * All areas are page-aligned and inside the region. A mappable region without a descriptor is
 * reported as not mappable. @return 0; -E2BIG: more than LM_VU_MAX_AREAS; -EINVAL: no such region
 */
int lm_vu_client_region_info(struct lm_vu_client *c, uint32_t region,
		struct lm_vu_region_info *info);
/**
 * Doorbells that reach the server without a message.
 * @return number of entries stored in fds (at most max), each with a descriptor of its own
 */
int lm_vu_client_region_io_fds(struct lm_vu_client *c, uint32_t region,
		struct lm_vu_ioeventfd *fds, uint32_t max);
/** flags: VFIO_IRQ_INFO_EVENTFD 0x1, _MASKABLE 0x2, _AUTOMASKED 0x4, _NORESIZE 0x8 */
int lm_vu_client_irq_info(struct lm_vu_client *c, uint32_t index, uint32_t *flags,
		uint32_t *count);

/**
 * Bind eventfds to vectors [start, start + count); fds NULL or an entry of -1 unbinds. The caller
 * keeps its descriptors. Several messages where vectors outnumber what one carries: after an
 * error the first ones may be bound.
 */
int lm_vu_client_set_irqs(struct lm_vu_client *c, uint32_t index, uint32_t start, uint32_t count,
		const int *fds);
int lm_vu_client_disable_irqs(struct lm_vu_client *c, uint32_t index);

/** Longer than the negotiated transfer goes in pieces. @return 0; -EINVAL: outside, or empty */
int lm_vu_client_region_read(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		void *buf, uint32_t len_bytes);
int lm_vu_client_region_write(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		const void *buf, uint32_t len_bytes);
/**
 * Posted: no reply is asked for; errors are lost, as on a PCI bus. Commands that follow on this
 * client come after it. Blocks only while the socket is full.
 */
int lm_vu_client_region_write_posted(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		const void *buf, uint32_t len_bytes);

struct lm_vu_write {
	uint64_t offset;
	uint32_t region;
	uint32_t len_bytes; /* 1..8 */
	uint64_t data;
};
/**
 * One message where the server takes REGION_WRITE_MULTI, else single writes in order.
 * @return 0; -EIO: the server stopped before the last
 */
int lm_vu_client_region_write_multi(struct lm_vu_client *c, const struct lm_vu_write *writes,
		uint32_t count);

/**
 * prot: LM_VU_PROT_*. fd -1: the server must use DMA_READ / DMA_WRITE messages; else it maps the
 * file, and the caller may close its descriptor. Address, size and offset are page multiples.
 * @return 0; -EEXIST (libvfio-user: -EINVAL): overlaps; -ENOSPC: more than caps.max_dma_maps
 */
int lm_vu_client_dma_map(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes, int fd,
		uint64_t fd_offset, uint32_t prot);
/** Exactly one earlier mapping; the server has let go of it on return. @return 0; -ENOENT */
int lm_vu_client_dma_unmap(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes);
int lm_vu_client_dma_unmap_all(struct lm_vu_client *c);
/** Device reset. libvfio-user refuses it (-EINVAL) in migration states STOP and STOP_COPY. */
int lm_vu_client_reset(struct lm_vu_client *c);

/**
 * VFIO_DEVICE_FEATURE: flags as in linux/vfio.h (index | GET/SET/PROBE); data is in and out,
 * in_len_bytes are sent, up to out_max_bytes are stored.
 * @return bytes stored, or -errno; -ENOTTY: not supported, also where a server says EINVAL to
 * PROBE
 */
int lm_vu_client_feature(struct lm_vu_client *c, uint32_t flags, void *data,
		uint32_t in_len_bytes, uint32_t out_max_bytes);

/** VFIO_MIGRATION_*: STOP_COPY 1, P2P 2, PRE_COPY 4. @return 0; -ENOTTY: cannot migrate */
int lm_vu_client_mig_flags(struct lm_vu_client *c, uint64_t *flags);
int lm_vu_client_mig_state_get(struct lm_vu_client *c, uint32_t *state);
/**
 * enum vfio_device_mig_state. After an error the device may be anywhere on the way: ask.
 * @return 0; -EINVAL: no such state, or no way to it
 */
int lm_vu_client_mig_state_set(struct lm_vu_client *c, uint32_t state);
/**
 * Read the state stream in PRE_COPY and STOP_COPY, at most one transfer. In PRE_COPY 0 means
 * "nothing now", in STOP_COPY the end.
 * @return bytes read, or -errno
 */
int lm_vu_client_mig_read(struct lm_vu_client *c, void *buf, uint32_t len_bytes);
/** Write the stream in RESUMING, in as many messages as it takes. */
int lm_vu_client_mig_write(struct lm_vu_client *c, const void *buf, uint32_t len_bytes);
/** As struct vfio_precopy_info. @return 0; -ENOTTY: not negotiated; -EINVAL: not in PRE_COPY */
int lm_vu_client_mig_precopy_info(struct lm_vu_client *c, uint32_t *flags, uint64_t *initial_bytes,
		uint64_t *dirty_bytes);
/** Estimate of what would be to read if the device stopped now. @return 0; -ENOTTY */
int lm_vu_client_mig_data_size(struct lm_vu_client *c, uint64_t *stop_copy_bytes);

struct lm_vu_range {
	uint64_t iova;
	uint64_t length_bytes;
};
/**
 * Log the device's writes in these ranges (none: everywhere). page_size_bytes: the wish in, the
 * device's choice out. @return 0; -ENOTTY; -EINVAL: runs already, or ranges overlap or are not
 * aligned; -E2BIG; -EOVERFLOW
 */
int lm_vu_client_log_start(struct lm_vu_client *c, const struct lm_vu_range *ranges,
		uint32_t nb_ranges, uint64_t *page_size_bytes);
int lm_vu_client_log_stop(struct lm_vu_client *c);
/**
 * Read and clear. ORs nothing: bitmap is overwritten; DIV_ROUND_UP(length / page_size, 64) words,
 * bit n for page n of the range. After an error all of the range counts as dirty. libvfio-user
 * wants exactly one mapping as the range, and the page size that log_start() gave.
 */
int lm_vu_client_log_report(struct lm_vu_client *c, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);

#endif /* LM_VU_CLIENT_H */
