/* SPDX-License-Identifier: BSD-3-Clause */

/* Wire to a tap interface of the host, made if need be, set up; it goes with the process. */

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
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
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
	ret = ioctl(t->w.fd, TUNSETIFF, &ifr) < 0 ? -errno : set_up(&ifr);
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
tap_send(struct dm_wire *w, const struct iovec *iov, int iovcnt, uint32_t len)
{
	(void)len;
	while (writev(w->fd, iov, iovcnt) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
		case ENOBUFS:
		case ENOMEM:
			return -EAGAIN;
		case EINVAL: /* shorter than an Ethernet header */
		case EMSGSIZE:
			return -EMSGSIZE;
		default:
			return -ENOLINK;
		}
	}
	return 0;
}

static uint32_t
tap_peek(struct dm_wire *w, const uint8_t **frame)
{
	struct wire_tap *t = (struct wire_tap *)w;
	ssize_t n;

	*frame = t->frame;
	if (t->len == 0) {
		n = read(w->fd, t->frame, sizeof(t->frame));
		t->len = n > 0 ? (uint32_t)n : 0;
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
	.open = tap_open,
	.close = tap_close,
	.link_up = tap_link_up,
	.send = tap_send,
	.peek = tap_peek,
	.pop = tap_pop,
};
