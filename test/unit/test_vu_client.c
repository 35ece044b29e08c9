/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The client against a scripted server: all that the server will say is in the socket before the
 * client asks (its ids count from 0), so that a test needs neither thread nor time. Catches wrong
 * requests on the wire, and belief in what a server says.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_vu_client_priv.h"
#include "vu_device.h"
#include "vu_raw.h"

#define CAPS_FULL "{\"capabilities\":{\"max_msg_fds\":4,\"write_multiple\":true," \
	"\"mig_precopy_info\":true,\"mig_data_size\":true,\"migration\":{\"pgsize\":4096}}}"

struct world {
	int sock; /* the server's end */
	struct lm_vu_client *client;
	uint32_t fds_before;
	uint32_t dma_reads;
};

static int
dma_read(void *ctx, uint64_t iova, void *buf, uint32_t len_bytes)
{
	((struct world *)ctx)->dma_reads++;
	if (iova != 0x1000)
		return -EFAULT;
	memset(buf, 0x5a, len_bytes);
	return 0;
}

static const struct lm_vu_client_ops ops = { .dma_read = dma_read };

/* Connect with what the server answers to VERSION already in the socket. */
static int
world_open(struct world *w, const char *json, bool twin, const int *fds, uint32_t nb_fds)
{
	struct lm_vu_client_conf conf = {
		.timeout_ms = 60, .offer_twin_socket = twin, .ops = &ops, .ctx = w,
	};
	uint8_t buf[VU_RAW_MAX];
	int pair[2];

	memset(w, 0, sizeof(*w));
	w->fds_before = vu_count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->sock = pair[0];
	if (json != NULL)
		vu_raw_send(w->sock, buf, vu_raw_version(buf, 0, 1, 0, 1, json), fds, nb_fds);
	return lm_vu_client_adopt(pair[1], &conf, &w->client);
}

static void
world_close(struct world *w)
{
	lm_vu_client_close(w->client);
	close(w->sock);
	assert_int_equal(vu_count_fds(), w->fds_before);
}

static void
eat(struct world *w, uint32_t messages)
{
	uint8_t buf[VU_RAW_MAX];
	int fds[64];
	uint32_t nb_fds, f;

	while (messages-- > 0) {
		assert_true(vu_raw_recv(w->sock, buf, VU_RAW_MAX, fds, &nb_fds) > 0);
		for (f = 0; f < nb_fds; f++)
			close(fds[f]);
	}
}

/* Put one reply to the request that comes next into the socket. */
static void
script(struct world *w, uint16_t id, uint16_t command, uint32_t flags, uint32_t error,
		const char *payload, const int *fds, uint32_t nb_fds)
{
	uint8_t buf[VU_RAW_MAX];

	vu_raw_send(w->sock, buf, vu_raw_msg(buf, id, command, flags, error, payload), fds, nb_fds);
}

static void
version_replies(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{\"capabilities\":1}", "{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":1}}}",
		"{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":-1}}}",
	};
	static const struct {
		uint16_t id, command, major, minor;
		uint32_t flags;
	} hdrs[] = {
		{ 1, 1, 0, 1, 1 }, { 0, 2, 0, 1, 1 }, { 0, 1, 1, 1, 1 }, { 0, 1, 0, 2, 1 },
		{ 0, 1, 0, 1, 0 }, { 0, 1, 0, 1, 3 }, { 0, 1, 0, 1, 0x81 },
	};
	struct world w;
	uint8_t buf[VU_RAW_MAX];
	int pair[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint32_t i, len;

	(void)state;
	/* one descriptor comes along: it must not stay */
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(world_open(&w, bad[i], i % 2 == 0, &null, 1), -EPROTO);
		w.client = NULL;
		close(w.sock);
		assert_int_equal(vu_count_fds(), w.fds_before);
	}
	for (i = 0; i < sizeof(hdrs) / sizeof(hdrs[0]); i++) {
		struct lm_vu_client *c = NULL;
		struct lm_vu_client_conf conf = { .timeout_ms = 60 };

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		len = vu_raw_version(buf, hdrs[i].id, hdrs[i].flags, hdrs[i].major, hdrs[i].minor,
				"{}");
		memcpy(buf + 2, &hdrs[i].command, 2);
		vu_raw_send(pair[0], buf, len, NULL, 0);
		/* a VERSION command of the server is answered with an error, then time is up */
		assert_int_equal(lm_vu_client_adopt(pair[1], &conf, &c),
				hdrs[i].flags == 0 ? -ETIMEDOUT : -EPROTO);
		close(pair[0]);
	}
	close(null);
	/* nobody answers; refusal; hang-up */
	assert_int_equal(world_open(&w, NULL, false, NULL, 0), -ETIMEDOUT);
	close(w.sock);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	vu_raw_send(pair[0], buf, vu_raw_msg(buf, 0, 1, 0x21, EINVAL, ""), NULL, 0);
	assert_int_equal(lm_vu_client_adopt(pair[1], NULL, &w.client), -EINVAL);
	close(pair[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[0]);
	assert_int_equal(lm_vu_client_adopt(pair[1], NULL, &w.client), -ECONNRESET);
}

static void
caps(void **state)
{
	struct world w;
	const struct lm_vu_caps *c;

	(void)state;
	assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
	c = lm_vu_client_caps(w.client);
	assert_int_equal(c->max_msg_fds, 4);
	assert_int_equal(c->max_data_xfer_bytes, 1 << 20);
	assert_int_equal(c->max_dma_maps, 65535);
	assert_int_equal(c->pgsizes, 4096);
	assert_int_equal(c->mig_pgsize, 4096);
	assert_true(c->write_multiple && c->mig_precopy_info && c->mig_data_size);
	world_close(&w);
	assert_int_equal(world_open(&w, "{\"capabilities\":{\"max_data_xfer_size\":2147483647}}",
			false, NULL, 0), 0);
	c = lm_vu_client_caps(w.client);
	assert_int_equal(c->max_msg_fds, 1);
	assert_int_equal(c->max_data_xfer_bytes, LM_VU_MAX_XFER);
	assert_false(c->write_multiple || c->mig_precopy_info || c->mig_data_size);
	assert_int_equal(c->mig_pgsize, 0);
	world_close(&w);
}

/* Calls by name for the tables below; each makes exactly one request. */
static int
call(struct lm_vu_client *c, const char *name)
{
	static struct lm_vu_region_info region;
	struct lm_vu_ioeventfd io[2];
	struct lm_vu_write wr[2] = { { 0x10, 1, 2, 0x2211 }, { 0x18, 2, 8, 0x0807060504030201 } };
	struct lm_vu_range range = { 0x100000, 0x20000 };
	uint64_t v64 = 4096, w64, bitmap[2];
	uint32_t a, b, d;
	uint8_t buf[16] = { 0xa1, 0xb2, 0xc3, 0xd4 };
	int fds[2] = { 0, 1 }, ret;

	if (strcmp(name, "info") == 0)
		return lm_vu_client_device_info(c, &a, &b, &d);
	if (strcmp(name, "region") == 0) {
		ret = lm_vu_client_region_info(c, 1, &region);
		if (ret == 0 && region.fd >= 0) {
			close(region.fd);
			return 1;
		}
		return ret;
	}
	if (strcmp(name, "io_fds") == 0) {
		ret = lm_vu_client_region_io_fds(c, 1, io, 2);
		for (a = 0; ret > 0 && a < (uint32_t)ret; a++)
			close(io[a].fd);
		return ret;
	}
	if (strcmp(name, "irq_info") == 0)
		return lm_vu_client_irq_info(c, 2, &a, &b);
	if (strcmp(name, "set_irqs") == 0)
		return lm_vu_client_set_irqs(c, 2, 3, 2, fds);
	if (strcmp(name, "unset_irqs") == 0)
		return lm_vu_client_set_irqs(c, 2, 3, 2, NULL);
	if (strcmp(name, "disable_irqs") == 0)
		return lm_vu_client_disable_irqs(c, 2);
	if (strcmp(name, "read") == 0)
		return lm_vu_client_region_read(c, 7, 0x104, buf, 4);
	if (strcmp(name, "write") == 0)
		return lm_vu_client_region_write(c, 7, 0x104, buf, 4);
	if (strcmp(name, "posted") == 0)
		return lm_vu_client_region_write_posted(c, 7, 0x104, buf, 4);
	if (strcmp(name, "multi") == 0)
		return lm_vu_client_region_write_multi(c, wr, 2);
	if (strcmp(name, "map") == 0)
		return lm_vu_client_dma_map(c, 0x100000, 0x2000, 0, 0x1000, 3);
	if (strcmp(name, "map_msg") == 0)
		return lm_vu_client_dma_map(c, 0x100000, 0x2000, -1, 0x1000, 1);
	if (strcmp(name, "unmap") == 0)
		return lm_vu_client_dma_unmap(c, 0x100000, 0x2000);
	if (strcmp(name, "unmap_all") == 0)
		return lm_vu_client_dma_unmap_all(c);
	if (strcmp(name, "reset") == 0)
		return lm_vu_client_reset(c);
	if (strcmp(name, "probe") == 0)
		return lm_vu_client_feature(c, 0x50001, NULL, 0, 0);
	if (strcmp(name, "state_get") == 0)
		return lm_vu_client_mig_state_get(c, &a);
	if (strcmp(name, "state_set") == 0)
		return lm_vu_client_mig_state_set(c, 3);
	if (strcmp(name, "mig_read") == 0)
		return lm_vu_client_mig_read(c, buf, 3);
	if (strcmp(name, "mig_write") == 0)
		return lm_vu_client_mig_write(c, buf, 3);
	if (strcmp(name, "precopy") == 0)
		return lm_vu_client_mig_precopy_info(c, &a, &v64, &w64);
	if (strcmp(name, "data_size") == 0)
		return lm_vu_client_mig_data_size(c, &v64);
	if (strcmp(name, "log_start") == 0)
		return lm_vu_client_log_start(c, &range, 1, &v64);
	if (strcmp(name, "log_stop") == 0)
		return lm_vu_client_log_stop(c);
	if (strcmp(name, "log_report") == 0)
		return lm_vu_client_log_report(c, 0x100000, 0x20000, 4096, bitmap);
	fail_msg("no call %s", name);
	return 0;
}

/* What must be on the wire for each call. The replies are empty: only the request counts. */
static const struct {
	const char *name;
	uint16_t command;
	uint8_t flags;
	uint8_t nb_fds;
	const char *request;
} requests[] = {
	{ "info", 4, 0, 0, "10000000 00000000 00000000 00000000" },
	{ "region", 5, 0, 0, "30050000 00000000 01000000 00000000"
		"0000000000000000 0000000000000000" },
	{ "io_fds", 6, 0, 0, "10280000 00000000 01000000 00000000" },
	{ "irq_info", 7, 0, 0, "10000000 00000000 02000000 00000000" },
	{ "set_irqs", 8, 0, 2, "14000000 24000000 02000000 03000000 02000000" },
	{ "unset_irqs", 8, 0, 0, "14000000 24000000 02000000 03000000 02000000" },
	{ "disable_irqs", 8, 0, 0, "14000000 21000000 02000000 00000000 00000000" },
	{ "read", 9, 0, 0, "0401000000000000 07000000 04000000" },
	{ "write", 10, 0, 0, "0401000000000000 07000000 04000000 a1b2c3d4" },
	{ "posted", 10, 0x10, 0, "0401000000000000 07000000 04000000 a1b2c3d4" },
	{ "multi", 15, 0, 0, "0200000000000000"
		"1000000000000000 01000000 02000000 1122000000000000"
		"1800000000000000 02000000 08000000 0102030405060708" },
	{ "map", 2, 0, 1, "20000000 03000000 0010000000000000 0000100000000000 0020000000000000" },
	{ "map_msg", 2, 0, 0,
		"20000000 01000000 0000000000000000 0000100000000000 0020000000000000" },
	{ "unmap", 3, 0, 0, "18000000 00000000 0000100000000000 0020000000000000" },
	{ "unmap_all", 3, 0, 0, "18000000 02000000 0000000000000000 0000000000000000" },
	{ "reset", 13, 0, 0, "" },
	{ "probe", 16, 0, 0, "08000000 01000500" },
	{ "state_get", 16, 0, 0, "10000000 02000100" },
	{ "state_set", 16, 0, 0, "10000000 02000200 03000000 00000000" },
	{ "mig_read", 17, 0, 0, "0b000000 03000000" },
	{ "mig_write", 18, 0, 0, "0b000000 03000000 a1b2c3" },
	{ "precopy", 19, 0, 0, "18000000 00000000 0000000000000000 0000000000000000" },
	{ "data_size", 16, 0, 0, "10000000 09000100" },
	{ "log_start", 16, 0, 0, "28000000 06000200 0010000000000000 01000000 00000000"
		"0000100000000000 0000020000000000" },
	{ "log_stop", 16, 0, 0, "08000000 07000200" },
	{ "log_report", 16, 0, 0,
		"28000000 08000100 0000100000000000 0000020000000000 0010000000000000" },
};

static void
golden_requests(void **state)
{
	uint8_t want[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t i, f, len, nb_fds;
	int fds[64], n;
	struct world w;

	(void)state;
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
		eat(&w, 1);
		/* hang up for writing: the call ends with an error, the request is there */
		shutdown(w.sock, SHUT_WR);
		call(w.client, requests[i].name);
		n = vu_raw_recv(w.sock, got, VU_RAW_MAX, fds, &nb_fds);
		len = vu_raw_msg(want, 1, requests[i].command, requests[i].flags, 0,
				requests[i].request);
		if (n != (int)len || memcmp(want, got, len) != 0)
			fail_msg("%s: request of %d bytes is not as specified",
				requests[i].name, n);
		assert_int_equal(nb_fds, requests[i].nb_fds);
		for (f = 0; f < nb_fds; f++)
			close(fds[f]);
		world_close(&w);
	}
}

static const struct {
	const char *what;
	const char *call;
	uint16_t command;
	uint32_t flags; /* of the reply */
	uint32_t error;
	int expect; /* result, negative errno */
	bool dead;
	uint8_t nb_fds;
	const char *payload;
} replies[] = {
	{ "good", "info", 4, 1, 0, 0, false, 0, "10000000 03000000 09000000 05000000" },
	{ "descriptor nobody wants", "info", 4, 1, 0, 0, false, 1,
		"10000000 03000000 09000000 05000000" },
	{ "short", "info", 4, 1, 0, -EPROTO, true, 0, "10000000 03000000 09000000" },
	{ "long", "info", 4, 1, 0, -EPROTO, true, 0, "10000000 03000000 09000000 05000000 00" },
	{ "wrong command", "info", 5, 1, 0, -EPROTO, true, 0,
		"10000000 03000000 09000000 05000000" },
	{ "too many regions", "info", 4, 1, 0, -EPROTO, true, 0,
		"10000000 03000000 ffffffff 05000000" },
	{ "unknown flag", "info", 4, 0x41, 0, -EPROTO, true, 0, "" },
	{ "type 15", "info", 4, 0xf, 0, -EPROTO, true, 0, "" },
	{ "errno", "info", 4, 0x21, ENODEV, -ENODEV, false, 0, "" },
	{ "errno 0", "info", 4, 0x21, 0, -EIO, false, 0, "" },
	{ "errno 4096", "info", 4, 0x21, 4096, -EIO, false, 0, "" },
	{ "errno -1", "info", 4, 0x21, 0xffffffff, -EIO, false, 0, "" },
	{ "65 descriptors", "reset", 13, 1, 0, -EPROTO, true, 65, "" },
	{ "no flag, but a number", "reset", 13, 1, 22, 0, false, 0, "" },

	{ "mappable", "region", 5, 1, 0, 1, false, 1,
		"40000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0100 0100 00000000 01000000 00000000 0010000000000000 0010000000000000" },
	{ "mappable as a whole", "region", 5, 1, 0, 1, false, 2,
		"20000000 07000000 01000000 00000000 0040000000000000 0000000000000000" },
	{ "mappable, no descriptor", "region", 5, 1, 0, 0, false, 0,
		"20000000 07000000 01000000 00000000 0040000000000000 0000000000000000" },
	{ "unknown cap, then sparse", "region", 5, 1, 0, 1, false, 1,
		"48000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0900 0100 28000000"
		"0100 0100 00000000 01000000 00000000 0010000000000000 0010000000000000" },
	{ "descriptor, not mappable", "region", 5, 1, 0, 0, false, 1,
		"20000000 03000000 01000000 00000000 0040000000000000 0000000000000000" },
	{ "other region", "region", 5, 1, 0, -EPROTO, true, 1,
		"20000000 07000000 02000000 00000000 0040000000000000 0000000000000000" },
	{ "size and offset overflow", "region", 5, 1, 0, -EPROTO, true, 1,
		"20000000 07000000 01000000 00000000 0040000000000000 00f0ffffffffff7f" },
	{ "negative size", "region", 5, 1, 0, -EPROTO, true, 1,
		"20000000 07000000 01000000 00000000 0000000000000080 0000000000000000" },
	{ "more than we can take", "region", 5, 1, 0, -E2BIG, false, 0,
		"40400000 07000000 01000000 00000000 0040000000000000 0000000000000000" },
	{ "cap inside the structure", "region", 5, 1, 0, -EPROTO, true, 1,
		"28000000 0f000000 01000000 08000000 0040000000000000 0000000000000000"
		"0100 0100 00000000" },
	{ "cap behind the payload", "region", 5, 1, 0, -EPROTO, true, 1,
		"28000000 0f000000 01000000 28000000 0040000000000000 0000000000000000"
		"0100 0100 00000000" },
	{ "cap at 4g", "region", 5, 1, 0, -EPROTO, true, 1,
		"28000000 0f000000 01000000 ffffffff 0040000000000000 0000000000000000"
		"0100 0100 00000000" },
	{ "cap chain in a circle", "region", 5, 1, 0, -EPROTO, true, 1,
		"28000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0900 0100 20000000" },
	{ "areas overflow", "region", 5, 1, 0, -EPROTO, true, 1,
		"40000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0100 0100 00000000 01000010 00000000 0010000000000000 0010000000000000" },
	{ "area behind the region", "region", 5, 1, 0, -EPROTO, true, 1,
		"40000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0100 0100 00000000 01000000 00000000 0040000000000000 0010000000000000" },
	{ "area wraps", "region", 5, 1, 0, -EPROTO, true, 1,
		"40000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0100 0100 00000000 01000000 00000000 0010000000000000 00f0ffffffffffff" },
	{ "area not aligned", "region", 5, 1, 0, -EPROTO, true, 1,
		"40000000 0f000000 01000000 20000000 0040000000000000 0000000000000000"
		"0100 0100 00000000 01000000 00000000 0008000000000000 0010000000000000" },

	{ "one", "io_fds", 6, 1, 0, 1, false, 1, "38000000 00000000 01000000 01000000"
		"0010000000000000 0400000000000000 00000000 00000000 00000000 00000000"
		"0000000000000000" },
	{ "shared", "io_fds", 6, 1, 0, 2, false, 1, "60000000 00000000 01000000 02000000"
		"0010000000000000 0400000000000000 00000000 00000000 00000000 00000000"
		"0000000000000000"
		"0410000000000000 0400000000000000 00000000 00000000 00000000 00000000"
		"0000000000000000" },
	{ "no such descriptor", "io_fds", 6, 1, 0, -EPROTO, true, 1,
		"38000000 00000000 01000000 01000000"
		"0010000000000000 0400000000000000 01000000 00000000 00000000 00000000"
		"0000000000000000" },
	{ "descriptor -1", "io_fds", 6, 1, 0, -EPROTO, true, 1,
		"38000000 00000000 01000000 01000000"
		"0010000000000000 0400000000000000 ffffffff 00000000 00000000 00000000"
		"0000000000000000" },
	{ "second one bad", "io_fds", 6, 1, 0, -EPROTO, true, 1,
		"60000000 00000000 01000000 02000000"
		"0010000000000000 0400000000000000 00000000 00000000 00000000 00000000"
		"0000000000000000"
		"0410000000000000 0400000000000000 09000000 00000000 00000000 00000000"
		"0000000000000000" },
	{ "count", "io_fds", 6, 1, 0, -EPROTO, true, 0, "10000000 00000000 01000000 ffffffff" },
	{ "wraps", "io_fds", 6, 1, 0, -EPROTO, true, 1, "38000000 00000000 01000000 01000000"
		"f0ffffffffffffff 2000000000000000 00000000 00000000 00000000 00000000"
		"0000000000000000" },
	{ "other index", "irq_info", 7, 1, 0, -EPROTO, true, 0,
		"10000000 01000000 01000000 05000000" },

	{ "good", "read", 9, 1, 0, 0, false, 0, "0401000000000000 07000000 04000000 01020304" },
	{ "too little", "read", 9, 1, 0, -EPROTO, true, 0,
		"0401000000000000 07000000 04000000 010203" },
	{ "too much", "read", 9, 1, 0, -EPROTO, true, 0,
		"0401000000000000 07000000 04000000 0102030405" },
	{ "count", "read", 9, 1, 0, -EPROTO, true, 0,
		"0401000000000000 07000000 05000000 01020304" },
	{ "one of two", "multi", 15, 1, 0, -EIO, false, 0, "0100000000000000" },
	{ "three of two", "multi", 15, 1, 0, -EPROTO, true, 0, "0300000000000000" },

	{ "EINVAL means no", "probe", 16, 0x21, EINVAL, -ENOTTY, false, 0, "" },
	{ "ENOTTY", "probe", 16, 0x21, ENOTTY, -ENOTTY, false, 0, "" },
	{ "EIO is EIO", "probe", 16, 0x21, EIO, -EIO, false, 0, "" },
	{ "other feature", "probe", 16, 1, 0, -EPROTO, true, 0, "08000000 02000500" },
	{ "state 8", "state_get", 16, 1, 0, -EPROTO, true, 0,
		"10000000 02000100 08000000 00000000" },
	{ "half a state", "state_get", 16, 1, 0, -EPROTO, true, 0, "0c000000 02000100 02000000" },
	{ "EINVAL is EINVAL", "state_set", 16, 0x21, EINVAL, -EINVAL, false, 0, "" },
	{ "3", "mig_read", 17, 1, 0, 3, false, 0, "0b000000 03000000 010203" },
	{ "1, padded", "mig_read", 17, 1, 0, 1, false, 0, "0b000000 01000000 010203" },
	{ "end", "mig_read", 17, 1, 0, 0, false, 0, "08000000 00000000" },
	{ "says 3 gives 2", "mig_read", 17, 1, 0, -EPROTO, true, 0, "0b000000 03000000 0102" },
	{ "says 4g", "mig_read", 17, 1, 0, -EPROTO, true, 0, "0b000000 ffffffff 010203" },
	{ "gives 4", "mig_read", 17, 1, 0, -EPROTO, true, 0, "0c000000 04000000 01020304" },
	{ "short", "precopy", 19, 1, 0, -EPROTO, true, 0, "18000000 00000000" },
	{ "page size 0", "log_start", 16, 1, 0, -EPROTO, true, 0,
		"28000000 06000200 0000000000000000 01000000 00000000"
		"0000100000000000 0000020000000000" },
	{ "good", "log_report", 16, 1, 0, 0, false, 0,
		"28000000 08000100 0000100000000000 0000020000000000 0010000000000000"
		"ffffffff00000000" },
	{ "no bitmap", "log_report", 16, 1, 0, -EPROTO, true, 0,
		"20000000 08000100 0000100000000000 0000020000000000 0010000000000000" },
	{ "bitmap of another size", "log_report", 16, 1, 0, -EPROTO, true, 0,
		"28000000 08000100 0000100000000000 0000020000000000 0020000000000000"
		"ffffffff00000000" },
};

static void
reply_table(void **state)
{
	int many[65], ret;
	struct world w;
	uint32_t i, open_fds;

	(void)state;
	for (i = 0; i < 65; i++)
		many[i] = STDIN_FILENO;
	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
		open_fds = vu_count_fds();
		script(&w, 1, replies[i].command, replies[i].flags, replies[i].error,
				replies[i].payload, many, replies[i].nb_fds);
		ret = call(w.client, replies[i].call);
		if (ret != replies[i].expect || lm_vu_client_alive(w.client) == replies[i].dead)
			fail_msg("%s, %s: %d", replies[i].call, replies[i].what, ret);
		if (vu_count_fds() != open_fds)
			fail_msg("%s, %s: leaks", replies[i].call, replies[i].what);
		/* the next call works, or says that nothing works any more */
		if (!replies[i].dead)
			script(&w, 2, 13, 1, 0, "", NULL, 0);
		assert_int_equal(lm_vu_client_reset(w.client), replies[i].dead ? -ENOTCONN : 0);
		world_close(&w);
	}
}

/* No message carries more descriptors than the server takes: 6 vectors are 4 and 2. */
static void
many_irqs(void **state)
{
	uint8_t got[VU_RAW_MAX];
	const int ev[6] = { 0, 0, 0, 0, 0, 0 };
	int fds[64];
	uint32_t nb_fds, i, f, at;
	struct world w;

	(void)state;
	assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
	eat(&w, 1);
	script(&w, 1, 8, 1, 0, "", NULL, 0);
	script(&w, 2, 8, 1, 0, "", NULL, 0);
	assert_int_equal(lm_vu_client_set_irqs(w.client, 2, 10, 6, ev), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(vu_raw_recv(w.sock, got, VU_RAW_MAX, fds, &nb_fds), 36);
		assert_int_equal(nb_fds, i == 0 ? 4 : 2);
		for (f = 0; f < nb_fds; f++)
			close(fds[f]);
		memcpy(&at, got + 28, sizeof(at));
		assert_int_equal(at, i == 0 ? 10 : 14);
		memcpy(&at, got + 32, sizeof(at));
		assert_int_equal(at, nb_fds);
	}
	world_close(&w);
}

/* A reply that ends after any number of bytes, with a descriptor in it. */
static void
truncated(void **state)
{
	uint8_t buf[VU_RAW_MAX];
	struct world w;
	uint32_t len, i;
	int fd = STDIN_FILENO;

	(void)state;
	len = vu_raw_msg(buf, 1, 5, 1, 0, "40000000 0f000000 01000000 20000000 0040000000000000"
			"0000000000000000 0100 0100 00000000 01000000 00000000 0010000000000000"
			"0010000000000000");
	for (i = 0; i < len; i++) {
		assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
		if (i > 0)
			vu_raw_send(w.sock, buf, i, &fd, 1);
		shutdown(w.sock, SHUT_WR);
		assert_int_equal(call(w.client, "region"), -ECONNRESET);
		assert_false(lm_vu_client_alive(w.client));
		world_close(&w);
	}
	/* and one that just stops */
	assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
	vu_raw_send(w.sock, buf, len - 1, &fd, 1);
	assert_int_equal(call(w.client, "region"), -ETIMEDOUT);
	assert_int_equal(call(w.client, "reset"), -ENOTCONN);
	world_close(&w);
}

/* Commands of the server in front of the reply. Counts are 64 bits: data begins at byte 32. */
static const struct {
	const char *what;
	uint16_t command;
	const char *request;
	uint32_t error;
	const char *answer;
} dma_rows[] = {
	{ "read", 11, "0010000000000000 0300000000000000", 0,
		"0010000000000000 0300000000000000 5a5a5a" },
	{ "read elsewhere", 11, "0020000000000000 0300000000000000", EFAULT, "" },
	{ "read nothing", 11, "0010000000000000 0000000000000000", EINVAL, "" },
	{ "read 4g", 11, "0010000000000000 0000000001000000", EINVAL, "" },
	{ "read, count of 32 bits", 11, "0010000000000000 03000000", EINVAL, "" },
	{ "write, refused", 12, "0010000000000000 0300000000000000 010203", EINVAL, "" },
	{ "not a server's command", 4, "10000000 00000000 00000000 00000000", EINVAL, "" },
};

static void
server_commands(void **state)
{
	uint8_t want[VU_RAW_MAX], got[VU_RAW_MAX];
	uint32_t i, len, nb_fds;
	struct world w;
	int fds[64], n;

	(void)state;
	for (i = 0; i < sizeof(dma_rows) / sizeof(dma_rows[0]); i++) {
		assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
		eat(&w, 1);
		script(&w, 0xbeef, dma_rows[i].command, 0, 0, dma_rows[i].request, NULL, 0);
		script(&w, 1, 13, 1, 0, "", NULL, 0);
		assert_int_equal(lm_vu_client_reset(w.client), 0);
		eat(&w, 1);
		n = vu_raw_recv(w.sock, got, VU_RAW_MAX, fds, &nb_fds);
		len = vu_raw_msg(want, 0xbeef, dma_rows[i].command,
				dma_rows[i].error != 0 ? 0x21 : 1, dma_rows[i].error,
				dma_rows[i].answer);
		if (n != (int)len || memcmp(want, got, len) != 0)
			fail_msg("%s: answer of %d bytes", dma_rows[i].what, n);
		/* by itself, without a request that waits */
		script(&w, 0xbeef, dma_rows[i].command, 0, 0, dma_rows[i].request, NULL, 0);
		assert_int_equal(lm_vu_client_process(w.client), 0);
		assert_int_equal(vu_raw_recv(w.sock, got, VU_RAW_MAX, fds, &nb_fds), n);
		assert_memory_equal(want, got, len);
		world_close(&w);
	}
	/* a reply that nobody asked for */
	assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
	script(&w, 1, 13, 1, 0, "", NULL, 0);
	assert_int_equal(lm_vu_client_process(w.client), -EPROTO);
	assert_false(lm_vu_client_alive(w.client));
	world_close(&w);
}

static void
twin_socket(void **state)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":4,\"twin_socket\":"
			"{\"supported\":true,\"fd_index\":1}}}";
	uint8_t buf[VU_RAW_MAX];
	struct pollfd p;
	struct world w;
	int pair[2], fds[64];
	uint32_t nb_fds;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[0] = STDIN_FILENO;
	fds[1] = pair[1];
	assert_int_equal(world_open(&w, json, true, fds, 2), 0);
	close(pair[1]);
	eat(&w, 1);
	p = (struct pollfd){ .fd = lm_vu_client_fd(w.client), .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	vu_raw_send(pair[0], buf, vu_raw_msg(buf, 5, 11, 0, 0,
			"0010000000000000 0300000000000000"), NULL, 0);
	assert_int_equal(poll(&p, 1, 0), 1);
	/* served while a request waits */
	script(&w, 1, 13, 1, 0, "", NULL, 0);
	assert_int_equal(lm_vu_client_reset(w.client), 0);
	assert_int_equal(vu_raw_recv(pair[0], buf, VU_RAW_MAX, fds, &nb_fds), 16 + 16 + 3);
	assert_int_equal(w.dma_reads, 1);
	/* on the wrong socket */
	script(&w, 1, 11, 0, 0, "0010000000000000 0300000000000000", NULL, 0);
	assert_int_equal(lm_vu_client_process(w.client), -EPROTO);
	assert_int_equal(w.dma_reads, 1);
	assert_int_equal(poll(&p, 1, 0), 1);
	close(pair[0]);
	w.fds_before -= 2; /* the pair was there */
	world_close(&w);
}

/* A server that takes nothing must not hold the caller longer than the timeout. */
static void
full_socket(void **state)
{
	struct world w;
	uint8_t *big = calloc(1, LM_VU_MAX_XFER);

	(void)state;
	assert_int_equal(world_open(&w, CAPS_FULL, false, NULL, 0), 0);
	alarm(10);
	assert_int_equal(lm_vu_client_region_write(w.client, 0, 0, big, LM_VU_MAX_XFER),
			-ETIMEDOUT);
	alarm(0);
	assert_int_equal(lm_vu_client_reset(w.client), -ENOTCONN);
	free(big);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_replies),
		cmocka_unit_test(caps),
		cmocka_unit_test(golden_requests),
		cmocka_unit_test(reply_table),
		cmocka_unit_test(many_irqs),
		cmocka_unit_test(truncated),
		cmocka_unit_test(server_commands),
		cmocka_unit_test(twin_socket),
		cmocka_unit_test(full_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
