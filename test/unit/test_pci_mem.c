/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * DMA mappings of lib/pciaccess: the difference that lm_pci_mem_sync() makes, premapped files,
 * the driver's own memory. The judge is the server's view: which file's page is at which IOVA.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lm_pci_priv.h"
#include "pci_fake.h"

#define PAGE 4096u
#define NB_FILES 3
#define FILE_PAGES 64u
#define RW (LM_PCI_PROT_READ | LM_PCI_PROT_WRITE)
#define G (UINT64_C(1) << 30)

struct fixture {
	struct fake_pci fake;
	struct lm_pci *pci;
	int files[NB_FILES];
};

static struct fixture fixture;

/* What page p of file i starts with. */
static uint64_t
tag(unsigned int i, uint64_t p)
{
	return (uint64_t)(i + 1) << 32 | p;
}

static int
make_file(unsigned int i)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint64_t p, t;

	assert_int_equal(ftruncate(fd, FILE_PAGES * PAGE), 0);
	for (p = 0; p < FILE_PAGES; p++) {
		t = tag(i, p);
		assert_int_equal(pwrite(fd, &t, sizeof(t), (off_t)(p * PAGE)), sizeof(t));
	}
	return fd;
}

static int
setup_maps(void **state, uint32_t max_dma_maps)
{
	unsigned int i;

	fake_init(&fixture.fake);
	fixture.fake.max_dma_maps = max_dma_maps;
	fake_start(&fixture.fake);
	fixture.pci = fake_open(&fixture.fake);
	for (i = 0; i < NB_FILES; i++)
		fixture.files[i] = make_file(i);
	*state = &fixture;
	return 0;
}

static int
setup(void **state)
{
	return setup_maps(state, 64);
}

static int
setup_few_maps(void **state)
{
	return setup_maps(state, 3);
}

static int
teardown(void **state)
{
	struct fixture *x = *state;
	unsigned int i;

	for (i = 0; i < NB_FILES; i++)
		close(x->files[i]);
	lm_pci_close(x->pci);
	fake_fini(&x->fake);
	return 0;
}

static struct lm_pci_dma
region(struct fixture *x, unsigned int file, uint64_t iova, uint64_t page, uint64_t pages)
{
	return (struct lm_pci_dma){
		.iova = iova, .size_bytes = pages * PAGE, .fd = x->files[file],
		.fd_offset = page * PAGE, .prot = RW,
	};
}

/* The device's view of one page: its tag, or 0 when nothing is mapped there. */
static uint64_t
seen(struct fixture *x, uint64_t iova)
{
	const uint64_t *p = lm_vu_server_dma_ptr(x->fake.server, iova, PAGE, RW);

	return p != NULL ? *p : 0;
}

static void
check_seen(struct fixture *x, unsigned int file, const struct lm_pci_dma *r)
{
	uint64_t p;

	for (p = 0; p < r->size_bytes / PAGE; p++)
		if (seen(x, r->iova + p * PAGE) != tag(file, r->fd_offset / PAGE + p))
			fail_msg("iova 0x%" PRIx64 ": 0x%" PRIx64 " instead of 0x%" PRIx64,
					r->iova + p * PAGE, seen(x, r->iova + p * PAGE),
					tag(file, r->fd_offset / PAGE + p));
}

static void
sync_ok(struct fixture *x, const struct lm_pci_dma *r, unsigned int n, uint64_t want_mapped,
		uint64_t want_kept)
{
	uint64_t mapped, kept;
	int ret = lm_pci_mem_sync(x->pci, r, n, &mapped, &kept);

	if (ret != 0)
		fail_msg("mem_sync: %d, %s", ret, lm_pci_strerror(x->pci));
	assert_int_equal(mapped, want_mapped);
	assert_int_equal(kept, want_kept);
}

static void
sync_refused(struct fixture *x, const struct lm_pci_dma *r, unsigned int n, int err,
		const char *words)
{
	uint64_t mapped = 1, kept = 1;

	assert_int_equal(lm_pci_mem_sync(x->pci, r, n, &mapped, &kept), err);
	if (strstr(lm_pci_strerror(x->pci), words) == NULL)
		fail_msg("'%s' does not say '%s'", lm_pci_strerror(x->pci), words);
	assert_int_equal(mapped, 0);
	assert_int_equal(kept, 0);
}

static void
test_unchanged_stays(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma r[2] = {
		region(x, 0, 0, 0, 16),
		region(x, 0, 4 * G, 16, 48), /* above the hole */
	};

	sync_ok(x, r, 2, 64, 0);
	assert_int_equal(x->fake.nb_mapped, 2);
	check_seen(x, 0, &r[0]);
	check_seen(x, 0, &r[1]);
	/* Announced again, by another descriptor of the same file, in another order. */
	r[0].fd = dup(x->files[0]);
	sync_ok(x, (struct lm_pci_dma[]){ r[1], r[0] }, 2, 0, 64);
	close(r[0].fd);
	assert_int_equal(x->fake.nb_mapped, 2);
	assert_int_equal(x->fake.nb_unmapped, 0);
	/* One more region, one less. */
	r[0] = region(x, 1, 8 * G, 0, 8);
	sync_ok(x, r, 2, 8, 48);
	assert_int_equal(x->fake.nb_unmapped, 1);
	assert_int_equal(seen(x, 0), 0);
	check_seen(x, 1, &r[0]);
	sync_ok(x, NULL, 0, 0, 0);
	assert_int_equal(x->fake.nb_unmapped, 3);
	assert_int_equal(seen(x, 8 * G), 0);
}

/* What looks the same but is not must be replaced: stale mappings would corrupt another guest. */
static void
test_lookalikes_replaced(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma r = region(x, 0, 0, 0, 16);

	sync_ok(x, &r, 1, 16, 0);
	r = region(x, 1, 0, 0, 16); /* another file */
	sync_ok(x, &r, 1, 16, 0);
	check_seen(x, 1, &r);
	r = region(x, 1, 0, 1, 16); /* another offset */
	sync_ok(x, &r, 1, 16, 0);
	check_seen(x, 1, &r);
	r = region(x, 1, PAGE, 1, 16); /* another address */
	sync_ok(x, &r, 1, 16, 0);
	check_seen(x, 1, &r);
	assert_int_equal(seen(x, 0), 0);
	r = region(x, 1, PAGE, 1, 17); /* larger */
	sync_ok(x, &r, 1, 17, 0);
	check_seen(x, 1, &r);
	assert_int_equal(x->fake.nb_unmapped, 4);
}

static void
test_rights(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma r = region(x, 0, 0, 0, 16);

	r.prot = LM_PCI_PROT_READ;
	sync_ok(x, &r, 1, 16, 0);
	r.prot = RW; /* more than is mapped */
	sync_ok(x, &r, 1, 16, 0);
	check_seen(x, 0, &r);
	r.prot = LM_PCI_PROT_READ; /* less */
	sync_ok(x, &r, 1, 0, 16);
}

static void
test_contained_in_larger(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma whole = region(x, 0, 4 * G, 0, 64), part[2];

	sync_ok(x, &whole, 1, 64, 0);
	part[0] = region(x, 0, 4 * G + 8 * PAGE, 8, 8);
	part[1] = region(x, 0, 4 * G + 32 * PAGE, 32, 32);
	sync_ok(x, part, 2, 0, 40);
	assert_int_equal(x->fake.nb_mapped, 1);
	/* The larger one is in the way of a part that lies elsewhere in the file: both go anew. */
	part[1] = region(x, 0, 4 * G + 32 * PAGE, 16, 16);
	sync_ok(x, part, 2, 24, 0);
	check_seen(x, 0, &part[0]);
	check_seen(x, 0, &part[1]);
	assert_int_equal(seen(x, 4 * G), 0);
}

static void
test_refused_by_name(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma good = region(x, 0, 0, 0, 16), r[2];

	sync_ok(x, &good, 1, 16, 0);
	r[0] = good;
	r[1] = region(x, 1, G + 1, 0, 4);
	sync_refused(x, r, 2, -EINVAL, "0x40000001+0x4000");
	r[1] = region(x, 1, G, 0, 4);
	r[1].fd_offset = 512;
	sync_refused(x, r, 2, -EINVAL, "offset 0x200");
	r[1] = region(x, 1, G, 0, 4);
	r[1].size_bytes -= 1;
	sync_refused(x, r, 2, -EINVAL, "not aligned");
	r[1].size_bytes = 0;
	sync_refused(x, r, 2, -EINVAL, "empty");
	r[1] = region(x, 1, UINT64_MAX - 4095, 0, 2);
	sync_refused(x, r, 2, -EINVAL, "wraps");
	r[1] = region(x, 1, UINT64_C(1) << 48, 0, 1);
	sync_refused(x, r, 2, -ERANGE, "0x1000000000000");
	r[1] = region(x, 1, G, 60, 5);
	sync_refused(x, r, 2, -EFBIG, "beyond its file");
	r[1] = region(x, 1, G, 0, 1);
	r[1].fd = -1;
	r[1].vaddr = x;
	sync_refused(x, r, 2, -EBADF, "no file");
	r[1] = region(x, 1, 15 * PAGE, 0, 4);
	sync_refused(x, r, 2, -EEXIST, "overlap");
	r[1].prot = 0;
	sync_refused(x, r, 2, -EINVAL, "rights");
	/* All was checked before anything changed. */
	assert_int_equal(x->fake.nb_mapped, 1);
	assert_int_equal(x->fake.nb_unmapped, 0);
	check_seen(x, 0, &good);
}

/* The third mapping is refused: what was common stays, what was new goes again. */
static void
test_failure_rolls_back(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma r[4];

	r[0] = region(x, 0, 0, 0, 16);
	sync_ok(x, r, 1, 16, 0);
	r[1] = region(x, 1, G, 0, 16);
	r[2] = region(x, 1, 2 * G, 16, 16);
	r[3] = region(x, 2, 3 * G, 0, 16);
	sync_refused(x, r, 4, -ENOSPC, "0xc0000000+0x10000");
	check_seen(x, 0, &r[0]);
	assert_int_equal(seen(x, G), 0);
	assert_int_equal(seen(x, 2 * G), 0);
	sync_ok(x, r, 3, 32, 16);
}

static void
test_driver_memory(void **state)
{
	struct fixture *x = *state;
	const uint64_t top = UINT64_C(1) << 48;
	struct lm_pci_mem a, b, c;
	struct lm_pci_dma r;

	assert_int_equal(lm_pci_mem_alloc(x->pci, 5000, &a), 0);
	assert_int_equal(a.size_bytes, 2 * PAGE);
	assert_int_equal(a.iova, top - 2 * PAGE);
	assert_int_equal(*(uint64_t *)a.vaddr, 0);
	*(uint64_t *)a.vaddr = 77;
	assert_int_equal(seen(x, a.iova), 77);
	/* Below what is there, also below a VM's memory; a free place is used again. */
	r = region(x, 0, top - 6 * PAGE, 0, 4);
	sync_ok(x, &r, 1, 4, 0);
	assert_int_equal(lm_pci_mem_alloc(x->pci, PAGE, &b), 0);
	assert_int_equal(b.iova, top - 7 * PAGE);
	lm_pci_mem_free(x->pci, &a);
	assert_null(a.vaddr);
	lm_pci_mem_free(x->pci, &a);
	assert_int_equal(lm_pci_mem_alloc(x->pci, PAGE, &c), 0);
	assert_int_equal(c.iova, top - PAGE);
	/* A sync leaves driver memory alone, and cannot map over it. */
	sync_ok(x, NULL, 0, 0, 0);
	*(uint64_t *)b.vaddr = 78;
	assert_int_equal(seen(x, b.iova), 78);
	r = region(x, 0, b.iova - PAGE, 0, 4);
	sync_refused(x, &r, 1, -EEXIST, "the driver's region 0xffffffff9000+0x1000");
	assert_int_equal(lm_pci_dma_unmap(x->pci, b.iova, 2 * PAGE), -ENOENT);
	assert_int_equal(lm_pci_mem_alloc(x->pci, 0, &a), -EINVAL);
	assert_int_equal(lm_pci_mem_alloc(x->pci, UINT64_MAX, &a), -EINVAL);
	lm_pci_mem_free(x->pci, &b);
	lm_pci_mem_free(x->pci, &c);
	assert_int_equal(x->fake.nb_unmapped, 4);
}

static void
test_driver_map(void **state)
{
	struct fixture *x = *state;
	struct lm_pci_dma d = region(x, 0, G, 0, 8), r = region(x, 1, 0, 0, 8);

	assert_int_equal(lm_pci_dma_map(x->pci, &d), 0);
	assert_int_equal(lm_pci_dma_map(x->pci, &d), -EEXIST);
	sync_ok(x, &r, 1, 8, 0);
	sync_ok(x, NULL, 0, 0, 0);
	check_seen(x, 0, &d);
	assert_int_equal(lm_pci_dma_unmap(x->pci, G, 8 * PAGE), 0);
	assert_int_equal(lm_pci_dma_unmap(x->pci, G, 8 * PAGE), -ENOENT);
	assert_int_equal(seen(x, G), 0);
}

static void
test_premap_parse(void **state)
{
	static const struct {
		const char *spec;
		int ret;
		const char *path;
		uint64_t iova, size, offset;
	} cases[] = {
		{ "/dev/shm/vm", 0, "/dev/shm/vm", 0, 0, 0 },
		{ "/dev/shm/vm@0", 0, "/dev/shm/vm", 0, 0, 0 },
		{ "/dev/shm/vm@0x100000000", 0, "/dev/shm/vm", 4 * G, 0, 0 },
		{ "/dev/shm/vm@4G,1024M", 0, "/dev/shm/vm", 4 * G, G, 0 },
		{ "vm@4096,0x1000,3G", 0, "vm", 4096, 4096, 3 * G },
		{ "a@b@1", 0, "a@b", 1, 0, 0 },
		{ "vm@010", 0, "vm", 10, 0, 0 }, /* no octal */
		{ "vm@8K,1T,16K", 0, "vm", 8192, 1024 * G, 16384 },
		{ "", -EINVAL, NULL, 0, 0, 0 },
		{ "@0", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@x", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@-1", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@ 1", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@1,", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@1,,2", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@1,2,3,", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@1,2,3,4", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@1Q", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@1KK", -EINVAL, NULL, 0, 0, 0 },
		{ "vm@0xffffffffffffffff", 0, "vm", UINT64_MAX, 0, 0 },
		{ "vm@0x10000000000000000", -ERANGE, NULL, 0, 0, 0 },
		{ "vm@18014398509481984K", -ERANGE, NULL, 0, 0, 0 },
	};
	char path[PATH_MAX], small[4];
	struct lm_pci_dma dma;
	unsigned int i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ret = lm_pci_premap_parse(cases[i].spec, path, sizeof(path), &dma);
		if (ret != cases[i].ret)
			fail_msg("'%s': %d", cases[i].spec, ret);
		if (ret != 0)
			continue;
		assert_string_equal(path, cases[i].path);
		if (dma.iova != cases[i].iova || dma.size_bytes != cases[i].size ||
				dma.fd_offset != cases[i].offset)
			fail_msg("'%s': 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64, cases[i].spec,
					dma.iova, dma.size_bytes, dma.fd_offset);
	}
	assert_int_equal(lm_pci_premap_parse("abcd@1", small, sizeof(small), &dma), -ENAMETOOLONG);
}

static void
premap_refused(struct fixture *x, int err, const char *words, const char *fmt, const char *file)
{
	char spec[160];

	snprintf(spec, sizeof(spec), fmt, file);
	assert_int_equal(lm_pci_premap(x->pci, spec), err);
	if (strstr(lm_pci_strerror(x->pci), words) == NULL)
		fail_msg("'%s' does not say '%s'", lm_pci_strerror(x->pci), words);
}

/* A file mapped before the VM is announced is found again, and dropped when not wanted. */
static void
test_premap(void **state)
{
	struct fixture *x = *state;
	char file[96], spec[160];
	struct lm_pci_dma r[2];

	snprintf(file, sizeof(file), "/proc/self/fd/%d", x->files[0]);
	snprintf(spec, sizeof(spec), "%s@0,64K", file);
	assert_int_equal(lm_pci_premap(x->pci, spec), 0);
	snprintf(spec, sizeof(spec), "%s@4G,,16", file);
	assert_int_equal(lm_pci_premap(x->pci, spec), -EINVAL);
	snprintf(spec, sizeof(spec), "%s@4G,192K,64K", file);
	assert_int_equal(lm_pci_premap(x->pci, spec), 0);
	assert_int_equal(lm_pci_premap(x->pci, spec), -EEXIST);
	r[0] = region(x, 0, 0, 0, 16);
	r[1] = region(x, 0, 4 * G, 16, 48);
	sync_ok(x, r, 2, 0, 64);
	assert_int_equal(x->fake.nb_mapped, 2);
	check_seen(x, 0, &r[0]);
	check_seen(x, 0, &r[1]);
	sync_ok(x, &r[1], 1, 0, 48);
	assert_int_equal(seen(x, 0), 0);

	premap_refused(x, -ENOENT, "/nonexistent", "%s", "/nonexistent");
	premap_refused(x, -EINVAL, "not a regular file", "%s", "/dev/null");
	premap_refused(x, -EFBIG, "beyond its file", "%s@8G,260K", file);
	premap_refused(x, -EINVAL, "is beyond", "%s@8G,0,1M", file);
	premap_refused(x, -EINVAL, "not aligned", "%s@8G,100", file);
	premap_refused(x, -EINVAL, "FILE[@IOVA[,SIZE[,OFFSET]]]", "%s@8g", file);
	assert_int_equal(ftruncate(x->files[2], 0), 0);
	snprintf(file, sizeof(file), "/proc/self/fd/%d", x->files[2]);
	premap_refused(x, -EINVAL, "empty", "%s", file);
}

/*
 * Random layouts one after the other: after each sync the device sees exactly the right page at
 * every address of the layout, and nothing at addresses that no file was ever mapped around.
 */
static void
test_random_layouts(void **state)
{
	struct fixture *x = *state;
	unsigned int turn, n, i, files[8];
	struct lm_pci_dma r[8];
	uint64_t mapped, kept, at, pages;

	srandom(20);
	for (turn = 0; turn < 400; turn++) {
		n = (unsigned int)random() % 8;
		pages = 0;
		for (i = 0, at = 0; i < n; i++) {
			/* few choices, so that layouts often agree in part */
			files[i] = (unsigned int)random() % NB_FILES;
			at += 16 * PAGE * ((uint64_t)random() % 3);
			r[i] = region(x, files[i], at, 16 * ((uint64_t)random() % 4),
					8 + 8 * ((uint64_t)random() % 2));
			at += 16 * PAGE;
			pages += r[i].size_bytes / PAGE;
		}
		assert_int_equal(lm_pci_mem_sync(x->pci, r, n, &mapped, &kept), 0);
		assert_int_equal(mapped + kept, pages);
		for (i = 0; i < n; i++)
			check_seen(x, files[i], &r[i]);
		assert_int_equal(seen(x, at), 0);
		if (n == 0)
			assert_int_equal(x->fake.nb_mapped, x->fake.nb_unmapped);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unchanged_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lookalikes_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contained_in_larger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_rolls_back, setup_few_maps, teardown),
		cmocka_unit_test_setup_teardown(test_driver_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_driver_map, setup, teardown),
		cmocka_unit_test(test_premap_parse),
		cmocka_unit_test_setup_teardown(test_premap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_layouts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
