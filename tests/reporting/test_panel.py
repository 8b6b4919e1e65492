"""An image with boxes on it."""

from bacl.reporting.figures.panel import DrawnBox, _place


def test_captions_of_the_same_box_do_not_cover_each_other():
    taken = []
    box = DrawnBox((20.0, 40.0, 80.0, 90.0), "cup 0.50", "red")
    for _ in range(5):
        _place(box, 0.5, 200, 150, taken)
    for index, (left, top, right, bottom) in enumerate(taken):
        assert left >= 0
        assert top >= 0
        for other in taken[:index]:
            apart = left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
            assert apart
