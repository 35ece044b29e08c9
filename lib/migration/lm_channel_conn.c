/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm_channel_pvt.h"
#include "lm_clock.h"

#define MAX_IOV 4u

int
lm_conn_create(int fd, struct lm_conn **conn)
{
	struct lm_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	if (lm_stream_parser_create(&c->parser) != 0) {
		free(c);
		return -ENOMEM;
	}
	c->fd = fd;
	pthread_mutex_init(&c->send_lock, NULL);
	*conn = c;
	return 0;
}

void
lm_conn_destroy(struct lm_conn *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	pthread_mutex_destroy(&c->send_lock);
	lm_stream_parser_destroy(c->parser);
	free(c);
}

/* Drop what was sent from the front. */
static void
consume(struct iovec **iov, size_t *nb, size_t bytes)
{
	size_t n;

	while (*nb > 0 && (bytes > 0 || (*iov)->iov_len == 0)) {
		n = bytes < (*iov)->iov_len ? bytes : (*iov)->iov_len;
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
		bytes -= n;
		if ((*iov)->iov_len != 0)
			break;
		(*iov)++;
		(*nb)--;
	}
}

static int
write_all(struct lm_conn *c, struct iovec *iov, size_t nb, uint64_t until_ns,
		const _Atomic bool *broken)
{
	struct msghdr msg = { 0 };
	ssize_t n;
	int ret;

	while (nb > 0) {
		if (broken != NULL && atomic_load(broken))
			return -ECANCELED;
		msg.msg_iov = iov;
		msg.msg_iovlen = nb;
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			atomic_fetch_add(&c->sent_bytes, (uint64_t)n);
			consume(&iov, &nb, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		ret = lm_socket_wait(c->fd, POLLOUT, until_ns);
		if (ret != 0)
			return ret;
	}
	return 0;
}

int
lm_conn_send_locked(struct lm_conn *c, uint16_t type, const struct iovec *iov, unsigned int nb,
		uint64_t until_ns, const _Atomic bool *broken)
{
	struct lm_stream_hdr stream;
	struct lm_record_hdr record;
	struct iovec all[MAX_IOV + 2];
	size_t n = 0;

	if (nb > MAX_IOV)
		return -EINVAL;
	if (!c->headed) {
		lm_stream_begin(&stream);
		all[n++] = (struct iovec){ &stream, sizeof(stream) };
		c->headed = true;
	}
	lm_stream_record(&c->writer, type, iov, nb, &record);
	all[n++] = (struct iovec){ &record, sizeof(record) };
	if (nb != 0)
		memcpy(&all[n], iov, nb * sizeof(*iov));
	return write_all(c, all, n + nb, until_ns, broken);
}

int
lm_conn_try(struct lm_conn *c, struct lm_record *rec)
{
	size_t space;
	ssize_t n;
	void *to;
	int ret;

	for (;;) {
		to = lm_stream_space(c->parser, &space);
		/* A parser that failed has no space, and its error to give again. */
		n = space == 0 ? 0 : recv(c->fd, to, space, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0 && space != 0)
			return -ECONNRESET;
		atomic_fetch_add(&c->received_bytes, (uint64_t)n);
		ret = lm_stream_advance(c->parser, (size_t)n, rec);
		if (ret != 0)
			return ret;
	}
}

int
lm_conn_recv(struct lm_conn *c, struct lm_record *rec, uint64_t until_ns)
{
	int ret;

	for (;;) {
		ret = lm_conn_try(c, rec);
		if (ret != 0)
			return ret > 0 ? 0 : ret;
		ret = lm_socket_wait(c->fd, POLLIN, until_ns);
		if (ret != 0)
			return ret;
	}
}
