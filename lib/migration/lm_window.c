/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lm_bits.h"
#include "lm_compat_rec.h"
#include "lm_ram.h"
#include "lm_window.h"

#define PAGE_BYTES_MIN UINT64_C(4096)

struct lm_window {
	struct lm_window_conf conf;
	uint64_t size_bytes;
	uint8_t *base;
	int fd;
	uint64_t taken_bytes;   /* by lm_window_alloc(), from the start of the control area on */
	uint64_t claimed_bytes; /* end of the last piece that was claimed */
};

static int
check_conf(const struct lm_window_conf *conf)
{
	uint64_t mask = conf->page_bytes - 1, last;
	unsigned int i;

	if (conf->page_bytes < PAGE_BYTES_MIN || (conf->page_bytes & mask) != 0 ||
			((conf->addr | conf->control_bytes | conf->buffer_bytes) & mask) != 0 ||
			conf->addr == 0 || conf->buffer_bytes == 0 ||
			conf->control_bytes <= conf->record_bytes ||
			conf->record_bytes % sizeof(uint64_t) != 0 ||
			conf->control_bytes > UINT64_MAX - conf->buffer_bytes ||
			conf->addr > UINT64_MAX - (conf->control_bytes + conf->buffer_bytes))
		return -EINVAL;
	last = conf->addr + conf->control_bytes + conf->buffer_bytes - 1;
	for (i = 0; i < conf->nb_iovas; i++) {
		const struct lm_range *r = &conf->iovas[i];

		if (r->len_bytes != 0 && conf->addr >= r->addr &&
				last - r->addr <= r->len_bytes - 1)
			return 0;
	}
	return conf->nb_iovas == 0 ? 0 : -ERANGE;
}

/*
 * Asking Linux for more shared memory than there is does not fail: it ends in the OOM killer. Huge
 * pages come from a pool of their own.
 */
static bool
has_memory(const struct lm_window *w)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t kib = UINT64_MAX;
	char line[128];

	if (w->conf.page_bytes == PAGE_BYTES_MIN && f != NULL)
		while (fgets(line, sizeof(line), f) != NULL &&
				sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
			;
	if (f != NULL)
		fclose(f);
	return w->size_bytes / 1024 < kib;
}

/* Reserved here, so that a touch can never end in SIGBUS. */
static int
open_memory(struct lm_window *w)
{
	unsigned int flags = MFD_CLOEXEC;

	w->fd = -1;
	if (!has_memory(w))
		return -ENOMEM;
	if (w->conf.page_bytes != PAGE_BYTES_MIN)
		flags |= MFD_HUGETLB | lm_bits_lowest(w->conf.page_bytes) << MFD_HUGE_SHIFT;
	w->fd = memfd_create("lm-window", flags);
	if (w->fd < 0)
		return -errno;
	if (ftruncate(w->fd, (off_t)w->size_bytes) != 0)
		return -errno;
	if (fallocate(w->fd, 0, 0, (off_t)w->size_bytes) != 0)
		return errno == ENOSPC ? -ENOMEM : -errno;
	return 0;
}

static int
map_memory(struct lm_window *w)
{
	void *want = (void *)(uintptr_t)w->conf.addr, *got;

	got = mmap(want, w->size_bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, w->fd, 0);
	if (got == MAP_FAILED)
		return -errno;
	w->base = got;
	/* Kernels before 4.17 take the address for a wish. */
	if (got != want)
		return -EEXIST;
	if (w->conf.pin && mlock(got, w->size_bytes) != 0)
		return errno == EAGAIN ? -ENOMEM : -errno;
	return 0;
}

int
lm_window_create(const struct lm_window_conf *conf, struct lm_window **window)
{
	struct lm_window *w;
	int ret;

	ret = check_conf(conf);
	if (ret != 0)
		return ret;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->conf = *conf;
	w->conf.iovas = NULL;
	w->size_bytes = conf->control_bytes + conf->buffer_bytes;
	ret = open_memory(w);
	if (ret == 0)
		ret = map_memory(w);
	if (ret != 0) {
		lm_window_destroy(w);
		return ret;
	}
	*window = w;
	return 0;
}

void
lm_window_destroy(struct lm_window *w)
{
	if (w == NULL)
		return;
	if (w->base != NULL)
		munmap(w->base, w->size_bytes);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

void *
lm_window_base(const struct lm_window *w)
{
	return w->base;
}

uint64_t
lm_window_size(const struct lm_window *w)
{
	return w->size_bytes;
}

int
lm_window_fd(const struct lm_window *w)
{
	return w->fd;
}

void *
lm_window_buffers(const struct lm_window *w, uint64_t *len_bytes)
{
	*len_bytes = w->conf.buffer_bytes;
	return w->base + w->conf.control_bytes;
}

/* Of the control area, without what is kept for records. */
static uint64_t
control_end(const struct lm_window *w)
{
	return w->conf.control_bytes - w->conf.record_bytes;
}

void *
lm_window_records(const struct lm_window *w, uint64_t *len_bytes)
{
	*len_bytes = w->conf.record_bytes;
	return w->conf.record_bytes == 0 ? NULL : w->base + control_end(w);
}

void *
lm_window_alloc(struct lm_window *w, uint64_t len_bytes, uint64_t align)
{
	uint64_t begin = w->taken_bytes > w->claimed_bytes ? w->taken_bytes : w->claimed_bytes;
	uint64_t at, free_bytes = control_end(w) - begin;

	if (align == 0 || (align & (align - 1)) != 0 || align > w->conf.control_bytes)
		return NULL;
	/* By address: the window itself need not be aligned so. */
	at = -(w->conf.addr + begin) & (align - 1);
	if (len_bytes == 0 || at > free_bytes || len_bytes > free_bytes - at)
		return NULL;
	at += begin;
	w->taken_bytes = at + len_bytes;
	memset(w->base + at, 0, len_bytes);
	return w->base + at;
}

void *
lm_window_claim(struct lm_window *w, uint64_t offset, uint64_t len_bytes)
{
	void *ptr = lm_window_control_at(w, offset, len_bytes);

	if (ptr == NULL || offset < w->taken_bytes)
		return NULL;
	if (offset + len_bytes > w->claimed_bytes)
		w->claimed_bytes = offset + len_bytes;
	return ptr;
}

void
lm_window_reset(struct lm_window *w)
{
	w->taken_bytes = 0;
	w->claimed_bytes = 0;
}

bool
lm_window_offset(const struct lm_window *w, const void *ptr, uint64_t len_bytes, uint64_t *offset)
{
	uint64_t at = (uintptr_t)ptr - (uintptr_t)w->base;

	if ((uintptr_t)ptr < (uintptr_t)w->base || at > w->size_bytes ||
			len_bytes > w->size_bytes - at)
		return false;
	*offset = at;
	return true;
}

void *
lm_window_control_at(const struct lm_window *w, uint64_t offset, uint64_t len_bytes)
{
	uint64_t end = control_end(w);

	return len_bytes != 0 && offset < end && len_bytes <= end - offset ?
		w->base + offset : NULL;
}

void *
lm_window_buffer_at(const struct lm_window *w, uint64_t offset, uint64_t len_bytes)
{
	return len_bytes != 0 && offset >= w->conf.control_bytes && offset < w->size_bytes &&
		len_bytes <= w->size_bytes - offset ? w->base + offset : NULL;
}

int
lm_window_add_ram(struct lm_window *w, struct lm_ram *ram, bool precopy)
{
	struct lm_ram_region control = {
		.name = "window-control",
		.addr = w->conf.addr,
		.size_bytes = w->conf.control_bytes,
		.vaddr = w->base,
		.flags = LM_RAM_F_AFTER_STOP,
	}, buffers = {
		.name = "window-buffers",
		.addr = w->conf.addr + w->conf.control_bytes,
		.size_bytes = w->conf.buffer_bytes,
		.vaddr = w->base + w->conf.control_bytes,
		/* Headers and payload are written by CPUs, which no device's log sees. */
		.flags = precopy ? LM_RAM_F_CPU_WRITES :
			LM_RAM_F_AFTER_STOP | LM_RAM_F_NAMED_ONLY,
	};
	int ret;

	ret = lm_ram_add(ram, &control);
	return ret == 0 ? lm_ram_add(ram, &buffers) : ret;
}

void
lm_window_describe(const struct lm_window *w, struct lm_compat_window *desc)
{
	*desc = (struct lm_compat_window){
		.addr = w->conf.addr,
		.size_bytes = w->size_bytes,
		.page_bytes = w->conf.page_bytes,
		.element_bytes = w->conf.element_bytes,
		.headroom_bytes = w->conf.headroom_bytes,
		.numa_node = w->conf.numa_node,
	};
}
