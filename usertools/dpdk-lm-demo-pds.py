#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Move a process that forwards, with the running queues of an AMD Pensando VF, under traffic.

Two hosts are played on this machine: a software card each, a process that owns its PF, one cable.
A generator sends numbered frames to the process, which sends them back. The process goes to the
other host and back while they fly; then each frame is accounted for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lm_harness import HarnessError  # noqa: E402
from lm_harness.account import Frames  # noqa: E402
from lm_harness.base import Deadline  # noqa: E402
from lm_harness.pds import DOWNTIME, Move, PdsBed, PdsConfig, percentile  # noqa: E402


def parse(argv: list[str]) -> argparse.Namespace:
    assert __doc__ is not None
    p = argparse.ArgumentParser(description=__doc__.strip().split("\n\n", maxsplit=1)[0],
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--build-dir", type=Path, default=Path("build"), help="where ninja has built")
    p.add_argument("--queues", type=int, default=8, choices=range(1, 9), metavar="N",
                   help="queue pairs, 1 to 8")
    p.add_argument("--migrations", type=int, default=6, metavar="N", help="back and forth")
    p.add_argument("--rate", type=int, default=5000, metavar="PPS", help="frames per second")
    p.add_argument("--json", metavar="FILE", help="the report; -: stdout")
    return p.parse_args(argv)


def wait_answers(bed: PdsBed, count: int) -> None:
    deadline = Deadline(20, f"{count} answers")
    while bed.answered() < count:
        deadline.left()


def table(head: str, rows: list[tuple[str, str]]) -> None:
    print(f"\n{head}")
    for name, text in rows:
        print(f"  {name:<28} {text}")


def spread(values: list[float]) -> str:
    return (f"p50 {percentile(values, 0.5):7.2f}  p90 {percentile(values, 0.9):7.2f}  "
            f"max {max(values):7.2f}")


def show(moves: list[Move], frames: Frames, commands: dict[str, dict[str, int]]) -> None:
    table("frames", [("sent", str(frames.sent)), ("received", str(frames.received))] +
          [(f"dropped, {k}", str(v)) for k, v in sorted(frames.dropped.items()) if v] +
          [(k, str(getattr(frames, k)))
           for k in ("unexplained", "corrupt", "duplicated", "reordered")])
    wall = [m.phases_ms() for m in moves]
    cpu = [m.cpu_ms() for m in moves]
    table("downtime by phase, ms", [(p, spread([w[p] for w in wall])) for p in DOWNTIME] +
          [("in all", spread([m.downtime_ms for m in moves])),
           ("in all, CPU time", spread([sum(c.values()) for c in cpu]))])
    trips = [m.source["downtime-session-round-trips"] for m in moves]
    device = [m.source["devices"][0]["downtime-round-trips"] for m in moves]
    table("round trips in the downtime", [("to the peer", str(max(trips))),
                                          ("to the source's device", str(max(device)))])
    table("live migration commands", [
        (name, f"{c['count']:6} times, mean {c['total_us'] // max(1, c['count']):6} us, "
         f"max {c['max_us']:6} us, {c['errors']} refused") for name, c in commands.items()])


def run(args: argparse.Namespace, logs: Path) -> dict[str, Any]:
    config = PdsConfig(args.build_dir.resolve(), logs, queues=args.queues, rate=args.rate)
    moves: list[Move] = []
    with PdsBed(config) as bed:
        bed.start_traffic()
        wait_answers(bed, 1000)
        for number in range(args.migrations):
            moves.append(bed.migrate())
            print(f"migration {number + 1}: to host {bed.current.host}, downtime "
                  f"{moves[-1].downtime_ms:.2f} ms", file=sys.stderr)
            wait_answers(bed, 500)
        frames = bed.frames()
        violations = bed.violations()
        commands = bed.commands()
    show(moves, frames, commands)
    good = frames.unexplained == frames.corrupt == frames.duplicated == frames.reordered == 0 \
        and not violations and frames.received > 0
    if violations:
        print(f"\nrules broken: {violations}")
    return {"verdict": good, "frames": frames.as_json(), "violations": violations,
            "commands": commands, "queues": args.queues,
            "migrations": [{"source": m.source, "destination": m.destination} for m in moves]}


def main(argv: list[str]) -> int:
    args = parse(argv)
    logs = Path(tempfile.mkdtemp(prefix="dpdk-lm-demo-pds-"))
    try:
        report = run(args, logs)
    except HarnessError as err:
        print(f"dpdk-lm-demo-pds: {err}; logs are in {logs}", file=sys.stderr)
        return 1
    if args.json:
        text = json.dumps(report, indent=2)
        if args.json == "-":
            print(text)
        else:
            Path(args.json).write_text(text + "\n", encoding="utf-8")
    print("\nverdict: " + ("every frame is accounted for" if report["verdict"] else "FAILED") +
          f"\nlogs: {logs}")
    return 0 if report["verdict"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
