"""The choice among variants: made by halves for each other, within a price, and told honestly."""

from dataclasses import replace

import numpy as np
import pytest

from bacl.evaluation.choice import Choice, Decision
from bacl.evaluation.criteria import Criterion, MeasureOf, RightLabelShare
from bacl.evaluation.halves import shuffled
from bacl.messages.errors import OptionError
from tests.evaluation.samples import IMAGES, sample, share


def halves() -> tuple[np.ndarray, np.ndarray]:
    first, second = np.array_split(shuffled(np.arange(100, 100 + IMAGES)), 2)
    return first, second


def right_in(image_ids: np.ndarray) -> np.ndarray:
    return np.isin(np.arange(100, 100 + IMAGES), image_ids)


def test_the_mean_of_the_groups_is_compared_by_hand():
    # images 0, 3 are of "r", 1, 4 of "c", 2, 5 of "f"
    one = sample(np.array([True, True, False, False, True, False]))
    assert RightLabelShare().of_groups(one) == {"r": 0.5, "c": 1.0, "f": 0.0}
    assert RightLabelShare().value(one) == 0.5
    assert RightLabelShare().value(one.only(np.array([100, 101]))) == 1.0


def test_the_best_is_chosen_and_the_first_of_equals():
    choice = Choice(
        {"a": sample(share(10)), "b": sample(share(30)), "c": sample(share(30))},
        RightLabelShare(), "a",
    )  # fmt: skip
    assert choice.best() == "b"
    assert choice.best(among=["a", "c"]) == "c"


def test_what_is_expected_is_what_was_found_where_it_was_not_chosen():
    """A variant that is right by luck in one half is chosen by it, and judged by the other."""
    first, second = halves()
    samples = {
        "even": sample(share(IMAGES // 2)),
        "luck of the first": sample(right_in(first)),
        "luck of the second": sample(right_in(second)),
    }
    choice = Choice(samples, RightLabelShare(), "even")
    fitted = choice.cross_fitted()
    assert fitted.of_halves == ("luck of the first", "luck of the second")
    ids = np.concatenate([each.image_ids for each in fitted.samples])
    assert sorted(ids) == list(range(100, 100 + IMAGES))
    assert fitted.value == 0
    assert set(fitted.of_groups.values()) == {0}
    assert choice.cross_fitted(["even"]).of_halves == ("even", "even")


def test_a_variant_that_is_better_everywhere_is_expected_to_be_as_good():
    samples = {"a": sample(share(10)), "b": sample(share(IMAGES))}
    choice = Choice(samples, RightLabelShare(), "a")
    fitted = choice.cross_fitted()
    assert fitted.of_halves == ("b", "b")
    decision = choice.decision
    own = [RightLabelShare().value(samples["a"].only(half)) for half in choice.halves]
    assert decision.change == pytest.approx(1 - np.mean(own))
    assert 0 < decision.error < 0.2
    assert (decision.best, decision.chosen, decision.verdict) == ("b", "b", "better")


def test_equal_variants_tie_and_the_reference_is_kept():
    choice = Choice({"a": sample(share(20)), "b": sample(share(20))}, RightLabelShare(), "b")
    assert choice.difference(choice.cross_fitted(["a"])) == (0, 0)
    assert choice.decision.best == choice.decision.chosen == "b"


def test_scores_of_another_scale_change_nothing_that_is_expected():
    right = np.random.default_rng(0).random(IMAGES) < 0.5
    samples = {"a": sample(right, 0.9), "b": sample(right, 0.09)}
    choice = Choice(samples, MeasureOf("AP"), "a")
    fitted = replace(choice.cross_fitted(), samples=(
        samples["a"].only(choice.halves[0]), samples["b"].only(choice.halves[1])
    ))  # fmt: skip
    assert choice.difference(fitted)[0] == 0


def test_nothing_can_be_told_of_one_image_or_without_objects():
    one = {"a": sample(share(0, 1)), "b": sample(share(1, 1))}
    decision = Choice(one, RightLabelShare(), "a").decision
    assert (decision.best, decision.chosen) == ("b", "a")
    assert decision.is_tie
    assert decision.verdict == "nothing can be told, as half of the images have no objects"
    empty = {name: each.only(np.zeros(0, np.int64)) for name, each in one.items()}
    assert Choice(empty, RightLabelShare(), "b").decision.chosen == "b"


@pytest.mark.parametrize(
    ("change", "error", "verdict", "chosen"),
    [
        (0.1, 0.06, "a tie, within two standard errors", "reference"),
        (0.1, np.nan, "a tie, within two standard errors", "reference"),
        (0.1, 0.0, "a tie, within two standard errors", "reference"),
        (0.1, 0.04, "better", "best"),
        (-0.1, 0.04, "worse", "reference"),
        (-0.1, 0.06, "a tie, within two standard errors", "reference"),
    ],
)
def test_only_what_is_surely_better_is_taken(change, error, verdict, chosen):
    decision = Decision("best", "reference", None, change, error)
    assert (decision.verdict, decision.chosen) == (verdict, chosen)


def test_each_half_chooses_calibrated_variants_of_its_own_best_heads_alone():
    first, second = halves()
    samples = {
        "reference": sample(share(4)),
        "a": sample(right_in(first[:15])),
        "b": sample(right_in(second[:15])),
        "a + x": sample(right_in(second)),  # right where its head does not lead
        "b + x": sample(right_in(first)),
    }
    heads = {name: name.partition(" + ")[0] for name in samples}
    choice = Choice(samples, RightLabelShare(), "reference", None, heads, 1)
    assert choice.leading(first) == ["reference", "a"]
    assert choice.cross_fitted().of_halves == ("a", "b")
    assert replace(choice, calibrated=3).cross_fitted().of_halves == ("b + x", "a + x")


def test_halves_do_not_depend_on_the_order_of_images():
    one, other = sample(share(20)), sample(share(20))
    order = np.argsort(-other.image_ids)
    columns = replace(other.detections, image_ids=other.image_ids[order])
    mine = Choice({"a": one}, RightLabelShare(), "a").halves
    turned = replace(other, detections=columns)
    theirs = Choice({"a": turned}, RightLabelShare(), "a").halves
    assert all(np.array_equal(x, y) for x, y in zip(mine, theirs, strict=True))
    assert not np.array_equal(np.concatenate(mine), one.image_ids)


def test_a_price_bounds_what_the_most_frequent_group_may_lose():
    labels = np.arange(IMAGES) % 3
    of_the_rare, of_all = labels < 2, np.where(labels == 2, np.arange(IMAGES) > 3, labels == 0)
    samples = {"reference": sample(labels == 2), "a": sample(of_the_rare), "b": sample(of_all)}
    choose = Choice(samples, RightLabelShare(), "reference")
    assert choose.best() == "a"
    assert replace(choose, price=0.1).best() == "b"
    assert replace(choose, price=0.0).best() == "reference"


def test_a_price_is_paid_to_the_full_and_by_the_last_group_with_objects():
    labels = np.arange(IMAGES) % 3
    reference, half = sample(labels == 1), sample((labels == 0) | (np.arange(IMAGES) % 6 == 1))
    known = np.arange(100, 100 + IMAGES)[labels < 2]  # no object is of "f"
    samples = {"reference": reference.only(known), "half": half.only(known)}
    paid = 1 - RightLabelShare().of_groups(samples["half"])["c"]
    choose = Choice(samples, RightLabelShare(), "reference", paid)
    assert choose.best() == "half"
    assert replace(choose, price=paid - 0.01).best() == "reference"


def test_any_measure_can_be_compared():
    good, bad = sample(share(IMAGES)), sample(share(4))
    assert MeasureOf("AP").value(good) == pytest.approx(1)
    groups = MeasureOf("AP", mean_of_groups=True)
    assert groups.value(bad) == pytest.approx(np.mean(list(groups.of_groups(bad).values())))
    assert MeasureOf("APr").value(bad) == bad.measures["APr"]
    assert MeasureOf("AP").error(good, good) == 0
    assert MeasureOf("AP").error(good, bad) > 0
    assert Choice({"a": bad, "b": good}, MeasureOf("AP50"), "a").best() == "b"
    with pytest.raises(OptionError, match="measure=mAP: measures of boxes are AP, "):
        MeasureOf("mAP").value(good)
    assert MeasureOf("right_label", True).value(bad) == RightLabelShare().value(bad)
    with pytest.raises(OptionError, match="groups have no AP50"):
        MeasureOf("AP50", mean_of_groups=True).value(good)


def test_the_jackknife_is_that_of_a_mean():
    """Of one image in each part, its error of a share is the textbook's of a mean."""

    class Share(MeasureOf):
        def value(self, sample):
            return sample.right_labels.share()

    right = share(7, 20)
    none = sample(np.zeros(20, bool))
    expected = np.std(right, ddof=1) / np.sqrt(20)
    assert Share().error(sample(right), none) == pytest.approx(expected)


@pytest.mark.parametrize("criterion", [RightLabelShare(), MeasureOf("AP")])
def test_groups_without_objects_do_not_count(criterion: Criterion):
    rare = sample(share(IMAGES)).only(np.arange(100, 100 + IMAGES, 3))
    assert criterion.of_groups(rare) == {"r": pytest.approx(1), "c": -1, "f": -1}
    assert criterion.value(rare) == pytest.approx(1)
    assert criterion.error(rare, rare) == 0
