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
 * mutex inside; any thread may call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lm_vu_proto.h"

struct lm_vu_client;

/** Serve the device's message-mode DMA; NULL members refuse with EINVAL. */
struct lm_vu_client_ops {
	int (*dma_read)(void *ctx, uint64_t iova, void *buf, uint32_t len_bytes);
	int (*dma_write)(void *ctx, uint64_t iova, const void *buf, uint32_t len_bytes);
};

struct lm_vu_client_conf {
	uint32_t timeout_ms;  /* per request; 0: 5000 */
	bool offer_twin_socket;
	const struct lm_vu_client_ops *ops; /* may be NULL */
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
	struct lm_vu_area areas[LM_VU_MAX_AREAS]; /* mmap-able parts; whole region when it has no sparse cap */
};

struct lm_vu_ioeventfd {
	uint64_t offset; /* in the region */
	uint64_t size_bytes;
	uint64_t datamatch;
	uint32_t flags;
	int fd; /* owned by the caller */
};

int lm_vu_client_connect(const char *path, const struct lm_vu_client_conf *conf,
		struct lm_vu_client **client);
void lm_vu_client_close(struct lm_vu_client *c);

/** Pollable: readable when lm_vu_client_process() has something to do or the peer is gone. */
int lm_vu_client_fd(const struct lm_vu_client *c);
int lm_vu_client_process(struct lm_vu_client *c);
bool lm_vu_client_alive(const struct lm_vu_client *c);
const struct lm_vu_caps *lm_vu_client_caps(const struct lm_vu_client *c);

int lm_vu_client_device_info(struct lm_vu_client *c, uint32_t *flags, uint32_t *num_regions,
		uint32_t *num_irqs);
int lm_vu_client_region_info(struct lm_vu_client *c, uint32_t region,
		struct lm_vu_region_info *info);
/** @return number of entries stored in fds (at most max), or -errno. */
int lm_vu_client_region_io_fds(struct lm_vu_client *c, uint32_t region,
		struct lm_vu_ioeventfd *fds, uint32_t max);
int lm_vu_client_irq_info(struct lm_vu_client *c, uint32_t index, uint32_t *flags,
		uint32_t *count);

/** Bind eventfds to vectors [start, start + count); fds NULL or an entry of -1 unbinds. */
int lm_vu_client_set_irqs(struct lm_vu_client *c, uint32_t index, uint32_t start, uint32_t count,
		const int *fds);
int lm_vu_client_disable_irqs(struct lm_vu_client *c, uint32_t index);

int lm_vu_client_region_read(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		void *buf, uint32_t len_bytes);
int lm_vu_client_region_write(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		const void *buf, uint32_t len_bytes);
/** Posted: no reply is asked for; errors are lost, as on a PCI bus. */
int lm_vu_client_region_write_posted(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		const void *buf, uint32_t len_bytes);

struct lm_vu_write {
	uint64_t offset;
	uint32_t region;
	uint32_t len_bytes; /* 1..8 */
	uint64_t data;
};
/** One message where the server takes REGION_WRITE_MULTI, else single writes in order. */
int lm_vu_client_region_write_multi(struct lm_vu_client *c, const struct lm_vu_write *writes,
		uint32_t count);

/** fd -1: the server must use DMA_READ / DMA_WRITE messages. */
int lm_vu_client_dma_map(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes, int fd,
		uint64_t fd_offset, uint32_t prot);
int lm_vu_client_dma_unmap(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes);
int lm_vu_client_dma_unmap_all(struct lm_vu_client *c);
int lm_vu_client_reset(struct lm_vu_client *c);

/**
 * VFIO_DEVICE_FEATURE: flags as in linux/vfio.h (index | GET/SET/PROBE); data is in and out,
 * in_len_bytes are sent, up to out_max_bytes are stored.
 * @return bytes stored, or -errno (-ENOTTY: not supported, also where a server says EINVAL to PROBE)
 */
int lm_vu_client_feature(struct lm_vu_client *c, uint32_t flags, void *data,
		uint32_t in_len_bytes, uint32_t out_max_bytes);

int lm_vu_client_mig_flags(struct lm_vu_client *c, uint64_t *flags);
int lm_vu_client_mig_state_get(struct lm_vu_client *c, uint32_t *state);
int lm_vu_client_mig_state_set(struct lm_vu_client *c, uint32_t state);
/** @return bytes read, 0 at the end, or -errno. */
int lm_vu_client_mig_read(struct lm_vu_client *c, void *buf, uint32_t len_bytes);
int lm_vu_client_mig_write(struct lm_vu_client *c, const void *buf, uint32_t len_bytes);
int lm_vu_client_mig_precopy_info(struct lm_vu_client *c, uint32_t *flags, uint64_t *initial_bytes,
		uint64_t *dirty_bytes);
int lm_vu_client_mig_data_size(struct lm_vu_client *c, uint64_t *stop_copy_bytes);

struct lm_vu_range {
	uint64_t iova;
	uint64_t length_bytes;
};
int lm_vu_client_log_start(struct lm_vu_client *c, const struct lm_vu_range *ranges,
		uint32_t nb_ranges, uint64_t *page_size_bytes);
int lm_vu_client_log_stop(struct lm_vu_client *c);
/** ORs nothing: bitmap is overwritten; DIV_ROUND_UP(length / page_size, 64) words. */
int lm_vu_client_log_report(struct lm_vu_client *c, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);

#endif /* LM_VU_CLIENT_H */
