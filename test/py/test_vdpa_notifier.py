# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver: doorbell pages in the guest's hands, and call fds that change all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import vhost_frontend as vf
from vdpa_bench import FORMATS, Bench, Pump, Traffic, attach, frame, relayed

GUEST = ("--notify-guest",)


def doorbells(b: Bench, wanted: str, queues: int = 2) -> None:
    deadline = time.monotonic() + 5
    while [b.info()[f"doorbell{i}"] for i in range(queues)] != [wanted] * queues:
        assert time.monotonic() < deadline, b.info()


@pytest.mark.parametrize("event_idx", [False, True])
def test_direct_and_relayed(bench: Callable[..., Bench], event_idx: bool) -> None:
    """
    Mapped in direct mode, taken back when logging starts, mapped again at the wrap.

    Verify: kicks of direct queues do not pass through the back end; none is lost in any switch.
    """
    b = bench(devargs="notifiers=1", model=GUEST)
    vm = attach(b, map_doorbells=True, event_idx=event_idx, size=256)
    doorbells(b, "mapped")
    t = Traffic(vm, window=4)
    before = b.stats()
    t.run(200)
    after = b.stats()
    assert after["q1_kicks_forwarded"] == before["q1_kicks_forwarded"]
    assert b.control.stats()["queues"][1]["doorbell"] == "store"
    vm.lm_begin()
    t.run(200)
    assert b.modes() == relayed()
    doorbells(b, "no")
    t.run(200)
    assert all(ring.doorbell is None for ring in vm.rings)
    assert b.stats()["q1_kicks_forwarded"] > after["q1_kicks_forwarded"]
    vm.lm_cancel()
    t.run(100)
    t.check_complete()
    vm.stop()
    vm.start()
    t.run(50)
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


def test_mapped_again_at_the_wrap(bench: Callable[..., Bench]) -> None:
    b = bench(devargs="notifiers=1", model=GUEST)
    vm = attach(b, map_doorbells=True, start=65400, size=64)
    t = Traffic(vm)
    with Pump(t):
        doorbells(b, "mapped")
    assert b.modes() == ["direct"] * 2
    t.poll()
    t.check_order()
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


def test_page_stays_for_a_while(bench: Callable[..., Bench]) -> None:
    """
    The front end has not taken the page away yet, and the relay would sleep: one kick into the page
    must be enough.
    """
    b = bench(devargs="notifiers=1", model=GUEST)
    vm = attach(b, map_doorbells=True, event_idx=True)
    doorbells(b, "mapped")
    t = Traffic(vm)
    t.run(20)
    pages = [ring.doorbell for ring in vm.rings]
    vm.answer_doorbells.clear()
    vm.lm_begin()
    for _ in range(20):
        sleeps = b.stats()["sleeps"]
        while b.stats()["sleeps"] < sleeps + 3:
            pass
        vm.rings[1].doorbell = pages[1]
        t.run(1)
    assert [b.info()[f"doorbell{i}"] for i in range(2)] == ["mapped"] * 2
    vm.answer_doorbells.set()
    doorbells(b, "no")
    t.run(20)
    t.check_complete()
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


def test_refused(bench: Callable[..., Bench]) -> None:
    """QEMU without page-per-vq=on: kicks are forwarded as ever, and it is said why."""
    b = bench(devargs="notifiers=1", model=GUEST)
    vm = vf.Frontend(str(b.vhost), map_doorbells=True)
    vm.refuse_doorbells = True
    vm.connect()
    vm.fill_rx()
    vm.start()
    doorbells(b, "refused")
    b.backend.wait_line("QEMU wants page-per-vq=on", 5)
    t = Traffic(vm)
    t.run(100)
    t.check_complete()
    vm.stop()
    vm.destroy()
    vm = attach(b, map_doorbells=True)
    doorbells(b, "mapped")
    vm.destroy()
    b.check()
    b.end()


def test_no_pages(bench: Callable[..., Bench]) -> None:
    """One doorbell for all queues is nobody's but ours."""
    b = bench(devargs="notifiers=1", model=("--notify-shared",))
    b.backend.wait_line("queue 0 has no doorbell page of its own", 5)
    vm = attach(b, map_doorbells=True)
    t = Traffic(vm)
    t.run(50)
    assert vm.doorbell_msgs == 0
    vm.stop()
    b.check()
    vm.destroy()
    b.end()


@pytest.mark.parametrize("logging", [False, True])
@FORMATS
@pytest.mark.deadline(180)
def test_a_thousand_call_fds(bench: Callable[..., Bench], logging: bool, packed: bool) -> None:
    """What QEMU does when a guest masks vectors, under traffic: no frame and no call is lost."""
    b = bench()
    vm = attach(b, packed=packed)
    t = Traffic(vm)
    if logging:
        vm.lm_begin()
    deadline = time.monotonic() + 5
    # A function without buffers yet drops what comes, and may.
    while (packed or logging) and b.stats()["q0_avail_chains"] < vm.rings[0].size:
        assert time.monotonic() < deadline, b.stats()
    for i in range(1000):
        vm.send(frame(t.sent))
        t.sent += 1
        vm.new_call(i % 2)
        if i % 8 == 7:
            while len(t.received) < t.sent:
                t._take(vm.receive_until(1))
    t.run(10)
    t.check_complete()
    vm.stop()
    b.check()
    vm.destroy()
    b.end()
