"""Detections of a batch in pixels of their files."""

import torch

from bacl.data.batch import Detections, Target
from bacl.stages.detection import rescaled


def detections(count: int) -> Detections:
    boxes = 1000 * torch.rand(count, 4, generator=torch.Generator().manual_seed(count))
    return Detections(boxes, torch.rand(count), torch.arange(count))


def target(size: tuple[int, int], original: tuple[int, int]) -> Target:
    nothing = torch.zeros(0, dtype=torch.int64)
    return Target(
        image_id=0,
        boxes=torch.zeros(0, 4),
        labels=nothing,
        size=size,
        padded_size=size,
        original_size=original,
        negative=nothing,
        not_exhaustive=nothing,
    )


def test_all_images_together_are_each_to_the_bit():
    sizes = ((600, 800), (333, 517), (32, 999), (10, 10))
    originals = ((480, 640), (1001, 77), (31, 997), (10, 10))
    targets = list(map(target, sizes, originals))
    images = [detections(count) for count in (7, 0, 300, 1)]
    found = rescaled(images, targets)
    for own, image, each in zip(found, images, targets, strict=True):
        assert torch.equal(own.boxes, image.rescaled(each).boxes)
        assert own.scores is image.scores
        assert own.labels is image.labels


def test_masks_stay_with_their_detections():
    image = detections(2)
    image.masks = [{"size": [1, 1], "counts": b""}] * 2
    (found,) = rescaled([image], [target((10, 20), (20, 40))])
    assert found.masks is image.masks


def test_nothing_was_found():
    (found,) = rescaled([detections(0)], [target((10, 20), (20, 40))])
    assert found.boxes.shape == (0, 4)
    assert rescaled([], []) == []
