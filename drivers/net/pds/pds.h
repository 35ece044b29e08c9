/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PDS_H
#define PDS_H

/**
 * @file
 * Poll-mode driver of the Ethernet function of AMD Pensando DSC cards (1dd8:1003): its port.
 * Formats and orders are those of drivers/common/pds (pds_if.h, pds_eth_if.h, pds_ring_if.h).
 *
 *  pds_pci.c, pds_vdev.c   how a function is found; pds_args.c its arguments
 *  pds_ethdev.c            the port as ethdev sees it; pds_filter.c, pds_rss.c what it receives
 *  pds_lif.c               bringing the function up and down
 *  pds_cmd.c               device commands and the admin queue
 *  pds_queue.c             rings; pds_rx.c, pds_tx.c, pds_tso.c their bursts
 *  pds_intr.c, pds_stats.c
 *  pds_cold_*.c            handing a port to another process (pds_cold.h)
 *  pds_lm.c                its place in lm_port.h; pds_lm_give.c, pds_lm_adopt.c
 *
 * Control functions are called as ethdev allows: one thread at a time per port.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <ethdev_driver.h>
#include <rte_interrupts.h>
#include <rte_memzone.h>

#include "lm_compat.h"
#include "lm_pci.h"
#include "lm_pci_heap.h"
#include "lm_port.h"
#include "lm_quiesce.h"
#include "lm_window.h"
#include "pds_eth_if.h"
#include "pds_ring_if.h"
#include "pds_stats_if.h"

extern int pds_logtype;
#define RTE_LOGTYPE_PDS pds_logtype
#define PDS_LOG_NAME(level, name, fmt, ...) \
	RTE_LOG_LINE(level, PDS, "%s: " fmt, name, ##__VA_ARGS__)
#define PDS_LOG(level, p, fmt, ...) PDS_LOG_NAME(level, (p)->name, fmt, ##__VA_ARGS__)

#define PDS_MAX_QUEUES 16u
#define PDS_ADMINQ_LG2 4
#define PDS_ADMINQ_SIZE (1u << PDS_ADMINQ_LG2)
#define PDS_NOTIFYQ_LG2 6
#define PDS_NOTIFYQ_SIZE (1u << PDS_NOTIFYQ_LG2)
#define PDS_MIN_DESC 64u
#define PDS_MAX_DESC 16384u
#define PDS_DEFAULT_DESC 1024u
/** Mbufs of the ring that are fetched before their turn: as many slots lie behind it. */
#define PDS_RX_AHEAD 4u
#define PDS_MAX_MAC 32u
#define PDS_RSS_MAX_ENTRIES 512u
#define PDS_PAGE_BYTES 4096u
/** What a frame has beside its MTU: Ethernet header and one VLAN tag. */
#define PDS_FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)

/** Memory that the device reads and writes: a memzone, or part of a window (lm_window.h). */
struct pds_dma {
	const struct rte_memzone *mz; /* NULL: none, or not a memzone */
	void *own;                    /* incoming: stands in until a record says where it is */
	void *va;
	rte_iova_t iova;
	size_t bytes;
};

struct pds_args {
	char socket[108];  /* "": a function on the PCI bus */
	char lm[108];      /* "": nobody can take the port */
	char lm_from[108]; /* "": it is a port of its own */
	bool pds;         /* opt-in for the PCI bus, beside net_ionic */
};

struct pds_adminq {
	struct pds_dma dma;
	uint8_t (*desc)[LM_PDS_DEVCMD_BYTES];
	const struct lm_ionic_admin_comp *comp;
	uint16_t head;
	uint8_t color;
	uint8_t hw_type;
	uint32_t qid;
};

struct pds_notifyq {
	struct pds_dma dma;
	const struct lm_ionic_link_change_event *events;
	uint16_t next;
	uint64_t last_eid;
};

struct pds_rxq_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t no_mbuf;
	uint64_t errors;   /* the device gave a frame up */
	uint64_t bad_comp; /* completions that contradict the ring */
};

struct pds_rxq {
	/* What a burst touches. */
	struct lm_quiesce quiesce;
	volatile uint64_t *db;            /* NULL: by message */
	uint64_t db_value;                /* without the index */
	struct lm_ionic_rxq_desc *desc;
	struct lm_ionic_rxq_sg_elem *sg;
	const struct lm_ionic_rxq_comp *comp;
	struct rte_mbuf **mbufs;          /* nb_segs for each descriptor */
	const uint64_t *flags;            /* mbuf flags by csum_flags of a completion */
	struct rte_mempool *pool;
	uint64_t rearm;                   /* first 8 bytes of a fresh mbuf's fields */
	uint64_t base_flags;              /* of mbufs whose buffers are pinned elsewhere */
	uint16_t mask;
	uint16_t head;                    /* next to fill */
	uint16_t tail;                    /* next to complete */
	uint16_t free_thresh;
	uint16_t first_bytes;             /* room in the first buffer, and in others */
	uint16_t more_bytes;
	uint8_t color;
	uint8_t nb_segs;                  /* buffers for each descriptor */
	bool has_hash;
	struct pds_rxq_stats stats;

	/* Control. */
	struct pds_port *port;
	uint16_t index;
	uint8_t hw_type;
	bool deferred;
	uint32_t qid;
	uint64_t offloads;
	struct pds_dma dma;
} __rte_cache_aligned;

struct pds_txq_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t errors;   /* frames that cannot be described */
	uint64_t bad_comp;
};

struct pds_txq {
	struct lm_quiesce quiesce;
	volatile uint64_t *db;
	uint64_t db_value;
	struct lm_ionic_txq_desc *desc;
	struct lm_ionic_txq_sg_elem *sg;
	const struct lm_ionic_txq_comp *comp;
	struct rte_mbuf **mbufs;          /* at the last descriptor of each frame, else NULL */
	uint16_t mask;
	uint16_t head;
	uint16_t tail;                    /* oldest that is not done */
	uint16_t comp_tail;
	uint16_t free_thresh;
	uint8_t color;
	uint8_t sg_stride;
	uint8_t max_segs;                 /* buffers for each descriptor */
	bool fast_free;
	uint16_t nb_mixed;                /* from tail on: not all are of one mbuf */
	struct pds_txq_stats stats;

	struct pds_port *port;
	uint16_t index;
	uint8_t hw_type;
	bool deferred;
	uint32_t qid;
	uint64_t offloads;
	struct pds_dma dma;
} __rte_cache_aligned;

/** dev_private; in shared memory, but pci and what hangs on it are the primary process's. */
struct pds_port {
	char name[RTE_DEV_NAME_MAX_LEN];
	struct rte_eth_dev_data *data;
	struct lm_pci *pci;
	struct lm_pci_heap *heap;       /* NULL: all that it sees is in the window */
	struct lm_window *window;       /* NULL: its memory is DPDK's; it cannot be given up */
	struct lm_port *lm;             /* started, and in a window */
	bool incoming;                  /* probed so: device commands wait for a record */
	bool gone;                      /* given up: only a reset makes a port of it again */
	bool held;                      /* cold: stopped for who wants it, who does not run yet */
	struct pds_cold *cold;          /* lm=PATH */
	char cold_from[108];            /* lm_from=PATH, until it was taken */
	int cold_fd;
	pthread_mutex_t admin_lock;     /* the admin queue: pds_cold_give.c has a thread */
	unsigned int bar_regs; /* which BARs these are */
	unsigned int bar_db;

	/* What the function says of itself. */
	char fw_version[33];
	uint32_t nb_vectors;
	uint32_t pages_per_lif; /* of doorbells */
	uint32_t max_rxq;
	uint32_t max_txq;
	uint32_t max_frame_bytes;
	uint32_t max_ucast;
	uint32_t max_mcast;
	uint16_t rss_entries;
	uint8_t rxq_version;
	uint8_t txq_version;
	uint8_t tx_stride;
	uint8_t tx_max_sg;
	uint16_t hw_index;

	struct pds_adminq adminq;
	struct pds_notifyq notifyq;
	struct pds_dma lif_info_dma;
	struct pds_dma port_info_dma;
	struct pds_dma rss_dma;
	const struct lm_ionic_lif_info *lif_info;
	const struct lm_ionic_port_info *port_info;
	uint8_t *rss_table;

	/* What is set. */
	uint64_t features;
	uint16_t rx_mode;
	uint16_t rss_types;
	uint64_t rss_hf;
	uint8_t rss_key[LM_IONIC_RSS_HASH_KEY_SIZE];
	uint32_t mac_filter[PDS_MAX_MAC]; /* id + 1; 0: none */
	uint32_t nb_mcast;
	uint32_t mcast_filter[PDS_MAX_MAC];
	struct rte_ether_addr mcast[PDS_MAX_MAC];
	uint32_t vlan_filter[RTE_ETHER_MAX_VLAN_ID + 1]; /* id + 1; 0: none */
	uint64_t rx_flags[256];

	struct lm_ionic_lif_stats stats_base;

	int link_fd;
	struct rte_intr_handle *link_intr;
	int rxq_fds[PDS_MAX_QUEUES];
};

/* pds_args.c */
int pds_args_parse(const char *name, const char *text, struct pds_args *args);

/* pds_ethdev.c */

/** Make the port of a function. @return 0: pci is the port's; else it stays the caller's. */
int pds_port_create(struct rte_device *dev, const char *name, struct lm_pci *pci,
		const struct pds_args *args);
int pds_port_remove(struct rte_device *dev);

/* pds_cmd.c */

/** errno of a status code, negative; 0 for success. */
int pds_status_to_errno(uint8_t status);
/** A register of BAR 0: 1, 2, 4 or 8 bytes. */
int pds_reg_read(struct pds_port *p, uint32_t offset, void *value, uint32_t bytes);
int pds_reg_write(struct pds_port *p, uint32_t offset, const void *value, uint32_t bytes);

struct pds_devcmd {
	const void *cmd; /* 64 bytes */
	void *comp;      /* 16 bytes, or NULL */
	const void *in;
	uint32_t in_bytes; /* multiples of 4, both */
	void *out;
	uint32_t out_bytes;
};
/** @return 0; -ENXIO: firmware does not run; -ETIMEDOUT; or the errno of the status */
int pds_devcmd(struct pds_port *p, const struct pds_devcmd *dc);
int pds_adminq_init(struct pds_port *p);
void pds_adminq_release(struct pds_port *p);
/** As pds_devcmd(), by the admin queue. comp may be NULL. */
int pds_adminq_cmd(struct pds_port *p, const void *cmd, void *comp);
/** Fill a Q_INIT, send it by the admin queue, and take what it answers. */
int pds_q_init(struct pds_port *p, struct lm_ionic_q_init_cmd *cmd, uint32_t *qid,
		uint8_t *hw_type);
int pds_q_control(struct pds_port *p, uint8_t type, uint32_t index, uint8_t oper);

/* pds_lif.c */
int pds_lif_up(struct pds_port *p);
/** What the function says of itself, and stand-ins for memory that a record will name. */
int pds_lif_look(struct pds_port *p);
void pds_lif_down(struct pds_port *p);
/** Features for the port's offloads. @return 0; -ENOTSUP: not granted, named in the log */
int pds_lif_features(struct pds_port *p, uint64_t want);
int pds_lif_setattr(struct pds_port *p, uint8_t attr, const void *value, uint32_t bytes);
int pds_dma_alloc(struct pds_port *p, const char *what, unsigned int index, size_t bytes,
		struct pds_dma *dma);
void pds_dma_free(struct pds_dma *dma);

/* pds_queue.c */
int pds_rxq_setup(struct rte_eth_dev *dev, uint16_t index, uint16_t nb_desc,
		unsigned int socket, const struct rte_eth_rxconf *conf, struct rte_mempool *pool);
int pds_txq_setup(struct rte_eth_dev *dev, uint16_t index, uint16_t nb_desc,
		unsigned int socket, const struct rte_eth_txconf *conf);
void pds_rxq_release(struct rte_eth_dev *dev, uint16_t index);
void pds_txq_release(struct rte_eth_dev *dev, uint16_t index);
int pds_rxq_start(struct rte_eth_dev *dev, uint16_t index);
int pds_rxq_stop(struct rte_eth_dev *dev, uint16_t index);
int pds_txq_start(struct rte_eth_dev *dev, uint16_t index);
int pds_txq_stop(struct rte_eth_dev *dev, uint16_t index);
/** How many buffers a descriptor of each queue has. @return -EINVAL: MTU or buffers do not fit */
int pds_rxqs_fit(struct rte_eth_dev *dev);
/** Rings of a queue, from their memory's begin on; as pds_dma_alloc() made it. */
void pds_rxq_place(struct pds_rxq *q);
void pds_txq_place(struct pds_txq *q);
/** Where a doorbell is; NULL: it is not mapped. */
volatile uint64_t *pds_doorbell_ptr(struct pds_port *p, uint16_t page, uint8_t hw_type);
/** Doorbell page of a queue: each index its own, as far as there are. */
uint16_t pds_queue_page(const struct pds_port *p, uint16_t index);
/** By message: where a doorbell page is not mapped. */
void pds_doorbell_post(struct pds_port *p, uint16_t page, uint8_t hw_type, uint64_t value);

/* pds_rx.c */
uint16_t pds_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts);
uint16_t pds_rx_burst_scattered(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts);
void pds_rx_fill(struct pds_rxq *q);
void pds_rx_ring(struct pds_rxq *q);
void pds_rx_drain(struct pds_rxq *q);
void pds_rx_flags_init(struct pds_port *p);
int pds_rx_descriptor_status(void *queue, uint16_t offset);
uint32_t pds_rx_queue_used(struct pds_rxq *q);

/* pds_tx.c */
uint16_t pds_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts);
uint16_t pds_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t nb_pkts);
void pds_tx_drain(struct pds_txq *q);
void pds_tx_ring(struct pds_txq *q);
/** Descriptors from the oldest on that the device has completed; changes nothing. */
uint16_t pds_tx_completed(const struct pds_txq *q);
int pds_tx_descriptor_status(void *queue, uint16_t offset);
int pds_tx_done_cleanup(void *queue, uint32_t nb);

/* pds_tso.c */

/** Descriptors that a frame with TSO takes; 0: it cannot be described. */
uint16_t pds_tso_descriptors(const struct pds_txq *q, const struct rte_mbuf *m);
/** Describe it from q->head on. @return descriptors, 0: buffers are too small for mss */
uint16_t pds_tso_enqueue(struct pds_txq *q, struct rte_mbuf *m);

/* pds_filter.c */
int pds_rx_mode_set(struct pds_port *p, uint16_t mode);
int pds_promiscuous_enable(struct rte_eth_dev *dev);
int pds_promiscuous_disable(struct rte_eth_dev *dev);
int pds_allmulticast_enable(struct rte_eth_dev *dev);
int pds_allmulticast_disable(struct rte_eth_dev *dev);
int pds_mac_addr_add(struct rte_eth_dev *dev, struct rte_ether_addr *addr, uint32_t index,
		uint32_t pool);
void pds_mac_addr_remove(struct rte_eth_dev *dev, uint32_t index);
int pds_mac_addr_set(struct rte_eth_dev *dev, struct rte_ether_addr *addr);
int pds_set_mc_addr_list(struct rte_eth_dev *dev, struct rte_ether_addr *list, uint32_t nb);
int pds_vlan_filter_set(struct rte_eth_dev *dev, uint16_t vlan, int on);

/* pds_rss.c */
#define PDS_RSS_HF (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | \
	RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP | \
	RTE_ETH_RSS_NONFRAG_IPV6_UDP)
int pds_rss_start(struct rte_eth_dev *dev);
int pds_reta_update(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size);
int pds_reta_query(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t size);
int pds_rss_hash_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf);
int pds_rss_hash_conf_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf);

/* pds_intr.c */
int pds_link_update(struct rte_eth_dev *dev, int wait);
int pds_intr_init(struct rte_eth_dev *dev);
void pds_intr_release(struct rte_eth_dev *dev);
int pds_intr_start(struct rte_eth_dev *dev);
void pds_intr_stop(struct rte_eth_dev *dev);
int pds_rxq_intr_enable(struct rte_eth_dev *dev, uint16_t index);
int pds_rxq_intr_disable(struct rte_eth_dev *dev, uint16_t index);
/** Vector of a receive queue; LM_IONIC_QINIT_NO_INTR: it has none. */
uint16_t pds_rxq_vector(const struct pds_port *p, uint16_t index);

/** After a migration: each interrupt once, as it may have been lost on the way. */
void pds_intr_fire(struct rte_eth_dev *dev);

/* pds_lm.c */

/** Its commands are not for now: it waits for a record, or its device stops. */
bool pds_lm_is_away(const struct pds_port *p);
/** The started port can be given up; or waits for a record. Nothing without a window. */
int pds_lm_start(struct rte_eth_dev *dev);
/** @return true: the function has been given up, or is not ours yet: ask nothing of it */
bool pds_lm_stop(struct rte_eth_dev *dev);

/* pds_lm_give.c, pds_lm_adopt.c */

/** The port as a record, and a record that was checked; as struct lm_port_ops has them. */
int pds_lm_give_up(void *priv, struct lm_port_rec **rec);
int pds_lm_adopt(void *priv, const struct lm_port_rec *rec);

/* pds_cold_give.c, pds_cold_take.c: pds_cold.h */

/** Let another process take the port, at a socket. */
int pds_cold_serve(struct pds_port *p, const char *path);
void pds_cold_end(struct pds_port *p);
/** At probe: addresses and MTU of the port that will be taken. */
int pds_cold_peek(struct pds_port *p, const char *path);
/** At start, when only the queues are missing: stop the other port and set what it has. */
int pds_cold_take(struct rte_eth_dev *dev);
/** They run, or result says that they do not: tell the other. @return result, or why not */
int pds_cold_taken(struct rte_eth_dev *dev, int result);

/* pds_stats.c */
int pds_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats);
int pds_stats_reset(struct rte_eth_dev *dev);
int pds_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int max);
int pds_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
		unsigned int max);

#endif /* PDS_H */
