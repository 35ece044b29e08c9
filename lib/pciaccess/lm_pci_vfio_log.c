/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The device's own log of what it writes, through the kernel's VFIO. The kernel drops a bit, and
 * says nothing, when it cannot reach the page of our bitmap: so it gets memory that is there,
 * locked, and no one else's.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/vfio.h>

#include "lm_pci_vfio.h"

#define WORD_PAGES 64u

static struct lm_pci_vfio *
vfio_of(const struct lm_pci *pci)
{
	return pci->priv;
}

/* Also after a fork: the child gets none of it, so no page becomes a copy. */
int
lm_pci_vfio_bitmap_make(struct lm_pci *pci)
{
	struct lm_pci_vfio *v = vfio_of(pci);
	void *bitmap;
	int ret;

	if (v->log_bitmap != NULL)
		return 0;
	bitmap = mmap(NULL, LM_PCI_LOG_BITMAP_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (bitmap == MAP_FAILED)
		return lm_pci_fail(pci, -errno, "log: no memory for reports");
	if (madvise(bitmap, LM_PCI_LOG_BITMAP_BYTES, MADV_DONTFORK) == 0 &&
			mlock(bitmap, LM_PCI_LOG_BITMAP_BYTES) == 0) {
		v->log_bitmap = bitmap;
		return 0;
	}
	ret = lm_pci_fail(pci, -errno, "log: cannot lock %u bytes (%s): raise ulimit -l",
			LM_PCI_LOG_BITMAP_BYTES, strerror(errno));
	munmap(bitmap, LM_PCI_LOG_BITMAP_BYTES);
	return ret;
}

/* A driver that works in words rounds ranges up to them: b's first pages would be taken for a's. */
static bool
words_mix(const struct lm_pci_log_range *a, const struct lm_pci_log_range *b, uint64_t page_size)
{
	uint64_t word = page_size * WORD_PAGES;

	return (b->iova - a->iova) / word == (a->size_bytes - 1) / word;
}

int
lm_pci_vfio_log_start(struct lm_pci *pci, const struct lm_pci_log_range *ranges, uint32_t nb,
		uint64_t *page_size)
{
	struct vfio_device_feature_dma_logging_control d = {
		.page_size = *page_size, .num_ranges = nb,
	};
	struct vfio_device_feature_dma_logging_range *list;
	uint32_t i;
	int ret;

	for (i = 1; i < nb; i++)
		if (words_mix(&ranges[i - 1], &ranges[i], *page_size))
			return lm_pci_fail(pci, -ENOTSUP, "log: ranges %u and %u are too near",
					i - 1, i);
	ret = lm_pci_vfio_bitmap_make(pci);
	if (ret != 0)
		return ret;
	list = calloc(nb, sizeof(*list));
	if (list == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory");
	for (i = 0; i < nb; i++) {
		list[i].iova = ranges[i].iova;
		list[i].length = ranges[i].size_bytes;
	}
	d.ranges = (uintptr_t)list;
	ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_SET |
			VFIO_DEVICE_FEATURE_DMA_LOGGING_START, &d, sizeof(d), sizeof(d));
	free(list);
	if (ret < 0)
		return ret;
	if (d.page_size == 0 || (d.page_size & (d.page_size - 1)) != 0) {
		lm_pci_vfio_log_stop(pci);
		return lm_pci_fail(pci, -EPROTO, "log: pages of %ju bytes",
				(uintmax_t)d.page_size);
	}
	*page_size = d.page_size;
	return 0;
}

static int
report_piece(struct lm_pci *pci, struct lm_pci_vfio *v, uint64_t iova, uint64_t size,
		uint64_t page_size, uint64_t *bitmap)
{
	struct vfio_device_feature_dma_logging_report d = {
		.iova = iova, .length = size, .page_size = page_size,
		.bitmap = (uintptr_t)v->log_bitmap,
	};
	uint64_t nb_words = ((size - 1) / page_size) / WORD_PAGES + 1, i;
	int ret;

	memset(v->log_bitmap, 0, nb_words * sizeof(v->log_bitmap[0]));
	ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_GET |
			VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, &d, sizeof(d), sizeof(d));
	if (ret < 0)
		return ret;
	for (i = 0; i < nb_words; i++)
		bitmap[i] |= v->log_bitmap[i];
	return 0;
}

int
lm_pci_vfio_log_report(struct lm_pci *pci, uint64_t iova, uint64_t size, uint64_t page_size,
		uint64_t *bitmap)
{
	const uint64_t most_pages = (uint64_t)LM_PCI_LOG_BITMAP_BYTES * 8;
	struct lm_pci_vfio *v = vfio_of(pci);
	uint64_t done = 0, piece;
	int ret;

	ret = 0;
	pthread_mutex_lock(&v->log_lock);
	if (v->log_bitmap == NULL)
		ret = lm_pci_fail(pci, -EINVAL, "log: not started");
	while (ret == 0 && done < size) {
		piece = size - done;
		if (piece / page_size > most_pages)
			piece = most_pages * page_size;
		ret = report_piece(pci, v, iova + done, piece, page_size,
				bitmap + done / page_size / WORD_PAGES);
		done += piece;
	}
	pthread_mutex_unlock(&v->log_lock);
	return ret;
}

int
lm_pci_vfio_log_stop(struct lm_pci *pci)
{
	int ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_SET |
			VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, NULL, 0, 0);

	return ret < 0 ? ret : 0;
}
