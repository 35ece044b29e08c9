/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lm_iommufd_if.h"
#include "lm_pci_iommu.h"
#include "lm_pci_kernel_priv.h"

#define WORD_BITS 64u

static struct lm_pci_kernel_priv *
priv_of(const struct lm_pci *pci)
{
	return pci->priv;
}

bool
lm_pci_iommu_tracks(const struct lm_pci *pci)
{
	return pci->ops == &lm_pci_iommufd_ops && priv_of(pci)->tracks;
}

static int
set_tracking(struct lm_pci *pci, uint32_t flags)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	struct lm_iommu_hwpt_set_dirty_tracking set = {
		.size = sizeof(set), .flags = flags, .hwpt_id = k->hwpt_id,
	};
	int ret;

	ret = k->vfio.sys->ioctl(k->space_fd, LM_IOMMU_HWPT_SET_DIRTY_TRACKING, &set);
	return ret != 0 ? lm_pci_fail(pci, ret, "dirty bits of the IOMMU: %s", strerror(-ret)) : 0;
}

int
lm_pci_iommu_start(struct lm_pci *pci)
{
	int ret;

	if (!lm_pci_iommu_tracks(pci))
		return lm_pci_fail(pci, -ENOTSUP, "its IOMMU sets no dirty bits");
	ret = lm_pci_vfio_bitmap_make(pci);
	return ret == 0 ? set_tracking(pci, LM_IOMMU_HWPT_DIRTY_TRACKING_ENABLE) : ret;
}

int
lm_pci_iommu_stop(struct lm_pci *pci)
{
	if (!lm_pci_iommu_tracks(pci))
		return lm_pci_fail(pci, -ENOTSUP, "its IOMMU sets no dirty bits");
	return set_tracking(pci, 0);
}

/* How much from iova on is one mapping; 0: none. */
static uint64_t
mapped_bytes(struct lm_pci *pci, uint64_t iova)
{
	uint64_t left = 0;
	uint32_t i;

	pthread_mutex_lock(&pci->lock);
	for (i = 0; i < pci->nb_maps && left == 0; i++) {
		const struct lm_pci_dma *dma = &pci->maps[i].dma;

		if (iova >= dma->iova && iova - dma->iova < dma->size_bytes)
			left = dma->size_bytes - (iova - dma->iova);
	}
	pthread_mutex_unlock(&pci->lock);
	return left;
}

/* Bits of a piece go where it lies in the whole, at any bit. */
static void
or_bits(uint64_t *bitmap, uint64_t at, const uint64_t *words, uint64_t nb_bits)
{
	unsigned int shift = at % WORD_BITS;
	uint64_t i, word;

	for (i = 0; i * WORD_BITS < nb_bits; i++) {
		word = words[i];
		if (nb_bits - i * WORD_BITS < WORD_BITS)
			word &= (UINT64_C(1) << (nb_bits % WORD_BITS)) - 1;
		if (word == 0)
			continue;
		bitmap[at / WORD_BITS + i] |= word << shift;
		if (shift != 0 && word >> (WORD_BITS - shift) != 0)
			bitmap[at / WORD_BITS + i + 1] |= word >> (WORD_BITS - shift);
	}
}

static int
report_piece(struct lm_pci *pci, uint64_t iova, uint64_t size, uint64_t page_size)
{
	struct lm_pci_kernel_priv *k = priv_of(pci);
	struct lm_iommu_hwpt_get_dirty_bitmap get = {
		.size = sizeof(get), .hwpt_id = k->hwpt_id, .iova = iova, .length = size,
		.page_size = page_size, .data = (uintptr_t)k->vfio.log_bitmap,
	};
	uint64_t nb_words = (size / page_size - 1) / WORD_BITS + 1;
	int ret;

	memset(k->vfio.log_bitmap, 0, nb_words * sizeof(k->vfio.log_bitmap[0]));
	ret = k->vfio.sys->ioctl(k->space_fd, LM_IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
	return ret != 0 ? lm_pci_fail(pci, ret, "dirty bits of 0x%" PRIx64 ": %s", iova,
			strerror(-ret)) : 0;
}

static int
report_locked(struct lm_pci *pci, uint64_t iova, uint64_t size, uint64_t page_size,
		uint64_t *bitmap)
{
	const uint64_t most = (uint64_t)LM_PCI_LOG_BITMAP_BYTES * 8 * page_size;
	uint64_t done, piece;
	int ret;

	for (done = 0; done < size; done += piece) {
		piece = mapped_bytes(pci, iova + done);
		if (piece > size - done)
			piece = size - done;
		if (piece > most)
			piece = most;
		if (piece == 0)
			return lm_pci_fail(pci, -EFAULT, "dirty bits of 0x%" PRIx64
					", which is not mapped", iova + done);
		if (piece % page_size != 0)
			return lm_pci_fail(pci, -EINVAL, "dirty bits by pages larger than the "
					"mapping at 0x%" PRIx64, iova + done);
		ret = report_piece(pci, iova + done, piece, page_size);
		if (ret != 0)
			return ret;
		or_bits(bitmap, done / page_size, priv_of(pci)->vfio.log_bitmap, piece / page_size);
	}
	return 0;
}

int
lm_pci_iommu_report(struct lm_pci *pci, uint64_t iova, uint64_t size_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	struct lm_pci_vfio *v;
	int ret;

	if (!lm_pci_iommu_tracks(pci))
		return lm_pci_fail(pci, -ENOTSUP, "its IOMMU sets no dirty bits");
	v = &priv_of(pci)->vfio;
	if (v->log_bitmap == NULL || page_size_bytes < 4096 || size_bytes == 0 ||
			(page_size_bytes & (page_size_bytes - 1)) != 0 ||
			((iova | size_bytes) & (page_size_bytes - 1)) != 0 ||
			iova > UINT64_MAX - size_bytes)
		return lm_pci_fail(pci, -EINVAL, "dirty bits of 0x%" PRIx64 "+0x%" PRIx64
				" by pages of %" PRIu64 " bytes", iova, size_bytes,
				page_size_bytes);
	pthread_mutex_lock(&v->log_lock);
	ret = report_locked(pci, iova, size_bytes, page_size_bytes, bitmap);
	pthread_mutex_unlock(&v->log_lock);
	return ret;
}
