"""By what one category of an object is decided: F1 by three orders of overlapping detections.

    python benchmarks/one_label.py val.json test_val_…/detections_bacl.json.gz

The second file is what `report.save_detections=true` leaves. Thresholds per category are chosen by
each half of the images for the other.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bacl.data.annotations.table import AnnotationTable
from bacl.detectors import acceptance
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results
from bacl.evaluation.thresholds.choosing import Chooser
from bacl.evaluation.thresholds.objectives import BestF1
from bacl.evaluation.thresholds.operating_points import Fitted, halves_in
from bacl.evaluation.thresholds.scored import Scored
from bacl.evaluation.truth import GroundTruth

IOU = 0.5
ORDERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "score": lambda scores, _: scores,
    "score over threshold": lambda scores, thresholds: scores / thresholds.clamp(1e-6),
    "odds over odds of the threshold": acceptance.excess,
}


def main() -> None:
    """Print a line of Markdown for each file and order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("detections", type=Path, nargs="+")
    options = parser.parse_args()
    table = AnnotationTable.open(options.annotations)
    for path in options.detections:
        found = load_results(path, table)
        limits = thresholds(table, found)
        print(line(path, "several labels", table, accepted(found, limits, None)))
        for name, order in ORDERS.items():
            acceptance.excess = order
            print(line(path, name, table, accepted(found, limits, IOU)))


def thresholds(table: AnnotationTable, found: DetectionColumns) -> dict[int, Tensor]:
    """(C,) by image id, as the other half of the images chose them."""
    metric, truth, scored = judged(table, found)
    halves, chooser = halves_in(truth, truth.image_ids), Chooser(BestF1(), metric.grouping)
    chosen = [chooser.choose(own, own.ranked()).per_category for own in map(scored.only, halves)]
    first, second = (torch.tensor(each, dtype=torch.float32) for each in chosen)
    pairs = zip(truth.image_ids.tolist(), halves[0].tolist(), strict=True)
    return {image: second if in_first else first for image, in_first in pairs}


def accepted(
    found: DetectionColumns, limits: dict[int, Tensor], iou: float | None
) -> DetectionColumns:
    """What is taken."""
    ids = found.image_ids.tolist()
    taken = [acceptance.Acceptance(limits[image], iou)(found.of_image(image)) for image in ids]
    return DetectionColumns.from_detections(taken, ids)


def line(path: Path, name: str, table: AnnotationTable, taken: DetectionColumns) -> str:
    """F1, precision and recall of all and of each group, in percent."""
    metric, truth, scored = judged(table, taken)
    every = np.ones(len(scored.scores), bool), metric.grouping, np.ones(len(truth.image_ids), bool)
    outcome = Fitted.of(scored, *every).of_groups(metric.grouping)
    cells = zip(outcome.f1, outcome.precision, outcome.recall, strict=True)
    told = [f"{100 * f1:.1f} ({100 * p:.1f} / {100 * r:.1f})" for f1, p, r in cells]
    head = path.name.removeprefix("detections_").partition(".")[0]
    return " | ".join(["", head, name, *told, ""]).strip()


def judged(
    table: AnnotationTable, found: DetectionColumns
) -> tuple[LVISAveragePrecision, GroundTruth, Scored]:
    """Which detections are right."""
    metric = LVISAveragePrecision(table)
    metric.update(found)
    metric.compute()
    truth = GroundTruth.from_table(table, metric.rules)
    return metric, truth, Scored.of(metric.verdicts, truth)


if __name__ == "__main__":
    main()
