"""Evaluates random detections in all images of an annotation file, in a process of its own.

python benchmarks/rehearsal/evaluation.py val.json 300
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Detections
from bacl.evaluation.lvis_ap import LVISAveragePrecision

BATCH = 64  # images


def evaluate(annotations: Path, detections: int) -> dict[str, float]:
    """CPU seconds to take so many an image and to judge them, MiB that it adds, and AP."""
    torch.set_num_threads(1)
    table, random = AnnotationTable.open(annotations), np.random.default_rng(0)
    metric = LVISAveragePrecision(table)
    before, taken = _peak(), 0.0
    for ids in torch.from_numpy(np.sort(table.image_ids)).split(BATCH):
        drawn = [_random_detections(random, detections, table.num_categories) for _ in ids]
        start = time.process_time()
        metric.update(drawn, ids.tolist())
        taken += time.process_time() - start
    start = time.process_time()
    precision = float(metric.compute()["AP"])
    judged = time.process_time() - start
    return {"taken": taken, "judged": judged, "adds": _peak() - before, "AP": precision}


def _random_detections(random: np.random.Generator, number: int, categories: int) -> Detections:
    """Of an image, in pixels of one of side 128."""
    corners = random.random((number, 2), np.float32) * 100
    sides = 8 + random.random((number, 2), np.float32) * 20
    boxes = torch.from_numpy(np.concatenate([corners, corners + sides], axis=1))
    labels = torch.from_numpy(random.integers(categories, size=number))
    return Detections(boxes, torch.from_numpy(random.random(number, np.float32)), labels)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    found = evaluate(Path(sys.argv[1]), int(sys.argv[2]))
    print(
        f"random detections: {found['taken']:.1f} CPU seconds to take them, {found['judged']:.1f} "
        f"to judge them, {found['adds']:.0f} MiB more, AP {found['AP']:.5f}"
    )
