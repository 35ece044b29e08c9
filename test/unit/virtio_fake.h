/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef VIRTIO_FAKE_H
#define VIRTIO_FAKE_H

/* A minimal virtio-net function on top of pci_fake.h, which lies where a test tells it to. */

#include "lm_virtio.h"
#include "pci_fake.h"
#include "virtio_net_if.h"
#include "virtio_pci_if.h"
#include "virtio_ring_if.h"

/* Where the windows are, unless a test says otherwise. */
#define CONFIG_AT 0x1000u   /* BAR 0 */
#define NOTIFY_BAR 4        /* trapped */
#define NOTIFY_AT 0x400u
#define NOTIFY_MULTIPLIER 4u
#define CVQ 2u
#define NB_QUEUES 3u
#define BIT LM_VIRTIO_BIT

#define OFFERED (BIT(LM_VIRTIO_F_SUSPEND) | BIT(LM_VIRTIO_F_VERSION_1) | \
	BIT(LM_VIRTIO_F_RING_RESET) | \
		BIT(LM_VIRTIO_NET_F_CTRL_VQ) | BIT(LM_VIRTIO_NET_F_MAC) | \
		BIT(LM_VIRTIO_F_NOTIFICATION_DATA) | BIT(LM_VIRTIO_F_RING_PACKED))
#define PLAIN (BIT(LM_VIRTIO_F_VERSION_1) | BIT(LM_VIRTIO_F_RING_RESET) | \
		BIT(LM_VIRTIO_NET_F_CTRL_VQ))
#define RESET_US 200000u

enum { CVQ_GOOD, CVQ_SILENT, CVQ_SAYS_ERR, CVQ_BAD_ID, CVQ_BAD_LEN, CVQ_BAD_ACK,
	CVQ_TWO };

struct vqueue {
	uint16_t size, vector, enable, reset;
	uint64_t desc, driver, device;
};

/* A minimal device; what a test sets below makes it lie. */
struct vdevice {
	struct fake_pci fake;
	struct lm_pci *pci;
	struct lm_virtio_dev *dev;

	uint32_t select[2];
	uint64_t driver_features;
	uint16_t queue_select;
	uint16_t config_vector;
	uint8_t status;
	uint8_t generation;
	struct vqueue q[NB_QUEUES];
	uint16_t cvq_seen;
	uint8_t last_class, last_cmd, last_data[64];
	uint32_t last_len;
	uint32_t kicks;

	uint16_t num_queues;
	uint16_t max_size;
	uint16_t notify_off;   /* added to each queue's */
	uint16_t max_vector;
	bool reset_hangs;
	bool refuses_enable;
	bool ring_reset_hangs;
	uint32_t status_delay; /* reads until a reset shows */
	bool refuses_features;
	bool generation_runs;
	unsigned int field_errors; /* accesses of device configuration with a wrong width */
	int cvq_mode;
	bool suspend_hangs, suspend_fails;
};

/** A good device; tests change it before they start it. */
void virtio_fake_init(struct vdevice *d);
/** A capability at pos of configuration space. */
void virtio_fake_cap(struct vdevice *d, uint8_t pos, uint8_t next, uint8_t type, uint8_t bar,
		uint32_t offset, uint32_t length);

#endif /* VIRTIO_FAKE_H */
