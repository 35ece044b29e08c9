/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lm_vu_server_priv.h"

static const uint32_t irq_flags[LM_VU_NUM_IRQS] = {
	[LM_VU_IRQ_INTX] = LM_VU_IRQ_F_EVENTFD | LM_VU_IRQ_F_MASKABLE,
	[LM_VU_IRQ_MSI] = LM_VU_IRQ_F_EVENTFD | LM_VU_IRQ_F_NORESIZE,
	[LM_VU_IRQ_MSIX] = LM_VU_IRQ_F_EVENTFD,
	[LM_VU_IRQ_ERR] = LM_VU_IRQ_F_EVENTFD,
	[LM_VU_IRQ_REQ] = LM_VU_IRQ_F_EVENTFD,
};

int
lm_vu_srv_irqs_init(struct lm_vu_server *s)
{
	uint32_t i, v;

	for (i = 0; i < LM_VU_NUM_IRQS; i++) {
		uint32_t count = s->conf.irq_counts[i];

		if (count > LM_VU_MAX_VECTORS)
			return -EINVAL;
		if (count == 0)
			continue;
		s->vectors[i] = calloc(count, sizeof(*s->vectors[i]));
		if (s->vectors[i] == NULL)
			return -ENOMEM;
		for (v = 0; v < count; v++)
			s->vectors[i][v].fd = -1;
	}
	return 0;
}

static void
unbind(struct lm_vu_vector *v)
{
	if (v->fd >= 0)
		close(v->fd);
	*v = (struct lm_vu_vector){ .fd = -1 };
}

void
lm_vu_srv_irqs_clear(struct lm_vu_server *s)
{
	uint32_t i, v;

	for (i = 0; i < LM_VU_NUM_IRQS; i++)
		for (v = 0; s->vectors[i] != NULL && v < s->conf.irq_counts[i]; v++)
			unbind(&s->vectors[i][v]);
}

void
lm_vu_srv_irqs_fini(struct lm_vu_server *s)
{
	uint32_t i;

	lm_vu_srv_irqs_clear(s);
	for (i = 0; i < LM_VU_NUM_IRQS; i++)
		free(s->vectors[i]);
}

int
lm_vu_srv_irq_info(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	struct lm_vu_irq_info info;

	memcpy(&info, msg->payload, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= LM_VU_NUM_IRQS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = irq_flags[info.index];
	info.count = s->conf.irq_counts[info.index];
	memcpy(reply->buf, &info, sizeof(info));
	reply->len_bytes = sizeof(info);
	return 0;
}

/* A blocking eventfd whose counter is full would stall the device: it is signalled already. */
static void
signal_vector(const struct lm_vu_vector *v)
{
	struct pollfd p = { .fd = v->fd, .events = POLLOUT };
	uint64_t one = 1;
	ssize_t n;

	if (v->blocking && (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0))
		return;
	do {
		n = write(v->fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

static bool
fire(struct lm_vu_vector *v)
{
	if (v->fd < 0)
		return false;
	if (v->masked)
		v->pending = true;
	else
		signal_vector(v);
	return true;
}

bool
lm_vu_server_irq_trigger(struct lm_vu_server *s, uint32_t index, uint32_t vector)
{
	if (index >= LM_VU_NUM_IRQS || vector >= s->conf.irq_counts[index])
		return false;
	return fire(&s->vectors[index][vector]);
}

static bool
is_one_bit(uint32_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static int
set_irqs_check(const struct lm_vu_server *s, const struct lm_vu_irq_set *set,
		const struct lm_vu_msg *msg)
{
	uint32_t data = set->flags & LM_VU_IRQ_DATA_MASK, action = set->flags & LM_VU_IRQ_ACTIONS;
	uint32_t bool_bytes = data == LM_VU_IRQ_DATA_BOOL ? set->count : 0;

	if (set->argsz < sizeof(*set) || set->index >= LM_VU_NUM_IRQS)
		return -EINVAL;
	if ((set->flags & ~(LM_VU_IRQ_DATA_MASK | LM_VU_IRQ_ACTIONS)) != 0)
		return -EINVAL;
	if (!is_one_bit(data) || !is_one_bit(action))
		return -EINVAL;
	if (set->start >= s->conf.irq_counts[set->index] ||
			set->count > s->conf.irq_counts[set->index] - set->start)
		return -EINVAL;
	/* None at all means "disable the index", and nothing else. */
	if (set->count == 0 && (set->start != 0 || data != LM_VU_IRQ_DATA_NONE ||
			action != LM_VU_IRQ_ACTION_TRIGGER))
		return -EINVAL;
	if (data == LM_VU_IRQ_DATA_EVENTFD) {
		if (msg->nb_fds != 0 && msg->nb_fds != set->count)
			return -EINVAL;
	} else if (msg->nb_fds != 0) {
		return -EINVAL;
	}
	if (msg->len_bytes - sizeof(*set) < bool_bytes)
		return -EINVAL;
	return 0;
}

static void
set_mask(struct lm_vu_vector *v, bool masked)
{
	bool due = v->pending && !masked;

	v->masked = masked;
	if (due) {
		v->pending = false;
		fire(v);
	}
}

static int
set_masks(struct lm_vu_server *s, const struct lm_vu_irq_set *set, const uint8_t *bools)
{
	bool masked = (set->flags & LM_VU_IRQ_ACTION_MASK) != 0;
	uint32_t i;

	if ((irq_flags[set->index] & LM_VU_IRQ_F_MASKABLE) == 0)
		return -ENOTTY;
	if ((set->flags & LM_VU_IRQ_DATA_EVENTFD) != 0)
		return -ENOTTY;
	for (i = 0; i < set->count; i++)
		if (bools == NULL || bools[i] != 0)
			set_mask(&s->vectors[set->index][set->start + i], masked);
	return 0;
}

static void
bind_fds(struct lm_vu_server *s, const struct lm_vu_irq_set *set, struct lm_vu_msg *msg)
{
	uint32_t first = set->start;
	uint32_t count = set->count != 0 ? set->count : s->conf.irq_counts[set->index];
	uint32_t i;

	for (i = 0; i < count; i++) {
		struct lm_vu_vector *v = &s->vectors[set->index][first + i];

		unbind(v);
		v->fd = lm_vu_msg_take_fd(msg, i);
		v->blocking = v->fd >= 0 && (fcntl(v->fd, F_GETFL) & O_NONBLOCK) == 0;
	}
	if (s->ops->irqs_changed != NULL)
		s->ops->irqs_changed(s->ctx, set->index);
}

int
lm_vu_srv_set_irqs(struct lm_vu_server *s, struct lm_vu_msg *msg, struct lm_vu_reply *reply)
{
	const uint8_t *bools = NULL;
	struct lm_vu_irq_set set;
	uint32_t i;
	int ret;

	(void)reply;
	memcpy(&set, msg->payload, sizeof(set));
	ret = set_irqs_check(s, &set, msg);
	if (ret < 0)
		return ret;
	if ((set.flags & LM_VU_IRQ_DATA_BOOL) != 0)
		bools = msg->payload + sizeof(set);
	if ((set.flags & LM_VU_IRQ_ACTION_TRIGGER) == 0)
		return set_masks(s, &set, bools);
	if ((set.flags & LM_VU_IRQ_DATA_EVENTFD) != 0 || set.count == 0) {
		bind_fds(s, &set, msg);
		return 0;
	}
	for (i = 0; i < set.count; i++)
		if (bools == NULL || bools[i] != 0)
			fire(&s->vectors[set.index][set.start + i]);
	return 0;
}
