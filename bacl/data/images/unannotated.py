"""A picture as a detector takes it, of which nobody has said what it shows."""

import torch
from torch import Tensor, nn
from torchvision import tv_tensors

from bacl.data.augmentation.transforms import Sample
from bacl.data.batch import Target, padded_sides


def without_objects(picture: Tensor, image_id: int, transform: nn.Module) -> tuple[Tensor, Target]:
    """A transformed picture (3, h, w) uint8, and a target that has no objects.

    The generators of the process are left as they are, and what a transform draws is always the
    same.

    Args:
        picture: (3, H, W) uint8.
        image_id: of the target.
        transform: a v2 transform of a `Sample`, that of the test.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        image = transform(_sample(picture))["image"].as_subclass(Tensor)
    return image, _target(image_id, image, picture)


def _sample(image: Tensor) -> Sample:
    size = (image.shape[1], image.shape[2])
    boxes = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=size)
    labels = torch.zeros(0, dtype=torch.int64)
    return {"image": tv_tensors.Image(image), "boxes": boxes, "labels": labels}


def _target(image_id: int, image: Tensor, stored: Tensor) -> Target:
    height, width = image.shape[-2:]
    nothing = torch.zeros(0, dtype=torch.int64)
    return Target(
        image_id=image_id,
        boxes=torch.zeros(0, 4),
        labels=nothing,
        size=(height, width),
        padded_size=padded_sides(height, width),
        original_size=(stored.shape[1], stored.shape[2]),
        negative=nothing,
        not_exhaustive=nothing,
    )
