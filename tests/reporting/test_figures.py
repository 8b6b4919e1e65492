import numpy as np
import pytest
import torch

from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.measures import Measure
from bacl.loggers.measurements import Quantity
from bacl.reporting.figures import (
    draw_ap_by_count,
    draw_losses,
    draw_shift_curves,
    draw_validations,
    draw_weight_norms,
    validation_panels,
)
from bacl.reporting.figures.losses import has_losses, read_curves
from bacl.reporting.figures.precision_by_count import mean_around
from bacl.reporting.figures.style import INK, head_colour, running_mean
from bacl.reporting.figures.weight_norms import log_count_correlation
from bacl.reporting.group_colours import shades
from tests.evaluation.test_curve_comparison import curve

BOTH = groups_by_frequency(["r", "f"])
SHADES = shades(BOTH)


def test_running_mean_by_hand():
    values = np.array([1.0, 2.0, 6.0, 9.0])
    np.testing.assert_allclose(running_mean(values, 3), [1.5, 3.0, 17 / 3, 7.5])
    np.testing.assert_array_equal(running_mean(values, 1), values)


def test_mean_around_equals_a_plain_loop():
    generator = np.random.default_rng(0)
    counts, values = generator.integers(1, 30, 12).astype(float), generator.random(12)
    unique, means = mean_around(counts, values)
    for count, mean in zip(unique, means, strict=True):
        weights = [np.exp(-0.5 * (np.log10(count / other) / 0.15) ** 2) for other in counts]
        assert mean == pytest.approx(np.dot(weights, values) / sum(weights))
    np.testing.assert_array_equal(unique, np.unique(counts))
    np.testing.assert_allclose(mean_around(counts, np.full(12, 0.3))[1], 0.3)


def test_correlation_by_hand():
    counts = np.expm1(np.array([1.0, 2.0, 3.0]))
    assert log_count_correlation([0.1, 0.2, 0.3], counts) == pytest.approx(1)
    assert log_count_correlation([0.3, 0.2, 0.1], counts) == pytest.approx(-1)
    assert log_count_correlation([1.0, -2.0, 1.0], counts) == pytest.approx(0, abs=1e-12)
    assert np.isnan(log_count_correlation([0.5, 0.5, 0.5], counts))
    assert np.isnan(log_count_correlation([0.5], [3]))


@pytest.mark.parametrize("count", [3, 70])
def test_ap_by_count(tmp_path, count, pixels):
    ap = {"bce": np.linspace(0, 0.5, count), "bacl": torch.linspace(-1, 0.5, count)}
    grouping = groups_by_frequency(["r"] + ["c"] * (count - 2) + ["f"])
    images = np.geomspace(0.001, 5000, count).astype(int)
    path = draw_ap_by_count(tmp_path / "ap.png", ap, images, grouping, ["name"] * count)
    assert path == tmp_path / "ap.png"
    assert pixels(path, head_colour(0)) > 100
    assert pixels(path, head_colour(1)) > 100
    for shade in SHADES.values():
        assert pixels(path, shade.tint) > 10_000


def test_ap_by_count_of_four_groups_by_instances(tmp_path, pixels):
    counts = np.array([3, 30, 500, 9000])
    grouping = groups_by_count(counts, [20, 400, 8000])
    path = draw_ap_by_count(
        tmp_path / "ap.png", {"bce": [0.1, 0.2, 0.3, 0.4]}, counts, grouping, list("abcd")
    )
    tints = [shade.tint for shade in shades(grouping).values()]
    assert len(set(tints)) == 4
    for tint in tints:
        assert pixels(path, tint) > 10_000


def test_ap_where_nothing_was_evaluated(tmp_path):
    draw_ap_by_count(tmp_path / "ap.png", {"bce": [-1, -1]}, [1, 20], BOTH, ["a", "b"])
    assert (tmp_path / "ap.png").exists()


@pytest.mark.parametrize("count", [1, 2, 300])
def test_weight_norms(tmp_path, count, pixels):
    norms = {"bce": np.linspace(0.2, 1, count), "bacl": torch.ones(count)}
    grouping = groups_by_frequency((["f", "r"] * count)[:count])
    path = draw_weight_norms(tmp_path / "n.png", norms, np.arange(count), grouping)
    assert pixels(path, head_colour(0)) > 20
    assert pixels(path, SHADES["f"].colour) > 500
    assert (pixels(path, SHADES["r"].colour) > 500) == (count > 1)


def write_metrics(path, text):
    path.write_text(text)
    return path


def test_curves_take_the_later_of_repeated_steps(tmp_path, pixels):
    path = write_metrics(
        tmp_path / "m.csv",
        "step,train/box,val/AP,train/bce/classification\n"
        "0,3.0,,1\n10,2.0,,1\n10,1.5,,\n20,1.0,0.5,2\n",
    )
    curves = read_curves(path)
    own, box = Quantity("train", "bce", "classification"), Quantity("train", None, "box")
    assert list(curves) == [own, box]
    assert [values.tolist() for values in curves[box]] == [[0, 10, 20], [3.0, 1.5, 1.0]]
    assert curves[own][0].tolist() == [0, 10, 20]
    assert pixels(draw_losses(tmp_path / "losses.png", path), head_colour(0)) > 50


def test_heads_have_the_colours_of_the_other_figures(tmp_path, pixels):
    rows = "".join(f"{step},1.0,{'' if step else 3.0}\n" for step in range(9))
    text = "step,train/bacl/classification,train/plain/classification\n"
    path = write_metrics(tmp_path / "m.csv", text + rows)
    line, dot = (
        pixels(draw_losses(tmp_path / "losses.png", path, heads), head_colour(0))
        for heads in ((), ("plain", "bacl"))
    )
    assert line > 5 * dot > 0


def test_a_file_without_losses_is_named(tmp_path):
    assert not has_losses(write_metrics(tmp_path / "m.csv", "step,val/AP\n0,1\n"))
    assert has_losses(write_metrics(tmp_path / "m.csv", "step,train/box\n0,1\n"))
    with pytest.raises(ValueError, match=r"m\.csv: no column train/"):
        read_curves(write_metrics(tmp_path / "m.csv", "step,val/AP\n0,1\n"))


def test_validations_are_curves_of_each_head_in_percent(tmp_path, pixels):
    measures = [Measure("AP", "AP", "main"), Measure("AP_r", "AP_r", "main", "r")]
    text = "step,val/bacl/AP,val/bce/AP,val/bacl/AP_r,train/box\n9,0.1,0.2,-1,3\n19,0.3,0.4,0.5,2\n"
    path = write_metrics(tmp_path / "m.csv", text)
    panels = validation_panels(path, measures, ["bce", "bacl"])
    assert list(panels) == ["AP", "AP_r"]
    assert list(panels["AP"]) == ["bce", "bacl"]
    steps, values = panels["AP"]["bacl"]
    assert (steps.tolist(), values.tolist()) == ([9, 19], pytest.approx([10, 30]))
    assert panels["AP_r"]["bacl"][0].tolist() == [19]
    assert pixels(draw_validations(tmp_path / "v.png", panels), head_colour(0)) > 50


@pytest.mark.parametrize("rows", ["", "9,0.1,\n", "9,,1\n19,,1\n"])
def test_one_validation_is_no_curve(tmp_path, rows):
    path = write_metrics(tmp_path / "m.csv", "step,val/bacl/AP,train/box\n" + rows)
    assert validation_panels(path, [Measure("AP", "AP", "main")], ["bacl"]) == {}


def test_values_that_are_not_finite_do_not_hide_the_others(tmp_path, pixels):
    path = write_metrics(tmp_path / "m.csv", "step,train/box\n0,nan\n1,2.0\n2,inf\n3,1.0\n")
    assert pixels(draw_losses(tmp_path / "losses.png", path), INK) > 50


def test_shift_curves(tmp_path, pixels):
    curves = {
        "baseline": curve([(0.9, 0.0), (0.7, 0.2)]),
        "a_b $x$": curve([(0.8, 0.4), (0.5, 0.5)]),
    }
    path = draw_shift_curves(tmp_path / "figures" / "shift.png", curves)
    for index in range(2):
        assert pixels(path, head_colour(index)) > 300
    alone = draw_shift_curves(tmp_path / "shift.png", {"bacl": curves["baseline"]})
    assert pixels(alone, head_colour(0)) > 300
