/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lm_pci_priv.h"

/* As errno: one thread's failure must not garble the words of another's. */
static _Thread_local struct {
	const struct lm_pci *pci;
	char text[256];
} lm_pci_failure;

int
lm_pci_fail_(const struct lm_pci *pci, int err, const char *fmt, ...)
{
	size_t used = 0;
	va_list ap;

	if (pci != NULL)
		used = strlen(pci->name) + 2;
	lm_pci_failure.pci = pci;
	snprintf(lm_pci_failure.text, sizeof(lm_pci_failure.text), "%s%s",
			pci != NULL ? pci->name : "", pci != NULL ? ": " : "");
	va_start(ap, fmt);
	vsnprintf(lm_pci_failure.text + used, sizeof(lm_pci_failure.text) - used, fmt, ap);
	va_end(ap);
	return err;
}

const char *
lm_pci_strerror(const struct lm_pci *pci)
{
	if (pci != NULL && lm_pci_failure.pci != pci)
		return "";
	return lm_pci_failure.text;
}

int
lm_pci_new(const struct lm_pci_params *params, const struct lm_pci_ops *ops, struct lm_pci **out)
{
	struct lm_pci *pci;
	unsigned int i;

	pci = calloc(1, sizeof(*pci));
	if (pci == NULL)
		return -ENOMEM;
	pci->ops = ops;
	pci->event_fd = -1;
	pci->config_bytes = LM_PCI_CONFIG_MIN_BYTES;
	pci->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	snprintf(pci->name, sizeof(pci->name), "%s",
			params != NULL && params->name != NULL ? params->name : "pci");
	pthread_mutex_init(&pci->lock, NULL);
	for (i = 0; i < LM_PCI_NUM_BARS; i++)
		pci->bars[i].fd = -1;
	*out = pci;
	return 0;
}

static void
bar_release(struct lm_pci_bar *bar)
{
	uint32_t i;

	for (i = 0; i < bar->nb_windows; i++)
		munmap((void *)(uintptr_t)bar->windows[i].addr, bar->windows[i].size_bytes);
	for (i = 0; i < bar->nb_ioeventfds; i++)
		close(bar->ioeventfds[i].fd);
	free(bar->windows);
	free(bar->ioeventfds);
	if (bar->fd >= 0)
		close(bar->fd);
	*bar = (struct lm_pci_bar){ .fd = -1 };
}

static void
bars_release(struct lm_pci *pci)
{
	unsigned int i;

	for (i = 0; i < LM_PCI_NUM_BARS; i++)
		bar_release(&pci->bars[i]);
}

void
lm_pci_free(struct lm_pci *pci)
{
	if (pci == NULL)
		return;
	bars_release(pci);
	pthread_mutex_destroy(&pci->lock);
	if (lm_pci_failure.pci == pci)
		lm_pci_failure.pci = NULL;
	free(pci->maps);
	free(pci);
}

void
lm_pci_close(struct lm_pci *pci)
{
	if (pci == NULL)
		return;
	/* Mapped BARs hold the kernel's device open: they go before it. */
	bars_release(pci);
	pci->ops->close(pci);
	lm_pci_free(pci);
}

const char *
lm_pci_name(const struct lm_pci *pci)
{
	return pci->name;
}

const char *
lm_pci_driver(const struct lm_pci *pci)
{
	return pci->driver;
}

int
lm_pci_event_fd(const struct lm_pci *pci)
{
	return pci->event_fd;
}

int
lm_pci_event_process(struct lm_pci *pci)
{
	return pci->ops->event_process(pci);
}

bool
lm_pci_alive(const struct lm_pci *pci)
{
	return pci->ops->alive(pci);
}

int
lm_pci_config_read(struct lm_pci *pci, uint32_t offset, void *buf, uint32_t len)
{
	if (len == 0 || offset > pci->config_bytes || len > pci->config_bytes - offset)
		return lm_pci_fail(pci, -EINVAL, "config read of %u bytes at 0x%x is outside", len,
				offset);
	return pci->ops->config_read(pci, offset, buf, len);
}

int
lm_pci_config_write(struct lm_pci *pci, uint32_t offset, const void *buf, uint32_t len)
{
	if (len == 0 || offset > pci->config_bytes || len > pci->config_bytes - offset)
		return lm_pci_fail(pci, -EINVAL, "config write of %u bytes at 0x%x is outside", len,
				offset);
	return pci->ops->config_write(pci, offset, buf, len);
}

uint8_t
lm_pci_find_cap(struct lm_pci *pci, uint8_t cap_id, uint8_t start)
{
	uint8_t pos = start, head[2];
	uint16_t status;
	unsigned int left;

	if (pos == 0) {
		if (lm_pci_config_read(pci, LM_PCI_CFG_STATUS, &status, sizeof(status)) != 0 ||
				(status & LM_PCI_CFG_STATUS_CAP_LIST) == 0 ||
				lm_pci_config_read(pci, LM_PCI_CFG_CAP_POINTER, &pos, 1) != 0)
			return 0;
	}
	/* The list comes from the device: it may loop or point anywhere. */
	for (left = LM_PCI_MAX_CAPS; left > 0; left--) {
		pos &= 0xfc;
		if (pos < LM_PCI_CFG_CAP_FIRST ||
				lm_pci_config_read(pci, pos, head, sizeof(head)) != 0 ||
				head[0] == 0xff)
			return 0;
		if (head[0] == cap_id)
			return pos;
		pos = head[1];
	}
	return 0;
}

int
lm_pci_bus_master(struct lm_pci *pci, bool enable)
{
	uint16_t command;
	int ret;

	ret = lm_pci_config_read(pci, LM_PCI_CFG_COMMAND, &command, sizeof(command));
	if (ret != 0)
		return ret;
	command |= LM_PCI_CFG_COMMAND_MEMORY;
	if (enable)
		command |= LM_PCI_CFG_COMMAND_MASTER;
	else
		command &= (uint16_t)~LM_PCI_CFG_COMMAND_MASTER;
	return lm_pci_config_write(pci, LM_PCI_CFG_COMMAND, &command, sizeof(command));
}

uint32_t
lm_pci_irq_count(const struct lm_pci *pci)
{
	return pci->nb_vectors;
}

int
lm_pci_irq_set(struct lm_pci *pci, uint32_t first, uint32_t count, const int *eventfds)
{
	int ret;

	if (count == 0)
		return 0;
	if (first >= pci->nb_vectors || count > pci->nb_vectors - first)
		return lm_pci_fail(pci, -EINVAL, "no MSI-X vectors %u..%" PRIu64 ", it has %u",
				first, (uint64_t)first + count - 1, pci->nb_vectors);
	pthread_mutex_lock(&pci->lock);
	ret = pci->ops->irq_set(pci, first, count, eventfds);
	pthread_mutex_unlock(&pci->lock);
	return ret;
}

int
lm_pci_irq_disable(struct lm_pci *pci)
{
	int ret;

	if (pci->nb_vectors == 0)
		return 0;
	pthread_mutex_lock(&pci->lock);
	ret = pci->ops->irq_disable(pci);
	pthread_mutex_unlock(&pci->lock);
	return ret;
}

int
lm_pci_iova_range(const struct lm_pci *pci, unsigned int index, uint64_t *first, uint64_t *last)
{
	if (index >= pci->nb_ranges)
		return -ENOENT;
	*first = pci->ranges[index].first;
	*last = pci->ranges[index].last;
	return 0;
}

uint64_t
lm_pci_page_size(const struct lm_pci *pci)
{
	return pci->page_bytes;
}

int
lm_pci_reset(struct lm_pci *pci)
{
	return pci->ops->reset(pci);
}

int
lm_pci_feature(struct lm_pci *pci, uint32_t flags, void *data, uint32_t in_len, uint32_t out_max)
{
	return pci->ops->feature(pci, flags, data, in_len, out_max);
}
