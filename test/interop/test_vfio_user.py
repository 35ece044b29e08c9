# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's own vfio-user client and Debian's stock kernel judge our server and the models behind it.

Catches: a card that QEMU's VFIO does not believe, doorbells or interrupts that get lost between
mapped page and message, and what the first guest leaves behind for the second.
"""

from __future__ import annotations

import pytest

from interop_rig import MAC, MakeRig

PACKED, IN_ORDER = 1 << 34, 1 << 35
RINGS = {"split": PACKED | IN_ORDER, "packed": IN_ORDER, "packed-in-order": 0}
FRAMES = 3000
pytestmark = [pytest.mark.deadline(240), pytest.mark.client("QEMU's vfio-user-pci")]


@pytest.mark.judge("virtio_net")
@pytest.mark.parametrize("ring", RINGS)
def test_virtio_net(rig: MakeRig, ring: str) -> None:
    """Two guests, one after the other: traffic, by stores to the doorbell page that QEMU maps."""
    this = rig("virtio-net", 1, "--features", f"{(1 << 64) - 1 & ~RINGS[ring]:x}")
    for number in (1, 2):
        guest, ready = this.boot(f"{ring}{number}")
        assert [nic["mac"] for nic in ready["nics"]] == [MAC]
        this.run(guest, FRAMES)
        stats = this.model.stats()
        assert stats["connections"] == number
        doorbells = {queue["doorbell"] for queue in stats["queues"][:2]}
        assert doorbells == {"store"}
        this.leave(guest)
    this.end()


@pytest.mark.judge("ionic")
def test_ionic(rig: MakeRig) -> None:
    """Stock ionic binds the VF and its link comes up; two guests as above."""
    this = rig("pds", 2)
    for number in (1, 2):
        guest, ready = this.boot(f"ionic{number}")
        assert [nic["mac"] for nic in ready["nics"]] == [MAC]
        this.console(guest, r"ionic 0000:\S+ eth0: Link up - 100 Gbps")
        this.run(guest, FRAMES)
        this.leave(guest)
    this.end()
