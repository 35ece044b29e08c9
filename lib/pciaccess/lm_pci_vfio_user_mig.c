/* SPDX-License-Identifier: BSD-3-Clause */

/* Migration of a function behind a vfio-user socket: all by message. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lm_pci_vfio_user.h"
#include "lm_vu_client.h"
#include "lm_vu_wire.h"

static struct lm_vu_client *
client_of(const struct lm_pci *pci)
{
	return pci->priv;
}

static int
result(struct lm_pci *pci, int ret, const char *what)
{
	return ret < 0 ? lm_pci_fail(pci, ret, "%s: %s", what, strerror(-ret)) : 0;
}

static int
vu_mig_caps(struct lm_pci *pci, struct lm_pci_mig_caps *caps)
{
	int ret;

	ret = lm_vu_client_mig_flags(client_of(pci), &caps->flags);
	if (ret != 0)
		return result(pci, ret, "the server offers no migration");
	caps->has_reinit = lm_vu_client_caps(client_of(pci))->mig_precopy_info != 0;
	ret = lm_vu_client_feature(client_of(pci), LM_VU_FEATURE_PROBE | LM_VU_FEATURE_SET |
			LM_VU_FEATURE_LOG_START, NULL, 0, 0);
	if (ret < 0 && ret != -ENOTTY)
		return result(pci, ret, "asking for a dirty log");
	caps->has_log = ret >= 0;
	/* libvfio-user's rules: with another page size it never answers. Others do not mind. */
	caps->log = (struct lm_pci_log_limits){ .whole_ranges = true, .fixed_page_size = true };
	return 0;
}

static int
vu_mig_get_state(struct lm_pci *pci, uint32_t *state)
{
	return result(pci, lm_vu_client_mig_state_get(client_of(pci), state), "asking its state");
}

static int
vu_mig_set_state(struct lm_pci *pci, uint32_t state)
{
	int ret = lm_vu_client_mig_state_set(client_of(pci), state);

	return ret < 0 ? lm_pci_fail(pci, ret, "going from state %u to %u: %s", pci->mig_state,
			state, strerror(-ret)) : 0;
}

static int
vu_mig_read(struct lm_pci *pci, void *buf, uint32_t len)
{
	int n = lm_vu_client_mig_read(client_of(pci), buf, len);

	if (n >= 0 || n == -ENOMSG || n == -EAGAIN)
		return n;
	return lm_pci_fail(pci, n, "reading the state: %s", strerror(-n));
}

static int
vu_mig_write(struct lm_pci *pci, const void *buf, uint32_t len)
{
	return result(pci, lm_vu_client_mig_write(client_of(pci), buf, len), "loading the state");
}

static int
vu_mig_poll_fd(const struct lm_pci *pci)
{
	(void)pci;
	return -1;
}

static int
vu_mig_precopy_info(struct lm_pci *pci, struct lm_pci_mig_precopy *info)
{
	uint32_t flags = 0;
	int ret;

	ret = lm_vu_client_mig_precopy_info(client_of(pci), &flags, &info->initial_bytes,
			&info->dirty_bytes);
	info->reinit = ret == 0 && (flags & 1) != 0; /* VFIO_PRECOPY_INFO_REINIT */
	return result(pci, ret, "pre-copy sizes");
}

static int
vu_mig_data_size(struct lm_pci *pci, uint64_t *bytes)
{
	return result(pci, lm_vu_client_mig_data_size(client_of(pci), bytes), "size of the state");
}

static int
vu_log_start(struct lm_pci *pci, const struct lm_pci_log_range *ranges, uint32_t nb,
		uint64_t *page_size)
{
	struct lm_vu_range *list = calloc(nb, sizeof(*list));
	uint32_t i;
	int ret;

	if (list == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory");
	for (i = 0; i < nb; i++) {
		list[i].iova = ranges[i].iova;
		list[i].length_bytes = ranges[i].size_bytes;
	}
	ret = lm_vu_client_log_start(client_of(pci), list, nb, page_size);
	free(list);
	return result(pci, ret, "starting the dirty log");
}

static int
vu_log_report(struct lm_pci *pci, uint64_t iova, uint64_t size, uint64_t page_size,
		uint64_t *bitmap)
{
	uint64_t nb_words, i;
	uint64_t *words;
	int ret;

	if (page_size == 0)
		return lm_pci_fail(pci, -EINVAL, "a report of pages of 0 bytes");
	nb_words = lm_vu_bitmap_bytes(size, page_size) / sizeof(*words);
	words = malloc(nb_words * sizeof(*words));
	if (words == NULL)
		return lm_pci_fail(pci, -ENOMEM, "no memory for %ju pages",
				(uintmax_t)(size / page_size));
	ret = lm_vu_client_log_report(client_of(pci), iova, size, page_size, words);
	for (i = 0; i < nb_words && ret == 0; i++)
		bitmap[i] |= words[i];
	free(words);
	return result(pci, ret, "dirty report");
}

static int
vu_log_stop(struct lm_pci *pci)
{
	return result(pci, lm_vu_client_log_stop(client_of(pci)), "stopping the dirty log");
}

const struct lm_pci_mig_ops lm_pci_vfio_user_mig_ops = {
	.caps = vu_mig_caps,
	.get_state = vu_mig_get_state,
	.set_state = vu_mig_set_state,
	.read = vu_mig_read,
	.write = vu_mig_write,
	.poll_fd = vu_mig_poll_fd,
	.precopy_info = vu_mig_precopy_info,
	.data_size = vu_mig_data_size,
	.log_start = vu_log_start,
	.log_report = vu_log_report,
	.log_stop = vu_log_stop,
};
