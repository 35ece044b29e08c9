# SPDX-License-Identifier: BSD-3-Clause
"""What several tests of the vDPA driver start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lm_harness.process import Process
from vdpa_bench import Bench


@pytest.fixture
def bench(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
          ) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(tag: str = "a", **options: object) -> Bench:
        made.append(Bench(launch, program, tmp_path, tag, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
