/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Doorbell pages. Page 0 is trapped: all queues of a type share one slot there, so that only a
 * message tells one ring from the next. Pages 1 to n are shared memory, one for each queue pair,
 * for a driver that gives its queues pages of their own (pid of Q_INIT). A doorbell holds the
 * ring's index, so that a value that was overwritten before it was seen is no loss.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_pds.h"

static _Atomic uint64_t *
dm_pds_db_slot(const struct dm_pds_fn *fn, uint32_t page, uint32_t type)
{
	return (_Atomic uint64_t *)(void *)(fn->db_pages +
			(size_t)(page - 1) * LM_PDS_DBELL_PAGE_BYTES + type * sizeof(uint64_t));
}

void
dm_pds_db_forget(struct dm_pds_fn *fn, uint32_t page, uint32_t type)
{
	if (page == 0 || page >= fn->nb_pages || fn->db_pages == NULL)
		return;
	atomic_store(dm_pds_db_slot(fn, page, type), DM_PDS_DBELL_IDLE);
	fn->db_seen[page][type] = DM_PDS_DBELL_IDLE;
}

static int
dm_pds_db_file(struct dm_pds_fn *fn, uint64_t size_bytes)
{
	uint32_t page, type;
	void *map;

	fn->db_fd = memfd_create("dm-pds-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fn->db_fd < 0)
		return -errno;
	if (ftruncate(fn->db_fd, (off_t)size_bytes) != 0 || fcntl(fn->db_fd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	map = mmap(NULL, fn->db_area.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fn->db_fd,
			(off_t)fn->db_area.offset);
	if (map == MAP_FAILED)
		return -errno;
	fn->db_pages = map;
	for (page = 1; page < fn->nb_pages; page++)
		for (type = 0; type < LM_PDS_DBELL_TYPES; type++)
			dm_pds_db_forget(fn, page, type);
	return 0;
}

int
dm_pds_db_init(struct dm_pds_fn *fn, struct lm_vu_region_conf *bar)
{
	uint64_t size = LM_PDS_DBELL_PAGE_BYTES;
	int ret;

	fn->db_fd = -1;
	while (size < (uint64_t)fn->nb_pages * LM_PDS_DBELL_PAGE_BYTES)
		size *= 2;
	bar->size_bytes = size;
	bar->flags = LM_VU_REGION_F_READ | LM_VU_REGION_F_WRITE;
	bar->fd = -1;
	if (fn->nb_pages == 1)
		return 0;
	fn->db_area.offset = LM_PDS_DBELL_PAGE_BYTES;
	fn->db_area.size_bytes = (uint64_t)(fn->nb_pages - 1) * LM_PDS_DBELL_PAGE_BYTES;
	ret = dm_pds_db_file(fn, size);
	if (ret != 0) {
		dm_pds_db_fini(fn);
		return ret;
	}
	bar->flags |= LM_VU_REGION_F_MMAP;
	bar->fd = fn->db_fd;
	bar->areas = &fn->db_area;
	bar->nb_areas = 1;
	return 0;
}

void
dm_pds_db_fini(struct dm_pds_fn *fn)
{
	if (fn->db_pages != NULL)
		munmap(fn->db_pages, fn->db_area.size_bytes);
	if (fn->db_fd >= 0)
		close(fn->db_fd);
	fn->db_pages = NULL;
	fn->db_fd = -1;
}

static void
dm_pds_db_rung(struct dm_pds_fn *fn, uint32_t page, uint32_t type, uint64_t value)
{
	fn->doorbells++;
	if (fn->level == DM_PDS_SUSPENDED_FULL) {
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_DOORBELL_STOPPED, "0x%llx",
				(unsigned long long)value);
		return;
	}
	fn->ops->doorbell(fn, page, type,
			(uint32_t)(value >> LM_PDS_DBELL_QID_SHIFT) & LM_PDS_DBELL_QID_MASK,
			(uint16_t)(value & LM_PDS_DBELL_INDEX_MASK));
}

void
dm_pds_db_write(struct dm_pds_fn *fn, uint64_t offset, const uint8_t *buf, uint32_t len_bytes)
{
	uint64_t page = offset / LM_PDS_DBELL_PAGE_BYTES;
	uint64_t slot = offset % LM_PDS_DBELL_PAGE_BYTES / sizeof(uint64_t);
	uint64_t value;

	if (len_bytes != sizeof(value) || offset % sizeof(value) != 0 || page >= fn->nb_pages ||
			slot >= LM_PDS_DBELL_TYPES) {
		dm_rule_broken(fn->host->rules, DM_RULE_PDS_DOORBELL, "%u bytes at 0x%llx",
				len_bytes, (unsigned long long)offset);
		return;
	}
	memcpy(&value, buf, sizeof(value));
	dm_pds_db_rung(fn, (uint32_t)page, (uint32_t)slot, value);
}

void
dm_pds_db_poll(struct dm_pds_fn *fn)
{
	uint32_t page, type;
	uint64_t value;

	if (fn->db_pages == NULL)
		return;
	for (page = 1; page < fn->nb_pages; page++)
		for (type = 0; type < LM_PDS_DBELL_TYPES; type++) {
			value = atomic_load_explicit(dm_pds_db_slot(fn, page, type),
					memory_order_acquire);
			if (value == fn->db_seen[page][type])
				continue;
			fn->db_seen[page][type] = value;
			fn->db_stored = true;
			dm_pds_db_rung(fn, page, type, value);
		}
}
