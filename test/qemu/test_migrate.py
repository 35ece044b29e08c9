# SPDX-License-Identifier: BSD-3-Clause
"""Migrations back and forth of a guest under traffic; its memory compared; nothing leaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lm_harness.migrate import PHASES
from lm_harness.scenario import Run, Runner

WARM_UP = 2               # migrations until every buffer that is made once has been made
RSS_SLACK_BYTES = 2 << 20  # malloc's arenas and a guest's page tables breathe


@dataclass
class Usage:
    """What a process holds between two migrations."""

    fds: int
    anon_bytes: int


def usage(runner: Runner) -> dict[str, Usage]:
    return {name: Usage(proc.fd_count(), proc.memory_bytes()[0])
            for name, proc in runner.testbed.processes().items()}


def check(run: Run, queues: int = 1) -> None:
    """See lm_harness.report.checks() for the order with several queue pairs."""
    frames = run.frames.as_json()
    assert frames["unexplained"] == 0, frames
    assert frames["corrupt"] == 0, frames
    assert frames["duplicated"] == 0, frames
    assert frames["reordered"] == 0 or queues > 1, frames
    assert frames["received"] > 0, frames


@pytest.mark.deadline(900)
@pytest.mark.parametrize("queues", [1, 4])
def test_back_and_forth(runner: Callable[..., Runner], queues: int, migrations: int) -> None:
    """
    Catches: a migration that works once only; descriptors, mappings or memory that stay behind;
    frames lost without a counter; rules of virtio broken when a queue changes its owner.
    """
    run = runner(queues=queues)
    seen: list[dict[str, Usage]] = []
    for _ in range(migrations):
        check(run.run(), queues)
        # Both ways are one period: a back end holds other things with a guest than without.
        if run.here == "A":
            seen.append(usage(run))
    total, rules = run.violations()
    assert total == 0, rules
    first, last = seen[min(WARM_UP // 2, len(seen) - 1)], seen[-1]
    for name, now in last.items():
        assert now.fds == first[name].fds, f"{name}: fds {[s[name].fds for s in seen]}"
        grown = now.anon_bytes - first[name].anon_bytes
        assert grown <= RSS_SLACK_BYTES, f"{name}: memory {[s[name].anon_bytes for s in seen]}"
    run.testbed.finish()


@pytest.mark.deadline(300)
@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_cancelled_everywhere(runner: Callable[..., Runner], packed: bool) -> None:
    """
    A migration is cancelled in each of QEMU's phases, before and after the guest was stopped, and
    fails once because its destination dies. Catches: logging that stays on, a source that does not
    start again or at another index, a next migration that does not work.
    """
    run = runner(device_options="packed=on" if packed else "")
    for phase in PHASES:
        gone = run.cancel(phase)
        frames = gone.frames.as_json()
        ended = "failed" if phase == "failed" else "cancelled"
        assert gone.status == ended, f"{phase}: {gone.status}: {gone.error}"
        assert gone.logging == "off", phase
        assert gone.modes == ["relay-permanent" if packed else "relay"] * 2, phase
        lost = frames["unexplained"], frames["corrupt"], frames["duplicated"]
        assert lost == (0, 0, 0), f"{phase}: {frames}"
        assert frames["received"] > 0, f"{phase}: {frames}"
    check(run.run())
    check(run.run(held=True))
    assert run.runs[-1].ram is not None and run.runs[-1].ram.different == 0
    total, rules = run.violations()
    assert total == 0, rules
    run.testbed.finish()


@pytest.mark.deadline(400)
def test_direct_again(runner: Callable[..., Runner]) -> None:
    """After a migration, and past the wrap of its indices, the guest's rings are the function's."""
    run = runner()
    run.run()
    assert run.until_direct() > 0
    frames = run.runs[-1].frames.as_json()
    assert frames["unexplained"] == frames["corrupt"] == frames["duplicated"] == 0, frames
    check(run.run())
    total, rules = run.violations()
    assert total == 0, rules
    run.testbed.finish()


@pytest.mark.deadline(300)
@pytest.mark.parametrize("queues", [1, 4])
def test_memory_is_equal(runner: Callable[..., Runner], queues: int) -> None:
    """
    Catches: a page that the device or the relay wrote and nobody marked. The second half breaks
    the log on purpose and must see pages differ; else the first half proves nothing.
    """
    run = runner(queues=queues)
    check(run.run(), queues)
    run.spoil_idle_side()
    held = run.run(held=True)
    check(held, queues)
    assert held.ram is not None
    assert held.ram.nonzero > 1000
    assert held.ram.different == 0, [hex(p * 4096) for p in held.ram.listed]
    assert run.negative_control().different > 0
    total, rules = run.violations()
    assert total == 0, rules
    run.testbed.finish()


@pytest.mark.deadline(300)
@pytest.mark.parametrize("options", ["page-per-vq=on", "guest_announce=off", "mrg_rxbuf=off",
                                     "indirect_desc=off,event_idx=off"])
def test_guest_features(runner: Callable[..., Runner], options: str) -> None:
    """
    Catches: a path that only one set of negotiated features takes: doorbell pages, RARP by the
    back end (without guest announcements the switch learns the place from it alone), big
    buffers, notifications without event indices.
    """
    run = runner(device_options=options)
    check(run.run())
    check(run.run())
    total, rules = run.violations()
    assert total == 0, rules


@pytest.mark.deadline(300)
def test_doorbell_pages(runner: Callable[..., Runner]) -> None:
    """
    Stock QEMU maps the doorbell pages of direct queues into the guest, and gives them back when
    logging starts. Catches: kicks that get lost while a page is on its way.
    """
    run = runner(device_options="page-per-vq=on", devargs="notifiers=1",
                 model_options=("--notify-guest",))
    a = run.testbed.sides["A"]
    assert a.telemetry is not None and a.model_control is not None

    def doorbells(wanted: str) -> None:
        deadline = time.monotonic() + 10
        while True:
            assert a.telemetry is not None
            info = a.telemetry.get(f"/lm/info,{a.device}")
            if [info["doorbell0"], info["doorbell1"]] == [wanted] * 2:
                return
            assert time.monotonic() < deadline, info

    doorbells("mapped")

    def flow(where: str) -> None:
        run.testbed.generator().request("start")
        run.flow(200, where)

    flow("A, kicks into the page")
    assert a.model_control.stats()["queues"][1]["doorbell"] == "store"
    run.cancel("active")
    doorbells("no")
    flow("A, relayed")
    check(run.run())
    flow("B")
    check(run.run())
    total, rules = run.violations()
    assert total == 0, rules
    run.testbed.finish()
