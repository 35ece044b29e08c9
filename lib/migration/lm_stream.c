/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "lm_stream.h"

enum part {
	PART_STREAM_HDR,
	PART_RECORD_HDR,
	PART_PAYLOAD,
};

struct lm_stream_parser {
	enum part part;
	uint32_t have_bytes; /* of the part */
	uint32_t want_bytes;
	union {
		struct lm_stream_hdr stream;
		struct lm_record_hdr record;
	} hdr;
	uint8_t *payload;
	uint32_t cap_bytes;
	uint64_t number; /* of the record being read */
	uint64_t offset; /* in the stream, for messages */
	uint64_t skipped;
	int error;
	char text[160];
};

static uint64_t
seed_of(const struct lm_record_hdr *hdr, uint64_t number)
{
	uint64_t words[2] = { 0, number };

	memcpy(&words[0], hdr, sizeof(words[0]));
	return XXH3_64bits(words, sizeof(words));
}

static void
expect(struct lm_stream_parser *p, enum part part, uint32_t bytes)
{
	p->part = part;
	p->have_bytes = 0;
	p->want_bytes = bytes;
}

int
lm_stream_parser_create(struct lm_stream_parser **parser)
{
	struct lm_stream_parser *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	expect(p, PART_STREAM_HDR, sizeof(p->hdr.stream));
	*parser = p;
	return 0;
}

void
lm_stream_parser_destroy(struct lm_stream_parser *p)
{
	if (p == NULL)
		return;
	free(p->payload);
	free(p);
}

static int
fail(struct lm_stream_parser *p, int error, const char *what)
{
	p->error = error;
	if (p->part == PART_STREAM_HDR)
		snprintf(p->text, sizeof(p->text), "stream header: %s", what);
	else
		snprintf(p->text, sizeof(p->text),
			"record %" PRIu64 " (%s) at byte %" PRIu64 ": %s",
			p->number, lm_record_name(p->hdr.record.type), p->offset, what);
	return error;
}

static int
stream_hdr(struct lm_stream_parser *p)
{
	char what[64];

	if (p->hdr.stream.magic != LM_STREAM_MAGIC)
		return fail(p, -EPROTO, "this is no migration stream");
	if (p->hdr.stream.major != LM_STREAM_MAJOR) {
		snprintf(what, sizeof(what), "version %u.%u, and only %u is known",
			p->hdr.stream.major, p->hdr.stream.minor, LM_STREAM_MAJOR);
		return fail(p, -EPROTONOSUPPORT, what);
	}
	expect(p, PART_RECORD_HDR, sizeof(p->hdr.record));
	return 0;
}

static int
payload_begin(struct lm_stream_parser *p)
{
	const struct lm_record_hdr *h = &p->hdr.record;
	const struct lm_record_rule *rule = lm_record_rule(h->type);
	uint32_t min = rule == NULL ? 0 : rule->min_bytes;
	uint32_t max = rule == NULL ? LM_RECORD_UNKNOWN_BYTES : rule->max_bytes;
	uint8_t *payload;

	if (rule == NULL && (h->type & LM_RECORD_F_MANDATORY) != 0)
		return fail(p, -ENOTSUP, "not known here, and mandatory");
	if (rule != NULL && rule->type != h->type)
		return fail(p, -EPROTO, "its mandatory bit is wrong");
	if (h->len_bytes < min || h->len_bytes > max)
		return fail(p, -EMSGSIZE, "its length is beyond its limits");
	if (h->len_bytes > p->cap_bytes) {
		payload = realloc(p->payload, h->len_bytes);
		if (payload == NULL)
			return fail(p, -ENOMEM, "no memory");
		p->payload = payload;
		p->cap_bytes = h->len_bytes;
	}
	expect(p, PART_PAYLOAD, h->len_bytes);
	return 0;
}

static int
payload_end(struct lm_stream_parser *p, struct lm_record *rec)
{
	const struct lm_record_hdr *h = &p->hdr.record;
	uint64_t hash;

	hash = XXH3_64bits_withSeed(p->payload, h->len_bytes, seed_of(h, p->number));
	if (hash != h->xxh3)
		return fail(p, -EBADMSG, "its checksum is wrong");
	rec->type = h->type & LM_RECORD_TYPE_MASK;
	rec->len_bytes = h->len_bytes;
	rec->number = p->number;
	rec->payload = p->payload;
	if (lm_record_check(rec) != 0)
		return fail(p, -EPROTO, "its fields make no sense");
	p->number++;
	expect(p, PART_RECORD_HDR, sizeof(p->hdr.record));
	if (lm_record_rule(h->type) != NULL)
		return 1;
	p->skipped++;
	return 0;
}

void *
lm_stream_space(struct lm_stream_parser *p, size_t *len_bytes)
{
	uint8_t *part = p->part == PART_PAYLOAD ? p->payload : (uint8_t *)&p->hdr;

	*len_bytes = p->error != 0 ? 0 : p->want_bytes - p->have_bytes;
	return part + p->have_bytes;
}

int
lm_stream_advance(struct lm_stream_parser *p, size_t len_bytes, struct lm_record *rec)
{
	int ret;

	if (p->error != 0)
		return p->error;
	if (len_bytes > p->want_bytes - p->have_bytes)
		return fail(p, -EPROTO, "more bytes than there was space for");
	p->have_bytes += (uint32_t)len_bytes;
	p->offset += len_bytes;
	if (p->have_bytes < p->want_bytes)
		return 0;
	if (p->part == PART_STREAM_HDR)
		return stream_hdr(p);
	if (p->part == PART_RECORD_HDR) {
		ret = payload_begin(p);
		if (ret != 0 || p->want_bytes != 0)
			return ret;
	}
	return payload_end(p, rec);
}

bool
lm_stream_between(const struct lm_stream_parser *p)
{
	return p->error == 0 && p->have_bytes == 0 && p->part == PART_RECORD_HDR;
}

const char *
lm_stream_strerror(const struct lm_stream_parser *p)
{
	return p->text;
}

uint64_t
lm_stream_skipped(const struct lm_stream_parser *p)
{
	return p->skipped;
}

void
lm_stream_begin(struct lm_stream_hdr *hdr)
{
	*hdr = (struct lm_stream_hdr){
		.magic = LM_STREAM_MAGIC,
		.major = LM_STREAM_MAJOR,
		.minor = LM_STREAM_MINOR,
	};
}

void
lm_stream_record(struct lm_stream_writer *w, uint16_t type, const struct iovec *iov,
		unsigned int nb, struct lm_record_hdr *hdr)
{
	const struct lm_record_rule *rule = lm_record_rule(type);
	XXH3_state_t state;
	unsigned int i;

	hdr->type = rule == NULL ? type : rule->type;
	hdr->reserved = 0;
	hdr->len_bytes = 0;
	for (i = 0; i < nb; i++)
		hdr->len_bytes += (uint32_t)iov[i].iov_len;
	/* A reset believes what the stack happens to hold of an older state. */
	XXH3_INITSTATE(&state);
	XXH3_64bits_reset_withSeed(&state, seed_of(hdr, w->number++));
	for (i = 0; i < nb; i++)
		XXH3_64bits_update(&state, iov[i].iov_base, iov[i].iov_len);
	hdr->xxh3 = XXH3_64bits_digest(&state);
}
