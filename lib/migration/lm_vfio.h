/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VFIO_H
#define LM_VFIO_H

/**
 * @file
 * The provider for every device that speaks VFIO's migration: behind one of the kernel's variant
 * drivers, or behind a vfio-user socket (lm_pci_mig.h).
 *
 * A static library beside liblm_migration, which stays free of lib/pciaccess: whoever opens devices
 * links both.
 *
 * What differs between drivers and servers is met by rules, not by names: a refused START of the
 * log that should be free is stopped and tried again (a reset leaves it running on some); a reset
 * that is refused in a stopped state is tried again in RUNNING, and one that leaves the state alone
 * is completed by going there (libvfio-user). Nothing but a reset is ever tried from ERROR.
 */

#include "lm_tracker.h"

struct lm_pci;
struct lm_vfio;

/**
 * Ask the device what it offers. pci stays the caller's, and open until lm_vfio_close(). While a
 * provider is in use only its calls may touch the device's migration.
 *
 * @return 0; -ENOTTY: it cannot migrate; -ENOMEM; else -errno of asking, in words by
 * lm_pci_strerror(pci)
 */
int lm_vfio_open(struct lm_pci *pci, struct lm_vfio **dev);
/** Stops the log if it runs; the device's state stays as it is. NULL is allowed. */
void lm_vfio_close(struct lm_vfio *dev);
/** For lm_group_add() and lm_tracker_add_provider(); valid until lm_vfio_close(). */
struct lm_provider lm_vfio_provider(struct lm_vfio *dev);
/**
 * The function itself, where pci of lm_vfio_open() only serves its migration for it (dpdk-test-lm
 * pf): a reset goes to it first, because a PF cannot always reset its VFs. Before the provider is
 * used; stays the caller's, open until lm_vfio_close().
 */
void lm_vfio_function(struct lm_vfio *dev, struct lm_pci *function);

/**
 * The dirty bits of the function's IOMMU as a source (lm_pci_iommu.h): what all devices of its
 * address space write. For devices without a log of their own.
 *
 * @param pci opened with LM_PCI_KERNEL_CDEV; stays the caller's, open as long as the tracker
 * @param name as lm_source_conf.name
 * @return 0; -ENOTSUP: its IOMMU sets no dirty bits, or it was opened another way
 */
int lm_vfio_iommu_source(struct lm_pci *pci, const char *name, struct lm_source_conf *conf);

#endif /* LM_VFIO_H */
