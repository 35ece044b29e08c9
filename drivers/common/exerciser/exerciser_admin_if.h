/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef EXERCISER_ADMIN_IF_H
#define EXERCISER_ADMIN_IF_H

/**
 * @file
 * How a PF of exercisers commands the migration of its VFs. Little-endian.
 *
 * The driver fills a command in memory, writes its address to the doorbell, and waits for done,
 * which the device writes last, or for the interrupt: vector n belongs to VF n. A VF has one
 * command at a time; those of different VFs are independent. VFs are counted from 0; they have no
 * migration interface of their own. A command's results are VFIO's (linux/vfio.h): states, flags,
 * errno.
 */

#include "exerciser_if.h"

#define LM_EX_PF_REGS_BYTES 0x1000u
#define LM_EX_PF_REG_MAGIC 0x00u    /* RO */
#define LM_EX_PF_MAGIC UINT64_C(0x0001465058454d4c) /* "LMEXPF", version 1 */
#define LM_EX_PF_REG_NB_VFS 0x08u   /* RO */
#define LM_EX_PF_REG_DOORBELL 0x10u /* WO: IOVA of a command, a multiple of 64 */

enum lm_ex_admin_opcode {
	/* out: flags, LM_EX_ADMIN_LOG_*, alignment in pages | most ranges << 32, compat */
	LM_EX_ADMIN_CAPS = 1,
	LM_EX_ADMIN_STATE = 2, /* out: state */
	LM_EX_ADMIN_ARC = 3,   /* in: from, to; a single arc */
	LM_EX_ADMIN_INFO = 4,  /* out: initial, dirty, stop_copy, LM_EX_ADMIN_INFO_* */
	LM_EX_ADMIN_READ = 5,  /* out: bytes put into data; ENOMSG: nothing now */
	LM_EX_ADMIN_WRITE = 6, /* data */
	LM_EX_ADMIN_LOG_START = 7,  /* in: page size; data: {iova, bytes} each; out: page size */
	LM_EX_ADMIN_LOG_REPORT = 8, /* in: iova, bytes, page size; data: words are ORed into */
	LM_EX_ADMIN_LOG_STOP = 9,
	LM_EX_ADMIN_RESET = 10,
};

#define LM_EX_ADMIN_LOG_PRESENT 0x1u
#define LM_EX_ADMIN_LOG_FIXED_PAGE 0x2u
#define LM_EX_ADMIN_INFO_PRECOPY 0x1u /* initial and dirty are valid */
#define LM_EX_ADMIN_INFO_REINIT 0x2u

#define LM_EX_ADMIN_ALIGN 64u
struct lm_ex_admin {
	uint32_t opcode;
	uint32_t vf;
	uint64_t in[3];
	uint64_t data_iova; /* of a buffer in one mapping */
	uint32_t data_bytes;
	uint32_t reserved;
	/* From here on the device writes. */
	uint64_t out[4];
	uint32_t error; /* 0 or errno */
	uint32_t done;  /* 1 */
	uint64_t reserved2[5];
};
static_assert(sizeof(struct lm_ex_admin) == 128, "admin command");

#endif /* EXERCISER_ADMIN_IF_H */
