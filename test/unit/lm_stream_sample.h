/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_STREAM_SAMPLE_H
#define LM_STREAM_SAMPLE_H

/** @file One stream with every record in it, the same bytes in every run and for ever. */

#include <stdlib.h>
#include <string.h>

#include "lm_compat_rec.h"
#include "lm_stream.h"

struct sample {
	uint8_t bytes[65536];
	size_t len_bytes;
	struct lm_stream_writer writer;
	size_t at[64]; /* where each record begins */
	unsigned int nb;
};

static inline void
sample_put(struct sample *s, const void *bytes, size_t len_bytes)
{
	if (len_bytes != 0)
		memcpy(s->bytes + s->len_bytes, bytes, len_bytes);
	s->len_bytes += len_bytes;
}

static inline void
sample_record(struct sample *s, uint16_t type, const void *head, size_t head_bytes,
		const void *data, size_t data_bytes)
{
	const struct iovec iov[2] = {
		{ (void *)(uintptr_t)head, head_bytes },
		{ (void *)(uintptr_t)data, data_bytes },
	};
	struct lm_record_hdr hdr;

	lm_stream_record(&s->writer, type, iov, 2, &hdr);
	s->at[s->nb++] = s->len_bytes;
	sample_put(s, &hdr, sizeof(hdr));
	sample_put(s, head, head_bytes);
	sample_put(s, data, data_bytes);
}

static inline struct lm_compat *
sample_compat(void)
{
	static struct lm_compat_member members[2];
	static struct lm_compat_region regions[2];
	static struct lm_compat compat;
	unsigned int i;

	memset(members, 0, sizeof(members));
	memset(regions, 0, sizeof(regions));
	for (i = 0; i < 2; i++) {
		strcpy(members[i].name, i == 0 ? "nic0" : "nic1");
		strcpy(members[i].provider, "vfio-user");
		strcpy(members[i].device, "1dd8:1003");
		strcpy(members[i].firmware, "1.2.3");
		members[i].flags = LM_STATE_F_STOP_COPY | LM_STATE_F_P2P;
		members[i].bar_bytes[0] = 0x4000;
		members[i].page_sizes = 0x1000;
		members[i].nb_msix = 16;
		members[i].nb_iovas = 1;
		members[i].iovas[0] = (struct lm_range){ 0, UINT64_C(1) << 39 };
		strcpy(regions[i].name, i == 0 ? "low" : "high");
		regions[i].addr = i == 0 ? 0x100000 : UINT64_C(0x100000000);
		regions[i].size_bytes = 0x200000;
	}
	compat = (struct lm_compat){
		.page_bytes = LM_RAM_PAGE_BYTES,
		.nb_members = 2,
		.nb_regions = 2,
		.members = members,
		.regions = regions,
		.window = { UINT64_C(0x100000000), 0x200000, 0x200000, 2432, 128, 0, 0 },
	};
	return &compat;
}

static inline void
sample_control(struct sample *s)
{
	struct lm_record_hello hello = { .index = 0, .count = 3 };
	struct lm_record_verdict verdict = { .text = "" };
	const struct lm_record_took took = { 1234, 567 };
	const struct lm_record_early early = { 1, 2 };
	const struct lm_record_fence fence = { 7, LM_FENCE_F_LAST, 0 };
	struct lm_record_abort ab = { .error = 110, .text = "nic1: no answer in 5000 ms" };
	void *compat = NULL;
	int len;

	memset(hello.session, 0x5a, sizeof(hello.session));
	len = lm_compat_encode(sample_compat(), &compat);
	sample_record(s, LM_RECORD_HELLO, &hello, sizeof(hello), NULL, 0);
	sample_record(s, LM_RECORD_COMPAT, compat, (size_t)len, NULL, 0);
	sample_record(s, LM_RECORD_VERDICT, &verdict, sizeof(verdict), NULL, 0);
	sample_record(s, LM_RECORD_PREPARED, &took, sizeof(took), NULL, 0);
	sample_record(s, LM_RECORD_ALIVE, NULL, 0, NULL, 0);
	sample_record(s, LM_RECORD_EARLY_ACK, &early, sizeof(early), NULL, 0);
	sample_record(s, LM_RECORD_FENCED, &fence, sizeof(fence), NULL, 0);
	sample_record(s, LM_RECORD_LOADED, &took, sizeof(took), NULL, 0);
	sample_record(s, LM_RECORD_COMMIT, NULL, 0, NULL, 0);
	sample_record(s, LM_RECORD_RUNNING, &took, sizeof(took), NULL, 0);
	sample_record(s, LM_RECORD_ABORT, &ab, sizeof(ab), NULL, 0);
	free(compat);
}

static inline void
sample_bulk(struct sample *s)
{
	const struct lm_record_ram ram = { 0x100000, 4096, 0 };
	const struct lm_record_zero zero = { 0x101000, 0x8000 };
	const struct lm_record_device dev = { 1, 0, 0 };
	const struct lm_record_device end = { 1, 0, 100 };
	const struct lm_record_early early = { 1, 2 };
	const struct lm_record_fence fence = { 7, LM_FENCE_F_LAST, 0 };
	uint8_t page[4096];
	unsigned int i;

	for (i = 0; i < sizeof(page); i++)
		page[i] = (uint8_t)(i * 7);
	sample_record(s, LM_RECORD_RAM, &ram, sizeof(ram), page, sizeof(page));
	sample_record(s, LM_RECORD_ZERO, &zero, sizeof(zero), NULL, 0);
	sample_record(s, LM_RECORD_DEVICE, &dev, sizeof(dev), page, 100);
	sample_record(s, LM_RECORD_EARLY, &early, sizeof(early), NULL, 0);
	sample_record(s, LM_RECORD_DEVICE_END, &end, sizeof(end), NULL, 0);
	sample_record(s, LM_RECORD_PROBE, page, 33, NULL, 0);
	sample_record(s, LM_RECORD_FENCE, &fence, sizeof(fence), NULL, 0);
}

static inline void
sample_make(struct sample *s)
{
	struct lm_stream_hdr hdr;

	memset(s, 0, sizeof(*s));
	lm_stream_begin(&hdr);
	sample_put(s, &hdr, sizeof(hdr));
	sample_control(s);
	sample_bulk(s);
}

#endif /* LM_STREAM_SAMPLE_H */
