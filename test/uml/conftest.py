# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: Linux for user mode, booted with models as its cards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from lm_harness import HarnessError
from lm_harness.control import Control
from lm_harness.process import Process
from uml_guest import Uml
from uml_machine import Boot, Cable, Card, CardSpec, Machine, Traffic
from virtio_features import RINGS, without

HERE = Path(__file__).resolve().parent
BUILD_S = 2400
UNAVAILABLE = 77


@pytest.fixture(scope="session", name="kernel")
def fixture_kernel(request: pytest.FixtureRequest, build_dir: Path,
                   tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linux as a program, from the cache or built now; a skip that says why there is none."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        done = subprocess.run([HERE / "build-uml.sh"], stdout=subprocess.PIPE, text=True,
                              timeout=BUILD_S, check=False)
    if done.returncode == UNAVAILABLE:
        pytest.skip("no kernel for user mode: its source cannot be had here")
    assert done.returncode == 0, "build-uml.sh failed"
    kernel = Path(done.stdout.strip())
    try:  # without devices: what fails here is the machine's (seccomp, /dev/shm), not a model's
        Uml(kernel, build_dir / "test/uml", [], tmp_path_factory.mktemp("alone")).poweroff()
    except HarnessError as error:
        pytest.skip(f"Linux does not run as a process here: {error}")
    return kernel


@pytest.fixture(name="boot")
def fixture_boot(kernel: Path, build_dir: Path, program: Callable[[str], Path],
                 launch: Callable[..., Process], tmp_path: Path, trace: Callable[[str], list[str]]
                 ) -> Iterator[Boot]:
    """boot(options of a virtio-net function, or a CardSpec, ...; cpus=...): Linux with these."""
    tools = build_dir / "test/uml"
    with ExitStack() as stack:

        def card(number: int, spec: CardSpec) -> tuple[Card, list[Path]]:
            name = f"card{number}"
            ctl = tmp_path / f"{name}.ctl"
            functions = range(1 + spec.vfs)
            sockets = [tmp_path / f"{name}.{i}.vfu" for i in functions]
            model = launch(f"{name}.model", program("dpdk-lm-devmodel"), spec.device, "--control",
                           ctl, *(word for path in sockets for word in ("--socket", path)),
                           *trace(name), *spec.options)
            model.wait_line("^ready ", 10)
            uml = [tmp_path / f"{name}.{i}.uml" for i in functions]
            bridges = []
            for i in functions:
                bridges.append(launch(f"{name}.bridge{i}", tools / "uml-bridge",
                                      *(["--vf"] if i else []), uml[i], sockets[i]))
                bridges[i].wait_line("^ready ", 10)
            control = Control(name, str(ctl))
            stack.callback(control.close)
            return Card(name, model, bridges, control), uml

        def start(*specs: CardSpec | Sequence[str], cpus: int = 1, memory_mib: int = 192
                  ) -> Machine:
            cards = [card(i, s if isinstance(s, CardSpec) else CardSpec("virtio-net", 0, s))
                     for i, s in enumerate(specs)]
            sockets = [path for _, paths in cards for path in paths]
            linux = Uml(kernel, tools, sockets, tmp_path, cpus, memory_mib)
            stack.callback(linux.close)
            return Machine(linux, [c for c, _ in cards])

        yield start


@pytest.fixture(name="traffic")
def fixture_traffic(program: Callable[[str], Path], launch: Callable[..., Process], tmp_path: Path
                    ) -> Iterator[Callable[..., Traffic]]:
    """traffic(MAC of Linux's card, options...): a generator that waits for its start."""
    with ExitStack() as stack:

        def start(mac: str, *options: str) -> Traffic:
            path, ctl = tmp_path / "cable", tmp_path / "traffic.ctl"
            process = launch("traffic", program("dpdk-lm-traffic"), "--port", f"A={path}",
                             "--guest-mac", mac, "--control", ctl, *options)
            process.wait_line("^ready$", 10)
            control = Control("traffic", str(ctl))
            stack.callback(control.close)
            return Traffic(f"link:{path}", control)

        yield start


@pytest.fixture(name="cable")
def fixture_cable(tmp_path: Path) -> Iterator[Cable]:
    """A cable whose far end is the test's."""
    cable = Cable(tmp_path / "cable")
    yield cable
    cable.close()


@pytest.fixture(name="ring", params=RINGS)
def fixture_ring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The model's option for one kind of rings."""
    return "--features", without(*RINGS[request.param])
