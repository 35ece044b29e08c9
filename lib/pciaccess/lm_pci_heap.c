/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_dev.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "lm_compat.h"
#include "lm_pci_heap.h"

RTE_LOG_REGISTER_SUFFIX(lm_pci_heap_logtype, heap, NOTICE)
#define RTE_LOGTYPE_LM_HEAP lm_pci_heap_logtype
#define HEAP_LOG(level, ...) RTE_LOG_LINE(level, LM_HEAP, __VA_ARGS__)

/* Smaller pages are those of --no-huge: of one file, never given back, and many. */
#define HUGE_BYTES (UINT64_C(1) << 21)

struct lm_pci_heap {
	struct lm_pci *pci;
	char name[RTE_DEV_NAME_MAX_LEN]; /* of the memory callback */
	struct lm_pci_dma run;           /* pages that adjoin, not yet mapped; size 0: none */
	int error;                       /* why a walk ended */
	bool watching;
};

static int
flush(struct lm_pci_heap *h)
{
	struct lm_pci_dma run = h->run;

	h->run.size_bytes = 0;
	return run.size_bytes == 0 ? 0 : lm_pci_dma_map(h->pci, &run);
}

static bool
adjoins(const struct lm_pci_dma *a, const struct lm_pci_dma *b)
{
	return a->size_bytes != 0 && a->fd == b->fd && a->iova + a->size_bytes == b->iova &&
			(uint8_t *)a->vaddr + a->size_bytes == b->vaddr &&
			(a->fd < 0 || a->fd_offset + a->size_bytes == b->fd_offset);
}

/* What EAL gives back page by page has to be mapped page by page. */
static int
map_page(struct lm_pci_heap *h, const struct rte_memseg_list *msl, const struct rte_memseg *ms)
{
	const bool stays = msl->page_sz < HUGE_BYTES;
	struct lm_pci_dma page = {
		.iova = ms->iova,
		.size_bytes = ms->len,
		.vaddr = ms->addr,
		.fd = rte_memseg_get_fd_thread_unsafe(ms),
		.prot = LM_PCI_PROT_READ | LM_PCI_PROT_WRITE,
	};
	size_t offset = 0;
	int ret;

	if (page.fd >= 0 && rte_memseg_get_fd_offset_thread_unsafe(ms, &offset) == 0)
		page.fd_offset = offset;
	if (stays && adjoins(&h->run, &page)) {
		h->run.size_bytes += page.size_bytes;
		return 0;
	}
	ret = flush(h);
	if (ret != 0)
		return ret;
	h->run = page;
	return stays ? 0 : flush(h);
}

static int
on_page(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	struct lm_pci_heap *h = arg;

	if (msl->external)
		return 0;
	h->error = map_page(h, msl, ms);
	return h->error == 0 ? 0 : -1;
}

/* Under EAL's memory lock: nothing here may allocate from its heap. */
static void
on_event(enum rte_mem_event event, const void *addr, size_t len, void *arg)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);
	struct lm_pci_heap *h = arg;
	const struct rte_memseg *ms;
	size_t at;
	int ret = 0;

	if (msl == NULL || msl->external)
		return;
	for (at = 0; at < len && ret == 0; at += msl->page_sz) {
		ms = rte_mem_virt2memseg((const uint8_t *)addr + at, msl);
		if (event == RTE_MEM_EVENT_ALLOC)
			ret = map_page(h, msl, ms);
		else
			ret = lm_pci_dma_unmap(h->pci, ms->iova, ms->len);
	}
	if (ret != 0)
		HEAP_LOG(ERR, "%s", lm_pci_strerror(h->pci));
}

static int
map_all_locked(struct lm_pci_heap *h)
{
	if (rte_memseg_walk_thread_unsafe(on_page, h) == 0)
		h->error = flush(h);
	return h->error;
}

int
lm_pci_heap_map(struct lm_pci *pci, struct lm_pci_heap **heap)
{
	struct lm_pci_heap *h = calloc(1, sizeof(*h));
	int ret;

	if (h == NULL)
		return -ENOMEM;
	h->pci = pci;
	snprintf(h->name, sizeof(h->name), "lm_%p", (void *)pci);
	rte_mcfg_mem_read_lock();
	ret = map_all_locked(h);
	if (ret == 0) {
		h->watching = rte_mem_event_callback_register(h->name, on_event, h) == 0;
		if (!h->watching && rte_errno != ENOTSUP)
			ret = -rte_errno;
	}
	rte_mcfg_mem_read_unlock();
	if (ret != 0) {
		HEAP_LOG(ERR, "%s", lm_pci_strerror(pci));
		lm_pci_heap_unmap(h);
		return ret;
	}
	*heap = h;
	return 0;
}

void
lm_pci_heap_unmap(struct lm_pci_heap *h)
{
	if (h == NULL)
		return;
	if (h->watching)
		rte_mem_event_callback_unregister(h->name, h);
	free(h);
}
