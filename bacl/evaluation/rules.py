"""What the benchmarks judge differently."""

from dataclasses import dataclass

import numpy as np


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

    def exists(self, areas: np.ndarray) -> np.ndarray:
        """(N,) bool: whether what has these areas (N,) is looked at."""
        return np.isfinite(areas) if self.without_area else np.isfinite(areas) & (areas > 0)
