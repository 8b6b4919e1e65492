"""Standard errors by drawing images anew."""

import numpy as np
import pytest

from bacl.evaluation import bootstrap
from bacl.evaluation.bootstrap import ratios, standard_error


def loop(numerators, denominators, drawn):
    """One resample: image after image."""
    above = sum(numerators[image] for image in drawn)
    below = sum(denominators[image] for image in drawn)
    return [a / b if b else np.nan for a, b in zip(above, below, strict=True)]


def test_resamples_equal_a_plain_loop(monkeypatch):
    draw = np.random.default_rng(3)
    denominators = draw.integers(0, 3, (7, 3)).astype(float)
    denominators[:, 2] = [0, 0, 0, 1, 0, 0, 0]  # in many resamples nothing is left of it
    numerators = draw.integers(0, 2, (7, 3)) * denominators
    images = np.random.default_rng(5).integers(0, 7, (40, 7))
    expected = [loop(numerators, denominators, drawn) for drawn in images]
    assert np.isnan(expected).any()
    np.testing.assert_allclose(ratios(numerators, denominators, 40, seed=5), expected)
    monkeypatch.setattr(bootstrap, "_DRAWS_AT_ONCE", 30)
    np.testing.assert_allclose(ratios(numerators, denominators, 40, seed=5), expected)
    finite = [row[2] for row in expected if not np.isnan(row[2])]
    assert standard_error(np.array(expected))[2] == pytest.approx(np.std(finite, ddof=1))


def test_the_error_of_a_mean_is_the_deviation_over_the_root_of_their_number():
    values = np.random.default_rng(0).normal(0.5, 0.2, (400, 1))
    found = standard_error(ratios(values, np.ones((400, 1))))
    assert found == pytest.approx(values.std() / 20, rel=0.1)  # a thousand resamples: some 2 %


def test_two_heads_are_compared_on_the_same_images():
    draw = np.random.default_rng(1)
    objects = draw.integers(1, 9, (300, 1)).astype(float)
    easy = draw.random((300, 1))
    one, other = easy * objects, (easy * 0.9 + 0.05) * objects
    alone = standard_error(ratios(one, objects))
    both = standard_error(ratios(one, objects) - ratios(other, objects))
    assert both == pytest.approx(alone / 10, rel=1e-6)


def test_nothing_gives_no_number():
    assert np.isnan(standard_error(ratios(np.zeros((0, 2)), np.zeros((0, 2))))).all()
    assert np.isnan(standard_error(np.zeros((1, 1)))).all()


def test_sums_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 1\) and \(3, 2\)"):
        ratios(np.ones((3, 1)), np.ones((3, 2)))
