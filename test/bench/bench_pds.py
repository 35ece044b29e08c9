#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Instructions and cycles per packet of net_pds beside stock net_ionic, on the same rings.

Both drivers run in one program, each on a VF of one card; what the card wrote for a burst is kept,
the card is stopped, and its completions are written again for each burst. So no figure has a
device in it. Instructions are callgrind's, of the bursts alone, and repeat; cycles are medians of
the same run, of which only the ratio means something. The gate is on instructions: ours must not
need more in any row.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "usertools"), str(TESTS / "shim"), str(TESTS / "py")]

from lm_harness.process import Process  # noqa: E402

import shim_tree  # noqa: E402

BDF = "0000:00:05.0"
BURST = 32
READY_S, RUN_S = 20, 240
# Bytes for a frame in a buffer. A card may send 9216, for which net_ionic scatters into all buffers
# that are smaller; it refuses those beneath 1024. FAST_FREE with several segments leaves it with
# broken buffers.
MODES = ((9728, "plain"), (9728, "fast"), (2048, "plain"), (2048, "fast"), (1088, "plain"))
Figures = dict[tuple[str, str], float]


class Bench:
    """The program and what it needs from a build."""

    def __init__(self, build: Path) -> None:
        self.program = build / "test/bench/bench_pds"
        self.model = build / "app/devmodel/dpdk-lm-devmodel"
        self.plugin = build / "drivers/net/pds/liblm_net_pds.so"
        self.shim = build / "test/shim/liblm_vfio_shim.so"

    def run(self, buffers: int, freeing: str, before: list[str]) -> tuple[str, str]:
        """Run the program on a card of its own; its output, and what callgrind dumped."""
        with ExitStack() as stack:
            d = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            model = Process("model", [str(self.model), "pds", "--wire", "loop", "--wire", "loop",
                                      "--socket", f"{d}/pf", "--socket", f"{d}/vf0",
                                      "--socket", f"{d}/vf1"], d / "model.log")
            stack.callback(model.close)
            stack.callback(os.kill, model.pid, 18)  # SIGCONT: stopped, it would not end
            model.wait_line(f"^ready {d}/vf1$", READY_S)
            env = shim_tree.make(d / "tree", [shim_tree.ask(BDF, d / "vf1")])
            env |= {"LD_PRELOAD": str(self.shim), "RUNTIME_DIRECTORY": str(d)}
            done = subprocess.run(
                [*before, str(self.program), "-l", "0", "--no-huge", "-m", "256",
                 "--iova-mode=va", "--no-telemetry", "--log-level=error", "-a", BDF,
                 "-d", str(self.plugin), "--vdev", f"net_pds0,socket={d}/vf0", "--",
                 str(model.pid), str(buffers), freeing],
                cwd=d, env={**os.environ, **env}, timeout=RUN_S, check=False, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if done.returncode != 0:
                raise RuntimeError(f"{done.stdout}{done.stderr}"[-6000:])
            return done.stdout, "".join(p.read_text() for p in sorted(d.glob("callgrind.out*")))

    def cycles(self, buffers: int, freeing: str) -> Figures:
        out, _ = self.run(buffers, freeing, [])
        return {(name, who): float(n) / BURST for name, who, n in
                re.findall(r"^cycles (\w+ \d+) (\w+) ([\d.]+)$", out, re.MULTILINE)}

    def instructions(self, buffers: int, freeing: str) -> Figures:
        out, dumps = self.run(buffers, freeing, [
            "valgrind", "-q", "--tool=callgrind", "--collect-atstart=no",
            "--callgrind-out-file=callgrind.out",
            # The stand-in for register pages reads the registers of the faulting instruction.
            "--px-default=allregs-at-mem-access", "--px-file-backed=allregs-at-mem-access"])
        bursts = int(re.findall(r"^bursts (\d+)$", out, re.MULTILINE)[0])
        found = re.findall(r"^desc: Trigger: Client Request: (\w+ \d+) (\w+)$(?:.*\n)*?"
                           r"(?:totals|summary): (\d+)", dumps, re.MULTILINE)
        return {(name, who): int(n) / bursts / BURST for name, who, n in found}


def table(bench: Bench, buffers: int, freeing: str) -> float:
    """Print one mode's rows; the worst ratio of instructions."""
    instructions, cycles = bench.instructions(buffers, freeing), bench.cycles(buffers, freeing)
    worst = 0.0
    if {k[1] for k in instructions} != {"net_pds", "net_ionic"} or \
            instructions.keys() != cycles.keys():
        raise RuntimeError(f"figures are missing: {instructions}, {cycles}")
    for name in dict.fromkeys(name for name, _ in instructions):
        ours, theirs = instructions[name, "net_pds"], instructions[name, "net_ionic"]
        clock = cycles[name, "net_pds"] / cycles[name, "net_ionic"]
        unit = BURST if name.startswith("idle") else 1
        print(f"{buffers:>9} {freeing:>5} {name:>8} {ours * unit:>8.1f} {theirs * unit:>10.1f} "
              f"{ours / theirs:>6.2f} {clock:>7.2f}", flush=True)
        worst = max(worst, ours / theirs)
    return worst


def main() -> int:
    """Print the table; 1 when the gate is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=TESTS.parent / "build")
    bench = Bench(parser.parse_args().build_dir.resolve())
    if shutil.which("valgrind") is None or not bench.shim.exists():
        print("skipped: no valgrind, or a build with sanitizers, which has no shim")
        return 77
    print("per packet in bursts of 32; idle: per burst that finds nothing")
    print(f"{'buffers':>9} {'free':>5} {'what':>8} {'net_pds':>8} {'net_ionic':>10} {'ratio':>6} "
          f"{'cycles':>7}")
    worst = max(table(bench, *mode) for mode in MODES)
    if worst > 1.0:
        print(f"FAILED: ours needs {worst:.2f} times the instructions of net_ionic")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
