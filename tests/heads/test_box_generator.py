import pytest
import torch

from bacl.data.batch import Target
from bacl.heads import BoxGenerator

SIZE = (400, 600)
BOXES = torch.tensor([[100.0, 100.0, 160.0, 220.0], [300.0, 50.0, 420.0, 110.0]])


@pytest.fixture(params=[False, True], ids=["per_box", "shared"])
def generator(request) -> BoxGenerator:
    return BoxGenerator(shared=request.param)


def offsets(proposals: torch.Tensor) -> torch.Tensor:
    """(N, 16, 4) in units of a sixth of the box's width and height."""
    extents = (BOXES[:, 2:] - BOXES[:, :2]).repeat(1, 2).unsqueeze(1)
    return (proposals.view(len(BOXES), 16, 4) - BOXES.unsqueeze(1)) * 6 / extents


def test_full_magnitudes_give_the_sixteen_extreme_boxes(generator):
    proposals = generator.jitter(BOXES, SIZE, torch.ones(1, 16, 4))
    # Box 0 is 60 wide and 120 high: edges move by 10 and 20.
    assert proposals.shape == (32, 4)
    assert proposals[0].tolist() == [90, 80, 150, 200]
    assert proposals[1].tolist() == [90, 80, 150, 240]
    assert proposals[2].tolist() == [90, 80, 170, 200]
    assert proposals[4].tolist() == [90, 120, 150, 200]
    assert proposals[8].tolist() == [110, 80, 150, 200]
    assert proposals[31].tolist() == [320, 60, 440, 120]
    signs = offsets(proposals)[0].round()
    assert len(signs.unique(dim=0)) == 16


def test_zero_magnitudes_repeat_the_boxes(generator):
    proposals = generator.jitter(BOXES, SIZE, torch.zeros(1, 16, 4))
    assert torch.equal(proposals, BOXES.repeat_interleave(16, dim=0))


def test_edges_move_by_at_most_a_sixth_and_surround_the_object(generator):
    moved = offsets(generator(BOXES, SIZE))
    assert moved.abs().max() <= 1
    assert moved.abs().min() > 0
    assert (moved.sign().sum(dim=1) == 0).all()


def test_magnitudes_are_uniform():
    torch.manual_seed(1)
    generator = BoxGenerator()
    magnitudes = torch.cat([offsets(generator(BOXES, SIZE)).abs().flatten() for _ in range(200)])
    shares = torch.histc(magnitudes, bins=4, min=0, max=1) / len(magnitudes)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), rtol=0, atol=0.015)


def test_shared_magnitudes_are_the_same_for_every_box():
    first, second = offsets(BoxGenerator(shared=True)(BOXES, SIZE))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)
    first, second = offsets(BoxGenerator(shared=False)(BOXES, SIZE))
    assert (first - second).abs().max() > 0.1


@pytest.mark.parametrize(("shared", "edge"), [(False, 0), (True, 1)])
def test_proposals_stay_in_the_image(shared, edge):
    whole = torch.tensor([[0.0, 0.0, 600.0, 400.0]])
    proposals = BoxGenerator(shared).jitter(whole, SIZE, torch.ones(1, 16, 4))
    assert proposals.amin(dim=0)[:2].tolist() == [0, 0]
    assert proposals.amax(dim=0)[2:].tolist() == [600 - edge, 400 - edge]
    assert (proposals[:, 2:] > proposals[:, :2]).all()


def test_input_boxes_are_left_alone(generator):
    boxes = torch.tensor([[-5.0, -5.0, 700.0, 500.0]])
    generator(boxes, SIZE)
    assert boxes.tolist() == [[-5, -5, 700, 500]]


def test_no_boxes_give_no_proposals(generator):
    assert generator(torch.zeros(0, 4), SIZE).shape == (0, 4)


def test_one_proposal_per_sign_pattern(generator):
    assert len(generator(BOXES, SIZE)) == generator.proposals_per_box * len(BOXES)


def test_equal_generators_are_one(generator):
    assert generator == BoxGenerator(generator.shared)
    assert len({generator, BoxGenerator(generator.shared), BoxGenerator(not generator.shared)}) == 2


def test_boxes_of_a_batch_are_moved_as_image_by_image(generator):
    none = torch.zeros(0, dtype=torch.int64)
    sizes = [(40, 60), (90, 30), (64, 64)]
    counts = [3, 0, 2]
    targets = []
    for size, count in zip(sizes, counts, strict=True):
        corners = torch.rand(count, 2, 2).sort(dim=1).values.flatten(1)
        boxes = corners * torch.tensor([size[1], size[0]]).repeat(2)
        labels = torch.arange(count)
        targets.append(Target(0, boxes, labels, size, size, size, none, none))
    torch.manual_seed(0)
    found = generator.around(targets)
    torch.manual_seed(0)
    alone = [generator(target.boxes, target.size) for target in targets]
    assert [len(boxes) for boxes in found.boxes] == [16 * count for count in counts]
    assert all(torch.equal(*pair) for pair in zip(found.boxes, alone, strict=True))
    assert found.labels.tolist() == [label for n in counts for label in range(n) for _ in range(16)]
