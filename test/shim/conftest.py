# SPDX-License-Identifier: BSD-3-Clause
"""For programs under the shim: a model with a cable whose far end is the test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "py"))

from lm_harness.process import Process  # noqa: E402

from shim_rig import Rig  # noqa: E402


@pytest.fixture
def rig(tmp_path: Path, build_dir: Path, launch: Callable[..., Process],
        program: Callable[[str], Path], trace: Callable[[str], list[str]]) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, tmp_path, build_dir, launch, program, trace)
