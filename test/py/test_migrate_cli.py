# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-test-lm send, receive, resolve, demo, report, dump and plot, as their user sees them."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_harness.process import Process

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CAPPED = ("--bandwidth", "8M")  # a pre-copy that lasts long enough to be hit


class Bench:
    """Two hosts: a model each, a receive, and what a send needs."""

    def __init__(self, launch: Callable[..., Process], program: Callable[[str], Path],
                 path: Path) -> None:
        self.launch = launch
        self.program = program
        self.path = path
        self.nb = 0

    def model(self, side: str, *options: str, devices: int = 1) -> list[Path]:
        sockets = [self.path / f"{side}{i}" for i in range(devices)]
        argv = [a for s in sockets for a in ("--socket", s)]
        proc = self.launch(f"model-{side}", self.program("dpdk-lm-devmodel"), "exerciser", *argv,
                           *options)
        for s in sockets:
            proc.wait_line(f"^ready {s}$", 10)
        return sockets

    def receive(self, sockets: list[Path], *options: str, listen: str = "") -> tuple[Process, str]:
        listen = listen or f"unix:{self.path}/migration"
        devices = [a for s in sockets for a in ("--device", f"socket={s}")]
        self.nb += 1
        proc = self.launch(f"receive{self.nb}", self.program("dpdk-test-lm"), "receive",
                           "--listen", listen, "--exercise", "--json", self.path / "dst.json",
                           *devices, *options)
        return proc, proc.wait_line(r"^ready ", 10).split()[1]

    def send(self, sockets: list[Path], to: str, *options: str) -> Process:
        devices = [a for s in sockets for a in ("--device", f"socket={s}")]
        self.nb += 1
        return self.launch(f"send{self.nb}", self.program("dpdk-test-lm"), "send", "--to", to,
                           "--exercise", "--json", self.path / "src.json", *devices, *options)

    def report(self, side: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.path / f"{side}.json").read_text())
        return report

    def run(self, *argv: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(self.program("dpdk-test-lm")), *map(str, argv)], text=True,
                              capture_output=True, timeout=50, check=False)


@pytest.fixture(name="bench")
def _bench(launch: Callable[..., Process], program: Callable[[str], Path], tmp_path: Path
           ) -> Bench:
    return Bench(launch, program, tmp_path)


def test_demo(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = bench.run("demo", "exerciser", "--json", tmp_path / "demo.json", "--state", "1M")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: nothing lost; both controls caught" in done.stdout
    report = json.loads((tmp_path / "demo.json").read_text())
    assert report["status"] == "completed"
    assert report["check"]["lost"] == 0
    assert report["check"]["device-pages"] == 4096
    assert not list(tmp_path.glob("lm-demo*"))

    text = bench.run("report", tmp_path / "demo.json")
    assert text.returncode == 0
    assert text.stdout in done.stdout
    svg = bench.run("plot", tmp_path / "demo.json")
    assert svg.returncode == 0
    assert len(ET.fromstring(svg.stdout).findall("{*}rect")) >= 10


@pytest.mark.parametrize("listen", ["", "tcp:127.0.0.1:0", "tcp:[::1]:0"])
def test_two_processes(bench: Bench, tmp_path: Path, listen: str) -> None:
    src = bench.model("source", "--option", "state=1M", devices=2)
    dst = bench.model("destination", devices=2)
    receive, address = bench.receive(dst, listen=listen)
    send = bench.send(src, address, "--connections", "2", "--zstd", "--jsonl",
                      str(tmp_path / "events"), "--junit", str(tmp_path / "junit.xml"))
    assert send.wait(30) == 0
    assert receive.wait(30) == 0
    out, into = bench.report("src"), bench.report("dst")
    assert out["status"] == into["status"] == "completed"
    assert into["check"]["lost"] == 0 and into["check"]["cpu-pages"] > 0
    assert out["downtime-session-round-trips"] == 2
    assert [d["transferred"] for d in out["devices"]] == \
        [d["transferred"] for d in into["devices"]]
    assert all(d["downtime-round-trips"] > 0 for d in out["devices"])
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert events[-1]["status"] == "completed"
    assert [e["t"] for e in events] == sorted(e["t"] for e in events)
    assert ET.parse(tmp_path / "junit.xml").getroot().get("failures") == "0"


def test_refused_before_anything_stops(bench: Bench) -> None:
    src = bench.model("source")
    receive, address = bench.receive(bench.model("destination", devices=2))
    send = bench.send(src, address)
    assert send.wait(30) == 3
    assert receive.wait(30) == 3
    report = bench.report("src")
    assert "1 devices at the source and 2 here" in report["error-desc"]
    assert all(p["time"] == 0 for p in report["phases"] if p["phase"] in ("setup", "stop"))


STREAM_HDR = struct.Struct("<4sHHQ")


def foreign(stream: bytes) -> bytes:
    """The same stream, as if the next major version had written it."""
    magic, major, minor, reserved = STREAM_HDR.unpack_from(stream)
    return STREAM_HDR.pack(magic, major + 1, minor, reserved) + stream[STREAM_HDR.size:]


def test_source_of_another_version(bench: Bench) -> None:
    """It is sent away, hears what it has met, and keeps nobody else from coming in."""
    golden = (GOLDEN / "stream-1.0.bin").read_bytes()
    receive, address = bench.receive(bench.model("destination"))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(address.removeprefix("unix:"))
        peer.sendall(foreign(golden))
        heard = peer.recv(STREAM_HDR.size, socket.MSG_WAITALL)
        assert heard == golden[:STREAM_HDR.size]
        receive.wait_line("a source was sent away: it speaks another version", 10)
    assert bench.send(bench.model("source"), address).wait(30) == 0
    assert receive.wait(30) == 0
    assert bench.report("dst")["check"]["lost"] == 0


def test_destination_of_another_version(bench: Bench, tmp_path: Path) -> None:
    """The source says so, and its devices, which never stopped, can go elsewhere."""
    golden = foreign((GOLDEN / "stream-1.0.bin").read_bytes())
    src = bench.model("source")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "foreign"))
        listener.listen()
        listener.settimeout(10)
        send = bench.send(src, f"unix:{tmp_path}/foreign")
        peer, _ = listener.accept()
        with peer:
            peer.sendall(golden)
            send.wait_line("LM-0001: unix:.*/foreign: it speaks another version", 10)
            assert send.wait(10) == 1
    receive, address = bench.receive(bench.model("destination"))
    assert bench.send(src, address).wait(30) == 0
    assert receive.wait(30) == 0


def test_cancel(bench: Bench) -> None:
    receive, address = bench.receive(bench.model("destination"))
    send = bench.send(bench.model("source"), address, *CAPPED)
    send.wait_line("precopy", 20)
    send.popen.send_signal(signal.SIGINT)
    send.wait_line("LM-0102: cancelled: cancelled", 10)
    assert send.wait(10) == 1
    receive.wait_line("LM-0201: failed: the source gave up: cancelled", 10)
    assert receive.wait(10) == 1


def test_cancel_while_nobody_reads(bench: Bench, tmp_path: Path) -> None:
    """Catches: memory that is being sent is waited for, until the deadline of a send."""
    sockets = {side: bench.model(side, "--option", "caps=p2p")[0]
               for side in ("source", "destination")}
    sides: list[Process] = []
    for side, verb in (("destination", "receive"), ("source", "send")):
        memory = tmp_path / f"{side}.ram"
        memory.write_bytes(b"\xa5" * (32 << 20))
        to = ("--to", sides[0].wait_line("^ready ", 10).split()[1]) if sides else \
            ("--listen", f"unix:{tmp_path}/migration")
        sides.append(bench.launch(verb, bench.program("dpdk-test-lm"), verb, *to, "--device",
                                  f"socket={sockets[side]}", "--timeout", "40", "--ram",
                                  f"name=ram,addr=0x100000000,size=32M,file={memory}",
                                  *(CAPPED if sides else ())))
    receive, send = sides
    send.wait_line("precopy", 20)
    receive.popen.send_signal(signal.SIGSTOP)
    send.popen.send_signal(signal.SIGINT)
    assert send.wait(4) == 1
    receive.popen.send_signal(signal.SIGCONT)
    assert receive.wait(10) == 1


def test_destination_is_killed(bench: Bench) -> None:
    """Before COMMIT the source runs on, and the next migration works."""
    src, dst = bench.model("source"), bench.model("destination")
    receive, address = bench.receive(dst)
    send = bench.send(src, address, *CAPPED)
    send.wait_line("precopy", 20)
    receive.kill()
    send.wait_line("LM-0101: failed: the destination is gone", 10)
    assert send.wait(10) == 1
    receive, address = bench.receive(dst)
    assert bench.send(src, address).wait(30) == 0
    assert receive.wait(30) == 0


def test_undecided_is_resolved(bench: Bench, tmp_path: Path) -> None:
    """The destination hangs after COMMIT, and nobody can tell: the source stays where it is."""
    dst = bench.model("destination", "--fault", "hang@stop-running_p2p")
    receive, address = bench.receive(dst, "--timeout", "1", listen="tcp:127.0.0.1:0")
    control = tmp_path / "control"
    send = bench.send(bench.model("source"), address, "--timeout", "1", "--control", str(control))
    send.wait_line("LM-0103: undecided", 20)
    send.wait_line("--source-runs", 10)
    receive.kill()
    assert send.alive()
    done = bench.run("resolve", control, "--source-runs")
    assert done.returncode == 0, done.stderr
    send.wait_line("resolved: the source runs: failed", 10)
    assert send.wait(10) == 1
    assert bench.run("resolve", control, "--source-runs").returncode == 1


def test_death_is_proof(bench: Bench) -> None:
    """The same, but on this host the kernel can tell that the destination is dead."""
    dst = bench.model("destination", "--fault", "hang@stop-running_p2p")
    receive, address = bench.receive(dst)
    send = bench.send(bench.model("source"), address)
    send.wait_line("commit", 20)
    receive.kill()
    send.wait_line("LM-0101: failed: the destination is gone", 10)
    assert send.wait(10) == 1


def test_pf_serves_migration_of_vfs(bench: Bench, tmp_path: Path) -> None:
    """VFs whose migration is commanded by their PFs, each owned by a process of its own."""
    vfs: dict[str, list[Path]] = {}
    for side in ("source", "destination"):
        sockets = bench.model(side, "--option", "pf=1", "--option", "state=1M", devices=3)
        served = [tmp_path / f"{side}-mig{i}" for i in range(2)]
        pf = bench.launch(f"pf-{side}", bench.program("dpdk-test-lm"), "pf", "--device",
                          f"socket={sockets[0]}", "--vf", served[0], "--vf", served[1])
        pf.wait_line(f"^ready {served[1]}$", 10)
        vfs[side] = [Path(f"{vf},migration={mig}") for vf, mig in zip(sockets[1:], served)]
    receive, address = bench.receive(vfs["destination"])
    send = bench.send(vfs["source"], address)
    assert send.wait(30) == 0
    assert receive.wait(30) == 0
    into = bench.report("dst")
    assert into["check"]["lost"] == 0
    assert all(d["transferred"] > 1 << 20 for d in into["devices"])


def test_dump(bench: Bench, tmp_path: Path) -> None:
    done = bench.run("dump", GOLDEN / "stream-1.0.bin")
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if not line.startswith("    ")]
    assert lines == (GOLDEN / "stream-1.0.txt").read_text().splitlines()
    assert "    member 0 nic0: 1dd8:1003 by vfio-user" in done.stdout
    cut = tmp_path / "cut"
    cut.write_bytes((GOLDEN / "stream-1.0.bin").read_bytes()[:-1])
    done = bench.run("dump", cut)
    assert done.returncode == 1 and "ends inside a record" in done.stderr
    assert bench.run("dump", "/dev/null").returncode == 1


@pytest.mark.parametrize("argv", [
    ("send",), ("receive",), ("send", "--to", "unix:x"), ("send", "--what"), ("resolve", "x"),
    ("demo",), ("demo", "cows"), ("dump",), ("report",), ("plot", "-x"),
    ("send", "--to", "x:1", "--device", "name=a"),
    ("send", "--to", "x:1", "--device", "socket=a", "--connections", "0"),
    ("send", "--to", "x:1", "--ram", "name=a,addr=0,size=1Q")])
def test_usage(bench: Bench, argv: tuple[str, ...]) -> None:
    done = bench.run(*argv)
    assert done.returncode == 2
    assert done.stderr != ""


@pytest.mark.parametrize("verb", ["send", "receive", "resolve", "demo", "dump", "report", "plot"])
def test_help(bench: Bench, verb: str) -> None:
    done = bench.run(verb, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: dpdk-test-lm {verb}")
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_messages_name_what_next(bench: Bench) -> None:
    src = bench.model("source")
    done = bench.run("send", "--to", "unix:/nowhere/at/all", "--exercise", "--load-ms", "0",
                     "--device", f"socket={src[0]}")
    assert done.returncode == 1
    assert "LM-0001: unix:/nowhere/at/all: No such file or directory" in done.stderr
    done = bench.run("send", "--to", "unix:x", "--device", "socket=/nowhere")
    assert done.returncode == 1 and "/nowhere" in done.stderr
