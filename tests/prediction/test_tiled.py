"""Detections of tiles become those of a picture; two tiles of 100 pixels that share 20."""

import numpy as np
import torch
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.data.images.tiles import Place
from bacl.prediction.tiled import cut_boxes, merged, with_tiles

SIZE = (100, 180)
LEFT, RIGHT = Place(0, 0, 100, 100), Place(0, 80, 100, 100)
RULE = (0.5, 300)


def found(*rows, masks=None) -> Detections:
    """Of rows (score, label, x1, y1, x2, y2)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 0], table[:, 1].long(), masks)


def rows(detections: Detections) -> list[tuple]:
    columns = detections.scores, detections.labels, detections.boxes
    return [
        (round(s.item(), 4), label.item(), *box.tolist())
        for s, label, box in zip(*columns, strict=True)
    ]


def test_boxes_move_to_their_places_and_the_best_come_first():
    tiles = [(LEFT, found((0.5, 0, 10, 10, 30, 30))), (RIGHT, found((0.9, 1, 40, 10, 60, 30)))]
    assert rows(merged(found(), tiles, SIZE, RULE)) == [
        (0.9, 1, 120, 10, 140, 30),
        (0.5, 0, 10, 10, 30, 30),
    ]


def test_an_object_in_two_tiles_is_one():
    tiles = [(LEFT, found((0.8, 0, 82, 10, 98, 30))), (RIGHT, found((0.7, 0, 3, 10, 18, 30)))]
    assert rows(merged(found(), tiles, SIZE, RULE)) == [(0.8, 0, 82, 10, 98, 30)]


def test_what_a_border_cuts_is_taken_of_the_neighbour_though_it_is_surer():
    cut, complete = (0.9, 0, 85, 10, 100, 30), (0.6, 0, 5, 10, 45, 30)
    tiles = [(LEFT, found(cut)), (RIGHT, found(complete))]
    assert rows(merged(found(), tiles, SIZE, RULE)) == [(0.6, 0, 85, 10, 125, 30)]
    other = [(LEFT, found(cut)), (RIGHT, found((0.6, 1, *complete[2:])))]
    assert len(merged(found(), other, SIZE, RULE).scores) == 2  # of another category
    doubtful = [(LEFT, found(cut)), (RIGHT, found((0.4, 0, *complete[2:])))]
    assert len(merged(found(), doubtful, SIZE, RULE).scores) == 2


def test_what_is_larger_than_a_tile_is_seen_in_the_whole():
    parts = [(LEFT, found((0.9, 0, 20, 0, 100, 100))), (RIGHT, found((0.9, 0, 0, 0, 70, 100)))]
    whole = found((0.8, 0, 20, 0, 150, 100))
    assert rows(merged(whole, parts, SIZE, RULE)) == [(0.8, 0, 20, 0, 150, 100)]


def test_borders_of_the_picture_cut_nothing():
    boxes = torch.tensor([[0.0, 0, 20, 100], [81, 5, 100, 20], [80, 5, 97, 20]])
    assert cut_boxes(boxes, LEFT, SIZE).tolist() == [False, True, False]
    assert cut_boxes(boxes, RIGHT, SIZE).tolist() == [True, False, False]


def test_no_more_are_kept_than_of_a_picture():
    many = found(*((0.1 + n / 100, 0, 10 * n, 0, 10 * n + 5, 5) for n in range(8)))
    assert len(merged(many, [(LEFT, many)], SIZE, (0.5, 3)).scores) == 3


def test_masks_lie_where_the_tile_does():
    own = np.zeros((100, 100), dtype=np.uint8, order="F")
    own[10:30, 40:60] = 1
    tile = found((0.9, 1, 40, 10, 60, 30), masks=[coco_mask.encode(own)])
    (mask,) = merged(found(masks=[]), [(LEFT, found(masks=[])), (RIGHT, tile)], SIZE, RULE).masks
    decoded = coco_mask.decode(mask)
    assert decoded.shape == SIZE
    assert decoded.sum() == 400
    assert decoded[10:30, 120:140].all()


def test_a_picture_without_tiles_keeps_what_was_found():
    whole = {"head": [found((0.5, 0, 1, 2, 3, 4))]}
    kept = with_tiles(whole, [()], [SIZE], lambda batch: {}, RULE, 1)
    assert kept["head"][0] is whole["head"][0]


def test_nothing_at_all_is_nothing():
    assert rows(merged(found(), [(LEFT, found()), (RIGHT, found())], SIZE, RULE)) == []
