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
    logits = [classifier.criterion.num_logits for classifier in head.classifiers]
    return Continued(logits, _named(class_module(head.classifiers[0].predictor).state_dict()))


def saved(head: Head, source: State) -> Continued:
    """What a head would inherit of a file with a single one."""
    states = [state for _, state in continued(head, source)]
    logits = [len(state["weight"]) for state in states if "weight" in state]
    return Continued(logits, _named(states[0]))


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
