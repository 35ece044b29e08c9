/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_cycles.h>
#include <xxhash.h>

#include "pds_cold.h"

static uint64_t
now_ms(void)
{
	return rte_get_timer_cycles() / (rte_get_timer_hz() / 1000);
}

static int
wait_for(int fd, short events, uint64_t end_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now = now_ms();
	int ret;

	ret = poll(&p, 1, now < end_ms ? (int)(end_ms - now) : 0);
	return ret > 0 ? 0 : ret == 0 ? -ETIMEDOUT : -errno;
}

static int
move(int fd, void *data, size_t len, bool out, uint64_t end_ms)
{
	uint8_t *at = data;
	ssize_t n;
	int ret;

	while (len != 0) {
		ret = wait_for(fd, out ? POLLOUT : POLLIN, end_ms);
		if (ret != 0)
			return ret;
		n = out ? send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT) :
				recv(fd, at, len, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int
pds_cold_send(int fd, enum pds_cold_type type, const void *body, uint32_t len_bytes)
{
	const uint64_t end_ms = now_ms() + PDS_COLD_DEADLINE_MS;
	struct pds_cold_hdr hdr = {
		.magic = PDS_COLD_MAGIC,
		.type = type,
		.len_bytes = len_bytes,
		.checksum = XXH3_64bits(body, len_bytes),
	};
	int ret;

	ret = move(fd, &hdr, sizeof(hdr), true, end_ms);
	return ret == 0 ? move(fd, (void *)(uintptr_t)body, len_bytes, true, end_ms) : ret;
}

int
pds_cold_recv(int fd, enum pds_cold_type *type, void *body, uint32_t *len_bytes)
{
	const uint64_t end_ms = now_ms() + PDS_COLD_DEADLINE_MS;
	struct pds_cold_hdr hdr;
	int ret;

	ret = move(fd, &hdr, sizeof(hdr), false, end_ms);
	if (ret != 0)
		return ret;
	if (hdr.magic != PDS_COLD_MAGIC || hdr.len_bytes > *len_bytes)
		return -EPROTO;
	ret = move(fd, body, hdr.len_bytes, false, end_ms);
	if (ret == 0 && XXH3_64bits(body, hdr.len_bytes) != hdr.checksum)
		ret = -EBADMSG;
	*type = (enum pds_cold_type)hdr.type;
	*len_bytes = hdr.len_bytes;
	return ret;
}
