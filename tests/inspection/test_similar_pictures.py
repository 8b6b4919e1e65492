import numpy as np
import pytest

from bacl.inspection.neighbours import close_pairs, joined
from bacl.inspection.repeated_pictures import equal_pairs
from bacl.inspection.similar_pictures import (
    CONTRAST,
    DIFFERENT_BITS,
    DIFFERENT_LEVELS,
    similar_pairs,
)


def pairs_of(found):
    return set(zip(*(end.tolist() for end in found), strict=True))


def test_close_pairs_are_those_of_two_loops():
    values = np.sort(np.random.default_rng(0).integers(0, 60, 50))
    found = joined(close_pairs(50, lambda i, j: values[j] - values[i] <= 2))
    expected = {(i, j) for j in range(50) for i in range(j) if values[j] - values[i] <= 2}
    assert pairs_of(found) == expected
    assert len(found[0]) == len(expected)


def test_pairs_farther_apart_than_asked_for_are_not_looked_at():
    found = joined(close_pairs(10, lambda i, j: np.ones(len(i), dtype=bool), farthest=2))
    assert pairs_of(found) == {(i, i + step) for step in (1, 2) for i in range(10 - step)}


@pytest.mark.parametrize("count", [0, 1])
def test_of_less_than_two_there_is_no_pair(count):
    assert pairs_of(joined(close_pairs(count, lambda i, j: np.ones(len(i), dtype=bool)))) == set()
    thumbnails = np.arange(256 * count, dtype=np.uint8).reshape(count, 256)
    nothing = np.zeros(count, dtype=np.uint64)
    assert pairs_of(similar_pairs(nothing, thumbnails, nothing.astype(int))) == set()


def looking_alike(draws, count):
    """Hashes and thumbnails of which each second one is like, or nearly like, the one before."""
    outlines = draws.integers(0, 2**63, count).astype(np.uint64)
    thumbnails = np.repeat(draws.integers(20, 200, (count // 2, 256)), 2, axis=0)
    for place in range(0, count - 20, 2):
        flips = np.uint64(1) << draws.permutation(64)[: place % 12].astype(np.uint64)
        outlines[place + 1] = outlines[place] ^ np.bitwise_or.reduce(flips, initial=0)
        thumbnails[place + 1] += draws.integers(0, 1 + place % 50, 256)
    return outlines, thumbnails.astype(np.uint8)


def levelled(thumbnail):
    return CONTRAST * (thumbnail - thumbnail.mean()) / thumbnail.std()


def test_similar_pairs_are_those_of_two_loops():
    draws = np.random.default_rng(0)
    outlines, thumbnails = looking_alike(draws, 100)
    groups = draws.integers(0, 2, 100)
    expected = {
        (i, j)
        for j in range(100)
        for i in range(j)
        if int(outlines[i] ^ outlines[j]).bit_count() <= DIFFERENT_BITS
        and abs(levelled(thumbnails[i]) - levelled(thumbnails[j])).mean() <= DIFFERENT_LEVELS
    }
    assert 8 < len(expected) < 30
    assert pairs_of(similar_pairs(outlines, thumbnails, groups)) == expected


def test_of_many_that_look_the_same_each_is_told_once_for_each_group():
    outlines, thumbnails = looking_alike(np.random.default_rng(0), 22)
    same = np.zeros(7, dtype=int)  # seven times the first picture, in two groups
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    found = pairs_of(similar_pairs(outlines[same], thumbnails[same], groups))
    assert sorted((j, groups[i]) for i, j in found) == [
        *((1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (5, 0), (5, 1), (6, 0), (6, 1)),
    ]
    assert all(i < j for i, j in found)


def test_pictures_of_one_colour_are_like_no_other():
    flat = np.full((5, 256), 120, dtype=np.uint8)
    groups = np.zeros(5, dtype=int)
    assert pairs_of(similar_pairs(np.zeros(5, dtype=np.uint64), flat, groups)) == set()


def test_each_further_file_goes_with_the_first_of_its_content():
    digests = np.array([b"a", b"b", b"a", b"c", b"a"], dtype="V16")
    assert pairs_of(equal_pairs(digests)) == {(0, 2), (0, 4)}
    assert pairs_of(equal_pairs(digests[:0])) == set()
