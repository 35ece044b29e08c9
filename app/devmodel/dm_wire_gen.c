/* SPDX-License-Identifier: BSD-3-Clause */

/* Wire that ends in a generator and checker of this process. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "dm_gen.h"
#include "dm_wire_priv.h"

#define GEN_PERIOD_NS 200000

struct wire_gen {
	struct dm_wire w;
	struct dm_gen *gen;
	bool mac_known;
	uint8_t frame[DM_FRAME_MAX];
};

static uint64_t
clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int
parse(char *text, struct dm_gen_conf *conf)
{
	char *item, *value, *rest = text;
	int ret = 0;

	while (ret == 0 && (item = strtok_r(rest, ",", &rest)) != NULL) {
		value = strchr(item, '=');
		if (value == NULL)
			return -EINVAL;
		*value++ = '\0';
		ret = dm_gen_conf_set(conf, item, value);
	}
	return ret == -ENOENT ? -EINVAL : ret;
}

static void
gen_close(struct dm_wire *w)
{
	struct wire_gen *g = (struct wire_gen *)w;

	if (g->w.fd >= 0)
		close(g->w.fd);
	dm_gen_destroy(g->gen);
	free(g);
}

static int
gen_open(const char *arg, struct dm_wire **wire)
{
	const struct itimerspec period = {
		.it_value.tv_nsec = GEN_PERIOD_NS,
		.it_interval.tv_nsec = GEN_PERIOD_NS,
	};
	static const uint8_t no_mac[6];
	struct dm_gen_conf conf;
	struct wire_gen *g;
	char *text;
	int ret;

	dm_gen_conf_init(&conf);
	text = strdup(arg);
	if (text == NULL)
		return -ENOMEM;
	ret = parse(text, &conf);
	free(text);
	if (ret < 0)
		return ret;
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->w.fd = -1;
	ret = dm_gen_create(&conf, &g->gen);
	if (ret < 0)
		goto fail;
	g->mac_known = memcmp(conf.guest_mac, no_mac, 6) != 0;
	g->w.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (g->w.fd < 0 || timerfd_settime(g->w.fd, 0, &period, NULL) < 0) {
		ret = -errno;
		goto fail;
	}
	*wire = &g->w;
	return 0;
fail:
	gen_close(&g->w);
	return ret;
}

static bool
gen_link_up(const struct dm_wire *w)
{
	(void)w;
	return true;
}

static int
gen_send(struct dm_wire *w, const struct lm_virtio_net_hdr *hdr, const struct iovec *iov,
		int iovcnt, uint32_t len)
{
	struct wire_gen *g = (struct wire_gen *)w;

	(void)hdr;
	dm_wire_gather(g->frame, iov, iovcnt);
	if (!g->mac_known && len >= 12 && (g->frame[6] & 1) == 0) {
		dm_gen_set_guest_mac(g->gen, g->frame + 6);
		g->mac_known = true;
	}
	dm_gen_check(g->gen, g->frame, len, clock_now_ns());
	return 0;
}

static uint32_t
gen_peek(struct dm_wire *w, const uint8_t **frame)
{
	return dm_gen_peek(((struct wire_gen *)w)->gen, clock_now_ns(), frame);
}

static void
gen_pop(struct dm_wire *w)
{
	dm_gen_commit(((struct wire_gen *)w)->gen);
}

static void
gen_tick(struct dm_wire *w, uint64_t now_ns)
{
	struct wire_gen *g = (struct wire_gen *)w;
	uint64_t expired;

	if (read(g->w.fd, &expired, sizeof(expired)) < 0)
		return; /* not due yet */
	if (g->mac_known)
		dm_gen_start(g->gen, now_ns);
}

const struct dm_gen *
dm_wire_gen(const struct dm_wire *w)
{
	return w->ops == &dm_wire_gen_ops ? ((const struct wire_gen *)w)->gen : NULL;
}

const struct dm_wire_ops dm_wire_gen_ops = {
	.name = "gen",
	.separator = ',',
	.arg_optional = true,
	.open = gen_open,
	.close = gen_close,
	.link_up = gen_link_up,
	.send = gen_send,
	.peek = gen_peek,
	.pop = gen_pop,
	.tick = gen_tick,
};
