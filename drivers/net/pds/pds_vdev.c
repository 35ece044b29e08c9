/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <bus_vdev_driver.h>

#include "pds.h"

/* A function served on a vfio-user socket: --vdev net_pds0,socket=PATH */

static int
pds_vdev_probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct lm_pci_params params = { .name = name };
	struct pds_args args;
	struct lm_pci *pci = NULL;
	int ret;

	ret = pds_args_parse(name, rte_vdev_device_args(vdev), &args);
	if (ret != 0)
		return ret;
	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		if (args.socket[0] == '\0') {
			PDS_LOG_NAME(ERR, name,
				"which function? Give socket=PATH of a vfio-user server");
			return -EINVAL;
		}
		ret = lm_pci_open_vfio_user(args.socket, &params, &pci);
		if (ret != 0) {
			PDS_LOG_NAME(ERR, name, "cannot open the function at %s: %s%s", args.socket,
				strerror(-ret), ret == -ENOENT || ret == -ECONNREFUSED ?
				" (is its server running?)" : "");
			return ret;
		}
	}
	ret = pds_port_create(&vdev->device, name, pci, &args);
	if (ret != 0)
		lm_pci_close(pci);
	return ret;
}

static int
pds_vdev_remove(struct rte_vdev_device *vdev)
{
	return pds_port_remove(&vdev->device);
}

static struct rte_vdev_driver pds_vdev_driver = {
	.probe = pds_vdev_probe,
	.remove = pds_vdev_remove,
};

RTE_PMD_REGISTER_VDEV(net_pds, pds_vdev_driver);
RTE_PMD_REGISTER_PARAM_STRING(net_pds, "socket=<path> lm=<path> lm_from=<path> ");
