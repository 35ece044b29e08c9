/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lm_vu_server_priv.h"

#define MAX_DEFERRED 256u /* commands that a client may pipeline while we wait for it */

int
lm_vu_srv_dma_map(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_dma_map map;
	int ret;

	(void)reply;
	memcpy(&map, msg->payload, sizeof(map));
	if (map.argsz < sizeof(map) || msg->nb_fds > 1)
		return -EINVAL;
	if (s->conf.iova_bits != 0 && s->conf.iova_bits < 64 && (map.size == 0 ||
			(map.addr | (map.addr + (map.size - 1))) >> s->conf.iova_bits != 0))
		return -EINVAL;
	ret = lm_vu_dma_add(&s->dma, &map, msg->nb_fds == 1 ? msg->fds[0] : -1);
	if (ret == 0 && s->ops->dma_mapped != NULL)
		s->ops->dma_mapped(s->ctx, map.addr, map.size, map.flags);
	return ret;
}

static void
unmap_one(struct lm_vu_server *s, uint32_t index)
{
	const struct lm_vu_dma_entry *e = &s->dma.entries[index];

	if (s->ops->dma_unmapping != NULL)
		s->ops->dma_unmapping(s->ctx, e->iova, e->size_bytes);
	lm_vu_dma_remove(&s->dma, index);
}

void
lm_vu_srv_dma_clear(struct lm_vu_server *s)
{
	while (s->dma.nb > 0)
		unmap_one(s, s->dma.nb - 1);
}

int
lm_vu_srv_dma_unmap(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_dma_unmap un;
	int index;

	memcpy(&un, msg->payload, sizeof(un));
	if (un.argsz < sizeof(un) || (un.flags & ~LM_VU_UNMAP_ALL) != 0)
		return -EINVAL;
	if (un.flags == LM_VU_UNMAP_ALL) {
		if (un.addr != 0 || un.size != 0)
			return -EINVAL;
		lm_vu_srv_dma_clear(s);
	} else {
		index = lm_vu_dma_find(&s->dma, un.addr, un.size);
		if (index < 0)
			return index;
		unmap_one(s, (uint32_t)index);
	}
	un.argsz = sizeof(un);
	memcpy(reply->buf, &un, sizeof(un));
	reply->len_bytes = sizeof(un);
	return 0;
}

void *
lm_vu_server_dma_ptr(struct lm_vu_server *s, uint64_t iova, uint64_t len_bytes, uint32_t prot)
{
	const struct lm_vu_dma_entry *e = lm_vu_dma_lookup(&s->dma, iova, prot);

	if (e == NULL || e->ptr == NULL || len_bytes > e->size_bytes - (iova - e->iova))
		return NULL;
	return e->ptr + (iova - e->iova);
}

void *
lm_vu_server_dma_span(struct lm_vu_server *s, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	const struct lm_vu_dma_entry *e = lm_vu_dma_lookup(&s->dma, iova, prot);
	uint64_t left_bytes;

	if (e == NULL || e->ptr == NULL)
		return NULL;
	left_bytes = e->size_bytes - (iova - e->iova);
	if (*len_bytes > left_bytes)
		*len_bytes = left_bytes;
	return e->ptr + (iova - e->iova);
}

/* The client may go on with commands before it answers ours: keep them in order for later. */
static int
defer(struct lm_vu_server *s, struct lm_vu_msg *msg)
{
	struct lm_vu_conn *c = &s->conn;
	struct lm_vu_deferred *d;

	if (c->nb_deferred == MAX_DEFERRED)
		return -ENOBUFS;
	d = malloc(sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->msg = *msg;
	d->next = NULL;
	*c->deferred_tail = d;
	c->deferred_tail = &d->next;
	c->nb_deferred++;
	eventfd_write(s->wake, 1);
	return 0;
}

/* 1: *msg is the reply; 0: go on waiting; -errno: the connection is lost. */
static int
take_reply(struct lm_vu_server *s, uint16_t id, uint16_t command, struct lm_vu_msg *msg)
{
	bool is_twin = s->conn.twin >= 0;
	int ret;

	ret = lm_vu_rx_step(is_twin ? &s->conn.twin_rx : &s->conn.rx,
			is_twin ? s->conn.twin : s->conn.sock, msg);
	if (ret <= 0)
		return ret;
	if ((msg->hdr.flags & LM_VU_F_TYPE_MASK) == LM_VU_F_TYPE_REPLY) {
		if (msg->hdr.msg_id == id && msg->hdr.command == command)
			return 1;
		ret = -EPROTO;
	} else {
		ret = is_twin ? -EPROTO : defer(s, msg);
	}
	if (ret < 0)
		lm_vu_msg_clear(msg);
	return ret;
}

static int
call_client(struct lm_vu_server *s, struct lm_vu_tx *tx, struct lm_vu_msg *reply)
{
	uint64_t deadline_ms = lm_vu_now_ms() + LM_VU_SERVER_WAIT_MS;
	int sock = s->conn.twin >= 0 ? s->conn.twin : s->conn.sock;
	int ret;

	if (s->conn.sock < 0 || !s->conn.negotiated || s->conn.broken != NULL)
		return -ENOTCONN;
	tx->hdr.msg_id = s->conn.next_id++;
	ret = lm_vu_tx(tx, sock, deadline_ms);
	while (ret == 0) {
		ret = take_reply(s, tx->hdr.msg_id, tx->hdr.command, reply);
		if (ret == 0) {
			ret = lm_vu_wait(sock, POLLIN, -1, 0, deadline_ms);
			ret = ret < 0 ? ret : 0;
		}
	}
	if (ret < 0) {
		lm_vu_srv_break(s, ret == -ETIMEDOUT ? "no answer to a DMA command" :
				"no valid answer to a DMA command");
		return ret;
	}
	if ((reply->hdr.flags & LM_VU_F_ERROR) == 0)
		return 0;
	ret = reply->hdr.error > 0 && reply->hdr.error < LM_VU_MAX_ERRNO ?
			-(int)reply->hdr.error : -EIO;
	lm_vu_msg_clear(reply);
	return ret;
}

static int
dma_message(struct lm_vu_server *s, uint64_t iova, void *in, const void *out, uint32_t len_bytes)
{
	struct lm_vu_dma_access acc = { .addr = iova, .count = len_bytes }, back = { 0 };
	uint32_t fixed_bytes = in != NULL ? (uint32_t)sizeof(acc) : LM_VU_DMA_WRITE_REPLY_MIN;
	struct lm_vu_msg reply;
	struct lm_vu_tx tx = {
		.hdr.command = in != NULL ? LM_VU_DMA_READ : LM_VU_DMA_WRITE,
		.iov[0] = { .iov_base = &acc, .iov_len = sizeof(acc) },
		/* sendmsg() does not write to it */
		.iov[1] = { .iov_base = (void *)(uintptr_t)out, .iov_len = out ? len_bytes : 0 },
	};
	int ret;

	ret = call_client(s, &tx, &reply);
	if (ret < 0)
		return ret;
	if (reply.len_bytes >= fixed_bytes)
		memcpy(&back, reply.payload,
				reply.len_bytes < sizeof(back) ? reply.len_bytes : sizeof(back));
	if (reply.len_bytes < fixed_bytes || back.addr != iova || back.count != len_bytes ||
			(in != NULL && reply.len_bytes != fixed_bytes + len_bytes)) {
		lm_vu_srv_break(s, "malformed answer to a DMA command");
		ret = -EPROTO;
	} else if (in != NULL) {
		memcpy(in, reply.payload + fixed_bytes, len_bytes);
	}
	if (ret == 0)
		lm_vu_srv_carried_out(s, tx.hdr.command);
	lm_vu_msg_clear(&reply);
	return ret;
}

/* Exactly one of in and out is given. */
static int
dma_access(struct lm_vu_server *s, uint64_t iova, uint8_t *in, const uint8_t *out,
		uint32_t len_bytes)
{
	uint32_t prot = in != NULL ? LM_VU_PROT_READ : LM_VU_PROT_WRITE;
	uint32_t max_bytes = s->conn.caps.max_data_xfer_bytes;
	uint32_t done_bytes = 0;

	if (len_bytes > 0 && iova + (len_bytes - 1) < iova)
		return -EFAULT;
	if (max_bytes > LM_VU_MAX_XFER)
		max_bytes = LM_VU_MAX_XFER;
	while (done_bytes < len_bytes) {
		const struct lm_vu_dma_entry *e =
			lm_vu_dma_lookup(&s->dma, iova + done_bytes, prot);
		uint64_t off, n = len_bytes - done_bytes;
		int ret;

		if (e == NULL)
			return -EFAULT;
		off = iova + done_bytes - e->iova;
		if (n > e->size_bytes - off)
			n = e->size_bytes - off;
		if (e->ptr == NULL) {
			n = n > max_bytes ? max_bytes : n;
			ret = dma_message(s, iova + done_bytes, in ? in + done_bytes : NULL,
					out ? out + done_bytes : NULL, (uint32_t)n);
			if (ret < 0)
				return ret;
		} else if (in != NULL) {
			memcpy(in + done_bytes, e->ptr + off, n);
		} else if (out != NULL) {
			memcpy(e->ptr + off, out + done_bytes, n);
		}
		done_bytes += (uint32_t)n;
	}
	return 0;
}

int
lm_vu_server_dma_read(struct lm_vu_server *s, uint64_t iova, void *buf, uint32_t len_bytes)
{
	return dma_access(s, iova, buf, NULL, len_bytes);
}

int
lm_vu_server_dma_write(struct lm_vu_server *s, uint64_t iova, const void *buf, uint32_t len_bytes)
{
	return dma_access(s, iova, NULL, buf, len_bytes);
}
