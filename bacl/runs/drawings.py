"""The pictures of an evaluated stage: they read what was found, and infer nothing."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from bacl.callbacks.classifier_recorder import measure, of_categories
from bacl.data.datamodule import DetectionDataModule
from bacl.evaluation.errors.suspicions import LabelSuspicions
from bacl.evaluation.measures import shown_in
from bacl.evaluation.shift_curve import ShiftCurve
from bacl.heads import Head, classifiers_by_name
from bacl.messages.dispensable import Dispensable
from bacl.options.sections import Report
from bacl.reporting.error_results import ErrorResults
from bacl.reporting.figures import (
    Cutout,
    draw_ap_by_count,
    draw_confusion,
    draw_cutouts,
    draw_detection_grid,
    draw_errors,
    draw_losses,
    draw_reliability,
    draw_shift_curves,
    draw_thresholds,
    draw_validations,
    draw_weight_norms,
    has_losses,
    validation_panels,
)
from bacl.reporting.label_errors import caption_lines, suspected
from bacl.reporting.shift_lines import shift_curves
from bacl.reporting.threshold_lines import operating_points
from bacl.runs.shown_images import Evaluations, first_of, samples_of, side_by_side

SUSPICIONS = 24
"""Of a kind that are drawn, at most, the surest; the file has all."""


def draw(
    folder: Path,
    evaluations: Evaluations,
    heads: Mapping[str, Head],
    data: DetectionDataModule,
    report: Report,
) -> Iterator[Path]:
    """Draw losses, AP by training count, weight norms (Fig. 5) and detections beside the truth.

    And, where objects are of several groups, what heads could be had for by a shift of scores; and
    thresholds and reliabilities of scores, where there are some.

    Args:
        folder: of the stage; pictures go to its figures/.
        evaluations: by variant, in the order of the legend.
        heads: of the variants.
        data: of the stage.
        report: images and score threshold of the detections to draw.

    Yields:
        Each picture's path once it is written; one that cannot be drawn is told and left out.
    """
    pictures = folder / "figures"
    with Dispensable(f"{pictures}: not drawn") as figures:
        for metrics_csv in folder.glob("metrics.csv"):
            yield from _draw_curves(pictures, metrics_csv, evaluations, figures)
        for name, drawing in _drawings(evaluations, heads, data, report).items():
            with figures.part(name):
                yield drawing(pictures / name)


def _drawings(
    evaluations: Evaluations,
    heads: Mapping[str, Head],
    data: DetectionDataModule,
    report: Report,
) -> dict[str, Callable[[Path], Path]]:
    """What there is to be drawn of the evaluations, by the files' names."""
    drawings: dict[str, Callable[[Path], Path]] = {
        "ap_by_count.png": partial(_draw_precision, evaluations, data),
        "weight_norms.png": partial(_draw_norms, evaluations, heads, data),
        "detections.png": partial(_draw_detections, evaluations, data, report),
    }
    if errors := ErrorResults.of(evaluations, data.val_table.category_names):
        drawings["errors.png"] = partial(_draw_rates, errors)
        if any(found.mistaken.any() for found in errors.confusions.values()):
            drawings["confusion.png"] = partial(_draw_confusion, errors, data)
    for found in suspected(evaluations, report["label_errors"]):
        name = f"label_errors_{found.kind.name.lower()}.png"
        drawings[name] = partial(_draw_suspicions, found, data)
    if curves_over_shift := shift_curves(evaluations):
        drawings["shift_curves.png"] = partial(_draw_shifts, curves_over_shift)
    if operating_points(evaluations):
        drawings["thresholds.png"] = partial(_draw_thresholds, evaluations, data)
        drawings["reliability.png"] = partial(_draw_reliability, evaluations)
    return drawings


def _draw_curves(
    folder: Path, metrics_csv: Path, evaluations: Evaluations, figures: Dispensable
) -> Iterator[Path]:
    """Over the steps of a training."""
    heads, measures = list(evaluations), shown_in(first_of(evaluations).measures, "main")
    with figures.part("losses.png"):
        if has_losses(metrics_csv):
            yield draw_losses(folder / "losses.png", metrics_csv, heads)
    with figures.part("validations.png"):
        if panels := validation_panels(metrics_csv, measures, heads):
            yield draw_validations(folder / "validations.png", panels)


def _draw_precision(evaluations: Evaluations, data: DetectionDataModule, path: Path) -> Path:
    counts, grouping = data.statistics, first_of(evaluations).grouping
    trained = grouping.counts(counts.image_counts, counts.instance_counts)
    precision = {name: each.per_category["AP"] for name, each in evaluations.items()}
    return draw_ap_by_count(path, precision, trained, grouping, data.val_table.category_names)


def _draw_norms(
    evaluations: Evaluations, heads: Mapping[str, Head], data: DetectionDataModule, path: Path
) -> Path:
    classifiers = classifiers_by_name({name: heads[name] for name in evaluations})
    norms = {name: measure(classifier)["weight_norm"] for name, classifier in classifiers.items()}
    own = of_categories(norms, data.statistics)
    grouping = first_of(evaluations).grouping
    return draw_weight_norms(path, own, data.statistics.instance_counts, grouping)


def _draw_shifts(curves: Mapping[str, ShiftCurve], path: Path) -> Path:
    return draw_shift_curves(path, curves)


def _draw_rates(errors: ErrorResults, path: Path) -> Path:
    return draw_errors(path, errors.rates, errors.grouping)


def _draw_confusion(errors: ErrorResults, data: DetectionDataModule, path: Path) -> Path:
    counts = np.asarray(data.statistics.image_counts)
    two = {name: errors.confusions[name] for name in errors.contrasted}
    return draw_confusion(path, two, counts, errors.grouping, errors.names)


def _draw_suspicions(found: LabelSuspicions, data: DetectionDataModule, path: Path) -> Path:
    """Of pictures that can be read."""
    table, dataset = data.val_table, data.val_set
    rows = np.argsort(table.image_ids, kind="stable")[found.images]
    there = np.flatnonzero(np.isin(rows, dataset.records))[:SUSPICIONS]
    cutouts = [
        Cutout(
            dataset.files.load(int(rows[place])).permute(1, 2, 0).numpy(),
            tuple(found.boxes[place].tolist()),
            caption_lines(found, place, table.category_names),
        )
        for place in there.tolist()
    ]
    return draw_cutouts(path, cutouts, f"suspected label errors: {found.kind.value}")


def _draw_thresholds(evaluations: Evaluations, data: DetectionDataModule, path: Path) -> Path:
    counts, grouping = data.statistics, first_of(evaluations).grouping
    trained = grouping.counts(counts.image_counts, counts.instance_counts)
    unit = grouping.counts("images", "instances")
    return draw_thresholds(path, operating_points(evaluations), trained, unit)


def _draw_reliability(evaluations: Evaluations, path: Path) -> Path:
    found = {name: each.reliabilities or {} for name, each in evaluations.items()}
    return draw_reliability(path, found, first_of(evaluations).grouping)


def _draw_detections(
    evaluations: Evaluations, data: DetectionDataModule, report: Report, path: Path
) -> Path:
    shown = samples_of(side_by_side(evaluations), data, report)
    samples = [sample for _, sample in islice(shown, report["images"])]
    names, threshold = data.val_table.category_names, report["score_threshold"]
    return draw_detection_grid(path, samples, names, first_of(evaluations).grouping, threshold)
