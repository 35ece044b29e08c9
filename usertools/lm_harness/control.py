# SPDX-License-Identifier: BSD-3-Clause
"""Clients of line-by-line JSON sockets (models, traffic, guest) and of DPDK's telemetry."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from .base import Deadline, HarnessError, connect

LINE_MAX = 1 << 20


class LineSocket:
    """A stream socket read and written by lines, with deadlines."""

    def __init__(self, name: str, path: str, timeout: float = 5.0) -> None:
        self.name = name
        self.path = path
        self._buf = b""
        self._sock = connect(path, socket.SOCK_STREAM, Deadline(timeout, f"{name}: connecting"))

    def close(self) -> None:
        self._sock.close()

    def send_line(self, text: str, deadline: Deadline) -> None:
        try:
            self._sock.settimeout(deadline.left())
            self._sock.sendall(text.encode() + b"\n")
        except TimeoutError as err:
            raise deadline.error() from err
        except (BrokenPipeError, ConnectionResetError) as err:
            raise HarnessError(f"{deadline.what}: the peer closed the connection") from err
        except OSError as err:
            raise HarnessError(f"{deadline.what}: {err.strerror}") from err

    def read_line(self, deadline: Deadline) -> str:
        while b"\n" not in self._buf:
            if len(self._buf) > LINE_MAX:
                raise HarnessError(f"{deadline.what}: {LINE_MAX} bytes and no line end")
            try:
                self._sock.settimeout(deadline.left())
                part = self._sock.recv(65536)
            except TimeoutError as err:
                raise deadline.error() from err
            except ConnectionResetError:
                part = b""
            except OSError as err:
                raise HarnessError(f"{deadline.what}: {err.strerror}") from err
            if not part:
                raise HarnessError(f"{deadline.what}: the peer closed the connection")
            self._buf += part
        line, self._buf = self._buf.split(b"\n", 1)
        return line.decode("utf-8", "replace").strip()

    def drain(self) -> None:
        """Throw away what has come so far."""
        self._buf = b""
        self._sock.settimeout(0.0)
        try:
            while self._sock.recv(65536):
                pass
        except (BlockingIOError, OSError):
            pass


class Control(LineSocket):
    """One JSON object per line in and out."""

    def request(self, cmd: str, timeout: float = 5.0, **args: Any) -> dict[str, Any]:
        deadline = Deadline(timeout, f"{self.name}: '{cmd}'")
        self.send_line(json.dumps({"cmd": cmd, **args}), deadline)
        line = self.read_line(deadline)
        try:
            reply = json.loads(line)
        except ValueError as err:
            raise HarnessError(f"{deadline.what}: reply is no JSON: {line[:120]!r}") from err
        if not isinstance(reply, dict):
            raise HarnessError(f"{deadline.what}: reply is no object: {line[:120]!r}")
        if "error" in reply:
            raise HarnessError(f"{deadline.what}: refused: {reply['error']}")
        return reply

    def stats(self) -> dict[str, Any]:
        return self.request("stats")


class Telemetry:
    """DPDK's telemetry socket, version 2 (SOCK_SEQPACKET, one JSON object per message)."""

    def __init__(self, name: str, path: str, timeout: float = 5.0) -> None:
        self.name = name
        deadline = Deadline(timeout, f"{name}: telemetry")
        self._sock = connect(path, socket.SOCK_SEQPACKET, deadline)
        hello = json.loads(self._recv(deadline, 1024))
        self.pid = int(hello["pid"])
        self._max_len = int(hello["max_output_len"])

    def _recv(self, deadline: Deadline, size: int) -> bytes:
        try:
            self._sock.settimeout(deadline.left())
            data = self._sock.recv(size)
        except TimeoutError as err:
            raise deadline.error() from err
        except OSError as err:
            raise HarnessError(f"{deadline.what}: {err.strerror}") from err
        if not data:
            raise HarnessError(f"{deadline.what}: the peer closed the connection")
        return data

    def close(self) -> None:
        self._sock.close()

    def get(self, command: str, timeout: float = 5.0) -> Any:
        """The value of the reply, without its envelope."""
        deadline = Deadline(timeout, f"{self.name}: telemetry {command}")
        try:
            self._sock.settimeout(deadline.left())
            self._sock.send(command.encode())
        except OSError as err:
            raise HarnessError(f"{deadline.what}: {err.strerror}") from err
        reply = json.loads(self._recv(deadline, self._max_len))
        return next(iter(reply.values()), None)

    def timeline(self, device: str) -> list[dict[str, Any]]:
        """All events still held, page by page."""
        events: list[dict[str, Any]] = []
        seq = 0
        for _ in range(1000):
            page = self.get(f"/lm/timeline,{device},{seq}")
            if not isinstance(page, dict):
                break
            new = [_event(text) for text in page.get("events", [])]
            new = [e for e in new if e["seq"] >= seq]
            if not new:
                break
            events += new
            seq = new[-1]["seq"] + 1
        return events


def _event(text: str) -> dict[str, Any]:
    """'SEQ T_NS BYTES ERROR PHASE EVENT'; only the last may hold spaces."""
    seq, t_ns, count, error, phase, event = text.split(" ", 5)
    return {"seq": int(seq), "t_ns": int(t_ns), "bytes": int(count), "error": int(error),
            "phase": "" if phase == "-" else phase, "event": event}


def settle(read: Any, timeout: float, what: str, quiet_s: float = 0.25) -> Any:
    """
    Read until the value has not changed for `quiet_s`, and return it. The only honest way to
    know that nothing is in flight any more is to see every counter stand still.
    """
    deadline = Deadline(timeout, what)
    last = read()
    since = time.monotonic()
    while time.monotonic() - since < quiet_s:
        if deadline.passed():
            raise deadline.error("it still changes")
        time.sleep(0.02)
        now = read()
        if now != last:
            last, since = now, time.monotonic()
    return last
