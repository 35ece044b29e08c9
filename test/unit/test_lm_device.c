/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Registry of devices through DPDK's own telemetry socket: what a tool would see, and that a
 * device is not unregistered under a handler.
 */

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include <rte_common.h>
#include <rte_eal.h>

#include "lm_device.h"
#include "lm_timeline.h"

#define REPLY_BYTES 16384 /* DPDK's limit */

static char tmp_dir[] = "/tmp/test_lm_device.XXXXXX";
static int client = -1;

static int
connect_telemetry(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char hello[1024];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2",
			rte_eal_get_runtime_dir());
	client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (client < 0 || connect(client, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return -1;
	return recv(client, hello, sizeof(hello), 0) > 0 ? 0 : -1;
}

static int
setup(void **state)
{
	char *const args[] = { (char []){ "test_lm_device" }, (char []){ "--no-huge" },
		(char []){ "-m" }, (char []){ "64" }, (char []){ "--no-pci" },
		(char []){ "--no-shconf" }, (char []){ "--log-level=lib.eal:error" } };
	char *argv[RTE_DIM(args) + 1];

	(void)state;
	memcpy(argv, args, sizeof(args));
	argv[RTE_DIM(args)] = NULL;
	if (mkdtemp(tmp_dir) == NULL || setenv("RUNTIME_DIRECTORY", tmp_dir, 1) != 0)
		return -1;
	if (rte_eal_init(RTE_DIM(args), argv) < 0)
		return -1;
	return connect_telemetry();
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	RTE_SET_USED(st);
	RTE_SET_USED(type);
	RTE_SET_USED(ftw);
	return remove(path);
}

static int
teardown(void **state)
{
	(void)state;
	close(client);
	rte_eal_cleanup();
	return nftw(tmp_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* The value of the reply's only member, which is named as the command. */
static json_t *
ask(const char *request)
{
	static char reply[2 * REPLY_BYTES];
	char cmd[64];
	json_t *root, *value;
	ssize_t n;

	assert_true(send(client, request, strlen(request), 0) > 0);
	n = recv(client, reply, sizeof(reply) - 1, 0);
	assert_in_range(n, 1, REPLY_BYTES - 1);
	reply[n] = '\0';
	root = json_loads(reply, 0, NULL);
	if (root == NULL)
		fail_msg("%s: not JSON: %s", request, reply);
	snprintf(cmd, sizeof(cmd), "%.*s", (int)strcspn(request, ","), request);
	value = json_incref(json_object_get(root, cmd));
	json_decref(root);
	assert_non_null(value);
	return value;
}

static void
assert_error(const char *request, const char *part)
{
	json_t *value = ask(request);
	const char *text = json_string_value(json_object_get(value, "error"));

	assert_non_null(text);
	if (strstr(text, part) == NULL)
		fail_msg("%s: %s", request, text);
	json_decref(value);
}

static unsigned int
some_stats(void *ctx, struct lm_figure *out, unsigned int max)
{
	assert_true(max >= 2);
	snprintf(out[0].name, sizeof(out[0].name), "lm_dirty_pages");
	out[0].value = *(uint64_t *)ctx;
	/* Telemetry refuses such names: the figure must not vanish. */
	snprintf(out[1].name, sizeof(out[1].name), "rx-q0:bytes");
	out[1].value = INT64_MAX; /* what the JSON library can read */
	return 2;
}

static unsigned int
many_stats(void *ctx, struct lm_figure *out, unsigned int max)
{
	unsigned int i;

	RTE_SET_USED(ctx);
	for (i = 0; i < max; i++) {
		snprintf(out[i].name, sizeof(out[i].name),
				"name_as_long_as_allowed_0123_%010u", i);
		out[i].value = INT64_MAX - i;
	}
	return max;
}

static unsigned int
some_info(void *ctx, struct lm_text *out, unsigned int max)
{
	RTE_SET_USED(ctx);
	assert_true(max >= 2);
	snprintf(out[0].name, sizeof(out[0].name), "mode");
	snprintf(out[0].value, sizeof(out[0].value), "relay");
	snprintf(out[1].name, sizeof(out[1].name), "socket");
	snprintf(out[1].value, sizeof(out[1].value), "a\"b\\c\n");
	return 2;
}

static unsigned int
many_texts(void *ctx, struct lm_text *out, unsigned int max)
{
	unsigned int i;

	RTE_SET_USED(ctx);
	for (i = 0; i < max; i++) {
		snprintf(out[i].name, sizeof(out[i].name), "name_%u", i);
		memset(out[i].value, '"', sizeof(out[i].value));
	}
	return max;
}

static void
test_list_and_names(void **state)
{
	static const struct lm_device_view view;
	struct lm_device *a, *b, *c = NULL;
	json_t *list;

	(void)state;
	list = ask("/lm/list");
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	assert_int_equal(lm_device_register("vdpa_virtio_pci0", &view, &a), 0);
	assert_int_equal(lm_device_register("0000:00:04.0", &view, &b), 0);
	assert_int_equal(lm_device_register("0000:00:04.0", &view, &c), -EEXIST);
	assert_int_equal(lm_device_register("", &view, &c), -EINVAL);
	assert_int_equal(lm_device_register("a,b", &view, &c), -EINVAL);
	assert_null(c);
	list = ask("/lm/list");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 0)), "vdpa_virtio_pci0");
	assert_string_equal(json_string_value(json_array_get(list, 1)), "0000:00:04.0");
	json_decref(list);
	lm_device_unregister(a);
	assert_error("/lm/info,vdpa_virtio_pci0", "no device vdpa_virtio_pci0");
	assert_int_equal(lm_device_register("vdpa_virtio_pci0", &view, &a), 0);
	lm_device_unregister(a);
	lm_device_unregister(b);
	lm_device_unregister(NULL);
}

static void
test_views(void **state)
{
	uint64_t pages = 42;
	const struct lm_device_view view = { .stats = some_stats, .info = some_info,
		.caps = some_info, .ctx = &pages };
	struct lm_device *dev;
	json_t *d;

	(void)state;
	assert_int_equal(lm_device_register("dev0", &view, &dev), 0);
	d = ask("/lm/stats,dev0");
	assert_int_equal(json_integer_value(json_object_get(d, "lm_dirty_pages")), 42);
	assert_int_equal(json_integer_value(json_object_get(d, "rx_q0_bytes")), INT64_MAX);
	json_decref(d);
	d = ask("/lm/info,dev0");
	assert_string_equal(json_string_value(json_object_get(d, "mode")), "relay");
	assert_string_equal(json_string_value(json_object_get(d, "socket")), "a.b.c.");
	json_decref(d);
	d = ask("/lm/caps,dev0");
	assert_string_equal(json_string_value(json_object_get(d, "mode")), "relay");
	json_decref(d);
	lm_device_unregister(dev);
}

/* A reply beyond 16 KiB is cut by DPDK in silence: ours stays below and says what it left out. */
static void
test_replies_fit(void **state)
{
	const struct lm_device_view view = { .stats = many_stats, .info = many_texts };
	static const char *const requests[] = { "/lm/stats,big", "/lm/info,big" };
	struct lm_device *dev;
	unsigned int i;
	json_t *d;

	(void)state;
	assert_int_equal(lm_device_register("big", &view, &dev), 0);
	for (i = 0; i < RTE_DIM(requests); i++) {
		d = ask(requests[i]);
		assert_int_equal(json_object_size(d) - 1 +
				json_integer_value(json_object_get(d, "left_out")), 250);
		assert_true(json_object_size(d) > 100);
		json_decref(d);
	}
	d = ask("/lm/caps,big");
	assert_int_equal(json_object_size(d), 0);
	json_decref(d);
	lm_device_unregister(dev);
}

static void
test_errors(void **state)
{
	(void)state;
	assert_error("/lm/info", "which device");
	assert_error("/lm/stats,nobody", "no device nobody");
	assert_error("/lm/caps,nobody", "no device nobody");
	assert_error("/lm/timeline", "which device");
	assert_error("/lm/timeline,nobody,3", "no device nobody");
	assert_error("/lm/timeline,nobody,x", "not a sequence number: x");
	assert_error("/lm/timeline,nobody,-1", "not a sequence number: -1");
	assert_error("/lm/timeline,nobody,", "not a sequence number");
	assert_error("/lm/timeline,nobody,99999999999999999999", "not a sequence number");
}

static void
check_event(const char *text, uint64_t seq)
{
	uint64_t got_seq, t_ns, bytes;
	char phase[32], event[64];
	int error;

	assert_int_equal(sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %d %31s %63[^\n]",
			&got_seq, &t_ns, &bytes, &error, phase, event), 6);
	assert_int_equal(got_seq, seq);
	assert_true(t_ns != 0);
	assert_int_equal(bytes, UINT64_MAX - seq);
	assert_int_equal(error, -110);
	assert_string_equal(phase, "a_phase_of_nineteen");
	assert_string_equal(event, "an event of 27 bytes and no");
}

static void
test_timeline_pages(void **state)
{
	struct lm_device_view view = { 0 };
	struct lm_timeline *tl;
	struct lm_device *dev;
	char request[64];
	uint64_t seq, next = 1300, pages = 0;
	size_t i;

	(void)state;
	assert_int_equal(lm_timeline_create("dev0", &tl), 0);
	for (seq = 0; seq < next; seq++)
		lm_timeline_add(tl, "a phase of nineteen", "an event of 27 bytes and no more",
				UINT64_MAX - seq, -110);
	view.timeline = tl;
	assert_int_equal(lm_device_register("dev0", &view, &dev), 0);
	for (seq = next - LM_TIMELINE_EVENTS; seq < next; pages++) {
		json_t *d, *events;

		snprintf(request, sizeof(request), "/lm/timeline,dev0,%" PRIu64, pages ? seq : 0);
		d = ask(request);
		assert_int_equal(json_integer_value(json_object_get(d, "oldest")),
				next - LM_TIMELINE_EVENTS);
		assert_int_equal(json_integer_value(json_object_get(d, "next")), next);
		events = json_object_get(d, "events");
		assert_true(json_array_size(events) > 0);
		for (i = 0; i < json_array_size(events); i++)
			check_event(json_string_value(json_array_get(events, i)), seq++);
		json_decref(d);
	}
	assert_int_equal(seq, next);
	assert_in_range(pages, 2, 20);
	lm_device_unregister(dev);
	lm_timeline_destroy(tl);
}

struct slow_view {
	sem_t entered;
	sem_t leave;
	_Atomic bool left;
	struct lm_device *dev;
	_Atomic bool left_before_unregister;
	_Atomic bool unregistered;
};

static unsigned int
slow_stats(void *ctx, struct lm_figure *out, unsigned int max)
{
	struct slow_view *slow = ctx;

	RTE_SET_USED(out);
	RTE_SET_USED(max);
	sem_post(&slow->entered);
	while (sem_wait(&slow->leave) != 0)
		;
	atomic_store(&slow->left, true);
	return 0;
}

static void *
unregister(void *arg)
{
	struct slow_view *slow = arg;

	lm_device_unregister(slow->dev);
	atomic_store(&slow->left_before_unregister, atomic_load(&slow->left));
	atomic_store(&slow->unregistered, true);
	return NULL;
}

static bool
is_listed(const char *name)
{
	json_t *list = ask("/lm/list"), *entry;
	bool found = false;
	size_t i;

	json_array_foreach(list, i, entry)
		found |= strcmp(json_string_value(entry), name) == 0;
	json_decref(list);
	return found;
}

static void
test_unregister_waits(void **state)
{
	static struct slow_view slow;
	const struct lm_device_view view = { .stats = slow_stats, .ctx = &slow };
	int first = client;
	unsigned int asked;
	pthread_t thread;
	char reply[256];

	(void)state;
	assert_int_equal(sem_init(&slow.entered, 0, 0), 0);
	assert_int_equal(sem_init(&slow.leave, 0, 0), 0);
	assert_int_equal(lm_device_register("slow", &view, &slow.dev), 0);
	assert_true(send(first, "/lm/stats,slow", 14, 0) > 0);
	while (sem_wait(&slow.entered) != 0)
		;
	/* Another client is still served. */
	assert_int_equal(connect_telemetry(), 0);
	assert_int_equal(pthread_create(&thread, NULL, unregister, &slow), 0);
	for (asked = 0; is_listed("slow"); asked++)
		assert_true(asked < 1000000);
	assert_error("/lm/stats,slow", "no device slow");
	assert_false(slow.unregistered);
	sem_post(&slow.leave);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(slow.left_before_unregister);
	assert_true(recv(first, reply, sizeof(reply), 0) > 0);
	close(first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_and_names),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_replies_fit),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_timeline_pages),
		cmocka_unit_test(test_unregister_waits),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, setup, teardown);
}
