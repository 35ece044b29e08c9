/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A peer of another version, met in a whole session: refused in words that both sides hear, before
 * the source's devices have made one step, and the next migration is as if nothing had been.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_stream_sample.h"
#include "mig_rig.h"

#define F_ALL (LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY)
#define DIM(a) (sizeof(a) / sizeof((a)[0]))
#define FOREIGN (LM_STREAM_MAJOR + 1)
#define FOREIGN_TEXT "version 2.7, and only 1 is known"
_Static_assert(LM_STREAM_MAJOR == 1, "what FOREIGN_TEXT says");

/* The item of a compatibility record, as lm_compat_rec.c has it. */
struct item {
	lm_le16_t type;
	lm_le16_t reserved;
	lm_le32_t len_bytes;
	uint8_t body[8];
};

static void
migrate(struct rig *r, struct between *b)
{
	r->between = b;
	rig_migrate(r);
	rig_end(r);
	if (b != NULL)
		between_end(b);
	r->between = NULL;
}

static void
assert_untouched(struct rig *r)
{
	unsigned int i;

	assert_int_equal(r->out_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r->in_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(r->out_report.phases[LM_PHASE_SETUP].measured_us, 0);
	for (i = 0; i < r->nb; i++) {
		assert_true(mig_fake_runs(&r->src.fakes[i]));
		assert_int_equal(r->src.fakes[i].arcs, 0);
		assert_int_equal(r->src.fakes[i].resets, 0);
		assert_false(mig_fake_runs(&r->dst.fakes[i]));
	}
	assert_int_equal(mig_fake_twice, 0);
}

static void
assert_next_works(struct rig *r)
{
	unsigned int i;

	migrate(r, NULL);
	if (r->out_outcome != LM_OUTCOME_COMPLETED)
		print_error("the next one: source %s, destination %s\n", r->out_report.why,
			r->in_report.why);
	assert_int_equal(r->out_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(r->in_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(rig_compare(r), 0);
	for (i = 0; i < r->nb; i++)
		assert_true(mig_fake_runs(&r->dst.fakes[i]));
	assert_int_equal(mig_fake_twice, 0);
}

/* As it is between two releases: each finds the other foreign. */
static void
test_foreign_peers(void **state)
{
	struct between b = { .major = FOREIGN, .minor = 7, .forward = ~0u, .back = ~0u };
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_ALL, 100000);
	rig_storm(&r, true);
	migrate(&r, &b);
	assert_untouched(&r);
	assert_int_equal(r.out_report.error, -EPROTONOSUPPORT);
	assert_int_equal(r.in_report.error, -EPROTONOSUPPORT);
	assert_string_equal(r.in_report.why,
		"what the source sends is bad: stream header: " FOREIGN_TEXT);
	assert_string_equal(r.out_report.why,
		"what the destination sends is bad: stream header: " FOREIGN_TEXT);
	assert_next_works(&r);
	rig_close(&r);
}

/*
 * One stream alone: who does not understand it has to say so to who sent it. Breaks when the end
 * of a connection is all that the sender gets to see.
 */
static void
test_one_foreign_stream(void **state)
{
	static const struct {
		uint32_t forward, back;
		int out_error, in_error;
		const char *out_why, *in_why;
	} cases[] = {
		{ 1u << 0, 0, -EREMOTEIO, -EPROTONOSUPPORT, "the destination gave up: what the ",
			"what the source sends is bad: stream header: " },
		{ 1u << 1, 0, -EREMOTEIO, -EPROTONOSUPPORT, "the destination gave up: what the ",
			"what the source sends is bad: stream header: " },
		{ 1u << 2, 0, -EREMOTEIO, -EPROTONOSUPPORT, "the destination gave up: what the ",
			"what the source sends is bad: stream header: " },
		{ 0, 1u << 0, -EPROTONOSUPPORT, -EREMOTEIO,
			"what the destination sends is bad: stream header: ",
			"the source gave up: what the " },
	};
	struct between b;
	struct rig r;
	unsigned int i;

	(void)state;
	for (i = 0; i < DIM(cases); i++) {
		b = (struct between){ .major = FOREIGN, .minor = 7, .forward = cases[i].forward,
			.back = cases[i].back };
		rig_open(&r, 2, F_ALL, 100000);
		migrate(&r, &b);
		print_message("%u: source: %s; destination: %s\n", i, r.out_report.why,
			r.in_report.why);
		assert_untouched(&r);
		assert_int_equal(r.out_report.error, cases[i].out_error);
		assert_int_equal(r.in_report.error, cases[i].in_error);
		assert_ptr_equal(strstr(r.out_report.why, cases[i].out_why), r.out_report.why);
		assert_ptr_equal(strstr(r.in_report.why, cases[i].in_why), r.in_report.why);
		assert_non_null(strstr(r.out_report.why, FOREIGN_TEXT));
		assert_non_null(strstr(r.in_report.why, FOREIGN_TEXT));
		assert_next_works(&r);
		rig_close(&r);
	}
}

/* A newer minor version is none; this also shows that who stands between changes nothing else. */
static void
test_newer_minor(void **state)
{
	struct between b = { .major = LM_STREAM_MAJOR, .minor = 99, .forward = ~0u, .back = ~0u };
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_ALL, 100000);
	rig_storm(&r, true);
	migrate(&r, &b);
	assert_int_equal(r.out_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(r.in_outcome, LM_OUTCOME_COMPLETED);
	assert_int_equal(rig_compare(&r), 0);
	assert_int_equal(mig_fake_twice, 0);
	rig_close(&r);
}

/* What the destination said, without its signs of life. */
struct said {
	struct lm_record_verdict verdict;
	struct lm_record_abort abort;
	bool has_verdict, has_abort, has_prepared;
};

static void
note(struct said *said, const struct lm_record *rec)
{
	switch (rec->type) {
	case LM_RECORD_VERDICT:
		memcpy(&said->verdict, rec->payload, sizeof(said->verdict));
		said->has_verdict = true;
		break;
	case LM_RECORD_ABORT:
		memcpy(&said->abort, rec->payload, sizeof(said->abort));
		said->has_abort = true;
		break;
	case LM_RECORD_PREPARED:
		said->has_prepared = true;
		break;
	default:
		assert_int_equal(rec->type, LM_RECORD_ALIVE);
	}
}

/* Until it gives up, or waits for more after PREPARED. */
static void
hear(int fd, struct said *said)
{
	struct lm_stream_parser *p;
	struct lm_record rec;
	size_t space;
	ssize_t n = 1;
	void *to;
	int ret;

	memset(said, 0, sizeof(*said));
	assert_int_equal(lm_stream_parser_create(&p), 0);
	while (n > 0 && !said->has_prepared && !said->has_abort) {
		to = lm_stream_space(p, &space);
		n = recv(fd, to, space, 0);
		ret = n > 0 ? lm_stream_advance(p, (size_t)n, &rec) : 0;
		assert_true(ret >= 0);
		if (ret == 1)
			note(said, &rec);
	}
	lm_stream_parser_destroy(p);
}

static void *
incoming_main(void *arg)
{
	struct rig *r = arg;

	r->in_outcome = lm_incoming_run(r->in);
	return NULL;
}

/* A whole incoming session whose source says these bytes on control, and then waits. */
static void
receive(struct rig *r, const void *bytes, size_t len_bytes, struct said *said)
{
	const struct lm_channel_conf conf = { 0 };
	int ours[2], theirs[2], pair[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	assert_int_equal(lm_channel_adopt(theirs, 2, &conf, &r->dst.channel), 0);
	r->in_conf.group = r->dst.group;
	r->in_conf.channel = r->dst.channel;
	assert_int_equal(lm_incoming_create(&r->in_conf, &r->in), 0);
	assert_int_equal(pthread_create(&r->in_thread, NULL, incoming_main, r), 0);
	assert_int_equal(send(ours[0], bytes, len_bytes, MSG_NOSIGNAL), len_bytes);
	hear(ours[0], said);
	for (i = 0; i < 2; i++)
		close(ours[i]);
	pthread_join(r->in_thread, NULL);
	lm_incoming_report(r->in, &r->in_report);
	lm_incoming_destroy(r->in);
	r->in = NULL;
	assert_int_equal(r->in_outcome, LM_OUTCOME_FAILED);
	assert_int_equal(mig_fake_twice, 0);
}

static size_t
golden(uint8_t *to, size_t max)
{
	FILE *f = fopen(LM_GOLDEN_DIR "/stream-1.0.bin", "rb");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, max, f);
	fclose(f);
	assert_true(n > sizeof(struct lm_stream_hdr) && n < max);
	return n;
}

/* What a release has stored, and the same as if a later one had. */
static void
test_golden(void **state)
{
	static uint8_t bytes[65536];
	struct lm_stream_hdr *hdr = (struct lm_stream_hdr *)bytes;
	struct said said;
	struct rig r;
	size_t len;

	(void)state;
	rig_open(&r, 2, F_ALL, 100000);
	len = golden(bytes, sizeof(bytes));
	/* It is read: what is wrong is that its connections greet, and these here have met. */
	receive(&r, bytes, len, &said);
	assert_int_equal(r.in_report.error, -EPROTO);
	assert_true(said.has_abort);
	assert_string_equal(said.abort.text, "the source does not keep to the order");
	hdr->major = FOREIGN;
	hdr->minor = 7;
	receive(&r, bytes, len, &said);
	assert_int_equal(r.in_report.error, -EPROTONOSUPPORT);
	assert_true(said.has_abort && !said.has_verdict && !said.has_prepared);
	assert_int_equal(said.abort.error, EPROTONOSUPPORT);
	assert_string_equal(said.abort.text,
		"what the source sends is bad: stream header: " FOREIGN_TEXT);
	assert_int_equal(r.dst.fakes[0].arcs, 0);
	assert_next_works(&r);
	rig_close(&r);
}

/* A compatibility record of the source's own, with one item more. */
static size_t
compat_and(const struct rig *r, const struct item *item, struct sample *s)
{
	struct lm_stream_hdr hdr;
	struct lm_compat *compat;
	void *payload;
	int len;

	memset(s, 0, sizeof(*s));
	assert_int_equal(lm_compat_create(r->src.group, r->src.ram, &compat), 0);
	len = lm_compat_encode(compat, &payload);
	assert_true(len > 0);
	lm_stream_begin(&hdr);
	sample_put(s, &hdr, sizeof(hdr));
	sample_record(s, LM_RECORD_COMPAT, payload, (size_t)len, item, sizeof(*item));
	free(payload);
	lm_compat_destroy(compat);
	return s->len_bytes;
}

/* A later release asks for something to fit of which this one has not heard. */
static void
test_foreign_compat(void **state)
{
	static struct sample s;
	struct item item = { .type = 0x77, .len_bytes = sizeof(item.body) };
	struct said said;
	struct rig r;

	(void)state;
	rig_open(&r, 2, F_ALL, 100000);
	item.type = 0x77 | LM_RECORD_F_MANDATORY;
	receive(&r, s.bytes, compat_and(&r, &item, &s), &said);
	assert_int_equal(r.in_report.error, -ENOTSUP);
	assert_true(said.has_verdict && said.has_abort && !said.has_prepared);
	assert_int_equal(said.verdict.error, ENOTSUP);
	assert_string_equal(said.verdict.text,
		"the source's compatibility record: has an item that is not known here");
	assert_int_equal(r.dst.fakes[0].arcs, 0);
	/* Not mandatory, it is let by, and the destination prepares. */
	item.type = 0x77;
	receive(&r, s.bytes, compat_and(&r, &item, &s), &said);
	assert_true(said.has_verdict && said.has_prepared);
	assert_int_equal(said.verdict.error, 0);
	assert_int_not_equal(r.dst.fakes[0].arcs, 0);
	assert_next_works(&r);
	rig_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreign_peers),
		cmocka_unit_test(test_one_foreign_stream),
		cmocka_unit_test(test_newer_minor),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_foreign_compat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
