/* SPDX-License-Identifier: BSD-3-Clause */

/* Interrupts: vector 0 is the notify queue's (link), the next ones are those of receive queues. */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <ethdev_driver.h>

#include "pds.h"

#define INTR(vector, field) (LM_PDS_CORE_BAR0_INTR_CTRL_OFFSET + \
	(uint32_t)(vector) * (uint32_t)sizeof(struct lm_pds_core_intr) + \
	(uint32_t)offsetof(struct lm_pds_core_intr, field))

uint16_t
pds_rxq_vector(const struct pds_port *p, uint16_t index)
{
	return p->data->dev_conf.intr_conf.rxq && index + 1u < p->nb_vectors ? index + 1u :
			LM_IONIC_QINIT_NO_INTR;
}

static int
intr_write(struct pds_port *p, uint32_t offset, uint32_t value)
{
	return pds_reg_write(p, offset, &value, sizeof(value));
}

/* Ready and masked, no event counted. The order is that of pds_core and ionic. */
static int
vector_init(struct pds_port *p, uint16_t vector)
{
	int ret;

	ret = intr_write(p, INTR(vector, mask_on_assert), 1);
	if (ret == 0)
		ret = intr_write(p, INTR(vector, mask), LM_PDS_CORE_INTR_MASK_SET);
	return ret;
}

static int
vector_arm(struct pds_port *p, uint16_t vector)
{
	uint32_t credits;
	int ret;

	/* What was counted is taken back; what comes from now on interrupts. */
	ret = pds_reg_read(p, INTR(vector, credits), &credits, sizeof(credits));
	if (ret == 0)
		ret = intr_write(p, INTR(vector, credits),
				(credits & LM_PDS_CORE_INTR_CRED_COUNT_SIGNED) |
				LM_PDS_CORE_INTR_CRED_REARM);
	return ret;
}

int
pds_link_update(struct rte_eth_dev *dev, int wait)
{
	static const struct {
		uint32_t mbps;
		uint32_t speed;
	} speeds[] = {
		{ 1000, RTE_ETH_SPEED_NUM_1G }, { 10000, RTE_ETH_SPEED_NUM_10G },
		{ 25000, RTE_ETH_SPEED_NUM_25G }, { 40000, RTE_ETH_SPEED_NUM_40G },
		{ 50000, RTE_ETH_SPEED_NUM_50G }, { 100000, RTE_ETH_SPEED_NUM_100G },
		{ 200000, RTE_ETH_SPEED_NUM_200G },
	};
	const struct pds_port *p = dev->data->dev_private;
	const volatile struct lm_ionic_lif_status *s = &p->lif_info->status;
	struct rte_eth_link link = { .link_duplex = RTE_ETH_LINK_FULL_DUPLEX };
	uint32_t mbps = s->link_speed;
	unsigned int i;

	RTE_SET_USED(wait); /* the device keeps it up to date */
	link.link_autoneg = RTE_ETH_LINK_AUTONEG;
	link.link_speed = RTE_ETH_SPEED_NUM_NONE;
	if (s->link_status == LM_IONIC_PORT_OPER_STATUS_UP && dev->data->dev_started) {
		link.link_status = RTE_ETH_LINK_UP;
		link.link_speed = RTE_ETH_SPEED_NUM_UNKNOWN;
		for (i = 0; i < RTE_DIM(speeds); i++)
			if (speeds[i].mbps == mbps)
				link.link_speed = speeds[i].speed;
	}
	return rte_eth_linkstatus_set(dev, &link);
}

/* Events are new when their number is later than the last one's: it may wrap. */
static void
take_events(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	struct pds_notifyq *q = &p->notifyq;
	const volatile struct lm_ionic_link_change_event *e;
	unsigned int i;

	for (i = 0; i < PDS_NOTIFYQ_SIZE; i++) {
		e = &q->events[q->next];
		if ((int64_t)(e->eid - q->last_eid) <= 0)
			break;
		atomic_thread_fence(memory_order_acquire);
		q->last_eid = e->eid;
		q->next = (q->next + 1) % PDS_NOTIFYQ_SIZE;
		switch (e->ecode) {
		case LM_IONIC_EVENT_LINK_CHANGE:
			if (pds_link_update(dev, 0) == 0)
				rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
			break;
		case LM_IONIC_EVENT_RESET:
			PDS_LOG(ERR, p, "the firmware resets: the port has to be reset too");
			rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_RESET, NULL);
			break;
		default:
			break;
		}
	}
}

static void
on_notify(void *arg)
{
	struct rte_eth_dev *dev = arg;
	struct pds_port *p = dev->data->dev_private;
	uint64_t count;

	if (read(p->link_fd, &count, sizeof(count)) < 0 || pds_lm_is_away(p))
		return; /* pds_intr_fire() makes up for it */
	take_events(dev);
	(void)vector_arm(p, 0);
}

/* One descriptor a vector; ethdev's interrupt calls find those of queues in this handle. */
static int
make_handle(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;

	p->link_intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (p->link_intr == NULL)
		return -ENOMEM;
	p->link_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->link_fd < 0)
		return -errno;
	if (rte_intr_fd_set(p->link_intr, p->link_fd) != 0 ||
			rte_intr_type_set(p->link_intr, RTE_INTR_HANDLE_EXT) != 0)
		return -EIO;
	return lm_pci_irq_set(p->pci, 0, 1, &p->link_fd);
}

int
pds_intr_init(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	unsigned int i;
	int ret;

	p->link_fd = -1;
	for (i = 0; i < PDS_MAX_QUEUES; i++)
		p->rxq_fds[i] = -1;
	if (p->nb_vectors == 0)
		return 0;
	ret = make_handle(dev);
	if (ret == 0)
		ret = rte_intr_callback_register(p->link_intr, on_notify, dev);
	if (ret == 0)
		ret = vector_init(p, 0);
	if (ret == 0)
		ret = vector_arm(p, 0);
	if (ret == 0)
		dev->intr_handle = p->link_intr;
	else
		pds_intr_release(dev);
	return ret;
}

void
pds_intr_release(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;

	dev->intr_handle = NULL;
	if (p->link_intr != NULL) {
		rte_intr_callback_unregister_sync(p->link_intr, on_notify, dev);
		(void)lm_pci_irq_disable(p->pci);
		rte_intr_instance_free(p->link_intr);
	}
	if (p->link_fd >= 0)
		close(p->link_fd);
	p->link_intr = NULL;
	p->link_fd = -1;
}

static int
start_queue(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t vector = pds_rxq_vector(p, index);
	int fd, ret;

	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	p->rxq_fds[index] = fd;
	ret = lm_pci_irq_set(p->pci, vector, 1, &fd);
	if (ret == 0)
		ret = vector_init(p, vector);
	if (ret == 0 && (rte_intr_vec_list_index_set(p->link_intr, index,
			RTE_INTR_VEC_RXTX_OFFSET + index) != 0 ||
			rte_intr_efds_index_set(p->link_intr, index, fd) != 0))
		ret = -EIO;
	return ret;
}

int
pds_intr_start(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t i, nb = dev->data->nb_rx_queues;
	int ret;

	if (!dev->data->dev_conf.intr_conf.rxq)
		return 0;
	if (p->link_intr == NULL || nb + 1u > p->nb_vectors) {
		PDS_LOG(ERR, p, "%u receive queues cannot interrupt with %u vectors", nb,
			p->nb_vectors);
		return -ENOTSUP;
	}
	ret = rte_intr_vec_list_alloc(p->link_intr, NULL, nb);
	for (i = 0; i < nb && ret == 0; i++)
		ret = start_queue(dev, i);
	if (ret == 0 && (rte_intr_nb_efd_set(p->link_intr, nb) != 0 ||
			rte_intr_max_intr_set(p->link_intr, nb + 1) != 0 ||
			rte_intr_efd_counter_size_set(p->link_intr, sizeof(uint64_t)) != 0))
		ret = -EIO;
	if (ret != 0)
		pds_intr_stop(dev);
	return ret;
}

void
pds_intr_stop(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	const int none = -1;
	unsigned int i;

	for (i = 0; i < PDS_MAX_QUEUES; i++) {
		if (p->rxq_fds[i] < 0)
			continue;
		(void)lm_pci_irq_set(p->pci, i + 1, 1, &none);
		close(p->rxq_fds[i]);
		p->rxq_fds[i] = -1;
	}
	if (p->link_intr != NULL) {
		rte_intr_vec_list_free(p->link_intr);
		(void)rte_intr_nb_efd_set(p->link_intr, 0);
	}
}

void
pds_intr_fire(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	unsigned int i;

	if (p->link_fd >= 0)
		(void)eventfd_write(p->link_fd, 1);
	for (i = 0; i < PDS_MAX_QUEUES; i++)
		if (p->rxq_fds[i] >= 0)
			(void)eventfd_write(p->rxq_fds[i], 1);
}

int
pds_rxq_intr_enable(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t vector = pds_rxq_vector(p, index);

	return vector == LM_IONIC_QINIT_NO_INTR ? -ENOTSUP :
			intr_write(p, INTR(vector, mask), LM_PDS_CORE_INTR_MASK_CLEAR);
}

int
pds_rxq_intr_disable(struct rte_eth_dev *dev, uint16_t index)
{
	struct pds_port *p = dev->data->dev_private;
	uint16_t vector = pds_rxq_vector(p, index);
	uint32_t credits;
	int ret;

	if (vector == LM_IONIC_QINIT_NO_INTR)
		return -ENOTSUP;
	ret = intr_write(p, INTR(vector, mask), LM_PDS_CORE_INTR_MASK_SET);
	if (ret == 0)
		ret = pds_reg_read(p, INTR(vector, credits), &credits, sizeof(credits));
	/* Taken by polling: they must not interrupt later. */
	if (ret == 0)
		ret = intr_write(p, INTR(vector, credits),
				credits & LM_PDS_CORE_INTR_CRED_COUNT_SIGNED);
	return ret;
}
