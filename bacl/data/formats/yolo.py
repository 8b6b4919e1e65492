"""Folders for YOLO: `data.yaml` names splits and categories, `labels/` mirrors `images/`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.labelled_folder import LabelledPicture, Objects
from bacl.data.formats.lookups import is_below, is_file, is_there, lines_of, plain_path
from bacl.data.formats.upright_sizes import pictures_in, upright_size
from bacl.data.formats.yolo_labels import read_labels
from bacl.files.plain_values import read_yaml
from bacl.messages.errors import UserError
from bacl.messages.shown import written

KEYS = {"train": "train", "val": "val", "valid": "val"}
"""Of splits in data.yaml, and what they are called here. A test split is not read."""


class YOLOFolder:
    """A folder with a `data.yaml` as Ultralytics and Roboflow write it.

    Its `path` is relative to the file, and so are the splits, each a folder, a list of folders or a
    text file with a picture on each line. Roboflow's `../train/images` lies beside the file.
    Labels of `…/images/a.jpg` are `…/labels/a.txt`; a picture without such a file, or with an
    empty one, has no objects.

    Args:
        root: the folder with the file.
    """

    told = "a folder for YOLO"

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def file(self) -> Path:
        """The file that describes it.

        Raises:
            UserError: there is none, or there are several.
        """
        listed = sorted({*self.root.glob("*.yaml"), *self.root.glob("*.yml")})
        named = [path for path in listed if path.stem in ("data", "dataset")] or listed
        if len(named) != 1:
            found = ", ".join(path.name for path in named) or "none"
            raise UserError(
                f"{self.root}: expected one file data.yaml that names splits and categories, found "
                f"{found}. It has lines such as\n  train: images/train\n  val: images/val\n"
                "  names: [cat, dog]"
            )
        return named[0]

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """What that file says."""
        content = read_yaml(self.file, "mend it")
        if not isinstance(content, dict):
            raise AnnotationError(self.file, "", "is no list of names, expected train, val, names")
        return content

    @cached_property
    def categories(self) -> list[str]:
        """Names in order of the classes' numbers.

        Raises:
            AnnotationError: there are none, or their numbers have gaps.
        """
        names = self.content.get("names")
        if isinstance(names, dict):
            if sorted(names, key=str) != sorted(range(len(names)), key=str):
                raise AnnotationError(self.file, "names", "expected the numbers 0, 1, 2, … as keys")
            names = [names[number] for number in range(len(names))]
        if not isinstance(names, list) or not names:
            problem = "is missing" if names is None else f"{written(names)}"
            raise AnnotationError(self.file, "names", f"{problem}, expected a list of names")
        if unquoted := [x for x in names if isinstance(x, bool) or not isinstance(x, str | int)]:
            problem = f"{written(unquoted[0])} is no text: put quotes around the name"
            raise AnnotationError(self.file, "names", problem)
        told = [str(name) for name in names]
        if twice := sorted(name for name, count in Counter(told).items() if count > 1):
            raise AnnotationError(self.file, "names", f"{written(twice[0])} is there twice")
        if self.content.get("nc") not in (None, len(told)):
            problem = f"{written(self.content['nc'])}, but there are {len(told)} names"
            raise AnnotationError(self.file, "nc", problem)
        return told

    def splits(self) -> dict[str, list[LabelledPicture]]:
        """See `LabelledFolder`."""
        given = {KEYS[key]: self.content[key] for key in KEYS if self.content.get(key)}
        _ = self.categories  # what is wrong with them is told once, and first
        if "train" not in given:
            raise AnnotationError(self.file, "train", "is missing, expected a folder of pictures")
        if "val" not in given or given["val"] == given["train"]:
            given = {"all": given["train"]}
        found = {split: list(self._pictures(split, value)) for split, value in given.items()}
        for split, pictures in found.items():
            if not pictures:
                raise AnnotationError(self.file, split, f"no pictures in {written(given[split])}")
            if all(each.labels is None for each in pictures):
                expected = labels_of(pictures[0].picture, self.root)
                problem = f"{len(pictures):,} pictures, none with labels: there is no {expected}"
                raise AnnotationError(self.file, split, problem)
        return found

    def names(self, objects: Iterable[Objects]) -> list[str]:
        """See `LabelledFolder`."""
        return self.categories

    def read(self, labelled: LabelledPicture) -> Objects:
        """See `LabelledFolder`."""
        width, height = upright_size(labelled.picture)
        if labelled.labels is None:
            return Objects(width, height)
        records = read_labels(labelled.labels, self.categories, width, height)
        return Objects(width, height, records)

    def _pictures(self, split: str, value: Any) -> Iterator[LabelledPicture]:
        places = value if isinstance(value, list) else [value]
        seen: set[Path] = set()
        for text in places:
            for path in self._of_place(self._place(split, text)):
                if path not in seen:
                    seen.add(path)
                    labels = labels_of(path, self.root)
                    if is_there(labels) and not is_file(labels):
                        raise AnnotationError(labels, "", "is no file")
                    yield LabelledPicture(path, labels if is_file(labels) else None)

    def _of_place(self, place: Path) -> list[Path]:
        if place.is_dir():
            return pictures_in(place)
        return [plain_path(self._listed(place, line)) for line in lines_of(place)]

    def _listed(self, file: Path, line: str) -> Path:
        texts = (line, line.replace("\\", "/"))  # as it is, and as Windows writes it
        tried = (folder / text for text in texts for folder in (file.parent, self._base))
        path = next(filter(is_file, tried), None)
        if path is None:
            raise AnnotationError(file, "", f"no picture {written(line)} in {self._base}")
        return self._inside(path)

    def _inside(self, path: Path) -> Path:
        if not is_below(path, self.root):
            problem = f"{written(str(path))} lies outside: data.root=… is to be around"
            raise AnnotationError(self.file, "", problem)
        return path

    @cached_property
    def _base(self) -> Path:
        """The folder that splits are relative to; a `path` from elsewhere is not there any more."""
        said = self.root / str(self.content.get("path") or ".")
        return said if said.is_dir() else self.root

    def _place(self, split: str, given: Any) -> Path:
        """Where a split lies; rather below the folder than beside it."""
        text = str(given) if is_there(self._base / str(given)) else str(given).replace("\\", "/")
        inside = PurePosixPath(*(part for part in PurePosixPath(text).parts if part != ".."))
        tried = [plain_path(x) for x in (self._base / text, self.root / text, self.root / inside)]
        for path in sorted(tried, key=lambda path: not is_below(path, self.root)):
            if is_there(path):
                return self._inside(path)
        raise AnnotationError(self.file, split, f"{written(given)}: there is no {tried[0]}")


def labels_of(picture: Path, root: Path) -> Path:
    """Where the labels of a picture lie: in `labels` in the place of the last `images`.

    Args:
        picture: its path, below `root`.
        root: the folder with all; what it is called itself and where it lies does not matter.

    >>> labels_of(Path("images/mine/images/train/a.jpg"), Path("images/mine")).as_posix()
    'images/mine/labels/train/a.txt'
    """
    parts = Path(os.path.relpath(picture, root)).parts
    last = max((n for n, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if last is None:
        return picture.with_suffix(".txt")
    return Path(root, *parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
