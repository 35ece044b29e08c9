/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "lm_vu_server_priv.h"

int
lm_vu_srv_device_info(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_device_info info;

	memcpy(&info, msg->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info = (struct lm_vu_device_info){
		.argsz = sizeof(info),
		.flags = LM_VU_DEVICE_F_PCI | (s->ops->reset != NULL ? LM_VU_DEVICE_F_RESET : 0),
		.num_regions = LM_VU_NUM_REGIONS,
		.num_irqs = LM_VU_NUM_IRQS,
	};
	memcpy(reply->buf, &info, sizeof(info));
	reply->len_bytes = sizeof(info);
	return 0;
}

static void
put_sparse(const struct lm_vu_region_conf *r, uint8_t *at)
{
	const struct lm_vu_cap_sparse cap = {
		.hdr = { .id = LM_VU_CAP_SPARSE_MMAP, .version = 1 },
		.nr_areas = r->nb_areas,
	};
	uint32_t i;

	memcpy(at, &cap, sizeof(cap));
	at += sizeof(cap);
	for (i = 0; i < r->nb_areas; i++, at += sizeof(struct lm_vu_wire_area)) {
		const struct lm_vu_wire_area a = {
			.offset = r->areas[i].offset, .size = r->areas[i].size_bytes
		};

		memcpy(at, &a, sizeof(a));
	}
}

/*
 * Mappable regions always have the sparse capability, and the descriptor comes with it: clients
 * ask with a short argsz first, and not all of them are ready for a descriptor then.
 */
int
lm_vu_srv_region_info(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	const struct lm_vu_region_conf *r;
	struct lm_vu_wire_region_info info;
	uint32_t need_bytes = sizeof(info), argsz;

	memcpy(&info, msg->payload, sizeof(info));
	argsz = info.argsz;
	if (argsz < sizeof(info) || info.index >= LM_VU_NUM_REGIONS)
		return -EINVAL;
	r = &s->conf.regions[info.index];
	if ((r->flags & LM_VU_REGION_F_MMAP) != 0)
		need_bytes += (uint32_t)sizeof(struct lm_vu_cap_sparse) +
				r->nb_areas * (uint32_t)sizeof(struct lm_vu_wire_area);
	info = (struct lm_vu_wire_region_info){
		.argsz = need_bytes, .flags = r->flags, .index = info.index,
		.size = r->size_bytes, .offset = r->fd_offset,
	};
	reply->len_bytes = sizeof(info);
	if (need_bytes > sizeof(info) && need_bytes <= argsz) {
		info.flags |= LM_VU_REGION_F_CAPS;
		info.cap_offset = sizeof(info);
		put_sparse(r, reply->buf + sizeof(info));
		reply->len_bytes = need_bytes;
		reply->fds[reply->nb_fds++] = r->fd;
	}
	memcpy(reply->buf, &info, sizeof(info));
	return 0;
}

static uint32_t
fd_index(struct lm_vu_reply *reply, int fd)
{
	uint32_t i;

	for (i = 0; i < reply->nb_fds; i++)
		if (reply->fds[i] == fd)
			return i;
	reply->fds[reply->nb_fds++] = fd;
	return i;
}

int
lm_vu_srv_region_io_fds(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	const struct lm_vu_region_conf *r;
	struct lm_vu_io_fds io;
	uint32_t i, argsz, max_fds = s->conn.caps.max_msg_fds;

	memcpy(&io, msg->payload, sizeof(io));
	argsz = io.argsz;
	if (argsz < sizeof(io) || io.flags != 0 || io.count != 0 || io.index >= LM_VU_NUM_REGIONS)
		return -EINVAL;
	r = &s->conf.regions[io.index];
	if (r->size_bytes == 0)
		return -EINVAL;
	io.count = r->nb_ioeventfds;
	io.argsz = (uint32_t)(sizeof(io) + io.count * sizeof(struct lm_vu_io_fd));
	reply->len_bytes = sizeof(io);
	for (i = 0; io.argsz <= argsz && i < io.count; i++) {
		const struct lm_vu_ioeventfd *src = &r->ioeventfds[i];
		struct lm_vu_io_fd e = {
			.offset = src->offset, .size = src->size_bytes, .flags = src->flags,
			.type = LM_VU_IO_FD_IOEVENTFD, .datamatch = src->datamatch,
			.fd_index = fd_index(reply, src->fd),
		};

		memcpy(reply->buf + reply->len_bytes, &e, sizeof(e));
		reply->len_bytes += (uint32_t)sizeof(e);
	}
	if (reply->nb_fds > max_fds) {
		reply->nb_fds = 0;
		return -E2BIG;
	}
	memcpy(reply->buf, &io, sizeof(io));
	return 0;
}

static int
access_check(const struct lm_vu_server *s, uint32_t region, uint64_t offset, uint32_t len_bytes,
		uint32_t need)
{
	const struct lm_vu_region_conf *r;

	if (region >= LM_VU_NUM_REGIONS || len_bytes == 0 || len_bytes > LM_VU_MAX_XFER)
		return -EINVAL;
	r = &s->conf.regions[region];
	if ((r->flags & need) == 0 || len_bytes > r->size_bytes ||
			offset > r->size_bytes - len_bytes)
		return -EINVAL;
	return 0;
}

int
lm_vu_srv_region_read(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_region_access acc;
	int ret;

	memcpy(&acc, msg->payload, sizeof(acc));
	if (msg->len_bytes != sizeof(acc) || acc.count > s->conn.caps.max_data_xfer_bytes)
		return -EINVAL;
	ret = access_check(s, acc.region, acc.offset, acc.count, LM_VU_REGION_F_READ);
	if (ret < 0)
		return ret;
	memset(reply->buf, 0, sizeof(acc) + acc.count);
	ret = s->ops->region_read(s->ctx, acc.region, acc.offset, reply->buf + sizeof(acc),
			acc.count);
	if (ret < 0)
		return ret;
	memcpy(reply->buf, &acc, sizeof(acc));
	reply->len_bytes = (uint32_t)sizeof(acc) + acc.count;
	return 0;
}

int
lm_vu_srv_region_write(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_region_access acc;
	int ret;

	memcpy(&acc, msg->payload, sizeof(acc));
	if (msg->len_bytes - sizeof(acc) != acc.count)
		return -EINVAL;
	ret = access_check(s, acc.region, acc.offset, acc.count, LM_VU_REGION_F_WRITE);
	if (ret < 0)
		return ret;
	ret = s->ops->region_write(s->ctx, acc.region, acc.offset, msg->payload + sizeof(acc),
			acc.count);
	if (ret < 0)
		return ret;
	memcpy(reply->buf, &acc, sizeof(acc));
	reply->len_bytes = sizeof(acc);
	return 0;
}

/* All entries are checked before the first is executed. */
int
lm_vu_srv_write_multi(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	const uint8_t *entries = msg->payload + sizeof(uint64_t);
	struct lm_vu_multi_entry e;
	uint64_t count, i;
	int ret = 0;

	memcpy(&count, msg->payload, sizeof(count));
	if (count == 0 || (msg->len_bytes - sizeof(count)) % sizeof(e) != 0 ||
			count != (msg->len_bytes - sizeof(count)) / sizeof(e))
		return -EINVAL;
	for (i = 0; i < count; i++) {
		memcpy(&e, entries + i * sizeof(e), sizeof(e));
		if (e.count > sizeof(e.data) || access_check(s, e.region, e.offset, e.count,
				LM_VU_REGION_F_WRITE) < 0)
			return -EINVAL;
	}
	for (i = 0; i < count; i++) {
		memcpy(&e, entries + i * sizeof(e), sizeof(e));
		ret = s->ops->region_write(s->ctx, e.region, e.offset, e.data, e.count);
		if (ret < 0)
			break;
	}
	if (i == 0)
		return ret;
	memcpy(reply->buf, &i, sizeof(i));
	reply->len_bytes = sizeof(i);
	return 0;
}

int
lm_vu_srv_reset(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	(void)msg;
	(void)reply;
	return s->ops->reset == NULL ? -ENOTTY : s->ops->reset(s->ctx);
}
