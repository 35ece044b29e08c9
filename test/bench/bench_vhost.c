/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "bench_vhost.h"

/* Vhost-user protocol, "Message types" and "Protocol features". */
#define GET_FEATURES 1
#define SET_FEATURES 2
#define SET_OWNER 3
#define SET_MEM_TABLE 5
#define SET_LOG_BASE 6
#define SET_VRING_NUM 8
#define SET_VRING_ADDR 9
#define SET_VRING_BASE 10
#define SET_VRING_KICK 12
#define SET_VRING_CALL 13
#define GET_PROTOCOL_FEATURES 15
#define SET_PROTOCOL_FEATURES 16
#define SET_VRING_ENABLE 18
#define FLAG_VERSION 0x1u
#define F_LOG_ALL 26
#define F_PROTOCOL_FEATURES 30
#define PROTOCOL_F_LOG_SHMFD 1
#define PATIENCE_S 10

struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	uint32_t payload[10];
};
_Static_assert(sizeof(struct message) == 52, "vhost-user header and five 64-bit words");
#define HEADER_BYTES offsetof(struct message, payload)

static struct {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	_Atomic int vid;
	int sock;
} peer = { .vid = -1, .sock = -1 };

static int
on_connection(int vid)
{
	atomic_store(&peer.vid, vid);
	return 0;
}

static int
on_device(int vid)
{
	(void)vid;
	return 0;
}

static void
on_no_device(int vid)
{
	(void)vid;
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = on_device,
	.destroy_device = on_no_device,
	.new_connection = on_connection,
};

static int
send_message(uint32_t request, const uint64_t *words, unsigned int nb, int fd)
{
	struct message m = { .request = request, .flags = FLAG_VERSION, .size = nb * 8 };
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &m, HEADER_BYTES + m.size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (nb != 0)
		memcpy(m.payload, words, nb * 8);
	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(peer.sock, &msg, 0) == (ssize_t)iov.iov_len ? 0 : -EIO;
}

static int
receive_reply(uint32_t request, uint64_t *word)
{
	struct message m = { 0 };

	if (recv(peer.sock, &m, HEADER_BYTES, MSG_WAITALL) != (ssize_t)HEADER_BYTES ||
			m.request != request || m.size > sizeof(m.payload))
		return -EPROTO;
	if (m.size != 0 && recv(peer.sock, m.payload, m.size, MSG_WAITALL) != (ssize_t)m.size)
		return -EPROTO;
	if (word != NULL)
		memcpy(word, m.payload, sizeof(*word));
	return 0;
}

static int
negotiate(int log_fd, uint64_t log_bytes)
{
	const uint64_t want = UINT64_C(1) << F_LOG_ALL | UINT64_C(1) << F_PROTOCOL_FEATURES;
	const uint64_t protocol = UINT64_C(1) << PROTOCOL_F_LOG_SHMFD;
	const uint64_t log[2] = { log_bytes, 0 };
	uint64_t features;

	if (send_message(GET_FEATURES, NULL, 0, -1) != 0 ||
			receive_reply(GET_FEATURES, &features) != 0)
		return -EPROTO;
	if ((features & want) != want)
		return -ENOTSUP;
	if (send_message(SET_OWNER, NULL, 0, -1) != 0 ||
			send_message(SET_PROTOCOL_FEATURES, &protocol, 1, -1) != 0 ||
			send_message(SET_FEATURES, &want, 1, -1) != 0 ||
			send_message(SET_LOG_BASE, log, 2, log_fd) != 0 ||
			receive_reply(SET_LOG_BASE, NULL) != 0)
		return -EPROTO;
	/* Each message before this answer has been handled. */
	if (send_message(GET_FEATURES, NULL, 0, -1) != 0)
		return -EPROTO;
	return receive_reply(GET_FEATURES, &features);
}

int
bench_vhost_start(const char *dir, int log_fd, uint64_t log_bytes, int *vid)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	snprintf(peer.path, sizeof(peer.path), "%s/vhost", dir);
	memcpy(addr.sun_path, peer.path, sizeof(addr.sun_path));
	if (rte_vhost_driver_register(peer.path, 0) != 0 ||
			rte_vhost_driver_callback_register(peer.path, &device_ops) != 0 ||
			rte_vhost_driver_start(peer.path) != 0) {
		fprintf(stderr, "%s: rte_vhost does not listen\n", peer.path);
		return -EIO;
	}
	peer.sock = socket(AF_UNIX, SOCK_STREAM, 0);
	if (peer.sock < 0 || connect(peer.sock, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
			setsockopt(peer.sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
				sizeof(patience)) != 0) {
		ret = -errno;
		fprintf(stderr, "%s: connect: %s\n", peer.path, strerror(-ret));
		return ret;
	}
	ret = negotiate(log_fd, log_bytes);
	if (ret != 0) {
		fprintf(stderr, "%s: vhost-user negotiation: %s\n", peer.path, strerror(-ret));
		return ret;
	}
	*vid = atomic_load(&peer.vid);
	return *vid < 0 ? -ENODEV : 0;
}

int
bench_vhost_log_off(void)
{
	const uint64_t want = UINT64_C(1) << F_PROTOCOL_FEATURES;
	uint64_t features;

	if (send_message(SET_FEATURES, &want, 1, -1) != 0 ||
			send_message(GET_FEATURES, NULL, 0, -1) != 0)
		return -EPROTO;
	return receive_reply(GET_FEATURES, &features);
}

int
bench_vhost_ring_set(const struct bench_vhost_ring *ring, uint32_t queue)
{
	const uint64_t base = (uintptr_t)ring->mem;
	const uint64_t table[5] = { 1, 0, ring->mem_bytes, base, 0 };
	const uint64_t num = (uint64_t)ring->size << 32 | queue, at_zero = queue;
	const uint64_t enable = UINT64_C(1) << 32 | queue;
	const uint64_t addr[5] = { queue, base + ring->desc_offset, base + ring->used_offset,
		base + ring->avail_offset, 0 };
	uint64_t features;
	int call = eventfd(0, 0), kick = eventfd(0, 0), ret = -EIO;

	if (call >= 0 && kick >= 0 && send_message(SET_MEM_TABLE, table, 5, ring->mem_fd) == 0 &&
			send_message(SET_VRING_NUM, &num, 1, -1) == 0 &&
			send_message(SET_VRING_BASE, &at_zero, 1, -1) == 0 &&
			send_message(SET_VRING_ADDR, addr, 5, -1) == 0 &&
			send_message(SET_VRING_CALL, &at_zero, 1, call) == 0 &&
			send_message(SET_VRING_KICK, &at_zero, 1, kick) == 0 &&
			send_message(SET_VRING_ENABLE, &enable, 1, -1) == 0 &&
			send_message(GET_FEATURES, NULL, 0, -1) == 0)
		ret = receive_reply(GET_FEATURES, &features);
	close(call);
	close(kick);
	return ret;
}

void
bench_vhost_stop(void)
{
	if (peer.sock >= 0)
		close(peer.sock);
	peer.sock = -1;
	rte_vhost_driver_unregister(peer.path);
}
