"""What a choice among heads says of those that it could not judge."""

import json

import numpy as np
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


def test_the_reference_is_told_as_it_is_in_the_halves_that_judge_the_choice(tmp_path):
    """AP of few images differs from that of all, and only the same images compare."""
    samples = {"baseline": sample(share(13)), "bacl": sample(share(IMAGES))}
    choice = Choice(samples, RightLabelShare(), "baseline")
    results = ChoiceResults(choice)
    results.write_json(tmp_path / "choice.json")
    told = json.loads((tmp_path / "choice.json").read_text())
    own = [choice.criterion.value(samples["baseline"].only(half)) for half in choice.halves]
    assert np.mean(own) != pytest.approx(choice.criterion.value(samples["baseline"]), abs=1e-3)
    assert told["expected_of_reference"]["value"] == pytest.approx(np.mean(own))
    assert told["expected"]["value"] - np.mean(own) == pytest.approx(told["difference"])
    assert f"baseline in the same halves: right label, mean of groups {100 * np.mean(own):.1f}" in (
        results.markdown()
    )
