import pytest
import torch
from torchvision.ops import box_iou

from bacl.export.suppression import survivors, survivors_operator


def by_loop(boxes, groups, iou):
    kept = []
    overlaps = box_iou(boxes, boxes)
    for index in range(len(boxes)):
        rivals = [other for other in kept if groups[other] == groups[index]]
        if not any(overlaps[index, other] > iou for other in rivals):
            kept.append(index)
    return torch.isin(torch.arange(len(boxes)), torch.tensor(kept, dtype=torch.int64))


def draw(count, extent=60.0):
    corner = torch.rand(count, 2) * extent
    return torch.cat((corner, corner + torch.rand(count, 2) * 30), dim=1)


@pytest.mark.parametrize("suppress", [survivors, survivors_operator])
@pytest.mark.parametrize("num_groups", [1, 3, 1000])
def test_survivors_are_those_of_a_plain_loop(suppress, num_groups):
    boxes, groups = draw(300), torch.randint(num_groups, (300,))
    (kept,) = suppress(boxes[None], groups[None], num_groups, 0.5)
    assert torch.equal(kept, by_loop(boxes, groups, 0.5))
    assert 0 < kept.sum() < 300 or num_groups == 1000


@pytest.mark.parametrize("suppress", [survivors, survivors_operator])
def test_images_of_a_batch_do_not_suppress_each_other(suppress):
    boxes, groups = torch.stack([draw(50), draw(50)]), torch.randint(3, (2, 50))
    kept = suppress(boxes, groups, 3, 0.5)
    alone = [
        suppress(*(x[None] for x in one), 3, 0.5)[0] for one in zip(boxes, groups, strict=True)
    ]
    assert torch.equal(kept, torch.stack(alone))
    twice = suppress(boxes[:1].repeat(2, 1, 1), groups[:1].repeat(2, 1), 3, 0.5)
    assert torch.equal(twice[0], twice[1])


def test_far_groups_are_compared_as_exactly_as_near_ones():
    """Offsets of 1200 groups in float32 would round these boxes to an eighth of a pixel."""
    boxes = torch.tensor([[0.0, 0, 10, 1333], [0, 0, 20.01, 1333], [0, 0, 19.99, 1333]])
    for group in (0, 1202):
        groups = torch.full((3,), group)
        for other, survives in ((1, True), (2, False)):
            pair = boxes[[0, other]][None], groups[None, :2]
            assert survivors(*pair, 1203, 0.5).tolist() == [[True, survives]]


@pytest.mark.parametrize("suppress", [survivors, survivors_operator])
def test_equal_and_empty_boxes(suppress):
    same = torch.tensor([[1.0, 2, 5, 6]]).expand(1, 4, 4)
    groups = torch.tensor([[0, 1, 0, 1]])
    assert suppress(same, groups, 2, 0.5).tolist() == [[True, True, False, False]]
    assert suppress(torch.zeros(1, 2, 4), groups[:, :2], 2, 0.5).tolist() == [[True, True]]
    nothing = suppress(torch.zeros(1, 0, 4), groups[:, :0], 1, 0.5)
    assert (nothing.shape, nothing.dtype) == ((1, 0), torch.bool)
