# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver leaves rings on which the function has completed out of order."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable

import pytest

import vhost_frontend as vf
from vdpa_bench import DEVICE, Bench, Pump, Traffic, attach, frame, lost_pages, relayed

NO_SUSPEND = ("--features", f"{~(1 << 43) & (1 << 64) - 1:x}")
DISORDER = ("--fault", "disorder=12")


def events(b: Bench, phase: str) -> list[str]:
    return [e["event"] for e in b.telemetry.timeline(DEVICE) if e["phase"] == phase]


def lost(b: Bench) -> int:
    """Frames that may be missing: dropped by the model, or in buffers that went back unused."""
    s = b.stats()
    return int(sum(b.control.stats()["drops"].values()) + s["tx_dropped_at_quiesce"] +
               s["rx_returned_at_quiesce"])


def settle(t: Traffic, b: Bench, base: int) -> None:
    """All frames that are not accounted for have come back, once."""
    deadline = time.monotonic() + 10
    while t.sent - len(t.received) > lost(b) - base:
        assert time.monotonic() < deadline, (t.sent, len(t.received), lost(b) - base, b.stats())
        t.poll()
        t.vm.reap_tx()
    assert len(set(t.received)) == len(t.received), "a frame came twice"


@pytest.mark.parametrize("seed", range(6))
def test_first_lap(bench: Callable[..., Bench], seed: int) -> None:
    """
    Property: whatever the function does on a ring's first lap, the rings tell it. Logging starts,
    or the VM stops and starts again, at any time; every buffer comes back once. The function is
    then known to be out of order, and is not given a ring of the guest's again.
    """
    rng = random.Random(seed)
    b = bench(model=(*DISORDER, *NO_SUSPEND))
    turn = holes = 0
    while turn < 3 or holes == 0:  # which not every stop meets
        assert turn < 40, "no ring had a hole"
        base = lost(b)
        vm = vf.Frontend(str(b.vhost), size=256, event_idx=rng.random() < 0.5)
        vm.connect()
        for i in range(64):  # so that the available ring, too, stays on its first lap
            gpa = vm.memory.alloc(vm.buffer_bytes, high=bool(i & 1))
            vm.rings[0].post(gpa, vm.buffer_bytes, True, gpa)
        vm.start()
        assert b.modes() == (relayed(permanent=True) if turn else ["direct"] * 2)
        t = Traffic(vm, window=rng.randrange(4, 32))
        for _ in range(rng.randrange(50, 100)):
            vm.send(frame(t.sent))
            t.sent += 1
            if rng.random() < 0.6:
                t.poll()
        if rng.random() < 0.5:
            vm.lm_begin()
            assert b.modes() in (relayed(), relayed(permanent=True))
        else:
            assert vm.stop() == [r.base() for r in vm.rings]
            vm.start()
        for _ in range(100):
            vm.send(frame(t.sent))
            t.sent += 1
            t.poll()
        settle(t, b, base)
        assert vm.stop() == [r.base() for r in vm.rings]
        vm.destroy()
        assert b.info()["order"] == "out of order"
        holes = b.stats()["q0_holes"] + b.stats()["q1_holes"]
        turn += 1
    assert b.stats()["untold_chains"] == 0
    b.check()
    b.end()


@pytest.mark.parametrize("seed", range(4))
def test_suspend(bench: Callable[..., Bench], seed: int) -> None:
    """
    Property: a function with SUSPEND finishes what it has taken, so that nothing is completed
    unused, however long it has been out of order.
    """
    rng = random.Random(seed)
    b = bench(model=DISORDER)
    for _ in range(3):
        base = lost(b)
        vm = attach(b, size=64)
        t = Traffic(vm)
        with Pump(t):
            time.sleep(0.05 + rng.random() * 0.2)
            before = vm.memory.snapshot()
            vm.memory.cpu_pages.clear()
            vm.lm_begin()
            time.sleep(0.05)
        assert b.modes() == relayed()
        assert "suspend" in events(b, "log-on")
        settle(t, b, base)
        assert t.sent > 70, "still the first lap"
        assert vm.stop() == [r.base() for r in vm.rings]
        assert not lost_pages(vm, before)
        vm.destroy()
    stats = b.stats()
    assert stats["untold_chains"] == 0 and stats["q0_holes"] == stats["q1_holes"] == 0
    b.check()
    b.end()


def test_always_relayed(bench: Callable[..., Bench]) -> None:
    """relay=1: never direct, so that nothing is ever unknown."""
    b = bench(devargs="relay=1", model=(*DISORDER, *NO_SUSPEND))
    vm = attach(b)
    assert b.modes() == relayed(permanent=True)
    t = Traffic(vm)
    t.run(500)
    vm.lm_begin()
    t.run(500)
    assert vm.stop() == [r.base() for r in vm.rings]
    t.check_complete()
    assert b.stats()["untold_chains"] == 0
    b.check()
    vm.destroy()
    b.end()


def test_not_told(bench: Callable[..., Bench]) -> None:
    """
    A ring that does not tell what is out (here: the guest has overwritten an old entry).

    Verify: it is said and counted, the queue goes on at its used index, and this function is not
    given a ring of the guest's again.
    """
    b = bench(model=NO_SUSPEND)
    vm = attach(b, size=16)
    t = Traffic(vm, window=4)
    t.run(40)
    ring = vm.rings[1]
    vm.memory.write(ring.avail + 4 + 2 * ((ring.avail_idx - 5) % 16), struct.pack("<H", 0xFFFF))
    vm.lm_begin()
    b.backend.wait_line("queue 1: 0 chains are out, and the ring does not tell which", 5)
    assert b.stats()["q1_errors"] == 1
    t.run(40)
    t.check_complete()
    vm.stop()
    vm.destroy()
    vm = attach(b, size=16)
    assert b.modes() == relayed(permanent=True)
    vm.stop()
    vm.destroy()
    b.check()
    b.end()
