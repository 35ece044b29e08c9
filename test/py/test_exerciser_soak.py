# SPDX-License-Identifier: BSD-3-Clause
"""Exercisers under full storm, with a CPU that writes, migrated again and again.

Each migration is checked page by page at its end. DPDK_LM_SOAK=1 runs all of them; else a part.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lm_harness.process import Process

from test_migrate_cli import Bench, _bench  # noqa: F401

ALL = os.environ.get("DPDK_LM_SOAK") == "1"
RUNS = {"1M": (200, 8), "100M": (10, 1), "2G": (2, 0)}
SETTLED = 5  # migrations after which nothing grows any more


def usage(process: Process) -> tuple[int, int]:
    """Open descriptors, and resident kilobytes."""
    proc = Path(f"/proc/{process.pid}")
    status = (proc / "status").read_text(encoding="ascii")
    return len(list((proc / "fd").iterdir())), int(status.split("VmRSS:")[1].split()[0])


def model(bench: Bench, side: str, *options: str) -> tuple[Process, list[Path]]:
    sockets = bench.model(side, *options)
    return next(p for p in reversed(Process.started) if p.name == f"model-{side}"), sockets


def migrate(bench: Bench, source: list[Path], destination: list[Path], *options: str) -> None:
    """One migration; nothing may be lost."""
    receive, address = bench.receive(destination)
    send = bench.send(source, address, "--load-ms", "50", *options)
    assert send.wait(120) == 0
    assert receive.wait(30) == 0
    check = bench.report("dst")["check"]
    assert check["lost"] == check["cpu-lost"] == 0, check["first"]
    assert check["device-pages"] > 0 and check["cpu-pages"] > 0
    receive.close()
    send.close()


@pytest.mark.deadline(1500)
@pytest.mark.parametrize("state", RUNS)
def test_soak(bench: Bench, state: str) -> None:
    """
    Steps: one device of so much state, back and forth between two models.

    Verify: no page and no counter is lost in any; the models hold no more descriptors and hardly
    more memory at the end than after the first few.
    """
    count = RUNS[state][0 if ALL else 1]
    if count == 0:
        pytest.skip(f"{state} of state takes long: with DPDK_LM_SOAK=1, in make test-all")
    one, a = model(bench, "source", "--option", f"state={state}")
    two, b = model(bench, "destination", "--option", f"state={state}")
    settled = []
    for turn in range(count):
        migrate(bench, *((a, b) if turn % 2 == 0 else (b, a)), "--downtime", "30000")
        if turn == min(SETTLED, count - 1):
            settled = [usage(one), usage(two)]
    for (fds, rss), process in zip(settled, (one, two)):
        now_fds, now_rss = usage(process)
        assert now_fds == fds
        assert now_rss <= rss * 1.1 + 1024, f"{rss} kB, now {now_rss} kB"
    print(f"{count} migrations of {state}, 0 pages lost")


def test_strict(bench: Bench) -> None:
    """What libvfio-user refuses is never asked: twice there and back, a reset of each between."""
    _, a = model(bench, "source", "--option", "strict=1")
    _, b = model(bench, "destination", "--option", "strict=1")
    for turn in range(4):
        migrate(bench, *((a, b) if turn % 2 == 0 else (b, a)))
