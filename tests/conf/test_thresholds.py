"""What thresholds are best for, as options of a command."""

import pytest

from bacl.assembly.instantiate import instantiate
from bacl.evaluation.criteria import Criterion
from bacl.evaluation.thresholds.objectives import LowestCost, Objective
from bacl.options.comparison import wrong_options


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "cost"])
def test_every_objective_is_composed_and_built(compose_config, name):
    config = compose_config("+experiment=bacl_demo", f"thresholds={name}")
    assert not wrong_options(config)
    assert instantiate(config.thresholds, Objective).least_objects == 3


def test_costs_of_groups_and_categories_are_added(compose_config):
    added = ["+thresholds.of_groups.r.miss=50", "+thresholds.of_categories.cat.false_detection=5"]
    config = compose_config("+experiment=bacl_demo", "thresholds=cost", *added)
    assert not wrong_options(config)
    built = instantiate(config.thresholds, LowestCost)
    assert built.of_groups == {"r": {"miss": 50}}
    assert built.of_categories == {"cat": {"false_detection": 5}}


@pytest.mark.parametrize(
    ("name", "override", "told"),
    [
        ("cost", "+thresholds.of_groups.r.mis=50", "r.mis: no such option; did you mean miss"),
        ("cost", "thresholds.miss=-1", "thresholds.miss=-1: expected a number of at least 0"),
        ("precision", "thresholds.wished=0", "thresholds.wished=0: expected a number above 0"),
        ("f1", "+thresholds.wished=0.5", "thresholds.wished: no such option"),
    ],
)
def test_wrong_values_are_told(compose_config, name, override, told):
    config = compose_config("+experiment=bacl_demo", f"thresholds={name}", override)
    (line,) = wrong_options(config)
    assert told in line


def test_f1_is_a_criterion_of_a_choice(compose_config):
    """At the thresholds that the command asks for, whatever they are best for."""
    chosen = ["balance=auto", "criterion@choice.criterion=f1", "thresholds=precision"]
    config = compose_config("+experiment=bacl_demo", *chosen)
    assert not wrong_options(config)
    title = instantiate(config.choice.criterion, Criterion).title
    assert title.startswith("F1 at thresholds per category (precision of at least 0.9)")
