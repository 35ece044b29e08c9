/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <rte_kvargs.h>
#include <rte_string_fns.h>

#include "pds.h"

struct pair {
	const char *name;
	struct pds_args *args;
};

static int
take_path(const char *key, const char *value, void *opaque)
{
	struct pair *pair = opaque;
	char *to = strcmp(key, "socket") == 0 ? pair->args->socket :
			strcmp(key, "lm") == 0 ? pair->args->lm : pair->args->lm_from;

	static_assert(sizeof(pair->args->socket) == sizeof(pair->args->lm) &&
			sizeof(pair->args->lm) == sizeof(pair->args->lm_from), "of one size");
	if (value != NULL && strlcpy(to, value, sizeof(pair->args->socket)) <
			sizeof(pair->args->socket))
		return 0;
	PDS_LOG_NAME(ERR, pair->name, "%s= takes a path of at most %zu characters", key,
		sizeof(pair->args->socket) - 1);
	return -EINVAL;
}

static int
take_pds(const char *key, const char *value, void *opaque)
{
	struct pair *pair = opaque;

	RTE_SET_USED(key);
	if (value != NULL && (strcmp(value, "0") == 0 || strcmp(value, "1") == 0)) {
		pair->args->pds = value[0] == '1';
		return 0;
	}
	PDS_LOG_NAME(ERR, pair->name, "pds= takes 0 or 1");
	return -EINVAL;
}

int
pds_args_parse(const char *name, const char *text, struct pds_args *args)
{
	static const char *const keys[] = { "socket", "pds", "lm", "lm_from", NULL };
	struct pair pair = { .name = name, .args = args };
	struct rte_kvargs *kv;
	int ret;

	memset(args, 0, sizeof(*args));
	if (text == NULL || text[0] == '\0')
		return 0;
	kv = rte_kvargs_parse(text, keys);
	if (kv == NULL) {
		PDS_LOG_NAME(ERR, name, "\"%s\": the arguments are socket=PATH, "
			"pds=1, lm=PATH and lm_from=PATH", text);
		return -EINVAL;
	}
	ret = rte_kvargs_process(kv, "socket", take_path, &pair);
	if (ret == 0)
		ret = rte_kvargs_process(kv, "lm", take_path, &pair);
	if (ret == 0)
		ret = rte_kvargs_process(kv, "lm_from", take_path, &pair);
	if (ret == 0)
		ret = rte_kvargs_process(kv, "pds", take_pds, &pair);
	rte_kvargs_free(kv);
	return ret < 0 ? -EINVAL : 0;
}
