"""Samples of one object an image, for choices among variants."""

import numpy as np

from bacl.evaluation.detection_columns import DetectionColumns, no_masks
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.rules import Rules
from bacl.evaluation.sample import Sample
from bacl.evaluation.truth import GroundTruth

RULES = Rules(300, limit_per_category=False, federated=False, without_area=True)
GROUPING = groups_by_frequency(["r", "c", "f"])
IMAGES = 40


def sample(right: np.ndarray, scores: float = 0.9) -> Sample:
    """One object an image, of the categories in turn, with the right label or with the next one."""
    ids, labels = np.arange(100, 100 + len(right)), np.arange(len(right)) % 3
    boxes = np.tile([10.0, 10.0, 40.0, 40.0], (len(right), 1))
    nothing, ones = np.zeros(len(right), bool), np.ones(len(right), np.int64)
    truth = GroundTruth(
        ids, 3, np.arange(len(right)), np.arange(len(right)) * 3 + labels, boxes,
        np.full(len(right), 1600.0), nothing, nothing, np.ones(len(right) * 3, np.uint8),
        np.arange(len(right)),
    )  # fmt: skip
    found = np.where(right, labels, (labels + 1) % 3).astype(np.int32)
    columns = DetectionColumns(
        ids, ones, boxes, np.full(len(right), scores), found, **no_masks(len(right), len(right))
    )
    return Sample(truth, columns, RULES, GROUPING)


def share(count: int, total: int = IMAGES) -> np.ndarray:
    return np.arange(total) < count
