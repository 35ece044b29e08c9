# SPDX-License-Identifier: BSD-3-Clause
"""Testbeds with real guests; the guest image is made once per session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lm_harness.screen import Screen
from lm_harness.scenario import Runner
from lm_harness.testbed import Config, Testbed, build_guest_image


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--migrations", type=int, default=5, metavar="N",
                     help="migrations per configuration, back and forth")


@pytest.fixture(scope="session")
def migrations(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--migrations"))


@pytest.fixture(scope="session")
def guest_image(build_dir: Path) -> tuple[Path, Path]:
    return build_guest_image(build_dir)


@pytest.fixture
def testbed(build_dir: Path, guest_image: tuple[Path, Path], tmp_path: Path
            ) -> Iterator[Callable[..., Testbed]]:
    """testbed(queues=..., ...): a Testbed, not started; gone after the test."""
    assert guest_image[0].is_file()
    with ExitStack() as stack:

        def make(**config: Any) -> Testbed:
            return stack.enter_context(
                Testbed(Config(build_dir=build_dir, log_dir=tmp_path / "logs", **config)))

        yield make


@pytest.fixture
def runner(testbed: Callable[..., Testbed]) -> Callable[..., Runner]:
    """runner(...): everything is up and the guest has booted on side A."""

    def make(**config: Any) -> Runner:
        bed = testbed(**config)
        bed.start()
        run = Runner(bed, Screen(quiet=True), seconds=0.2)
        run.boot()
        return run

    return make
