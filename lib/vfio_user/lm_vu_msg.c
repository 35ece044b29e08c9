/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lm_vu_msg.h"

void
lm_vu_msg_clear(struct lm_vu_msg *msg)
{
	uint32_t i;

	for (i = 0; i < msg->nb_fds; i++)
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	msg->nb_fds = 0;
	free(msg->payload);
	msg->payload = NULL;
	msg->len_bytes = 0;
}

int
lm_vu_msg_take_fd(struct lm_vu_msg *msg, uint32_t i)
{
	int fd;

	if (i >= msg->nb_fds)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

int
lm_vu_hdr_check(const struct lm_vu_hdr *hdr)
{
	uint32_t type = hdr->flags & LM_VU_F_TYPE_MASK;

	if (hdr->msg_size < sizeof(*hdr) || hdr->msg_size > LM_VU_MAX_MSG)
		return -EPROTO;
	if (type != LM_VU_F_TYPE_COMMAND && type != LM_VU_F_TYPE_REPLY)
		return -EPROTO;
	if ((hdr->flags & ~LM_VU_F_KNOWN) != 0)
		return -EPROTO;
	return 0;
}

/* Descriptors beyond our array are closed: the message is dropped, but nothing leaks. */
static int
take_rights(struct lm_vu_msg *msg, struct msghdr *mh)
{
	struct cmsghdr *c;
	int ret = (mh->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		const uint8_t *data = CMSG_DATA(c);
		size_t i, n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
			if (msg->nb_fds < LM_VU_MAX_FDS) {
				msg->fds[msg->nb_fds++] = fd;
			} else {
				close(fd);
				ret = -EPROTO;
			}
		}
	}
	return ret;
}

/* Never asks for more than the current message: descriptors then belong to it without doubt. */
static int
recv_some(struct lm_vu_rx *rx, int sock, void *buf, uint32_t len_bytes)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * LM_VU_MAX_FDS)];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len_bytes };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n;
	int ret;

	do {
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	ret = take_rights(&rx->msg, &mh);
	return ret < 0 ? ret : (int)n;
}

static int
rx_header_done(struct lm_vu_rx *rx)
{
	int ret = lm_vu_hdr_check(&rx->msg.hdr);

	if (ret < 0)
		return ret;
	rx->msg.len_bytes = rx->msg.hdr.msg_size - (uint32_t)sizeof(rx->msg.hdr);
	if (rx->msg.len_bytes == 0)
		return 0;
	rx->msg.payload = malloc(rx->msg.len_bytes);
	return rx->msg.payload == NULL ? -ENOMEM : 0;
}

int
lm_vu_rx_step(struct lm_vu_rx *rx, int sock, struct lm_vu_msg *msg)
{
	const uint32_t hdr_bytes = sizeof(rx->msg.hdr);
	int ret;

	while (rx->have_bytes < hdr_bytes) {
		ret = recv_some(rx, sock, (uint8_t *)&rx->msg.hdr + rx->have_bytes,
				hdr_bytes - rx->have_bytes);
		if (ret <= 0)
			return ret;
		rx->have_bytes += (uint32_t)ret;
		if (rx->have_bytes == hdr_bytes) {
			ret = rx_header_done(rx);
			if (ret < 0)
				return ret;
		}
	}
	while (rx->have_bytes < rx->msg.hdr.msg_size) {
		ret = recv_some(rx, sock, rx->msg.payload + (rx->have_bytes - hdr_bytes),
				rx->msg.hdr.msg_size - rx->have_bytes);
		if (ret <= 0)
			return ret;
		rx->have_bytes += (uint32_t)ret;
	}
	*msg = rx->msg;
	memset(rx, 0, sizeof(*rx));
	return 1;
}

void
lm_vu_rx_clear(struct lm_vu_rx *rx)
{
	lm_vu_msg_clear(&rx->msg);
	memset(rx, 0, sizeof(*rx));
}

static void
put_rights(struct msghdr *mh, char *space, const int *fds, uint32_t nb_fds)
{
	struct cmsghdr *c;

	mh->msg_control = space;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * nb_fds);
	memset(space, 0, mh->msg_controllen);
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * nb_fds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * nb_fds);
}

int
lm_vu_tx_step(struct lm_vu_tx *tx, int sock)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * LM_VU_MAX_FDS)];
	} control;
	uint64_t total_bytes = sizeof(tx->hdr) + tx->iov[0].iov_len + tx->iov[1].iov_len;

	if (total_bytes > LM_VU_MAX_MSG || tx->nb_fds > LM_VU_MAX_FDS)
		return -EMSGSIZE;
	tx->hdr.msg_size = (uint32_t)total_bytes;
	while (tx->sent_bytes < total_bytes) {
		struct iovec iov[3] = {
			{ .iov_base = &tx->hdr, .iov_len = sizeof(tx->hdr) }, tx->iov[0], tx->iov[1]
		};
		struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 3 };
		size_t skip_bytes = tx->sent_bytes;
		ssize_t n;
		int i;

		for (i = 0; i < 3 && skip_bytes > 0; i++) {
			size_t cut_bytes =
				skip_bytes < iov[i].iov_len ? skip_bytes : iov[i].iov_len;

			iov[i].iov_len -= cut_bytes;
			if (iov[i].iov_len > 0)
				iov[i].iov_base = (uint8_t *)iov[i].iov_base + cut_bytes;
			skip_bytes -= cut_bytes;
		}
		/* Descriptors travel with the first byte, and only once. */
		if (tx->sent_bytes == 0 && tx->nb_fds > 0)
			put_rights(&mh, control.space, tx->fds, tx->nb_fds);
		n = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return errno == EPIPE ? -ECONNRESET : -errno;
		tx->sent_bytes += (uint32_t)n;
	}
	return 1;
}

int
lm_vu_tx(struct lm_vu_tx *tx, int sock, uint64_t deadline_ms)
{
	int ret;

	for (;;) {
		ret = lm_vu_tx_step(tx, sock);
		if (ret != 0)
			return ret < 0 ? ret : 0;
		ret = lm_vu_wait(sock, POLLOUT, -1, 0, deadline_ms);
		if (ret < 0)
			return ret;
	}
}

uint64_t
lm_vu_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int
lm_vu_wait(int sock0, short events0, int sock1, short events1, uint64_t deadline_ms)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = sock0, .events = events0 },
			{ .fd = sock1, .events = events1 },
		};
		uint64_t now_ms = lm_vu_now_ms();
		uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
		int n = poll(p, 2, left_ms > 60000 ? 60000 : (int)left_ms);

		if (n > 0)
			return (p[0].revents != 0) | (p[1].revents != 0) << 1;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (lm_vu_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
	}
}
