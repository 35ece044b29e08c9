/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The client against anything that a server can answer. Input: records of { call u8, control u8,
 * length u16, payload }: before each call, a reply with this payload is put into the socket.
 * Control: bits 0-1 number of descriptors, bit 2 error reply, bit 3 wrong id, bit 4 a server's DMA
 * command goes before it, bit 5 raw bytes in its place. The first record answers the handshake
 * when its call is 0xff.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm_vu_client_priv.h"

#define MAX_PAYLOAD 1400u

static int mem_fd = -1;

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static int
dma_read(void *ctx, uint64_t iova, void *buf, uint32_t len_bytes)
{
	(void)ctx;
	check(len_bytes > 0 && len_bytes <= LM_VU_MAX_XFER);
	memset(buf, (int)iova, len_bytes);
	return 0;
}

static int
dma_write(void *ctx, uint64_t iova, const void *buf, uint32_t len_bytes)
{
	(void)ctx;
	check(len_bytes > 0 && len_bytes <= LM_VU_MAX_XFER);
	return ((const uint8_t *)buf)[len_bytes - 1] == (uint8_t)iova ? -EIO : 0;
}

static const struct lm_vu_client_ops ops = { dma_read, dma_write };

static int
do_info(struct lm_vu_client *c)
{
	uint32_t a, b, d;

	return lm_vu_client_device_info(c, &a, &b, &d);
}

static int
do_region(struct lm_vu_client *c)
{
	struct lm_vu_region_info info;
	uint32_t i;
	int ret = lm_vu_client_region_info(c, 1, &info);

	if (ret < 0)
		return ret;
	check(info.nb_areas <= LM_VU_MAX_AREAS && (info.nb_areas == 0) <= (info.fd >= -1));
	for (i = 0; i < info.nb_areas; i++)
		check(info.areas[i].offset <= info.size_bytes && info.areas[i].size_bytes <=
				info.size_bytes - info.areas[i].offset);
	if (info.fd >= 0)
		close(info.fd);
	return 0;
}

static int
do_io_fds(struct lm_vu_client *c)
{
	struct lm_vu_ioeventfd io[8];
	int i, ret = lm_vu_client_region_io_fds(c, 1, io, 8);

	check(ret <= 8);
	for (i = 0; i < ret; i++)
		check(close(io[i].fd) == 0);
	return ret;
}

static int
do_irq_info(struct lm_vu_client *c)
{
	uint32_t a, b;

	return lm_vu_client_irq_info(c, 2, &a, &b);
}

static int
do_set_irqs(struct lm_vu_client *c)
{
	return lm_vu_client_set_irqs(c, 2, 0, 1, &mem_fd);
}

static int
do_read(struct lm_vu_client *c)
{
	uint8_t buf[32];

	return lm_vu_client_region_read(c, 0, 8, buf, sizeof(buf));
}

static int
do_write(struct lm_vu_client *c)
{
	uint8_t buf[32] = { 0 };

	return lm_vu_client_region_write(c, 0, 8, buf, sizeof(buf));
}

static int
do_multi(struct lm_vu_client *c)
{
	const struct lm_vu_write w = { .offset = 1, .len_bytes = 4 };

	return lm_vu_client_region_write_multi(c, &w, 1);
}

static int
do_map(struct lm_vu_client *c)
{
	return lm_vu_client_dma_map(c, 0x1000, 0x1000, mem_fd, 0, 3);
}

static int
do_unmap(struct lm_vu_client *c)
{
	return lm_vu_client_dma_unmap(c, 0x1000, 0x1000);
}

static int
do_feature(struct lm_vu_client *c)
{
	uint8_t data[64];
	int ret = lm_vu_client_feature(c, LM_VU_FEATURE_GET | 1, data, 0, sizeof(data));

	check(ret <= (int)sizeof(data));
	return ret;
}

static int
do_state(struct lm_vu_client *c)
{
	uint32_t state;
	int ret = lm_vu_client_mig_state_get(c, &state);

	check(ret < 0 || state < LM_VU_STATE_MAX);
	return ret;
}

static int
do_mig_read(struct lm_vu_client *c)
{
	uint8_t buf[100];
	int ret = lm_vu_client_mig_read(c, buf, sizeof(buf));

	check(ret <= (int)sizeof(buf));
	return ret;
}

static int
do_precopy(struct lm_vu_client *c)
{
	uint64_t a, b;
	uint32_t f;

	return lm_vu_client_mig_precopy_info(c, &f, &a, &b);
}

static int
do_log_start(struct lm_vu_client *c)
{
	const struct lm_vu_range r = { 0, 0x10000 };
	uint64_t page = 4096;
	int ret = lm_vu_client_log_start(c, &r, 1, &page);

	check(ret < 0 || __builtin_popcountll(page) == 1);
	return ret;
}

static int
do_log_report(struct lm_vu_client *c)
{
	uint64_t bitmap[2];

	return lm_vu_client_log_report(c, 0, 128 * 4096, 4096, bitmap);
}

static const struct {
	uint16_t command;
	int (*fn)(struct lm_vu_client *c);
} calls[] = {
	{ LM_VU_DEVICE_GET_INFO, do_info }, { LM_VU_DEVICE_GET_REGION_INFO, do_region },
	{ LM_VU_DEVICE_GET_REGION_IO_FDS, do_io_fds }, { LM_VU_DEVICE_GET_IRQ_INFO, do_irq_info },
	{ LM_VU_DEVICE_SET_IRQS, do_set_irqs }, { LM_VU_REGION_READ, do_read },
	{ LM_VU_REGION_WRITE, do_write }, { LM_VU_REGION_WRITE_MULTI, do_multi },
	{ LM_VU_DMA_MAP, do_map }, { LM_VU_DMA_UNMAP, do_unmap },
	{ LM_VU_DEVICE_FEATURE, do_feature }, { LM_VU_DEVICE_FEATURE, do_state },
	{ LM_VU_MIG_DATA_READ, do_mig_read }, { LM_VU_MIG_GET_PRECOPY_INFO, do_precopy },
	{ LM_VU_DEVICE_FEATURE, do_log_start }, { LM_VU_DEVICE_FEATURE, do_log_report },
	{ LM_VU_DEVICE_RESET, lm_vu_client_reset }, { LM_VU_DEVICE_RESET, lm_vu_client_process },
};
#define NB_CALLS (sizeof(calls) / sizeof(calls[0]))

static void
send_bytes(int sock, const void *buf, size_t len, uint32_t nb_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 4)] = { 0 };
	const int fds[4] = { mem_fd, mem_fd, mem_fd, mem_fd };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nb_fds > 0 && len > 0) {
		struct cmsghdr *c;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nb_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nb_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nb_fds);
	}
	sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
send_message(int sock, uint16_t id, uint16_t command, uint32_t flags, const void *payload,
		size_t len, uint32_t nb_fds)
{
	uint8_t buf[sizeof(struct lm_vu_hdr) + MAX_PAYLOAD];
	const struct lm_vu_hdr hdr = {
		.msg_id = id, .command = command, .msg_size = (uint32_t)(sizeof(hdr) + len),
		.flags = flags, .error = (flags & LM_VU_F_ERROR) != 0 ? EINVAL : 0,
	};

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	send_bytes(sock, buf, sizeof(hdr) + len, nb_fds);
}

struct record {
	uint8_t call;
	uint8_t control;
	uint16_t len;
	const uint8_t *payload;
};

static bool
next(const uint8_t **data, size_t *size, struct record *r)
{
	if (*size < 4)
		return false;
	r->call = (*data)[0];
	r->control = (*data)[1];
	memcpy(&r->len, *data + 2, sizeof(r->len));
	*data += 4;
	*size -= 4;
	r->len %= MAX_PAYLOAD + 1;
	r->len = r->len < *size ? r->len : (uint16_t)*size;
	r->payload = *data;
	*data += r->len;
	*size -= r->len;
	return true;
}

static void
answer(int sock, uint16_t id, uint16_t command, const struct record *r)
{
	uint32_t flags = LM_VU_F_TYPE_REPLY | ((r->control & 4) != 0 ? LM_VU_F_ERROR : 0);

	if ((r->control & 0x10) != 0)
		send_message(sock, id, LM_VU_DMA_READ + (r->call & 1), 0, r->payload, r->len, 0);
	if ((r->control & 0x20) != 0)
		send_bytes(sock, r->payload, r->len, r->control & 3);
	else
		send_message(sock, id + ((r->control & 8) != 0), command, flags, r->payload, r->len,
				r->control & 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,"
			"\"write_multiple\":true,\"mig_precopy_info\":true}}";
	const struct lm_vu_client_conf conf = {
		.timeout_ms = 1, .offer_twin_socket = true, .ops = &ops,
	};
	struct lm_vu_client *c;
	struct record r;
	int pair[2];

	if (mem_fd < 0)
		mem_fd = memfd_create("fuzz", MFD_CLOEXEC);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	if (size >= 4 && data[0] == 0xff && next(&data, &size, &r))
		answer(pair[0], 0, LM_VU_VERSION, &r);
	else
		send_message(pair[0], 0, LM_VU_VERSION, LM_VU_F_TYPE_REPLY, version,
				sizeof(version), 0);
	if (lm_vu_client_adopt(pair[1], &conf, &c) == 0) {
		while (lm_vu_client_alive(c) && next(&data, &size, &r)) {
			answer(pair[0], c->next_id, calls[r.call % NB_CALLS].command, &r);
			calls[r.call % NB_CALLS].fn(c);
		}
		lm_vu_client_close(c);
	}
	close(pair[0]);
	return 0;
}
