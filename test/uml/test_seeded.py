# SPDX-License-Identifier: BSD-3-Clause
"""Judges can fail: a model that lies in one respect does not pass the tests of that respect.

The defects are chosen by DPDK_LM_SEED (a number; else one of the day).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

import test_pds_ionic
import test_pds_vfio
import test_virtio_net
import test_virtio_net_ctrl
import test_virtio_net_stack
from lm_harness import HarnessError
from uml_machine import Boot, Cable, CardSpec, Machine, Traffic
from virtio_features import RINGS, without

SEED = int(os.environ.get("DPDK_LM_SEED", time.strftime("%Y%m%d")))
Make = Callable[..., Traffic]
pytestmark = pytest.mark.judge("")  # what a liar says counts for nothing


def lying(boot: Boot, *faults: str) -> Boot:
    """The same cards, each with a fault."""

    def start(*cards: CardSpec | list[str], **options: int) -> Machine:
        extra = [word for fault in faults for word in ("--fault", fault)]
        return boot(*(replace(card, options=[*card.options, *extra])
                      if isinstance(card, CardSpec) else [*card, *extra] for card in cards),
                    **options)

    return start


def chance(group: str) -> random.Random:
    """What the seed says for one group."""
    print(f"DPDK_LM_SEED={SEED}")
    return random.Random(f"{SEED} {group}")


@pytest.mark.parametrize("group, fault, least, most", (
    ("used length", "short-used", 1, 500),
    ("interrupts", "lost-irq", 1, 1),
    ("data", "flip", 1, 500),
    ("multi-queue", "deaf-ctrl", 0, 0),
    ("features", "offer", 1 << 41, 1 << 41),  # an administration queue
))
def test_traffic_sees(boot: Boot, traffic: Make, group: str, fault: str, least: int, most: int
                      ) -> None:
    """Rings, interrupts, resets: with any kind of rings."""
    luck = chance(group)
    spec = f"{fault}={luck.randint(least, most)}" if most else fault
    kind = luck.choice(list(RINGS))
    print(f"{group}: {spec}, {kind}")
    with pytest.raises((AssertionError, HarnessError)):
        test_virtio_net.test_features(lying(boot, spec), traffic,
                                      ("--features", without(*RINGS[kind])))


@pytest.mark.deadline(180)
def test_reset_sees(boot: Boot, traffic: Make) -> None:
    """A reset that leaves everything as it was."""
    kind = chance("reset").choice(list(RINGS))
    with pytest.raises((AssertionError, HarnessError)):
        test_virtio_net.test_rebind(lying(boot, "deaf-reset"), traffic,
                                    ("--features", without(*RINGS[kind])))


def test_ring_reset_sees(boot: Boot, traffic: Make) -> None:
    """A ring that never comes back."""
    kind = chance("ring reset").choice(list(RINGS))
    with pytest.raises((AssertionError, HarnessError)):
        test_virtio_net.test_ring_reset(lying(boot, "stuck-ring-reset"), traffic,
                                        ("--features", without(*RINGS[kind])))


def test_control_queue_sees(boot: Boot, cable: Cable) -> None:
    """A command acknowledged and forgotten."""
    judge = chance("control queue").choice((
        test_virtio_net_ctrl.test_receive_modes, test_virtio_net_ctrl.test_addresses,
        test_virtio_net_ctrl.test_vlans))
    with pytest.raises((AssertionError, HarnessError)):
        judge(lying(boot, "deaf-ctrl"), cable)


def test_configuration_sees(boot: Boot, cable: Cable) -> None:
    """A change that nobody is told of."""
    with pytest.raises((AssertionError, HarnessError)):
        test_virtio_net_ctrl.test_link_and_announce(lying(boot, "lost-config-irq"), cable)


def test_vp_vdpa_sees(boot: Boot, traffic: Make) -> None:
    """The second driver, too."""
    luck = chance("vp_vdpa")
    spec = luck.choice(("lost-irq=1", f"short-used={luck.randint(1, 500)}"))
    with pytest.raises((AssertionError, HarnessError)):
        test_virtio_net_stack.test_vp_vdpa(lying(boot, spec), traffic,
                                           ("--features", without(*RINGS["split"])))


PDS_LIES = {
    "device commands": (test_pds_ionic.test_probe, ("devcmd-status=20:5", "devcmd-status=1:3")),
    "admin queue": (test_pds_ionic.test_probe, ("wrong-colour=1", "adminq-status=40:14")),
    "saved state": (test_pds_vfio.test_migrate, ("blob-corrupt=1", "lm-status=21:14")),
    "LM status": (test_pds_vfio.test_migrate, ("lm-status=22:14:9", "lm-status=18:12")),
    "dirty log": (test_pds_vfio.test_dirty_log, ("dirty-lost=1", "lm-status=35:3")),
}


@pytest.mark.deadline(150)
@pytest.mark.parametrize("group", PDS_LIES)
def test_pds_sees(boot: Boot, group: str) -> None:
    """Each judge of the pds card, with a card that answers wrongly."""
    judge, faults = PDS_LIES[group]
    fault = chance(f"pds {group}").choice(faults)
    print(f"{group}: {fault}")
    with pytest.raises((AssertionError, HarnessError)):
        judge(lying(boot, fault))
