/* SPDX-License-Identifier: BSD-3-Clause */

/* Common configuration registers, VIRTIO 1.3, 4.1.4.3. */

#include <stddef.h>
#include <string.h>

#include "dm_virtio.h"

struct dm_virtio_reg {
	uint8_t offset;
	uint8_t width;
	bool per_queue;
	uint32_t (*read)(struct dm_virtio *v, struct dm_virtio_queue *q);
	void (*write)(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value);
};

static uint16_t
dm_virtio_queue_index(const struct dm_virtio *v, const struct dm_virtio_queue *q)
{
	return (uint16_t)(q - v->queues);
}

static uint32_t
dm_reg_dfselect(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->device_feature_select;
}

static void
dm_reg_dfselect_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	(void)q;
	v->device_feature_select = value;
}

static uint32_t
dm_reg_df(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->device_feature_select > 1 ? 0 :
			(uint32_t)(v->offered >> (32 * v->device_feature_select));
}

static uint32_t
dm_reg_gfselect(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->driver_feature_select;
}

static void
dm_reg_gfselect_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	(void)q;
	v->driver_feature_select = value;
}

static uint32_t
dm_reg_gf(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->driver_feature_select > 1 ? 0 :
			(uint32_t)(v->accepted >> (32 * v->driver_feature_select));
}

static void
dm_reg_gf_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	uint32_t shift = 32 * v->driver_feature_select;

	(void)q;
	if ((v->status & LM_VIRTIO_STATUS_FEATURES_OK) != 0) {
		dm_rule_broken(v->host->rules, DM_RULE_FEATURE_LATE, "word %u",
				v->driver_feature_select);
		return;
	}
	if (v->driver_feature_select > 1) {
		if (value != 0)
			dm_rule_broken(v->host->rules, DM_RULE_FEATURE_NOT_OFFERED,
					"word %u: 0x%x", v->driver_feature_select, value);
		return;
	}
	v->accepted &= ~((uint64_t)UINT32_MAX << shift);
	v->accepted |= (uint64_t)value << shift;
}

static uint16_t
dm_virtio_vector(const struct dm_virtio *v, uint32_t value)
{
	return value < v->nb_vectors ? (uint16_t)value : LM_VIRTIO_MSI_NO_VECTOR;
}

static uint32_t
dm_reg_msix(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->config_vector;
}

static void
dm_reg_msix_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	(void)q;
	v->config_vector = dm_virtio_vector(v, value);
}

static uint32_t
dm_reg_numq(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->num_queues;
}

static uint32_t
dm_reg_status(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->status;
}

static void
dm_reg_status_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	(void)q;
	dm_virtio_status_write(v, (uint8_t)value);
}

static uint32_t
dm_reg_generation(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->generation;
}

static uint32_t
dm_reg_qselect(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)q;
	return v->queue_select;
}

static void
dm_reg_qselect_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	(void)q;
	v->queue_select = (uint16_t)value;
}

static uint32_t
dm_reg_qsize(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)v;
	return q->size;
}

static void
dm_reg_qsize_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	if (!dm_virtio_queue_size_ok(v, value)) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_SIZE, "queue %u, size %u",
				dm_virtio_queue_index(v, q), value);
		return;
	}
	q->size = (uint16_t)value;
}

static uint32_t
dm_reg_qmsix(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)v;
	return q->vector;
}

static void
dm_reg_qmsix_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	q->vector = dm_virtio_vector(v, value);
}

static uint32_t
dm_reg_qenable(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)v;
	return q->enabled ? 1 : 0;
}

static void
dm_reg_qenable_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	if (value != 1) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_ENABLE_ZERO, "queue %u, value %u",
				dm_virtio_queue_index(v, q), value);
		return;
	}
	dm_virtio_queue_enable(v, dm_virtio_queue_index(v, q));
}

static uint32_t
dm_reg_qnoff(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	return v->notify_multiplier == 0 ? 0 : dm_virtio_queue_index(v, q);
}

#define DM_REG_ADDRESS(name, field) \
	static uint32_t \
	dm_reg_##name##_lo(struct dm_virtio *v, struct dm_virtio_queue *q) \
	{ \
		(void)v; \
		return (uint32_t)q->field; \
	} \
	static uint32_t \
	dm_reg_##name##_hi(struct dm_virtio *v, struct dm_virtio_queue *q) \
	{ \
		(void)v; \
		return (uint32_t)(q->field >> 32); \
	} \
	static void \
	dm_reg_##name##_lo_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value) \
	{ \
		(void)v; \
		q->field = (q->field & ~(uint64_t)UINT32_MAX) | value; \
	} \
	static void \
	dm_reg_##name##_hi_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value) \
	{ \
		(void)v; \
		q->field = (uint32_t)q->field | (uint64_t)value << 32; \
	}

DM_REG_ADDRESS(desc, desc_iova)
DM_REG_ADDRESS(driver, driver_iova)
DM_REG_ADDRESS(device, device_iova)

static uint32_t
dm_reg_zero(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)v;
	(void)q;
	return 0;
}

static uint32_t
dm_reg_ndata(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	return dm_virtio_has(v, LM_VIRTIO_F_NOTIF_CONFIG_DATA) ?
			dm_virtio_notify_id(v, dm_virtio_queue_index(v, q)) : 0;
}

static uint32_t
dm_reg_qreset(struct dm_virtio *v, struct dm_virtio_queue *q)
{
	(void)v;
	return q->resetting ? 1 : 0;
}

static void
dm_reg_qreset_write(struct dm_virtio *v, struct dm_virtio_queue *q, uint32_t value)
{
	if (value == 1)
		dm_virtio_queue_reset_start(v, dm_virtio_queue_index(v, q));
	else
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_RESET, "value %u", value);
}

static const struct dm_virtio_reg dm_virtio_regs[] = {
	{ LM_VIRTIO_PCI_COMMON_DFSELECT, 4, false, dm_reg_dfselect, dm_reg_dfselect_write },
	{ LM_VIRTIO_PCI_COMMON_DF, 4, false, dm_reg_df, NULL },
	{ LM_VIRTIO_PCI_COMMON_GFSELECT, 4, false, dm_reg_gfselect, dm_reg_gfselect_write },
	{ LM_VIRTIO_PCI_COMMON_GF, 4, false, dm_reg_gf, dm_reg_gf_write },
	{ LM_VIRTIO_PCI_COMMON_MSIX, 2, false, dm_reg_msix, dm_reg_msix_write },
	{ LM_VIRTIO_PCI_COMMON_NUMQ, 2, false, dm_reg_numq, NULL },
	{ LM_VIRTIO_PCI_COMMON_STATUS, 1, false, dm_reg_status, dm_reg_status_write },
	{ LM_VIRTIO_PCI_COMMON_CFGGENERATION, 1, false, dm_reg_generation, NULL },
	{ LM_VIRTIO_PCI_COMMON_Q_SELECT, 2, false, dm_reg_qselect, dm_reg_qselect_write },
	{ LM_VIRTIO_PCI_COMMON_Q_SIZE, 2, true, dm_reg_qsize, dm_reg_qsize_write },
	{ LM_VIRTIO_PCI_COMMON_Q_MSIX, 2, true, dm_reg_qmsix, dm_reg_qmsix_write },
	{ LM_VIRTIO_PCI_COMMON_Q_ENABLE, 2, true, dm_reg_qenable, dm_reg_qenable_write },
	{ LM_VIRTIO_PCI_COMMON_Q_NOFF, 2, true, dm_reg_qnoff, NULL },
	{ LM_VIRTIO_PCI_COMMON_Q_DESCLO, 4, true, dm_reg_desc_lo, dm_reg_desc_lo_write },
	{ LM_VIRTIO_PCI_COMMON_Q_DESCHI, 4, true, dm_reg_desc_hi, dm_reg_desc_hi_write },
	{ LM_VIRTIO_PCI_COMMON_Q_DRIVERLO, 4, true, dm_reg_driver_lo, dm_reg_driver_lo_write },
	{ LM_VIRTIO_PCI_COMMON_Q_DRIVERHI, 4, true, dm_reg_driver_hi, dm_reg_driver_hi_write },
	{ LM_VIRTIO_PCI_COMMON_Q_DEVICELO, 4, true, dm_reg_device_lo, dm_reg_device_lo_write },
	{ LM_VIRTIO_PCI_COMMON_Q_DEVICEHI, 4, true, dm_reg_device_hi, dm_reg_device_hi_write },
	{ LM_VIRTIO_PCI_COMMON_Q_NDATA, 2, true, dm_reg_ndata, NULL },
	{ LM_VIRTIO_PCI_COMMON_Q_RESET, 2, true, dm_reg_qreset, dm_reg_qreset_write },
	{ LM_VIRTIO_PCI_COMMON_ADM_Q_IDX, 2, false, dm_reg_zero, NULL },
	{ LM_VIRTIO_PCI_COMMON_ADM_Q_NUM, 2, false, dm_reg_zero, NULL },
};

#define DM_NB_REGS (sizeof(dm_virtio_regs) / sizeof(dm_virtio_regs[0]))

static struct dm_virtio_queue *
dm_virtio_selected(struct dm_virtio *v)
{
	return v->queue_select < v->num_queues ? &v->queues[v->queue_select] : NULL;
}

static uint32_t
dm_virtio_reg_value(struct dm_virtio *v, const struct dm_virtio_reg *reg)
{
	struct dm_virtio_queue *q = dm_virtio_selected(v);

	return reg->per_queue && q == NULL ? 0 : reg->read(v, q);
}

static const struct dm_virtio_reg *
dm_virtio_reg_find(uint32_t offset, uint32_t width)
{
	size_t i;

	for (i = 0; i < DM_NB_REGS; i++)
		if (dm_virtio_regs[i].offset == offset && dm_virtio_regs[i].width == width)
			return &dm_virtio_regs[i];
	return NULL;
}

/* Any length: a card answers byte by byte what a well-behaved driver never asks. */
static void
dm_virtio_common_read_odd(struct dm_virtio *v, uint32_t offset, uint8_t *buf, uint32_t len_bytes)
{
	uint32_t value;
	size_t i, b;

	dm_rule_broken(v->host->rules, DM_RULE_ACCESS_WIDTH, "read of %u bytes at %u", len_bytes,
			offset);
	memset(buf, 0, len_bytes);
	for (i = 0; i < DM_NB_REGS; i++) {
		value = dm_virtio_reg_value(v, &dm_virtio_regs[i]);
		for (b = 0; b < dm_virtio_regs[i].width; b++)
			if (dm_virtio_regs[i].offset + b >= offset &&
					dm_virtio_regs[i].offset + b < (uint64_t)offset + len_bytes)
				buf[dm_virtio_regs[i].offset + b - offset] =
						(uint8_t)(value >> (8 * b));
	}
}

void
dm_virtio_common_read(struct dm_virtio *v, uint32_t offset, void *buf, uint32_t len_bytes)
{
	const struct dm_virtio_reg *reg = dm_virtio_reg_find(offset, len_bytes);
	uint32_t value;

	dm_virtio_tick(v, v->host->now_ns(v->host->ctx));
	if (reg == NULL) {
		dm_virtio_common_read_odd(v, offset, buf, len_bytes);
		return;
	}
	value = dm_virtio_reg_value(v, reg);
	memcpy(buf, &value, len_bytes);
}

/*
 * Once enabled, a queue can only be reset. Linux's vp_vdpa gives it its vector later, right before
 * DRIVER_OK, and cards take it.
 */
static bool
dm_virtio_enabled_takes(const struct dm_virtio *v, uint8_t off)
{
	return off == LM_VIRTIO_PCI_COMMON_Q_RESET || (off == LM_VIRTIO_PCI_COMMON_Q_MSIX &&
			(v->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0);
}

static bool
dm_virtio_write_allowed(struct dm_virtio *v, const struct dm_virtio_reg *reg)
{
	const struct dm_virtio_queue *q = dm_virtio_selected(v);
	uint8_t off = reg->offset;

	if (reg->write == NULL) {
		dm_rule_broken(v->host->rules, DM_RULE_WRITE_READ_ONLY, "register %u", off);
		return false;
	}
	if (v->resetting) {
		dm_rule_broken(v->host->rules, DM_RULE_WRITE_IN_RESET, "register %u", off);
		return false;
	}
	if (!reg->per_queue)
		return true;
	if (q == NULL) {
		dm_rule_broken(v->host->rules, DM_RULE_QUEUE_ABSENT, "queue %u", v->queue_select);
		return false;
	}
	if (q->resetting || (q->enabled && !dm_virtio_enabled_takes(v, off))) {
		dm_rule_broken(v->host->rules, q->resetting ? DM_RULE_WRITE_IN_RESET :
				DM_RULE_QUEUE_ENABLED, "queue %u, register %u", v->queue_select,
				off);
		return false;
	}
	return true;
}

void
dm_virtio_common_write(struct dm_virtio *v, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	const struct dm_virtio_reg *reg = dm_virtio_reg_find(offset, len_bytes);
	uint32_t value = 0;

	dm_virtio_tick(v, v->host->now_ns(v->host->ctx));
	if (reg == NULL) {
		dm_rule_broken(v->host->rules, DM_RULE_ACCESS_WIDTH, "write of %u bytes at %u",
				len_bytes, offset);
		return;
	}
	if (!dm_virtio_write_allowed(v, reg))
		return;
	memcpy(&value, buf, len_bytes);
	reg->write(v, dm_virtio_selected(v), value);
}
