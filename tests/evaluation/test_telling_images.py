"""Images that show a gain, a loss and a hit."""

import numpy as np

from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.telling_images import TellingImage, leading, telling_images

GROUPING = Grouping(
    (
        CategoryGroup("r", "rare", np.array([True, False, False])),
        CategoryGroup("f", "frequent", np.array([False, True, True])),
    ),
    by_instances=False,
)
RARE, OFTEN = 0, 1
IDS = np.array([10, 11, 12, 13, 14])
IMAGES = np.array([0, 0, 1, 2, 2, 3])
LABELS = np.array([RARE, OFTEN, OFTEN, RARE, OFTEN, RARE])


def labels(*right, scores=None):
    return RightLabels(IMAGES, LABELS, np.array(right, bool), np.arange(5), scores)


BEFORE = labels(0, 1, 1, 0, 1, 0)
AFTER = labels(1, 1, 0, 0, 1, 0)


def test_a_gain_a_loss_a_hit_and_rare_objects_in_turns():
    found = telling_images({"old": BEFORE, "new": AFTER}, GROUPING, IDS, 4)
    assert found == [
        TellingImage(10, "gain", 1),  # a rare object that only the new one names
        TellingImage(11, "loss", 1),
        TellingImage(12, "hit", 1),
        TellingImage(13, "rare objects", 1),
    ]


def test_images_without_objects_are_never_shown():
    found = telling_images({"old": BEFORE, "new": AFTER}, GROUPING, IDS, 10)
    assert sorted(each.image_id for each in found) == [10, 11, 12, 13]


def test_only_images_that_may_be_chosen_are():
    found = telling_images({"old": BEFORE, "new": AFTER}, GROUPING, IDS, 2, among=[12, 13])
    assert found == [TellingImage(12, "hit", 1), TellingImage(13, "rare objects", 1)]


def test_gains_that_a_picture_shows_come_first():
    before, right = labels(0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 1)
    after = labels(*right, scores=np.array([0.1, 0.5, 0.5, 0.4, 0.5, 0.9]))
    found = telling_images({"old": before, "new": after}, GROUPING, IDS, 2)
    assert [(each.image_id, each.kind) for each in found] == [(13, "gain"), (10, "rare objects")]
    quiet = labels(*right, scores=np.full(6, -np.inf))
    found = telling_images({"old": before, "new": quiet}, GROUPING, IDS, 1)
    assert found == [TellingImage(10, "gain", 1)]


def test_a_head_alone_shows_what_it_names_and_what_it_does_not():
    found = telling_images({"only": AFTER}, GROUPING, IDS, 3)
    assert [(each.image_id, each.kind) for each in found] == [
        (10, "gain"),
        (11, "loss"),
        (12, "hit"),
    ]


def test_the_leading_head_has_the_best_mean_of_the_groups():
    best_of_frequent, best_of_rare = labels(0, 1, 1, 0, 1, 0), labels(1, 1, 0, 1, 0, 1)
    heads = {"old": BEFORE, "a": best_of_frequent, "b": best_of_rare}
    assert leading(heads, GROUPING) == "b"
    assert leading({"old": BEFORE}, GROUPING) is None


def test_without_objects_there_is_nothing_to_show():
    nowhere = np.zeros((2, 0), np.int64)
    nothing = RightLabels(*nowhere, np.zeros(0, bool), np.arange(5), np.zeros(0))
    assert telling_images({"old": nothing}, GROUPING, IDS, 4) == []
