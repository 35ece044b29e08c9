/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "lm_vu_server_priv.h"

#define MAX_LOG_RANGES 256u /* the kernel's limit: a page full */

/*
 * A feature's data, in and out. Sizes are checked as the kernel does: unknown feature -ENOTTY,
 * wrong use of a known one -EINVAL.
 */
struct feature_call {
	const uint8_t *in;
	uint32_t in_bytes;
	uint8_t *out;
	uint32_t out_max_bytes; /* the client's argsz, without the header */
	uint32_t out_bytes;
};

typedef int (*feature_fn)(struct lm_vu_server *s, struct feature_call *f);

static int
get_migration(struct lm_vu_server *s, struct feature_call *f)
{
	uint64_t flags = s->ops->mig_flags(s->ctx);

	if (f->out_max_bytes < sizeof(flags))
		return -EINVAL;
	memcpy(f->out, &flags, sizeof(flags));
	f->out_bytes = sizeof(flags);
	return 0;
}

static int
get_state(struct lm_vu_server *s, struct feature_call *f)
{
	struct lm_vu_mig_state_data d = { .data_fd = UINT32_MAX };
	int ret;

	if (f->out_max_bytes < sizeof(d))
		return -EINVAL;
	ret = s->ops->mig_state_get(s->ctx, &d.device_state);
	memcpy(f->out, &d, sizeof(d));
	f->out_bytes = sizeof(d);
	return ret;
}

static int
set_state(struct lm_vu_server *s, struct feature_call *f)
{
	/* Flags that a device needs for a state, besides LM_VU_MIG_F_STOP_COPY. */
	static const uint64_t needs[LM_VU_STATE_MAX] = {
		[LM_VU_STATE_RUNNING_P2P] = LM_VU_MIG_F_P2P,
		[LM_VU_STATE_PRE_COPY] = LM_VU_MIG_F_PRE_COPY,
		[LM_VU_STATE_PRE_COPY_P2P] = LM_VU_MIG_F_PRE_COPY | LM_VU_MIG_F_P2P,
	};
	struct lm_vu_mig_state_data d;
	int ret;

	if (f->in_bytes < sizeof(d))
		return -EINVAL;
	memcpy(&d, f->in, sizeof(d));
	if (d.device_state == LM_VU_STATE_ERROR || d.device_state >= LM_VU_STATE_MAX)
		return -EINVAL;
	if ((needs[d.device_state] & ~s->ops->mig_flags(s->ctx)) != 0)
		return -EINVAL;
	ret = s->ops->mig_state_set(s->ctx, d.device_state);
	d.data_fd = UINT32_MAX;
	memcpy(f->out, &d, sizeof(d));
	f->out_bytes = sizeof(d);
	return ret;
}

static int
get_data_size(struct lm_vu_server *s, struct feature_call *f)
{
	uint64_t size_bytes = 0;
	int ret;

	if (f->out_max_bytes < sizeof(size_bytes))
		return -EINVAL;
	ret = s->ops->mig_data_size(s->ctx, &size_bytes);
	memcpy(f->out, &size_bytes, sizeof(size_bytes));
	f->out_bytes = sizeof(size_bytes);
	return ret;
}

static bool
is_page_size(uint64_t bytes)
{
	return bytes >= LM_VU_PAGE_BYTES && (bytes & (bytes - 1)) == 0;
}

static int
ranges_check(const struct lm_vu_range *r, uint32_t nb, uint64_t page_bytes)
{
	uint32_t i, j;

	for (i = 0; i < nb; i++) {
		uint64_t last = r[i].iova + (r[i].length_bytes - 1);

		if (r[i].length_bytes == 0 ||
				((r[i].iova | r[i].length_bytes) & (page_bytes - 1)) != 0)
			return -EINVAL;
		if (last < r[i].iova)
			return -EOVERFLOW;
		for (j = 0; j < i; j++)
			if (r[j].iova <= last &&
					r[i].iova <= r[j].iova + (r[j].length_bytes - 1))
				return -EINVAL;
	}
	return 0;
}

static int
set_log_start(struct lm_vu_server *s, struct feature_call *f)
{
	struct lm_vu_range ranges[MAX_LOG_RANGES];
	struct lm_vu_log_start d;
	int ret;

	static_assert(sizeof(struct lm_vu_range) == 16, "is also the wire's layout");
	if (f->in_bytes < sizeof(d))
		return -EINVAL;
	memcpy(&d, f->in, sizeof(d));
	if (d.num_ranges > MAX_LOG_RANGES)
		return -E2BIG;
	if (!is_page_size(d.page_size) || d.reserved != 0 ||
			f->in_bytes != sizeof(d) + d.num_ranges * sizeof(ranges[0]))
		return -EINVAL;
	memcpy(ranges, f->in + sizeof(d), d.num_ranges * sizeof(ranges[0]));
	ret = ranges_check(ranges, d.num_ranges, d.page_size);
	if (ret == 0)
		ret = s->ops->log_start(s->ctx, ranges, s->conf.strict ? 0 : d.num_ranges,
				&d.page_size);
	if (ret == 0)
		s->log_page_bytes = d.page_size;
	memcpy(f->out, f->in, f->in_bytes);
	memcpy(f->out, &d, sizeof(d));
	f->out_bytes = f->in_bytes;
	return ret;
}

static int
set_log_stop(struct lm_vu_server *s, struct feature_call *f)
{
	(void)f;
	return s->ops->log_stop(s->ctx);
}

static int
get_log_report(struct lm_vu_server *s, struct feature_call *f)
{
	struct lm_vu_log_report d;
	uint64_t bitmap_bytes;
	int ret;

	if (f->in_bytes < sizeof(d))
		return -EINVAL;
	memcpy(&d, f->in, sizeof(d));
	if (!is_page_size(d.page_size) || d.length == 0 ||
			((d.iova | d.length) & (d.page_size - 1)) != 0)
		return -EINVAL;
	if (d.iova + (d.length - 1) < d.iova)
		return -EOVERFLOW;
	bitmap_bytes = lm_vu_bitmap_bytes(d.length, d.page_size);
	if (bitmap_bytes > LM_VU_MAX_XFER || f->out_max_bytes < sizeof(d) + bitmap_bytes)
		return -EINVAL;
	ret = lm_vu_srv_strict_report(s, d.iova, d.length, d.page_size);
	if (ret < 0)
		return ret;
	memset(f->out, 0, sizeof(d) + bitmap_bytes);
	/* Behind 8 bytes of feature header and 24 of this one the bitmap is aligned. */
	ret = s->ops->log_report(s->ctx, d.iova, d.length, d.page_size,
			(uint64_t *)(void *)(f->out + sizeof(d)));
	memcpy(f->out, &d, sizeof(d));
	f->out_bytes = (uint32_t)(sizeof(d) + bitmap_bytes);
	return ret;
}

static const struct feature {
	uint32_t index;
	feature_fn get;
	feature_fn set;
} features[] = {
	{ LM_VU_FEATURE_MIGRATION, get_migration, NULL },
	{ LM_VU_FEATURE_MIG_STATE, get_state, set_state },
	{ LM_VU_FEATURE_MIG_DATA_SIZE, get_data_size, NULL },
	{ LM_VU_FEATURE_LOG_START, NULL, set_log_start },
	{ LM_VU_FEATURE_LOG_STOP, NULL, set_log_stop },
	{ LM_VU_FEATURE_LOG_REPORT, get_log_report, NULL },
};

static const struct feature *
find_feature(const struct lm_vu_server *s, uint32_t index)
{
	size_t i;

	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].index == index)
			break;
	if (i == sizeof(features) / sizeof(features[0]))
		return NULL;
	switch (index) {
	case LM_VU_FEATURE_MIG_DATA_SIZE:
		return s->has_migration && s->ops->mig_data_size != NULL ? &features[i] : NULL;
	case LM_VU_FEATURE_LOG_START:
	case LM_VU_FEATURE_LOG_STOP:
	case LM_VU_FEATURE_LOG_REPORT:
		return s->has_logging ? &features[i] : NULL;
	default:
		return s->has_migration ? &features[i] : NULL;
	}
}

/* The order of these checks is the kernel's (vfio_ioctl_device_feature). */
static int
feature_run(struct lm_vu_server *s, uint32_t flags, struct feature_call *f)
{
	bool get = (flags & LM_VU_FEATURE_GET) != 0, set = (flags & LM_VU_FEATURE_SET) != 0;
	bool probe = (flags & LM_VU_FEATURE_PROBE) != 0;
	const struct feature *feature;

	if ((flags & ~LM_VU_FEATURE_KNOWN) != 0 || (get && set && !probe))
		return -EINVAL;
	feature = find_feature(s, flags & LM_VU_FEATURE_INDEX_MASK);
	if (feature == NULL)
		return s->conf.strict ? -EINVAL : -ENOTTY;
	if ((get && feature->get == NULL) || (set && feature->set == NULL))
		return -EINVAL;
	if (probe)
		return 0;
	if (!get && !set)
		return -EINVAL;
	return get ? feature->get(s, f) : feature->set(s, f);
}

int
lm_vu_srv_feature(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_feature hdr;
	struct feature_call f = {
		.in = msg->payload + sizeof(hdr),
		.in_bytes = msg->len_bytes - (uint32_t)sizeof(hdr),
		.out = reply->buf + sizeof(hdr),
	};
	int ret;

	memcpy(&hdr, msg->payload, sizeof(hdr));
	if (hdr.argsz < sizeof(hdr) || f.in_bytes > LM_VU_MAX_XFER)
		return -EINVAL;
	f.out_max_bytes = hdr.argsz - (uint32_t)sizeof(hdr);
	ret = feature_run(s, hdr.flags, &f);
	if (ret < 0)
		return ret;
	hdr.argsz = (uint32_t)sizeof(hdr) + f.out_bytes;
	memcpy(reply->buf, &hdr, sizeof(hdr));
	reply->len_bytes = hdr.argsz;
	return 0;
}

int
lm_vu_srv_mig_read(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_mig_data d;
	int ret;

	memcpy(&d, msg->payload, sizeof(d));
	if (!s->has_migration)
		return -ENOTTY;
	if (d.size > LM_VU_MAX_XFER || d.size > s->conn.caps.max_data_xfer_bytes ||
			d.argsz < sizeof(d) || d.argsz - sizeof(d) < d.size)
		return -EINVAL;
	if (s->conf.strict)
		memset(reply->buf + sizeof(d), 0, d.size);
	ret = s->ops->mig_read(s->ctx, reply->buf + sizeof(d), d.size);
	/* The wire has no "nothing now": less than asked for ends a round of pre-copy. */
	if (ret == -ENOMSG)
		ret = 0;
	if (ret < 0)
		return ret;
	if ((uint32_t)ret > d.size)
		return -EIO;
	reply->len_bytes = (uint32_t)sizeof(d) + (s->conf.strict ? d.size : (uint32_t)ret);
	d.size = (uint32_t)ret;
	d.argsz = (uint32_t)sizeof(d) + d.size;
	memcpy(reply->buf, &d, sizeof(d));
	return 0;
}

int
lm_vu_srv_mig_write(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_mig_data d;

	(void)reply;
	memcpy(&d, msg->payload, sizeof(d));
	if (!s->has_migration)
		return -ENOTTY;
	if (d.size > LM_VU_MAX_XFER || msg->len_bytes - sizeof(d) != d.size ||
			d.argsz < sizeof(d))
		return -EINVAL;
	return s->ops->mig_write(s->ctx, msg->payload + sizeof(d), d.size);
}

int
lm_vu_srv_precopy_info(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_precopy_info d = { .argsz = sizeof(d) };
	uint32_t argsz;
	int ret;

	memcpy(&argsz, msg->payload, sizeof(argsz));
	if (!s->conn.caps.mig_precopy_info)
		return -ENOTTY;
	if (argsz < sizeof(d))
		return -EINVAL;
	ret = s->ops->mig_precopy_info(s->ctx, &d.flags, &d.initial_bytes, &d.dirty_bytes);
	memcpy(reply->buf, &d, sizeof(d));
	reply->len_bytes = sizeof(d);
	return ret;
}
