"""Whether a head can continue the classifiers of an earlier stage, and why not."""

from dataclasses import dataclass

from bacl.checkpoints.handover import State, continued
from bacl.heads import Head
from bacl.heads.predictors import class_module


@dataclass(frozen=True)
class Continued:
    """What of classifiers is inherited."""

    logits: list[int]
    """Of each level."""
    weights: str
    """Names, such as weight and bias."""


def built(head: Head) -> Continued:
    """What a head has to continue."""
    states = [class_module(each.predictor).state_dict() for each in head.classifiers]
    return Continued(_logits(states), _named(states[0]))


def saved(head: Head, source: State) -> Continued:
    """What a head would inherit of a file with a single one."""
    states = [state for _, state in continued(head, source)]
    return Continued(_logits(states), _named(states[0]))


def _logits(states: list[State]) -> list[int]:
    return [len(state["weight"]) for state in states if "weight" in state]


def _named(state: State) -> str:
    return " and ".join(state) or "none"


def misfit(head: Head, source: Continued, whose: str, counted: bool = True) -> str:
    """Why a head cannot continue the classifiers of another; empty if it can.

    Args:
        head: has yet to start.
        source: what `saved` gave.
        whose: the classifiers are, in words.
        counted: whether logits are as many as the data ask for.
    """
    own = built(head)
    if own.weights != source.weights:
        return (
            f"its classifier has {own.weights} and is to continue {whose}, which has "
            f"{source.weights}:"
        )
    if counted and own.logits != source.logits:
        return (
            f"its classifier has {own.logits} logits and is to continue {whose}, which has "
            f"{source.logits}: take a loss of as many logits, or"
        )
    return ""
