"""Which variants a picture has room for."""

from types import SimpleNamespace

from bacl.runs.shown_images import side_by_side


def variant(rare: float, frequent: float):
    grouping = SimpleNamespace(present=[SimpleNamespace(key="r"), SimpleNamespace(key="f")])
    values = {"right_label_r": rare, "right_label_f": frequent}
    return SimpleNamespace(grouping=grouping, values=values)


def test_the_first_stands_beside_the_three_best_in_the_order_given():
    found = {
        "baseline": variant(0, 0.5),
        "fcbl": variant(0.1, 0.6),
        "eqlv2": variant(0, 0.6),
        "fhm": variant(0.6, 0.5),
        "bags": variant(0.2, 0.2),
        "bacl": variant(0.6, 0.6),
    }
    assert list(side_by_side(found)) == ["baseline", "fcbl", "fhm", "bacl"]


def test_few_stay_as_they_are():
    found = {"bacl": variant(0, 0), "baseline": variant(1, 1)}
    assert side_by_side(found) == found
