/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef DM_FAKE_NET_H
#define DM_FAKE_NET_H

/* A small virtio-net driver of the tests' own, written from VIRTIO 1.3, on a fake host. */

#include "dm_fake_host.h"
#include "dm_virtio_net.h"

#define NET_RAM 0x40000000u
#define NET_RAM_BYTES 0x400000u
#define NET_QSIZE 16
#define NET_RING(q) (NET_RAM + (q) * 0x3000u)  /* table, available + 0x1000, used + 0x2000 */
#define NET_BUFS (NET_RAM + 0x100000u)

/* Registers, 4.1.4.3. */
enum {
	R_DFSELECT = 0, R_DF = 4, R_GFSELECT = 8, R_GF = 12, R_MSIX = 16, R_NUMQ = 18,
	R_STATUS = 20, R_GEN = 21, R_QSELECT = 22, R_QSIZE = 24, R_QMSIX = 26, R_QENABLE = 28,
	R_QNOFF = 30, R_QDESC = 32, R_QDRIVER = 40, R_QDEVICE = 48, R_QNDATA = 56, R_QRESET = 58,
	R_ISR = 0x1000, R_CONFIG = 0x2000, R_NOTIFY = 0x8000,
};

struct fake_queue {
	uint16_t avail;
	uint16_t used; /* what was seen */
};

struct fake_net {
	struct fake_host f;
	struct dm_pci pci;
	struct dm_device device;
	struct dm_wire *wire;
	struct dm_net *net;
	struct fake_queue q[DM_VIRTIO_MAX_QUEUES];
};

void net_create(struct fake_net *n, uint16_t pairs, uint64_t feature_mask, bool shared);
void net_destroy(struct fake_net *n);
uint64_t rd(struct fake_net *n, uint64_t offset, uint32_t width);
void wr(struct fake_net *n, uint64_t offset, uint32_t width, uint64_t value);
/* Up to FEATURES_OK; returns the status then. */
uint8_t net_negotiate(struct fake_net *n, uint64_t features);
void net_queue(struct fake_net *n, uint16_t q);
void net_start(struct fake_net *n, uint64_t features); /* all queues, DRIVER_OK */
void net_desc(struct fake_net *n, uint16_t q, uint16_t i, uint64_t addr, uint32_t len,
		uint16_t flags, uint16_t next);
void net_offer(struct fake_net *n, uint16_t q, uint16_t head);
/* Next used element; false when there is none. */
bool net_used(struct fake_net *n, uint16_t q, uint32_t *id, uint32_t *len);
unsigned int net_poll(struct fake_net *n);
/* A frame from the wire. */
void net_inject(struct fake_net *n, const uint8_t *frame, uint32_t len);
/* A UDP frame of len bytes; the payload is its index, mod 251. */
void net_frame(uint8_t *frame, uint32_t len, const uint8_t *dst, uint16_t sport, uint16_t dport);
/* A control command through queue q with data; the answer of the device, 0xee: none. */
uint8_t net_ctrl(struct fake_net *n, uint16_t q, uint8_t class, uint8_t cmd, const void *data,
		uint32_t len);

#endif /* DM_FAKE_NET_H */
