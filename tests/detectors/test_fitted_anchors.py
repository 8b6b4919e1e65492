import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from bacl.detectors.fitted_anchors import FittedAnchors

RATIOS = (0.5, 1.0, 2.0)


@pytest.mark.parametrize("size", [(64, 64), (96, 224)])
def test_anchors_are_torchvisions(size):
    sides, strides = [[32, 48], [64, 96], [128, 200]], (16, 32, 64)
    shapes = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in strides]
    theirs = AnchorGenerator(tuple(map(tuple, sides)), (RATIOS,) * 3)
    images = ImageList(torch.zeros(1, 3, *size), [size])
    (expected,) = theirs(images, [torch.zeros(1, 1, *shape) for shape in shapes])
    own = FittedAnchors(sides, RATIOS, strides)
    assert torch.equal(torch.cat(own(shapes)), expected)
    assert torch.equal(own.placed(shapes).boxes, expected)


def test_cells_of_a_map_that_is_rounded_up_by_hand():
    anchors = FittedAnchors([[32], [64]], (1.0,), (32, 64))
    _, (first, second) = anchors([(1, 3), (1, 2)])
    assert first.tolist() == [-32, -32, 32, 32]
    assert second.tolist() == [16, -32, 80, 32]  # 96 pixels share out to two cells
    assert anchors.placed([(1, 3), (1, 2)]).last == (0, 64)


def test_corners_are_whole_pixels():
    (anchors,) = FittedAnchors([[32]], (0.5,), (4,))([(1, 1)])
    assert anchors.tolist() == [[-23, -11, 23, 11]]  # of 45.25 by 22.63


@pytest.mark.parametrize("sides", [[[32]], [[32], [32, 64]]])
def test_equally_many_for_each_stride(sides):
    with pytest.raises(ValueError, match=r"equally many for each of the strides \[4, 8\]"):
        FittedAnchors(sides, RATIOS, (4, 8))
