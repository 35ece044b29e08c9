# SPDX-License-Identifier: BSD-3-Clause
"""The demo's command line: wrong input, missing parts, Ctrl-C at any time; nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
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


@pytest.mark.parametrize("args, words", [
    (["--queues", "0"], "--queues"), (["--queues", "9"], "--queues"),
    (["--rate", "fast"], "--rate"), (["--repeat", "-1"], "--repeat"),
    (["--build-dir", "/nonexistent"], "/nonexistent"), (["--nonsense"], "--nonsense")])
def test_usage(tmp_path: Path, args: list[str], words: str) -> None:
    """Catches: a traceback, or an error that does not name its option."""
    run = demo(tmp_path, *args)
    assert run.returncode == 2
    assert words in run.stderr and "Traceback" not in run.stderr


def test_not_built(tmp_path: Path) -> None:
    """Catches: an error without the next step; a report that says 'pass' or is not written."""
    (tmp_path / "b").mkdir()
    run = demo(tmp_path, "--build-dir", "b")
    assert run.returncode == 1
    assert "dpdk-lm-traffic" in run.stdout and "ninja" in run.stdout
    report = json.loads((tmp_path / "b" / "demo-report.json").read_text())
    assert report["result"] == "fail" and report["failed_checks"]
    assert not list(tmp_path.glob("dpdk-lm-*"))


def test_no_qemu(tmp_path: Path, build_dir: Path, guest_image: object) -> None:
    """Catches: a failure in the middle that leaves processes or files; the wrong one blamed."""
    assert guest_image
    run = demo(tmp_path, "--build-dir", build_dir, "--out", tmp_path / "r.json",
               DPDK_LM_QEMU="/nonexistent/qemu")
    assert run.returncode == 1, run.stdout
    assert "/nonexistent/qemu" in run.stdout
    assert not list(tmp_path.glob("dpdk-lm-*")) and not processes_of(tmp_path)


@pytest.mark.deadline(100)
@pytest.mark.parametrize("phase, signum", [("booting", signal.SIGINT),
                                           ("migrating A -> B", signal.SIGINT),
                                           ("migrating A -> B", signal.SIGTERM)])
def test_interrupted(tmp_path: Path, build_dir: Path, guest_image: object,
                     launch: Callable[..., Process], phase: str, signum: int) -> None:
    """Catches: Ctrl-C that leaves processes, sockets or RAM files, or says that all is well."""
    assert guest_image
    proc = launch("demo", PYTHON, DEMO, "--build-dir", build_dir, "--out", tmp_path / "r.json",
                  env={"DPDK_LM_TMP": str(tmp_path)})
    proc.wait_line(phase, 40)
    assert processes_of(tmp_path)
    os.kill(proc.pid, signum)
    assert proc.wait(30) == 130
    assert not processes_of(tmp_path) and not list(tmp_path.glob("dpdk-lm-*"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["result"] == "fail" and report["error"] == "interrupted"
    assert not any("Traceback" in line for line in proc.lines())
