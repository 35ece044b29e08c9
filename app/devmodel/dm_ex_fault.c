/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dm_ex_fault.h"

#define DM_EX_NB(table) (sizeof(table) / sizeof((table)[0]))

static const char *const dm_ex_actions[DM_EX_NB_ACTIONS] = {
	[DM_EX_BUSY] = "busy",
	[DM_EX_SLOW] = "slow",
	[DM_EX_FAIL_BEFORE] = "fail-before",
	[DM_EX_FAIL_AFTER] = "fail-after",
	[DM_EX_ERROR] = "error",
	[DM_EX_HANG] = "hang",
	[DM_EX_DIE] = "die",
};

static const struct {
	const char *name;
	size_t offset;
	bool is_byte; /* DM_EX_NEVER when it is off, not 0 */
} dm_ex_numbers[] = {
	{ "read-fail", offsetof(struct dm_ex_faults, read_fail), true },
	{ "read-hang", offsetof(struct dm_ex_faults, read_hang), true },
	{ "read-die", offsetof(struct dm_ex_faults, read_die), true },
	{ "read-end", offsetof(struct dm_ex_faults, read_end), true },
	{ "read-corrupt", offsetof(struct dm_ex_faults, read_corrupt), true },
	{ "write-fail", offsetof(struct dm_ex_faults, write_fail), true },
	{ "write-hang", offsetof(struct dm_ex_faults, write_hang), true },
	{ "write-die", offsetof(struct dm_ex_faults, write_die), true },
	{ "read-chunk", offsetof(struct dm_ex_faults, read_chunk), false },
	{ "read-slow", offsetof(struct dm_ex_faults, read_slow_us), false },
	{ "write-slow", offsetof(struct dm_ex_faults, write_slow_us), false },
	{ "enomsg", offsetof(struct dm_ex_faults, enomsg), false },
	{ "info-fail", offsetof(struct dm_ex_faults, info_fail), false },
	{ "reset-fail", offsetof(struct dm_ex_faults, reset_fail), false },
	{ "log-start-fail", offsetof(struct dm_ex_faults, log_start_fail), false },
	{ "log-report-fail", offsetof(struct dm_ex_faults, log_report_fail), false },
	{ "log-stop-fail", offsetof(struct dm_ex_faults, log_stop_fail), false },
	{ "drop-dirty", offsetof(struct dm_ex_faults, drop_dirty), false },
	{ "extra-dirty", offsetof(struct dm_ex_faults, extra_dirty), false },
};

static uint64_t *
dm_ex_number(struct dm_ex_faults *f, size_t i)
{
	return (uint64_t *)(void *)((char *)f + dm_ex_numbers[i].offset);
}

void
dm_ex_fault_clear(struct dm_ex_faults *f)
{
	uint64_t hits = f->hits;
	size_t i;

	memset(f, 0, sizeof(*f));
	f->hits = hits;
	for (i = 0; i < DM_EX_NB(dm_ex_numbers); i++)
		if (dm_ex_numbers[i].is_byte)
			*dm_ex_number(f, i) = DM_EX_NEVER;
}

static int
dm_ex_fault_value(const char *text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno != 0 || *end != '\0' ? -EINVAL : 0;
}

static int
dm_ex_fault_state(const char *text, size_t len, uint32_t *state)
{
	const char *name;
	uint32_t i;

	*state = LM_STATE_NB;
	if (len == 1 && text[0] == '*')
		return 0;
	for (i = LM_STATE_STOP; i < LM_STATE_NB; i++) {
		name = lm_state_name((enum lm_state)i);
		if (strlen(name) == len && strncasecmp(name, text, len) == 0) {
			*state = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int
dm_ex_fault_arm(struct dm_ex_faults *f, const struct dm_ex_arc_fault *fault)
{
	struct dm_ex_arc_fault *slot = NULL;
	size_t i;

	for (i = 0; i < DM_EX_MAX_ARC_FAULTS; i++) {
		struct dm_ex_arc_fault *a = &f->arcs[i];

		if (a->left != 0 && a->action == fault->action && a->from == fault->from &&
				a->to == fault->to) {
			slot = a;
			break;
		}
		if (a->left == 0 && slot == NULL)
			slot = a;
	}
	if (slot == NULL)
		return -EINVAL;
	*slot = *fault;
	return 0;
}

/* ACTION@FROM-TO[=N]; action_len: up to the @. */
static int
dm_ex_fault_parse_arc(struct dm_ex_faults *f, const char *spec, size_t action_len)
{
	struct dm_ex_arc_fault fault = { .left = 1 };
	const char *from = spec + action_len + 1;
	size_t from_len = strcspn(from, "-"), to_len;
	const char *to = from + from_len + 1;
	uint32_t action;

	if (from[from_len] != '-')
		return -EINVAL;
	to_len = strcspn(to, "=");
	for (action = 0; action < DM_EX_NB_ACTIONS; action++)
		if (strlen(dm_ex_actions[action]) == action_len &&
				memcmp(dm_ex_actions[action], spec, action_len) == 0)
			break;
	if (action == DM_EX_NB_ACTIONS || (action == DM_EX_SLOW && to[to_len] == '\0') ||
			dm_ex_fault_state(from, from_len, &fault.from) != 0 ||
			dm_ex_fault_state(to, to_len, &fault.to) != 0)
		return -EINVAL;
	if (to[to_len] == '=' && dm_ex_fault_value(to + to_len + 1, &fault.left) != 0)
		return -EINVAL;
	fault.action = (enum dm_ex_action)action;
	return dm_ex_fault_arm(f, &fault);
}

int
dm_ex_fault_parse(struct dm_ex_faults *f, const char *spec)
{
	size_t len = strcspn(spec, "@=");
	uint64_t value;
	size_t i;

	if (strcmp(spec, "clear") == 0) {
		dm_ex_fault_clear(f);
		return 0;
	}
	if (spec[len] == '@')
		return dm_ex_fault_parse_arc(f, spec, len);
	for (i = 0; i < DM_EX_NB(dm_ex_numbers); i++)
		if (strlen(dm_ex_numbers[i].name) == len &&
				memcmp(dm_ex_numbers[i].name, spec, len) == 0)
			break;
	if (i == DM_EX_NB(dm_ex_numbers) || spec[len] != '=' ||
			dm_ex_fault_value(spec + len + 1, &value) != 0)
		return -EINVAL;
	*dm_ex_number(f, i) = value;
	return 0;
}

bool
dm_ex_fault_arc(struct dm_ex_faults *f, enum dm_ex_action action, enum lm_state from,
		enum lm_state to, uint64_t *value)
{
	size_t i;

	for (i = 0; i < DM_EX_MAX_ARC_FAULTS; i++) {
		struct dm_ex_arc_fault *a = &f->arcs[i];

		if (a->left == 0 || a->action != action ||
				(a->from != LM_STATE_NB && a->from != from) ||
				(a->to != LM_STATE_NB && a->to != to))
			continue;
		*value = a->left;
		if (action != DM_EX_SLOW)
			a->left--;
		f->hits++;
		return true;
	}
	return false;
}

bool
dm_ex_fault_count(struct dm_ex_faults *f, uint64_t *left)
{
	if (*left == 0)
		return false;
	(*left)--;
	f->hits++;
	return true;
}

bool
dm_ex_fault_byte(struct dm_ex_faults *f, uint64_t *at, uint64_t from, uint64_t len_bytes)
{
	if (*at < from || *at - from >= len_bytes)
		return false;
	*at = DM_EX_NEVER;
	f->hits++;
	return true;
}
