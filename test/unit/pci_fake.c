/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pci_fake.h"

static uint8_t *
memory_of(struct fake_pci *f, uint32_t region)
{
	switch (region) {
	case LM_VU_REGION_CONFIG:
		return f->config;
	case 0:
		return f->bar0;
	case 2:
		return f->bar2;
	default:
		return f->bar4;
	}
}

static int
region_read(void *ctx, uint32_t region, uint64_t offset, void *buf, uint32_t len)
{
	struct fake_pci *f = ctx;

	if (f->on_read != NULL && f->on_read(f, region, offset, buf, len) == 1)
		return 0;
	memcpy(buf, memory_of(f, region) + offset, len);
	return 0;
}

static int
region_write(void *ctx, uint32_t region, uint64_t offset, const void *buf, uint32_t len)
{
	struct fake_pci *f = ctx;

	if (region != LM_VU_REGION_CONFIG)
		f->nb_writes++;
	if (f->on_write != NULL && f->on_write(f, region, offset, buf, len) == 1)
		return 0;
	memcpy(memory_of(f, region) + offset, buf, len);
	return 0;
}

static int
reset(void *ctx)
{
	struct fake_pci *f = ctx;

	f->nb_resets++;
	return 0;
}

static void
mapped(void *ctx, uint64_t iova, uint64_t size, uint32_t prot)
{
	struct fake_pci *f = ctx;

	(void)iova;
	(void)size;
	(void)prot;
	f->nb_mapped++;
}

static void
unmapping(void *ctx, uint64_t iova, uint64_t size)
{
	struct fake_pci *f = ctx;

	(void)iova;
	(void)size;
	f->nb_unmapped++;
}

static const struct lm_vu_server_ops ops = {
	.region_read = region_read,
	.region_write = region_write,
	.reset = reset,
	.dma_mapped = mapped,
	.dma_unmapping = unmapping,
};

static void *
serve(void *arg)
{
	struct fake_pci *f = arg;
	struct pollfd fds[2] = {
		{ .fd = lm_vu_server_fd(f->server), .events = POLLIN },
		{ .fd = f->stop_fd, .events = POLLIN },
	};

	while (poll(fds, 2, -1) > 0 && fds[1].revents == 0)
		if (lm_vu_server_process(f->server) < 0)
			break;
	return NULL;
}

void
fake_init(struct fake_pci *f)
{
	memset(f, 0, sizeof(*f));
	f->doorbell_fd = eventfd(0, EFD_CLOEXEC);
	f->match_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->stop_fd = eventfd(0, EFD_CLOEXEC);
	f->bar2_fd = memfd_create("bar2", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->bar2_fd, FAKE_BAR2_BYTES), 0);
	f->bar2 = mmap(NULL, FAKE_BAR2_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->bar2_fd, 0);
	assert_ptr_not_equal(f->bar2, MAP_FAILED);
	f->max_dma_maps = 64;
	f->config[0x06] = 0x10; /* there is a capability list */
	snprintf(f->dir, sizeof(f->dir), "/tmp/lm-pci-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/pci.sock", f->dir);
}

void
fake_cap(struct fake_pci *f, uint8_t pos, uint8_t id, uint8_t next)
{
	f->config[pos] = id;
	f->config[pos + 1] = next;
}

void
fake_start(struct fake_pci *f)
{
	const struct lm_vu_area area = { .offset = 0, .size_bytes = FAKE_BAR2_MAPPED };
	const struct lm_vu_ioeventfd doorbells[] = {
		{ .offset = FAKE_DOORBELL, .size_bytes = 2, .fd = f->doorbell_fd },
		{ .offset = FAKE_MATCH_DOORBELL, .size_bytes = 2, .datamatch = 7, .flags = 1,
			.fd = f->match_fd },
	};
	const uint32_t rw = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	struct lm_vu_server_conf conf = {
		.path = f->path, .max_dma_maps = f->max_dma_maps, .ops = &ops, .ctx = f,
		.irq_counts[LM_VU_IRQ_MSIX] = FAKE_VECTORS,
	};

	conf.regions[0] = (struct lm_vu_region_conf){
		.size_bytes = f->bar0_bytes != 0 ? f->bar0_bytes : FAKE_BAR0_BYTES, .flags = rw,
		.fd = -1,
	};
	conf.regions[2] = (struct lm_vu_region_conf){
		.size_bytes = FAKE_BAR2_BYTES, .flags = rw | LM_VU_REGION_F_MMAP,
		.fd = f->bar2_fd, .areas = &area, .nb_areas = 1,
	};
	conf.regions[4] = (struct lm_vu_region_conf){
		.size_bytes = FAKE_BAR4_BYTES, .flags = rw, .fd = -1, .ioeventfds = doorbells,
		.nb_ioeventfds = 2,
	};
	conf.regions[LM_VU_REGION_CONFIG] = (struct lm_vu_region_conf){
		.size_bytes = sizeof(f->config), .flags = rw, .fd = -1,
	};
	assert_int_equal(lm_vu_server_create(&conf, &f->server), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	f->running = true;
}

void
fake_stop(struct fake_pci *f)
{
	if (!f->running)
		return;
	f->running = false;
	assert_int_equal(eventfd_write(f->stop_fd, 1), 0);
	pthread_join(f->thread, NULL);
	assert_int_equal(eventfd_read(f->stop_fd, &(eventfd_t){ 0 }), 0);
	lm_vu_server_destroy(f->server);
	f->server = NULL;
}

void
fake_fini(struct fake_pci *f)
{
	fake_stop(f);
	munmap(f->bar2, FAKE_BAR2_BYTES);
	close(f->bar2_fd);
	close(f->doorbell_fd);
	close(f->match_fd);
	close(f->stop_fd);
	rmdir(f->dir);
}

struct lm_pci *
fake_open(struct fake_pci *f)
{
	const struct lm_pci_params params = { .name = "fake0", .timeout_ms = 2000 };
	struct lm_pci *pci = NULL;
	int ret = lm_pci_open_vfio_user(f->path, &params, &pci);

	if (ret != 0)
		fail_msg("open: %d, %s", ret, lm_pci_strerror(NULL));
	return pci;
}
