"""Orders by radix are NumPy's stable ones."""

import numpy as np
import pytest

from bacl.evaluation import stable_order
from bacl.evaluation.stable_order import ascending, descending

DRAW = np.random.default_rng(0)
SCORES = {
    "of any size and sign": DRAW.normal(size=3000) * 10.0 ** DRAW.integers(-300, 300, 3000),
    "of 32 bits": DRAW.random(3000).astype(np.float32).astype(np.float64),
    "few, with both zeros": DRAW.integers(-2, 3, 3000) * DRAW.choice([-0.5, 0.5], 3000),
    "all equal": np.full(3000, 0.25),
    "none": np.zeros(0),
}


@pytest.mark.parametrize("few", [0, 10**6])
@pytest.mark.parametrize("values", SCORES.values(), ids=SCORES)
def test_largest_first(monkeypatch, values, few):
    monkeypatch.setattr(stable_order, "_FEW", few)
    before = values.copy()
    assert np.array_equal(descending(values), np.argsort(-values, kind="stable"))
    assert np.array_equal(values, before)


@pytest.mark.parametrize("most", [1, 9, 1 << 16, 1 << 17, 1 << 32, 1 << 40])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_smallest_first(most, kind):
    keys = (DRAW.integers(0, most, 3000) % np.iinfo(kind).max).astype(kind)
    for given in (keys, np.sort(keys), keys[:0]):
        assert np.array_equal(ascending(given), np.argsort(given, kind="stable"))
