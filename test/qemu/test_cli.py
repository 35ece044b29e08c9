# SPDX-License-Identifier: BSD-3-Clause
"""The demo's command line: wrong input, missing parts, Ctrl-C at any time; nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lm_harness.process import Process

TOP = Path(__file__).resolve().parents[2]
DEMO = TOP / "usertools" / "dpdk-lm-demo.py"
PYTHON = sys.executable


def demo(tmp: Path, *args: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTHON, str(DEMO), *map(str, args)], text=True, capture_output=True,
                          timeout=50, cwd=tmp, check=False,
                          env={**os.environ, "DPDK_LM_TMP": str(tmp), **env})


def processes_of(tmp: Path) -> list[str]:
    """Command lines that name the directory: whatever works there must."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"{tmp}/dpdk-lm-" in line:
                out.append(line)
    return out


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Names of sockets are short, pytest's directories are not."""
    with tempfile.TemporaryDirectory(prefix="lmt-") as name:
        yield Path(name)


@pytest.mark.parametrize("args, words", [
    (["--queues", "0"], "--queues"), (["--queues", "9"], "--queues"),
    (["--rate", "fast"], "--rate"), (["--repeat", "-1"], "--repeat"),
    (["--build-dir", "/nonexistent"], "/nonexistent"), (["--nonsense"], "--nonsense")])
def test_usage(tmp_path: Path, args: list[str], words: str) -> None:
    """Catches: a traceback, or an error that does not name its option."""
    run = demo(tmp_path, *args)
    assert run.returncode == 2
    assert words in run.stderr and "Traceback" not in run.stderr


def test_not_built(short_tmp: Path) -> None:
    """Catches: an error without the next step; a report that says 'pass' or is not written."""
    (short_tmp / "b").mkdir()
    run = demo(short_tmp, "--build-dir", "b")
    assert run.returncode == 1
    assert "dpdk-lm-traffic" in run.stdout and "ninja" in run.stdout
    report = json.loads((short_tmp / "b" / "demo-report.json").read_text())
    assert report["result"] == "fail" and report["failed_checks"]
    assert not list(short_tmp.glob("dpdk-lm-*"))


def test_no_qemu(short_tmp: Path, build_dir: Path, guest_image: object) -> None:
    """Catches: a failure in the middle that leaves processes or files; the wrong one blamed."""
    assert guest_image
    run = demo(short_tmp, "--build-dir", build_dir, "--out", short_tmp / "r.json",
               DPDK_LM_QEMU="/nonexistent/qemu")
    assert run.returncode == 1, run.stdout
    assert "/nonexistent/qemu" in run.stdout
    assert not list(short_tmp.glob("dpdk-lm-*")) and not processes_of(short_tmp)


@pytest.mark.deadline(100)
@pytest.mark.parametrize("phase, signum", [("booting", signal.SIGINT),
                                           ("migrating A -> B", signal.SIGINT),
                                           ("migrating A -> B", signal.SIGTERM)])
def test_interrupted(short_tmp: Path, build_dir: Path, guest_image: object,
                     launch: Callable[..., Process], phase: str, signum: int) -> None:
    """Catches: Ctrl-C that leaves processes, sockets or RAM files, or says that all is well."""
    assert guest_image
    proc = launch("demo", PYTHON, DEMO, "--build-dir", build_dir, "--out", short_tmp / "r.json",
                  env={"DPDK_LM_TMP": str(short_tmp)})
    proc.wait_line(phase, 40)
    assert processes_of(short_tmp)
    os.kill(proc.pid, signum)
    assert proc.wait(30) == 130
    assert not processes_of(short_tmp) and not list(short_tmp.glob("dpdk-lm-*"))
    report = json.loads((short_tmp / "r.json").read_text())
    assert report["result"] == "fail" and report["error"] == "interrupted"
    assert not any("Traceback" in line for line in proc.lines())


def test_long_directory(tmp_path: Path, build_dir: Path) -> None:
    """Catches: 'bind: invalid argument' from some program where the name is what is wrong."""
    (tmp_path / ("d" * 80)).mkdir()
    run = demo(tmp_path, "--build-dir", build_dir, "--out", tmp_path / "r.json",
               DPDK_LM_TMP=str(tmp_path / ("d" * 80)))
    assert run.returncode == 1 and "DPDK_LM_TMP" in run.stdout
