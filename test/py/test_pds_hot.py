# SPDX-License-Identifier: BSD-3-Clause
"""
Running queues of net_pds move between processes, under traffic, again and again: the device's state
by its PF, what the driver knows by its record. DPDK_LM_HOT=N: so many migrations (default 20).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lm_harness import HarnessError
from lm_harness.base import Deadline
from lm_harness.pds import Move, PdsBed, PdsConfig, percentile

MOVES = int(os.environ.get("DPDK_LM_HOT", "20"))
CPU_P50_MS = 5.0


@contextmanager
def _bed(build_dir: Path, log_dir: Path, **options: object) -> Iterator[PdsBed]:
    with PdsBed(PdsConfig(build_dir, log_dir, **options)) as bed:  # type: ignore[arg-type]
        yield bed


def answered(bed: PdsBed, count: int) -> None:
    deadline = Deadline(20, f"{count} answers")
    while bed.answered() < count:
        deadline.left()


def account(bed: PdsBed) -> None:
    """Each frame is here or was dropped for a reason; none is wrong, and no rule is broken."""
    frames = bed.frames()
    assert frames.unexplained == 0, frames
    assert (frames.corrupt, frames.duplicated, frames.reordered) == (0, 0, 0), frames
    assert frames.received > 0
    # By a device that is stopped, or was left, and where nobody emptied a ring in time; else it
    # was lost on the way.
    reasons = {k.split(".")[1] for k, v in frames.dropped.items() if v}
    assert reasons <= {"rx_suspended", "rx_not_running", "rx_no_buffer"}, frames
    assert bed.violations() == {}


@pytest.mark.deadline(60 + 4 * MOVES)
@pytest.mark.parametrize("queues", [1, 8])
def test_hot_migrations(build_dir: Path, tmp_path: Path, queues: int) -> None:
    moves: list[Move] = []
    with _bed(build_dir, tmp_path, queues=queues) as bed:
        bed.start_traffic()
        answered(bed, 500)
        for _ in range(MOVES):
            moves.append(bed.migrate())
            answered(bed, 200)
        account(bed)
    assert {m.source["downtime-session-round-trips"] for m in moves} == {2}
    assert max(m.source["devices"][0]["downtime-round-trips"] for m in moves) <= 9
    cpu = percentile([sum(m.cpu_ms().values()) for m in moves], 0.5)
    wall = percentile([m.downtime_ms for m in moves], 0.5)
    (tmp_path / "downtime.json").write_text(json.dumps({"cpu_p50": cpu, "wall_p50": wall}))
    assert cpu <= CPU_P50_MS, f"{cpu:.2f} ms of CPU time, {wall:.2f} ms on the clock"


def test_with_precopy(build_dir: Path, tmp_path: Path) -> None:
    """Buffers go before the stop, under the device's log and that of CPU writes."""
    with _bed(build_dir, tmp_path, queues=2, forward_options=["--precopy"]) as bed:
        bed.start_traffic()
        answered(bed, 500)
        for _ in range(4):
            move = bed.migrate()
            assert move.source["ram"]["dirty-sync-count"] >= 1
            answered(bed, 200)
        account(bed)


@pytest.mark.parametrize("spec", ["lm-status=18:12", "lm-status=21:10", "lm-status=19:3"])
def test_source_takes_back(build_dir: Path, tmp_path: Path, spec: str) -> None:
    """A device that refuses: the port goes on where it is, and the next migration works."""
    with _bed(build_dir, tmp_path, queues=4) as bed:
        bed.start_traffic()
        answered(bed, 500)
        bed.models["a"].request("fault", function=0, spec=spec)
        with pytest.raises(HarnessError, match="failed"):
            bed.migrate()
        answered(bed, bed.answered() + 500)
        bed.migrate()
        answered(bed, 200)
        account(bed)


@pytest.mark.parametrize("spec", ["lm-status=22:14", "lm-status=18:4"])
def test_destination_refuses(build_dir: Path, tmp_path: Path, spec: str) -> None:
    with _bed(build_dir, tmp_path, queues=4) as bed:
        bed.start_traffic()
        answered(bed, 500)
        bed.models["b"].request("fault", function=0, spec=spec)
        with pytest.raises(HarnessError, match="failed"):
            bed.migrate()
        answered(bed, bed.answered() + 500)
        bed.migrate()
        answered(bed, 200)
        account(bed)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("host", ["a", "b"])
def test_owner_hangs(build_dir: Path, tmp_path: Path, host: str) -> None:
    """A PF's owner that answers nobody costs a deadline; then the source forwards as before."""
    with _bed(build_dir, tmp_path, queues=2) as bed:
        bed.start_traffic()
        answered(bed, 500)
        bed.owners[host].popen.send_signal(signal.SIGSTOP)
        with pytest.raises(HarnessError):
            bed.migrate()
        bed.owners[host].popen.send_signal(signal.SIGCONT)
        answered(bed, bed.answered() + 500)
        bed.migrate()
        answered(bed, 200)
        account(bed)


def test_other_queues_are_refused(build_dir: Path, tmp_path: Path) -> None:
    """A destination that is set up another way is refused before anything stops."""
    with _bed(build_dir, tmp_path, queues=2) as bed:
        bed.start_traffic()
        answered(bed, 500)
        bed.config.queues = 1
        with pytest.raises(HarnessError, match="window"):
            bed.migrate()
        bed.config.queues = 2
        answered(bed, bed.answered() + 100)
        bed.migrate()
        answered(bed, 100)
        account(bed)
