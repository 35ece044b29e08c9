/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdarg.h>
#include <stdio.h>

#include <rte_string_fns.h>

#include "lm_device.h"
#include "virtio_pci_if.h"
#include "virtio_vdpa.h"

/* What /lm/... shows of a device. Telemetry threads: reading only. */

static const char * const counter_names[VIRTIO_VDPA_COUNTERS] = {
	[VIRTIO_VDPA_CONF_US] = "conf_us",
	[VIRTIO_VDPA_STOP_US] = "stop_us",
	[VIRTIO_VDPA_LOG_ON_US] = "log_on_us",
	[VIRTIO_VDPA_CONFS] = "confs",
	[VIRTIO_VDPA_STOPS] = "stops",
	[VIRTIO_VDPA_MAPPED_PAGES] = "mapped_pages",
	[VIRTIO_VDPA_KEPT_PAGES] = "kept_pages",
	[VIRTIO_VDPA_MAP_US] = "map_us",
	[VIRTIO_VDPA_BUDGET_OVERRUNS] = "budget_overruns",
	[VIRTIO_VDPA_ALL_DIRTY] = "all_dirty",
	[VIRTIO_VDPA_RARP_SENT] = "rarp_sent",
	[VIRTIO_VDPA_RARP_SKIPPED] = "rarp_skipped",
	[VIRTIO_VDPA_TX_DROPPED] = "tx_dropped_at_quiesce",
	[VIRTIO_VDPA_RX_RETURNED] = "rx_returned_at_quiesce",
	[VIRTIO_VDPA_UNTOLD] = "untold_chains",
	[VIRTIO_VDPA_MQ_PAIRS] = "mq_pairs",
	[VIRTIO_VDPA_CVQ_ERRORS] = "cvq_errors",
	[VIRTIO_VDPA_SLEEPS] = "sleeps",
	[VIRTIO_VDPA_POSITIONS] = "positions_taken_over",
	[VIRTIO_VDPA_WRAPS] = "wraps",
	[VIRTIO_VDPA_WRAP_US] = "wrap_us",
};

struct figures {
	struct lm_figure *out;
	unsigned int nb, max;
};

static void
figure(struct figures *f, uint64_t value, const char *fmt, ...) __rte_format_printf(3, 4);
static void
figure(struct figures *f, uint64_t value, const char *fmt, ...)
{
	va_list args;

	if (f->nb == f->max)
		return;
	va_start(args, fmt);
	vsnprintf(f->out[f->nb].name, sizeof(f->out[f->nb].name), fmt, args);
	va_end(args);
	f->out[f->nb++].value = value;
}

static void
tel_queue(struct figures *f, struct virtio_vdpa_queue *q)
{
	struct virtio_vdpa_relay_stats s;

	virtio_vdpa_queue_stats(q, &s);
	figure(f, s.avail_chains, "q%u_avail_chains", q->index);
	figure(f, s.used_chains, "q%u_used_chains", q->index);
	figure(f, s.written_bytes, "q%u_written_bytes", q->index);
	figure(f, s.kicks, "q%u_kicks", q->index);
	figure(f, s.calls, "q%u_calls", q->index);
	figure(f, s.logged_pages, "q%u_logged_pages", q->index);
	figure(f, s.len_clamped, "q%u_len_clamped", q->index);
	figure(f, s.out_of_order, "q%u_out_of_order", q->index);
	figure(f, s.full, "q%u_full", q->index);
	figure(f, s.injected, "q%u_injected", q->index);
	figure(f, atomic_load(&q->kicks_forwarded), "q%u_kicks_forwarded", q->index);
	figure(f, atomic_load(&q->switches), "q%u_switches", q->index);
	figure(f, s.holes, "q%u_holes", q->index);
	figure(f, virtio_vdpa_queue_to_wrap(q), "q%u_to_wrap", q->index);
	figure(f, atomic_load(&q->errors), "q%u_errors", q->index);
}

static void
tel_log(struct figures *f, struct virtio_vdpa *dev)
{
	struct lm_vhost_log_stats s = { 0 };
	uint64_t dropped = 0;

	rte_spinlock_lock(&dev->log_lock);
	if (dev->log != NULL) {
		lm_vhost_log_stats_get(dev->log, &s);
		dropped = lm_vhost_log_dropped(dev->log);
	}
	rte_spinlock_unlock(&dev->log_lock);
	figure(f, s.epochs, "log_epochs");
	figure(f, s.kept_pages, "log_kept_pages");
	figure(f, s.pages_out_of_range, "log_out_of_range_pages");
	figure(f, dropped, "log_test_dropped_pages");
}

static unsigned int
tel_stats(void *ctx, struct lm_figure *out, unsigned int max)
{
	struct figures f = { .out = out, .max = max };
	struct virtio_vdpa *dev = ctx;
	uint64_t logged = 0;
	unsigned int i;

	for (i = 0; i < VIRTIO_VDPA_COUNTERS; i++)
		figure(&f, atomic_load_explicit(&dev->counter[i], memory_order_relaxed), "%s",
			counter_names[i]);
	for (i = 0; i < dev->nb_queues; i++) {
		struct virtio_vdpa_relay_stats s;

		virtio_vdpa_queue_stats(&dev->queue[i], &s);
		logged += s.logged_pages;
	}
	figure(&f, logged, "logged_pages");
	tel_log(&f, dev);
	for (i = 0; i < dev->nb_queues; i++) {
		/* The reply is small: queues that never did anything are left out. */
		if (atomic_load(&dev->queue[i].switches) != 0)
			tel_queue(&f, &dev->queue[i]);
	}
	return f.nb;
}

struct texts {
	struct lm_text *out;
	unsigned int nb, max;
};

static void
text(struct texts *t, const char *name, const char *fmt, ...) __rte_format_printf(3, 4);
static void
text(struct texts *t, const char *name, const char *fmt, ...)
{
	va_list args;

	if (t->nb == t->max)
		return;
	strlcpy(t->out[t->nb].name, name, sizeof(t->out[t->nb].name));
	va_start(args, fmt);
	vsnprintf(t->out[t->nb].value, sizeof(t->out[t->nb].value), fmt, args);
	va_end(args);
	t->nb++;
}

static const char *
tel_state(struct virtio_vdpa *dev)
{
	if (atomic_load(&dev->lost))
		return "lost";
	return atomic_load(&dev->configured) ? "running" : "stopped";
}

static unsigned int
tel_info(void *ctx, struct lm_text *out, unsigned int max)
{
	struct texts t = { .out = out, .max = max };
	struct virtio_vdpa *dev = ctx;
	struct virtio_vdpa_queue *q;
	char name[16], runner[32];
	uint16_t i;

	text(&t, "driver", "vdpa_virtio_pci");
	text(&t, "socket", "%s", dev->args.socket);
	text(&t, "state", "%s", tel_state(dev));
	text(&t, "logging", "%s", atomic_load(&dev->log_on) ? "on" : "off");
	virtio_vdpa_worker_describe(dev->worker, runner, sizeof(runner));
	text(&t, "relays_run_by", "%s", runner);
	text(&t, "order", "%s", (dev->driver_features & 1ULL << LM_VIRTIO_F_IN_ORDER) != 0 ?
		"in order" : atomic_load(&dev->disordered) ? "out of order" : "not seen broken");
	text(&t, "queue_pairs", "%u", dev->max_pairs);
	text(&t, "features_device", "0x%" PRIx64, dev->device_features);
	text(&t, "features_offered", "0x%" PRIx64, dev->guest_features);
	text(&t, "features_negotiated", "0x%" PRIx64, dev->driver_features);
	for (i = 0; dev->notify_pages && i < dev->nb_queues; i++) {
		snprintf(name, sizeof(name), "doorbell%u", i);
		text(&t, name, "%s", virtio_vdpa_notifier_name(&dev->queue[i]));
	}
	for (i = 0; i < dev->nb_queues; i++) {
		q = &dev->queue[i];
		snprintf(name, sizeof(name), "queue%u", i);
		text(&t, name, "%s%s%s%s", virtio_vdpa_mode_name(virtio_vdpa_queue_mode(q)),
			virtio_vdpa_queue_mode(q) == VIRTIO_VDPA_RELAY &&
				!virtio_vdpa_can_return(dev) ? "-permanent" : "",
			atomic_load(&q->error) != 0 ? ", stopped: " : "",
			atomic_load(&q->error) != 0 ?
				virtio_vdpa_relay_strerror(atomic_load(&q->error)) : "");
	}
	return t.nb;
}

static unsigned int
tel_caps(void *ctx, struct lm_text *out, unsigned int max)
{
	struct texts t = { .out = out, .max = max };
	struct virtio_vdpa *dev = ctx;
	bool ring_reset = (dev->device_features & 1ULL << LM_VIRTIO_F_RING_RESET) != 0;
	bool suspend = (dev->device_features & 1ULL << LM_VIRTIO_F_SUSPEND) != 0;

	text(&t, "rings", "split; packed, relayed");
	text(&t, "modes", "%s", dev->args.relay ? "relay" : "direct, relay");
	text(&t, "dirty_tracking", "relay, log=%s", dev->args.log_full ? "full" : "used");
	text(&t, "quiesce", "%s%s", suspend ? "suspend, then " : "", ring_reset ?
		"ring reset, device reset, function reset" : "device reset, function reset");
	text(&t, "stop_budget_ms", "%" PRIu32, dev->args.stop_budget_ms);
	text(&t, "premap", "%s", dev->args.premap[0] != '\0' ? dev->args.premap : "no");
	return t.nb;
}

int
virtio_vdpa_tel_register(struct virtio_vdpa *dev)
{
	dev->view = (struct lm_device_view){
		.stats = tel_stats,
		.info = tel_info,
		.caps = tel_caps,
		.timeline = dev->timeline,
		.ctx = dev,
	};
	return lm_device_register(dev->name, &dev->view, &dev->lm);
}

void
virtio_vdpa_event(struct virtio_vdpa *dev, const char *phase, const char *event, uint64_t bytes,
		int error)
{
	lm_timeline_add(dev->timeline, phase, event, bytes, error);
	VDPA_LOG(DEBUG, dev, "%s: %s, %" PRIu64 " (%d)", phase, event, bytes, error);
}
