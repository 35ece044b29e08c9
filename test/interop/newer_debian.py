# SPDX-License-Identifier: BSD-3-Clause
"""QEMU and a stock kernel of a newer Debian, unpacked in the cache: run from there, not installed.

QEMU comes with every library that it needs, down to the dynamic linker; a script beside it starts
it with those.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from private_apt import PrivateApt, cache_dir, reason, unpack

SUITES = ("trixie", "trixie-backports")
NEWER = SUITES[1]
KERNEL = "linux-image-cloud-amd64"
OLDEST_KERNEL = (7, 2)
NAME = "interop"
START = """#!/bin/sh
root=$(dirname "$0")/root
export QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu"
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \\
	"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
"""


class Unavailable(Exception):
    """They cannot be had here; the text says why."""


@dataclass(frozen=True)
class NewerDebian:
    """What was unpacked."""

    place: Path

    @property
    def qemu(self) -> Path:
        """The script that starts it."""
        return self.place / "qemu-system-x86_64"

    @property
    def kernel(self) -> Path:
        """vmlinuz and modules/, as mkguest.py wants them."""
        return self.place / "kernel"

    def packages(self) -> str:
        """File names of the two packages that matter."""
        return (self.place / "packages").read_text(encoding="ascii").strip()

    def complete(self) -> bool:
        """`packages` is written last."""
        return (self.place / "packages").is_file()


def find() -> NewerDebian:
    """From the cache, else from the mirror (75 MB)."""
    found = NewerDebian(cache_dir() / NAME)
    if found.complete():
        return found
    why = ""
    try:
        _download(found.place)
    except (OSError, subprocess.SubprocessError) as error:
        why = reason(error)
    if not found.complete():  # even after an error: another process may have been faster
        raise Unavailable(f"no QEMU and kernel of {NEWER}: {why}")
    return found


def _download(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{NAME}.") as temporary:
        work = Path(temporary)
        new = work / NAME
        qemu = PrivateApt(work / "qemu", SUITES).download_all(NEWER, "qemu-system-x86", "seabios")
        unpack(qemu, new / "root")
        names = [p.name for p in qemu if p.name.startswith("qemu-system-x86_")]
        names.append(_kernel(PrivateApt(work / "kernel", [NEWER]), new / "kernel"))
        script = new / "qemu-system-x86_64"
        script.write_text(START, encoding="ascii")
        script.chmod(0o755)
        (new / "packages").write_text(" ".join(names) + "\n", encoding="ascii")
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)


def _kernel(apt: PrivateApt, into: Path) -> str:
    """The kernel that the metapackage names, and the parts that it is split in."""
    image, = (name for name in apt.depends(KERNEL) if re.match(r"linux-image-\d", name))
    release = image.removeprefix("linux-image-")
    if tuple(map(int, release.split(".")[:2])) < OLDEST_KERNEL:
        raise OSError(f"the newest kernel of {NEWER} is {release}")
    parts = [image] + [name for name in apt.depends(image)
                       if re.fullmatch(f"linux-(base|binary|modules)-{re.escape(release)}", name)]
    unpack(apt.download(*parts), into / "root")
    vmlinuz = next(p for p in into.rglob("vmlinuz*") if p.is_file())
    modules = next(into.rglob("modules.builtin")).parent
    (into / "vmlinuz").symlink_to(vmlinuz.relative_to(into))
    (into / "modules").symlink_to(modules.relative_to(into))
    return f"linux {release}"
