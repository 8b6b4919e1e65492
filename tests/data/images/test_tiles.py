from itertools import pairwise

import pytest

from bacl.data.images.tiles import Place, Tiling


@pytest.mark.parametrize(("height", "width"), [(100, 100), (30, 100), (1, 1)])
def test_a_picture_that_fits_one_tile_has_none(height, width):
    assert Tiling(100, 0.2).places(height, width) == []


def test_tiles_of_a_long_picture_have_its_height():
    assert Tiling(100, 0.0).places(50, 200) == [Place(0, 0, 50, 100), Place(0, 100, 50, 100)]


@pytest.mark.parametrize(("height", "width"), [(101, 640), (1000, 777), (333, 90)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_tiles_cover_a_picture_and_overlap(height, width, overlap):
    places = Tiling(100, overlap).places(height, width)
    for axis, side in ((0, height), (1, width)):
        starts = sorted({place[axis] for place in places})
        length = places[0][axis + 2]
        assert starts[0] == 0
        assert starts[-1] + length == side
        steps = [after - before for before, after in pairwise(starts)]
        assert all(0 < step <= 100 * (1 - overlap) + 1 for step in steps)
