/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_SYS_H
#define LM_SYS_H

/*
 * The system calls with which lib/pciaccess talks to VFIO and iommufd, as a table, so that tests
 * put a kernel of theirs in its place. All return what the call returns, or -errno.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct lm_sys {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	ssize_t (*read)(int fd, void *buf, size_t len);
	ssize_t (*write)(int fd, const void *buf, size_t len);
	ssize_t (*pread)(int fd, void *buf, size_t len, off_t offset);
	ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t offset);
	/* Does poll() on it mean anything? Files without it are always "ready". */
	bool (*can_poll)(int fd);
	int (*set_nonblock)(int fd);
};

extern const struct lm_sys lm_sys_kernel;

#endif /* LM_SYS_H */
