"""What a finished stage leaves: weights and statistics, with the categories they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from bacl.checkpoints.earlier import brought_up_to_date
from bacl.checkpoints.safetensors_file import read_safetensors
from bacl.checkpoints.structure import StructureError, check_structure
from bacl.data.annotations.table import AnnotationTable
from bacl.data.statistics import CategoryStatistics
from bacl.files.kinds import FINAL, UnreadableFileError, checkpoint_kind, is_safetensors
from bacl.files.saving import save
from bacl.files.torch_file import read_torch_file
from bacl.messages.errors import UserError

State = dict[str, Any]
TRAINING = "training"
"""Part of a file with the counts of its training data."""
THRESHOLDS = "thresholds"
"""Part of a file with thresholds of scores by head (`bacl.checkpoints.score_thresholds`)."""


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
    thresholds: Mapping[str, Any] | None = None,
) -> None:
    """Write a stage's weights and buffers; readable with `torch.load(weights_only=True)`.

    A kill leaves the earlier file or the new one, never half of one.

    Args:
        path: of the file.
        detector: everything but the heads.
        heads: by name.
        categories: that it was trained on.
        config: its own, plain.
        thresholds: of scores by head, plain, where they are known by now; see `score_thresholds`.
    """
    content = {
        "detector": detector.state_dict(),
        "heads": {name: head.state_dict() for name, head in heads.items()},
        "categories": categories.plain(),
        "config": config,
    }
    if categories.training is not None:
        content[TRAINING] = categories.training.plain()
    if thresholds:
        content[THRESHOLDS] = dict(thresholds)
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
