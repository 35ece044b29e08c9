# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver under a guest driver that uses its rings in every way that is legal, or not."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable

import pytest

from odd_guest import OddGuest
from vdpa_bench import Bench

MODES = {"direct": (False, False, False), "relay": (False, True, False),
         "packed": (True, False, False), "packed-log": (True, True, False),
         "switching": (False, False, True)}


@pytest.mark.deadline(1200)
@pytest.mark.parametrize("mode", MODES)
def test_odd_guest(bench: Callable[..., Bench], mode: str) -> None:
    """
    Seeded, $DPDK_LM_STRESS buffers a mode. Catches: a shape of chain, table or position in the ring
    that is handled wrongly; lost or doubled buffers and frames over stops, resets, changes of call
    descriptors and of logging; rules of VIRTIO broken towards the function.
    """
    packed, log, toggle = MODES[mode]
    total = int(os.environ.get("DPDK_LM_STRESS", "100000"))
    rng = random.Random(f"{mode} {os.environ.get('DPDK_LM_SEED', '1')}")
    b = bench()
    buffers = lost = 0
    while buffers < total:
        before = sum(b.control.stats()["drops"].values()), b.stats()["tx_dropped_at_quiesce"]
        guest = OddGuest(str(b.vhost), rng, packed)
        if log:
            guest.log(True)
        while guest.counts["rx_back"] + guest.counts["tx_back"] < total // 5:
            guest.step(toggle)
        deadline = time.monotonic() + 10
        while guest.rings[1].out:
            assert time.monotonic() < deadline, "transmit buffers do not come back"
            guest.fill()
            guest.take()
        guest.check()
        drops = sum(b.control.stats()["drops"].values()) - before[0]
        drops += b.stats()["tx_dropped_at_quiesce"] - before[1]
        lost = guest.seq - len(guest.got) - guest.counts["tx_reset"] - drops
        while lost > 0 and time.monotonic() < deadline:
            guest.fill()
            guest.take()
            drops = sum(b.control.stats()["drops"].values()) - before[0]
            lost = guest.seq - len(guest.got) - guest.counts["tx_reset"] - drops
        assert lost <= guest.counts["resets"] * guest.rings[0].size, (lost, guest.counts)
        buffers += guest.counts["rx_back"] + guest.counts["tx_back"]
        guest.vm.stop()
        guest.close()
    b.check()
    b.end()


def check(b: Bench) -> None:
    """What is in a frame's own header is between guest and function; the ring is the relay's."""
    b.model.check_alive()
    b.backend.check_alive()
    rules = set(b.control.stats()["violation_list"])
    assert rules <= {"tx_header", "tx_offload"}, rules


@pytest.mark.deadline(600)
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_guest(bench: Callable[..., Bench], packed: bool) -> None:
    """
    Ring memory is overwritten at random while frames fly. Catches: anything of it that reaches the
    function through a relay, a back end that dies or spins, a queue that no reset revives.
    """
    rounds = int(os.environ.get("DPDK_LM_STRESS", "100000")) // 5000
    rng = random.Random(f"hostile {packed} {os.environ.get('DPDK_LM_SEED', '1')}")
    b = bench()
    for _ in range(rounds):
        guest = OddGuest(str(b.vhost), rng, packed)
        guest.log(True)
        for _ in range(20):
            guest.step(False)
        ring = rng.choice(guest.rings)
        for _ in range(rng.randrange(1, 30)):
            at = rng.choice([ring.desc, ring.avail, ring.avail, ring.tables])
            ring.put(at + rng.randrange(64), struct.pack("<H", rng.choice(
                [0, 1, 2, 7, 0x80, 0x8000, 0xFFFF, rng.randrange(65536)])))
            ring.notify()
        b.info()
        guest.vm.stop()
        guest.close()
        check(b)
    guest = OddGuest(str(b.vhost), rng, packed)
    while guest.counts["rx_back"] < 500:
        guest.step(False)
    guest.check()
    guest.vm.stop()
    guest.close()
    check(b)
    b.end()
