# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's own vfio-user client and Debian's stock kernel judge our server and the models behind it.

Catches: a card that QEMU's VFIO does not believe, doorbells or interrupts that get lost between
mapped page and message, and what the first guest leaves behind for the second.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interop_rig import MAC, Rig

PACKED, IN_ORDER = 1 << 34, 1 << 35
FRAMES = 3000
pytestmark = pytest.mark.deadline(240)


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_virtio_net(rig: Callable[..., Rig], ring: str) -> None:
    """Two guests, one after the other: traffic, by stores to the doorbell page that QEMU maps."""
    mask = (1 << 64) - 1 & ~IN_ORDER & ~(0 if ring == "packed" else PACKED)
    this = rig("virtio-net", 1, "--features", f"{mask:x}")
    for number in (1, 2):
        guest, ready = this.boot(f"{ring}{number}")
        assert [nic["mac"] for nic in ready["nics"]] == [MAC]
        this.run(guest, FRAMES)
        stats = this.model.stats()
        assert stats["connections"] == number
        doorbells = {queue["doorbell"] for queue in stats["queues"][:2]}
        assert doorbells == {"store"}
        this.leave(guest)


def test_ionic(rig: Callable[..., Rig]) -> None:
    """Stock ionic binds the VF and its link comes up; two guests as above."""
    this = rig("pds", 2)
    for number in (1, 2):
        guest, ready = this.boot(f"ionic{number}")
        assert [nic["mac"] for nic in ready["nics"]] == [MAC]
        this.console(guest, r"ionic 0000:\S+ eth0: Link up - 100 Gbps")
        this.run(guest, FRAMES)
        this.leave(guest)
