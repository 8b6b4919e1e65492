"""An image with boxes on it."""

import pytest

from bacl.reporting.figures.panel import caption, free_place


@pytest.mark.parametrize(
    ("score", "text"),
    [(1.0, "1.00"), (0.876, "0.88"), (0.0123, "0.01"), (0.0049, "0.0049"), (0.000123, "0.00012"),
     (0.0, "0")],
)  # fmt: skip
def test_low_scores_are_told_apart(score, text):
    assert caption("cup", score) == f"cup {text}"


def test_captions_of_the_same_box_do_not_cover_each_other():
    taken = []
    for _ in range(5):
        free_place((20.0, 40.0, 80.0, 90.0), (17.5, 5.25), (200, 150), taken)
    for index, (left, top, right, bottom) in enumerate(taken):
        assert left >= 0
        assert top >= 0
        for other in taken[:index]:
            apart = left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
            assert apart
