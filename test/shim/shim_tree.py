# SPDX-License-Identifier: BSD-3-Clause
"""A PCI tree as sysfs shows it, for EAL to scan by way of SYSFS_PCI_DEVICES."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import vfio_user_oracle as oracle

CONFIG_REGION = 7
NB_BARS = 6

MEMORY = 0x200
MEMORY_64 = 0x100000


@dataclass(frozen=True)
class Function:
    """One function. Its group is its place in the list of a tree, from 1, as the shim counts."""

    bdf: str
    socket: Path
    ids: dict[str, int]
    bars: dict[int, int]  # size by number
    driver: str = "vfio-pci"  # "": bound to nothing


def ask(bdf: str, socket: Path, driver: str = "vfio-pci") -> Function:
    """A function as the server at this socket describes it."""
    client = oracle.Client(socket)
    try:
        vendor, device = struct.unpack("<HH", client.read(CONFIG_REGION, 0, 4))
        class_code = int.from_bytes(client.read(CONFIG_REGION, 9, 3), "little")
        sub_vendor, sub_device = struct.unpack("<HH", client.read(CONFIG_REGION, 0x2c, 4))
        bars = {i: client.region_info(i).size for i in range(NB_BARS)}
    finally:
        client.close()
    ids = {"vendor": vendor, "device": device, "subsystem_vendor": sub_vendor,
           "subsystem_device": sub_device, "class": class_code}
    return Function(bdf, socket, ids, {i: size for i, size in bars.items() if size}, driver)


def _resources(function: Function) -> str:
    """Seven lines of start, end and flags. Addresses are made up: nobody may use them."""
    lines = []
    at = 0xc0000000
    for bar in range(7):
        size = function.bars.get(bar, 0)
        lines.append(f"0x{at:016x} 0x{at + size - 1:016x} 0x{MEMORY | MEMORY_64:016x}" if size
                     else "0x0 0x0 0x0")
        at += max(size, 0x100000)
    return "\n".join(lines) + "\n"


def make(root: Path, functions: list[Function]) -> dict[str, str]:
    """Write the tree; returns the environment for a program under the shim."""
    devices = root / "devices"
    for number, function in enumerate(functions, 1):
        place = devices / function.bdf
        place.mkdir(parents=True)
        for name, value in function.ids.items():
            (place / name).write_text(f"0x{value:04x}\n", encoding="ascii")
        (place / "numa_node").write_text("-1\n", encoding="ascii")
        (place / "resource").write_text(_resources(function), encoding="ascii")
        group = root / "iommu_groups" / str(number)
        group.mkdir(parents=True)
        (place / "iommu_group").symlink_to(group)
        if function.driver:
            driver = root / "drivers" / function.driver
            driver.mkdir(parents=True, exist_ok=True)
            (place / "driver").symlink_to(driver)
    return {"SYSFS_PCI_DEVICES": str(devices),
            "LM_SHIM": ",".join(f"{f.bdf}={f.socket}" for f in functions)}
