/* SPDX-License-Identifier: BSD-3-Clause */

/* AMD Pensando's card on the command line: the first socket is the PF's, the others are VFs'. */

#include <string.h>

#include "dm_pds_card.h"
#include "dm_pds_vf.h"
#include "dm_type.h"

static int
dm_type_pds_check(const struct dm_args *args)
{
	return args->queue_pairs > DM_PDS_MAX_PAIRS ?
			dm_args_bad("queue-pairs", "more than the kind has") : 0;
}

static int
dm_type_pds_create(const struct dm_args *args, struct dm_wire *const *wires,
		struct dm_function *functions)
{
	struct dm_pds_vf_conf vf = { .pairs = args->queue_pairs };
	struct dm_pds_pf *pf;
	uint32_t i;
	int ret;

	ret = dm_pds_pf_create(&functions[0].host, &functions[0].pci, &functions[0].device);
	if (ret != 0)
		return ret;
	pf = functions[0].device.dev;
	memcpy(vf.mac, args->mac, sizeof(vf.mac));
	for (i = 1; i < args->nb_sockets && ret == 0; i++) {
		vf.host = &functions[i].host;
		vf.wire = wires[i - 1];
		vf.id = (uint16_t)(i - 1);
		vf.mac[5] = (uint8_t)(args->mac[5] + i - 1);
		ret = dm_pds_vf_create(&vf, &functions[i].device);
		if (ret == 0)
			dm_pds_pf_add_vf(pf, functions[i].device.dev);
	}
	return ret;
}

const struct dm_type dm_type_pds = {
	.name = "pds",
	.summary = "an AMD Pensando card: its core PF, then up to 8 Ethernet VFs",
	.max_sockets = 1 + DM_PDS_MAX_VFS,
	.max_wires = DM_PDS_MAX_VFS,
	.has_faults = true,
	.check = dm_type_pds_check,
	.create = dm_type_pds_create,
};
