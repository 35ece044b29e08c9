/* SPDX-License-Identifier: BSD-3-Clause */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lm_pci_sysfs.h"

#define DIM(array) (sizeof(array) / sizeof((array)[0]))
#define DIR_BYTES 1024

bool
lm_pci_is_vfio_driver(const char *name)
{
	static const char *const endings[] = { "vfio-pci", "vfio_pci" };
	size_t len = strlen(name), end;
	unsigned int i;

	for (i = 0; i < DIM(endings); i++) {
		end = strlen(endings[i]);
		if (len >= end && strcmp(name + len - end, endings[i]) == 0)
			return true;
	}
	return false;
}

/* DIR/NAME as a number; 0 when there is none. */
static uint32_t
read_number(const char *dir, const char *name)
{
	char path[PATH_MAX], text[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	return (uint32_t)strtoul(text, NULL, 0);
}

/* The last part of where a link points to; "" when there is none, or it is too long. */
static void
read_link(const char *dir, const char *name, char *out, size_t out_bytes)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t len;

	out[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return;
	target[len] = '\0';
	last = strrchr(target, '/');
	last = last != NULL ? last + 1 : target;
	if (strlen(last) < out_bytes)
		strcpy(out, last);
}

/* The number of the first vfio-dev/vfioN. */
static int
read_cdev(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int number = -1;
	DIR *list;

	snprintf(path, sizeof(path), "%s/vfio-dev", dir);
	list = opendir(path);
	if (list == NULL)
		return -1;
	while ((entry = readdir(list)) != NULL && number < 0)
		if (sscanf(entry->d_name, "vfio%d", &number) != 1)
			number = -1;
	closedir(list);
	return number;
}

/* Bridges stay with their driver; what does DMA of its own must not. */
static bool
is_stranger(const char *dir, const char *driver)
{
	return driver[0] != '\0' && !lm_pci_is_vfio_driver(driver) &&
			strcmp(driver, "pci-stub") != 0 && strcmp(driver, "pcieport") != 0 &&
			read_number(dir, "class") >> 16 != 0x06;
}

static void
read_group(const char *devices, const char *dir, struct lm_pci_sysfs *info)
{
	char path[PATH_MAX], member[PATH_MAX], driver[sizeof(info->driver)];
	struct dirent *entry;
	DIR *list;

	snprintf(path, sizeof(path), "%s/iommu_group/devices", dir);
	list = opendir(path);
	if (list == NULL)
		return;
	while ((entry = readdir(list)) != NULL) {
		if (strlen(entry->d_name) != sizeof(info->bdf) - 1 ||
				strcmp(entry->d_name, info->bdf) == 0)
			continue;
		snprintf(member, sizeof(member), "%s/%s", devices, entry->d_name);
		read_link(member, "driver", driver, sizeof(driver));
		if (!is_stranger(member, driver))
			continue;
		strcpy(info->stranger, entry->d_name);
		strcpy(info->stranger_driver, driver);
	}
	closedir(list);
}

static int
normalise(const char *bdf, char out[LM_PCI_BDF_BYTES])
{
	unsigned int domain = 0, bus, device, function;
	char end;

	if (sscanf(bdf, "%4x:%2x:%2x.%1o%c", &domain, &bus, &device, &function, &end) != 4) {
		domain = 0;
		if (sscanf(bdf, "%2x:%2x.%1o%c", &bus, &device, &function, &end) != 3)
			return -EINVAL;
	}
	if (domain > 0xffff || bus > 0xff || device > 0x1f || function > 7)
		return -EINVAL;
	snprintf(out, LM_PCI_BDF_BYTES, "%04x:%02x:%02x.%o", domain & 0xffff, bus & 0xff,
			device & 0x1f, function & 7);
	return 0;
}

int
lm_pci_sysfs_read(const char *root, const char *bdf, struct lm_pci_sysfs *info)
{
	char devices[DIR_BYTES], dir[DIR_BYTES + LM_PCI_BDF_BYTES], group[16];

	memset(info, 0, sizeof(*info));
	if (normalise(bdf, info->bdf) != 0)
		return -EINVAL;
	snprintf(devices, sizeof(devices), "%.900s/sys/bus/pci/devices", root);
	snprintf(dir, sizeof(dir), "%s/%s", devices, info->bdf);
	if (access(dir, F_OK) != 0)
		return -ENODEV;
	info->vendor = (uint16_t)read_number(dir, "vendor");
	info->device = (uint16_t)read_number(dir, "device");
	info->class_code = read_number(dir, "class");
	info->nb_vfs = read_number(dir, "sriov_numvfs");
	read_link(dir, "driver", info->driver, sizeof(info->driver));
	read_link(dir, "physfn", info->pf, sizeof(info->pf));
	if (info->pf[0] != '\0')
		read_link(dir, "physfn/driver", info->pf_driver, sizeof(info->pf_driver));
	read_link(dir, "iommu_group", group, sizeof(group));
	info->group = group[0] != '\0' ? atoi(group) : -1;
	info->cdev = read_cdev(dir);
	read_group(devices, dir, info);
	return 0;
}
