# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own examples/vdpa, built here from the SDK source, runs with our plugin."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lm_harness.process import Process

import vhost_frontend as vf
from vdpa_bench import Bench, Traffic


def example_source(build_dir: Path) -> Path:
    options = json.loads(subprocess.run(
        ["meson", "introspect", "--buildoptions", build_dir], capture_output=True, check=True,
        timeout=30).stdout)
    source = next(o["value"] for o in options if o["name"] == "dpdk_source")
    folder = Path(source) / "examples" / "vdpa"
    if not folder.is_dir():
        pytest.skip("no DPDK source: configured without -Ddpdk_source")
    return folder


@pytest.fixture
def example(build_dir: Path, tmp_path: Path) -> Path:
    """The program, built outside of both trees."""
    if os.environ.get("DPDK_LM_SANITIZED"):
        pytest.skip("a sanitized plugin wants a sanitized program")
    folder = example_source(build_dir)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libdpdk"], capture_output=True,
                           text=True, check=True, timeout=10).stdout.split()
    program = tmp_path / "vdpa"
    subprocess.run(["cc", "-O1", "-w", "-DALLOW_EXPERIMENTAL_API", "-o", program,
                    folder / "main.c", *flags], check=True, timeout=50, cwd=tmp_path)
    return program


def test_example_runs_with_plugin(launch: Callable[..., Process], program: Callable[[str], Path],
                                  build_dir: Path, tmp_path: Path, example: Path) -> None:
    """
    Steps: the example takes the place of dpdk-test-lm; a VM attaches, sends, and migrates.

    Verify: it finds the device by class, frames come back, positions are returned, and it ends
    in order.
    """
    b = Bench(launch, program, tmp_path)
    b.telemetry.close()
    b.backend.stop()
    run = tmp_path / "run"
    run.mkdir()
    plugin = build_dir / "drivers/vdpa/virtio_pci/liblm_vdpa_virtio_pci.so"
    # Its own way out, 'q', and not a signal: its handler prints, which can lock it up.
    keys = tmp_path / "keys"
    os.mkfifo(keys)
    keyboard = os.open(keys, os.O_RDWR)
    app = launch("example", "sh", "-c", 'exec stdbuf -oL "$@" <"$0"', keys, example,
                 "--no-huge", "-m", "64", "--no-pci", "--file-prefix", "example",
                 "-d", plugin, "--vdev",
                 f"vdpa_virtio_pci0,socket={b.vfu}", "--", "--iface", tmp_path / "sock",
                 env={"RUNTIME_DIRECTORY": str(run)})
    # Not when the socket is there, nor when it is bound: it listens before it asks for keys.
    app.wait_line("enter 'q' to quit", 15)
    vm = vf.Frontend(str(tmp_path / "sock0"))
    vm.connect()
    vm.fill_rx()
    vm.start()
    app.wait_line("new port", 5)
    t = Traffic(vm)
    t.run(200)
    vm.lm_begin()
    t.run(200)
    t.check_complete()
    assert vm.stop() == [400, 400]
    vm.destroy()
    os.write(keyboard, b"q\n")
    assert app.wait(10) == 0
    os.close(keyboard)
    assert b.control.stats()["violations"] == 0
    b.control.close()
    b.model.stop()
