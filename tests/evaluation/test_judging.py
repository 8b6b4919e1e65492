"""Which detections count, and how they are judged."""

import numpy as np
import pytest

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.judged_rows import within_limit
from bacl.evaluation.judging import judge
from bacl.evaluation.mask_codes import no_masks
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth

LVIS = Rules(300, limit_per_category=False, federated=True, without_area=False)
ONE_GROUP = Grouping((CategoryGroup("x", "all", np.array([True])),), by_instances=False)


def columns(counts, scores, labels=None, boxes=None):
    """Detections of images 1, 2, ...; boxes xywh."""
    rows = len(scores)
    return DetectionColumns(
        np.arange(1, len(counts) + 1),
        np.array(counts),
        np.zeros((rows, 4)) if boxes is None else np.array(boxes, float),
        np.array(scores, float),
        np.zeros(rows, np.int32) if labels is None else np.array(labels, np.int32),
        **no_masks(len(counts), rows),
    )


def loop(scores, owners, limit):
    """Ranks one by one, the earlier of equals first."""
    kept = np.zeros(len(scores), bool)
    for owner in set(owners.tolist()):
        rows = [row for row in range(len(scores)) if owners[row] == owner]
        kept[sorted(rows, key=lambda row: -scores[row])[:limit]] = True
    return kept


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_best_equal_a_plain_loop(seed, limit):
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 8, 5)
    scores = draw.integers(0, 4, counts.sum()) / 4  # with ties
    images = np.repeat(np.arange(5), counts)
    labels = draw.integers(0, 2, len(images))
    found = columns(counts, scores, labels)
    for of_category, owners in ((False, images), (True, images * 2 + labels)):
        kept = within_limit(found, limit, of_category)
        np.testing.assert_array_equal(kept, loop(scores, owners, limit))


@pytest.mark.parametrize(
    ("knowledge", "expected"),
    [
        (1, 0.5),  # judged: the better one finds nothing and is wrong
        (3, 1.0),  # annotated in part: it is neither right nor wrong
        (0, 0.0),  # nothing is verified, so nothing is judged
    ],
)
def test_what_is_known_decides_over_what_finds_nothing(knowledge, expected):
    truth = GroundTruth(
        image_ids=np.array([1]),
        num_categories=1,
        rows=np.array([0]),
        keys=np.array([0]),
        boxes=np.array([[0.0, 0, 40, 40]]),
        areas=np.array([1600.0]),
        ignored=np.array([False]),
        crowd=np.array([False]),
        knowledge=np.array([knowledge], np.uint8),
        judged_images=np.array([0]),
    )
    found = columns([2], [0.9, 0.5], boxes=[[50, 50, 9, 9], [0, 0, 40, 40]])
    overlap = box_overlap(found.boxes, truth.boxes, truth.crowd)
    result = judge(truth, found, found.areas, overlap, LVIS, ONE_GROUP)
    assert result.curves.average_precision() == pytest.approx(expected)
    assert result.num_objects.tolist() == [1]
    assert result.num_detections.tolist() == [2]
