/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dm_fault.h"

static const struct {
	const char *name;
	size_t offset;
	bool has_value;
} dm_fault_table[] = {
	{ "slow-reset", offsetof(struct dm_faults, slow_reset_us), true },
	{ "slow-ring-reset", offsetof(struct dm_faults, slow_ring_reset_us), true },
	{ "slow-suspend", offsetof(struct dm_faults, slow_suspend_us), true },
	{ "lost-irq", offsetof(struct dm_faults, lost_irq_nth), true },
	{ "die-at", offsetof(struct dm_faults, die_at_frames), true },
	{ "no-ring-reset", offsetof(struct dm_faults, no_ring_reset), false },
	{ "short-used", offsetof(struct dm_faults, short_used_nth), true },
	{ "flip", offsetof(struct dm_faults, flip_nth), true },
	{ "deaf-reset", offsetof(struct dm_faults, deaf_reset), false },
	{ "deaf-ctrl", offsetof(struct dm_faults, deaf_ctrl), false },
	{ "lost-config-irq", offsetof(struct dm_faults, lost_config_irq), false },
	{ "offer", offsetof(struct dm_faults, offer), true },
	{ "overrun", offsetof(struct dm_faults, overrun), false },
	{ "early-write", offsetof(struct dm_faults, early_write), true },
	{ "no-function-reset", offsetof(struct dm_faults, no_function_reset), false },
	{ "disorder", offsetof(struct dm_faults, disorder), true },
	{ "stuck-ring-reset", offsetof(struct dm_faults, stuck_ring_reset), false },
};

#define DM_NB_FAULTS (sizeof(dm_fault_table) / sizeof(dm_fault_table[0]))

static int
dm_fault_number(const char *text, uint64_t *value)
{
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno != 0 || *end != '\0')
		return -EINVAL;
	*value = number;
	return 0;
}

int
dm_fault_parse(struct dm_faults *f, const char *spec)
{
	size_t len = strcspn(spec, "=");
	uint64_t value = 1;
	size_t i;

	for (i = 0; i < DM_NB_FAULTS; i++)
		if (strlen(dm_fault_table[i].name) == len &&
				memcmp(dm_fault_table[i].name, spec, len) == 0)
			break;
	if (i == DM_NB_FAULTS || dm_fault_table[i].has_value != (spec[len] == '='))
		return -EINVAL;
	if (spec[len] == '=' && dm_fault_number(spec + len + 1, &value) != 0)
		return -EINVAL;

	memcpy((char *)f + dm_fault_table[i].offset, &value, sizeof(value));
	return 0;
}

bool
dm_fault_irq(struct dm_faults *f)
{
	f->irqs++;
	if (f->lost_irq_nth == 0 || f->irqs % f->lost_irq_nth != 0)
		return false;
	f->irqs_lost++;
	return true;
}

uint32_t
dm_fault_used_len(struct dm_faults *f, uint32_t len_bytes)
{
	if (f->short_used_nth == 0 || ++f->used_chains % f->short_used_nth != 0)
		return len_bytes;
	return len_bytes - 1;
}

const uint8_t *
dm_fault_flip(struct dm_faults *f, const uint8_t *frame, uint32_t len_bytes, uint8_t *copy)
{
	if (f->flip_nth == 0 || ++f->flipped_frames % f->flip_nth != 0)
		return frame;
	memcpy(copy, frame, len_bytes);
	copy[len_bytes - 1] ^= 1;
	return copy;
}

void
dm_fault_frame(struct dm_faults *f)
{
	f->frames++;
	if (f->die_at_frames != 0 && f->frames >= f->die_at_frames)
		raise(SIGKILL);
}
