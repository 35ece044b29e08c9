# SPDX-License-Identifier: BSD-3-Clause
"""Packages of other Debian suites, fetched and unpacked, never installed.

Nothing of the machine's apt is touched: lists, state and sources are ours.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

MIRROR = os.environ.get("DPDK_LM_MIRROR", "http://deb.debian.org/debian")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
COMMAND_S = 300


def cache_dir() -> Path:
    """Where dpdk-lm keeps what it downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("DPDK_LM_CACHE") or Path(base) / "dpdk-lm")


class PrivateApt:
    """apt that knows some suites and believes that nothing is installed."""

    def __init__(self, work: Path, suites: Iterable[str]) -> None:
        self._got = work / "got"
        self._archives = work / "cache/archives"
        for name in ("state/lists/partial", "cache/archives/partial", "got", "empty"):
            (work / name).mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(
            "".join(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n" for suite in suites),
            encoding="ascii")
        self._options = [f"-o{key}={value}" for key, value in (
            ("Dir::State", work / "state"), ("Dir::State::Lists", work / "state/lists"),
            ("Dir::State::status", work / "status"), ("Dir::Cache", work / "cache"),
            ("Dir::Etc::sourcelist", work / "sources.list"),
            ("Dir::Etc::sourceparts", work / "empty"),
            ("Dir::Etc::preferences", "-"), ("Dir::Etc::preferencesparts", work / "empty"),
            ("Acquire::Check-Valid-Until", "false"), ("Acquire::Languages", "none"),
            ("Acquire::http::Timeout", "30"), ("APT::Sandbox::User", ""),
            ("APT::Update::Error-Mode", "any"))]
        self._run("apt-get", "update")

    def _run(self, program: str, *words: str) -> str:
        return subprocess.run([program, "-q", *self._options, *words], cwd=self._got, check=True,
                              timeout=COMMAND_S, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def depends(self, package: str) -> list[str]:
        """Names that a package depends on, alternatives and virtual ones left out."""
        text = self._run("apt-cache", "depends", "--important", package)
        lines = (line.strip().partition(": ") for line in text.splitlines())
        return [name for kind, _, name in lines
                if kind in ("Depends", "PreDepends") and not name.startswith("<")]

    def download(self, *packages: str) -> list[Path]:
        """These alone."""
        self._run("apt-get", "download", *packages)
        return sorted(self._got.glob("*.deb"))

    def download_all(self, suite: str, *packages: str) -> list[Path]:
        """These, of that suite if it has them, and whatever they depend on."""
        self._run("apt-get", "-y", "--no-install-recommends", "--download-only", "-t", suite,
                  "install", *packages)
        return sorted(self._archives.glob("*.deb"))


def unpack(packages: Iterable[Path], root: Path) -> None:
    """Their files below a directory; no script of theirs runs."""
    root.mkdir(parents=True, exist_ok=True)
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, root], check=True, timeout=COMMAND_S, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def reason(error: Exception) -> str:
    """What apt has to say, in a line."""
    output = getattr(error, "stdout", None) or str(error)
    lines = [line for line in str(output).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or [type(error).__name__])[0]
