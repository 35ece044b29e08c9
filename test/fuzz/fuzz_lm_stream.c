/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The stream parser against any bytes, in pieces of any size. Input: { piece u8, mode u8, bytes }.
 * Mode bit 0: the bytes are the stream as it is; else they are { type u16, length u16, payload }
 * records that get good checksums, so that what is behind the checksum is reached. Every record is
 * put in words; a COMPAT is decoded, compared with itself and encoded again.
 */

#include <stdlib.h>
#include <string.h>

#include "lm_compat_rec.h"
#include "lm_stream.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
swallow(void *ctx, const char *line)
{
	*(size_t *)ctx += strlen(line);
}

static void
compat(const struct lm_record *rec)
{
	struct lm_compat *c, *again;
	unsigned int *members;
	size_t words = 0;
	char why[128];
	void *payload;
	int len;

	if (lm_compat_decode(rec->payload, rec->len_bytes, &c) != 0)
		return;
	members = calloc(c->nb_members + 1, sizeof(*members));
	lm_compat_describe(c, swallow, &words);
	lm_compat_compare(c, c, why, sizeof(why), members);
	check(memchr(why, 0, sizeof(why)) != NULL);
	len = lm_compat_encode(c, &payload);
	check(len > 0);
	check(lm_compat_decode(payload, (size_t)len, &again) == 0);
	check(again->nb_members == c->nb_members && again->nb_regions == c->nb_regions);
	lm_compat_destroy(again);
	free(payload);
	free(members);
	lm_compat_destroy(c);
}

static bool
feed(struct lm_stream_parser *p, const uint8_t *bytes, size_t len, size_t piece)
{
	struct lm_record rec;
	char line[128];
	size_t space, n;
	void *to;
	int ret;

	while (len > 0) {
		to = lm_stream_space(p, &space);
		check(space > 0);
		n = space < piece ? space : piece;
		n = n < len ? n : len;
		memcpy(to, bytes, n);
		bytes += n;
		len -= n;
		ret = lm_stream_advance(p, n, &rec);
		if (ret < 0) {
			check(lm_stream_strerror(p)[0] != '\0');
			return false;
		}
		if (ret == 0)
			continue;
		lm_record_describe(&rec, line, sizeof(line));
		check(lm_record_rule(rec.type) != NULL);
		if (rec.type == LM_RECORD_COMPAT)
			compat(&rec);
	}
	return true;
}

static void
feed_records(struct lm_stream_parser *p, const uint8_t *bytes, size_t len, size_t piece)
{
	struct lm_stream_writer w = { 0 };
	struct lm_record_hdr hdr;
	struct iovec iov;
	uint16_t head[2];
	bool good = true;

	while (good && len >= sizeof(head)) {
		memcpy(head, bytes, sizeof(head));
		bytes += sizeof(head);
		len -= sizeof(head);
		iov.iov_base = (void *)(uintptr_t)bytes;
		iov.iov_len = head[1] < len ? head[1] : len;
		lm_stream_record(&w, head[0], &iov, 1, &hdr);
		good = feed(p, (const uint8_t *)&hdr, sizeof(hdr), piece) &&
			feed(p, bytes, iov.iov_len, piece);
		bytes += iov.iov_len;
		len -= iov.iov_len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lm_stream_parser *p;
	struct lm_stream_hdr hdr;
	size_t piece;

	if (size < 2)
		return 0;
	check(lm_stream_parser_create(&p) == 0);
	piece = data[0] == 0 ? SIZE_MAX : data[0];
	if ((data[1] & 1) != 0) {
		feed(p, data + 2, size - 2, piece);
	} else {
		lm_stream_begin(&hdr);
		if (feed(p, (const uint8_t *)&hdr, sizeof(hdr), piece))
			feed_records(p, data + 2, size - 2, piece);
	}
	lm_stream_parser_destroy(p);
	return 0;
}
