"""What a stage takes over from a finished one: all of it, or what the next stage continues."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn

from bacl.checkpoints.handover import CheckpointError, State
from bacl.files.state_dicts import misfits, not_finite, several
from bacl.heads.predictors import class_module

CALIBRATION = ".calibration."
"""In the names of what a head's calibration has gathered, which a command may exchange."""


def fill(detector: nn.Module, heads: Mapping[str, nn.Module], content: State, path: Path) -> None:
    """Load a finished stage into one like it: the detector and every head that is asked for.

    Their calibrations may be others: what the file's have gathered is then left out.

    Raises:
        CheckpointError: the file lacks a head, is of other options, or names more or fewer
            categories than its model tells apart.
    """
    named = len(content["categories"]["ids"])
    if named != detector.num_classes:
        raise CheckpointError(
            f"{path}: names {named} categories, but its model tells {detector.num_classes} apart; "
            "it was changed since it was trained: take the file that its run wrote, or train anew"
        )
    load_strictly(detector, content["detector"], path)
    missing = set(heads) - set(content["heads"])
    if missing:
        raise CheckpointError(
            f"{path}: has no head {sorted(missing)}; its heads are {sorted(content['heads'])}"
        )
    for name, head in heads.items():
        load_strictly(head, _calibrated_as(head, content["heads"][name]), path)


def _calibrated_as(head: nn.Module, saved: State) -> State:
    """A head's state with what it gathered for its calibration, if that is still the same one."""
    own = head.state_dict()
    mine, theirs = ({k for k in state if CALIBRATION in k} for state in (own, saved))
    if mine == theirs:
        return saved
    return {k: v for k, v in saved.items() if k not in theirs} | {k: own[k] for k in mine}


def without_gathered(content: State) -> State:
    """A checkpoint without what the calibrations of its heads have gathered."""
    heads = content["heads"].items()
    kept = {name: {k: v for k, v in s.items() if CALIBRATION not in k} for name, s in heads}
    return content | {"heads": kept}


def inherit(
    detector: nn.Module, heads: Mapping[str, nn.Module], content: State, path: Path
) -> None:
    """Start a stage from another one: the detector, and the classifiers of these heads.

    The published second stage fine-tunes the first one's classifier and box regression, it does not
    start them anew. Statistics of the head (indicators, prototypes) start empty.
    """
    load_strictly(detector, content["detector"], path)
    if heads and len(content["heads"]) != 1:
        raise CheckpointError(
            f"{path}: holds {len(content['heads'])} heads, and a classifier is inherited from one "
            "with one: start anew with stages.….init.classifier=fresh"
        )
    for head in heads.values():
        for classes, state in continued(head, content):
            load_strictly(classes, state, path)


def continued(head: nn.Module, content: State) -> Iterator[tuple[nn.Module, State]]:
    """What a head inherits, and the part of a checkpoint with one head that it inherits it from."""
    (source,) = content["heads"].values()
    for prefix, classifier in head.named_classifiers():  # type: ignore[operator]
        predictor = _below(f"{prefix}predictor.", source)
        classes = class_module(classifier.predictor)
        # Of a predictor of the same kind, its classes; or a plain layer.
        own = _below(f"{_name(classes, classifier.predictor)}.", predictor)
        yield classes, own or predictor


def _below(start: str, state: State) -> State:
    """The part of a state whose names begin so, by the rest of their names."""
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}


def _name(part: nn.Module, module: nn.Module) -> str:
    return next(name for name, each in module.named_modules() if each is part)


def finite_heads(content: State) -> set[str]:
    """The heads of a checkpoint whose training has not diverged."""
    return {
        name
        for name, state in content["heads"].items()
        if not any(not_finite(value) for value in state.values() if isinstance(value, Tensor))
    }


def load_strictly(module: nn.Module, state: State, path: Path) -> None:
    """Load a state dict that must fit exactly.

    Raises:
        CheckpointError: lists by name what is missing, unexpected, of another shape or kind of
            number, or not finite.
    """
    problems = misfits(module, state)
    if problems:
        raise CheckpointError(
            f"{path} does not fit this model ({several(problems)}): was it trained with other "
            "options, did its training diverge, or was it changed since?"
        )
    module.load_state_dict(dict(state))  # nothing of theirs but the tensors, no notes on versions
