"""F1 at thresholds as a criterion: what it sees, and what it does not."""

from dataclasses import replace

import numpy as np
import pytest

from bacl.evaluation.choice import Choice
from bacl.evaluation.halves import halves_of
from bacl.evaluation.sample import Sample
from bacl.evaluation.thresholds.choosing import Chooser
from bacl.evaluation.thresholds.f1_criterion import F1AtThresholds
from bacl.evaluation.thresholds.objectives import BestF1, LowestCost, WishedRecall
from bacl.evaluation.thresholds.operating_points import OperatingPoints, halves_in
from bacl.messages.errors import OptionError
from tests.evaluation.samples import IMAGES, sample, share


def test_right_detections_with_any_score_are_worth_the_same():
    right = share(IMAGES)
    assert F1AtThresholds(BestF1()).value(sample(right, 0.9)) == 1
    assert F1AtThresholds(BestF1()).value(sample(right, 0.01)) == 1
    assert F1AtThresholds(BestF1()).of_groups(sample(right)) == {"r": 1, "c": 1, "f": 1}


def test_the_better_variant_is_chosen_and_its_error_is_of_equal_resamples():
    draw = np.random.default_rng(0)
    samples = {"a": sample(draw.random(IMAGES) < 0.3), "b": sample(share(IMAGES))}
    choice = Choice(samples, F1AtThresholds(BestF1()), "a")
    assert choice.decision.chosen == "b"
    assert 0 < choice.decision.error < 0.2
    assert choice.criterion.error(samples["a"], samples["a"]) == 0


def test_without_objects_there_is_no_value():
    nothing = sample(share(IMAGES)).only(np.zeros(0, np.int64))
    assert F1AtThresholds(BestF1()).value(nothing) == -1
    one = sample(share(IMAGES)).only(np.array([100]))
    assert F1AtThresholds(BestF1()).of_groups(one) == {
        "r": pytest.approx(0, abs=1),
        "c": -1,
        "f": -1,
    }


def by_a_plain_loop(found: Sample) -> dict[str, float]:
    """Of one object and one detection an image, which is right where the label is."""
    halves = [set(ids.tolist()) for ids in halves_of(found.image_ids)]
    columns, sums = found.detections, {}
    rows = list(zip(columns.image_ids.tolist(), columns.labels, columns.scores, strict=True))
    for own, chooser in (halves, halves[::-1]):
        for label, group in enumerate("rcf"):
            objects = [image for image in own if (image - 100) % 3 == label]
            limit = best_threshold(rows, label, chooser)
            taken = [i for i, of, score in rows if i in own and of == label and score >= limit]
            hits = sum((image - 100) % 3 == label for image in taken)
            above, below = sums.get(group, (0, 0))
            sums[group] = above + 2 * hits, below + len(taken) + len(objects)
    return {group: above / below for group, (above, below) in sums.items()}


def best_threshold(rows: list[tuple], label: int, images: set[int]) -> float:
    ranked = sorted((s, (i - 100) % 3 == label) for i, of, s in rows if i in images and of == label)
    objects = sum((image - 100) % 3 == label for image in images)
    ranked, best, found = ranked[::-1], (-1.0, 0.0), 0
    for place, (score, right) in enumerate(ranked):
        found += right
        f1 = 2 * found / (place + 1 + objects)
        lower = ranked[place + 1][0] if place + 1 < len(ranked) else score
        if right and f1 > best[0]:
            best = f1, float(np.float32((score + lower) / 2))
    return best[1]


def scored_at_random(seed: int) -> Sample:
    draw = np.random.default_rng(seed)
    one = sample(draw.random(IMAGES) < 0.6)
    scores = draw.random(IMAGES).astype(np.float32).astype(float)
    return replace(one, detections=replace(one.detections, scores=scores))


def test_it_is_what_a_plain_loop_counts():
    for seed in range(5):
        found = scored_at_random(seed)
        expected = by_a_plain_loop(found)
        assert F1AtThresholds(BestF1()).of_groups(found) == pytest.approx(expected)
        assert F1AtThresholds(BestF1()).value(found) == pytest.approx(np.mean([*expected.values()]))


def test_thresholds_are_best_for_the_objective_that_they_are_handed_on_with():
    found = scored_at_random(0)
    halves = halves_in(found.truth, found.image_ids)
    for objective in (WishedRecall(0.9), BestF1()):
        points = OperatingPoints.of(found.scored(), halves, Chooser(objective, found.grouping))
        expected = points.fine.of_groups(found.grouping).f1[1:]
        criterion = F1AtThresholds(objective)
        assert [*criterion.of_groups(found).values()] == expected.tolist()
        assert objective.title in criterion.title


def test_costs_of_categories_are_found_by_their_names():
    dear = LowestCost(of_categories={"b": {"miss": 50.0}})
    named = replace(scored_at_random(0), names=("a", "b", "c"))
    plain, own = (F1AtThresholds(each).of_groups(named) for each in (LowestCost(), dear))
    assert own["c"] != plain["c"]
    assert own["r"] == plain["r"]
    with pytest.raises(OptionError, match=r"thresholds\.of_categories\.b: there is none"):
        F1AtThresholds(dear).value(replace(named, names=()))
