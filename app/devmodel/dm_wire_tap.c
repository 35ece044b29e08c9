/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Wire to a tap interface of the host, made if need be, set up; it goes with the process. Each
 * frame has the kernel's header in front, which is virtio's: unfinished frames pass as they are.
 */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "dm_wire_priv.h"

#define TAP_MAX_IOVS 128

struct wire_tap {
	struct dm_wire w;
	uint32_t len; /* of the frame held, 0: none */
	uint8_t frame[DM_FRAME_MAX];
};

static int
set_up(struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, ifr) < 0) {
		ret = -errno;
	} else if ((ifr->ifr_flags & IFF_UP) == 0) {
		ifr->ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, ifr) < 0)
			ret = -errno;
	}
	close(fd);
	return ret;
}

static int
tap_open(const char *name, struct dm_wire **wire)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	const int hdr_bytes = sizeof(struct lm_virtio_net_hdr);
	struct wire_tap *t;
	int ret;

	if (strlen(name) >= sizeof(ifr.ifr_name))
		return -ENAMETOOLONG;
	memcpy(ifr.ifr_name, name, strlen(name) + 1);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->w.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->w.fd < 0) {
		ret = -errno;
		free(t);
		return ret;
	}
	ret = ioctl(t->w.fd, TUNSETIFF, &ifr) < 0 ||
			ioctl(t->w.fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0 ? -errno : set_up(&ifr);
	if (ret < 0) {
		close(t->w.fd);
		free(t);
		return ret;
	}
	*wire = &t->w;
	return 0;
}

static void
tap_close(struct dm_wire *w)
{
	close(w->fd);
	free(w);
}

static bool
tap_link_up(const struct dm_wire *w)
{
	(void)w;
	return true;
}

static int
tap_send(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr, const struct iovec *iov,
		int iovcnt, uint32_t len)
{
	struct lm_virtio_net_hdr front = *hdr;
	struct iovec all[TAP_MAX_IOVS];

	(void)len;
	if (iovcnt >= TAP_MAX_IOVS)
		return -EMSGSIZE;
	all[0].iov_base = &front;
	all[0].iov_len = sizeof(front);
	memcpy(&all[1], iov, (size_t)iovcnt * sizeof(*iov));
	while (writev(w->fd, all, iovcnt + 1) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
		case ENOBUFS:
		case ENOMEM:
			return -EAGAIN;
		case EINVAL: /* shorter than an Ethernet header, or a header that makes no sense */
		case EMSGSIZE:
			return -EMSGSIZE;
		default:
			return -ENOLINK;
		}
	}
	return 0;
}

static int
tap_unfinished_on(struct dm_wire *w)
{
	const unsigned long what = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	return ioctl(w->fd, TUNSETOFFLOAD, what) < 0 ? -errno : 0;
}

static uint32_t
tap_peek(struct dm_wire *w, const uint8_t **frame)
{
	struct wire_tap *t = (struct wire_tap *)w;
	const struct iovec iov[] = {
		{ .iov_base = &w->peek_hdr, .iov_len = sizeof(w->peek_hdr) },
		{ .iov_base = t->frame, .iov_len = sizeof(t->frame) },
	};
	ssize_t n;

	*frame = t->frame;
	if (t->len == 0) {
		n = readv(w->fd, iov, 2);
		t->len = n > (ssize_t)sizeof(w->peek_hdr) ?
				(uint32_t)n - (uint32_t)sizeof(w->peek_hdr) : 0;
	}
	return t->len;
}

static void
tap_pop(struct dm_wire *w)
{
	((struct wire_tap *)w)->len = 0;
}

const struct dm_wire_ops dm_wire_tap_ops = {
	.name = "tap",
	.separator = ':',
	.unfinished = true,
	.unfinished_on = tap_unfinished_on,
	.open = tap_open,
	.close = tap_close,
	.link_up = tap_link_up,
	.send = tap_send,
	.peek = tap_peek,
	.pop = tap_pop,
};
