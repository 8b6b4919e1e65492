"""What the numbers of a run say, in sentences: each rule is a function, and none says more.

A rule gives a sentence, or nothing where its numbers do not carry one. Shares become percent, and
what is told as a difference is more than two standard errors, by bootstrap over images.
"""

from collections.abc import Callable
from math import isnan

from bacl.evaluation.errors.error_rates import ErrorRate
from bacl.messages.shown import as_markdown, shown
from bacl.reporting.diagnosis_facts import Facts

GAP = 0.1
"""Between the right labels of two groups, from which on one of them is worse off."""
FLOW = 0.05
"""Share of objects that are called by categories of other groups, from which on it is a flow."""
FOLD = 2.0
"""How many times stronger one of two flows is, to be told as the direction."""
FOLLOWS = 0.5
"""Rank correlation from which on one thing follows another."""
COST = 0.01
"""Of AP50, from which on a kind of errors is worth a try."""
LEARNT = 0.15
"""Share of right objects of some group, below which there is nothing to compare."""
TRIES = {
    "wrong category": "`job=test calibration=shift`, which needs no training, or `balance=auto`, "
    "which compares thirteen heads",
    "badly localised": "a longer representation stage (`stages.representation.schedule.epochs`)",
    "duplicate": "a lower `detector.postprocess.nms_iou`",
    "both": "a longer representation stage (`stages.representation.schedule.epochs`)",
    "background": "`datamodule.negatives=true`, where there are images without objects",
    "missed": "a longer representation stage (`stages.representation.schedule.epochs`)",
}
"""What may help against a kind of errors."""


def diagnose(reference: Facts, other: Facts | None = None) -> list[str]:
    """Sentences in Markdown: of the reference, of what another head changes, what to try next.

    Args:
        reference: the head that the other one is compared with.
        other: the head to compare.
    """
    if told := too_little(reference, other):
        return [told]
    found = [rule(reference) for rule in OF_A_HEAD]
    if other is not None:
        found += [rule(reference, other) for rule in OF_TWO]
    return [*(text for text in found if text), *next_step(reference, other)]


def too_little(reference: Facts, other: Facts | None) -> str | None:
    """Whether so little is right, of whichever group, that heads and groups do not differ yet."""
    heads = [reference, *([other] if other else [])]
    best = max(max(head.right_rare.value, head.right_frequent.value) for head in heads)
    if best >= LEARNT:
        return None
    return (
        f"No head calls more than {_percent(best)} % of the objects of a group by their category: "
        "too little is learnt to compare heads. A longer representation stage "
        "(`stages.representation.schedule.epochs`) comes first, and `job=data`, which tells "
        "whether pictures, anchors and schedule suit each other."
    )


def preference(head: Facts) -> str | None:
    """Which group is called right more often, and whether the classifier's preference is why."""
    told = (
        f"{_name(head)} calls {_percent(head.right_rare.value)} % of the {head.rare} objects and "
        f"{_percent(head.right_frequent.value)} % of the {head.frequent} ones by their category"
    )
    gap = head.right_frequent.value - head.right_rare.value
    if abs(gap) < GAP:
        return f"{told}: it prefers neither."
    if gap < 0:
        return f"{told}: {head.rare} categories are better off."
    if prefers_frequent(head):
        return (
            f"{told}; {_percent(head.upwards)} % of the {head.rare} ones are called by a category "
            f"with more training data, and {_percent(head.downwards)} % of the {head.frequent} by "
            f"one with less: it is biased towards frequent categories."
        )
    return (
        f"{told}, but only {_percent(head.upwards)} % of the {head.rare} ones are called by a "
        "category with more training data: a bias of the classifier is not why."
    )


def prefers_frequent(head: Facts) -> bool:
    """Whether rare objects are worse off, and confused upwards rather than the other way."""
    gap = head.right_frequent.value - head.right_rare.value
    return gap >= GAP and head.upwards >= max(FLOW, FOLD * head.downwards)


def weight_norms(head: Facts) -> str | None:
    """Whether the classifier's weights grow with the training data, as the paper's Fig. 5 shows."""
    if head.norms is None:
        return None
    told = (
        f"rank correlation {head.norms:.2f}; those of {head.frequent} categories are "
        f"{head.norm_ratio:.2f} times those of {head.rare}"
    )
    if head.norms >= FOLLOWS:
        return f"The weight norms of {_name(head)} grow with the training instances ({told})."
    if head.norms <= -FOLLOWS:
        return f"The weight norms of {_name(head)} fall with the training instances ({told})."
    return f"The weight norms of {_name(head)} do not follow the training instances ({told})."


def scores(head: Facts) -> str | None:
    """Whether one threshold of scores treats groups differently."""
    if isnan(head.score_rare) or isnan(head.score_frequent):
        return None
    low, high = sorted([head.score_rare, head.score_frequent])
    if high < FOLD * low:
        return None
    return (
        f"Where {_name(head)} is right, its scores are {head.score_rare:.2g} on average for "
        f"{head.rare} and {head.score_frequent:.2g} for {head.frequent} categories: one threshold "
        "for all does not do them justice."
    )


def gain(reference: Facts, other: Facts) -> str | None:
    """Whether the other head helps the rare categories, beyond the error."""
    change = other.right_rare.difference
    if change is None or isnan(change.value):
        return None
    if not change.sure:
        return (
            f"{_name(other)} changes the right labels of {other.rare} objects by "
            f"{_points(other.right_rare)} points: no difference to {_name(reference)} can be told."
        )
    more = "more" if change.value > 0 else "fewer"
    return (
        f"{_name(other)} gives {more} {other.rare} objects their right label than "
        f"{_name(reference)}: {_percent(other.right_rare.value)} % "
        f"({_points(other.right_rare)}); called by a category with more training data are "
        f"{_percent(other.upwards)} % of them in place of {_percent(reference.upwards)} %."
    )


def price(reference: Facts, other: Facts) -> str | None:
    """What the frequent categories pay, beyond the error."""
    change = other.right_frequent.difference
    if change is None or isnan(change.value):
        return None
    told = f"{_points(other.right_frequent)} points of right labels"
    if not change.sure:
        return f"For {other.frequent} categories no difference can be told ({told})."
    verb = "pay" if change.value < 0 else "gain as well"
    return f"The {other.frequent} categories {verb}: {told}."


def left_bias(reference: Facts, other: Facts) -> str | None:
    """Whether the other head is still, or newly, or no more biased."""
    before, after = prefers_frequent(reference), prefers_frequent(other)
    if before and not after:
        return f"The bias towards frequent categories is gone with {_name(other)}."
    if before and after:
        return f"With {_name(other)} there still is a bias towards frequent categories."
    return f"{_name(other)} is biased towards frequent categories." if after else None


def other_norms(_: Facts, other: Facts) -> str | None:
    """Those of the other head: whether it has levelled them."""
    return weight_norms(other)


def next_step(reference: Facts, other: Facts | None) -> list[str]:
    """What costs the rare categories most, of the better of two heads, and what to try."""
    better = other if other is not None and _is_better(other) else reference
    known = {kind: cost for kind, cost in better.costs.items() if not isnan(cost)}
    kind = max(known, key=lambda each: known[each], default=None)
    if kind is None or known[kind] < COST:
        return []
    told = [
        f"What costs the {better.rare} categories of {_name(better)} most is {kind}: AP50 would "
        f"gain {_percent(known[kind])} points without. To try next: {TRIES[kind]}."
    ]
    change = better.right_frequent.difference
    if change is not None and change.sure and change.value < 0:
        told.append(
            f"If {better.frequent} categories matter more: `choice.price=…` with `balance=auto` "
            "takes no head that costs them more than that."
        )
    return told


OF_A_HEAD: tuple[Callable[[Facts], str | None], ...] = (preference, weight_norms, scores)
OF_TWO: tuple[Callable[[Facts, Facts], str | None], ...] = (gain, left_bias, price, other_norms)


def _is_better(head: Facts) -> bool:
    change = head.right_rare.difference
    return change is not None and change.sure and change.value > 0


def _name(head: Facts) -> str:
    return as_markdown(shown(head.head))


def _percent(share: float) -> str:
    return "–" if isnan(share) else f"{100 * share + 0.0:.1f}"


def _points(rate: ErrorRate) -> str:
    """The difference to the reference with its standard error."""
    assert rate.difference is not None
    return f"{100 * rate.difference.value + 0.0:+.1f} ± {100 * rate.difference.error:.1f}"
