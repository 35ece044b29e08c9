/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Dirty tracking by SEQ and ACK: a page is dirty when the device's SEQ bit differs from the ACK
 * bit, of which the host has a copy. Read SEQ, report SEQ xor ACK, write ACK := SEQ.
 *
 * Words of 64 pages are the unit of both commands, since the device rounds regions up to them. So a
 * report reads from the word below its start (never from above it), never past its own region, and
 * of the first and the last word acknowledges only the pages that were asked for. Regions are told
 * apart by what was asked for at the start, not by what the device rounded it to.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lm_pds_lm_priv.h"
#include "lm_pds_priv.h"

#define PAGE_MIN 4096
#define WORD_PAGES 64
#define WORD_BYTES 8u
#define ADDR_END (UINT64_C(1) << LM_PDS_CORE_ADDR_LEN)
#define PAGE_COUNT_MAX (UINT32_MAX - WORD_PAGES)

struct lm_pds_extent {
	uint64_t first, end; /* pages */
};

static void
lm_pds_regions_free(struct lm_pds_lm *lm)
{
	uint32_t i;

	for (i = 0; i < lm->nb_regions; i++)
		free(lm->regions[i].ack);
	free(lm->regions);
	lm->regions = NULL;
	lm->nb_regions = 0;
	lm->tracking = false;
	lm->lost = false;
}

static int
lm_pds_extent_compare(const void *a, const void *b)
{
	const struct lm_pds_extent *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Ascending, apart, at most max: the smallest gaps are closed. @return number */
static uint32_t
lm_pds_extents_join(struct lm_pds_extent *e, uint32_t nb, uint32_t max)
{
	uint32_t i, k = 0, least;

	qsort(e, nb, sizeof(*e), lm_pds_extent_compare);
	for (i = 1; i < nb; i++)
		if (e[i].first <= e[k].end)
			e[k].end = e[i].end > e[k].end ? e[i].end : e[k].end;
		else
			e[++k] = e[i];
	for (nb = k + 1; nb > max; nb--) {
		for (i = 1, least = 1; i < nb; i++)
			if (e[i].first - e[i - 1].end < e[least].first - e[least - 1].end)
				least = i;
		e[least - 1].end = e[least].end;
		memmove(&e[least], &e[least + 1], (nb - least - 1) * sizeof(*e));
	}
	return nb;
}

static uint32_t
lm_pds_extents(const struct lm_pds_range *ranges, unsigned int nb, uint8_t lg2, uint32_t max,
		struct lm_pds_extent *e)
{
	const uint64_t rest = (UINT64_C(1) << lg2) - 1;
	unsigned int i;

	for (i = 0; i < nb; i++) {
		e[i].first = ranges[i].addr >> lg2;
		e[i].end = (ranges[i].addr + ranges[i].len_bytes + rest) >> lg2;
	}
	return lm_pds_extents_join(e, nb, max);
}

/* Larger pages until the device can count them. @return number of extents */
static uint32_t
lm_pds_extents_fit(const struct lm_pds_range *ranges, unsigned int nb, uint8_t *lg2, uint32_t max,
		struct lm_pds_extent *e)
{
	uint32_t found, i;

	for (;; (*lg2)++) {
		found = lm_pds_extents(ranges, nb, *lg2, max, e);
		for (i = 0; i < found && e[i].end - e[i].first <= PAGE_COUNT_MAX; i++)
			;
		if (i == found)
			return found;
	}
}

static int
lm_pds_ranges_check(const struct lm_pds_range *ranges, unsigned int nb, uint64_t page_size)
{
	unsigned int i;

	if (nb == 0 || page_size < PAGE_MIN || (page_size & (page_size - 1)) != 0 ||
			page_size >= ADDR_END)
		return -EINVAL;
	for (i = 0; i < nb; i++) {
		if (ranges[i].len_bytes == 0)
			return -EINVAL;
		if (ranges[i].addr >= ADDR_END || ranges[i].len_bytes > ADDR_END - ranges[i].addr)
			return -ERANGE;
	}
	return 0;
}

static int
lm_pds_dirty_ask(struct lm_pds_lm *lm, struct lm_pds_lm_dirty_status_comp *comp)
{
	struct lm_pds_lm_dirty_status_cmd status = { .opcode = LM_PDS_LM_CMD_DIRTY_STATUS };
	int ret = lm_pds_lm_send(lm, &status, sizeof(status), comp);

	if (ret != 0)
		return ret;
	if (comp->max_regions == 0 || (comp->bmp_type_mask &
			1u << LM_PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK) == 0)
		return lm_pci_fail(lm->client.core->pci, -ENOTSUP,
				"%s: VF %u: no SEQ and ACK bitmaps",
				lm_pci_name(lm->client.core->pci), lm->vf_id);
	return 0;
}

int
lm_pds_lm_dirty_limits(struct lm_pds_lm *lm, uint32_t *max_ranges)
{
	struct lm_pds_lm_dirty_status_comp comp;
	int ret = lm_pds_dirty_ask(lm, &comp);

	*max_ranges = ret == 0 ? comp.max_regions : 0;
	return ret;
}

/* Room for regions on the device, which is made to be without any. */
static int
lm_pds_dirty_probe(struct lm_pds_lm *lm, uint32_t *max)
{
	uint8_t disable[4] = { LM_PDS_LM_CMD_DIRTY_DISABLE };
	struct lm_pds_lm_dirty_status_comp comp;
	int ret;

	ret = lm_pds_dirty_ask(lm, &comp);
	if (ret == 0 && comp.num_regions != 0)
		ret = lm_pds_lm_send(lm, disable, sizeof(disable), NULL);
	*max = ret == 0 ? comp.max_regions : 0;
	return ret;
}

/* Send the table, take what the device made of it. */
static int
lm_pds_dirty_enable(struct lm_pds_lm *lm, const struct lm_pds_extent *e, uint32_t nb)
{
	struct lm_pds_lm_dirty_enable_cmd cmd = {
		.opcode = LM_PDS_LM_CMD_DIRTY_ENABLE,
		.bmp_type = LM_PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK,
		.num_regions = (uint8_t)nb,
	};
	struct lm_pds_lm_dirty_region_info table[LM_PDS_MAX_REGIONS];
	struct lm_pds_core *core = lm->client.core;
	uint64_t off = 0, asked;
	uint8_t *data;
	uint32_t i;
	int ret;

	memset(table, 0, sizeof(table));
	for (i = 0; i < nb; i++) {
		table[i].dma_base = e[i].first << lm->page_lg2;
		table[i].page_count = (uint32_t)(e[i].end - e[i].first);
		table[i].page_size_log2 = lm->page_lg2;
	}
	data = lm_pds_core_lock_data(core, &cmd.regions_dma);
	memcpy(data, table, nb * sizeof(table[0]));
	ret = lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
	memcpy(table, data, nb * sizeof(table[0]));
	lm_pds_core_unlock_data(core);
	for (i = 0; i < nb && ret == 0; i++) {
		asked = e[i].end - e[i].first;
		if (table[i].page_count < asked || table[i].page_count % WORD_PAGES != 0)
			ret = lm_pci_fail(core->pci, -EPROTO, "%s: VF %u: %u pages for %" PRIu64,
					lm_pci_name(core->pci), lm->vf_id, table[i].page_count,
					asked);
		lm->regions[i].first = e[i].first;
		lm->regions[i].end = e[i].end;
		lm->regions[i].off_bytes = off;
		lm->regions[i].ack = calloc((asked + WORD_PAGES - 1) / WORD_PAGES, WORD_BYTES);
		if (lm->regions[i].ack == NULL && ret == 0)
			ret = -ENOMEM;
		off += table[i].page_count / 8;
	}
	if (ret == 0 && off > UINT32_MAX)
		ret = lm_pci_fail(core->pci, -ERANGE, "%s: VF %u: bitmaps of %" PRIu64 " bytes",
				lm_pci_name(core->pci), lm->vf_id, off);
	return ret;
}

static int
lm_pds_dirty_stop_locked(struct lm_pds_lm *lm)
{
	uint8_t cmd[4] = { LM_PDS_LM_CMD_DIRTY_DISABLE };
	bool was = lm->tracking;

	lm_pds_regions_free(lm);
	return was ? lm_pds_lm_send(lm, cmd, sizeof(cmd), NULL) : 0;
}

static int
lm_pds_dirty_start_locked(struct lm_pds_lm *lm, const struct lm_pds_range *ranges,
		unsigned int nb_ranges, uint64_t *page_size_bytes, struct lm_pds_extent *e)
{
	uint32_t max = 0, nb;
	int ret;

	lm_pds_dirty_stop_locked(lm);
	ret = lm_pds_dirty_probe(lm, &max);
	if (ret != 0)
		return ret;
	lm->page_lg2 = (uint8_t)(ffsll((long long)*page_size_bytes) - 1);
	nb = lm_pds_extents_fit(ranges, nb_ranges, &lm->page_lg2, max, e);
	lm->regions = calloc(nb, sizeof(*lm->regions));
	if (lm->regions == NULL)
		return -ENOMEM;
	lm->nb_regions = nb;
	lm->epoch = lm_pds_core_epoch(lm->client.core);
	ret = lm_pds_dirty_enable(lm, e, nb);
	lm->tracking = true;
	if (ret != 0) {
		lm_pds_dirty_stop_locked(lm);
		return ret;
	}
	*page_size_bytes = UINT64_C(1) << lm->page_lg2;
	return 0;
}

int
lm_pds_lm_dirty_start(struct lm_pds_lm *lm, const struct lm_pds_range *ranges,
		unsigned int nb_ranges, uint64_t *page_size_bytes)
{
	int ret = lm_pds_ranges_check(ranges, nb_ranges, *page_size_bytes);
	struct lm_pds_extent *e;

	if (ret != 0)
		return ret;
	e = calloc(nb_ranges, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&lm->dirty_lock);
	ret = lm_pds_dirty_start_locked(lm, ranges, nb_ranges, page_size_bytes, e);
	pthread_mutex_unlock(&lm->dirty_lock);
	free(e);
	return ret;
}

int
lm_pds_lm_dirty_stop(struct lm_pds_lm *lm)
{
	int ret;

	pthread_mutex_lock(&lm->dirty_lock);
	ret = lm_pds_dirty_stop_locked(lm);
	pthread_mutex_unlock(&lm->dirty_lock);
	return ret;
}

/* Bitmap words between the device and the PF's data memory, where the list lies in front. */
static int
lm_pds_bits_cmd(struct lm_pds_lm *lm, uint8_t opcode, const struct lm_pds_region *r, uint64_t word,
		uint32_t nb_words, uint8_t *data, uint64_t iova)
{
	struct lm_pds_lm_dirty_seq_ack_cmd cmd = { .opcode = opcode, .num_sge = 1 };
	struct lm_pds_lm_sg_elem elem = { .addr = iova + LM_PDS_BLOB_AT };

	cmd.off_bytes = (uint32_t)(r->off_bytes + word * WORD_BYTES);
	cmd.len_bytes = nb_words * WORD_BYTES;
	cmd.sgl_addr = iova;
	elem.len = cmd.len_bytes;
	memcpy(data, &elem, sizeof(elem));
	return lm_pds_lm_send(lm, &cmd, sizeof(cmd), NULL);
}

/* Pages [from, to) of a region, set in a bitmap of pages of another size that begins at iova. */
static void
lm_pds_bitmap_set(uint64_t *bitmap, uint64_t begin, uint64_t end, uint64_t iova, uint64_t len_bytes,
		uint8_t lg2)
{
	uint64_t bit, last;

	begin = begin > iova ? begin - iova : 0;
	end = end - iova < len_bytes ? end - iova : len_bytes;
	for (bit = begin >> lg2, last = (end - 1) >> lg2; bit <= last; bit++)
		bitmap[bit / 64] |= UINT64_C(1) << bit % 64;
}

struct lm_pds_report {
	uint64_t iova, len_bytes;
	uint64_t *bitmap;
	uint8_t lg2;
};

/* Bits of a word that belong to pages [first, end) of a region. */
static uint64_t
lm_pds_word_mask(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t base = word * WORD_PAGES, mask = UINT64_MAX;

	if (first > base)
		mask &= first - base < WORD_PAGES ? UINT64_MAX << (first - base) : 0;
	if (end < base + WORD_PAGES)
		mask &= end > base ? UINT64_MAX >> (WORD_PAGES - (end - base)) : 0;
	return mask;
}

/*
 * nb_words from word on. [first, end): pages, counted in the region, that are reported; of those
 * [whole_first, whole_end) lie in the report with all their bytes and are acknowledged.
 */
struct lm_pds_span {
	uint64_t word, first, end, whole_first, whole_end;
	uint32_t nb_words;
};

static int
lm_pds_report_words(struct lm_pds_lm *lm, struct lm_pds_region *r, const struct lm_pds_report *rep,
		const struct lm_pds_span *s, uint8_t *data, uint64_t iova)
{
	uint8_t *bits = data + LM_PDS_BLOB_AT;
	uint64_t seq, dirty, page, base;
	bool any = false;
	uint32_t i;
	int ret;

	ret = lm_pds_bits_cmd(lm, LM_PDS_LM_CMD_DIRTY_READ_SEQ, r, s->word, s->nb_words, data,
			iova);
	if (ret != 0)
		return ret;
	for (i = 0; i < s->nb_words; i++) {
		memcpy(&seq, bits + i * WORD_BYTES, WORD_BYTES);
		dirty = (seq ^ r->ack[s->word + i]) &
				lm_pds_word_mask(s->word + i, s->first, s->end);
		base = r->first + (s->word + i) * WORD_PAGES;
		seq = r->ack[s->word + i] ^ (dirty & lm_pds_word_mask(s->word + i,
				s->whole_first, s->whole_end));
		any |= seq != r->ack[s->word + i];
		memcpy(bits + i * WORD_BYTES, &seq, WORD_BYTES);
		for (; dirty != 0; dirty &= dirty - 1) {
			page = base + (uint64_t)ffsll((long long)dirty) - 1;
			lm_pds_bitmap_set(rep->bitmap, page << lm->page_lg2,
					(page + 1) << lm->page_lg2, rep->iova, rep->len_bytes,
					rep->lg2);
		}
	}
	if (!any)
		return 0;
	ret = lm_pds_bits_cmd(lm, LM_PDS_LM_CMD_DIRTY_WRITE_ACK, r, s->word, s->nb_words, data,
			iova);
	if (ret == 0)
		memcpy(&r->ack[s->word], bits, s->nb_words * WORD_BYTES);
	return ret;
}

/* The part of a report, in pages [first, end), that lies in one region. */
static int
lm_pds_report_region(struct lm_pds_lm *lm, struct lm_pds_region *r,
		const struct lm_pds_report *rep, uint64_t first, uint64_t end)
{
	const uint64_t rest = (UINT64_C(1) << lm->page_lg2) - 1;
	uint64_t whole_first = (rep->iova + rest) >> lm->page_lg2;
	uint64_t whole_end = (rep->iova + rep->len_bytes) >> lm->page_lg2;
	struct lm_pds_span s = { .first = first - r->first, .end = end - r->first };
	uint64_t left, iova;
	uint8_t *data;
	int ret = 0;

	s.whole_first = whole_first > r->first ? whole_first - r->first : 0;
	s.whole_end = whole_end > r->first ? whole_end - r->first : 0;
	s.whole_end = s.whole_end < s.end ? s.whole_end : s.end;
	s.word = s.first / WORD_PAGES;
	left = (s.end + WORD_PAGES - 1) / WORD_PAGES - s.word;
	for (; left != 0 && ret == 0; left -= s.nb_words, s.word += s.nb_words) {
		s.nb_words = left < LM_PDS_BITS_MAX / WORD_BYTES ? (uint32_t)left :
				LM_PDS_BITS_MAX / WORD_BYTES;
		data = lm_pds_core_lock_data(lm->client.core, &iova);
		ret = lm_pds_report_words(lm, r, rep, &s, data, iova);
		lm_pds_core_unlock_data(lm->client.core);
	}
	return ret;
}

static int
lm_pds_report_locked(struct lm_pds_lm *lm, const struct lm_pds_report *rep)
{
	const uint64_t rest = (UINT64_C(1) << lm->page_lg2) - 1;
	uint64_t at = rep->iova >> lm->page_lg2;
	uint64_t end = (rep->iova + rep->len_bytes + rest) >> lm->page_lg2;
	uint64_t stop;
	uint32_t i;
	int ret;

	for (i = 0; i < lm->nb_regions && at < end; i++) {
		struct lm_pds_region *r = &lm->regions[i];

		if (r->end <= at)
			continue;
		stop = r->first < end ? r->first : end;
		if (at < stop) /* nobody looks there */
			lm_pds_bitmap_set(rep->bitmap, at << lm->page_lg2, stop << lm->page_lg2,
					rep->iova, rep->len_bytes, rep->lg2);
		at = at < stop ? stop : at;
		if (at == end)
			break;
		stop = r->end < end ? r->end : end;
		ret = lm_pds_report_region(lm, r, rep, at, stop);
		if (ret != 0)
			return ret;
		at = stop;
	}
	if (at < end)
		lm_pds_bitmap_set(rep->bitmap, at << lm->page_lg2, end << lm->page_lg2, rep->iova,
				rep->len_bytes, rep->lg2);
	return 0;
}

int
lm_pds_lm_dirty_report(struct lm_pds_lm *lm, uint64_t iova, uint64_t len_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	struct lm_pds_report rep = { .iova = iova, .len_bytes = len_bytes, .bitmap = bitmap };
	int ret;

	if (len_bytes == 0 || page_size_bytes == 0 ||
			(page_size_bytes & (page_size_bytes - 1)) != 0 || iova >= ADDR_END ||
			len_bytes > ADDR_END - iova)
		return -EINVAL;
	rep.lg2 = (uint8_t)(ffsll((long long)page_size_bytes) - 1);
	pthread_mutex_lock(&lm->dirty_lock);
	/* A PF that was set up again says nothing of what happened meanwhile. */
	if (lm->tracking && lm->epoch != lm_pds_core_epoch(lm->client.core))
		lm->lost = true;
	if (!lm->tracking)
		ret = -EINVAL;
	else
		ret = lm->lost ? -EIO : lm_pds_report_locked(lm, &rep);
	if (ret == 0 && lm->epoch != lm_pds_core_epoch(lm->client.core)) {
		lm->lost = true;
		ret = -EIO;
	}
	if (lm->lost)
		lm_pds_bitmap_set(bitmap, iova, iova + len_bytes, iova, len_bytes, rep.lg2);
	pthread_mutex_unlock(&lm->dirty_lock);
	return ret;
}

int
lm_pds_lm_after_reset(struct lm_pds_lm *lm)
{
	struct lm_pds_lm_dirty_status_cmd status = { .opcode = LM_PDS_LM_CMD_DIRTY_STATUS };
	struct lm_pds_lm_dirty_status_comp comp;
	int ret = 0;

	pthread_mutex_lock(&lm->dirty_lock);
	if (lm->tracking) {
		ret = lm_pds_lm_send(lm, &status, sizeof(status), &comp);
		if (ret != 0 || comp.num_regions != lm->nb_regions)
			lm->lost = true;
		ret = lm->lost ? -EIO : 0;
	}
	pthread_mutex_unlock(&lm->dirty_lock);
	return ret;
}
