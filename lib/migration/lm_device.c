/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lm_device.h"
#include "lm_device_pvt.h"

TAILQ_HEAD(device_list, lm_device);

static struct {
	pthread_mutex_t lock;
	pthread_cond_t left;
	struct device_list devices;
} registry = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.left = PTHREAD_COND_INITIALIZER,
	.devices = TAILQ_HEAD_INITIALIZER(registry.devices),
};

static struct lm_device *
find_locked(const char *name)
{
	struct lm_device *dev;

	TAILQ_FOREACH(dev, &registry.devices, link)
		if (strcmp(dev->name, name) == 0)
			return dev;
	return NULL;
}

int
lm_device_register(const char *name, const struct lm_device_view *view, struct lm_device **dev)
{
	size_t len = strlen(name);
	struct lm_device *d;

	if (len == 0 || len >= sizeof(d->name) || strpbrk(name, ",\"\\") != NULL)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	memcpy(d->name, name, len + 1);
	d->view = view;
	pthread_mutex_lock(&registry.lock);
	if (find_locked(name) != NULL) {
		pthread_mutex_unlock(&registry.lock);
		free(d);
		return -EEXIST;
	}
	TAILQ_INSERT_TAIL(&registry.devices, d, link);
	pthread_mutex_unlock(&registry.lock);
	*dev = d;
	return 0;
}

void
lm_device_unregister(struct lm_device *dev)
{
	if (dev == NULL)
		return;
	pthread_mutex_lock(&registry.lock);
	TAILQ_REMOVE(&registry.devices, dev, link);
	while (dev->nb_inside != 0)
		pthread_cond_wait(&registry.left, &registry.lock);
	pthread_mutex_unlock(&registry.lock);
	free(dev);
}

struct lm_device *
lm_device_enter(const char *name)
{
	struct lm_device *dev;

	pthread_mutex_lock(&registry.lock);
	dev = find_locked(name);
	if (dev != NULL)
		dev->nb_inside++;
	pthread_mutex_unlock(&registry.lock);
	return dev;
}

void
lm_device_leave(struct lm_device *dev)
{
	pthread_mutex_lock(&registry.lock);
	if (--dev->nb_inside == 0)
		pthread_cond_broadcast(&registry.left);
	pthread_mutex_unlock(&registry.lock);
}

unsigned int
lm_device_names(char (*names)[LM_DEVICE_NAME_BYTES], unsigned int max)
{
	struct lm_device *dev;
	unsigned int nb = 0;

	pthread_mutex_lock(&registry.lock);
	TAILQ_FOREACH(dev, &registry.devices, link) {
		if (nb < max)
			memcpy(names[nb], dev->name, sizeof(dev->name));
		nb++;
	}
	pthread_mutex_unlock(&registry.lock);
	return nb;
}
