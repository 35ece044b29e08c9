# SPDX-License-Identifier: BSD-3-Clause
"""Running queues move between two processes: frames that sit in rings come out of the other one.

Steps and verdicts are made here, from the frames on the wire; port-app only does as it is told.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lm_harness.process import Process

NB_DESC = 64
BUFFERS = 256
EAL = ("--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry",
       "--log-level=*:error")

Launch = Callable[..., Process]


class Wire:
    """The cable: frames with a number and a pattern, to whichever device it is plugged into."""

    def __init__(self, directory: Path) -> None:
        self.peer = directory / "wire"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(self.peer))
        self.sock.settimeout(10)
        self.next_sent = 0
        self.next_seen = 0

    @staticmethod
    def frame(number: int) -> bytes:
        """Of a length and content that only this number has."""
        length = 64 + number * 37 % 1400
        return (struct.pack("<Q", number) + bytes((number + i) % 251 for i in range(length)))

    def send(self, device: Path, count: int) -> None:
        for _ in range(count):
            self.sock.sendto(self.frame(self.next_sent), str(device))
            self.next_sent += 1

    def expect(self, count: int) -> None:
        """So many come back: each as it was sent, in order, none twice."""
        for _ in range(count):
            assert self.sock.recv(4096) == self.frame(self.next_seen)
            self.next_seen += 1

    def expect_silence(self) -> None:
        self.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.sock.recv(4096)
        self.sock.settimeout(10)

    def exchange(self, device: Path, count: int) -> None:
        for _ in range(count):
            self.send(device, 1)
            self.expect(1)


class App:
    """One process of the application."""

    def __init__(self, launch: Launch, program: Path, directory: Path, name: str, wire: Wire,
                 mode: str, buffers: int = BUFFERS) -> None:
        self.device = directory / f"{name}.dev"
        control = directory / f"{name}.ctl"
        self.process = launch(name, program, *EAL, f"--file-prefix={name}", "--", control,
                              self.device, wire.peer, buffers, mode,
                              env={"RUNTIME_DIRECTORY": str(directory)})
        self.process.wait_line("ready", 20)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20)
        self.sock.connect(str(control))

    def ask(self, text: str) -> str:
        self.sock.send(text.encode())
        return self.sock.recv(4096).decode()

    def do(self, text: str) -> None:
        assert self.ask(text) == "0", text

    def stats(self) -> dict[str, str]:
        return dict(item.split("=") for item in self.ask("stats").split(" ") if "=" in item)

    def number(self, name: str) -> int:
        return int(self.stats()[name])

    def wait(self, name: str, value: int) -> None:
        """Until the device has done what it was given."""
        for _ in range(20000):
            if self.number(name) == value:
                return
        raise AssertionError(f"{name} never became {value}: {self.stats()}")

    def quit(self) -> None:
        self.do("quit")
        assert self.process.wait(20) == 0


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    found = Wire(tmp_path)
    yield found
    found.sock.close()


@pytest.fixture
def app(launch: Launch, build_dir: Path, tmp_path: Path, wire: Wire) -> Callable[..., App]:
    def start(name: str, mode: str, buffers: int = BUFFERS) -> App:
        return App(launch, build_dir / "test" / "port" / "port-app", tmp_path, name, wire, mode,
                   buffers)

    return start


def load_rings(source: App, wire: Wire) -> None:
    """Leave 5 frames in the Tx ring and 7 in the Rx ring, in the middle of both."""
    wire.exchange(source.device, 150)
    source.do("tx off")
    wire.send(source.device, 5)
    source.wait("tx_pending", 5)
    source.do("rest")
    wire.send(source.device, 7)
    source.wait("rx_filled", 7)
    wire.expect_silence()


def check_pool(found: App, buffers: int = BUFFERS) -> None:
    """Every buffer is in the pool or in a ring: none lost, none twice."""
    stats = found.stats()
    assert int(stats["rx_posted"]) == NB_DESC
    assert int(stats["free"]) + int(stats["rx_posted"]) + int(stats["tx_pending"]) == buffers
    assert stats["errors"] == "0" and stats["dropped"] == "0"


def test_running_queues_move(app: Callable[..., App], wire: Wire, tmp_path: Path) -> None:
    """Steps: frames sit in both rings, the queues move to another process, traffic goes on.

    Verify: the frames come out of the other process, once, in order and whole; the pool there has
    exactly the buffers that the queues do not; the rings wrap and go on.
    """
    source, destination = app("a", "run"), app("b", "incoming")
    assert destination.stats()["mode"] == "incoming"
    load_rings(source, wire)
    source.do(f"give {tmp_path / 'state'}")
    assert source.stats()["mode"] == "given"
    destination.do(f"take {tmp_path / 'state'}")
    assert destination.stats()["mode"] == "adopted"
    stats = destination.stats()
    assert (stats["rx_filled"], stats["tx_pending"], stats["rx_posted"]) == ("7", "5", "64")
    assert int(stats["free"]) == BUFFERS - NB_DESC - 5
    wire.expect_silence()
    destination.do("run")
    wire.expect(12)
    wire.exchange(destination.device, 300)
    check_pool(destination)
    wire.expect_silence()
    # And on, to a third, from where it was adopted.
    third = app("c", "incoming")
    destination.do("rest")
    wire.send(destination.device, 3)
    destination.wait("rx_filled", 3)
    destination.do(f"give {tmp_path / 'state2'}")
    third.do(f"take {tmp_path / 'state2'}")
    third.do("run")
    wire.expect(3)
    wire.exchange(third.device, 100)
    check_pool(third)
    for found in (source, destination, third):
        found.quit()


def test_source_takes_back(app: Callable[..., App], wire: Wire, tmp_path: Path) -> None:
    """Steps: give up, take back, twice. Verify: the source goes on and nothing was lost."""
    source = app("a", "run")
    for _ in range(2):
        load_rings(source, wire)
        source.do(f"give {tmp_path / 'state'}")
        assert source.ask(f"give {tmp_path / 'state'}") != "0"  # it is not running
        source.do("tx on")
        source.do("back")
        assert source.stats()["mode"] == "running"
        source.do("poll")
        wire.expect(12)
    wire.exchange(source.device, 70)
    check_pool(source)
    source.quit()


def test_bad_state_is_refused(app: Callable[..., App], wire: Wire, tmp_path: Path) -> None:
    """Steps: adopt records that lie, then the true one.

    Verify: each is refused, nothing is taken from the pool, and the true one still works.
    """
    source, destination = app("a", "run"), app("b", "incoming")
    load_rings(source, wire)
    good = tmp_path / "state"
    source.do(f"give {good}")
    data = good.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    record = data[8:8 + length]
    rest = data[8 + length:]
    queue = 8 + 88 + 8  # after the port: the first queue
    edits = {
        "a producer that its slots do not reach": (queue + 8, struct.pack("<I", 1 << 20)),
        "a ring elsewhere": (queue + 16, struct.pack("<Q", 1 << 40)),
        "a buffer that is no element": (queue + 48 + 8, struct.pack("<Q", (1 << 16) + 4096 + 300)),
        "another driver": (8, b"net_other\0"),
        "a slot twice": (queue + 48, record[queue + 48 + 16:queue + 48 + 20]),
    }
    for what, (at, value) in edits.items():
        bad = record[:at] + value + record[at + len(value):]
        (tmp_path / "bad").write_bytes(struct.pack("<Q", length) + bad + rest)
        assert destination.ask(f"take {tmp_path / 'bad'}") != "0", what
        assert destination.stats()["mode"] == "incoming", what
        assert destination.number("free") == BUFFERS, what
    assert destination.ask("run") != "0"
    destination.do(f"take {good}")
    destination.do("run")
    wire.expect(12)
    wire.exchange(destination.device, 100)
    check_pool(destination)
    destination.quit()
    source.quit()


def test_pool_without_the_buffers(app: Callable[..., App], wire: Wire, tmp_path: Path) -> None:
    """Steps: a destination whose pool is smaller. Verify: refused, and the source goes on."""
    source, destination = app("a", "run"), app("b", "incoming", 70)
    load_rings(source, wire)
    source.do(f"give {tmp_path / 'state'}")
    assert destination.ask(f"take {tmp_path / 'state'}") == "-2"
    assert destination.number("free") == 70
    source.do("tx on")
    source.do("back")
    source.do("poll")
    wire.expect(12)
    check_pool(source)
    destination.quit()
    source.quit()
