/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <bus_vdev_driver.h>

#include "virtio_vdpa.h"

/* A function served on a vfio-user socket: --vdev vdpa_virtio_pci0,socket=PATH */

static int
virtio_vdpa_vdev_probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct virtio_vdpa_args args;
	struct lm_pci_params params = { .name = name };
	struct lm_pci *pci;
	int ret;

	ret = virtio_vdpa_args_parse(name, rte_vdev_device_args(vdev), false, &args);
	if (ret != 0)
		return ret;
	if (args.socket[0] == '\0') {
		VDPA_LOG_NAME(ERR, name, "which function? Give socket=PATH of a vfio-user server");
		return -EINVAL;
	}
	ret = lm_pci_open_vfio_user(args.socket, &params, &pci);
	if (ret != 0) {
		VDPA_LOG_NAME(ERR, name, "cannot open the function at %s: %s%s", args.socket,
			lm_pci_strerror(NULL), ret == -ENOENT || ret == -ECONNREFUSED ?
			" (is its server running?)" : "");
		return ret;
	}
	ret = virtio_vdpa_create(&vdev->device, name, &args, pci);
	if (ret != 0)
		lm_pci_close(pci);
	return ret;
}

static int
virtio_vdpa_vdev_remove(struct rte_vdev_device *vdev)
{
	return virtio_vdpa_remove(&vdev->device);
}

static struct rte_vdev_driver virtio_vdpa_vdev_driver = {
	.probe = virtio_vdpa_vdev_probe,
	.remove = virtio_vdpa_vdev_remove,
};

RTE_PMD_REGISTER_VDEV(vdpa_virtio_pci, virtio_vdpa_vdev_driver);
RTE_PMD_REGISTER_PARAM_STRING(vdpa_virtio_pci,
	"socket=<path> premap=<file> positions=<file> features=<mask> log=<full|used> "
	"notifiers=<0|1> relay=<0|1> relay_cpus=<list> relay_thread=<int> stop_budget_ms=<int> "
	"test_log_drop=<int> ");
