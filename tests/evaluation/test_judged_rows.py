"""Which detections are judged, beside plain loops."""

import json

import numpy as np
import pytest

from bacl.evaluation import judged_rows
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.judged_rows import JudgedRows
from bacl.evaluation.results_json import load_results
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth


@pytest.fixture
def case(open_table, random_case, tmp_path):
    """Seed -> (table, detections, the images in any order)."""

    def build(seed):
        annotations, results = random_case(seed)
        table = open_table(annotations)[1]
        (tmp_path / "results.json").write_text(json.dumps(results))
        found = load_results(tmp_path / "results.json", table)
        order = np.random.default_rng(seed).permutation(len(found.image_ids))
        parts = [found.only(found.image_ids == found.image_ids[place]) for place in order]
        return table, DetectionColumns.concatenate(parts)

    return build


def counting(detections, limit):
    """Whether each is among the best of its image, detection by detection."""
    images = np.repeat(detections.image_ids, detections.counts).tolist()
    seen, kept = {}, [False] * len(images)
    for row in sorted(range(len(images)), key=lambda row: (-detections.scores[row], row)):
        seen[images[row]] = seen.get(images[row], 0) + 1
        kept[row] = seen[images[row]] <= limit
    return kept


@pytest.mark.parametrize("at_once", [1, 7, 1 << 16])
@pytest.mark.parametrize("seed", [1, 3, 36])
def test_judged_are_those_that_count_exist_and_are_verified(case, monkeypatch, seed, at_once):
    table, detections = case(seed)
    rules = Rules(20, limit_per_category=False, federated=True, without_area=False)
    truth = GroundTruth.from_table(table, rules)
    monkeypatch.setattr(judged_rows, "_ROWS_AT_ONCE", at_once)
    found = JudgedRows.of(truth, detections, detections.areas, rules)
    images = np.repeat(detections.image_ids, detections.counts)
    expected = []
    for row, counts in enumerate(counting(detections, 20)):
        position = int(np.flatnonzero(truth.image_ids == images[row])[0])
        key = position * truth.num_categories + int(detections.labels[row])
        verified = bool(truth.evaluated(np.array([key]))[0])
        if counts and verified and detections.areas[row] > 0:
            expected.append((-detections.scores[row], position, row, key))
    expected.sort()
    assert found.rows.tolist() == [row for *_, row, _ in expected]
    assert found.images.tolist() == [position for _, position, *_ in expected]
    assert found.keys.tolist() == [key for *_, key in expected]
    numbers = np.bincount(detections.labels[found.counting], minlength=truth.num_categories)
    assert found.num_detections.tolist() == numbers.tolist()
