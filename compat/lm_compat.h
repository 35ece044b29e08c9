/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_COMPAT_H
#define LM_COMPAT_H

/**
 * @file
 * What differs between the DPDK releases that we build against: 22.11, 24.11, 25.11 and main.
 * The only place for conditions on the version; each block opens with the release that ends it.
 */

#include <rte_version.h>

#define LM_DPDK_GE(y, m) (RTE_VERSION >= RTE_VERSION_NUM(y, m, 0, 0))

#include <rte_log.h>

/* 24.03 has RTE_LOG_LINE. */
#ifndef RTE_LOG_LINE
#define RTE_LOG_LINE(l, t, ...) \
	RTE_LOG(l, t, RTE_FMT(RTE_FMT_HEAD(__VA_ARGS__,) "\n", RTE_FMT_TAIL(__VA_ARGS__,)))
#endif

#include <rte_telemetry.h>

/* 23.03 renames dict_u64 to dict_uint. */
#if !LM_DPDK_GE(23, 3)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

/* 24.03 lets supported packet types be counted. */
#define LM_ETHDEV_PTYPES_HAVE_COUNT LM_DPDK_GE(24, 3)

/* 26.07 replaces RTE_DEV_TO_PCI. */
#if LM_DPDK_GE(26, 7)
#define LM_DEV_TO_PCI(dev) RTE_BUS_DEVICE(dev, struct rte_pci_device)
#else
#define LM_DEV_TO_PCI(dev) RTE_DEV_TO_PCI(dev)
#endif

#endif /* LM_COMPAT_H */
