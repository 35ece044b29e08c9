# SPDX-License-Identifier: BSD-3-Clause
"""The vDPA driver: who runs the relays, and how many devices one of them can serve."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lm_harness.control import Telemetry
from lm_harness.process import Process

import vhost_frontend as vf
from vdpa_bench import READY_S, Bench, Traffic, attach, relayed

DEVICES = 16


def test_service_core(bench: Callable[..., Bench]) -> None:
    """With a service core the relays are a service of it, which says that it is busy for ever."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU: no service core")
    b = bench(eal="-l 0,1 -S 1")
    assert b.info()["relays_run_by"].startswith("service ")
    assert any("relays are polled by service core 1" in line for line in b.backend.lines())
    for _ in range(2):
        vm = attach(b)
        t = Traffic(vm)
        t.run(50)
        vm.lm_begin()
        assert b.modes() == relayed()
        t.run(200)
        t.check_complete()
        vm.stop()
        vm.destroy()
    assert b.stats()["sleeps"] == 0
    b.check()
    b.end()


def guests(backend: Process, vhosts: list[Path], telemetry: Telemetry) -> None:
    """All attach, are relayed with logging, send, migrate away, and leave in another order."""
    vms = []
    for i, path in enumerate(vhosts):
        memory = vf.Memory(4 << 20, 1 << 20)
        vm = vf.Frontend(str(path), memory=memory, size=32, packed=i % 3 == 0)
        vm.connect()
        vm.fill_rx()
        vm.start()
        vms.append((vm, Traffic(vm, window=8)))
    for _ in range(3):
        for vm, t in vms:
            t.run(20)
    for vm, _ in vms:
        vm.lm_begin()
    for _ in range(3):
        for vm, t in vms:
            t.run(20)
    for i in range(DEVICES):
        info = telemetry.get(f"/lm/info,vdpa_virtio_pci{i}")
        assert info["logging"] == "on" and info["queue0"].startswith("relay"), info
    for vm, t in reversed(vms):
        t.check_complete()
        assert vm.stop() == [r.base() for r in vm.rings]
        vm.destroy()
    backend.check_alive()


@pytest.mark.deadline(120)
@pytest.mark.parametrize("shared", [False, True])
def test_sixteen_guests(launch: Callable[..., Process], program: Callable[[str], Path],
                        tmp_path: Path, shared: bool) -> None:
    """
    Sixteen guests' devices in one process, each with a thread of its own, or all with one.

    Catches: a worker that serves one device only, devices that find each other's queues, a leave
    that disturbs the others, threads that stay behind or poll although nothing moves.
    """
    models = []
    argv: list[object] = [program("dpdk-test-lm"), "serve", "--file-prefix", "many"]
    vhosts = [tmp_path / f"vhost{i}" for i in range(DEVICES)]
    for i, vhost in enumerate(vhosts):
        models.append(launch(f"model{i}", program("dpdk-lm-devmodel"), "virtio-net", "--socket",
                             tmp_path / f"vfu{i}", "--wire", "loop"))
        device = f"socket={tmp_path / f'vfu{i}'}" + (",relay_thread=3" if shared else "")
        argv += ["--device", device, "--vhost", vhost]
    for model in models:
        model.wait_line("^ready", READY_S)
    backend = launch("backend", *argv, env={"RUNTIME_DIRECTORY": str(tmp_path)})
    for vhost in vhosts:
        backend.wait_line(f"^ready {vhost}", READY_S)
    telemetry = Telemetry("back end", str(tmp_path / "dpdk" / "many" / "dpdk_telemetry.v2"))
    tasks = Path(f"/proc/{backend.pid}/task")
    names = [(task / "comm").read_text().strip() for task in tasks.iterdir()]
    assert names.count("lm-relay") == (1 if shared else DEVICES), names
    guests(backend, vhosts, telemetry)
    guests(backend, vhosts, telemetry)
    before = backend.cpu_seconds()
    time.sleep(0.5)
    assert backend.cpu_seconds() - before < 0.1, "something polls although nothing moves"
    telemetry.close()
    backend.stop()
    for model in models:
        model.stop()
