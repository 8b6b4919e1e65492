"""Whether a head can continue the classifiers of an earlier stage, and why not."""

from dataclasses import dataclass
from pkgutil import resolve_name

from bacl.assembly.allowed import may_be_built
from bacl.checkpoints.handover import State
from bacl.checkpoints.taken_over import continued
from bacl.files.plain_values import MISSING, select
from bacl.heads import Head
from bacl.heads.predictors import class_module
from bacl.losses import ROG, ClassificationLoss


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


Loss = type[ClassificationLoss]


def trained_by(loss: ClassificationLoss) -> Loss:
    """The kind of a loss; of one that adds a term to another, the other's."""
    return trained_by(loss.base) if isinstance(loss, ROG) else type(loss)


def saved_loss(source: State) -> Loss | None:
    """What `trained_by` gives of the single head of a file; None where that is not known."""
    (name,) = source["heads"]
    return loss_of(source, name)


def loss_of(source: State, name: str) -> Loss | None:
    """What `trained_by` gives of a head of a file; None where that is not known."""
    stages = select(source.get("config"), "stages")
    nodes = stages.values() if isinstance(stages, dict) else ()
    found = {_target(select(node, f"heads.{name}.loss")) for node in nodes} - {None}
    return found.pop() if len(found) == 1 else None


def _target(node: object) -> Loss | None:
    base = select(node, "base")
    target = select(node if base is MISSING else base, "_target_")
    kind = resolve_name(target) if may_be_built(target) else None  # a file chooses no code
    return kind if isinstance(kind, type) and issubclass(kind, ClassificationLoss) else None


def misscored(head: Head, earlier: Loss | None, whose: str) -> str:
    """Why a head would score the classifier that it inherits wrongly; empty if it does not.

    Args:
        head: has yet to start.
        earlier: what the classifier was trained with, if that is known.
        whose: the classifier is, in words.
    """
    first = head.classifiers[-1].criterion.inherited
    if first is None or earlier is None or trained_by(first).probabilities is earlier.probabilities:
        return ""
    return (
        f"is to score the classifier that it inherits as {trained_by(first).__name__} does, but "
        f"{whose} was trained with {earlier.__name__}: choose that loss, as in "
        "loss@head.loss.first=bce_objectness, or train the earlier stage with this one"
    )
