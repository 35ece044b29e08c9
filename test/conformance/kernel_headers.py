# SPDX-License-Identifier: BSD-3-Clause
"""User-space headers of a recent Linux: Debian's linux-libc-dev, unpacked in the cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from private_apt import PrivateApt, cache_dir, reason, unpack

PACKAGE = "linux-libc-dev"
OLDEST = (7, 2)
SUITES = ("trixie-backports", "sid")


class Unavailable(Exception):
    """The headers cannot be had here; the text says why."""


@dataclass(frozen=True)
class KernelHeaders:
    """An unpacked package."""

    root: Path
    version: tuple[int, int, int]
    package: str

    def include_dirs(self, multiarch: str) -> list[Path]:
        """Directories for the compiler, before the system's own."""
        return [self.root / "usr/include", self.root / "usr/include" / multiarch]


def find() -> KernelHeaders:
    """The headers in the cache, downloaded when they are missing or too old."""
    place = cache_dir() / f"{PACKAGE}-{OLDEST[0]}"
    reasons = []
    found = _read(place)
    if found is not None and found.version >= OLDEST:
        return found
    for suite in SUITES:
        why = ""
        try:
            _download(suite, place)
        except (OSError, subprocess.SubprocessError) as error:
            why = reason(error)
        found = _read(place)  # even after an error: another process may have been faster
        if found is not None and found.version >= OLDEST:
            return found
        reasons.append(f"{suite}: {why or (found.package if found else 'no version.h')}")
    raise Unavailable(f"no {PACKAGE} of {OLDEST[0]}.{OLDEST[1]} or newer: " + "; ".join(reasons))


def _read(place: Path) -> KernelHeaders | None:
    try:
        code = (place / "usr/include/linux/version.h").read_text(encoding="ascii")
        package = (place / "package").read_text(encoding="ascii").strip()
    except OSError:
        return None
    match = re.search(r"LINUX_VERSION_CODE\s+(\d+)", code)
    if match is None:
        return None
    number = int(match[1])
    return KernelHeaders(place, (number >> 16, number >> 8 & 0xff, number & 0xff), package)


def _download(suite: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{PACKAGE}.") as temporary:
        work = Path(temporary)
        package, = PrivateApt(work, [suite]).download(PACKAGE)
        root = work / "root"
        unpack([package], root)
        (root / "package").write_text(package.name + "\n", encoding="ascii")
        shutil.rmtree(place, ignore_errors=True)
        root.rename(place)
