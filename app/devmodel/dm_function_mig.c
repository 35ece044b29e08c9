/* SPDX-License-Identifier: BSD-3-Clause */

/* From the server's callbacks to the device's: only the first argument differs. */

#include "dm_function.h"

static uint64_t
dm_function_mig_flags(void *ctx)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->flags(f->device.dev);
}

static int
dm_function_mig_state_get(void *ctx, uint32_t *state)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->state_get(f->device.dev, state);
}

static int
dm_function_mig_state_set(void *ctx, uint32_t state)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->state_set(f->device.dev, state);
}

static int
dm_function_mig_read(void *ctx, void *buf, uint32_t len_bytes)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->read(f->device.dev, buf, len_bytes);
}

static int
dm_function_mig_write(void *ctx, const void *buf, uint32_t len_bytes)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->write(f->device.dev, buf, len_bytes);
}

static int
dm_function_mig_precopy_info(void *ctx, uint32_t *flags, uint64_t *initial, uint64_t *dirty)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->precopy_info(f->device.dev, flags, initial, dirty);
}

static int
dm_function_mig_data_size(void *ctx, uint64_t *bytes)
{
	const struct dm_function *f = ctx;

	return f->device.ops->mig->data_size(f->device.dev, bytes);
}

static int
dm_function_log_start(void *ctx, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	const struct dm_function *f = ctx;

	return f->device.ops->log->start(f->device.dev, ranges, nb_ranges, page_size_bytes);
}

static int
dm_function_log_stop(void *ctx)
{
	const struct dm_function *f = ctx;

	return f->device.ops->log->stop(f->device.dev);
}

static int
dm_function_log_report(void *ctx, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	const struct dm_function *f = ctx;

	return f->device.ops->log->report(f->device.dev, iova, length_bytes, page_size_bytes,
			bitmap);
}

void
dm_function_mig_ops(const struct dm_function *f, struct lm_vu_server_ops *ops)
{
	const struct dm_mig_ops *mig = f->device.ops->mig;
	const struct dm_log_ops *log = f->device.ops->log;

	if (mig != NULL) {
		ops->mig_flags = dm_function_mig_flags;
		ops->mig_state_get = dm_function_mig_state_get;
		ops->mig_state_set = dm_function_mig_state_set;
		ops->mig_read = dm_function_mig_read;
		ops->mig_write = dm_function_mig_write;
		ops->mig_precopy_info = mig->precopy_info == NULL ? NULL :
				dm_function_mig_precopy_info;
		ops->mig_data_size = mig->data_size == NULL ? NULL : dm_function_mig_data_size;
	}
	if (log != NULL) {
		ops->log_start = dm_function_log_start;
		ops->log_stop = dm_function_log_stop;
		ops->log_report = dm_function_log_report;
	}
}
