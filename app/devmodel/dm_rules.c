/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdarg.h>
#include <stdio.h>

#include "dm_rules.h"

static const struct {
	const char *name;
	const char *text;
} dm_rule_table[DM_RULE_MAX] = {
#define DM_RULE_ROW(id, name, text) [DM_RULE_##id] = { name, text },
	DM_RULES(DM_RULE_ROW)
#undef DM_RULE_ROW
};

const char *
dm_rule_name(enum dm_rule rule)
{
	return dm_rule_table[rule].name;
}

void
dm_rule_broken(struct dm_rules *r, enum dm_rule rule, const char *detail, ...)
{
	va_list ap;

	r->total++;
	if (r->count[rule]++ != 0)
		return;

	fprintf(stderr, "%s: the driver broke rule %s (%s): ", r->who, dm_rule_table[rule].name,
			dm_rule_table[rule].text);
	va_start(ap, detail);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is started above */
	vfprintf(stderr, detail, ap);
	va_end(ap);
	fputc('\n', stderr);
}
