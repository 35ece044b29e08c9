/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Wires over a UNIX SOCK_SEQPACKET socket: link (connects, and again after its peer's death) and
 * listen (accepts one peer at a time; a second one waits in the backlog, where its frames are
 * kept). A frame is a packet. The fd given to the caller is an epoll set, so that it outlives
 * each connection.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dm_wire_priv.h"

#define LINK_BACKLOG 8
#define LINK_BATCH 32
#define LINK_RETRY_NS 5000000ull
#define LINK_SOCKBUF_BYTES (8 << 20)

struct wire_link {
	struct dm_wire w;
	struct sockaddr_un addr;
	int listen_fd; /* -1: this side connects */
	int fd;        /* of the connection, or -1 */
	bool peer_gone; /* nothing can be sent; what it had sent is still to be read */
	uint64_t retry_ns; /* not before this time */
	uint32_t batch_next, batch_count;
	uint32_t batch_len[LINK_BATCH];
	uint8_t *batch; /* LINK_BATCH buffers of DM_FRAME_MAX */
	struct mmsghdr msgs[LINK_BATCH];
	struct iovec iovs[LINK_BATCH];
};

static void
link_use(struct wire_link *l, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	const int bytes = LINK_SOCKBUF_BYTES;

	/* Beyond the system's limit where we may, else up to it. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	ev.data.fd = fd;
	if (epoll_ctl(l->w.fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		return;
	}
	l->fd = fd;
	l->peer_gone = false;
}

static void
link_drop(struct wire_link *l)
{
	struct epoll_event ev = { .events = EPOLLIN };

	close(l->fd); /* leaves the epoll set by itself */
	l->fd = -1;
	l->peer_gone = false;
	if (l->listen_fd >= 0)
		epoll_ctl(l->w.fd, EPOLL_CTL_MOD, l->listen_fd, &ev);
}

static void
link_accept(struct wire_link *l)
{
	struct epoll_event ev = { .events = 0 };
	int fd;

	fd = accept4(l->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	link_use(l, fd);
	/* A second peer waits; it must not keep the caller awake. */
	if (l->fd >= 0)
		epoll_ctl(l->w.fd, EPOLL_CTL_MOD, l->listen_fd, &ev);
}

static void
link_connect(struct wire_link *l)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&l->addr, sizeof(l->addr)) < 0) {
		close(fd);
		return;
	}
	link_use(l, fd);
}

static void
link_tick(struct dm_wire *w, uint64_t now_ns)
{
	struct wire_link *l = (struct wire_link *)w;

	if (l->fd >= 0 || now_ns < l->retry_ns)
		return;
	if (l->listen_fd >= 0) {
		link_accept(l);
		return;
	}
	l->retry_ns = now_ns + LINK_RETRY_NS;
	link_connect(l);
}

static bool
link_up(const struct dm_wire *w)
{
	const struct wire_link *l = (const struct wire_link *)w;

	return l->fd >= 0 && !l->peer_gone;
}

static int
link_send(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr, const struct iovec *iov,
		int iovcnt, uint32_t len)
{
	struct wire_link *l = (struct wire_link *)w;
	const struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)iovcnt,
	};

	(void)hdr;
	(void)len;
	if (!link_up(w))
		return -ENOLINK;
	while (sendmsg(l->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
		case ENOBUFS:
		case ENOMEM:
			return -EAGAIN;
		case EMSGSIZE:
			return -EMSGSIZE;
		default:
			l->peer_gone = true;
			return -ENOLINK;
		}
	}
	return 0;
}

static int
link_receive(struct wire_link *l)
{
	int n, tries;

	/* ECONNRESET is told once, ahead of frames that the peer sent before it died. */
	for (tries = 0; tries < 3; tries++) {
		n = recvmmsg(l->fd, l->msgs, LINK_BATCH, MSG_DONTWAIT, NULL);
		if (n >= 0 || (errno != EINTR && errno != ECONNRESET))
			break;
		if (errno == ECONNRESET)
			l->peer_gone = true;
	}
	return n < 0 ? -errno : n;
}

static void
link_fill(struct wire_link *l)
{
	bool end = false;
	int i, n;

	l->batch_next = l->batch_count = 0;
	if (l->fd < 0)
		return;
	n = link_receive(l);
	for (i = 0; i < n && !end; i++) {
		if (l->msgs[i].msg_len == 0) {
			end = true;
		} else if ((l->msgs[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
			l->w.stats.rx_dropped_size++;
			l->batch_len[i] = 0;
		} else {
			l->batch_len[i] = l->msgs[i].msg_len;
		}
		if (!end)
			l->batch_count++;
	}
	if (end || (n < 0 && n != -EAGAIN && n != -EINTR))
		link_drop(l);
}

static uint32_t
link_peek(struct dm_wire *w, const uint8_t **frame)
{
	struct wire_link *l = (struct wire_link *)w;

	for (;;) {
		if (l->batch_next == l->batch_count) {
			link_fill(l);
			if (l->batch_count == 0)
				break;
		}
		if (l->batch_len[l->batch_next] != 0) {
			*frame = l->batch + (size_t)l->batch_next * DM_FRAME_MAX;
			return l->batch_len[l->batch_next];
		}
		l->batch_next++; /* was too long */
	}
	*frame = NULL;
	return 0;
}

static void
link_pop(struct dm_wire *w)
{
	((struct wire_link *)w)->batch_next++;
}

static void
link_close(struct dm_wire *w)
{
	struct wire_link *l = (struct wire_link *)w;

	if (l->fd >= 0)
		close(l->fd);
	if (l->listen_fd >= 0) {
		close(l->listen_fd);
		unlink(l->addr.sun_path);
	}
	if (l->w.fd >= 0)
		close(l->w.fd);
	free(l->batch);
	free(l);
}

static int
link_new(const char *path, struct wire_link **link)
{
	struct wire_link *l;
	int i, ret = -ENOMEM;

	if (strlen(path) >= sizeof(l->addr.sun_path))
		return -ENAMETOOLONG;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->fd = l->listen_fd = l->w.fd = -1;
	l->addr.sun_family = AF_UNIX;
	memcpy(l->addr.sun_path, path, strlen(path) + 1);
	l->batch = malloc((size_t)LINK_BATCH * DM_FRAME_MAX);
	if (l->batch == NULL)
		goto fail;
	for (i = 0; i < LINK_BATCH; i++) {
		l->iovs[i].iov_base = l->batch + (size_t)i * DM_FRAME_MAX;
		l->iovs[i].iov_len = DM_FRAME_MAX;
		l->msgs[i].msg_hdr.msg_iov = &l->iovs[i];
		l->msgs[i].msg_hdr.msg_iovlen = 1;
	}
	l->w.fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->w.fd < 0) {
		ret = -errno;
		goto fail;
	}
	*link = l;
	return 0;
fail:
	link_close(&l->w);
	return ret;
}

static int
link_open(const char *path, struct dm_wire **wire)
{
	struct wire_link *l;
	int ret = link_new(path, &l);

	if (ret < 0)
		return ret;
	link_connect(l); /* no peer yet is no error: tick tries again */
	*wire = &l->w;
	return 0;
}

/* A socket that nobody listens on is left over from a killed process. */
static void
unlink_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 &&
			errno == ECONNREFUSED)
		unlink(addr->sun_path);
	close(fd);
}

static int
listen_open(const char *path, struct dm_wire **wire)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct wire_link *l;
	int fd, ret;

	ret = link_new(path, &l);
	if (ret < 0)
		return ret;
	unlink_stale(&l->addr);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	if (bind(fd, (const struct sockaddr *)&l->addr, sizeof(l->addr)) < 0)
		goto fail_fd;
	l->listen_fd = fd; /* from here on close unlinks the path */
	if (listen(fd, LINK_BACKLOG) < 0)
		goto fail;
	ev.data.fd = fd;
	if (epoll_ctl(l->w.fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		goto fail;
	*wire = &l->w;
	return 0;
fail_fd:
	ret = -errno;
	close(fd);
	link_close(&l->w);
	return ret;
fail:
	ret = -errno;
	link_close(&l->w);
	return ret;
}

const struct dm_wire_ops dm_wire_link_ops = {
	.name = "link",
	.separator = ':',
	.open = link_open,
	.close = link_close,
	.link_up = link_up,
	.send = link_send,
	.peek = link_peek,
	.pop = link_pop,
	.tick = link_tick,
};

const struct dm_wire_ops dm_wire_listen_ops = {
	.name = "listen",
	.separator = ':',
	.open = listen_open,
	.close = link_close,
	.link_up = link_up,
	.send = link_send,
	.peek = link_peek,
	.pop = link_pop,
	.tick = link_tick,
};
