/* SPDX-License-Identifier: BSD-3-Clause */

/* What is the same for all back ends: which answers make sense in which state. */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#include <linux/vfio.h>

#include "lm_pci_priv.h"
#include "lm_vfio_if.h"

bool
lm_pci_mig_is_precopy(uint32_t state)
{
	return state == LM_VFIO_DEVICE_STATE_PRE_COPY ||
			state == LM_VFIO_DEVICE_STATE_PRE_COPY_P2P;
}

bool
lm_pci_mig_has_stream(uint32_t state)
{
	return lm_pci_mig_is_precopy(state) || state == VFIO_DEVICE_STATE_STOP_COPY ||
			state == VFIO_DEVICE_STATE_RESUMING;
}

int
lm_pci_mig_caps(struct lm_pci *pci, struct lm_pci_mig_caps *caps)
{
	*caps = (struct lm_pci_mig_caps){ 0 };
	return pci->ops->mig->caps(pci, caps);
}

int
lm_pci_mig_state(struct lm_pci *pci, uint32_t *state)
{
	uint32_t now = VFIO_DEVICE_STATE_ERROR;
	int ret;

	ret = pci->ops->mig->get_state(pci, &now);
	if (ret != 0)
		return ret;
	if (now > LM_VFIO_DEVICE_STATE_PRE_COPY_P2P)
		return lm_pci_fail(pci, -EPROTO, "the device is in state %u, which there is not",
				now);
	pci->mig_state = now;
	*state = now;
	return 0;
}

int
lm_pci_mig_set_state(struct lm_pci *pci, uint32_t state)
{
	int ret;

	if (state == VFIO_DEVICE_STATE_ERROR || state > LM_VFIO_DEVICE_STATE_PRE_COPY_P2P)
		return lm_pci_fail(pci, -EINVAL, "state %u cannot be asked for", state);
	ret = pci->ops->mig->set_state(pci, state);
	if (ret == 0)
		pci->mig_state = state;
	return ret;
}

int
lm_pci_mig_read(struct lm_pci *pci, void *buf, uint32_t len_bytes)
{
	bool precopy = lm_pci_mig_is_precopy(pci->mig_state);
	int n;

	if (len_bytes == 0)
		return lm_pci_fail(pci, -EINVAL, "read of no bytes");
	n = pci->ops->mig->read(pci, buf, len_bytes < INT_MAX ? len_bytes : INT_MAX);
	/* Servers and drivers that know no -ENOMSG; and the other way round. */
	if (n == 0 && precopy)
		return -ENOMSG;
	if (n == -ENOMSG && !precopy)
		return lm_pci_fail(pci, -EPROTO, "the stream of a stopped device pauses");
	return n;
}

int
lm_pci_mig_write(struct lm_pci *pci, const void *buf, uint32_t len_bytes)
{
	return pci->ops->mig->write(pci, buf, len_bytes);
}

int
lm_pci_mig_poll_fd(const struct lm_pci *pci)
{
	return pci->ops->mig->poll_fd(pci);
}

int
lm_pci_mig_precopy_info(struct lm_pci *pci, struct lm_pci_mig_precopy *info)
{
	*info = (struct lm_pci_mig_precopy){ 0 };
	return pci->ops->mig->precopy_info(pci, info);
}

int
lm_pci_mig_data_size(struct lm_pci *pci, uint64_t *stop_copy_bytes)
{
	return pci->ops->mig->data_size(pci, stop_copy_bytes);
}

int
lm_pci_log_start(struct lm_pci *pci, const struct lm_pci_log_range *ranges, uint32_t nb_ranges,
		uint64_t *page_size_bytes)
{
	uint64_t page = *page_size_bytes, end = 0;
	uint32_t i;

	if (nb_ranges == 0 || page == 0 || (page & (page - 1)) != 0)
		return lm_pci_fail(pci, -EINVAL, "log of %u ranges by pages of %" PRIu64 " bytes",
				nb_ranges, page);
	for (i = 0; i < nb_ranges; i++) {
		const struct lm_pci_log_range *r = &ranges[i];

		if (r->size_bytes == 0 || ((r->iova | r->size_bytes) & (page - 1)) != 0 ||
				r->iova < end || r->iova > UINT64_MAX - r->size_bytes)
			return lm_pci_fail(pci, -EINVAL, "log: 0x%" PRIx64 "+0x%" PRIx64
					" overlaps, wraps or is not aligned to 0x%" PRIx64,
					r->iova, r->size_bytes, page);
		end = r->iova + r->size_bytes;
	}
	return pci->ops->mig->log_start(pci, ranges, nb_ranges, page_size_bytes);
}

int
lm_pci_log_report(struct lm_pci *pci, uint64_t iova, uint64_t size_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap)
{
	if (size_bytes == 0 || iova > UINT64_MAX - size_bytes || page_size_bytes < 4096 ||
			(page_size_bytes & (page_size_bytes - 1)) != 0)
		return lm_pci_fail(pci, -EINVAL, "report of 0x%" PRIx64 "+0x%" PRIx64
				" by pages of %" PRIu64 " bytes", iova, size_bytes,
				page_size_bytes);
	return pci->ops->mig->log_report(pci, iova, size_bytes, page_size_bytes, bitmap);
}

int
lm_pci_log_stop(struct lm_pci *pci)
{
	return pci->ops->mig->log_stop(pci);
}
