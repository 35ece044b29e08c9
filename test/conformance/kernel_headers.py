# SPDX-License-Identifier: BSD-3-Clause
"""User-space headers of a recent Linux: Debian's linux-libc-dev, unpacked in the cache.

Nothing is installed and nothing of the machine's apt is touched: lists, state and sources are ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "linux-libc-dev"
OLDEST = (7, 2)
SUITES = ("trixie-backports", "sid")
MIRROR = os.environ.get("DPDK_LM_MIRROR", "http://deb.debian.org/debian")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
COMMAND_S = 120


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


def cache_dir() -> Path:
    """Where dpdk-lm keeps what it downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("DPDK_LM_CACHE") or Path(base) / "dpdk-lm")


def find() -> KernelHeaders:
    """The headers in the cache, downloaded when they are missing or too old."""
    place = cache_dir() / f"{PACKAGE}-{OLDEST[0]}"
    reasons = []
    found = _read(place)
    if found is not None and found.version >= OLDEST:
        return found
    for suite in SUITES:
        reason = ""
        try:
            _download(suite, place)
        except (OSError, subprocess.SubprocessError) as error:
            reason = _last_line(error)
        found = _read(place)  # even after an error: another process may have been faster
        if found is not None and found.version >= OLDEST:
            return found
        reasons.append(f"{suite}: {reason or (found.package if found else 'no version.h')}")
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
        for name in ("state/lists/partial", "cache/archives/partial", "got"):
            (work / name).mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(
            f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n", encoding="ascii")
        options = [f"-o{key}={value}" for key, value in (
            ("Dir::State", work / "state"), ("Dir::State::Lists", work / "state/lists"),
            ("Dir::State::status", work / "status"), ("Dir::Cache", work / "cache"),
            ("Dir::Etc::sourcelist", work / "sources.list"), ("Dir::Etc::sourceparts", "-"),
            ("Dir::Etc::preferences", "-"), ("Dir::Etc::preferencesparts", "-"),
            ("Acquire::Check-Valid-Until", "false"), ("Acquire::Languages", "none"),
            ("Acquire::http::Timeout", "30"), ("APT::Sandbox::User", ""),
            ("APT::Update::Error-Mode", "any"))]
        for command in (["update"], ["download", PACKAGE]):
            subprocess.run(["apt-get", "-q", *options, *command], cwd=work / "got", check=True,
                           timeout=COMMAND_S, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        package, = (work / "got").glob("*.deb")
        root = work / "root"
        subprocess.run(["dpkg-deb", "-x", package, root], check=True, timeout=COMMAND_S, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        (root / "package").write_text(package.name + "\n", encoding="ascii")
        shutil.rmtree(place, ignore_errors=True)
        root.rename(place)


def _last_line(error: Exception) -> str:
    output = getattr(error, "stdout", None) or str(error)
    lines = [line for line in str(output).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or [type(error).__name__])[0]
