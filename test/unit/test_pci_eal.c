/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A function bound to the wrong driver is refused in words that say what to type; any VFIO
 * driver's binding, variant drivers too, goes on to the next step. Against a sysfs of our own.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_log.h>

#include <bus_pci_driver.h>

#include "lm_pci_eal.h"

static char sysfs[64];
static char link_path[128];

static int
setup(void **state)
{
	char dir[96];

	(void)state;
	snprintf(sysfs, sizeof(sysfs), "/tmp/lm-sysfs-XXXXXX");
	if (mkdtemp(sysfs) == NULL)
		return -1;
	snprintf(dir, sizeof(dir), "%s/0000:01:00.3", sysfs);
	snprintf(link_path, sizeof(link_path), "%s/driver", dir);
	setenv("SYSFS_PCI_DEVICES", sysfs, 1);
	return mkdir(dir, 0700);
}

static int
teardown(void **state)
{
	char dir[96];

	(void)state;
	unlink(link_path);
	snprintf(dir, sizeof(dir), "%s/0000:01:00.3", sysfs);
	rmdir(dir);
	return rmdir(sysfs);
}

static void
refused(const char *driver, const char *words)
{
	struct rte_pci_device dev = { .addr = { .bus = 1, .function = 3 } };
	const struct lm_pci_params params = { 0 };
	struct lm_pci *pci = NULL;
	char target[128];

	unlink(link_path);
	if (driver != NULL) {
		snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
		assert_int_equal(symlink(target, link_path), 0);
	}
	assert_int_equal(lm_pci_open_eal(&dev, &params, &pci), -ENODEV);
	assert_null(pci);
	if (strstr(lm_pci_strerror(NULL), words) == NULL ||
			strstr(lm_pci_strerror(NULL), "0000:01:00.3: ") == NULL)
		fail_msg("'%s' does not say '%s'", lm_pci_strerror(NULL), words);
}

static void
test_binding(void **state)
{
	static const char *const good[] = { "vfio-pci", "pds-vfio-pci", "pds_vfio_pci",
		"mlx5_vfio_pci", "virtio_vfio_pci" };
	static const char *const bad[] = { "virtio-pci", "vfio-pci-not", "igb_uio", "vfio",
		"uio_pci_generic" };
	char words[64];
	unsigned int i;

	(void)state;
	refused(NULL, "bound to no driver. Type: dpdk-devbind.py --bind=vfio-pci 0000:01:00.3");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(words, sizeof(words), "bound to %s, which is not VFIO. Type: ", bad[i]);
		refused(bad[i], words);
	}
	/* There is no iommu_group in our sysfs, so a good binding ends one step later. */
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		refused(good[i], "no IOMMU group");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_binding, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
