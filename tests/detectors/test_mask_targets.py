import pytest
import torch

from bacl.data.batch import Target
from bacl.data.mask_edges import MaskEdges
from bacl.detectors import mask_targets as module
from bacl.detectors.mask_targets import mask_targets, positive_rois
from bacl.detectors.matching import SampledRoIs
from bacl.messages.errors import OptionError


def resampled(masks, objects, boxes, side):
    return module.resampled(MaskEdges.of_bitmaps(masks), objects, boxes, side)


def square(height, width, left, top, right, bottom):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def test_recorded_targets(recorded_masks):
    parts = [torch.from_numpy(recorded_masks[k]) for k in ("gt_masks", "assigned", "proposals")]
    expected = torch.from_numpy(recorded_masks["mask_targets"]).float()
    assert torch.equal(resampled(*parts, 28), expected)


def test_a_roi_of_the_masks_own_size_copies_it():
    mask = torch.rand(28, 28) > 0.5
    box = torch.tensor([[0.0, 0.0, 28.0, 28.0]])
    assert torch.equal(resampled(mask[None], torch.tensor([0]), box, 28), mask[None].float())


def test_halves_by_hand():
    # The object is the left half of the RoI: 14 of 28 columns.
    masks = square(40, 40, 4, 4, 18, 32)[None]
    crop = resampled(masks, torch.tensor([0]), torch.tensor([[4.0, 4.0, 32.0, 32.0]]), 28)[0]
    assert crop[:, :14].all()
    assert not crop[:, 14:].any()


def test_each_roi_sees_its_own_object_and_no_other():
    masks = torch.stack([square(64, 64, 0, 0, 20, 64), square(64, 64, 40, 0, 64, 64)])
    boxes = torch.tensor([[0.0, 0.0, 64.0, 64.0]]).repeat(3, 1)
    crops = resampled(masks, torch.tensor([1, 0, 1]), boxes, 16)
    assert torch.equal(crops[0], crops[2])
    assert crops[1][:, :5].all()
    assert not crops[1][:, 5:].any()
    assert crops[0][:, 10:].all()


@pytest.mark.parametrize("bunch", [1, 4, 7])
def test_bunches_of_objects_change_nothing(monkeypatch, bunch):
    masks = torch.rand(9, 50, 60) > 0.4
    corner = torch.rand(40, 2) * 30
    boxes = torch.cat((corner, corner + torch.rand(40, 2) * 30 + 2), dim=1)
    objects = torch.randint(9, (40,))
    expected = resampled(masks, objects, boxes, 14)
    monkeypatch.setattr(module, "AT_ONCE", bunch)
    assert torch.equal(resampled(masks, objects, boxes, 14), expected)


def target(masks):
    count = 0 if masks is None else len(masks)
    none = torch.zeros(0, dtype=torch.int64)
    edges = None if masks is None else MaskEdges.of_bitmaps(masks)
    boxes, labels = torch.zeros(count, 4), torch.zeros(count, dtype=torch.int64)
    return Target(1, boxes, labels, (32, 32), (32, 32), (32, 32), none, none, edges)


def test_positive_rois_of_each_image_in_order():
    boxes = [torch.arange(12.0).view(3, 4), torch.arange(8.0).view(2, 4) + 50, torch.zeros(0, 4)]
    objects = torch.tensor([2, 0, -1, -1, 1])
    rois = SampledRoIs(
        boxes, torch.tensor([7, 3, 9, 9, 4]), objects, torch.zeros(5, 4), torch.zeros(5).long(),
        [torch.tensor([0, 1]), torch.tensor([4]), torch.tensor([], dtype=torch.int64)],
    )  # fmt: skip
    positive, matched, labels = positive_rois(rois)
    assert [each.tolist() for each in matched] == [[2, 0], [1], []]
    assert torch.equal(positive[0], boxes[0][:2])
    assert torch.equal(positive[1], boxes[1][1:])
    assert labels.tolist() == [7, 3, 4]


def test_images_without_a_positive_roi():
    masks = [square(32, 32, 0, 0, 32, 32)[None], torch.zeros(0, 32, 32, dtype=torch.bool)]
    targets = [target(each) for each in masks]
    boxes = [torch.tensor([[2.0, 2.0, 30.0, 30.0]]), torch.zeros(0, 4)]
    objects = [torch.tensor([0]), torch.zeros(0, dtype=torch.int64)]
    assert mask_targets(boxes, objects, targets, 28).sum() == 28 * 28
    assert mask_targets(boxes[1:], objects[1:], targets[1:], 28).shape == (0, 28, 28)


def test_missing_masks_name_the_option():
    with pytest.raises(OptionError, match=r"datamodule\.load_masks"):
        mask_targets([torch.zeros(0, 4)], [torch.zeros(0).long()], [target(None)], 28)
