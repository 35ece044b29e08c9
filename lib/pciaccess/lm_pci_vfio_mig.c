/* SPDX-License-Identifier: BSD-3-Clause */

/* Migration through the kernel's VFIO: features of the device, and its stream's descriptor. */

#include <errno.h>
#include <string.h>

#include <linux/vfio.h>

#include "lm_pci_vfio.h"
#include "lm_vfio_if.h"

static struct lm_pci_vfio *
vfio_of(const struct lm_pci *pci)
{
	return pci->priv;
}

static void
stream_close(struct lm_pci_vfio *v)
{
	if (v->stream_fd >= 0)
		v->sys->close(v->stream_fd);
	v->stream_fd = -1;
	v->stream_polls = false;
}

/* fd: what the arc gave, -1 when the stream before it goes on. */
static void
stream_follow(struct lm_pci_vfio *v, uint32_t state, int fd)
{
	if (fd >= 0 || !lm_pci_mig_has_stream(state))
		stream_close(v);
	if (fd < 0)
		return;
	v->stream_fd = fd;
	if (!lm_pci_mig_has_stream(state)) {
		stream_close(v);
		return;
	}
	/* Where there is nothing to wait with, a read had better wait by itself. */
	v->stream_polls = state != VFIO_DEVICE_STATE_RESUMING && v->sys->can_poll(fd) &&
			v->sys->set_nonblock(fd) == 0;
}

static bool
offers(struct lm_pci *pci, uint32_t flags)
{
	return lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_PROBE | flags, NULL, 0, 0) >= 0;
}

static int
vfio_mig_caps(struct lm_pci *pci, struct lm_pci_mig_caps *caps)
{
	struct lm_pci_vfio *v = vfio_of(pci);
	int ret;

	ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION,
			&caps->flags, 0, sizeof(caps->flags));
	if (ret == -ENOTTY)
		return lm_pci_fail(pci, ret, "its driver in the kernel (%s) cannot migrate it",
				pci->driver[0] != '\0' ? pci->driver : "unknown");
	if (ret < 0)
		return ret;
	if ((caps->flags & VFIO_MIGRATION_STOP_COPY) == 0)
		return lm_pci_fail(pci, -EPROTO, "migration without STOP_COPY");
	/* Kernels before 7.2 have no such thing, and then flags there mean nothing. */
	v->has_reinit = (caps->flags & LM_VFIO_MIGRATION_PRE_COPY) != 0 &&
			lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_SET |
			LM_VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, NULL, 0, 0) >= 0;
	caps->has_reinit = v->has_reinit;
	caps->has_log = offers(pci, VFIO_DEVICE_FEATURE_SET |
			VFIO_DEVICE_FEATURE_DMA_LOGGING_START);
	/*
	 * For all drivers what one of them needs, since it costs the others nothing: pds works in
	 * words of 64 pages of one range, and forgets when it leaves STOP_COPY. Three ranges are
	 * what QEMU gives at most; with more the kernel may close gaps, which moves the words.
	 */
	caps->log = (struct lm_pci_log_limits){
		.align_pages = 64, .max_ranges = 3, .ends_with_stop_copy = true,
	};
	return 0;
}

static int
vfio_mig_get_state(struct lm_pci *pci, uint32_t *state)
{
	struct vfio_device_feature_mig_state d = { 0 };
	int ret;

	ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_GET |
			VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &d, 0, sizeof(d));
	if (ret < 0)
		return ret;
	/* After a reset, or an arc that failed half-way. */
	stream_follow(vfio_of(pci), d.device_state, -1);
	*state = d.device_state;
	return 0;
}

static int
vfio_mig_set_state(struct lm_pci *pci, uint32_t state)
{
	struct vfio_device_feature_mig_state d = { .device_state = state, .data_fd = -1 };
	int ret;

	/* What a failed one leaves in d means nothing: only asking tells where the device is. */
	ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_SET |
			VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &d, sizeof(d), sizeof(d));
	if (ret < 0)
		return ret;
	stream_follow(vfio_of(pci), state, d.data_fd);
	if (lm_pci_mig_has_stream(state) && vfio_of(pci)->stream_fd < 0)
		return lm_pci_fail(pci, -EPROTO, "state %u without a stream", state);
	return 0;
}

static int
vfio_mig_read(struct lm_pci *pci, void *buf, uint32_t len)
{
	struct lm_pci_vfio *v = vfio_of(pci);
	ssize_t n;

	if (v->stream_fd < 0)
		return lm_pci_fail(pci, -EBADF, "no stream to read in state %u", pci->mig_state);
	do
		n = v->sys->read(v->stream_fd, buf, len);
	while (n == -EINTR);
	if (n >= 0 || n == -ENOMSG || n == -EAGAIN)
		return (int)n;
	return lm_pci_fail(pci, (int)n, "reading the state: %s", strerror((int)-n));
}

static int
vfio_mig_write(struct lm_pci *pci, const void *buf, uint32_t len)
{
	struct lm_pci_vfio *v = vfio_of(pci);
	const uint8_t *at = buf;
	ssize_t n;

	if (v->stream_fd < 0)
		return lm_pci_fail(pci, -EBADF, "no stream to write in state %u", pci->mig_state);
	while (len > 0) {
		n = v->sys->write(v->stream_fd, at, len);
		if (n == -EINTR)
			continue;
		if (n <= 0 || n > len)
			return lm_pci_fail(pci, n < 0 ? (int)n : -EIO, "loading the state: %s",
					n < 0 ? strerror((int)-n) : "the kernel takes no more");
		at += n;
		len -= (uint32_t)n;
	}
	return 0;
}

static int
vfio_mig_poll_fd(const struct lm_pci *pci)
{
	return vfio_of(pci)->stream_polls ? vfio_of(pci)->stream_fd : -1;
}

static int
vfio_mig_precopy_info(struct lm_pci *pci, struct lm_pci_mig_precopy *info)
{
	struct lm_vfio_precopy_info d = { .argsz = sizeof(d) };
	struct lm_pci_vfio *v = vfio_of(pci);
	int ret;

	if (v->stream_fd < 0 || !lm_pci_mig_is_precopy(pci->mig_state))
		return lm_pci_fail(pci, -EINVAL, "pre-copy sizes in state %u", pci->mig_state);
	ret = v->sys->ioctl(v->stream_fd, LM_VFIO_MIG_GET_PRECOPY_INFO, &d);
	if (ret < 0)
		return lm_pci_fail(pci, ret, "pre-copy sizes: %s", strerror(-ret));
	info->initial_bytes = d.initial_bytes;
	info->dirty_bytes = d.dirty_bytes;
	info->reinit = v->has_reinit && (d.flags & LM_VFIO_PRECOPY_INFO_REINIT) != 0;
	return 0;
}

static int
vfio_mig_data_size(struct lm_pci *pci, uint64_t *bytes)
{
	struct lm_vfio_device_feature_mig_data_size d = { 0 };
	int ret;

	ret = lm_pci_vfio_feature(pci, VFIO_DEVICE_FEATURE_GET |
			LM_VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &d, 0, sizeof(d));
	if (ret < 0)
		return ret;
	*bytes = d.stop_copy_length;
	return 0;
}

const struct lm_pci_mig_ops lm_pci_vfio_mig_ops = {
	.caps = vfio_mig_caps,
	.get_state = vfio_mig_get_state,
	.set_state = vfio_mig_set_state,
	.read = vfio_mig_read,
	.write = vfio_mig_write,
	.poll_fd = vfio_mig_poll_fd,
	.precopy_info = vfio_mig_precopy_info,
	.data_size = vfio_mig_data_size,
	.log_start = lm_pci_vfio_log_start,
	.log_report = lm_pci_vfio_log_report,
	.log_stop = lm_pci_vfio_log_stop,
};
