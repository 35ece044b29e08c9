# SPDX-License-Identifier: BSD-3-Clause
"""The harness judges everything else, so it is judged here: it must fail when it has to."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lm_harness import HarnessError
from lm_harness.account import Frames
from lm_harness.control import Control, settle
from lm_harness.events import Event, modes, phases
from lm_harness.migrate import Migration
from lm_harness.plot import ascii_plot
from lm_harness.process import Process
from lm_harness.qmp import Qmp, QmpError
from lm_harness.ram import PAGE, RamResult, compare
from lm_harness.report import build, checks
from lm_harness.scenario import Run
from lm_harness.screen import Screen, wrap

TOP = Path(__file__).resolve().parents[2]
Launch = Callable[..., Process]


def test_process_ready(launch: Launch) -> None:
    """Catches: a line that is missed because it came before anybody waited."""
    proc = launch("p", "sh", "-c", "echo one; echo ready x; exec cat /dev/zero >/dev/null")
    assert proc.wait_line("^ready", 5) == "ready x"
    assert proc.wait_line("^one", 5) == "one"
    assert os.getsid(proc.pid) != os.getsid(0), "Ctrl-C would reach it before clean-up"


def test_process_ends_before_ready(launch: Launch) -> None:
    """Catches: waiting for a process that is dead, and losing its last words."""
    proc = launch("p", "sh", "-c", "echo 'no such device' >&2; exit 3")
    with pytest.raises(HarnessError, match="(?s)ended before.*no such device"):
        proc.wait_line("^ready", 30)


def test_process_says_nothing(launch: Launch) -> None:
    """Catches: a wait without an end; the error must name what was waited for."""
    proc = launch("p", "sleep", "60")
    with pytest.raises(HarnessError, match="'\\^ready': nothing after 0.2 s"):
        proc.wait_line("^ready", 0.2)


def test_process_ignores_sigterm(launch: Launch) -> None:
    """Catches: a process that stays behind, or one that is killed silently."""
    proc = launch("p", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    proc.wait_line("^ready", 5)
    with pytest.raises(HarnessError, match="did not end within"):
        proc.stop(timeout=0.3)
    assert not proc.alive()


def test_process_bad_exit(launch: Launch) -> None:
    """Catches: a crash at the end that nobody looks at (a sanitizer's report, for one)."""
    proc = launch("p", "sh", "-c", "trap 'echo leak; exit 23' TERM; echo ready; "
                                   "while :; do sleep 0.05; done")
    proc.wait_line("^ready", 5)
    with pytest.raises(HarnessError, match="(?s)exited with 23.*leak"):
        proc.stop()


def test_process_dies_with_parent(tmp_path: Path) -> None:
    """Catches: children left behind when the demo itself is killed with -9."""
    code = ("import sys; from pathlib import Path; from lm_harness.process import Process\n"
            f"p = Process('p', ['sleep', '60'], Path({str(tmp_path / 'log')!r}))\n"
            "print(p.pid, flush=True); sys.stdin.read()")
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, cwd=TOP / "usertools", text=True)
    assert parent.stdout is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait(5)
    assert select.select([child], [], [], 5)[0], "the child still lives"
    os.close(child)
    for stream in (parent.stdin, parent.stdout):
        assert stream is not None
        stream.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[list[str]], str]]:
    """server([reply, ...]): path of a socket that answers one line with the next reply."""
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    def start(replies: list[str]) -> str:
        path = str(tmp_path / f"s{len(sockets)}")
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen()
        sockets.append(sock)

        def serve() -> None:
            conn, _ = sock.accept()
            with conn, conn.makefile("rw") as lines:
                for reply in replies:
                    if not reply.startswith("!") and not lines.readline():
                        return
                    lines.write(reply.removeprefix("!") + "\n")
                    lines.flush()

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return path

    yield start
    for sock in sockets:
        sock.close()
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize("reply, error", [
    ('{"error":"no such command"}', "refused: no such command"),
    ("garbage", "no JSON"),
    ("[1]", "no object"),
    ("x" * 200 + "\x00", "no JSON")])
def test_control_refuses(server: Callable[[list[str]], str], reply: str, error: str) -> None:
    """Catches: an error reply that passes for counters of value zero."""
    control = Control("c", server([reply]))
    with pytest.raises(HarnessError, match=error):
        control.stats()
    control.close()


def test_control_peer_gone(server: Callable[[list[str]], str]) -> None:
    """Catches: a wait for a peer that has closed."""
    control = Control("c", server([]))
    with pytest.raises(HarnessError, match="closed the connection"):
        control.stats()
    control.close()


@pytest.mark.parametrize("kind", ["missing", "file", "nobody"])
def test_connect_errors(tmp_path: Path, kind: str) -> None:
    """Catches: an error without the path that it is about."""
    path = tmp_path / "sock"
    if kind == "file":
        path.touch()
    elif kind == "nobody":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    with pytest.raises(HarnessError, match=str(path)):
        Control("c", str(path))


GREETING = '!{"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 2}}}}'


def test_qmp(server: Callable[[list[str]], str]) -> None:
    """Catches: a reply taken for another's, an event lost between two commands."""
    event = {"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}
    qmp = Qmp("q", server([GREETING, '{"return": {}, "id": 1}', json.dumps(event),
                           '!{"return": {"status": "paused"}, "id": 2}',
                           '{"error": {"desc": "no"}, "id": 3}']))
    assert qmp.version == (10, 0, 2)
    assert qmp.cmd("query-status") == {"status": "paused"}
    assert [e["event"] for e in qmp.events()] == ["STOP"]
    with pytest.raises(QmpError, match="migrate: no"):
        qmp.cmd("migrate")
    qmp.close()


def test_ram_compare(tmp_path: Path) -> None:
    """Catches: one byte at either end of a page, of a chunk, of the file, that is not seen."""
    pages = 600  # more than two chunks
    base = bytearray(os.urandom(PAGE) * 2 + bytes(PAGE * (pages - 2)))
    left, right = tmp_path / "l", tmp_path / "r"
    left.write_bytes(base)
    for offset in (0, PAGE - 1, PAGE, 256 * PAGE - 1, 256 * PAGE, pages * PAGE - 1):
        other = bytearray(base)
        other[offset] ^= 1
        right.write_bytes(other)
        result = compare(left, right)
        assert (result.pages, result.nonzero, result.different) == (pages, 2, 1)
        assert result.listed == [offset // PAGE]
    right.write_bytes(base)
    assert compare(left, right).different == 0
    right.write_bytes(base[:-PAGE])
    with pytest.raises(HarnessError, match="differ in size"):
        compare(left, right)


def test_settle() -> None:
    """Catches: an account taken while frames still arrive."""
    values = iter([1, 2, 3] + [4] * 10000)
    assert settle(lambda: next(values), 5, "x", quiet_s=0.05) == 4
    ever = iter(range(10**9))
    with pytest.raises(HarnessError, match="x: nothing after 0.2 s"):
        settle(lambda: next(ever), 0.2, "x", quiet_s=0.05)


def good_runs() -> tuple[list[Run], RamResult]:
    timed = Run("A", "B", False, Migration(total_ms=100, downtime_ms=10),
                Frames(100, 90, dropped={"model A.rx_not_running": 10}))
    timed.figures = {"A": {"q0_logged_pages": 5, "all_dirty": 0}}
    held = Run("B", "A", True, Migration(), Frames(10, 10), ram=RamResult(65536, 20000, 0))
    return [timed, held], RamResult(65536, 20000, 7)


def test_report_passes() -> None:
    runs, control = good_runs()
    report = build(runs, control, (0, {}), {})
    assert report["result"] == "pass" and report["failed_checks"] == []
    assert report["frames"]["unexplained"] == 0 and report["frames"]["sent"] == 110


def _spoil(name: str, runs: list[Run], control: RamResult) -> None:
    ram = runs[1].ram
    assert ram is not None
    if name == "every frame is explained":
        runs[0].frames.received -= 1
    elif name == "no frame corrupt":
        runs[1].frames.corrupt = 1
    elif name == "no frame duplicated":
        runs[0].frames.duplicated = 1
    elif name == "no frame reordered":
        runs[0].frames.reordered = 1
    elif name == "frames flowed":
        runs[1].frames = Frames()
    elif name == "the guest's own pages are whole":
        runs[0].frames.guest_memory_bad = 1
    elif name == "guest memory is equal":
        ram.different = 1
    elif name == "the comparison saw a guest":
        ram.nonzero = 3
    elif name == "the negative control is caught":
        control.different = 0
    elif name == "the back end marked pages":
        runs[0].figures = {}


SPOILABLE = [c.name for c in checks(*good_runs(), (0, {})) if "rule" not in c.name]


@pytest.mark.parametrize("name", sorted(set(SPOILABLE)))
def test_report_fails(name: str) -> None:
    """Catches: a check that is printed and does not count."""
    runs, control = good_runs()
    _spoil(name, runs, control)
    report = build(runs, control, (0, {}), {})
    assert report["result"] == "fail" and name in report["failed_checks"]


def test_report_fails_otherwise() -> None:
    """Catches: 'pass' for a demo that was cut short, or whose models complained."""
    runs, control = good_runs()
    assert build(runs, control, (1, {"A: x": 1}), {})["result"] == "fail"
    assert build(runs, control, (0, {}), {}, error="interrupted")["result"] == "fail"
    assert build(runs, None, (0, {}), {})["result"] == "fail"
    assert build(runs[:1], control, (0, {}), {})["result"] == "fail"
    assert build([], None, (0, {}), {})["result"] == "fail"


def test_phases_and_modes() -> None:
    """Catches: a phase of one back end closed by the other's event."""
    ms = 10**6
    migration = Migration(begin_ns=0, events=[(5 * ms, "source", "STOP"),
                                              (8 * ms, "source", "migration completed"),
                                              (9 * ms, "destination", "RESUME")])
    events = [Event(1, "back end A", "log-on", "begin"), Event(2, "back end B", "log-on", "end"),
              Event(3, "back end A", "log-on", "end", 4096),
              Event(3, "back end A", "mode", "queue 1 relay"),
              Event(3, "back end A", "log-on", "queue 1 used"),
              Event(5, "qemu source", "", "STOP"),
              Event(8, "qemu source", "", "migration completed"),
              Event(9, "qemu destination", "", "RESUME")]
    events.append(Event(11, "switch", "", "A -> B by rarp"))
    traffic = {"silence_begin_ns": 4 * ms, "longest_silence_us": 20000}
    found = {(p["who"], p["name"]): p["ms"] for p in phases(migration, events, traffic)}
    assert found[("network", "blackout")] == 20
    assert found[("guest", "first frames at its new place to its first answer")] == 13
    assert found[("back end A", "log-on")] == 2
    assert ("back end B", "log-on") not in found
    assert found[("qemu", "guest stands still")] == 4
    assert modes(events) == [{"t_ms": 3, "side": "A", "queue": 1, "mode": "relay"}]


def test_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: lines over 80 columns; escape codes in a file or against NO_COLOR."""
    screen = Screen()
    screen.phase("x" * 200)
    screen.table("t", [("name", "word " * 60)])
    screen.line("a", "red")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80 and "\033" not in out
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert not Screen().colour
    assert wrap("", 10) == [""] and wrap("a bb", 2) == ["a", "bb"]


def test_interrupted_by_alarm(request: pytest.FixtureRequest) -> None:
    """Catches: a suite whose tests have no deadline."""
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0


def test_ascii_plot() -> None:
    """Catches: a blackout that the picture hides by averaging, lines over 80 columns."""
    samples = [{"t_ms": t, "received": 2 * min(t, 500) + 2 * max(0, t - 560), "remaining": 0}
               for t in range(0, 1500, 10)]
    picture = ascii_plot({"samples": samples, "phases": [
        {"who": "qemu", "name": "guest stands still", "begin_ms": 500.0, "ms": 60.0}]})
    curve = picture[0].split("|")[1]
    assert curve.strip() != "" and " " in curve.strip(), "no gap to be seen"
    assert max(map(len, picture)) <= 80
    gap = picture[0].index("|") + 1 + curve.index(" ")
    assert abs(picture[2].index("#") - gap) <= 2, "phase and gap are not below each other"
