# SPDX-License-Identifier: BSD-3-Clause
"""Properties of the dirty tracker, through the shared library as it is installed.

Devices of every kind that the traits can describe write, also while they are read; memory comes
and goes; reports and sinks fail. Two sets of page numbers are the oracle: what must have reached
the sink by now, and what may have.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PAGE = 4096
BASE = 0x7_0000_0000  # IOVA of page 0
EXAMPLES = int(os.environ.get("DPDK_LM_EXAMPLES", "150"))

PROPERTY = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

u32, u64, ptr = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class Range(ctypes.Structure):
    _fields_ = [("addr", u64), ("len_bytes", u64)]


class Interval(ctypes.Structure):
    _fields_ = [("from_", u64), ("to", u64), ("len_bytes", u64)]


class Traits(ctypes.Structure):
    _fields_ = [
        ("present", ctypes.c_bool), ("whole_ranges", ctypes.c_bool),
        ("fixed_page_size", ctypes.c_bool), ("align_pages", u32), ("max_ranges", u32),
        ("ends_with_stop_copy", ctypes.c_bool),
    ]


Start = ctypes.CFUNCTYPE(ctypes.c_int, ptr, ctypes.POINTER(Range), ctypes.c_uint,
                         ctypes.POINTER(u64))
Report = ctypes.CFUNCTYPE(ctypes.c_int, ptr, u64, u64, u64, ctypes.POINTER(u64))
Stop = ctypes.CFUNCTYPE(ctypes.c_int, ptr)
Merge = ctypes.CFUNCTYPE(ctypes.c_int, ptr, ptr)
Run = ctypes.CFUNCTYPE(ctypes.c_int, ptr, u64, u64)


class SourceOps(ctypes.Structure):
    _fields_ = [("start", Start), ("report", Report), ("stop", Stop)]


class SourceConf(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("ops", ctypes.POINTER(SourceOps)), ("src", ptr),
                ("traits", Traits)]


class TrackerConf(ctypes.Structure):
    _fields_ = [("page_size_bytes", u64), ("timeline", ptr)]


class Sink(ctypes.Structure):
    _fields_ = [("merge", Merge), ("ctx", ptr)]


@pytest.fixture(scope="module")
def lib(build_dir: Path) -> ctypes.CDLL:
    """liblm_migration with the functions that are used here."""
    found = ctypes.CDLL(str(build_dir / "lib" / "migration" / "liblm_migration.so.0"))
    for name, result, args in (
        ("lm_tracker_create", ctypes.c_int, (ctypes.POINTER(TrackerConf), ctypes.POINTER(ptr))),
        ("lm_tracker_destroy", None, (ptr,)),
        ("lm_tracker_map", ctypes.c_int, (ptr, ctypes.POINTER(Interval))),
        ("lm_tracker_unmap", ctypes.c_int, (ptr, u64, u64)),
        ("lm_tracker_add_source", ctypes.c_int, (ptr, ctypes.POINTER(SourceConf))),
        ("lm_tracker_start", ctypes.c_int, (ptr,)),
        ("lm_tracker_harvest", ctypes.c_int, (ptr, ctypes.POINTER(Sink))),
        ("lm_bitmap_foreach_run", ctypes.c_int, (ptr, Run, ptr)),
    ):
        function = getattr(found, name)
        function.restype = result
        function.argtypes = args
    return found


@dataclass
class Plan:
    """What a device is like, and what it does unasked."""

    whole: bool
    page_shift: int  # of a device that knows one size only; 0: any
    align: int
    max_ranges: int
    during: list[tuple[int, int]]  # written in the middle of report N: page
    failing: set[int]  # numbers of reports that fail


@dataclass
class Device:
    """A dirty log by page of IOVA, that refuses what its traits exclude."""

    plan: Plan
    world: World
    ranges: list[tuple[int, int]] = field(default_factory=list)
    dirty: set[int] = field(default_factory=set)
    reports: int = 0
    stopped: bool = False
    wrong: str = ""

    def write(self, page: int) -> None:
        """DMA to one page; not to what is being unmapped, which is nobody's by then."""
        addr = self.world.address(page)
        if addr is not None and addr not in self.world.leaving:
            self.dirty.add(page)
            self.world.written(self, page)

    @property
    def page_bytes(self) -> int:
        """As its start returns it."""
        return 1 << (self.plan.page_shift or 12)

    def start(self, _src: int, ranges: Any, nb: int, page_size: Any) -> int:
        self.ranges = [(ranges[i].addr, ranges[i].len_bytes) for i in range(nb)]
        page_size[0] = self.page_bytes
        return 0

    def stop(self, _src: int) -> int:
        return 0

    def check(self, iova: int, length: int, page_bytes: int) -> str:
        """What is wrong with being asked this; empty when nothing is."""
        inside = [r for r in self.ranges if r[0] <= iova and iova + length <= r[0] + r[1]]
        if len(inside) != 1:
            return f"{iova:#x}+{length:#x} is in {len(inside)} ranges"
        start, size = inside[0]
        if self.plan.whole and (iova, length) != (start, size):
            return "a part of a range"
        if self.plan.page_shift and page_bytes != self.page_bytes:
            return "another page size"
        if self.plan.align > 1 and (iova - start) % (self.plan.align * page_bytes):
            return "start not aligned"
        if not self.plan.max_ranges and self.plan.align <= 1 and not self.plan.page_shift:
            pages = range((iova - BASE) // PAGE, (iova + length - BASE) // PAGE)
            if any(self.world.address(page) is None for page in pages):
                return "a hole"
        return ""

    def report(self, _src: int, iova: int, length: int, page_bytes: int, words: Any) -> int:
        """Read and clear; the device writes on while this runs."""
        self.reports += 1
        self.wrong = self.wrong or self.check(iova, length, page_bytes)
        first, end = (iova - BASE) // PAGE, (iova + length - BASE) // PAGE
        late = [page for number, page in self.plan.during
                if number == self.reports and not self.stopped]
        for page in late[::2]:
            self.write(page)
        if self.reports in self.plan.failing:
            # What was lost with it: only the tracker can make that good.
            self.dirty -= set(range(first, end))
            self.world.failed(first, end)
            return -5
        found = [page for page in self.dirty if first <= page < end]
        for page in found:
            bit = (BASE + page * PAGE - iova) // page_bytes
            words[bit // 64] |= 1 << bit % 64
            self.world.rounded(BASE + page * PAGE, iova + bit * page_bytes, page_bytes)
        self.dirty -= set(found)
        for page in late[1::2]:
            self.write(page)
        return 0


class World:
    """A tracker, its devices, memory, and what its sink should have."""

    def __init__(self, lib: ctypes.CDLL, page_shift: int, plans: list[Plan]) -> None:
        self.lib = lib
        self.page_bytes = 1 << page_shift
        self.maps: dict[int, tuple[int, int]] = {}  # first page: (address, pages)
        self.fresh: set[int] = set()
        self.must: set[int] = set()  # addresses of pages written, and not in the sink
        self.may: set[int] = set()
        self.got: set[int] = set()
        self.leaving: range = range(0)  # addresses that are being unmapped
        self.sink_error = 0
        self.started = False
        self.handle = ptr()
        conf = TrackerConf(self.page_bytes, None)
        assert lib.lm_tracker_create(ctypes.byref(conf), ctypes.byref(self.handle)) == 0
        self.devices = [Device(plan, self) for plan in plans]
        self.keep: list[Any] = [SourceOps(Start(d.start), Report(d.report), Stop(d.stop))
                                for d in self.devices]
        for i, (device, ops) in enumerate(zip(self.devices, self.keep)):
            plan = device.plan
            source = SourceConf(f"d{i}".encode(), ctypes.pointer(ops), None, Traits(
                True, plan.whole, bool(plan.page_shift), plan.align, plan.max_ranges, False))
            assert lib.lm_tracker_add_source(self.handle, ctypes.byref(source)) == 0
        self.run = Run(self.take_run)
        self.sink = Sink(Merge(self.merge), None)

    def address(self, page: int) -> int | None:
        """Of a mapped page."""
        for first, (to, pages) in self.maps.items():
            if first <= page < first + pages:
                return to + (page - first) * PAGE
        return None

    def rounding(self, addr: int) -> set[int]:
        """The tracker's page of an address, cut to nothing: it is the sink's unit."""
        start = addr & ~(self.page_bytes - 1)
        return set(range(start, start + self.page_bytes, PAGE))

    def written(self, _device: Device, page: int) -> None:
        """A page that must reach the sink, if tracking runs."""
        addr = self.address(page)
        if self.started and addr is not None:
            self.must.add(addr)
            self.may |= self.rounding(addr)

    def rounded(self, _page_iova: int, iova: int, length: int) -> None:
        """All that one bit of a report stands for."""
        for page in range((iova - BASE) // PAGE, (iova + length - BASE) // PAGE):
            addr = self.address(page)
            if addr is not None:
                self.may |= self.rounding(addr)

    def failed(self, first: int, end: int) -> None:
        """Nobody knows: all of it must come."""
        for page in range(first, end):
            addr = self.address(page)
            if addr is not None:
                self.must.add(addr)
                self.may |= self.rounding(addr)

    def map(self, first: int, pages: int, to_page: int) -> int:
        unit = self.page_bytes // PAGE
        to = (to_page * unit) * PAGE
        interval = Interval(BASE + first * PAGE, to, pages * PAGE)
        ret: int = self.lib.lm_tracker_map(self.handle, ctypes.byref(interval))
        if ret == 0:
            self.maps[first] = (to, pages)
            if self.started:
                self.fresh.add(first)
        return ret

    def unmap(self, first: int) -> None:
        if first in self.fresh:
            self.whole(first)
        to, pages = self.maps[first]
        self.leaving = range(to, to + pages * PAGE, PAGE)
        assert self.lib.lm_tracker_unmap(self.handle, BASE + first * PAGE, pages * PAGE) == 0
        self.leaving = range(0)
        del self.maps[first]
        self.fresh.discard(first)

    def whole(self, first: int) -> None:
        to, pages = self.maps[first]
        addresses = set(range(to, to + pages * PAGE, PAGE))
        self.must |= addresses
        self.may |= addresses

    def take_run(self, _ctx: int, addr: int, length: int) -> int:
        self.got |= set(range(addr, addr + length, PAGE))
        return 0

    def merge(self, _ctx: int, bitmap: int) -> int:
        if self.sink_error > 0:
            self.sink_error -= 1
            if self.sink_error == 0:
                return -11
        ret: int = self.lib.lm_bitmap_foreach_run(bitmap, self.run, None)
        return ret

    def harvest(self, sink_error: int) -> None:
        """Everything written before is in the sink after; no more than may be."""
        for first in self.fresh:
            self.whole(first)
        before = set(self.must)
        self.sink_error = sink_error
        ret = self.lib.lm_tracker_harvest(self.handle, ctypes.byref(self.sink))
        assert [d.wrong for d in self.devices if d.wrong] == []
        assert self.got <= self.may, f"in vain: {sorted(map(hex, self.got - self.may))[:4]}"
        if ret == 0:
            assert before <= self.got, f"lost: {sorted(map(hex, before - self.got))[:4]}"
            # What was written meanwhile is here or in the next one.
            self.must = {a for a in self.must - before if a not in self.got or self.is_dirty(a)}
            self.may = set().union(*(self.rounding(a) for a in self.must)) if self.must else set()
            self.got = set()
        else:
            assert sink_error > 0
            # What a sink took before it failed is with it, the rest must come again.
            self.must = {a for a in self.must if a not in self.got or self.is_dirty(a)}
            self.got = set()

    def is_dirty(self, addr: int) -> bool:
        """Does a device still have it?"""
        return any(self.address(page) == addr for d in self.devices for page in d.dirty)


PAGES = 640  # of IOVA in play


def near_words(limit: int) -> st.SearchStrategy[int]:
    """Numbers up to limit, often next to a multiple of 64."""

    def edge(n: int, delta: int) -> int:
        return min(max(64 * n + delta, 0), limit)

    edges = st.builds(edge, st.integers(0, limit // 64), st.integers(-1, 1))
    return st.one_of(edges, st.integers(0, limit))


plans = st.builds(
    Plan,
    whole=st.booleans(),
    page_shift=st.sampled_from([0, 0, 12, 13, 16]),
    align=st.sampled_from([0, 1, 2, 48, 64]),
    max_ranges=st.sampled_from([0, 0, 1, 2]),
    during=st.lists(st.tuples(st.integers(1, 6), near_words(PAGES)), max_size=6),
    failing=st.sets(st.integers(1, 12), max_size=1),
)
mappings = st.lists(
    st.tuples(st.integers(0, 127), near_words(260).filter(bool), st.integers(0, 127)),
    min_size=1, max_size=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), near_words(PAGES), st.integers(-1, 1),
                  near_words(70)),
        st.tuples(st.just("harvest"), st.sampled_from([0, 0, 0, 1, 2])),
        st.tuples(st.just("unmap"), st.integers(0, 5)),
        st.tuples(st.just("map"), near_words(PAGES), near_words(100).filter(bool)),
    ),
    min_size=1, max_size=14)


def play(world: World, step: tuple[Any, ...], next_to: Callable[[], int]) -> None:
    """One step of an example."""
    unit = world.page_bytes // PAGE
    if step[0] == "write":
        device = world.devices[step[1] % len(world.devices)]
        begin = max(step[2] * PAGE + step[3], 0)
        length = max(step[4] * PAGE + step[3], 1)  # a byte more or less than pages
        for page in range(begin // PAGE, (begin + length - 1) // PAGE + 1):
            device.write(page)
    elif step[0] == "harvest":
        world.harvest(step[1])
    elif step[0] == "unmap" and world.maps:
        world.unmap(sorted(world.maps)[step[1] % len(world.maps)])
    elif step[0] == "map":
        world.map(step[1] // unit * unit, step[2] * unit, next_to())


@pytest.mark.deadline(900)
@PROPERTY
@given(page_shift=st.sampled_from([12, 12, 12, 13]),
       devices=st.lists(plans, min_size=1, max_size=3), memory=mappings, todo=steps)
def test_tracker(lib: ctypes.CDLL, page_shift: int, devices: list[Plan],
                 memory: list[tuple[int, int, int]], todo: list[tuple[Any, ...]]) -> None:
    """Steps: writes of any start and length, maps, unmaps, failures and harvests in any order.

    Verify: no written page is missed, what is written during a report comes in this or the next
    harvest, no page comes in vain beyond rounding, and no device is asked what it cannot answer.
    """
    world = World(lib, page_shift, devices)
    unit = world.page_bytes // PAGE
    place = [0]

    def next_to() -> int:
        """Addresses that no other mapping has, of every alignment."""
        place[0] += 400 + place[0] % 63
        return place[0]

    try:
        at = 0
        for gap, pages, start in memory:
            at += gap // 2 * unit
            place[0] += 400
            assert world.map(at, pages * unit, place[0] + start) == 0
            at += pages * unit
        assert lib.lm_tracker_start(world.handle) == 0
        world.started = True
        for step in todo:
            play(world, step, next_to)
        # Devices have stopped; after the last word of each nothing is left over.
        for device in world.devices:
            device.stopped = True
        world.harvest(0)
        assert world.must == set()
    finally:
        lib.lm_tracker_destroy(world.handle)
