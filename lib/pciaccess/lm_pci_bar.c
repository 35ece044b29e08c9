/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lm_pci_priv.h"

int
lm_pci_bar_add_window(struct lm_pci *pci, unsigned int bar, uint64_t offset, uint64_t size)
{
	struct lm_pci_bar *b = &pci->bars[bar];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at;
	struct lm_pci_window *grown;
	struct stat st;
	void *addr;

	if (b->fd < 0 || size == 0 || offset > b->size_bytes || size > b->size_bytes - offset ||
			offset > INT64_MAX - b->fd_offset)
		return -EINVAL;
	at = b->fd_offset + offset;
	if (at % page != 0 || size > INT64_MAX - at)
		return -EINVAL;
	/* Touching a mapping beyond the end of its file is a SIGBUS. */
	if (fstat(b->fd, &st) != 0 ||
			(S_ISREG(st.st_mode) && (uint64_t)st.st_size < at + size))
		return -EINVAL;
	grown = realloc(b->windows, (b->nb_windows + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	b->windows = grown;
	addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, (off_t)at);
	if (addr == MAP_FAILED)
		return -errno;
	b->windows[b->nb_windows++] = (struct lm_pci_window){
		.offset = offset, .size_bytes = size, .addr = addr,
	};
	return 0;
}

uint64_t
lm_pci_bar_size(const struct lm_pci *pci, unsigned int bar)
{
	return bar < LM_PCI_NUM_BARS ? pci->bars[bar].size_bytes : 0;
}

static const struct lm_pci_window *
window_of(const struct lm_pci *pci, unsigned int bar, uint64_t offset, uint64_t len)
{
	const struct lm_pci_bar *b = &pci->bars[bar];
	const struct lm_pci_window *w;
	uint32_t i;

	for (i = 0; i < b->nb_windows; i++) {
		w = &b->windows[i];
		if (offset >= w->offset && len <= w->size_bytes &&
				offset - w->offset <= w->size_bytes - len)
			return w;
	}
	return NULL;
}

volatile void *
lm_pci_bar_ptr(struct lm_pci *pci, unsigned int bar, uint64_t offset, uint64_t len)
{
	const struct lm_pci_window *w;

	if (bar >= LM_PCI_NUM_BARS)
		return NULL;
	w = window_of(pci, bar, offset, len);
	return w != NULL ? w->addr + (offset - w->offset) : NULL;
}

int
lm_pci_bar_fd(struct lm_pci *pci, unsigned int bar, uint64_t offset, uint64_t len,
		uint64_t *fd_offset)
{
	if (bar >= LM_PCI_NUM_BARS || window_of(pci, bar, offset, len) == NULL)
		return -ENOTSUP;
	*fd_offset = pci->bars[bar].fd_offset + offset;
	return pci->bars[bar].fd;
}

static int
bar_check(const struct lm_pci *pci, unsigned int bar, uint64_t offset, uint32_t len,
		const char *what)
{
	uint64_t size = lm_pci_bar_size(pci, bar);

	if (len == 0 || len > 8 || (len & (len - 1)) != 0 || offset % len != 0)
		return lm_pci_fail(pci, -EINVAL, "%s of %u bytes at 0x%" PRIx64
				" of BAR %u is not aligned", what, len, offset, bar);
	if (offset > size || len > size - offset)
		return lm_pci_fail(pci, -EINVAL, "%s of %u bytes at 0x%" PRIx64
				" is outside BAR %u of 0x%" PRIx64 " bytes", what, len, offset, bar,
				size);
	return 0;
}

static void
load(const volatile void *addr, void *buf, uint32_t len)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (len) {
	case 1:
		*(uint8_t *)buf = *(const volatile uint8_t *)addr;
		break;
	case 2:
		v16 = *(const volatile uint16_t *)addr;
		memcpy(buf, &v16, sizeof(v16));
		break;
	case 4:
		v32 = *(const volatile uint32_t *)addr;
		memcpy(buf, &v32, sizeof(v32));
		break;
	default:
		v64 = *(const volatile uint64_t *)addr;
		memcpy(buf, &v64, sizeof(v64));
		break;
	}
	/* What was read may say that memory is ready. */
	atomic_thread_fence(memory_order_acquire);
}

static void
store(volatile void *addr, const void *buf, uint32_t len)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (len) {
	case 1:
		*(volatile uint8_t *)addr = *(const uint8_t *)buf;
		break;
	case 2:
		memcpy(&v16, buf, sizeof(v16));
		*(volatile uint16_t *)addr = v16;
		break;
	case 4:
		memcpy(&v32, buf, sizeof(v32));
		*(volatile uint32_t *)addr = v32;
		break;
	default:
		memcpy(&v64, buf, sizeof(v64));
		*(volatile uint64_t *)addr = v64;
		break;
	}
}

int
lm_pci_bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf, uint32_t len)
{
	const volatile void *addr;
	int ret = bar_check(pci, bar, offset, len, "read");

	if (ret != 0)
		return ret;
	addr = lm_pci_bar_ptr(pci, bar, offset, len);
	if (addr == NULL)
		return pci->ops->bar_read(pci, bar, offset, buf, len);
	load(addr, buf, len);
	return 0;
}

static int
bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf, uint32_t len,
		bool posted)
{
	volatile void *addr;
	int ret = bar_check(pci, bar, offset, len, "write");

	if (ret != 0)
		return ret;
	addr = lm_pci_bar_ptr(pci, bar, offset, len);
	if (addr == NULL)
		return posted ? pci->ops->bar_write_posted(pci, bar, offset, buf, len) :
				pci->ops->bar_write(pci, bar, offset, buf, len);
	atomic_thread_fence(memory_order_seq_cst);
	store(addr, buf, len);
	return 0;
}

int
lm_pci_bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len)
{
	return bar_write(pci, bar, offset, buf, len, false);
}

int
lm_pci_bar_write_posted(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len)
{
	return bar_write(pci, bar, offset, buf, len, true);
}

/* The device holds the other end of the eventfd: it must not be able to make a ring block. */
static int
set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return -errno;
	return 0;
}

int
lm_pci_doorbell_init(struct lm_pci *pci, unsigned int bar, uint64_t offset, uint32_t width,
		struct lm_pci_doorbell *db)
{
	const struct lm_pci_ioeventfd *e;
	uint32_t i;
	int ret;

	if (width != 2 && width != 4)
		return lm_pci_fail(pci, -EINVAL, "a doorbell of %u bytes", width);
	ret = bar_check(pci, bar, offset, width, "doorbell");
	if (ret != 0)
		return ret;
	*db = (struct lm_pci_doorbell){
		.pci = pci, .eventfd = -1, .bar = bar, .width_bytes = width, .offset = offset,
		.addr = lm_pci_bar_ptr(pci, bar, offset, width),
	};
	for (i = 0; i < pci->bars[bar].nb_ioeventfds; i++) {
		e = &pci->bars[bar].ioeventfds[i];
		if (e->offset != offset || (e->size_bytes != 0 && e->size_bytes != width))
			continue;
		if (set_nonblock(e->fd) == 0) {
			db->eventfd = e->fd;
			break;
		}
	}
	return 0;
}

void
lm_pci_doorbell_ring(const struct lm_pci_doorbell *db, uint32_t value)
{
	static const uint64_t one = 1;
	uint16_t value16 = (uint16_t)value;

	/* Memory written before a register must be visible before it. */
	atomic_thread_fence(memory_order_seq_cst);
	if (db->eventfd >= 0) {
		/* EAGAIN: the counter is full, so the device has a wake-up pending anyway. */
		if (write(db->eventfd, &one, sizeof(one)) < 0)
			return;
	} else if (db->addr != NULL) {
		if (db->width_bytes == 2)
			store(db->addr, &value16, sizeof(value16));
		else
			store(db->addr, &value, sizeof(value));
	} else if (db->width_bytes == 2) {
		db->pci->ops->bar_write_posted(db->pci, db->bar, db->offset, &value16,
				sizeof(value16));
	} else {
		db->pci->ops->bar_write_posted(db->pci, db->bar, db->offset, &value,
				sizeof(value));
	}
}
