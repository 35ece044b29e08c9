/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * CPU tracking against the memory itself: a copy is kept up to date with what is given out only,
 * and must equal the memory at the end. Kernels without asynchronous write-protect are played by
 * refusing the calls one by one.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include <cmocka.h>

#include "lm_pagemap_if.h"
#include "lm_ram.h"

#define PAGE UINT64_C(4096)
#define NB_PAGES 4096u
#define SIZE (NB_PAGES * PAGE)
#define ADDR UINT64_C(0x7000000000)
#define NB_ROUNDS 60u
#ifdef __SANITIZE_THREAD__
#define STORM_S 300u /* a hang, not slowness */
#else
#define STORM_S 60u
#endif

static unsigned long refused; /* request of ioctl that fails */

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

int
__wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (request == refused) {
		errno = EINVAL;
		return -1;
	}
	return __real_ioctl(fd, request, arg);
}

struct world {
	struct lm_ram *ram;
	_Atomic uint64_t *mem;
	uint64_t *copy;
	uint64_t cursor;
	unsigned int whole;
	_Atomic bool stop;
	_Atomic uint64_t writes;
};

static struct world *
create(bool shared)
{
	struct world *w = calloc(1, sizeof(*w));
	struct lm_ram_region region = {
		.name = "mem",
		.addr = ADDR,
		.size_bytes = SIZE,
		.flags = LM_RAM_F_CPU_WRITES,
	};
	int fd = -1;

	assert_non_null(w);
	if (shared) {
		fd = memfd_create("test_lm_ram_cpu", MFD_CLOEXEC);
		assert_true(fd >= 0 && ftruncate(fd, SIZE) == 0);
	}
	w->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	assert_true(w->mem != MAP_FAILED);
	if (shared)
		close(fd);
	else
		madvise((void *)w->mem, SIZE, MADV_NOHUGEPAGE);
	w->copy = calloc(1, SIZE);
	assert_non_null(w->copy);
	region.vaddr = (void *)w->mem;
	assert_int_equal(lm_ram_create(&w->ram), 0);
	assert_int_equal(lm_ram_add(w->ram, &region), 0);
	region.addr += SIZE;
	region.flags = 0;
	snprintf(region.name, sizeof(region.name), "other");
	assert_int_equal(lm_ram_add(w->ram, &region), 0); /* nobody asks about it */
	return w;
}

static void
destroy(struct world *w)
{
	lm_ram_destroy(w->ram);
	munmap((void *)w->mem, SIZE);
	free(w->copy);
	free(w);
}

static _Atomic uint64_t *
word(struct world *w, unsigned int page)
{
	return &w->mem[page * PAGE / 8 + page % 512];
}

static void
write_page(struct world *w, unsigned int page)
{
	atomic_fetch_add_explicit(word(w, page), 1, memory_order_relaxed);
}

/* Whatever is dirty goes into the copy. */
static uint64_t
send_all(struct world *w)
{
	struct lm_ram_run run;
	uint64_t bytes = 0, at, i;

	while (lm_ram_take(w->ram, false, 16 * PAGE, &w->cursor, &run)) {
		at = (run.addr - ADDR) / 8;
		for (i = 0; i < run.len_bytes / 8; i++)
			w->copy[at + i] = atomic_load_explicit(&w->mem[at + i],
					memory_order_relaxed);
		bytes += run.len_bytes;
	}
	return bytes;
}

static void
start(struct world *w)
{
	assert_int_equal(lm_ram_cpu_harvest(w->ram), -EINVAL);
	assert_int_equal(lm_ram_cpu_start(w->ram, &w->whole), 0);
	assert_int_equal(lm_ram_cpu_start(w->ram, NULL), -EALREADY);
}

static void
check_exact(bool shared)
{
	static const unsigned int pages[] = { 0, 1, 2, 63, 64, 700, 4094, 4095 };
	struct world *w = create(shared);
	unsigned int i, round;
	int fds[2];

	write_page(w, 5); /* there before the start, the others not */
	start(w);
	if (w->whole != 0) {
		destroy(w);
		print_message("no asynchronous write-protect here\n");
		skip();
	}
	assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
	assert_int_equal(lm_ram_dirty_bytes(w->ram, false), 0);
	for (round = 0; round < 3; round++) {
		assert_int_equal(atomic_load(word(w, 6)), 0); /* reading is not writing */
		for (i = 0; i < 8; i++)
			write_page(w, pages[i]);
		assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
		for (i = 0; i < 8; i++)
			lm_ram_mark(w->ram, ADDR + pages[i] * PAGE, 1); /* no page but these */
		assert_int_equal(send_all(w), 8 * PAGE);
		assert_memory_equal((void *)w->mem, w->copy, 5 * PAGE);
		assert_int_equal(w->copy[4095 * 512 + 511], round + 1);
	}
	/* The kernel writes for us. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(fds[0], (void *)word(w, 9), 1), 1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
	assert_int_equal(send_all(w), PAGE);
	/* More runs than one scan gives. */
	for (i = 0; i < NB_PAGES; i += 2)
		write_page(w, i);
	assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
	assert_int_equal(send_all(w), SIZE / 2);
	lm_ram_cpu_stop(w->ram);
	lm_ram_cpu_stop(w->ram);
	write_page(w, 0);
	assert_int_equal(lm_ram_cpu_start(w->ram, NULL), 0);
	assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
	assert_int_equal(lm_ram_dirty_bytes(w->ram, false), 0);
	destroy(w);
}

static void
test_shared_memory(void **state)
{
	(void)state;
	check_exact(true);
}

static void
test_private_memory(void **state)
{
	(void)state;
	check_exact(false);
}

static void *
storm(void *arg)
{
	struct world *w = arg;
	uint64_t rng = UINT64_C(88172645463325252);

	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		write_page(w, (unsigned int)(rng % NB_PAGES));
		atomic_fetch_add_explicit(&w->writes, 1, memory_order_relaxed);
	}
	return NULL;
}

/* A write during a harvest is seen in this or the next: after the last one nothing is missing. */
static void
test_storm(void **state)
{
	struct world *w = create(true);
	pthread_t thread;
	uint64_t sent = 0;
	unsigned int round;

	(void)state;
	alarm(STORM_S);
	start(w);
	assert_int_equal(pthread_create(&thread, NULL, storm, w), 0);
	for (round = 0; round < NB_ROUNDS; round++) {
		uint64_t before = atomic_load(&w->writes);

		while (atomic_load(&w->writes) - before < 5000)
			sched_yield();
		assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
		sent += send_all(w);
	}
	atomic_store(&w->stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
	send_all(w);
	assert_memory_equal((void *)w->mem, w->copy, SIZE);
	assert_true(sent > SIZE);
	destroy(w);
}

/* Whatever the kernel refuses: the region is sent whole, and nothing is missing. */
static void
test_refused(void **state)
{
	static const unsigned long requests[] = { UFFDIO_API, UFFDIO_REGISTER, UFFDIO_WRITEPROTECT,
		LM_PAGEMAP_SCAN };
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct world *w = create(true);

		refused = requests[i];
		start(w);
		assert_true(w->whole == 1 || requests[i] == LM_PAGEMAP_SCAN);
		write_page(w, i * 100);
		assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
		assert_int_equal(send_all(w), SIZE);
		assert_int_equal(lm_ram_cpu_harvest(w->ram), 0);
		assert_int_equal(send_all(w), SIZE);
		assert_memory_equal((void *)w->mem, w->copy, SIZE);
		refused = 0;
		destroy(w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_memory),
		cmocka_unit_test(test_private_memory),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
