/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dm_function.h"

static void *
dm_function_dma_span(void *ctx, uint64_t iova, uint64_t *len_bytes, uint32_t prot)
{
	struct dm_function *f = ctx;

	return lm_vu_server_dma_span(f->server, iova, len_bytes, prot);
}

static void
dm_function_fire(void *ctx, uint16_t vector)
{
	struct dm_function *f = ctx;

	if (!lm_vu_server_irq_trigger(f->server, LM_VU_IRQ_MSIX, vector))
		f->irqs_unbound++;
}

static void
dm_function_irq(void *ctx, uint16_t vector)
{
	struct dm_function *f = ctx;

	if (dm_pci_msix_raise(&f->pci, vector))
		dm_function_fire(f, vector);
}

static uint64_t
dm_function_now_ns(void *ctx)
{
	(void)ctx;
	return dm_loop_now_ns();
}

static void
dm_function_mig_resume(void *ctx)
{
	struct dm_function *f = ctx;

	lm_vu_server_resume(f->server);
}

static void
dm_function_bus_master(void *ctx, bool on)
{
	struct dm_function *f = ctx;

	f->host.bus_master = on;
}

/* The device first: it lets go of memory while it still may reach it. */
static void
dm_function_reset_all(void *ctx)
{
	struct dm_function *f = ctx;

	f->device.ops->reset(f->device.dev);
	dm_pci_reset(&f->pci);
}

static void
dm_function_window_read(void *ctx, uint8_t data[4])
{
	struct dm_function *f = ctx;
	uint32_t bar, len_bytes;
	uint64_t offset;

	if (f->device.ops->window(f->device.dev, &bar, &offset, &len_bytes))
		f->device.ops->bar_read(f->device.dev, bar, offset, data, len_bytes);
}

static void
dm_function_window_write(void *ctx, const uint8_t data[4])
{
	struct dm_function *f = ctx;
	uint32_t bar, len_bytes;
	uint64_t offset;

	if (f->device.ops->window(f->device.dev, &bar, &offset, &len_bytes))
		f->device.ops->bar_write(f->device.dev, bar, offset, data, len_bytes);
}

static const struct dm_pci_ops dm_function_pci_ops = {
	.bus_master = dm_function_bus_master,
	.flr = dm_function_reset_all,
	.window_read = dm_function_window_read,
	.window_write = dm_function_window_write,
	.irq = dm_function_fire,
};

static const struct {
	const char *read, *write;
} dm_function_groups[LM_VU_NUM_REGIONS] = {
	{ "bar0.read", "bar0.write" }, { "bar1.read", "bar1.write" },
	{ "bar2.read", "bar2.write" }, { "bar3.read", "bar3.write" },
	{ "bar4.read", "bar4.write" }, { "bar5.read", "bar5.write" },
	[LM_VU_REGION_CONFIG] = { "pci.read", "pci.write" },
};

static void
dm_function_trace(struct dm_function *f, uint32_t region, bool write, uint64_t offset,
		uint32_t len_bytes)
{
	if (f->host.trace == NULL || dm_function_groups[region].read == NULL)
		return;
	dm_trace_bytes(f->host.trace, write ? dm_function_groups[region].write :
			dm_function_groups[region].read, offset, len_bytes);
}

static int
dm_function_region_read(void *ctx, uint32_t region, uint64_t offset, void *buf,
		uint32_t len_bytes)
{
	struct dm_function *f = ctx;

	dm_function_trace(f, region, false, offset, len_bytes);
	if (region == LM_VU_REGION_CONFIG)
		dm_pci_config_read(&f->pci, (uint32_t)offset, buf, len_bytes);
	else if (region == f->device.msix_bar)
		dm_pci_msix_read(&f->pci, (uint32_t)offset, buf, len_bytes);
	else if (region < DM_MAX_BARS)
		return f->device.ops->bar_read(f->device.dev, region, offset, buf, len_bytes);
	else
		return -EINVAL;
	return 0;
}

static int
dm_function_region_write(void *ctx, uint32_t region, uint64_t offset, const void *buf,
		uint32_t len_bytes)
{
	struct dm_function *f = ctx;

	dm_function_trace(f, region, true, offset, len_bytes);
	if (region == LM_VU_REGION_CONFIG)
		dm_pci_config_write(&f->pci, (uint32_t)offset, buf, len_bytes);
	else if (region == f->device.msix_bar)
		dm_pci_msix_write(&f->pci, (uint32_t)offset, buf, len_bytes);
	else if (region < DM_MAX_BARS)
		return f->device.ops->bar_write(f->device.dev, region, offset, buf, len_bytes);
	else
		return -EINVAL;
	return 0;
}

static int
dm_function_reset(void *ctx)
{
	const struct dm_function *f = ctx;

	if (f->host.faults->no_function_reset != 0)
		return -EBUSY;
	dm_function_reset_all(ctx);
	return 0;
}

static void
dm_function_dma_mapped(void *ctx, uint64_t iova, uint64_t size_bytes, uint32_t prot)
{
	struct dm_function *f = ctx;

	(void)iova;
	(void)size_bytes;
	(void)prot;
	f->host.dma_epoch++;
}

static void
dm_function_dma_unmapping(void *ctx, uint64_t iova, uint64_t size_bytes)
{
	struct dm_function *f = ctx;

	(void)iova;
	(void)size_bytes;
	f->host.dma_epoch++;
}

static void
dm_function_connected(void *ctx)
{
	struct dm_function *f = ctx;

	f->connections++;
}

/* Nobody holds the function any more: as when VFIO closes a device. */
static void
dm_function_disconnected(void *ctx, const char *why)
{
	struct dm_function *f = ctx;

	fprintf(stderr, "%s: driver gone: %s\n", f->path, why == NULL ? "unknown" : why);
	dm_function_reset_all(f);
	if (f->device.ops->closed != NULL)
		f->device.ops->closed(f->device.dev);
}

static void
dm_function_carried_out(void *ctx, uint16_t command)
{
	struct dm_function *f = ctx;

	dm_trace_mark(f->host.trace, "message", command);
}

static const struct lm_vu_server_ops dm_function_server_ops = {
	.region_read = dm_function_region_read,
	.region_write = dm_function_region_write,
	.reset = dm_function_reset,
	.dma_mapped = dm_function_dma_mapped,
	.dma_unmapping = dm_function_dma_unmapping,
	.connected = dm_function_connected,
	.disconnected = dm_function_disconnected,
	.carried_out = dm_function_carried_out,
};

void
dm_function_init(struct dm_function *f, const char *path)
{
	memset(f, 0, sizeof(*f));
	f->path = path;
	f->rules.who = path;
	f->host.ctx = f;
	f->host.dma_span = dm_function_dma_span;
	f->host.irq = dm_function_irq;
	f->host.now_ns = dm_function_now_ns;
	f->host.mig_resume = dm_function_mig_resume;
	f->host.rules = &f->rules;
	f->host.faults = &f->faults;
	dm_pci_init(&f->pci, &dm_function_pci_ops, f);
}

static int
dm_function_config_space(struct dm_function *f)
{
	unsigned int bar;
	int ret;

	dm_pci_identify(&f->pci, &f->device.ids);
	for (bar = 0; bar < DM_MAX_BARS; bar++)
		if (f->device.bars[bar].size_bytes != 0)
			dm_pci_add_bar(&f->pci, bar, f->device.bars[bar].size_bytes,
					f->device.bar_64bit[bar]);
	dm_pci_add_bar(&f->pci, f->device.msix_bar, DM_PCI_MSIX_BAR_BYTES, false);
	ret = dm_pci_add_msix(&f->pci, f->device.msix_bar, f->device.nb_vectors);
	if (ret == 0)
		ret = dm_pci_add_express(&f->pci);
	if (ret == 0)
		ret = f->device.ops->add_caps(f->device.dev);
	dm_pci_seal(&f->pci);
	return ret;
}

int
dm_function_open(struct dm_function *f)
{
	struct lm_vu_server_conf conf = {
		.path = f->path,
		.irq_counts[LM_VU_IRQ_MSIX] = f->device.nb_vectors,
		.strict = f->device.strict,
		.iova_bits = f->device.iova_bits,
		.ops = &f->server_ops,
		.ctx = f,
	};
	unsigned int i;
	int ret;

	ret = dm_function_config_space(f);
	if (ret != 0)
		return ret;
	f->server_ops = dm_function_server_ops;
	dm_function_mig_ops(f, &f->server_ops);
	for (i = 0; i < LM_VU_NUM_REGIONS; i++)
		conf.regions[i].fd = -1;
	for (i = 0; i < DM_MAX_BARS; i++)
		if (f->device.bars[i].size_bytes != 0)
			conf.regions[i] = f->device.bars[i];
	conf.regions[f->device.msix_bar].size_bytes = DM_PCI_MSIX_BAR_BYTES;
	conf.regions[f->device.msix_bar].flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	conf.regions[LM_VU_REGION_CONFIG].size_bytes = DM_PCI_CONFIG_BYTES;
	conf.regions[LM_VU_REGION_CONFIG].flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	return lm_vu_server_create(&conf, &f->server);
}

static void
dm_function_process(void *ctx)
{
	struct dm_function *f = ctx;
	int ret = lm_vu_server_process(f->server);

	if (ret >= 0)
		return;
	fprintf(stderr, "%s: the socket failed: %s\n", f->path, strerror(-ret));
	dm_loop_stop(f->loop);
}

static void
dm_function_io_event(void *ctx)
{
	const struct dm_function_io *io = ctx;

	io->f->device.ops->io_event(io->f->device.dev, io->index);
}

int
dm_function_watch(struct dm_function *f, struct dm_loop *loop)
{
	const struct lm_vu_region_conf *bar;
	uint32_t nb = 0;
	uint32_t b, i;
	int ret;

	f->loop = loop;
	ret = dm_loop_add(loop, lm_vu_server_fd(f->server), dm_function_process, f);
	if (ret == 0 && f->device.wake_fd >= 0)
		ret = dm_loop_add(loop, f->device.wake_fd, NULL, NULL);
	for (b = 0; b < DM_MAX_BARS; b++) {
		bar = &f->device.bars[b];
		for (i = 0; i < bar->nb_ioeventfds && ret == 0 && nb < DM_FUNCTION_MAX_IO; i++) {
			f->io[nb].f = f;
			f->io[nb].index = i;
			ret = dm_loop_add(loop, bar->ioeventfds[i].fd, dm_function_io_event,
					&f->io[nb]);
			nb++;
		}
	}
	return ret;
}

void
dm_function_close(struct dm_function *f)
{
	lm_vu_server_destroy(f->server);
	f->server = NULL;
	if (f->device.ops != NULL)
		f->device.ops->destroy(f->device.dev);
	f->device.ops = NULL;
}

int
dm_function_fault(struct dm_function *f, const char *spec)
{
	int ret = dm_fault_parse(&f->faults, spec);

	if (ret != 0 && f->device.ops->fault != NULL)
		ret = f->device.ops->fault(f->device.dev, spec);
	return ret;
}

int
dm_function_stats(struct dm_function *f, json_t *object)
{
	json_t *list = json_object();
	int ret = 0;
	int i;

	for (i = 0; i < DM_RULE_MAX; i++)
		if (f->rules.count[i] != 0)
			ret |= json_object_set_new(list, dm_rule_name(i),
					json_integer((json_int_t)f->rules.count[i]));
	ret |= json_object_set_new(object, "violation_list", list);
	ret |= json_object_set_new(object, "violations",
			json_integer((json_int_t)f->rules.total));
	ret |= json_object_set_new(object, "connected",
			json_boolean(lm_vu_server_connected(f->server)));
	ret |= json_object_set_new(object, "connections",
			json_integer((json_int_t)f->connections));
	ret |= json_object_set_new(object, "irqs_unbound",
			json_integer((json_int_t)f->irqs_unbound));
	ret |= json_object_set_new(object, "irqs_lost",
			json_integer((json_int_t)f->faults.irqs_lost));
	ret |= f->device.ops->stats(f->device.dev, object);
	return ret == 0 ? 0 : -ENOMEM;
}
