/* SPDX-License-Identifier: BSD-3-Clause */

/* Bringing a function up, in the order that its firmware expects, and down again. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>

#include "pds.h"

/* Firmware writes port_info in the largest form that any driver has: with all its statistics. */
#define PORT_INFO_BYTES 4096u

int
pds_dma_alloc(struct pds_port *p, const char *what, unsigned int index, size_t bytes,
		struct pds_dma *dma)
{
	char name[RTE_MEMZONE_NAMESIZE];

	dma->bytes = bytes;
	if (p->window != NULL) {
		dma->own = p->incoming ? rte_zmalloc("pds incoming", bytes, PDS_PAGE_BYTES) : NULL;
		dma->va = p->incoming ? dma->own :
				lm_window_alloc(p->window, bytes, PDS_PAGE_BYTES);
		dma->iova = (uintptr_t)dma->va;
		if (dma->va == NULL)
			PDS_LOG(ERR, p, "no memory in the window for %s %u: %zu bytes", what, index,
				bytes);
		return dma->va == NULL ? -ENOMEM : 0;
	}
	snprintf(name, sizeof(name), "pds_%u_%s_%u", p->data->port_id, what, index);
	dma->mz = rte_memzone_reserve_aligned(name, bytes, p->data->numa_node,
			RTE_MEMZONE_IOVA_CONTIG, PDS_PAGE_BYTES);
	if (dma->mz == NULL) {
		PDS_LOG(ERR, p, "no memory for %s %u: %zu bytes", what, index, bytes);
		return -ENOMEM;
	}
	dma->va = dma->mz->addr;
	dma->iova = dma->mz->iova;
	memset(dma->va, 0, bytes);
	return 0;
}

void
pds_dma_free(struct pds_dma *dma)
{
	if (dma->mz != NULL)
		rte_memzone_free(dma->mz);
	rte_free(dma->own);
	memset(dma, 0, sizeof(*dma));
}

static int
find_bars(struct pds_port *p)
{
	unsigned int bar, nb = 0;
	uint64_t size;

	/* The n-th memory BAR counts, whatever its register. */
	for (bar = 0; bar < LM_PCI_NUM_BARS && nb < 2; bar++) {
		size = lm_pci_bar_size(p->pci, bar);
		if (size == 0)
			continue;
		if (nb == 0 && size < LM_PDS_CORE_BAR0_SIZE)
			break;
		*(nb++ == 0 ? &p->bar_regs : &p->bar_db) = bar;
	}
	if (nb < 2) {
		PDS_LOG(ERR, p, "no BARs of registers and doorbells: is this a Pensando function?");
		return -ENODEV;
	}
	return 0;
}

static int
read_info(struct pds_port *p)
{
	uint32_t signature, i;
	int ret;

	ret = pds_reg_read(p, offsetof(struct lm_pds_core_dev_info_regs, signature), &signature,
			sizeof(signature));
	if (ret == 0 && signature != LM_PDS_CORE_DEV_INFO_SIGNATURE) {
		PDS_LOG(ERR, p, "signature 0x%x, not 0x%x", signature,
			LM_PDS_CORE_DEV_INFO_SIGNATURE);
		return -ENODEV;
	}
	for (i = 0; i < sizeof(p->fw_version) - 1 && ret == 0; i += 4)
		ret = pds_reg_read(p, offsetof(struct lm_pds_core_dev_info_regs, fw_version) + i,
				p->fw_version + i, 4);
	return ret;
}

static int
identify(struct pds_port *p)
{
	struct lm_pds_core_drv_identity drv = { .drv_type = LM_PDS_DRIVER_DPDK };
	struct lm_ionic_dev_identity dev = { 0 };
	const struct lm_ionic_dev_identify_cmd cmd = {
		.opcode = LM_IONIC_CMD_IDENTIFY,
		.ver = LM_IONIC_IDENTITY_VERSION_1,
	};
	const struct pds_devcmd dc = {
		.cmd = &cmd,
		.in = &drv,
		.in_bytes = sizeof(drv),
		.out = &dev,
		.out_bytes = offsetof(struct lm_ionic_dev_identity, hwstamp_mask),
	};
	int ret;

	snprintf(drv.driver_ver_str, sizeof(drv.driver_ver_str), "dpdk-lm");
	ret = pds_devcmd(p, &dc);
	if (ret != 0)
		return ret;
	if (dev.nlifs != 1 || dev.nintrs == 0 || dev.ndbpgs_per_lif == 0) {
		PDS_LOG(ERR, p, "%u LIFs, %u interrupts, %u doorbell pages: not what is driven "
			"here", dev.nlifs, dev.nintrs, dev.ndbpgs_per_lif);
		return -ENODEV;
	}
	p->nb_vectors = RTE_MIN(dev.nintrs, lm_pci_irq_count(p->pci));
	p->pages_per_lif = dev.ndbpgs_per_lif;
	return 0;
}

static int
simple_devcmd(struct pds_port *p, uint8_t opcode)
{
	const uint8_t cmd[LM_PDS_DEVCMD_BYTES] = { opcode };
	const struct pds_devcmd dc = { .cmd = cmd };

	return pds_devcmd(p, &dc);
}

static int
port_init(struct pds_port *p)
{
	uint8_t identify_cmd[LM_PDS_DEVCMD_BYTES] = { LM_IONIC_CMD_PORT_IDENTIFY };
	struct lm_ionic_port_init_cmd init = { .opcode = LM_IONIC_CMD_PORT_INIT };
	struct lm_ionic_port_config config;
	struct lm_ionic_port_identity id = { 0 };
	struct pds_devcmd dc = {
		.cmd = identify_cmd,
		.out = &id,
		.out_bytes = offsetof(struct lm_ionic_port_identity, lm_pad),
	};
	int ret;

	ret = pds_devcmd(p, &dc);
	if (ret == 0)
		ret = pds_dma_alloc(p, "port", 0, PORT_INFO_BYTES, &p->port_info_dma);
	if (ret != 0)
		return ret;
	p->port_info = p->port_info_dma.va;
	config = id.config;
	init.info_pa = p->port_info_dma.iova;
	dc = (struct pds_devcmd){ .cmd = &init, .in = &config, .in_bytes = sizeof(config) };
	return pds_devcmd(p, &dc);
}

static int
lif_identify(struct pds_port *p)
{
	const struct lm_ionic_lif_identify_cmd cmd = {
		.opcode = LM_IONIC_CMD_LIF_IDENTIFY,
		.type = LM_IONIC_LIF_TYPE_CLASSIC,
		.ver = LM_IONIC_IDENTITY_VERSION_1,
	};
	struct lm_ionic_lif_identity id = { 0 };
	const struct pds_devcmd dc = {
		.cmd = &cmd,
		.out = &id,
		.out_bytes = offsetof(struct lm_ionic_lif_identity, rdma),
	};
	uint32_t max;
	int ret;

	ret = pds_devcmd(p, &dc);
	if (ret != 0)
		return ret;
	max = lm_le32_get(&id.max_frame_size);
	p->max_rxq = RTE_MIN(id.config.queue_count[LM_IONIC_QTYPE_RXQ], PDS_MAX_QUEUES);
	p->max_txq = RTE_MIN(id.config.queue_count[LM_IONIC_QTYPE_TXQ], PDS_MAX_QUEUES);
	p->max_frame_bytes = RTE_MIN(max, (uint32_t)UINT16_MAX);
	p->max_ucast = RTE_MIN(id.max_ucast_filters, PDS_MAX_MAC);
	p->max_mcast = RTE_MIN(id.max_mcast_filters, PDS_MAX_MAC);
	p->rss_entries = RTE_MIN(id.rss_ind_tbl_sz, PDS_RSS_MAX_ENTRIES);
	if ((id.capabilities & LM_IONIC_LIF_CAP_ETH) == 0 || p->max_rxq == 0 || p->max_txq == 0 ||
			p->max_frame_bytes < RTE_ETHER_MIN_LEN || p->rss_entries == 0) {
		PDS_LOG(ERR, p, "no Ethernet: %u receive and %u transmit queues, frames up to %u",
			p->max_rxq, p->max_txq, p->max_frame_bytes);
		return -ENODEV;
	}
	return 0;
}

static int
q_identify(struct pds_port *p, uint8_t type, uint8_t version, struct lm_ionic_q_identity *id)
{
	const struct lm_ionic_q_identify_cmd cmd = {
		.opcode = LM_IONIC_CMD_Q_IDENTIFY,
		.lif_type = LM_IONIC_LIF_TYPE_CLASSIC,
		.type = type,
		.ver = version,
	};
	const struct pds_devcmd dc = {
		.cmd = &cmd,
		.out = id,
		.out_bytes = offsetof(struct lm_ionic_q_identity, lm_pad) + 2,
	};
	int ret;

	ret = pds_devcmd(p, &dc);
	if (ret == 0 && id->version > version)
		ret = -EPROTO;
	return ret;
}

static int
queue_versions(struct pds_port *p)
{
	struct lm_ionic_q_identity rx = { 0 }, tx = { 0 };
	int ret;

	ret = q_identify(p, LM_IONIC_QTYPE_RXQ, 2, &rx);
	if (ret == 0)
		ret = q_identify(p, LM_IONIC_QTYPE_TXQ, 3, &tx);
	if (ret != 0)
		return ret;
	p->rxq_version = rx.version;
	p->txq_version = tx.version;
	p->tx_stride = tx.version >= 1 ? LM_IONIC_TX_SG_DESC_STRIDE_V1 : LM_IONIC_TX_SG_DESC_STRIDE;
	p->tx_max_sg = tx.version >= 1 ? LM_IONIC_TX_MAX_SG_ELEMS_V1 : LM_IONIC_TX_MAX_SG_ELEMS;
	return 0;
}

static int
lif_init(struct pds_port *p)
{
	struct lm_ionic_lif_init_cmd cmd = { .opcode = LM_IONIC_CMD_LIF_INIT };
	struct lm_ionic_lif_init_comp comp;
	const struct pds_devcmd dc = { .cmd = &cmd, .comp = &comp };
	uint64_t last_page;
	int ret;

	ret = pds_dma_alloc(p, "lif", 0, sizeof(struct lm_ionic_lif_info), &p->lif_info_dma);
	if (ret == 0)
		ret = pds_dma_alloc(p, "rss", 0, PDS_RSS_MAX_ENTRIES, &p->rss_dma);
	if (ret != 0)
		return ret;
	p->lif_info = p->lif_info_dma.va;
	p->rss_table = p->rss_dma.va;
	cmd.info_pa = p->lif_info_dma.iova;
	ret = pds_devcmd(p, &dc);
	if (ret != 0)
		return ret;
	p->hw_index = comp.hw_index;
	last_page = (uint64_t)p->hw_index * p->pages_per_lif;
	if ((last_page + 1) * PDS_PAGE_BYTES > lm_pci_bar_size(p->pci, p->bar_db)) {
		PDS_LOG(ERR, p, "LIF %u has its doorbells beyond the BAR", p->hw_index);
		return -EPROTO;
	}
	return 0;
}

static int
notifyq_init(struct pds_port *p)
{
	struct pds_notifyq *q = &p->notifyq;
	struct lm_ionic_q_init_cmd cmd = {
		.type = LM_IONIC_QTYPE_NOTIFYQ,
		.intr_index = p->nb_vectors == 0 ? LM_IONIC_QINIT_NO_INTR : 0,
		.flags = LM_IONIC_QINIT_F_ENA |
			(p->nb_vectors == 0 ? 0 : LM_IONIC_QINIT_F_IRQ),
		.ring_size = PDS_NOTIFYQ_LG2,
	};
	uint32_t qid;
	uint8_t hw_type;
	int ret;

	/* Only one address is told: events follow at the next page. */
	ret = pds_dma_alloc(p, "notifyq", 0, 2 * PDS_PAGE_BYTES, &q->dma);
	if (ret != 0)
		return ret;
	q->events = RTE_PTR_ADD(q->dma.va, PDS_PAGE_BYTES);
	q->next = 0;
	q->last_eid = 0;
	lm_le64_set(&cmd.ring_base, q->dma.iova);
	return pds_q_init(p, &cmd, &qid, &hw_type);
}

int
pds_lif_setattr(struct pds_port *p, uint8_t attr, const void *value, uint32_t bytes)
{
	struct lm_ionic_lif_setattr_cmd cmd = {
		.opcode = LM_IONIC_CMD_LIF_SETATTR,
		.attr = attr,
	};

	memcpy(cmd.value, value, RTE_MIN(bytes, sizeof(cmd.value)));
	return pds_adminq_cmd(p, &cmd, NULL);
}

int
pds_lif_features(struct pds_port *p, uint64_t want)
{
	struct lm_ionic_lif_setattr_cmd cmd = {
		.opcode = LM_IONIC_CMD_LIF_SETATTR,
		.attr = LM_IONIC_LIF_ATTR_FEATURES,
	};
	struct lm_ionic_admin_comp comp;
	int ret;

	memcpy(cmd.value, &want, sizeof(want));
	ret = pds_adminq_cmd(p, &cmd, &comp);
	if (ret != 0)
		return ret;
	memcpy(&p->features, comp.cmd_data, sizeof(p->features));
	if ((want & ~p->features) != 0) {
		PDS_LOG(ERR, p, "the device does not grant features 0x%" PRIx64,
			want & ~p->features);
		return -ENOTSUP;
	}
	return 0;
}

static int
read_mac(struct pds_port *p)
{
	const struct lm_ionic_lif_getattr_cmd cmd = {
		.opcode = LM_IONIC_CMD_LIF_GETATTR,
		.attr = LM_IONIC_LIF_ATTR_MAC,
	};
	struct lm_ionic_admin_comp comp;
	struct rte_ether_addr *mac = p->data->mac_addrs;
	int ret;

	ret = pds_adminq_cmd(p, &cmd, &comp);
	if (ret != 0)
		return ret;
	memcpy(mac, comp.cmd_data, sizeof(*mac));
	if (!rte_is_valid_assigned_ether_addr(mac)) {
		rte_eth_random_addr(mac->addr_bytes);
		return pds_lif_setattr(p, LM_IONIC_LIF_ATTR_MAC, mac, sizeof(*mac));
	}
	return 0;
}

/* An incoming port: nothing that the state of another function would not replace. */
static int
stand_in(struct pds_port *p)
{
	int ret;

	ret = pds_dma_alloc(p, "port", 0, PORT_INFO_BYTES, &p->port_info_dma);
	if (ret == 0)
		ret = pds_dma_alloc(p, "lif", 0, sizeof(struct lm_ionic_lif_info),
				&p->lif_info_dma);
	if (ret == 0)
		ret = pds_dma_alloc(p, "rss", 0, PDS_RSS_MAX_ENTRIES, &p->rss_dma);
	if (ret == 0)
		ret = pds_dma_alloc(p, "adminq", 0, 2 * PDS_PAGE_BYTES, &p->adminq.dma);
	if (ret == 0)
		ret = pds_dma_alloc(p, "notifyq", 0, 2 * PDS_PAGE_BYTES, &p->notifyq.dma);
	if (ret != 0)
		return ret;
	p->port_info = p->port_info_dma.va;
	p->lif_info = p->lif_info_dma.va;
	p->rss_table = p->rss_dma.va;
	p->notifyq.events = RTE_PTR_ADD(p->notifyq.dma.va, PDS_PAGE_BYTES);
	return 0;
}

int
pds_lif_look(struct pds_port *p)
{
	int ret;

	ret = lm_pci_bus_master(p->pci, true);
	if (ret == 0)
		ret = find_bars(p);
	if (ret == 0)
		ret = read_info(p);
	if (ret == 0)
		ret = identify(p);
	if (ret == 0)
		ret = simple_devcmd(p, LM_IONIC_CMD_INIT);
	if (ret == 0)
		ret = lif_identify(p);
	if (ret == 0)
		ret = queue_versions(p);
	if (ret == 0)
		ret = stand_in(p);
	if (ret != 0) {
		PDS_LOG(ERR, p, "the function does not tell what it is: %s", strerror(-ret));
		pds_lif_down(p);
	}
	return ret;
}

int
pds_lif_up(struct pds_port *p)
{
	static const struct {
		const char *what;
		int (*step)(struct pds_port *p);
	} steps[] = {
		{ "BARs", find_bars },
		{ "device information", read_info },
		{ "identify", identify },
		{ "port", port_init },
		{ "LIF identity", lif_identify },
		{ "queue versions", queue_versions },
		{ "LIF", lif_init },
		{ "admin queue", pds_adminq_init },
		{ "notify queue", notifyq_init },
		{ "MAC address", read_mac },
	};
	unsigned int i;
	int ret;

	ret = lm_pci_bus_master(p->pci, true);
	for (i = 0; i < RTE_DIM(steps) && ret == 0; i++) {
		/* The one command between identities and the port that has no answer. */
		if (steps[i].step == port_init)
			ret = simple_devcmd(p, LM_IONIC_CMD_INIT);
		if (ret == 0)
			ret = steps[i].step(p);
		if (ret != 0)
			PDS_LOG(ERR, p, "%s: %s", steps[i].what, strerror(-ret));
	}
	if (ret != 0)
		pds_lif_down(p);
	return ret;
}

void
pds_lif_down(struct pds_port *p)
{
	/* After this the device writes nowhere. One that its PF has stopped takes no commands. */
	if (lm_pci_alive(p->pci) && (p->gone || p->incoming))
		(void)lm_pci_reset(p->pci);
	else if (lm_pci_alive(p->pci))
		(void)simple_devcmd(p, LM_IONIC_CMD_RESET);
	pds_adminq_release(p);
	pds_dma_free(&p->notifyq.dma);
	pds_dma_free(&p->lif_info_dma);
	pds_dma_free(&p->port_info_dma);
	pds_dma_free(&p->rss_dma);
	p->lif_info = NULL;
	p->port_info = NULL;
	p->rss_table = NULL;
}
