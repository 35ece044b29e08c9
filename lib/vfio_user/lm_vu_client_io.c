/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lm_vu_client_priv.h"

#define MULTI_MAX 200u /* QEMU's limit of writes in one REGION_WRITE_MULTI */

/* Entries may share a descriptor on the wire; the caller gets one of its own for each. */
static int
own_fds(struct lm_vu_ioeventfd *fds, int n, const struct lm_vu_msg *reply)
{
	int i;

	for (i = 0; i < n; i++) {
		int fd = fcntl(reply->fds[fds[i].fd], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int err = -errno;

			while (i-- > 0)
				close(fds[i].fd);
			return err;
		}
		fds[i].fd = fd;
	}
	return n;
}

int
lm_vu_client_region_io_fds(struct lm_vu_client *c, uint32_t region, struct lm_vu_ioeventfd *fds,
		uint32_t max)
{
	const struct lm_vu_io_fds ask = {
		.argsz = sizeof(ask) + 256 * sizeof(struct lm_vu_io_fd), .index = region,
	};
	struct lm_vu_msg reply;
	int ret;

	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_GET_REGION_IO_FDS,
		.fixed = &ask, .fixed_bytes = sizeof(ask),
		.min_reply_bytes = sizeof(ask), .max_reply_bytes = ask.argsz,
	}, &reply);
	if (ret < 0)
		return ret;
	ret = lm_vu_io_fds_parse(reply.payload, reply.len_bytes, region, reply.nb_fds, fds, max);
	if (ret > 0)
		ret = own_fds(fds, ret, &reply);
	lm_vu_msg_clear(&reply);
	return ret == -EPROTO ? lm_vu_client_reject(c) : ret;
}

int
lm_vu_client_irq_info(struct lm_vu_client *c, uint32_t index, uint32_t *flags, uint32_t *count)
{
	struct lm_vu_irq_info info = { .argsz = sizeof(info), .index = index };
	struct lm_vu_msg reply;
	int ret;

	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_GET_IRQ_INFO, .fixed = &info, .fixed_bytes = sizeof(info),
		.min_reply_bytes = sizeof(info), .max_reply_bytes = sizeof(info),
	}, &reply);
	if (ret < 0)
		return ret;
	memcpy(&info, reply.payload, sizeof(info));
	lm_vu_msg_clear(&reply);
	if (info.index != index)
		return lm_vu_client_reject(c);
	*flags = info.flags;
	*count = info.count;
	return 0;
}

static int
set_irqs(struct lm_vu_client *c, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		const int *fds)
{
	const struct lm_vu_irq_set set = {
		.argsz = sizeof(set), .flags = flags | LM_VU_IRQ_ACTION_TRIGGER, .index = index,
		.start = start, .count = count,
	};

	return lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_SET_IRQS, .fixed = &set, .fixed_bytes = sizeof(set),
		.max_reply_bytes = LM_VU_MAX_PAYLOAD,
		.fds = fds, .nb_fds = fds != NULL ? count : 0,
	}, NULL);
}

/* A message carries as many descriptors as vectors, or none: runs of both kinds go separately. */
int
lm_vu_client_set_irqs(struct lm_vu_client *c, uint32_t index, uint32_t start, uint32_t count,
		const int *fds)
{
	uint32_t i = 0, n;
	int ret;

	if (count == 0 || start > UINT32_MAX - count)
		return -EINVAL;
	if (c->caps.max_msg_fds == 0)
		return -EOPNOTSUPP;
	while (i < count) {
		bool bind = fds != NULL && fds[i] >= 0;

		for (n = 1; i + n < count; n++) {
			bool same = (fds != NULL && fds[i + n] >= 0) == bind;

			if (!same || (bind && n == c->caps.max_msg_fds))
				break;
		}
		ret = set_irqs(c, LM_VU_IRQ_DATA_EVENTFD, index, start + i, n,
				bind ? fds + i : NULL);
		if (ret < 0)
			return ret;
		i += n;
	}
	return 0;
}

int
lm_vu_client_disable_irqs(struct lm_vu_client *c, uint32_t index)
{
	return set_irqs(c, LM_VU_IRQ_DATA_NONE, index, 0, 0, NULL);
}

static int
region_read(struct lm_vu_client *c, const struct lm_vu_region_access *acc, void *buf)
{
	uint32_t want_bytes = (uint32_t)sizeof(*acc) + acc->count;
	struct lm_vu_region_access back;
	struct lm_vu_msg reply;
	int ret;

	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_REGION_READ, .fixed = acc, .fixed_bytes = sizeof(*acc),
		.min_reply_bytes = sizeof(*acc), .max_reply_bytes = want_bytes,
	}, &reply);
	if (ret < 0)
		return ret;
	memcpy(&back, reply.payload, sizeof(back));
	if (reply.len_bytes != want_bytes || back.count != acc->count)
		ret = lm_vu_client_reject(c);
	else
		memcpy(buf, reply.payload + sizeof(*acc), acc->count);
	lm_vu_msg_clear(&reply);
	return ret;
}

int
lm_vu_client_region_read(struct lm_vu_client *c, uint32_t region, uint64_t offset, void *buf,
		uint32_t len_bytes)
{
	struct lm_vu_region_access acc = { .offset = offset, .region = region };
	uint8_t *at = buf;
	int ret = len_bytes == 0 ? -EINVAL : 0;

	while (ret == 0 && len_bytes > 0) {
		acc.count = len_bytes < c->caps.max_data_xfer_bytes ? len_bytes :
				c->caps.max_data_xfer_bytes;
		ret = region_read(c, &acc, at);
		acc.offset += acc.count;
		at += acc.count;
		len_bytes -= acc.count;
	}
	return ret;
}

static int
region_write(struct lm_vu_client *c, uint32_t region, uint64_t offset, const void *buf,
		uint32_t len_bytes, bool posted)
{
	struct lm_vu_region_access acc = { .offset = offset, .region = region };
	const uint8_t *at = buf;
	int ret = len_bytes == 0 ? -EINVAL : 0;

	while (ret == 0 && len_bytes > 0) {
		acc.count = len_bytes < c->caps.max_data_xfer_bytes ? len_bytes :
				c->caps.max_data_xfer_bytes;
		ret = lm_vu_client_call(c, &(struct lm_vu_req){
			.command = LM_VU_REGION_WRITE, .no_reply = posted,
			.fixed = &acc, .fixed_bytes = sizeof(acc),
			.data = at, .data_bytes = acc.count,
			.min_reply_bytes = sizeof(acc), .max_reply_bytes = sizeof(acc),
		}, NULL);
		acc.offset += acc.count;
		at += acc.count;
		len_bytes -= acc.count;
	}
	return ret;
}

int
lm_vu_client_region_write(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		const void *buf, uint32_t len_bytes)
{
	return region_write(c, region, offset, buf, len_bytes, false);
}

int
lm_vu_client_region_write_posted(struct lm_vu_client *c, uint32_t region, uint64_t offset,
		const void *buf, uint32_t len_bytes)
{
	return region_write(c, region, offset, buf, len_bytes, true);
}

static int
write_batch(struct lm_vu_client *c, const struct lm_vu_write *writes, uint32_t count)
{
	struct lm_vu_multi_entry e[MULTI_MAX];
	const uint64_t nb = count;
	struct lm_vu_msg reply;
	uint64_t done;
	uint32_t i;
	int ret;

	for (i = 0; i < count; i++) {
		e[i] = (struct lm_vu_multi_entry){
			.offset = writes[i].offset, .region = writes[i].region,
			.count = writes[i].len_bytes,
		};
		memcpy(e[i].data, &writes[i].data, writes[i].len_bytes);
	}
	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_REGION_WRITE_MULTI, .fixed = &nb, .fixed_bytes = sizeof(nb),
		.data = e, .data_bytes = count * (uint32_t)sizeof(e[0]),
		.min_reply_bytes = sizeof(done), .max_reply_bytes = sizeof(done),
	}, &reply);
	if (ret < 0)
		return ret;
	memcpy(&done, reply.payload, sizeof(done));
	lm_vu_msg_clear(&reply);
	if (done > count)
		return lm_vu_client_reject(c);
	return done == count ? 0 : -EIO;
}

int
lm_vu_client_region_write_multi(struct lm_vu_client *c, const struct lm_vu_write *writes,
		uint32_t count)
{
	uint32_t i, n;
	int ret = 0;

	for (i = 0; i < count; i++)
		if (writes[i].len_bytes == 0 || writes[i].len_bytes > sizeof(writes[i].data))
			return -EINVAL;
	for (i = 0; i < count && ret == 0; i += n) {
		n = 1;
		if (c->caps.write_multiple) {
			n = count - i < MULTI_MAX ? count - i : MULTI_MAX;
			ret = write_batch(c, writes + i, n);
		} else {
			ret = region_write(c, writes[i].region, writes[i].offset, &writes[i].data,
					writes[i].len_bytes, false);
		}
	}
	return ret;
}

int
lm_vu_client_dma_map(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes, int fd,
		uint64_t fd_offset, uint32_t prot)
{
	const struct lm_vu_dma_map map = {
		.argsz = sizeof(map), .flags = prot, .addr = iova, .size = size_bytes,
		.offset = fd >= 0 ? fd_offset : 0,
	};

	return lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DMA_MAP, .fixed = &map, .fixed_bytes = sizeof(map),
		.max_reply_bytes = LM_VU_MAX_PAYLOAD, .fds = &fd, .nb_fds = fd >= 0,
	}, NULL);
}

static int
dma_unmap(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes, uint32_t flags)
{
	const struct lm_vu_dma_unmap un = {
		.argsz = sizeof(un), .flags = flags, .addr = iova, .size = size_bytes,
	};

	return lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DMA_UNMAP, .fixed = &un, .fixed_bytes = sizeof(un),
		.max_reply_bytes = LM_VU_MAX_PAYLOAD,
	}, NULL);
}

int
lm_vu_client_dma_unmap(struct lm_vu_client *c, uint64_t iova, uint64_t size_bytes)
{
	return dma_unmap(c, iova, size_bytes, 0);
}

int
lm_vu_client_dma_unmap_all(struct lm_vu_client *c)
{
	return dma_unmap(c, 0, 0, LM_VU_UNMAP_ALL);
}

int
lm_vu_client_reset(struct lm_vu_client *c)
{
	return lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_RESET, .max_reply_bytes = LM_VU_MAX_PAYLOAD,
	}, NULL);
}
