# SPDX-License-Identifier: BSD-3-Clause
"""The rows of doc/judged.rst, from the format headers: a name, and where a trace shows its use."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
VIRTIO = TOP / "drivers/common/virtio"
PDS = TOP / "drivers/common/pds"
VFIO_USER = TOP / "lib/vfio_user"
DEVMODEL = TOP / "app/devmodel"

MESSAGE = "message"  # the group of a trace that belongs to the protocol, whatever the device
VFIO_USER_NAME = "vfio-user"

Place = tuple[str, int]


@dataclass(frozen=True)
class Row:
    """A name of a format, and the marks that show it in use."""

    name: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Group:
    """A table."""

    title: str
    rows: list[Row]


@dataclass(frozen=True)
class Device:
    """name: as the model calls itself in its trace."""

    name: str
    title: str
    groups: list[Group]


def values(header: Path) -> dict[str, int]:
    """Constants that are plain numbers, in the order of the source."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^(?:#define[ \t]+|[ \t]+)(\w+)[ \t]*=?[ \t]*(0x[0-9a-fA-F]+|\d+)u?,?"
                       r"[ \t]*$", text, re.MULTILINE)
    return {name: int(number, 0) for name, number in found}


def enumerators(header: Path, tag: str) -> dict[str, int]:
    """The numbers of one enumeration."""
    text = header.read_text(encoding="utf-8")
    body = re.search(rf"^enum {tag} \{{\n(.*?)^\}}", text, re.DOTALL | re.MULTILINE)
    assert body is not None, f"{header.name}: no enum {tag}"
    return {name: int(number, 0) for name, number in
            re.findall(r"^\t(\w+) = (0x[0-9a-fA-F]+|\d+),", body[1], re.MULTILINE)}


def fields(header: Path, tag: str) -> dict[str, tuple[int, int]]:
    """Offset and size of each field of a structure, as the compiler says."""
    text = header.read_text(encoding="utf-8")
    body = re.search(rf"^struct {tag} \{{\n(.*?)^\}}", text, re.DOTALL | re.MULTILINE)
    assert body is not None, f"{header.name}: no struct {tag}"
    names = re.findall(r"^\t[\w ]+ (\w+)(?:\[.*?\])*;", body[1], re.MULTILINE)
    lines = "".join(f'\tprintf("{name} %zu %zu\\n", offsetof(struct {tag}, {name}),'
                    f" sizeof(((struct {tag} *)0)->{name}));\n" for name in names)
    source = f'#include <stdio.h>\n#include "{header}"\nint main(void)\n{{\n{lines}}}\n'
    with tempfile.TemporaryDirectory() as work:
        program = f"{work}/fields"
        subprocess.run(["cc", f"-I{TOP / 'drivers/common'}", f"-I{header.parent}", "-xc", "-", "-o",
                        program], input=source, text=True, check=True)
        out = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: (int(at), int(size)) for name, at, size in
            (line.split() for line in out.splitlines())}


def constants(header: Path, pattern: str, places: Callable[[str, int], Iterable[Place]]
              ) -> list[Row]:
    """A row for each name that matches whole."""
    return [Row(name, tuple(places(name, value))) for name, value in values(header).items()
            if re.fullmatch(pattern, name)]


def named(numbers: dict[str, int], *groups: str) -> list[Row]:
    """A row for each number, marked in any of the groups."""
    return [Row(name, tuple((group, value) for group in groups))
            for name, value in numbers.items()]


def accesses(bar: int, base: int, size: int = 1) -> tuple[Place, ...]:
    """Any byte read or written."""
    return tuple((f"bar{bar}.{way}", base + i) for way in ("read", "write") for i in range(size))


def bits(group: str, mask: int) -> tuple[Place, ...]:
    """The bits of a mask."""
    return tuple((group, i) for i in range(64) if mask >> i & 1)


def virtio_commands(header: Path) -> list[Row]:
    """Commands of the control queue: a class is a name that others begin with."""
    known = {name: value for name, value in values(header).items()
             if name.startswith("LM_VIRTIO_NET_CTRL_")}
    rows = []
    for name, value in known.items():
        parents = [other for other in known if name.startswith(other + "_")]
        if parents:
            rows.append(Row(name, (("ctrl", known[max(parents, key=len)] << 8 | value),)))
    return rows


def virtio_windows() -> dict[str, int]:
    """Where the model has its structures, and so where marks say that they are."""
    at = values(DEVMODEL / "dm_virtio.h")
    return {name: at[f"DM_VIRTIO_{name}_OFF"] for name in ("COMMON", "ISR", "DEVICE", "NOTIFY")}


def virtio_net() -> Device:
    """The virtio-net function."""
    pci, net = VIRTIO / "virtio_pci_if.h", VIRTIO / "virtio_net_if.h"
    windows = virtio_windows()
    common, config = windows["COMMON"], windows["DEVICE"]
    return Device("virtio-net", "virtio-net", [
        Group("Structures in BARs", constants(
            pci, r"LM_VIRTIO_PCI_CAP_\w+_CFG", lambda name, _: accesses(
                0, windows[name.split("_")[4]]) if name.split("_")[4] in windows else ())),
        Group("Common configuration registers", constants(
            pci, r"LM_VIRTIO_PCI_COMMON_(?!MIN_BYTES)\w+",
            lambda _, value: accesses(0, common + value))),
        Group("Device configuration", [
            Row(f"lm_virtio_net_config.{name}", accesses(0, config + offset, size))
            for name, (offset, size) in fields(net, "lm_virtio_net_config").items()]),
        Group("Status bits", constants(pci, r"LM_VIRTIO_STATUS_\w+",
                                       lambda _, value: bits("status", value))),
        Group("Features of transport and rings", constants(
            pci, r"LM_VIRTIO_F_\w+", lambda _, value: [("feature", value)])),
        Group("Features of the network card", constants(
            net, r"LM_VIRTIO_NET_F_\w+", lambda _, value: [("feature", value)])),
        Group("Control commands", virtio_commands(net)),
    ])


def pds() -> Device:
    """AMD Pensando's core PF and its Ethernet VFs."""
    core, admin, eth = (PDS / name for name in ("pds_if.h", "pds_aq_if.h", "pds_eth_if.h"))
    at = values(core)
    command = at["LM_PDS_CORE_BAR0_DEV_CMD_REGS_OFFSET"]
    features = re.findall(r"^#define (LM_IONIC_ETH_HW_\w+) \(UINT64_C\(1\) << (\d+)\)",
                          eth.read_text(encoding="utf-8"), re.MULTILINE)
    return Device("pds", "pds", [
        Group("Device information registers", [
            Row(f"lm_pds_core_dev_info_regs.{name}", accesses(0, offset, size)) for
            name, (offset, size) in fields(core, "lm_pds_core_dev_info_regs").items()
            if not name.startswith("rsvd")]),
        Group("Device command registers", [
            Row(f"lm_pds_core_dev_cmd_regs.{name}", accesses(0, command + offset, size)) for
            name, (offset, size) in fields(core, "lm_pds_core_dev_cmd_regs").items()
            if not name.startswith("rsvd")]),
        Group("Device commands of the PF", named(
            enumerators(core, "lm_pds_core_cmd_opcode"), "core.devcmd")),
        Group("Admin queue commands of the PF", named(
            enumerators(admin, "lm_pds_core_adminq_opcode"), "core.adminq")),
        Group("Live migration commands", named(
            enumerators(admin, "lm_pds_lm_cmd_opcode"), "lm")),
        Group("Commands of a VF", named(
            enumerators(eth, "lm_ionic_cmd_opcode"), "eth.devcmd", "eth.adminq")),
        Group("Features of a VF", [Row(name, (("eth.feature", int(bit)),))
                                   for name, bit in features]),
    ])


def vfio_user() -> Device:
    """Messages between driver and model."""
    return Device(VFIO_USER_NAME, "vfio-user", [
        Group("Messages", named(enumerators(VFIO_USER / "lm_vu_proto.h", "lm_vu_command"),
                                MESSAGE))])


def devices() -> list[Device]:
    """All that the page shows."""
    return [virtio_net(), pds(), vfio_user()]
