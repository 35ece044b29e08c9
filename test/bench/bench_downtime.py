#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Downtime and blackout of our path and of stock testpmd with net_vhost, side by side.

Same guest, same QEMU, same generator, same measure; the two take turns in one run, each
migration on a testbed of its own. Ours drives a virtio function through the vDPA driver; the
other is a software switch that owns the rings itself, which is what a hardware path is up
against.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "usertools"))

from lm_harness import HarnessError  # noqa: E402
from lm_harness.scenario import Runner  # noqa: E402
from lm_harness.screen import Screen  # noqa: E402
from lm_harness.guest import QEMU  # noqa: E402
from lm_harness.stock import TESTPMD, StockTestbed  # noqa: E402
from lm_harness.testbed import Config, Testbed  # noqa: E402

PATHS: dict[str, type[Testbed]] = {"vdpa": Testbed, "net_vhost": StockTestbed}
SKIPPED = 77  # meson's word for it
FIGURES = ("downtime_ms", "blackout_ms", "total_ms", "lost")


def once(kind: str, config: Config) -> dict[str, float]:
    """One migration, from nothing to nothing."""
    with PATHS[kind](config) as testbed:
        runner = Runner(testbed, Screen(quiet=True), seconds=0.5)
        testbed.start()
        runner.boot()
        run = runner.run()
        return {"downtime_ms": run.migration.downtime_ms, "blackout_ms": run.blackout_ms,
                "total_ms": run.migration.total_ms,
                "lost": run.frames.sent - run.frames.received}


def spread(values: list[float]) -> dict[str, Any]:
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "min": ordered[0], "max": ordered[-1],
            "values": values}


def main() -> int:
    assert __doc__ is not None
    p = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0])
    p.add_argument("--build-dir", type=Path, default=TOP / "build")
    p.add_argument("--repeat", type=int, default=10, help="migrations of each kind")
    p.add_argument("--rate", type=int, default=2000, help="frames per second")
    p.add_argument("--queues", type=int, default=1)
    p.add_argument("--out", type=Path, help="JSON (default: BUILD_DIR/bench-downtime.json)")
    args = p.parse_args()
    build = args.build_dir.resolve()
    for tool in (QEMU, TESTPMD):
        if shutil.which(tool) is None:
            print(f"bench_downtime: skipped, no {tool}; type: devtools/setup.sh demo test")
            return SKIPPED
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in PATHS}
    try:
        for i in range(args.repeat):
            for kind in PATHS:
                config = Config(build_dir=build, log_dir=build / "bench-logs" / kind,
                                queues=args.queues, rate=args.rate, mtu=1500,
                                frame_size="74-1514")
                one = once(kind, config)
                found[kind].append(one)
                print(f"{i + 1:3}  {kind:<10} " +
                      "  ".join(f"{k} {one[k]:g}" for k in FIGURES), flush=True)
    except HarnessError as err:
        print(f"bench_downtime: {err}", file=sys.stderr)
        return 1
    result = {kind: {k: spread([r[k] for r in runs]) for k in FIGURES}
              for kind, runs in found.items()}
    out = args.out or build / "bench-downtime.json"
    out.write_text(json.dumps({"repeat": args.repeat, "rate": args.rate, "queues": args.queues,
                               "paths": result}, indent=1) + "\n")
    print(f"\n{'median (min to max)':<14}" + "".join(f"{kind:>28}" for kind in PATHS))
    for k in FIGURES:
        cells = [f"{r[k]['median']:g} ({r[k]['min']:g} to {r[k]['max']:g})"
                 for r in result.values()]
        print(f"{k:<19}" + "".join(f"{c:>28}" for c in cells))
    print(f"\nwritten to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
