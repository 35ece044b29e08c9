/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The server against anything that a client can send. Input: a byte (bit 0: skip the handshake),
 * then records of { command u8, control u8, length u16, payload }. Control: bits 0-1 number of
 * descriptors, bit 2 NO_REPLY, bit 3 the record is raw bytes, bits 4-5 message type.
 * The device behind it traps when the server lets something through that it promises to check.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm_vu_server_priv.h"

#define BAR_BYTES 0x3000u
#define MAX_PAYLOAD 700u

static struct lm_vu_server *server;
static int mem_fd, event_fd;
static uint32_t mapped;

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static int
region_read(void *ctx, uint32_t region, uint64_t offset, void *buf, uint32_t len_bytes)
{
	(void)ctx;
	check(region <= 1 && len_bytes > 0 && len_bytes <= BAR_BYTES &&
			offset <= BAR_BYTES - len_bytes);
	memset(buf, 0x5a, len_bytes);
	return (offset & 1) != 0 ? -EIO : 0;
}

/* Writes make the device do DMA and interrupts with addresses of the client's choice. */
static int
region_write(void *ctx, uint32_t region, uint64_t offset, const void *buf, uint32_t len_bytes)
{
	uint8_t data[64] = { 0 };
	uint64_t iova = 0, span = UINT64_MAX;
	uint8_t *p;

	(void)ctx;
	check(region <= 1 && len_bytes > 0 && len_bytes <= BAR_BYTES &&
			offset <= BAR_BYTES - len_bytes);
	memcpy(&iova, buf, len_bytes < 8 ? len_bytes : 8);
	if (offset == 8)
		return lm_vu_server_dma_read(server, iova, data, sizeof(data));
	if (offset == 16)
		return lm_vu_server_dma_write(server, iova, data, sizeof(data));
	p = lm_vu_server_dma_ptr(server, iova, 16, LM_VU_PROT_WRITE);
	if (p != NULL)
		memset(p, 1, 16);
	p = lm_vu_server_dma_span(server, iova, &span, LM_VU_PROT_READ);
	if (p != NULL)
		*(volatile uint8_t *)&data[0] = p[span - 1];
	lm_vu_server_irq_trigger(server, (uint32_t)offset, (uint32_t)iova);
	return 0;
}

static int
reset(void *ctx)
{
	(void)ctx;
	return 0;
}

static void
dma_mapped(void *ctx, uint64_t iova, uint64_t size_bytes, uint32_t prot)
{
	(void)ctx;
	check(size_bytes > 0 && iova + (size_bytes - 1) >= iova && prot >= 1 && prot <= 3);
	mapped++;
}

static void
dma_unmapping(void *ctx, uint64_t iova, uint64_t size_bytes)
{
	(void)ctx;
	check(size_bytes > 0 && iova + (size_bytes - 1) >= iova && mapped > 0);
	mapped--;
}

static uint64_t
mig_flags(void *ctx)
{
	(void)ctx;
	return 5;
}

static int
mig_state_get(void *ctx, uint32_t *state)
{
	(void)ctx;
	*state = 2;
	return 0;
}

static int
mig_state_set(void *ctx, uint32_t state)
{
	(void)ctx;
	check(state >= 1 && state <= 6 && state != 5);
	return 0;
}

static int
mig_read(void *ctx, void *buf, uint32_t len_bytes)
{
	(void)ctx;
	check(len_bytes <= LM_VU_MAX_XFER);
	len_bytes = len_bytes < 256 ? len_bytes : 256;
	memset(buf, 7, len_bytes);
	return (int)len_bytes;
}

static int
mig_write(void *ctx, const void *buf, uint32_t len_bytes)
{
	uint32_t i, sum = 0;

	(void)ctx;
	for (i = 0; i < len_bytes; i++)
		sum += ((const uint8_t *)buf)[i];
	return sum == 1 ? -EIO : 0;
}

static int
mig_precopy_info(void *ctx, uint32_t *flags, uint64_t *initial, uint64_t *dirty)
{
	(void)ctx;
	*flags = 0;
	*initial = *dirty = 1;
	return 0;
}

static int
log_start(void *ctx, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	uint32_t i;

	(void)ctx;
	check(nb_ranges <= 256 && __builtin_popcountll(*page_size_bytes) == 1);
	for (i = 0; i < nb_ranges; i++)
		check(ranges[i].length_bytes > 0 &&
				(ranges[i].iova & (*page_size_bytes - 1)) == 0);
	return 0;
}

static int
log_stop(void *ctx)
{
	(void)ctx;
	return 0;
}

static int
log_report(void *ctx, uint64_t iova, uint64_t length_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	uint64_t words = lm_vu_bitmap_bytes(length_bytes, page_size_bytes) / 8;

	(void)ctx;
	check(length_bytes > 0 && iova + (length_bytes - 1) >= iova);
	if (words > 8192)
		return -EINVAL;
	bitmap[0] = bitmap[words - 1] = 1;
	return 0;
}

static const struct lm_vu_server_ops ops = {
	.region_read = region_read, .region_write = region_write, .reset = reset,
	.dma_mapped = dma_mapped, .dma_unmapping = dma_unmapping,
	.mig_flags = mig_flags, .mig_state_get = mig_state_get, .mig_state_set = mig_state_set,
	.mig_read = mig_read, .mig_write = mig_write, .mig_precopy_info = mig_precopy_info,
	.log_start = log_start, .log_stop = log_stop, .log_report = log_report,
};

static void
start(void)
{
	static char dir[] = "/tmp/lm-fuzz-XXXXXX", path[64];
	const struct lm_vu_area area = { .offset = 0x1000, .size_bytes = 0x1000 };
	const uint32_t rw = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	struct lm_vu_ioeventfd io = { .offset = 0x1000, .size_bytes = 4 };
	struct lm_vu_server_conf conf = {
		.path = path, .ops = &ops, .max_dma_maps = 5,
		.irq_counts = { 1, 0, 5, 1, 0 },
	};

	mem_fd = memfd_create("fuzz", MFD_CLOEXEC);
	io.fd = event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(ftruncate(mem_fd, 0x10000) == 0 && mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/s", dir);
	conf.regions[0] = (struct lm_vu_region_conf){
		.size_bytes = BAR_BYTES, .flags = rw, .fd = -1 };
	conf.regions[1] = (struct lm_vu_region_conf){
		.size_bytes = BAR_BYTES, .flags = rw | LM_VU_REGION_F_MMAP, .fd = mem_fd,
		.areas = &area, .nb_areas = 1, .ioeventfds = &io, .nb_ioeventfds = 1 };
	check(lm_vu_server_create(&conf, &server) == 0);
	unlink(path);
	rmdir(dir);
}

static void
send_bytes(int sock, const void *buf, size_t len, uint32_t nb_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 4)] = { 0 };
	const int fds[4] = { mem_fd, event_fd, mem_fd, mem_fd };
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
send_message(int sock, uint16_t command, uint8_t control, const void *payload, size_t len)
{
	uint8_t buf[sizeof(struct lm_vu_hdr) + MAX_PAYLOAD];
	const struct lm_vu_hdr hdr = {
		.command = command, .msg_size = (uint32_t)(sizeof(hdr) + len),
		.flags = (control >> 4 & 3u) | ((control & 4) != 0 ? LM_VU_F_NO_REPLY : 0),
	};

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), payload, len);
	send_bytes(sock, buf, sizeof(hdr) + len, control & 3);
}

static void
send_input(int sock, const uint8_t *data, size_t size)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,"
			"\"write_multiple\":true,\"mig_precopy_info\":true}}";

	if (size > 0 && (data[0] & 1) == 0)
		send_message(sock, LM_VU_VERSION, 0, version, sizeof(version));
	for (data++; size > 4; ) {
		uint16_t len;

		memcpy(&len, data + 2, sizeof(len));
		size -= 5;
		len %= MAX_PAYLOAD + 1;
		len = len < size ? len : (uint16_t)size;
		if ((data[1] & 8) != 0)
			send_bytes(sock, data + 4, len, data[1] & 3);
		else
			send_message(sock, data[0], data[1], data + 4, len);
		data += 4 + len;
		size = size - len + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t sink[1 << 16];
	const int big = 8 << 20;
	int pair[2];

	if (server == NULL)
		start();
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	check(lm_vu_srv_adopt(server, pair[0]) == 0);
	if (size > 0)
		send_input(pair[1], data, size);
	/* The end of the stream is there already: nothing waits for more. */
	shutdown(pair[1], SHUT_WR);
	while (server->conn.sock >= 0) {
		check(lm_vu_server_process(server) >= 0);
		while (recv(pair[1], sink, sizeof(sink), 0) > 0)
			;
	}
	close(pair[1]);
	check(mapped == 0);
	return 0;
}
