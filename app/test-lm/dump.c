/* SPDX-License-Identifier: BSD-3-Clause */

/* A stored stream in words, by the same decoder that a migration uses. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lm_compat_rec.h"
#include "lm_stream.h"
#include "test_lm.h"

static void
print_line(void *ctx, const char *line)
{
	(void)ctx;
	printf("    %s\n", line);
}

static void
print_record(const struct lm_record *rec)
{
	struct lm_compat *compat;
	char line[512];
	int ret;

	lm_record_describe(rec, line, sizeof(line));
	printf("%s\n", line);
	if (rec->type != LM_RECORD_COMPAT)
		return;
	ret = lm_compat_decode(rec->payload, rec->len_bytes, &compat);
	if (ret != 0) {
		printf("    not to be understood: %s\n", strerror(-ret));
		return;
	}
	lm_compat_describe(compat, print_line, NULL);
	lm_compat_destroy(compat);
}

static int
dump(FILE *f, const char *name)
{
	struct lm_stream_parser *p;
	struct lm_record rec;
	size_t space, n;
	void *to;
	int ret;

	ret = lm_stream_parser_create(&p);
	if (ret != 0) {
		test_lm_error("%s", strerror(-ret));
		return TEST_LM_FAILED;
	}
	do {
		to = lm_stream_space(p, &space);
		n = fread(to, 1, space, f);
		ret = lm_stream_advance(p, n, &rec);
		if (ret == 1)
			print_record(&rec);
	} while (ret >= 0 && n != 0);
	if (ret < 0)
		test_lm_error("%s: %s", name, lm_stream_strerror(p));
	else if (!lm_stream_between(p))
		test_lm_error("%s: ends inside a record", name);
	if (ret >= 0 && lm_stream_skipped(p) != 0)
		printf("%" PRIu64 " records of unknown, optional types\n", lm_stream_skipped(p));
	ret = ret < 0 || !lm_stream_between(p) ? TEST_LM_FAILED : TEST_LM_OK;
	lm_stream_parser_destroy(p);
	return ret;
}

int
test_lm_dump(int argc, char **argv)
{
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
	FILE *f;
	int ret;

	if (argc != 2 || help) {
		fprintf(help ? stdout : stderr, "Usage: dpdk-test-lm dump FILE\n\n"
			"Put a stored state stream in words; -: stdin.\n");
		return help ? TEST_LM_OK : TEST_LM_USAGE;
	}
	f = strcmp(argv[1], "-") == 0 ? stdin : fopen(argv[1], "rb");
	if (f == NULL) {
		test_lm_error("%s: %s", argv[1], strerror(errno));
		return TEST_LM_FAILED;
	}
	ret = dump(f, argv[1]);
	if (f != stdin)
		fclose(f);
	return ret;
}
