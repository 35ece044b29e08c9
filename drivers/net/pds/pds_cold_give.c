/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The giver: a thread that listens at lm=PATH. Its commands to the device go beside those of the
 * application, which is why the admin queue has a lock.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_string_fns.h>

#include "lm_thread.h"
#include "pds_cold.h"

#define PARK_US UINT64_C(200000)
#define DRAIN_TRIES 2000 /* of 100 us */
#define DRAIN_US 100

struct pds_cold {
	struct pds_port *p;
	char path[108];
	int listen_fd;
	int stop_fd;
	struct lm_thread thread;
};

static void
describe(const struct pds_port *p, struct pds_cold_rec *r)
{
	const uint64_t *now = (const uint64_t *)&p->lif_info->stats;
	const uint64_t *base = (const uint64_t *)&p->stats_base;
	uint64_t *out = (uint64_t *)&r->stats;
	unsigned int i;

	memset(r, 0, sizeof(*r));
	r->flags = (p->data->promiscuous ? PDS_COLD_F_PROMISCUOUS : 0) |
			(p->data->all_multicast ? PDS_COLD_F_ALLMULTICAST : 0) |
			(p->rss_hf != 0 ? PDS_COLD_F_RSS : 0);
	r->mtu = p->data->mtu;
	r->nb_rxq = p->data->nb_rx_queues;
	r->rss_hf = p->rss_hf;
	r->rss_entries = p->rss_entries;
	r->nb_mcast = p->nb_mcast;
	memcpy(r->rss_key, p->rss_key, sizeof(r->rss_key));
	memcpy(r->rss_table, p->rss_table, p->rss_entries);
	for (i = 0; i < PDS_MAX_MAC; i++)
		if (p->mac_filter[i] != 0 || i == 0)
			memcpy(r->macs[i], &p->data->mac_addrs[i], sizeof(r->macs[i]));
	memcpy(r->mcast, p->mcast, sizeof(r->mcast));
	for (i = 0; i <= RTE_ETHER_MAX_VLAN_ID; i++)
		if (p->vlan_filter[i] != 0)
			r->vlans[i / 64] |= RTE_BIT64(i % 64);
	for (i = 0; i < sizeof(r->stats) / sizeof(*out); i++)
		out[i] = now[i] - base[i];
}

static unsigned int
words(const struct rte_eth_dev_data *data, struct lm_quiesce **out)
{
	unsigned int nb = 0, i;

	for (i = 0; i < data->nb_rx_queues; i++)
		out[nb++] = &((struct pds_rxq *)data->rx_queues[i])->quiesce;
	for (i = 0; i < data->nb_tx_queues; i++)
		out[nb++] = &((struct pds_txq *)data->tx_queues[i])->quiesce;
	return nb;
}

static int
switch_queues(struct pds_port *p, uint8_t type, uint8_t oper)
{
	const uint8_t *state = type == LM_IONIC_QTYPE_RXQ ? p->data->rx_queue_state :
			p->data->tx_queue_state;
	uint16_t nb = type == LM_IONIC_QTYPE_RXQ ? p->data->nb_rx_queues : p->data->nb_tx_queues;
	uint16_t i;
	int ret = 0, one;

	for (i = 0; i < nb; i++) {
		one = state[i] == RTE_ETH_QUEUE_STATE_STARTED ? pds_q_control(p, type, i, oper) : 0;
		ret = ret != 0 ? ret : one;
	}
	return ret;
}

/* What came before the queues were switched off is the application's: let it be polled. */
static void
drain_rx(const struct pds_port *p)
{
	unsigned int tries;
	uint16_t i;

	for (tries = 0; tries < DRAIN_TRIES; tries++) {
		for (i = 0; i < p->data->nb_rx_queues; i++) {
			const volatile struct pds_rxq *q = p->data->rx_queues[i];

			if ((q->comp[q->tail].pkt_type_color & LM_IONIC_COMP_COLOR_MASK) ==
					q->color)
				break;
		}
		if (i == p->data->nb_rx_queues)
			return;
		rte_delay_us_sleep(DRAIN_US);
	}
}

/* The queues are ours: the device sends what is in them. */
static void
drain_tx(const struct pds_port *p)
{
	unsigned int tries;
	uint16_t i;

	for (tries = 0; tries < DRAIN_TRIES; tries++) {
		for (i = 0; i < p->data->nb_tx_queues; i++) {
			const struct pds_txq *q = p->data->tx_queues[i];

			if (pds_tx_completed(q) != ((q->head - q->tail) & q->mask))
				break;
		}
		if (i == p->data->nb_tx_queues)
			return;
		rte_delay_us_sleep(DRAIN_US);
	}
}

static int
hold(struct pds_port *p)
{
	struct lm_quiesce *queues[2 * PDS_MAX_QUEUES];
	const struct lm_quiesce *late = NULL;
	unsigned int nb = words(p->data, queues);
	int ret;

	ret = switch_queues(p, LM_IONIC_QTYPE_RXQ, LM_IONIC_Q_DISABLE);
	if (ret == 0) {
		drain_rx(p);
		ret = lm_quiesce_park(queues, nb, PARK_US, &late);
	}
	if (ret != 0) {
		PDS_LOG(ERR, p, "%s is not given: %s", late != NULL ? late->name : "the port",
			strerror(-ret));
		(void)switch_queues(p, LM_IONIC_QTYPE_RXQ, LM_IONIC_Q_ENABLE);
		return ret;
	}
	drain_tx(p);
	ret = switch_queues(p, LM_IONIC_QTYPE_TXQ, LM_IONIC_Q_DISABLE);
	p->held = true;
	return ret;
}

static void
go_on(struct pds_port *p)
{
	struct lm_quiesce *queues[2 * PDS_MAX_QUEUES];
	unsigned int nb = words(p->data, queues);
	int ret;

	p->held = false;
	ret = switch_queues(p, LM_IONIC_QTYPE_TXQ, LM_IONIC_Q_ENABLE);
	if (ret == 0)
		ret = switch_queues(p, LM_IONIC_QTYPE_RXQ, LM_IONIC_Q_ENABLE);
	if (ret != 0)
		PDS_LOG(ERR, p, "queues do not start again: %s", strerror(-ret));
	lm_quiesce_release(queues, nb);
}

static void
give_away(struct pds_port *p)
{
	struct rte_eth_dev *dev = &rte_eth_devices[p->data->port_id];
	const struct rte_eth_link down = { .link_status = RTE_ETH_LINK_DOWN };

	p->gone = true;
	p->held = false;
	PDS_LOG(NOTICE, p, "the port was given to another process; it can be stopped and closed");
	if (rte_eth_linkstatus_set(dev, &down) == 0)
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
}

static int
refuse(int fd, int err)
{
	const lm_le32_t code = (uint32_t)-err;

	return pds_cold_send(fd, PDS_COLD_REFUSED, &code, sizeof(code));
}

/* Until RUNNING has come, it can go on here at any time. */
static void
take(struct pds_port *p, int fd)
{
	enum pds_cold_type type = PDS_COLD_PEEK;
	bool started = p->data->dev_started;
	struct pds_cold_rec rec;
	uint32_t len = 0;
	int ret;

	if (p->gone || p->lm != NULL || p->incoming) {
		(void)refuse(fd, -EBUSY);
		return;
	}
	ret = started ? hold(p) : 0;
	if (ret != 0) {
		if (p->held)
			go_on(p);
		(void)refuse(fd, ret);
		return;
	}
	describe(p, &rec);
	ret = pds_cold_send(fd, PDS_COLD_RECORD, &rec, sizeof(rec));
	if (ret == 0)
		ret = pds_cold_recv(fd, &type, NULL, &len);
	if (ret == 0 && type == PDS_COLD_RUNNING) {
		give_away(p);
		(void)pds_cold_send(fd, PDS_COLD_DONE, NULL, 0);
		return;
	}
	if (started)
		go_on(p);
	PDS_LOG(WARNING, p, "who wanted the port does not run: it goes on here");
}

static void
serve(struct pds_port *p, int fd)
{
	struct pds_cold_rec rec;
	enum pds_cold_type type;
	uint32_t len = 0;

	if (pds_cold_recv(fd, &type, NULL, &len) != 0)
		return;
	if (type == PDS_COLD_TAKE) {
		take(p, fd);
	} else if (type == PDS_COLD_PEEK && !p->gone) {
		describe(p, &rec);
		(void)pds_cold_send(fd, PDS_COLD_RECORD, &rec, sizeof(rec));
	} else {
		(void)refuse(fd, p->gone ? -EBUSY : -EPROTO);
	}
}

static bool
may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
			(peer.uid == geteuid() || peer.uid == 0);
}

static lm_thread_ret_t
cold_main(void *arg)
{
	struct pds_cold *c = arg;
	struct pollfd p[2] = {
		{ .fd = c->listen_fd, .events = POLLIN }, { .fd = c->stop_fd, .events = POLLIN },
	};
	int fd;

	while (p[1].revents == 0) {
		if (poll(p, 2, -1) < 0 || (p[0].revents & POLLIN) == 0)
			continue;
		fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (may_ask(fd))
			serve(c->p, fd);
		close(fd);
	}
	return LM_THREAD_RETURN;
}

/* One that was left behind; never a file that is none of ours, nor somebody's who answers. */
static int
remove_stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;
	struct stat st;

	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : errno;
	close(fd);
	if (err == 0)
		return -EADDRINUSE;
	if (err == ECONNREFUSED && lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(addr->sun_path);
	return 0;
}

static int
listen_at(struct pds_cold *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	strlcpy(addr.sun_path, c->path, sizeof(addr.sun_path));
	ret = remove_stale(&addr);
	if (ret != 0)
		return ret;
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->listen_fd < 0)
		return -errno;
	if (bind(c->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
			chmod(c->path, S_IRUSR | S_IWUSR) != 0 || listen(c->listen_fd, 4) != 0)
		return -errno;
	return 0;
}

int
pds_cold_serve(struct pds_port *p, const char *path)
{
	struct pds_cold *c = rte_zmalloc("pds cold", sizeof(*c), 0);
	int ret;

	if (c == NULL)
		return -ENOMEM;
	c->p = p;
	c->listen_fd = -1;
	strlcpy(c->path, path, sizeof(c->path));
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	ret = c->stop_fd < 0 ? -errno : listen_at(c);
	if (ret == 0)
		ret = lm_thread_create(&c->thread, "lm-cold", cold_main, c);
	if (ret != 0) {
		PDS_LOG(ERR, p, "it cannot be given at %s: %s", path, strerror(-ret));
		if (c->listen_fd >= 0)
			close(c->listen_fd);
		if (c->stop_fd >= 0)
			close(c->stop_fd);
		rte_free(c);
		return ret;
	}
	p->cold = c;
	return 0;
}

void
pds_cold_end(struct pds_port *p)
{
	struct pds_cold *c = p->cold;

	if (c == NULL)
		return;
	p->cold = NULL;
	(void)eventfd_write(c->stop_fd, 1);
	lm_thread_join(&c->thread);
	close(c->listen_fd);
	close(c->stop_fd);
	(void)unlink(c->path);
	rte_free(c);
}
