# SPDX-License-Identifier: BSD-3-Clause
"""
A pds VF under traffic goes from one host to another: each a model process, an owner of the PF, and
a driver that is no DPDK. What the device writes travels by its own dirty log alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lm_harness.process import Process

from pds_bench import MAC, PdsBench, stale_pages

GENERATOR = f"gen,rate=4000,mac={MAC}"
ALL = os.environ.get("LM_FAULT_CELLS") == "all"
# Linux, pds_adminq.h: opcode, what, and at which side it is used.
COMMANDS = [(16, "STATE_SIZE", "src"), (18, "SUSPEND", "src"), (19, "SUSPEND_STATUS", "src"),
            (21, "SAVE", "src"), (18, "SUSPEND", "dst"), (19, "SUSPEND_STATUS", "dst"),
            (22, "RESTORE", "dst"), (20, "RESUME", "dst")]
STATUSES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 29, 30, 31, 32, 255]


@pytest.fixture
def bench(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
          ) -> Iterator[PdsBench]:
    with ExitStack() as stack:
        yield PdsBench(launch, program, tmp_path, stack)


def test_under_traffic(bench: PdsBench) -> None:
    """All that the device wrote before it stopped arrives, and the rings go on."""
    src, dst = bench.host("a", GENERATOR), bench.host("b", GENERATOR)
    src.guest.start()
    src.guest.receive(20000)  # the ring has wrapped
    assert bench.migrate(src, dst) == (0, 0)
    src.check()
    report = bench.report()
    assert report["downtime-session-round-trips"] == 2
    src.guest.poll()
    dst.guest.take_over(src.guest)
    dst.guest.ring_all()
    assert len(dst.guest.receive(20000)) >= 20000
    dst.check()
    dst.owner.stop()
    lines = [line.split() for line in dst.owner.lines() if line.startswith("command")]
    assert {line[2]: line[4] for line in lines}["RESTORE"] == "1"


def test_every_byte_is_in_the_log(bench: PdsBench) -> None:
    """Byte by byte: what only the device wrote is the same on both sides of the cable."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(10000)
    assert bench.migrate(src, dst) == (0, 0)
    assert src.stats()["level"] != "running"
    assert src.guest.poll(), "no traffic while it migrated"
    assert stale_pages(src, dst) == []
    src.check()
    dst.check()


def test_a_lost_mark_is_seen(bench: PdsBench) -> None:
    """Negative control: the device forgets marks, and the look above notices."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(1000)
    src.fault("dirty-lost=1000000", function=1)
    assert bench.migrate(src, dst) == (0, 0)
    assert src.guest.poll()
    assert stale_pages(src, dst) != []


@pytest.mark.deadline(400)
@pytest.mark.parametrize("opcode,name,side", COMMANDS)
def test_refused_command(bench: PdsBench, opcode: int, name: str, side: str) -> None:
    """Before COMMIT the source runs on whatever its firmware or the other's refuses."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    at = {"src": src, "dst": dst}[side]
    src.guest.start()
    for status in STATUSES if ALL else STATUSES[opcode % 7::7]:
        src.guest.receive(200)
        at.fault(f"lm-status={opcode}:{status}")
        codes = bench.migrate(src, dst)
        report = bench.report()
        if name == "RESUME":  # after COMMIT the destination answers for it, and tries again
            assert codes == (0, 0) or report["status"] == "failed", report
        else:
            assert codes[0] in (1, 3) and report["status"] == "failed", report
        if report["status"] == "completed":
            break
    src.check()
    dst.check()
    if bench.report()["status"] != "completed":
        src.guest.receive(200)
        assert bench.migrate(src, dst) == (0, 0)
        assert src.guest.poll() is not None
        assert stale_pages(src, dst) == []


def test_owner_of_destination_dies(bench: PdsBench) -> None:
    """The source runs on; with a new owner the next migration works."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(200)
    send, receive = bench.begin(src, dst, "--bandwidth", "4M", timeout=3)
    send.wait_line("precopy", 20)
    dst.owner.kill()
    send.wait(30)
    receive.wait(30)
    assert bench.report()["status"] == "failed"
    src.guest.receive(200)
    dst.own()
    assert bench.migrate(src, dst) == (0, 0)
    src.guest.poll()
    assert stale_pages(src, dst) == []


def test_owner_of_source_dies(bench: PdsBench) -> None:
    """Its VF runs on, and can be moved by a new owner."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(200)
    send, receive = bench.begin(src, dst, "--bandwidth", "4M", timeout=3)
    send.wait_line("precopy", 20)
    src.owner.kill()
    send.wait(30)
    receive.wait(30)
    assert bench.report()["status"] in ("failed", "lost")
    src.guest.receive(200)
    src.own()
    assert bench.migrate(src, dst) == (0, 0)
    src.guest.poll()
    assert stale_pages(src, dst) == []


def test_owner_of_destination_hangs(bench: PdsBench) -> None:
    """Nobody answers, and nobody is gone: the deadline names it."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(200)
    send, receive = bench.begin(src, dst, "--bandwidth", "4M", timeout=2)
    send.wait_line("precopy", 20)
    dst.owner.popen.send_signal(signal.SIGSTOP)
    assert send.wait(30) == 1
    dst.owner.popen.send_signal(signal.SIGCONT)
    assert receive.wait(30) in (1, 4)
    src.guest.receive(200)
    assert bench.migrate(src, dst) == (0, 0)
    src.guest.poll()
    assert stale_pages(src, dst) == []


def test_served_as_what_it_is(bench: PdsBench) -> None:
    host = bench.host("a")
    check = bench.launch("check", bench.program("dpdk-test-lm"), "check",
                         f"socket={host.path}/mig")
    check.wait_line("function +1dd8:1003,", 10)
    check.wait_line("dirty-log", 10)
    check.wait(10)


def test_late_firmware(bench: PdsBench) -> None:
    """A PF that no longer answers costs its deadline, not the guest."""
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(200)
    src.fault("suspend-busy=1000000")
    assert bench.migrate(src, dst, timeout=8)[0] in (1, 4)
    src.fault("suspend-busy=0")
    src.guest.receive(200)
    assert bench.migrate(src, dst) == (0, 0)
    src.guest.poll()
    assert stale_pages(src, dst) == []


def test_cancel(bench: PdsBench) -> None:
    src, dst = bench.host("a", GENERATOR), bench.host("b")
    src.guest.start()
    src.guest.receive(200)
    send, receive = bench.begin(src, dst, "--bandwidth", "4M")
    send.wait_line("precopy", 20)
    send.popen.send_signal(signal.SIGINT)
    assert send.wait(10) == 1
    assert receive.wait(10) == 1
    src.guest.receive(200)
    assert src.stats()["dirty_regions"] == 0
    assert src.stats(0)["clients"] == 1
    src.check()
