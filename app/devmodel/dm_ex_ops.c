/* SPDX-License-Identifier: BSD-3-Clause */

/* An exerciser that commands its own migration, as a function of a kernel variant driver does. */

#include <errno.h>

#include "dm_ex.h"

static uint64_t
dm_ex_mig_flags(void *dev)
{
	const struct dm_ex *ex = dev;

	return ex->conf.mig_flags;
}

static int
dm_ex_mig_state_get(void *dev, uint32_t *state)
{
	const struct dm_ex *ex = dev;

	*state = ex->state;
	return 0;
}

static int
dm_ex_mig_state_set(void *dev, uint32_t state)
{
	return dm_ex_go(dev, (enum lm_state)state, true);
}

static int
dm_ex_mig_read(void *dev, void *buf, uint32_t len_bytes)
{
	return dm_ex_read(dev, buf, len_bytes);
}

static int
dm_ex_mig_write(void *dev, const void *buf, uint32_t len_bytes)
{
	return dm_ex_write(dev, buf, len_bytes);
}

static int
dm_ex_mig_precopy_info(void *dev, uint32_t *flags, uint64_t *initial, uint64_t *dirty)
{
	struct dm_ex *ex = dev;

	if (ex->state != LM_STATE_PRE_COPY && ex->state != LM_STATE_PRE_COPY_P2P)
		return -EINVAL;
	if (dm_ex_fault_count(&ex->faults, &ex->faults.info_fail))
		return -EIO;
	dm_ex_info(ex, flags, initial, dirty);
	return 0;
}

static int
dm_ex_mig_data_size(void *dev, uint64_t *bytes)
{
	struct dm_ex *ex = dev;

	if (dm_ex_fault_count(&ex->faults, &ex->faults.info_fail))
		return -EIO;
	*bytes = dm_ex_left_bytes(ex);
	return 0;
}

const struct dm_mig_ops dm_ex_mig_ops = {
	.flags = dm_ex_mig_flags,
	.state_get = dm_ex_mig_state_get,
	.state_set = dm_ex_mig_state_set,
	.read = dm_ex_mig_read,
	.write = dm_ex_mig_write,
	.precopy_info = dm_ex_mig_precopy_info,
	.data_size = dm_ex_mig_data_size,
};

const struct dm_mig_ops dm_ex_strict_mig_ops = {
	.flags = dm_ex_mig_flags,
	.state_get = dm_ex_mig_state_get,
	.state_set = dm_ex_mig_state_set,
	.read = dm_ex_mig_read,
	.write = dm_ex_mig_write,
};

int
dm_ex_log_start(struct dm_ex *ex, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	if (dm_ex_fault_count(&ex->faults, &ex->faults.log_start_fail))
		return -EIO;
	ex->dropped_marks = 0;
	return dm_dirty_start(&ex->dirty, ranges, nb_ranges, page_size_bytes);
}

int
dm_ex_log_stop(struct dm_ex *ex)
{
	if (dm_ex_fault_count(&ex->faults, &ex->faults.log_stop_fail))
		return -EIO;
	return dm_dirty_stop(&ex->dirty);
}

int
dm_ex_log_report(struct dm_ex *ex, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	if (dm_ex_fault_count(&ex->faults, &ex->faults.log_report_fail))
		return -EIO;
	return dm_dirty_report(&ex->dirty, iova, length_bytes, page_size_bytes, bitmap);
}

static int
dm_ex_ops_log_start(void *dev, const struct lm_vu_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	return dm_ex_log_start(dev, ranges, nb_ranges, page_size_bytes);
}

static int
dm_ex_ops_log_stop(void *dev)
{
	return dm_ex_log_stop(dev);
}

static int
dm_ex_ops_log_report(void *dev, uint64_t iova, uint64_t length_bytes, uint64_t page_size_bytes,
		uint64_t *bitmap)
{
	return dm_ex_log_report(dev, iova, length_bytes, page_size_bytes, bitmap);
}

const struct dm_log_ops dm_ex_log_ops = {
	.start = dm_ex_ops_log_start,
	.stop = dm_ex_ops_log_stop,
	.report = dm_ex_ops_log_report,
};
