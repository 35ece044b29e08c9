/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include "lm_pci_iommu.h"
#include "lm_vfio.h"

/* All that is mapped: there is no choice of ranges. */
static int
iommu_start(void *src, const struct lm_range *ranges, unsigned int nb, uint64_t *page_size_bytes)
{
	struct lm_pci *pci = src;

	(void)ranges;
	(void)nb;
	if (*page_size_bytes < lm_pci_page_size(pci))
		*page_size_bytes = lm_pci_page_size(pci);
	return lm_pci_iommu_start(pci);
}

static int
iommu_report(void *src, uint64_t iova, uint64_t len_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	return lm_pci_iommu_report(src, iova, len_bytes, page_size_bytes, bitmap);
}

static int
iommu_stop(void *src)
{
	return lm_pci_iommu_stop(src);
}

int
lm_vfio_iommu_source(struct lm_pci *pci, const char *name, struct lm_source_conf *conf)
{
	static const struct lm_source_ops ops = {
		.start = iommu_start, .report = iommu_report, .stop = iommu_stop,
	};

	if (!lm_pci_iommu_tracks(pci))
		return -ENOTSUP;
	*conf = (struct lm_source_conf){ .name = name, .ops = &ops, .src = pci };
	return 0;
}
