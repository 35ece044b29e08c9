/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_vu_client_priv.h"

/* The reply's argsz is not believed: the message's own length counts. */
int
lm_vu_client_feature(struct lm_vu_client *c, uint32_t flags, void *data, uint32_t in_len_bytes,
		uint32_t out_max_bytes)
{
	uint32_t max_bytes = out_max_bytes > in_len_bytes ? out_max_bytes : in_len_bytes;
	struct lm_vu_feature hdr = { .flags = flags };
	struct lm_vu_msg reply;
	uint32_t n;
	int ret;

	if (max_bytes > LM_VU_MAX_PAYLOAD - sizeof(hdr))
		return -EINVAL;
	hdr.argsz = (uint32_t)sizeof(hdr) + max_bytes;
	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_DEVICE_FEATURE, .fixed = &hdr, .fixed_bytes = sizeof(hdr),
		.data = data, .data_bytes = in_len_bytes,
		.min_reply_bytes = sizeof(hdr), .max_reply_bytes = hdr.argsz,
	}, &reply);
	if (ret == -EINVAL && (flags & LM_VU_FEATURE_PROBE) != 0)
		return -ENOTTY;
	if (ret < 0)
		return ret;
	memcpy(&hdr, reply.payload, sizeof(hdr));
	n = reply.len_bytes - (uint32_t)sizeof(hdr);
	if ((hdr.flags & LM_VU_FEATURE_INDEX_MASK) != (flags & LM_VU_FEATURE_INDEX_MASK)) {
		ret = lm_vu_client_reject(c);
	} else {
		n = n < out_max_bytes ? n : out_max_bytes;
		if (n > 0)
			memcpy(data, reply.payload + sizeof(hdr), n);
		ret = (int)n;
	}
	lm_vu_msg_clear(&reply);
	return ret;
}

/* GET or SET whose reply data has exactly the size of the structure. */
static int
feature_fixed(struct lm_vu_client *c, uint32_t flags, void *data, uint32_t in_bytes,
		uint32_t out_bytes)
{
	int ret = lm_vu_client_feature(c, flags, data, in_bytes, out_bytes);

	if (ret < 0)
		return ret;
	return (uint32_t)ret == out_bytes ? 0 : lm_vu_client_reject(c);
}

int
lm_vu_client_mig_flags(struct lm_vu_client *c, uint64_t *flags)
{
	uint64_t f = 0;
	int ret;

	/* The probe tells "not supported" from "wrong": some servers say EINVAL for both. */
	ret = lm_vu_client_feature(c, LM_VU_FEATURE_PROBE | LM_VU_FEATURE_GET |
			LM_VU_FEATURE_MIGRATION, NULL, 0, 0);
	if (ret < 0)
		return ret;
	ret = feature_fixed(c, LM_VU_FEATURE_GET | LM_VU_FEATURE_MIGRATION, &f, 0, sizeof(f));
	if (ret < 0)
		return ret;
	if ((f & LM_VU_MIG_F_STOP_COPY) == 0)
		return lm_vu_client_reject(c);
	*flags = f;
	return 0;
}

int
lm_vu_client_mig_state_get(struct lm_vu_client *c, uint32_t *state)
{
	struct lm_vu_mig_state_data d = { 0 };
	int ret;

	ret = feature_fixed(c, LM_VU_FEATURE_GET | LM_VU_FEATURE_MIG_STATE, &d, 0, sizeof(d));
	if (ret < 0)
		return ret;
	if (d.device_state >= LM_VU_STATE_MAX)
		return lm_vu_client_reject(c);
	*state = d.device_state;
	return 0;
}

int
lm_vu_client_mig_state_set(struct lm_vu_client *c, uint32_t state)
{
	struct lm_vu_mig_state_data d = { .device_state = state };
	int ret;

	if (state == LM_VU_STATE_ERROR || state >= LM_VU_STATE_MAX)
		return -EINVAL;
	ret = lm_vu_client_feature(c, LM_VU_FEATURE_SET | LM_VU_FEATURE_MIG_STATE, &d, sizeof(d),
			sizeof(d));
	return ret < 0 ? ret : 0;
}

int
lm_vu_client_mig_read(struct lm_vu_client *c, void *buf, uint32_t len_bytes)
{
	struct lm_vu_mig_data d = { .size = len_bytes };
	struct lm_vu_msg reply;
	int ret;

	if (d.size > c->caps.max_data_xfer_bytes)
		d.size = c->caps.max_data_xfer_bytes;
	len_bytes = d.size;
	d.argsz = (uint32_t)sizeof(d) + d.size;
	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_MIG_DATA_READ, .fixed = &d, .fixed_bytes = sizeof(d),
		.min_reply_bytes = sizeof(d), .max_reply_bytes = d.argsz,
	}, &reply);
	if (ret < 0)
		return ret;
	/* A reply may be padded: its size field tells how much is data. */
	memcpy(&d, reply.payload, sizeof(d));
	if (d.size > len_bytes || d.size > reply.len_bytes - sizeof(d)) {
		ret = lm_vu_client_reject(c);
	} else {
		memcpy(buf, reply.payload + sizeof(d), d.size);
		ret = (int)d.size;
	}
	lm_vu_msg_clear(&reply);
	return ret;
}

int
lm_vu_client_mig_write(struct lm_vu_client *c, const void *buf, uint32_t len_bytes)
{
	const uint8_t *at = buf;
	int ret = 0;

	while (ret == 0 && len_bytes > 0) {
		struct lm_vu_mig_data d = { .size = len_bytes };

		if (d.size > c->caps.max_data_xfer_bytes)
			d.size = c->caps.max_data_xfer_bytes;
		d.argsz = (uint32_t)sizeof(d) + d.size;
		ret = lm_vu_client_call(c, &(struct lm_vu_req){
			.command = LM_VU_MIG_DATA_WRITE, .fixed = &d, .fixed_bytes = sizeof(d),
			.data = at, .data_bytes = d.size, .max_reply_bytes = LM_VU_MAX_PAYLOAD,
		}, NULL);
		at += d.size;
		len_bytes -= d.size;
	}
	return ret;
}

int
lm_vu_client_mig_precopy_info(struct lm_vu_client *c, uint32_t *flags, uint64_t *initial_bytes,
		uint64_t *dirty_bytes)
{
	struct lm_vu_precopy_info d = { .argsz = sizeof(d) };
	struct lm_vu_msg reply;
	int ret;

	if (!c->caps.mig_precopy_info)
		return -ENOTTY;
	ret = lm_vu_client_call(c, &(struct lm_vu_req){
		.command = LM_VU_MIG_GET_PRECOPY_INFO, .fixed = &d, .fixed_bytes = sizeof(d),
		.min_reply_bytes = sizeof(d), .max_reply_bytes = sizeof(d),
	}, &reply);
	if (ret < 0)
		return ret;
	memcpy(&d, reply.payload, sizeof(d));
	lm_vu_msg_clear(&reply);
	*flags = d.flags;
	*initial_bytes = d.initial_bytes;
	*dirty_bytes = d.dirty_bytes;
	return 0;
}

int
lm_vu_client_mig_data_size(struct lm_vu_client *c, uint64_t *stop_copy_bytes)
{
	uint64_t n = 0;
	int ret;

	if (!c->caps.mig_data_size)
		return -ENOTTY;
	ret = feature_fixed(c, LM_VU_FEATURE_GET | LM_VU_FEATURE_MIG_DATA_SIZE, &n, 0, sizeof(n));
	if (ret == 0)
		*stop_copy_bytes = n;
	return ret;
}

int
lm_vu_client_log_start(struct lm_vu_client *c, const struct lm_vu_range *ranges,
		uint32_t nb_ranges, uint64_t *page_size_bytes)
{
	struct lm_vu_log_start d = { .page_size = *page_size_bytes, .num_ranges = nb_ranges };
	uint32_t len_bytes;
	uint8_t *data;
	int ret;

	static_assert(sizeof(*ranges) == 16, "is also the wire's layout");
	if (nb_ranges > (LM_VU_MAX_XFER - sizeof(d)) / sizeof(*ranges))
		return -E2BIG;
	len_bytes = (uint32_t)(sizeof(d) + nb_ranges * sizeof(*ranges));
	data = malloc(len_bytes);
	if (data == NULL)
		return -ENOMEM;
	memcpy(data, &d, sizeof(d));
	if (nb_ranges > 0)
		memcpy(data + sizeof(d), ranges, nb_ranges * sizeof(*ranges));
	ret = lm_vu_client_feature(c, LM_VU_FEATURE_SET | LM_VU_FEATURE_LOG_START, data, len_bytes,
			len_bytes);
	if (ret >= (int)sizeof(d)) {
		memcpy(&d, data, sizeof(d));
		ret = d.page_size != 0 && (d.page_size & (d.page_size - 1)) == 0 ? 0 :
				lm_vu_client_reject(c);
		*page_size_bytes = d.page_size;
	} else if (ret >= 0) {
		/* A reply without data: the size is as asked. */
		ret = 0;
	}
	free(data);
	return ret;
}

int
lm_vu_client_log_stop(struct lm_vu_client *c)
{
	int ret = lm_vu_client_feature(c, LM_VU_FEATURE_SET | LM_VU_FEATURE_LOG_STOP, NULL, 0, 0);

	return ret < 0 ? ret : 0;
}

static int
log_report(struct lm_vu_client *c, const struct lm_vu_log_report *ask, uint64_t *bitmap,
		uint8_t *buf)
{
	uint32_t bitmap_bytes = (uint32_t)lm_vu_bitmap_bytes(ask->length, ask->page_size);
	uint32_t len_bytes = (uint32_t)sizeof(*ask) + bitmap_bytes;
	struct lm_vu_log_report back;
	int ret;

	memcpy(buf, ask, sizeof(*ask));
	ret = lm_vu_client_feature(c, LM_VU_FEATURE_GET | LM_VU_FEATURE_LOG_REPORT, buf,
			sizeof(*ask), len_bytes);
	if (ret < 0)
		return ret;
	memcpy(&back, buf, sizeof(back));
	if ((uint32_t)ret != len_bytes || back.iova != ask->iova || back.length != ask->length ||
			back.page_size != ask->page_size)
		return lm_vu_client_reject(c);
	memcpy(bitmap, buf + sizeof(back), bitmap_bytes);
	return 0;
}

/* Asked in pieces whose bitmaps fit into a message; a piece is a multiple of 64 pages. */
int
lm_vu_client_log_report(struct lm_vu_client *c, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	uint64_t max_words = (c->caps.max_data_xfer_bytes - sizeof(struct lm_vu_log_report)) / 8;
	uint64_t word_bytes = page_size_bytes * 64, piece_bytes;
	uint8_t *buf;
	int ret = 0;

	if (page_size_bytes == 0 || (page_size_bytes & (page_size_bytes - 1)) != 0 ||
			length_bytes == 0 || page_size_bytes > UINT64_MAX / 64 / max_words ||
			iova + (length_bytes - 1) < iova)
		return -EINVAL;
	piece_bytes = word_bytes * max_words;
	buf = malloc(sizeof(struct lm_vu_log_report) + max_words * 8);
	if (buf == NULL)
		return -ENOMEM;
	while (ret == 0 && length_bytes > 0) {
		const struct lm_vu_log_report ask = {
			.iova = iova, .page_size = page_size_bytes,
			.length = length_bytes < piece_bytes ? length_bytes : piece_bytes,
		};

		ret = log_report(c, &ask, bitmap, buf);
		iova += ask.length;
		length_bytes -= ask.length;
		bitmap += ask.length / word_bytes;
	}
	free(buf);
	return ret;
}
