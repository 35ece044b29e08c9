# SPDX-License-Identifier: BSD-3-Clause
"""A migration as a picture: frames per second, remaining bytes, phases. Or as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BARS = " .:-=+*#%@"


def rates(samples: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """(t_ms, received frames per second) from counters sampled over time."""
    out = []
    for a, b in zip(samples, samples[1:]):
        dt = b["t_ms"] - a["t_ms"]
        if dt > 0:
            out.append((b["t_ms"], (b["received"] - a["received"]) / dt * 1000))
    return out


def ascii_plot(report: dict[str, Any], width: int = 66) -> list[str]:
    """Received frames over time in one line of characters, with the phases below."""
    points = rates(report["samples"])
    if not points:
        return []
    first, last = points[0][0], points[-1][0]
    span = max(last - first, 1.0)
    cells: list[list[float]] = [[] for _ in range(width)]
    for t_ms, rate in points:
        cells[min(width - 1, int((t_ms - first) / span * width))].append(rate)
    top = max(rate for _, rate in points) or 1.0
    value = 0.0
    text = ""
    for cell in cells:
        value = min(cell) if cell else value
        text += BARS[min(len(BARS) - 1, int(value / top * (len(BARS) - 1) + 0.5))]
    out = [f"  frames/s  |{text}|", f"            {first:.0f} ms{'':<{width - 12}}{last:.0f} ms"]
    for phase in report["phases"]:
        if phase["who"] != "qemu":
            continue
        begin = int((phase["begin_ms"] - first) / span * width)
        length = max(1, int(phase["ms"] / span * width))
        begin = max(0, min(begin, width - 1))
        bar = " " * begin + "#" * min(length, width - begin)
        out.append(f"            |{bar:<{width}}| {phase['name']}"[:80])
    return out


def png(report: dict[str, Any], path: Path) -> bool:
    """False when matplotlib is not there."""
    try:
        import matplotlib  # type: ignore[import]

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        return False
    fig, (top, low) = plt.subplots(2, 1, figsize=(10, 6), sharex=True,
                                   gridspec_kw={"height_ratios": [2, 3]})
    points = rates(report["samples"])
    top.step([t for t, _ in points], [r for _, r in points], where="pre", color="tab:blue")
    top.set_ylabel("frames/s received")
    top.set_ylim(bottom=0)
    right = top.twinx()
    right.plot([s["t_ms"] for s in report["samples"]],
               [s["remaining"] / 2**20 for s in report["samples"]], color="tab:orange")
    right.set_ylabel("remaining MiB")
    right.set_ylim(bottom=0)
    names = [f"{p['who']}: {p['name']}" for p in report["phases"]]
    for row, phase in enumerate(report["phases"]):
        colour = "tab:red" if phase["name"] == "guest stands still" else "tab:gray"
        low.barh(row, max(phase["ms"], 0.2), left=phase["begin_ms"], color=colour)
    low.set_yticks(range(len(names)), names, fontsize=7)
    low.invert_yaxis()
    low.set_xlabel("ms since the migration was asked for")
    top.set_title(f"total {report['total_ms']} ms, downtime {report['downtime_ms']} ms, "
                  f"blackout {report['blackout_ms']} ms")
    fig.tight_layout()
    fig.savefig(path, dpi=100)
    plt.close(fig)
    return True
