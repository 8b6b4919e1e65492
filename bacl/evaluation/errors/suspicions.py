"""Annotations that may be wrong: a suspicion is a place to look at.

S: suspicions.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np

NOTHING = -1
"""In place of an annotation, or of a label."""


class SuspicionKind(Enum):
    """What may be wrong."""

    CONTRADICTED = "contradicted"
    """The best detection over the object has another category, the same with every head, and no
    annotated object of that one is near (IoU of at least 0.1), as a rider is to a horse."""
    NOT_ANNOTATED = "not annotated"
    """Every head has a detection of the category there, which no object is near to, in an image
    where the category is judged."""
    TWO_LABELS = "two labels"
    """Another object of the image, of another category, has the same box."""


@dataclass(slots=True, frozen=True, eq=False)
class LabelSuspicions:
    """Of one kind, the surest first."""

    kind: SuspicionKind
    images: np.ndarray
    """(S,) int64, positions in `GroundTruth.image_ids`."""
    boxes: np.ndarray
    """(S, 4) float64 xywh."""
    rows: np.ndarray
    """(S,) int64, annotation in the table; `NOTHING` where there is none."""
    labels: np.ndarray
    """(S,) int64, as annotated; `NOTHING` where nothing is."""
    suggested: np.ndarray
    """(S,) int64, what it may be."""
    confidence: np.ndarray
    """(S,) float64 in (0, 1]. Of detections their standing, see `standing`, with the head that is
    least sure; if contradicted, times the share of the category's other objects that no head calls
    so, as what is always confused is no mistake of an annotator. Of two labels the IoU."""

    def taken(self, places: np.ndarray) -> "LabelSuspicions":
        """Those at (n,) int64 places, in that order."""
        return LabelSuspicions(
            self.kind,
            self.images[places],
            self.boxes[places],
            self.rows[places],
            self.labels[places],
            self.suggested[places],
            self.confidence[places],
        )

    def surest(self, number: int | None = None) -> "LabelSuspicions":
        """Those with any confidence, the surest first; at most so many."""
        order = np.argsort(-self.confidence, kind="stable")
        return self.taken(order[self.confidence[order] > 0][:number])
