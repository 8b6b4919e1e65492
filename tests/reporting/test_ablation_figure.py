"""What the pictures of ablations show."""

import numpy as np
import pytest
from PIL import Image

from bacl.evaluation.measures import Measure
from bacl.reporting.ablation import Ablation, Row
from bacl.reporting.figures import ablation_curves as figure_of_ablation
from bacl.reporting.figures.ablation_curves import draw_ablation
from bacl.reporting.figures.style import save

DECLARED = [
    Measure("AP", "AP", "main"),
    *(Measure(f"AP{key}", f"AP_{key}", "main", key) for key in "rcf"),
    Measure("right_label", "right label", "main"),
    Measure("right_label_r", "right label_r", "main", "r"),
]


def test_panels_of_masks_are_below_those_of_boxes(tmp_path):
    boxes = {"AP": 0.5, "AP1": 0.4}
    sizes = []
    for measures in (boxes, boxes | {"segm/AP": 0.3, "segm/AP1": 0.2}):
        rows = [Row(name, {0: measures}, default=name == "a") for name in "ab"]
        path = draw_ablation(tmp_path / "runs.png", Ablation("runs", "Runs", rows))
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert sizes[1][0] == sizes[0][0]
    assert sizes[1][1] == 2 * sizes[0][1]


def test_panels_of_the_right_label_are_below_those_of_ap(drawn, run):
    labels = {"right_label": 0.4, "right_label_r": 0.1}
    earlier = Row("b", {0: run(0.3)}, declared=DECLARED)  # of a version without the right label
    panels = drawn([Row("a", {0: run(0.5) | labels}, declared=DECLARED), earlier])
    titles = [panel.get_title("left") for panel in panels if panel.get_visible()]
    assert titles == ["AP", "AP_r", "AP_c", "AP_f", "right label", "right label_r"]
    assert lengths(panels[4]) == [40, 0]


@pytest.mark.parametrize("axis", ["α", None])
def test_pictures_show_ours_and_the_papers(table, tmp_path, axis):
    drawn = Ablation(table.key, table.title, table.rows, axis)
    path = draw_ablation(tmp_path / "alpha.png", drawn)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for colour in ((0, 114, 178), (213, 94, 0)) if axis else ((213, 94, 0),):
        assert (pixels == colour).all(axis=1).any()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The panels of the picture of rows, as matplotlib has them."""
    kept = []

    def keep(figure, path):
        kept.append(figure)
        return save(figure, path)

    monkeypatch.setattr(figure_of_ablation, "save", keep)

    def panels(rows, axis=None):
        draw_ablation(tmp_path / "runs.png", Ablation("runs", "Runs", rows, axis))
        return kept[-1].axes

    return panels


def lengths(panel):
    """Of the bars, in the order of the rows."""
    return [bar.get_width() for bar in panel.patches]


def heights(panel):
    """Of the points of our curve, which is drawn last."""
    return panel.containers[-1].lines[0].get_ydata().tolist()


def texts(panel):
    return [text.get_text().strip() for text in panel.texts]


def test_bars_without_a_default_are_the_measures_themselves(drawn, run):
    rows = [
        Row("x=bce", {0: run(0.25), 1: run(0.35)}),
        Row("x=focal", {0: run(0.4, 0.2)}),
        Row("c"),
    ]
    first, rare, *_ = drawn(rows)
    assert lengths(first) == pytest.approx([30, 40, 0])
    assert texts(first) == ["no run"]  # of the third only
    assert texts(rare) == ["–", "no run"]  # the first has finished, without a rare category
    assert lengths(rare) == pytest.approx([0, 20, 0])
    assert first.get_xlabel() == "percent"
    assert first.get_legend() is None  # there is no paper to tell ours from


def test_curves_without_a_default_are_the_measures_themselves(drawn, run):
    rows = [Row("0.9", {0: run(0.5)}), Row("0.5", {0: run(0.3)})]
    first, *_ = drawn(rows, "alpha")
    assert heights(first) == pytest.approx([30, 50])
    assert first.get_ylabel() == "percent"
    assert first.get_ylim()[0] > 20  # not squeezed by a line at zero
    assert first.get_legend() is None


def test_a_default_without_a_run_is_nothing_to_differ_from(drawn, run):
    paper = [27.2, 20.7, 26.9, 30.2]
    rows = [Row("0", {0: run(0.25)}, paper=paper), Row("1", paper=paper, default=True)]
    first, *_ = drawn(rows)
    assert lengths(first) == pytest.approx([25, 0])
    assert texts(first) == ["no run"]
    assert first.lines[-1].get_xdata() == pytest.approx([27.2, 27.2])
    assert first.get_xlabel() == "percent"


@pytest.mark.parametrize("axis", ["α", None])
def test_differences_to_a_default_are_drawn_beside_the_papers(drawn, table, axis):
    first, *_ = drawn(table.rows, axis)
    ours = heights(first) if axis else lengths(first)
    assert ours[:2] == pytest.approx([-4, 0])
    label = first.get_ylabel() if axis else first.get_xlabel()
    assert label == "difference to the default"
    assert {text.get_text() for text in first.get_legend().get_texts()} == {"ours", "paper"}
    assert axis or texts(first) == ["no run"]
