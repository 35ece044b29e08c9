# SPDX-License-Identifier: BSD-3-Clause
"""Properties of dirty bitmaps and of their merge, through the shared library as it is installed.

The oracle is a set of page numbers: a bit that is lost, or set without a reason, fails.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PAGE_SHIFT = 12
MAX_PAGES = 700
TOP = (1 << 64) - 1

PROPERTY = settings(max_examples=300, deadline=None, derandomize=True, database=None)


class LogStats(ctypes.Structure):
    _fields_ = [
        ("pages_out_of_range", ctypes.c_uint64),
        ("kept_pages", ctypes.c_uint64),
        ("epochs", ctypes.c_uint64),
        ("merges", ctypes.c_uint64),
    ]


class Library:
    """liblm_migration, typed."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        u64, ptr, uint = ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint
        for name, result, args in (
            ("lm_bitmap_create", ctypes.c_int, (u64, u64, uint, ctypes.POINTER(ptr))),
            ("lm_bitmap_destroy", None, (ptr,)),
            ("lm_bitmap_mark", None, (ptr, u64, u64)),
            ("lm_bitmap_test", ctypes.c_bool, (ptr, u64)),
            ("lm_bitmap_count", u64, (ptr,)),
            ("lm_bitmap_outside", u64, (ptr,)),
            ("lm_bitmap_or_raw", None, (ptr, u64, ctypes.POINTER(u64), u64, uint)),
            ("lm_vhost_log_create", ctypes.c_int, (u64, ctypes.POINTER(ptr))),
            ("lm_vhost_log_destroy", None, (ptr,)),
            ("lm_vhost_log_attach", ctypes.c_int, (ptr, ptr, u64)),
            ("lm_vhost_log_merge", ctypes.c_int, (ptr, ptr)),
            ("lm_vhost_log_stats_get", None, (ptr, ctypes.POINTER(LogStats))),
        ):
            function = getattr(self.c, name)
            function.restype = result
            function.argtypes = args

    @contextmanager
    def bitmap(self, base: int, size: int, shift: int) -> Iterator[ctypes.c_void_p]:
        bm = ctypes.c_void_p()
        assert self.c.lm_bitmap_create(base, size, shift, ctypes.byref(bm)) == 0
        try:
            yield bm
        finally:
            self.c.lm_bitmap_destroy(bm)

    @contextmanager
    def log(self, max_gpa: int) -> Iterator[ctypes.c_void_p]:
        log = ctypes.c_void_p()
        assert self.c.lm_vhost_log_create(max_gpa, ctypes.byref(log)) == 0
        try:
            yield log
        finally:
            self.c.lm_vhost_log_destroy(log)

    def pages(self, bm: ctypes.c_void_p, base: int, nb_pages: int, shift: int) -> set[int]:
        """Indices of the dirty pages."""
        test = self.c.lm_bitmap_test
        found = {i for i in range(nb_pages) if test(bm, base + (i << shift))}
        assert self.c.lm_bitmap_count(bm) == len(found)
        return found

    def stats(self, log: ctypes.c_void_p) -> LogStats:
        stats = LogStats()
        self.c.lm_vhost_log_stats_get(log, ctypes.byref(stats))
        return stats


@pytest.fixture(scope="module")
def lib(build_dir: Path) -> Library:
    return Library(build_dir / "lib" / "migration" / "liblm_migration.so.0")


def pack(bits: set[int], nb_bits: int, rest: bool) -> ctypes.Array[ctypes.c_uint64]:
    """Words of a report; with rest, what is beyond its last bit is garbage."""
    nb_words = (nb_bits + 63) // 64
    value = sum(1 << bit for bit in bits)
    if rest:
        value |= ((1 << nb_words * 64) - 1) & ~((1 << nb_bits) - 1)
    return (ctypes.c_uint64 * nb_words)(*((value >> 64 * i) & TOP for i in range(nb_words)))


def near_edges(limit: int) -> st.SearchStrategy[int]:
    """Numbers up to limit, often next to a multiple of the word or of the page."""
    edge = st.builds(
        lambda unit, n, delta: min(max(unit * n + delta, 0), limit),
        st.sampled_from([64, 4096, 64 * 4096, 64 * 64 * 4096]),
        st.integers(0, 40),
        st.integers(-1, 1),
    )
    return st.one_of(edge, st.integers(0, limit))


def page_set(nb_pages: int) -> st.SearchStrategy[set[int]]:
    runs = st.lists(
        st.tuples(st.integers(0, nb_pages - 1), st.sampled_from([1, 1, 2, 63, 64, 65, 130])),
        max_size=12,
    )
    return runs.map(
        lambda found: {i for first, n in found for i in range(first, min(first + n, nb_pages))}
    )


@PROPERTY
@given(
    base_page=st.integers(0, 300),
    nb_pages=st.integers(1, MAX_PAGES),
    shift=st.sampled_from([12, 13, 16, 21]),
    marks=st.lists(
        st.tuples(near_edges(1 << 33), st.one_of(near_edges(1 << 33), st.just(TOP))), max_size=6
    ),
)
def test_mark(
    lib: Library, base_page: int, nb_pages: int, shift: int, marks: list[tuple[int, int]]
) -> None:
    """Steps: mark ranges anywhere. Verify: exactly the pages that a range touches are dirty."""
    base = base_page << shift
    want: set[int] = set()
    outside = 0
    with lib.bitmap(base, nb_pages << shift, shift) as bm:
        for addr, length in marks:
            lib.c.lm_bitmap_mark(bm, addr, length)
            if length == 0:
                continue
            first, last = addr >> shift, (addr + length - 1) >> shift
            low, high = max(first, base_page), min(last, base_page + nb_pages - 1)
            want |= {page - base_page for page in range(low, high + 1)}
            outside += last - first + 1 - max(0, high - low + 1)
        assert lib.pages(bm, base, nb_pages, shift) == want
        assert lib.c.lm_bitmap_outside(bm) == outside


@PROPERTY
@given(
    shifts=st.tuples(st.sampled_from([12, 13, 16]), st.sampled_from([12, 13, 14, 16, 18])),
    base_page=st.integers(0, 130),
    nb_pages=st.integers(1, 260),
    start=st.integers(-150, 300),
    report=st.integers(1, 260).flatmap(lambda n: st.tuples(st.just(n), page_set(n))),
    before=page_set(260),
    rest=st.booleans(),
)
def test_or_raw(
    lib: Library,
    shifts: tuple[int, int],
    base_page: int,
    nb_pages: int,
    start: int,
    report: tuple[int, set[int]],
    before: set[int],
    rest: bool,
) -> None:
    """Steps: OR a device's report of any page size, start and length into a bitmap.

    Verify: what was dirty stays, each reported page is dirty, the rest is not: over-reporting is
    the rounding to the bitmap's own pages and no more.
    """
    shift, report_shift = shifts
    base = base_page << shift
    start_page = max(0, (base >> report_shift) + start)
    nb_report, bits = report
    want = {i for i in before if i < nb_pages}
    for bit in bits:
        first = (start_page + bit) << report_shift
        last = first + (1 << report_shift) - 1
        low = max(first >> shift, base_page)
        high = min(last >> shift, base_page + nb_pages - 1)
        want |= {page - base_page for page in range(low, high + 1)}
    with lib.bitmap(base, nb_pages << shift, shift) as bm:
        for i in before:
            lib.c.lm_bitmap_mark(bm, base + (i << shift), 1)
        words = pack(bits, nb_report, rest)
        lib.c.lm_bitmap_or_raw(bm, start_page << report_shift, words, nb_report, report_shift)
        assert lib.pages(bm, base, nb_pages, shift) == want


@PROPERTY
@given(
    shift=st.sampled_from([12, 13, 15, 18, 21]),
    base_page=st.integers(0, 200),
    nb_pages=st.integers(1, 200),
    dirty=page_set(200),
    log_words=st.integers(1, 16),
    before=page_set(16 * 64),
    detached=st.booleans(),
)
def test_merge(
    lib: Library,
    shift: int,
    base_page: int,
    nb_pages: int,
    dirty: set[int],
    log_words: int,
    before: set[int],
    detached: bool,
) -> None:
    """Steps: merge a bitmap of any alignment and page size into a log, attached before or after.

    Verify: the log has its old bits and the merged ones, nothing beyond its end is written, and
    what did not fit is counted (attached) or kept (detached).
    """
    base = base_page << shift
    dirty = {i for i in dirty if i < nb_pages}
    per_page = 1 << (shift - PAGE_SHIFT)
    logged = {(base_page + i) * per_page + k for i in dirty for k in range(per_page)}
    in_log = {page for page in logged if page < log_words * 64}
    before = {page for page in before if page < log_words * 64}
    canary = 0x0123456789ABCDEF
    memory = pack(before, log_words * 64 + 64, False)
    memory[log_words] = canary
    max_gpa = ((base_page + nb_pages) << shift) - 1
    with lib.bitmap(base, nb_pages << shift, shift) as bm, lib.log(max_gpa) as log:
        for i in dirty:
            lib.c.lm_bitmap_mark(bm, base + (i << shift), 1)
        if detached:
            assert lib.c.lm_vhost_log_merge(log, bm) == 0
            assert lib.stats(log).kept_pages == len(logged)
        assert lib.c.lm_vhost_log_attach(log, ctypes.addressof(memory), log_words * 8) == 0
        if not detached:
            assert lib.c.lm_vhost_log_merge(log, bm) == 0
            assert lib.stats(log).pages_out_of_range == len(logged) - len(in_log)
        assert lib.stats(log).kept_pages == len(logged) - len(in_log)
        found = {i for i in range(log_words * 64) if memory[i // 64] >> (i % 64) & 1}
        assert found == before | in_log
        assert memory[log_words] == canary
