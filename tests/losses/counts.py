"""Statistics of training annotations as losses are given them."""

from types import SimpleNamespace

import numpy as np

COUNTS = SimpleNamespace(
    image_counts=[1000, 50, 5, 0],
    instance_counts=[4000, 80, 6, 0],
    frequency=["f", "c", "r", "r"],
    box_shapes=np.array([[0.0, -1], [2, -4], [0, -1.5], [2, -4.5]]),
    num_images=2100,
    num_annotated=2000,
)
"""Of four classes; the last one is in no image."""
