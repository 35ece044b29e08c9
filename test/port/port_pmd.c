/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A poll mode driver for the device of port_device.c that implements lm_port.h: what a real one
 * does, without a real one's hardware.
 */

#include <errno.h>
#include <string.h>

#include "lm_compat.h"

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "lm_port.h"
#include "lm_quiesce.h"
#include "lm_withdraw.h"
#include "port_test.h"

#define DRIVER "net_lmtest"
#define ITEM_DEVICE LM_PORT_ITEM_DRIVER
#define RING_BYTES (PORT_NB_DESC * sizeof(struct port_desc))
#define FRAME_ROOM 1920u

struct queue {
	struct lm_quiesce quiesce;
	struct port_ring ring;
	uint32_t producer;
	uint32_t consumer;
	struct rte_mbuf *slots[PORT_NB_DESC];
	struct rte_mempool *pool; /* Rx */
};

struct port {
	struct queue rx;
	struct queue tx;
	struct port_device device;
	struct lm_port *lm;
	struct port_setup setup;
	struct rte_ether_addr mac;
	uint16_t mtu;
};

struct port_setup port_setup;

static struct port *
port_of(uint16_t port_id)
{
	return rte_eth_devices[port_id].data->dev_private;
}

struct port_device *
port_device_of(uint16_t port_id)
{
	return &port_of(port_id)->device;
}

unsigned int
port_rx_filled(uint16_t port_id)
{
	const struct queue *q = &port_of(port_id)->rx;
	unsigned int nb = 0;

	while (q->ring.desc != NULL && q->consumer + nb != q->producer &&
			atomic_load(&q->ring.desc[(q->consumer + nb) % PORT_NB_DESC].done) != 0)
		nb++;
	return nb;
}

unsigned int
port_rx_posted(uint16_t port_id)
{
	return port_of(port_id)->rx.producer - port_of(port_id)->rx.consumer;
}

unsigned int
port_tx_pending(uint16_t port_id)
{
	return port_of(port_id)->tx.producer - port_of(port_id)->tx.consumer;
}

static void
post(struct queue *q, struct rte_mbuf *m, uint32_t len_bytes)
{
	struct port_desc *d = &q->ring.desc[q->producer % PORT_NB_DESC];

	d->iova = rte_pktmbuf_iova(m);
	d->len_bytes = len_bytes;
	atomic_store(&d->done, 0);
	q->slots[q->producer % PORT_NB_DESC] = m;
	q->producer++;
}

static void
ring_doorbell(struct queue *q)
{
	atomic_store(q->ring.doorbell, q->producer);
}

static uint16_t
rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb)
{
	struct queue *q = queue;
	uint16_t got = 0;

	if (!lm_quiesce_enter(&q->quiesce))
		return 0;
	while (got < nb && q->consumer != q->producer) {
		struct port_desc *d = &q->ring.desc[q->consumer % PORT_NB_DESC];
		struct rte_mbuf *fresh;

		if (atomic_load(&d->done) == 0)
			break;
		fresh = rte_pktmbuf_alloc(q->pool);
		if (fresh == NULL)
			break;
		pkts[got] = q->slots[q->consumer % PORT_NB_DESC];
		pkts[got]->data_len = (uint16_t)d->len_bytes;
		pkts[got]->pkt_len = d->len_bytes;
		got++;
		q->consumer++;
		post(q, fresh, FRAME_ROOM);
	}
	if (got != 0)
		ring_doorbell(q);
	lm_quiesce_exit(&q->quiesce);
	return got;
}

static void
tx_reclaim(struct queue *q)
{
	while (q->consumer != q->producer &&
			atomic_load(&q->ring.desc[q->consumer % PORT_NB_DESC].done) != 0) {
		rte_pktmbuf_free(q->slots[q->consumer % PORT_NB_DESC]);
		q->consumer++;
	}
}

static uint16_t
tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb)
{
	struct queue *q = queue;
	uint16_t sent = 0;

	if (!lm_quiesce_enter(&q->quiesce))
		return 0;
	tx_reclaim(q);
	for (; sent < nb && q->producer - q->consumer < PORT_NB_DESC; sent++)
		post(q, pkts[sent], pkts[sent]->data_len);
	if (sent != 0)
		ring_doorbell(q);
	lm_quiesce_exit(&q->quiesce);
	return sent;
}

/* lm_port: who gives up. */

static unsigned int
lm_queues(void *priv, struct lm_quiesce **queues, unsigned int max)
{
	struct port *p = priv;

	(void)max;
	queues[0] = &p->rx.quiesce;
	queues[1] = &p->tx.quiesce;
	return 2;
}

static int
describe(const struct port *p, const struct queue *q, struct lm_port_queue *rec)
{
	const struct lm_window *w = p->setup.window;
	uint32_t i;
	int ret = 0;

	rec->info.producer = q->producer;
	rec->info.consumer = q->consumer;
	rec->info.ring_bytes = RING_BYTES;
	if (!lm_window_offset(w, q->ring.desc, RING_BYTES, &rec->info.ring) ||
			!lm_window_offset(w, q->ring.doorbell, LM_PORT_DOORBELL_BYTES,
				&rec->info.doorbell))
		return -EFAULT;
	for (i = q->consumer; i != q->producer && ret == 0; i++) {
		const struct rte_mbuf *m = q->slots[i % PORT_NB_DESC];
		uint32_t len = q == &p->rx ? FRAME_ROOM : m->data_len;
		uint64_t offset;

		if (!lm_window_offset(w, rte_pktmbuf_mtod(m, void *), len, &offset))
			return -EFAULT;
		ret = lm_port_rec_slot(rec, i % PORT_NB_DESC, offset, len);
	}
	return ret;
}

static int
lm_give_up(void *priv, struct lm_port_rec **rec)
{
	struct port *p = priv;
	struct lm_port_rec *r;
	int ret;

	ret = lm_port_rec_create(DRIVER, 1, 1, PORT_NB_DESC, &r);
	if (ret != 0)
		return ret;
	r->port.mtu = p->mtu;
	memcpy(r->port.mac, &p->mac, sizeof(r->port.mac));
	/* A real device's state has a stream of its own. */
	r->items[r->nb_items++] = (struct lm_port_item){
		.type = ITEM_DEVICE | LM_RECORD_F_MANDATORY,
		.len_bytes = sizeof(p->device.state),
		.body = &p->device.state,
	};
	ret = describe(p, &p->rx, lm_port_rec_queue(r, false, 0));
	if (ret == 0)
		ret = describe(p, &p->tx, lm_port_rec_queue(r, true, 0));
	if (ret == 0)
		*rec = r;
	else
		lm_port_rec_destroy(r);
	return ret;
}

/* lm_port: who adopts. Fills in a queue that nothing points to yet. */

static int
withdraw(struct queue *q, const struct lm_port_queue *rec, struct lm_withdraw *w)
{
	uint32_t i;

	for (i = 0; i < rec->info.nb_slots; i++) {
		const struct lm_port_slot *s = &rec->slots[i];
		struct rte_mbuf *m = lm_withdraw_take(w, s->buffer, s->len_bytes);

		if (m == NULL)
			return -ENOENT;
		if (rec->info.is_tx) {
			m->data_len = (uint16_t)s->len_bytes;
			m->pkt_len = s->len_bytes;
		}
		q->slots[s->slot] = m;
	}
	return 0;
}

static int
adopt_queue(const struct port *p, struct queue *q, const struct lm_port_queue *rec,
		struct lm_withdraw *w)
{
	const struct lm_port_queue_info *info = &rec->info;
	uint32_t nb = info->producer - info->consumer, i;
	int ret;

	/* The slots must be those between the indices: a driver checks what only it knows. */
	if (info->nb_desc != PORT_NB_DESC || info->ring_bytes != RING_BYTES ||
			info->ring % sizeof(uint64_t) != 0 ||
			info->doorbell % sizeof(uint64_t) != 0 ||
			nb != info->nb_slots)
		return -EPROTO;
	ret = withdraw(q, rec, w);
	if (ret != 0)
		return ret;
	for (i = info->consumer; i != info->producer; i++)
		if (q->slots[i % PORT_NB_DESC] == NULL)
			return -EPROTO;
	q->producer = info->producer;
	q->consumer = info->consumer;
	q->ring.desc = lm_window_claim(p->setup.window, info->ring, RING_BYTES);
	q->ring.doorbell = lm_window_claim(p->setup.window, info->doorbell,
			LM_PORT_DOORBELL_BYTES);
	return q->ring.desc == NULL || q->ring.doorbell == NULL ? -EPROTO : 0;
}

static void
forget(struct queue *q)
{
	memset(&q->ring, 0, sizeof(q->ring));
	memset(q->slots, 0, sizeof(q->slots));
	q->producer = 0;
	q->consumer = 0;
}

static int
lm_adopt(void *priv, const struct lm_port_rec *rec)
{
	const struct lm_port_item *state = lm_port_rec_item(rec, ITEM_DEVICE);
	struct port *p = priv;
	struct lm_withdraw *w;
	int ret;

	if (rec->port.nb_rxq != 1 || rec->port.nb_txq != 1 || state == NULL ||
			state->len_bytes != sizeof(p->device.state))
		return -EPROTO;
	ret = lm_withdraw_begin(p->rx.pool, p->setup.window, &w);
	if (ret != 0)
		return ret;
	ret = adopt_queue(p, &p->rx, lm_port_rec_queue(rec, false, 0), w);
	if (ret == 0)
		ret = adopt_queue(p, &p->tx, lm_port_rec_queue(rec, true, 0), w);
	lm_withdraw_end(w, ret == 0);
	if (ret != 0) {
		forget(&p->rx);
		forget(&p->tx);
		lm_window_reset(p->setup.window);
		return ret;
	}
	memcpy(&p->device.state, state->body, sizeof(p->device.state));
	memcpy(&p->mac, rec->port.mac, sizeof(p->mac));
	p->mtu = (uint16_t)rec->port.mtu;
	p->device.rx = p->rx.ring;
	p->device.tx = p->tx.ring;
	return 0;
}

static int
lm_resume(void *priv)
{
	struct port *p = priv;

	ring_doorbell(&p->rx);
	ring_doorbell(&p->tx);
	return 0;
}

static const struct lm_port_ops lm_ops = {
	.driver = DRIVER,
	.queues = lm_queues,
	.give_up = lm_give_up,
	.adopt = lm_adopt,
	.resume = lm_resume,
};

/* ethdev */

static int
ring_alloc(struct port *p, struct queue *q)
{
	if (p->setup.incoming)
		return 0;
	q->ring.desc = lm_window_alloc(p->setup.window, RING_BYTES, 64);
	q->ring.doorbell = lm_window_alloc(p->setup.window, LM_PORT_DOORBELL_BYTES, 64);
	return q->ring.desc == NULL || q->ring.doorbell == NULL ? -ENOMEM : 0;
}

static int
rx_queue_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct port *p = dev->data->dev_private;

	(void)nb_desc, (void)socket_id, (void)conf;
	p->rx.pool = pool;
	lm_quiesce_setup(&p->rx.quiesce, "rx 0");
	dev->data->rx_queues[id] = &p->rx;
	return ring_alloc(p, &p->rx);
}

static int
tx_queue_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_txconf *conf)
{
	struct port *p = dev->data->dev_private;

	(void)nb_desc, (void)socket_id, (void)conf;
	lm_quiesce_setup(&p->tx.quiesce, "tx 0");
	dev->data->tx_queues[id] = &p->tx;
	return ring_alloc(p, &p->tx);
}

static int
dev_configure(struct rte_eth_dev *dev)
{
	(void)dev;
	return lm_quiesce_init();
}

static int
fill_rx(struct port *p)
{
	unsigned int i;

	for (i = 0; i < PORT_NB_DESC; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(p->rx.pool);

		if (m == NULL)
			return -ENOMEM;
		post(&p->rx, m, FRAME_ROOM);
	}
	ring_doorbell(&p->rx);
	p->device.rx = p->rx.ring;
	p->device.tx = p->tx.ring;
	port_device_run(&p->device, true);
	return 0;
}

static int
dev_start(struct rte_eth_dev *dev)
{
	struct port *p = dev->data->dev_private;
	const struct lm_port_conf conf = {
		.name = dev->data->name,
		.ops = &lm_ops,
		.priv = p,
		.window = p->setup.window,
		.incoming = p->setup.incoming,
	};
	int ret;

	ret = lm_port_create(&conf, &p->lm);
	if (ret == 0 && !p->setup.incoming)
		ret = fill_rx(p);
	dev->data->dev_link.link_status = ret == 0 ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
	return ret;
}

static int
dev_stop(struct rte_eth_dev *dev)
{
	struct port *p = dev->data->dev_private;

	port_device_run(&p->device, false);
	lm_port_destroy(p->lm);
	p->lm = NULL;
	return 0;
}

static int
dev_close(struct rte_eth_dev *dev)
{
	struct port *p = dev->data->dev_private;

	port_device_destroy(&p->device);
	dev->data->mac_addrs = NULL; /* it is a part of the port */
	return 0;
}

static int
dev_infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	(void)dev;
	info->max_rx_queues = 1;
	info->max_tx_queues = 1;
	info->max_mac_addrs = 1;
	info->max_rx_pktlen = FRAME_ROOM;
	info->min_rx_bufsize = FRAME_ROOM;
	return 0;
}

static int
link_update(struct rte_eth_dev *dev, int wait)
{
	(void)dev, (void)wait;
	return 0;
}

static const struct eth_dev_ops dev_ops = {
	.dev_configure = dev_configure,
	.dev_start = dev_start,
	.dev_stop = dev_stop,
	.dev_close = dev_close,
	.dev_infos_get = dev_infos_get,
	.rx_queue_setup = rx_queue_setup,
	.tx_queue_setup = tx_queue_setup,
	.link_update = link_update,
};

static int
probe(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_vdev_allocate(vdev, sizeof(struct port));
	struct port *p;
	int ret;

	if (dev == NULL)
		return -ENOMEM;
	p = dev->data->dev_private;
	p->setup = port_setup;
	p->mtu = 1500;
	rte_eth_random_addr(p->mac.addr_bytes);
	ret = port_device_create(&p->device, p->setup.window, p->setup.local, p->setup.peer);
	if (ret != 0) {
		rte_eth_dev_release_port(dev);
		return ret;
	}
	dev->data->mac_addrs = &p->mac;
	dev->dev_ops = &dev_ops;
	dev->rx_pkt_burst = rx_burst;
	dev->tx_pkt_burst = tx_burst;
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int
remove_port(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (dev == NULL)
		return 0;
	dev_close(dev);
	return rte_eth_dev_release_port(dev);
}

static struct rte_vdev_driver port_driver = {
	.probe = probe,
	.remove = remove_port,
};

RTE_PMD_REGISTER_VDEV(net_lmtest, port_driver);
