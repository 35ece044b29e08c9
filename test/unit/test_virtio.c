/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The virtio transport against a function whose registers lie: capabilities that point outside,
 * resets that never end, vectors that are refused, control queues that answer nonsense.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "virtio_fake.h"

static struct vdevice vdevice;

static void
device_start(struct vdevice *d)
{
	fake_start(&d->fake);
	d->pci = fake_open(&d->fake);
}

static void
open_ok(struct vdevice *d)
{
	int ret;

	device_start(d);
	ret = lm_virtio_open(d->pci, &d->dev);
	if (ret != 0)
		fail_msg("lm_virtio_open: %d, %s", ret, lm_pci_strerror(d->pci));
}

static void
refused(struct vdevice *d, int ret, int err, const char *words)
{
	assert_int_equal(ret, err);
	if (strstr(lm_pci_strerror(d->pci), words) == NULL)
		fail_msg("'%s' does not say '%s'", lm_pci_strerror(d->pci), words);
}

static int
setup(void **state)
{
	virtio_fake_init(&vdevice);
	*state = &vdevice;
	return 0;
}

static int
teardown(void **state)
{
	struct vdevice *d = *state;

	lm_virtio_close(d->dev);
	lm_pci_close(d->pci);
	fake_fini(&d->fake);
	return 0;
}

static void
test_open(void **state)
{
	struct vdevice *d = *state;

	open_ok(d);
	assert_int_equal(lm_virtio_device_id(d->dev), LM_VIRTIO_ID_NET);
	assert_int_equal(lm_virtio_num_queues(d->dev), NB_QUEUES);
	assert_int_equal(lm_virtio_device_features(d->dev), OFFERED);
}

/* 4.1.4.1: the first usable instance counts, also when it is larger; others are passed over. */
static void
test_first_usable_cap(void **state)
{
	struct vdevice *d = *state;

	virtio_fake_cap(d, 0x40, 0xa0, LM_VIRTIO_PCI_CAP_COMMON_CFG, 6, 0, 64); /* reserved BAR */
	virtio_fake_cap(d, 0xa0, 0xb0, LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, FAKE_BAR0_BYTES - 32, 64);
	virtio_fake_cap(d, 0xb0, 0xc0, 0x77, 0, 0, 64);
	virtio_fake_cap(d, 0xc0, 0xd0, LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 4096);
	virtio_fake_cap(d, 0xd0, 0x54, LM_VIRTIO_PCI_CAP_COMMON_CFG, 2, 0, 64);
	open_ok(d);
	assert_int_equal(lm_virtio_device_features(d->dev), OFFERED);
}

static void
test_hostile_caps(void **state)
{
	static const struct {
		uint8_t type, bar;
		uint32_t offset, length;
	} bad[] = {
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, FAKE_BAR0_BYTES, 64 },
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, FAKE_BAR0_BYTES - 60, 64 },
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, UINT32_MAX - 3, 64 },
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, UINT32_MAX },
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 55 },
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 2, 64 },
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 1, 0, 64 }, /* no such BAR */
		{ LM_VIRTIO_PCI_CAP_COMMON_CFG, 255, 0, 64 },
		{ LM_VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_BAR, FAKE_BAR4_BYTES, 2 },
		{ LM_VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_BAR, 0, 1 },
		{ LM_VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_BAR, 1, 64 },
	};
	struct vdevice *d = *state;
	unsigned int i;
	bool common;

	device_start(d);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		common = bad[i].type == LM_VIRTIO_PCI_CAP_COMMON_CFG;
		virtio_fake_cap(d, 0x40, 0x54, LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 64);
		virtio_fake_cap(d, 0x80, 0, LM_VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_BAR, NOTIFY_AT,
				0x100);
		virtio_fake_cap(d, common ? 0x40 : 0x80, common ? 0x54 : 0, bad[i].type, bad[i].bar,
				bad[i].offset, bad[i].length);
		refused(d, lm_virtio_open(d->pci, &d->dev), -ENODEV,
				common ? "common configuration" : "notification");
	}
	/* too short to be one; a list that loops; one at the very end */
	virtio_fake_cap(d, 0x80, 0, LM_VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_BAR, NOTIFY_AT, 0x100);
	d->fake.config[0x82] = 16;
	refused(d, lm_virtio_open(d->pci, &d->dev), -ENODEV, "notification");
	virtio_fake_cap(d, 0x80, 0x54, LM_VIRTIO_PCI_CAP_PCI_CFG, NOTIFY_BAR, NOTIFY_AT, 0x100);
	refused(d, lm_virtio_open(d->pci, &d->dev), -ENODEV, "notification");
	fake_cap(&d->fake, 0xfc, LM_VIRTIO_PCI_CAP_VNDR, 0x40);
	fake_cap(&d->fake, 0x80, LM_VIRTIO_PCI_CAP_VNDR, 0xfc);
	refused(d, lm_virtio_open(d->pci, &d->dev), -ENODEV, "notification");
}

static void
test_not_virtio(void **state)
{
	struct vdevice *d = *state;

	device_start(d);
	d->fake.config[2] = 0x80;
	d->fake.config[3] = 0x10;
	refused(d, lm_virtio_open(d->pci, &d->dev), -ENODEV, "1af4:1080");
	d->fake.config[0] = 0x86;
	refused(d, lm_virtio_open(d->pci, &d->dev), -ENODEV, "not a virtio function");
	/* transitional: the subsystem id says what it is */
	memcpy(d->fake.config, (uint8_t[]){ 0xf4, 0x1a, 0x01, 0x10 }, 4);
	d->fake.config[0x2e] = LM_VIRTIO_ID_BLOCK;
	assert_int_equal(lm_virtio_open(d->pci, &d->dev), 0);
	assert_int_equal(lm_virtio_device_id(d->dev), LM_VIRTIO_ID_BLOCK);
}

static void
test_no_queues(void **state)
{
	struct vdevice *d = *state;

	d->num_queues = 0;
	device_start(d);
	refused(d, lm_virtio_open(d->pci, &d->dev), -EPROTO, "no virtqueue");
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
test_reset(void **state)
{
	struct vdevice *d = *state;
	uint64_t start;
	uint8_t status;

	open_ok(d);
	d->status = LM_VIRTIO_STATUS_FAILED;
	d->status_delay = 100; /* slow, but in time */
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	assert_int_equal(lm_virtio_status(d->dev, &status), 0);
	assert_int_equal(status, 0);
	d->status = LM_VIRTIO_STATUS_DRIVER;
	d->reset_hangs = true;
	start = now_us();
	refused(d, lm_virtio_reset(d->dev, 30000), -ETIMEDOUT, "status still 0x02");
	assert_true(now_us() - start >= 30000);
}

static void
test_negotiate(void **state)
{
	struct vdevice *d = *state;

	open_ok(d);
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	refused(d, lm_virtio_driver_ok(d->dev), -EINVAL, "before features");
	refused(d, lm_virtio_negotiate(d->dev, PLAIN | BIT(LM_VIRTIO_NET_F_MQ)), -ENOTSUP,
			"0x400000 are not offered");
	refused(d, lm_virtio_negotiate(d->dev, 0), -ENOTSUP, "VERSION_1");
	refused(d, lm_virtio_negotiate(d->dev, PLAIN | BIT(LM_VIRTIO_F_NOTIFICATION_DATA)),
			-ENOTSUP, "NOTIFICATION_DATA");
	assert_int_equal(d->status, 0);
	assert_int_equal(lm_virtio_negotiate(d->dev, PLAIN), 0);
	assert_int_equal(d->driver_features, PLAIN);
	assert_int_equal(d->status, 0x0b);
	assert_int_equal(d->fake.config[4] & 0x06, 0x06); /* memory, bus master */
	assert_int_equal(lm_virtio_driver_ok(d->dev), 0);
	assert_int_equal(d->status, 0x0f);
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	d->refuses_features = true;
	refused(d, lm_virtio_negotiate(d->dev, PLAIN), -ENOTSUP, "refuses");
	refused(d, lm_virtio_driver_ok(d->dev), -EINVAL, "before features");
}

/* RING_RESET offered by a device whose registers end before it. */
static void
test_short_common_config(void **state)
{
	struct vdevice *d = *state;

	virtio_fake_cap(d, 0x40, 0x54, LM_VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 56);
	open_ok(d);
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	refused(d, lm_virtio_negotiate(d->dev, PLAIN), -ENOTSUP, "RING_RESET");
	assert_int_equal(lm_virtio_negotiate(d->dev, BIT(LM_VIRTIO_F_VERSION_1)), 0);
}

static void
negotiated(struct vdevice *d, uint64_t features)
{
	open_ok(d);
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	assert_int_equal(lm_virtio_negotiate(d->dev, features), 0);
}

/* Registers are written without waiting: a read ends when all writes have been handled. */
static void
settle(struct vdevice *d)
{
	uint8_t status;

	assert_int_equal(lm_virtio_status(d->dev, &status), 0);
}

static void
test_queue(void **state)
{
	const struct lm_virtio_queue_conf conf = {
		.size = 64, .vector = 3, .desc_iova = UINT64_C(0x123456780010),
		.driver_iova = UINT64_C(0x223456780012), .device_iova = UINT64_C(0x323456780014),
	};
	struct lm_virtio_queue_conf bad;
	struct vdevice *d = *state;
	uint64_t offset, size;
	unsigned int bar;
	uint16_t max;

	negotiated(d, PLAIN);
	lm_virtio_notify(d->dev, 1); /* before set-up: nothing */
	assert_int_equal(lm_virtio_queue_max(d->dev, 1, &max), 0);
	assert_int_equal(max, 256);
	refused(d, lm_virtio_queue_max(d->dev, NB_QUEUES, &max), -EINVAL, "no queue 3");
	bad = conf;
	bad.size = 48;
	refused(d, lm_virtio_queue_setup(d->dev, 1, &bad), -EINVAL, "size 48");
	bad.size = 0;
	refused(d, lm_virtio_queue_setup(d->dev, 1, &bad), -EINVAL, "size 0");
	bad.size = 512;
	refused(d, lm_virtio_queue_setup(d->dev, 1, &bad), -EINVAL, "the device has 256");
	bad = conf;
	bad.desc_iova += 8;
	refused(d, lm_virtio_queue_setup(d->dev, 1, &bad), -EINVAL, "not aligned");
	bad = conf;
	bad.device_iova += 2;
	refused(d, lm_virtio_queue_setup(d->dev, 1, &bad), -EINVAL, "not aligned");
	bad = conf;
	bad.vector = 8;
	refused(d, lm_virtio_queue_setup(d->dev, 1, &bad), -ENXIO, "vector 8 refused");
	settle(d);
	assert_int_equal(d->q[1].enable, 0);
	refused(d, lm_virtio_config_vector(d->dev, 9), -ENXIO, "configuration 0: vector 9");
	assert_int_equal(lm_virtio_config_vector(d->dev, 0), 0);
	assert_int_equal(d->config_vector, 0);

	assert_int_equal(lm_virtio_queue_setup(d->dev, 1, &conf), 0);
	settle(d);
	assert_int_equal(d->q[1].size, 64);
	assert_int_equal(d->q[1].vector, 3);
	assert_int_equal(d->q[1].desc, conf.desc_iova);
	assert_int_equal(d->q[1].driver, conf.driver_iova);
	assert_int_equal(d->q[1].device, conf.device_iova);
	assert_int_equal(d->q[1].enable, 1);
	refused(d, lm_virtio_queue_setup(d->dev, 1, &conf), -EBUSY, "queue 1 is enabled");
	assert_int_equal(d->kicks, 0);
	lm_virtio_notify(d->dev, 1);
	assert_int_equal(lm_virtio_notify_area(d->dev, 1, &bar, &offset, &size), 0);
	assert_int_equal(d->kicks, 1);
	assert_int_equal(*(uint16_t *)(d->fake.bar4 + NOTIFY_AT + NOTIFY_MULTIPLIER), 1);
	assert_int_equal(bar, NOTIFY_BAR);
	assert_int_equal(offset, NOTIFY_AT + NOTIFY_MULTIPLIER);
	assert_int_equal(size, NOTIFY_MULTIPLIER);
}

static void
test_queue_reset(void **state)
{
	const struct lm_virtio_queue_conf conf = { .size = 64, .vector = 0xffff };
	struct vdevice *d = *state;

	negotiated(d, PLAIN);
	assert_int_equal(lm_virtio_queue_setup(d->dev, 0, &conf), 0);
	assert_int_equal(lm_virtio_queue_reset(d->dev, 0, RESET_US), 0);
	assert_int_equal(d->q[0].enable, 0);
	assert_int_equal(lm_virtio_driver_ok(d->dev), 0);
	d->refuses_enable = true; /* under DRIVER_OK the enabling is read back */
	refused(d, lm_virtio_queue_setup(d->dev, 0, &conf), -EPROTO, "enable reads 0");
	d->refuses_enable = false;
	assert_int_equal(lm_virtio_queue_setup(d->dev, 0, &conf), 0);
	assert_int_equal(d->q[0].enable, 1);
	d->ring_reset_hangs = true;
	refused(d, lm_virtio_queue_reset(d->dev, 0, 20000), -ETIMEDOUT, "ring reset of queue 0");
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	assert_int_equal(lm_virtio_negotiate(d->dev, BIT(LM_VIRTIO_F_VERSION_1)), 0);
	refused(d, lm_virtio_queue_reset(d->dev, 0, RESET_US), -ENOTSUP, "not negotiated");
}

/* What a device may say about sizes, and what a split ring makes of it. */
static void
test_queue_sizes(void **state)
{
	static const struct {
		uint16_t says, split, packed;
	} cases[] = {
		{ 1, 1, 1 }, { 3, 2, 3 }, { 100, 64, 100 }, { 256, 256, 256 },
		{ 32768, 32768, 32768 }, { 32769, 32768, 32768 }, { 65535, 32768, 32768 },
	};
	struct vdevice *d = *state;
	unsigned int i;
	uint16_t max;

	open_ok(d);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		d->max_size = cases[i].says;
		assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
		assert_int_equal(lm_virtio_negotiate(d->dev, PLAIN), 0);
		assert_int_equal(lm_virtio_queue_max(d->dev, 0, &max), 0);
		assert_int_equal(max, cases[i].split);
		assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
		assert_int_equal(lm_virtio_negotiate(d->dev, PLAIN |
				BIT(LM_VIRTIO_F_RING_PACKED)), 0);
		assert_int_equal(lm_virtio_queue_max(d->dev, 0, &max), 0);
		assert_int_equal(max, cases[i].packed);
	}
	d->max_size = 0;
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	refused(d, lm_virtio_queue_max(d->dev, 0, &max), -ENOENT, "queue 0 is absent");
}

static void
test_doorbell_outside(void **state)
{
	const struct lm_virtio_queue_conf conf = { .size = 64, .vector = 0xffff };
	struct vdevice *d = *state;
	uint64_t offset, size;
	unsigned int bar;

	negotiated(d, PLAIN);
	d->notify_off = 0x100 / NOTIFY_MULTIPLIER;
	refused(d, lm_virtio_queue_setup(d->dev, 0, &conf), -EPROTO, "doorbell at 0x100");
	settle(d);
	assert_int_equal(d->q[0].enable, 0);
	d->notify_off = 0xffff;
	refused(d, lm_virtio_notify_area(d->dev, 0, &bar, &offset, &size), -EPROTO, "doorbell");
	d->notify_off = 0x100 / NOTIFY_MULTIPLIER - 1;
	assert_int_equal(lm_virtio_queue_setup(d->dev, 0, &conf), 0);
}

static void
test_device_config(void **state)
{
	struct vdevice *d = *state;
	struct lm_virtio_net_config config, zero = { 0 };
	uint16_t mtu = 1500;

	open_ok(d);
	memcpy(d->fake.bar0 + CONFIG_AT, "\x52\x54\x00\x11\x22\x33\x01\x00\x04\x00\xdc\x05", 12);
	assert_int_equal(lm_virtio_config_get(d->dev, 0, &config, sizeof(config)), 0);
	assert_memory_equal(config.mac, "\x52\x54\x00\x11\x22\x33", 6);
	assert_int_equal(config.status, 1);
	assert_int_equal(config.max_virtqueue_pairs, 4);
	assert_int_equal(config.mtu, 1500);
	assert_int_equal(lm_virtio_config_get(d->dev, 10, &mtu, 2), 0);
	assert_int_equal(d->field_errors, 0);
	assert_int_equal(lm_virtio_config_set(d->dev, 0, "\x02\x00\x00\x00\x00\x01", 6), 0);
	assert_memory_equal(d->fake.bar0 + CONFIG_AT, "\x02\x00\x00\x00\x00\x01\x01", 7);
	refused(d, lm_virtio_config_get(d->dev, 20, &config, 5), -EINVAL, "of 24 bytes");
	refused(d, lm_virtio_config_get(d->dev, UINT32_MAX, &config, 2), -EINVAL, "of 24 bytes");
	refused(d, lm_virtio_config_set(d->dev, 24, &zero, 1), -EINVAL, "of 24 bytes");
	d->generation_runs = true;
	refused(d, lm_virtio_config_get(d->dev, 0, &config, 8), -EPROTO, "changed");
}

static void
test_suspend(void **state)
{
	struct vdevice *d = *state;
	int i;

	negotiated(d, PLAIN);
	refused(d, lm_virtio_suspend(d->dev, RESET_US), -ENOTSUP, "not negotiated");
	assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
	assert_int_equal(lm_virtio_negotiate(d->dev, PLAIN | BIT(LM_VIRTIO_F_SUSPEND)), 0);
	refused(d, lm_virtio_suspend(d->dev, RESET_US), -EINVAL, "without DRIVER_OK");
	refused(d, lm_virtio_resume(d->dev, RESET_US), -EINVAL, "without suspend");
	assert_int_equal(lm_virtio_driver_ok(d->dev), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(lm_virtio_suspend(d->dev, RESET_US), 0);
		assert_int_equal(d->status, 0x1b);
		assert_int_equal(lm_virtio_resume(d->dev, RESET_US), 0);
		assert_int_equal(d->status, 0xf);
	}
	d->suspend_hangs = true;
	refused(d, lm_virtio_suspend(d->dev, 3000), -ETIMEDOUT, "suspend: status still 0x0f");
	d->suspend_hangs = false;
	d->suspend_fails = true;
	refused(d, lm_virtio_suspend(d->dev, RESET_US), -EIO, "failed (status 0x4f)");
}

static struct lm_virtio_cvq *
cvq_ready(struct vdevice *d)
{
	struct lm_virtio_cvq *cvq = NULL;
	int ret;

	negotiated(d, PLAIN);
	ret = lm_virtio_cvq_create(d->dev, CVQ, &cvq);
	if (ret != 0)
		fail_msg("cvq: %d, %s", ret, lm_pci_strerror(d->pci));
	return cvq;
}

static void
test_cvq(void **state)
{
	struct vdevice *d = *state;
	uint8_t big[4097] = { 0 };
	struct lm_virtio_cvq *cvq;
	uint16_t pairs;

	cvq = cvq_ready(d);
	refused(d, lm_virtio_cvq_cmd(cvq, 4, 0, &pairs, 2, RESET_US), -EINVAL, "not running");
	assert_int_equal(lm_virtio_driver_ok(d->dev), 0);
	for (pairs = 1; pairs <= 50; pairs++) { /* around the ring a few times */
		assert_int_equal(lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_MQ,
				LM_VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, sizeof(pairs),
				1000000), 0);
		assert_int_equal(d->last_class, LM_VIRTIO_NET_CTRL_MQ);
		assert_int_equal(d->last_len, 2);
		assert_memory_equal(d->last_data, &pairs, 2);
	}
	/* no data at all */
	assert_int_equal(lm_virtio_cvq_cmd(cvq, LM_VIRTIO_NET_CTRL_ANNOUNCE, 0, NULL, 0,
			1000000), 0);
	assert_int_equal(d->last_class, LM_VIRTIO_NET_CTRL_ANNOUNCE);
	assert_int_equal(d->last_len, 0);
	d->cvq_mode = CVQ_SAYS_ERR;
	refused(d, lm_virtio_cvq_cmd(cvq, 0, 1, "\1", 1, 1000000), -EIO, "command 0/1");
	d->cvq_mode = CVQ_GOOD;
	assert_int_equal(lm_virtio_cvq_cmd(cvq, 0, 1, "\1", 1, 1000000), 0);
	refused(d, lm_virtio_cvq_cmd(cvq, 0, 1, big, sizeof(big), 1000000), -EMSGSIZE, "4097");
	lm_virtio_reset(d->dev, RESET_US);
	lm_virtio_cvq_destroy(cvq);
	assert_int_equal(d->fake.nb_unmapped, 1);
}

/* After silence or nonsense the queue is out of use until the device is reset. */
static void
test_cvq_hostile(void **state)
{
	static const struct {
		int mode, err;
		const char *words;
	} cases[] = {
		{ CVQ_SILENT, -ETIMEDOUT, "no answer" },
		{ CVQ_BAD_ID, -EPROTO, "id 1" },
		{ CVQ_BAD_LEN, -EPROTO, "2 bytes" },
		{ CVQ_BAD_ACK, -EPROTO, "answer 0xa5" },
		{ CVQ_TWO, -EPROTO, "used index 2 for 1" },
	};
	struct vdevice *d = *state;
	struct lm_virtio_cvq *cvq;
	unsigned int i;

	cvq = cvq_ready(d);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(lm_virtio_driver_ok(d->dev), 0);
		d->cvq_mode = cases[i].mode;
		refused(d, lm_virtio_cvq_cmd(cvq, 0, 0, "\1", 1, 30000), cases[i].err,
				cases[i].words);
		d->cvq_mode = CVQ_GOOD;
		refused(d, lm_virtio_cvq_cmd(cvq, 0, 0, "\1", 1, 30000), -EINVAL, "not running");
		assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
		assert_int_equal(lm_virtio_negotiate(d->dev, PLAIN), 0);
		assert_int_equal(lm_virtio_cvq_setup(cvq), 0);
		assert_int_equal(lm_virtio_driver_ok(d->dev), 0);
		assert_int_equal(lm_virtio_cvq_cmd(cvq, 0, 0, "\1", 1, 1000000), 0);
		assert_int_equal(lm_virtio_reset(d->dev, RESET_US), 0);
		assert_int_equal(lm_virtio_negotiate(d->dev, PLAIN), 0);
		assert_int_equal(lm_virtio_cvq_setup(cvq), 0);
	}
	lm_virtio_reset(d->dev, RESET_US);
	lm_virtio_cvq_destroy(cvq);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_usable_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_caps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_virtio, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_negotiate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_common_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbell_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_suspend, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cvq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cvq_hostile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
