/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include "lm_vu_server_priv.h"

static bool
when_stopped(uint16_t command)
{
	return command == LM_VU_REGION_READ || command == LM_VU_REGION_WRITE ||
			command == LM_VU_DEVICE_FEATURE || command == LM_VU_MIG_DATA_READ;
}

int
lm_vu_srv_strict_command(struct lm_vu_server *s, uint16_t command)
{
	uint32_t state;

	if (!s->conf.strict || !s->has_migration || s->ops->mig_state_get(s->ctx, &state) != 0)
		return 0;
	if (state != LM_VU_STATE_STOP && state != LM_VU_STATE_STOP_COPY)
		return 0;
	if (!when_stopped(command))
		return -EINVAL;
	if (state == LM_VU_STATE_STOP_COPY && (command == LM_VU_REGION_READ ||
			command == LM_VU_REGION_WRITE))
		return -EINVAL;
	return 0;
}

int
lm_vu_srv_strict_report(struct lm_vu_server *s, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes)
{
	if (!s->conf.strict)
		return 0;
	if (lm_vu_dma_find(&s->dma, iova, length_bytes) < 0 ||
			page_size_bytes != s->log_page_bytes)
		return -EINVAL;
	return 0;
}
