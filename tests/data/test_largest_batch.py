"""No batch is padded to more than what is told beforehand."""

import pytest
from torch import nn
from torchvision.transforms import v2

from bacl.data.augmentation.scale_jitter import ScaleJitter
from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.collate import collate
from bacl.data.dataset import DetectionDataset
from bacl.data.largest_batch import largest_sides

PIPELINES = {
    "resize, mirror": v2.Compose([ResizeShortSide([64, 90], 150), v2.RandomHorizontalFlip(0.5)]),
    "canvas": ScaleJitter(96, (0.5, 1.5), 0.5),
    "as stored": nn.Identity(),
}


@pytest.fixture
def data(ten_pictures):
    return lambda transform: DetectionDataset(ten_pictures, ten_pictures.source.parent, transform)


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
@pytest.mark.parametrize("images", [1, 3])
def test_batches_stay_within(data, pipeline, images):
    own = data(pipeline)
    height, width = largest_sides(own, images)
    shapes = set()
    for key in range(20):
        batch = collate([own[(key + number) % len(own), key] for number in range(images)])
        shapes.add(tuple(batch.images.shape[2:]))
    assert all(h <= height and w <= width for h, w in shapes) or images == 1
    assert max(h * w for h, w in shapes) <= height * width


def test_a_canvas_is_the_size_of_every_batch(data):
    assert largest_sides(data(PIPELINES["canvas"]), 4) == (96, 96)


def test_an_augmentation_of_which_it_is_not_known(data):
    assert largest_sides(data(v2.RandomResizedCrop(32)), 2) is None
