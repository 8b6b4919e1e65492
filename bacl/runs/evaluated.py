"""Evaluation of a stage: any number of variants in one pass over the validation images."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.telling_images import TellingImage, telling_images
from bacl.evaluation.thresholds.objectives import Objective
from bacl.evaluation.truth import GroundTruth
from bacl.heads.failures import Failures
from bacl.messages.errors import UserError
from bacl.options.sections import Report
from bacl.processes.interruption import INTERRUPTION
from bacl.runs.run import Run
from bacl.stages.detection import Variant

PICTURES = 24
"""Images that report.html shows, at most; those of detections.png are the first of them."""


def evaluate(
    run: Run,
    report: Report,
    variants: Mapping[str, Variant] | None = None,
    keeps_all: bool = False,
    in_full: bool = True,
    objective: Objective | None = None,
) -> dict[str, Evaluation]:
    """Judge heads, calibrations and suppressions; the detector looks at every image once.

    Every process must call it.

    Args:
        run: its stage, as it was saved.
        report: how many images are drawn, whose detections are kept, or whether all are.
        variants: by name; None takes the heads as they are.
        keeps_all: whether all detections are kept, whatever is drawn and saved.
        in_full: whether scores are shifted, too, and categories looked at more closely and errors
            found where the report wants it.
        objective: of the thresholds of scores; None chooses none.

    Returns:
        By variant, in the order given; without those that failed, where the stage tolerates it.

    Raises:
        Exception: the first error, where every variant failed.
        UserError: the same, where the errors are not this process' own.
    """
    INTERRUPTION.place = "in its evaluation"
    run.stage.variants = variants or {}
    wanted = list(variants or run.stage.live_heads)
    run.validate()
    found = _judged(run, report, wanted, in_full, objective)
    return _with_detections(run, report, found, keeps_all)


def _judged(
    run: Run, report: Report, wanted: Collection[str], in_full: bool, objective: Objective | None
) -> dict[str, Evaluation]:
    """What the metrics of a stage have found, without detections; of a variant that failed none."""
    failures, metrics = run.stage.failed_variants, _metrics(run)
    if not metrics:
        _raise_all(failures, wanted)
    first = next(iter(metrics.values()))
    truth = GroundTruth.from_table(first.table, first.rules)
    counts = np.asarray(run.data.statistics.image_counts)
    closer = report["html"] and in_full
    finding = partial(ErrorFindings.of, threshold=report["score_threshold"])
    errors, found = finding if report["errors"] and in_full else None, {}
    for name, metric in metrics.items():
        with failures.of([name]):
            found[name] = Evaluation.of(
                metric, truth, counts, [], in_full, closer, errors, objective
            )
            metric.forget_judgement()
    failures.agree()
    failures.tell("not evaluated; the others are")
    found = {name: each for name, each in found.items() if name not in failures}
    if not found:
        _raise_all(failures, wanted)
    failures.let_go()
    return found


def _with_detections(
    run: Run, report: Report, found: Mapping[str, Evaluation], keeps_all: bool
) -> dict[str, Evaluation]:
    """The same with detections: of all images, or of those that are drawn."""
    every = keeps_all or report["save_detections"]
    kept = None if every else [each.image_id for each in pictured(run, report, found)]
    metrics, whole = _metrics(run), {}
    for name, each in found.items():
        whole[name] = replace(each, detections=metrics[name].detections(kept))
        metrics[name].reset()  # it holds the detections of all images
    return whole


def _metrics(run: Run) -> dict[str, Any]:
    return {name: run.stage.metrics[name] for name in run.stage.variants}


def _raise_all(failures: Failures, names: Collection[str]) -> NoReturn:
    failures.raise_first(names)
    # Of another process, or in a validation within the training.
    raise UserError(f"no variant could be evaluated:\n{failures.told_of(names)}")


def pictured(run: Run, report: Report, found: Mapping[str, Evaluation]) -> list[TellingImage]:
    """The images that are drawn, of those that can be read."""
    there = run.data.val_table.image_ids[run.data.val_set.records]
    return informative_images(found, report, there)


def informative_images(
    evaluations: Mapping[str, Evaluation], report: Report, among: np.ndarray
) -> list[TellingImage]:
    """Images that show what heads change, those of detections.png first.

    Args:
        evaluations: by variant, in any order.
        report: how many, and which variant is the reference; the first, where it is none of them.
        among: (n,) ids of the images to choose from.
    """
    count = max(report["images"], PICTURES * report["html"])
    names = sorted(evaluations, key=lambda name: name != report["reference"])
    labels = {name: evaluations[name].right_labels for name in names}
    known = {name: each for name, each in labels.items() if each is not None}
    first = evaluations[names[0]]
    return telling_images(known, first.grouping, first.truth.image_ids, count, among)
