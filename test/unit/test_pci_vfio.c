/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The kernel VFIO back end with ioctl() replaced (--wrap=ioctl) and a memfd as the device: what is
 * asked of the kernel, and what is made of its answers. The structures are linux/vfio.h's.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "lm_pci_mem.h"
#include "lm_pci_vfio.h"

#define REGION_SHIFT 20 /* where the memfd has region i */
#define BAR_BYTES 0x4000u
#define VECTORS 5u

static struct kernel {
	int device_fd;
	int container_fd;
	uint32_t flags;       /* of the device */
	_Alignas(8) uint8_t caps[256];  /* behind BAR 2's region information */
	uint32_t caps_bytes;
	_Alignas(8) uint8_t iommu[256]; /* behind the container's information */
	uint32_t iommu_bytes;
	bool no_iommu;
	int irq_result;
	struct {
		uint32_t flags, start, count;
		int fds[VECTORS];
	} irqs;
	unsigned int nb_irq_calls;
	struct vfio_iommu_type1_dma_map map;
	unsigned int nb_maps, nb_unmaps, nb_resets;
	int map_errno;
	bool unmaps_less;
	struct vfio_iommu_type1_dma_unmap unmap; /* has a flexible array: last */
} k;

static int
fails(int err)
{
	errno = err;
	return -1;
}

static int
region_info(struct vfio_region_info *info)
{
	uint32_t need = sizeof(*info), index = info->index;

	if (index > VFIO_PCI_CONFIG_REGION_INDEX)
		return fails(EINVAL);
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info->offset = (uint64_t)index << REGION_SHIFT;
	info->size = index == VFIO_PCI_CONFIG_REGION_INDEX ? 4096 :
			index == 0 || index == 2 || index == 4 ? BAR_BYTES : 0;
	if (index == 2 || index == 4)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	if (index == 2) {
		info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
		need += k.caps_bytes;
		info->cap_offset = 0;
		if (info->argsz >= need) {
			memcpy(info + 1, k.caps, k.caps_bytes);
			info->cap_offset = sizeof(*info);
		}
	}
	info->argsz = need;
	return 0;
}

static int
iommu_info(struct vfio_iommu_type1_info *info)
{
	uint32_t need = sizeof(*info) + k.iommu_bytes;

	if (k.no_iommu)
		return fails(ENOTTY);
	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = 0xffffffffc0002000; /* 8 KiB is the least */
	if (info->argsz >= need) {
		memcpy(info + 1, k.iommu, k.iommu_bytes);
		info->cap_offset = k.iommu_bytes > 0 ? sizeof(*info) : 0;
	}
	info->argsz = need;
	return 0;
}

static int
set_irqs(const struct vfio_irq_set *set)
{
	assert_int_equal(set->index, VFIO_PCI_MSIX_IRQ_INDEX);
	assert_true(set->count <= VECTORS);
	k.nb_irq_calls++;
	k.irqs.flags = set->flags;
	k.irqs.start = set->start;
	k.irqs.count = set->count;
	if ((set->flags & VFIO_IRQ_SET_DATA_EVENTFD) != 0) {
		assert_int_equal(set->argsz, sizeof(*set) + set->count * sizeof(int));
		memcpy(k.irqs.fds, set->data, set->count * sizeof(int));
	}
	return k.irq_result;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg);

int
__wrap_ioctl(int fd, unsigned long request, void *arg)
{
	struct vfio_device_info *device = arg;
	struct vfio_irq_info *irq = arg;

	assert_int_equal(fd, request == VFIO_IOMMU_GET_INFO || request == VFIO_IOMMU_MAP_DMA ||
			request == VFIO_IOMMU_UNMAP_DMA ? k.container_fd : k.device_fd);
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		device->flags = k.flags;
		device->num_regions = 9;
		device->num_irqs = 5;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		irq->flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
		irq->count = VECTORS;
		return 0;
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	case VFIO_IOMMU_GET_INFO:
		return iommu_info(arg);
	case VFIO_IOMMU_MAP_DMA:
		memcpy(&k.map, arg, sizeof(k.map));
		k.nb_maps++;
		return k.map_errno != 0 ? fails(k.map_errno) : 0;
	case VFIO_IOMMU_UNMAP_DMA:
		memcpy(&k.unmap, arg, sizeof(k.unmap));
		k.nb_unmaps++;
		if (k.unmaps_less)
			((struct vfio_iommu_type1_dma_unmap *)arg)->size = 0;
		return 0;
	case VFIO_DEVICE_RESET:
		k.nb_resets++;
		return 0;
	case VFIO_DEVICE_FEATURE:
		return fails(ENOTTY);
	default:
		return fails(EINVAL);
	}
}

static const struct lm_pci_ops ops = {
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
};

static struct lm_pci_vfio vfio;
static struct lm_pci *pci;

/* One sparse area of a BAR: its first page. */
static void
good_caps(void)
{
	struct vfio_region_info_cap_sparse_mmap cap = {
		.header = { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1 }, .nr_areas = 1,
	};
	const struct vfio_region_sparse_mmap_area area = { .offset = 0, .size = 0x1000 };

	memcpy(k.caps, &cap, sizeof(cap));
	memcpy(k.caps + sizeof(cap), &area, sizeof(area));
	k.caps_bytes = sizeof(cap) + sizeof(area);
}

static void
good_iommu(void)
{
	const struct vfio_iommu_type1_info_cap_iova_range cap = {
		.header = { .id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1 },
		.nr_iovas = 2,
	};
	const struct vfio_iova_range ranges[2] = {
		{ .start = UINT64_C(0xfef00000), .end = (UINT64_C(1) << 48) - 1 },
		{ .start = 0, .end = 0xfedfffff },
	};

	memcpy(k.iommu, &cap, sizeof(cap));
	memcpy(k.iommu + sizeof(cap), ranges, sizeof(ranges));
	k.iommu_bytes = sizeof(cap) + sizeof(ranges);
}

static int
setup(void **state)
{
	const struct lm_pci_params params = { .name = "0000:01:00.0" };

	(void)state;
	memset(&k, 0, sizeof(k));
	k.device_fd = memfd_create("device", MFD_CLOEXEC);
	k.container_fd = memfd_create("container", MFD_CLOEXEC);
	assert_int_equal(ftruncate(k.device_fd, 8 << REGION_SHIFT), 0);
	k.flags = VFIO_DEVICE_FLAGS_PCI;
	good_caps();
	good_iommu();
	lm_pci_vfio_init(&vfio, &lm_sys_kernel);
	vfio.device_fd = k.device_fd;
	vfio.container_fd = k.container_fd;
	assert_int_equal(lm_pci_new(&params, &ops, &pci), 0);
	pci->priv = &vfio;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lm_pci_free(pci);
	close(k.device_fd);
	close(k.container_fd);
	return 0;
}

static void
test_read(void **state)
{
	uint64_t first, last, fd_offset;
	uint32_t v = 0xcafe;

	(void)state;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), 0);
	assert_int_equal(lm_pci_bar_size(pci, 0), BAR_BYTES);
	assert_int_equal(lm_pci_bar_size(pci, 1), 0);
	assert_null(lm_pci_bar_ptr(pci, 0, 0, 4));
	assert_non_null(lm_pci_bar_ptr(pci, 2, 0, 0x1000));
	assert_null(lm_pci_bar_ptr(pci, 2, 0x1000, 4));
	assert_non_null(lm_pci_bar_ptr(pci, 4, 0, BAR_BYTES));
	assert_true(lm_pci_bar_fd(pci, 4, 0x1000, 0x1000, &fd_offset) >= 0);
	assert_int_equal(fd_offset, (4 << REGION_SHIFT) + 0x1000);
	assert_int_equal(lm_pci_irq_count(pci), VECTORS);
	assert_int_equal(lm_pci_page_size(pci), 8192);
	assert_int_equal(lm_pci_iova_range(pci, 0, &first, &last), 0);
	assert_int_equal(last, 0xfedfffff);
	assert_int_equal(lm_pci_iova_range(pci, 1, &first, &last), 0);
	assert_int_equal(first, 0xfef00000);
	/* extended configuration space, and registers by pread/pwrite or by mapping */
	assert_int_equal(lm_pci_config_write(pci, 0xffc, &v, 4), 0);
	assert_int_equal(pread(k.device_fd, &v, 4, (7 << REGION_SHIFT) + 0xffc), 4);
	assert_int_equal(v, 0xcafe);
	assert_int_equal(lm_pci_config_read(pci, 0x1000, &v, 1), -EINVAL);
	assert_int_equal(lm_pci_bar_write(pci, 0, 8, &v, 4), 0);
	assert_int_equal(lm_pci_bar_write(pci, 2, 8, &v, 4), 0);
	v = 0;
	assert_int_equal(pread(k.device_fd, &v, 4, 8), 4);
	assert_int_equal(v, 0xcafe);
	assert_int_equal(pread(k.device_fd, &v, 4, (2 << REGION_SHIFT) + 8), 4);
	assert_int_equal(v, 0xcafe);
}

static void
test_refusals(void **state)
{
	(void)state;
	k.flags = VFIO_DEVICE_FLAGS_PLATFORM;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), -ENODEV);
	k.flags = VFIO_DEVICE_FLAGS_PCI;
	k.no_iommu = true;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), -ENOTSUP);
	assert_non_null(strstr(lm_pci_strerror(pci), "intel_iommu=on"));
}

/* Chains that loop or point outside, counts that do not fit: nothing is mapped, nothing is read. */
static void
test_broken_caps(void **state)
{
	struct vfio_region_info_cap_sparse_mmap *sparse = (void *)k.caps;
	struct vfio_iommu_type1_info_cap_iova_range *range = (void *)k.iommu;
	uint64_t first, last;

	(void)state;
	sparse->nr_areas = UINT32_MAX;
	range->nr_iovas = 3; /* one more than there are */
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), 0);
	assert_null(lm_pci_bar_ptr(pci, 2, 0, 4));
	assert_int_equal(lm_pci_iova_range(pci, 0, &first, &last), 0);
	assert_int_equal(last, (UINT64_C(1) << 39) - 1);
	assert_int_equal(lm_pci_iova_range(pci, 1, &first, &last), -ENOENT);
	teardown(NULL);
	setup(NULL);
	sparse->header.id = 77; /* unknown, and followed by itself */
	sparse->header.next = sizeof(struct vfio_region_info);
	range->header.next = 0x7fffffff;
	range->header.id = 77;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), 0);
	assert_non_null(lm_pci_bar_ptr(pci, 2, 0, BAR_BYTES)); /* no list of areas: all of it */
}

static void
test_interrupts(void **state)
{
	const uint32_t eventfd = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

	(void)state;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), 0);
	assert_int_equal(lm_pci_irq_disable(pci), 0);
	assert_int_equal(k.nb_irq_calls, 0);
	/* too few vectors in the machine: said, and tried from the start the next time */
	k.irq_result = 3;
	assert_int_equal(lm_pci_irq_set(pci, 1, 2, (int[]){ 11, 12 }), -ENOSPC);
	k.irq_result = 0;
	/* the first set takes all vectors */
	assert_int_equal(lm_pci_irq_set(pci, 1, 2, (int[]){ 11, 12 }), 0);
	assert_int_equal(k.irqs.flags, eventfd);
	assert_int_equal(k.irqs.start, 0);
	assert_int_equal(k.irqs.count, VECTORS);
	assert_memory_equal(k.irqs.fds, ((int[]){ -1, 11, 12, -1, -1 }), sizeof(k.irqs.fds));
	/* later ones only theirs */
	assert_int_equal(lm_pci_irq_set(pci, 4, 1, (int[]){ 14 }), 0);
	assert_int_equal(k.irqs.start, 4);
	assert_int_equal(k.irqs.count, 1);
	assert_int_equal(k.irqs.fds[0], 14);
	assert_int_equal(lm_pci_irq_disable(pci), 0);
	assert_int_equal(k.irqs.flags, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_int_equal(k.irqs.count, 0);
}

static void
test_dma(void **state)
{
	struct lm_pci_dma dma = {
		.iova = 0x200000, .size_bytes = 0x4000, .fd_offset = 0x2000,
		.prot = LM_PCI_PROT_READ, .vaddr = &dma,
	};
	uint64_t mapped, kept;

	(void)state;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), 0);
	dma.fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(dma.fd, 0x6000), 0);
	assert_int_equal(pwrite(dma.fd, "guest", 5, 0x2000), 5);
	assert_int_equal(lm_pci_mem_sync(pci, &dma, 1, &mapped, &kept), 0);
	assert_int_equal(mapped, 4);
	assert_int_equal(k.map.iova, 0x200000);
	assert_int_equal(k.map.size, 0x4000);
	assert_int_equal(k.map.flags, VFIO_DMA_MAP_FLAG_READ);
	/* a mapping of our own: the caller's may go */
	assert_ptr_not_equal((void *)(uintptr_t)k.map.vaddr, &dma);
	assert_memory_equal((void *)(uintptr_t)k.map.vaddr, "guest", 5);
	assert_int_equal(lm_pci_mem_sync(pci, &dma, 1, &mapped, &kept), 0);
	assert_int_equal(kept, 4);
	assert_int_equal(k.nb_maps, 1);
	/* 8 KiB pages here: half of one is refused */
	dma.size_bytes = 0x3000;
	assert_int_equal(lm_pci_mem_sync(pci, &dma, 1, &mapped, &kept), -EINVAL);
	dma.size_bytes = 0x4000;
	/* the hole between the apertures */
	dma.iova = 0xfee00000;
	assert_int_equal(lm_pci_mem_sync(pci, &dma, 1, &mapped, &kept), -ERANGE);
	assert_int_equal(k.nb_unmaps, 0);
	k.map_errno = ENOMEM;
	dma.iova = 0x400000;
	assert_int_equal(lm_pci_mem_sync(pci, &dma, 1, &mapped, &kept), -ENOMEM);
	assert_int_equal(k.nb_unmaps, 1);
	assert_int_equal(k.unmap.iova, 0x200000);
	assert_int_equal(k.unmap.size, 0x4000);
	k.map_errno = 0;
	/* memory without a file goes by its address */
	dma.vaddr = (void *)(uintptr_t)0x10000000;
	close(dma.fd);
	dma.fd = -1;
	assert_int_equal(lm_pci_dma_map(pci, &dma), 0);
	assert_int_equal(k.map.vaddr, 0x10000000);
	k.unmaps_less = true;
	assert_int_equal(lm_pci_dma_unmap(pci, dma.iova, dma.size_bytes), -EIO);
	dma.vaddr = NULL;
	assert_int_equal(lm_pci_dma_map(pci, &dma), -EBADF);
	lm_pci_vfio_release(pci);
	assert_int_equal(pci->nb_maps, 0);
}

static void
test_reset(void **state)
{
	(void)state;
	assert_int_equal(lm_pci_vfio_read(pci, &vfio), 0);
	assert_int_equal(lm_pci_reset(pci), -ENOTSUP);
	assert_int_equal(k.nb_resets, 0);
	vfio.has_reset = true;
	assert_int_equal(lm_pci_reset(pci), 0);
	assert_int_equal(k.nb_resets, 1);
}

static void
test_feature(void **state)
{
	uint8_t data[8] = { 0 };

	(void)state;
	assert_int_equal(lm_pci_feature(pci, VFIO_DEVICE_FEATURE_GET | 1, data, 0, 8), -ENOTTY);
	assert_int_equal(lm_pci_feature(pci, 1, data, UINT32_MAX, 8), -EINVAL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_caps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_feature, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
