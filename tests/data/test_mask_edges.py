"""Masks as edges are the bitmaps they stand for, through all that happens to them."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from bacl.data.mask_edges import MaskEdges


def blobs(number, height, width, seed=0, density=0.5):
    """Masks with holes, full rows and columns, and pixels at every border."""
    draw = torch.Generator().manual_seed(seed)
    masks = torch.rand(number, height, width, generator=draw) < density
    masks[: number // 2, height // 3 :, : width // 2] = True
    return masks


def run_lengths(masks):
    return coco_mask.encode(np.asfortranarray(masks.permute(1, 2, 0).byte().numpy()))


def test_edges_by_hand():
    mask = torch.tensor([[[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]], dtype=torch.uint8)
    expected = [[0, 0, 1, 1], [0, 0, 3, -1], [0, 1, 2, 1], [0, 1, 4, -1]]
    for edges in (MaskEdges.of_bitmaps(mask), MaskEdges.of_run_lengths(run_lengths(mask), (3, 4))):
        assert sorted(edges.edges.tolist()) == expected
        assert edges.counts == [4]
        assert torch.equal(edges.bitmaps(), mask.bool())


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 9), (3, 9, 1), (7, 20, 31)])
def test_bitmaps_come_back_from_pixels_and_from_run_lengths(shape, density):
    masks = blobs(*shape, density=density)
    for edges in (
        MaskEdges.of_bitmaps(masks),
        MaskEdges.of_run_lengths(run_lengths(masks), shape[1:]),
    ):
        assert torch.equal(edges.bitmaps(), masks)
        assert torch.equal(edges.bitmaps(1, 3), masks[1:3])
        assert len(edges) == shape[0]


def test_a_merged_code_with_empty_runs_is_read():
    """pycocotools' intersections can begin and end with runs of no pixel."""
    masks = blobs(2, 8, 9)
    codes = run_lengths(masks)
    both = coco_mask.merge(codes, intersect=True)
    empty = coco_mask.encode(np.zeros((8, 9), dtype=np.uint8, order="F"))
    edges = MaskEdges.of_run_lengths([both, empty, codes[0]], (8, 9))
    assert torch.equal(edges.bitmaps(), torch.stack([masks[0] & masks[1], 0 * masks[0], masks[0]]))
    assert edges.counts[1] == 0


def test_taken_pixels_are_those_of_the_bitmap():
    draw = np.random.default_rng(0)
    masks = blobs(5, 20, 31)
    edges = MaskEdges.of_bitmaps(masks)
    for _ in range(40):
        rows = np.sort(draw.integers(0, 20, draw.integers(1, 50)))
        columns = np.sort(draw.integers(0, 31, draw.integers(1, 50)))
        for flip in (False, True):
            frame = (len(rows) + int(draw.integers(3)), len(columns) + int(draw.integers(3)))
            expected = torch.zeros(5, *frame, dtype=torch.bool)
            own = columns[::-1].copy() if flip else columns
            expected[:, : len(rows), : len(columns)] = masks[:, rows][:, :, own]
            found = edges.taken(rows, columns, frame, flip)
            assert torch.equal(found.bitmaps(), expected)
            assert found.counts == torch.bincount(found.edges[:, 0], minlength=5).tolist()


def test_padding_ends_a_mask_where_its_frame_ended():
    masks = torch.ones(1, 2, 3, dtype=torch.bool)
    padded = MaskEdges.of_bitmaps(masks).padded(4, 5).bitmaps()
    assert padded[0, :2, :3].all()
    assert padded.sum() == 6


def test_chosen_objects_keep_their_order():
    masks = blobs(6, 12, 13)
    kept = torch.tensor([True, False, False, True, True, False])
    edges = MaskEdges.of_bitmaps(masks).select(kept)
    assert torch.equal(edges.bitmaps(), masks[kept])
    assert torch.equal(edges.select(torch.tensor([False, True, False])).bitmaps(), masks[3:4])
    assert edges.select(torch.zeros(3, dtype=torch.bool)).bitmaps().shape == (0, 12, 13)


def test_no_objects():
    assert MaskEdges.none((4, 5)).bitmaps().shape == (0, 4, 5)
    assert MaskEdges.of_run_lengths([], (4, 5)).edges.dtype == torch.int32
    empty = MaskEdges.of_bitmaps(torch.zeros(0, 4, 5, dtype=torch.bool))
    taken = empty.taken(np.arange(2), np.arange(3), (2, 3))
    assert taken.bitmaps().shape == (0, 2, 3)


def test_they_travel_in_a_fraction_of_a_bitmap():
    masks = torch.zeros(1, 1280, 1280, dtype=torch.bool)
    masks[0, 100:400, 200:600] = True
    assert MaskEdges.of_bitmaps(masks).edges.nbytes == 300 * 2 * 16 < masks.nbytes / 100
