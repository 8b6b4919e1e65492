"""A run that nobody trained: real pictures and annotations, detections drawn by chance."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.builtin.data_set import BuiltinPaths, build
from bacl.data.datamodule import DetectionDataModule
from bacl.data.samplers import RandomBatches
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.mask_codes import no_masks
from bacl.evaluation.thresholds.objectives import BestF1
from bacl.evaluation.truth import GroundTruth
from bacl.reporting.html.section import Source
from bacl.runs.shown_images import samples_of

REPORT = {"reference": None, "images": 4, "score_threshold": None, "html": True}
ENVIRONMENT = {
    "command": ["run.py", "+experiment=made"], "git_commit": "0" * 40, "git_changes": [],
    "python": "3", "machine": "none", "cpus": 2, "packages": {"torch": "2"},
}  # fmt: skip


def made_data(
    folder: Path, categories: int, train: int, val: int, size: int = 96, processes: int = 1
) -> BuiltinPaths:
    """Pictures of letters with their annotations."""
    objects, glyphs = (4, 8), (14, 24)
    return build(folder, categories, train, val, size, objects, 0, glyphs, processes=processes)


def rename(paths: BuiltinPaths, names: list[str]) -> None:
    """Give the first categories other names."""
    for path in (paths.train_annotations, paths.val_annotations):
        content = json.loads(path.read_text(encoding="utf-8"))
        for record, name in zip(content["categories"], names, strict=False):
            record["name"] = name
        path.write_text(json.dumps(content), encoding="utf-8")


def made_source(
    folder: Path, paths: BuiltinPaths, heads: dict[str, float], copies: int = 2
) -> Source:
    """Of heads that call so many objects by their name.

    Args:
        folder: of the results.
        paths: of the data.
        heads: by name, the share of objects that are called what they are.
        copies: detections of an object.
    """
    data = DetectionDataModule(
        {"annotations": paths.train_annotations, "images": paths.train_images},
        {"annotations": paths.val_annotations, "images": paths.val_images},
        Augmentation(nn.Identity(), nn.Identity()),
        partial(RandomBatches, group_by_aspect_ratio=False),
        batch_size=1, val_batch_size=1, num_workers=0, seed=0,
    )  # fmt: skip
    found = {
        name: made_evaluation(data, share, seed, copies)
        for seed, (name, share) in enumerate(heads.items())
    }
    pictures = partial(samples_of, found, data, REPORT)
    folder.mkdir(parents=True, exist_ok=True)
    return Source(folder, found, data, ENVIRONMENT, pictures)


def made_evaluation(data: DetectionDataModule, share: float, seed: int, copies: int) -> Evaluation:
    table = data.val_table
    metric = LVISAveragePrecision(table)
    metric.update(made_detections(table, share, seed, copies))
    truth = GroundTruth.from_table(table, metric.rules)
    counts = np.asarray(data.statistics.image_counts)
    wanted = {"closer": True, "errors": ErrorFindings.of, "objective": BestF1()}
    return Evaluation.of(metric, truth, counts, **wanted)


def made_detections(
    table: AnnotationTable, share: float, seed: int, copies: int
) -> DetectionColumns:
    """Some detections of each object, each of which is right with a probability."""
    draw = np.random.default_rng(seed)
    counts = copies * np.diff(table.offsets)
    boxes = np.repeat(np.asarray(table.boxes, float), copies, axis=0)
    boxes += draw.normal(0, 0.04, boxes.shape) * boxes[:, [2, 3, 2, 3]]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    labels = np.repeat(np.asarray(table.labels), copies)
    other = draw.integers(0, table.num_categories, len(labels))
    labels = np.where(draw.random(len(labels)) < share, labels, other).astype(np.int32)
    scores = draw.beta(4, 2, len(labels))
    ids, nothing = np.array(table.image_ids), no_masks(table.num_images, len(labels))
    return DetectionColumns(ids, counts, boxes, scores, labels, **nothing)
