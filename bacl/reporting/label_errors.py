"""Suspected errors of the annotations, as lines of a file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.errors.label_suspicions import label_suspicions
from bacl.evaluation.errors.suspicions import NOTHING, LabelSuspicions
from bacl.evaluation.evaluation import Evaluation
from bacl.reporting.spreadsheet import write_csv


def suspected(evaluations: Mapping[str, Evaluation], number: int) -> list[LabelSuspicions]:
    """Of each kind at most so many; kinds without any are left out.

    Args:
        evaluations: of all heads; where errors were not looked at, nothing is suspected.
        number: 0: none.
    """
    findings = [each.errors for each in evaluations.values() if each.errors is not None]
    if not number or not findings or len(findings) < len(evaluations):
        return []
    return [each.surest(number) for each in label_suspicions(findings) if len(each.images)]


def caption_lines(found: LabelSuspicions, place: int, names: Sequence[str]) -> tuple[str, str]:
    """Of one of them: what is annotated, and what it may be and how sure that is."""
    annotated, suggested = int(found.labels[place]), int(found.suggested[place])
    mine = "not annotated" if annotated == NOTHING else names[annotated]
    return mine, f"{found.confidence[place]:.2f} {names[suggested]}"


def write_label_errors(
    path: Path, suspicions: Sequence[LabelSuspicions], table: AnnotationTable
) -> None:
    """Write label_errors.csv, kind by kind, the surest first; as a whole or not at all.

    Columns: kind (`SuspicionKind`), confidence, image_id, file_name, annotation_id, category_id and
    category as annotated (empty where nothing is), suggested_id, suggested, and the box as x, y,
    width, height in pixels of the file.

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    write_csv(path, suspicion_lines(suspicions, table))


def suspicion_lines(
    suspicions: Sequence[LabelSuspicions], table: AnnotationTable
) -> Iterator[list[Any]]:
    """The header of label_errors.csv, then its lines."""
    yield [
        "kind", "confidence", "image_id", "file_name", "annotation_id", "category_id", "category",
        "suggested_id", "suggested", "x", "y", "width", "height",
    ]  # fmt: skip
    order = np.argsort(table.image_ids, kind="stable")
    for found in suspicions:
        for place in range(len(found.images)):
            image, row = int(order[found.images[place]]), int(found.rows[place])
            yield [
                found.kind.value, f"{found.confidence[place]:.4g}",
                int(table.image_ids[image]), table.file_name(image),
                "" if row == NOTHING else int(table.annotation_ids[row]),
                *_category(table, int(found.labels[place])),
                *_category(table, int(found.suggested[place])),
                *(f"{side:.6g}" for side in found.boxes[place].tolist()),
            ]  # fmt: skip


def _category(table: AnnotationTable, label: int) -> tuple[object, str]:
    if label == NOTHING:
        return "", ""
    return int(table.category_ids[label]), table.category_names[label]
