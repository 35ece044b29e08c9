# SPDX-License-Identifier: BSD-3-Clause
"""For all pytest suites: the build under test, a deadline for each test, processes that end."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "usertools"))

from lm_harness import HarnessError  # noqa: E402
from lm_harness.process import Process  # noqa: E402

DEADLINE_S = 60


@pytest.fixture(autouse=True)
def _deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may hang: it is interrupted, its fixtures clean up, all stacks are shown."""
    marker = request.node.get_closest_marker("deadline")
    seconds = int(marker.args[0]) if marker else DEADLINE_S

    def expired(_signum: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback(all_threads=True)
        raise HarnessError(f"{request.node.name}: still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def build_dir() -> Path:
    """Where ninja has built: $DPDK_LM_BUILD, else build/."""
    path = Path(os.environ.get("DPDK_LM_BUILD", TOP / "build")).resolve()
    if not (path / "build.ninja").is_file():
        pytest.exit(f"no build in {path}; run 'make', or set DPDK_LM_BUILD", 2)
    return path


@pytest.fixture(scope="session")
def program(build_dir: Path) -> Callable[[str], Path]:
    """Path of one of our programs in the build directory."""

    def find(name: str) -> Path:
        found = [p for p in (build_dir / "app").glob(f"**/{name}") if p.is_file()]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]

    return find


@pytest.fixture
def trace(request: pytest.FixtureRequest, build_dir: Path) -> Callable[[str], list[str]]:
    """trace(card): a model's options, so that devtools/judged.py sees what the judge has used.

    The judge is the foreign code that the test's marker names; without one there are no options.
    A marker "client" names the vfio-user client, where that is foreign too.
    """

    def options(card: str) -> list[str]:
        marker = request.node.get_closest_marker("judge")
        if marker is None or not marker.args[0]:
            return []
        client = request.node.get_closest_marker("client")
        path = build_dir / "results/traces" / marker.args[0]
        path = path.joinpath(*(client.args if client else ()))
        path.mkdir(parents=True, exist_ok=True)
        return ["--trace", str(path / f"{request.node.path.stem}::{request.node.name}.{card}.json")]

    return options


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """launch(name, argv...): a Process that is ended after the test, whatever happens."""
    with ExitStack() as stack:

        def start(name: str, *argv: object, env: dict[str, str] | None = None) -> Process:
            proc = Process(name, [str(a) for a in argv], tmp_path / f"{name}.log", env)
            stack.callback(proc.close)
            return proc

        yield start
