# SPDX-License-Identifier: BSD-3-Clause
"""Receive interrupts of net_pds: an application that sleeps, and frames that wake it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lm_harness.process import Process

from test_net_pds import MAC, PEER, Rig, frames, rig  # noqa: F401 pylint: disable=unused-import
from testpmd import READY_S


@pytest.fixture
def sleeper(rig: Rig, tmp_path: Path, build_dir: Path,  # noqa: F811
            launch: Callable[..., Process]) -> Callable[[int], Process]:
    """An application with so many queues, on the rig's function."""

    def start(queues: int) -> Process:
        rig.start_model("--queue-pairs", queues)
        process = launch("rx-intr", build_dir / "test/py/rx-intr", "-l", "0", "--no-huge", "-m",
                         "64", "--iova-mode=va", "--no-telemetry", "--no-shconf", "--no-pci",
                         "-d", rig.plugin, "--vdev", f"net_pds0,socket={tmp_path}/vf", "--",
                         queues)
        process.wait_line("^ready$", READY_S)
        return process

    return start


def asleep(process: Process, after: int) -> int:
    """Wait until it sleeps, having seen so many frames; a position in its output."""
    at = process.mark()
    process.wait_line(f"^asleep {after}$", READY_S)
    return at


def cpu_ticks(process: Process) -> int:
    """User time and system time so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_one_by_one(rig: Rig, sleeper: Callable[[int], Process]) -> None:  # noqa: F811
    """Each frame finds the application asleep, wakes it once, and comes back."""
    process = sleeper(1)
    for number, frame in enumerate(frames(100)):
        at = asleep(process, number)
        assert rig.cable.echo([frame]) == [frame]
        process.wait_line("^woke 0$", READY_S, at)
    rig.check()


def test_nothing_is_missed(rig: Rig, sleeper: Callable[[int], Process]) -> None:  # noqa: F811
    """Frames that come at any moment, also between the last poll and the arming, come back."""
    process = sleeper(1)
    sent = frames(3000, 60, 120)
    for window in (1, 2, 3):
        assert rig.cable.echo(sent, window=window) == sent
    assert any(line == "woke 0" for line in process.lines())
    rig.check()


def test_sleep_is_sleep(rig: Rig, sleeper: Callable[[int], Process]) -> None:  # noqa: F811
    """
    Without frames it uses no processor: the interrupt does not repeat itself.

    One may follow, for frames that were polled while the interrupt was off.
    """
    process = sleeper(1)
    sent = frames(10)
    assert rig.cable.echo(sent) == sent
    asleep(process, len(sent))
    lines = process.mark()
    before = cpu_ticks(process)
    assert rig.cable.nothing(1.0)
    assert len(process.lines(lines)) <= 2, "it wakes again and again"
    assert cpu_ticks(process) - before <= 2
    rig.check()


def test_the_right_queue(rig: Rig, sleeper: Callable[[int], Process]) -> None:  # noqa: F811
    """With four queues only that one interrupts which has the flow; all four are seen."""
    process = sleeper(4)
    woken: set[str] = set()
    for port in range(64):
        at = asleep(process, port)
        frame = bytes(Ether(dst=MAC, src=PEER) / IP(src="10.0.0.1", dst="10.0.0.2") /
                      UDP(sport=1000 + port, dport=7) / Raw(bytes(20)))
        assert rig.cable.echo([frame]) == [frame]
        asleep(process, port + 1)
        woke = {line for line in process.lines(at) if line.startswith("woke")}
        assert len(woke) == 1, woke
        woken |= woke
    assert len(woken) == 4, woken
    rig.check()
