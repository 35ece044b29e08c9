# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU's virtio-net-pci says its driver did, as the marks that a model's --trace has."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "devtools"))

import judged_rows  # noqa: E402

EVENTS = ("memory_region_ops_read", "memory_region_ops_write", "virtio_queue_notify")
ACCESS = re.compile(r"memory_region_ops_(read|write) .* addr 0x([0-9a-f]+) value 0x([0-9a-f]+)"
                    r" size (\d+) name 'virtio-pci-(common|isr|device|notify)-virtio-net'")
PAGE = 4096  # each structure begins a page
PREFIX = "LM_VIRTIO_PCI_COMMON_"


def options(log: Path) -> list[str]:
    """For QEMU."""
    return ["-D", str(log), *(word for event in EVENTS for word in ("-trace", f"enable={event}"))]


class _Marks:
    """group -> numbers, and the registers that give others their meaning."""

    def __init__(self) -> None:
        self.seen: dict[str, set[int]] = defaultdict(set)
        self._registers = judged_rows.values(judged_rows.VIRTIO / "virtio_pci_if.h")
        self._select = 0
        self._features = [0, 0]

    def _bits(self, group: str, mask: int) -> None:
        self.seen[group] |= {i for i in range(64) if mask >> i & 1}

    def write(self, offset: int, value: int) -> None:
        """To the common structure."""
        if offset == self._registers[PREFIX + "GFSELECT"]:
            self._select = value
        elif offset == self._registers[PREFIX + "GF"] and self._select < 2:
            self._features[self._select] = value
        elif offset == self._registers[PREFIX + "STATUS"]:
            self._bits("status", value)
            if value & self._registers["LM_VIRTIO_STATUS_DRIVER_OK"]:
                self._bits("feature", self._features[0] | self._features[1] << 32)


def save(log: Path, path: Path) -> None:
    """Of a whole run, for devtools/judged.py."""
    marks = _Marks()
    windows = judged_rows.virtio_windows()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("virtio_queue_notify"):
            marks.seen["bar0.write"].add(windows["NOTIFY"])
        found = ACCESS.search(line)
        if found is None:
            continue
        offset, size = int(found[2], 16) % PAGE, int(found[4])
        base = windows[found[5].upper()] + offset
        marks.seen[f"bar0.{found[1]}"] |= set(range(base, base + size))
        if found[1] == "write" and found[5] == "common":
            marks.write(offset, int(found[3], 16))
    path.write_text(json.dumps({"device": "virtio-net", "marks": {
        group: sorted(numbers) for group, numbers in marks.seen.items()}}), encoding="utf-8")
