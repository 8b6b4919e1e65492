"""How many operators a training step asks for between the pyramid and the RoI features.

On a GPU each costs the host some microseconds, however little it computes. RoIAlign is
torchvision's here, as on a GPU; what only looks at a tensor in another way is not counted.
"""

from collections import Counter

import pytest
import torch
import torchvision
from counting import Operators

from bacl.detectors import roi_pooling


@pytest.fixture
def operators(build, target, monkeypatch):
    """Counts the operators of a step with a number of images, on a frozen pyramid."""

    def align(features, rois, side, scale, ratio):
        return torchvision.ops.roi_align(features, rois, side, scale, ratio, aligned=True)

    monkeypatch.setattr(roi_pooling, "roi_align", align)
    detector = build("small").train()
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False)

    def count(images: int) -> Counter:
        channels = detector.fpn.channels
        pyramid = [
            torch.randn(images, channels, 64 >> k, 64 >> k).to(memory_format=torch.channels_last)
            for k in range(5)
        ]
        boxes = [[10.0, 20, 90, 120], [100, 30, 160, 99]]
        targets = [target(boxes, [3, 5], (256, 256)) for _ in range(images)]
        detector.training_regions(pyramid, targets)  # anchors are kept from now on
        with Operators() as counted:
            detector.training_regions(pyramid, targets)
        return counted.launched

    return count


def test_operators_are_few_and_hardly_grow_with_the_images(operators):
    two, six = operators(2), operators(6)
    assert two.total() <= 300
    # Of an image each: a suppression on five levels and the best of all, the best objects and
    # owners among anchors and RoIs, and a draw of anchors and of RoIs.
    assert (six - two).total() <= 4 * (5 + 1 + 4 + 2)
