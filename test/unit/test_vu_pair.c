/* SPDX-License-Identifier: BSD-3-Clause */

/* Client and server against each other: what a user of both sees, and that nothing leaks. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lm_vu_client.h"
#include "vu_device.h"

#define GUEST_BYTES 0x100000u
#define GUEST_IOVA 0x40000u

struct world {
	struct vu_device dev;
	struct lm_vu_client *client;
	int mem_fd;
	uint8_t *mem;
	uint32_t fds_before;
	uint32_t dma_calls;
};

/* Message-mode memory of the client is the same guest memory. */
static int
dma_read(void *ctx, uint64_t iova, void *buf, uint32_t len_bytes)
{
	struct world *w = ctx;

	w->dma_calls++;
	if (iova < GUEST_IOVA || iova - GUEST_IOVA + len_bytes > GUEST_BYTES)
		return -EFAULT;
	memcpy(buf, w->mem + (iova - GUEST_IOVA), len_bytes);
	return 0;
}

static int
dma_write(void *ctx, uint64_t iova, const void *buf, uint32_t len_bytes)
{
	struct world *w = ctx;

	w->dma_calls++;
	if (iova < GUEST_IOVA || iova - GUEST_IOVA + len_bytes > GUEST_BYTES)
		return -EFAULT;
	memcpy(w->mem + (iova - GUEST_IOVA), buf, len_bytes);
	return 0;
}

static const struct lm_vu_client_ops client_ops = { dma_read, dma_write };

static struct world *
world_new(bool twin, bool connect)
{
	struct world *w = calloc(1, sizeof(*w));
	struct lm_vu_client_conf conf = { .offer_twin_socket = twin, .ops = &client_ops, .ctx = w };

	w->fds_before = vu_count_fds();
	vu_device_init(&w->dev);
	w->mem_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->mem_fd, GUEST_BYTES), 0);
	w->mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->mem_fd, 0);
	if (connect) {
		assert_int_equal(vu_device_start(&w->dev, true), 0);
		assert_int_equal(lm_vu_client_connect(w->dev.path, &conf, &w->client), 0);
	}
	return w;
}

static void
world_free(struct world *w)
{
	lm_vu_client_close(w->client);
	vu_device_stop(&w->dev);
	munmap(w->mem, GUEST_BYTES);
	close(w->mem_fd);
	assert_int_equal(vu_count_fds(), w->fds_before);
	free(w);
}

static void
reg_write(struct world *w, uint64_t offset, uint32_t val)
{
	assert_int_equal(lm_vu_client_region_write(w->client, 0, offset, &val, sizeof(val)), 0);
}

static void
reg_write64(struct world *w, uint64_t offset, uint64_t val)
{
	assert_int_equal(lm_vu_client_region_write(w->client, 0, offset, &val, sizeof(val)), 0);
}

static uint64_t
reg_read64(struct world *w, uint64_t offset)
{
	uint64_t val;

	assert_int_equal(lm_vu_client_region_read(w->client, 0, offset, &val, sizeof(val)), 0);
	return val;
}

static int
reg_result(struct world *w)
{
	int val;

	assert_int_equal(lm_vu_client_region_read(w->client, 0, VU_REG_RESULT, &val, 4), 0);
	return val;
}

static void
info_and_regions(void **state)
{
	struct world *w = world_new(false, true);
	struct lm_vu_region_info info;
	struct lm_vu_ioeventfd io[4];
	uint32_t flags, regions, irqs, count;
	struct stat a, b;

	(void)state;
	assert_int_equal(lm_vu_client_device_info(w->client, &flags, &regions, &irqs), 0);
	assert_int_equal(flags, 3);
	assert_int_equal(regions, 9);
	assert_int_equal(irqs, 5);

	assert_int_equal(lm_vu_client_region_info(w->client, 0, &info), 0);
	assert_int_equal(info.size_bytes, VU_BAR0_BYTES);
	assert_int_equal(info.flags & 7, 3);
	assert_int_equal(info.fd, -1);
	assert_int_equal(info.nb_areas, 0);

	assert_int_equal(lm_vu_client_region_info(w->client, 1, &info), 0);
	assert_int_equal(info.flags & 7, 7);
	assert_int_equal(info.nb_areas, 1);
	assert_int_equal(info.areas[0].offset, 0x1000);
	assert_int_equal(info.areas[0].size_bytes, 0x1000);
	assert_int_equal(fstat(info.fd, &a), 0);
	assert_int_equal(fstat(w->dev.bar1_fd, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_true(fcntl(info.fd, F_GETFD) & FD_CLOEXEC);
	close(info.fd);

	assert_int_equal(lm_vu_client_region_info(w->client, 2, &info), 0);
	assert_int_equal(info.mmap_offset, 0x2000);
	assert_int_equal(info.nb_areas, 1);
	assert_int_equal(info.areas[0].size_bytes, 0x1000);
	close(info.fd);

	assert_int_equal(lm_vu_client_region_info(w->client, 5, &info), 0);
	assert_int_equal(info.size_bytes, 0);
	assert_int_equal(lm_vu_client_region_info(w->client, 9, &info), -EINVAL);

	assert_int_equal(lm_vu_client_region_io_fds(w->client, 1, io, 4), 1);
	assert_int_equal(io[0].offset, 0x1000);
	assert_int_equal(eventfd_write(io[0].fd, 5), 0);
	close(io[0].fd);
	assert_int_equal(lm_vu_client_region_io_fds(w->client, 0, io, 4), 0);

	assert_int_equal(lm_vu_client_irq_info(w->client, LM_VU_IRQ_MSIX, &flags, &count), 0);
	assert_int_equal(count, VU_MSIX_COUNT);
	assert_int_equal(flags & 1, 1);
	world_free(w);
}

static void
region_access(void **state)
{
	struct world *w = world_new(false, true);
	struct lm_vu_write writes[3] = {
		{ .offset = 0x200, .region = 0, .len_bytes = 1, .data = 0x11 },
		{ .offset = 0x201, .region = 0, .len_bytes = 2, .data = 0x3322 },
		{ .offset = 0x208, .region = 0, .len_bytes = 8, .data = 0x0123456789abcdef },
	};
	uint8_t buf[VU_BAR0_BYTES], back[VU_BAR0_BYTES];
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i ^ i >> 8);
	assert_int_equal(lm_vu_client_region_write(w->client, 0, 0, buf, sizeof(buf)), 0);
	assert_int_equal(lm_vu_client_region_read(w->client, 0, 0, back, sizeof(back)), 0);
	assert_memory_equal(buf, back, sizeof(buf));
	/* the last byte, one behind it, and what wraps */
	assert_int_equal(lm_vu_client_region_read(w->client, 0, VU_BAR0_BYTES - 1, back, 1), 0);
	assert_int_equal(lm_vu_client_region_read(w->client, 0, VU_BAR0_BYTES, back, 1), -EINVAL);
	assert_int_equal(lm_vu_client_region_read(w->client, 0, VU_BAR0_BYTES - 1, back, 2),
			-EINVAL);
	assert_int_equal(lm_vu_client_region_read(w->client, 0, UINT64_MAX, back, 1), -EINVAL);
	assert_int_equal(lm_vu_client_region_write(w->client, 3, 0, buf, 1), -EINVAL);
	assert_int_equal(lm_vu_client_region_write(w->client, 77, 0, buf, 1), -EINVAL);

	/* posted writes come before the read behind them */
	for (i = 0; i < 500; i++)
		assert_int_equal(lm_vu_client_region_write_posted(w->client, 7, 4, &i, 4), 0);
	assert_int_equal(lm_vu_client_region_read(w->client, 7, 4, &i, 4), 0);
	assert_int_equal(i, 499);
	/* nobody hears of a bad one */
	assert_int_equal(lm_vu_client_region_write_posted(w->client, 7, 4096, &i, 4), 0);

	assert_true(lm_vu_client_caps(w->client)->write_multiple);
	assert_int_equal(lm_vu_client_region_write_multi(w->client, writes, 3), 0);
	assert_int_equal(reg_read64(w, 0x208), 0x0123456789abcdef);
	assert_int_equal(reg_read64(w, 0x200) & 0xffffff, 0x332211);
	writes[2].offset = VU_BAR0_BYTES;
	writes[0].data = 0x99;
	assert_int_equal(lm_vu_client_region_write_multi(w->client, writes, 3), -EINVAL);
	assert_int_equal(reg_read64(w, 0x200) & 0xff, 0x11);
	assert_int_equal(lm_vu_client_reset(w->client), 0);
	assert_int_equal(reg_read64(w, 0x208), 0);
	assert_int_equal(w->dev.resets, 1);
	assert_true(lm_vu_client_alive(w->client));
	world_free(w);
}

static void
irqs(void **state)
{
	struct world *w = world_new(false, true);
	int fds[VU_MSIX_COUNT], sparse[3];
	eventfd_t val;
	uint32_t i;

	(void)state;
	for (i = 0; i < VU_MSIX_COUNT; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	/* more vectors than descriptors fit into a message */
	assert_true(lm_vu_client_caps(w->client)->max_msg_fds < VU_MSIX_COUNT);
	assert_int_equal(lm_vu_client_set_irqs(w->client, LM_VU_IRQ_MSIX, 0, VU_MSIX_COUNT, fds),
		0);
	for (i = 0; i < VU_MSIX_COUNT; i++) {
		reg_write(w, VU_REG_IRQ, i);
		assert_int_equal(reg_result(w), true);
		assert_int_equal(eventfd_read(fds[i], &val), 0);
		assert_int_equal(val, 1);
		assert_int_equal(eventfd_read(fds[i], &val), -1);
	}
	/* unbind the middle one of three */
	sparse[0] = fds[0];
	sparse[1] = -1;
	sparse[2] = fds[2];
	assert_int_equal(lm_vu_client_set_irqs(w->client, LM_VU_IRQ_MSIX, 10, 3, sparse), 0);
	reg_write(w, VU_REG_IRQ, 11);
	assert_int_equal(reg_result(w), false);
	reg_write(w, VU_REG_IRQ, 12);
	assert_int_equal(eventfd_read(fds[2], &val), 0);
	assert_int_equal(lm_vu_client_set_irqs(w->client, LM_VU_IRQ_MSIX, 0, 2, NULL), 0);
	reg_write(w, VU_REG_IRQ, 1);
	assert_int_equal(reg_result(w), false);
	assert_int_equal(lm_vu_client_disable_irqs(w->client, LM_VU_IRQ_MSIX), 0);
	reg_write(w, VU_REG_IRQ, 12);
	assert_int_equal(reg_result(w), false);
	assert_int_equal(lm_vu_client_set_irqs(w->client, LM_VU_IRQ_MSIX, VU_MSIX_COUNT - 1, 2,
			NULL), -EINVAL);
	assert_int_equal(lm_vu_client_set_irqs(w->client, LM_VU_IRQ_MSI, 0, 1, fds), -EINVAL);
	for (i = 0; i < VU_MSIX_COUNT; i++)
		close(fds[i]);
	world_free(w);
}

/* Memory with a descriptor is reached directly, without one by messages; limits of both. */
static void
dma(void **state)
{
	bool twin = *(bool *)*state;
	struct world *w = world_new(twin, true);
	const uint32_t rw = LM_VU_PROT_READ | LM_VU_PROT_WRITE;
	uint64_t val = 0x1122334455667788, sum = 0;
	uint32_t i;

	assert_int_equal(lm_vu_client_caps(w->client)->twin_socket, twin);
	memcpy(w->mem + 0x10, &val, sizeof(val));
	assert_int_equal(lm_vu_client_dma_map(w->client, GUEST_IOVA, 0x2000, w->mem_fd, 0, rw), 0);
	assert_int_equal(lm_vu_client_dma_map(w->client, GUEST_IOVA + 0x2000,
			GUEST_BYTES - 0x2000, -1, 0, rw), 0);
	assert_int_equal(lm_vu_client_dma_map(w->client, GUEST_IOVA + 0x1000, 0x1000, w->mem_fd,
			0, rw), -EEXIST);
	assert_int_equal(lm_vu_client_dma_map(w->client, 0, 0x1000, w->mem_fd, GUEST_BYTES, rw),
			-EINVAL);
	assert_int_equal(lm_vu_client_dma_map(w->client, 0, 0x1000, w->mem_fd, 0,
			LM_VU_PROT_READ), 0);

	reg_write64(w, VU_REG_IOVA, GUEST_IOVA + 0x10);
	reg_write(w, VU_REG_DMA_READ, 1);
	assert_int_equal(reg_result(w), 0);
	assert_int_equal(reg_read64(w, VU_REG_DATA), val);
	assert_int_equal(w->dma_calls, 0);

	/* half with a descriptor, half by message */
	reg_write64(w, VU_REG_IOVA, GUEST_IOVA + 0x1ffc);
	reg_write64(w, VU_REG_DATA, ~val);
	reg_write(w, VU_REG_DMA_WRITE, 1);
	assert_int_equal(reg_result(w), 0);
	assert_int_equal(w->dma_calls, 1);
	memcpy(&sum, w->mem + 0x1ffc, sizeof(sum));
	assert_int_equal(sum, ~val);

	/* large, by message */
	for (sum = 0, i = 0; i < 256 << 10; i++)
		sum += w->mem[0x3000 + i] = (uint8_t)(i * 13 + (i >> 9));
	reg_write64(w, VU_REG_IOVA, GUEST_IOVA + 0x3000);
	reg_write(w, VU_REG_DMA_BULK, 1);
	assert_int_equal(reg_result(w), 0);
	assert_int_equal(reg_read64(w, VU_REG_DATA), sum);

	/* a read-only mapping, and none */
	reg_write64(w, VU_REG_IOVA, 0);
	reg_write(w, VU_REG_DMA_WRITE, 1);
	assert_int_equal(reg_result(w), -EFAULT);
	assert_int_equal(lm_vu_client_dma_unmap(w->client, 0, 0x2000), -ENOENT);
	assert_int_equal(lm_vu_client_dma_unmap(w->client, 0, 0x1000), 0);
	reg_write(w, VU_REG_DMA_READ, 1);
	assert_int_equal(reg_result(w), -EFAULT);
	assert_int_equal(lm_vu_client_dma_unmap_all(w->client), 0);
	assert_int_equal(w->dev.maps, 3);
	reg_write64(w, VU_REG_IOVA, GUEST_IOVA + 0x10);
	reg_write(w, VU_REG_DMA_READ, 1);
	assert_int_equal(reg_result(w), -EFAULT);
	world_free(w);
}

static void
migration(void **state)
{
	struct world *w = world_new(false, true);
	uint8_t buf[VU_STATE_BYTES + 1], orig[VU_STATE_BYTES];
	uint64_t flags, initial, dirty, size;
	uint32_t st, at, f;

	(void)state;
	memcpy(orig, w->dev.blob, sizeof(orig));
	assert_int_equal(lm_vu_client_mig_flags(w->client, &flags), 0);
	assert_int_equal(flags, 7);
	assert_int_equal(lm_vu_client_mig_state_get(w->client, &st), 0);
	assert_int_equal(st, 2);
	/* ERROR is no target, 8 is no state: refused on either side */
	assert_int_equal(lm_vu_client_mig_state_set(w->client, 0), -EINVAL);
	assert_int_equal(lm_vu_client_mig_state_set(w->client, 8), -EINVAL);

	assert_int_equal(lm_vu_client_mig_precopy_info(w->client, &f, &initial, &dirty), -EINVAL);
	assert_int_equal(lm_vu_client_mig_state_set(w->client, 6), 0);
	assert_int_equal(lm_vu_client_mig_precopy_info(w->client, &f, &initial, &dirty), 0);
	assert_int_equal(initial, 1000);
	assert_int_equal(dirty, 2000);
	assert_int_equal(lm_vu_client_mig_data_size(w->client, &size), 0);
	assert_int_equal(size, VU_STATE_BYTES);
	/* the device says "nothing now" */
	assert_int_equal(lm_vu_client_mig_read(w->client, buf, sizeof(buf)), 0);

	assert_int_equal(lm_vu_client_mig_state_set(w->client, 3), 0);
	for (at = 0; at < VU_STATE_BYTES; at += 1000)
		assert_int_equal(lm_vu_client_mig_read(w->client, buf + at, 1000), 1000);
	assert_int_equal(lm_vu_client_mig_read(w->client, buf, 1000), 0);
	assert_memory_equal(buf, orig, VU_STATE_BYTES);

	/* back in, to a device that has forgotten it */
	memset(w->dev.blob, 0, VU_STATE_BYTES);
	assert_int_equal(lm_vu_client_mig_state_set(w->client, 4), 0);
	assert_int_equal(lm_vu_client_mig_write(w->client, buf, 1), 0);
	assert_int_equal(lm_vu_client_mig_write(w->client, buf + 1, VU_STATE_BYTES - 1), 0);
	assert_int_equal(lm_vu_client_mig_write(w->client, buf, 1), -EINVAL);
	assert_int_equal(lm_vu_client_mig_state_set(w->client, 1), 0);
	assert_memory_equal(w->dev.blob, orig, VU_STATE_BYTES);
	world_free(w);
}

/* States behind flags that the device lacks are refused; so is everything without migration. */
static void
migration_limits(void **state)
{
	struct world *w = world_new(false, false);
	uint32_t st;
	uint64_t val;

	(void)state;
	w->dev.mig_flags = 1;
	w->dev.ops.log_start = NULL;
	w->dev.ops.log_stop = NULL;
	w->dev.ops.log_report = NULL;
	w->dev.ops.mig_precopy_info = NULL;
	w->dev.ops.mig_data_size = NULL;
	assert_int_equal(vu_device_start(&w->dev, true), 0);
	assert_int_equal(lm_vu_client_connect(w->dev.path, NULL, &w->client), 0);
	for (st = 5; st <= 7; st++)
		assert_int_equal(lm_vu_client_mig_state_set(w->client, st), -EINVAL);
	assert_int_equal(lm_vu_client_mig_state_set(w->client, 3), 0);
	assert_int_equal(lm_vu_client_mig_precopy_info(w->client, &st, &val, &val), -ENOTTY);
	assert_int_equal(lm_vu_client_mig_data_size(w->client, &val), -ENOTTY);
	val = 4096;
	assert_int_equal(lm_vu_client_log_start(w->client, NULL, 0, &val), -ENOTTY);
	assert_int_equal(lm_vu_client_log_stop(w->client), -ENOTTY);
	world_free(w);
}

static void
logging(void **state)
{
	struct world *w = world_new(false, true);
	const uint32_t rw = LM_VU_PROT_READ | LM_VU_PROT_WRITE;
	struct lm_vu_range ranges[3] = {
		{ 0x0, 0x40000 }, { GUEST_IOVA, GUEST_BYTES }, { 0x800000, 0x1000 }
	};
	uint64_t page = 8192, bitmap[8];

	(void)state;
	memset(bitmap, 0xff, sizeof(bitmap));
	assert_int_equal(lm_vu_client_dma_map(w->client, GUEST_IOVA, GUEST_BYTES, w->mem_fd, 0,
			rw), 0);
	assert_int_equal(lm_vu_client_log_report(w->client, GUEST_IOVA, GUEST_BYTES, 4096, bitmap),
			-EINVAL);
	ranges[1].iova = 0x3f000;
	page = 4096;
	assert_int_equal(lm_vu_client_log_start(w->client, ranges, 2, &page), -EINVAL);
	ranges[1].iova = GUEST_IOVA + 1;
	assert_int_equal(lm_vu_client_log_start(w->client, ranges, 2, &page), -EINVAL);
	ranges[1].iova = 0 - 0x2000ull;
	assert_int_equal(lm_vu_client_log_start(w->client, ranges, 2, &page), -EOVERFLOW);
	ranges[1].iova = GUEST_IOVA;
	page = 1000;
	assert_int_equal(lm_vu_client_log_start(w->client, ranges, 2, &page), -EINVAL);
	page = 8192;
	assert_int_equal(lm_vu_client_log_start(w->client, ranges, 2, &page), 0);
	assert_int_equal(page, 4096); /* the device's choice comes back */
	assert_int_equal(lm_vu_client_log_start(w->client, ranges, 2, &page), -EINVAL);

	reg_write64(w, VU_REG_IOVA, GUEST_IOVA + 67 * 4096);
	reg_write(w, VU_REG_DMA_WRITE, 1);
	reg_write64(w, VU_REG_IOVA, GUEST_IOVA);
	reg_write(w, VU_REG_DMA_WRITE, 1);
	reg_write(w, VU_REG_DMA_READ, 1);
	assert_int_equal(lm_vu_client_log_report(w->client, GUEST_IOVA, GUEST_BYTES, 4096, bitmap),
			0);
	assert_int_equal(bitmap[0], 1);
	assert_int_equal(bitmap[1], 1 << 3);
	assert_int_equal(bitmap[2], 0);
	assert_int_equal(bitmap[3], 0);
	assert_int_equal(bitmap[4], UINT64_MAX); /* not ours */
	/* read and clear */
	assert_int_equal(lm_vu_client_log_report(w->client, GUEST_IOVA, GUEST_BYTES, 4096, bitmap),
			0);
	assert_int_equal(bitmap[0] | bitmap[1], 0);
	assert_int_equal(lm_vu_client_log_report(w->client, GUEST_IOVA, 4096 * 65, 4096, bitmap),
		0);
	assert_int_equal(lm_vu_client_log_report(w->client, 0 - 4096ull, 8192, 4096, bitmap),
			-EINVAL);
	assert_int_equal(lm_vu_client_log_stop(w->client), 0);
	world_free(w);
}

/* A report longer than a message is asked in pieces: the bits on both sides of the seam. */
static void
logging_pieces(void **state)
{
	struct world *w = world_new(false, true);
	const uint64_t pages = (LM_VU_MAX_XFER - 24) * 8ull; /* of the first piece */
	uint64_t page = 4096, *bitmap;

	(void)state;
	assert_int_equal(lm_vu_client_log_start(w->client, NULL, 0, &page), 0);
	w->dev.log_first_page = pages - 4;
	w->dev.log_pages[0] = 1 << 3 | 1 << 4 | 1 << 9;
	bitmap = calloc(1, LM_VU_MAX_XFER + 4096);
	assert_int_equal(lm_vu_client_log_report(w->client, 0, (pages + 128) * 4096, 4096, bitmap),
			0);
	assert_int_equal(bitmap[pages / 64 - 1], 1ull << 63);
	assert_int_equal(bitmap[pages / 64], 1 << 0 | 1 << 5);
	assert_int_equal(bitmap[pages / 64 + 1], 0);
	free(bitmap);
	world_free(w);
}

static void
lifecycle(void **state)
{
	struct world *w = world_new(false, true);
	struct vu_device other;
	struct lm_vu_client *second = NULL;
	struct lm_vu_server *dup;
	struct lm_vu_server_conf conf = w->dev.conf;
	uint32_t flags, regions, irqs, i;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(lm_vu_client_dma_map(w->client, 0, GUEST_BYTES, w->mem_fd, 0, 3), 0);
	/* somebody answers on this path, whether busy or not */
	assert_int_equal(lm_vu_server_create(&conf, &dup), -EADDRINUSE);
	for (i = 0; i < 20; i++) {
		lm_vu_client_close(w->client);
		assert_int_equal(lm_vu_client_connect(w->dev.path, NULL, &w->client), 0);
		assert_int_equal(lm_vu_client_device_info(w->client, &flags, &regions, &irqs), 0);
	}
	assert_int_equal(w->dev.connects, 21);
	assert_int_equal(w->dev.disconnects, 20);
	assert_int_equal(w->dev.unmaps, 1);
	/* something else at the path is not ours to remove */
	vu_device_init(&other);
	fd = open(other.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(vu_device_start(&other, false), -EEXIST);
	assert_int_equal(stat(other.path, &st), 0);
	unlink(other.path);
	assert_int_equal(vu_device_start(&other, false), 0);
	assert_int_equal(stat(other.path, &st), 0);
	vu_device_stop(&other);
	/* server goes: client knows, and stays dead */
	vu_device_stop(&w->dev);
	assert_int_equal(lm_vu_client_process(w->client), -ECONNRESET);
	assert_false(lm_vu_client_alive(w->client));
	assert_int_equal(lm_vu_client_reset(w->client), -ENOTCONN);
	assert_int_equal(lm_vu_client_connect(w->dev.path, NULL, &second), -ENOENT);
	lm_vu_client_close(w->client);
	munmap(w->mem, GUEST_BYTES);
	close(w->mem_fd);
	assert_int_equal(vu_count_fds(), w->fds_before);
	free(w);
}

/* Leftover socket file of a dead server: replaced. A file put over ours: not removed by us. */
static void
stale_socket(void **state)
{
	struct vu_device d;
	struct stat st;
	char saved[128];
	struct lm_vu_server *first;

	(void)state;
	vu_device_init(&d);
	assert_int_equal(vu_device_start(&d, false), 0);
	first = d.server;
	snprintf(saved, sizeof(saved), "%s.old", d.path);
	assert_int_equal(rename(d.path, saved), 0);
	assert_int_equal(lm_vu_server_create(&d.conf, &d.server), 0);
	lm_vu_server_destroy(first);
	assert_int_equal(stat(d.path, &st), 0);
	lm_vu_server_destroy(d.server);
	assert_int_equal(stat(d.path, &st), -1);
	/* "saved" is now a socket that nobody listens on */
	assert_int_equal(rename(saved, d.path), 0);
	assert_int_equal(vu_device_start(&d, false), 0);
	vu_device_stop(&d);
	assert_int_equal(stat(d.path, &st), -1);
}

int
main(void)
{
	static bool no = false, yes = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(info_and_regions),
		cmocka_unit_test(region_access),
		cmocka_unit_test(irqs),
		cmocka_unit_test(migration),
		cmocka_unit_test(migration_limits),
		cmocka_unit_test(logging),
		cmocka_unit_test(logging_pieces),
		cmocka_unit_test(lifecycle),
		cmocka_unit_test(stale_socket),
		{ "dma, one socket", dma, NULL, NULL, &no },
		{ "dma, twin socket", dma, NULL, NULL, &yes },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
