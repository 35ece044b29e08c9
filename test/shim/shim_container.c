/* SPDX-License-Identifier: BSD-3-Clause */

/* Containers of type 1, and groups of one device each. Ioctls as in linux/vfio.h. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "shim.h"

#define PAGE_BYTES 4096u

struct mapping {
	uint64_t iova;
	uint64_t size_bytes;
	uint32_t prot; /* LM_VU_PROT_* */
	struct shim_piece *pieces;
	int nb_pieces;
};

struct shim_container {
	pthread_mutex_t lock; /* protects all below */
	bool has_iommu;
	struct mapping *maps;
	unsigned int nb_maps;
	struct shim_device *devices[SHIM_MAX_DEVICES];
	unsigned int nb_devices;
};

struct shim_container *
shim_container_new(void)
{
	struct shim_container *c = calloc(1, sizeof(*c));

	if (c != NULL)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void
mapping_release(struct mapping *m)
{
	while (m->nb_pieces > 0)
		close(m->pieces[--m->nb_pieces].fd);
	free(m->pieces);
}

void
shim_container_free(struct shim_container *c)
{
	while (c->nb_maps > 0)
		mapping_release(&c->maps[--c->nb_maps]);
	free(c->maps);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static int
tell_device(struct shim_device *d, const struct mapping *m)
{
	int i, ret = 0;

	for (i = 0; i < m->nb_pieces && ret == 0; i++)
		ret = lm_vu_client_dma_map(d->client, m->pieces[i].iova, m->pieces[i].size_bytes,
				m->pieces[i].fd, m->pieces[i].fd_offset, m->prot);
	return ret;
}

int
shim_container_replay(struct shim_container *c, struct shim_device *d)
{
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nb_maps && ret == 0; i++)
		ret = tell_device(d, &c->maps[i]);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static int
map_locked(struct shim_container *c, const struct vfio_iommu_type1_dma_map *arg)
{
	struct mapping m = { .iova = arg->iova, .size_bytes = arg->size };
	struct mapping *grown;
	unsigned int i;
	int ret;

	if (!c->has_iommu || arg->size == 0 || arg->iova + (arg->size - 1) < arg->iova ||
			((arg->vaddr | arg->iova | arg->size) & (PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	for (i = 0; i < c->nb_maps; i++)
		if (arg->iova <= c->maps[i].iova + (c->maps[i].size_bytes - 1) &&
				c->maps[i].iova <= arg->iova + (arg->size - 1))
			return -EEXIST;
	m.prot = ((arg->flags & VFIO_DMA_MAP_FLAG_READ) != 0 ? LM_VU_PROT_READ : 0) |
			((arg->flags & VFIO_DMA_MAP_FLAG_WRITE) != 0 ? LM_VU_PROT_WRITE : 0);
	grown = realloc(c->maps, (c->nb_maps + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	c->maps = grown;
	ret = shim_memory_pieces(arg->vaddr, arg->iova, arg->size, &m.pieces);
	if (ret < 0)
		return ret;
	m.nb_pieces = ret;
	c->maps[c->nb_maps++] = m;
	for (i = 0, ret = 0; i < c->nb_devices && ret == 0; i++)
		if (c->devices[i]->client != NULL)
			ret = tell_device(c->devices[i], &m);
	return ret;
}

static void
forget_locked(struct shim_container *c, unsigned int index)
{
	struct mapping m = c->maps[index];
	unsigned int d;
	int i;

	c->maps[index] = c->maps[--c->nb_maps];
	for (d = 0; d < c->nb_devices; d++)
		for (i = 0; i < m.nb_pieces && c->devices[d]->client != NULL; i++)
			(void)lm_vu_client_dma_unmap(c->devices[d]->client, m.pieces[i].iova,
					m.pieces[i].size_bytes);
	mapping_release(&m);
}

/* Type 1 v2: a mapping that is cut by the range is an error; type 1: it goes as a whole. */
static int
unmap_locked(struct shim_container *c, struct vfio_iommu_type1_dma_unmap *arg)
{
	uint64_t last = arg->iova + (arg->size - 1), gone = 0;
	unsigned int i = 0;

	if (arg->size == 0 || last < arg->iova)
		return -EINVAL;
	while (i < c->nb_maps) {
		if (c->maps[i].iova < arg->iova || c->maps[i].iova > last) {
			i++;
			continue;
		}
		gone += c->maps[i].size_bytes;
		forget_locked(c, i);
	}
	arg->size = gone;
	return 0;
}

static int
get_info(struct vfio_iommu_type1_info *info)
{
	if (info->argsz < sizeof(info->argsz) + sizeof(info->flags) + sizeof(info->iova_pgsizes))
		return -EINVAL;
	info->flags = VFIO_IOMMU_INFO_PGSIZES;
	info->iova_pgsizes = ~(uint64_t)(PAGE_BYTES - 1);
	info->argsz = sizeof(*info);
	if (info->argsz >= sizeof(*info))
		info->cap_offset = 0;
	return 0;
}

static int
set_iommu_locked(struct shim_container *c, unsigned long type)
{
	if (c->nb_devices == 0 || c->has_iommu)
		return -EINVAL;
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -ENODEV;
	c->has_iommu = true;
	return 0;
}

int
shim_container_ioctl(struct shim_container *c, unsigned long request, void *arg)
{
	unsigned long value = (unsigned long)arg;
	int ret;

	pthread_mutex_lock(&c->lock);
	switch (request) {
	case VFIO_GET_API_VERSION:
		ret = VFIO_API_VERSION;
		break;
	case VFIO_CHECK_EXTENSION:
		ret = value == VFIO_TYPE1_IOMMU || value == VFIO_TYPE1v2_IOMMU;
		break;
	case VFIO_SET_IOMMU:
		ret = set_iommu_locked(c, value);
		break;
	case VFIO_IOMMU_GET_INFO:
		ret = get_info(arg);
		break;
	case VFIO_IOMMU_MAP_DMA:
		ret = map_locked(c, arg);
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		ret = unmap_locked(c, arg);
		break;
	default:
		shim_warn("container: ioctl 0x%lx is not known", request);
		ret = -ENOTTY;
		break;
	}
	pthread_mutex_unlock(&c->lock);
	shim_log("container: ioctl 0x%lx: %d", request, ret);
	return ret;
}

static int
join(struct shim_container *c, struct shim_device *d)
{
	int ret = 0;

	pthread_mutex_lock(&c->lock);
	if (d->container != NULL)
		ret = -EBUSY;
	else if (c->nb_devices == SHIM_MAX_DEVICES)
		ret = -ENOSPC;
	if (ret == 0) {
		c->devices[c->nb_devices++] = d;
		d->container = c;
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

int
shim_group_leave(struct shim_device *d)
{
	struct shim_container *c = d->container;
	unsigned int i;

	if (c == NULL)
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nb_devices; i++) {
		if (c->devices[i] != d)
			continue;
		c->devices[i] = c->devices[--c->nb_devices];
		break;
	}
	if (c->nb_devices == 0)
		c->has_iommu = false;
	d->container = NULL;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int
device_fd(const struct shim_file *group, const char *name)
{
	struct shim_device *d = shim_device_named(name);
	struct shim_file file = { .kind = SHIM_DEVICE, .device = d };
	int ret;

	if (d == NULL || d != group->device)
		return -ENODEV;
	if (d->container == NULL || !d->container->has_iommu)
		return -EINVAL;
	ret = shim_device_open(d, d->container);
	return ret != 0 ? ret : shim_file_new(&file);
}

int
shim_group_ioctl(const struct shim_file *group, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;
	const struct shim_file *container;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		if (status->argsz < sizeof(*status))
			return -EINVAL;
		status->flags = VFIO_GROUP_FLAGS_VIABLE | (group->device->container != NULL ?
				VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		container = shim_file_get(*(int *)arg);
		if (container == NULL || container->kind != SHIM_CONTAINER)
			return -EINVAL;
		return join(container->container, group->device);
	case VFIO_GROUP_UNSET_CONTAINER:
		return shim_group_leave(group->device);
	case VFIO_GROUP_GET_DEVICE_FD:
		return device_fd(group, arg);
	default:
		shim_warn("group %u: ioctl 0x%lx is not known", group->device->group, request);
		return -ENOTTY;
	}
}
