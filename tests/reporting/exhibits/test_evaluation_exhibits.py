import numpy as np
import pytest

from bacl.evaluation.errors.suspicions import NOTHING, LabelSuspicions, SuspicionKind
from bacl.reporting.exhibits import category_table, evaluation_exhibits
from tests.reporting.html.made import made_data, made_source

HEADS = {"baseline": 0.5, "bacl": 0.9}
SUSPICIONS = LabelSuspicions(
    SuspicionKind.NOT_ANNOTATED, np.array([0, 2]), np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]),
    np.full(2, NOTHING), np.full(2, NOTHING), np.array([4, 5]), np.array([0.25, 0.75]),
)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exhibits")
    paths = made_data(folder / "data", categories=12, train=20, val=8)
    return made_source(folder / "run", paths, HEADS)


@pytest.fixture(scope="module")
def makers(source):
    return evaluation_exhibits(
        source.evaluations, source.data.statistics, source.data.val_table,
        [SUSPICIONS], lambda: [sample for _, sample in source.pictures()], None,
    )  # fmt: skip


def test_panels_are_in_sections(makers):
    assert list(makers) == [
        *("examples/detections", "tables/categories", "tables/confused_pairs"),
        "tables/label_errors",
    ]


def test_a_row_of_a_category_is_what_was_found_of_it(makers, source):
    table = makers["tables/categories"]()
    images = [row[2] for row in table.rows]
    assert images == sorted(images)
    assert len(table.rows) == 12
    assert all(len(row) == len(table.columns) for row in table.rows)
    evaluation = source.evaluations["bacl"]
    right, names = evaluation.right_labels, source.names
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        label = names.index(cells["category"])
        own = right.labels == label
        if not own.any():
            assert cells["bacl: AP"] is cells["bacl: right label"] is cells["bacl: missed"] is None
            continue
        assert cells["bacl: AP"] == pytest.approx(evaluation.per_category["AP"][label], rel=1e-3)
        assert cells["bacl: right label"] == pytest.approx(right.right[own].mean(), rel=1e-3)
        shares = ("right label", "wrong category", "badly localised", "missed")
        assert sum(cells[f"bacl: {each}"] for each in shares) == pytest.approx(1, abs=2e-3)
        assert cells["bacl: threshold"] == pytest.approx(
            evaluation.operating_points.thresholds.per_category[label], rel=1e-3
        )


def test_confused_pairs_are_of_every_head_the_most_objects_first(makers, source):
    table = makers["tables/confused_pairs"]()
    for head in HEADS:
        rows = [row for row in table.rows if row[0] == head]
        counts = [row[5] for row in rows]
        assert counts == sorted(counts, reverse=True)
        assert len(rows) <= 50
        objects = source.evaluations[head].errors.objects
        annotated, called = (source.names.index(rows[0][place]) for place in (1, 3))
        same = (objects.labels == annotated) & (objects.found == called) & ~objects.unjudged
        assert counts[0] == same.sum()


def test_label_errors_are_numbers_where_they_are_sorted_by(makers):
    table = makers["tables/label_errors"]()
    confidence = list(table.columns).index("confidence")
    assert [row[confidence] for row in table.rows] == [0.75, 0.25]
    assert table.rows[0][-4:] == ["5", "6", "7", "8"]


def test_rows_are_bounded_and_rare_categories_are_not_the_ones_left_out(source, monkeypatch):
    module = category_table
    monkeypatch.setattr(module, "ROWS", 3)
    table = module.category_table(source.evaluations, source.data.statistics)
    fewest = np.sort(source.data.statistics.image_counts.numpy())[:3].tolist()
    assert [row[2] for row in table.rows] == fewest


def test_pictures_have_both_heads(makers):
    shown = makers["examples/detections"]()
    layers = {name for picture in shown.pictures for name in picture.layers}
    assert {"ground_truth", *HEADS} <= layers
