"""One annotation file as two, for training and validation, by a draw of its pictures."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.annotations.choice_writer import START, write_choice
from bacl.data.annotations.table import AnnotationTable
from bacl.messages.errors import OptionError
from bacl.options.marks import Free
from bacl.options.ranges import File, Probability, Seed

_LOG = logging.getLogger(__name__)

INFO = "split"
"""Key of what a file of a split says of it."""
_LONGEST_INFO = 1 << 12  # characters


@dataclass(frozen=True)
class SplitBuilder:
    """Makes both files where they are missing; those of another draw are refused.

    A picture that is the last one of a category stays in the training, so that no category has
    validation pictures alone; a category with a single picture is not judged.

    Args:
        source: a COCO- or LVIS-format json.
        train: the file to train on.
        val: the file to evaluate on.
        share: of the pictures, for validation.
        seed: of the draw.
    """

    source: Free[File]
    train: Free[File]
    val: Free[File]
    share: Probability
    seed: Seed

    def __call__(self) -> None:
        """Make the files.

        Raises:
            AnnotationError: the source is bad.
            OptionError: the files there are of another draw, or no picture can be spared.
        """
        source, train, val = map(Path, (self.source, self.train, self.val))
        told = {"source": source.name, "share": self.share, "seed": self.seed}
        if train.is_file() and val.is_file():
            for file in (train, val):
                _require_same(file, told)
            return
        table = AnnotationTable.open(source)
        judged = chosen_for_validation(table, self.share, self.seed)
        if not judged.any():
            raise OptionError(
                f"data.builder.share={self.share}: of {table.num_images} pictures of {source} none "
                "can be spared for validation; take a larger share, or more pictures"
            )
        ids = set(table.image_ids[judged].tolist())
        _write(source, val, told | {"part": "val"}, ids, inside=True)
        _write(source, train, told | {"part": "train"}, ids, inside=False)
        _LOG.info(
            "%s: %d pictures for training (%s), %d for validation (%s), drawn with seed %d",
            *(source.name, table.num_images - len(ids), train, len(ids), val, self.seed),
        )


def chosen_for_validation(table: AnnotationTable, share: float, seed: int) -> np.ndarray:
    """(I,) bool: pictures in a random order, up to a share of them, that leave no category alone.

    Args:
        table: of I pictures.
        share: of the pictures, in (0, 1).
        seed: of the order.
    """
    missing = round(share * table.num_images)
    left, chosen = table.image_counts.copy(), np.zeros(table.num_images, bool)
    labels, counted = table.labels, ~table.ignore
    for image in np.random.default_rng(seed).permutation(table.num_images).tolist():
        if not missing:
            break
        rows = table.rows(image)
        shown = np.unique(labels[rows][counted[rows]])
        if (left[shown] > 1).all():
            left[shown] -= 1
            chosen[image] = True
            missing -= 1
    return chosen


def _write(source: Path, target: Path, told: dict[str, Any], ids: set[int], inside: bool) -> None:
    def keeps(section: str, number: int, record: Any) -> bool:
        if section == "categories":
            return True
        return (record["id" if section == "images" else "image_id"] in ids) == inside

    write_choice(source, target, {INFO: told}, keeps)


def _require_same(file: Path, told: dict[str, Any]) -> None:
    with file.open(encoding="utf-8", errors="replace") as opened:
        start = opened.read(_LONGEST_INFO)
    try:
        info, _ = json.JSONDecoder().raw_decode(start, len(START))
        made = {key: info[INFO][key] for key in told}
    except (ValueError, LookupError, TypeError):
        made = None
    if made != told:
        how = f"of another draw ({made})" if made else "not made by this split"
        raise OptionError(
            f"{file} is {how}, asked for is {told}: delete it and its neighbour, or train on them "
            "with data=custom"
        )
