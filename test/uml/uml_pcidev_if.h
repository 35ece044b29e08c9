/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef UML_PCIDEV_IF_H
#define UML_PCIDEV_IF_H

/**
 * @file
 * PCI-over-virtio, as User-Mode Linux speaks it: a message is a header and data, in host order.
 *
 * Source: include/uapi/linux/virtio_pcidev.h. Queue 0 carries accesses to the device, queue 1 the
 * device's interrupts.
 */

#include <assert.h>
#include <stdint.h>

enum uml_pcidev_op {
	UML_PCIDEV_OP_RESERVED = 0,
	UML_PCIDEV_OP_CFG_READ = 1,
	UML_PCIDEV_OP_CFG_WRITE = 2,
	UML_PCIDEV_OP_MMIO_READ = 3,
	UML_PCIDEV_OP_MMIO_WRITE = 4,
	UML_PCIDEV_OP_MMIO_MEMSET = 5, /* one byte of data */
	UML_PCIDEV_OP_INT = 6,
	UML_PCIDEV_OP_MSI = 7, /* the data word of the vector's table entry */
	UML_PCIDEV_OP_PME = 8,
};

struct uml_pcidev_msg {
	uint8_t op;
	uint8_t bar;
	uint16_t reserved;
	uint32_t size;
	uint64_t addr;
};
static_assert(sizeof(struct uml_pcidev_msg) == 16, "header of a PCI message");

#endif /* UML_PCIDEV_IF_H */
