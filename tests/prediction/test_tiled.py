"""Detections of tiles become those of a picture; two tiles of 100 pixels that share 20."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.data.images.tiles import Place, Tiling
from bacl.prediction.tile_merging import cut_boxes, merged
from bacl.prediction.tiled import TileBatches, with_tiles

SIZE = (100, 180)
LEFT, RIGHT = Place(0, 0, 100, 100), Place(0, 80, 100, 100)
RULE = (0.5, 300)


class AsIs(torch.nn.Module):
    """The transform of a test, which resizes nothing and counts."""

    made = 0

    def forward(self, sample):
        self.made += 1
        return sample


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
    tiles = TileBatches(Tiling(100, 0.2), AsIs(), 1)
    kept = with_tiles(whole, [None], tiles, lambda batch: {}, RULE)
    assert kept["head"][0] is whole["head"][0]


def test_no_more_tiles_are_made_than_go_through_the_network_at_once():
    picture = torch.arange(180).expand(3, 250, 180).to(torch.uint8)  # 3 x 2 tiles
    transform, seen = AsIs(), []

    def detect(batch):
        seen.append((len(batch.targets), transform.made))
        return {"head": [found((0.5, 0, 40, 40, 60, 60)) for _ in batch.targets]}

    tiles = TileBatches(Tiling(100, 0.2), transform, 4)
    kept = with_tiles({"head": [found()]}, [picture], tiles, detect, RULE)
    assert seen == [(4, 4), (2, 6)]
    corners = sorted((row[3], row[2]) for row in rows(kept["head"][0]))
    assert corners == [(y + 40, x + 40) for y in (0, 75, 150) for x in (0, 80)]


def test_a_tile_is_what_lies_at_its_place():
    picture = torch.arange(180).expand(3, 100, 180).to(torch.uint8)
    ((places, batch),) = TileBatches(Tiling(100, 0.2), AsIs(), 2).of(picture)
    assert places == [LEFT, RIGHT]
    left, right = (image[0, 0, 0].item() for image in batch.images)
    assert right - left == pytest.approx(80 / 255 / 0.229)  # normalised
    assert [target.original_size for target in batch.targets] == [(100, 100)] * 2


def test_nothing_at_all_is_nothing():
    assert rows(merged(found(), [(LEFT, found()), (RIGHT, found())], SIZE, RULE)) == []
