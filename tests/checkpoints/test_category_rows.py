"""Rows of categories go to categories of the same name; all else by hand-computed rules."""

import pytest
import torch

from bacl.checkpoints.category_match import CategoryMatch, normalised
from bacl.checkpoints.category_rows import (
    boxes_by_category,
    logits_by_category,
    masks_by_category,
)
from bacl.messages.errors import OptionError

THEIRS = ("traffic light", None, "tv", "Cup")
OURS = ("cup", "zebra", "Traffic_Light", "television")
MATCH = CategoryMatch.of(OURS, THEIRS)
"""Rows 3, none, 0, none."""
ROWS = torch.tensor([[1.0, 2], [50, 50], [5, 6], [7, 8]])
"""The second, of no name, was never trained."""
MEAN = [13 / 3, 16 / 3]


def test_names_without_case_spaces_and_underscores():
    assert normalised("  Traffic__Light ") == normalised("traffic light")
    assert normalised("hair-dryer") != normalised("hair dryer")
    assert list(MATCH.rows) == [3, None, 0, None]
    assert MATCH.found == [("cup", "Cup"), ("Traffic_Light", "traffic light")]
    assert MATCH.new == ["zebra", "television"]
    assert MATCH.unused == ["tv"]


def test_a_category_under_another_name():
    match = CategoryMatch.of(OURS, THEIRS, {"TV": "television", "traffic_light": "zebra"})
    # What is said of a category does not take the row from another of that name.
    assert list(match.rows) == [3, 0, 0, 2]


@pytest.mark.parametrize(
    ("renamed", "told"),
    [
        ({"tvs": "cup"}, "'tvs' is no category of the detector; did you mean 'tv'"),
        ({"tv": "telly"}, "'telly' is no category of the training annotations"),
    ],
)
def test_names_that_are_not_there(renamed, told):
    with pytest.raises(OptionError, match=f"detector.init_names: {told}"):
        CategoryMatch.of(OURS, THEIRS, renamed)


def test_what_two_categories_are_alike_in_is_no_name():
    match = CategoryMatch.of(["bow", "BOW", "bow ", "tie"], ["Bow", "bow", "tie", "tie"])
    assert list(match.rows) == [1, None, None, None]


def test_a_detector_without_names_has_no_rows_for_anyone():
    assert list(CategoryMatch.of(OURS, None).rows) == [None] * 4


def test_logits_that_are_compared_start_at_the_mean():
    theirs = torch.cat((ROWS, torch.tensor([[9.0, 10]])))  # background last
    own = torch.full((5, 2), 0.5)
    found = logits_by_category(theirs, own, MATCH, relative=True)
    fresh = [value + 0.5 for value in MEAN]
    torch.testing.assert_close(found, torch.tensor([[7, 8], fresh, [1, 2], fresh, [9, 10]]))


def test_logits_that_stand_alone_keep_their_prior():
    own = torch.tensor([-6.9, -6.8, -6.7, -6.6])  # without background
    found = logits_by_category(torch.tensor([1.0, 2, 3, 4]), own, MATCH, relative=False)
    torch.testing.assert_close(found, torch.tensor([4, -6.8, 1, -6.6]))


@pytest.mark.parametrize("rows", [4, 6])
def test_logits_of_another_form_are_no_start(rows):
    assert logits_by_category(torch.zeros(rows, 2), torch.zeros(5, 2), MATCH, True) is None


def test_new_boxes_move_as_all_do_on_average():
    theirs = ROWS.repeat_interleave(4, dim=0) + torch.arange(4.0).repeat(4).unsqueeze(1)
    found = boxes_by_category(theirs, torch.zeros(16, 2), MATCH, class_agnostic=False)
    blocks = found.unflatten(0, (4, 4))
    assert blocks[0, :, 0].tolist() == [7, 8, 9, 10]
    torch.testing.assert_close(blocks[1, 2], torch.tensor(MEAN) + 2)
    torch.testing.assert_close(blocks[3], blocks[1])
    assert blocks[2, 3].tolist() == [4, 5]


def test_boxes_of_all_categories_together():
    shared = torch.arange(8.0).view(4, 2)
    spread = boxes_by_category(shared, torch.zeros(16, 2), MATCH, class_agnostic=False)
    assert torch.equal(spread, shared.repeat(4, 1))
    theirs = ROWS.repeat_interleave(4, dim=0)
    gathered = boxes_by_category(theirs, torch.zeros(4, 2), MATCH, class_agnostic=True)
    torch.testing.assert_close(gathered, torch.tensor([MEAN] * 4))
    assert boxes_by_category(torch.zeros(12, 2), torch.zeros(16, 2), MATCH, False) is None
    assert boxes_by_category(torch.zeros(16, 3), torch.zeros(16, 2), MATCH, False) is None


@pytest.mark.parametrize("shape", [(), (0,), (3,), (16, 1)])
def test_what_is_no_row_of_a_category_is_no_start(shape):
    for match in (MATCH, CategoryMatch.of(OURS, None)):
        theirs, own = torch.zeros(shape), torch.zeros(16)
        assert boxes_by_category(theirs, own, match, class_agnostic=False) is None
        assert logits_by_category(theirs, torch.zeros(20), match, relative=True) is None
        assert len(shape) == 1 or masks_by_category(theirs, own, match) is None
    assert masks_by_category(torch.zeros(0), torch.zeros(4), CategoryMatch.of(OURS, None)) is None


def test_masks():
    found = masks_by_category(ROWS[:, 0], torch.zeros(4), MATCH)
    torch.testing.assert_close(found, torch.tensor([7, MEAN[0], 1, MEAN[0]]))
    assert masks_by_category(ROWS[:3], torch.zeros(4, 2), MATCH) is None
