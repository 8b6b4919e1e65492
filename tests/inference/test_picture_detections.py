import numpy as np
import torch
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.inference.picture_detections import Category, PictureDetections

CATEGORIES = [Category(4, "cup"), Category(9, "owl")]


def of(scores, labels, masks=None):
    boxes = torch.zeros(len(scores), 4)
    found = Detections(boxes, torch.tensor(scores), torch.tensor(labels, dtype=torch.int64), masks)
    return PictureDetections.of(found, CATEGORIES, (3, 5))


def test_categories_follow_the_labels():
    found = of([0.9, 0.5, 0.25], [1, 0, 1])
    assert found.category_ids.tolist() == [9, 4, 9]
    assert found.names == ["owl", "cup", "owl"]
    assert repr(found) == "<3 detections: owl 0.90, cup 0.50, owl 0.25>"
    assert found.above(0.5).names == ["owl", "cup"]
    assert len(found.above(0.95)) == 0
    assert repr(found.above(1)) == "<0 detections>"


def test_masks_are_decoded_in_the_order_of_the_detections():
    masks = np.zeros((3, 5, 2), np.uint8, order="F")
    masks[1, 2:4, 0] = masks[:, 4, 1] = 1
    found = of([0.9, 0.5], [0, 1], coco_mask.encode(masks))
    assert found.masks.dtype == torch.bool
    assert torch.equal(found.masks, torch.from_numpy(masks).permute(2, 0, 1).bool())
    assert found.above(0.6).masks.shape == (1, 3, 5)
    assert found.above(1).masks.shape == (0, 3, 5)
    assert of([0.9], [0]).masks is None


def test_nothing_found():
    found = of([], [], [])
    assert (found.names, found.category_ids.shape, found.masks.shape) == ([], (0,), (0, 3, 5))
