# SPDX-License-Identifier: BSD-3-Clause
"""One child process: started, watched for a line, logged, ended."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from .base import Deadline, HarnessError

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


ENDING = (signal.SIGINT, signal.SIGTERM)


def _die_with_parent() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(127)


class Process:
    """
    A child in a session of its own, so that Ctrl-C reaches us alone and clean-up keeps its
    order; it dies with us in any case. Output goes to a log file and can be waited for.
    """

    started: ClassVar[list[Process]] = []  # and not closed yet

    def __init__(self, name: str, argv: Sequence[str], log_path: Path,
                 env: dict[str, str] | None = None, pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log_path = log_path
        self.expected_exit: tuple[int, ...] = (0,)
        self._lines: list[str] = []
        self._eof = False
        self._cond = threading.Condition()
        self._log = open(log_path, "ab", buffering=0)
        self._log.write(("$ " + " ".join(self.argv) + "\n").encode())
        # Ctrl-C between the start and its entry in the list would leave a process behind.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, preexec_fn=_die_with_parent, start_new_session=True,
                pass_fds=pass_fds, env={**os.environ, **(env or {})})
            self._reader = threading.Thread(target=self._read, name=f"log {name}", daemon=True)
            self._reader.start()
            Process.started.append(self)
        except OSError as err:
            self._log.close()
            raise HarnessError(f"{name}: cannot start {self.argv[0]}: {err.strerror}") from err
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for raw in self.popen.stdout:
            self._log.write(raw)
            with self._cond:
                self._lines.append(raw.decode("utf-8", "replace").rstrip("\r\n"))
                self._cond.notify_all()
        with self._cond:
            self._eof = True
            self._cond.notify_all()

    def mark(self) -> int:
        """Position in the output, for wait_line(since=)."""
        with self._cond:
            return len(self._lines)

    def lines(self, since: int = 0) -> list[str]:
        with self._cond:
            return self._lines[since:]

    def wait_line(self, pattern: str, timeout: float, since: int = 0) -> str:
        """The first line, from `since` on, that matches; fails when the process ends first."""
        regex = re.compile(pattern)
        deadline = Deadline(timeout, f"{self.name}: waiting for a line like '{pattern}'")
        with self._cond:
            while True:
                for i in range(since, len(self._lines)):
                    if regex.search(self._lines[i]):
                        return self._lines[i]
                since = max(since, len(self._lines))
                if self._eof:
                    raise HarnessError(
                        f"{self.name} ended before it printed '{pattern}'{self._tail()}")
                if deadline.passed():
                    raise deadline.error(f"log: {self.log_path}{self._tail()}")
                self._cond.wait(deadline.left())

    def _tail(self) -> str:
        last = [line for line in self._lines if line.strip()][-5:]
        return "".join("\n    " + line for line in last)

    def alive(self) -> bool:
        return self.popen.poll() is None

    def check_alive(self) -> None:
        code = self.popen.poll()
        if code is not None:
            self._reader.join(2)
            raise HarnessError(f"{self.name} ended by itself with {code}{self._tail()}")

    def wait(self, timeout: float) -> int:
        """Exit code (negative: signal)."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise Deadline(timeout, f"{self.name}: waiting for its end").error() from err
        self._reader.join(2)
        return code

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.popen.kill()
        self.popen.wait(10)
        self._close()

    def stop(self, timeout: float = 5.0) -> int:
        """SIGTERM, after the deadline SIGKILL; the code, checked against expected_exit."""
        if self.popen.poll() is not None:
            code = self.popen.returncode
            self._close()
            return code
        self.popen.terminate()
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired as err:
            self.popen.kill()
            self.popen.wait(10)
            self._close()
            raise HarnessError(
                f"{self.name} did not end within {timeout:g} s of SIGTERM; killed") from err
        self._close()
        if code not in self.expected_exit:
            raise HarnessError(f"{self.name} exited with {code}{self._tail()}")
        return code

    def close(self) -> None:
        """For clean-up: end it, whatever it says."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(10)
        self._close()

    def _close(self) -> None:
        if self in Process.started:
            Process.started.remove(self)
        self._reader.join(2)
        if not self._log.closed and not self._reader.is_alive():
            self._log.close()
            if self.popen.stdout:
                self.popen.stdout.close()

    def fd_count(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_bytes(self) -> tuple[int, int]:
        """(anonymous, all) resident memory; a guest's shared pages count only in the second."""
        anon = whole = 0
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                anon = int(line.split()[1]) * 1024
            elif line.startswith("VmRSS:"):
                whole = int(line.split()[1]) * 1024
        return anon, whole

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
