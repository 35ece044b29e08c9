/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "fwd.h"
#include "lm_pci.h"
#include "lm_port.h"
#include "lm_ram.h"
#include "lm_timeline.h"
#include "lm_vfio.h"
#include "lm_window.h"

#define WINDOW_ADDR UINT64_C(0x7e0000000000)
/* Of a descriptor in both rings with completions and SG elements, and of a record's slots. */
#define RING_BYTES 448u
#define SLOT_BYTES 32u
#define QUEUE_BYTES (8u * PAGE)
#define PORT_BYTES (32u * PAGE)
#define ELEMENT_BYTES 2304u
#define PAGE 4096u
#define PLUGIN "drivers/net/pds/liblm_net_pds.so"

/* The control area is sent whole while nobody forwards: no larger than it has to be. */
static int
window_open(struct fwd *f)
{
	const uint64_t nb = (uint64_t)f->conf.queues * f->conf.desc;
	const uint64_t record_bytes = RTE_ALIGN_CEIL(nb * SLOT_BYTES + PORT_BYTES, (uint64_t)PAGE);
	const struct lm_window_conf conf = {
		.addr = WINDOW_ADDR,
		.control_bytes = RTE_ALIGN_CEIL(nb * RING_BYTES + f->conf.queues * QUEUE_BYTES +
				PORT_BYTES, (uint64_t)PAGE) + record_bytes,
		.record_bytes = record_bytes,
		.buffer_bytes = RTE_ALIGN_CEIL((uint64_t)f->conf.buffers * ELEMENT_BYTES,
				(uint64_t)PAGE),
		.page_bytes = PAGE,
		.element_bytes = ELEMENT_BYTES,
		.headroom_bytes = RTE_PKTMBUF_HEADROOM,
	};
	int ret;

	ret = lm_window_create(&conf, &f->window);
	if (ret == 0)
		ret = lm_ram_create(&f->ram);
	if (ret == 0)
		ret = lm_window_add_ram(f->window, f->ram, f->conf.precopy);
	if (ret == 0)
		ret = lm_port_prepare(FWD_PORT, f->window, f->conf.listen != NULL);
	if (ret != 0)
		fwd_error("the window: %s", strerror(-ret));
	return ret;
}

/* Beside this program in a build tree, else where EAL looks. */
static void
plugin_find(const struct fwd *f, char *path)
{
	char exe[PATH_MAX], beside[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	snprintf(path, PATH_MAX, "%s", f->conf.plugin != NULL ? f->conf.plugin :
		LM_PMD_DIR "/liblm_net_pds.so");
	if (f->conf.plugin != NULL || n < 0)
		return;
	exe[n] = '\0';
	snprintf(beside, sizeof(beside), "%s/../../" PLUGIN, dirname(exe));
	if (realpath(beside, exe) != NULL)
		snprintf(path, PATH_MAX, "%s", exe);
}

static int
eal_open(const struct fwd *f)
{
	static char plugin[PATH_MAX], vdev[PATH_MAX], prefix[32]; /* EAL keeps pointers */
	static char *argv[] = {
		(char *)(uintptr_t)"dpdk-lm-forward", (char *)(uintptr_t)"--no-huge",
		(char *)(uintptr_t)"-m", (char *)(uintptr_t)"128", (char *)(uintptr_t)"--no-pci",
		(char *)(uintptr_t)"-l", (char *)(uintptr_t)"0", (char *)(uintptr_t)"-d", plugin,
		(char *)(uintptr_t)"--vdev", vdev, (char *)(uintptr_t)"--file-prefix", prefix,
		NULL,
	};

	plugin_find(f, plugin);
	snprintf(vdev, sizeof(vdev), FWD_PORT ",socket=%s", f->conf.socket);
	snprintf(prefix, sizeof(prefix), "lmfwd%d", (int)getpid());
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0) {
		fwd_error("EAL does not start: %s", rte_strerror(rte_errno));
		return -EIO;
	}
	return 0;
}

static int
pool_open(struct fwd *f)
{
	struct rte_pktmbuf_extmem mem = { .elt_size = ELEMENT_BYTES };
	uint64_t len;

	mem.buf_ptr = lm_window_buffers(f->window, &len);
	mem.buf_iova = (uintptr_t)mem.buf_ptr;
	mem.buf_len = len;
	/* No caches: what is free can be withdrawn. */
	f->pool = rte_pktmbuf_pool_create_extbuf("frames", f->conf.buffers, 0, 0, ELEMENT_BYTES,
			SOCKET_ID_ANY, &mem, 1);
	if (f->pool == NULL)
		fwd_error("%u buffers: %s", f->conf.buffers, rte_strerror(rte_errno));
	return f->pool == NULL ? -ENOMEM : 0;
}

static int
port_open(struct fwd *f)
{
	const struct rte_eth_conf conf = {
		.rxmode = { .mq_mode = f->conf.queues > 1 ? RTE_ETH_MQ_RX_RSS :
			RTE_ETH_MQ_RX_NONE },
		.rx_adv_conf.rss_conf.rss_hf = f->conf.queues > 1 ?
			RTE_ETH_RSS_NONFRAG_IPV4_UDP : 0,
	};
	uint16_t nb = (uint16_t)f->conf.queues, desc = (uint16_t)f->conf.desc, i;
	int ret;

	ret = rte_eth_dev_get_port_by_name(FWD_PORT, &f->port_id);
	if (ret == 0)
		ret = rte_eth_dev_configure(f->port_id, nb, nb, &conf);
	for (i = 0; i < nb && ret == 0; i++)
		ret = rte_eth_rx_queue_setup(f->port_id, i, desc, SOCKET_ID_ANY, NULL, f->pool);
	for (i = 0; i < nb && ret == 0; i++)
		ret = rte_eth_tx_queue_setup(f->port_id, i, desc, SOCKET_ID_ANY, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(f->port_id);
	if (ret != 0)
		fwd_error(FWD_PORT ": %s", strerror(-ret));
	return ret;
}

int
fwd_migration_open(struct fwd *f)
{
	const struct lm_pci_params params = { .name = FWD_PORT, .timeout_ms = 10000 };
	int ret;

	if (f->mig != NULL && lm_pci_alive(f->mig))
		return 0;
	lm_vfio_close(f->vfio);
	if (f->mig != NULL)
		lm_pci_close(f->mig);
	f->vfio = NULL;
	f->mig = NULL;
	ret = lm_pci_open_vfio_user(f->conf.migration, &params, &f->mig);
	if (ret == 0)
		ret = lm_vfio_open(f->mig, &f->vfio);
	if (ret != 0)
		fwd_error("%s: %s", f->conf.migration, lm_pci_strerror(f->mig));
	return ret;
}

int
fwd_open(struct fwd *f)
{
	int ret;

	ret = window_open(f);
	if (ret == 0)
		ret = eal_open(f);
	if (ret == 0)
		ret = pool_open(f);
	if (ret == 0)
		ret = port_open(f);
	if (ret == 0)
		ret = lm_timeline_create("forward", &f->timeline);
	return ret == 0 ? fwd_migration_open(f) : ret;
}

void
fwd_port_close(struct fwd *f)
{
	rte_eth_dev_stop(f->port_id);
	rte_eth_dev_close(f->port_id);
}

void
fwd_close(struct fwd *f)
{
	lm_vfio_close(f->vfio);
	if (f->mig != NULL)
		lm_pci_close(f->mig);
	rte_mempool_free(f->pool);
	lm_ram_destroy(f->ram);
	lm_port_unprepare(FWD_PORT);
	lm_timeline_destroy(f->timeline);
	rte_eal_cleanup();
	lm_window_destroy(f->window);
}
