# SPDX-License-Identifier: BSD-3-Clause
"""Every name that one of our format headers defines, read from its source.

The grammar is what the headers need and no more: what it does not know is an error, so that no
constant, structure or field can slip by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ASSERTS = ("static_assert", "LM_IGNORED_ASSERT")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_FIELD = re.compile(r"(?:const\s+)?(?:struct\s+)?\w+\s+(\w+)\s*((?:\[[^\]]*\]\s*)*)")
_PAIRS = {"(": ")", "{": "}"}


class FormatError(Exception):
    """Something in a header that we would not compare."""


@dataclass
class Formats:
    """Names in the order of the source; structs: tag -> field -> 'is a flexible array'."""

    constants: list[str] = field(default_factory=list)
    macros: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    structs: dict[str, dict[str, bool]] = field(default_factory=dict)

    def names(self) -> set[str]:
        """All names; a structure as 'struct TAG', its fields as 'TAG.FIELD'."""
        fields = {f"{tag}.{name}" for tag, found in self.structs.items() for name in found}
        return {*self.constants, *self.macros, *self.functions, *fields,
                *(f"struct {tag}" for tag in self.structs)}


def plain_text(path: Path) -> str:
    """The source without comments and continued lines."""
    return _COMMENT.sub(" ", path.read_text(encoding="utf-8")).replace("\\\n", " ")


def read_header(path: Path) -> Formats:
    """All that a header defines."""
    found = Formats()
    body = []
    guard = ""
    for line in plain_text(path).splitlines():
        if not line.lstrip().startswith("#"):
            body.append(line)
        elif match := re.fullmatch(r"#ifndef (\w+_H)\s*", line):
            guard = match[1]
        elif match := re.fullmatch(r"#define (\w+)(\(?)(.*)", line):
            if match[1] != guard:
                (found.macros if match[2] else found.constants).append(match[1])
        elif not re.fullmatch(r"#(include .*|endif)\s*", line):
            raise FormatError(f"{path.name}: {line.strip()}")
    _read_body("\n".join(body), found, path.name)
    return found


def read_excerpt(path: Path, wanted: str) -> tuple[Formats, str]:
    """Of another source: its macros and structures that match, and their text for a compiler."""
    found = Formats()
    text = plain_text(path)
    lines = []
    for match in re.finditer(r"^#define (\w+)[ \t]+(.*)$", text, re.MULTILINE):
        if re.fullmatch(wanted, match[1]):
            found.constants.append(match[1])
            lines.append(match[0])
    for match in re.finditer(r"^struct (\w+)\s*\{(.*?)\};", text, re.MULTILINE | re.DOTALL):
        if re.fullmatch(wanted, match[1]):
            found.structs[match[1]] = _fields(match[2], path.name)
            lines.append(match[0])
    return found, "\n".join(lines)


def _read_body(text: str, found: Formats, where: str) -> None:
    macro_call = "|".join([*ASSERTS, *found.macros])
    at = 0
    while match := re.compile(r"\s*(\S)").match(text, at):
        at = match.start(1)
        rest = re.compile(
            rf"(?P<call>{macro_call})\s*\("
            r"|struct\s+(?P<struct>\w+)\s*\{"
            r"|enum\s+(?P<enum>\w+)\s*\{"
            r"|static inline [^(;{]*?\b(?P<function>\w+)\s*\(").match(text, at)
        if rest is None:
            raise FormatError(f"{where}: {text[at:at + 60]!r}")
        end = _closing(text, rest.end() - 1)
        inside = text[rest.end():end]
        at = end + 1
        if rest["function"]:
            found.functions.append(rest["function"])
            at = _closing(text, text.index("{", at)) + 1
            continue
        if rest["struct"]:
            found.structs[rest["struct"]] = _fields(inside, where)
        elif rest["enum"]:
            found.constants += _enumerators(inside, where)
        at = text.index(";", at) + 1


def _closing(text: str, start: int) -> int:
    begin = text[start]
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == begin) - (text[at] == _PAIRS[begin])
        if depth == 0:
            return at
    raise FormatError(f"no {_PAIRS[begin]} for {text[start - 40:start + 1]!r}")


def _fields(inside: str, where: str) -> dict[str, bool]:
    found = {}
    for text in filter(None, map(str.strip, inside.split(";"))):
        match = _FIELD.fullmatch(text)
        if match is None:
            raise FormatError(f"{where}: field {text!r}")
        found[match[1]] = re.match(r"\[\s*\]", match[2]) is not None
    return found


def _enumerators(inside: str, where: str) -> list[str]:
    found = []
    for text in filter(None, map(str.strip, inside.split(","))):
        match = re.fullmatch(r"(\w+)(\s*=.*)?", text, re.DOTALL)
        if match is None:
            raise FormatError(f"{where}: enumerator {text!r}")
        found.append(match[1])
    return found
