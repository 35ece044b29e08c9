/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The virtio-net model under a hostile driver: the input is a program of register accesses,
 * stores to ring memory, frames from the wire and turns of the event loop. Rings lie at fixed
 * places in 64 KiB of memory, so that stores hit them often.
 */

#include <stdlib.h>
#include <string.h>

#include "dm_virtio_net.h"

#define RAM_IOVA 0x10000u
#define RAM_BYTES 0x10000u
#define RING(q) (RAM_IOVA + (q) * 0x1000u) /* table, available + 0x400, used + 0x800 */
#define MAX_STEPS 512

struct fuzz {
	struct dm_host host;
	struct dm_rules rules;
	struct dm_faults faults;
	struct dm_pci pci;
	struct dm_device device;
	struct dm_wire *wire;
	uint8_t *ram;
	bool unmapped;
	uint64_t now_ns;
};

struct input {
	const uint8_t *data;
	size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
fuzz_span(void *ctx, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	struct fuzz *z = ctx;

	(void)prot;
	if (z->unmapped || iova < RAM_IOVA || iova - RAM_IOVA >= RAM_BYTES)
		return NULL;
	if (*len_bytes > RAM_BYTES - (iova - RAM_IOVA))
		*len_bytes = RAM_BYTES - (iova - RAM_IOVA);
	return z->ram + (iova - RAM_IOVA);
}

static void
fuzz_irq(void *ctx, uint16_t vector)
{
	struct fuzz *z = ctx;

	dm_pci_msix_raise(&z->pci, vector);
}

static uint64_t
fuzz_now_ns(void *ctx)
{
	return ((struct fuzz *)ctx)->now_ns;
}

static void
fuzz_bus_master(void *ctx, bool on)
{
	(void)ctx;
	(void)on;
}

static void
fuzz_flr(void *ctx)
{
	struct fuzz *z = ctx;

	z->device.ops->reset(z->device.dev);
	dm_pci_reset(&z->pci);
}

static void
fuzz_window_read(void *ctx, uint8_t data[4])
{
	struct fuzz *z = ctx;
	uint32_t bar, len;
	uint64_t offset;

	if (z->device.ops->window(z->device.dev, &bar, &offset, &len))
		z->device.ops->bar_read(z->device.dev, bar, offset, data, len);
}

static void
fuzz_window_write(void *ctx, const uint8_t data[4])
{
	struct fuzz *z = ctx;
	uint32_t bar, len;
	uint64_t offset;

	if (z->device.ops->window(z->device.dev, &bar, &offset, &len))
		z->device.ops->bar_write(z->device.dev, bar, offset, data, len);
}

static const struct dm_pci_ops fuzz_pci_ops = {
	.bus_master = fuzz_bus_master,
	.flr = fuzz_flr,
	.window_read = fuzz_window_read,
	.window_write = fuzz_window_write,
	.irq = fuzz_irq,
};

static void
wr(struct fuzz *z, uint64_t offset, uint32_t width, uint64_t value)
{
	z->device.ops->bar_write(z->device.dev, 0, offset, &value, width);
}

static void
fuzz_start(struct fuzz *z)
{
	const struct dm_net *net = z->device.dev;
	uint16_t q;

	wr(z, LM_VIRTIO_PCI_COMMON_STATUS, 1, 0);
	wr(z, LM_VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (q = 0; q < 2; q++) {
		wr(z, LM_VIRTIO_PCI_COMMON_GFSELECT, 4, q);
		wr(z, LM_VIRTIO_PCI_COMMON_GF, 4, net->vio.offered >> 32 * q & UINT32_MAX);
	}
	wr(z, LM_VIRTIO_PCI_COMMON_STATUS, 1, 0xb);
	for (q = 0; q < 5; q++) {
		wr(z, LM_VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		wr(z, LM_VIRTIO_PCI_COMMON_Q_DESCLO, 4, RING(q));
		wr(z, LM_VIRTIO_PCI_COMMON_Q_DRIVERLO, 4, RING(q) + 0x400);
		wr(z, LM_VIRTIO_PCI_COMMON_Q_DEVICELO, 4, RING(q) + 0x800);
		wr(z, LM_VIRTIO_PCI_COMMON_Q_MSIX, 2, q);
		wr(z, LM_VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	wr(z, LM_VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
}

static uint32_t
take(struct input *in, unsigned int bytes)
{
	uint32_t v = 0;
	unsigned int i;

	for (i = 0; i < bytes && in->left > 0; i++, in->left--)
		v |= (uint32_t)*in->data++ << (8 * i);
	return v;
}

static void
fuzz_store(struct fuzz *z, struct input *in)
{
	uint32_t at = take(in, 2);
	uint32_t len = take(in, 1);

	if (len > in->left)
		len = (uint32_t)in->left;
	if (len > RAM_BYTES - at)
		len = RAM_BYTES - at;
	memcpy(z->ram + at, in->data, len);
	in->data += len;
	in->left -= len;
}

static void
fuzz_frame(struct fuzz *z, struct input *in)
{
	static uint8_t frame[DM_FRAME_MAX];
	struct iovec iov = { .iov_base = frame, .iov_len = take(in, 2) };

	/* Broadcast or not, tagged or not, UDP or not, as the length says. */
	memset(frame, (int)iov.iov_len, 64);
	memcpy(frame + 12, (iov.iov_len & 1) != 0 ? "\x08\0\x45" : "\x81\0\0", 3);
	frame[23] = 17;
	if (iov.iov_len != 0)
		dm_wire_send(z->wire, &iov, 1);
}

static void
fuzz_access(struct fuzz *z, struct input *in, bool config, bool write)
{
	uint32_t size = config ? DM_PCI_CONFIG_BYTES : (uint32_t)z->device.bars[0].size_bytes;
	uint32_t at = take(in, 2) % size;
	uint32_t len = 1 + take(in, 1) % 80;
	uint8_t buf[80] = { 0 };
	uint32_t value;

	if (len > size - at)
		len = size - at;
	if (write) {
		value = take(in, 4);
		memcpy(buf, &value, sizeof(value));
	}
	if (config && write)
		dm_pci_config_write(&z->pci, at, buf, len);
	else if (config)
		dm_pci_config_read(&z->pci, at, buf, len);
	else if (write)
		z->device.ops->bar_write(z->device.dev, 0, at, buf, len);
	else
		z->device.ops->bar_read(z->device.dev, 0, at, buf, len);
}

static void
fuzz_step(struct fuzz *z, struct input *in)
{
	switch (take(in, 1) % 10) {
	case 0:
	case 1:
		fuzz_store(z, in);
		break;
	case 2:
		z->now_ns += 1000000;
		z->device.ops->poll(z->device.dev, z->now_ns);
		break;
	case 3:
		z->device.ops->sleep(z->device.dev);
		break;
	case 4:
		fuzz_frame(z, in);
		break;
	case 5:
		fuzz_access(z, in, false, true);
		break;
	case 6:
		fuzz_access(z, in, false, false);
		break;
	case 7:
		fuzz_access(z, in, true, (take(in, 1) & 1) != 0);
		break;
	case 8:
		z->unmapped = !z->unmapped;
		z->host.dma_epoch++;
		break;
	default:
		fuzz_start(z);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .left = size };
	struct fuzz z = { .now_ns = 1 };
	struct dm_net_conf conf = {
		.host = &z.host, .pci = &z.pci, .pairs = 2, .queue_size = 16, .mtu = 9000,
		.mac = { 2, 0, 0, 0, 0, 1 },
	};
	unsigned int steps;
	uint64_t how;
	int i;

	for (i = 0; i < DM_RULE_MAX; i++)
		z.rules.count[i] = 1; /* said once already: no messages */
	z.rules.who = "fuzz";
	z.host.ctx = &z;
	z.host.dma_span = fuzz_span;
	z.host.irq = fuzz_irq;
	z.host.now_ns = fuzz_now_ns;
	z.host.bus_master = true;
	z.host.rules = &z.rules;
	z.host.faults = &z.faults;
	how = take(&in, 1);
	conf.notify_shared = (how & 1) != 0;
	conf.feature_mask = ~((how >> 5 & 1) << LM_VIRTIO_F_EVENT_IDX |
			(~how >> 6 & 1) << LM_VIRTIO_F_RING_PACKED |
			(~how >> 7 & 1) << LM_VIRTIO_F_IN_ORDER);
	z.faults.overrun = how >> 1 & 1;
	z.faults.early_write = (how >> 2 & 1) * 3;
	z.faults.slow_ring_reset_us = (how >> 3 & 1) * 1500;
	z.faults.slow_reset_us = (how >> 4 & 1) * 1500;
	z.ram = aligned_alloc(4096, RAM_BYTES);
	if (z.ram == NULL || dm_wire_open("loop", &z.wire) != 0)
		abort();
	memset(z.ram, 0, RAM_BYTES);
	dm_pci_init(&z.pci, &fuzz_pci_ops, &z);
	conf.wire = z.wire;
	if (dm_net_create(&conf, &z.device) != 0)
		abort();
	dm_pci_identify(&z.pci, &z.device.ids);
	if (dm_pci_add_msix(&z.pci, z.device.msix_bar, z.device.nb_vectors) != 0 ||
			dm_pci_add_express(&z.pci) != 0 ||
			z.device.ops->add_caps(z.device.dev) != 0)
		abort();
	dm_pci_seal(&z.pci);
	fuzz_start(&z);

	for (steps = 0; steps < MAX_STEPS && in.left > 0; steps++)
		fuzz_step(&z, &in);

	z.device.ops->destroy(z.device.dev);
	dm_wire_close(z.wire);
	free(z.ram);
	return 0;
}
