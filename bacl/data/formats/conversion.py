"""Makes jsons of a folder of another tool's annotations, where its files say something new."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacl.data.annotations.choice_writer import START
from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.coco_json import INFO, Pictures, coco_json, summary
from bacl.data.formats.labelled_folder import LabelledFolder, LabelledPicture, Objects, Problems
from bacl.data.formats.lookups import is_below, plain_path
from bacl.data.formats.voc import VOCFolder
from bacl.data.formats.yolo import YOLOFolder
from bacl.files.atomic import replacing
from bacl.files.digests import Memory, known_digest
from bacl.messages.errors import OptionError, UserError
from bacl.messages.shown import typed_option, written
from bacl.options.marks import Free
from bacl.options.ranges import File

_LOG = logging.getLogger(__name__)

LAYOUT = 2
"""Of what is written; another one is made anew."""
ALL = "all.json"
"""File of a folder without splits."""
_LONGEST_INFO = 1 << 12  # characters

Read = Mapping[str, Pictures]
"""By split."""


@dataclass(frozen=True)
class FolderConverter:
    """Makes a COCO-format json of each split; what is as it was is not read again.

    A folder without splits becomes one file, `all.json`, that `data=split` makes two of.

    Args:
        root: the folder.
        train: the file to train on.
        val: the file to evaluate on.
    """

    root: Free[File]
    train: Free[File]
    val: Free[File]

    @property
    def folder(self) -> LabelledFolder:
        """What `root` is."""
        raise NotImplementedError

    def __call__(self) -> None:
        """Make the files.

        Raises:
            AnnotationError: files of labels are bad, one line for each.
            OptionError: other files lie in the place of these, or there is no split.
        """
        root = Path(self.root)
        folder = self.folder
        splits = folder.splits()
        targets = {"train": Path(self.train), "val": Path(self.val), "all": root / ALL}
        digest = _digest(root, splits)
        made = {split: {"from": folder.told, "digest": digest, "split": split} for split in splits}
        wanted = {split: told for split, told in made.items() if split in targets}
        if not all(_is_made(targets[split], told) for split, told in wanted.items()):
            self._make(folder, splits, {split: (targets[split], x) for split, x in wanted.items()})
        if "all" in wanted:
            raise OptionError(
                f"{root}: it does not say which pictures are for validation; all are in "
                f"{root / ALL}. To split them, a fifth for validation: "
                f"python run.py job=prepare data=split {typed_option('data.root', root)}"
            )

    def _make(
        self,
        folder: LabelledFolder,
        splits: Mapping[str, Sequence[LabelledPicture]],
        targets: Mapping[str, tuple[Path, dict[str, Any]]],
    ) -> None:
        read = _read(Path(self.root), folder, splits)
        names = folder.names(each for pictures in read.values() for _, each in pictures)
        _tell_shared(read)
        for split, (target, told) in targets.items():
            with replacing(target) as path, path.open("w", encoding="utf-8") as file:
                file.writelines(coco_json(read[split], names, told))
            _LOG.info("%s: %s", target, summary(read[split], names))


@dataclass(frozen=True)
class YOLOConverter(FolderConverter):
    """Of a folder with a `data.yaml` (`bacl.data.formats.yolo`)."""

    @property
    def folder(self) -> LabelledFolder:
        """The folder for YOLO."""
        return YOLOFolder(Path(self.root))


@dataclass(frozen=True)
class VOCConverter(FolderConverter):
    """Of a folder of Pascal VOC (`bacl.data.formats.voc`)."""

    @property
    def folder(self) -> LabelledFolder:
        """The folder of Pascal VOC."""
        return VOCFolder(Path(self.root))


def _digest(root: Path, splits: Mapping[str, Sequence[LabelledPicture]]) -> str:
    """Of all that is read: labels and whose they are, names and sizes of pictures, data.yaml."""
    pictures = [(split, each) for split, several in splits.items() for each in several]
    labels = [each.labels for _, each in pictures if each.labels is not None]
    files = [*sorted(root.glob("*.y*ml")), *labels]
    whole = hashlib.blake2b(digest_size=16)
    whole.update(known_digest(files, f"labels of {root.resolve()}", Memory.of_user()).encode())
    for split, each in pictures:
        of = f"{split} {each.picture} {each.picture.stat().st_size} {each.labels}"
        whole.update(os.fsencode(f"{of}\n"))
    return f"{whole.hexdigest()} v{LAYOUT}"


def _is_made(target: Path, told: Mapping[str, Any]) -> bool:
    """Whether a file is there and says this of itself.

    Raises:
        OptionError: it was made by something else.
    """
    if not target.is_file():
        return False
    with target.open(encoding="utf-8", errors="replace") as opened:
        start = opened.read(_LONGEST_INFO)
    try:
        info = json.JSONDecoder().raw_decode(start, len(START))[0][INFO]
        same = info == told
    except (ValueError, LookupError, TypeError):
        raise OptionError(
            f"{target} was not made of the labels beside it: delete it, or train on it with "
            "data=custom"
        ) from None
    return same


def _read(
    root: Path, folder: LabelledFolder, splits: Mapping[str, Sequence[LabelledPicture]]
) -> Read:
    problems, read = Problems(), dict[str, list[tuple[str, Objects]]]()
    for split, pictures in splits.items():
        read[split] = []
        for each in pictures:
            try:
                read[split].append((_name(root, each.picture), folder.read(each)))
            except UserError as error:
                problems.note(error)
    problems.refuse()
    return read


def _name(root: Path, picture: Path) -> str:
    if not is_below(picture, root):
        problem = f"the picture {written(str(picture))} lies outside: data.root=… is to be around"
        raise AnnotationError(root, "", problem)
    return Path(os.path.relpath(plain_path(picture), root)).as_posix()


def _tell_shared(read: Read) -> None:
    """Warn of pictures of more than one split."""
    named = [{name for name, _ in pictures} for pictures in read.values()]
    if shared := sorted(set.intersection(*named)) if len(named) > 1 else []:
        _LOG.warning(
            "%s and %d more pictures are for training and for validation: AP is then of what was "
            "learnt; take them out of one of the two", written(shared[0]), len(shared) - 1,
        )  # fmt: skip
