"""What is told of the images of a training and a validation set before they are used."""

import hashlib
import logging
from collections.abc import Collection, Hashable, Sequence
from functools import cache
from pathlib import Path

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.cut_outs import CutOuts
from bacl.data.augmentation.instance_bank import InstanceBank
from bacl.data.dataset import DetectionDataset
from bacl.data.images.picture_check import check_pictures
from bacl.data.selection import shortened
from bacl.messages.errors import OptionError
from bacl.processes.distributed import gather_objects, process_rank

_LOG = logging.getLogger(__name__)
_CHECKED: set[Hashable] = set()
"""Pictures that this process found good."""


def listed_names(leave_out: str | Sequence[str] | None) -> frozenset[str]:
    """The file names that `datamodule.leave_out` gives, itself or in a text file, one a line.

    Raises:
        OptionError: there is no such text file.
    """
    if leave_out is None:
        return frozenset()
    if not isinstance(leave_out, str):
        return frozenset(map(str, leave_out))
    try:
        text = Path(leave_out).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OptionError(
            f"datamodule.leave_out={leave_out}: no text file that can be read ({error}); one name "
            "is given as a list, ['…']"
        ) from None
    return frozenset(line for line in text.splitlines() if line)


def require_named(names: Collection[str], tables: Sequence[AnnotationTable]) -> None:
    """Refuse names that are of no image.

    Raises:
        OptionError: tells the first of them.
    """
    if not names:
        return
    known = {name for table in tables for name in table.file_names()}
    wrong = sorted(set(names) - known)
    if wrong:
        files = " or ".join(dict.fromkeys(str(table.source) for table in tables))
        raise OptionError(
            f"datamodule.leave_out: {shortened(wrong)}: no file_name of an image of {files}"
        )


def tell_splits(splits: Sequence[DetectionDataset], masks: bool) -> None:
    """Say what is trained on, what is left out and which categories are lost with it."""
    for split in splits:
        if not split.keep_empty:
            _tell(logging.INFO, split.selection.summary())
            if lost := split.selection.lost_categories():
                _tell(
                    logging.WARNING,
                    f"{split.table.source.name}: {len(lost)} categories have objects in images "
                    f"left out alone and are never learnt: {shortened(lost)}",
                )
            if (cut_outs := _cut_outs(split)) is not None:
                _tell(logging.INFO, cut_outs.summary())
        if masks:
            _tell_boxes(split)


def tell_pictures(split: DetectionDataset) -> None:
    """Check the pictures of a split, and say how they are read; every process must call it.

    Once is enough: a later stage or validation of the same pictures begins at once.

    Raises:
        PictureError: names all pictures, or cut-outs, that cannot be used.
    """
    rows = split.records[~split.selection.named[split.records]]
    cut_outs = _cut_outs(split)
    bank = cut_outs and cut_outs.folder
    pictures = split.files.identity, hashlib.blake2b(rows.tobytes()).digest(), bank
    # Together, or those who check would wait for those who do not.
    if all(gather_objects(pictures in _CHECKED)):
        return
    for line in check_pictures(split.files, rows):
        _tell(logging.WARNING, line)
    if cut_outs is not None:
        cut_outs.check()
    _CHECKED.add(pictures)


def _cut_outs(split: DetectionDataset) -> CutOuts | None:
    """Those that are pasted into the split's pictures."""
    bank = getattr(split.transform, "bank", None)
    return bank.cut_outs if isinstance(bank, InstanceBank) else None


def _tell_boxes(split: DetectionDataset) -> None:
    count, total = split.table.report()["without_segmentation"], split.table.num_annotations
    if count:
        use = "is judged against" if split.keep_empty else "trains on"
        _tell(
            logging.WARNING,
            f"{split.table.source.name}: {count:,} of {total:,} annotations have no segmentation; "
            f"the mask branch {use} their filled boxes",
        )


def _tell(level: int, text: str) -> None:
    if process_rank() == 0:
        _tell_once(level, text)


@cache
def _tell_once(level: int, text: str) -> None:
    """Each line once per process: both stages have the same data."""
    _LOG.log(level, "%s", text)
