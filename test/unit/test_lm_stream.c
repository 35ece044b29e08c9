/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Streams: every split, every flipped bit, every length; what a stored stream of each version
 * still means; and what two sides say when they do not fit.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lm_stream_sample.h"

#define DIM(a) (sizeof(a) / sizeof((a)[0]))

static struct sample sample;

/* What a stream said, as text, and how it ended. */
struct reading {
	char text[8192];
	size_t used;
	unsigned int nb;
	uint64_t skipped;
	int ret;
	bool between;
	char why[160];
};

static void
reading_add(struct reading *r, const struct lm_record *rec)
{
	char line[256];

	lm_record_describe(rec, line, sizeof(line));
	r->used += (size_t)snprintf(r->text + r->used, sizeof(r->text) - r->used, "%s\n", line);
	assert_true(r->used < sizeof(r->text));
	r->nb++;
}

/* Feed in pieces of at most so many bytes. */
static void
read_stream(const uint8_t *bytes, size_t len, size_t piece, struct reading *r)
{
	struct lm_stream_parser *p;
	struct lm_record rec;
	size_t space, n, at = 0;
	void *to;

	memset(r, 0, sizeof(*r));
	assert_int_equal(lm_stream_parser_create(&p), 0);
	while (at < len && r->ret == 0) {
		to = lm_stream_space(p, &space);
		assert_true(space > 0);
		n = space < piece ? space : piece;
		n = n < len - at ? n : len - at;
		memcpy(to, bytes + at, n);
		at += n;
		r->ret = lm_stream_advance(p, n, &rec);
		if (r->ret == 1) {
			reading_add(r, &rec);
			r->ret = 0;
		}
	}
	r->between = lm_stream_between(p);
	r->skipped = lm_stream_skipped(p);
	snprintf(r->why, sizeof(r->why), "%s", lm_stream_strerror(p));
	if (r->ret != 0) {
		lm_stream_space(p, &space);
		assert_int_equal(space, 0);
		assert_int_equal(lm_stream_advance(p, 0, &rec), r->ret);
	}
	lm_stream_parser_destroy(p);
}

/* Breaks when a part is taken for whole before its last byte has come. */
static void
test_any_split(void **state)
{
	static struct reading whole, split;
	size_t piece;

	(void)state;
	read_stream(sample.bytes, sample.len_bytes, SIZE_MAX, &whole);
	assert_int_equal(whole.ret, 0);
	assert_true(whole.between);
	assert_int_equal(whole.nb, sample.nb);
	for (piece = 1; piece < 70; piece++) {
		read_stream(sample.bytes, sample.len_bytes, piece, &split);
		assert_int_equal(split.ret, 0);
		assert_string_equal(split.text, whole.text);
	}
}

/* Breaks when a byte of header or payload is left out of the checksum. */
static void
test_any_flip(void **state)
{
	static struct reading r;
	size_t i;

	(void)state;
	for (i = 0; i < sample.len_bytes; i++) {
		if (i >= offsetof(struct lm_stream_hdr, minor) &&
				i < sizeof(struct lm_stream_hdr))
			continue;
		sample.bytes[i] ^= 1u << (i % 8);
		read_stream(sample.bytes, sample.len_bytes, SIZE_MAX, &r);
		/* A longer last record waits for bytes that do not come. */
		assert_true(r.ret != 0 || !r.between);
		assert_true(r.nb < sample.nb);
		sample.bytes[i] ^= 1u << (i % 8);
	}
}

/* Breaks when an end inside a record is taken for a good end. */
static void
test_any_end(void **state)
{
	static struct reading r;
	unsigned int rec = 0;
	size_t len;

	(void)state;
	for (len = 0; len < sample.len_bytes; len++) {
		read_stream(sample.bytes, len, SIZE_MAX, &r);
		assert_int_equal(r.ret, 0);
		if (len == sample.at[rec] && rec < sample.nb) {
			assert_true(r.between);
			rec++;
		} else {
			assert_false(r.between);
		}
	}
}

/* Breaks when the number is left out of the seed. */
static void
test_lost_doubled_swapped(void **state)
{
	static struct sample s;
	static struct reading r;
	size_t a = sample.at[3], b = sample.at[4], c = sample.at[5];

	(void)state;
	sample_make(&s);
	memmove(s.bytes + a, s.bytes + b, s.len_bytes - b);
	read_stream(s.bytes, s.len_bytes - (b - a), SIZE_MAX, &r);
	assert_int_equal(r.ret, -EBADMSG);
	assert_int_equal(r.nb, 3);

	sample_make(&s);
	memmove(s.bytes + c, s.bytes + b, s.len_bytes - b);
	read_stream(s.bytes, s.len_bytes + (c - b), SIZE_MAX, &r);
	assert_int_equal(r.ret, -EBADMSG);
	assert_int_equal(r.nb, 5);
}

static void
one(struct sample *s, uint16_t type, const void *payload, size_t len)
{
	struct lm_stream_hdr hdr;

	memset(s, 0, sizeof(*s));
	lm_stream_begin(&hdr);
	sample_put(s, &hdr, sizeof(hdr));
	sample_record(s, type, payload, len, NULL, 0);
}

static int
verdict_on(struct sample *s)
{
	static struct reading r;

	read_stream(s->bytes, s->len_bytes, SIZE_MAX, &r);
	return r.ret;
}

static void
test_unknown(void **state)
{
	static struct sample s;
	static struct reading r;

	(void)state;
	one(&s, 0x1234, "new", 3);
	sample_record(&s, LM_RECORD_ALIVE, NULL, 0, NULL, 0);
	read_stream(s.bytes, s.len_bytes, SIZE_MAX, &r);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.nb, 1);
	assert_int_equal(r.skipped, 1);

	one(&s, 0x1234 | LM_RECORD_F_MANDATORY, "new", 3);
	read_stream(s.bytes, s.len_bytes, SIZE_MAX, &r);
	assert_int_equal(r.ret, -ENOTSUP);
	assert_non_null(strstr(r.why, "mandatory"));
}

static void
test_version(void **state)
{
	static struct sample s;
	static struct reading r;
	struct lm_stream_hdr *hdr = (struct lm_stream_hdr *)s.bytes;

	(void)state;
	sample_make(&s);
	hdr->minor = 99;
	read_stream(s.bytes, s.len_bytes, SIZE_MAX, &r);
	assert_int_equal(r.ret, 0);
	hdr->major = LM_STREAM_MAJOR + 1;
	read_stream(s.bytes, s.len_bytes, SIZE_MAX, &r);
	assert_int_equal(r.ret, -EPROTONOSUPPORT);
	assert_int_equal(r.nb, 0);
	assert_non_null(strstr(r.why, "version 2.99"));
	hdr->magic = 0x46464952;
	assert_int_equal(verdict_on(&s), -EPROTO);
}

static void
test_lengths(void **state)
{
	static uint8_t big[LM_RECORD_DATA_BYTES + 64];
	const struct lm_record_rule *rule;
	struct lm_stream_writer w;
	struct lm_record_hdr hdr;
	static struct sample s;
	struct iovec iov = { big, 0 };
	uint16_t type;

	(void)state;
	for (type = 1; type < 64; type++) {
		rule = lm_record_rule(type);
		if (rule == NULL || rule->max_bytes > sizeof(big) - 1)
			continue;
		one(&s, LM_RECORD_ALIVE, NULL, 0);
		w = s.writer;
		iov.iov_len = rule->max_bytes + 1;
		lm_stream_record(&w, type, &iov, 1, &hdr);
		sample_put(&s, &hdr, sizeof(hdr));
		assert_int_equal(verdict_on(&s), -EMSGSIZE);
		if (rule->min_bytes == 0)
			continue;
		one(&s, type, big, rule->min_bytes - 1);
		assert_int_equal(verdict_on(&s), -EMSGSIZE);
	}
}

static void
test_fields(void **state)
{
	static const struct lm_record_zero zeros[] = {
		{ 1, 4096 }, { 4096, 0 }, { 4096, 4097 }, { UINT64_MAX - 4095, 8192 },
	};
	static const struct lm_record_hello hellos[] = {
		{ { 0 }, 2, 2, 0 }, { { 0 }, 0, 1, 0 }, { { 0 }, 0, 0, 0 },
	};
	static const struct lm_record_ram rams[] = {
		{ 0, 0, 0 }, { 0, 8192, 0 }, { 0, 4095, 0 }, { 1, 4096, 0 }, { 0, 4096, 2 },
		{ UINT64_MAX - 4095, 4096, 0 }, { 0, UINT32_MAX, 1 },
	};
	static struct sample s;
	static uint8_t page[4096];
	struct lm_record_abort ab;
	struct lm_record_verdict v;
	unsigned int i;

	(void)state;
	for (i = 0; i < DIM(zeros); i++) {
		one(&s, LM_RECORD_ZERO, &zeros[i], sizeof(zeros[i]));
		assert_int_equal(verdict_on(&s), -EPROTO);
	}
	for (i = 0; i < DIM(hellos); i++) {
		one(&s, LM_RECORD_HELLO, &hellos[i], sizeof(hellos[i]));
		assert_int_equal(verdict_on(&s), -EPROTO);
	}
	for (i = 0; i < DIM(rams); i++) {
		one(&s, LM_RECORD_ALIVE, NULL, 0);
		sample_record(&s, LM_RECORD_RAM, &rams[i], sizeof(rams[i]), page, sizeof(page));
		assert_int_equal(verdict_on(&s), -EPROTO);
	}
	memset(&ab, 'x', sizeof(ab));
	one(&s, LM_RECORD_ABORT, &ab, sizeof(ab));
	assert_int_equal(verdict_on(&s), -EPROTO);
	memset(&v, 'x', sizeof(v));
	one(&s, LM_RECORD_VERDICT, &v, sizeof(v));
	assert_int_equal(verdict_on(&s), -EPROTO);
}

static size_t
slurp(const char *name, void *to, size_t max)
{
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", LM_GOLDEN_DIR, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(to, 1, max, f);
	fclose(f);
	return n;
}

/*
 * Breaks when a layout, a type, a checksum or a word changes without a new version: what was
 * stored by a release has to be read by all that follow.
 */
static void
test_golden(void **state)
{
	static struct sample stored;
	static char words[8192];
	static struct reading r;

	(void)state;
	stored.len_bytes = slurp("stream-1.0.bin", stored.bytes, sizeof(stored.bytes));
	slurp("stream-1.0.txt", words, sizeof(words) - 1);
	read_stream(stored.bytes, stored.len_bytes, SIZE_MAX, &r);
	assert_int_equal(r.ret, 0);
	assert_true(r.between);
	assert_string_equal(r.text, words);
	assert_int_equal(stored.len_bytes, sample.len_bytes);
	assert_memory_equal(stored.bytes, sample.bytes, sample.len_bytes);
}

static void
test_compat_round_trip(void **state)
{
	struct lm_compat *in = sample_compat(), *out;
	void *payload;
	char why[256];
	unsigned int members[2];
	int len, cut;

	(void)state;
	len = lm_compat_encode(in, &payload);
	assert_true(len > 0);
	assert_int_equal(lm_compat_decode(payload, (size_t)len, &out), 0);
	assert_int_equal(out->nb_members, 2);
	assert_memory_equal(out->members, in->members, 2 * sizeof(in->members[0]));
	assert_memory_equal(out->regions, in->regions, 2 * sizeof(in->regions[0]));
	assert_memory_equal(&out->window, &in->window, sizeof(in->window));
	assert_int_equal(lm_compat_compare(in, out, why, sizeof(why), members), 0);
	assert_string_equal(why, "");
	assert_int_equal(members[1], 1);
	lm_compat_destroy(out);
	/* The window is the last item: without it the record is whole too. */
	for (cut = 0; cut < len; cut++)
		if (cut != len - 48)
			assert_int_equal(lm_compat_decode(payload, (size_t)cut, &out), -EPROTO);
	free(payload);
}

static void
test_compat_items(void **state)
{
	const uint8_t optional[12] = { 0x77, 0x00, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4 };
	struct lm_compat *out;
	void *payload;
	uint8_t *more;
	int len;

	(void)state;
	len = lm_compat_encode(sample_compat(), &payload);
	more = malloc((size_t)len + sizeof(optional));
	memcpy(more, payload, (size_t)len);
	memcpy(more + len, optional, sizeof(optional));
	assert_int_equal(lm_compat_decode(more, (size_t)len + 12, &out), 0);
	lm_compat_destroy(out);
	more[len + 1] = 0x80;
	assert_int_equal(lm_compat_decode(more, (size_t)len + 12, &out), -ENOTSUP);
	/* A length beyond the record. */
	more[len + 4] = 5;
	assert_int_equal(lm_compat_decode(more, (size_t)len + 12, &out), -EPROTO);
	/* Two members of one name. */
	memcpy(more, payload, (size_t)len);
	strcpy((char *)more + 24 + 8 + sizeof(struct lm_compat_member) + 8, "nic0");
	assert_int_equal(lm_compat_decode(more, (size_t)len, &out), -EPROTO);
	free(more);
	free(payload);
}

/* Each difference is named; order of members is none. */
static void
test_compat_reasons(void **state)
{
	struct lm_compat_member src_m[2], dst_m[2];
	struct lm_compat_region src_r[2];
	struct lm_compat src, dst;
	unsigned int members[2];
	char why[2048];

	(void)state;
	src = *sample_compat();
	dst = src;
	memcpy(src_m, src.members, sizeof(src_m));
	memcpy(src_r, src.regions, sizeof(src_r));
	dst_m[0] = src_m[1];
	dst_m[1] = src_m[0];
	src.members = src_m;
	src.regions = src_r;
	dst.members = dst_m;
	assert_int_equal(lm_compat_compare(&src, &dst, why, sizeof(why), members), 0);
	assert_int_equal(members[0], 1);
	assert_int_equal(members[1], 0);

	strcpy(dst_m[1].firmware, "2.0");
	dst_m[1].bar_bytes[2] = 4096;
	dst_m[1].nb_msix = 8;
	dst_m[1].page_sizes = 0x200000;
	dst_m[1].iovas[0].len_bytes = 0x1000000;
	src_m[0].flags |= LM_STATE_F_PRE_COPY;
	src_r[1].size_bytes += 4096;
	dst.window.element_bytes = 2048;
	strcpy(src_m[1].name, "nic9");
	assert_int_equal(lm_compat_compare(&src, &dst, why, sizeof(why), members), -EXDEV);
	assert_non_null(strstr(why, "nic0: its firmware is \"1.2.3\" at the source and \"2.0\""));
	assert_non_null(strstr(why, "BAR 2 has 0 bytes"));
	assert_non_null(strstr(why, "16 MSI-X vectors at the source and 8 here"));
	assert_non_null(strstr(why, "pages of 4096 bytes at the source, of at least 2097152"));
	assert_non_null(strstr(why, "region high at 0x100000000 is out of its reach here"));
	assert_non_null(strstr(why, "pre-copies at the source"));
	assert_non_null(strstr(why, "there is no device \"nic9\" here"));
	assert_non_null(strstr(why, "region high is"));
	assert_non_null(strstr(why, "buffers of 2432 bytes"));
	/* Cut to what fits. */
	memset(why, 'x', sizeof(why));
	assert_int_equal(lm_compat_compare(&src, &dst, why, 40, NULL), -EXDEV);
	assert_true(strlen(why) < 40);
}

static void
golden_write(void)
{
	static struct reading r;
	FILE *f;

	read_stream(sample.bytes, sample.len_bytes, SIZE_MAX, &r);
	f = fopen(LM_GOLDEN_DIR "/stream-1.0.bin", "wb");
	if (f == NULL)
		exit(1);
	fwrite(sample.bytes, 1, sample.len_bytes, f);
	fclose(f);
	f = fopen(LM_GOLDEN_DIR "/stream-1.0.txt", "wb");
	if (f == NULL)
		exit(1);
	fwrite(r.text, 1, r.used, f);
	fclose(f);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_split),
		cmocka_unit_test(test_any_flip),
		cmocka_unit_test(test_any_end),
		cmocka_unit_test(test_lost_doubled_swapped),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_compat_round_trip),
		cmocka_unit_test(test_compat_items),
		cmocka_unit_test(test_compat_reasons),
	};

	sample_make(&sample);
	if (argc == 2 && strcmp(argv[1], "--write-golden") == 0) {
		golden_write();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
