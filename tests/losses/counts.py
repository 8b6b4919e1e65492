"""Statistics of training annotations as losses are given them."""

from types import SimpleNamespace

COUNTS = SimpleNamespace(
    image_counts=[1000, 50, 5, 0],
    instance_counts=[4000, 80, 6, 0],
    frequency=["f", "c", "r", "r"],
    num_images=2100,
    num_annotated=2000,
)
"""Of four classes; the last one is in no image."""
