/* SPDX-License-Identifier: BSD-3-Clause */

/* Back end: a PCI function that another process serves on a vfio-user socket. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lm_pci_priv.h"
#include "lm_pci_vfio_user.h"
#include "lm_vu_client.h"

/* linux/vfio.h: VFIO_DEVICE_FLAGS_PCI */
#define DEVICE_F_PCI 0x2u
/* linux/kvm.h's ioeventfd flags, which vfio-user takes over: only for one written value. */
#define IOEVENTFD_F_DATAMATCH 0x1u
#define MAX_IOEVENTFDS 64
/* The specification sets no limit; 48 bits are what any device address bus has. */
#define APERTURE_LAST ((UINT64_C(1) << 48) - 1)

static struct lm_vu_client *
client_of(const struct lm_pci *pci)
{
	return pci->priv;
}

static void
vu_close(struct lm_pci *pci)
{
	lm_vu_client_close(client_of(pci));
}

static int
vu_event_process(struct lm_pci *pci)
{
	int ret = lm_vu_client_process(client_of(pci));

	if (ret < 0 || !lm_vu_client_alive(client_of(pci)))
		return lm_pci_fail(pci, -ENOTCONN, "the device's process is gone");
	return 0;
}

static bool
vu_alive(const struct lm_pci *pci)
{
	return lm_vu_client_alive(client_of(pci));
}

static int
region_result(struct lm_pci *pci, int ret, const char *what, uint32_t region, uint64_t offset)
{
	if (ret >= 0)
		return 0;
	return lm_pci_fail(pci, ret, "%s of region %u at 0x%jx: %s", what, region,
			(uintmax_t)offset, strerror(-ret));
}

static int
vu_config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len)
{
	return region_result(pci, lm_vu_client_region_read(client_of(pci), LM_VU_REGION_CONFIG,
			offset, buf, len), "read", LM_VU_REGION_CONFIG, offset);
}

static int
vu_config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len)
{
	return region_result(pci, lm_vu_client_region_write(client_of(pci), LM_VU_REGION_CONFIG,
			offset, buf, len), "write", LM_VU_REGION_CONFIG, offset);
}

static int
vu_bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf, uint32_t len)
{
	return region_result(pci, lm_vu_client_region_read(client_of(pci), bar, offset, buf, len),
			"read", bar, offset);
}

static int
vu_bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf, uint32_t len)
{
	return region_result(pci, lm_vu_client_region_write(client_of(pci), bar, offset, buf, len),
			"write", bar, offset);
}

static int
vu_bar_write_posted(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len)
{
	return lm_vu_client_region_write_posted(client_of(pci), bar, offset, buf, len);
}

/* The kernel turns MSI-X on as part of SET_IRQS; a vfio-user server may look at the bit. */
static int
msix_enable(struct lm_pci *pci, bool enable)
{
	uint16_t control, wanted;
	uint8_t cap;
	int ret;

	cap = lm_pci_find_cap(pci, LM_PCI_CAP_ID_MSIX, 0);
	if (cap == 0)
		return 0;
	ret = lm_pci_config_read(pci, cap + LM_PCI_MSIX_CONTROL, &control, sizeof(control));
	if (ret != 0)
		return ret;
	wanted = enable ? control | LM_PCI_MSIX_CONTROL_ENABLE :
			control & (uint16_t)~LM_PCI_MSIX_CONTROL_ENABLE;
	if (wanted == control)
		return 0;
	return lm_pci_config_write(pci, cap + LM_PCI_MSIX_CONTROL, &wanted, sizeof(wanted));
}

static int
vu_irq_set(struct lm_pci *pci, uint32_t first, uint32_t count, const int *eventfds)
{
	uint32_t max = lm_vu_client_caps(client_of(pci))->max_msg_fds, done, n, i;
	bool binds = false;
	int ret;

	if (max == 0)
		max = 1;
	for (done = 0; done < count; done += n) {
		n = count - done < max ? count - done : max;
		ret = lm_vu_client_set_irqs(client_of(pci), LM_VU_IRQ_MSIX, first + done, n,
				eventfds + done);
		if (ret < 0)
			return lm_pci_fail(pci, ret, "cannot bind MSI-X vectors %u..%u: %s",
					first + done, first + done + n - 1, strerror(-ret));
	}
	for (i = 0; i < count; i++)
		binds |= eventfds[i] >= 0;
	return binds ? msix_enable(pci, true) : 0;
}

static int
vu_irq_disable(struct lm_pci *pci)
{
	int ret = lm_vu_client_disable_irqs(client_of(pci), LM_VU_IRQ_MSIX);

	if (ret < 0)
		return lm_pci_fail(pci, ret, "cannot disable MSI-X: %s", strerror(-ret));
	return msix_enable(pci, false);
}

static int
vu_dma_map(struct lm_pci *pci, struct lm_pci_dma *dma)
{
	const struct lm_vu_caps *caps = lm_vu_client_caps(client_of(pci));

	if (caps->max_dma_maps != 0 && pci->nb_maps >= caps->max_dma_maps)
		return -ENOSPC;
	return lm_vu_client_dma_map(client_of(pci), dma->iova, dma->size_bytes, dma->fd,
			dma->fd_offset, dma->prot);
}

static int
vu_dma_unmap(struct lm_pci *pci, const struct lm_pci_map *map)
{
	return lm_vu_client_dma_unmap(client_of(pci), map->dma.iova, map->dma.size_bytes);
}

static int
vu_reset(struct lm_pci *pci)
{
	int ret = lm_vu_client_reset(client_of(pci));

	return ret < 0 ? lm_pci_fail(pci, ret, "reset: %s", strerror(-ret)) : 0;
}

static int
vu_feature(struct lm_pci *pci, uint32_t flags, void *data, uint32_t in_len, uint32_t out_max)
{
	return lm_vu_client_feature(client_of(pci), flags, data, in_len, out_max);
}

static const struct lm_pci_ops vfio_user_ops = {
	.close = vu_close,
	.event_process = vu_event_process,
	.alive = vu_alive,
	.config_read = vu_config_read,
	.config_write = vu_config_write,
	.bar_read = vu_bar_read,
	.bar_write = vu_bar_write,
	.bar_write_posted = vu_bar_write_posted,
	.irq_set = vu_irq_set,
	.irq_disable = vu_irq_disable,
	.dma_map = vu_dma_map,
	.dma_unmap = vu_dma_unmap,
	.reset = vu_reset,
	.feature = vu_feature,
	.mig = &lm_pci_vfio_user_mig_ops,
	.dma_needs_fd = true,
};

/* Doorbells as eventfds are optional: a server without them answers with an error. */
static int
read_ioeventfds(struct lm_pci *pci, unsigned int bar)
{
	struct lm_vu_ioeventfd fds[MAX_IOEVENTFDS];
	struct lm_pci_bar *b = &pci->bars[bar];
	int n, i;

	n = lm_vu_client_region_io_fds(client_of(pci), bar, fds, MAX_IOEVENTFDS);
	if (n <= 0)
		return n == -ENOTCONN || n == -ETIMEDOUT ? n : 0;
	b->ioeventfds = calloc((unsigned int)n, sizeof(*b->ioeventfds));
	for (i = 0; i < n; i++) {
		if (b->ioeventfds == NULL || (fds[i].flags & IOEVENTFD_F_DATAMATCH) != 0 ||
				fds[i].fd < 0) {
			if (fds[i].fd >= 0)
				close(fds[i].fd);
			continue;
		}
		b->ioeventfds[b->nb_ioeventfds++] = (struct lm_pci_ioeventfd){
			.offset = fds[i].offset, .size_bytes = fds[i].size_bytes, .fd = fds[i].fd,
		};
	}
	return b->ioeventfds == NULL ? -ENOMEM : 0;
}

static int
read_bar(struct lm_pci *pci, unsigned int bar)
{
	struct lm_pci_bar *b = &pci->bars[bar];
	struct lm_vu_region_info info = { .fd = -1 };
	uint32_t i;
	int ret;

	ret = lm_vu_client_region_info(client_of(pci), bar, &info);
	if (ret < 0)
		return lm_pci_fail(pci, ret, "BAR %u: %s", bar, strerror(-ret));
	b->size_bytes = info.size_bytes;
	b->fd = info.fd;
	b->fd_offset = info.mmap_offset;
	if (b->size_bytes == 0)
		return 0;
	if (b->fd >= 0 && (info.flags & LM_VU_REGION_F_MMAP) != 0)
		for (i = 0; i < info.nb_areas; i++)
			lm_pci_bar_add_window(pci, bar, info.areas[i].offset,
					info.areas[i].size_bytes);
	ret = read_ioeventfds(pci, bar);
	if (ret < 0)
		return lm_pci_fail(pci, ret, "doorbells of BAR %u: %s", bar, strerror(-ret));
	return 0;
}

static int
read_config_region(struct lm_pci *pci)
{
	struct lm_vu_region_info info = { .fd = -1 };
	int ret;

	ret = lm_vu_client_region_info(client_of(pci), LM_VU_REGION_CONFIG, &info);
	if (ret < 0)
		return lm_pci_fail(pci, ret, "configuration space: %s", strerror(-ret));
	if (info.fd >= 0)
		close(info.fd);
	if (info.size_bytes < LM_PCI_CONFIG_MIN_BYTES)
		return lm_pci_fail(pci, -EPROTO, "configuration space of %ju bytes",
				(uintmax_t)info.size_bytes);
	pci->config_bytes = info.size_bytes > 4096 ? 4096 : (uint32_t)info.size_bytes;
	return 0;
}

static int
read_device(struct lm_pci *pci)
{
	uint32_t flags, num_regions, num_irqs;
	unsigned int bar;
	int ret;

	ret = lm_vu_client_device_info(client_of(pci), &flags, &num_regions, &num_irqs);
	if (ret < 0)
		return lm_pci_fail(pci, ret, "device information: %s", strerror(-ret));
	if ((flags & DEVICE_F_PCI) == 0 || num_regions <= LM_VU_REGION_CONFIG)
		return lm_pci_fail(pci, -ENODEV, "not a PCI function (flags 0x%x, %u regions)",
				flags, num_regions);
	ret = read_config_region(pci);
	for (bar = 0; bar < LM_PCI_NUM_BARS && ret == 0; bar++)
		ret = read_bar(pci, bar);
	if (ret != 0 || num_irqs <= LM_VU_IRQ_MSIX)
		return ret;
	ret = lm_vu_client_irq_info(client_of(pci), LM_VU_IRQ_MSIX, &flags, &pci->nb_vectors);
	if (ret < 0)
		return lm_pci_fail(pci, ret, "MSI-X information: %s", strerror(-ret));
	if (pci->nb_vectors > LM_PCI_MAX_VECTORS)
		return lm_pci_fail(pci, -EPROTO, "%u MSI-X vectors", pci->nb_vectors);
	return 0;
}

/* Not of the specification: without it, what an IOMMU usually reaches. */
static uint64_t
read_aperture(const struct lm_pci *pci)
{
	uint8_t bits = lm_vu_client_caps(client_of(pci))->iova_bits;

	return bits == 0 || bits >= 64 || APERTURE_LAST >> bits == 0 ? APERTURE_LAST :
		(UINT64_C(1) << bits) - 1;
}

static void
read_page_size(struct lm_pci *pci)
{
	uint64_t sizes = lm_vu_client_caps(client_of(pci))->pgsizes;

	/* Ours too, since both sides map the memory. */
	if (sizes != 0 && (sizes & -sizes) > pci->page_bytes)
		pci->page_bytes = sizes & -sizes;
}

int
lm_pci_open_vfio_user(const char *path, const struct lm_pci_params *params, struct lm_pci **out)
{
	struct lm_vu_client_conf conf = { 0 };
	struct lm_vu_client *client;
	struct lm_pci *pci;
	int ret;

	if (params != NULL)
		conf.timeout_ms = params->timeout_ms;
	ret = lm_pci_new(params, &vfio_user_ops, &pci);
	if (ret != 0)
		return lm_pci_fail(NULL, ret, "no memory for %s", path);
	ret = lm_vu_client_connect(path, &conf, &client);
	if (ret < 0) {
		lm_pci_fail(NULL, ret, "%s: cannot connect to %s: %s", pci->name, path,
				strerror(-ret));
		lm_pci_free(pci);
		return ret;
	}
	pci->priv = client;
	pci->event_fd = lm_vu_client_fd(client);
	pci->ranges[0] = (struct lm_pci_range){ .first = 0, .last = read_aperture(pci) };
	pci->nb_ranges = 1;
	read_page_size(pci);
	ret = read_device(pci);
	if (ret != 0) {
		lm_pci_close(pci);
		return ret;
	}
	*out = pci;
	return 0;
}
