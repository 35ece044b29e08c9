/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The virtio transport under a hostile function: the input is its configuration space, then what
 * its registers read as, and what it writes into the driver's memory when it is kicked.
 */

#include <stdlib.h>
#include <string.h>

#include "lm_pci_priv.h"
#include "lm_virtio.h"
#include "virtio_net_if.h"
#include "virtio_pci_if.h"

#define BAR_BYTES 0x4000u
#define MAX_QUEUES 8

struct function {
	uint8_t config[LM_PCI_CONFIG_MIN_BYTES];
	const uint8_t *data;
	size_t left;
	uint8_t *memory; /* the driver's, while there is some */
	uint64_t memory_bytes;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take(struct function *f, void *buf, size_t len)
{
	size_t n = len < f->left ? len : f->left;

	memset(buf, 0, len);
	memcpy(buf, f->data, n);
	f->data += n;
	f->left -= n;
}

static int
config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len)
{
	struct function *f = pci->priv;

	memcpy(buf, f->config + offset, len);
	return 0;
}

static int
config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len)
{
	struct function *f = pci->priv;

	memcpy(f->config + offset, buf, len);
	return 0;
}

static int
bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf, uint32_t len)
{
	if (bar >= LM_PCI_NUM_BARS || offset > BAR_BYTES - len)
		abort(); /* a promise of lm_pci_bar_read() */
	take(pci->priv, buf, len);
	return 0;
}

/* Any register write lets the function store into the driver's memory: place, value. */
static int
bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf, uint32_t len)
{
	struct function *f = pci->priv;
	uint8_t count, value;
	uint16_t at;

	(void)buf;
	if (bar >= LM_PCI_NUM_BARS || offset > BAR_BYTES - len)
		abort();
	if (f->memory == NULL)
		return 0;
	for (take(f, &count, 1), count &= 15; count > 0; count--) {
		take(f, &at, sizeof(at));
		take(f, &value, 1);
		if (at < f->memory_bytes)
			f->memory[at] = value;
	}
	return 0;
}

static int
dma_map(struct lm_pci *pci, struct lm_pci_dma *dma)
{
	struct function *f = pci->priv;

	f->memory = dma->vaddr;
	f->memory_bytes = dma->size_bytes;
	return 0;
}

static int
dma_unmap(struct lm_pci *pci, const struct lm_pci_map *map)
{
	struct function *f = pci->priv;

	(void)map;
	f->memory = NULL;
	return 0;
}

static void
close_nothing(struct lm_pci *pci)
{
	(void)pci;
}

static const struct lm_pci_ops ops = {
	.close = close_nothing,
	.config_read = config_read,
	.config_write = config_write,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_write_posted = bar_write,
	.dma_map = dma_map,
	.dma_unmap = dma_unmap,
};

static void
drive(struct lm_virtio_dev *dev)
{
	struct lm_virtio_queue_conf conf = { .vector = 1 };
	struct lm_virtio_net_config net;
	struct lm_virtio_cvq *cvq = NULL;
	uint64_t offset, size;
	unsigned int bar;
	uint16_t q;

	lm_virtio_reset(dev, 0);
	if (lm_virtio_negotiate(dev, lm_virtio_device_features(dev)) != 0)
		return;
	lm_virtio_config_get(dev, 0, &net, sizeof(net));
	lm_virtio_config_set(dev, 0, &net, LM_VIRTIO_NET_MAC_BYTES);
	lm_virtio_config_vector(dev, 0);
	for (q = 0; q < lm_virtio_num_queues(dev) && q < MAX_QUEUES; q++) {
		if (lm_virtio_queue_max(dev, q, &conf.size) == 0)
			lm_virtio_queue_setup(dev, q, &conf);
		lm_virtio_notify_area(dev, q, &bar, &offset, &size);
		lm_virtio_notify(dev, q);
	}
	if (lm_virtio_cvq_create(dev, q - 1, &cvq) == 0) {
		lm_virtio_driver_ok(dev);
		lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_MQ, 0, &q, sizeof(q), 0);
		lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_ANNOUNCE, 0, NULL, 0, 0);
		lm_virtio_queue_reset(dev, 0, 0);
		lm_virtio_reset(dev, 0);
		lm_virtio_cvq_destroy(cvq);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct function f = { .data = data, .left = size };
	struct lm_virtio_dev *dev;
	struct lm_pci *pci;
	unsigned int bar;

	take(&f, f.config, sizeof(f.config));
	if (lm_pci_new(NULL, &ops, &pci) != 0)
		return 0;
	pci->priv = &f;
	pci->ranges[0] = (struct lm_pci_range){ .first = 0, .last = UINT32_MAX };
	pci->nb_ranges = 1;
	for (bar = 0; bar < LM_PCI_NUM_BARS; bar++)
		pci->bars[bar].size_bytes = BAR_BYTES;
	if (lm_virtio_open(pci, &dev) == 0) {
		drive(dev);
		lm_virtio_close(dev);
	}
	lm_pci_close(pci);
	return 0;
}
