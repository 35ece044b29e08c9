/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dm_gen.h"

void
dm_gen_conf_init(struct dm_gen_conf *conf)
{
	*conf = (struct dm_gen_conf){
		.rate_pps = 1000,
		.size_min_bytes = 74,
		.size_max_bytes = 1514,
		.flows = 4,
		.burst = 64,
		.seed = 1,
	};
}

int
dm_gen_parse_mac(const char *text, uint8_t mac[6])
{
	uint8_t got[6];
	int i;

	for (i = 0; i < 6; i++, text += 3) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
				text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		got[i] = (uint8_t)strtoul(text, NULL, 16);
	}
	if ((got[0] & 1) != 0 || memcmp(got, "\0\0\0\0\0", 6) == 0)
		return -EINVAL;
	memcpy(mac, got, 6);
	return 0;
}

/* A number up to the character @p stop or the end; *end is behind it. */
static int
parse_u32(const char *text, char stop, uint32_t *value, const char **end)
{
	unsigned long long v;
	char *after;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &after, 10);
	if (errno != 0 || v > UINT32_MAX || (*after != '\0' && *after != stop))
		return -EINVAL;
	*value = (uint32_t)v;
	*end = after;
	return 0;
}

static int
parse_size(const char *text, struct dm_gen_conf *conf)
{
	uint32_t low, high;
	const char *end;

	if (parse_u32(text, '-', &low, &end) < 0)
		return -EINVAL;
	high = low;
	if (*end == '-' && parse_u32(end + 1, '\0', &high, &end) < 0)
		return -EINVAL;
	if (low > high)
		return -EINVAL;
	conf->size_min_bytes = low;
	conf->size_max_bytes = high;
	return 0;
}

int
dm_gen_conf_set(struct dm_gen_conf *conf, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint32_t *value;
	} numbers[] = {
		{ "rate", &conf->rate_pps },
		{ "flows", &conf->flows },
		{ "burst", &conf->burst },
	};
	uint32_t seed;
	const char *end;
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(key, numbers[i].key) == 0)
			return parse_u32(value, '\0', numbers[i].value, &end);
	if (strcmp(key, "size") == 0)
		return parse_size(value, conf);
	if (strcmp(key, "mac") == 0)
		return dm_gen_parse_mac(value, conf->guest_mac);
	if (strcmp(key, "seed") != 0)
		return -ENOENT;
	if (parse_u32(value, '\0', &seed, &end) < 0)
		return -EINVAL;
	conf->seed = seed;
	return 0;
}
