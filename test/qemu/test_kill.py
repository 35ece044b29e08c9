# SPDX-License-Identifier: BSD-3-Clause
"""Kill -9 of every party, before and during a migration: who says what, and who gets well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lm_harness import HarnessError
from lm_harness.migrate import Sample, migrate
from lm_harness.scenario import Runner

SLOW_BYTES = 24 << 20  # a second; long enough to kill somebody in the first round
GONE = r"(?i)lost|gone|closed|disconnect|broken pipe|connection reset"

Make = Callable[..., Runner]


def traffic(runner: Runner, where: str) -> None:
    """Frames flow, to and from the guest."""
    runner.testbed.generator().request("start")
    runner.flow(200, where)


def runs(runner: Runner, side: str) -> bool:
    guest = runner.testbed.sides[side].guest
    assert guest is not None
    return bool(guest.monitor().cmd("query-status")["running"])


def migrate_and_kill(runner: Runner, kill: Callable[[], None]) -> str:
    """Start a slow migration, kill in its first round; '' or why it failed."""
    bed = runner.testbed
    src, dst = bed.sides["A"], bed.sides["B"]
    assert src.guest is not None
    guest = bed.start_guest(dst, incoming=True)
    done: list[bool] = []

    def at_first_round(sample: Sample, _elapsed: float) -> None:
        if not done and sample.status == "active" and sample.transferred > 1 << 20:
            done.append(True)
            kill()
            # What is left to see is how it ends.
            if src.guest is not None and src.guest.process.alive():
                src.guest.monitor().cmd("migrate-set-parameters", max_bandwidth=10 << 30)

    try:
        migrate(src.guest, guest, held=False, progress=at_first_round, bandwidth=SLOW_BYTES)
    except HarnessError as err:
        assert done, f"it failed before anybody was killed: {err}"
        return str(err)
    assert done, "it was over before anybody was killed"
    runner.here = "B"
    return ""


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
@pytest.mark.deadline(120)
def test_source_back_end(runner: Make, packed: bool) -> None:
    """Catches: a guest that stays without network when its back end comes back."""
    run = runner(device_options="packed=on" if packed else "")
    bed, a = run.testbed, run.testbed.sides["A"]
    traffic(run, "A")
    assert a.backend is not None and a.model is not None
    mark = a.model.mark()
    a.backend.kill()
    a.model.wait_line(GONE, 10, mark)
    assert runs(run, "A")
    bed.restart_backend(a)
    run.flow(200, "A, back end restarted")
    run.run()


@pytest.mark.deadline(120)
def test_source_model(runner: Make) -> None:
    """Catches: a back end that dies with its device, hangs, or does not say that it is lost."""
    run = runner()
    bed, a = run.testbed, run.testbed.sides["A"]
    traffic(run, "A")
    assert a.backend is not None and a.model is not None
    mark = a.backend.mark()
    a.model.kill()
    a.backend.wait_line(GONE, 10, mark)
    assert runs(run, "A")
    bed.restart_model(a)
    bed.restart_backend(a)
    run.flow(200, "A, model and back end restarted")
    run.run()


@pytest.mark.deadline(120)
def test_destination_qemu_during(runner: Make) -> None:
    """Catches: a source that stops, or cannot migrate again, when its destination dies."""
    run = runner()
    bed, b = run.testbed, run.testbed.sides["B"]
    traffic(run, "A")

    def kill() -> None:
        assert b.guest is not None
        b.guest.process.kill()

    assert migrate_and_kill(run, kill)
    assert b.guest is not None
    b.guest.close()
    b.guest = None
    assert runs(run, "A")
    run.flow(200, "A, after the destination died")
    bed.check_alive()
    run.run()
    assert run.here == "B"


@pytest.mark.deadline(120)
def test_destination_back_end_during(runner: Make) -> None:
    """Catches: a guest lost between two hosts; its network must come back with the back end."""
    run = runner()
    bed, b = run.testbed, run.testbed.sides["B"]
    traffic(run, "A")

    def kill() -> None:
        assert b.backend is not None
        b.backend.kill()

    failed = migrate_and_kill(run, kill)
    bed.restart_backend(b)
    assert runs(run, run.here)
    run.flow(200, f"{run.here}, after the destination's back end was killed ({failed})")


@pytest.mark.deadline(120)
def test_destination_model_during(runner: Make) -> None:
    """Catches: a destination back end that dies or hangs when its function vanishes."""
    run = runner()
    bed, b = run.testbed, run.testbed.sides["B"]
    traffic(run, "A")
    assert b.backend is not None
    mark = b.backend.mark()

    def kill() -> None:
        assert b.model is not None
        b.model.kill()

    failed = migrate_and_kill(run, kill)
    b.backend.wait_line(GONE, 10, mark)
    bed.restart_model(b)
    bed.restart_backend(b)
    assert runs(run, run.here)
    run.flow(200, f"{run.here}, after the destination's model was killed ({failed})")


@pytest.mark.deadline(120)
@pytest.mark.parametrize("what", ["back end", "model"])
def test_source_during(runner: Make, what: str) -> None:
    """Catches: a migration that hangs, or a guest that stops, when the source loses its device."""
    run = runner()
    bed, a = run.testbed, run.testbed.sides["A"]
    traffic(run, "A")

    def kill() -> None:
        proc = a.backend if what == "back end" else a.model
        assert proc is not None
        proc.kill()

    failed = migrate_and_kill(run, kill)
    assert runs(run, run.here)
    if run.here == "A":
        if what == "model":
            bed.restart_model(a)
        bed.restart_backend(a)
    elif what == "back end":
        # QEMU took the link down when the socket closed, and that state travelled.
        guest = bed.sides["B"].guest
        assert guest is not None
        guest.monitor().cmd("set_link", name="n0", up=True)
        guest.monitor().cmd("announce-self", initial=50, max=500, rounds=5, step=100)
    run.flow(200, f"{run.here}, after the source's {what} was killed ({failed})")


@pytest.mark.deadline(120)
def test_destination_qemu_before(runner: Make) -> None:
    """Catches: a back end that does not take a second front end after the first was killed."""
    run = runner()
    bed, b = run.testbed, run.testbed.sides["B"]
    traffic(run, "A")
    guest = bed.start_guest(b, incoming=True)
    guest.kill()
    b.guest = None
    run.run()
    assert run.here == "B"
