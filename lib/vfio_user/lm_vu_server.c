/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lm_vu_server_priv.h"
#include "lm_vu_version.h"

#define DEFAULT_DMA_MAPS 1024u
#define MAX_DMA_MAPS 65535u
#define MAX_PER_CALL 64 /* messages in one call of process() */

static const struct {
	uint32_t min_bytes; /* of payload */
	uint32_t max_fds;
	lm_vu_handler fn;
} handlers[LM_VU_COMMAND_MAX] = {
	[LM_VU_DMA_MAP] = { sizeof(struct lm_vu_dma_map), 1, lm_vu_srv_dma_map },
	[LM_VU_DMA_UNMAP] = { sizeof(struct lm_vu_dma_unmap), 0, lm_vu_srv_dma_unmap },
	[LM_VU_DEVICE_GET_INFO] = { sizeof(struct lm_vu_device_info), 0, lm_vu_srv_device_info },
	[LM_VU_DEVICE_GET_REGION_INFO] = {
		sizeof(struct lm_vu_wire_region_info), 0, lm_vu_srv_region_info },
	[LM_VU_DEVICE_GET_REGION_IO_FDS] = {
		sizeof(struct lm_vu_io_fds), 0, lm_vu_srv_region_io_fds },
	[LM_VU_DEVICE_GET_IRQ_INFO] = { sizeof(struct lm_vu_irq_info), 0, lm_vu_srv_irq_info },
	[LM_VU_DEVICE_SET_IRQS] = {
		sizeof(struct lm_vu_irq_set), LM_VU_MAX_FDS, lm_vu_srv_set_irqs },
	[LM_VU_REGION_READ] = { sizeof(struct lm_vu_region_access), 0, lm_vu_srv_region_read },
	[LM_VU_REGION_WRITE] = { sizeof(struct lm_vu_region_access), 0, lm_vu_srv_region_write },
	[LM_VU_DEVICE_RESET] = { 0, 0, lm_vu_srv_reset },
	[LM_VU_REGION_WRITE_MULTI] = { sizeof(uint64_t), 0, lm_vu_srv_write_multi },
	[LM_VU_DEVICE_FEATURE] = { sizeof(struct lm_vu_feature), 0, lm_vu_srv_feature },
	[LM_VU_MIG_DATA_READ] = { sizeof(struct lm_vu_mig_data), 0, lm_vu_srv_mig_read },
	[LM_VU_MIG_DATA_WRITE] = { sizeof(struct lm_vu_mig_data), 0, lm_vu_srv_mig_write },
	[LM_VU_MIG_GET_PRECOPY_INFO] = { 8, 0, lm_vu_srv_precopy_info },
};

static int
watch_for(struct lm_vu_server *s, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(s->epfd, op, fd, &ev) < 0 ? -errno : 0;
}

static int
watch(struct lm_vu_server *s, int op, int fd)
{
	return watch_for(s, op, fd, EPOLLIN);
}

static void
wake(struct lm_vu_server *s)
{
	eventfd_write(s->wake, 1);
}

void
lm_vu_srv_break(struct lm_vu_server *s, const char *why)
{
	if (s->conn.sock < 0 || s->conn.broken != NULL)
		return;
	s->conn.broken = why;
	shutdown(s->conn.sock, SHUT_RDWR);
	wake(s);
}

void
lm_vu_srv_carried_out(struct lm_vu_server *s, uint16_t command)
{
	if (s->ops->carried_out != NULL)
		s->ops->carried_out(s->ctx, command);
}

static int
send_reply(struct lm_vu_server *s, const struct lm_vu_hdr *cmd, struct lm_vu_reply *reply, int err)
{
	struct lm_vu_tx tx = {
		.hdr = {
			.msg_id = cmd->msg_id, .command = cmd->command,
			.flags = LM_VU_F_TYPE_REPLY | (err < 0 ? LM_VU_F_ERROR : 0),
			.error = err < 0 ? (uint32_t)-err : 0,
		},
	};

	if (err == 0) {
		tx.iov[0].iov_base = reply->buf;
		tx.iov[0].iov_len = reply->len_bytes;
		tx.fds = reply->fds;
		tx.nb_fds = reply->nb_fds;
	}
	return lm_vu_tx(&tx, s->conn.sock, lm_vu_now_ms() + LM_VU_SERVER_WAIT_MS);
}

/* The reply is a subset of the client's offer; twin_peer is the client's end of the socket pair. */
int
lm_vu_srv_version(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply,
		int *twin_peer)
{
	struct lm_vu_offer theirs, ours;
	struct lm_vu_caps *c = &ours.caps;
	uint8_t *payload;
	int pair[2];

	if (msg->nb_fds != 0 || lm_vu_offer_parse(msg->payload, msg->len_bytes, &theirs) < 0 ||
			theirs.major != LM_VU_MAJOR)
		return -EINVAL;
	lm_vu_offer_ours(&ours);
	if (theirs.minor < ours.minor)
		ours.minor = c->minor = theirs.minor;
	c->max_dma_maps = s->conf.max_dma_maps;
	c->iova_bits = s->conf.iova_bits;
	c->write_multiple &= theirs.caps.write_multiple;
	c->mig_precopy_info = theirs.caps.mig_precopy_info && s->ops->mig_precopy_info != NULL;
	c->mig_data_size = theirs.caps.mig_data_size && s->ops->mig_data_size != NULL;
	if (!s->has_migration || theirs.caps.mig_pgsize == 0)
		c->mig_pgsize = 0;
	if (theirs.caps.twin_socket && theirs.caps.max_msg_fds > 0 &&
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
				pair) == 0) {
		s->conn.twin = pair[0];
		*twin_peer = reply->fds[reply->nb_fds++] = pair[1];
		c->twin_socket = 1;
		ours.twin_fd_index = 0;
	}
	payload = lm_vu_offer_format(&ours, &reply->len_bytes);
	if (payload == NULL)
		return -ENOMEM;
	memcpy(reply->buf, payload, reply->len_bytes);
	free(payload);
	s->conn.caps = *c;
	/* These two bound what we send, so they are the peer's. */
	s->conn.caps.max_msg_fds = theirs.caps.max_msg_fds;
	s->conn.caps.max_data_xfer_bytes = theirs.caps.max_data_xfer_bytes;
	s->conn.negotiated = true;
	return 0;
}

static int
negotiate(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	int twin_peer = -1, ret = -EINVAL;

	if (msg->hdr.command == LM_VU_VERSION)
		ret = lm_vu_srv_version(s, msg, reply, &twin_peer);
	if (send_reply(s, &msg->hdr, reply, ret) < 0 || ret < 0)
		lm_vu_srv_break(s, "version negotiation failed");
	else if (s->ops->connected != NULL)
		s->ops->connected(s->ctx);
	if (ret == 0)
		lm_vu_srv_carried_out(s, LM_VU_VERSION);
	if (twin_peer >= 0)
		close(twin_peer);
	return ret;
}

/* Keep a command for lm_vu_server_resume(), before all others; the message is taken over. */
static int
hold(struct lm_vu_server *s, struct lm_vu_msg *msg)
{
	struct lm_vu_conn *c = &s->conn;
	struct lm_vu_deferred *d = malloc(sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->msg = *msg;
	memset(msg, 0, sizeof(*msg));
	d->next = c->deferred;
	if (c->deferred == NULL)
		c->deferred_tail = &d->next;
	c->deferred = d;
	c->nb_deferred++;
	c->paused = true;
	/* What the client sends on stays in the socket; only its end is listened for. */
	watch_for(s, EPOLL_CTL_MOD, c->sock, EPOLLRDHUP);
	return 0;
}

void
lm_vu_server_resume(struct lm_vu_server *s)
{
	if (!s->conn.paused)
		return;
	s->conn.paused = false;
	watch(s, EPOLL_CTL_MOD, s->conn.sock);
	wake(s);
}

static bool
hung_up(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

void
lm_vu_srv_command(struct lm_vu_server *s, struct lm_vu_msg *msg)
{
	struct lm_vu_reply reply = { .buf = s->reply_buf };
	uint16_t command = msg->hdr.command;
	int ret = -EINVAL;

	if ((msg->hdr.flags & LM_VU_F_TYPE_MASK) != LM_VU_F_TYPE_COMMAND) {
		lm_vu_srv_break(s, "reply without a command");
		return;
	}
	if (!s->conn.negotiated) {
		negotiate(s, msg, &reply);
		return;
	}
	if (command < LM_VU_COMMAND_MAX && handlers[command].fn != NULL &&
			msg->len_bytes >= handlers[command].min_bytes &&
			msg->nb_fds <= handlers[command].max_fds &&
			lm_vu_srv_strict_command(s, command) == 0)
		ret = handlers[command].fn(s, msg, &reply);
	if (ret == -EINPROGRESS && hold(s, msg) == 0)
		return;
	if (ret >= 0)
		lm_vu_srv_carried_out(s, command);
	if ((msg->hdr.flags & LM_VU_F_NO_REPLY) != 0 || s->conn.broken != NULL)
		return;
	if (send_reply(s, &msg->hdr, &reply, ret > 0 ? 0 : ret) < 0)
		lm_vu_srv_break(s, "cannot send a reply");
}

static void
disconnect(struct lm_vu_server *s)
{
	struct lm_vu_conn *c = &s->conn;
	bool was_negotiated = c->negotiated;
	const char *why = c->broken;

	lm_vu_srv_dma_clear(s);
	lm_vu_srv_irqs_clear(s);
	lm_vu_rx_clear(&c->rx);
	lm_vu_rx_clear(&c->twin_rx);
	while (c->deferred != NULL) {
		struct lm_vu_deferred *d = c->deferred;

		c->deferred = d->next;
		lm_vu_msg_clear(&d->msg);
		free(d);
	}
	close(c->sock);
	if (c->twin >= 0)
		close(c->twin);
	memset(c, 0, sizeof(*c));
	c->sock = c->twin = -1;
	c->deferred_tail = &c->deferred;
	if (s->listener >= 0)
		watch(s, EPOLL_CTL_ADD, s->listener);
	if (was_negotiated && s->ops->disconnected != NULL)
		s->ops->disconnected(s->ctx, why);
}

/* While somebody is connected the next one waits in the listener's queue. */
int
lm_vu_srv_adopt(struct lm_vu_server *s, int sock)
{
	int ret;

	if (s->conn.sock >= 0)
		return -EBUSY;
	ret = watch(s, EPOLL_CTL_ADD, sock);
	if (ret < 0)
		return ret;
	if (s->listener >= 0)
		watch(s, EPOLL_CTL_DEL, s->listener);
	s->conn.sock = sock;
	s->conn.caps = (struct lm_vu_caps){ .max_data_xfer_bytes = LM_VU_MAX_XFER };
	return 0;
}

static int
accept_one(struct lm_vu_server *s)
{
	int ret, sock = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (sock < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
	ret = lm_vu_srv_adopt(s, sock);
	if (ret < 0)
		close(sock);
	return ret;
}

/* Next command: one that was put off first. As lm_vu_rx_step(). */
static int
next_command(struct lm_vu_server *s, struct lm_vu_msg *msg)
{
	struct lm_vu_conn *c = &s->conn;
	struct lm_vu_deferred *d = c->deferred;

	if (d == NULL)
		return lm_vu_rx_step(&c->rx, c->sock, msg);
	*msg = d->msg;
	c->deferred = d->next;
	c->nb_deferred--;
	if (c->deferred == NULL)
		c->deferred_tail = &c->deferred;
	free(d);
	return 1;
}

int
lm_vu_server_process(struct lm_vu_server *s)
{
	struct lm_vu_msg msg;
	eventfd_t ignored;
	int handled = 0, ret = 0;

	eventfd_read(s->wake, &ignored);
	if (s->conn.sock < 0) {
		ret = accept_one(s);
		if (ret < 0)
			return ret;
	}
	if (s->conn.paused && hung_up(s->conn.sock))
		lm_vu_srv_break(s, "client closed the connection");
	while (s->conn.sock >= 0 && s->conn.broken == NULL && !s->conn.paused &&
			handled < MAX_PER_CALL) {
		ret = next_command(s, &msg);
		if (ret == 0)
			break;
		if (ret < 0) {
			lm_vu_srv_break(s, ret == -ECONNRESET ? "client closed the connection" :
					"malformed message");
			break;
		}
		lm_vu_srv_command(s, &msg);
		lm_vu_msg_clear(&msg);
		handled++;
	}
	if (s->conn.broken != NULL)
		disconnect(s);
	else if (s->conn.deferred != NULL && !s->conn.paused)
		wake(s);
	return handled;
}

static int
server_open(struct lm_vu_server *s, const struct lm_vu_server_conf *conf)
{
	int ret;

	ret = lm_vu_srv_conf_copy(s, conf);
	if (ret < 0)
		return ret;
	if (s->conf.max_dma_maps == 0)
		s->conf.max_dma_maps = DEFAULT_DMA_MAPS;
	if (s->conf.max_dma_maps > MAX_DMA_MAPS)
		return -EINVAL;
	ret = lm_vu_srv_irqs_init(s);
	if (ret == 0)
		ret = lm_vu_dma_table_init(&s->dma, s->conf.max_dma_maps);
	if (ret < 0)
		return ret;
	s->reply_buf = malloc(LM_VU_MAX_PAYLOAD);
	if (s->reply_buf == NULL)
		return -ENOMEM;
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epfd < 0)
		return -errno;
	s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->wake < 0)
		return -errno;
	ret = watch(s, EPOLL_CTL_ADD, s->wake);
	if (ret == 0)
		ret = lm_vu_srv_listen(s);
	return ret < 0 ? ret : watch(s, EPOLL_CTL_ADD, s->listener);
}

int
lm_vu_server_create(const struct lm_vu_server_conf *conf, struct lm_vu_server **server)
{
	struct lm_vu_server *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return -ENOMEM;
	s->epfd = s->listener = s->wake = s->conn.sock = s->conn.twin = -1;
	s->conn.deferred_tail = &s->conn.deferred;
	ret = server_open(s, conf);
	if (ret < 0) {
		lm_vu_server_destroy(s);
		return ret;
	}
	*server = s;
	return 0;
}

void
lm_vu_server_destroy(struct lm_vu_server *s)
{
	if (s == NULL)
		return;
	lm_vu_srv_unlink(s);
	if (s->conn.sock >= 0) {
		lm_vu_srv_break(s, "server ends");
		disconnect(s);
	}
	if (s->listener >= 0)
		close(s->listener);
	if (s->wake >= 0)
		close(s->wake);
	if (s->epfd >= 0)
		close(s->epfd);
	lm_vu_srv_irqs_fini(s);
	lm_vu_dma_table_fini(&s->dma);
	lm_vu_srv_conf_free(s);
	free(s->reply_buf);
	free(s);
}

int
lm_vu_server_fd(const struct lm_vu_server *s)
{
	return s->epfd;
}

bool
lm_vu_server_connected(const struct lm_vu_server *s)
{
	return s->conn.sock >= 0 && s->conn.negotiated && s->conn.broken == NULL;
}

const struct lm_vu_caps *
lm_vu_server_caps(const struct lm_vu_server *s)
{
	return &s->conn.caps;
}
