# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver: relayed queues go back to direct where their index passes 65536."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from vdpa_bench import Bench, Pump, Traffic, attach, frame, lost_pages, relayed


def at_direct(b: Bench, queues: int = 2, timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while b.modes(queues) != ["direct"] * queues:
        assert time.monotonic() < deadline, (b.modes(queues), b.stats())


@pytest.mark.parametrize("event_idx", [False, True])
def test_direct_again_at_the_wrap(bench: Callable[..., Bench], event_idx: bool) -> None:
    """
    A guest that arrived with its indices short of 65536, under traffic.

    Verify: relayed first, and it says for how long; then direct; nothing lost but what is counted,
    nothing doubled or reordered; logging can be switched on again, and the wrap is passed then.
    """
    b = bench()
    vm = attach(b, event_idx=event_idx, start=65300)
    assert b.modes() == relayed()
    stats = b.stats()
    assert 0 < stats["q1_to_wrap"] <= 236 and 0 <= stats["q0_to_wrap"] <= 236
    t = Traffic(vm)
    with Pump(t):
        at_direct(b)
    t.poll()
    t.check_order()
    deadline = time.monotonic() + 5
    while (stats := b.stats())["wraps"] != 2:
        assert time.monotonic() < deadline, stats
    drops = sum(b.control.stats()["drops"].values())
    assert t.sent - len(t.received) <= drops + stats["tx_dropped_at_quiesce"] + t.window
    assert stats["wrap_us"] < 1_000_000
    assert stats["q0_to_wrap"] == stats["q1_to_wrap"] == 0
    before = vm.memory.snapshot()
    vm.memory.cpu_pages.clear()
    vm.lm_begin()
    assert b.modes() == relayed()
    with Pump(t):
        time.sleep(0.1)
    bases = vm.stop()
    assert bases == [r.base() for r in vm.rings]
    assert not lost_pages(vm, before)
    t.poll()
    t.check_order()
    b.check()
    vm.destroy()
    b.end()


def test_given_up_at_the_wrap(bench: Callable[..., Bench]) -> None:
    """
    No traffic: the function's last receive buffers before the wrap go back empty after a while,
    and then it works on the guest's ring. It is kicked, and the guest called, without being asked.
    """
    b = bench()
    vm = attach(b, start=65530, size=16)
    deadline = time.monotonic() + 5
    while b.modes() != ["direct", "relay"]:
        assert time.monotonic() < deadline, b.modes()
    assert vm.wait([vm.rings[0]], 5)
    assert [size for _, size in vm.rings[0].poll()] == [0] * 6
    while (stats := b.stats())["wraps"] != 1:
        assert time.monotonic() < deadline, stats
    assert stats["rx_returned_at_quiesce"] == 6 and stats["q0_holes"] == 6
    assert 200_000 <= stats["wrap_us"] < 1_000_000
    # Its reset made the function count anew.
    while b.control.stats()["queues"][0]["kicks"] != 1:
        assert time.monotonic() < deadline, "the function was not kicked"
    t = Traffic(vm, window=4)
    t.run(20)
    t.check_complete()
    at_direct(b)
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


@pytest.mark.parametrize("seed", range(12))
def test_wrap_from_anywhere(bench: Callable[..., Bench], seed: int) -> None:
    """
    Property: from every base short of 65536, with any number of outstanding buffers, with and
    without EVENT_IDX, with masked interrupts, with kicks that get lost, both queues become direct,
    and every frame comes back or is counted.
    """
    rng = random.Random(seed)
    b = bench()
    for _ in range(4):
        start = rng.randrange(65500, 65536)
        vm = attach(b, event_idx=rng.random() < 0.5, start=start, size=rng.choice([16, 64, 256]))
        t = Traffic(vm, window=rng.randrange(1, 12))
        dropped = sum(b.control.stats()["drops"].values())
        end = time.monotonic() + 10
        while t.sent < 65540 - start:
            assert time.monotonic() < end, "traffic stalls"
            what = rng.random()
            if what < 0.1:
                vm.send(frame(t.sent), notify=False)  # the kick gets lost
                t.sent += 1
            elif what < 0.2:
                vm.new_call(rng.randrange(2))
            elif t.sent - len(t.received) < 10:
                vm.send(frame(t.sent))
                t.sent += 1
            elif time.monotonic() > end - 9:
                break  # some fell into a switch
            if rng.random() < 0.4:
                t.poll()
        while t.sent < 65540 - start:
            vm.send(frame(t.sent))
            t.sent += 1
        vm.rings[1].notify()
        at_direct(b)
        vm.rings[1].notify()
        deadline = time.monotonic() + 5
        while t.sent - len(t.received) > sum(b.control.stats()["drops"].values()) - dropped:
            assert time.monotonic() < deadline, (seed, start, t.sent, len(t.received), b.stats())
            t.poll()
        t.check_order()
        assert all(r.base() < 65400 for r in vm.rings)
        vm.stop()
        b.check()
        vm.destroy()
    b.end()


def test_idle_queue_stays_relayed(bench: Callable[..., Bench]) -> None:
    """A guest that does nothing costs nothing, stays relayed, and says how far the wrap is."""
    b = bench()
    vm = attach(b, start=1000)
    deadline = time.monotonic() + 5
    while b.stats()["sleeps"] == 0:
        assert time.monotonic() < deadline, "the relay never sleeps"
    cpu = b.backend.cpu_seconds()
    time.sleep(0.5)
    assert b.backend.cpu_seconds() - cpu < 0.05
    assert b.modes() == relayed() and b.stats()["q1_to_wrap"] == 65536 - 1000
    vm.stop()
    b.check()
    vm.destroy()
    b.end()
