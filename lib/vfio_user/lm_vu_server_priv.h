/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_VU_SERVER_PRIV_H
#define LM_VU_SERVER_PRIV_H

/**
 * @file
 * The server's insides, shared by its files only.
 */

#include <sys/types.h>

#include "lm_vu_dma.h"
#include "lm_vu_msg.h"
#include "lm_vu_server.h"

#define LM_VU_MAX_VECTORS 2048u /* PCI's limit for MSI-X */
#define LM_VU_SERVER_WAIT_MS 5000u /* a peer that does not read or answer for so long is lost */

/** One interrupt vector. */
struct lm_vu_vector {
	int fd; /* -1: not bound */
	bool blocking; /* O_NONBLOCK is not set: the peer's choice, shared with it */
	bool masked;
	bool pending; /* triggered while masked */
};

/** What a handler answers: payload of out_bytes in buf, and descriptors that stay the server's. */
struct lm_vu_reply {
	uint8_t *buf; /* LM_VU_MAX_PAYLOAD bytes */
	uint32_t len_bytes;
	uint32_t nb_fds;
	int fds[LM_VU_MAX_FDS];
};

/** A command that came while the server waited for a DMA reply on the same socket. */
struct lm_vu_deferred {
	struct lm_vu_deferred *next;
	struct lm_vu_msg msg;
};

struct lm_vu_conn {
	int sock; /* -1: nobody is connected */
	int twin; /* -1: server's commands travel on sock */
	bool negotiated;
	bool paused; /* the command at the head of deferred waits for lm_vu_server_resume() */
	const char *broken; /* why the connection must end, or NULL */
	uint16_t next_id;
	struct lm_vu_rx rx;
	struct lm_vu_rx twin_rx;
	struct lm_vu_caps caps;
	struct lm_vu_deferred *deferred;
	struct lm_vu_deferred **deferred_tail;
	uint32_t nb_deferred;
};

struct lm_vu_server {
	struct lm_vu_server_conf conf; /* path, regions[].areas, .ioeventfds: our copies */
	const struct lm_vu_server_ops *ops;
	void *ctx;
	bool has_migration;
	bool has_logging;
	uint64_t log_page_bytes; /* strict: of the last start */
	int epfd;
	int listener;
	int wake; /* eventfd: deferred commands or a broken connection wait for process() */
	dev_t sock_dev; /* identity of the socket file that we made */
	ino_t sock_ino;
	struct lm_vu_conn conn;
	struct lm_vu_dma_table dma;
	struct lm_vu_vector *vectors[LM_VU_NUM_IRQS];
	uint8_t *reply_buf;
};

/** Handle one command. @return 0 and *reply, or -errno for the peer. */
typedef int (*lm_vu_handler)(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);

int lm_vu_srv_version(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply,
		int *twin_peer);

int lm_vu_srv_dma_map(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);
int lm_vu_srv_dma_unmap(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);
void lm_vu_srv_dma_clear(struct lm_vu_server *s);

int lm_vu_srv_device_info(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);
int lm_vu_srv_region_info(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);
int lm_vu_srv_region_io_fds(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);
int lm_vu_srv_region_read(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);
int lm_vu_srv_region_write(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);
int lm_vu_srv_write_multi(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);
int lm_vu_srv_reset(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);

int lm_vu_srv_irqs_init(struct lm_vu_server *s);
void lm_vu_srv_irqs_clear(struct lm_vu_server *s);
void lm_vu_srv_irqs_fini(struct lm_vu_server *s);
int lm_vu_srv_irq_info(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);
int lm_vu_srv_set_irqs(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);

int lm_vu_srv_feature(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);
int lm_vu_srv_mig_read(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);
int lm_vu_srv_mig_write(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply);
int lm_vu_srv_precopy_info(struct lm_vu_server *s, struct lm_vu_msg *msg,
		struct lm_vu_reply *reply);

/** To the owner, if it asked. */
void lm_vu_srv_carried_out(struct lm_vu_server *s, uint16_t command);
/** As libvfio-user: 0, or -EINVAL. See lm_vu_server_conf.strict. */
int lm_vu_srv_strict_command(struct lm_vu_server *s, uint16_t command);
int lm_vu_srv_strict_report(struct lm_vu_server *s, uint64_t iova, uint64_t length_bytes,
		uint64_t page_size_bytes);

/** The connection cannot go on; it ends in the next lm_vu_server_process(). */
void lm_vu_srv_break(struct lm_vu_server *s, const char *why);
/** Take over a connected socket as if it had been accepted. */
int lm_vu_srv_adopt(struct lm_vu_server *s, int sock);
/** Run one command and answer it; breaks the connection where the protocol says so. */
void lm_vu_srv_command(struct lm_vu_server *s, struct lm_vu_msg *msg);

int lm_vu_srv_conf_copy(struct lm_vu_server *s, const struct lm_vu_server_conf *conf);
void lm_vu_srv_conf_free(struct lm_vu_server *s);
int lm_vu_srv_listen(struct lm_vu_server *s);
void lm_vu_srv_unlink(struct lm_vu_server *s);

#endif /* LM_VU_SERVER_PRIV_H */
