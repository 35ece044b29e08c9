# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-lm-traffic against hosts played by Python: a frame counted wrongly, a move missed."""

import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import frame_oracle as oracle

BUILD = pathlib.Path(os.environ.get("DPDK_LM_BUILD", pathlib.Path(__file__).parents[2] / "build"))
GUEST_MAC = bytes.fromhex("5254004c4d01")
RARP = b"\xff" * 6 + GUEST_MAC + b"\x80\x35" + bytes(46)
DEADLINE_S = 10.0


def echo_of(request: bytes) -> bytes:
    """What a guest answers, made from the description, not from the bytes."""
    _, flow, seq, t_ns = oracle.parse(request)
    assert request == oracle.build(oracle.REQUEST, flow, seq, t_ns, len(request), GUEST_MAC)
    return oracle.build(oracle.ECHO, flow, seq, t_ns, len(request), GUEST_MAC)


class Traffic:
    """The program under test and its control socket."""

    def __init__(self, directory: pathlib.Path, *options: str) -> None:
        self.directory = directory
        control = directory / "ctl"
        argv = [BUILD / "app/devmodel/dpdk-lm-traffic", "--port", f"A={directory}/A",
                "--port", f"B={directory}/B", "--guest-mac", GUEST_MAC.hex(":"),
                "--control", control, *options]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(DEADLINE_S)
        self.control.connect(str(control))
        self.answers = self.control.makefile("r")
        self.hosts: list[socket.socket] = []

    def connect(self, port: str) -> socket.socket:
        """A host on that port."""
        host = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        host.settimeout(DEADLINE_S)
        host.connect(str(self.directory / port))
        self.hosts.append(host)
        self.until(lambda s: s["ports"][port]["link"])
        return host

    def raw(self, line: str) -> dict[str, Any]:
        """Send a line, return the answer."""
        self.control.sendall(line.encode() + b"\n")
        answer = json.loads(self.answers.readline())
        assert isinstance(answer, dict)
        return answer

    def ask(self, cmd: str) -> dict[str, Any]:
        """Run a command."""
        return self.raw(json.dumps({"cmd": cmd}))

    def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Statistics, once they are as expected."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            stats = self.ask("stats")
            if done(stats):
                return stats
            assert time.monotonic() < deadline, stats

    def close(self) -> None:
        """End it, whatever happened."""
        for host in self.hosts:
            host.close()
        self.answers.close()
        self.control.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(name="traffic")
def fixture_traffic(tmp_path: pathlib.Path) -> Iterator[Traffic]:
    """500 frames/s to two ports."""
    traffic = Traffic(tmp_path, "--rate", "500", "--size", "74-600", "--flows", "3")
    try:
        yield traffic
    finally:
        traffic.close()


def drain(host: socket.socket) -> list[bytes]:
    """All that waits."""
    frames = []
    while select.select([host], [], [], 0)[0]:
        frames.append(host.recv(70000))
    return frames


def test_faults_are_told_apart(traffic: Traffic) -> None:
    """Each kind of fault has its count, and no fault has two."""
    host = traffic.connect("A")
    traffic.ask("start")
    requests = [host.recv(70000) for _ in range(100)]
    traffic.ask("stop")
    requests += drain(host)
    sizes = {len(r) for r in requests}
    assert len(sizes) > 30 and min(sizes) >= 74 and max(sizes) <= 600
    assert {oracle.parse(r)[1] for r in requests} == {0, 1, 2}
    echoes = [echo_of(r) for r in requests]
    echoes.pop(90)  # lost
    late, corrupt, twice = echoes.pop(9), bytearray(echoes.pop(50)), echoes[30]
    corrupt[-1] ^= 4
    for frame in (*echoes, late, bytes(corrupt), twice, RARP):
        host.send(frame)
    stats = traffic.until(lambda s: s["other"] == 1)
    assert stats["sent"] == len(requests)
    assert stats["received"] == len(requests) - 2
    assert stats["ports"]["A"] == {"sent": len(requests), "received": len(requests) - 2,
                                   "other": 1, "link": True}
    assert [stats[k] for k in ("duplicated", "reordered", "corrupt")] == [1, 1, 1]
    assert stats["lost_so_far"] == 2
    assert set(stats["drops"].values()) == {0}
    assert stats["switches"] == [] and stats["switch_gap_us"] == 0
    assert 0 < stats["latency_us"]["p50"] <= stats["latency_us"]["p99"] <= \
        stats["latency_us"]["max"]
    traffic.ask("reset")
    host.send(echoes[0])
    stats = traffic.until(lambda s: s["stale"] == 1)
    assert stats["sent"] == stats["received"] == stats["duplicated"] == stats["lost_so_far"] == 0


@pytest.mark.parametrize("announced", (True, False))
def test_move(traffic: Traffic, announced: bool) -> None:
    """Frames follow the guest; what the old host still sends counts and is no move back."""
    old, new = traffic.connect("A"), traffic.connect("B")
    traffic.ask("start")
    requests = [old.recv(70000) for _ in range(20)]
    for request in requests[:10]:
        old.send(echo_of(request))
    before = traffic.until(lambda s: s["received"] == 10)
    paused_ns = time.monotonic_ns()
    assert before["active_port"] == "A"
    # The source's last frames and the destination's first ones are there at the same time.
    traffic.process.send_signal(signal.SIGSTOP)
    if announced:
        new.send(RARP)
    new.send(echo_of(requests[15]))
    for request in requests[10:15]:
        old.send(echo_of(request))
    resumed_ns = time.monotonic_ns()
    traffic.process.send_signal(signal.SIGCONT)
    first = new.recv(70000)
    new.send(echo_of(first))
    stats = traffic.until(lambda s: s["received"] == 17)
    ended_ns = time.monotonic_ns()
    assert stats["active_port"] == "B"
    assert [(s["from"], s["to"], s["by"]) for s in stats["switches"]] == \
        [("A", "B", "rarp" if announced else "frame")]
    assert paused_ns < stats["switches"][0]["t_ns"] < ended_ns
    assert stats["switches"][0]["gap_us"] == stats["switch_gap_us"]
    assert 0 <= stats["switch_gap_us"] <= (ended_ns - paused_ns) / 1000
    assert stats["longest_silence_us"] >= (resumed_ns - paused_ns) / 1000 - 2000
    assert (stats["ports"]["A"]["received"], stats["ports"]["B"]["received"]) == (15, 2)
    assert stats["ports"]["B"]["other"] == int(announced)
    assert stats["duplicated"] == stats["corrupt"] == stats["reordered"] == 0
    old.send(b"\xff" * 6 + b"\x02" + GUEST_MAC[1:] + b"\x80\x35" + bytes(46))
    traffic.until(lambda s: s["ports"]["A"]["other"] == 1)
    assert traffic.ask("stats")["active_port"] == "B"


def test_late_answer(traffic: Traffic) -> None:
    """
    What the old host sent before the move, and this machine delivered after it, is no move back:
    nothing would be sent to the new host again. What is asked and answered after it is one.
    """
    old, new = traffic.connect("A"), traffic.connect("B")
    traffic.ask("start")
    requests = [old.recv(70000) for _ in range(20)]
    new.send(RARP)
    traffic.until(lambda s: s["active_port"] == "B")
    old.send(echo_of(requests[3]))
    assert traffic.until(lambda s: s["received"] == 1)["active_port"] == "B"
    asked = new.recv(70000)
    old.send(echo_of(asked))
    stats = traffic.until(lambda s: s["received"] == 2)
    assert [(s["from"], s["to"], s["by"]) for s in stats["switches"]] == \
        [("A", "B", "rarp"), ("B", "A", "frame")]


def test_account_of_frames_not_taken(traffic: Traffic) -> None:
    """No host, a host that does not read, a host that dies: sent is the sum of it all."""
    traffic.ask("start")
    stats = traffic.until(lambda s: s["drops"]["port_down"] >= 5)
    assert stats["sent"] == stats["drops"]["port_down"] == stats["lost_so_far"] + stats["sent"]
    host = traffic.connect("A")
    for _ in range(5):
        host.send(echo_of(host.recv(70000)))
    stats = traffic.until(lambda s: s["received"] == 5)
    assert stats["sent"] == stats["drops"]["port_down"] + stats["ports"]["A"]["sent"]
    host.close()
    down = stats["drops"]["port_down"]
    stats = traffic.until(lambda s: s["drops"]["port_down"] > down)
    assert not stats["ports"]["A"]["link"]
    assert stats["sent"] == stats["drops"]["port_down"] + stats["ports"]["A"]["sent"]
    host = traffic.connect("A")
    host.send(echo_of(host.recv(70000)))
    traffic.until(lambda s: s["received"] == 6)


def test_full(tmp_path: pathlib.Path) -> None:
    """A host that never reads costs frames, each one counted, and never blocks the program."""
    traffic = Traffic(tmp_path, "--rate", "20000", "--size", "60000")
    try:
        host = traffic.connect("A")
        traffic.ask("start")
        traffic.until(lambda s: s["drops"]["port_full"] > 100)
        traffic.ask("stop")
        stats = traffic.ask("stats")
        assert len(drain(host)) == stats["ports"]["A"]["sent"]
        assert stats["sent"] == stats["ports"]["A"]["sent"] + stats["drops"]["port_full"]
    finally:
        traffic.close()


def test_control_errors(traffic: Traffic) -> None:
    """What is no command is refused and harms nothing."""
    for line in ("", "{", "[]", "3", "{}", '{"cmd":1}', '{"cmd":"nonesuch"}'):
        assert set(traffic.raw(line)) == {"error"}, line
    assert traffic.ask("stats")["sent"] == 0


def test_rate_and_end(traffic: Traffic, tmp_path: pathlib.Path) -> None:
    """500 frames/s are that, to 2 %; SIGTERM ends it cleanly."""
    host = traffic.connect("A")
    begin_ns = traffic.ask("stats")["now_ns"]
    traffic.ask("start")
    for _ in range(500):
        host.recv(70000)
    took_ns = traffic.ask("stats")["now_ns"] - begin_ns
    assert took_ns > 0.98e9
    traffic.process.terminate()
    assert traffic.process.wait(DEADLINE_S) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", (
    [], ["--port", "A=x"], ["--guest-mac", "52:54:00:00:00:01"],
    ["--port", "A", "--guest-mac", "52:54:00:00:00:01"],
    ["--port", "A=x", "--guest-mac", "52:54:00:00:00:01", "--rate", "0x10"],
    ["--port", "A=x", "--guest-mac", "52:54:00:00:00:01", "more"]))
def test_usage(argv: list[str], tmp_path: pathlib.Path) -> None:
    """A wrong command line ends with 2 and a message."""
    run = subprocess.run([BUILD / "app/devmodel/dpdk-lm-traffic", *argv], cwd=tmp_path, check=False,
                         capture_output=True, text=True, timeout=DEADLINE_S)
    assert run.returncode == 2
    assert run.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK),
                    reason="needs root and /dev/net/tun")
def test_tap(tmp_path: pathlib.Path) -> None:
    """A port can be an interface of the host; each frame crosses it both ways."""
    name = f"lmt{os.getpid()}"
    control = tmp_path / "ctl"
    with subprocess.Popen(
            [BUILD / "app/devmodel/dpdk-lm-traffic", "--port", f"A=tap:{name}", "--guest-mac",
             GUEST_MAC.hex(":"), "--control", control, "--rate", "500"],
            stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300) as host, \
                    socket.socket(socket.AF_UNIX) as client:
                host.settimeout(DEADLINE_S)
                host.bind((name, 0x0003))
                client.settimeout(DEADLINE_S)
                client.connect(str(control))
                answers = client.makefile("r")

                def ask(cmd: str) -> Any:
                    client.sendall(b'{"cmd":"%s"}\n' % cmd.encode())
                    return json.loads(answers.readline())

                ask("start")
                done = 0
                while done < 50:
                    frame = host.recv(70000)
                    if frame[:6] == GUEST_MAC:
                        host.send(echo_of(frame))
                        done += 1
                deadline = time.monotonic() + DEADLINE_S
                while ask("stats")["received"] < 50:
                    assert time.monotonic() < deadline
                assert ask("stats")["corrupt"] == 0
        finally:
            process.kill()
