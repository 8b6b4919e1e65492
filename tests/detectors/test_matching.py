import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import box_iou

from bacl.detectors import claims
from bacl.detectors.matching import (
    BACKGROUND,
    IGNORED,
    BalancedSampler,
    IoUMatcher,
    RoISampler,
)


def random_boxes(count, extent=60.0):
    corner = torch.rand(count, 2) * extent
    return torch.cat((corner, corner + 4 + torch.rand(count, 2) * extent / 2), 1)


def match(rule, objects, boxes):
    """Of one image."""
    return IoUMatcher(*rule)(objects, [len(objects)], boxes.t().unsqueeze(1))[0]


def draw(sampler, matches):
    """Positives and negatives of each image, in places of their own images."""
    drawn = sampler(matches, by_image=True)
    parts = (drawn.rows % max(matches.shape[1], 1)).split(drawn.counts.T.flatten().tolist())
    return list(zip(parts[::2], parts[1::2], strict=True))


def loop_match(objects, boxes, positive, negative, low_quality):
    """The rules of the matcher, one box and one object at a time."""
    overlaps = box_iou(objects, boxes)
    matches = []
    for column in overlaps.t():
        best = int(column.argmax())
        if column[best] >= positive:
            matches.append(best)
        else:
            matches.append(BACKGROUND if column[best] < negative else IGNORED)
    for index, row in enumerate(overlaps):
        if low_quality is not None and row.max() >= low_quality:
            for box in (row == row.max()).nonzero().flatten().tolist():
                matches[box] = index
    return torch.tensor(matches)


@pytest.mark.parametrize("rule", [(0.7, 0.3, 0.3), (0.5, 0.5, 0.5), (0.5, 0.5, None)])
def test_matcher_equals_the_loop(rule):
    for _ in range(5):
        objects, boxes = random_boxes(9), random_boxes(200)
        assert torch.equal(match(rule, objects, boxes), loop_match(objects, boxes, *rule))


def test_thresholds_are_inclusive_for_positives_and_exclusive_for_negatives():
    objects = torch.tensor([[0.0, 0, 8, 8]])
    boxes = torch.tensor([[0.0, 0, 8, 4], [0, 0, 8, 2], [0, 0, 8, 1], [20, 20, 30, 30]])
    # IoU 1/2, 1/4, 1/8, 0
    matches = match((0.5, 0.25, None), objects, boxes)
    assert matches.tolist() == [0, IGNORED, BACKGROUND, BACKGROUND]


def test_best_box_of_an_object_is_its_own_even_if_it_overlaps_another_more():
    objects = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 7]])
    boxes = torch.tensor([[0.0, 0, 10, 9]])
    assert match((0.5, 0.5, None), objects, boxes).tolist() == [0]
    assert match((0.5, 0.5, 0.5), objects, boxes).tolist() == [1]


COUNTS = [(3, 0, 9), (0, 0), (1,), (0, 2, 5, 1)]


@pytest.mark.parametrize("at_once", [1, 150, 1000, 10**6])
@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("own_boxes", [True, False])
def test_images_together_and_in_pieces_are_matched_as_alone(
    counts, at_once, own_boxes, monkeypatch
):
    """On a grid, where equal overlaps are common."""
    monkeypatch.setattr(claims, "AT_ONCE", (at_once, at_once))
    rule = 0.7, 0.3, 0.3
    objects = [(random_boxes(count) / 8).round() * 8 for count in counts]
    boxes = (random_boxes(len(counts) * 50) / 8).round().unflatten(0, (len(counts), 50)) * 8
    if not own_boxes:
        boxes = boxes[:1]
    usable = torch.rand(len(counts), 50) > 0.3
    matches = IoUMatcher(*rule)(torch.cat(objects), counts, boxes.movedim(2, 0), usable)
    start = 0
    for image, own in enumerate(objects):
        others = boxes[image if own_boxes else 0][usable[image]]
        expected = torch.full((len(others),), BACKGROUND)
        if len(own):
            expected = loop_match(own, others, *rule)
        found = matches[image][usable[image]]
        assert torch.equal(torch.where(found >= 0, found - start, found), expected)
        assert (matches[image][~usable[image]] == IGNORED).all()
        start += len(own)


class Largest(TorchDispatchMode):
    """The greatest number of elements of a result."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return result


def test_memory_does_not_grow_with_the_objects():
    boxes = random_boxes(20_000)
    with Largest() as largest:
        match((0.7, 0.3, 0.3), random_boxes(500), boxes)  # 10^7 pairs
    assert largest.elements <= 2 * claims.AT_ONCE[0]


def test_no_objects_or_no_boxes():
    rule = 0.7, 0.3, 0.3
    assert match(rule, torch.zeros(0, 4), random_boxes(3)).tolist() == [BACKGROUND] * 3
    assert match(rule, random_boxes(3), torch.zeros(0, 4)).shape == (0,)


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"negative=0\.7 is above its positive=0\.3"):
        IoUMatcher(0.3, 0.7, None)


def test_sampler_draws_without_replacement_and_fills_up_with_negatives():
    matches = torch.tensor([0] * 3 + [IGNORED] * 5 + [BACKGROUND] * 50)
    ((positives, negatives),) = draw(BalancedSampler(16, 0.5), matches[None])
    assert positives.tolist() == [0, 1, 2]
    assert len(negatives.unique()) == 13
    assert (matches[negatives] == BACKGROUND).all()
    ((positives, negatives),) = draw(BalancedSampler(4, 0.5), matches[None])
    assert len(positives.unique()) == 2
    assert len(negatives) == 2


def test_sampler_draws_for_each_image_from_its_own_matches():
    matches = torch.tensor([[BACKGROUND, 0, 1], [IGNORED] * 3, [3, IGNORED, IGNORED]])
    drawn = draw(BalancedSampler(16, 0.5), matches)
    assert [[part.tolist() for part in each] for each in drawn] == [
        [[1, 2], [0]],
        [[], []],
        [[0], []],
    ]
    positives_first = BalancedSampler(16, 0.5)(matches, by_image=False)
    assert positives_first.rows.tolist() == [1, 2, 6, 0]
    assert positives_first.counts.tolist() == [[2, 0, 1], [1, 0, 0]]


def test_draws_are_those_of_one_permutation_for_what_is_too_many():
    """Positives of an image, then its negatives, then the next image, from torch's generator."""
    matches = torch.tensor([[0] * 5 + [BACKGROUND] * 7, [BACKGROUND] * 12, [1] * 9 + [IGNORED] * 3])
    torch.manual_seed(4)
    drawn = draw(BalancedSampler(6, 0.5), matches)
    torch.manual_seed(4)
    expected = [torch.randperm(5)[:3], 5 + torch.randperm(7)[:3], torch.randperm(12)[:6]]
    expected.append(torch.randperm(9)[:3])
    assert torch.equal(drawn[0][0], expected[0])
    assert torch.equal(drawn[0][1], expected[1])
    assert len(drawn[1][0]) == 0
    assert torch.equal(drawn[1][1], expected[2])
    assert torch.equal(drawn[2][0], expected[3])
    assert len(drawn[2][1]) == 0


def test_sampler_without_boxes():
    (images,) = {len(draw(BalancedSampler(4, 0.5), torch.zeros(3, 0).long()))}
    assert images == 3


def test_sampler_draws_every_candidate_equally_often():
    matches = torch.tensor([2, 2, 2, 2, BACKGROUND])
    drawn = torch.cat([draw(BalancedSampler(2, 0.5), matches[None])[0][0] for _ in range(2000)])
    frequencies = drawn.bincount(minlength=4) / 2000
    # Four standard deviations of a fair draw.
    assert (frequencies - 0.25).abs().max() < 4 * (0.25 * 0.75 / 2000) ** 0.5


def test_rois_hold_objects_proposals_and_labels(target):
    sampler = RoISampler(IoUMatcher(0.5, 0.5, 0.5), BalancedSampler(8, 0.5))
    objects = [[0.0, 0, 10, 10], [20, 20, 40, 40]]
    targets = [target(objects, [4, 2], (50, 50)), target([], [], (50, 50))]
    proposals = torch.tensor([[0.0, 0, 10, 9], [40, 0, 50, 10], [20, 20, 40, 38]])
    rois = sampler([proposals, proposals[:1]], targets, num_classes=7)
    assert [len(boxes) for boxes in rois.boxes] == [5, 1]
    assert sorted(rois.labels[:4].tolist()) == [2, 2, 4, 4]
    assert rois.labels[4:].tolist() == [7, 7]
    assert rois.objects[4:].tolist() == [BACKGROUND] * 2
    truth = torch.tensor(objects)[rois.objects[:4]]
    assert torch.equal(rois.object_boxes[:4], truth)
    overlaps = box_iou(rois.boxes[0][:4], truth).diagonal()
    assert (overlaps >= 0.5).all()
    assert not rois.object_boxes[4:].any()
    own = (torch.cat(rois.boxes)[:, None] == torch.tensor(objects)).all(2).any(1)
    assert rois.added[:5].tolist() == own[:5].tolist()
    assert rois.added.sum() == 2
    assert [rows.tolist() for rows in rois.positives] == [[0, 1, 2, 3], []]


def test_foreground_rows_are_those_with_an_object_in_all_images(target):
    sampler = RoISampler(IoUMatcher(0.5, 0.5, 0.5), BalancedSampler(8, 0.5))
    images = [[[0.0, 0, 10, 10], [20, 20, 40, 40]], [], [[5.0, 5, 30, 30]]]
    targets = [target(boxes, [4] * len(boxes), (50, 50)) for boxes in images]
    rois = sampler([random_boxes(20)] * 3, targets, num_classes=7)
    expected = [row for row, label in enumerate(rois.labels.tolist()) if label < 7]
    assert len(expected) >= 3
    assert rois.foreground.tolist() == expected
    assert rois.foreground.dtype == torch.int64
    none = sampler([random_boxes(20)], targets[1:2], num_classes=7)
    assert none.foreground.shape == (0,)


@pytest.mark.parametrize("low_quality", [0.4, None])
@pytest.mark.parametrize("count", [512, 6])
def test_unusable_proposals_are_as_if_absent(target, low_quality, count):
    sampler = RoISampler(IoUMatcher(0.5, 0.5, low_quality), BalancedSampler(count, 0.5))
    corner = torch.rand(3, 2) * 60
    objects = torch.cat((corner, corner + 20 + 20 * torch.rand(3, 2)), 1)
    targets = [target(objects, [4, 2, 0], (100, 100)), target([], [], (100, 100))]
    near = objects.repeat(20, 1) + 12 * torch.randn(60, 4)
    usable = torch.rand(60) > 0.4
    torch.manual_seed(0)
    rois = sampler([near, near[:5]], targets, 7, [usable, usable[:5]])
    torch.manual_seed(0)
    expected = sampler([near[usable], near[:5][usable[:5]]], targets, 7)
    assert 0 < usable[:5].sum() < 5
    for ours, theirs in zip(rois.boxes, expected.boxes, strict=True):
        assert torch.equal(ours, theirs)
    for name in ("labels", "objects", "object_boxes", "added"):
        assert torch.equal(getattr(rois, name), getattr(expected, name))


def test_rois_without_objects_and_proposals(target):
    sampler = RoISampler(IoUMatcher(0.5, 0.5, 0.5), BalancedSampler(8, 0.5))
    rois = sampler([torch.zeros(0, 4)], [target([], [], (50, 50))], num_classes=7)
    assert rois.boxes[0].shape == (0, 4)
    assert rois.labels.shape == rois.objects.shape == rois.added.shape == (0,)


def test_a_proposal_equal_to_an_object_is_not_the_added_box(target):
    sampler = RoISampler(IoUMatcher(0.5, 0.5, None), BalancedSampler(8, 0.5))
    box = [[0.0, 0, 10, 10]]
    rois = sampler([torch.tensor(box)], [target(box, [4], (50, 50))], num_classes=7)
    assert rois.labels.tolist() == [4, 4]
    assert rois.added.tolist() == [True, False]


@pytest.mark.parametrize("low_quality", [0.5, None])
def test_the_same_rule_at_another_overlap(low_quality):
    sampler = RoISampler(IoUMatcher(0.5, 0.5, low_quality), BalancedSampler(8, 0.5))
    other = sampler.at(0.7)
    assert other.sampler is sampler.sampler
    matcher = other.matcher
    assert (matcher.positive, matcher.negative) == (0.7, 0.7)
    assert matcher.low_quality == (0.7 if low_quality else None)
    assert sampler.matcher.positive == 0.5
