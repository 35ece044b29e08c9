/* SPDX-License-Identifier: BSD-3-Clause */

/* Devices: what the kernel's vfio-pci answers, asked of a vfio-user server. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "shim.h"
#include "shim_real.h"

#define PAGE_BYTES 4096u

static struct {
	bool read;
	struct shim_device devices[SHIM_MAX_DEVICES];
	unsigned int nb;
} table;

/* LM_SHIM, once; a word that does not fit is said and left out. */
static void
read_table(void)
{
	const char *at = getenv("LM_SHIM");
	struct shim_device *d;
	int used;

	if (table.read)
		return;
	table.read = true;
	while (at != NULL && *at != '\0' && table.nb < SHIM_MAX_DEVICES) {
		d = &table.devices[table.nb];
		if (sscanf(at, "%15[^=,]=%107[^,]%n", d->bdf, d->socket, &used) != 2) {
			shim_warn("LM_SHIM: \"%s\" is not BDF=SOCKET", at);
			return;
		}
		d->group = ++table.nb;
		at += used;
		if (*at == ',')
			at++;
	}
}

struct shim_device *
shim_device_of_group(unsigned int group)
{
	read_table();
	return group >= 1 && group <= table.nb ? &table.devices[group - 1] : NULL;
}

struct shim_device *
shim_device_named(const char *name)
{
	size_t len;
	unsigned int i;

	read_table();
	for (i = 0; i < table.nb; i++) {
		len = strlen(table.devices[i].bdf);
		if (strncmp(name, table.devices[i].bdf, len) == 0 &&
				(name[len] == '\0' || name[len] == ' '))
			return &table.devices[i];
	}
	return NULL;
}

static int
read_device(struct shim_device *d)
{
	uint32_t i;
	int ret;

	ret = lm_vu_client_device_info(d->client, &d->flags, &d->num_regions, &d->num_irqs);
	if (ret != 0)
		return ret;
	if (d->num_regions > LM_VU_NUM_REGIONS)
		d->num_regions = LM_VU_NUM_REGIONS;
	for (i = 0; i < d->num_regions && ret == 0; i++)
		ret = lm_vu_client_region_info(d->client, i, &d->regions[i]);
	return ret;
}

int
shim_device_open(struct shim_device *d, struct shim_container *c)
{
	int ret;

	if (d->client != NULL)
		return -EBUSY;
	ret = lm_vu_client_connect(d->socket, NULL, &d->client);
	if (ret != 0) {
		shim_warn("%s: cannot connect to %s: %s", d->bdf, d->socket, strerror(-ret));
		d->client = NULL;
		return ret;
	}
	ret = read_device(d);
	if (ret == 0)
		ret = shim_container_replay(c, d);
	if (ret != 0) {
		shim_warn("%s: %s", d->bdf, strerror(-ret));
		shim_device_close(d);
	}
	return ret;
}

void
shim_device_close(struct shim_device *d)
{
	uint32_t i;

	lm_vu_client_close(d->client);
	d->client = NULL;
	for (i = 0; i < d->num_regions; i++)
		if (d->regions[i].fd >= 0 && d->regions[i].nb_areas != 0)
			real_close(d->regions[i].fd);
	d->num_regions = 0;
}

static int
get_info(const struct shim_device *d, struct vfio_device_info *info)
{
	if (info->argsz < 16)
		return -EINVAL;
	info->flags = d->flags;
	info->num_regions = d->num_regions;
	/* The kernel has these two for every PCI device. */
	info->num_irqs = d->num_irqs < VFIO_PCI_NUM_IRQS ? VFIO_PCI_NUM_IRQS : d->num_irqs;
	return 0;
}

/* BARs can be mapped, all of them: what the server does not share is trapped. */
static int
get_region(const struct shim_device *d, struct vfio_region_info *info)
{
	const struct lm_vu_region_info *r;

	if (info->argsz < sizeof(*info) || info->index >= d->num_regions)
		return -EINVAL;
	r = &d->regions[info->index];
	info->argsz = sizeof(*info);
	info->cap_offset = 0;
	info->size = r->size_bytes;
	info->offset = (uint64_t)info->index << SHIM_REGION_SHIFT;
	info->flags = r->flags & (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	if (info->index <= VFIO_PCI_BAR5_REGION_INDEX && r->size_bytes >= PAGE_BYTES)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	return 0;
}

static bool
is_kernels_irq(uint32_t index)
{
	return index == VFIO_PCI_ERR_IRQ_INDEX || index == VFIO_PCI_REQ_IRQ_INDEX;
}

static int
get_irq(struct shim_device *d, struct vfio_irq_info *info)
{
	if (info->argsz < sizeof(*info) || info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (is_kernels_irq(info->index)) {
		info->flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
		info->count = 1;
		return 0;
	}
	return lm_vu_client_irq_info(d->client, info->index, &info->flags, &info->count);
}

/* The kernel turns MSI-X on with the first vector, and off with the last. */
static int
enable_msix(struct shim_device *d, bool on)
{
	/* PCI Local Bus 3.0, 6.7 (capabilities) and 6.8.2.3 (message control of MSI-X). */
	uint8_t at = 0x34, cap[4] = { 0, 0x34 };
	unsigned int turns;
	int ret;

	ret = lm_vu_client_region_read(d->client, LM_VU_REGION_CONFIG, at, &cap[1], 1);
	for (turns = 0; ret == 0 && cap[1] != 0 && turns < 64; turns++) {
		at = cap[1];
		ret = lm_vu_client_region_read(d->client, LM_VU_REGION_CONFIG, at, cap,
				sizeof(cap));
		if (ret == 0 && cap[0] == 0x11)
			break;
	}
	if (ret != 0 || cap[0] != 0x11)
		return ret;
	cap[3] = (uint8_t)(on ? cap[3] | 0x80 : cap[3] & ~0x80);
	return lm_vu_client_region_write(d->client, LM_VU_REGION_CONFIG, at + 2u, &cap[2], 2);
}

static int
bind_irqs(struct shim_device *d, const struct vfio_irq_set *set, const int *fds)
{
	int ret = 0;

	if (fds == NULL)
		ret = lm_vu_client_disable_irqs(d->client, set->index);
	else
		ret = lm_vu_client_set_irqs(d->client, set->index, set->start, set->count, fds);
	if (ret == 0 && set->index == VFIO_PCI_MSIX_IRQ_INDEX)
		ret = enable_msix(d, fds != NULL);
	return ret;
}

static int
set_irqs(struct shim_device *d, const struct vfio_irq_set *set)
{
	const uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	const uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;

	shim_log("%s: interrupts: index %u, flags 0x%x, vectors %u+%u", d->bdf, set->index,
			set->flags, set->start, set->count);
	if (set->argsz < sizeof(*set) || action != VFIO_IRQ_SET_ACTION_TRIGGER ||
			set->count > (set->argsz - sizeof(*set)) / sizeof(int32_t) + (data ==
			VFIO_IRQ_SET_DATA_NONE ? UINT16_MAX : 0))
		return -EINVAL;
	if (is_kernels_irq(set->index))
		return 0;
	if (data == VFIO_IRQ_SET_DATA_NONE && set->count == 0)
		return bind_irqs(d, set, NULL);
	if (data != VFIO_IRQ_SET_DATA_EVENTFD)
		return -EINVAL;
	return bind_irqs(d, set, (const int *)(const void *)set->data);
}

static int
feature(struct shim_device *d, struct vfio_device_feature *f)
{
	uint32_t len = f->argsz - (uint32_t)sizeof(*f);
	int ret;

	if (f->argsz < sizeof(*f))
		return -EINVAL;
	/* A state's data goes by descriptor here, by message there. */
	if ((f->flags & VFIO_DEVICE_FEATURE_MASK) != 0) {
		shim_log("%s: feature 0x%x is refused", d->bdf, f->flags);
		return -ENOTTY;
	}
	ret = lm_vu_client_feature(d->client, f->flags, f->data, len, len);
	return ret < 0 ? ret : 0;
}

/* The kernel puts configuration space back as it was (pci_try_reset_function()). */
static int
reset(struct shim_device *d)
{
	const uint64_t command = 4; /* PCI Local Bus 3.0, 6.2.2 */
	uint16_t value;
	int ret;

	ret = lm_vu_client_region_read(d->client, LM_VU_REGION_CONFIG, command, &value,
			sizeof(value));
	if (ret == 0)
		ret = lm_vu_client_reset(d->client);
	if (ret == 0)
		ret = lm_vu_client_region_write(d->client, LM_VU_REGION_CONFIG, command, &value,
				sizeof(value));
	return ret;
}

int
shim_device_ioctl(struct shim_device *d, unsigned long request, void *arg)
{
	int ret;

	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		ret = get_info(d, arg);
		break;
	case VFIO_DEVICE_GET_REGION_INFO:
		ret = get_region(d, arg);
		break;
	case VFIO_DEVICE_GET_IRQ_INFO:
		ret = get_irq(d, arg);
		break;
	case VFIO_DEVICE_SET_IRQS:
		ret = set_irqs(d, arg);
		break;
	case VFIO_DEVICE_RESET:
		ret = reset(d);
		break;
	case VFIO_DEVICE_FEATURE:
		ret = feature(d, arg);
		break;
	default:
		shim_warn("%s: ioctl 0x%lx is not known", d->bdf, request);
		ret = -ENOTTY;
		break;
	}
	shim_log("%s: ioctl 0x%lx: %d", d->bdf, request, ret);
	return ret;
}

/* Where in which region a file offset lies; false: nowhere. */
static bool
locate(const struct shim_device *d, off_t offset, size_t len, uint32_t *region, uint64_t *at)
{
	*region = (uint32_t)((uint64_t)offset >> SHIM_REGION_SHIFT);
	*at = (uint64_t)offset & ((UINT64_C(1) << SHIM_REGION_SHIFT) - 1);
	return offset >= 0 && *region < d->num_regions && len != 0 &&
			*at < d->regions[*region].size_bytes &&
			len <= d->regions[*region].size_bytes - *at;
}

ssize_t
shim_device_read(struct shim_device *d, void *buf, size_t len, off_t offset)
{
	uint32_t region;
	uint64_t at;
	int ret;

	if (!locate(d, offset, len, &region, &at))
		return -EINVAL;
	ret = lm_vu_client_region_read(d->client, region, at, buf, (uint32_t)len);
	return ret != 0 ? ret : (ssize_t)len;
}

ssize_t
shim_device_write(struct shim_device *d, const void *buf, size_t len, off_t offset)
{
	uint32_t region;
	uint64_t at;
	int ret;

	if (!locate(d, offset, len, &region, &at))
		return -EINVAL;
	ret = lm_vu_client_region_write(d->client, region, at, buf, (uint32_t)len);
	return ret != 0 ? ret : (ssize_t)len;
}

static int
trap_read(void *ctx, uint64_t offset, void *buf, unsigned int len_bytes)
{
	ssize_t ret = shim_device_read(ctx, buf, len_bytes, (off_t)offset);

	return ret < 0 ? (int)ret : 0;
}

/* Posted, as on a bus. */
static int
trap_write(void *ctx, uint64_t offset, const void *buf, unsigned int len_bytes)
{
	struct shim_device *d = ctx;
	uint32_t region;
	uint64_t at;

	if (!locate(d, (off_t)offset, len_bytes, &region, &at))
		return -EINVAL;
	return lm_vu_client_region_write_posted(d->client, region, at, buf, len_bytes);
}

static const struct shim_trap_ops trap_ops = { trap_read, trap_write };

/* Lay the parts that the server shares over the reserved pages. */
static int
map_areas(const struct lm_vu_region_info *r, uint8_t *base, uint64_t at, size_t len, int prot)
{
	uint64_t first, last;
	uint32_t i;

	for (i = 0; r->fd >= 0 && i < r->nb_areas; i++) {
		first = r->areas[i].offset > at ? r->areas[i].offset : at;
		last = r->areas[i].offset + r->areas[i].size_bytes;
		last = last < at + len ? last : at + len;
		if (first >= last)
			continue;
		if (real_mmap(base + (first - at), last - first, prot, MAP_SHARED | MAP_FIXED,
				r->fd, (off_t)(r->mmap_offset + first)) == MAP_FAILED)
			return -errno;
	}
	return 0;
}

void *
shim_device_mmap(struct shim_device *d, void *addr, size_t len, int prot, int flags, off_t offset)
{
	uint32_t region;
	uint64_t at;
	uint8_t *base;
	int ret;

	if (!locate(d, offset, len, &region, &at) || region > VFIO_PCI_BAR5_REGION_INDEX ||
			(at & (PAGE_BYTES - 1)) != 0) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	base = real_mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			(flags & MAP_FIXED), -1, 0);
	if (base == MAP_FAILED)
		return base;
	ret = map_areas(&d->regions[region], base, at, len, prot);
	if (ret == 0)
		ret = shim_trap_add(base, len, &trap_ops, d, (uint64_t)offset);
	if (ret != 0) {
		real_munmap(base, len);
		errno = -ret;
		return MAP_FAILED;
	}
	shim_log("%s: region %u at 0x%" PRIx64 "+0x%zx mapped at %p", d->bdf, region, at, len,
			(void *)base);
	return base;
}
