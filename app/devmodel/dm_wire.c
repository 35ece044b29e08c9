/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "dm_wire_priv.h"

static const struct dm_wire_ops *const kinds[] = {
	&dm_wire_null_ops,
	&dm_wire_loop_ops,
	&dm_wire_link_ops,
	&dm_wire_listen_ops,
	&dm_wire_gen_ops,
	&dm_wire_tap_ops,
};

int
dm_wire_open(const char *spec, struct dm_wire **wire)
{
	size_t i, n = strcspn(spec, ":,");

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct dm_wire_ops *ops = kinds[i];
		int ret;

		if (strlen(ops->name) != n || strncmp(ops->name, spec, n) != 0)
			continue;
		if (spec[n] == '\0' ? ops->separator != '\0' && !ops->arg_optional :
				spec[n] != ops->separator || spec[n + 1] == '\0')
			return -EINVAL;
		ret = ops->open(spec[n] == '\0' ? "" : spec + n + 1, wire);
		if (ret == 0)
			(*wire)->ops = ops;
		return ret;
	}
	return -EINVAL;
}

void
dm_wire_close(struct dm_wire *w)
{
	if (w != NULL)
		w->ops->close(w);
}

int
dm_wire_fd(const struct dm_wire *w)
{
	return w->fd;
}

bool
dm_wire_link_up(const struct dm_wire *w)
{
	return w->ops->link_up(w);
}

static int
iov_length(const struct iovec *iov, int iovcnt, uint32_t *len)
{
	size_t sum = 0;
	int i;

	for (i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len > DM_FRAME_MAX)
			return -EMSGSIZE;
		sum += iov[i].iov_len;
		if (sum > DM_FRAME_MAX)
			return -EMSGSIZE;
	}
	*len = (uint32_t)sum;
	return sum == 0 ? -EMSGSIZE : 0;
}

int
dm_wire_send(struct dm_wire *w, const struct iovec *iov, int iovcnt)
{
	static const struct lm_virtio_net_hdr whole;

	return dm_wire_send_unfinished(w, &whole, iov, iovcnt);
}

bool
dm_wire_takes_unfinished(const struct dm_wire *w)
{
	return w->ops->unfinished;
}

int
dm_wire_unfinished_on(struct dm_wire *w)
{
	return w->ops->unfinished_on == NULL ? 0 : w->ops->unfinished_on(w);
}

const struct lm_virtio_net_hdr *
dm_wire_peek_hdr(const struct dm_wire *w)
{
	return &w->peek_hdr;
}

int
dm_wire_send_unfinished(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr,
		const struct iovec *iov, int iovcnt)
{
	uint32_t len = 0;
	int ret;

	ret = iov_length(iov, iovcnt, &len);
	if (ret == 0)
		ret = w->ops->send(w, hdr, iov, iovcnt, len);
	switch (ret) {
	case 0:
		w->stats.tx_frames++;
		w->stats.tx_bytes += len;
		break;
	case -EMSGSIZE:
		w->stats.tx_dropped_size++;
		break;
	case -EAGAIN:
		w->stats.tx_dropped_full++;
		break;
	default:
		w->stats.tx_dropped_down++;
		return -ENOLINK;
	}
	return ret;
}

uint32_t
dm_wire_peek(struct dm_wire *w, const uint8_t **frame)
{
	w->peek_len = w->ops->peek(w, frame);
	return w->peek_len;
}

void
dm_wire_pop(struct dm_wire *w)
{
	if (w->peek_len == 0)
		return;
	w->stats.rx_frames++;
	w->stats.rx_bytes += w->peek_len;
	w->peek_len = 0;
	w->ops->pop(w);
}

void
dm_wire_stats_get(const struct dm_wire *w, struct dm_wire_stats *stats)
{
	*stats = w->stats;
}

void
dm_wire_tick(struct dm_wire *w, uint64_t now_ns)
{
	if (w->ops->tick != NULL)
		w->ops->tick(w, now_ns);
}

void
dm_wire_gather(uint8_t *buf, const struct iovec *iov, int iovcnt)
{
	int i;

	for (i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len == 0)
			continue;
		memcpy(buf, iov[i].iov_base, iov[i].iov_len);
		buf += iov[i].iov_len;
	}
}
