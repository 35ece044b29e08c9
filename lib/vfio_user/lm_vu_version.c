/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lm_vu_version.h"

/* QEMU's client takes a server's max_msg_fds above 16 as malformed. */
#define OUR_MAX_FDS 16u
#define MAX_DMA_MAPS 65535u
#define MAX_BITMAP_BYTES (256ull << 20)

static void
offer_defaults(struct lm_vu_offer *offer)
{
	*offer = (struct lm_vu_offer){
		.caps = {
			.max_msg_fds = 1,
			.max_data_xfer_bytes = 1u << 20,
			.max_dma_maps = MAX_DMA_MAPS,
			.pgsizes = LM_VU_PAGE_BYTES,
		},
		.twin_fd_index = -1,
	};
}

void
lm_vu_offer_ours(struct lm_vu_offer *offer)
{
	offer_defaults(offer);
	offer->major = LM_VU_MAJOR;
	offer->minor = LM_VU_MINOR;
	offer->caps.minor = LM_VU_MINOR;
	offer->caps.max_msg_fds = OUR_MAX_FDS;
	offer->caps.max_data_xfer_bytes = LM_VU_MAX_XFER;
	offer->caps.mig_pgsize = LM_VU_PAGE_BYTES;
	offer->caps.mig_max_bitmap_bytes = MAX_BITMAP_BYTES;
	offer->caps.write_multiple = 1;
	offer->caps.mig_precopy_info = 1;
	offer->caps.mig_data_size = 1;
}

/* Absent keys leave *val alone; a number of another type or out of range is an error. */
static int
get_number(const json_t *obj, const char *key, uint64_t min, uint64_t max, uint64_t *val)
{
	const json_t *j = json_object_get(obj, key);

	if (j == NULL)
		return 0;
	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return -EINVAL;
	if ((uint64_t)json_integer_value(j) < min || (uint64_t)json_integer_value(j) > max)
		return -EINVAL;
	*val = (uint64_t)json_integer_value(j);
	return 0;
}

static int
get_bool(const json_t *obj, const char *key, uint8_t *val)
{
	const json_t *j = json_object_get(obj, key);

	if (j == NULL)
		return 0;
	if (!json_is_boolean(j))
		return -EINVAL;
	*val = json_is_true(j);
	return 0;
}

static int
parse_migration(const json_t *caps, struct lm_vu_caps *c)
{
	const json_t *mig = json_object_get(caps, "migration");
	uint64_t pgsize = LM_VU_PAGE_BYTES;
	int ret;

	if (mig == NULL)
		return 0;
	if (!json_is_object(mig))
		return -EINVAL;
	c->mig_max_bitmap_bytes = MAX_BITMAP_BYTES;
	ret = get_number(mig, "pgsize", 1, UINT32_MAX, &pgsize);
	if (ret == 0)
		ret = get_number(mig, "max_bitmap_size", 8, INT64_MAX, &c->mig_max_bitmap_bytes);
	if ((pgsize & (pgsize - 1)) != 0)
		return -EINVAL;
	c->mig_pgsize = (uint32_t)pgsize;
	return ret;
}

static int
parse_twin(const json_t *caps, struct lm_vu_offer *offer)
{
	const json_t *twin = json_object_get(caps, "twin_socket");
	uint64_t index = UINT64_MAX;
	int ret;

	if (twin == NULL)
		return 0;
	if (!json_is_object(twin))
		return -EINVAL;
	ret = get_bool(twin, "supported", &offer->caps.twin_socket);
	if (ret == 0)
		ret = get_number(twin, "fd_index", 0, LM_VU_MAX_FDS - 1, &index);
	if (index != UINT64_MAX)
		offer->twin_fd_index = (int)index;
	return ret;
}

static int
parse_caps(const json_t *caps, struct lm_vu_offer *offer)
{
	struct lm_vu_caps *c = &offer->caps;
	uint64_t fds = c->max_msg_fds, xfer = c->max_data_xfer_bytes, maps = c->max_dma_maps;
	uint64_t bits = 0;
	int ret;

	if (!json_is_object(caps))
		return -EINVAL;
	ret = get_number(caps, "max_msg_fds", 0, 1024, &fds);
	if (ret == 0)
		ret = get_number(caps, "max_data_xfer_size", 64, INT32_MAX, &xfer);
	if (ret == 0)
		ret = get_number(caps, "max_dma_maps", 1, INT32_MAX, &maps);
	if (ret == 0)
		ret = get_number(caps, "pgsizes", 1, INT64_MAX, &c->pgsizes);
	if (ret == 0)
		ret = get_number(caps, "iova_bits", LM_VU_MIN_IOVA_BITS, 64, &bits);
	if (ret == 0)
		ret = get_bool(caps, "write_multiple", &c->write_multiple);
	if (ret == 0)
		ret = get_bool(caps, "mig_precopy_info", &c->mig_precopy_info);
	if (ret == 0)
		ret = get_bool(caps, "mig_data_size", &c->mig_data_size);
	if (ret == 0)
		ret = parse_migration(caps, c);
	if (ret == 0)
		ret = parse_twin(caps, offer);
	c->max_msg_fds = (uint32_t)fds;
	c->max_data_xfer_bytes = (uint32_t)xfer;
	c->max_dma_maps = (uint32_t)maps;
	c->iova_bits = (uint8_t)bits;
	return ret;
}

int
lm_vu_offer_parse(const uint8_t *payload, uint32_t len_bytes, struct lm_vu_offer *offer)
{
	struct lm_vu_version v;
	const json_t *caps;
	json_t *top;
	int ret = 0;

	offer_defaults(offer);
	if (len_bytes < sizeof(v) || len_bytes > sizeof(v) + LM_VU_JSON_MAX)
		return -EINVAL;
	memcpy(&v, payload, sizeof(v));
	offer->major = v.major;
	offer->minor = v.minor;
	offer->caps.minor = v.minor;
	if (len_bytes == sizeof(v))
		return 0;
	if (payload[len_bytes - 1] != '\0')
		return -EINVAL;
	top = json_loads((const char *)payload + sizeof(v), 0, NULL);
	if (!json_is_object(top)) {
		json_decref(top);
		return -EINVAL;
	}
	caps = json_object_get(top, "capabilities");
	if (caps != NULL)
		ret = parse_caps(caps, offer);
	json_decref(top);
	return ret;
}

static int
add(json_t *obj, const char *key, json_t *val)
{
	return json_object_set_new(obj, key, val);
}

static int
format_caps(json_t *caps, const struct lm_vu_offer *offer)
{
	const struct lm_vu_caps *c = &offer->caps;
	int ret = 0;

	ret |= add(caps, "max_msg_fds", json_integer(c->max_msg_fds));
	ret |= add(caps, "max_data_xfer_size", json_integer(c->max_data_xfer_bytes));
	ret |= add(caps, "max_dma_maps", json_integer(c->max_dma_maps));
	ret |= add(caps, "pgsizes", json_integer((json_int_t)c->pgsizes));
	if (c->iova_bits != 0)
		ret |= add(caps, "iova_bits", json_integer(c->iova_bits));
	if (c->write_multiple)
		ret |= add(caps, "write_multiple", json_true());
	if (c->mig_precopy_info)
		ret |= add(caps, "mig_precopy_info", json_true());
	if (c->mig_data_size)
		ret |= add(caps, "mig_data_size", json_true());
	if (c->mig_pgsize != 0)
		ret |= add(caps, "migration", json_pack("{sI sI}",
				"pgsize", (json_int_t)c->mig_pgsize,
				"max_bitmap_size", (json_int_t)c->mig_max_bitmap_bytes));
	if (c->twin_socket && offer->twin_fd_index >= 0)
		ret |= add(caps, "twin_socket", json_pack("{sb si}",
				"supported", 1, "fd_index", offer->twin_fd_index));
	else if (c->twin_socket)
		ret |= add(caps, "twin_socket", json_pack("{sb}", "supported", 1));
	return ret;
}

uint8_t *
lm_vu_offer_format(const struct lm_vu_offer *offer, uint32_t *len_bytes)
{
	struct lm_vu_version v = { .major = offer->major, .minor = offer->minor };
	json_t *caps = json_object(), *top = json_pack("{sO}", "capabilities", caps);
	uint8_t *payload = NULL;
	char *text = NULL;
	size_t text_bytes;

	if (top != NULL && format_caps(caps, offer) == 0)
		text = json_dumps(top, JSON_COMPACT);
	if (text != NULL) {
		text_bytes = strlen(text) + 1;
		payload = malloc(sizeof(v) + text_bytes);
		if (payload != NULL) {
			memcpy(payload, &v, sizeof(v));
			memcpy(payload + sizeof(v), text, text_bytes);
			*len_bytes = (uint32_t)(sizeof(v) + text_bytes);
		}
	}
	free(text);
	json_decref(top);
	json_decref(caps);
	return payload;
}
