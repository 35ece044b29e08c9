/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_kvargs.h>
#include <rte_string_fns.h>

#include "virtio_vdpa.h"

struct args_key {
	const char *key;
	const char *hint; /* what the message says when the value is bad */
	int (*parse)(const char *value, struct virtio_vdpa_args *args);
};

static int
args_number(const char *value, int base, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, base);
	if (errno != 0 || end == value || *end != '\0' || *value == '-' || n > max)
		return -EINVAL;
	*out = n;
	return 0;
}

static int
args_socket(const char *value, struct virtio_vdpa_args *args)
{
	return strlcpy(args->socket, value, sizeof(args->socket)) < sizeof(args->socket) ?
		0 : -ENAMETOOLONG;
}

/* A comma ends a device argument, so the specification's commas are written as colons. */
static int
args_premap(const char *value, struct virtio_vdpa_args *args)
{
	char *p;

	if (strlcpy(args->premap, value, sizeof(args->premap)) >= sizeof(args->premap))
		return -ENAMETOOLONG;
	p = strrchr(args->premap, '@');
	for (; p != NULL && *p != '\0'; p++) {
		if (*p == ':')
			*p = ',';
	}
	return 0;
}

static int
args_positions(const char *value, struct virtio_vdpa_args *args)
{
	return strlcpy(args->positions, value, sizeof(args->positions)) <
		sizeof(args->positions) ? 0 : -ENAMETOOLONG;
}

static int
args_features(const char *value, struct virtio_vdpa_args *args)
{
	return args_number(value, 16, UINT64_MAX, &args->features);
}

static int
args_log(const char *value, struct virtio_vdpa_args *args)
{
	if (strcmp(value, "full") != 0 && strcmp(value, "used") != 0)
		return -EINVAL;
	args->log_full = value[0] == 'f';
	return 0;
}

static int
args_bool(const char *value, bool *flag)
{
	uint64_t n;
	int ret = args_number(value, 10, 1, &n);

	if (ret == 0)
		*flag = n == 1;
	return ret;
}

static int
args_relay(const char *value, struct virtio_vdpa_args *args)
{
	return args_bool(value, &args->relay);
}

static int
args_notifiers(const char *value, struct virtio_vdpa_args *args)
{
	return args_bool(value, &args->notifiers);
}

static int
args_cpus(const char *value, struct virtio_vdpa_args *args)
{
	unsigned long from, to;
	const char *p = value;
	char *end;

	CPU_ZERO(&args->relay_cpus);
	while (*p != '\0') {
		from = strtoul(p, &end, 10);
		if (end == p)
			return -EINVAL;
		to = from;
		p = end;
		if (*p == '-') {
			to = strtoul(p + 1, &end, 10);
			if (end == p + 1)
				return -EINVAL;
			p = end;
		}
		if (from > to || to >= CPU_SETSIZE)
			return -EINVAL;
		for (; from <= to; from++)
			CPU_SET(from, &args->relay_cpus);
		if (*p == '+')
			p++;
		else if (*p != '\0')
			return -EINVAL;
	}
	args->has_relay_cpus = CPU_COUNT(&args->relay_cpus) > 0;
	return args->has_relay_cpus ? 0 : -EINVAL;
}

static int
args_thread(const char *value, struct virtio_vdpa_args *args)
{
	uint64_t n;
	int ret = args_number(value, 10, 1023, &n);

	if (ret == 0)
		args->relay_thread = (int32_t)n;
	return ret;
}

static int
args_budget(const char *value, struct virtio_vdpa_args *args)
{
	uint64_t n;
	int ret = args_number(value, 10, 60000, &n);

	if (ret == 0 && n == 0)
		ret = -EINVAL;
	if (ret == 0)
		args->stop_budget_ms = (uint32_t)n;
	return ret;
}

static int
args_drop(const char *value, struct virtio_vdpa_args *args)
{
	uint64_t n;
	int ret = args_number(value, 10, UINT32_MAX, &n);

	if (ret == 0)
		args->test_log_drop = (uint32_t)n;
	return ret;
}

static int
args_vdpa(const char *value, struct virtio_vdpa_args *args)
{
	return args_bool(value, &args->vdpa);
}

static const struct args_key keys[] = {
	{ "socket", "PATH of a vfio-user socket", args_socket },
	{ "premap", "FILE[@IOVA[:SIZE[:OFFSET]]]", args_premap },
	{ "features", "hexadecimal mask", args_features },
	{ "log", "full or used", args_log },
	{ "notifiers", "0 or 1", args_notifiers },
	{ "positions", "FILE", args_positions },
	{ "relay", "0 or 1", args_relay },
	{ "relay_cpus", "CPU[-CPU][+CPU...]", args_cpus },
	{ "relay_thread", "0 to 1023", args_thread },
	{ "stop_budget_ms", "1 to 60000", args_budget },
	{ "test_log_drop", "number", args_drop },
	{ "vdpa", "0 or 1", args_vdpa },
};
static const char * const key_names[] = { "socket", "premap", "features", "log", "relay",
	"notifiers", "positions", "relay_cpus", "relay_thread", "stop_budget_ms", "test_log_drop",
	"vdpa", NULL };

struct args_walk {
	const char *name;
	struct virtio_vdpa_args *args;
};

static int
args_one(const char *key, const char *value, void *opaque)
{
	const struct args_walk *walk = opaque;
	unsigned int i;
	int ret;

	for (i = 0; i < RTE_DIM(keys); i++) {
		if (strcmp(keys[i].key, key) != 0)
			continue;
		ret = value == NULL ? -EINVAL : keys[i].parse(value, walk->args);
		if (ret != 0)
			VDPA_LOG_NAME(ERR, walk->name, "%s=%s is not valid, give %s=<%s>", key,
				value == NULL ? "" : value, key, keys[i].hint);
		return ret;
	}
	return -EINVAL;
}

int
virtio_vdpa_args_parse(const char *name, const char *str, bool is_pci,
		struct virtio_vdpa_args *args)
{
	struct args_walk walk = { .name = name, .args = args };
	struct rte_kvargs *list;
	int ret;

	memset(args, 0, sizeof(*args));
	args->features = UINT64_MAX;
	args->stop_budget_ms = VIRTIO_VDPA_STOP_BUDGET_MS;
	args->relay_thread = -1;
	if (str == NULL || str[0] == '\0')
		return 0;
	/* A PCI device without the opt-in belongs to another driver, with keys of its own. */
	list = rte_kvargs_parse(str, is_pci ? NULL : key_names);
	if (list == NULL) {
		VDPA_LOG_NAME(ERR, name, "cannot use \"%s\"; valid: socket= premap= features= log= "
			"notifiers= positions= relay= relay_cpus= relay_thread= stop_budget_ms= "
			"test_log_drop=", str);
		return -EINVAL;
	}
	if (is_pci) {
		ret = rte_kvargs_process(list, "vdpa", args_one, &walk);
		if (ret != 0 || !args->vdpa) {
			rte_kvargs_free(list);
			return ret != 0 ? -EINVAL : 0;
		}
		rte_kvargs_free(list);
		list = rte_kvargs_parse(str, key_names);
		if (list == NULL) {
			VDPA_LOG_NAME(ERR, name, "cannot use \"%s\"; valid: vdpa= premap= "
				"features= log= notifiers= positions= relay= relay_cpus= "
				"relay_thread= stop_budget_ms= test_log_drop=", str);
			return -EINVAL;
		}
	}
	ret = rte_kvargs_process(list, NULL, args_one, &walk);
	rte_kvargs_free(list);
	return ret != 0 ? -EINVAL : 0;
}
