"""The pictures of an inspection; one that cannot be drawn is told and done without."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bacl.files.atomic import remove
from bacl.inspection.finding import Finding, Place, Severity
from bacl.inspection.inspected import InspectedSplit
from bacl.messages.dispensable import Dispensable
from bacl.reporting.figures.instances_by_category import draw_instances_by_category
from bacl.reporting.figures.letters import label
from bacl.reporting.figures.object_sizes import draw_object_sizes
from bacl.reporting.figures.panel import DrawnBox, caption
from bacl.reporting.figures.style import HEAD_COLOURS
from bacl.reporting.figures.suspects import Suspect, draw_suspects
from bacl.reporting.inspection_report import InspectionReport

ROWS = 8
"""Findings that are drawn."""
COLUMNS = 8
"""Pictures of a finding that are drawn, at most."""
UNSEEN = {"missing_pictures", "unreadable_pictures", "other_size"}


def draw_inspection(folder: Path, report: InspectionReport) -> list[Path]:
    """Write the pictures that can be drawn; returns them."""
    drawn: list[Path] = []
    rows = report.categories
    with Dispensable(f"{folder}: not drawn") as figures:
        with figures.part("instances.png"):
            keys = ("train_objects", "val_objects", "frequency", "name")
            train, val, groups, names = ([row[key] for row in rows] for key in keys)
            path = folder / "instances.png"
            drawn.append(draw_instances_by_category(path, train, val, groups, names))
        with figures.part("object_sizes.png"):
            anchors = report.data.anchors
            sides = [] if anchors is None else np.sqrt(anchors.sides[:, 0].prod(axis=1)).tolist()
            drawn.append(draw_object_sizes(folder / "object_sizes.png", report.views, sides))
        with figures.part("suspects.jpg"):
            remove(folder / "suspects.jpg")  # of an earlier inspection
            if suspects := list(_suspects(report)):
                drawn.append(draw_suspects(folder / "suspects.jpg", suspects))
    return drawn


def _suspects(report: InspectionReport) -> Iterator[tuple[str, Sequence[Suspect]]]:
    """The first pictures of the gravest findings that have any."""
    splits = {split.name: split for split in report.data.splits}
    shown = [
        finding
        for finding in report.findings
        if finding.places and finding.fault.severity is not Severity.NOTE
        and finding.fault.kind not in UNSEEN
    ]  # fmt: skip
    for finding in shown[:ROWS]:
        pictures = list(islice(_pictures(finding, splits, report.examples), COLUMNS))
        if pictures:
            yield finding.fault.kind.replace("_", " "), pictures


def _pictures(
    finding: Finding, splits: dict[str, InspectedSplit], examples: int
) -> Iterator[Suspect]:
    """The pictures of the first places; of two that go together, both."""
    for places in finding.places[:examples]:
        for place in places[:2]:
            split = splits[place.split]
            image = int(np.flatnonzero(split.table.image_ids == place.image_id)[0])
            if split.pictures is None or split.pictures.good[image]:
                yield _suspect(place, split, image)


def _suspect(place: Place, split: InspectedSplit, image: int) -> Suspect:
    table = split.table
    rows = np.flatnonzero(np.isin(table.annotation_ids, place.annotation_ids))
    boxes = [
        DrawnBox(
            (x, y, x + width, y + height),
            caption(table.category_names[table.labels[row]]),
            HEAD_COLOURS[number % len(HEAD_COLOURS)],
        )
        for number, (row, (x, y, width, height)) in enumerate(
            zip(rows.tolist(), table.boxes[rows].tolist(), strict=True)
        )
    ]
    pixels = split.files.load(image).permute(1, 2, 0).numpy()
    return Suspect(pixels, boxes, label(f"{place.split} {place.file_name}", 36))
