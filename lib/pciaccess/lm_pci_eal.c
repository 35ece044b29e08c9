/* SPDX-License-Identifier: BSD-3-Clause */

/* Opening a PCI function that EAL's bus found, through EAL's groups and containers. */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <rte_errno.h>
#include <rte_pci.h>
#include <rte_vfio.h>

#include <bus_pci_driver.h>

#include "lm_compat.h"
#include "lm_pci_eal.h"
#include "lm_pci_sysfs.h"
#include "lm_pci_vfio.h"

RTE_LOG_REGISTER_DEFAULT(lm_pci_logtype, NOTICE)
#define RTE_LOGTYPE_LM_PCI lm_pci_logtype
#define PCI_LOG(level, ...) RTE_LOG_LINE(level, LM_PCI, __VA_ARGS__)

struct eal_priv {
	struct lm_pci_vfio vfio; /* first: the ioctl back end looks at it */
	char addr[PCI_PRI_STR_SIZE];
};

static struct eal_priv *
priv_of(struct lm_pci *pci)
{
	return pci->priv;
}

static void
eal_close(struct lm_pci *pci)
{
	struct eal_priv *priv = priv_of(pci);

	if (priv->vfio.device_fd >= 0) {
		lm_pci_vfio_release(pci);
		rte_vfio_release_device(rte_pci_get_sysfs_path(), priv->addr,
				priv->vfio.device_fd);
	}
	if (priv->vfio.container_fd >= 0)
		rte_vfio_container_destroy(priv->vfio.container_fd);
	free(priv);
}

/* The kernel tells nobody through these descriptors that a device is gone. */
static int
eal_event_process(struct lm_pci *pci)
{
	(void)pci;
	return 0;
}

static bool
eal_alive(const struct lm_pci *pci)
{
	(void)pci;
	return true;
}

static const struct lm_pci_ops eal_ops = {
	.close = eal_close,
	.event_process = eal_event_process,
	.alive = eal_alive,
	.config_read = lm_pci_vfio_config_read,
	.config_write = lm_pci_vfio_config_write,
	.bar_read = lm_pci_vfio_bar_read,
	.bar_write = lm_pci_vfio_bar_write,
	.bar_write_posted = lm_pci_vfio_bar_write,
	.irq_set = lm_pci_vfio_irq_set,
	.irq_disable = lm_pci_vfio_irq_disable,
	.dma_map = lm_pci_vfio_dma_map,
	.dma_unmap = lm_pci_vfio_dma_unmap,
	.reset = lm_pci_vfio_reset,
	.feature = lm_pci_vfio_feature,
	.mig = &lm_pci_vfio_mig_ops,
	.dma_needs_fd = false,
};

static int
check_binding(struct lm_pci *pci, const char *addr)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *driver;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%s/driver", rte_pci_get_sysfs_path(), addr);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return lm_pci_fail(pci, -ENODEV, "bound to no driver. Type: "
				"dpdk-devbind.py --bind=vfio-pci %s", addr);
	target[len] = '\0';
	driver = strrchr(target, '/');
	driver = driver != NULL ? driver + 1 : target;
	if (!lm_pci_is_vfio_driver(driver))
		return lm_pci_fail(pci, -ENODEV, "bound to %s, which is not VFIO. Type: "
				"dpdk-devbind.py --bind=vfio-pci %s", driver, addr);
	snprintf(pci->driver, sizeof(pci->driver), "%.31s", driver);
	return 0;
}

/*
 * A container of its own: EAL's default one holds DPDK's heap at addresses where a guest has its
 * memory.
 */
static int
open_device(struct lm_pci *pci, struct eal_priv *priv)
{
	const char *sysfs = rte_pci_get_sysfs_path();
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int group, ret;

	ret = rte_vfio_get_group_num(sysfs, priv->addr, &group);
	if (ret <= 0)
		return lm_pci_fail(pci, -ENODEV, "no IOMMU group. Enable the IOMMU in firmware "
				"and kernel (intel_iommu=on)");
	priv->vfio.container_fd = rte_vfio_container_create();
	if (priv->vfio.container_fd < 0)
		return lm_pci_fail(pci, -EIO, "no VFIO container. Is the module vfio loaded, "
				"is /dev/vfio/vfio accessible?");
	ret = rte_vfio_container_group_bind(priv->vfio.container_fd, group);
	if (ret < 0)
		return lm_pci_fail(pci, -EBUSY, "cannot open /dev/vfio/%d: in use, or no "
				"permission", group);
	ret = rte_vfio_setup_device(sysfs, priv->addr, &priv->vfio.device_fd, &info);
	if (ret != 0) {
		priv->vfio.device_fd = -1;
		return lm_pci_fail(pci, -ENODEV, "VFIO does not give the device of group %d. "
				"Are all devices of the group bound to VFIO?", group);
	}
	return 0;
}

static int
open_checked(struct lm_pci *pci, struct eal_priv *priv)
{
	int ret;

	ret = check_binding(pci, priv->addr);
	if (ret == 0)
		ret = open_device(pci, priv);
	if (ret == 0)
		ret = lm_pci_vfio_read(pci, &priv->vfio);
	return ret;
}

int
lm_pci_open_eal(struct rte_pci_device *dev, const struct lm_pci_params *params,
		struct lm_pci **out)
{
	struct lm_pci_params named = { 0 };
	struct eal_priv *priv;
	struct lm_pci *pci;
	int ret;

	priv = calloc(1, sizeof(*priv));
	if (priv == NULL)
		return lm_pci_fail(NULL, -ENOMEM, "no memory");
	lm_pci_vfio_init(&priv->vfio, &lm_sys_kernel);
	rte_pci_device_name(&dev->addr, priv->addr, sizeof(priv->addr));
	if (params != NULL)
		named = *params;
	if (named.name == NULL)
		named.name = priv->addr;
	ret = lm_pci_new(&named, &eal_ops, &pci);
	if (ret != 0) {
		free(priv);
		return lm_pci_fail(NULL, ret, "%s: no memory", named.name);
	}
	pci->priv = priv;
	ret = open_checked(pci, priv);
	if (ret != 0) {
		PCI_LOG(ERR, "%s", lm_pci_strerror(pci));
		lm_pci_close(pci);
		return ret;
	}
	*out = pci;
	return 0;
}
