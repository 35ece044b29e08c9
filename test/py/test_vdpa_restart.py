# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver's process dies or is replaced under a running guest."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

import vhost_frontend as vf
from vdpa_bench import FORMATS, Bench, Pump, Traffic, attach, frame

AGAIN = pytest.mark.parametrize("how", ["kill", "term"])


def back_again(b: Bench, vm: vf.Frontend, devargs: str = "") -> vf.Frontend:
    """
    Another back end, and what QEMU tells it: for split rings the used index that it finds in the
    guest's memory, for packed ones what it told the last back end.
    """
    b.telemetry.close()
    if b.backend.alive():
        b.backend.kill()
    vm.close()
    b.start_backend(devargs)
    again = vf.Frontend(str(b.vhost), memory=vm.memory, rings=vm.rings,
                        features=vm.want & ~vf.vu.F_PROTOCOL_FEATURES)
    again.bases = list(vm.bases)
    for i, ring in enumerate(vm.rings):
        if not isinstance(ring, vf.PackedRing):
            again.bases[i] = ring.used_idx()
    again.connect()
    again.start()
    return again


def outstanding(t: Traffic) -> set[int]:
    """Frames whose transmit chains nobody has given back, so that they may be sent again."""
    return set(range(t.sent - t.vm.rings[1].outstanding(), t.sent))


def check_once(t: Traffic, maybe_twice: set[int]) -> None:
    seen: set[int] = set()
    for seq in t.received:
        assert seq not in seen or seq in maybe_twice, f"frame {seq} came twice"
        seen.add(seq)


def flows(t: Traffic, count: int) -> None:
    """Frames come back; what the dead took with them may be missing."""
    before = len(t.received)
    with Pump(t):
        deadline = vf.time.monotonic() + 10
        while len(t.received) < before + count:
            assert vf.time.monotonic() < deadline, (before, len(t.received))
            vf.time.sleep(0.005)


@AGAIN
@FORMATS
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.deadline(120)
def test_under_traffic(bench: Callable[..., Bench], how: str, packed: bool, seed: int) -> None:
    """
    Property: at any time, and again and again, both formats get well without the guest's help.

    Verify: every buffer comes back once (the ring's driver checks that), and traffic flows. A frame
    comes twice only if its chain was still out.
    """
    rng = random.Random(seed)
    b = bench()
    vm = attach(b, packed=packed, size=rng.choice([16, 64, 100] if packed else [16, 64]))
    t = Traffic(vm, window=8)
    twice: set[int] = set()
    moved = 0
    for _ in range(3):
        flows(t, rng.randrange(20, 400))
        for _ in range(rng.randrange(8)):
            vm.send(frame(t.sent))
            t.sent += 1
        before = t.vm
        b.backend.kill() if how == "kill" else b.backend.stop()
        twice |= outstanding(t)
        moved = sum(r.base() != base for r, base in zip(vm.rings, vm.bases, strict=True))
        vm = back_again(b, before)
        t.vm = vm
    flows(t, 100)
    check_once(t, twice)
    if packed:
        assert b.stats()["positions_taken_over"] == moved
    assert vm.stop() == [r.base() for r in vm.rings]
    b.check()
    vm.destroy()
    b.end()


def test_moved_on_and_stopped(bench: Callable[..., Bench]) -> None:
    """What the front end asked for, it knows: an older process's word does not count then."""
    b = bench()
    vm = attach(b, packed=True)
    t = Traffic(vm)
    t.run(100)
    vm.stop()
    vm = back_again(b, vm)
    t.vm = vm
    t.run(100)
    assert b.stats()["positions_taken_over"] == 0
    t.check_complete()
    vm.stop()
    vm.destroy()
    b.check()
    b.end()


def test_guest_starts_anew_meanwhile(bench: Callable[..., Bench]) -> None:
    """The guest's driver was loaded anew while there was no back end: its ring is fresh."""
    b = bench()
    vm = attach(b, packed=True, size=64)
    t = Traffic(vm)
    t.run(40)
    for ring in vm.rings:
        vm.memory.write(ring.desc, bytes(16 * ring.size))
        vm.memory.write(ring.used, bytes(4))
        ring.avail_idx = ring.used_seen = 0
        ring.free = list(range(ring.size))
        ring.cookies.clear()
    vm.fill_rx()
    vm = back_again(b, vm)
    t.vm = vm
    t.run(100)
    assert b.stats()["positions_taken_over"] == 0
    vm.stop()
    vm.destroy()
    b.check()
    b.end()


def test_nobody_knows(bench: Callable[..., Bench]) -> None:
    """Without the file the loss is said, and the guest gets well when its driver starts anew."""
    b = bench(devargs="positions=/nowhere/positions")
    b.backend.wait_line("do not survive a restart of this process", 5)
    vm = attach(b, packed=True)
    t = Traffic(vm)
    t.run(30)
    vm = back_again(b, vm, "positions=/nowhere/positions")
    b.backend.wait_line("queue 1: the front end says 0, wrap 1, and the packed ring has gone on", 5)
    assert b.stats()["q1_errors"] == 1
    vm.close()
    fresh = attach(b, packed=True)
    t = Traffic(fresh)
    t.run(50)
    t.check_complete()
    fresh.stop()
    fresh.destroy()
    b.check()
    b.end()


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_between_two_steps(bench: Callable[..., Bench], written: int) -> None:
    """
    The process died while it gave three transmit chains back: its last step is said, and of the
    used descriptors but the first, which is always written last, none, one, or two are written.

    Verify: the next process finishes the burst; nothing is sent again.
    """
    b = bench()
    vm = attach(b, packed=True)
    t = Traffic(vm)
    t.run(10)
    ring = vm.rings[1]
    while ring.outstanding():
        vm.reap_tx()
    b.backend.kill()
    b.telemetry.close()
    at = ring.avail_idx
    first = len(t.received)
    for _ in range(3):
        vm.send(frame(t.sent), notify=False)
        t.sent += 1
    ids = [struct.unpack("<H", vm.memory.read(ring.desc + 16 * (at + i) + 12, 2))[0]
           for i in range(3)]
    last = max(written - 1, 0)
    for i in range(1, written):
        vm.memory.write(ring.desc + 16 * (at + i) + 8, struct.pack(
            "<IHH", 0, ids[i], vf.PACKED_AVAIL | vf.PACKED_USED))
    move = [0x8000 | at, 0x8000 | at + last, ids[last], 0x8000 | at + last + 1]
    with open(f"{b.vhost}.positions", "r+b") as file:
        file.seek(32 + 32 * 1 + 24)
        file.write(struct.pack("<HHHH", *move))
    vm.close()
    b.start_backend()
    again = vf.Frontend(str(b.vhost), memory=vm.memory, rings=vm.rings,
                        features=vm.want & ~vf.vu.F_PROTOCOL_FEATURES)
    again.bases = [0x8000, 0x8000]
    again.connect()
    again.start()
    t.vm = again
    ring.notify()
    for _ in range(50):
        again.send(frame(t.sent))
        t.sent += 1
        t.poll()
    deadline = vf.time.monotonic() + 10
    while len(t.received) < first + 3 - (last + 1) + 50:
        assert vf.time.monotonic() < deadline, t.received
        t.poll()
    t.check_order()
    assert t.received[-1] == t.sent - 1
    assert b.stats()["positions_taken_over"] == 2
    assert again.stop() == [r.base() for r in again.rings]
    again.destroy()
    b.check()
    b.end()
