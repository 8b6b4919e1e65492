import numpy as np
import pytest

from bacl.inspection.neighbours import close_pairs, joined
from bacl.inspection.repeated_pictures import equal_pairs
from bacl.inspection.similar_pictures import DIFFERENT_BITS, similar_pairs


def pairs_of(found):
    return set(zip(*(end.tolist() for end in found), strict=True))


def test_close_pairs_are_those_of_two_loops():
    values = np.sort(np.random.default_rng(0).integers(0, 60, 50))
    found = joined(close_pairs(50, lambda i, j: values[j] - values[i] <= 2))
    expected = {(i, j) for j in range(50) for i in range(j) if values[j] - values[i] <= 2}
    assert pairs_of(found) == expected
    assert len(found[0]) == len(expected)


@pytest.mark.parametrize("count", [0, 1])
def test_of_less_than_two_there_is_no_pair(count):
    assert pairs_of(joined(close_pairs(count, lambda i, j: np.ones(len(i), dtype=bool)))) == set()
    thumbnails = np.arange(256 * count, dtype=np.uint8).reshape(count, 256)
    assert pairs_of(similar_pairs(np.zeros(count, dtype=np.uint64), thumbnails)) == set()


def test_similar_pairs_are_those_of_two_loops():
    draws = np.random.default_rng(0)
    outlines = draws.integers(0, 2**63, 60).astype(np.uint64)
    for place in range(0, 40, 2):  # the next one differs in up to five bits
        flips = np.uint64(1) << draws.permutation(64)[: place % 6].astype(np.uint64)
        outlines[place + 1] = outlines[place] ^ np.bitwise_or.reduce(flips, initial=0)
    thumbnails = np.repeat(draws.integers(0, 200, (30, 256)), 2, axis=0)
    thumbnails[1::4] += draws.integers(0, 12, (15, 1))
    thumbnails = thumbnails.astype(np.uint8)
    expected = {
        (i, j)
        for j in range(60)
        for i in range(j)
        if int(outlines[i] ^ outlines[j]).bit_count() <= DIFFERENT_BITS
        and abs(thumbnails[i].astype(int) - thumbnails[j]).mean() <= 4
    }
    assert 4 < len(expected) < 20
    assert pairs_of(similar_pairs(outlines, thumbnails)) == expected


def test_pictures_of_one_colour_are_like_no_other():
    flat = np.full((5, 256), 120, dtype=np.uint8)
    assert pairs_of(similar_pairs(np.zeros(5, dtype=np.uint64), flat)) == set()


def test_each_further_file_goes_with_the_first_of_its_content():
    digests = np.array([b"a", b"b", b"a", b"c", b"a"], dtype="V16")
    assert pairs_of(equal_pairs(digests)) == {(0, 2), (0, 4)}
    assert pairs_of(equal_pairs(digests[:0])) == set()
