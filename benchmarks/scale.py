"""Step time and memory over categories, heads, images and processes; evaluation over images.

    python benchmarks/scale.py [--figure docs/scale.png] [--only categories heads]

A step is the classifier stage's with BACL heads on the small detector and pictures of 160 pixels
(of the table "with R-50" on Faster R-CNN R-50-FPN, 1,024 features): frozen extractor, RPN, box
regression, jittered boxes, forward, backward and SGD. Every point is measured in a process of its
own: CPU seconds, medians of five steps after two; the process' peak memory; and what heads add to
it, beside two steps of the detector alone. The indicators are as they are late in a training, with
no page that was never written to. Processes share a batch of four, by gloo on one machine.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from scale_points import MEASURES

Point = dict[str, Any]
WHOLE, SPARSE = "confusion_matrix", "sparse_confusion_matrix"
STEP = {
    "measure": "step", "detector": "small", "categories": 1230, "indicator": WHOLE, "heads": 1,
    "images": 2,
}  # fmt: skip
LARGE = STEP | {"categories": 13_204, "indicator": SPARSE}
R50 = LARGE | {"detector": "faster_rcnn_r50", "steps": 2}
TABLES: dict[str, tuple[str, list[Point]]] = {
    "categories": (
        "categories",
        [STEP | {"categories": 70}, STEP, LARGE | {"indicator": WHOLE}, LARGE],
    ),
    "heads": ("heads", [STEP | {"heads": number} for number in (1, 8, 40)]),
    "images": ("images", [STEP | {"images": number} for number in (1, 2, 4, 8)]),
    "processes": (
        "processes",
        [STEP | {"images": 4, "processes": number} for number in (1, 2, 4)],
    ),
    "with R-50": (
        "heads",
        [R50 | {"indicator": WHOLE}, R50, R50 | {"heads": 8}],
    ),
    "evaluation": (
        "images",
        [
            {"measure": "evaluation", "detections": 300, "images": number}
            for number in (1000, 5000, 20_000)
        ],
    ),
}
"""By name, what grows in it, and the points."""


def measured(point: Point, folder: str) -> Point:
    """A point with what was measured, in a process of its own."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    text = json.dumps({**point, "folder": folder, "port": port})
    words = [sys.executable, __file__, "--point", text]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    return point | json.loads(told.splitlines()[-1])


def table(name: str, grows: str, points: list[Point]) -> str:
    """In Markdown."""
    if name == "evaluation":
        head = f"| {grows} | taken (CPU s) | judged (CPU s) | adds (MiB) |"
        rows = [(p["taken"], p["judged"], p["adds"]) for p in points]
        cells = [f"{a:.2f} | {b:.2f} | {c:.0f}" for a, b, c in rows]
    else:
        head = f"| {grows} | step (CPU s) | peak (MiB) | of it heads (MiB) |"
        rows = [(p["seconds"], p["peak"], p["heads_memory"]) for p in points]
        cells = [f"{a:.2f} | {b:.0f} | {c:.0f}" for a, b, c in rows]
    labels = [f"{p[grows]:,}{_told(p)}" for p in points]
    lines = [f"| {label} | {cell} |" for label, cell in zip(labels, cells, strict=True)]
    return "\n".join([f"\n{name}:\n", head, "|---|---:|---:|---:|", *lines])


def _told(point: Point) -> str:
    if point.get("categories", 0) <= STEP["categories"]:
        return ""
    return " (sparse matrix)" if point["indicator"] == SPARSE else " (whole matrix)"


def draw(path: Path, found: dict[str, list[Point]]) -> None:
    """A column of time and memory for each table."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # after the choice of a backend

    shown = {name: points for name, points in found.items() if name != "with R-50"}
    figure, axes = plt.subplots(
        2, len(shown), figsize=(2.6 * len(shown), 4.6), squeeze=False, layout="constrained"
    )
    for column, (name, points) in enumerate(shown.items()):
        grows = TABLES[name][0]
        time, memory = ("judged", "adds") if name == "evaluation" else ("seconds", "peak")
        kept = [p for p in points if not _told(p).startswith(" (whole")]
        for panel, measure in zip(axes[:, column], (time, memory), strict=True):
            panel.plot([p[grows] for p in kept], [p[measure] for p in kept], marker="o")
            panel.set(xscale="log", ylim=(0, None), xlabel=grows)
            panel.set_xticks([p[grows] for p in kept], [f"{p[grows]:,}" for p in kept])
            panel.minorticks_off()
        title = "evaluation" if name == "evaluation" else f"step, {name}"
        axes[0, column].set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("CPU seconds")
    axes[1, 0].set_ylabel("peak MiB")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path, help="PNG to write")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        point = json.loads(options.point)
        print(json.dumps(MEASURES[point["measure"]](point)))
        return
    found: dict[str, list[Point]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            grows, points = TABLES[name]
            found[name] = [measured(point, folder) for point in points]
            print(table(name, grows, found[name]), flush=True)
    if options.figure:
        draw(options.figure, found)


if __name__ == "__main__":
    main()
