"""Cut-outs for the pages of categories: what was trained on, and the surest right and wrong."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.data.selection import owners
from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.object_matching import rank_in_run
from bacl.evaluation.truth import GroundTruth
from bacl.reporting.html.markup import Markup
from bacl.reporting.html.section import Content, LeftOut, Section, Source
from bacl.reporting.html.square_cuts import cut_outs

CUT_OUTS = 3600
"""Of all categories, at most, but for one of each kind: about 8 MB of photographs."""
MOST = 4
"""Of a category and a kind."""


def make(source: Source) -> Content:
    """Training objects, and detections of the validation images, of each category."""
    number = min(MOST, max(1, CUT_OUTS // (3 * source.grouping.num_categories)))
    training, validation = source.data.train_set, source.data.val_set
    rows = largest_objects(training.table, number)
    pictures = owners(training.table)[rows]
    boxes = np.asarray(training.table.boxes)[rows]
    cases = _cases(source, number)
    data: dict[str, Any] = {
        "training": _by_category(
            source, training.table.labels[rows], cut_outs(training.files, pictures, boxes)
        ),
    }
    if cases is not None:
        found = cut_outs(validation.files, cases["images"], cases["boxes"])
        described = _described(source, cases)
        for kind, right in (("right", True), ("wrong", False)):
            own = np.flatnonzero(cases["right"] == right)
            shown = [(found[each], *described[each]) for each in own.tolist()]
            data[kind] = _by_category(source, cases["labels"][own], shown)
    if not any(any(each) for each in data.values()):
        raise LeftOut("no picture could be read")
    return Content(Markup(""), data)


def largest_objects(table: AnnotationTable, number: int) -> np.ndarray:
    """Rows of each category's largest trainable objects, each in another image, by category."""
    rows = np.flatnonzero(table.trainable)
    labels, images = table.labels[rows], owners(table)[rows]
    order = np.lexsort((-np.asarray(table.areas)[rows], labels))
    keys = labels[order].astype(np.int64) * table.num_images + images[order]
    order = order[np.sort(np.unique(keys, return_index=True)[1])]
    rank = rank_in_run(np.diff(labels[order], prepend=-1) != 0)
    return rows[order[rank < number]]


def _cases(source: Source, number: int) -> dict[str, np.ndarray] | None:
    """The surest of all heads in turns, each image once for a category; by category."""
    looks = [each.close_look for each in source.evaluations.values()]
    cases = [look.cases for look in looks if look is not None]
    if not cases:
        return None
    head = np.repeat(np.arange(len(cases)), [len(each.labels) for each in cases])
    columns = ("image_ids", "boxes", "labels", "scores", "right", "ranks")
    all_ = {name: np.concatenate([getattr(each, name) for each in cases]) for name in columns}
    order = np.lexsort((head, all_["ranks"], ~all_["right"], all_["labels"]))
    keys = np.stack([all_["labels"][order].astype(np.int64), all_["image_ids"][order]], axis=1)
    order = order[np.sort(np.unique(keys, axis=0, return_index=True)[1])]
    kind = all_["labels"][order] * 2 + ~all_["right"][order]
    order = order[rank_in_run(np.diff(kind, prepend=-1) != 0) < number]
    table = source.data.val_table
    sorter = np.argsort(table.image_ids, kind="stable")
    where = np.searchsorted(table.image_ids, all_["image_ids"][order], sorter=sorter)
    return {name: each[order] for name, each in all_.items()} | {
        "head": head[order],
        "images": sorter[where],
    }


def _described(source: Source, cases: Mapping[str, np.ndarray]) -> list[tuple[int, float, int]]:
    """Head, score, and the category of the object beneath; -1 where none is annotated."""
    beneath = [
        _beneath(source.first.truth, image_id, box)
        for image_id, box in zip(cases["image_ids"].tolist(), cases["boxes"], strict=True)
    ]
    scores = (float(f"{score:.3g}") for score in cases["scores"].tolist())
    return list(zip(cases["head"].tolist(), scores, beneath, strict=True))


def _beneath(truth: GroundTruth, image_id: int, box: np.ndarray) -> int:
    """Label of the object that a box overlaps most, with an IoU of at least 0.5."""
    key = truth.image_index(np.array([image_id]))[0] * truth.num_categories
    first, last = np.searchsorted(truth.keys, [key, key + truth.num_categories])
    if first == last:
        return -1
    objects = np.arange(last - first)
    boxes, crowd = truth.boxes[first:last], truth.crowd[first:last]
    overlap = box_overlap(box[None], boxes, crowd)(np.zeros_like(objects), objects)
    best = int(overlap.argmax())
    return int(truth.labels[first + best]) if overlap[best] >= 0.5 else -1


def _by_category(source: Source, labels: np.ndarray, shown: Iterable[Any]) -> list[list[Any]]:
    """What is shown of each category, without what could not be read."""
    found: list[list[Any]] = [[] for _ in range(source.grouping.num_categories)]
    for label, each in zip(labels.tolist(), shown, strict=True):
        if each and each[0]:
            found[label].append(each)
    return found


SECTION = Section("examples", "Examples of categories", make)
