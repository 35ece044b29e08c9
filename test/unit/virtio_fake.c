/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "virtio_fake.h"

static struct vqueue *
selected(struct vdevice *d)
{
	static struct vqueue none;

	return d->queue_select < NB_QUEUES ? &d->q[d->queue_select] : &none;
}

static void
device_reset(struct vdevice *d)
{
	unsigned int i;

	d->status = 0;
	d->driver_features = 0;
	d->config_vector = LM_VIRTIO_MSI_NO_VECTOR;
	d->cvq_seen = 0;
	for (i = 0; i < NB_QUEUES; i++)
		d->q[i] = (struct vqueue){ .size = d->max_size,
			.vector = LM_VIRTIO_MSI_NO_VECTOR };
}

/* Serve one command of the control queue, well or badly. */
static void
cvq_serve(struct vdevice *d)
{
	struct lm_vu_server *s = d->fake.server;
	struct vqueue *q = &d->q[CVQ];
	struct lm_vring_desc *desc = lm_vu_server_dma_ptr(s, q->desc, q->size * 16u, 3);
	struct lm_vring_avail *avail = lm_vu_server_dma_ptr(s, q->driver, 6u + q->size * 2u, 3);
	struct lm_vring_used *used = lm_vu_server_dma_ptr(s, q->device, 6u + q->size * 8u, 3);
	struct lm_virtio_net_ctrl_hdr *hdr;
	uint16_t head, at;
	uint8_t *ack;

	if (desc == NULL || avail == NULL || used == NULL || !q->enable ||
			d->cvq_mode == CVQ_SILENT ||
			lm_vring_load_acquire(&avail->idx) == d->cvq_seen)
		return;
	head = at = avail->ring[d->cvq_seen % q->size];
	hdr = lm_vu_server_dma_ptr(s, desc[at].addr, desc[at].len, 1);
	if (hdr == NULL || desc[at].len != sizeof(*hdr))
		return;
	d->last_class = hdr->class;
	d->last_cmd = hdr->cmd;
	d->last_len = 0;
	for (at = desc[at].next; (desc[at].flags & LM_VRING_DESC_F_NEXT) != 0; at = desc[at].next) {
		d->last_len = desc[at].len;
		memcpy(d->last_data, lm_vu_server_dma_ptr(s, desc[at].addr, desc[at].len, 1),
				d->last_len < sizeof(d->last_data) ? d->last_len :
				sizeof(d->last_data));
	}
	ack = lm_vu_server_dma_ptr(s, desc[at].addr, 1, 2);
	if (ack == NULL || desc[at].flags != LM_VRING_DESC_F_WRITE)
		return;
	if (d->cvq_mode != CVQ_BAD_ACK)
		*ack = d->cvq_mode == CVQ_SAYS_ERR ? LM_VIRTIO_NET_ERR : LM_VIRTIO_NET_OK;
	used->ring[d->cvq_seen % q->size] = (struct lm_vring_used_elem){
		.id = d->cvq_mode == CVQ_BAD_ID ? 1u : head,
		.len = d->cvq_mode == CVQ_BAD_LEN ? 2 : 1,
	};
	d->cvq_seen += d->cvq_mode == CVQ_TWO ? 2 : 1;
	lm_vring_store_release(&used->idx, d->cvq_seen);
}

static uint64_t
common_read(struct vdevice *d, uint64_t reg)
{
	struct vqueue *q = selected(d);

	switch (reg) {
	case LM_VIRTIO_PCI_COMMON_DF:
		return d->select[0] < 2 ? (uint32_t)(OFFERED >> (32 * d->select[0])) : 0;
	case LM_VIRTIO_PCI_COMMON_NUMQ:
		return d->num_queues;
	case LM_VIRTIO_PCI_COMMON_MSIX:
		return d->config_vector;
	case LM_VIRTIO_PCI_COMMON_STATUS:
		if (d->status_delay > 0 && --d->status_delay == 0)
			device_reset(d);
		return d->status;
	case LM_VIRTIO_PCI_COMMON_CFGGENERATION:
		return d->generation_runs ? d->generation++ : d->generation;
	case LM_VIRTIO_PCI_COMMON_Q_SIZE:
		return q->size;
	case LM_VIRTIO_PCI_COMMON_Q_MSIX:
		return q->vector;
	case LM_VIRTIO_PCI_COMMON_Q_ENABLE:
		return q->enable;
	case LM_VIRTIO_PCI_COMMON_Q_NOFF:
		return d->queue_select + d->notify_off;
	case LM_VIRTIO_PCI_COMMON_Q_RESET:
		return q->reset;
	default:
		return 0;
	}
}

static void
set_half(uint64_t *field, bool high, uint32_t v)
{
	if (high)
		*field = (*field & UINT32_MAX) | (uint64_t)v << 32;
	else
		*field = (*field & ~(uint64_t)UINT32_MAX) | v;
}

static void
common_write(struct vdevice *d, uint64_t reg, uint32_t v)
{
	struct vqueue *q = selected(d);

	switch (reg) {
	case LM_VIRTIO_PCI_COMMON_DFSELECT:
		d->select[0] = v;
		break;
	case LM_VIRTIO_PCI_COMMON_GFSELECT:
		d->select[1] = v;
		break;
	case LM_VIRTIO_PCI_COMMON_GF:
		set_half(&d->driver_features, d->select[1] == 1, v);
		break;
	case LM_VIRTIO_PCI_COMMON_MSIX:
		d->config_vector = v <= d->max_vector ? (uint16_t)v : LM_VIRTIO_MSI_NO_VECTOR;
		break;
	case LM_VIRTIO_PCI_COMMON_STATUS:
		if (v == 0 && !d->reset_hangs && d->status_delay == 0)
			device_reset(d);
		else if ((v & LM_VIRTIO_STATUS_SUSPEND) != 0)
			d->status = d->suspend_hangs ? d->status : d->suspend_fails ?
					d->status | LM_VIRTIO_STATUS_NEEDS_RESET :
					v & ~LM_VIRTIO_STATUS_DRIVER_OK;
		else if (v != 0)
			d->status = d->refuses_features ? v & ~LM_VIRTIO_STATUS_FEATURES_OK : v;
		break;
	case LM_VIRTIO_PCI_COMMON_Q_SELECT:
		d->queue_select = (uint16_t)v;
		break;
	case LM_VIRTIO_PCI_COMMON_Q_SIZE:
		q->size = (uint16_t)v;
		break;
	case LM_VIRTIO_PCI_COMMON_Q_MSIX:
		q->vector = v <= d->max_vector ? (uint16_t)v : LM_VIRTIO_MSI_NO_VECTOR;
		break;
	case LM_VIRTIO_PCI_COMMON_Q_ENABLE:
		q->enable = d->refuses_enable ? 0 : (uint16_t)v;
		break;
	case LM_VIRTIO_PCI_COMMON_Q_RESET:
		if (d->ring_reset_hangs)
			q->reset = 1;
		else
			*q = (struct vqueue){ .size = d->max_size,
				.vector = LM_VIRTIO_MSI_NO_VECTOR };
		break;
	case LM_VIRTIO_PCI_COMMON_Q_DESCLO:
	case LM_VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&q->desc, reg == LM_VIRTIO_PCI_COMMON_Q_DESCHI, v);
		break;
	case LM_VIRTIO_PCI_COMMON_Q_DRIVERLO:
	case LM_VIRTIO_PCI_COMMON_Q_DRIVERHI:
		set_half(&q->driver, reg == LM_VIRTIO_PCI_COMMON_Q_DRIVERHI, v);
		break;
	case LM_VIRTIO_PCI_COMMON_Q_DEVICELO:
	case LM_VIRTIO_PCI_COMMON_Q_DEVICEHI:
		set_half(&q->device, reg == LM_VIRTIO_PCI_COMMON_Q_DEVICEHI, v);
		break;
	default:
		break;
	}
}

/* 4.1.3.1: a field is accessed with its own width. */
static void
check_width(struct vdevice *d, uint64_t offset, uint32_t len)
{
	static const uint8_t widths[24] = { 1, 1, 1, 1, 1, 1, 2, 0, 2, 0, 2, 0, 4, 0, 0, 0, 1, 1,
		2, 0, 4, 0, 0, 0 };

	if (offset < sizeof(widths) && widths[offset] != len)
		d->field_errors++;
}

static int
on_read(struct fake_pci *f, uint32_t region, uint64_t offset, void *buf, uint32_t len)
{
	struct vdevice *d = f->ctx;
	uint64_t v;

	if (region == 0 && offset >= CONFIG_AT)
		check_width(d, offset - CONFIG_AT, len);
	if (region != 0 || offset >= sizeof(struct lm_virtio_pci_common_cfg))
		return 0;
	v = common_read(d, offset);
	memcpy(buf, &v, len);
	return 1;
}

static int
on_write(struct fake_pci *f, uint32_t region, uint64_t offset, const void *buf, uint32_t len)
{
	struct vdevice *d = f->ctx;
	uint32_t v = 0;

	memcpy(&v, buf, len <= sizeof(v) ? len : sizeof(v));
	if (region == NOTIFY_BAR) {
		d->kicks++;
		if (v == CVQ && offset == NOTIFY_AT + CVQ * NOTIFY_MULTIPLIER)
			cvq_serve(d);
	}
	if (region != 0 || offset >= sizeof(struct lm_virtio_pci_common_cfg))
		return 0;
	common_write(d, offset, v);
	return 1;
}

void
virtio_fake_cap(struct vdevice *d, uint8_t pos, uint8_t next, uint8_t type, uint8_t bar,
		uint32_t offset, uint32_t length)
{
	struct lm_virtio_pci_notify_cap cap = {
		.cap = { .cap_vndr = LM_VIRTIO_PCI_CAP_VNDR, .cap_next = next, .cap_len = 16,
			.cfg_type = type, .bar = bar, .offset = offset, .length = length },
		.notify_off_multiplier = NOTIFY_MULTIPLIER,
	};

	if (type == LM_VIRTIO_PCI_CAP_NOTIFY_CFG)
		cap.cap.cap_len = sizeof(cap);
	memcpy(d->fake.config + pos, &cap, cap.cap.cap_len);
}

void
virtio_fake_init(struct vdevice *d)
{
	memset(d, 0, sizeof(*d));
	fake_init(&d->fake);
	d->fake.on_read = on_read;
	d->fake.on_write = on_write;
	d->fake.ctx = d;
	memcpy(d->fake.config, (uint8_t[]){ 0xf4, 0x1a, 0x41, 0x10 }, 4);
	d->fake.config[0x34] = 0x40;
	virtio_fake_cap(d, 0x40, 0x54, LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 64);
	virtio_fake_cap(d, 0x54, 0x68, LM_VIRTIO_PCI_CAP_ISR_CFG, 0, 0x800, 1);
	virtio_fake_cap(d, 0x68, 0x80, LM_VIRTIO_PCI_CAP_DEVICE_CFG, 0, CONFIG_AT, 24);
	virtio_fake_cap(d, 0x80, 0x00, LM_VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_BAR, NOTIFY_AT, 0x100);
	d->num_queues = NB_QUEUES;
	d->max_size = 256;
	d->max_vector = 7;
	device_reset(d);
}
