/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vu_device.h"

static void
act(struct vu_device *d, uint64_t offset, uint32_t val)
{
	uint8_t *bulk;
	uint64_t iova, sum = 0, data;
	uint32_t i;
	int ret = 0;

	memcpy(&iova, d->bar0 + VU_REG_IOVA, sizeof(iova));
	switch (offset) {
	case VU_REG_DMA_READ:
		ret = lm_vu_server_dma_read(d->server, iova, d->bar0 + VU_REG_DATA, 8);
		break;
	case VU_REG_DMA_WRITE:
		memcpy(&data, d->bar0 + VU_REG_DATA, sizeof(data));
		ret = lm_vu_server_dma_write(d->server, iova, &data, 8);
		if (ret == 0 && d->is_logging && (iova >> 12) < VU_LOG_PAGES)
			d->log_pages[iova >> 18] |= 1ull << ((iova >> 12) & 63);
		break;
	case VU_REG_DMA_BULK:
		bulk = malloc(256 << 10);
		ret = lm_vu_server_dma_read(d->server, iova, bulk, 256 << 10);
		for (i = 0; i < 256 << 10; i++)
			sum += bulk[i];
		memcpy(d->bar0 + VU_REG_DATA, &sum, sizeof(sum));
		free(bulk);
		break;
	case VU_REG_IRQ:
		ret = lm_vu_server_irq_trigger(d->server, LM_VU_IRQ_MSIX, val);
		break;
	case VU_REG_INTX:
		ret = lm_vu_server_irq_trigger(d->server, LM_VU_IRQ_INTX, 0);
		break;
	default:
		return;
	}
	memcpy(d->bar0 + VU_REG_RESULT, &ret, sizeof(ret));
}

static uint8_t *
backing(struct vu_device *d, uint32_t region)
{
	return region == LM_VU_REGION_BAR0 ? d->bar0 :
			region == LM_VU_REGION_CONFIG ? d->config : NULL;
}

static int
region_read(void *ctx, uint32_t region, uint64_t offset, void *buf, uint32_t len_bytes)
{
	struct vu_device *d = ctx;
	uint8_t *mem = backing(d, region);

	if (mem != NULL)
		memcpy(buf, mem + offset, len_bytes);
	else if (pread(d->bar1_fd, buf, len_bytes, (off_t)offset) != (ssize_t)len_bytes)
		return -EIO;
	return 0;
}

static int
region_write(void *ctx, uint32_t region, uint64_t offset, const void *buf, uint32_t len_bytes)
{
	struct vu_device *d = ctx;
	uint8_t *mem = backing(d, region);
	uint32_t val;

	if (mem != NULL)
		memcpy(mem + offset, buf, len_bytes);
	else if (pwrite(d->bar1_fd, buf, len_bytes, (off_t)offset) != (ssize_t)len_bytes)
		return -EIO;
	if (region == LM_VU_REGION_BAR0 && len_bytes == sizeof(val)) {
		memcpy(&val, buf, sizeof(val));
		act(d, offset, val);
	}
	return 0;
}

static int
reset(void *ctx)
{
	struct vu_device *d = ctx;

	d->resets++;
	d->state = 2;
	memset(d->bar0, 0, sizeof(d->bar0));
	return 0;
}

static void
dma_mapped(void *ctx, uint64_t iova, uint64_t size_bytes, uint32_t prot)
{
	(void)iova;
	(void)size_bytes;
	(void)prot;
	((struct vu_device *)ctx)->maps++;
}

static void
dma_unmapping(void *ctx, uint64_t iova, uint64_t size_bytes)
{
	struct vu_device *d = ctx;

	/* The contract: the mapping is still there. */
	if (lm_vu_server_dma_ptr(d->server, iova, 1, 0) != NULL || size_bytes != 0)
		d->unmaps++;
}

static void
connected(void *ctx)
{
	((struct vu_device *)ctx)->connects++;
}

static void
disconnected(void *ctx, const char *why)
{
	assert(why != NULL);
	((struct vu_device *)ctx)->disconnects++;
}

static uint64_t
mig_flags(void *ctx)
{
	return ((struct vu_device *)ctx)->mig_flags;
}

static int
mig_state_get(void *ctx, uint32_t *state)
{
	*state = ((struct vu_device *)ctx)->state;
	return 0;
}

static int
mig_state_set(void *ctx, uint32_t state)
{
	struct vu_device *d = ctx;

	d->blob_at = 0;
	d->state = state;
	return 0;
}

static int
mig_read(void *ctx, void *buf, uint32_t len_bytes)
{
	struct vu_device *d = ctx;
	uint32_t n = VU_STATE_BYTES - d->blob_at;

	if (d->state == 6)
		return -ENOMSG;
	if (d->state != 3)
		return -EINVAL;
	n = n < len_bytes ? n : len_bytes;
	memcpy(buf, d->blob + d->blob_at, n);
	d->blob_at += n;
	return (int)n;
}

static int
mig_write(void *ctx, const void *buf, uint32_t len_bytes)
{
	struct vu_device *d = ctx;

	if (d->state != 4 || len_bytes > VU_STATE_BYTES - d->blob_at)
		return -EINVAL;
	memcpy(d->blob + d->blob_at, buf, len_bytes);
	d->blob_at += len_bytes;
	return 0;
}

static int
mig_precopy_info(void *ctx, uint32_t *flags, uint64_t *initial, uint64_t *dirty)
{
	if (((struct vu_device *)ctx)->state != 6)
		return -EINVAL;
	*flags = 0;
	*initial = 1000;
	*dirty = 2000;
	return 0;
}

static int
mig_data_size(void *ctx, uint64_t *bytes)
{
	(void)ctx;
	*bytes = VU_STATE_BYTES;
	return 0;
}

static int
log_start(void *ctx, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	struct vu_device *d = ctx;

	(void)ranges;
	if (d->is_logging || nb_ranges > 2)
		return -EINVAL;
	d->is_logging = true;
	*page_size_bytes = 4096;
	return 0;
}

static int
log_stop(void *ctx)
{
	((struct vu_device *)ctx)->is_logging = false;
	return 0;
}

static int
log_report(void *ctx, uint64_t iova, uint64_t length_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	struct vu_device *d = ctx;
	uint64_t i, nb = length_bytes / page_size_bytes;

	if (!d->is_logging || page_size_bytes != 4096)
		return -EINVAL;
	for (i = 0; i < nb; i++) {
		uint64_t page = (iova >> 12) + i - d->log_first_page;

		if (page < VU_LOG_PAGES && (d->log_pages[page / 64] >> (page % 64) & 1) != 0) {
			bitmap[i / 64] |= 1ull << (i % 64);
			d->log_pages[page / 64] &= ~(1ull << (page % 64));
		}
	}
	return 0;
}

static void
carried_out(void *ctx, uint16_t command)
{
	((struct vu_device *)ctx)->carried_out[command]++;
}

void
vu_device_init(struct vu_device *d)
{
	static const struct lm_vu_area page1 = { .offset = 0x1000, .size_bytes = 0x1000 };
	static struct lm_vu_ioeventfd io = { .offset = 0x1000, .size_bytes = 4 };
	const uint32_t rw = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	uint32_t i;

	memset(d, 0, sizeof(*d));
	snprintf(d->dir, sizeof(d->dir), "/tmp/lm-vu-XXXXXX");
	if (mkdtemp(d->dir) == NULL)
		abort();
	snprintf(d->path, sizeof(d->path), "%s/dev", d->dir);
	d->bar1_fd = memfd_create("bar1", MFD_CLOEXEC);
	d->ioevent_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	d->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (ftruncate(d->bar1_fd, VU_BAR1_BYTES) < 0)
		abort();
	io.fd = d->ioevent_fd;
	d->state = 2;
	d->mig_flags = 7;
	for (i = 0; i < VU_STATE_BYTES; i++)
		d->blob[i] = (uint8_t)(i * 7 + 1);
	d->ops = (struct lm_vu_server_ops){
		.region_read = region_read, .region_write = region_write, .reset = reset,
		.dma_mapped = dma_mapped, .dma_unmapping = dma_unmapping,
		.connected = connected, .disconnected = disconnected,
		.carried_out = carried_out,
		.mig_flags = mig_flags, .mig_state_get = mig_state_get,
		.mig_state_set = mig_state_set, .mig_read = mig_read, .mig_write = mig_write,
		.mig_precopy_info = mig_precopy_info, .mig_data_size = mig_data_size,
		.log_start = log_start, .log_stop = log_stop, .log_report = log_report,
	};
	d->conf = (struct lm_vu_server_conf){
		.path = d->path, .ops = &d->ops, .ctx = d,
		.regions = {
			[0] = { .size_bytes = VU_BAR0_BYTES, .flags = rw, .fd = -1 },
			[1] = { .size_bytes = VU_BAR1_BYTES, .flags = rw | LM_VU_REGION_F_MMAP,
				.fd = d->bar1_fd, .areas = &page1, .nb_areas = 1,
				.ioeventfds = &io, .nb_ioeventfds = 1 },
			[2] = { .size_bytes = 0x1000, .flags = rw | LM_VU_REGION_F_MMAP,
				.fd = d->bar1_fd, .fd_offset = 0x2000 },
			[LM_VU_REGION_CONFIG] = { .size_bytes = VU_CONFIG_BYTES, .flags = rw,
				.fd = -1 },
		},
		.irq_counts = { [LM_VU_IRQ_INTX] = 1, [LM_VU_IRQ_MSIX] = VU_MSIX_COUNT,
			[LM_VU_IRQ_ERR] = 1 },
		.max_dma_maps = 8,
	};
}

static void *
run(void *arg)
{
	struct vu_device *d = arg;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = lm_vu_server_fd(d->server), .events = POLLIN },
			{ .fd = d->stop_fd, .events = POLLIN },
		};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			abort();
		if (p[1].revents != 0)
			return NULL;
		if (lm_vu_server_process(d->server) < 0)
			abort();
	}
}

int
vu_device_start(struct vu_device *d, bool with_thread)
{
	int ret = lm_vu_server_create(&d->conf, &d->server);

	if (ret == 0 && with_thread) {
		if (pthread_create(&d->thread, NULL, run, d) != 0)
			abort();
		d->is_running = true;
	}
	return ret;
}

void
vu_device_stop(struct vu_device *d)
{
	if (d->is_running) {
		eventfd_write(d->stop_fd, 1);
		pthread_join(d->thread, NULL);
	}
	lm_vu_server_destroy(d->server);
	close(d->bar1_fd);
	close(d->ioevent_fd);
	close(d->stop_fd);
	rmdir(d->dir);
}

uint32_t
vu_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

int
vu_raw_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 5 };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		abort();
	return sock;
}
