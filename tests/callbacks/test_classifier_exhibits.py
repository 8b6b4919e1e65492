import numpy as np
import pytest
import torch

from bacl.callbacks.classifier_exhibits import classifier_exhibits, draw_histogram, histogram
from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.heads import classifiers_by_name
from bacl.reporting.figures.indicator_maps import BLOCKS, blocks
from tests.tiny_stage import TinyData

COUNTS = TinyData.statistics


@pytest.fixture
def makers(stage, tmp_path):
    (bacl,) = stage.heads["bacl"].classifiers
    matrix = torch.tensor(
        [[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0], [0.7, 0, 0.3, 0], [0.5, 0, 0, 0.5]]
    ).double()
    bacl.criterion.indicator.numerator.copy_(10 * matrix)
    bacl.criterion.indicator.counts.fill_(10)
    bacl.hallucination.drawn_classes.copy_(torch.tensor([0, 1, 4, 6]))
    grouping = next(iter(stage.metrics.values())).grouping
    norms = {name: np.arange(4.0) for name in stage.heads}
    named = classifiers_by_name(dict(stage.heads.items()))
    return classifier_exhibits(named, norms, COUNTS, grouping, tmp_path)


def test_each_classifier_has_the_panels_of_what_it_has(makers):
    common = ("weight_norm_table", "weight_norm_lines", "indicators", "indicator_pairs")
    of_all = {f"classifier/{name}" for name in common}
    own = ("norms", "drawn", "margins_r", "margins_c", "margins_f")
    bacl = {f"classifier/bacl/{name}" for name in own}
    assert set(makers) == of_all | bacl | {"classifier/bce/norms"}


def test_margins_of_a_group_are_those_of_its_rows_to_other_classes(makers):
    rare = makers["classifier/bacl/margins_r"]()
    assert rare.counts.sum() == 2 * 3  # two categories, to each of three others
    most = 0.85 * np.log(0.7 / 1e-3)  # of kiwi to cup; from there to here it is never confused
    assert rare.edges[-1] == pytest.approx(most, rel=1e-6)
    assert makers["classifier/bacl/margins_f"]().edges[0] == pytest.approx(-most, rel=1e-6)


def test_draws_are_over_the_ranks_of_the_categories(makers):
    drawn = makers["classifier/bacl/drawn"]()
    assert drawn.counts.tolist() == [0, 1, 4, 6]
    assert drawn.edges.tolist() == [0, 1, 2, 3, 4]


def test_indicator_pairs_are_the_largest_first(makers):
    rows = makers["classifier/indicator_pairs"]().rows
    assert [row[1:] for row in rows] == [
        ["kiwi", "r", "cup", "f", 0.7], ["emu", "r", "cup", "f", 0.5],
        ["lamp", "c", "cup", "f", 0.2], ["cup", "f", "lamp", "c", 0.1],
    ]  # fmt: skip


def test_the_map_is_drawn_beside_the_records(makers, tmp_path):
    assert makers["classifier/indicators"]().path == tmp_path / "indicators.png"
    assert (tmp_path / "indicators.png").exists()


def test_1203_categories_are_a_few_bins():
    size = 1203
    draws = np.arange(size)
    counts = torch.arange(size, 0, -1)
    many = CategoryStatistics(["x"] * size, np.array(["f"] * size), counts, counts, num_images=9)
    drawn = draw_histogram(draws, many)
    assert len(drawn.counts) == 64
    assert drawn.counts.sum() == draws.sum()
    assert len(histogram(np.arange(5000.0)).counts) == 64
    means, first = blocks(np.full((size, size), 0.25).__getitem__, counts.numpy())
    assert means.shape == (BLOCKS, BLOCKS)
    np.testing.assert_allclose(means, 0.25)
    assert first[0] == 0


def test_blocks_are_means_of_the_most_frequent_categories_first():
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
    means, first = blocks(matrix.__getitem__, np.array([1, 5]))
    assert means.tolist() == [[4, 3], [2, 1]]
    assert first.tolist() == [1, 0]


def test_a_histogram_of_nothing_is_empty():
    assert histogram(np.zeros(0)).counts.tolist() == [0]


def test_of_many_categories_some_rows_are_made_at_a_time(makers, monkeypatch):
    keys = ("margins_r", "margins_f")
    at_once = [makers[f"classifier/bacl/{key}"]() for key in keys]
    pairs = makers["classifier/indicator_pairs"]().rows
    monkeypatch.setattr("bacl.callbacks.indicator_exhibits.ENTRIES", 4)  # one row
    for key, expected in zip(keys, at_once, strict=True):
        found = makers[f"classifier/bacl/{key}"]()
        assert found.counts.tolist() == expected.counts.tolist()
        assert found.edges.tolist() == expected.edges.tolist()
    assert makers["classifier/indicator_pairs"]().rows == pairs


def test_a_logger_is_given_no_more_rows_than_it_takes(tmp_path):
    size = 13_204
    counts = torch.arange(size, 0, -1)
    many = CategoryStatistics(["x"] * size, np.array(["f"] * size), counts, counts, num_images=9)
    grouping = Grouping((CategoryGroup("f", "frequent", np.ones(size, bool)),), by_instances=False)
    norms = {"first": np.arange(size), "second": np.arange(size)}
    makers = classifier_exhibits({}, norms, many, grouping, tmp_path)
    rows = makers["classifier/weight_norm_table"]().rows
    assert len(rows) == 10_000
    assert rows[-1][3] == size - 1  # the rarest
    lines = makers["classifier/weight_norm_lines"]()
    assert lines.series["second"].tolist() == list(range(0, size, 3))
    assert lines.places.endswith("one of 3")
