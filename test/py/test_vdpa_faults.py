# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver on functions that are slow, stuck, or write more than they say."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from vdpa_bench import DEVICE, FORMATS, Bench, Traffic, attach, everything, lost_pages, relayed


@pytest.mark.parametrize(("fault", "log"), [("early-write=32", "used"), ("overrun", "full")])
@FORMATS
def test_device_writes_more_than_it_says(bench: Callable[..., Bench], fault: str, log: str,
                                         packed: bool) -> None:
    """
    What VIRTIO 1.3, 2.7.8.2 allows: bytes behind used.len, and writes to buffers never used.

    Verify: with log=full all of them, and in any case those of buffers that were outstanding at
    the stop, are in the log.
    """
    b = bench(devargs=f"log={log}", model=("--fault", fault))
    vm = attach(b, packed=packed, buffer_bytes=6000)
    t = Traffic(vm)
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.lm_begin()
    t.run(200)
    vm.stop()
    t.check_complete()
    assert not lost_pages(vm, before)
    b.check()
    vm.destroy()
    b.end()


def test_slow_ring_reset(bench: Callable[..., Bench]) -> None:
    """A function that takes its time, within the budget: measured, nothing else happens."""
    b = bench(devargs="stop_budget_ms=2000", model=("--fault", "slow-ring-reset=40000"))
    vm = attach(b)
    t = Traffic(vm)
    t.run(50)
    vm.lm_begin()
    t.run(50)
    vm.stop()
    stats = b.stats()
    assert stats["log_on_us"] >= 80000 and stats["stop_us"] >= 80000
    assert stats["budget_overruns"] == 0 and stats["all_dirty"] == 0
    t.check_complete()
    b.check()
    vm.destroy()
    b.end()


def test_stuck_ring_reset(bench: Callable[..., Bench]) -> None:
    """
    A ring reset that never ends: the next rung is taken, the overrun is named, and all memory
    is dirty, when logging starts and when the VM stops.
    """
    b = bench(devargs="stop_budget_ms=100", model=("--fault", "stuck-ring-reset"))
    vm = attach(b)
    t = Traffic(vm)
    t.run(50)
    vm.lm_begin()
    assert b.modes() == relayed(permanent=True)
    vm.harvest()
    assert everything(vm) <= vm.dirty
    t.run(50)
    vm.set_log(0x21000)  # all clean again
    vm.dirty.clear()
    begin = time.monotonic()
    vm.stop()
    assert time.monotonic() - begin < 3
    vm.harvest()
    assert everything(vm) <= vm.dirty
    assert b.stats()["budget_overruns"] == 2
    assert any("stop took" in line for line in b.backend.lines())
    b.check()
    vm.destroy()
    b.end()


SLOW = ("--fault", "slow-reset=400000", "--fault", "no-ring-reset")


def test_slow_reset(bench: Callable[..., Bench]) -> None:
    """
    A device reset that takes longer than the budget, when logging starts and at the stop: the
    function is reset instead, all memory is dirty each time, the phase is named; the VM goes on.
    """
    b = bench(devargs="stop_budget_ms=100", model=SLOW)
    vm = attach(b)
    t = Traffic(vm)
    t.run(50)
    begin = time.monotonic()
    vm.lm_begin()
    assert time.monotonic() - begin < 1
    assert b.modes() == relayed(permanent=True)
    vm.harvest()
    assert everything(vm) <= vm.dirty
    t.run(50)
    vm.set_log(0x21000)
    vm.dirty.clear()
    vm.stop()
    vm.harvest()
    assert everything(vm) <= vm.dirty
    assert b.stats()["budget_overruns"] == 2 and b.stats()["all_dirty"] == 2
    events = [(e["phase"], e["event"]) for e in b.telemetry.timeline(DEVICE)]
    assert ("log-on", "function reset") in events and ("stop", "function reset") in events
    t.check_complete()
    b.check()
    vm.destroy()
    b.end()


def test_late_switch(bench: Callable[..., Bench]) -> None:
    """
    Nothing stops the function within the budget when logging starts: the event thread is given
    back, a thread of the driver's finishes the switch, and then all memory is dirty once.
    """
    b = bench(devargs="stop_budget_ms=60", model=(*SLOW, "--fault", "no-function-reset"))
    vm = attach(b)
    t = Traffic(vm)
    t.run(50)
    begin = time.monotonic()
    vm.lm_begin()
    assert time.monotonic() - begin < 0.35, "the event thread waited for the reset"
    deadline = time.monotonic() + 5
    while b.modes() != relayed(permanent=True):
        assert time.monotonic() < deadline, b.modes()
    vm.harvest()
    assert everything(vm) <= vm.dirty
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.set_log(0x21000)
    vm.dirty.clear()
    t.run(100)
    t.check_complete()
    vm.harvest()
    assert not everything(vm) <= vm.dirty
    assert not lost_pages(vm, before)
    vm.destroy()
    b.check()


def test_stop_before_the_late_switch(bench: Callable[..., Bench]) -> None:
    """The VM stops while that thread still tries: bases, and all memory dirty."""
    b = bench(devargs="stop_budget_ms=60", model=(*SLOW, "--fault", "no-function-reset"))
    vm = attach(b)
    t = Traffic(vm)
    t.run(50)
    vm.lm_begin()
    begin = time.monotonic()
    bases = vm.stop()
    assert time.monotonic() - begin < 1
    assert bases == [r.base() for r in vm.rings]
    vm.harvest()
    assert everything(vm) <= vm.dirty
    vm.destroy()
    b.check()
