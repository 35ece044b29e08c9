/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "shim_decode.h"

#define REX_W 0x8u
#define REX_R 0x4u

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	uint8_t rex;
	bool operand16;
};

/* Skip ModRM, SIB and displacement of a memory operand; false: it is a register. */
static bool
skip_modrm(struct cursor *c, uint8_t *reg)
{
	uint8_t modrm = *c->at++;
	uint8_t mod = modrm >> 6, rm = modrm & 7;
	bool sib_without_base = false;

	*reg = modrm >> 3 & 7;
	if (mod == 3)
		return false;
	if (rm == 4)
		sib_without_base = (*c->at++ & 7) == 5;
	if (mod == 1)
		c->at += 1;
	else if (mod == 2 || (mod == 0 && (rm == 5 || sib_without_base)))
		c->at += 4;
	return true;
}

static void
skip_prefixes(struct cursor *c)
{
	/* Segments other than FS and GS have no meaning; those two are no business of registers. */
	while (*c->at == 0x66 || *c->at == 0x2e || *c->at == 0x36 || *c->at == 0x3e ||
			*c->at == 0x26) {
		c->operand16 = c->operand16 || *c->at == 0x66;
		c->at++;
	}
	if ((*c->at & 0xf0) == 0x40)
		c->rex = *c->at++;
}

static unsigned int
operand_bytes(const struct cursor *c)
{
	if ((c->rex & REX_W) != 0)
		return 8;
	return c->operand16 ? 2 : 4;
}

static void
take_register(const struct cursor *c, struct shim_insn *insn, uint8_t reg)
{
	insn->reg = reg + ((c->rex & REX_R) != 0 ? 8 : 0);
	/* Without REX, 4 to 7 as byte registers are ah, ch, dh, bh. */
	if (insn->access_bytes == 1 && insn->extend == SHIM_KEEP && c->rex == 0 && reg >= 4) {
		insn->high_byte = true;
		insn->reg = reg - 4;
	}
}

static bool
decode_immediate(struct cursor *c, struct shim_insn *insn)
{
	unsigned int bytes = insn->access_bytes == 8 ? 4 : insn->access_bytes;
	int64_t value = 0;
	uint8_t reg;

	if (!skip_modrm(c, &reg) || reg != 0)
		return false;
	memcpy(&value, c->at, bytes);
	c->at += bytes;
	if (bytes == 4)
		value = (int32_t)value;
	insn->immediate = (uint64_t)value;
	insn->is_immediate = true;
	return true;
}

/* Opcodes after 0x0f. */
static bool
decode_extending(struct cursor *c, struct shim_insn *insn)
{
	static const struct {
		uint8_t opcode;
		unsigned int access_bytes;
		enum shim_extend extend;
	} known[] = {
		{ 0xb6, 1, SHIM_ZERO },
		{ 0xb7, 2, SHIM_ZERO },
		{ 0xbe, 1, SHIM_SIGN },
		{ 0xbf, 2, SHIM_SIGN },
	};
	unsigned int i;
	uint8_t reg;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (*c->at != known[i].opcode)
			continue;
		c->at++;
		insn->access_bytes = known[i].access_bytes;
		insn->extend = known[i].extend;
		insn->reg_bytes = operand_bytes(c);
		if (!skip_modrm(c, &reg))
			return false;
		take_register(c, insn, reg);
		return true;
	}
	return false;
}

static bool
decode_opcode(struct cursor *c, struct shim_insn *insn)
{
	uint8_t opcode = *c->at++;
	uint8_t reg;

	if (opcode == 0x0f)
		return decode_extending(c, insn);
	if (opcode == 0x63) { /* MOVSXD */
		insn->access_bytes = 4;
		insn->extend = SHIM_SIGN;
		insn->reg_bytes = operand_bytes(c);
	} else if ((opcode & 0xfc) == 0x88) { /* MOV to and from a register */
		insn->access_bytes = (opcode & 1) != 0 ? operand_bytes(c) : 1;
		insn->is_write = (opcode & 2) == 0;
		insn->extend = SHIM_KEEP;
	} else if ((opcode & 0xfe) == 0xc6) { /* MOV of an immediate */
		insn->access_bytes = (opcode & 1) != 0 ? operand_bytes(c) : 1;
		insn->is_write = true;
		return decode_immediate(c, insn);
	} else {
		return false;
	}
	if (!skip_modrm(c, &reg))
		return false;
	take_register(c, insn, reg);
	return true;
}

bool
shim_decode(const uint8_t *code, struct shim_insn *insn)
{
	struct cursor c = { .at = code };

	memset(insn, 0, sizeof(*insn));
	skip_prefixes(&c);
	if (!decode_opcode(&c, insn))
		return false;
	insn->len_bytes = (unsigned int)(c.at - code);
	return insn->len_bytes <= SHIM_INSN_MAX;
}
