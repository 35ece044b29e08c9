# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver: where guest memory and the driver's own may lie."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

import vhost_frontend as vf
from vdpa_bench import FORMATS, Bench, Traffic, relayed

GIB = 1 << 30
TOP_39 = 1 << 39
MODEL_39 = ("--iova-bits", "39")


def guest(b: Bench, regions: list[tuple[int, int]], packed: bool = False, pages_at_top: int = 1024
          ) -> vf.Frontend:
    """A VM with these regions (address, bytes) in a sparse file; buffers are at their top."""
    memory = vf.Memory(*(size for _, size in regions))
    at = 0
    memory.regions = []
    for i, (gpa, size) in enumerate(regions):
        memory.regions.append((gpa, size, at))
        memory._next[i] = gpa + size - pages_at_top * vf.PAGE
        at += size
    return vf.Frontend(str(b.vhost), memory=memory, packed=packed, size=64)


def start(vm: vf.Frontend) -> None:
    vm.connect()
    vm.fill_rx()
    vm.start()


@FORMATS
def test_six_gigabytes(bench: Callable[..., Bench], packed: bool) -> None:
    """
    A guest of 6 GiB in two regions around the hole of PCs, none of it used but a few pages.

    Verify: traffic from the top of both regions, and its pages in the log, to the last one.
    """
    b = bench()
    vm = guest(b, [(0, 3 * GIB), (4 * GIB, 3 * GIB)], packed)
    start(vm)
    t = Traffic(vm)
    t.run(100)
    vm.lm_begin()
    assert b.modes() == relayed(permanent=packed)
    t.run(200)
    written = {int(str(gpa)) // vf.PAGE for gpa in vm.rings[0].cookies.values()}
    assert max(written) > 6 * GIB // vf.PAGE and min(written) < 4 * GIB // vf.PAGE
    vm.stop()
    vm.harvest()
    assert written <= vm.dirty and max(vm.dirty) < 7 * GIB // vf.PAGE
    assert len(vm.dirty) < 1000, "everything is dirty"
    t.check_complete()
    assert os.fstat(vm.memory.fd).st_blocks * 512 < 32 << 20
    b.check()
    vm.destroy()
    b.end()


def test_39_bits(bench: Callable[..., Bench]) -> None:
    """An aperture of 39 bits: the driver's memory is at its top, the guest's may be right below."""
    b = bench(model=MODEL_39)
    vm = guest(b, [(0, 64 << 20), (TOP_39 - (64 << 20), 48 << 20)])
    start(vm)
    t = Traffic(vm)
    t.run(100)
    vm.lm_begin()
    t.run(100)
    assert b.modes() == relayed()
    vm.stop()
    vm.harvest()
    assert max(vm.dirty) >= (TOP_39 - (64 << 20)) // vf.PAGE
    t.check_complete()
    b.check()
    vm.destroy()
    b.end()


@pytest.mark.parametrize(("high", "why"), [
    (TOP_39, "is outside what the device can reach, 0x0 to 0x7fffffffff"),
    (TOP_39 - (4 << 20), "is outside what the device can reach"),
    (TOP_39 - (8 << 20), "overlaps"),
], ids=["beyond", "across", "on the driver's"])
def test_refused(bench: Callable[..., Bench], high: int, why: str) -> None:
    """
    Memory that the function cannot have.

    Verify: it is said which and why; the next guest is served.
    """
    b = bench(model=MODEL_39)
    vm = guest(b, [(0, 64 << 20), (high, 8 << 20)])
    start(vm)
    b.backend.wait_line(why, 5)
    b.backend.wait_line("cannot map the guest's memory", 5)
    assert b.modes() == ["off", "off"]
    vm.destroy()
    vm = guest(b, [(0, 64 << 20), (4 * GIB, 8 << 20)])
    start(vm)
    t = Traffic(vm)
    t.run(50)
    t.check_complete()
    vm.stop()
    vm.destroy()
    b.check()
    b.end()


def test_too_small(launch: Callable[..., object], bench: Callable[..., Bench]) -> None:
    """A function that reaches so little that the driver's own rings have no room is not taken."""
    b = bench(model=("--iova-bits", "20"))
    vm = vf.Frontend(str(b.vhost))
    start(vm)
    b.backend.wait_line("is outside what the device can reach, 0x0 to 0xfffff", 5)
    vm.destroy()
    b.check()
    b.end()
