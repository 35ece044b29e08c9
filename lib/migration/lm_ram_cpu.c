/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What CPUs wrote: pages are write-protected by userfaultfd in asynchronous mode, so that the
 * kernel resolves each first write by itself and remembers it in the page table. A scan of the
 * page map gives the pages that were written and protects them again, in one step for each page.
 *
 * Where the kernel lacks that (before 6.7, or refused by seccomp), a region is resent whole. The
 * older synchronous mode is not used: without privileges it turns a system call that writes to a
 * protected page into an error of the application.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lm_pagemap_if.h"
#include "lm_ram_pvt.h"

#define NB_RUNS 256u /* of one scan; more take another */

static int
open_uffd(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | LM_UFFD_FEATURE_WP_UNPOPULATED |
			LM_UFFD_FEATURE_WP_ASYNC,
	};
	/* Asynchronous faults are not handed to us, those of the kernel's own writes neither. */
	int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Protect all of a region, also what has never been touched. */
static int
protect(struct lm_ram *ram, const struct lm_ram_region *region)
{
	const struct uffdio_range range = {
		.start = (uintptr_t)region->vaddr,
		.len = region->size_bytes,
	};
	struct uffdio_register reg = { .range = range, .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .range = range, .mode = UFFDIO_WRITEPROTECT_MODE_WP };

	if (ioctl(ram->cpu.uffd, UFFDIO_REGISTER, &reg) != 0)
		return -errno;
	return ioctl(ram->cpu.uffd, UFFDIO_WRITEPROTECT, &wp) != 0 ? -errno : 0;
}

/* Mark written pages from `at` on; *next is where the kernel stopped. */
static int
scan(struct lm_ram *ram, const struct lm_ram_region *region, uint64_t at, uint64_t *next)
{
	const uint64_t begin = (uintptr_t)region->vaddr;
	struct lm_page_region runs[NB_RUNS];
	struct lm_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = LM_PM_SCAN_WP_MATCHING | LM_PM_SCAN_CHECK_WPASYNC,
		.start = at,
		.end = begin + region->size_bytes,
		.vec = (uintptr_t)runs,
		.vec_len = NB_RUNS,
		.category_mask = LM_PAGE_IS_WRITTEN,
		.return_mask = LM_PAGE_IS_WRITTEN,
	};
	int i, nb;

	nb = ioctl(ram->cpu.pagemap, LM_PAGEMAP_SCAN, &arg);
	if (nb < 0)
		return -errno;
	for (i = 0; i < nb; i++)
		lm_ram_mark(ram, region->addr + (runs[i].start - begin),
				runs[i].end - runs[i].start);
	*next = arg.walk_end;
	return 0;
}

static int
scan_all(struct lm_ram *ram, const struct lm_ram_region *region)
{
	uint64_t at = (uintptr_t)region->vaddr, end = at + region->size_bytes;
	int ret = 0;

	while (ret == 0 && at < end)
		ret = scan(ram, region, at, &at);
	return ret;
}

int
lm_ram_cpu_start(struct lm_ram *ram, unsigned int *whole)
{
	unsigned int i, nb = 0;

	if (ram->cpu.started)
		return -EALREADY;
	ram->cpu.started = true;
	ram->cpu.uffd = open_uffd();
	ram->cpu.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < ram->nb; i++) {
		struct lm_ram_area *a = ram->areas[i];

		if ((a->region.flags & LM_RAM_F_CPU_WRITES) == 0)
			continue;
		a->cpu_whole = protect(ram, &a->region) != 0 || ram->cpu.pagemap < 0;
		nb += a->cpu_whole;
	}
	if (whole != NULL)
		*whole = nb;
	return 0;
}

int
lm_ram_cpu_harvest(struct lm_ram *ram)
{
	unsigned int i;

	if (!ram->cpu.started)
		return -EINVAL;
	for (i = 0; i < ram->nb; i++) {
		struct lm_ram_area *a = ram->areas[i];

		if ((a->region.flags & LM_RAM_F_CPU_WRITES) == 0)
			continue;
		/* A scan that fails may have protected what it did not tell. */
		if (a->cpu_whole || scan_all(ram, &a->region) != 0)
			lm_ram_mark(ram, a->region.addr, a->region.size_bytes);
	}
	return 0;
}

void
lm_ram_cpu_stop(struct lm_ram *ram)
{
	if (!ram->cpu.started)
		return;
	ram->cpu.started = false;
	/* Takes the protection away too. */
	if (ram->cpu.uffd >= 0)
		close(ram->cpu.uffd);
	if (ram->cpu.pagemap >= 0)
		close(ram->cpu.pagemap);
}
