/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lm_virtio_priv.h"

#define CFG_VENDOR_ID 0x00
#define CFG_DEVICE_ID 0x02
#define CFG_SUBSYSTEM_ID 0x2e

#define YIELD_TURNS 64
#define SLEEP_MAX_US 1000

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
lm_virtio_wait_start(struct lm_virtio_wait *wait, uint64_t timeout_us)
{
	*wait = (struct lm_virtio_wait){ .end_us = now_us() + timeout_us };
}

bool
lm_virtio_wait_turn(struct lm_virtio_wait *wait)
{
	struct timespec ts = { 0 };
	uint64_t now = now_us(), sleep_us;

	if (now >= wait->end_us)
		return false;
	if (wait->turns++ < YIELD_TURNS) {
		sched_yield();
		return true;
	}
	sleep_us = 20 * (uint64_t)(wait->turns - YIELD_TURNS);
	if (sleep_us > SLEEP_MAX_US)
		sleep_us = SLEEP_MAX_US;
	if (sleep_us > wait->end_us - now)
		sleep_us = wait->end_us - now;
	ts.tv_nsec = (long)(sleep_us * 1000);
	nanosleep(&ts, NULL);
	return true;
}

int
lm_virtio_reg_read8(struct lm_virtio_dev *dev, uint32_t reg, uint8_t *value)
{
	return lm_pci_bar_read(dev->pci, dev->common.bar, dev->common.offset + reg, value, 1);
}

int
lm_virtio_reg_read16(struct lm_virtio_dev *dev, uint32_t reg, uint16_t *value)
{
	return lm_pci_bar_read(dev->pci, dev->common.bar, dev->common.offset + reg, value, 2);
}

int
lm_virtio_reg_read32(struct lm_virtio_dev *dev, uint32_t reg, uint32_t *value)
{
	return lm_pci_bar_read(dev->pci, dev->common.bar, dev->common.offset + reg, value, 4);
}

/*
 * Registers are written without waiting, as on a bus: what matters is read back, and queues are
 * programmed inside a migration's blackout.
 */
int
lm_virtio_reg_write8(struct lm_virtio_dev *dev, uint32_t reg, uint8_t value)
{
	return lm_pci_bar_write_posted(dev->pci, dev->common.bar, dev->common.offset + reg, &value,
			1);
}

int
lm_virtio_reg_write16(struct lm_virtio_dev *dev, uint32_t reg, uint16_t value)
{
	return lm_pci_bar_write_posted(dev->pci, dev->common.bar, dev->common.offset + reg, &value,
			2);
}

int
lm_virtio_reg_write32(struct lm_virtio_dev *dev, uint32_t reg, uint32_t value)
{
	return lm_pci_bar_write_posted(dev->pci, dev->common.bar, dev->common.offset + reg, &value,
			4);
}

/* 4.1.3.1: a 64-bit field is written as two 32-bit ones. */
int
lm_virtio_reg_write64(struct lm_virtio_dev *dev, uint32_t reg, uint64_t value)
{
	int ret = lm_virtio_reg_write32(dev, reg, (uint32_t)value);

	return ret != 0 ? ret : lm_virtio_reg_write32(dev, reg + 4, (uint32_t)(value >> 32));
}

static int
read_identity(struct lm_virtio_dev *dev)
{
	uint16_t vendor, device, subsystem;
	int ret;

	ret = lm_pci_config_read(dev->pci, CFG_VENDOR_ID, &vendor, sizeof(vendor));
	if (ret == 0)
		ret = lm_pci_config_read(dev->pci, CFG_DEVICE_ID, &device, sizeof(device));
	if (ret == 0)
		ret = lm_pci_config_read(dev->pci, CFG_SUBSYSTEM_ID, &subsystem, sizeof(subsystem));
	if (ret != 0)
		return ret;
	if (vendor != LM_VIRTIO_PCI_VENDOR_ID || device < LM_VIRTIO_PCI_DEVICE_ID_MIN ||
			device > LM_VIRTIO_PCI_DEVICE_ID_MAX)
		return lm_pci_fail(dev->pci, -ENODEV, "%04x:%04x is not a virtio function", vendor,
				device);
	dev->device_id = device >= LM_VIRTIO_PCI_DEVICE_ID_MODERN ?
			device - LM_VIRTIO_PCI_DEVICE_ID_MODERN : subsystem;
	return 0;
}

static int
read_features(struct lm_virtio_dev *dev)
{
	uint32_t word[2];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 2 && ret == 0; i++) {
		ret = lm_virtio_reg_write32(dev, LM_VIRTIO_PCI_COMMON_DFSELECT, i);
		if (ret == 0)
			ret = lm_virtio_reg_read32(dev, LM_VIRTIO_PCI_COMMON_DF, &word[i]);
	}
	if (ret == 0)
		dev->device_features = (uint64_t)word[1] << 32 | word[0];
	return ret;
}

static int
read_device(struct lm_virtio_dev *dev)
{
	int ret;

	ret = read_identity(dev);
	if (ret == 0)
		ret = lm_virtio_caps_read(dev);
	/* BARs answer only with memory decoding on. */
	if (ret == 0)
		ret = lm_pci_bus_master(dev->pci, false);
	if (ret == 0)
		ret = lm_virtio_reg_read16(dev, LM_VIRTIO_PCI_COMMON_NUMQ, &dev->num_queues);
	if (ret == 0)
		ret = read_features(dev);
	if (ret != 0)
		return ret;
	if (dev->num_queues == 0)
		return lm_pci_fail(dev->pci, -EPROTO, "the function has no virtqueue");
	dev->queues = calloc(dev->num_queues, sizeof(*dev->queues));
	if (dev->queues == NULL)
		return lm_pci_fail(dev->pci, -ENOMEM, "no memory for %u queues", dev->num_queues);
	return 0;
}

int
lm_virtio_open(struct lm_pci *pci, struct lm_virtio_dev **out)
{
	struct lm_virtio_dev *dev;
	int ret;

	dev = calloc(1, sizeof(*dev));
	if (dev == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory");
	dev->pci = pci;
	ret = read_device(dev);
	if (ret != 0) {
		lm_virtio_close(dev);
		return ret;
	}
	*out = dev;
	return 0;
}

void
lm_virtio_close(struct lm_virtio_dev *dev)
{
	if (dev == NULL)
		return;
	free(dev->queues);
	free(dev);
}

uint16_t
lm_virtio_device_id(const struct lm_virtio_dev *dev)
{
	return dev->device_id;
}

uint16_t
lm_virtio_num_queues(const struct lm_virtio_dev *dev)
{
	return dev->num_queues;
}

uint64_t
lm_virtio_device_features(const struct lm_virtio_dev *dev)
{
	return dev->device_features;
}

int
lm_virtio_status(struct lm_virtio_dev *dev, uint8_t *status)
{
	return lm_virtio_reg_read8(dev, LM_VIRTIO_PCI_COMMON_STATUS, status);
}

static int
status_add(struct lm_virtio_dev *dev, uint8_t bits)
{
	dev->status |= bits;
	return lm_virtio_reg_write8(dev, LM_VIRTIO_PCI_COMMON_STATUS, dev->status);
}

int
lm_virtio_reset(struct lm_virtio_dev *dev, uint64_t timeout_us)
{
	struct lm_virtio_wait wait;
	uint8_t status;
	int ret;

	dev->status = 0;
	dev->features = 0;
	ret = lm_virtio_reg_write8(dev, LM_VIRTIO_PCI_COMMON_STATUS, 0);
	if (ret != 0)
		return ret;
	lm_virtio_wait_start(&wait, timeout_us);
	do {
		ret = lm_virtio_status(dev, &status);
		if (ret != 0 || status == 0)
			return ret;
	} while (lm_virtio_wait_turn(&wait));
	return lm_pci_fail(dev->pci, -ETIMEDOUT, "device reset: status still 0x%02x after %" PRIu64
			" us", status, timeout_us);
}

/* Features that put registers behind the 56 bytes that every device has. */
static int
features_check(struct lm_virtio_dev *dev, uint64_t features)
{
	static const struct {
		uint8_t bit;
		uint8_t end;
		const char *name;
	} needs[] = {
		{ LM_VIRTIO_F_NOTIF_CONFIG_DATA, LM_VIRTIO_PCI_COMMON_Q_NDATA + 2,
			"NOTIF_CONFIG_DATA" },
		{ LM_VIRTIO_F_RING_RESET, LM_VIRTIO_PCI_COMMON_Q_RESET + 2, "RING_RESET" },
	};
	uint64_t refused = features & ~dev->device_features;
	unsigned int i;

	if (refused != 0)
		return lm_pci_fail(dev->pci, -ENOTSUP, "features 0x%" PRIx64 " are not offered",
				refused);
	if ((features & LM_VIRTIO_BIT(LM_VIRTIO_F_VERSION_1)) == 0)
		return lm_pci_fail(dev->pci, -ENOTSUP, "only VERSION_1 devices are driven");
	if ((features & LM_VIRTIO_BIT(LM_VIRTIO_F_NOTIFICATION_DATA)) != 0)
		return lm_pci_fail(dev->pci, -ENOTSUP, "NOTIFICATION_DATA is not driven");
	for (i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if ((features & LM_VIRTIO_BIT(needs[i].bit)) != 0 &&
				dev->common.length < needs[i].end)
			return lm_pci_fail(dev->pci, -ENOTSUP, "%s is offered, but the common "
					"configuration has only %" PRIu64 " bytes", needs[i].name,
					dev->common.length);
	return 0;
}

static int
features_write(struct lm_virtio_dev *dev, uint64_t features)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 2 && ret == 0; i++) {
		ret = lm_virtio_reg_write32(dev, LM_VIRTIO_PCI_COMMON_GFSELECT, i);
		if (ret == 0)
			ret = lm_virtio_reg_write32(dev, LM_VIRTIO_PCI_COMMON_GF,
					(uint32_t)(features >> (32 * i)));
	}
	return ret;
}

int
lm_virtio_negotiate(struct lm_virtio_dev *dev, uint64_t features)
{
	uint8_t status;
	int ret;

	ret = features_check(dev, features);
	if (ret == 0)
		ret = lm_pci_bus_master(dev->pci, true);
	/* 3.1.1: the steps, in their order. */
	if (ret == 0)
		ret = status_add(dev, LM_VIRTIO_STATUS_ACKNOWLEDGE);
	if (ret == 0)
		ret = status_add(dev, LM_VIRTIO_STATUS_DRIVER);
	if (ret == 0)
		ret = features_write(dev, features);
	if (ret == 0)
		ret = status_add(dev, LM_VIRTIO_STATUS_FEATURES_OK);
	if (ret == 0)
		ret = lm_virtio_status(dev, &status);
	if (ret != 0)
		return ret;
	if ((status & LM_VIRTIO_STATUS_FEATURES_OK) == 0) {
		dev->status &= (uint8_t)~LM_VIRTIO_STATUS_FEATURES_OK;
		return lm_pci_fail(dev->pci, -ENOTSUP, "the device refuses features 0x%" PRIx64
				" (status 0x%02x)", features, status);
	}
	dev->features = features;
	return 0;
}

int
lm_virtio_driver_ok(struct lm_virtio_dev *dev)
{
	uint8_t status;
	int ret;

	if ((dev->status & LM_VIRTIO_STATUS_FEATURES_OK) == 0)
		return lm_pci_fail(dev->pci, -EINVAL, "DRIVER_OK before features are negotiated");
	ret = status_add(dev, LM_VIRTIO_STATUS_DRIVER_OK);
	/* Reading waits for all that was written: a kick may take another way and be faster. */
	if (ret == 0)
		ret = lm_virtio_status(dev, &status);
	if (ret == 0 && (status & LM_VIRTIO_STATUS_NEEDS_RESET) != 0)
		return lm_pci_fail(dev->pci, -EIO, "the device failed at DRIVER_OK (status 0x%02x)",
				status);
	return ret;
}

/* Wait for status bits to read as said; NEEDS_RESET ends it. */
static int
status_wait(struct lm_virtio_dev *dev, uint8_t mask, uint8_t wanted, uint64_t timeout_us,
		const char *what)
{
	struct lm_virtio_wait wait;
	uint8_t status;
	int ret;

	lm_virtio_wait_start(&wait, timeout_us);
	do {
		ret = lm_virtio_status(dev, &status);
		if (ret != 0 || (status & mask) == wanted)
			return ret;
		if ((status & LM_VIRTIO_STATUS_NEEDS_RESET) != 0)
			return lm_pci_fail(dev->pci, -EIO, "%s: the device failed (status 0x%02x)",
					what, status);
	} while (lm_virtio_wait_turn(&wait));
	return lm_pci_fail(dev->pci, -ETIMEDOUT, "%s: status still 0x%02x after %" PRIu64 " us",
			what, status, timeout_us);
}

#define SUSPEND_BITS (LM_VIRTIO_STATUS_SUSPEND | LM_VIRTIO_STATUS_DRIVER_OK)

int
lm_virtio_suspend(struct lm_virtio_dev *dev, uint64_t timeout_us)
{
	int ret;

	if (!lm_virtio_has(dev, LM_VIRTIO_F_SUSPEND))
		return lm_pci_fail(dev->pci, -ENOTSUP, "SUSPEND is not negotiated");
	if ((dev->status & LM_VIRTIO_STATUS_DRIVER_OK) == 0)
		return lm_pci_fail(dev->pci, -EINVAL, "SUSPEND without DRIVER_OK");
	ret = lm_virtio_reg_write8(dev, LM_VIRTIO_PCI_COMMON_STATUS,
			dev->status | LM_VIRTIO_STATUS_SUSPEND);
	if (ret == 0)
		ret = status_wait(dev, SUSPEND_BITS, LM_VIRTIO_STATUS_SUSPEND, timeout_us,
				"suspend");
	if (ret != 0)
		return ret;
	dev->status |= LM_VIRTIO_STATUS_SUSPEND;
	dev->status &= (uint8_t)~LM_VIRTIO_STATUS_DRIVER_OK;
	return 0;
}

int
lm_virtio_resume(struct lm_virtio_dev *dev, uint64_t timeout_us)
{
	int ret;

	if ((dev->status & LM_VIRTIO_STATUS_SUSPEND) == 0)
		return lm_pci_fail(dev->pci, -EINVAL, "resume without suspend");
	dev->status |= LM_VIRTIO_STATUS_DRIVER_OK;
	dev->status &= (uint8_t)~LM_VIRTIO_STATUS_SUSPEND;
	ret = lm_virtio_reg_write8(dev, LM_VIRTIO_PCI_COMMON_STATUS, dev->status);
	if (ret != 0)
		return ret;
	return status_wait(dev, SUSPEND_BITS, LM_VIRTIO_STATUS_DRIVER_OK, timeout_us, "resume");
}
