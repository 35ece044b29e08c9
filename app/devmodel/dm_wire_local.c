/* SPDX-License-Identifier: BSD-3-Clause */

/* Wires that end in this process: null, and loop, where what is sent comes back. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dm_wire_priv.h"

#define LOOP_BYTES (4u << 20)

/* Records of a loop_head, the frame and padding to 4; length LOOP_WRAP says: go on at offset 0. */
#define LOOP_WRAP UINT32_MAX

struct loop_head {
	uint32_t len;
	struct lm_virtio_net_hdr hdr;
};

struct wire_local {
	struct dm_wire w;
	uint8_t *ring;
	uint32_t head, tail; /* offsets of the next write and the next read */
	uint32_t frames;
};

static int
local_open(struct dm_wire **wire, uint32_t ring_bytes)
{
	struct wire_local *l = calloc(1, sizeof(*l));
	int ret = -ENOMEM;

	if (l == NULL)
		return -ENOMEM;
	l->w.fd = -1;
	if (ring_bytes != 0) {
		l->ring = malloc(ring_bytes);
		if (l->ring == NULL)
			goto fail;
	}
	l->w.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->w.fd < 0) {
		ret = -errno;
		goto fail;
	}
	*wire = &l->w;
	return 0;
fail:
	free(l->ring);
	free(l);
	return ret;
}

static int
null_open(const char *arg, struct dm_wire **wire)
{
	(void)arg;
	return local_open(wire, 0);
}

static int
loop_open(const char *arg, struct dm_wire **wire)
{
	(void)arg;
	return local_open(wire, LOOP_BYTES);
}

static void
local_close(struct dm_wire *w)
{
	struct wire_local *l = (struct wire_local *)w;

	close(l->w.fd);
	free(l->ring);
	free(l);
}

static bool
local_link_up(const struct dm_wire *w)
{
	(void)w;
	return true;
}

static int
null_send(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr, const struct iovec *iov,
		int iovcnt, uint32_t len)
{
	(void)w, (void)hdr, (void)iov, (void)iovcnt, (void)len;
	return 0;
}

static uint32_t
null_peek(struct dm_wire *w, const uint8_t **frame)
{
	(void)w;
	*frame = NULL;
	return 0;
}

static void
null_pop(struct dm_wire *w)
{
	(void)w;
}

static uint32_t
loop_record_size(uint32_t len)
{
	return (uint32_t)sizeof(struct loop_head) + ((len + 3) & ~3u);
}

static int
loop_send(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr, const struct iovec *iov,
		int iovcnt, uint32_t len)
{
	struct wire_local *l = (struct wire_local *)w;
	const struct loop_head head = { .len = len, .hdr = *hdr };
	const uint32_t need = loop_record_size(len), wrap = LOOP_WRAP;

	if (l->frames == 0)
		l->head = l->tail = 0;
	if (l->head >= l->tail && (l->frames == 0 || l->head != l->tail)) {
		/* Four bytes stay free at the end, for the wrap mark. */
		if (LOOP_BYTES - l->head < need + sizeof(wrap)) {
			if (l->tail < need)
				return -EAGAIN;
			memcpy(l->ring + l->head, &wrap, sizeof(wrap));
			l->head = 0;
		}
	} else if (l->tail - l->head < need) {
		return -EAGAIN;
	}
	memcpy(l->ring + l->head, &head, sizeof(head));
	dm_wire_gather(l->ring + l->head + sizeof(head), iov, iovcnt);
	l->head += need;
	if (l->frames++ == 0)
		eventfd_write(l->w.fd, 1);
	return 0;
}

static uint32_t
loop_peek(struct dm_wire *w, const uint8_t **frame)
{
	struct wire_local *l = (struct wire_local *)w;
	struct loop_head head;
	uint32_t len;

	*frame = NULL;
	if (l->frames == 0)
		return 0;
	memcpy(&len, l->ring + l->tail, sizeof(len));
	if (len == LOOP_WRAP)
		l->tail = 0;
	memcpy(&head, l->ring + l->tail, sizeof(head));
	w->peek_hdr = head.hdr;
	*frame = l->ring + l->tail + sizeof(head);
	return head.len;
}

static void
loop_pop(struct dm_wire *w)
{
	struct wire_local *l = (struct wire_local *)w;
	eventfd_t drained;
	uint32_t len;

	memcpy(&len, l->ring + l->tail, sizeof(len));
	l->tail += loop_record_size(len);
	if (--l->frames == 0)
		eventfd_read(l->w.fd, &drained);
}

const struct dm_wire_ops dm_wire_null_ops = {
	.name = "null",
	.unfinished = true,
	.open = null_open,
	.close = local_close,
	.link_up = local_link_up,
	.send = null_send,
	.peek = null_peek,
	.pop = null_pop,
};

const struct dm_wire_ops dm_wire_loop_ops = {
	.name = "loop",
	.unfinished = true,
	.open = loop_open,
	.close = local_close,
	.link_up = local_link_up,
	.send = loop_send,
	.peek = loop_peek,
	.pop = loop_pop,
};
