/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/vfio.h>

#include "lm_vfio_if.h"
#include "vfio_fake.h"

struct vfio_fake vfio_fake;
static struct vfio_fake *const k = &vfio_fake;

static bool
precopies(void)
{
	return k->state == LM_STATE_PRE_COPY || k->state == LM_STATE_PRE_COPY_P2P;
}

static bool
fails_now(void)
{
	return ++k->calls == k->fail_call;
}

static void
stream_new(void)
{
	k->stream_fd = k->next_fd++;
	k->blob_at = 0;
	k->loaded_bytes = 0;
	k->precopy_left = k->saves_when_asked ? 0 : VFIO_FAKE_BLOB_BYTES / 2;
}

/* Does this arc open a stream? */
static bool
opens(enum lm_state from, enum lm_state to)
{
	if (to == LM_STATE_PRE_COPY || to == LM_STATE_PRE_COPY_P2P)
		return from == LM_STATE_RUNNING || from == LM_STATE_RUNNING_P2P;
	return from == LM_STATE_STOP && (to == LM_STATE_STOP_COPY || to == LM_STATE_RESUMING);
}

static int
set_state(struct vfio_device_feature_mig_state *d)
{
	enum lm_state to = d->device_state, next;

	k->sets++;
	d->data_fd = -1;
	assert_int_not_equal(k->state, LM_STATE_ERROR);
	assert_int_equal(lm_state_next(k->state, to, k->flags, &next), 0);
	assert_int_equal(next, to);
	if (k->fault != VFIO_FAKE_NO_FAULT && k->fault_from == k->state && k->fault_to == to) {
		if (k->fault != VFIO_FAKE_BEFORE)
			k->state = k->fault == VFIO_FAKE_AFTER ? to : LM_STATE_ERROR;
		k->fault = VFIO_FAKE_NO_FAULT;
		return k->fault_error;
	}
	if (opens(k->state, to)) {
		assert_int_equal(k->stream_fd, -1);
		stream_new();
		d->data_fd = k->stream_fd;
	}
	k->state = to;
	return 0;
}

static int
log_start(struct vfio_device_feature_dma_logging_control *d)
{
	const struct vfio_device_feature_dma_logging_range *r = (void *)(uintptr_t)d->ranges;

	k->log_starts++;
	if (k->logs)
		return -EINVAL;
	k->logs = true;
	k->nb_ranges = d->num_ranges;
	k->first_range[0] = r->iova;
	k->first_range[1] = r->length;
	if (k->log_page_size != 0)
		d->page_size = k->log_page_size;
	return 0;
}

static int
log_report(const struct vfio_device_feature_dma_logging_report *d)
{
	uint64_t *bitmap = (void *)(uintptr_t)d->bitmap, i;

	k->reports++;
	if (!k->logs)
		return -EINVAL;
	for (i = 0; i < d->length / 4096; i++) {
		uint64_t page = d->iova / 4096 + i, bit = i / (d->page_size / 4096);

		if (page < VFIO_FAKE_PAGES && k->dirty[page])
			bitmap[bit / 64] |= UINT64_C(1) << bit % 64;
		if (page < VFIO_FAKE_PAGES)
			k->dirty[page] = false;
	}
	return 0;
}

static bool
offers(uint32_t index)
{
	switch (index) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
		return k->flags != 0;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return k->has_log;
	case LM_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
		return k->has_sizes;
	case LM_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2:
		return k->has_reinit;
	default:
		return false;
	}
}

static int
feature(struct vfio_device_feature *f)
{
	uint32_t index = f->flags & VFIO_DEVICE_FEATURE_MASK;
	bool set = (f->flags & VFIO_DEVICE_FEATURE_SET) != 0;
	struct vfio_device_feature_mig_state *state = (void *)f->data;
	uint64_t *word = (void *)f->data;

	if (!offers(index))
		return -ENOTTY;
	if ((f->flags & VFIO_DEVICE_FEATURE_PROBE) != 0)
		return 0;
	switch (index) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
		*word = k->flags;
		return 0;
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
		assert_int_equal(f->argsz, sizeof(*f) + sizeof(*state));
		if (set)
			return set_state(state);
		state->device_state = k->state;
		state->data_fd = -1;
		return 0;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		return log_start((void *)f->data);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		k->log_stops++;
		k->logs = false;
		return 0;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return log_report((void *)f->data);
	case LM_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
		*word = VFIO_FAKE_BLOB_BYTES - k->blob_at;
		return 0;
	default:
		k->opted_in = true;
		return 0;
	}
}

static int
precopy_info(struct lm_vfio_precopy_info *d)
{
	assert_int_equal(d->argsz, sizeof(*d));
	k->infos++;
	if (!k->has_precopy_info)
		return -ENOTTY;
	if (!precopies())
		return -EINVAL;
	if (k->saves_when_asked && k->precopy_left == 0 && k->blob_at == 0)
		k->precopy_left = VFIO_FAKE_BLOB_BYTES / 2;
	d->flags = 0xffffffff; /* garbage, as far as who has not opted in knows */
	d->initial_bytes = k->precopy_left;
	d->dirty_bytes = 77;
	return 0;
}

static int
fake_ioctl(int fd, unsigned long request, void *arg)
{
	if (fails_now())
		return k->fault_error;
	if (request == LM_VFIO_MIG_GET_PRECOPY_INFO) {
		assert_int_equal(fd, k->stream_fd);
		return precopy_info(arg);
	}
	assert_int_equal(fd, VFIO_FAKE_DEVICE);
	if (request == VFIO_DEVICE_FEATURE)
		return feature(arg);
	assert_int_equal(request, VFIO_DEVICE_RESET);
	k->resets++;
	if (k->reset_when_running && k->state != LM_STATE_RUNNING)
		return -EINVAL;
	k->state = LM_STATE_RUNNING;
	k->logs = k->logs && k->reset_keeps_log;
	return 0;
}

static uint32_t
cut(size_t len, uint32_t left)
{
	uint32_t n = len < left ? (uint32_t)len : left;

	return k->most_bytes != 0 && n > k->most_bytes ? k->most_bytes : n;
}

static ssize_t
fake_read(int fd, void *buf, size_t len)
{
	uint32_t left = VFIO_FAKE_BLOB_BYTES - k->blob_at, n;

	assert_int_equal(fd, k->stream_fd);
	if (fails_now())
		return k->fault_error;
	if (k->nb_intr > 0 && k->nb_intr-- > 0)
		return -EINTR;
	if (k->nb_again > 0 && k->nb_again-- > 0)
		return -EAGAIN;
	if (k->nb_pause > 0 && k->nb_pause-- > 0)
		return -ENOMSG;
	if (!precopies() && k->state != LM_STATE_STOP_COPY)
		return -EINVAL;
	if (precopies() && k->precopy_left == 0)
		return -ENOMSG;
	n = cut(len, precopies() ? k->precopy_left : left);
	memcpy(buf, k->blob + k->blob_at, n);
	k->blob_at += n;
	if (precopies())
		k->precopy_left -= n;
	return n;
}

static ssize_t
fake_write(int fd, const void *buf, size_t len)
{
	uint32_t n = cut(len, VFIO_FAKE_BLOB_BYTES - k->loaded_bytes);

	assert_int_equal(fd, k->stream_fd);
	if (fails_now())
		return k->fault_error;
	if (k->nb_intr > 0 && k->nb_intr-- > 0)
		return -EINTR;
	if (k->state != LM_STATE_RESUMING)
		return -EINVAL;
	memcpy(k->loaded + k->loaded_bytes, buf, n);
	k->loaded_bytes += n;
	return n;
}

static ssize_t
fake_pread(int fd, void *buf, size_t len, off_t offset)
{
	const uint16_t ids[2] = { 0x1dd8, 0x1003 };

	assert_int_equal(fd, VFIO_FAKE_DEVICE);
	if (fails_now())
		return k->fault_error;
	assert_true(offset >= 0 && (size_t)offset + len <= sizeof(ids));
	memcpy(buf, (const uint8_t *)ids + offset, len);
	return (ssize_t)len;
}

static int
fake_close(int fd)
{
	assert_int_equal(fd, k->stream_fd);
	k->stream_fd = -1;
	k->closed++;
	return 0;
}

static bool
fake_can_poll(int fd)
{
	assert_int_equal(fd, k->stream_fd);
	return k->polls;
}

static int
fake_set_nonblock(int fd)
{
	k->nonblock_fd = fd;
	return 0;
}

const struct lm_sys vfio_fake_sys = {
	.close = fake_close,
	.ioctl = fake_ioctl,
	.read = fake_read,
	.write = fake_write,
	.pread = fake_pread,
	.can_poll = fake_can_poll,
	.set_nonblock = fake_set_nonblock,
};

void
vfio_fake_init(void)
{
	uint32_t i;

	*k = (struct vfio_fake){
		.flags = LM_STATE_F_STOP_COPY | LM_STATE_F_P2P | LM_STATE_F_PRE_COPY,
		.has_log = true, .has_reinit = true, .has_sizes = true, .has_precopy_info = true,
		.polls = true, .state = LM_STATE_RUNNING, .stream_fd = -1, .next_fd = 2000,
		.nonblock_fd = -1, .fault_error = -EIO,
	};
	for (i = 0; i < VFIO_FAKE_BLOB_BYTES; i++)
		k->blob[i] = (uint8_t)(i * 31 + i / 256);
}

static const struct lm_pci_ops ops = {
	.config_read = lm_pci_vfio_config_read,
	.reset = lm_pci_vfio_reset,
	.feature = lm_pci_vfio_feature,
	.mig = &lm_pci_vfio_mig_ops,
};

struct lm_pci *
vfio_fake_open(void)
{
	const struct lm_pci_params params = { .name = "0000:01:00.1" };
	struct lm_pci_vfio *vfio = malloc(sizeof(*vfio));
	struct lm_pci *pci;

	assert_non_null(vfio);
	lm_pci_vfio_init(vfio, &vfio_fake_sys);
	vfio->device_fd = VFIO_FAKE_DEVICE;
	vfio->has_reset = true;
	assert_int_equal(lm_pci_new(&params, &ops, &pci), 0);
	pci->priv = vfio;
	strcpy(pci->driver, "fake_vfio_pci");
	return pci;
}

void
vfio_fake_close(struct lm_pci *pci)
{
	lm_pci_vfio_release(pci);
	free(pci->priv);
	lm_pci_free(pci);
	assert_int_equal(k->stream_fd, -1);
}
