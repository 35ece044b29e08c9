/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lm_sys.h"

static int
sys_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
sys_close(int fd)
{
	return close(fd) != 0 ? -errno : 0;
}

static int
sys_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static ssize_t
sys_read(int fd, void *buf, size_t len)
{
	ssize_t n = read(fd, buf, len);

	return n < 0 ? -errno : n;
}

static ssize_t
sys_write(int fd, const void *buf, size_t len)
{
	ssize_t n = write(fd, buf, len);

	return n < 0 ? -errno : n;
}

static ssize_t
sys_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t n = pread(fd, buf, len, offset);

	return n < 0 ? -errno : n;
}

static ssize_t
sys_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t n = pwrite(fd, buf, len, offset);

	return n < 0 ? -errno : n;
}

/* epoll alone says so: it takes no file whose driver has no poll. */
static bool
sys_can_poll(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	bool can;

	if (epoll < 0)
		return false;
	can = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
	close(epoll);
	return can;
}

static int
sys_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return -errno;
	return 0;
}

const struct lm_sys lm_sys_kernel = {
	.open = sys_open,
	.close = sys_close,
	.ioctl = sys_ioctl,
	.read = sys_read,
	.write = sys_write,
	.pread = sys_pread,
	.pwrite = sys_pwrite,
	.can_poll = sys_can_poll,
	.set_nonblock = sys_set_nonblock,
};
