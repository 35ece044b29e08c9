/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_ex.h"

static int
dm_ex_number(const char *text, uint64_t max, uint64_t *value)
{
	static const char units[] = "KMGT";
	unsigned long long number;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 0);
	unit = *end == '\0' ? NULL : strchr(units, *end);
	if (unit != NULL) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (number > UINT64_MAX >> shift)
			return -EINVAL;
		number <<= shift;
		end++;
	}
	if (errno != 0 || *end != '\0' || number > max)
		return -EINVAL;
	*value = number;
	return 0;
}

static int
dm_ex_number32(const char *text, uint32_t max, uint32_t *value)
{
	uint64_t number = 0;
	int ret = dm_ex_number(text, max, &number);

	if (ret == 0)
		*value = (uint32_t)number;
	return ret;
}

/* "none", or words joined by +; STOP_COPY goes without saying. */
static int
dm_ex_set_caps(struct dm_ex_conf *conf, const char *text)
{
	static const struct {
		const char *word;
		uint64_t flags;
	} words[] = {
		{ "stop_copy", LM_STATE_F_STOP_COPY },
		{ "p2p", LM_STATE_F_STOP_COPY | LM_STATE_F_P2P },
		{ "pre_copy", LM_STATE_F_STOP_COPY | LM_STATE_F_PRE_COPY },
	};
	size_t len, i;

	conf->mig_flags = 0;
	if (strcmp(text, "none") == 0)
		return 0;
	for (;;) {
		len = strcspn(text, "+");
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == len && memcmp(words[i].word, text, len) == 0)
				break;
		if (i == sizeof(words) / sizeof(words[0]))
			return -EINVAL;
		conf->mig_flags |= words[i].flags;
		if (text[len] == '\0')
			return 0;
		text += len + 1;
	}
}

static int
dm_ex_set_bool(const char *text, bool *value)
{
	uint64_t number = 0;
	int ret = dm_ex_number(text, 1, &number);

	*value = number != 0;
	return ret;
}

static int
dm_ex_set_page(const char *text, uint64_t *value)
{
	uint64_t bytes = 0;

	if (dm_ex_number(text, UINT64_C(1) << 30, &bytes) != 0 || bytes < LM_EX_PAGE_BYTES ||
			(bytes & (bytes - 1)) != 0)
		return -EINVAL;
	*value = bytes;
	return 0;
}

static int
dm_ex_set_strict(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_set_bool(text, &conf->strict);
}

static int
dm_ex_set_pf(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_set_bool(text, &conf->by_pf);
}

static int
dm_ex_set_log(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_set_bool(text, &conf->has_log);
}

static int
dm_ex_set_state(struct dm_ex_conf *conf, const char *text)
{
	uint64_t bytes = 0;

	if (dm_ex_number(text, LM_EX_MAX_STATE_BYTES, &bytes) != 0 || bytes % 8 != 0)
		return -EINVAL;
	conf->state_bytes = bytes;
	return 0;
}

static int
dm_ex_set_initial(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_number32(text, 100, &conf->initial_percent);
}

static int
dm_ex_set_seed(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_number(text, UINT64_MAX, &conf->seed);
}

static int
dm_ex_set_compat(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_number(text, UINT64_MAX, &conf->compat);
}

static int
dm_ex_set_log_min(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_set_page(text, &conf->log.min_page_bytes);
}

static int
dm_ex_set_log_max(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_set_page(text, &conf->log.max_page_bytes);
}

static int
dm_ex_set_log_ranges(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_number32(text, DM_DIRTY_MAX_RANGES, &conf->log.max_ranges);
}

static int
dm_ex_set_log_align(struct dm_ex_conf *conf, const char *text)
{
	return dm_ex_number32(text, 1 << 20, &conf->log.align_pages);
}

void
dm_ex_conf_defaults(struct dm_ex_conf *conf)
{
	*conf = (struct dm_ex_conf){
		.mig_flags = LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY,
		.seed = 1,
		.state_bytes = UINT64_C(1) << 20,
		.initial_percent = 25,
		.has_log = true,
		.log.max_page_bytes = UINT64_C(1) << 30,
	};
}

int
dm_ex_conf_parse(struct dm_ex_conf *conf, const char *option)
{
	static const struct {
		const char *key;
		int (*set)(struct dm_ex_conf *conf, const char *text);
	} keys[] = {
		{ "caps", dm_ex_set_caps },
		{ "pf", dm_ex_set_pf },
		{ "strict", dm_ex_set_strict },
		{ "state", dm_ex_set_state },
		{ "initial", dm_ex_set_initial },
		{ "seed", dm_ex_set_seed },
		{ "compat", dm_ex_set_compat },
		{ "log", dm_ex_set_log },
		{ "log-page-min", dm_ex_set_log_min },
		{ "log-page-max", dm_ex_set_log_max },
		{ "log-ranges", dm_ex_set_log_ranges },
		{ "log-align", dm_ex_set_log_align },
	};
	size_t len = strcspn(option, "="), i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (option[len] == '=' && strlen(keys[i].key) == len &&
				memcmp(keys[i].key, option, len) == 0)
			return keys[i].set(conf, option + len + 1);
	return -EINVAL;
}

int
dm_ex_conf_check(const struct dm_ex_conf *conf)
{
	const struct dm_dirty_conf *log = &conf->log;

	if (conf->by_pf && (conf->strict || conf->mig_flags == 0))
		return -EINVAL;
	return log->max_page_bytes != 0 && log->min_page_bytes > log->max_page_bytes ? -EINVAL : 0;
}
