import pytest
import torch

from bacl.detectors.anchors import AnchorGenerator


def test_anchors_by_hand():
    generator = AnchorGenerator(scale=8, ratios=(0.25, 1.0, 4.0), strides=(4, 8))
    first, second = generator([(1, 2), (1, 1)])
    # Area 32², ratio height / width 1/4: 64 × 16.
    assert first[:3].tolist() == [[-32, -8, 32, 8], [-16, -16, 16, 16], [-8, -32, 8, 32]]
    assert torch.equal(first[3:], first[:3] + torch.tensor([4.0, 0, 4, 0]))
    assert torch.equal(second, 2 * first[:3])


def test_rows_come_before_columns():
    (anchors,) = AnchorGenerator(1, (1.0,), (10,))([(2, 3)])
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres.tolist() == [[0, 0], [10, 0], [20, 0], [0, 10], [10, 10], [20, 10]]


def test_one_feature_map_per_stride():
    with pytest.raises(ValueError, match="1 feature maps for 2 anchor strides"):
        AnchorGenerator(8, (1.0,), (4, 8))([(2, 2)])


def test_anchors_are_not_saved():
    assert not AnchorGenerator(8, (1.0,), (4,)).state_dict()


def test_anchors_inside_an_image_by_hand():
    generator = AnchorGenerator(8, (0.5, 2.0), (4, 8))
    # 8 by 5 pixels: two rows and two columns of stride 4, one row and one column of stride 8.
    inside = generator.inside([(3, 4), (2, 2)], (8, 5))
    assert inside.tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 24, 25]


@pytest.mark.parametrize("size", [(12, 16), (64, 64)])
def test_all_anchors_are_inside_an_image_that_fills_the_batch(size):
    generator = AnchorGenerator(8, (0.5, 2.0), (4, 8))
    shapes = [(3, 4), (2, 2)]
    count = sum(len(level) for level in generator(shapes))
    assert torch.equal(generator.inside(shapes, size), torch.arange(count))
