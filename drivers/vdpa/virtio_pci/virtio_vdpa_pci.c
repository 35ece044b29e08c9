/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <bus_pci_driver.h>
#include <dev_driver.h>
#include <rte_devargs.h>

#include "lm_pci_eal.h"
#include "virtio_vdpa.h"

/*
 * A function on the machine's PCI bus: -a BDF,vdpa=1. Without the opt-in the device is left to
 * the network driver, which steps aside when it sees the same argument.
 */

static int
virtio_vdpa_pci_probe(struct rte_pci_driver *drv, struct rte_pci_device *pci_dev)
{
	const char *name = pci_dev->device.name;
	struct virtio_vdpa_args args;
	struct lm_pci_params params = { .name = name };
	struct lm_pci *pci;
	int ret;

	RTE_SET_USED(drv);
	if (pci_dev->device.devargs == NULL)
		return 1;
	ret = virtio_vdpa_args_parse(name, pci_dev->device.devargs->args, true, &args);
	if (ret != 0)
		return ret;
	if (!args.vdpa)
		return 1;
	ret = lm_pci_open_eal(pci_dev, &params, &pci);
	if (ret != 0) {
		VDPA_LOG_NAME(ERR, name, "cannot open the function: %s",
			lm_pci_strerror(NULL));
		return ret;
	}
	ret = virtio_vdpa_create(&pci_dev->device, name, &args, pci);
	if (ret != 0)
		lm_pci_close(pci);
	return ret;
}

static int
virtio_vdpa_pci_remove(struct rte_pci_device *pci_dev)
{
	return virtio_vdpa_remove(&pci_dev->device);
}

static const struct rte_pci_id virtio_vdpa_pci_ids[] = {
	{ RTE_PCI_DEVICE(0x1af4, 0x1041) },
	{ RTE_PCI_DEVICE(0x1af4, 0x1000) }, /* transitional: driven through its modern half */
	{ .vendor_id = 0 },
};

/* No RTE_PCI_DRV_NEED_MAPPING: EAL would map vfio-pci only, and variant drivers not at all. */
static struct rte_pci_driver virtio_vdpa_pci_driver = {
	.id_table = virtio_vdpa_pci_ids,
	.probe = virtio_vdpa_pci_probe,
	.remove = virtio_vdpa_pci_remove,
};

/* From 25.07 on a name can be registered once only, and "vdpa_virtio_pci" is the vdev. */
RTE_PMD_REGISTER_PCI(vdpa_virtio, virtio_vdpa_pci_driver);
RTE_PMD_REGISTER_PCI_TABLE(vdpa_virtio, virtio_vdpa_pci_ids);
RTE_PMD_REGISTER_KMOD_DEP(vdpa_virtio, "* vfio-pci | virtio_vfio_pci");

/* What dpdk-pmdinfo.py looks for; DPDK's own build makes these strings with a tool it keeps. */
static const char virtio_vdpa_pmdinfo[] __rte_used =
	"PMD_INFO_STRING= {\"name\" : \"vdpa_virtio_pci\", "
	"\"params\" : \"vdpa=<0|1> socket=<path> premap=<file> positions=<file> features=<mask> "
	"log=<full|used> notifiers=<0|1> relay=<0|1> relay_cpus=<list> relay_thread=<int> "
	"stop_budget_ms=<int> test_log_drop=<int> \", "
	"\"kmod\" : \"* vfio-pci | virtio_vfio_pci\", "
	"\"pci_ids\" : [[6900, 4161, 65535, 65535], [6900, 4096, 65535, 65535]]}";
