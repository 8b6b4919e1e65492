"""Errors for each object of a group of categories, and how they differ between heads.

H: heads. I: images. K: groups. R: rates of a head in a group. B: resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bacl.evaluation.bootstrap import by_image, resampled_sums, shares, standard_error
from bacl.evaluation.errors.detection_kinds import ERRORS, DetectionKind
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.errors.object_fates import ObjectFate
from bacl.evaluation.groups import Grouping
from bacl.evaluation.label_difference import Difference

JUDGED_KINDS = (DetectionKind.RIGHT, *ERRORS)
KINDS: tuple[IntEnum, ...] = (*ObjectFate, *JUDGED_KINDS)
"""What there are rates of: the fates of objects, then the kinds of judged detections."""


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """How often something happens, over the objects of a group."""

    value: float
    """At least 0, of fates at most 1; NaN without objects."""
    difference: Difference | None
    """To the reference's; None of the reference itself."""


Rates = Mapping[str | None, Sequence[ErrorRate]]
"""By group key (None: all categories), in the order of `KINDS`."""


def error_rates(findings: Mapping[str, ErrorFindings], grouping: Grouping) -> dict[str, Rates]:
    """Rates of every head, the first being the reference, all on the same resampled images.

    An object belongs to the group of its category, a detection to that of its own category. Both
    are counted over the objects of the group.

    Args:
        findings: by head, of the same truth.
        grouping: of the categories.
    """
    counts = np.stack([_counts(each, grouping) for each in findings.values()], axis=1)
    drawn = resampled_sums(counts.reshape(len(counts), -1))
    values = _rates(counts.sum(0))
    resampled = _rates(drawn.reshape(-1, *counts.shape[1:]))
    changes, errors = values - values[0], standard_errors(resampled - resampled[:, :1])
    keys = [None, *(group.key for group in grouping.groups)]
    return {
        name: {
            key: [
                ErrorRate(value, Difference(change, error) if head else None)
                for value, change, error in zip(
                    *(each[head, group].tolist() for each in (values, changes, errors)), strict=True
                )
            ]
            for group, key in enumerate(keys)
        }
        for head, name in enumerate(findings)
    }


def standard_errors(resampled: np.ndarray) -> np.ndarray:
    """As `bootstrap.standard_error`, of (B, ...)."""
    return standard_error(resampled.reshape(len(resampled), -1)).reshape(resampled.shape[1:])


def _counts(found: ErrorFindings, grouping: Grouping) -> np.ndarray:
    """(I, K, R) float64: how often each happens in each judged image."""
    objects, shown = found.objects, found.shown
    group = np.stack([each.members for each in grouping.groups]).argmax(axis=0)
    images = np.concatenate([objects.images, shown.images])
    labels = np.concatenate([objects.labels, shown.labels])
    kinds = np.concatenate([objects.fates, shown.kinds + np.uint8(len(ObjectFate))])
    shape = (len(grouping.groups), len(KINDS))
    cells = np.ravel_multi_index((group[labels], kinds), shape)
    counts = by_image(images, cells, found.truth.judged_images, math.prod(shape))
    return counts.reshape(-1, *shape)


def _rates(counts: np.ndarray) -> np.ndarray:
    """(…, H, 1 + K, R): over the objects of all categories and of each group, of (…, H, K, R)."""
    counts = np.concatenate([counts.sum(-2, keepdims=True), counts], axis=-2)
    objects = counts[..., :1, :, : len(ObjectFate)].sum(-1, keepdims=True)
    return shares(counts, objects)
