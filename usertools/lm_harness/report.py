# SPDX-License-Identifier: BSD-3-Clause
"""The demo's report: checks, JSON (doc/demo-report.md), and the table on the screen."""

from __future__ import annotations

import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .events import modes
from .ram import RamResult
from .scenario import CONTROL_ONE_IN, Cancelled, Run
from .screen import Screen, si_bytes

SCHEMA = 1
QUEUE_PAGES = re.compile(r"^q(\d+)_logged_pages$")
NONZERO_PAGES_MIN = 1000  # a booted guest has far more; fewer means that the wrong file was read


@dataclass
class Check:
    """One statement that must hold."""

    name: str
    ok: bool
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


def total_frames(runs: list[Run]) -> dict[str, Any]:
    """The account of all runs together."""
    out: dict[str, Any] = {"sent": 0, "received": 0, "duplicated": 0, "reordered": 0,
                           "corrupt": 0, "dropped": {}, "unexplained": 0}
    for run in runs:
        for key, value in run.frames.as_json().items():
            if key == "dropped":
                for reason, count in value.items():
                    out["dropped"][reason] = out["dropped"].get(reason, 0) + count
            else:
                out[key] += value
    return out


def dirty_pages(runs: list[Run]) -> dict[str, int]:
    """Marks in the log during the first migration, as its source's back end counted them."""
    out: dict[str, int] = {}
    for name, value in runs[0].figures.get(runs[0].source, {}).items():
        queue = QUEUE_PAGES.match(name)
        if queue:
            out[f"relay of queue {queue.group(1)}"] = value
        elif name == "all_dirty":
            out["all memory at once (times)"] = value
    return out


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def checks(runs: list[Run], control: RamResult | None, broken: tuple[int, dict[str, int]],
           queues: int = 1, peer: str = "") -> list[Check]:
    """
    All that must hold for 'pass'. With several queue pairs a function learns from transmitted
    frames which pair a flow belongs to; a new one has yet to learn it, so a flow may change its
    queue once, and be reordered by the guest's CPUs. One pair keeps the order. A peer that is not
    ours does not name the frames that it drops.
    """
    frames = total_frames(runs)
    out = [Check("every frame is explained", frames["unexplained"] == 0 or bool(peer),
                 f"{frames['sent']} sent, {frames['received']} received, "
                 f"{sum(frames['dropped'].values())} dropped by name, "
                 f"{frames['unexplained']} " + (f"not named by {peer}" if peer
                                                else "unexplained"))]
    for kind in ("corrupt", "duplicated", "reordered")[:3 if queues == 1 else 2]:
        out.append(Check(f"no frame {kind}", frames[kind] == 0, f"{frames[kind]}"))
    out.append(Check("frames flowed", all(r.frames.received > 0 for r in runs),
                     ", ".join(str(r.frames.received) for r in runs)))
    bad = sum(r.frames.guest_memory_bad for r in runs)
    out.append(Check("the guest's own pages are whole", bad == 0, f"{bad} bad"))
    for run in runs:
        if run.ram is not None:
            out.append(Check("guest memory is equal", run.ram.different == 0,
                             f"{run.ram.different} of {run.ram.pages} pages differ"))
            out.append(Check("the comparison saw a guest", run.ram.nonzero >= NONZERO_PAGES_MIN,
                             f"{run.ram.nonzero} pages hold data"))
    if not any(run.ram is not None for run in runs):
        out.append(Check("guest memory is equal", False, "no migration was held for comparison"))
    if not peer:
        out.append(Check("the negative control is caught", control is not None
                         and control.different > 0,
                         "not run" if control is None else
                         f"{control.different} pages differ when marks are forgotten"))
    marked = sum(dirty_pages(runs).values()) if runs else 0
    out.append(Check("the back end marked pages", marked > 0, f"{marked}"))
    out.append(Check("models saw no rule broken", broken[0] == 0,
                     ", ".join(f"{k} {v}" for k, v in broken[1].items()) or "0"))
    return out


def cancel_checks(cancelled: list[Cancelled]) -> list[Check]:
    """After a migration that was given up: nothing is logged, and every frame is explained."""
    out = []
    for c in cancelled:
        f = c.frames
        bad = f.corrupt + f.duplicated + f.guest_memory_bad
        out.append(Check(f"after '{c.phase}' the guest goes on",
                         c.logging == "off" and f.received > 0 and f.unexplained == 0 and not bad,
                         f"{c.status}; {f.received} of {f.sent} frames, {f.unexplained} "
                         f"unexplained; logging {c.logging}"))
    return out


def build(runs: list[Run], control: RamResult | None, broken: tuple[int, dict[str, int]],
          config: dict[str, Any], error: str = "",
          cancelled: Sequence[Cancelled] = ()) -> dict[str, Any]:
    """The whole report as one object."""
    held = [r for r in runs if r.ram is not None]
    timed = [r for r in runs if r.ram is None]
    out: dict[str, Any] = {"schema": SCHEMA, "result": "fail", "error": error, "config": config,
                           "host": {"machine": platform.machine(), "kernel": platform.release()}}
    verdicts = checks(runs, control, broken, config.get("queues", 1),
                      config.get("peer") or "") if runs else []
    verdicts += cancel_checks(list(cancelled))
    failed = [c.name for c in verdicts if not c.ok]
    if error:
        failed.insert(0, "the demo ran to its end")
    out["failed_checks"] = failed
    out["checks"] = [c.as_json() for c in verdicts]
    if timed:
        first = timed[0]
        out |= {"total_ms": first.migration.total_ms, "downtime_ms": first.migration.downtime_ms,
                "blackout_ms": first.blackout_ms,
                "blackout_begin_ms": first.blackout_begin_ms,
                "switch_gap_us": first.traffic.get("switch_gap_us", 0),
                "phases": first.phases(), "modes": modes(first.events),
                "dirty_pages": dirty_pages(timed), "samples": first.samples}
        out["spread"] = {
            "migrations": len(timed),
            "total_ms": spread([r.migration.total_ms for r in timed]),
            "downtime_ms": spread([r.migration.downtime_ms for r in timed]),
            "blackout_ms": spread([r.blackout_ms for r in timed]),
            "switch_gap_us": spread([r.traffic.get("switch_gap_us", 0) for r in timed])}
        if timed[-1].direct_again_ms is not None:
            out["direct_again_ms"] = timed[-1].direct_again_ms
    if runs:
        out["frames"] = total_frames(runs)
    if held and held[-1].ram is not None:
        out["ram"] = held[-1].ram.as_json()
    if control is not None:
        out["negative_control"] = {"drop_one_in": CONTROL_ONE_IN, **control.as_json()}
    out["model_violations"] = {"total": broken[0], "list": broken[1]}
    out["cancelled"] = [c.as_json() for c in cancelled]
    out["migrations"] = [r.as_json() for r in runs]
    if not failed and runs:
        out["result"] = "pass"
    return out


def _ms(value: Any) -> str:
    return f"{value:g} ms"


def _range(report: dict[str, Any], key: str, unit: str, scale: float = 1.0) -> str:
    s = report["spread"]
    value = f"{s[key]['median'] * scale:g} {unit}"
    if s["migrations"] > 1:
        value += (f" (median of {s['migrations']}; {s[key]['min'] * scale:g} to "
                  f"{s[key]['max'] * scale:g})")
    return value


def show(report: dict[str, Any], screen: Screen) -> None:
    """The table at the end; what failed comes first."""
    if report["failed_checks"]:
        screen.line()
        screen.line("FAILED: " + "; ".join(report["failed_checks"]), "red", "bold")
        if report["error"]:
            screen.line("  " + report["error"], "red")
    if "total_ms" in report:
        ram = report["migrations"][0]["ram_bytes"]
        screen.table("Migration", [
            ("total", _range(report, "total_ms", "ms")),
            ("downtime (QEMU)", _range(report, "downtime_ms", "ms")),
            ("blackout (frames)", _range(report, "blackout_ms", "ms")),
            ("switch gap", _range(report, "switch_gap_us", "ms", 0.001)),
            *([("all queues direct again", f"{report['direct_again_ms']:g} ms after it")]
              if "direct_again_ms" in report else []),
            ("RAM sent", f"{si_bytes(ram.get('transferred', 0))} in "
                         f"{ram.get('dirty-sync-count', 0)} rounds")])
        screen.table("Phases (ms after the start)", [
            (f"{p['who']}: {p['name']}", f"{p['begin_ms']:9.1f}  + {p['ms']:.1f}")
            for p in report["phases"]])
        screen.table("Modes", [
            (f"{m['t_ms']:9.1f} ms", f"side {m['side']} queue {m['queue']}: {m['mode']}")
            for m in report["modes"]])
    if "frames" in report:
        frames = report["frames"]
        rows = [(k, str(frames[k])) for k in ("sent", "received", "duplicated", "reordered",
                                              "corrupt")]
        rows += [(f"dropped: {k}", str(v)) for k, v in frames["dropped"].items()]
        rows.append(("unexplained", str(frames["unexplained"])))
        screen.table("Frames (all runs)", rows)
    proof = []
    if "ram" in report:
        r = report["ram"]
        proof.append(("RAM compared", f"{r['pages']} pages ({r['nonzero']} hold data), "
                                      f"{r['different']} different"))
    if "negative_control" in report:
        c = report["negative_control"]
        proof.append(("negative control", f"1 page in {c['drop_one_in']} forgotten: "
                                          f"{c['different']} different"))
    proof.append(("model violations", str(report["model_violations"]["total"])))
    screen.table("Proof", proof)
    screen.table("Checks", [("ok" if c["ok"] else "FAILED", f"{c['name']} ({c['detail']})")
                            for c in report["checks"]])
