# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's monitor protocol over a UNIX socket."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from .base import Deadline, HarnessError
from .control import LineSocket


class QmpError(HarnessError):
    """QEMU refused a command."""


class Qmp:
    """One monitor; events are kept until they are asked for."""

    def __init__(self, name: str, path: str, timeout: float = 10.0) -> None:
        self.name = name
        self._line = LineSocket(name, path, timeout)
        self._events: deque[dict[str, Any]] = deque(maxlen=1000)
        self._id = 0
        greeting = self._read(Deadline(timeout, f"{name}: greeting"))
        if "QMP" not in greeting:
            raise HarnessError(f"{name}: {path} does not speak QMP")
        version = greeting["QMP"]["version"]["qemu"]
        self.version = (int(version["major"]), int(version["minor"]), int(version["micro"]))
        self.cmd("qmp_capabilities")

    def close(self) -> None:
        self._line.close()

    def _read(self, deadline: Deadline) -> dict[str, Any]:
        line = self._line.read_line(deadline)
        try:
            msg = json.loads(line)
        except ValueError as err:
            raise HarnessError(f"{deadline.what}: no JSON: {line[:120]!r}") from err
        if not isinstance(msg, dict):
            raise HarnessError(f"{deadline.what}: no object: {line[:120]!r}")
        return msg

    def cmd(self, command: str, timeout: float = 20.0, **args: Any) -> Any:
        """Arguments with '_' for '-'. The value of 'return'."""
        deadline = Deadline(timeout, f"{self.name}: {command}")
        self._id += 1
        msg: dict[str, Any] = {"execute": command, "id": self._id}
        if args:
            msg["arguments"] = {k.replace("_", "-"): v for k, v in args.items()}
        self._line.send_line(json.dumps(msg), deadline)
        while True:
            reply = self._read(deadline)
            if "event" in reply:
                self._events.append(reply)
            elif reply.get("id") == self._id:
                break
        if "error" in reply:
            raise QmpError(f"{deadline.what}: {reply['error'].get('desc', reply['error'])}")
        return reply["return"]

    def events(self, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """Events that came; waits up to wait_s for the first one."""
        deadline = Deadline(max(wait_s, 0.001), f"{self.name}: events")
        while not self._events and not deadline.passed():
            try:
                msg = self._read(deadline)
            except HarnessError:
                if deadline.passed():
                    break
                raise
            if "event" in msg:
                self._events.append(msg)
        out = list(self._events)
        self._events.clear()
        return out

    def wait_status(self, wanted: str, timeout: float) -> None:
        """Until query-status says `wanted`."""
        deadline = Deadline(timeout, f"{self.name}: waiting for status '{wanted}'")
        while True:
            status = self.cmd("query-status")["status"]
            if status == wanted:
                return
            if status in ("guest-panicked", "internal-error", "io-error", "shutdown"):
                raise HarnessError(f"{deadline.what}: it says '{status}'")
            if deadline.passed():
                raise deadline.error(f"it says '{status}'")
            self.events(wait_s=min(0.02, deadline.left()))
