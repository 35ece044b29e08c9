/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef SHIM_DECODE_H
#define SHIM_DECODE_H

/**
 * @file
 * The few instructions by which compilers load from and store to registers of a device.
 *
 * Source: AMD64 Architecture Programmer's Manual, volume 3, "MOV", "MOVZX", "MOVSX", "MOVSXD" and
 * chapter 1 (prefixes, ModRM, SIB).
 */

#include <stdbool.h>
#include <stdint.h>

/** Longest instruction of x86-64. */
#define SHIM_INSN_MAX 15u

enum shim_extend {
	SHIM_KEEP,  /* MOV */
	SHIM_ZERO,  /* MOVZX */
	SHIM_SIGN,  /* MOVSX, MOVSXD */
};

struct shim_insn {
	unsigned int len_bytes;    /* of the instruction */
	unsigned int access_bytes; /* 1, 2, 4 or 8 */
	bool is_write;
	bool is_immediate;         /* is_write: the value is immediate */
	uint64_t immediate;        /* sign-extended as the instruction does */
	unsigned int reg;          /* 0 rax, 1 rcx, ... 15 r15, as encoded */
	bool high_byte;            /* ah, ch, dh, bh: reg is 0..3 */
	enum shim_extend extend;   /* loads */
	unsigned int reg_bytes;    /* loads that extend: width of the destination */
};

/**
 * @param code at least SHIM_INSN_MAX bytes may be read
 * @return false: an instruction that is not known here
 */
bool shim_decode(const uint8_t *code, struct shim_insn *insn);

#endif /* SHIM_DECODE_H */
