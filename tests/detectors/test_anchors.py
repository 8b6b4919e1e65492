import pytest
import torch

from bacl.detectors.anchors import KEPT, AnchorGenerator


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
    anchors = AnchorGenerator(8, (0.5, 2.0), (4, 8)).placed([(3, 4), (2, 2)])
    # 8 by 5 pixels: two rows and two columns of stride 4, one row and one column of stride 8.
    small, whole = anchors.inside([(8, 5), (12, 16)])
    assert small.nonzero().flatten().tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 24, 25]
    assert whole.all()


@pytest.mark.parametrize("size", [(12, 16), (64, 64)])
def test_all_anchors_are_inside_an_image_that_fills_the_batch(size):
    anchors = AnchorGenerator(8, (0.5, 2.0), (4, 8)).placed([(3, 4), (2, 2)])
    assert anchors.inside([size, size]) is None


def test_one_row_less_than_the_batch_has_is_not_the_whole_of_it():
    anchors = AnchorGenerator(8, (0.5, 2.0), (4, 8)).placed([(3, 4), (2, 2)])
    assert anchors.inside([(9, 13)]) is None  # the last cells begin at 8 and 12
    assert not anchors.inside([(8, 13)]).all()
    assert not anchors.inside([(9, 12)]).all()


def test_anchors_of_the_last_few_shapes_are_kept():
    generator = AnchorGenerator(8, (0.5, 2.0), (4, 8))
    shapes = [[(rows, 4), (2, 2)] for rows in range(2, 3 + KEPT)]
    for each in shapes:
        placed = generator.placed(each)
        assert torch.equal(placed.boxes, torch.cat(generator(each)))
        assert generator.placed(list(each)) is placed
    first = generator.placed(shapes[1])
    generator.placed(shapes[0])
    assert generator.placed(shapes[1]) is first
    assert len(generator._kept) == KEPT
    assert not generator.state_dict()


def test_kept_anchors_of_a_validation_serve_the_training():
    generator = AnchorGenerator(8, (0.5, 2.0), (4, 8))
    with torch.inference_mode():
        placed = generator.placed([(3, 4), (2, 2)])
    weight = torch.ones(4, requires_grad=True)
    (placed.boxes * weight).sum().backward()
    assert torch.equal(weight.grad, placed.boxes.sum(0))


def test_anchors_that_are_kept_are_of_the_numbers_that_the_generator_has_now():
    generator = AnchorGenerator(8, (0.5, 2.0), (4, 8))
    generator.placed([(3, 4), (2, 2)])
    precise = generator.double().placed([(3, 4), (2, 2)])
    assert precise.coordinates.dtype == torch.float64
