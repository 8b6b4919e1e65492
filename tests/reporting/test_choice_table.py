"""What a choice among heads says of those that it could not judge."""

import json

import pytest

from bacl.evaluation.choice import Choice
from bacl.evaluation.criteria import RightLabelShare
from bacl.reporting.choice_table import ChoiceResults
from tests.evaluation.samples import IMAGES, sample, share


@pytest.fixture(scope="module")
def choice() -> Choice:
    samples = {"baseline": sample(share(4)), "bacl": sample(share(IMAGES))}
    return Choice(samples, RightLabelShare(), "baseline")


def test_heads_that_failed_are_named(choice, tmp_path):
    lost = {"bags": "needs groups", "fhm": "its loss was no longer finite at step 7"}
    results = ChoiceResults(choice, ["bacl + fracal: needs a softmax"], lost=lost)
    assert "Left out: bags: needs groups" in results.markdown()
    assert "Not tried: bacl + fracal: needs a softmax" in results.sentences
    results.write_json(tmp_path / "choice.json")
    assert json.loads((tmp_path / "choice.json").read_text())["left_out"] == lost


def test_nothing_is_said_where_all_were_judged(choice, tmp_path):
    results = ChoiceResults(choice)
    results.write_json(tmp_path / "choice.json")
    assert "left_out" not in json.loads((tmp_path / "choice.json").read_text())
    assert not any("Left out" in each or "Not tried" in each for each in results.sentences)
