"""What is said of planted numbers: a biased head and an unbiased one get other words."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bacl.evaluation.errors.error_rates import ErrorRate
from bacl.evaluation.label_difference import Difference
from bacl.reporting import diagnosis
from bacl.reporting.diagnosis import diagnose
from bacl.reporting.diagnosis_facts import Facts, facts
from tests.reporting.test_error_results import RESULTS

CONF = Path(__file__).parents[2] / "conf"
NAN = float("nan")
BIASED = Facts(
    "baseline", "rare", "frequent", ErrorRate(0.06, None), ErrorRate(0.98, None), 0.9, 0.01, 0.8,
    1.5, NAN, 0.9, {"wrong category": 0.5, "missed": 0.02},
)  # fmt: skip
FAIR = replace(BIASED, head="fair", right_rare=ErrorRate(0.95, None), upwards=0.03, norms=0.1)


def changed(rare, rare_error, frequent, frequent_error, **others):
    """Another head, with these differences to the biased one."""
    return replace(
        BIASED,
        head="bacl",
        right_rare=ErrorRate(0.06 + rare, Difference(rare, rare_error)),
        right_frequent=ErrorRate(0.98 + frequent, Difference(frequent, frequent_error)),
        **others,
    )


def test_a_bias_and_its_absence():
    text = diagnosis.preference(BIASED)
    assert "6.0 % of the rare objects and 98.0 % of the frequent ones" in text
    assert text.endswith("it is biased towards frequent categories.")
    assert diagnosis.preference(FAIR).endswith("it prefers neither.")
    better = replace(BIASED, right_rare=ErrorRate(1.0, None), right_frequent=ErrorRate(0.5, None))
    assert diagnosis.preference(better).endswith("rare categories are better off.")


def test_where_hardly_anything_is_right_nothing_else_is_said():
    poor = replace(BIASED, right_rare=ErrorRate(0.0, None), right_frequent=ErrorRate(0.124, None))
    (told,) = diagnose(poor, replace(poor, head="bacl"))
    assert told.startswith("No head calls more than 12.4 % of the objects of a group")
    assert len(diagnose(poor, FAIR)) > 1


def test_what_is_missed_is_no_bias():
    missed = replace(BIASED, upwards=0.02)
    assert "a bias of the classifier is not why" in diagnosis.preference(missed)
    both_ways = replace(BIASED, upwards=0.3, downwards=0.2)
    assert not diagnosis.prefers_frequent(both_ways)


@pytest.mark.parametrize(
    ("correlation", "words"), [(0.5, "grow with"), (0.4, "do not follow"), (-0.5, "fall with")]
)
def test_weight_norms(correlation, words):
    told = diagnosis.weight_norms(replace(BIASED, norms=correlation))
    assert words in told
    assert "those of frequent categories are 1.50 times those of rare" in told
    assert diagnosis.weight_norms(replace(BIASED, norms=None)) is None


def test_scores_of_groups():
    assert diagnosis.scores(BIASED) is None  # nothing rare is right
    assert diagnosis.scores(replace(BIASED, score_rare=0.5)) is None
    assert "are 0.3 on average" in diagnosis.scores(replace(BIASED, score_rare=0.3))


def test_a_gain_at_a_price():
    told = diagnose(BIASED, changed(0.6, 0.03, -0.02, 0.005, upwards=0.2))
    text = " ".join(told)
    assert "bacl gives more rare objects their right label than baseline: 66.0 %" in text
    assert "+60.0 ± 3.0" in text
    assert "With bacl there still is a bias" in text
    assert "The frequent categories pay: -2.0 ± 0.5 points" in text
    assert "choice.price" in text


def test_a_bias_that_is_gone_for_nothing():
    text = " ".join(diagnose(BIASED, changed(0.9, 0.03, -0.01, 0.01, upwards=0.02)))
    assert "The bias towards frequent categories is gone with bacl." in text
    assert "no difference can be told (-1.0 ± 1.0 points" in text
    assert "choice.price" not in text


def test_within_the_error_nothing_is_claimed():
    text = " ".join(diagnose(BIASED, changed(0.02, 0.02, 0.0, 0.0)))
    assert "no difference to baseline can be told" in text
    assert "gives more" not in text
    assert "of baseline most is wrong category" in text


def test_a_loss_is_told():
    text = " ".join(diagnose(BIASED, changed(-0.05, 0.01, 0.01, 0.001)))
    assert "gives fewer rare objects" in text
    assert "The frequent categories gain as well" in text


def test_nothing_is_advised_against_small_costs():
    fair = replace(FAIR, costs={"wrong category": 0.001, "missed": NAN})
    assert diagnosis.next_step(fair, None) == []


def test_options_that_are_named_exist():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["+experiment=bacl_demo", "balance=auto"])
    for text in [*diagnosis.TRIES.values(), " ".join(diagnose(BIASED, changed(1, 0, -1, 0)))]:
        for said in re.findall(r"`(?:job=test )?([\w.]+)(?:=([\w…]+))?`", text):
            key, value = said
            group = CONF / key / f"{value}.yaml"
            assert group.exists() or OmegaConf.select(config, key, default=said) != said, key


def test_facts_of_findings():
    instances = np.array([1, 10, 100])
    own = facts(RESULTS, "baseline", [np.array([1.0, 2, 3])], instances)
    assert (own.rare, own.frequent, own.upwards, own.downwards) == ("rare", "frequent", 1, 0)
    assert own.norms is None  # three categories are too few
    assert own.norm_ratio == 3
    assert own.costs == {"missed": 0.25}
    other = facts(RESULTS, "a_b", [], instances)
    assert (other.upwards, other.downwards) == (0, 1)
    assert np.isnan(own.score_rare)
    assert other.score_rare == 1
