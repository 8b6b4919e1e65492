"""Published checkpoints into a detector with a classifier head, and back.

C: foreground classes.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from bacl.checkpoints.handover import Categories, CheckpointError
from bacl.checkpoints.mmdet_file import PublishedFile
from bacl.checkpoints.mmdet_names import (
    CLASSIFIER,
    FIRST_HEADS,
    HEADS,
    OPTIONAL,
    OURS_ALONE,
    REGRESSION,
    our_name,
    published_name,
)
from bacl.checkpoints.names import matches
from bacl.files.state_dicts import unusable
from bacl.heads import Head
from bacl.heads.calibration import Uncalibrated
from bacl.messages.shown import shown, written

SHOWN = 100
"""Tensors that are listed of a file that does not fit."""
NAMED = 5
"""Tensors that are named of a detector that has no such file."""


def load_published(
    file: PublishedFile, detector: nn.Module, head: Head, categories: Categories
) -> None:
    """Fill a detector and a head, weights and statistics, with what a published file holds.

    Raises:
        CheckpointError: the file has other categories, or lists every tensor that is missing,
            unexpected, of another shape or beyond our number format, by their name and ours.
    """
    _check_categories(file, categories)
    own = named_state(detector, head)
    problems, found = _compared(file.state, own)
    if problems:
        raise CheckpointError(
            f"{file.path} does not fit this model:\n  "
            + "\n  ".join(problems[:SHOWN])
            + (f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else "")
            + _advice(file, len(categories.ids))
        )
    state = {name: found.get(name, value) for name, value in own.items()}
    for part, module in _parts(detector, head).items():
        start = f"{part}."
        module.load_state_dict(
            {key.removeprefix(start): v for key, v in state.items() if key.startswith(start)}
        )


def published_state(detector: nn.Module, head: Head) -> dict[str, Tensor]:
    """Tensors by MMDetection's names, in our number formats, which it casts when it loads them.

    Raises:
        CheckpointError: lists the parts that MMDetection and the paper's release do not have, or
            names the calibration, which they have not.
    """
    calibration = head.classifiers[-1].calibration
    if not isinstance(calibration, Uncalibrated):
        raise CheckpointError(
            f"format=mmdet: MMDetection has no {type(calibration).__name__}, and the weights alone "
            "give other scores; export the head uncalibrated (its calibration null)"
        )
    own = {k: v for k, v in named_state(detector, head).items() if not matches(k, OURS_ALONE)}
    named = {key: published_name(key) for key in own}
    foreign = [key for key, name in named.items() if name is None]
    if foreign:
        more = f" and {len(foreign) - NAMED} more" if len(foreign) > NAMED else ""
        raise CheckpointError(
            "format=mmdet: neither MMDetection nor the paper's release has "
            f"{', '.join(foreign[:NAMED])}{more}"
        )
    return {str(named[key]): value for key, value in own.items()}


def named_state(detector: nn.Module, head: Head) -> dict[str, Tensor]:
    """State of both under "detector." and "head."; of a single classifier without its level."""
    return {
        f"{part}.{key}": value
        for part, module in _parts(detector, head).items()
        for key, value in module.state_dict().items()
    }


def _parts(detector: nn.Module, head: Head) -> dict[str, nn.Module]:
    return {
        "detector": detector,
        "head": head if len(head.classifiers) > 1 else head.classifiers[0],
    }


def _compared(
    published: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> tuple[list[str], dict[str, Tensor]]:
    """What does not fit, one line each, and the fitting tensors by our names."""
    problems: list[str] = []
    found: dict[str, Tensor] = {}
    for theirs, value in published.items():
        ours = our_name(theirs)
        if ours is None or ours not in own:
            told = f" (ours would be {shown(ours)})" if ours else ""
            problems.append(f"unexpected {shown(theirs)}{told}")
            continue
        found[ours] = value
        problem = unusable(value, own[ours], ours, converts=True)
        if problem:
            problems.append(f"{theirs} ({ours}) {problem}")
    lacking = [k for k in own if k not in found and not matches(k, (*OPTIONAL, *OURS_ALONE))]
    problems += [f"missing {published_name(ours) or 'any tensor'} ({ours})" for ours in lacking]
    return problems, found


def _check_categories(file: PublishedFile, categories: Categories) -> None:
    counts = _possible_categories(file)
    if counts and len(categories.ids) not in counts:
        raise CheckpointError(
            f"{file.path}: has {' or '.join(map(str, counts))} categories, the training "
            f"annotations have {len(categories.ids)}: choose the data set that it was trained on "
            "(data=…)"
        )
    label_of = {name: label for label, name in enumerate(categories.names)}
    for label, name in enumerate(file.category_names or ()):
        if label_of.get(name, label) != label and categories.names.count(name) == 1:
            raise CheckpointError(
                f"{file.path}: its label {label} is {written(name)}, which is label "
                f"{label_of[name]} in the training annotations: choose the data set that it was "
                "trained on (data=…)"
            )


def _possible_categories(file: PublishedFile) -> tuple[int, ...]:
    """C by the box regression; where all classes share one, by the names or the classifier."""
    regression, classifier = _box_head_part(file, REGRESSION), _box_head_part(file, CLASSIFIER)
    if regression is not None and len(regression) > 4:
        return (len(regression) // 4,)
    if file.category_names:
        return (len(file.category_names),)
    # With a logit of the background, as nearly always, or without one.
    return () if classifier is None else (len(classifier) - 1, len(classifier))


def _box_head_part(file: PublishedFile, name: str) -> Tensor | None:
    """A matrix of the first box head."""
    found = next((file.state[p + name] for p in FIRST_HEADS if p + name in file.state), None)
    return found if found is not None and found.ndim == 2 else None


def _advice(file: PublishedFile, categories: int) -> str:
    """Which heads the file fits."""
    classifier = _box_head_part(file, CLASSIFIER)
    if classifier is None:
        return ""
    spare = len(classifier) - categories
    found = f"\nIts classifier has {len(classifier)} logits for {categories} categories"
    for name, logits, options in HEADS:
        if _box_head_part(file, name) is not None and logits == spare:
            return f"{found} and fits {' or '.join(f'head={option}' for option in options)}"
    return f"{found}, which no head of ours has"
