# SPDX-License-Identifier: BSD-3-Clause
"""Errors and deadlines."""

from __future__ import annotations

import os
import socket
import stat
import time


class HarnessError(Exception):
    """Something did not happen as it must; the text says what, where and what to look at."""


class Deadline:
    """A point in time, and what is waited for."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self.what = what
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left; raises when there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def passed(self) -> bool:
        return time.monotonic() >= self.end

    def error(self, more: str = "") -> HarnessError:
        tail = f" ({more})" if more else ""
        return HarnessError(f"{self.what}: nothing after {self.seconds:g} s{tail}")


def connect(path: str, kind: int, deadline: Deadline) -> socket.socket:
    """Connect to a UNIX socket that exists already."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise HarnessError(f"{deadline.what}: {path} is not a socket")
    except OSError as err:
        raise HarnessError(f"{deadline.what}: {path}: {err.strerror}") from err
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        sock.settimeout(deadline.left())
        sock.connect(path)
    except TimeoutError as err:
        sock.close()
        raise deadline.error(path) from err
    except OSError as err:
        sock.close()
        raise HarnessError(f"{deadline.what}: {path}: {err.strerror}") from err
    return sock
