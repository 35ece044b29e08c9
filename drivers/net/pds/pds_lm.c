/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Hot hand-over of the port: its place in lm_port.h. The port of an application that has prepared
 * a window (lm_port_prepare()) keeps all that the device sees in there, and can then be given up
 * while it runs, or wait for the record of another. A port without a window is as any other.
 */

#include <errno.h>

#include "pds.h"

static unsigned int
lm_queues(void *priv, struct lm_quiesce **queues, unsigned int max)
{
	const struct rte_eth_dev_data *data = ((struct pds_port *)priv)->data;
	unsigned int nb = 0, i;

	for (i = 0; i < data->nb_rx_queues && nb < max; i++)
		queues[nb++] = &((struct pds_rxq *)data->rx_queues[i])->quiesce;
	for (i = 0; i < data->nb_tx_queues && nb < max; i++)
		queues[nb++] = &((struct pds_txq *)data->tx_queues[i])->quiesce;
	return nb;
}

static int
lm_resume(void *priv)
{
	struct pds_port *p = priv;
	struct rte_eth_dev *dev = &rte_eth_devices[p->data->port_id];
	uint16_t i;

	p->incoming = false;
	for (i = 0; i < p->data->nb_rx_queues; i++)
		pds_rx_ring(p->data->rx_queues[i]);
	for (i = 0; i < p->data->nb_tx_queues; i++)
		pds_tx_ring(p->data->tx_queues[i]);
	pds_intr_fire(dev);
	(void)pds_link_update(dev, 0);
	return 0;
}

static const struct lm_port_ops lm_ops = {
	.driver = "net_pds",
	.queues = lm_queues,
	.give_up = pds_lm_give_up,
	.adopt = pds_lm_adopt,
	.resume = lm_resume,
};

bool
pds_lm_is_away(const struct pds_port *p)
{
	enum lm_port_mode mode;

	if (p->gone || p->incoming || p->held)
		return true;
	if (p->lm == NULL)
		return false;
	mode = lm_port_mode(p->lm);
	return mode == LM_PORT_PARKED || mode == LM_PORT_GIVEN;
}

int
pds_lm_start(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;
	const struct lm_port_conf conf = {
		.name = p->name,
		.ops = &lm_ops,
		.priv = p,
		.window = p->window,
		.incoming = p->incoming,
	};
	int ret;

	if (p->window == NULL)
		return 0;
	ret = lm_port_create(&conf, &p->lm);
	if (ret != 0)
		PDS_LOG(ERR, p, "it cannot be given up: %s", strerror(-ret));
	return ret;
}

bool
pds_lm_stop(struct rte_eth_dev *dev)
{
	struct pds_port *p = dev->data->dev_private;

	/* A device that its PF has stopped, or that has another's state, is not asked. */
	p->gone = pds_lm_is_away(p);
	lm_port_destroy(p->lm);
	p->lm = NULL;
	return p->gone;
}
