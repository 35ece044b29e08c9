/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uml_vhost.h"

union uml_vhost_payload {
	uint64_t number;
	struct uml_vhost_state state;
	struct uml_vhost_addr addr;
	struct uml_vhost_memory memory;
};

struct uml_vhost_msg {
	struct uml_vhost_hdr hdr;
	union uml_vhost_payload u;
	unsigned int nb_fds;
	int fds[UML_VHOST_MAX_REGIONS];
};

void
uml_vhost_init(struct uml_vhost *v, int fd)
{
	unsigned int i;

	memset(v, 0, sizeof(*v));
	v->fd = fd;
	for (i = 0; i < UML_VHOST_QUEUES; i++)
		uml_ring_init(&v->rings[i]);
}

void
uml_vhost_close(struct uml_vhost *v)
{
	unsigned int i;

	for (i = 0; i < UML_VHOST_QUEUES; i++)
		uml_ring_close(&v->rings[i]);
	uml_memory_clear(&v->memory);
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

static void
uml_vhost_drop_fds(struct uml_vhost_msg *msg)
{
	while (msg->nb_fds > 0)
		close(msg->fds[--msg->nb_fds]);
}

static int
uml_vhost_receive(int fd, struct uml_vhost_msg *msg)
{
	char control[CMSG_SPACE(sizeof(msg->fds))];
	struct iovec iov = { .iov_base = &msg->hdr, .iov_len = sizeof(msg->hdr) };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	memset(msg, 0, sizeof(*msg));
	n = recvmsg(fd, &mh, MSG_WAITALL | MSG_CMSG_CLOEXEC);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return -ECONNRESET;
	for (cmsg = CMSG_FIRSTHDR(&mh); n > 0 && cmsg != NULL; cmsg = CMSG_NXTHDR(&mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		msg->nb_fds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(msg->fds, CMSG_DATA(cmsg), msg->nb_fds * sizeof(int));
	}
	if (n != (ssize_t)sizeof(msg->hdr) || msg->hdr.size > sizeof(msg->u))
		return -EPROTO;
	if (msg->hdr.size == 0)
		return 0;
	n = recv(fd, &msg->u, msg->hdr.size, MSG_WAITALL);
	return n == (ssize_t)msg->hdr.size ? 0 : -ECONNRESET;
}

static int
uml_vhost_reply(int fd, uint32_t request, const void *payload, uint32_t size)
{
	struct uml_vhost_hdr hdr = {
		.request = request,
		.flags = UML_VHOST_VERSION | UML_VHOST_FLAG_REPLY,
		.size = size,
	};
	struct iovec iovs[2] = {
		{ .iov_base = &hdr, .iov_len = sizeof(hdr) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = size },
	};
	struct msghdr mh = { .msg_iov = iovs, .msg_iovlen = 2 };

	return sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)(sizeof(hdr) + size) ? 0 : -ECONNRESET;
}

static int
uml_vhost_memory_table(struct uml_vhost *v, struct uml_vhost_msg *msg)
{
	const uint32_t nb = msg->u.memory.nb_regions;

	if (nb > UML_VHOST_MAX_REGIONS || msg->nb_fds != nb ||
			msg->hdr.size < 8 + nb * sizeof(struct uml_vhost_region))
		return -EPROTO;
	msg->nb_fds = 0;
	v->memory_changed = true;
	return uml_memory_set(&v->memory, &msg->u.memory, msg->fds);
}

static int
uml_vhost_ring_fd(struct uml_vhost_msg *msg, int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	if ((msg->u.number & UML_VHOST_VRING_NOFD_MASK) != 0)
		return 0;
	if (msg->nb_fds != 1)
		return -EPROTO;
	*fd = msg->fds[0];
	msg->nb_fds = 0;
	return 0;
}

/* All of these name their ring in the first word. */
static int
uml_vhost_ring(struct uml_vhost *v, struct uml_vhost_msg *msg)
{
	const uint32_t index = msg->u.state.index & UML_VHOST_VRING_INDEX_MASK;
	struct uml_ring *r = &v->rings[index];

	if (index >= UML_VHOST_QUEUES || msg->hdr.size < sizeof(msg->u.state))
		return -EPROTO;
	switch (msg->hdr.request) {
	case UML_VHOST_SET_VRING_NUM:
		if (msg->u.state.num == 0 || msg->u.state.num > UML_RING_MAX_SIZE)
			return -EPROTO;
		r->size = msg->u.state.num;
		return 0;
	case UML_VHOST_SET_VRING_ADDR:
		if (msg->hdr.size < sizeof(msg->u.addr))
			return -EPROTO;
		r->desc_addr = msg->u.addr.desc;
		r->avail_addr = msg->u.addr.avail;
		r->used_addr = msg->u.addr.used;
		return 0;
	case UML_VHOST_SET_VRING_BASE:
		r->last_avail = (uint16_t)msg->u.state.num;
		r->used_idx = (uint16_t)msg->u.state.num;
		return 0;
	case UML_VHOST_SET_VRING_KICK:
		return uml_vhost_ring_fd(msg, &r->kick_fd);
	case UML_VHOST_SET_VRING_CALL:
		return uml_vhost_ring_fd(msg, &r->call_fd);
	case UML_VHOST_SET_VRING_ENABLE:
		r->enabled = msg->u.state.num != 0 && r->size != 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int
uml_vhost_stop_ring(struct uml_vhost *v, struct uml_vhost_msg *msg)
{
	struct uml_vhost_state state = msg->u.state;

	if (msg->hdr.size < sizeof(state) || state.index >= UML_VHOST_QUEUES)
		return -EPROTO;
	v->rings[state.index].enabled = false;
	state.num = v->rings[state.index].last_avail;
	return uml_vhost_reply(v->fd, msg->hdr.request, &state, sizeof(state));
}

static int
uml_vhost_handle(struct uml_vhost *v, struct uml_vhost_msg *msg, bool *replied)
{
	static const uint64_t features = UINT64_C(1) << UML_VHOST_F_VERSION_1 |
			UINT64_C(1) << UML_VHOST_F_PROTOCOL_FEATURES;
	static const uint64_t protocol = UINT64_C(1) << UML_VHOST_PROTOCOL_F_REPLY_ACK;

	*replied = false;
	switch (msg->hdr.request) {
	case UML_VHOST_SET_OWNER:
	case UML_VHOST_SET_FEATURES:
	case UML_VHOST_SET_PROTOCOL_FEATURES:
	case UML_VHOST_SET_VRING_ERR:
		return 0;
	case UML_VHOST_SET_MEM_TABLE:
		return uml_vhost_memory_table(v, msg);
	case UML_VHOST_GET_FEATURES:
		*replied = true;
		return uml_vhost_reply(v->fd, msg->hdr.request, &features, sizeof(features));
	case UML_VHOST_GET_PROTOCOL_FEATURES:
		*replied = true;
		return uml_vhost_reply(v->fd, msg->hdr.request, &protocol, sizeof(protocol));
	case UML_VHOST_GET_VRING_BASE:
		*replied = true;
		return uml_vhost_stop_ring(v, msg);
	default:
		return uml_vhost_ring(v, msg);
	}
}

int
uml_vhost_process(struct uml_vhost *v)
{
	struct uml_vhost_msg msg;
	bool replied = true;
	uint64_t status;
	int ret;

	ret = uml_vhost_receive(v->fd, &msg);
	if (ret == 0)
		ret = uml_vhost_handle(v, &msg, &replied);
	uml_vhost_drop_fds(&msg);
	if (replied || ret == -ECONNRESET)
		return ret;
	status = ret == 0 ? 0 : 1;
	if ((msg.hdr.flags & UML_VHOST_FLAG_NEED_REPLY) != 0)
		ret = uml_vhost_reply(v->fd, msg.hdr.request, &status, sizeof(status));
	return ret;
}
