/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VU_DEVICE_H
#define VU_DEVICE_H

/**
 * @file
 * A small device behind a vfio-user server in a thread of its own, for tests of both halves.
 *
 * BAR0: 64 KiB of registers, trapped; BAR1: 16 KiB of a memfd of which page 1 is mappable and
 * with an ioeventfd; BAR2: a whole mappable page; config space 256 bytes. Its migration state is
 * a text; its dirty log marks pages that the device writes.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lm_vu_server.h"

#define VU_BAR0_BYTES 0x10000u
#define VU_BAR1_BYTES 0x4000u
#define VU_CONFIG_BYTES 256u
#define VU_MSIX_COUNT 40u
#define VU_STATE_BYTES 3000u
#define VU_LOG_PAGES 1024u

/* Writing 4 bytes here makes the device act; everything else is memory. */
#define VU_REG_DMA_READ 0x100u    /* read 8 bytes at the iova in VU_REG_IOVA into VU_REG_DATA */
#define VU_REG_DMA_WRITE 0x104u   /* the other way */
#define VU_REG_IRQ 0x108u         /* trigger this MSI-X vector */
#define VU_REG_INTX 0x10cu        /* trigger INTx */
#define VU_REG_RESULT 0x110u      /* what the last action returned */
#define VU_REG_DMA_BULK 0x114u    /* read 256 KiB at VU_REG_IOVA, checksum into VU_REG_DATA */
#define VU_REG_IOVA 0x120u
#define VU_REG_DATA 0x128u

struct vu_device {
	char dir[64];
	char path[96];
	struct lm_vu_server *server;
	struct lm_vu_server_conf conf;
	struct lm_vu_server_ops ops;
	pthread_t thread;
	int stop_fd;
	bool is_running;
	int bar1_fd;
	int ioevent_fd;
	uint8_t bar0[VU_BAR0_BYTES];
	uint8_t config[VU_CONFIG_BYTES];

	uint32_t resets;
	uint32_t connects;
	uint32_t disconnects;
	uint32_t maps;
	uint32_t unmaps;
	uint32_t carried_out[LM_VU_COMMAND_MAX];

	uint64_t mig_flags;
	uint32_t state;
	uint8_t blob[VU_STATE_BYTES]; /* what mig_read gives and mig_write takes */
	uint32_t blob_at;
	bool is_logging;
	uint64_t log_first_page; /* what bit 0 of log_pages stands for */
	uint64_t log_pages[VU_LOG_PAGES / 64];
};

/** Fill in conf and ops; then change them, then start. */
void vu_device_init(struct vu_device *d);
/** Create the server; with_thread: and drive it. @return what lm_vu_server_create() says */
int vu_device_start(struct vu_device *d, bool with_thread);
void vu_device_stop(struct vu_device *d);

/** Open descriptors of this process. */
uint32_t vu_count_fds(void);
/** A connected stream socket, blocking, with a receive timeout of 5 s. */
int vu_raw_connect(const char *path);

#endif /* VU_DEVICE_H */
