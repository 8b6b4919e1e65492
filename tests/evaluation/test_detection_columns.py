"""Detections of many images, column by column."""

from dataclasses import replace

import torch

from bacl.data.batch import Detections
from bacl.evaluation.detection_columns import DetectionColumns


def found(*scores: float) -> Detections:
    boxes = torch.tensor([[1.0, 2, 4, 8]]).repeat(len(scores), 1)
    return Detections(boxes, torch.tensor(scores), torch.arange(len(scores)))


def test_boxes_are_kept_as_corner_and_size():
    columns = DetectionColumns.from_detections([found(0.5)], [7])
    assert columns.boxes.tolist() == [[1, 2, 3, 6]]
    assert columns.areas.tolist() == [18]


def test_an_image_given_again_keeps_its_first_detections():
    parts = [
        DetectionColumns.from_detections([found(0.5, 0.25), found()], [7, 3]),
        DetectionColumns.from_detections([found(0.75), found(0.125)], [7, 5]),
    ]
    once = DetectionColumns.concatenate(parts).distinct()
    assert once.image_ids.tolist() == [7, 3, 5]
    assert once.counts.tolist() == [2, 0, 1]
    assert once.scores.tolist() == [0.5, 0.25, 0.125]
    assert once.labels.tolist() == [0, 1, 0]


def test_an_images_detections_come_back():
    masks = [{"size": [9, 8], "counts": b"ab"}, {"size": [9, 8], "counts": b"c"}]
    given = [found(0.5, 0.25), found(), replace(found(0.75, 0.125), masks=masks)]
    given[0].boxes[1] = torch.tensor([0.1, 1 / 3, 7.7, 1e-3])
    columns = DetectionColumns.from_detections(given[:2], [7, 3])
    segmented = DetectionColumns.from_detections(given[2:], [5])
    for own, image_id, expected in ((columns, 7, given[0]), (segmented, 5, given[2])):
        back = own.of_image(image_id)
        assert torch.equal(back.boxes, expected.boxes)
        assert torch.equal(back.scores, expected.scores)
        assert torch.equal(back.labels, expected.labels)
        assert back.masks == expected.masks
    for nothing in (columns.of_image(3), columns.of_image(99)):
        assert nothing.boxes.shape == (0, 4)
