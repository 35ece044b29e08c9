/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "lm_vu_client_priv.h"

int
lm_vu_client_device_info(struct lm_vu_client *c, uint32_t *flags, uint32_t *num_regions,
		uint32_t *num_irqs)
{
	struct lm_vu_device_info info = { .argsz = sizeof(info) };
	struct lm_vu_msg reply;
	int ret;

	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_GET_INFO, .fixed = &info, .fixed_bytes = sizeof(info),
		.min_reply_bytes = sizeof(info), .max_reply_bytes = sizeof(info),
	}, &reply);
	if (ret < 0)
		return ret;
	memcpy(&info, reply.payload, sizeof(info));
	lm_vu_msg_clear(&reply);
	if (info.num_regions > LM_VU_MAX_REGIONS || info.num_irqs > LM_VU_MAX_IRQS)
		return lm_vu_client_reject(c);
	*flags = info.flags;
	*num_regions = info.num_regions;
	*num_irqs = info.num_irqs;
	return 0;
}

static int
sparse_parse(const uint8_t *cap, uint32_t left_bytes, struct lm_vu_region_info *info)
{
	struct lm_vu_cap_sparse s;
	uint32_t i;

	if (left_bytes < sizeof(s))
		return -EPROTO;
	memcpy(&s, cap, sizeof(s));
	if (s.nr_areas > (left_bytes - sizeof(s)) / sizeof(struct lm_vu_wire_area))
		return -EPROTO;
	if (s.nr_areas > LM_VU_MAX_AREAS)
		return -E2BIG;
	info->nb_areas = s.nr_areas;
	for (i = 0; i < s.nr_areas; i++) {
		struct lm_vu_wire_area a;

		memcpy(&a, cap + sizeof(s) + i * sizeof(a), sizeof(a));
		if (((a.offset | a.size) & (LM_VU_PAGE_BYTES - 1)) != 0 ||
				a.offset > info->size_bytes ||
				a.size > info->size_bytes - a.offset)
			return -EPROTO;
		info->areas[i].offset = a.offset;
		info->areas[i].size_bytes = a.size;
	}
	return 0;
}

/* Offsets must grow: a chain cannot be endless. */
static int
caps_parse(const uint8_t *payload, uint32_t len_bytes, uint32_t offset,
		struct lm_vu_region_info *info, bool *sparse)
{
	uint32_t behind = sizeof(struct lm_vu_wire_region_info);
	struct lm_vu_cap_hdr cap;

	while (offset != 0) {
		if (offset < behind || offset > len_bytes || len_bytes - offset < sizeof(cap))
			return -EPROTO;
		memcpy(&cap, payload + offset, sizeof(cap));
		if (cap.id == LM_VU_CAP_SPARSE_MMAP && cap.version == 1 && !*sparse) {
			int ret = sparse_parse(payload + offset, len_bytes - offset, info);

			if (ret < 0)
				return ret;
			*sparse = true;
		}
		behind = offset + (uint32_t)sizeof(cap);
		offset = cap.next;
	}
	return 0;
}

int
lm_vu_region_info_parse(const uint8_t *payload, uint32_t len_bytes, uint32_t region,
		struct lm_vu_region_info *info)
{
	struct lm_vu_wire_region_info w;
	bool sparse = false;
	int ret;

	memset(info, 0, sizeof(*info));
	info->fd = -1;
	if (len_bytes < sizeof(w))
		return -EPROTO;
	memcpy(&w, payload, sizeof(w));
	/* More capabilities than fit: mapping would be a guess. */
	if (w.argsz > len_bytes)
		return w.argsz > LM_VU_MAX_PAYLOAD ? -EPROTO : -E2BIG;
	if (w.index != region || w.size > INT64_MAX || w.offset > INT64_MAX - w.size)
		return -EPROTO;
	info->flags = w.flags;
	info->size_bytes = w.size;
	info->mmap_offset = w.offset;
	if ((w.flags & LM_VU_REGION_F_CAPS) != 0) {
		ret = caps_parse(payload, len_bytes, w.cap_offset, info, &sparse);
		if (ret < 0)
			return ret;
	}
	if ((w.flags & LM_VU_REGION_F_MMAP) == 0) {
		info->nb_areas = 0;
	} else if (!sparse && w.size != 0) {
		info->nb_areas = 1;
		info->areas[0] = (struct lm_vu_area){ .size_bytes = w.size };
	}
	return 0;
}

int
lm_vu_client_region_info(struct lm_vu_client *c, uint32_t region, struct lm_vu_region_info *info)
{
	const struct lm_vu_wire_region_info ask = {
		.argsz = sizeof(ask) + sizeof(struct lm_vu_cap_sparse) + 256 +
				LM_VU_MAX_AREAS * sizeof(struct lm_vu_wire_area),
		.index = region,
	};
	struct lm_vu_msg reply;
	int ret;

	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_GET_REGION_INFO, .fixed = &ask, .fixed_bytes = sizeof(ask),
		.min_reply_bytes = sizeof(ask), .max_reply_bytes = ask.argsz,
	}, &reply);
	if (ret < 0)
		return ret;
	ret = lm_vu_region_info_parse(reply.payload, reply.len_bytes, region, info);
	/* Without a descriptor nothing can be mapped, whatever the flag says. */
	if (ret == 0 && (info->flags & LM_VU_REGION_F_MMAP) != 0) {
		info->fd = lm_vu_msg_take_fd(&reply, 0);
		if (info->fd < 0) {
			info->flags &= ~LM_VU_REGION_F_MMAP;
			info->nb_areas = 0;
		}
	}
	lm_vu_msg_clear(&reply);
	return ret == -EPROTO ? lm_vu_client_reject(c) : ret;
}

int
lm_vu_io_fds_parse(const uint8_t *payload, uint32_t len_bytes, uint32_t region, uint32_t nb_fds,
		struct lm_vu_ioeventfd *fds, uint32_t max)
{
	struct lm_vu_io_fds io;
	uint32_t i, n = 0;

	if (len_bytes < sizeof(io))
		return -EPROTO;
	memcpy(&io, payload, sizeof(io));
	if (io.index != region)
		return -EPROTO;
	if (io.argsz > len_bytes)
		return -E2BIG;
	if (io.count != (len_bytes - sizeof(io)) / sizeof(struct lm_vu_io_fd))
		return -EPROTO;
	for (i = 0; i < io.count && n < max; i++) {
		struct lm_vu_io_fd e;

		memcpy(&e, payload + sizeof(io) + i * sizeof(e), sizeof(e));
		if (e.type != LM_VU_IO_FD_IOEVENTFD)
			continue;
		if (e.fd_index >= nb_fds || e.offset + e.size < e.offset)
			return -EPROTO;
		fds[n++] = (struct lm_vu_ioeventfd){
			.offset = e.offset, .size_bytes = e.size, .datamatch = e.datamatch,
			.flags = e.flags, .fd = (int)e.fd_index,
		};
	}
	return (int)n;
}
