/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Wires, the link ones against plain sockets of this test: a frame that vanishes without a
 * count, a peer's death that blocks or goes unnoticed, a last batch lost with its sender.
 */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "dm_wire.h"

#define DEADLINE_MS 5000

struct place {
	char dir[64];
	char path[80];
	char spec[96];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/dm_wire.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	unlink(p->path);
	rmdir(p->dir);
	free(p);
	return 0;
}

static struct sockaddr_un
address(const struct place *p)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memcpy(a.sun_path, p->path, strlen(p->path) + 1);
	return a;
}

static int
plain_listen(const struct place *p)
{
	struct sockaddr_un a = address(p);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int
plain_connect(const struct place *p)
{
	struct sockaddr_un a = address(p);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static struct dm_wire *
wire_open(struct place *p, const char *kind)
{
	struct dm_wire *w;

	snprintf(p->spec, sizeof(p->spec), "%s:%s", kind, p->path);
	assert_int_equal(dm_wire_open(p->spec, &w), 0);
	return w;
}

static int
send_bytes(struct dm_wire *w, const void *data, size_t len)
{
	const struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len / 2 },
		{ .iov_base = (uint8_t *)(uintptr_t)data + len / 2, .iov_len = len - len / 2 },
	};

	return dm_wire_send(w, iov, 2);
}

static void
wait_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
}

static void
expect_frame(struct dm_wire *w, const void *data, uint32_t len)
{
	const uint8_t *frame;

	if (dm_wire_peek(w, &frame) == 0)
		wait_readable(dm_wire_fd(w));
	assert_int_equal(dm_wire_peek(w, &frame), len);
	assert_memory_equal(frame, data, len);
	assert_int_equal(dm_wire_peek(w, &frame), len); /* looking does not take */
	dm_wire_pop(w);
}

static void
expect_none(struct dm_wire *w)
{
	const uint8_t *frame;

	assert_int_equal(dm_wire_peek(w, &frame), 0);
	dm_wire_pop(w); /* nothing to take: no effect */
}

static struct dm_wire_stats
stats_of(const struct dm_wire *w)
{
	struct dm_wire_stats s;

	dm_wire_stats_get(w, &s);
	return s;
}

static void
test_specs(void **state)
{
	static const char *const bad[] = {
		"", "nul", "nullx", "null:", "null:x", "loop:1", "link", "link:", "link,x",
		"listen", "listen:", "nonesuch:x",
	};
	char longer[200];
	struct dm_wire *w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dm_wire_open(bad[i], &w), -EINVAL);
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "link:", 5);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(dm_wire_open(longer, &w), -ENAMETOOLONG);
	dm_wire_close(NULL);
}

static void
test_null(void **state)
{
	struct dm_wire *w;

	(void)state;
	assert_int_equal(dm_wire_open("null", &w), 0);
	assert_true(dm_wire_link_up(w));
	assert_int_equal(send_bytes(w, "frame", 5), 0);
	expect_none(w);
	assert_int_equal(stats_of(w).tx_frames, 1);
	assert_int_equal(stats_of(w).tx_bytes, 5);
	dm_wire_close(w);
}

/* Frames come back whole and in order while the ring wraps at ever other places; full is told. */
static void
test_loop(void **state)
{
	static uint8_t out[DM_FRAME_MAX];
	uint64_t in = 0, back = 0, full = 0;
	const uint8_t *frame;
	struct dm_wire *w;
	uint32_t len;
	int round;

	(void)state;
	assert_int_equal(dm_wire_open("loop", &w), 0);
	for (round = 0; round < 3000; round++) {
		int take = round % 100 < 80 ? 3 : 400;

		while (take-- % 4 != 0) {
			len = 16 + (uint32_t)(in * 7919 % (DM_FRAME_MAX - 15));
			memset(out, (int)(in & 0xff), len);
			memcpy(out, &in, sizeof(in));
			if (send_bytes(w, out, len) == 0)
				in++;
			else
				full++;
		}
		for (; take > 0 || (round % 100 == 99 && back < in); take--) {
			uint64_t seq;

			len = dm_wire_peek(w, &frame);
			if (len == 0)
				break;
			memcpy(&seq, frame, sizeof(seq));
			assert_int_equal(seq, back);
			assert_int_equal(len, 16 + (uint32_t)(back * 7919 % (DM_FRAME_MAX - 15)));
			assert_int_equal(frame[len - 1], back & 0xff);
			dm_wire_pop(w);
			back++;
		}
	}
	assert_int_equal(in, back);
	assert_true(full > 0);
	assert_int_equal(stats_of(w).tx_frames, in);
	assert_int_equal(stats_of(w).rx_frames, back);
	assert_int_equal(stats_of(w).tx_dropped_full, full);
	dm_wire_close(w);
}

/* A record that ends with the ring, and one that needs a word more than there is. */
static void
test_loop_edges(void **state)
{
	enum { RECORD = 65536, FRAME = RECORD - 4 };
	static uint8_t out[FRAME + 4];
	const uint8_t *frame;
	struct dm_wire *w;
	int i, sent = 0;

	(void)state;
	assert_int_equal(dm_wire_open("loop", &w), 0);
	for (; out[0] = (uint8_t)sent, send_bytes(w, out, FRAME) == 0; sent++)
		;
	assert_int_equal(sent, 63); /* of 64, for the wrap's mark */
	assert_int_equal(dm_wire_peek(w, &frame), FRAME);
	dm_wire_pop(w);
	assert_int_equal(send_bytes(w, out, FRAME + 1), -EAGAIN);
	assert_int_equal(send_bytes(w, out, FRAME), 0);
	assert_int_equal(send_bytes(w, out, 1), -EAGAIN);
	for (i = 1; i <= sent; i++) {
		assert_int_equal(dm_wire_peek(w, &frame), FRAME);
		assert_int_equal(frame[0], i);
		dm_wire_pop(w);
	}
	expect_none(w);
	dm_wire_close(w);
}

static void
test_oversize(void **state)
{
	static uint8_t big[DM_FRAME_MAX + 1];
	struct place *p = *state;
	struct dm_wire *w;
	int fd, srv = plain_listen(p), size = 1 << 20;

	w = wire_open(p, "link");
	fd = accept(srv, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(send_bytes(w, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(dm_wire_send(w, NULL, 0), -EMSGSIZE); /* empty would read as an end */
	assert_int_equal(stats_of(w).tx_dropped_size, 2);
	assert_int_equal(send_bytes(w, big, DM_FRAME_MAX), 0);
	assert_int_equal(recv(fd, big, sizeof(big), 0), DM_FRAME_MAX);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
	assert_int_equal(send(fd, "next", 4, 0), 4);
	expect_frame(w, "next", 4);
	assert_int_equal(stats_of(w).rx_dropped_size, 1);
	assert_int_equal(stats_of(w).rx_frames, 1);
	close(fd);
	close(srv);
	dm_wire_close(w);
}

/* A peer that does not read: sending never blocks, and each frame is either there or counted. */
static void
test_full(void **state)
{
	struct place *p = *state;
	uint8_t frame[1500] = { 1 }, got[2000];
	uint64_t i, sent = 0, full = 0;
	struct dm_wire *w;
	int fd, srv = plain_listen(p);

	w = wire_open(p, "link");
	fd = accept(srv, NULL, NULL);
	assert_true(fd >= 0);
	for (i = 0; i < 40000; i++) {
		int ret = send_bytes(w, frame, sizeof(frame));

		assert_true(ret == 0 || ret == -EAGAIN);
		ret == 0 ? sent++ : full++;
	}
	assert_true(full > 0);
	assert_true(dm_wire_link_up(w));
	assert_int_equal(stats_of(w).tx_frames, sent);
	assert_int_equal(stats_of(w).tx_dropped_full, full);
	for (i = 0; recv(fd, got, sizeof(got), MSG_DONTWAIT) == sizeof(frame); i++)
		;
	assert_int_equal(i, sent);
	assert_int_equal(send_bytes(w, frame, sizeof(frame)), 0);
	close(fd);
	close(srv);
	dm_wire_close(w);
}

/* The peer dies with frames unread on both sides: its last frames are still taken. */
static void
test_peer_killed(void **state)
{
	struct place *p = *state;
	struct dm_wire *w;
	uint64_t now = 1;
	int fd, srv = plain_listen(p);

	w = wire_open(p, "link");
	fd = accept(srv, NULL, NULL);
	assert_true(fd >= 0);
	assert_true(dm_wire_link_up(w));
	assert_int_equal(send(fd, "one", 3, 0), 3);
	assert_int_equal(send(fd, "four", 4, 0), 4);
	assert_int_equal(send_bytes(w, "unread", 6), 0); /* makes its end a reset */
	close(fd);

	assert_int_equal(send_bytes(w, "xx", 2), -ENOLINK);
	assert_false(dm_wire_link_up(w));
	expect_frame(w, "one", 3);
	expect_frame(w, "four", 4);
	expect_none(w);
	assert_int_equal(send_bytes(w, "xx", 2), -ENOLINK);
	assert_int_equal(stats_of(w).tx_dropped_down, 2);

	dm_wire_tick(w, now);
	assert_true(dm_wire_link_up(w));
	fd = accept(srv, NULL, NULL);
	assert_int_equal(send(fd, "again", 5, 0), 5);
	expect_frame(w, "again", 5);
	close(fd);
	close(srv);
	expect_none(w);
	assert_false(dm_wire_link_up(w));
	dm_wire_tick(w, now += 1000000000); /* refused: stays down, does not block */
	assert_false(dm_wire_link_up(w));
	dm_wire_close(w);
}

/* The same, seen by reading: the reset is told ahead of the frames and must not hide them. */
static void
test_peer_reset(void **state)
{
	struct place *p = *state;
	int fd, srv = plain_listen(p);
	struct dm_wire *w;

	w = wire_open(p, "link");
	fd = accept(srv, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(send_bytes(w, "unread", 6), 0);
	assert_int_equal(send(fd, "last", 4, 0), 4);
	close(fd);
	expect_frame(w, "last", 4);
	expect_none(w);
	assert_false(dm_wire_link_up(w));
	close(srv);
	dm_wire_close(w);
}

static void
test_link_before_listener(void **state)
{
	struct place *p = *state;
	struct dm_wire *w = wire_open(p, "link");
	uint64_t now = 0;
	int srv;

	assert_false(dm_wire_link_up(w));
	assert_int_equal(send_bytes(w, "x", 1), -ENOLINK);
	dm_wire_tick(w, now += 1000000000);
	assert_false(dm_wire_link_up(w));
	srv = plain_listen(p);
	dm_wire_tick(w, now); /* too early for another try */
	assert_false(dm_wire_link_up(w));
	dm_wire_tick(w, now += 1000000000);
	assert_true(dm_wire_link_up(w));
	close(srv);
	dm_wire_close(w);
}

/* The second peer's frames wait until the first has gone. */
static void
test_listen(void **state)
{
	struct place *p = *state;
	struct dm_wire *w = wire_open(p, "listen"), *other;
	int a, b;

	assert_int_equal(dm_wire_open(p->spec, &other), -EADDRINUSE);
	a = plain_connect(p);
	b = plain_connect(p);
	wait_readable(dm_wire_fd(w));
	dm_wire_tick(w, 1); /* takes the connection that the check above made, */
	expect_none(w);     /* sees that it has gone, */
	dm_wire_tick(w, 2); /* and takes a */
	assert_true(dm_wire_link_up(w));
	assert_int_equal(send(b, "from b", 6, 0), 6);
	assert_int_equal(send(a, "from a", 6, 0), 6);
	expect_frame(w, "from a", 6);
	expect_none(w);
	close(a);
	expect_none(w);
	assert_false(dm_wire_link_up(w));
	dm_wire_tick(w, 3);
	expect_frame(w, "from b", 6);
	close(b);
	dm_wire_close(w);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void
test_listen_stale_path(void **state)
{
	struct place *p = *state;
	struct dm_wire *w;

	close(plain_listen(p)); /* leaves its path, as a killed process does */
	assert_int_equal(access(p->path, F_OK), 0);
	w = wire_open(p, "listen");
	close(plain_connect(p));
	dm_wire_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specs),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_loop_edges),
		cmocka_unit_test_setup_teardown(test_oversize, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_before_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listen_stale_path, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
