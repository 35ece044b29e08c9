/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vu_raw.h"

uint32_t
vu_hex(const char *text, uint8_t *out, uint32_t max)
{
	uint32_t n = 0;

	while (*text != '\0') {
		char pair[3] = { 0 };

		if (isspace((unsigned char)*text)) {
			text++;
			continue;
		}
		memcpy(pair, text, 2);
		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]) ||
				n == max)
			abort();
		out[n++] = (uint8_t)strtoul(pair, NULL, 16);
		text += 2;
	}
	return n;
}

void
vu_raw_send(int sock, const void *buf, uint32_t len_bytes, const int *fds, uint32_t nb_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 253)] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len_bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nb_fds > 0) {
		struct cmsghdr *c;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nb_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nb_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nb_fds);
	}
	if (sendmsg(sock, &mh, MSG_NOSIGNAL) != (ssize_t)len_bytes)
		abort();
}

int
vu_raw_recv(int sock, uint8_t *buf, uint32_t max, int *fds, uint32_t *nb_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 64)];
	struct iovec iov = { .iov_base = buf, .iov_len = 16 };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	uint32_t size;
	ssize_t n;

	*nb_fds = 0;
	n = recvmsg(sock, &mh, MSG_DONTWAIT);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? 0 : -errno;
	c = CMSG_FIRSTHDR(&mh);
	if (c != NULL) {
		*nb_fds = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *nb_fds * sizeof(int));
	}
	memcpy(&size, buf + 4, sizeof(size));
	if (n != 16 || size < 16 || size > max)
		abort();
	if (size > 16 && recv(sock, buf + 16, size - 16, MSG_DONTWAIT) != (ssize_t)size - 16)
		abort();
	return (int)size;
}

uint32_t
vu_raw_msg(uint8_t *out, uint16_t id, uint16_t command, uint32_t flags, uint32_t error,
		const char *payload)
{
	uint32_t size = 16 + vu_hex(payload, out + 16, VU_RAW_MAX - 16);

	memcpy(out, &id, 2);
	memcpy(out + 2, &command, 2);
	memcpy(out + 4, &size, 4);
	memcpy(out + 8, &flags, 4);
	memcpy(out + 12, &error, 4);
	return size;
}

uint32_t
vu_raw_version(uint8_t *out, uint16_t id, uint32_t flags, uint16_t major, uint16_t minor,
		const char *json)
{
	uint32_t size = 20;

	vu_raw_msg(out, id, 1, flags, 0, "");
	memcpy(out + 16, &major, 2);
	memcpy(out + 18, &minor, 2);
	if (json != NULL) {
		memcpy(out + 20, json, strlen(json) + 1);
		size += (uint32_t)strlen(json) + 1;
	}
	memcpy(out + 4, &size, 4);
	return size;
}
