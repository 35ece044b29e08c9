# SPDX-License-Identifier: BSD-3-Clause
"""The demo as a user runs it: it passes, its report has every documented field, nothing stays."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
FIELDS = ("schema", "result", "total_ms", "downtime_ms", "blackout_ms", "switch_gap_us", "frames",
          "ram", "dirty_pages", "modes", "phases", "model_violations", "negative_control",
          "samples", "migrations", "checks", "failed_checks", "spread", "config", "host")


@pytest.mark.deadline(150)
@pytest.mark.parametrize("options", [
    (), ("--packed",), ("--queues", "4", "--repeat", "2", "--rate", "1000")])
def test_demo(build_dir: Path, options: tuple[str, ...]) -> None:
    """Catches: a report without its fields, a picture or a clean-up that is missing."""
    with tempfile.TemporaryDirectory(prefix="lmt-") as name:
        tmp = Path(name)
        run = subprocess.run(
            [sys.executable, str(TOP / "usertools" / "dpdk-lm-demo.py"), "--build-dir",
             str(build_dir), "--out", str(tmp / "r.json"), *options], text=True, timeout=140,
            capture_output=True, check=False, env={**os.environ, "DPDK_LM_TMP": name})
        assert run.returncode == 0, run.stdout + run.stderr
        report = json.loads((tmp / "r.json").read_text())
        assert not [f for f in FIELDS if f not in report]
        documented = (TOP / "doc" / "demo-report.md").read_text()
        missing = [f for f in report if f"`{f}`" not in documented]
        assert not missing, f"not documented: {missing}"
        assert report["result"] == "pass" and report["failed_checks"] == []
        assert report["frames"]["unexplained"] == 0 and report["ram"]["different"] == 0
        assert report["negative_control"]["different"] > 0
        modes = {m["mode"] for m in report["modes"]}
        assert modes == ({"relay", "off"} if "--packed" in options else {"direct", "relay", "off"})
        assert max(map(len, run.stdout.splitlines())) <= 80 and "\033" not in run.stdout
        assert not list(tmp.glob("dpdk-lm-*")), "its directory stayed behind"
        if importlib.util.find_spec("matplotlib") is None:
            assert re.search(r"frames/s +\|", run.stdout)
        else:
            assert (tmp / "r.png").stat().st_size > 10000
