/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What stands in front of the C library: opening below /dev/vfio, and what is done with such
 * descriptors. Everything else goes through. Programs are built for large files, as DPDK is: only
 * those names stand here.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"
#include "shim_real.h"

#define MAX_FDS 4096
#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))

static struct {
	pthread_mutex_t lock; /* protects files */
	struct shim_file files[MAX_FDS];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *
real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (fn == NULL) {
		shim_warn("the C library has no %s()", name);
		abort();
	}
	return fn;
}

int
real_close(int fd)
{
	return REAL(close)(fd);
}

void *
real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return REAL(mmap)(addr, len, prot, flags, fd, offset);
}

int
real_munmap(void *addr, size_t len)
{
	return REAL(munmap)(addr, len);
}

int
shim_file_new(const struct shim_file *file)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fd >= MAX_FDS) {
		real_close(fd);
		return -EMFILE;
	}
	pthread_mutex_lock(&state.lock);
	state.files[fd] = *file;
	pthread_mutex_unlock(&state.lock);
	return fd;
}

const struct shim_file *
shim_file_get(int fd)
{
	return fd >= 0 && fd < MAX_FDS && state.files[fd].kind != SHIM_NONE ?
			&state.files[fd] : NULL;
}

void
shim_file_forget(int fd)
{
	struct shim_file file;

	pthread_mutex_lock(&state.lock);
	file = state.files[fd];
	state.files[fd].kind = SHIM_NONE;
	pthread_mutex_unlock(&state.lock);
	if (file.kind == SHIM_DEVICE)
		shim_device_close(file.device);
	if (file.kind == SHIM_GROUP && file.device->container != NULL)
		shim_group_leave(file.device);
	if (file.kind == SHIM_CONTAINER)
		shim_container_free(file.container);
}

/* A result as system calls give it. */
static int
answer(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* @return a descriptor, -1 with errno, or -2: the path is not ours */
static int
open_vfio(const char *path)
{
	struct shim_file file = { 0 };
	unsigned int group;
	char rest;

	if (getenv("LM_SHIM") == NULL || strncmp(path, "/dev/vfio/", 10) != 0)
		return -2;
	if (strcmp(path, "/dev/vfio/vfio") == 0) {
		file.kind = SHIM_CONTAINER;
		file.container = shim_container_new();
		return file.container == NULL ? answer(-ENOMEM) : answer(shim_file_new(&file));
	}
	if (sscanf(path, "/dev/vfio/%u%c", &group, &rest) != 1)
		return answer(-ENOENT);
	file.kind = SHIM_GROUP;
	file.device = shim_device_of_group(group);
	shim_log("open %s", path);
	return file.device == NULL ? answer(-ENOENT) : answer(shim_file_new(&file));
}

EXPORT int
open64(const char *path, int flags, ...)
{
	int fd = open_vfio(path);
	mode_t mode = 0;
	va_list args;

	if (fd != -2)
		return fd;
	if ((flags & (O_CREAT | __O_TMPFILE)) != 0) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return REAL(open64)(path, flags, mode);
}

/* EAL asks whether the module is there before it tries. */
EXPORT int
stat64(const char *path, struct stat64 *st)
{
	bool ours = getenv("LM_SHIM") != NULL && (strcmp(path, "/sys/module/vfio") == 0 ||
			strcmp(path, "/sys/module/vfio_pci") == 0 ||
			strcmp(path, "/sys/module/vfio_iommu_type1") == 0);

	return REAL(stat64)(ours ? "/" : path, st);
}

EXPORT int
ioctl(int fd, unsigned long request, ...)
{
	const struct shim_file *file = shim_file_get(fd);
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (file == NULL)
		return REAL(ioctl)(fd, request, arg);
	if (file->kind == SHIM_CONTAINER)
		return answer(shim_container_ioctl(file->container, request, arg));
	if (file->kind == SHIM_GROUP)
		return answer(shim_group_ioctl(file, request, arg));
	return answer(shim_device_ioctl(file->device, request, arg));
}

EXPORT void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	const struct shim_file *file = fd < 0 ? NULL : shim_file_get(fd);

	if ((flags & MAP_FIXED) != 0)
		shim_trap_remove(addr, len);
	if (file == NULL || file->kind != SHIM_DEVICE)
		return real_mmap(addr, len, prot, flags, fd, offset);
	return shim_device_mmap(file->device, addr, len, prot, flags, offset);
}

EXPORT int
munmap(void *addr, size_t len)
{
	shim_trap_remove(addr, len);
	return real_munmap(addr, len);
}

EXPORT ssize_t
pread64(int fd, void *buf, size_t len, off64_t offset)
{
	const struct shim_file *file = shim_file_get(fd);

	if (file == NULL || file->kind != SHIM_DEVICE)
		return REAL(pread64)(fd, buf, len, offset);
	return answer((int)shim_device_read(file->device, buf, len, offset));
}

EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	const struct shim_file *file = shim_file_get(fd);

	if (file == NULL || file->kind != SHIM_DEVICE)
		return REAL(pwrite64)(fd, buf, len, offset);
	return answer((int)shim_device_write(file->device, buf, len, offset));
}

EXPORT int
close(int fd)
{
	if (shim_file_get(fd) != NULL)
		shim_file_forget(fd);
	return real_close(fd);
}
