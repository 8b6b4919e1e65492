import pytest
import torch

from bacl.messages.errors import OptionError
from bacl.rebalance.classifier_rows import SILENT, ClassifierRows, with_background


def test_positions_count_from_the_first_row():
    rows = ClassifierRows.of(4, [3, 5, 9], "positions", first=1, background=0)
    assert rows.rows == [1, 2, 3, 0]
    assert rows.others == []


def test_ids_are_rows_themselves():
    rows = ClassifierRows.of(11, [3, 5, 9], "ids", first=1, background=0)
    assert rows.rows == [3, 5, 9, 0]
    assert rows.others == [1, 2, 4, 6, 7, 8, 10]


def test_without_background_there_are_categories_alone():
    rows = ClassifierRows.of(4, [3, 5, 9], "positions", first=0, background=None, spare=1)
    assert rows.rows == [0, 1, 2]
    assert rows.others == [3]


@pytest.mark.parametrize(
    ("total", "numbering", "background"),
    [(3, "positions", 0), (9, "ids", None), (10, "ids", 9)],
)
def test_a_layer_without_a_row_for_a_category_is_refused(total, numbering, background):
    with pytest.raises(OptionError, match=f"3 categories, and the checkpoint's classifier {total}"):
        ClassifierRows.of(total, [3, 5, 9], numbering, 1, background)


@pytest.mark.parametrize(("first", "background", "spare"), [(1, 0, 0), (0, None, 1)])
@pytest.mark.parametrize("categories", [80, 5])
def test_rows_left_over_are_another_numbering_and_are_refused(first, background, spare, categories):
    ids = [number for number in range(1, 91) if number % 9 != 3][:categories]  # gaps as COCO has
    told = (
        rf"{categories} categories, .* 91 rows, .*{categories + 1} rows .*rebalance.numbering=ids"
    )
    with pytest.raises(OptionError, match=told):
        ClassifierRows.of(91, ids, "positions", first, background, spare)
    assert ClassifierRows.of(91, ids, "ids", first, background, spare).own == ids
    fitting = ClassifierRows.of(categories + 1, ids, "positions", first, background, spare)
    assert fitting.own == list(range(first, first + categories))


def test_what_is_taken_and_put_back_is_as_it_was_and_other_rows_are_silent():
    weight, bias = torch.randn(11, 2), torch.randn(11)
    rows = ClassifierRows.of(11, [3, 5, 9], "ids", first=1, background=0)
    taken = rows.taken(weight), rows.taken(bias)
    torch.testing.assert_close(taken[1], bias[[3, 5, 9, 0]])
    whole, biases = rows.put_back(*taken)
    assert torch.equal(whole[rows.rows], weight[rows.rows])
    assert torch.equal(biases[rows.rows], bias[rows.rows])
    assert whole[rows.others].abs().max() == 0
    assert biases[rows.others].tolist() == [SILENT] * 7
    scores = torch.nn.functional.linear(torch.randn(5, 2), whole, biases)
    assert scores.softmax(dim=1)[:, rows.others].max() == 0
    assert scores.half().sigmoid()[:, rows.others].max() == 0


def test_background_taken_from_all_rows_changes_no_softmax():
    weight, bias, features = torch.randn(4, 6), torch.randn(4), torch.randn(9, 6)
    moved = with_background(weight, bias, has_one=True)
    before, after = (
        torch.nn.functional.linear(features, *each).softmax(1) for each in ((weight, bias), moved)
    )
    torch.testing.assert_close(before, after)
    logits = torch.nn.functional.linear(features, *moved)
    torch.testing.assert_close(logits, (before / before[:, -1:]).log())  # log-odds to background


def test_a_column_that_knows_nothing_is_added_where_there_is_none():
    weight, bias = with_background(torch.ones(3, 2), torch.ones(3), has_one=False)
    assert weight.tolist() == [[1, 1], [1, 1], [1, 1], [0, 0]]
    assert bias.tolist() == [1, 1, 1, 0]
