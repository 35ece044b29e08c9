/* SPDX-License-Identifier: BSD-3-Clause */

/* Channels over both kinds of sockets: who meets whom, what waits, what ends a wait. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_channel_pvt.h"
#include "lm_clock.h"

#define SOON_US 5000000u

static char dir[] = "/tmp/lm_channel.XXXXXX";

struct server {
	pthread_t thread;
	struct lm_listener *l;
	struct lm_channel_conf conf;
	struct lm_channel *ch;
	uint64_t wait_us;
	int ret;
};

static void *
server_main(void *arg)
{
	struct server *s = arg;

	s->ret = lm_channel_accept(s->l, &s->conf, s->wait_us, &s->ch);
	return NULL;
}

static void
server_start(struct server *s, const char *address)
{
	const char *why = "";

	memset(s, 0, sizeof(*s));
	s->wait_us = SOON_US;
	s->conf.deadline_us = SOON_US;
	assert_int_equal(lm_listener_create(address, &s->l, &why), 0);
	pthread_create(&s->thread, NULL, server_main, s);
}

static void
server_end(struct server *s)
{
	pthread_join(s->thread, NULL);
	lm_channel_destroy(s->ch);
	lm_listener_destroy(s->l);
}

static const char *
unix_name(void)
{
	static char name[128];
	static unsigned int nb;

	snprintf(name, sizeof(name), "unix:%s/s%u", dir, nb++);
	return name;
}

static void
pair(struct lm_channel **a, struct lm_channel **b, const struct lm_channel_conf *conf)
{
	int one[3], two[3], fds[2];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		one[i] = fds[0];
		two[i] = fds[1];
	}
	assert_int_equal(lm_channel_adopt(one, 3, conf, a), 0);
	assert_int_equal(lm_channel_adopt(two, 3, conf, b), 0);
}

static void
say(struct lm_channel *ch, unsigned int conn, uint64_t id)
{
	const struct lm_record_fence fence = { .id = id };
	const struct iovec iov = { (void *)(uintptr_t)&fence, sizeof(fence) };

	assert_int_equal(lm_channel_send(ch, conn, LM_RECORD_FENCE, &iov, 1), 0);
}

static void
hear(struct lm_channel *ch, unsigned int conn, uint64_t id)
{
	const struct lm_record_fence *fence;
	struct lm_record rec;

	assert_int_equal(lm_channel_recv(ch, conn, &rec, SOON_US), 0);
	assert_int_equal(rec.type, LM_RECORD_FENCE);
	fence = rec.payload;
	assert_int_equal(fence->id, id);
}

static void
meet_over(const char *address)
{
	const struct lm_channel_conf conf = { .nb_bulk = 3, .deadline_us = SOON_US };
	struct lm_channel *ch;
	struct server s;
	unsigned int i;

	server_start(&s, address);
	assert_int_equal(lm_channel_connect(lm_listener_address(s.l), &conf, &ch), 0);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.ret, 0);
	assert_int_equal(lm_channel_bulk(s.ch), 3);
	for (i = 0; i < 4; i++) {
		say(ch, i, i);
		say(s.ch, i, 100 + i);
	}
	for (i = 0; i < 4; i++) {
		hear(s.ch, i, i);
		hear(ch, i, 100 + i);
	}
	assert_int_equal(lm_channel_sent_bytes(ch), lm_channel_received_bytes(s.ch));
	lm_channel_destroy(ch);
	lm_channel_destroy(s.ch);
	lm_listener_destroy(s.l);
}

static void
test_meet(void **state)
{
	(void)state;
	meet_over(unix_name());
	meet_over("tcp:127.0.0.1:0");
	meet_over("tcp:[::1]:0");
}

static void
test_addresses(void **state)
{
	static const char *const bad[] = { "", "tcp:", "tcp:nowhere", "unix:", "x:1", "tcp:[::1]" };
	const struct lm_channel_conf conf = { .deadline_us = SOON_US };
	struct lm_listener *l, *m;
	struct lm_channel *ch;
	const char *why = "", *name = unix_name();
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(lm_listener_create(bad[i], &l, &why), -EINVAL);
		assert_string_equal(why, "an address is unix:PATH or tcp:HOST:PORT");
		assert_int_equal(lm_channel_connect(bad[i], &conf, &ch), -EINVAL);
	}
	assert_int_equal(lm_channel_connect(name, &conf, &ch), -ENOENT);
	assert_int_equal(lm_listener_create(name, &l, &why), 0);
	assert_int_equal(lm_listener_create(name, &m, &why), -EADDRINUSE);
	/* One that died leaves its socket; what is no socket stays. */
	close(l->fd);
	l->fd = -1;
	l->unix_path[0] = '\0';
	lm_listener_destroy(l);
	assert_int_equal(lm_listener_create(name, &l, &why), 0);
	lm_listener_destroy(l);
	assert_int_equal(access(name + 5, F_OK), -1);
	fd = open(name + 5, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(lm_listener_create(name, &l, &why), -EADDRINUSE);
	assert_int_equal(access(name + 5, F_OK), 0);
}

/* Strangers, half a session and another version do not keep the right one from coming in. */
static void
test_strangers(void **state)
{
	const struct lm_channel_conf conf = { .nb_bulk = 1, .deadline_us = SOON_US };
	struct lm_stream_hdr hdr;
	struct lm_record_hello hello = { .index = 1, .count = 2 };
	struct lm_channel *ch;
	struct lm_conn *half;
	const struct iovec iov = { &hello, sizeof(hello) };
	struct server s;
	char reply[16];
	int fd;

	(void)state;
	server_start(&s, unix_name());
	fd = lm_socket_connect(lm_listener_address(s.l), UINT64_MAX);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "GET / HTTP/1.1\r\n", 16), 16);
	fcntl(fd, F_SETFL, 0);
	assert_int_equal(read(fd, reply, sizeof(reply)), 0);
	close(fd);

	fd = lm_socket_connect(lm_listener_address(s.l), UINT64_MAX);
	lm_stream_begin(&hdr);
	hdr.major++;
	assert_int_equal(write(fd, &hdr, sizeof(hdr)), sizeof(hdr));
	fcntl(fd, F_SETFL, 0);
	assert_int_equal(read(fd, reply, sizeof(reply)), sizeof(reply));
	assert_memory_equal(reply, "LMMR", 4);
	close(fd);

	fd = lm_socket_connect(lm_listener_address(s.l), UINT64_MAX);
	assert_int_equal(lm_conn_create(fd, &half), 0);
	assert_int_equal(lm_conn_send_locked(half, LM_RECORD_HELLO, &iov, 1, UINT64_MAX, NULL), 0);

	assert_int_equal(lm_channel_connect(lm_listener_address(s.l), &conf, &ch), 0);
	lm_conn_destroy(half);
	lm_channel_destroy(ch);
	server_end(&s);
	assert_int_equal(s.ret, 0);
}

static void
test_accept_deadline(void **state)
{
	struct lm_channel_conf conf = { .deadline_us = 50000 };
	struct lm_channel *ch;
	struct lm_listener *l;
	struct lm_stream_hdr hdr;
	const char *why;
	int fd;

	(void)state;
	assert_int_equal(lm_listener_create(unix_name(), &l, &why), 0);
	assert_int_equal(lm_channel_accept(l, &conf, 50000, &ch), -ETIMEDOUT);
	/* The reason of who tried is worth more. */
	fd = lm_socket_connect(lm_listener_address(l), UINT64_MAX);
	lm_stream_begin(&hdr);
	hdr.major++;
	assert_int_equal(write(fd, &hdr, sizeof(hdr)), sizeof(hdr));
	assert_int_equal(lm_channel_accept(l, &conf, 50000, &ch), -EPROTONOSUPPORT);
	close(fd);
	/* Who listens and never answers. */
	assert_int_equal(lm_channel_connect(lm_listener_address(l), &conf, &ch), -ETIMEDOUT);
	lm_listener_destroy(l);
}

/* Breaks when a peer that does not read is waited for without an end. */
static struct lm_conn *
greet(const char *address, struct lm_record_hello *hello, uint16_t index)
{
	const struct iovec iov = { hello, sizeof(*hello) };
	struct lm_conn *c;
	int fd;

	hello->index = index;
	fd = lm_socket_connect(address, lm_clock_after_us(SOON_US));
	assert_true(fd >= 0);
	assert_int_equal(lm_conn_create(fd, &c), 0);
	assert_int_equal(lm_conn_send_locked(c, LM_RECORD_HELLO, &iov, 1,
			lm_clock_after_us(SOON_US), NULL), 0);
	return c;
}

/* A wait for the first connection that ends between the first and the second of a session. */
static void
test_half_a_session_is_waited_for(void **state)
{
	const struct timespec longer = { .tv_nsec = 200000000 };
	struct lm_record_hello hello = { .session = { 7 }, .count = 2 };
	struct lm_conn *first, *second;
	const char *why = "";
	struct server s = { .wait_us = 100000, .conf.deadline_us = SOON_US };

	(void)state;
	assert_int_equal(lm_listener_create(unix_name(), &s.l, &why), 0);
	first = greet(lm_listener_address(s.l), &hello, 0);
	pthread_create(&s.thread, NULL, server_main, &s);
	nanosleep(&longer, NULL);
	second = greet(lm_listener_address(s.l), &hello, 1);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.ret, 0);
	lm_conn_destroy(first);
	lm_conn_destroy(second);
	lm_channel_destroy(s.ch);
	lm_listener_destroy(s.l);
}

static void
test_back_pressure(void **state)
{
	const struct lm_channel_conf conf = { .deadline_us = 100000 };
	static uint8_t data[LM_RECORD_DATA_BYTES];
	const struct iovec iov = { data, sizeof(data) };
	struct lm_channel *a, *b;
	unsigned int i;
	int ret = 0;

	(void)state;
	pair(&a, &b, &conf);
	for (i = 0; i < 1000 && ret == 0; i++)
		ret = lm_channel_send(a, 1, LM_RECORD_PROBE, &iov, 1);
	assert_int_equal(ret, -ETIMEDOUT);
	/* Cut in the middle, it is of no use any more. */
	assert_int_equal(lm_channel_send(a, 2, LM_RECORD_PROBE, &iov, 1), -ECANCELED);
	lm_channel_destroy(a);
	lm_channel_destroy(b);
}

static void
test_peer_closes(void **state)
{
	const struct lm_channel_conf conf = { .deadline_us = SOON_US };
	struct lm_channel *a, *b;
	struct lm_record rec;

	(void)state;
	pair(&a, &b, &conf);
	say(b, 0, 5);
	lm_channel_destroy(b);
	/* What it said last is still heard; then no signal, an error. */
	hear(a, 0, 5);
	assert_int_equal(lm_channel_recv(a, 0, &rec, SOON_US), -ECONNRESET);
	assert_int_equal(lm_channel_send(a, 1, LM_RECORD_PROBE, NULL, 0), -EPIPE);
	lm_channel_destroy(a);
}

static void *
break_later(void *arg)
{
	const struct timespec nap = { .tv_nsec = 20000000 };

	nanosleep(&nap, NULL);
	lm_channel_break(arg);
	return NULL;
}

static void
test_break(void **state)
{
	const struct lm_channel_conf conf = { .alive_us = UINT64_C(60000000) };
	struct lm_channel *a, *b;
	struct lm_record rec;
	pthread_t t;

	(void)state;
	pair(&a, &b, &conf);
	pthread_create(&t, NULL, break_later, a);
	assert_int_equal(lm_channel_recv(a, 0, &rec, UINT64_C(60000000)), -ECANCELED);
	assert_int_equal(lm_channel_recv(b, 0, &rec, SOON_US), -ECONNRESET);
	pthread_join(t, NULL);
	lm_channel_destroy(a);
	lm_channel_destroy(b);
}

static void
test_alive(void **state)
{
	const struct lm_channel_conf conf = { .alive_us = 1000 };
	struct lm_channel *a, *b;
	struct lm_record rec;
	unsigned int i;

	(void)state;
	pair(&a, &b, &conf);
	for (i = 0; i < 3; i++) {
		assert_int_equal(lm_channel_recv(b, 0, &rec, SOON_US), 0);
		assert_int_equal(rec.type, LM_RECORD_ALIVE);
	}
	assert_int_equal(lm_channel_silence_us(a), 5000);
	lm_channel_destroy(a);
	lm_channel_destroy(b);
}

static void *
swallow(void *arg)
{
	struct lm_record rec;

	while (lm_channel_recv(arg, 1, &rec, SOON_US) == 0)
		;
	return NULL;
}

/* Breaks when the cap lets through more than a tenth of a second ahead. */
static void
test_bandwidth(void **state)
{
	const struct lm_channel_conf conf = { .bytes_per_s = 20000000 };
	static uint8_t data[100000];
	const struct iovec iov = { data, sizeof(data) };
	struct lm_channel *a, *b;
	uint64_t began;
	unsigned int i;
	pthread_t t;

	(void)state;
	pair(&a, &b, &conf);
	pthread_create(&t, NULL, swallow, b);
	began = lm_clock_ns();
	for (i = 0; i < 50; i++)
		assert_int_equal(lm_channel_send(a, 1, LM_RECORD_PROBE, &iov, 1), 0);
	/* 5 MB, of which 2 MB at once. */
	assert_true(lm_clock_ns() - began >= UINT64_C(140000000));
	lm_channel_destroy(a);
	pthread_join(t, NULL);
	lm_channel_destroy(b);
}

/* A death is proven by the kernel, not by a closed socket. */
static void
test_peer_dead(void **state)
{
	const struct lm_channel_conf conf = { .deadline_us = SOON_US };
	struct lm_channel *ch;
	struct server s;
	int go[2];
	pid_t child;
	char c;

	(void)state;
	server_start(&s, unix_name());
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		if (lm_channel_connect(lm_listener_address(s.l), &conf, &ch) != 0)
			_exit(1);
		lm_channel_break(ch);
		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	pthread_join(s.thread, NULL);
	assert_int_equal(s.ret, 0);
	assert_int_equal(lm_channel_peer_dead(s.ch), 0);
	close(go[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(lm_channel_peer_dead(s.ch), 1);
	close(go[0]);
	lm_channel_destroy(s.ch);
	lm_listener_destroy(s.l);

	server_start(&s, "tcp:127.0.0.1:0");
	assert_int_equal(lm_channel_connect(lm_listener_address(s.l), &conf, &ch), 0);
	assert_int_equal(lm_channel_peer_dead(ch), -ENOTSUP);
	lm_channel_destroy(ch);
	server_end(&s);
}

static void
test_stripes(void **state)
{
	const struct lm_channel_conf conf = { 0 };
	struct lm_channel *a, *b;

	(void)state;
	pair(&a, &b, &conf);
	assert_int_equal(lm_channel_of_address(a, 0), 1);
	assert_int_equal(lm_channel_of_address(a, LM_CHANNEL_STRIPE_BYTES - 1), 1);
	assert_int_equal(lm_channel_of_address(a, LM_CHANNEL_STRIPE_BYTES), 2);
	assert_int_equal(lm_channel_of_member(a, 2), 1);
	lm_channel_destroy(a);
	lm_channel_destroy(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meet),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_accept_deadline),
		cmocka_unit_test(test_half_a_session_is_waited_for),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_peer_closes),
		cmocka_unit_test(test_break),
		cmocka_unit_test(test_alive),
		cmocka_unit_test(test_bandwidth),
		cmocka_unit_test(test_peer_dead),
		cmocka_unit_test(test_stripes),
	};
	char command[64];
	int ret;

	if (mkdtemp(dir) == NULL)
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) != 0 ? 1 : ret;
}
