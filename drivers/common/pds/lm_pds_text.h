/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LM_PDS_TEXT_H
#define LM_PDS_TEXT_H

/**
 * @file
 * Commands of the pds family in words, for logs, tests and tools. The one decoder of these
 * formats: who shows a command uses it.
 */

#include <stddef.h>
#include <stdint.h>

/** Where a command was found: each place has its own numbers. */
enum lm_pds_place {
	LM_PDS_PLACE_CORE_DEVCMD, /* device command of the PF */
	LM_PDS_PLACE_CORE_ADMINQ, /* its admin queue; CLIENT_CMD is decoded as live migration */
	LM_PDS_PLACE_LM,          /* what is wrapped in CLIENT_CMD: 60 bytes */
	LM_PDS_PLACE_ETH,         /* device command or admin queue of an Ethernet function */
};

/** Short name of an operation; NULL: no such number there. */
const char *lm_pds_op_name(enum lm_pds_place place, uint8_t opcode);
/** Name of a status code, "unknown" for others. */
const char *lm_pds_status_name(uint8_t status);
/**
 * What Linux's drivers turn a status into: 0 or -errno. Differs from theirs in one point: ENOSUPP
 * is -EOPNOTSUPP everywhere, where pds_core says -EINVAL.
 */
int lm_pds_status_errno(uint8_t status);
/**
 * A command in words: name and fields.
 *
 * @param cmd
 *   64 bytes, or 60 for LM_PDS_PLACE_LM.
 * @return
 *   text, always terminated; cut when size_bytes is too small.
 */
char *lm_pds_text(enum lm_pds_place place, const void *cmd, char *text, size_t size_bytes);

#endif /* LM_PDS_TEXT_H */
