/* SPDX-License-Identifier: BSD-3-Clause */

/* Exercisers on the command line. */

#include "dm_ex_pf.h"
#include "dm_type.h"

static int
dm_type_ex_conf(const struct dm_args *args, struct dm_ex_conf *conf)
{
	uint32_t i;

	dm_ex_conf_defaults(conf);
	for (i = 0; i < args->nb_options; i++)
		if (dm_ex_conf_parse(conf, args->options[i]) != 0)
			return dm_args_bad("option", args->options[i]);
	if (dm_ex_conf_check(conf) != 0)
		return dm_args_bad("option", "all of them together");
	if (conf->by_pf && args->nb_sockets < 2)
		return dm_args_bad("socket", "one, where a PF and its VFs need two");
	return 0;
}

static int
dm_type_ex_check(const struct dm_args *args)
{
	struct dm_ex_conf conf;

	return dm_type_ex_conf(args, &conf);
}

/* With a PF the first function is that; it needs its VFs first. */
static int
dm_type_ex_create(const struct dm_args *args, struct dm_wire *const *wires,
		struct dm_function *functions)
{
	struct dm_ex *vfs[DM_MAX_FUNCTIONS];
	struct dm_ex_conf conf;
	int ret = dm_type_ex_conf(args, &conf);
	uint32_t first = conf.by_pf ? 1 : 0, i;

	(void)wires;
	for (i = first; i < args->nb_sockets && ret == 0; i++, conf.seed++) {
		conf.host = &functions[i].host;
		ret = dm_ex_create(&conf, &functions[i].device);
		vfs[i - first] = functions[i].device.dev;
	}
	if (ret == 0 && conf.by_pf)
		ret = dm_ex_pf_create(&functions[0].host, vfs, args->nb_sockets - 1,
				&functions[0].device);
	return ret;
}

const struct dm_type dm_type_exerciser = {
	.name = "exerciser",
	.summary = "devices that torture migration",
	.max_sockets = DM_MAX_FUNCTIONS,
	.has_options = true,
	.has_faults = true,
	.check = dm_type_ex_check,
	.create = dm_type_ex_create,
};
