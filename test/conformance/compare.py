# SPDX-License-Identifier: BSD-3-Clause
"""Compare every name of our format headers with the kernel's, by a generated C program."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import mapping
from formats import Formats, read_excerpt, read_header
from kernel_headers import KernelHeaders

HERE = Path(__file__).resolve().parent
COMPILE_S = 60
RUN_S = 10


@dataclass(frozen=True)
class Row:
    """One comparison; kind is value, size, offset, width or function."""

    kind: str
    ours: str
    kernels: str
    our_value: int
    kernel_value: int

    @property
    def same(self) -> bool:
        """Do they agree?"""
        return self.our_value == self.kernel_value

    def __str__(self) -> str:
        return (f"{self.kind} of {self.ours} is {self.our_value:#x}, "
                f"{self.kernels} has {self.kernel_value:#x}")


@dataclass
class Comparison:
    """What was compared, and what was not."""

    rows: list[Row] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    without: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[Row]:
        """Comparisons that disagree."""
        return [row for row in self.rows if not row.same]

    def problems(self) -> list[str]:
        """All that a test must not let pass."""
        return [*map(str, self.wrong),
                *(f"{name}: no counterpart, and no reason in mapping.py" for name in self.missing),
                *self.stale]

    def summary(self) -> str:
        """Counts, for people."""
        kinds = Counter(row.kind for row in self.rows)
        lines = [f"{len(self.names)} names, {len(self.rows)} comparisons: " +
                 ", ".join(f"{count} {kind}s" for kind, count in kinds.items())]
        lines += [f"  {len(names)} without counterpart: {reason}"
                  for reason, names in self.without.items()]
        return "\n".join(lines)


@dataclass
class _Plan:
    """Lines of the C program; lists is mapping.py or a module like it."""

    lists: ModuleType
    known: set[str]
    lines: list[str] = field(default_factory=list)

    def row(self, kind: str, name: str, kernels: str, ours: str, theirs: str) -> None:
        self.lines.append(f'ROW("{kind}", "{name}", "{kernels}", {ours}, {theirs});')

    def has(self, expression: str) -> bool:
        """Do the kernel's headers know all names in it?"""
        words = re.findall(r"[A-Za-z_]\w*", expression)
        return all(word in self.known or word in ("struct", "union", "sizeof") for word in words)

    def counterpart(self, name: str) -> str:
        """By rule; empty when the kernel has none."""
        for pattern, replacement in self.lists.RULES:
            match = re.fullmatch(pattern, name)
            if match is not None and self.has(match.expand(replacement)):
                return match.expand(replacement)
        return ""

    def type_of(self, tag: str) -> str:
        """The kernel's type: some are unions."""
        return f"{'union' if tag in self.lists.UNIONS else 'struct'} {tag}"


def compare(tree: Path, kernel: KernelHeaders, work: Path,
            lists: ModuleType = mapping) -> Comparison:
    """Our headers in a source tree against the kernel's; work is an empty directory."""
    formats = []
    includes = [f'#include "{Path(name).name}"' for name in lists.HEADERS]
    for name in lists.HEADERS:
        formats.append(read_header(tree / name))
    for name, wanted in lists.EXCERPTS.items():
        found, text = read_excerpt(tree / name, wanted)
        if not found.names():
            raise ValueError(f"{name}: nothing like {wanted}")
        formats.append(found)
        includes.append(text)
    result = Comparison()
    (work / "kernel_includes.h").write_text(
        "".join(f"#include <{name}>\n" for name in lists.KERNEL_INCLUDES), encoding="utf-8")
    (work / "our_includes.h").write_text("\n".join(includes) + "\n", encoding="utf-8")
    compiler = _Compiler(tree, kernel, work, lists)
    plan = _Plan(lists, compiler.kernel_names())
    for found in formats:
        _plan_formats(found, plan, result)
    _check_lists(result, plan)
    (work / "rows.h").write_text("\n".join(plan.lines) + "\n", encoding="utf-8")
    result.rows = compiler.run()
    return result


def _plan_formats(found: Formats, plan: _Plan, result: Comparison) -> None:
    reasons = {name: reason for reason, names in plan.lists.WITHOUT.items() for name in names}
    result.names |= found.names()

    def without(name: str, counterpart: str) -> bool:
        reason = reasons.get(name, "")
        if counterpart and reason in ("", plan.lists.NEWER):
            return False
        if counterpart:
            result.stale.append(f"{name}: listed as '{reason}', but there is {counterpart}")
        elif reason:
            result.without.setdefault(reason, []).append(name)
        else:
            result.missing.append(name)
        return True

    for name in [*found.constants, *found.macros]:
        kernels = plan.lists.CONSTANTS.get(name) or plan.counterpart(name)
        if not without(name, kernels):
            plan.row("value", name, kernels, name, kernels)
    for name in found.functions:
        kernels, count = plan.lists.FUNCTIONS.get(name, ("", "0"))
        if not without(name, kernels):
            plan.row("function", name, kernels, count, "0")
    for tag, fields in found.structs.items():
        kernels, part = plan.lists.STRUCTS.get(tag) or (plan.counterpart(tag), "")
        if without(f"struct {tag}", kernels):
            continue
        theirs_type = plan.type_of(kernels)
        size = f"offsetof({theirs_type}, {part})" if part else f"sizeof({theirs_type})"
        plan.row("size", f"struct {tag}", theirs_type, f"sizeof(struct {tag})", size)
        for name, flexible in fields.items():
            theirs = plan.lists.FIELDS.get(f"{tag}.{name}") or (
                plan.lists.FIELD_PREFIX.get(tag, "") + name,)
            if not without(f"{tag}.{name}", theirs[0] if plan.has(" ".join(theirs)) else ""):
                _plan_field(tag, name, flexible, kernels, theirs, plan)


def _plan_field(tag: str, name: str, flexible: bool, kernels: str, theirs: tuple[str, ...],
                plan: _Plan) -> None:
    element = "[0]" if flexible else ""
    plan.row("offset", f"{tag}.{name}", f"{kernels}.{theirs[0]}",
             f"offsetof(struct {tag}, {name})",
             f"offsetof({plan.type_of(kernels)}, {theirs[0]})")
    plan.row("width", f"{tag}.{name}", f"{kernels}.{theirs[0]}",
             f"WIDTH(struct {tag}, {name}{element})",
             " + ".join(f"WIDTH({plan.type_of(kernels)}, {their}{element})" for their in theirs))


def _check_lists(result: Comparison, plan: _Plan) -> None:
    """What mapping.py says about names that are gone is stale."""
    listed = {*plan.lists.CONSTANTS, *plan.lists.FIELDS, *plan.lists.FUNCTIONS,
              *(f"struct {tag}" for tag in {*plan.lists.STRUCTS, *plan.lists.FIELD_PREFIX}),
              *(name for names in plan.lists.WITHOUT.values() for name in names)}
    result.stale += [f"{name}: in mapping.py, but no longer in our headers"
                     for name in sorted(listed - result.names)]
    result.stale += [f"{name}: mapping.py names {kernels}, which the kernel does not have"
                     for name, kernels in plan.lists.CONSTANTS.items() if not plan.has(kernels)]


class _Compiler:
    """The C compiler with our headers and the kernel's."""

    def __init__(self, tree: Path, kernel: KernelHeaders, work: Path, lists: ModuleType) -> None:
        self.work = work
        self.program = HERE / lists.PROGRAM
        self.kernel = kernel
        self.command = [os.environ.get("CC", "cc"), "-std=gnu11",
                        # for copies of our headers that are wrong on purpose; see test_headers.py
                        "-Wno-incompatible-pointer-types",
                        "-DLM_IGNORED_ASSERT(...)=extern int lm_ignored_assert",
                        f"-I{work}", *(f"-I{tree / name}" for name in lists.OUR_INCLUDE_DIRS)]
        multiarch = self._call("-print-multiarch").strip() or "x86_64-linux-gnu"
        self.command += [f"-isystem{path}" for path in kernel.include_dirs(multiarch)]

    def _call(self, *arguments: str) -> str:
        done = subprocess.run([*self.command, *arguments], timeout=COMPILE_S, text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError("the compiler refuses the comparison:\n" + done.stderr)
        return done.stdout

    def kernel_names(self) -> set[str]:
        """Every identifier and macro in the kernel's headers."""
        source = str(self.work / "kernel_includes.h")
        files = self._call("-E", "-xc", "-M", source).replace("\\\n", " ").split()
        foreign = [name for name in files if re.search(r"/(linux|asm|asm-generic)/", name)
                   and not Path(name).is_relative_to(self.kernel.root)]
        if foreign:
            raise ValueError(f"not of {self.kernel.package}: {' '.join(foreign)}")
        macros = re.findall(r"^#define (\w+)", self._call("-E", "-xc", "-dM", source), re.MULTILINE)
        text = self._call("-E", "-P", "-xc", source)
        return {*macros, *re.findall(r"[A-Za-z_]\w*", text)}

    def run(self) -> list[Row]:
        """Compile and run the comparison."""
        program = self.work / "compare"
        self._call("-o", str(program), str(self.program))
        done = subprocess.run([program], timeout=RUN_S, text=True, capture_output=True, check=True)
        rows = []
        for line in done.stdout.splitlines():
            kind, ours, kernels, *values = line.split("\t")
            rows.append(Row(kind, ours, kernels, int(values[0]), int(values[1])))
        version = rows.pop(0)
        major, minor, patch = self.kernel.version
        assert version.our_value == major << 16 | minor << 8 | patch, str(version)
        return rows
