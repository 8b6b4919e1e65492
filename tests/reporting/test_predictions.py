"""Pictures of predictions."""

from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.reporting.figures import draw_predictions


@dataclass
class Masked(Detections):
    """Detections with a mask each, as COCO run lengths."""

    masks: list = field(default_factory=list)


def test_predictions_are_drawn_with_boxes_and_masks_in_their_category_colour(tmp_path):
    image = np.full((100, 200, 3), 255, dtype=np.uint8)
    boxes = torch.tensor([[20.0, 30, 90, 80], [110, 30, 180, 80]])
    scores, labels = torch.tensor([0.9, 0.6]), torch.tensor([0, 1])
    area = np.zeros((100, 200), dtype=np.uint8)
    area[35:75, 25:85] = 1
    masks = [coco_mask.encode(np.asfortranarray(area * kept)) for kept in (1, 0)]
    plain = Detections(boxes, scores, labels)
    pictures = []
    for name, found in (("plain", plain), ("masked", Masked(boxes, scores, labels, masks))):
        path = draw_predictions(
            tmp_path / f"{name}.png",
            image,
            {"a": found},
            ["one", "two", "three"],
            "with score ≥ 0.5",
        )
        pictures.append(np.asarray(Image.open(path).convert("RGB")).astype(int))
    without, masked = pictures
    changed = (without != masked).any(2)
    share = 40 * 60 / (100 * 200)  # of the image, which fills most of the picture
    assert 0.7 * share < changed.mean() < share
    blue = np.array([0, 114, 178])  # the first colour, of category "one"
    rows, columns = changed.nonzero()
    middle = masked[int(np.median(rows)), int(np.median(columns))]
    np.testing.assert_allclose(middle, 255 + 0.5 * (blue - 255), atol=3)
    orange = np.array([213, 94, 0])
    assert (np.abs(without - orange).sum(2) < 30).any()
