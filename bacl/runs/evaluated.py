"""Evaluation of a stage: any number of variants in one pass over the validation images."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import Grouping, shared_grouping
from bacl.evaluation.truth import GroundTruth
from bacl.options.sections import Report
from bacl.processes.interruption import INTERRUPTION
from bacl.runs.run import Run
from bacl.stages.detection import Variant


def evaluate(
    run: Run,
    report: Report,
    variants: Mapping[str, Variant] | None = None,
    keeps_all: bool = False,
    shifted: bool = True,
) -> dict[str, Evaluation]:
    """Judge heads, calibrations and suppressions; the detector looks at every image once.

    Every process must call it.

    Args:
        run: its stage, as it was saved.
        report: how many images are drawn, whose detections are kept, or whether all are.
        variants: by name; None takes the heads as they are.
        keeps_all: whether all detections are kept, whatever is drawn and saved.
        shifted: whether scores are shifted, too.

    Returns:
        By variant, in the order given.
    """
    INTERRUPTION.place = "in its evaluation"
    run.stage.variants = variants or {}
    run.validate()
    metrics: dict[str, Any] = dict(run.stage.metrics.items())
    kept = None if keeps_all or report["save_detections"] else pictured(run, report)
    first = next(iter(metrics.values()))
    truth = GroundTruth.from_table(first.table, first.rules)
    counts = np.asarray(run.data.statistics.image_counts)
    found = {}
    for name, metric in metrics.items():
        found[name] = Evaluation.of(metric, truth, counts, kept, shifted)
        metric.reset()  # it holds the detections of all images
    return found


def pictured(run: Run, report: Report) -> list[int]:
    """Ids of the images that are drawn."""
    dataset, table = run.data.val_set, run.data.val_table
    grouping = shared_grouping(dict(run.stage.metrics.items()))
    rows = informative_images(table, grouping, report["images"], dataset.records)
    return table.image_ids[rows].tolist()


def informative_images(
    table: AnnotationTable, grouping: Grouping, count: int, among: np.ndarray
) -> list[int]:
    """Rows of the images with the most objects of the rarest group, ties in file order.

    Args:
        table: of the images.
        grouping: of the categories.
        count: of the images, at most.
        among: (n,) rows to choose from.
    """
    rare = grouping.present[0].members[table.labels]
    owners = np.repeat(np.arange(table.num_images), np.diff(table.offsets))
    objects = np.bincount(owners[rare], minlength=table.num_images)
    return among[np.argsort(-objects[among], kind="stable")][:count].tolist()
