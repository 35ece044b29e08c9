/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef SHIM_H
#define SHIM_H

/**
 * @file
 * A preload library that stands in for the kernel's VFIO: /dev/vfio/<group>, container, type 1
 * mappings and PCI devices are answered from vfio-user sockets. Programs of others, stock DPDK
 * drivers above all, then run on our models as they would on a card.
 *
 * LM_SHIM="BDF=SOCKET[,BDF=SOCKET...]"; groups are numbered in this order from 1. The PCI tree
 * that EAL scans is made by shim_tree.py and named by SYSFS_PCI_DEVICES. LM_SHIM_LOG=1 tells on
 * stderr what is asked.
 *
 * Whatever this library does not know is refused with a line on stderr, never guessed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "lm_vu_client.h"

#define SHIM_MAX_DEVICES 8u
#define SHIM_REGION_SHIFT 40 /* as in the kernel: VFIO_PCI_OFFSET_SHIFT */

struct shim_container;

struct shim_device {
	char bdf[16];
	char socket[108];
	unsigned int group; /* counted from 1 */
	struct lm_vu_client *client; /* NULL: nobody has opened it */
	struct shim_container *container;
	uint32_t num_regions;
	uint32_t num_irqs;
	uint32_t flags;
	struct lm_vu_region_info regions[LM_VU_NUM_REGIONS];
};

enum shim_kind {
	SHIM_NONE,
	SHIM_CONTAINER,
	SHIM_GROUP,
	SHIM_DEVICE,
};

struct shim_file {
	enum shim_kind kind;
	struct shim_container *container;
	struct shim_device *device; /* of the group, too: one device each */
};

/* shim_files.c: which descriptors are ours */

int shim_file_new(const struct shim_file *file);
const struct shim_file *shim_file_get(int fd);
void shim_file_forget(int fd);

/* shim_device.c */

struct shim_device *shim_device_of_group(unsigned int group);
/** Also for names with " vf_token=..." behind them. */
struct shim_device *shim_device_named(const char *name);
/** Connect; @return 0 or -errno */
int shim_device_open(struct shim_device *d, struct shim_container *c);
void shim_device_close(struct shim_device *d);
int shim_device_ioctl(struct shim_device *d, unsigned long request, void *arg);
ssize_t shim_device_read(struct shim_device *d, void *buf, size_t len, off_t offset);
ssize_t shim_device_write(struct shim_device *d, const void *buf, size_t len, off_t offset);
/** As mmap(); what cannot be mapped is trapped. */
void *shim_device_mmap(struct shim_device *d, void *addr, size_t len, int prot, int flags,
		off_t offset);

/* shim_container.c */

struct shim_container *shim_container_new(void);
void shim_container_free(struct shim_container *c);
int shim_container_ioctl(struct shim_container *c, unsigned long request, void *arg);
int shim_group_ioctl(const struct shim_file *group, unsigned long request, void *arg);
/** Out of its container. @return 0 or -EINVAL */
int shim_group_leave(struct shim_device *d);
/** Everything that is mapped so far, for a device that was just opened. */
int shim_container_replay(struct shim_container *c, struct shim_device *d);

/* shim_memory.c */

/** Part of a DMA mapping that lies in one file. */
struct shim_piece {
	uint64_t iova;
	uint64_t size_bytes;
	int fd; /* owned */
	uint64_t fd_offset;
};
/**
 * The files behind [vaddr, vaddr + size).
 * @return number of pieces, freed by the caller with their descriptors; -EFAULT: memory without a
 * file, which is named on stderr; -errno
 */
int shim_memory_pieces(uint64_t vaddr, uint64_t iova, uint64_t size_bytes,
		struct shim_piece **pieces);

/* shim_trap.c: register pages that are not mapped */

struct shim_trap_ops {
	int (*read)(void *ctx, uint64_t offset, void *buf, unsigned int len_bytes);
	int (*write)(void *ctx, uint64_t offset, const void *buf, unsigned int len_bytes);
};
/** [addr, addr + len) was reserved without any rights. @return 0 or -ENOSPC, -errno */
int shim_trap_add(void *addr, size_t len_bytes, const struct shim_trap_ops *ops, void *ctx,
		uint64_t offset);
/** What the range has in common with traps is forgotten, if it covers them. */
void shim_trap_remove(void *addr, size_t len_bytes);
uint64_t shim_trap_count(void);

/* shim_log.c */

void shim_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Also without LM_SHIM_LOG. */
void shim_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* SHIM_H */
