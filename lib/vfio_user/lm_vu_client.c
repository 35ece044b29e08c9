/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lm_vu_client_priv.h"
#include "lm_vu_version.h"

#define DEFAULT_TIMEOUT_MS 5000u

/* The sockets stay open until close(): a poller sees the hang-up, and no descriptor is re-used. */
static int
lost(struct lm_vu_client *c, int err)
{
	atomic_store(&c->alive, false);
	shutdown(c->sock, SHUT_RDWR);
	if (c->twin >= 0)
		shutdown(c->twin, SHUT_RDWR);
	lm_vu_rx_clear(&c->rx);
	lm_vu_rx_clear(&c->twin_rx);
	return err;
}

/* Answer a DMA command of the server. reply_data has room for the count that a READ asks for. */
static int
dma_command(struct lm_vu_client *c, const struct lm_vu_msg *cmd, const struct lm_vu_dma_access *acc,
		uint8_t *reply_data)
{
	if (cmd->hdr.command == LM_VU_DMA_READ) {
		if (c->ops == NULL || c->ops->dma_read == NULL ||
				cmd->len_bytes != sizeof(*acc))
			return -EINVAL;
		return c->ops->dma_read(c->ctx, acc->addr, reply_data, (uint32_t)acc->count);
	}
	if (c->ops == NULL || c->ops->dma_write == NULL ||
			cmd->len_bytes - sizeof(*acc) != acc->count)
		return -EINVAL;
	return c->ops->dma_write(c->ctx, acc->addr, cmd->payload + sizeof(*acc),
			(uint32_t)acc->count);
}

static int
serve(struct lm_vu_client *c, int sock, const struct lm_vu_msg *cmd)
{
	bool is_read = cmd->hdr.command == LM_VU_DMA_READ;
	struct lm_vu_dma_access acc = { 0 };
	uint8_t *data = NULL;
	struct lm_vu_tx tx = {
		.hdr = {
			.msg_id = cmd->hdr.msg_id, .command = cmd->hdr.command,
			.flags = LM_VU_F_TYPE_REPLY,
		},
	};
	int ret = -EINVAL;

	if ((is_read || cmd->hdr.command == LM_VU_DMA_WRITE) && cmd->len_bytes >= sizeof(acc)) {
		memcpy(&acc, cmd->payload, sizeof(acc));
		if (acc.count != 0 && acc.count <= LM_VU_MAX_XFER) {
			data = is_read ? calloc(1, acc.count) : NULL;
			ret = is_read && data == NULL ? -ENOMEM : dma_command(c, cmd, &acc, data);
		}
	}
	if (ret < 0) {
		tx.hdr.flags |= LM_VU_F_ERROR;
		tx.hdr.error = (uint32_t)-ret;
	} else {
		tx.iov[0] = (struct iovec){ .iov_base = &acc, .iov_len = sizeof(acc) };
		tx.iov[1] = (struct iovec){ .iov_base = data, .iov_len = data ? acc.count : 0 };
	}
	ret = 0;
	if ((cmd->hdr.flags & LM_VU_F_NO_REPLY) == 0)
		ret = lm_vu_tx(&tx, sock, lm_vu_now_ms() + c->timeout_ms);
	free(data);
	return ret;
}

/*
 * Take what one socket has. 1: *reply is a reply; 0: nothing (more) to do; -errno: lost.
 */
static int
take(struct lm_vu_client *c, bool is_twin, struct lm_vu_msg *reply)
{
	int sock = is_twin ? c->twin : c->sock;
	struct lm_vu_msg msg;
	int ret;

	for (;;) {
		ret = lm_vu_rx_step(is_twin ? &c->twin_rx : &c->rx, sock, &msg);
		if (ret <= 0)
			return ret;
		if ((msg.hdr.flags & LM_VU_F_TYPE_MASK) == LM_VU_F_TYPE_REPLY) {
			if (!is_twin && reply != NULL) {
				*reply = msg;
				return 1;
			}
			ret = -EPROTO;
		} else {
			/* In twin mode the main socket carries replies only. */
			ret = c->twin >= 0 && !is_twin ? -EPROTO : serve(c, sock, &msg);
		}
		lm_vu_msg_clear(&msg);
		if (ret < 0)
			return ret;
	}
}

/* While our message does not fit into the socket the server may be waiting for us on the twin. */
static int
send_request(struct lm_vu_client *c, struct lm_vu_tx *tx, uint64_t deadline_ms)
{
	int ret;

	for (;;) {
		ret = lm_vu_tx_step(tx, c->sock);
		if (ret != 0)
			return ret < 0 ? ret : 0;
		ret = lm_vu_wait(c->sock, POLLOUT, c->twin, POLLIN, deadline_ms);
		if (ret > 0 && (ret & 2) != 0)
			ret = take(c, true, NULL);
		if (ret < 0)
			return ret;
	}
}

static int
await_reply(struct lm_vu_client *c, struct lm_vu_msg *reply, uint64_t deadline_ms)
{
	int ret;

	for (;;) {
		ret = lm_vu_wait(c->sock, POLLIN, c->twin, POLLIN, deadline_ms);
		if (ret < 0)
			return ret;
		if ((ret & 2) != 0) {
			int err = take(c, true, NULL);

			if (err < 0)
				return err;
		}
		if ((ret & 1) != 0) {
			ret = take(c, false, reply);
			if (ret != 0)
				return ret < 0 ? ret : 0;
		}
	}
}

/* 0, -EPROTO, or with *refused what the server said. */
static int
reply_check(const struct lm_vu_req *req, uint16_t id, const struct lm_vu_msg *reply, int *refused)
{
	*refused = 0;
	if (reply->hdr.msg_id != id || reply->hdr.command != req->command)
		return -EPROTO;
	if ((reply->hdr.flags & LM_VU_F_ERROR) != 0) {
		*refused = reply->hdr.error >= 1 && reply->hdr.error < LM_VU_MAX_ERRNO ?
				-(int)reply->hdr.error : -EIO;
		return 0;
	}
	if (reply->len_bytes < req->min_reply_bytes || reply->len_bytes > req->max_reply_bytes)
		return -EPROTO;
	return 0;
}

static int
call_locked(struct lm_vu_client *c, const struct lm_vu_req *req, struct lm_vu_msg *reply)
{
	uint64_t deadline_ms = lm_vu_now_ms() + c->timeout_ms;
	struct lm_vu_tx tx = {
		.hdr = {
			.msg_id = c->next_id++, .command = req->command,
			.flags = LM_VU_F_TYPE_COMMAND | (req->no_reply ? LM_VU_F_NO_REPLY : 0),
		},
		/* sendmsg() only reads */
		.iov[0] = { (void *)(uintptr_t)req->fixed, req->fixed_bytes },
		.iov[1] = { (void *)(uintptr_t)req->data, req->data_bytes },
		.fds = req->fds,
		.nb_fds = req->nb_fds,
	};
	int refused, ret;

	if (!atomic_load(&c->alive))
		return -ENOTCONN;
	ret = send_request(c, &tx, deadline_ms);
	if (ret == -EMSGSIZE && tx.sent_bytes == 0)
		return ret;
	if (ret < 0)
		return lost(c, ret);
	if (req->no_reply)
		return 0;
	ret = await_reply(c, reply, deadline_ms);
	if (ret < 0)
		return lost(c, ret);
	ret = reply_check(req, tx.hdr.msg_id, reply, &refused);
	if (ret < 0 || refused < 0)
		lm_vu_msg_clear(reply);
	return ret < 0 ? lost(c, ret) : refused;
}

int
lm_vu_client_call(struct lm_vu_client *c, const struct lm_vu_req *req, struct lm_vu_msg *reply)
{
	struct lm_vu_msg ignored;
	int ret;

	pthread_mutex_lock(&c->lock);
	ret = call_locked(c, req, reply != NULL ? reply : &ignored);
	pthread_mutex_unlock(&c->lock);
	if (ret == 0 && reply == NULL && !req->no_reply)
		lm_vu_msg_clear(&ignored);
	return ret;
}

int
lm_vu_client_reject(struct lm_vu_client *c)
{
	pthread_mutex_lock(&c->lock);
	lost(c, 0);
	pthread_mutex_unlock(&c->lock);
	return -EPROTO;
}

int
lm_vu_client_process(struct lm_vu_client *c)
{
	int ret = -ENOTCONN;

	pthread_mutex_lock(&c->lock);
	if (atomic_load(&c->alive)) {
		ret = c->twin >= 0 ? take(c, true, NULL) : 0;
		if (ret == 0)
			ret = take(c, false, NULL);
		if (ret < 0)
			lost(c, ret);
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static int
watch(struct lm_vu_client *c, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(c->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* What the server answered against what we offered. */
static int
settle(struct lm_vu_client *c, const struct lm_vu_offer *ours, struct lm_vu_msg *reply)
{
	struct lm_vu_offer theirs;

	if (lm_vu_offer_parse(reply->payload, reply->len_bytes, &theirs) < 0 ||
			theirs.major != ours->major || theirs.minor > ours->minor)
		return -EPROTO;
	if (theirs.caps.twin_socket) {
		if (!ours->caps.twin_socket || theirs.twin_fd_index < 0)
			return -EPROTO;
		c->twin = lm_vu_msg_take_fd(reply, (uint32_t)theirs.twin_fd_index);
		if (c->twin < 0 || fcntl(c->twin, F_SETFL, O_NONBLOCK) < 0)
			return -EPROTO;
	}
	c->caps = theirs.caps;
	if (c->caps.max_data_xfer_bytes > LM_VU_MAX_XFER)
		c->caps.max_data_xfer_bytes = LM_VU_MAX_XFER;
	if (c->caps.max_msg_fds > LM_VU_MAX_FDS)
		c->caps.max_msg_fds = LM_VU_MAX_FDS;
	return c->twin >= 0 ? watch(c, c->twin) : 0;
}

static int
handshake(struct lm_vu_client *c, bool offer_twin)
{
	struct lm_vu_offer ours;
	struct lm_vu_msg reply;
	uint32_t len_bytes = 0;
	uint8_t *payload;
	int ret;

	lm_vu_offer_ours(&ours);
	ours.caps.twin_socket = offer_twin;
	payload = lm_vu_offer_format(&ours, &len_bytes);
	if (payload == NULL)
		return -ENOMEM;
	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_VERSION, .fixed = payload, .fixed_bytes = len_bytes,
		.min_reply_bytes = sizeof(struct lm_vu_version),
		.max_reply_bytes = sizeof(struct lm_vu_version) + LM_VU_JSON_MAX,
	}, &reply);
	free(payload);
	if (ret < 0)
		return ret;
	ret = settle(c, &ours, &reply);
	lm_vu_msg_clear(&reply);
	return ret;
}

int
lm_vu_client_adopt(int sock, const struct lm_vu_client_conf *conf, struct lm_vu_client **client)
{
	struct lm_vu_client *c = calloc(1, sizeof(*c));
	int ret;

	if (c == NULL) {
		close(sock);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->sock = sock;
	c->twin = -1;
	c->timeout_ms = DEFAULT_TIMEOUT_MS;
	if (conf != NULL) {
		c->ops = conf->ops;
		c->ctx = conf->ctx;
		c->timeout_ms = conf->timeout_ms != 0 ? conf->timeout_ms : DEFAULT_TIMEOUT_MS;
	}
	c->caps.max_data_xfer_bytes = LM_VU_MAX_XFER;
	atomic_init(&c->alive, true);
	c->epfd = epoll_create1(EPOLL_CLOEXEC);
	ret = c->epfd < 0 ? -errno : watch(c, sock);
	if (ret == 0)
		ret = handshake(c, conf != NULL && conf->offer_twin_socket);
	if (ret < 0) {
		lm_vu_client_close(c);
		return ret;
	}
	*client = c;
	return 0;
}

int
lm_vu_client_connect(const char *path, const struct lm_vu_client_conf *conf,
		struct lm_vu_client **client)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	/* Non-blocking: a server with a full queue gives -EAGAIN instead of a wait without end. */
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		close(sock);
		return ret;
	}
	return lm_vu_client_adopt(sock, conf, client);
}

void
lm_vu_client_close(struct lm_vu_client *c)
{
	if (c == NULL)
		return;
	lm_vu_rx_clear(&c->rx);
	lm_vu_rx_clear(&c->twin_rx);
	if (c->epfd >= 0)
		close(c->epfd);
	if (c->twin >= 0)
		close(c->twin);
	close(c->sock);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int
lm_vu_client_fd(const struct lm_vu_client *c)
{
	return c->epfd;
}

bool
lm_vu_client_alive(const struct lm_vu_client *c)
{
	return atomic_load(&c->alive);
}

const struct lm_vu_caps *
lm_vu_client_caps(const struct lm_vu_client *c)
{
	return &c->caps;
}
