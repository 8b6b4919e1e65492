"""What the benchmarks judge differently."""

from dataclasses import dataclass

import numpy as np

_LVIS_LIMIT, _LVIS_CATEGORIES, _LEAST = 300, 1203, 3


@dataclass(slots=True, frozen=True)
class Rules:
    """Rules of a benchmark; everything else of the evaluation is common to LVIS and COCO."""

    max_detections: int
    """Detections that count, best first."""
    limit_per_category: bool
    """Whether that many count of each category of an image, or of all of them together."""
    federated: bool
    """Whether categories are judged only in images where they are verified to be present or absent,
    and annotated in part where an image says so. Otherwise every image is annotated in full."""
    without_area: bool
    """Whether objects and detections of area 0 exist."""

    def fitting_limit(self, num_categories: int) -> int | None:
        """Detections of an image, over all categories, that fit a vocabulary of C categories.

        LVIS lets 300 count for its 1,203 categories, so that every category has a quarter of one.
        With few categories 300 are never full, and nothing keeps a rare category's detections from
        being read far down. This is the same share of C, at least 3; None where it is no less than
        what the benchmark lets count.

        >>> lvis = Rules(300, limit_per_category=False, federated=True, without_area=False)
        >>> [lvis.fitting_limit(number) for number in (5, 25, 80, 1203, 1230)]
        [3, 6, 20, None, None]
        """
        fitting = max(_LEAST, round(_LVIS_LIMIT * num_categories / _LVIS_CATEGORIES))
        own = self.max_detections * (num_categories if self.limit_per_category else 1)
        return fitting if fitting < own else None

    def exists(self, areas: np.ndarray) -> np.ndarray:
        """(N,) bool: whether what has these areas (N,) is looked at."""
        return np.isfinite(areas) if self.without_area else np.isfinite(areas) & (areas > 0)
