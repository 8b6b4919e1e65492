"""What data say is shown in one line, whatever it is."""

import pytest
import torch

from bacl.messages.shown import as_typed, shown, written


def test_nothing_in_a_text_acts_on_a_terminal():
    assert shown("a\x1b[31m\n\ud800é") == "a\\x1b[31m\\n\\ud800é"
    assert shown("x" * 100) == "x" * 79 + "…"
    assert written("a\x1b[31m\n") == "'a\\x1b[31m\\n'"


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_value_without_end_is_one_short_line():
    for value in (10**10_000, nested(100_000), {"a": [0.5] * 10**6}, "x" * 10**6):
        told = written(value)
        assert 0 < len(told) <= 80
        assert told.isprintable()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "True"), (None, "None"), (-2.5, "-2.5"), (2**63, str(2**63)),
        ({"a": [1]}, "{'a': [1]}"),
        (torch.zeros(2), "a Tensor"), ([torch.zeros(2)], "[a Tensor]"),
    ],
)  # fmt: skip
def test_plain_values_are_told_as_python_writes_them_and_of_others_the_kind(value, told):
    assert written(value) == told


def test_a_number_of_thousands_of_digits_is_told_by_its_kind():
    assert written([10**10_000]) == "[a int]"


def test_a_value_is_told_as_one_types_it():
    assert [as_typed(value) for value in ("", "a\nb", {"a": None}, False)] == [
        "''", "a b", '{"a": null}', "false",
    ]  # fmt: skip
