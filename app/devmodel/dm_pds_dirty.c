/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Dirty tracking by two bitmaps: the device changes SEQ, the host's WRITE_ACK changes ACK.
 *
 * Marking sets the page's SEQ bit to the opposite of its ACK bit, so that a page that is dirty
 * already stays so. It comes after the data: a page that is written between READ_SEQ and
 * WRITE_ACK may look clean afterwards, but then its data was there before the host copies it.
 */

#include <stdlib.h>
#include <string.h>

#include "dm_pds.h"

#define DM_PDS_DIRTY_MAX_BITS (UINT64_C(1) << 30)
#define DM_PDS_DIRTY_ROUND 64 /* pages: the host works on whole words */

void
dm_pds_dirty_mark(struct dm_pds_dirty *d, uint64_t iova, uint64_t len_bytes)
{
	uint64_t first, last, start, end, bit;
	uint32_t i;
	uint8_t mask;

	if (d->nb_regions == 0 || len_bytes == 0)
		return;
	d->writes++;
	for (i = 0; i < d->nb_regions; i++) {
		start = d->regions[i].base;
		end = start + (d->regions[i].page_count << d->regions[i].page_size_lg2);
		if (iova >= end || iova + len_bytes <= start)
			continue;
		first = iova <= start ? 0 : (iova - start) >> d->regions[i].page_size_lg2;
		last = iova + len_bytes >= end ? d->regions[i].page_count - 1 :
				(iova + len_bytes - 1 - start) >> d->regions[i].page_size_lg2;
		for (; first <= last; first++) {
			bit = d->regions[i].first_bit + first;
			mask = (uint8_t)(1u << bit % 8);
			d->seq[bit / 8] = (uint8_t)((d->seq[bit / 8] & ~mask) |
					(~d->ack[bit / 8] & mask));
		}
	}
}

static bool
dm_pds_dirty_region_ok(const struct lm_pds_lm_dirty_region_info *r)
{
	const uint64_t end = UINT64_C(1) << LM_PDS_CORE_ADDR_LEN;

	return r->page_count != 0 && r->page_size_log2 >= 12 && r->page_size_log2 < 52 &&
			r->dma_base % (UINT64_C(1) << r->page_size_log2) == 0 &&
			r->dma_base < end &&
			r->page_count <= (end - r->dma_base) >> r->page_size_log2;
}

/* As they were asked for: rounding up may make neighbours meet, which is harmless. */
static bool
dm_pds_dirty_overlap(const struct lm_pds_lm_dirty_region_info *a,
		const struct lm_pds_lm_dirty_region_info *b)
{
	return a->dma_base < b->dma_base + ((uint64_t)b->page_count << b->page_size_log2) &&
			b->dma_base < a->dma_base + ((uint64_t)a->page_count << a->page_size_log2);
}

uint8_t
dm_pds_dirty_enable(struct dm_pds_dirty *d, struct lm_pds_lm_dirty_region_info *regions,
		uint32_t nb_regions)
{
	uint64_t bits = 0, count;
	uint32_t i, k;

	if (nb_regions == 0 || nb_regions > DM_PDS_MAX_REGIONS)
		return LM_PDS_RC_ERANGE;
	if (d->nb_regions != 0)
		return LM_PDS_RC_EEXIST;
	for (i = 0; i < nb_regions; i++) {
		if (!dm_pds_dirty_region_ok(&regions[i]))
			return LM_PDS_RC_EINVAL;
		for (k = 0; k < i; k++)
			if (dm_pds_dirty_overlap(&regions[i], &regions[k]))
				return LM_PDS_RC_EINVAL;
	}
	for (i = 0; i < nb_regions; i++) {
		count = ((uint64_t)regions[i].page_count + DM_PDS_DIRTY_ROUND - 1) /
				DM_PDS_DIRTY_ROUND * DM_PDS_DIRTY_ROUND;
		if (count > UINT32_MAX || bits + count > DM_PDS_DIRTY_MAX_BITS)
			return LM_PDS_RC_ENOMEM;
		d->regions[i].base = regions[i].dma_base;
		d->regions[i].page_count = count;
		d->regions[i].page_size_lg2 = regions[i].page_size_log2;
		d->regions[i].first_bit = bits;
		regions[i].page_count = (uint32_t)count;
		bits += count;
	}
	d->seq = calloc(1, bits / 8);
	d->ack = calloc(1, bits / 8);
	if (d->seq == NULL || d->ack == NULL) {
		dm_pds_dirty_disable(d);
		return LM_PDS_RC_ENOMEM;
	}
	d->bytes = bits / 8;
	d->nb_regions = nb_regions;
	return LM_PDS_RC_SUCCESS;
}

void
dm_pds_dirty_disable(struct dm_pds_dirty *d)
{
	free(d->seq);
	free(d->ack);
	d->seq = NULL;
	d->ack = NULL;
	d->bytes = 0;
	d->nb_regions = 0;
}
