/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Owner of a PF: serves the migration of each of its VFs on a vfio-user socket, so that who uses a
 * VF needs no right to the PF, and a crash of one does not take the other.
 */

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lm_pci.h"
#include "lm_pci_kernel.h"
#include "lm_provider.h"
#include "lm_vu_server.h"
#include "mig.h"
#include "pf_kind.h"
#include "test_lm.h"

#define CONFIG_REGION 7u
#define CONFIG_BYTES 256u
#define LOOK_MS 200

struct vf {
	const char *path;
	struct lm_provider provider;
	struct lm_caps caps;
	struct lm_state_machine machine;
	struct lm_vu_server *server;
	uint8_t config[CONFIG_BYTES]; /* what it is, and nothing else */
	pthread_t thread;
	bool runs;
};

static _Atomic bool ending;

static int
vf_region_read(void *ctx, uint32_t region, uint64_t offset, void *buf, uint32_t len)
{
	const struct vf *vf = ctx;

	(void)region;
	memcpy(buf, vf->config + offset, len);
	return 0;
}

/* The function itself is reached elsewhere. */
static int
vf_region_write(void *ctx, uint32_t region, uint64_t offset, const void *buf, uint32_t len)
{
	(void)ctx;
	(void)region;
	(void)offset;
	(void)buf;
	(void)len;
	return 0;
}

static int
vf_reset(void *ctx)
{
	struct vf *vf = ctx;

	return vf->provider.ops->reset(vf->provider.dev);
}

static uint64_t
vf_flags(void *ctx)
{
	return ((struct vf *)ctx)->caps.flags;
}

static int
vf_state_get(void *ctx, uint32_t *state)
{
	struct vf *vf = ctx;
	enum lm_state at = LM_STATE_ERROR;
	int ret = vf->provider.ops->state(vf->provider.dev, &at);

	*state = (uint32_t)at;
	return ret;
}

static int
vf_state_set(void *ctx, uint32_t state)
{
	struct lm_state_result result;
	struct vf *vf = ctx;

	return lm_state_walk(&vf->machine, vf->provider.dev, (enum lm_state)state, &result);
}

static int
vf_read(void *ctx, void *buf, uint32_t len)
{
	struct vf *vf = ctx;

	return vf->provider.ops->read(vf->provider.dev, buf, len);
}

static int
vf_write(void *ctx, const void *buf, uint32_t len)
{
	struct vf *vf = ctx;

	return vf->provider.ops->write(vf->provider.dev, buf, len);
}

static int
vf_info(struct vf *vf, struct lm_mig_info *info)
{
	*info = (struct lm_mig_info){ .poll_fd = -1 };
	if (vf->provider.ops->info == NULL)
		return -ENOTTY;
	return vf->provider.ops->info(vf->provider.dev, info);
}

static int
vf_precopy_info(void *ctx, uint32_t *flags, uint64_t *initial, uint64_t *dirty)
{
	struct lm_mig_info info;
	int ret = vf_info(ctx, &info);

	if (ret == 0 && !info.has_precopy)
		ret = -ENOTTY;
	*flags = info.reinit ? 1 : 0;
	*initial = info.initial_bytes;
	*dirty = info.dirty_bytes;
	return ret;
}

static int
vf_data_size(void *ctx, uint64_t *bytes)
{
	struct lm_mig_info info;
	int ret = vf_info(ctx, &info);

	*bytes = info.stop_copy_bytes;
	return ret == 0 && !info.has_stop_copy ? -ENOTTY : ret;
}

static int
vf_log_start(void *ctx, const struct lm_vu_range *ranges, uint32_t nb, uint64_t *page_size_bytes)
{
	struct lm_range copy[256];
	struct vf *vf = ctx;
	uint32_t i;

	if (nb > 256)
		return -E2BIG;
	for (i = 0; i < nb; i++) {
		copy[i].addr = ranges[i].iova;
		copy[i].len_bytes = ranges[i].length_bytes;
	}
	return vf->provider.ops->dirty_start(vf->provider.dev, copy, nb, page_size_bytes);
}

static int
vf_log_stop(void *ctx)
{
	struct vf *vf = ctx;

	return vf->provider.ops->dirty_stop(vf->provider.dev);
}

static int
vf_log_report(void *ctx, uint64_t iova, uint64_t len, uint64_t page_size, uint64_t *bitmap)
{
	struct vf *vf = ctx;

	return vf->provider.ops->dirty_report(vf->provider.dev, iova, len, page_size, bitmap);
}

/* Nobody reads the log any more, and half a state is worth nothing without who sent it. */
static void
vf_left(void *ctx, const char *why)
{
	uint32_t state = LM_STATE_ERROR;
	struct vf *vf = ctx;

	(void)why;
	if (vf->caps.dirty.present)
		(void)vf->provider.ops->dirty_stop(vf->provider.dev);
	if (vf_state_get(vf, &state) == 0 && state == LM_STATE_RESUMING)
		(void)vf_reset(vf);
}

static const struct lm_vu_server_ops vf_ops = {
	.disconnected = vf_left,
	.region_read = vf_region_read,
	.region_write = vf_region_write,
	.reset = vf_reset,
	.mig_flags = vf_flags,
	.mig_state_get = vf_state_get,
	.mig_state_set = vf_state_set,
	.mig_read = vf_read,
	.mig_write = vf_write,
	.mig_precopy_info = vf_precopy_info,
	.mig_data_size = vf_data_size,
	.log_start = vf_log_start,
	.log_stop = vf_log_stop,
	.log_report = vf_log_report,
};

/* Calls for one VF may block for seconds; others do not wait for it. */
static void *
vf_main(void *arg)
{
	struct vf *vf = arg;
	struct pollfd p = { .fd = lm_vu_server_fd(vf->server), .events = POLLIN };

	while (!ending)
		if (poll(&p, 1, LOOK_MS) > 0 && lm_vu_server_process(vf->server) < 0)
			break;
	return NULL;
}

static int
vf_serve(struct vf *vf, uint16_t vendor, uint16_t device)
{
	struct lm_vu_server_conf conf = { .path = vf->path, .ops = &vf_ops, .ctx = vf };
	const uint16_t ids[2] = { vendor, device };
	int ret;

	memcpy(vf->config, ids, sizeof(ids));
	conf.regions[CONFIG_REGION] = (struct lm_vu_region_conf){ .size_bytes = CONFIG_BYTES,
		.flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE, .fd = -1 };
	ret = vf->provider.ops->caps(vf->provider.dev, &vf->caps);
	vf->machine = (struct lm_state_machine){ .flags = vf->caps.flags,
		.arcs = vf->provider.ops->arcs, .nb_arcs = vf->provider.ops->nb_arcs,
		.state = vf->provider.ops->state, .reset = vf->provider.ops->reset };
	if (ret == 0)
		ret = lm_vu_server_create(&conf, &vf->server);
	if (ret == 0)
		ret = -pthread_create(&vf->thread, NULL, vf_main, vf);
	vf->runs = ret == 0;
	if (ret == 0) {
		printf("ready %s\n", vf->path);
		fflush(stdout);
	} else {
		test_lm_error("%s: %s", vf->path, strerror(-ret));
	}
	return ret;
}

static void
vf_end(struct vf *vf)
{
	if (vf->runs)
		pthread_join(vf->thread, NULL);
	lm_vu_server_destroy(vf->server);
}

static void
pf_usage(FILE *out)
{
	fprintf(out,
		"Usage: dpdk-test-lm pf --device socket=PATH|BDF --vf PATH [--vf PATH]...\n\n"
		"Own a PF, and serve the migration of its VFs on vfio-user sockets, in their\n"
		"order, until SIGTERM or SIGINT. Prints \"ready PATH\" for each. Who uses a VF\n"
		"names its socket: send --device socket=VF,migration=PATH. At the end, what\n"
		"commands to the PF have cost. PFs known here: ");
	pf_kind_list(out);
	fprintf(out, ".\n");
}

struct pf {
	const char *device; /* as given */
	struct lm_pci *pci;
	const struct pf_kind *kind;
	void *pf;
};

static int
pf_open(struct pf *pf)
{
	const struct lm_pci_params params = { .name = "pf" };
	uint16_t ids[2];
	int ret;

	ret = strncmp(pf->device, "socket=", 7) == 0 ?
		lm_pci_open_vfio_user(pf->device + 7, &params, &pf->pci) :
		lm_pci_open_kernel(pf->device, &params, NULL, &pf->pci);
	if (ret == 0)
		ret = lm_pci_config_read(pf->pci, 0, ids, sizeof(ids));
	if (ret != 0) {
		test_lm_error("%s: %s", pf->device, lm_pci_strerror(NULL));
		return ret;
	}
	pf->kind = pf_kind_find(ids[0], ids[1]);
	if (pf->kind == NULL) {
		test_lm_error("%s: %04x:%04x is no PF that is known here", pf->device, ids[0],
			ids[1]);
		return -ENODEV;
	}
	ret = pf->kind->open(pf->pci, &pf->pf);
	if (ret != 0)
		test_lm_error("%s: %s", pf->device, lm_pci_strerror(pf->pci));
	return ret;
}

static int
pf_serve(struct pf *pf, struct vf *vfs, unsigned int nb)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nb && ret == 0; i++) {
		ret = pf->kind->vf(pf->pf, i, &vfs[i].provider);
		if (ret == -ENOENT)
			test_lm_error("%s has %u VFs, not %u", pf->device,
				pf->kind->nb_vfs(pf->pf), nb);
		else if (ret != 0)
			test_lm_error("%s: %s", pf->device, lm_pci_strerror(pf->pci));
		else
			ret = vf_serve(&vfs[i], pf->kind->vendor, pf->kind->vf_device(pf->pf));
	}
	return ret;
}

static void
pf_wait(struct pf *pf)
{
	const struct timespec second = { .tv_sec = 1 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	while (sigtimedwait(&set, NULL, &second) < 0)
		if (pf->kind->look != NULL)
			pf->kind->look(pf->pf);
}

static int
pf_run(const char *device, struct vf *vfs, unsigned int nb)
{
	struct pf pf = { .device = device };
	unsigned int i;
	int ret;

	mig_signals_block();
	ret = pf_open(&pf);
	if (ret == 0)
		ret = pf_serve(&pf, vfs, nb);
	if (ret == 0)
		pf_wait(&pf);
	ending = true;
	for (i = 0; i < nb; i++)
		vf_end(&vfs[i]);
	for (i = 0; i < nb && pf.pf != NULL && pf.kind->costs != NULL; i++)
		pf.kind->costs(pf.pf, i, vfs[i].path, stdout);
	if (pf.pf != NULL)
		pf.kind->close(pf.pf);
	lm_pci_close(pf.pci);
	return ret;
}

int
test_lm_pf(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "vf", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct vf vfs[MIG_MAX_DEVICES];
	const char *device = NULL;
	unsigned int nb = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h') {
			pf_usage(stdout);
			return TEST_LM_OK;
		}
		if (opt == 'd')
			device = optarg;
		else if (opt == 'v' && nb < MIG_MAX_DEVICES)
			vfs[nb++].path = optarg;
		else
			return TEST_LM_USAGE;
	}
	if (optind != argc || device == NULL || nb == 0) {
		pf_usage(stderr);
		return TEST_LM_USAGE;
	}
	return pf_run(device, vfs, nb) == 0 ? TEST_LM_OK : TEST_LM_FAILED;
}
