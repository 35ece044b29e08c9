/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Opening without EAL, by group, without an IOMMU, and by character device with dirty bits: on a
 * made-up /sys, and with a table of system calls that knows what belongs to which descriptor.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "lm_bitmap.h"
#include "lm_iommufd_if.h"
#include "lm_pci_iommu.h"
#include "lm_pci_kernel.h"
#include "lm_pci_vfio.h"
#include "lm_vfio.h"
#include "lm_vfio_if.h"

#define BDF "0000:01:00.1"
#define TOKEN "00112233-4455-6677-8899-aabbccddeeff"
#define BASE 3000
#define NB_PAGES 4096u
#define PAGE UINT64_C(4096)

enum { GROUP = BASE, CONTAINER, CDEV, IOMMU, DEVICE, NB_FDS = 5 };

static const char *const files[] = {
	"/dev/vfio/7", "/dev/vfio/vfio", "/dev/vfio/devices/vfio3", "/dev/iommu",
	"/dev/vfio/noiommu-7",
};

static struct {
	bool noiommu, not_viable, wants_token, has_bits;
	bool open[NB_FDS];
	unsigned int calls, fail_call;
	char device_name[64];
	uint8_t token[16];
	unsigned long iommu_type;
	uint32_t attached; /* 1: the address space; 2: a page table with dirty bits */
	struct lm_iommu_ioas_map map;
	bool mapped[NB_PAGES], dirty[NB_PAGES];
	bool tracking;
	unsigned int nb_gets;
} k;

static char root[64];

static int
fake_open(const char *path, int flags)
{
	unsigned int i;

	(void)flags;
	assert_memory_equal(path, root, strlen(root));
	path += strlen(root);
	if (++k.calls == k.fail_call)
		return -EIO;
	for (i = 0; i < NB_FDS; i++) {
		if (strcmp(path, files[i]) != 0)
			continue;
		if ((i == 0 && k.noiommu) || (i == 4 && !k.noiommu))
			return -ENOENT;
		i = i == 4 ? 0 : i;
		assert_false(k.open[i]);
		k.open[i] = true;
		return BASE + (int)i;
	}
	return -ENOENT;
}

static int
fake_close(int fd)
{
	assert_true(fd >= BASE && fd < BASE + NB_FDS && k.open[fd - BASE]);
	k.open[fd - BASE] = false;
	return 0;
}

static int
get_bits(const struct lm_iommu_hwpt_get_dirty_bitmap *get)
{
	uint64_t *bitmap = (void *)(uintptr_t)get->data, i;

	assert_true(k.tracking && get->hwpt_id == 2);
	k.nb_gets++;
	for (i = 0; i < get->length / PAGE; i++) {
		uint64_t page = get->iova / PAGE + i;

		assert_true(page < NB_PAGES && k.mapped[page]); /* never across a hole */
		if (k.dirty[page])
			bitmap[i / 64] |= UINT64_C(1) << i % 64;
		k.dirty[page] = false;
	}
	return 0;
}

static int
iommufd_ioctl(unsigned long request, void *arg)
{
	struct lm_iommu_hwpt_alloc *table = arg;
	struct lm_iommu_ioas_iova_ranges *ask = arg;
	struct lm_iommu_iova_range *range;
	struct lm_iommu_ioas_unmap *unmap = arg;
	uint64_t i;

	switch (request) {
	case LM_IOMMU_IOAS_ALLOC:
		((struct lm_iommu_ioas_alloc *)arg)->out_ioas_id = 1;
		return 0;
	case LM_IOMMU_GET_HW_INFO:
		((struct lm_iommu_hw_info *)arg)->out_capabilities = k.has_bits;
		return 0;
	case LM_IOMMU_HWPT_ALLOC:
		assert_true(table->pt_id == 1 && table->dev_id == 9 && k.attached == 0);
		assert_int_equal(table->flags, LM_IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
		table->out_hwpt_id = 2;
		return 0;
	case LM_IOMMU_IOAS_IOVA_RANGES:
		assert_true(k.attached != 0);
		range = (void *)(uintptr_t)ask->allowed_iovas;
		range[0] = (struct lm_iommu_iova_range){ .start = 0, .last = 0xfedfffff };
		range[1] = (struct lm_iommu_iova_range){ .start = 0xfef00000, .last = 1ull << 46 };
		ask->num_iovas = 2;
		ask->out_iova_alignment = 4096;
		return 0;
	case LM_IOMMU_IOAS_MAP:
		k.map = *(struct lm_iommu_ioas_map *)arg;
		for (i = 0; i < k.map.length / PAGE; i++)
			k.mapped[k.map.iova / PAGE + i] = true;
		return 0;
	case LM_IOMMU_IOAS_UNMAP:
		for (i = 0; i < unmap->length / PAGE; i++)
			k.mapped[unmap->iova / PAGE + i] = false;
		return 0;
	case LM_IOMMU_HWPT_SET_DIRTY_TRACKING:
		k.tracking = ((struct lm_iommu_hwpt_set_dirty_tracking *)arg)->flags != 0;
		return 0;
	case LM_IOMMU_HWPT_GET_DIRTY_BITMAP:
		return get_bits(arg);
	default:
		return -ENOTTY;
	}
}

static int
device_ioctl(unsigned long request, void *arg)
{
	struct vfio_region_info *region = arg;
	struct vfio_device_info *info = arg;
	struct lm_vfio_device_bind_iommufd *bind = arg;

	switch (request) {
	case LM_VFIO_DEVICE_BIND_IOMMUFD:
		assert_int_equal(bind->iommufd, IOMMU);
		if (k.wants_token && bind->flags == 0)
			return -EACCES;
		if (bind->flags != 0)
			memcpy(k.token, (void *)(uintptr_t)bind->token_uuid_ptr, 16);
		bind->out_devid = 9;
		return 0;
	case LM_VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		k.attached = ((struct lm_vfio_device_attach_iommufd_pt *)arg)->pt_id;
		return 0;
	case VFIO_DEVICE_GET_INFO:
		info->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
		info->num_regions = 9;
		info->num_irqs = 0;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		region->size = region->index == VFIO_PCI_CONFIG_REGION_INDEX ? 4096 : 0;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int
group_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags = k.not_viable ? 0 :
				VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		assert_int_equal(*(int *)arg, CONTAINER);
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		assert_true(k.iommu_type != 0);
		strcpy(k.device_name, arg);
		if (k.wants_token && strstr(arg, "vf_token=" TOKEN) == NULL)
			return -EACCES;
		k.open[DEVICE - BASE] = true;
		return DEVICE;
	default:
		return -ENOTTY;
	}
}

static int
fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct vfio_iommu_type1_info *info = arg;

	if (++k.calls == k.fail_call)
		return -EIO;
	assert_true(fd >= BASE && k.open[fd - BASE]);
	if (fd == GROUP)
		return group_ioctl(request, arg);
	if (fd == IOMMU)
		return iommufd_ioctl(request, arg);
	if (fd != CONTAINER)
		return device_ioctl(request, arg);
	if (request == VFIO_SET_IOMMU) {
		k.iommu_type = (uintptr_t)arg;
		return 0;
	}
	assert_int_equal(request, VFIO_IOMMU_GET_INFO);
	assert_false(k.noiommu);
	info->flags = VFIO_IOMMU_INFO_PGSIZES;
	info->iova_pgsizes = 4096;
	return 0;
}

static const struct lm_sys sys = { .open = fake_open, .close = fake_close, .ioctl = fake_ioctl };
static struct lm_pci_kernel_params kernel;
static struct lm_pci *pci;

static void
run(const char *fmt)
{
	char command[1024];

	snprintf(command, sizeof(command), "cd '%s' && %s", root, fmt);
	assert_int_equal(system(command), 0);
}

static int
setup(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	strcpy(root, "/tmp/lm-pci-kernel-XXXXXX");
	assert_non_null(mkdtemp(root));
	run("mkdir -p drivers/mlx5_vfio_pci groups/7/devices sys/bus/pci/devices/" BDF
			"/vfio-dev/vfio3 && cd sys/bus/pci/devices/" BDF
			" && echo 0x15b3 >vendor && echo 0x101e >device &&"
			" ln -s ../../../../../drivers/mlx5_vfio_pci driver &&"
			" ln -s ../../../../../groups/7 iommu_group");
	kernel = (struct lm_pci_kernel_params){ .root = root, .sys = &sys };
	return 0;
}

static int
teardown(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < NB_FDS; i++)
		assert_false(k.open[i]);
	run("rm -r drivers groups sys");
	return rmdir(root);
}

static void
test_group(void **state)
{
	uint64_t first, last;

	(void)state;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	assert_string_equal(k.device_name, BDF);
	assert_string_equal(lm_pci_driver(pci), "mlx5_vfio_pci");
	assert_string_equal(lm_pci_name(pci), BDF);
	assert_int_equal(k.iommu_type, VFIO_TYPE1v2_IOMMU);
	assert_int_equal(lm_pci_iova_range(pci, 0, &first, &last), 0);
	assert_false(lm_pci_iommu_tracks(pci));
	assert_int_equal(lm_pci_iommu_start(pci), -ENOTSUP);
	lm_pci_close(pci);
	/* the domain may be left out */
	assert_int_equal(lm_pci_open_kernel("01:00.1", NULL, &kernel, &pci), 0);
	lm_pci_close(pci);
}

static void
test_noiommu(void **state)
{
	struct lm_pci_dma dma = {
		.iova = 0x100000, .size_bytes = 4096, .vaddr = &dma, .fd = -1,
		.prot = LM_PCI_PROT_READ,
	};
	uint64_t first, last;

	(void)state;
	k.noiommu = true;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	assert_int_equal(k.iommu_type, VFIO_NOIOMMU_IOMMU);
	assert_int_equal(lm_pci_iova_range(pci, 0, &first, &last), -ENOENT);
	assert_true(lm_pci_dma_map(pci, &dma) < 0);
	lm_pci_close(pci);
}

static void
test_token(void **state)
{
	static const uint8_t bytes[16] = {
		0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
		0xee, 0xff,
	};
	static const char *const bad[] = {
		"", "00112233", TOKEN "0", "0011223344556677-8899-aabbccddeeff00",
		"00112233-4455-6677-8899-aabbccddeexx", "0011-2233-4455-6677-8899aabbccddeeff",
	};
	unsigned int i;

	(void)state;
	k.wants_token = true;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -EACCES);
	assert_non_null(strstr(lm_pci_strerror(NULL), "wants a VF token"));
	kernel.vf_token = TOKEN;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	lm_pci_close(pci);
	kernel.way = LM_PCI_KERNEL_CDEV;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	assert_memory_equal(k.token, bytes, sizeof(bytes));
	lm_pci_close(pci);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kernel.vf_token = bad[i];
		assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -EINVAL);
	}
	kernel.vf_token = NULL;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -EACCES);
}

static void
test_refusals(void **state)
{
	(void)state;
	assert_int_equal(lm_pci_open_kernel("nonsense", NULL, &kernel, &pci), -EINVAL);
	assert_int_equal(lm_pci_open_kernel("0000:01:00.9", NULL, &kernel, &pci), -EINVAL);
	assert_int_equal(lm_pci_open_kernel("0000:01:00.2", NULL, &kernel, &pci), -ENODEV);
	k.not_viable = true;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -ENODEV);
	assert_non_null(strstr(lm_pci_strerror(NULL), "not all devices"));
	run("rm -r sys/bus/pci/devices/" BDF "/iommu_group sys/bus/pci/devices/" BDF "/vfio-dev");
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -ENODEV);
	assert_non_null(strstr(lm_pci_strerror(NULL), "intel_iommu=on"));
	kernel.way = LM_PCI_KERNEL_CDEV;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -ENOENT);
	run("ln -sfn ../../../../../drivers/mlx5_core sys/bus/pci/devices/" BDF "/driver");
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), -ENODEV);
	assert_non_null(strstr(lm_pci_strerror(NULL), "bound to mlx5_core"));
}

/* Each call of opening fails once, by all ways: nothing stays open. */
static void
test_every_call_fails(void **state)
{
	unsigned int way, call, fd;
	int ret;

	(void)state;
	for (way = 0; way < 4; way++) {
		for (call = 1; ; call++) {
			memset(&k, 0, sizeof(k));
			k.noiommu = way == 1;
			k.has_bits = way == 3;
			k.fail_call = call;
			kernel.way = way < 2 ? LM_PCI_KERNEL_GROUP : LM_PCI_KERNEL_CDEV;
			ret = lm_pci_open_kernel(BDF, NULL, &kernel, &pci);
			if (ret == 0)
				lm_pci_close(pci);
			for (fd = 0; fd < NB_FDS; fd++)
				assert_false(k.open[fd]);
			if (k.calls < call)
				break;
		}
		assert_int_equal(ret, 0);
		assert_true(call > 12);
	}
}

static void
map(uint64_t page, uint64_t nb)
{
	struct lm_pci_dma dma = {
		.iova = page * PAGE, .size_bytes = nb * PAGE, .vaddr = (void *)0x10000000,
		.fd = -1, .prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
	};

	assert_int_equal(lm_pci_dma_map(pci, &dma), 0);
}

static void
test_dirty_bits(void **state)
{
	uint64_t bits[NB_PAGES / 64] = { 0 };

	(void)state;
	kernel.way = LM_PCI_KERNEL_CDEV;
	k.has_bits = true;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	assert_true(lm_pci_iommu_tracks(pci));
	assert_int_equal(k.attached, 2);
	map(256, 100); /* neighbours whose border is no multiple of 64 pages; then a hole */
	assert_int_equal(k.map.flags, LM_IOMMU_IOAS_MAP_FIXED_IOVA | LM_IOMMU_IOAS_MAP_READABLE |
			LM_IOMMU_IOAS_MAP_WRITEABLE);
	map(356, 156);
	map(1024, 64);
	assert_int_equal(lm_pci_iommu_report(pci, 256 * PAGE, 256 * PAGE, PAGE, bits), -EINVAL);
	assert_int_equal(lm_pci_iommu_start(pci), 0);
	k.dirty[256] = k.dirty[355] = k.dirty[356] = k.dirty[400] = k.dirty[511] = true;
	bits[0] = 2;
	assert_int_equal(lm_pci_iommu_report(pci, 256 * PAGE, 256 * PAGE, PAGE, bits), 0);
	assert_int_equal(k.nb_gets, 2);
	assert_int_equal(bits[0], 3); /* ORed */
	assert_int_equal(bits[1], UINT64_C(3) << (99 - 64));
	assert_int_equal(bits[2], UINT64_C(1) << (144 - 128));
	assert_int_equal(bits[3], UINT64_C(1) << (255 - 192));
	assert_int_equal(bits[4], 0);
	/* across the hole: an error, never less than there is */
	assert_int_equal(lm_pci_iommu_report(pci, 500 * PAGE, 600 * PAGE, PAGE, bits), -EFAULT);
	assert_int_equal(lm_pci_iommu_report(pci, 1, PAGE, PAGE, bits), -EINVAL);
	assert_int_equal(lm_pci_iommu_report(pci, 0, PAGE, 3, bits), -EINVAL);
	assert_int_equal(lm_pci_dma_unmap(pci, 1024 * PAGE, 64 * PAGE), 0);
	assert_false(k.mapped[1024]);
	assert_int_equal(lm_pci_iommu_report(pci, 1024 * PAGE, PAGE, PAGE, bits), -EFAULT);
	assert_int_equal(lm_pci_iommu_stop(pci), 0);
	assert_false(k.tracking);
	lm_pci_close(pci);
	assert_false(k.mapped[256]);
}

static int
merge(void *ctx, const struct lm_bitmap *bm)
{
	*(uint64_t *)ctx += lm_bitmap_count(bm);
	return 0;
}

/* The same as a source of the tracker, which never asks across a hole. */
static void
test_source(void **state)
{
	const struct lm_tracker_conf conf = { .page_size_bytes = PAGE };
	const struct lm_interval ivs[2] = {
		{ .from = 256 * PAGE, .to = 256 * PAGE, .len_bytes = 100 * PAGE },
		{ .from = 1024 * PAGE, .to = 1024 * PAGE, .len_bytes = 64 * PAGE },
	};
	struct lm_source_conf source;
	struct lm_source_stats stats;
	struct lm_tracker *tracker;
	uint64_t nb = 0;
	const struct lm_sink sink = { .merge = merge, .ctx = &nb };

	(void)state;
	kernel.way = LM_PCI_KERNEL_CDEV;
	k.has_bits = true;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	map(256, 100);
	map(1024, 64);
	assert_int_equal(lm_vfio_iommu_source(pci, "iommu", &source), 0);
	assert_int_equal(lm_tracker_create(&conf, &tracker), 0);
	assert_int_equal(lm_tracker_map(tracker, &ivs[0]), 0);
	assert_int_equal(lm_tracker_map(tracker, &ivs[1]), 0);
	assert_int_equal(lm_tracker_add_source(tracker, &source), 0);
	assert_int_equal(lm_tracker_start(tracker), 0);
	k.dirty[256] = k.dirty[355] = k.dirty[1030] = k.dirty[1087] = true;
	assert_int_equal(lm_tracker_harvest(tracker, &sink), 0);
	assert_int_equal(nb, 4);
	assert_int_equal(lm_tracker_stats(tracker, 0, &stats), 0);
	assert_true(!stats.blind && stats.failures == 0);
	lm_tracker_destroy(tracker);
	assert_false(k.tracking);
	lm_pci_close(pci);
}

static void
test_no_dirty_bits(void **state)
{
	struct lm_source_conf source;

	(void)state;
	kernel.way = LM_PCI_KERNEL_CDEV;
	assert_int_equal(lm_pci_open_kernel(BDF, NULL, &kernel, &pci), 0);
	assert_int_equal(k.attached, 1);
	assert_false(lm_pci_iommu_tracks(pci));
	assert_int_equal(lm_pci_iommu_start(pci), -ENOTSUP);
	assert_int_equal(lm_vfio_iommu_source(pci, "iommu", &source), -ENOTSUP);
	lm_pci_close(pci);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noiommu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_call_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dirty_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_source, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_dirty_bits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
