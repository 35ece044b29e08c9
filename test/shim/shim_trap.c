/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Accesses to register pages end in SIGSEGV; the instruction is read, done by message, and passed
 * over.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>

#include "shim.h"
#include "shim_decode.h"

#define MAX_TRAPS 64u

struct trap {
	uintptr_t start;
	uintptr_t end;
	const struct shim_trap_ops *ops;
	void *ctx;
	uint64_t offset;
	_Atomic bool valid;
};

static struct {
	pthread_mutex_t lock; /* protects adding and removing */
	struct trap traps[MAX_TRAPS];
	struct sigaction before;
	bool installed;
	_Atomic uint64_t count;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ModRM's numbers of registers, in the order of the processor. */
static const int registers[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static uint64_t
low_bytes(uint64_t value, unsigned int bytes)
{
	return bytes == 8 ? value : value & ((UINT64_C(1) << bytes * 8) - 1);
}

static uint64_t
sign_extended(uint64_t value, unsigned int from_bytes, unsigned int to_bytes)
{
	unsigned int shift = 64 - from_bytes * 8;

	return low_bytes((uint64_t)((int64_t)(value << shift) >> shift), to_bytes);
}

static void
load(const struct shim_insn *insn, uint64_t *reg, uint64_t value)
{
	unsigned int bytes = insn->access_bytes;

	if (insn->high_byte) {
		*reg = (*reg & ~UINT64_C(0xff00)) | (value & 0xff) << 8;
		return;
	}
	if (insn->extend == SHIM_SIGN)
		value = sign_extended(value, bytes, insn->reg_bytes);
	if (insn->extend != SHIM_KEEP)
		bytes = insn->reg_bytes;
	/* A result of 4 bytes clears the upper half, smaller ones leave the rest. */
	if (bytes >= 4)
		*reg = value;
	else
		*reg = (*reg & ~low_bytes(UINT64_MAX, bytes)) | value;
}

static uint64_t
stored(const struct shim_insn *insn, const greg_t *regs)
{
	uint64_t value;

	if (insn->is_immediate)
		return insn->immediate;
	value = (uint64_t)regs[registers[insn->reg]];
	return insn->high_byte ? value >> 8 : value;
}

static bool
access_device(const struct trap *t, uintptr_t addr, greg_t *regs)
{
	const uint8_t *code = (const uint8_t *)regs[REG_RIP];
	struct shim_insn insn;
	uint64_t value = 0;
	int ret;

	if (!shim_decode(code, &insn)) {
		shim_warn("instruction %02x %02x %02x %02x %02x %02x at %p is not one that "
				"registers are accessed with", code[0], code[1], code[2], code[3],
				code[4], code[5], (const void *)code);
		return false;
	}
	if (insn.is_write) {
		value = stored(&insn, regs);
		ret = t->ops->write(t->ctx, t->offset + (addr - t->start), &value,
				insn.access_bytes);
	} else {
		ret = t->ops->read(t->ctx, t->offset + (addr - t->start), &value,
				insn.access_bytes);
		/* As on a bus without an answer. */
		if (ret != 0)
			value = low_bytes(UINT64_MAX, insn.access_bytes);
		load(&insn, (uint64_t *)&regs[registers[insn.reg]], value);
	}
	if (ret != 0)
		shim_warn("register at 0x%llx: %s", (unsigned long long)(t->offset + addr -
				t->start), strerror(-ret));
	regs[REG_RIP] += insn.len_bytes;
	atomic_fetch_add(&state.count, 1);
	return true;
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;
	unsigned int i;

	for (i = 0; i < MAX_TRAPS; i++) {
		struct trap *t = &state.traps[i];

		if (!atomic_load(&t->valid) || addr < t->start || addr >= t->end)
			continue;
		if (!access_device(t, addr, uc->uc_mcontext.gregs))
			break;
		errno = saved;
		return;
	}
	/* Not ours: happens again, without us. */
	sigaction(sig, &state.before, NULL);
}

static int
install_locked(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	if (state.installed)
		return 0;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGSEGV, &action, &state.before) != 0)
		return -errno;
	state.installed = true;
	return 0;
}

int
shim_trap_add(void *addr, size_t len_bytes, const struct shim_trap_ops *ops, void *ctx,
		uint64_t offset)
{
	struct trap *t = NULL;
	unsigned int i;
	int ret;

	pthread_mutex_lock(&state.lock);
	ret = install_locked();
	for (i = 0; i < MAX_TRAPS && t == NULL; i++)
		if (!atomic_load(&state.traps[i].valid))
			t = &state.traps[i];
	if (ret == 0 && t == NULL)
		ret = -ENOSPC;
	if (ret == 0) {
		t->start = (uintptr_t)addr;
		t->end = t->start + len_bytes;
		t->ops = ops;
		t->ctx = ctx;
		t->offset = offset;
		atomic_store(&t->valid, true);
	}
	pthread_mutex_unlock(&state.lock);
	return ret;
}

void
shim_trap_remove(void *addr, size_t len_bytes)
{
	uintptr_t start = (uintptr_t)addr, end = start + len_bytes;
	unsigned int i;

	pthread_mutex_lock(&state.lock);
	for (i = 0; i < MAX_TRAPS; i++)
		if (state.traps[i].start >= start && state.traps[i].end <= end)
			atomic_store(&state.traps[i].valid, false);
	pthread_mutex_unlock(&state.lock);
}

uint64_t
shim_trap_count(void)
{
	return atomic_load(&state.count);
}
