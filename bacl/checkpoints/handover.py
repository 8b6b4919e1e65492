"""What a finished stage leaves: weights and statistics, with the categories they belong to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from bacl.checkpoints.saving import save
from bacl.data.table import AnnotationTable
from bacl.errors import UserError

State = dict[str, Any]


class CheckpointError(UserError, ValueError):
    """A checkpoint is missing, or belongs to another model or other categories."""


@dataclass(frozen=True)
class Categories:
    """The categories of a training file, in label order."""

    ids: list[int]
    names: list[str]

    @classmethod
    def of(cls, table: AnnotationTable) -> "Categories":
        """Those of an annotation file."""
        return cls(table.category_ids.tolist(), list(table.category_names))

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
        "categories": asdict(categories),
        "config": config,
    }
    save(content, path)


def load_stage(path: Path) -> State:
    """Read what `save_stage` wrote.

    Raises:
        CheckpointError: there is no such file, or it is no checkpoint of a finished stage.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint; a stage writes its final.ckpt when it is finished, "
            "so train it first (without stage= and job= all are trained) or name another file"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, EOFError, OSError, RuntimeError, LookupError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged, or no checkpoint of this project; nothing in it was executed "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or not {"detector", "heads", "categories"} <= set(content):
        raise CheckpointError(
            f"{path}: not the final.ckpt of a stage (a last.ckpt only resumes its own run)"
        )
    return content


def saved_categories(content: State) -> Categories:
    """The categories a checkpoint was trained on."""
    return Categories(**content["categories"])


def fill(detector: nn.Module, heads: Mapping[str, nn.Module], content: State, path: Path) -> None:
    """Load a finished stage into one like it: the detector and every head that is asked for.

    Raises:
        CheckpointError: the file lacks a head, or is of other options.
    """
    load_strictly(detector, content["detector"], path)
    missing = set(heads) - set(content["heads"])
    if missing:
        raise CheckpointError(
            f"{path}: has no head {sorted(missing)}; its heads are {sorted(content['heads'])}"
        )
    for name, head in heads.items():
        load_strictly(head, content["heads"][name], path)


def inherit(detector: nn.Module, heads: nn.ModuleDict, content: State, path: Path) -> None:
    """Start a stage from another one: the detector, and its classifiers for every head (D18).

    The published second stage fine-tunes the first one's classifier and box regression, it does not
    start them anew. Statistics of the head (indicators, prototypes) start empty.
    """
    load_strictly(detector, content["detector"], path)
    if len(content["heads"]) != 1:
        raise CheckpointError(
            f"{path}: holds {len(content['heads'])} heads; a stage starts from one with one"
        )
    (source,) = content["heads"].values()
    for head in heads.values():
        for prefix, classifier in head.named_classifiers():  # type: ignore[operator]
            start = f"{prefix}predictor."
            predictor = {k.removeprefix(start): v for k, v in source.items() if k.startswith(start)}
            load_strictly(classifier.predictor, predictor, path)


def load_strictly(module: nn.Module, state: State, path: Path) -> None:
    """Load a state dict that must fit exactly.

    Raises:
        CheckpointError: lists by name what is missing, unexpected or of another shape.
    """
    own = module.state_dict()
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in own]
    problems += [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and isinstance(value, Tensor) and state[key].shape != value.shape
    ]
    if problems:
        shown = "; ".join(problems[:8]) + (
            f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        )
        raise CheckpointError(
            f"{path} does not fit this model ({shown}): was it trained with other options?"
        )
    module.load_state_dict(state)
