/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_LM_H
#define LM_PDS_LM_H

/**
 * @file
 * Live migration of one VF through its PF: levels, state, dirty tracking.
 *
 * One thread at a time for each VF, save that lm_pds_lm_dirty_report() may come from another than
 * the rest. Errors as lm_pds_client_cmd(), unless said otherwise.
 */

#include "lm_pds_core.h"

struct lm_pds_lm;

struct lm_pds_range {
	uint64_t addr; /* the VF's IOVA */
	uint64_t len_bytes;
};

/** @param vf_id from 0 @return also -ENOMEM */
int lm_pds_lm_open(struct lm_pds_core *core, uint16_t vf_id, const char *client_name,
		struct lm_pds_lm **lm);
/** Stops tracking and unregisters; the VF keeps its level. NULL is allowed. */
void lm_pds_lm_close(struct lm_pds_lm *lm);

/** A hint for the firmware that a migration goes on. */
int lm_pds_lm_host_status(struct lm_pds_lm *lm, bool in_progress);
/**
 * Begin to enter a level. After a refusal nothing has happened.
 * @param type LM_PDS_LM_SUSPEND_RESUME_TYPE_P2P, then _FULL
 */
int lm_pds_lm_suspend_begin(struct lm_pds_lm *lm, uint8_t type);
/**
 * Wait until the device is there, as long as the core's suspend_timeout_ms.
 * @return also -ETIMEDOUT: the device stayed busy
 */
int lm_pds_lm_suspend_wait(struct lm_pds_lm *lm, uint8_t type);
/** Both. */
int lm_pds_lm_suspend(struct lm_pds_lm *lm, uint8_t type);
/** Leave a level: P2P leaves the full one, FULL all. */
int lm_pds_lm_resume(struct lm_pds_lm *lm, uint8_t type);

/**
 * The state as it travels: the device's blob behind a header with its length and checksum. The
 * device learns neither when it gets a state back, so what is short, long or wrong is refused here.
 */
struct lm_pds_state_hdr {
	lm_le64_t magic;
	lm_le32_t version;
	lm_le32_t blob_bytes;
	lm_le64_t checksum; /* XXH3 of the blob */
};
#define LM_PDS_STATE_MAX_BYTES (sizeof(struct lm_pds_state_hdr) + LM_PDS_LM_DEVICE_STATE_LENGTH)

/** Bytes of the device's state. @return also -EFBIG, -ENODATA as lm_pds_lm_save() */
int lm_pds_lm_state_bytes(struct lm_pds_lm *lm, uint32_t *bytes);
/**
 * Save, at the full level.
 *
 * @param buf
 *   LM_PDS_STATE_MAX_BYTES.
 * @return also -EFBIG: the device's state is larger than it could restore; -ENODATA: it has none
 */
int lm_pds_lm_save(struct lm_pds_lm *lm, void *buf, uint32_t *len_bytes);
/**
 * Restore, at the full level. Nothing is sent to the device when the state is not whole.
 *
 * @return also -EBADMSG: cut short, with bytes too many, or damaged; -EPROTO: another format
 */
int lm_pds_lm_restore(struct lm_pds_lm *lm, const void *buf, uint32_t len_bytes);

/** Whether the device tracks as we know it, and how many ranges. @return also -ENOTSUP */
int lm_pds_lm_dirty_limits(struct lm_pds_lm *lm, uint32_t *max_ranges);
/**
 * Track the VF's writes. Ranges may touch or overlap once they are rounded to pages; those that are
 * more than the device takes are joined where the gaps are smallest. Tracking that runs already,
 * here or left over on the device, is stopped first.
 *
 * @param page_size_bytes
 *   The wish in, a power of two of 4096 or more; what is used out, larger where the device could
 *   not count the pages.
 * @return also -EINVAL: no range, an empty one, or a page size that is none; -ERANGE: beyond 52
 *   bits; -ENOTSUP: the device does not track as we know it; -ENOMEM
 */
int lm_pds_lm_dirty_start(struct lm_pds_lm *lm, const struct lm_pds_range *ranges,
		unsigned int nb_ranges, uint64_t *page_size_bytes);
/**
 * Read and acknowledge, for any start, length and page size. A bit of the bitmap is set when any
 * byte of its page was written; pages that are not tracked are set too: never less. Only what was
 * asked for is acknowledged, after it is in the bitmap. Pages of the device's size that lie in the
 * range in part only stay dirty for the next report as well.
 *
 * @param bitmap
 *   Bit n for page n after iova; ORed into.
 * @return also -EINVAL: tracking is off, empty range or bad page size; -EIO: the device lost its
 *   bitmaps, all is set until the next start. After any error all of the range counts as dirty.
 */
int lm_pds_lm_dirty_report(struct lm_pds_lm *lm, uint64_t iova, uint64_t len_bytes,
		uint64_t page_size_bytes, uint64_t *bitmap);
/** Harmless when it does not run. */
int lm_pds_lm_dirty_stop(struct lm_pds_lm *lm);
/**
 * The VF was reset: find out what is left of tracking. @return 0: as before; -EIO: it is lost, see
 * lm_pds_lm_dirty_report()
 */
int lm_pds_lm_after_reset(struct lm_pds_lm *lm);

/** What commands have cost; each is one round trip to the PF's firmware. */
struct lm_pds_lm_cost {
	uint8_t opcode; /* LM_PDS_LM_CMD_* */
	uint64_t count;
	uint64_t errors; /* of them, refused or lost */
	uint64_t total_ns;
	uint64_t max_ns;
};
#define LM_PDS_LM_NB_COSTS 12u
/** Commands since lm_pds_lm_open(), by opcode; those never sent are left out. @return number */
unsigned int lm_pds_lm_costs(struct lm_pds_lm *lm, struct lm_pds_lm_cost costs[LM_PDS_LM_NB_COSTS]);

#endif /* LM_PDS_LM_H */
