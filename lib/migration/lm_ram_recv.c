/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "lm_session_pvt.h"

static bool
is_zero(const uint8_t *p, uint64_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Memory that is zero is not touched: it may have no pages yet. */
static int
receive_zero(struct lm_ram *ram, const struct lm_record_zero *z)
{
	uint8_t *to = lm_ram_ptr(ram, z->addr, z->len_bytes);
	uint64_t at;

	if (to == NULL)
		return -ERANGE;
	for (at = 0; at < z->len_bytes; at += LM_RAM_PAGE_BYTES)
		if (!is_zero(to + at, LM_RAM_PAGE_BYTES))
			memset(to + at, 0, LM_RAM_PAGE_BYTES);
	return 0;
}

static int
receive_pages(struct lm_ram *ram, const struct lm_record *rec, struct lm_ram_report *report)
{
	const struct lm_record_ram *r = rec->payload;
	void *to = lm_ram_ptr(ram, r->addr, r->len_bytes);
	size_t data_bytes = rec->len_bytes - sizeof(*r);

	if (to == NULL)
		return -ERANGE;
	if ((r->flags & LM_RECORD_RAM_F_ZSTD) == 0) {
		memcpy(to, r + 1, r->len_bytes);
		return 0;
	}
	report->compressed_bytes += r->len_bytes;
	return ZSTD_decompress(to, r->len_bytes, r + 1, data_bytes) == r->len_bytes ? 0 : -EBADMSG;
}

int
lm_ram_receive(struct lm_ram *ram, const struct lm_record *rec, struct lm_ram_report *report)
{
	const struct lm_record_zero *z = rec->payload;
	const struct lm_record_ram *r = rec->payload;

	if (ram == NULL)
		return -ERANGE;
	report->transferred_bytes += sizeof(struct lm_record_hdr) + rec->len_bytes;
	if (rec->type == LM_RECORD_ZERO) {
		report->duplicate_pages += z->len_bytes / LM_RAM_PAGE_BYTES;
		return receive_zero(ram, z);
	}
	report->normal_pages += r->len_bytes / LM_RAM_PAGE_BYTES;
	return receive_pages(ram, rec, report);
}
