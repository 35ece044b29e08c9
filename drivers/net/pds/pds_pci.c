/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <bus_pci_driver.h>
#include <rte_devargs.h>

#include "lm_pci_eal.h"
#include "pds.h"

/*
 * A function on the machine's PCI bus: -a BDF,pds=1. Without the opt-in it is left to net_ionic,
 * which knows the same identity.
 */

static int
pds_pci_probe(struct rte_pci_driver *drv, struct rte_pci_device *pci_dev)
{
	const char *name = pci_dev->device.name;
	struct lm_pci_params params = { .name = name };
	struct pds_args args;
	struct lm_pci *pci = NULL;
	int ret;

	RTE_SET_USED(drv);
	if (pci_dev->device.devargs == NULL ||
			strstr(pci_dev->device.devargs->args, "pds=") == NULL)
		return 1;
	ret = pds_args_parse(name, pci_dev->device.devargs->args, &args);
	if (ret != 0)
		return ret;
	if (!args.pds)
		return 1;
	if (rte_eal_process_type() == RTE_PROC_PRIMARY) {
		ret = lm_pci_open_eal(pci_dev, &params, &pci);
		if (ret != 0) {
			PDS_LOG_NAME(ERR, name, "cannot open the function: %s", strerror(-ret));
			return ret;
		}
	}
	ret = pds_port_create(&pci_dev->device, name, pci, &args);
	if (ret != 0)
		lm_pci_close(pci);
	return ret;
}

static int
pds_pci_remove(struct rte_pci_device *pci_dev)
{
	return pds_port_remove(&pci_dev->device);
}

static const struct rte_pci_id pds_pci_ids[] = {
	{ RTE_PCI_DEVICE(LM_PCI_VENDOR_ID_PENSANDO, LM_PCI_DEVICE_ID_PENSANDO_IONIC_ETH_VF) },
	{ .vendor_id = 0 },
};

/* No RTE_PCI_DRV_NEED_MAPPING: EAL would map vfio-pci only, and variant drivers not at all. */
static struct rte_pci_driver pds_pci_driver = {
	.id_table = pds_pci_ids,
	.probe = pds_pci_probe,
	.remove = pds_pci_remove,
};

RTE_PMD_REGISTER_PCI(net_pds_pci, pds_pci_driver);
RTE_PMD_REGISTER_PCI_TABLE(net_pds_pci, pds_pci_ids);
RTE_PMD_REGISTER_KMOD_DEP(net_pds_pci, "* vfio-pci | pds_vfio_pci");

/* What dpdk-pmdinfo.py looks for; DPDK's own build makes these strings with a tool it keeps. */
static const char pds_pmdinfo[] __rte_used =
	"PMD_INFO_STRING= {\"name\" : \"net_pds\", "
	"\"params\" : \"socket=<path> pds=<0|1> lm=<path> lm_from=<path> \", "
	"\"kmod\" : \"* vfio-pci | pds_vfio_pci\", "
	"\"pci_ids\" : [[7640, 4099, 65535, 65535]]}";
