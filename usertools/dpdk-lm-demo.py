#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Migrate a live QEMU guest between two virtio functions, under traffic, and prove it.

Two hosts are played on this machine: a software virtio-net function each, a vDPA back end that
drives it, and a stock QEMU. A generator sends numbered frames to the guest, which sends them
back. The guest migrates under that load; then once more with the destination held, so that the
memory of both can be compared; then once more with a fault that the comparison must find.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lm_harness import HarnessError  # noqa: E402
from lm_harness import plot, report  # noqa: E402
from lm_harness.migrate import PHASES  # noqa: E402
from lm_harness.ram import RamResult  # noqa: E402
from lm_harness.scenario import Runner  # noqa: E402
from lm_harness.screen import Screen  # noqa: E402
from lm_harness.stock import PeerTestbed  # noqa: E402
from lm_harness.testbed import Config, Testbed  # noqa: E402


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def parse(argv: list[str]) -> argparse.Namespace:
    """Options; the defaults are the demo of the README."""
    assert __doc__ is not None
    p = argparse.ArgumentParser(description=__doc__.strip().split("\n\n")[0],
                                epilog=__doc__.strip().split("\n\n")[1],
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--build-dir", type=Path, default=Path("build"), help="where ninja has built")
    p.add_argument("--queues", type=positive, default=1, choices=range(1, 9), metavar="N",
                   help="queue pairs, 1 to 8")
    p.add_argument("--packed", action="store_true", help="the guest uses packed rings")
    p.add_argument("--repeat", type=positive, default=1, metavar="N",
                   help="timed migrations, back and forth")
    p.add_argument("--rate", type=positive, default=2000, metavar="PPS", help="frames per second")
    p.add_argument("--size", default="74-9014", metavar="MIN-MAX", help="bytes of a frame")
    p.add_argument("--cancel-at", choices=PHASES, action="append", default=[], metavar="PHASE",
                   help="first begin a migration and cancel it there; repeatable: "
                        + ", ".join(PHASES))
    p.add_argument("--past-wrap", action="store_true",
                   help="after the timed migrations, traffic until every queue is direct again")
    p.add_argument("--peer", choices=["testpmd"],
                   help="host B runs stock testpmd with net_vhost instead of our back end")
    p.add_argument("--seconds", type=float, default=1.0, metavar="S",
                   help="traffic after each migration")
    p.add_argument("--memory", type=positive, default=256, metavar="MIB", help="RAM of the guest")
    p.add_argument("--device-options", default="", metavar="K=V,...",
                   help="more properties of QEMU's virtio-net-pci")
    p.add_argument("--devargs", default="", metavar="K=V,...", help="more devargs of the driver")
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="the report (default: BUILD_DIR/demo-report.json)")
    p.add_argument("--json", action="store_true", help="print the report instead of the tables")
    p.add_argument("--keep", action="store_true",
                   help="at the end wait for Ctrl-C, so that one can look around")
    args = p.parse_args(argv)
    args.out = args.out or args.build_dir / "demo-report.json"
    if not args.build_dir.is_dir():
        p.error(f"no directory {args.build_dir}; run 'make' first, or give --build-dir")
    return args


def terminate(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Demo:
    """State that outlives a failure, so that the report says how far it came."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.screen = Screen(quiet=args.json)
        self.runner: Runner | None = None
        self.control: RamResult | None = None
        self.broken: tuple[int, dict[str, int]] = (0, {})

    def config(self) -> Config:
        a = self.args
        options = ",".join(filter(None, ["packed=on" if a.packed else "", a.device_options]))
        return Config(build_dir=a.build_dir.resolve(), log_dir=a.out.resolve().parent / "demo-logs",
                      queues=a.queues, rate=a.rate, frame_size=a.size, memory_mib=a.memory,
                      device_options=options, devargs=a.devargs)

    def run_peer(self) -> None:
        """To the other back end, back, and there again with memory compared."""
        screen, config = self.screen, self.config()
        config = replace(config, frame_size="74-1514", mtu=1500)
        screen.phase("starting a model and a back end on A, testpmd on B, and the generator")
        with PeerTestbed(config) as testbed:
            testbed.start()
            self.runner = runner = Runner(testbed, screen, self.args.seconds)
            screen.phase("booting the guest on side A")
            runner.boot()
            for held in (False, False, True):
                screen.phase(f"migrating {runner.here} -> {runner.other()}"
                             + (", held, to compare memory" if held else ""))
                run = runner.run(held=held)
                screen.line(f"          done in {run.migration.total_ms} ms, downtime "
                            f"{run.migration.downtime_ms} ms")
            self.broken = runner.violations()
            testbed.finish()

    def run(self) -> None:
        """Everything, in order; raises at the first thing that does not happen."""
        screen = self.screen
        config = self.config()
        for old in config.log_dir.glob("*.log") if config.log_dir.is_dir() else ():
            old.unlink()
        with Testbed(config) as testbed:
            runner = self.runner = Runner(testbed, screen, self.args.seconds)
            screen.phase("starting models, back ends and the generator")
            testbed.start()
            screen.phase("booting the guest on side A")
            runner.boot()
            for phase in self.args.cancel_at:
                screen.phase(f"migrating {runner.here} -> {runner.other()}, given up in {phase}")
                gone = runner.cancel(phase)
                screen.line(f"          {gone.status}; {gone.frames.received} frames since, "
                            f"logging {gone.logging}, modes {', '.join(gone.modes)}")
            for i in range(self.args.repeat):
                count = f" ({i + 1} of {self.args.repeat})" if self.args.repeat > 1 else ""
                screen.phase(f"migrating {runner.here} -> {runner.other()} at "
                             f"{config.rate} frames/s{count}")
                run = runner.run()
                screen.line(f"          done in {run.migration.total_ms} ms, downtime "
                            f"{run.migration.downtime_ms} ms, blackout {run.blackout_ms} ms")
            if self.args.past_wrap:
                screen.phase(f"traffic until the queues of {runner.here} are direct again")
                screen.line(f"          {runner.until_direct()} ms after the switch-over")
            screen.phase(f"restarting the idle back end {runner.other()}, for the control later")
            runner.spoil_idle_side()
            screen.phase(f"migrating {runner.here} -> {runner.other()}, held, to compare memory")
            run = runner.run(held=True)
            assert run.ram is not None
            screen.line(f"          {run.ram.pages} pages compared, {run.ram.different} different")
            self.broken = runner.violations()
            screen.phase("negative control: now marks of pages are forgotten")
            self.control = runner.negative_control()
            screen.line(f"          {self.control.different} pages different, as it must be"
                        if self.control.different else "          no difference found")
            if self.args.keep:
                self.keep(testbed)
            testbed.finish()

    def keep(self, testbed: Testbed) -> None:
        self.screen.line(f"kept: {testbed.directory}, logs in {testbed.config.log_dir}; "
                         "Ctrl-C ends it")
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass

    def report(self, error: str) -> dict[str, Any]:
        a = self.args
        config = {"queues": a.queues, "repeat": a.repeat, "rate": a.rate, "size": a.size,
                  "seconds": a.seconds, "memory_mib": a.memory,
                  "packed": a.packed, "cancel_at": a.cancel_at,
                  "past_wrap": a.past_wrap, "peer": a.peer,
                  "device_options": a.device_options, "devargs": a.devargs}
        runs = self.runner.runs if self.runner is not None else []
        cancelled = self.runner.cancelled if self.runner is not None else []
        return report.build(runs, self.control, self.broken, config, error, cancelled)


def write(path: Path, text: str) -> None:
    """All or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_suffix(".tmp")
    tmp.write_text(text)
    os.replace(tmp, path)


def main(argv: list[str]) -> int:
    args = parse(argv)
    signal.signal(signal.SIGTERM, terminate)
    demo = Demo(args)
    error = ""
    try:
        if args.peer:
            demo.run_peer()
        else:
            demo.run()
    except HarnessError as err:
        error = str(err)
    except KeyboardInterrupt:
        error = "interrupted"
    result = demo.report(error)
    write(args.out, json.dumps(result, indent=1) + "\n")
    if args.json:
        print(json.dumps(result, indent=1))
    screen = demo.screen
    report.show(result, screen)
    if "samples" in result:
        picture = args.out.with_suffix(".png")
        screen.line()
        if plot.png(result, picture):
            screen.line(f"timeline: {picture}")
        else:
            for line in plot.ascii_plot(result):
                screen.line(line)
    screen.line(f"report:   {args.out}")
    if error:
        screen.line(f"logs:     {args.out.resolve().parent / 'demo-logs'}")
    passed = result["result"] == "pass"
    screen.line("PASS" if passed else "FAIL", "green" if passed else "red", "bold")
    if error == "interrupted":
        return 130
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
