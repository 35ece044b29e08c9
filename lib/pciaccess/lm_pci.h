/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PCI_H
#define LM_PCI_H

/**
 * @file
 * One handle for a PCI function: configuration space, BARs, MSI-X, DMA, features and reset.
 *
 * This is the only code that knows whether the function is behind the kernel's VFIO or behind a
 * vfio-user socket. Control calls are serialised inside and may come from any thread; BAR
 * accesses through lm_pci_bar_ptr() and doorbells are lock-free where the BAR is mapped.
 * All calls return 0 or -errno unless said otherwise; -ENOTCONN: the device's process is gone,
 * -ETIMEDOUT: it did not answer in time (and is given up), -EINVAL: arguments out of range.
 * lm_pci_strerror() has the words. No call retries; nothing here logs.
 *
 * A vfio-user server is trusted in one point: if it shrinks a file whose pages it offered as part
 * of a BAR, touching them is a SIGBUS. Files too short from the start are refused.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct lm_pci;

#define LM_PCI_NUM_BARS 6
#define LM_PCI_PROT_READ 0x1u
#define LM_PCI_PROT_WRITE 0x2u

struct lm_pci_params {
	const char *name;     /* used in messages; copied */
	uint32_t timeout_ms;  /* per control request; 0: 5000 */
};

/**
 * Connect to a vfio-user socket and read what the function has. Nothing is reset or enabled.
 *
 * @param params may be NULL
 * @return 0; -ENODEV when the other side is no PCI function, -EPROTO when it answers nonsense, or
 *   the errno of connecting. On failure lm_pci_strerror(NULL) has the words.
 */
int lm_pci_open_vfio_user(const char *socket_path, const struct lm_pci_params *params,
		struct lm_pci **pci);
/** Ends all mappings and bindings; memory from lm_pci_mem_alloc() is to be freed before. */
void lm_pci_close(struct lm_pci *pci);
/**
 * The calling thread's last failure on this handle, in words: device, what, why. With NULL: on any
 * handle, for failed opens too. Never NULL; valid until the thread's next failure.
 */
const char *lm_pci_strerror(const struct lm_pci *pci);
const char *lm_pci_name(const struct lm_pci *pci);
/** The kernel's driver that commands it, "mlx5_vfio_pci" for one; "" behind a socket. */
const char *lm_pci_driver(const struct lm_pci *pci);
/** Readable when the transport has lost the device (vfio-user: hang-up); -1 when it cannot tell. */
int lm_pci_event_fd(const struct lm_pci *pci);
/** Handle a readable event fd. @return 0, or -ENOTCONN when the device is gone. */
int lm_pci_event_process(struct lm_pci *pci);
bool lm_pci_alive(const struct lm_pci *pci);

/** For code on top of the handle: keep a failure's words for lm_pci_strerror(). @return err */
int lm_pci_fail_(const struct lm_pci *pci, int err, const char *fmt, ...);
/* sizeof lets the compiler check the format without evaluating anything. */
#define lm_pci_fail(pci, err, ...) \
	((void)sizeof(snprintf(NULL, 0, __VA_ARGS__)), lm_pci_fail_(pci, err, __VA_ARGS__))

/** Configuration space; offset + len_bytes within 256 or 4096 bytes, else -EINVAL. */
int lm_pci_config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len_bytes);
int lm_pci_config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len_bytes);
/**
 * First capability with this id at or after start (0: from the list's head); 0 when none, or when
 * the list is broken. To find the next one, start at the found one's next pointer (byte 1); who
 * does that bounds the number of turns, since a hostile list may loop.
 */
uint8_t lm_pci_find_cap(struct lm_pci *pci, uint8_t cap_id, uint8_t start);
/** Memory decoding is always switched on. */
int lm_pci_bus_master(struct lm_pci *pci, bool enable);

/** 0 when the function has no such BAR. */
uint64_t lm_pci_bar_size(const struct lm_pci *pci, unsigned int bar);
/**
 * Access of 1, 2, 4 or 8 bytes, aligned, by mapping or by message; -EINVAL when it is anything
 * else or lies outside the BAR. A write is ordered after all earlier stores to memory.
 */
int lm_pci_bar_read(struct lm_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		uint32_t len_bytes);
int lm_pci_bar_write(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len_bytes);
/**
 * As lm_pci_bar_write(), but a write by message is not waited for, as on a PCI bus: the device sees
 * it before any later access by message, its errors are lost. A later read waits for both.
 */
int lm_pci_bar_write_posted(struct lm_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		uint32_t len_bytes);
/** NULL when any part is not mapped. Valid until lm_pci_close(). */
volatile void *lm_pci_bar_ptr(struct lm_pci *pci, unsigned int bar, uint64_t offset,
		uint64_t len_bytes);
/**
 * fd and offset with which another process may map part of a BAR; the fd stays ours.
 * @return fd, or -ENOTSUP when any part cannot be mapped
 */
int lm_pci_bar_fd(struct lm_pci *pci, unsigned int bar, uint64_t offset, uint64_t len_bytes,
		uint64_t *fd_offset);

/**
 * A doorbell resolved once: an eventfd where the device offers one for this offset, else a
 * store to mapped memory, else a posted register write. Safe from any thread; lock-free but for
 * the posted write, which waits while another thread's request is on the socket.
 */
struct lm_pci_doorbell {
	struct lm_pci *pci;
	volatile void *addr; /* mapped */
	int eventfd;         /* -1 when unused */
	uint32_t bar;
	uint32_t width_bytes; /* 2 or 4 */
	uint64_t offset;
};
/** -EINVAL: outside the BAR, not aligned, or width not 2 or 4. */
int lm_pci_doorbell_init(struct lm_pci *pci, unsigned int bar, uint64_t offset,
		uint32_t width_bytes, struct lm_pci_doorbell *db);
/** Earlier stores to memory are visible first. Failures are lost, as on a bus. */
void lm_pci_doorbell_ring(const struct lm_pci_doorbell *db, uint32_t value);

/** MSI-X. Number of vectors; 0 when the function has none. */
uint32_t lm_pci_irq_count(const struct lm_pci *pci);
/**
 * Bind eventfds to [first, first + count); an entry of -1 unbinds. Others keep their binding.
 * The first binding enables MSI-X. The fds stay the caller's and may be closed afterwards.
 */
int lm_pci_irq_set(struct lm_pci *pci, uint32_t first, uint32_t count, const int *eventfds);
/** Unbind all vectors and disable MSI-X. */
int lm_pci_irq_disable(struct lm_pci *pci);

/** IOVA apertures the device can reach, in order; -ENOENT past the last. */
int lm_pci_iova_range(const struct lm_pci *pci, unsigned int index, uint64_t *first,
		uint64_t *last);
/** Alignment of mappings: address, size and offset in the file. */
uint64_t lm_pci_page_size(const struct lm_pci *pci);

/** Memory for DMA: fd + fd_offset for vfio-user, vaddr for the kernel; give both where known. */
struct lm_pci_dma {
	uint64_t iova;
	uint64_t size_bytes;
	void *vaddr;
	int fd; /* -1: none (vfio-user then refuses by name) */
	uint64_t fd_offset;
	uint32_t prot;
};
/**
 * @return 0; -EINVAL not aligned, empty or wrapping; -ERANGE outside all apertures; -EBADF no file
 *   (vfio-user) or no address (kernel); -EFBIG beyond the end of the file; -EEXIST overlaps a
 *   mapping, which is named; -ENOSPC too many mappings
 */
int lm_pci_dma_map(struct lm_pci *pci, const struct lm_pci_dma *dma);
/** Exactly what lm_pci_dma_map() mapped, else -ENOENT. */
int lm_pci_dma_unmap(struct lm_pci *pci, uint64_t iova, uint64_t size_bytes);

/**
 * Make the set of *foreign* mappings (a VM's memory) equal to regions[]: what is mapped already,
 * also as part of a larger mapping of the same file (st_dev, st_ino, offset), is left alone, what
 * is no longer wanted is unmapped, the rest is mapped. Mappings made by lm_pci_dma_map() are not
 * touched; a region that overlaps one of them is refused with -EEXIST. All regions are checked
 * before anything changes. On failure nothing but what was common stays mapped.
 * mapped_pages and kept_pages (4 KiB) may be NULL. Errors as for lm_pci_dma_map().
 */
int lm_pci_mem_sync(struct lm_pci *pci, const struct lm_pci_dma *regions, unsigned int nb_regions,
		uint64_t *mapped_pages, uint64_t *kept_pages);
/**
 * Map part of a guest's memory file before the guest is announced, so that lm_pci_mem_sync() finds
 * it mapped. SPEC is FILE[@IOVA[,SIZE[,OFFSET]]]: numbers decimal or 0x..., with K, M, G or T;
 * IOVA is the guest-physical address (default 0), SIZE defaults to the rest of the file. A guest
 * with memory above a hole takes one call for each side of it. Foreign from then on: the next
 * lm_pci_mem_sync() that does not want it unmaps it.
 */
int lm_pci_premap(struct lm_pci *pci, const char *spec);

/** A device whose memory this process allocates: memfd, mapped at vaddr and at iova. */
struct lm_pci_mem {
	void *vaddr;
	uint64_t iova;
	uint64_t size_bytes;
	int fd;
};
/** Zeroed, page aligned, placed below the top of the highest aperture. -ENOSPC: no room there. */
int lm_pci_mem_alloc(struct lm_pci *pci, uint64_t size_bytes, struct lm_pci_mem *mem);
/** Unmaps and frees; does nothing when mem->vaddr is NULL. */
void lm_pci_mem_free(struct lm_pci *pci, struct lm_pci_mem *mem);

/**
 * Function-level reset; MSI-X bindings and PCI command are to be set again afterwards.
 * -ENOTSUP: the function cannot be reset alone.
 */
int lm_pci_reset(struct lm_pci *pci);
/** VFIO_DEVICE_FEATURE, as lm_vu_client_feature(). @return bytes stored in data, or -errno. */
int lm_pci_feature(struct lm_pci *pci, uint32_t flags, void *data, uint32_t in_len_bytes,
		uint32_t out_max_bytes);

#endif /* LM_PCI_H */
