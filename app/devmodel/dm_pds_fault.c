/* SPDX-License-Identifier: BSD-3-Clause */

/* Faults of the pds family: "name=NUMBER", or "name=OPCODE:STATUS[:TIMES]". */

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dm_pds.h"

#define DM_PDS_FAULT(name, field, has_status) { name, offsetof(struct dm_pds_faults, field), \
	has_status }

static const struct {
	const char *name;
	size_t offset;
	bool has_status;
} dm_pds_fault_table[] = {
	DM_PDS_FAULT("devcmd-status", devcmd_status, true),
	DM_PDS_FAULT("adminq-status", adminq_status, true),
	DM_PDS_FAULT("lm-status", lm_status, true),
	DM_PDS_FAULT("devcmd-slow", devcmd_slow_us, false),
	DM_PDS_FAULT("adminq-slow", adminq_slow_us, false),
	DM_PDS_FAULT("devcmd-lost", devcmd_lost, false),
	DM_PDS_FAULT("adminq-lost", adminq_lost, false),
	DM_PDS_FAULT("suspend-busy", suspend_busy, false),
	DM_PDS_FAULT("blob-bytes", blob_bytes, false),
	DM_PDS_FAULT("blob-corrupt", blob_corrupt, false),
	DM_PDS_FAULT("wrong-colour", wrong_colour, false),
	DM_PDS_FAULT("dirty-lost", dirty_lost, false),
};

#define DM_PDS_NB_FAULTS (sizeof(dm_pds_fault_table) / sizeof(dm_pds_fault_table[0]))

/* Decimal, ended by end or by the text's end; *text moves behind it. */
static int
dm_pds_fault_number(const char **text, uint64_t max, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)(*text)[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(*text, &end, 10);
	if (errno != 0 || *value > max || (*end != '\0' && *end != ':'))
		return -EINVAL;
	*text = *end == ':' ? end + 1 : end;
	return 0;
}

static int
dm_pds_fault_with_status(struct dm_pds_status_fault *f, const char *text)
{
	uint64_t opcode, status, count = 1;

	if (dm_pds_fault_number(&text, UINT8_MAX, &opcode) != 0 ||
			dm_pds_fault_number(&text, UINT8_MAX, &status) != 0)
		return -EINVAL;
	if (*text != '\0' && (dm_pds_fault_number(&text, UINT64_MAX, &count) != 0 ||
			*text != '\0'))
		return -EINVAL;
	f->opcode = (uint8_t)opcode;
	f->status = (uint8_t)status;
	f->count = count;
	return 0;
}

int
dm_pds_fault_parse(struct dm_pds_faults *f, const char *spec)
{
	size_t len = strcspn(spec, "=");
	const char *text = spec + len + 1;
	uint64_t value;
	void *field;
	size_t i;

	if (spec[len] != '=')
		return -EINVAL;
	for (i = 0; i < DM_PDS_NB_FAULTS; i++) {
		if (strlen(dm_pds_fault_table[i].name) != len ||
				memcmp(dm_pds_fault_table[i].name, spec, len) != 0)
			continue;
		field = (uint8_t *)f + dm_pds_fault_table[i].offset;
		if (dm_pds_fault_table[i].has_status)
			return dm_pds_fault_with_status(field, text);
		if (dm_pds_fault_number(&text, UINT64_MAX, &value) != 0 || *text != '\0')
			return -EINVAL;
		memcpy(field, &value, sizeof(value));
		return 0;
	}
	return -EINVAL;
}

bool
dm_pds_fault_take(uint64_t *count)
{
	if (*count == 0)
		return false;
	(*count)--;
	return true;
}

bool
dm_pds_fault_status(struct dm_pds_status_fault *f, uint8_t opcode, uint8_t *status)
{
	if (f->opcode != opcode || !dm_pds_fault_take(&f->count))
		return false;
	*status = f->status;
	return true;
}
