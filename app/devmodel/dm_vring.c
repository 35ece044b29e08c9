/* SPDX-License-Identifier: BSD-3-Clause */

/* What split and packed rings have in common: DMA, buffers, the rule that a broken ring stops. */

#include <errno.h>
#include <string.h>

#include "dm_vring_priv.h"

int
dm_vring_fail(struct dm_vring *vr, enum dm_rule rule, const char *what, uint64_t value)
{
	vr->broken = true;
	dm_rule_broken(vr->host->rules, rule, "queue %u, %s 0x%llx", vr->conf.index, what,
			(unsigned long long)value);
	return -EIO;
}

int
dm_vring_fail_dma(struct dm_vring *vr, const char *what, uint64_t iova)
{
	return dm_vring_fail(vr, vr->host->bus_master ? DM_RULE_DMA_UNMAPPED :
			DM_RULE_DMA_BUS_MASTER, what, iova);
}

void *
dm_vring_area(struct dm_vring *vr, uint64_t iova, uint64_t len_bytes, uint32_t prot,
		uint32_t align)
{
	uint64_t got = len_bytes;
	void *ptr;

	if (!vr->host->bus_master)
		return NULL;
	ptr = vr->host->dma_span(vr->host->ctx, iova, &got, prot);
	if (ptr == NULL || got < len_bytes || ((uintptr_t)ptr & (align - 1)) != 0)
		return NULL;
	/* cppcheck-suppress returnDanglingLifetime ; it is not &got that comes back */
	return ptr;
}

static int
dm_vring_resolve(struct dm_vring *vr)
{
	int ret;

	if (vr->resolved && vr->dma_epoch == vr->host->dma_epoch && vr->host->bus_master)
		return 0;
	if (vr->broken && !vr->resolved)
		return -EIO; /* said once */
	vr->resolved = false;
	ret = vr->ops->resolve(vr);
	if (ret != 0)
		return ret;
	vr->dma_epoch = vr->host->dma_epoch;
	vr->resolved = true;
	return 0;
}

static bool
dm_vring_usable(struct dm_vring *vr)
{
	return !vr->broken && dm_vring_resolve(vr) == 0;
}

void
dm_vring_start(struct dm_vring *vr, struct dm_host *host, const struct dm_vring_conf *conf)
{
	memset(vr, 0, sizeof(*vr));
	vr->host = host;
	vr->conf = *conf;
	vr->ops = conf->packed ? &dm_vring_packed_ops : &dm_vring_split_ops;
	vr->ops->start(vr);
}

int
dm_vring_add_buffer(struct dm_vring *vr, struct dm_chain *chain, uint64_t addr,
		uint32_t len_bytes, uint16_t flags)
{
	bool write = (flags & LM_VRING_DESC_F_WRITE) != 0;
	uint64_t *total = write ? &chain->write_bytes : &chain->read_bytes;
	uint64_t iova = addr;
	uint64_t left = len_bytes;

	if (!write && chain->write_bytes != 0)
		return dm_vring_fail(vr, DM_RULE_DESC_ORDER, "readable buffer at", addr);
	if (chain->read_bytes + chain->write_bytes + left > UINT32_MAX)
		return dm_vring_fail(vr, DM_RULE_DESC_TOO_LONG, "last buffer of bytes", len_bytes);

	while (left != 0) {
		uint32_t nb = chain->nb_read + chain->nb_write;
		uint64_t len = left;
		void *ptr = NULL;

		if (nb == chain->iov_max)
			return dm_vring_fail(vr, DM_RULE_DESC_LOOP, "pieces", nb);
		if (vr->host->bus_master)
			ptr = vr->host->dma_span(vr->host->ctx, iova, &len,
					write ? LM_VU_PROT_WRITE : LM_VU_PROT_READ);
		if (ptr == NULL || len == 0)
			return dm_vring_fail_dma(vr, write ? "writable buffer at" :
					"readable buffer at", iova);
		chain->iov[nb].iov_base = ptr;
		chain->iov[nb].iov_len = len;
		if (write)
			chain->nb_write++;
		else
			chain->nb_read++;
		*total += len;
		iova += len;
		left -= len;
	}
	return 0;
}

int
dm_vring_table(struct dm_vring *vr, uint64_t addr, uint32_t len_bytes, const void **table)
{
	static_assert(sizeof(struct lm_vring_desc) == sizeof(struct lm_vring_packed_desc),
			"tables have entries of one size");

	if (!vr->conf.indirect)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_OFF, "table at", addr);
	if (len_bytes == 0 || len_bytes % sizeof(struct lm_vring_desc) != 0)
		return dm_vring_fail(vr, DM_RULE_INDIRECT_LENGTH, "length", len_bytes);
	*table = dm_vring_area(vr, addr, len_bytes, LM_VU_PROT_READ, 1);
	return *table != NULL ? 0 : dm_vring_fail_dma(vr, "indirect table at", addr);
}

int
dm_vring_fetch(struct dm_vring *vr, struct dm_chain *chain)
{
	if (!dm_vring_usable(vr))
		return -EIO;
	chain->nb_read = 0;
	chain->nb_write = 0;
	chain->read_bytes = 0;
	chain->write_bytes = 0;
	return vr->ops->fetch(vr, chain);
}

void
dm_vring_unfetch(struct dm_vring *vr, const struct dm_chain *chains, uint16_t nb)
{
	if (nb != 0)
		vr->ops->unfetch(vr, chains, nb);
}

void
dm_vring_push(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes)
{
	bool read_only = chain->nb_write == 0;

	if (!dm_vring_usable(vr))
		return;
	vr->ops->push(vr, chain, written_bytes, vr->mergeable && read_only);
	vr->mergeable = vr->conf.in_order && read_only;
}

static void
dm_vring_push_one_kept(struct dm_vring *vr)
{
	struct dm_chain chain = { 0 };
	uint32_t i;

	vr->seed = vr->seed * 1103515245u + 12345u;
	i = (vr->seed >> 16) % vr->nb_kept;
	chain.head = vr->kept[i].head;
	dm_vring_push(vr, &chain, vr->kept[i].written_bytes);
	vr->kept[i] = vr->kept[--vr->nb_kept];
}

void
dm_vring_push_any(struct dm_vring *vr, const struct dm_chain *chain, uint32_t written_bytes,
		uint64_t most)
{
	if (most > DM_VRING_MAX_KEPT)
		most = DM_VRING_MAX_KEPT;
	if (most == 0 || vr->conf.packed || vr->conf.in_order) {
		dm_vring_push(vr, chain, written_bytes);
		return;
	}
	while (vr->nb_kept >= most)
		dm_vring_push_one_kept(vr);
	vr->kept[vr->nb_kept].head = chain->head;
	vr->kept[vr->nb_kept++].written_bytes = written_bytes;
}

void
dm_vring_push_kept(struct dm_vring *vr)
{
	while (vr->nb_kept != 0)
		dm_vring_push_one_kept(vr);
}

bool
dm_vring_publish(struct dm_vring *vr)
{
	/* Also of a broken ring: what was used before is the driver's. */
	if (dm_vring_resolve(vr) != 0)
		return false;
	vr->mergeable = false;
	return vr->ops->publish(vr);
}

bool
dm_vring_notify_on(struct dm_vring *vr)
{
	/* Where nothing will be fetched, nothing is waited for. */
	return !dm_vring_usable(vr) || vr->ops->notify_on(vr);
}

bool
dm_vring_next_ok(const struct dm_vring *vr, uint16_t next)
{
	return vr->ops->next_ok(vr, next);
}

void
dm_vring_notify_off(struct dm_vring *vr)
{
	if (dm_vring_usable(vr))
		vr->ops->notify_off(vr);
}

uint16_t
dm_vring_avail_idx(struct dm_vring *vr)
{
	if (vr->broken || !vr->resolved || vr->dma_epoch != vr->host->dma_epoch)
		return 0;
	return vr->ops->avail_idx(vr);
}

uint16_t
dm_vring_used_idx(const struct dm_vring *vr)
{
	return vr->ops->used_idx(vr);
}
