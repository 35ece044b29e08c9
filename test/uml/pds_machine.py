# SPDX-License-Identifier: BSD-3-Clause
"""Linux with AMD Pensando cards, and how their VFs come to be."""

from __future__ import annotations

from uml_guest import Uml
from uml_machine import CardSpec, wait

PF = "/sys/bus/pci/devices/0000:00:00.0"
VF = "0000:00:01.0"
IONIC = "/sys/bus/pci/drivers/ionic"


def pds(vfs: int, *options: object) -> CardSpec:
    """A card; each VF has the wire of its place in the options."""
    return CardSpec("pds", vfs, options)


def create_vfs(linux: Uml, count: int = 1, autoprobe: bool = True) -> None:
    """As an administrator does; waits for the interfaces."""
    linux.write(f"{PF}/sriov_drivers_autoprobe", str(int(autoprobe)))
    linux.write(f"{PF}/sriov_numvfs", str(count))
    names = " && ".join(f"test -e /sys/class/net/eth{i}" for i in range(count))
    if autoprobe:
        wait(lambda: linux.ask(names).status == 0, 20, f"{count} interfaces")
