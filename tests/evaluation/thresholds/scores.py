"""Judged detections of given numbers."""

from collections.abc import Sequence

import numpy as np

from bacl.evaluation.thresholds.scored import Scored

Detection = tuple[int, float, bool, int]
"""Label, score, whether it is right, image."""


def scored(
    detections: Sequence[Detection],
    objects: Sequence[tuple[int, int]],
    num_categories: int = 3,
    num_images: int = 8,
) -> Scored:
    """Of these detections and objects (label, image)."""
    rows = sorted(detections, key=lambda each: (each[0], -each[1]))
    labels, scores, right, images = (np.array(column) for column in zip(*rows, strict=True))
    of_objects = np.array(objects, np.int64).reshape(-1, 2).T
    return Scored(
        labels, labels, scores.astype(float), right.astype(bool), images.astype(np.int32),
        *of_objects, num_images, num_categories,
    )  # fmt: skip


def drawn(seed: int, num_categories: int = 9, num_images: int = 30, levels: int = 12) -> Scored:
    """Random ones with ties, categories without objects, detections, or anything right."""
    draw = np.random.default_rng(seed)
    objects = [
        (int(draw.integers(num_categories - 1)), int(draw.integers(num_images))) for _ in range(90)
    ]
    detections = []
    for label, image in objects:
        if draw.random() < 0.7 and label != 2:
            detections.append((label, draw.integers(1, levels + 1) / (levels + 1), True, image))
    for _ in range(150):
        label = int(draw.integers(1, num_categories))
        score = draw.integers(1, levels + 1) / (levels + 1)
        detections.append((label, score, False, int(draw.integers(num_images))))
    return scored(detections, objects, num_categories, num_images)
