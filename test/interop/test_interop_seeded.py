# SPDX-License-Identifier: BSD-3-Clause
"""Judges can fail: of a model that lies in one respect, the tests say what is wrong with it.

Which lie is told follows from DPDK_LM_SEED (a number; else the day).
"""

from __future__ import annotations

import os
import random
import time

import pytest

import test_vfio_user
from interop_rig import MakeRig, Rig
from lm_harness import HarnessError

SEED = int(os.environ.get("DPDK_LM_SEED", time.strftime("%Y%m%d")))
CORRUPT, SILENT, NO_NIC = "'corrupt': [1-9]", "3000 frames back: nothing", r"^assert \[\] == \["
# Faults, and what must be said of each.
VIRTIO = (("short-used={}", CORRUPT), ("flip={}", CORRUPT), ("lost-irq=1", SILENT))
PDS = (("flip={}", CORRUPT), ("lost-irq=1", NO_NIC), ("devcmd-status=20:5", NO_NIC),
       ("wrong-colour=1", NO_NIC))
LIES = {"virtio split": ("split", VIRTIO), "virtio packed": ("packed", VIRTIO), "pds": ("", PDS)}
pytestmark = [pytest.mark.deadline(240), pytest.mark.judge("")]  # a liar's word counts for nothing


@pytest.mark.parametrize("group", LIES)
def test_seen(rig: MakeRig, group: str) -> None:
    """Each group of features, done wrongly."""
    luck = random.Random(f"{SEED} {group}")
    ring, lies = LIES[group]
    fault, said = luck.choice(lies)
    spec = fault.format(luck.randint(1, 500))
    print(f"DPDK_LM_SEED={SEED} {group}: {spec}")

    def lying(device: str, functions: int, *options: str) -> Rig:
        return rig(device, functions, *options, "--fault", spec)

    with pytest.raises((AssertionError, HarnessError), match=said):
        if ring:
            test_vfio_user.test_virtio_net(lying, ring)
        else:
            test_vfio_user.test_ionic(lying)
