"""Transforms do to masks that are edges what they do to bitmaps."""

import pytest
import torch
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from bacl.data.augmentation.carried_masks import CarriedMasks, carry, edges_of
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.scale_jitter import ScaleJitter
from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.mask_edges import MaskEdges
from bacl.data.raw_sample import visible

PIPELINES = {
    "identity": nn.Identity(),
    "resize": ResizeShortSide([31, 64, 97], 150),
    "down": ResizeShortSide([20], 30, rounding="down", antialias=False),
    "jitter": ScaleJitter(48, (0.1, 2.0), 0.5),
    "resize and mirror": v2.Compose(
        [ResizeShortSide([31, 64], 150), v2.RandomHorizontalFlip(0.5), v2.Identity()]
    ),
    "jitter and mirror": v2.Compose([ScaleJitter(64, (0.3, 1.5), 0.5), v2.RandomHorizontalFlip(1)]),
}


def sample(masks, as_edges):
    number, height, width = masks.shape
    boxes = torch.tensor([[0.0, 0.0, width, height]]).repeat(number, 1)
    edges = CarriedMasks.of(MaskEdges.of_bitmaps(masks))
    return {
        "image": tv_tensors.Image(torch.zeros(3, height, width, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.arange(number),
        "masks": edges if as_edges else tv_tensors.Mask(masks.byte()),
    }


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
@pytest.mark.parametrize("size", [(40, 63), (77, 50), (13, 90)])
def test_edges_become_what_bitmaps_become(pipeline, size):
    assert carry(pipeline)
    masks = torch.rand(4, *size, generator=torch.Generator().manual_seed(1)) < 0.6
    masks[1, 5:, : size[1] // 2] = True
    for seed in range(12):
        found = []
        for as_edges in (True, False):
            torch.manual_seed(seed)
            found.append(edges_of(pipeline(sample(masks, as_edges))["masks"]))
        assert torch.equal(found[0].bitmaps(), found[1].bitmaps())
        assert found[0].size == found[1].size


def test_a_transform_that_carries_none_is_given_bitmaps():
    assert not carry(v2.RandomVerticalFlip())
    assert not carry(v2.Compose([ResizeShortSide([31], 150), v2.CenterCrop(20)]))
    assert not carry(CopyPaste(64, (1.0, 1.0), 0.0, 9, 10, 300))  # it has outlines


def test_a_subclass_of_a_known_transform_is_not_taken_for_it():
    class Other(v2.RandomHorizontalFlip):
        pass

    assert not carry(Other())


def test_objects_without_area_leave_with_their_edges():
    masks = torch.rand(3, 8, 9) < 0.5
    given = sample(masks, as_edges=True)
    given["boxes"][1, 2] = 0
    kept = visible(given)
    assert torch.equal(edges_of(kept["masks"]).bitmaps(), masks[[0, 2]])
