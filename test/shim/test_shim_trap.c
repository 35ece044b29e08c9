/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Each instruction that the trap knows, run by the processor on memory and run by the trap on a
 * page without rights: both must leave the same registers and the same memory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "shim.h"

#define PAGE_BYTES 4096u
#define DIM(a) (sizeof(a) / sizeof((a)[0]))

/* rdi: memory; rsi: 8; rax: in and out. */
#define INSN(name, text) \
static uint64_t \
name(uint8_t *p, uint64_t value) \
{ \
	register uint8_t *rdi __asm__("rdi") = p; \
	register uint64_t rsi __asm__("rsi") = 8; \
	register uint64_t rax __asm__("rax") = value; \
	__asm__ volatile(text : "+r"(rax) : "r"(rdi), "r"(rsi) : \
			"rcx", "rdx", "r8", "r9", "r12", "r13", "r15", "memory"); \
	return rax; \
}

INSN(load8, "movb (%%rdi), %%al")
INSN(load8_high, "movb 3(%%rdi), %%ah")
INSN(load8_sil, "movb 3(%%rdi), %%sil; movzbl %%sil, %%eax")
INSN(load16, "movw 2(%%rdi), %%ax")
INSN(load32, "movl 4(%%rdi), %%eax")
INSN(load64, "movq 16(%%rdi), %%rax")
INSN(load32_far, "movl 0x400(%%rdi), %%eax")
INSN(load32_index, "movl 4(%%rdi,%%rsi,4), %%eax")
INSN(load32_no_base, "mov %%rdi, %%rcx; movl 0(,%%rcx,1), %%eax")
INSN(load64_r9, "movq 8(%%rdi), %%r9; mov %%r9, %%rax")
INSN(load32_by_r13, "mov %%rdi, %%r13; movl (%%r13), %%r15d; mov %%r15, %%rax")
INSN(load32_by_r12, "mov %%rdi, %%r12; movl 4(%%r12), %%eax")
INSN(zero8, "movzbl 1(%%rdi), %%eax")
INSN(zero8_to_64, "movzbq 1(%%rdi), %%rax")
INSN(zero16, "movzwl 2(%%rdi), %%eax")
INSN(zero8_to_16, "movzbw 2(%%rdi), %%ax")
INSN(sign8, "movsbl 1(%%rdi), %%eax")
INSN(sign8_to_64, "movsbq 1(%%rdi), %%rax")
INSN(sign8_to_16, "movsbw 1(%%rdi), %%ax")
INSN(sign16, "movswl 2(%%rdi), %%eax")
INSN(sign32, "movslq 4(%%rdi), %%rax")
INSN(store8, "movb %%al, 5(%%rdi)")
INSN(store8_high, "movb %%ah, 5(%%rdi)")
INSN(store8_r8, "mov %%rax, %%r8; movb %%r8b, 9(%%rdi)")
INSN(store16, "movw %%ax, 6(%%rdi)")
INSN(store32, "movl %%eax, 8(%%rdi)")
INSN(store64, "movq %%rax, 16(%%rdi)")
INSN(store64_index, "movq %%rax, (%%rdi,%%rsi,2)")
INSN(store32_r15, "mov %%rax, %%r15; movl %%r15d, 0x7f(%%rdi)")
INSN(immediate8, "movb $0x9c, 1(%%rdi)")
INSN(immediate16, "movw $0x9cde, 2(%%rdi)")
INSN(immediate32, "movl $0x9cdef012, 4(%%rdi)")
INSN(immediate64, "movq $-5, 24(%%rdi)")
INSN(immediate32_far, "movl $7, 0x200(%%rdi)")

static const struct {
	const char *name;
	uint64_t (*run)(uint8_t *p, uint64_t value);
} insns[] = {
#define ROW(name) { #name, name }
	ROW(load8), ROW(load8_high), ROW(load8_sil), ROW(load16), ROW(load32), ROW(load64),
	ROW(load32_far), ROW(load32_index), ROW(load32_no_base), ROW(load64_r9),
	ROW(load32_by_r13), ROW(load32_by_r12), ROW(zero8), ROW(zero8_to_64), ROW(zero16),
	ROW(zero8_to_16), ROW(sign8), ROW(sign8_to_64), ROW(sign8_to_16), ROW(sign16), ROW(sign32),
	ROW(store8), ROW(store8_high), ROW(store8_r8), ROW(store16), ROW(store32), ROW(store64),
	ROW(store64_index), ROW(store32_r15), ROW(immediate8), ROW(immediate16), ROW(immediate32),
	ROW(immediate64), ROW(immediate32_far),
};

static uint8_t behind[PAGE_BYTES]; /* what the trapped page stands for */
static unsigned int nb_accesses;

static int
behind_read(void *ctx, uint64_t offset, void *buf, unsigned int len_bytes)
{
	(void)ctx;
	nb_accesses++;
	memcpy(buf, behind + offset, len_bytes);
	return 0;
}

static int
behind_write(void *ctx, uint64_t offset, const void *buf, unsigned int len_bytes)
{
	(void)ctx;
	nb_accesses++;
	memcpy(behind + offset, buf, len_bytes);
	return 0;
}

static const struct shim_trap_ops ops = { behind_read, behind_write };

static void
fill(uint8_t *page)
{
	unsigned int i;

	for (i = 0; i < PAGE_BYTES; i++)
		page[i] = (uint8_t)(0x81 + i * 37);
}

static void
test_as_the_processor(void **state)
{
	static const uint64_t values[] = { 0, UINT64_MAX, UINT64_C(0x8123456789abcdef) };
	uint8_t *trapped, memory[PAGE_BYTES];
	uint64_t want, got;
	unsigned int i, v;

	(void)state;
	trapped = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(trapped, MAP_FAILED);
	assert_int_equal(shim_trap_add(trapped, PAGE_BYTES, &ops, NULL, 0), 0);
	for (i = 0; i < DIM(insns); i++) {
		for (v = 0; v < DIM(values); v++) {
			fill(memory);
			fill(behind);
			nb_accesses = 0;
			want = insns[i].run(memory, values[v]);
			got = insns[i].run(trapped, values[v]);
			if (got != want || memcmp(memory, behind, PAGE_BYTES) != 0)
				fail_msg("%s of 0x%llx: 0x%llx, not 0x%llx", insns[i].name,
						(unsigned long long)values[v],
						(unsigned long long)got, (unsigned long long)want);
			assert_int_equal(nb_accesses, 1);
		}
	}
	shim_trap_remove(trapped, PAGE_BYTES);
	munmap(trapped, PAGE_BYTES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_processor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
