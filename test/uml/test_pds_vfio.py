# SPDX-License-Identifier: BSD-3-Clause
"""Linux's pds-vfio-pci judges the pds model's migration: its PF commands, its VFs obey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pds_machine import VF, create_vfs, pds
from uml_guest import Uml
from uml_machine import Boot, wait

PDS_VFIO = Path(__file__).resolve().parent / "pds_vfio.py"
OTHER = "0000:00:02.0"
NOIOMMU = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
pytestmark = [pytest.mark.judge("pds-vfio-pci"), pytest.mark.deadline(120)]


def bind(linux: Uml, *addresses: str) -> None:
    """VFs of a PF that pds_core holds, to the variant driver."""
    linux.write(NOIOMMU, "1")
    create_vfs(linux, len(addresses), autoprobe=False)
    for address in addresses:
        linux.run(f"echo pds_vfio_pci >/sys/bus/pci/devices/{address}/driver_override &&"
                  f" echo {address} >/sys/bus/pci/drivers/pds_vfio_pci/bind")


def drive(linux: Uml, *words: str) -> dict[str, Any]:
    """What pds_vfio.py saw."""
    return dict(json.loads(linux.run(f"python3 {PDS_VFIO} {' '.join(words)}", 60)[-1]))


def test_migrate(boot: Boot) -> None:
    """Catches: a state that another VF does not take; a broken one that it takes."""
    machine = boot(pds(2))
    bind(machine.linux, VF, OTHER)
    seen = drive(machine.linux, "migrate", VF, OTHER)
    assert seen["flags"] == 3 and seen["before"] == 2
    assert 0 < seen["bytes"] <= 65536 and seen["stopped"] == 3
    assert seen["broken"] != 0 and seen["reset"] == 2
    assert seen["loaded"] == 1 and seen["after"] == [2, 2]
    assert [machine.cards[0].stats(i)["level"] for i in (1, 2)] == ["running", "running"]
    machine.clean()


def test_dirty_log(boot: Boot) -> None:
    """Catches: a page that was written and is not reported, or the other way round."""
    machine = boot(pds(1))
    bind(machine.linux, VF)
    seen = drive(machine.linux, "log", VF)
    assert seen["ranges"] == 3 and seen["wrong"] == []
    assert machine.cards[0].stats(1)["dirty_writes"] > 0
    machine.clean()


def test_recovery(boot: Boot) -> None:
    """Catches: a firmware restart that Linux does not notice, a VF that stays lost after it."""
    machine = boot(pds(1))
    linux, control = machine.linux, machine.cards[0].control
    bind(linux, VF)
    linux.run(f"python3 {PDS_VFIO} recover {VF} >/run/seen 2>&1 & true")
    wait(lambda: linux.ask("test -e /run/stopped").status == 0, 20, "a stopped VF")
    control.request("fw", running=False)
    wait(lambda: linux.ask("dmesg | grep -q 'PDS_EVENT_RESET.*state==0'").status == 0, 30,
         "pds_core's notice")
    control.request("fw", running=True)
    wait(lambda: linux.ask("grep -q after /run/seen").status == 0, 60, "the end of the recovery")
    seen = json.loads(linux.read("/run/seen"))
    assert seen["error"] and seen["refused"] and seen["after"] == 2 and seen["bytes"] > 0
    machine.clean()
