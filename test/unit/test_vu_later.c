/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Commands that finish later, and the server's strict mode, as bytes. Catches an answer before its
 * time, commands that overtake, a client's end that goes unseen while its command waits, and
 * anything that libvfio-user refuses and strict mode does not.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vu_device.h"
#include "vu_raw.h"

#define FEATURE 16
#define STOP "10000000 02000200 01000000 ffffffff"      /* SET MIG_DEVICE_STATE */
#define STOP_COPY "10000000 02000200 03000000 ffffffff"
#define RUNNING "10000000 02000200 02000000 ffffffff"
#define GET_STATE "10000000 02000100"
#define READ_BAR0 "0000000000000000 00000000 04000000"
#define MAP "20000000 03000000 0000000000000000 0000010000000000 0000010000000000"
#define START "28000000 06000200 0010000000000000 01000000 00000000" \
	"0000010000000000 0000010000000000"
#define STOP_LOG "08000000 07000200"
/* of the mapping, of a part of it, with larger pages */
#define REPORT "28000000 08000100 0000010000000000 0000010000000000 0010000000000000"
#define REPORT_PART "28000000 08000100 0000010000000000 0080000000000000 0010000000000000"
#define REPORT_2M "28000000 08000100 0000010000000000 0000010000000000 0020000000000000"
#define READ_16 "18000000 10000000"
#define DATA_SIZE "10000000 09000100"

struct world {
	struct vu_device dev;
	int sock;
	int mem_fd;
	uint16_t id;
	uint32_t calls;
	uint32_t late_calls; /* of which so many are not done yet */
	uint32_t log_ranges;
};

static int (*device_state_set)(void *ctx, uint32_t state);
static int (*device_log_start)(void *ctx, const struct lm_vu_range *ranges, uint32_t nb,
		uint64_t *page_size_bytes);
static struct world *the;

static int
late_state_set(void *ctx, uint32_t state)
{
	the->calls++;
	if (the->late_calls > 0) {
		the->late_calls--;
		return -EINPROGRESS;
	}
	return device_state_set(ctx, state);
}

static int
seen_log_start(void *ctx, const struct lm_vu_range *ranges, uint32_t nb, uint64_t *page_size_bytes)
{
	the->log_ranges = nb;
	return device_log_start(ctx, ranges, nb, page_size_bytes);
}

static void
process(struct world *w)
{
	int i;

	for (i = 0; i < 3; i++)
		assert_true(lm_vu_server_process(w->dev.server) >= 0);
}

static void
post(struct world *w, uint16_t command, const char *payload, int fd)
{
	uint8_t msg[VU_RAW_MAX];
	uint32_t len = vu_raw_msg(msg, ++w->id, command, 0, 0, payload);

	vu_raw_send(w->sock, msg, len, &fd, fd >= 0 ? 1 : 0);
	process(w);
}

/* The error of the next reply, which must be to this command; -EAGAIN: there is none. */
static int
take(struct world *w, uint16_t id, uint8_t *reply, int *len)
{
	uint32_t error, nb_fds;
	int fds[64];

	*len = vu_raw_recv(w->sock, reply, VU_RAW_MAX, fds, &nb_fds);
	if (*len < 0)
		return *len;
	assert_true(*len >= 16);
	assert_int_equal(reply[0] | reply[1] << 8, id);
	memcpy(&error, reply + 12, 4);
	return (int)error;
}

static int
ask(struct world *w, uint16_t command, const char *payload, int fd)
{
	uint8_t reply[VU_RAW_MAX];
	int len;

	post(w, command, payload, fd);
	return take(w, w->id, reply, &len);
}

static int
world_start(void **state, bool strict)
{
	struct world *w = calloc(1, sizeof(*w));
	uint8_t buf[VU_RAW_MAX];
	uint32_t nb_fds, len;
	int fds[64];

	vu_device_init(&w->dev);
	the = w;
	device_state_set = w->dev.ops.mig_state_set;
	device_log_start = w->dev.ops.log_start;
	w->dev.ops.mig_state_set = late_state_set;
	w->dev.ops.log_start = seen_log_start;
	w->dev.conf.strict = strict;
	assert_int_equal(vu_device_start(&w->dev, false), 0);
	w->mem_fd = memfd_create("mem", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->mem_fd, 0x10000), 0);
	w->sock = vu_raw_connect(w->dev.path);
	len = vu_raw_version(buf, 0, 0, 0, 1, "{\"capabilities\":{\"max_msg_fds\":8}}");
	vu_raw_send(w->sock, buf, len, NULL, 0);
	process(w);
	assert_true(vu_raw_recv(w->sock, buf, sizeof(buf), fds, &nb_fds) > 16);
	*state = w;
	return 0;
}

static int
lenient(void **state)
{
	return world_start(state, false);
}

static int
strict(void **state)
{
	return world_start(state, true);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (w->sock >= 0)
		close(w->sock);
	process(w);
	vu_device_stop(&w->dev);
	close(w->mem_fd);
	free(w);
	return 0;
}

static void
answer_comes_when_it_is_done(void **state)
{
	struct world *w = *state;
	uint8_t reply[VU_RAW_MAX];
	int len;

	w->late_calls = 2;
	post(w, FEATURE, STOP, -1);
	post(w, FEATURE, GET_STATE, -1);
	assert_int_equal(take(w, 1, reply, &len), -EAGAIN);
	assert_int_equal(w->calls, 1);

	/* Not done at the first resume either; the second command stays behind it. */
	lm_vu_server_resume(w->dev.server);
	process(w);
	assert_int_equal(w->calls, 2);
	assert_int_equal(take(w, 1, reply, &len), -EAGAIN);
	lm_vu_server_resume(w->dev.server);
	process(w);
	assert_int_equal(w->calls, 3);
	assert_int_equal(take(w, 1, reply, &len), 0);
	assert_int_equal(reply[24], 1);
	assert_int_equal(take(w, 2, reply, &len), 0);
	assert_int_equal(reply[24], 1);

	lm_vu_server_resume(w->dev.server); /* nothing waits: nothing happens */
	assert_int_equal(ask(w, FEATURE, RUNNING, -1), 0);
}

static void
client_leaves_meanwhile(void **state)
{
	struct world *w = *state;
	uint32_t gone = w->dev.disconnects;

	w->late_calls = 1;
	post(w, FEATURE, STOP, -1);
	close(w->sock);
	w->sock = -1;
	process(w);
	assert_int_equal(w->dev.disconnects, gone + 1);
	assert_int_equal(w->calls, 1);
	lm_vu_server_resume(w->dev.server);
	process(w);
	assert_int_equal(w->calls, 1);
}

static void
stopped_device_refuses(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, 2, MAP, w->mem_fd), 0);
	assert_int_equal(ask(w, FEATURE, STOP, -1), 0);
	assert_int_equal(ask(w, 9, READ_BAR0, -1), 0);
	assert_int_equal(ask(w, 3, "18000000 00000000 0000010000000000 0000010000000000", -1),
			EINVAL);
	assert_int_equal(ask(w, 2, MAP, w->mem_fd), EINVAL);
	assert_int_equal(ask(w, 4, "10000000 00000000 00000000 00000000", -1), EINVAL);
	assert_int_equal(ask(w, 13, "", -1), EINVAL);
	assert_int_equal(ask(w, FEATURE, STOP_COPY, -1), 0);
	assert_int_equal(ask(w, 9, READ_BAR0, -1), EINVAL);
	assert_int_equal(ask(w, 13, "", -1), EINVAL);
	assert_int_equal(ask(w, FEATURE, RUNNING, -1), 0);
	assert_int_equal(ask(w, 13, "", -1), 0);
	assert_int_equal(w->dev.resets, 1);
}

static void
feature_that_is_unknown(void **state)
{
	struct world *w = *state;
	int want = w->dev.conf.strict ? EINVAL : ENOTTY;

	assert_int_equal(ask(w, FEATURE, "10000000 0c000100", -1), want);
	assert_int_equal(ask(w, FEATURE, "10000000 0c000500", -1), want);
}

static void
report_of_one_mapping_only(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, 2, MAP, w->mem_fd), 0);
	assert_int_equal(ask(w, FEATURE, START, -1), 0);
	assert_int_equal(w->log_ranges, 0);
	assert_int_equal(ask(w, FEATURE, REPORT, -1), 0);
	assert_int_equal(ask(w, FEATURE, REPORT_PART, -1), EINVAL);
	assert_int_equal(ask(w, FEATURE, REPORT_2M, -1), EINVAL);
	assert_int_equal(ask(w, FEATURE, STOP_LOG, -1), 0);
}

static void
read_is_padded(void **state)
{
	struct world *w = *state;
	uint8_t reply[VU_RAW_MAX];
	int i, len;

	assert_int_equal(ask(w, FEATURE, STOP_COPY, -1), 0);
	w->dev.blob_at = VU_STATE_BYTES - 3;
	post(w, 17, READ_16, -1);
	assert_int_equal(take(w, w->id, reply, &len), 0);
	assert_int_equal(len, 16 + 8 + 16);
	assert_int_equal(reply[16], 8 + 3);
	assert_int_equal(reply[20], 3);
	for (i = 3; i < 16; i++)
		assert_int_equal(reply[24 + i], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answer_comes_when_it_is_done, lenient, teardown),
		cmocka_unit_test_setup_teardown(client_leaves_meanwhile, lenient, teardown),
		cmocka_unit_test_setup_teardown(feature_that_is_unknown, lenient, teardown),
		cmocka_unit_test_setup_teardown(feature_that_is_unknown, strict, teardown),
		cmocka_unit_test_setup_teardown(stopped_device_refuses, strict, teardown),
		cmocka_unit_test_setup_teardown(report_of_one_mapping_only, strict, teardown),
		cmocka_unit_test_setup_teardown(read_is_padded, strict, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
