/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef UML_VHOST_IF_H
#define UML_VHOST_IF_H

/**
 * @file
 * The part of vhost-user that User-Mode Linux sends to a device.
 *
 * Source: "Vhost-user Protocol" (QEMU, docs/interop/vhost-user.rst).
 */

#include <assert.h>
#include <stdint.h>

enum uml_vhost_request {
	UML_VHOST_GET_FEATURES = 1,
	UML_VHOST_SET_FEATURES = 2,
	UML_VHOST_SET_OWNER = 3,
	UML_VHOST_SET_MEM_TABLE = 5,
	UML_VHOST_SET_VRING_NUM = 8,
	UML_VHOST_SET_VRING_ADDR = 9,
	UML_VHOST_SET_VRING_BASE = 10,
	UML_VHOST_GET_VRING_BASE = 11,
	UML_VHOST_SET_VRING_KICK = 12,
	UML_VHOST_SET_VRING_CALL = 13,
	UML_VHOST_SET_VRING_ERR = 14,
	UML_VHOST_GET_PROTOCOL_FEATURES = 15,
	UML_VHOST_SET_PROTOCOL_FEATURES = 16,
	UML_VHOST_SET_VRING_ENABLE = 18,
};

#define UML_VHOST_VERSION 0x1u
#define UML_VHOST_FLAG_REPLY 0x4u
#define UML_VHOST_FLAG_NEED_REPLY 0x8u

#define UML_VHOST_F_PROTOCOL_FEATURES 30
#define UML_VHOST_F_VERSION_1 32
#define UML_VHOST_PROTOCOL_F_REPLY_ACK 3

#define UML_VHOST_VRING_INDEX_MASK 0xffu
#define UML_VHOST_VRING_NOFD_MASK 0x100u

struct uml_vhost_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of what follows */
};
static_assert(sizeof(struct uml_vhost_hdr) == 12, "header of a vhost-user message");

struct uml_vhost_state {
	uint32_t index;
	uint32_t num;
};

struct uml_vhost_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail, log; /* in the front end's own address space */
};
static_assert(sizeof(struct uml_vhost_addr) == 40, "vring addresses");

struct uml_vhost_region {
	uint64_t guest_addr;
	uint64_t size_bytes;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

#define UML_VHOST_MAX_REGIONS 8

struct uml_vhost_memory {
	uint32_t nb_regions;
	uint32_t padding;
	struct uml_vhost_region regions[UML_VHOST_MAX_REGIONS];
};
static_assert(sizeof(struct uml_vhost_memory) == 8 + 32 * UML_VHOST_MAX_REGIONS, "memory table");

#endif /* UML_VHOST_IF_H */
