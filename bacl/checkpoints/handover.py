"""What a finished stage leaves: weights and statistics, with the categories they belong to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bacl.checkpoints.earlier import brought_up_to_date
from bacl.checkpoints.safetensors_file import read_safetensors
from bacl.checkpoints.structure import StructureError, check_structure
from bacl.data.annotations.table import AnnotationTable
from bacl.data.statistics import CategoryStatistics
from bacl.files.kinds import FINAL, UnreadableFileError, checkpoint_kind, is_safetensors
from bacl.files.saving import save
from bacl.files.state_dicts import misfits, not_finite, several
from bacl.files.torch_file import read_torch_file
from bacl.heads.predictors import class_module
from bacl.messages.errors import UserError

State = dict[str, Any]
TRAINING = "training"
"""Part of a file with the counts of its training data."""
THRESHOLDS = "thresholds"
"""Part of a file with thresholds of scores by head (`bacl.checkpoints.score_thresholds`)."""
CALIBRATION = ".calibration."
"""In the names of what a head's calibration has gathered, which a command may exchange."""


class CheckpointError(UserError, ValueError):
    """A checkpoint is missing, or belongs to another model or other categories."""


@dataclass(frozen=True)
class Categories:
    """The categories of a training file, in label order."""

    ids: list[int]
    names: list[str]
    training: CategoryStatistics | None = field(default=None, compare=False)
    """How often they occur in the training file; None where an earlier version wrote the file."""

    @classmethod
    def of(cls, table: AnnotationTable) -> "Categories":
        """Those of an annotation file that is trained on."""
        statistics = CategoryStatistics.of(table)
        return cls(table.category_ids.tolist(), list(table.category_names), statistics)

    def plain(self) -> dict[str, Any]:
        """Ids and names, for a file."""
        return {"ids": self.ids, "names": self.names}

    def check(self, other: "Categories", path: Path) -> None:
        """Refuse a checkpoint of other categories.

        Raises:
            CheckpointError: names the checkpoint and the first category that differs.
        """
        if len(self.ids) != len(other.ids):
            raise CheckpointError(
                f"{path}: trained on {len(other.ids)} categories, but the data has "
                f"{len(self.ids)}; use the data set it was trained on, or train anew"
            )
        mine, theirs = (
            zip(self.ids, self.names, strict=True),
            zip(other.ids, other.names, strict=True),
        )
        for label, (own, saved) in enumerate(zip(mine, theirs, strict=True)):
            if own != saved:
                raise CheckpointError(f"{path}: label {label} is {saved}, in the data it is {own}")


def save_stage(
    path: Path,
    detector: nn.Module,
    heads: Mapping[str, nn.Module],
    categories: Categories,
    config: dict[str, Any],
) -> None:
    """Write a stage's weights and buffers; readable with `torch.load(weights_only=True)`.

    A kill leaves the earlier file or the new one, never half of one.
    """
    content = {
        "detector": detector.state_dict(),
        "heads": {name: head.state_dict() for name, head in heads.items()},
        "categories": categories.plain(),
        "config": config,
    }
    if categories.training is not None:
        content[TRAINING] = categories.training.plain()
    save(content, path)


def load_stage(path: Path) -> State:
    """Read what `save_stage` wrote, or the same as a .safetensors file (`export.format`).

    Raises:
        CheckpointError: there is no such file, or it is no checkpoint of a finished stage, is
            damaged, or is not built as ours are.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name the final.ckpt of a stage in it")
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint; a stage writes its final.ckpt when it is finished, "
            "so train it first (without stage= and job= all are trained) or name another file"
        )
    try:
        content = read_safetensors(path) if is_safetensors(path) else read_torch_file(path)
        if (kind := checkpoint_kind(content)) != FINAL:
            raise UnreadableFileError(kind)
        check_structure(content)
    except UnreadableFileError as error:
        raise CheckpointError(
            f"{path}: no final.ckpt of a stage: {error}; nothing in it was executed. Copy it again "
            "from where it came, or delete it, and the same command trains its stage anew"
        ) from error
    except StructureError as error:
        raise CheckpointError(
            f"{path}: {error}; it was changed since it was trained: take the file that its run "
            "wrote, or train anew"
        ) from error
    return brought_up_to_date(content)


def saved_categories(content: State) -> Categories:
    """The categories a checkpoint was trained on."""
    ids, names = content["categories"]["ids"], content["categories"]["names"]
    counts = content.get(TRAINING)
    return Categories(ids, names, counts and CategoryStatistics.of_plain(names, counts))


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
