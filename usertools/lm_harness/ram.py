# SPDX-License-Identifier: BSD-3-Clause
"""Compare the memory of two stopped guests, page by page."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path

from .base import HarnessError

PAGE = 4096
CHUNK = 1 << 20
LISTED_MAX = 64


@dataclass
class RamResult:
    """How many pages were compared, how many hold data, how many differ; the first of those."""

    pages: int = 0
    nonzero: int = 0
    different: int = 0
    listed: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return {"pages": self.pages, "nonzero": self.nonzero, "different": self.different,
                "first_different_gpa": [hex(page * PAGE) for page in self.listed]}


def compare(left: Path, right: Path) -> RamResult:
    """
    Both files are the whole RAM of a guest that does not run. Nothing is left out: below 2 GiB
    a page's place in the file is its guest-physical address, and the machine has no device
    besides virtio-net that writes memory.
    """
    result = RamResult()
    zero = bytes(PAGE)
    with open(left, "rb") as lf, open(right, "rb") as rf:
        size = lf.seek(0, 2)
        if size != rf.seek(0, 2) or size == 0 or size % PAGE:
            raise HarnessError(f"RAM files differ in size: {left} {size}, {right} {rf.tell()}")
        with mmap.mmap(lf.fileno(), size, prot=mmap.PROT_READ) as lm, \
                mmap.mmap(rf.fileno(), size, prot=mmap.PROT_READ) as rm:
            for base in range(0, size, CHUNK):
                a, b = lm[base:base + CHUNK], rm[base:base + CHUNK]
                result.pages += len(a) // PAGE
                same = a == b
                for off in range(0, len(a), PAGE):
                    page = a[off:off + PAGE]
                    if page != zero:
                        result.nonzero += 1
                    if not same and page != b[off:off + PAGE]:
                        result.different += 1
                        if len(result.listed) < LISTED_MAX:
                            result.listed.append((base + off) // PAGE)
    return result


def describe(left: Path, right: Path, page: int) -> str:
    """Where one page differs, for finding out who wrote it."""
    with open(left, "rb") as lf, open(right, "rb") as rf:
        lf.seek(page * PAGE)
        rf.seek(page * PAGE)
        a, b = lf.read(PAGE), rf.read(PAGE)
    where = [i for i in range(PAGE) if a[i] != b[i]]
    if not where:
        return f"{page * PAGE:#x}: equal"
    first = where[0]
    return (f"{page * PAGE:#x}: {len(where)} bytes differ, +{first:#x}..+{where[-1]:#x}: "
            f"{a[first:first + 16].hex()} / {b[first:first + 16].hex()}")
