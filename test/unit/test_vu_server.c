/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The server against bytes: vectors written from the specification, what is malformed, what comes
 * in pieces. Catches a wrong layout that a client of the same hand would share, a missing bound,
 * and descriptors that stay behind.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_vu_msg.h"
#include "vu_device.h"
#include "vu_raw.h"
#include "vu_server_vectors.h"


struct world {
	struct vu_device dev;
	int sock;
	uint32_t fds_before;
	int mem_fd;
	int got_fds[64];
	uint32_t nb_got_fds;
};

static const char CAPS[] = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,"
		"\"write_multiple\":true,\"migration\":{\"pgsize\":4096}}}";

static void
process(struct world *w)
{
	int i;

	for (i = 0; i < 3; i++)
		assert_true(lm_vu_server_process(w->dev.server) >= 0);
}

static int
exchange(struct world *w, const uint8_t *msg, uint32_t len, const int *fds, uint32_t nb_fds,
		uint8_t *reply)
{
	vu_raw_send(w->sock, msg, len, fds, nb_fds);
	process(w);
	return vu_raw_recv(w->sock, reply, VU_RAW_MAX, w->got_fds, &w->nb_got_fds);
}

static void
handshake(struct world *w)
{
	uint8_t buf[VU_RAW_MAX];
	uint32_t len = vu_raw_version(buf, 7, 0, 0, 1, CAPS);

	w->sock = vu_raw_connect(w->dev.path);
	assert_true(exchange(w, buf, len, NULL, 0, buf) > 20);
	assert_int_equal(buf[8], 1);
}

static void
hang_up(struct world *w)
{
	close(w->sock);
	process(w);
}

static struct world *
world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	w->fds_before = vu_count_fds();
	vu_device_init(&w->dev);
	assert_int_equal(vu_device_start(&w->dev, false), 0);
	w->mem_fd = memfd_create("mem", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->mem_fd, 0x10000), 0);
	return w;
}

static void
world_free(struct world *w)
{
	vu_device_stop(&w->dev);
	close(w->mem_fd);
	assert_int_equal(vu_count_fds(), w->fds_before);
	free(w);
}

static void
golden_vectors(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], want[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t i, len, want_len, f;
	eventfd_t fired;
	int n, ev = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	handshake(w);
	assert_int_equal(w->dev.carried_out[LM_VU_VERSION], 1);
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		const int *fd = v->command == 8 ? &ev : &w->mem_fd;

		len = vu_raw_msg(msg, (uint16_t)(100 + i), v->command, 0, 0, v->request);
		want_len = vu_raw_msg(want, (uint16_t)(100 + i), v->command, 1, 0, v->reply);
		n = exchange(w, msg, len, fd, v->fds_in, got);
		if (n != (int)want_len || memcmp(got, want, want_len) != 0)
			fail_msg("%s: reply of %d bytes, error %u", v->name, n, got[12]);
		assert_int_equal(w->nb_got_fds, v->fds_out);
		assert_true(w->dev.carried_out[v->command]-- == 1);
		for (f = 0; f < w->nb_got_fds; f++)
			close(w->got_fds[f]);
	}
	/* trigger by none and by bool */
	assert_int_equal(eventfd_read(ev, &fired), 0);
	assert_int_equal(fired, 2);
	assert_int_equal(w->dev.maps, 2);
	assert_int_equal(w->dev.unmaps, 2);
	assert_int_equal(w->dev.resets, 1);
	close(ev);
	hang_up(w);
	world_free(w);
}

static void
malformed(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	int fds[253], n;
	uint32_t i, len, error, before;

	(void)state;
	for (i = 0; i < 253; i++)
		fds[i] = w->mem_fd;
	handshake(w);
	before = vu_count_fds();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct bad *b = &bad[i];

		len = vu_raw_msg(msg, 9, b->command, b->flags, 0, b->payload);
		n = exchange(w, msg, len, fds, b->nb_fds, got);
		if (b->expect == DROP) {
			if (n != 0)
				fail_msg("%s: not dropped", b->name);
			hang_up(w);
			handshake(w);
		} else {
			memcpy(&error, got + 12, sizeof(error));
			if (n != 16 || got[8] != 0x21 || error != b->expect)
				fail_msg("%s: %d bytes, error %u", b->name, n, error);
		}
		if (vu_count_fds() != before)
			fail_msg("%s: leaks descriptors", b->name);
		/* asking for no reply is obeyed for errors too */
		if (b->expect != DROP) {
			len = vu_raw_msg(msg, 9, b->command, b->flags | NO_REPLY, 0, b->payload);
			assert_int_equal(exchange(w, msg, len, fds, b->nb_fds, got), -EAGAIN);
		}
	}
	assert_int_equal(w->dev.maps, 0);
	assert_int_equal(w->dev.resets, 0);
	for (i = LM_VU_VERSION + 1; i < LM_VU_COMMAND_MAX; i++)
		assert_int_equal(w->dev.carried_out[i], 0);
	assert_false(w->dev.is_logging);
	assert_int_equal(w->dev.state, 2);
	hang_up(w);
	world_free(w);
}

/* Sizes that contradict themselves: the stream is lost, so the connection ends. */
static void
bad_sizes(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 15, (1 << 20) + 4096 + 17, 0x80000000, 0xffffffff };
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		handshake(w);
		vu_raw_msg(msg, 1, 13, 0, 0, "");
		memcpy(msg + 4, &sizes[i], 4);
		assert_int_equal(exchange(w, msg, 16, NULL, 0, got), 0);
		hang_up(w);
	}
	assert_int_equal(w->dev.resets, 0);
	world_free(w);
}

static const struct version_case {
	const char *json; /* NULL: none */
	uint16_t major;
	uint16_t minor;
	uint16_t expect; /* 0 or errno, then the connection ends */
} version_cases[] = {
	{ NULL, 0, 0, 0 },
	{ NULL, 0, 9, 0 },
	{ NULL, 1, 0, EINVAL },
	{ "", 0, 1, EINVAL },
	{ "{}", 0, 1, 0 },
	{ "[]", 0, 1, EINVAL },
	{ "{\"capabilities\":3}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"max_msg_fds\":\"8\"}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"max_msg_fds\":-1}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"max_msg_fds\":1025}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"max_msg_fds\":1e3}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"max_data_xfer_size\":0}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"write_multiple\":1}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"migration\":[]}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"migration\":{\"pgsize\":4097}}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"twin_socket\":{\"supported\":0}}}", 0, 1, EINVAL },
	{ "{\"capabilities\":{\"unknown\":{\"a\":[1,2]}},\"more\":1}", 0, 1, 0 },
};

static void
version_table(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t i, len;
	int n;

	(void)state;
	for (i = 0; i < sizeof(version_cases) / sizeof(version_cases[0]); i++) {
		const struct version_case *v = &version_cases[i];

		w->sock = vu_raw_connect(w->dev.path);
		len = vu_raw_version(msg, 1, 0, v->major, v->minor, v->json);
		n = exchange(w, msg, len, NULL, 0, got);
		if (v->expect == 0) {
			assert_true(n > 20);
			assert_int_equal(got[8], 1);
			assert_int_equal(got[18], v->minor < 1 ? v->minor : 1);
			/* nothing that was not offered */
			assert_null(strstr((char *)got + 20, "write_multiple"));
			assert_null(strstr((char *)got + 20, "twin_socket"));
			assert_null(strstr((char *)got + 20, "migration"));
			assert_int_equal(got[n - 1], 0);
		} else {
			if (n != 16 || got[8] != 0x21 || got[12] != v->expect)
				fail_msg("%s accepted", v->json != NULL ? v->json : "(none)");
			assert_int_equal(vu_raw_recv(w->sock, got, VU_RAW_MAX, w->got_fds,
					&w->nb_got_fds), 0);
		}
		hang_up(w);
	}
	/* no NUL at the end; too short; something else first */
	w->sock = vu_raw_connect(w->dev.path);
	len = vu_raw_version(msg, 1, 0, 0, 1, "{}") - 1;
	memcpy(msg + 4, &len, 4);
	assert_int_equal(exchange(w, msg, len, NULL, 0, got), 16);
	hang_up(w);
	w->sock = vu_raw_connect(w->dev.path);
	assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 1, 0, 0, "0000"), NULL, 0, got), 16);
	hang_up(w);
	w->sock = vu_raw_connect(w->dev.path);
	assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 13, 0, 0, ""), NULL, 0, got), 16);
	assert_int_equal(w->dev.resets, 0);
	hang_up(w);
	world_free(w);
}

/* What QEMU 10.1's client offers is answered with values that it takes (it stops at others). */
static void
version_for_qemu(void **state)
{
	static const char offer[] = "{\"capabilities\": {\"migration\": {\"max_bitmap_size\": "
			"268435456, \"pgsize\": 4096}, \"max_msg_fds\": 16, "
			"\"max_data_xfer_size\": "
			"1048576, \"max_dma_maps\": 65535, \"pgsizes\": 4096, "
			"\"write_multiple\": true}}";
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	const char *json = (const char *)got + 20, *at;

	(void)state;
	w->sock = vu_raw_connect(w->dev.path);
	assert_true(exchange(w, msg, vu_raw_version(msg, 1, 0, 0, 0, offer), NULL, 0, got) > 20);
	at = strstr(json, "\"max_msg_fds\":");
	assert_non_null(at);
	assert_true(atoi(at + 14) >= 1 && atoi(at + 14) <= 16);
	at = strstr(json, "\"max_data_xfer_size\":");
	assert_true(atoi(at + 21) > 0 && atoi(at + 21) <= 64 << 20);
	at = strstr(json, "\"max_dma_maps\":");
	assert_int_equal(atoi(at + 15), 8);
	assert_non_null(strstr(json, "\"pgsizes\":4096"));
	assert_non_null(strstr(json, "\"pgsize\":4096"));
	assert_null(strstr(json, "mig_"));
	hang_up(w);
	world_free(w);
}

/* A connection that ends after any number of bytes does nothing and leaves nothing. */
static void
truncated(void **state)
{
	static const struct {
		uint16_t command;
		uint32_t nb_fds;
		const char *payload;
	} rows[] = {
		{ 2, 1, "20000000 03000000 0010000000000000 0000100000000000 0020000000000000" },
		{ 8, 3, "14000000 24000000 02000000 03000000 03000000" },
		{ 10, 0, "0002000000000000 00000000 04000000 a1b2c3d4" },
	};
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX];
	int fds[3] = { w->mem_fd, w->mem_fd, w->mem_fd };
	uint32_t r, i, len;

	(void)state;
	for (r = 0; r < 3; r++) {
		len = vu_raw_msg(msg, 1, rows[r].command, 0, 0, rows[r].payload);
		for (i = 1; i < len; i++) {
			handshake(w);
			vu_raw_send(w->sock, msg, i, fds, rows[r].nb_fds);
			process(w);
			hang_up(w);
			assert_false(lm_vu_server_connected(w->dev.server));
		}
	}
	len = vu_raw_version(msg, 7, 0, 0, 1, CAPS);
	for (i = 1; i < len; i++) {
		w->sock = vu_raw_connect(w->dev.path);
		process(w);
		vu_raw_send(w->sock, msg, i, NULL, 0);
		process(w);
		hang_up(w);
	}
	assert_int_equal(w->dev.maps, 0);
	assert_int_equal(w->dev.bar0[0x200], 0);
	assert_int_equal(w->dev.connects, w->dev.disconnects);
	world_free(w);
}

/* Byte by byte, descriptors with the first; and many messages in one send. */
static void
pieces(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t len, i;

	(void)state;
	handshake(w);
	len = vu_raw_msg(msg, 1, 2, 0, 0, "20000000 03000000 0010000000000000 0000100000000000"
			"0020000000000000");
	for (i = 0; i < len; i++) {
		assert_int_equal(vu_raw_recv(w->sock, got, VU_RAW_MAX, w->got_fds,
				&w->nb_got_fds), -EAGAIN);
		vu_raw_send(w->sock, msg + i, 1, &w->mem_fd, i == 0);
		process(w);
	}
	assert_int_equal(vu_raw_recv(w->sock, got, VU_RAW_MAX, w->got_fds, &w->nb_got_fds), 16);
	assert_int_equal(got[8], 1);
	assert_int_equal(w->dev.maps, 1);
	assert_non_null(lm_vu_server_dma_ptr(w->dev.server, 0x100000, 0x2000, 3));

	for (len = 0, i = 0; i < 100; i++)
		len += vu_raw_msg(msg + len, (uint16_t)i, 13, 0, 0, "");
	vu_raw_send(w->sock, msg, len, NULL, 0);
	process(w);
	for (i = 0; i < 100; i++) {
		assert_int_equal(vu_raw_recv(w->sock, got, VU_RAW_MAX, w->got_fds,
				&w->nb_got_fds), 16);
		assert_int_equal(got[0], i);
	}
	hang_up(w);
	assert_null(lm_vu_server_dma_ptr(w->dev.server, 0x100000, 1, 1));
	world_free(w);
}

/* Descriptors that come with two parts of one message, too many together. */
static void
descriptors_in_pieces(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	int fds[40], ev = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint32_t len, before, i;

	(void)state;
	for (i = 0; i < 40; i++)
		fds[i] = ev;
	handshake(w);
	before = vu_count_fds();
	/* 40 vectors with 40 descriptors: 20 and 20 */
	len = vu_raw_msg(msg, 1, 8, 0, 0, "14000000 24000000 02000000 00000000 28000000");
	vu_raw_send(w->sock, msg, 10, fds, 20);
	process(w);
	assert_int_equal(exchange(w, msg + 10, len - 10, fds, 20, got), 16);
	assert_int_equal(got[12], 0);
	assert_int_equal(vu_count_fds(), before + 40);
	assert_true(lm_vu_server_irq_trigger(w->dev.server, LM_VU_IRQ_MSIX, 39));
	/* 40 and 40 */
	vu_raw_send(w->sock, msg, 17, fds, 40);
	process(w);
	assert_int_equal(exchange(w, msg + 17, len - 17, fds, 40, got), 0);
	assert_int_equal(vu_count_fds(), before - 1);
	hang_up(w);
	/* bindings went with the client */
	assert_false(lm_vu_server_irq_trigger(w->dev.server, LM_VU_IRQ_MSIX, 39));
	handshake(w);
	assert_false(lm_vu_server_irq_trigger(w->dev.server, LM_VU_IRQ_MSIX, 39));
	close(ev);
	hang_up(w);
	world_free(w);
}

/* A message that the socket takes in pieces: descriptors once, and every byte in its place. */
static void
large_message(void **state)
{
	static uint8_t data[LM_VU_MAX_XFER];
	const uint32_t head = 0x01020304;
	struct lm_vu_rx rx = { 0 };
	struct lm_vu_msg got;
	int pair[2], fd = STDIN_FILENO, ret, sent = 0, steps = 0;
	uint32_t i, fds_before = vu_count_fds();
	struct lm_vu_tx tx = {
		.hdr.command = 10, .fds = &fd, .nb_fds = 1,
		.iov = { { (void *)(uintptr_t)&head, 4 }, { data, sizeof(data) } },
	};

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	do {
		if (!sent)
			sent = lm_vu_tx_step(&tx, pair[0]);
		assert_true(sent >= 0);
		ret = lm_vu_rx_step(&rx, pair[1], &got);
		steps++;
	} while (ret == 0);
	assert_int_equal(ret, 1);
	assert_true(steps > 1);
	assert_int_equal(got.nb_fds, 1);
	assert_int_equal(got.len_bytes, 4 + sizeof(data));
	assert_memory_equal(got.payload, &head, 4);
	assert_memory_equal(got.payload + 4, data, sizeof(data));
	lm_vu_msg_clear(&got);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(vu_count_fds(), fds_before);
}

/* Answers to the server's own commands. Its ids count from 0; iova is 0x100000, 8 bytes. */
static const struct {
	const char *what;
	uint16_t id, command;
	uint32_t flags, error;
	const char *payload;
	int result; /* what the device sees */
	bool dropped;
} dma_answers[] = {
	{ "good", 0, 11, 1, 0, "0000100000000000 0800000000000000 1122334455667788", 0, false },
	{ "errno", 0, 11, 0x21, EPERM, "", -EPERM, false },
	{ "errno 0", 0, 11, 0x21, 0, "", -EIO, false },
	{ "errno -1", 0, 11, 0x21, 0xffffffff, "", -EIO, false },
	{ "id", 1, 11, 1, 0, "0000100000000000 0800000000000000 1122334455667788", -EPROTO, true },
	{ "command", 0, 12, 1, 0, "0000100000000000 0800000000000000 1122334455667788", -EPROTO,
		true },
	{ "address", 0, 11, 1, 0, "0000200000000000 0800000000000000 1122334455667788", -EPROTO,
		true },
	{ "count", 0, 11, 1, 0, "0000100000000000 0700000000000000 1122334455667788", -EPROTO,
		true },
	{ "count of 32 bits, as QEMU lays it out", 0, 11, 1, 0,
		"0000100000000000 08000000 1122334455667788", -EPROTO, true },
	{ "less data", 0, 11, 1, 0, "0000100000000000 0800000000000000 11223344556677", -EPROTO,
		true },
	{ "more data", 0, 11, 1, 0, "0000100000000000 0800000000000000 112233445566778899",
		-EPROTO, true },
	{ "nothing", 0, 11, 1, 0, "", -EPROTO, true },
};

static void
answers_to_dma(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t i, len;
	int n, result;

	(void)state;
	for (i = 0; i < sizeof(dma_answers) / sizeof(dma_answers[0]); i++) {
		memset(w->dev.bar0, 0, sizeof(w->dev.bar0));
		handshake(w);
		exchange(w, msg, vu_raw_msg(msg, 1, 2, 0, 0, "20000000 03000000 0000000000000000"
				"0000100000000000 0010000000000000"), NULL, 0, got);
		exchange(w, msg, vu_raw_msg(msg, 1, 10, 0, 0,
				"2001000000000000 00000000 08000000 0000100000000000"), NULL, 0,
				got);
		/* the doorbell, a command that must wait, and the answer, all at once */
		len = vu_raw_msg(msg, 2, 10, 0, 0,
				"0001000000000000 00000000 04000000 01000000");
		len += vu_raw_msg(msg + len, 3, 9, 0, 0, "2801000000000000 00000000 08000000");
		len += vu_raw_msg(msg + len, dma_answers[i].id, dma_answers[i].command,
				dma_answers[i].flags, dma_answers[i].error, dma_answers[i].payload);
		n = exchange(w, msg, len, NULL, 0, got);
		assert_int_equal(n, 16 + 16); /* the server's command */
		assert_int_equal(got[2], 11);
		memcpy(&result, w->dev.bar0 + VU_REG_RESULT, sizeof(result));
		if (result != dma_answers[i].result)
			fail_msg("%s: device sees %d", dma_answers[i].what, result);
		n = vu_raw_recv(w->sock, got, VU_RAW_MAX, w->got_fds, &w->nb_got_fds);
		if (dma_answers[i].dropped) {
			assert_int_equal(n, 0);
		} else {
			assert_int_equal(got[0], 2);
			assert_int_equal(vu_raw_recv(w->sock, got, VU_RAW_MAX, w->got_fds,
					&w->nb_got_fds), 16 + 16 + 8);
			assert_int_equal(got[32], result == 0 ? 0x11 : 0);
		}
		hang_up(w);
	}
	world_free(w);
}

/* A report is never longer than the client has room for. */
static void
report_room(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];

	(void)state;
	handshake(w);
	assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 16, 0, 0,
			"18000000 06000200 0010000000000000 00000000 00000000"), NULL, 0, got), 40);
	assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 16, 0, 0,
			"27000000 08000100 0000100000000000 0000020000000000 0010000000000000"),
			NULL, 0, got), 16);
	assert_int_equal(got[12], EINVAL);
	assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 16, 0, 0,
			"28000000 08000100 0000100000000000 0000020000000000 0010000000000000"),
			NULL, 0, got), 16 + 40);
	hang_up(w);
	world_free(w);
}

/* Mappings by address: edges, order of arrival, rights, the table's limit. */
static void
dma_table(void **state)
{
	static const uint8_t order[8] = { 5, 1, 7, 0, 3, 6, 2, 4 };
	struct world *w = world_new();
	struct lm_vu_server *s = w->dev.server;
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX], *base;
	char text[128];
	uint64_t len;
	uint32_t i;

	(void)state;
	handshake(w);
	/* map i: iova 0x2000 * i, one page from file page i; all but 3 writable */
	for (i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "20000000 %02x000000 00%02x000000000000"
				"00%02x000000000000 0010000000000000", order[i] == 3 ? 1 : 3,
				order[i] << 4, order[i] << 5);
		assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 2, 0, 0, text), &w->mem_fd, 1,
				got), 16);
		assert_int_equal(got[12], 0);
	}
	/* the ninth */
	assert_int_equal(exchange(w, msg, vu_raw_msg(msg, 1, 2, 0, 0, "20000000 03000000"
			"0000000000000000 0000100000000000 0010000000000000"),
			&w->mem_fd, 1, got), 16);
	assert_int_equal(got[12], ENOSPC);
	base = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, w->mem_fd, 0);
	for (i = 0; i < 8; i++) {
		uint64_t iova = 0x2000 * i;
		uint8_t *p = lm_vu_server_dma_ptr(s, iova, 0x1000, 1);

		assert_non_null(p);
		p = lm_vu_server_dma_ptr(s, iova + 0xfff, 1, 3);
		assert_true((p != NULL) == (i != 3));
		if (p != NULL) {
			*p = (uint8_t)(0xa0 + i);
			assert_int_equal(base[0x1000 * i + 0xfff], 0xa0 + i);
		}
		assert_null(lm_vu_server_dma_ptr(s, iova + 0xfff, 2, 1));
		assert_null(lm_vu_server_dma_ptr(s, iova + 0x1000, 1, 1));
		assert_null(lm_vu_server_dma_ptr(s, iova, UINT64_MAX, 1));
		len = UINT64_MAX;
		assert_non_null(lm_vu_server_dma_span(s, iova + 0x10, &len, 1));
		assert_int_equal(len, 0xff0);
	}
	assert_null(lm_vu_server_dma_ptr(s, UINT64_MAX, 1, 1));
	munmap(base, 0x10000);
	hang_up(w);
	world_free(w);
}

/* INTx that fires while masked is delivered by unmasking, once. */
static void
intx_mask(void **state)
{
	struct world *w = world_new();
	struct lm_vu_server *s = w->dev.server;
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	int ev = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	eventfd_t n;

	(void)state;
	handshake(w);
	assert_false(lm_vu_server_irq_trigger(s, LM_VU_IRQ_INTX, 0));
	assert_false(lm_vu_server_irq_trigger(s, 77, 0));
	exchange(w, msg, vu_raw_msg(msg, 1, 8, 0, 0,
			"14000000 24000000 00000000 00000000 01000000"), &ev, 1, got);
	exchange(w, msg, vu_raw_msg(msg, 1, 8, 0, 0,
			"14000000 09000000 00000000 00000000 01000000"), NULL, 0, got);
	assert_true(lm_vu_server_irq_trigger(s, LM_VU_IRQ_INTX, 0));
	assert_true(lm_vu_server_irq_trigger(s, LM_VU_IRQ_INTX, 0));
	assert_int_equal(eventfd_read(ev, &n), -1);
	exchange(w, msg, vu_raw_msg(msg, 1, 8, 0, 0,
			"14000000 11000000 00000000 00000000 01000000"), NULL, 0, got);
	assert_int_equal(eventfd_read(ev, &n), 0);
	assert_int_equal(n, 1);
	exchange(w, msg, vu_raw_msg(msg, 1, 8, 0, 0,
			"14000000 11000000 00000000 00000000 01000000"), NULL, 0, got);
	assert_int_equal(eventfd_read(ev, &n), -1);
	close(ev);
	hang_up(w);
	world_free(w);
}

/* A full eventfd that blocks its writer must not stop the device. */
static void
full_eventfd(void **state)
{
	struct world *w = world_new();
	uint8_t msg[VU_RAW_MAX], got[VU_RAW_MAX];
	int ev = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(eventfd_write(ev, UINT64_MAX - 1), 0);
	handshake(w);
	exchange(w, msg, vu_raw_msg(msg, 1, 8, 0, 0,
			"14000000 24000000 02000000 00000000 01000000"), &ev, 1, got);
	alarm(5);
	assert_true(lm_vu_server_irq_trigger(w->dev.server, LM_VU_IRQ_MSIX, 0));
	alarm(0);
	close(ev);
	hang_up(w);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_vectors),
		cmocka_unit_test(malformed),
		cmocka_unit_test(bad_sizes),
		cmocka_unit_test(version_table),
		cmocka_unit_test(version_for_qemu),
		cmocka_unit_test(truncated),
		cmocka_unit_test(pieces),
		cmocka_unit_test(descriptors_in_pieces),
		cmocka_unit_test(large_message),
		cmocka_unit_test(answers_to_dma),
		cmocka_unit_test(report_room),
		cmocka_unit_test(dma_table),
		cmocka_unit_test(intx_mask),
		cmocka_unit_test(full_eventfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
