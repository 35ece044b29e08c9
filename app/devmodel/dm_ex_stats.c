/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include "dm_ex.h"

static int
dm_ex_stat(json_t *object, const char *name, uint64_t value)
{
	return json_object_set_new(object, name, json_integer((json_int_t)value));
}

int
dm_ex_stats(void *dev, json_t *object)
{
	static const char *const counters[LM_EX_NB_COUNTERS] = {
		"steps", "dma_errors", "ops_accepted", "ops_refused", "ops_done", "irqs",
		"state_digest", "migrations",
	};
	const struct dm_ex *ex = dev;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < LM_EX_NB_COUNTERS; i++)
		ret |= dm_ex_stat(object, counters[i], ex->counters[i]);
	ret |= json_object_set_new(object, "state", json_string(lm_state_name(ex->state)));
	ret |= json_object_set_new(object, "started", json_boolean(ex->started));
	ret |= json_object_set_new(object, "waits", json_boolean(dm_ex_waits(ex) != 0));
	ret |= dm_ex_stat(object, "state_bytes",
			ex->config[DM_EX_CONFIG(LM_EX_REG_STATE_BYTES)]);
	ret |= dm_ex_stat(object, "ops_outstanding", ex->nb_ops);
	ret |= dm_ex_stat(object, "peer_seen", dm_ex_peer_seen(ex));
	ret |= dm_ex_stat(object, "peer_late", ex->peer_late);
	ret |= dm_ex_stat(object, "arcs", ex->arcs);
	ret |= dm_ex_stat(object, "saved_bytes", ex->save.offset);
	ret |= dm_ex_stat(object, "loaded_bytes", ex->load.offset);
	ret |= json_object_set_new(object, "logging", json_boolean(ex->dirty.on));
	ret |= dm_ex_stat(object, "dirty_marks", ex->dirty.marked);
	ret |= dm_ex_stat(object, "dirty_dropped", ex->dropped_marks);
	ret |= dm_ex_stat(object, "faults_hit", ex->faults.hits);
	return ret == 0 ? 0 : -ENOMEM;
}
