# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees: phase lines, one moving line, tables. 80 columns, NO_COLOR honoured."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TextIO

WIDTH = 80
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Screen:
    """Writes to one stream; a pipe gets plain lines and a progress line once a second."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.stream = stream if stream is not None else sys.stdout
        self.quiet = quiet
        self.tty = self.stream.isatty()
        self.colour = self.tty and not os.environ.get("NO_COLOR") \
            and os.environ.get("TERM", "") != "dumb"
        self._moving = False
        self._last = 0.0
        self._began = time.monotonic()

    def paint(self, text: str, *styles: str) -> str:
        if not self.colour or not styles:
            return text
        return f"\033[{';'.join(_CODES[s] for s in styles)}m{text}\033[0m"

    def line(self, text: str = "", *styles: str) -> None:
        if self.quiet:
            return
        if self._moving:
            self.stream.write("\r\033[K")
            self._moving = False
        self.stream.write(self.paint(text, *styles) + "\n")
        self.stream.flush()

    def phase(self, text: str) -> None:
        """Something begins."""
        self._last = time.monotonic()
        self.line(f"[{time.monotonic() - self._began:5.1f} s] {text}"[:WIDTH], "bold")

    def moving(self, text: str) -> None:
        """A line that is overwritten by the next."""
        if self.quiet:
            return
        now = time.monotonic()
        if self.tty:
            self.stream.write("\r\033[K" + text[:WIDTH - 1])
            self.stream.flush()
            self._moving = True
        elif now - self._last >= 1.0:
            self._last = now
            self.line(text[:WIDTH])

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Two columns; long values are wrapped at spaces."""
        if not rows:
            return
        self.line()
        self.line(title, "bold")
        left = max(len(name) for name, _ in rows)
        for name, value in rows:
            for i, part in enumerate(wrap(value, WIDTH - left - 4)):
                self.line(f"  {name if i == 0 else '':<{left}}  {part}")


def wrap(text: str, width: int) -> list[str]:
    """Like textwrap, but never breaks a word and keeps an empty text as one line."""
    out: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            out.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    out.append(line)
    return out


def si_bytes(count: float) -> str:
    """1536 -> '1.5 KiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
