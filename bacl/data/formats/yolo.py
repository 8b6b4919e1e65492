"""Folders for YOLO: `data.yaml` names splits and categories, `labels/` mirrors `images/`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.labelled_folder import LabelledPicture, Objects
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
        content = read_yaml(self.file)
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
        told = [str(name) for name in names]
        if twice := sorted({name for name in told if told.count(name) > 1}):
            raise AnnotationError(self.file, "names", f"{written(twice[0])} is there twice")
        if self.content.get("nc") not in (None, len(told)):
            problem = f"{written(self.content['nc'])}, but there are {len(told)} names"
            raise AnnotationError(self.file, "nc", problem)
        return told

    def splits(self) -> dict[str, list[LabelledPicture]]:
        """See `LabelledFolder`."""
        given = {KEYS[key]: self.content[key] for key in KEYS if self.content.get(key)}
        if "train" not in given:
            raise AnnotationError(self.file, "train", "is missing, expected a folder of pictures")
        if "val" not in given or given["val"] == given["train"]:
            given = {"all": given["train"]}
        found = {split: list(self._pictures(split, value)) for split, value in given.items()}
        for split, pictures in found.items():
            if not pictures:
                raise AnnotationError(self.file, split, f"no pictures in {written(given[split])}")
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
                    labels = labels_of(path)
                    yield LabelledPicture(path, labels if labels.is_file() else None)

    def _of_place(self, place: Path) -> list[Path]:
        if place.is_dir():
            return pictures_in(place)
        return [self._listed(place, line) for line in _lines(place)]

    def _listed(self, file: Path, line: str) -> Path:
        path = next((x / line for x in (file.parent, self._base) if (x / line).is_file()), None)
        if path is None:
            raise AnnotationError(file, "", f"no picture {written(line)} in {self._base}")
        return path

    @cached_property
    def _base(self) -> Path:
        """The folder that splits are relative to; a `path` from elsewhere is not there any more."""
        said = self.root / str(self.content.get("path") or ".")
        return said if said.is_dir() else self.root

    def _place(self, split: str, text: Any) -> Path:
        inside = PurePosixPath(*(part for part in PurePosixPath(str(text)).parts if part != ".."))
        tried = [self._base / str(text), self.root / str(text), self.root / inside]
        for path in tried:
            if path.exists():
                return path
        raise AnnotationError(self.file, split, f"{written(text)}: there is no {tried[0]}")


def labels_of(picture: Path) -> Path:
    """Where the labels of a picture lie: in `labels` in the place of the last `images`.

    >>> labels_of(Path("mine/images/train/a.jpg")).as_posix()
    'mine/labels/train/a.txt'
    """
    parts: Sequence[str] = picture.parts
    last = max((n for n, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if last is None:
        return picture.with_suffix(".txt")
    return Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(file, "", f"is no list of pictures ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
