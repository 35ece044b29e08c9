/* SPDX-License-Identifier: BSD-3-Clause */

/* Memory as the function sees it. Every write is marked for dirty tracking, after it. */

#include <stdatomic.h>
#include <string.h>

#include "dm_pds.h"

#define DM_PDS_ADDR_END (UINT64_C(1) << LM_PDS_CORE_ADDR_LEN)

static bool
dm_pds_dma_ok(struct dm_pds_fn *fn, uint64_t iova, uint64_t len_bytes)
{
	if (!fn->host->bus_master) {
		dm_rule_broken(fn->host->rules, DM_RULE_DMA_BUS_MASTER, "0x%llx",
				(unsigned long long)iova);
		return false;
	}
	return iova < DM_PDS_ADDR_END && len_bytes <= DM_PDS_ADDR_END - iova;
}

static void *
dm_pds_span(struct dm_pds_fn *fn, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	void *ptr = fn->host->dma_span(fn->host->ctx, iova, len_bytes, prot);

	if (ptr == NULL || *len_bytes == 0) {
		dm_rule_broken(fn->host->rules, DM_RULE_DMA_UNMAPPED, "0x%llx",
				(unsigned long long)iova);
		return NULL;
	}
	return ptr;
}

bool
dm_pds_read(struct dm_pds_fn *fn, uint64_t iova, void *buf, uint64_t len_bytes)
{
	uint8_t *to = buf;
	const void *from;
	uint64_t piece;

	if (!dm_pds_dma_ok(fn, iova, len_bytes))
		return false;
	while (len_bytes != 0) {
		piece = len_bytes;
		from = dm_pds_span(fn, iova, &piece, LM_VU_PROT_READ);
		if (from == NULL)
			return false;
		memcpy(to, from, piece);
		to += piece;
		iova += piece;
		len_bytes -= piece;
	}
	return true;
}

bool
dm_pds_write(struct dm_pds_fn *fn, uint64_t iova, const void *buf, uint64_t len_bytes)
{
	const uint8_t *from = buf;
	uint64_t piece;
	void *to;

	if (!dm_pds_dma_ok(fn, iova, len_bytes))
		return false;
	while (len_bytes != 0) {
		piece = len_bytes;
		to = dm_pds_span(fn, iova, &piece, LM_VU_PROT_WRITE);
		if (to == NULL)
			return false;
		memcpy(to, from, piece);
		atomic_thread_fence(memory_order_release);
		if (fn->dirty.nb_regions == 0 || !dm_pds_fault_take(&fn->faults.dirty_lost))
			dm_pds_dirty_mark(&fn->dirty, iova, piece);
		from += piece;
		iova += piece;
		len_bytes -= piece;
	}
	return true;
}

bool
dm_pds_write_comp(struct dm_pds_fn *fn, uint64_t iova, const uint8_t *comp)
{
	const uint32_t last = LM_PDS_COMP_BYTES - 1;

	return dm_pds_write(fn, iova, comp, last) &&
			dm_pds_write(fn, iova + last, comp + last, 1);
}
