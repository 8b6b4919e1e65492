"""Folders of Pascal VOC: an XML file for each picture.

As the devkit lays them out (`Annotations`, `JPEGImages`, `ImageSets/Main/train.txt`), or with the
XML files beside the pictures in folders of splits (`train`, `valid`: Roboflow).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.labelled_folder import LabelledPicture, Objects
from bacl.data.formats.lookups import is_file, lines_of
from bacl.data.formats.upright_sizes import both_sizes
from bacl.data.formats.voc_xml import Described, read_xml
from bacl.messages.shown import written

SETS = Path("ImageSets", "Main")
ANNOTATIONS = "Annotations"
PLACES = ("JPEGImages", "images", "")
"""Folders beside `Annotations` that pictures are looked for in."""
FOLDERS = {"train": ("train",), "val": ("val", "valid")}
"""Of splits where the XML files lie beside the pictures."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG")
"""Of pictures called like their XML file."""
MARKS = {"-1", "0", "1"}
"""Of a category's list of pictures, after their names."""


class VOCFolder:
    """A folder with XML files.

    Boxes are pixels counted from 1, both ends inside of the box, as in the devkit. What is
    `difficult` is ignored: neither learned nor judged. A picture is called like its XML file, as in
    the devkit, whatever `filename` says, which copies and renamed files have from elsewhere; where
    there is no such picture it is the one that `filename` names.

    Args:
        root: the folder.
    """

    told = "a folder of Pascal VOC"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[Path, Described] = {}

    def splits(self) -> dict[str, list[LabelledPicture]]:
        """See `LabelledFolder`."""
        found = {split: files for split, files in self._files().items() if files}
        if not found:
            raise AnnotationError(self.root, "", f"no XML files, expected {ANNOTATIONS}/*.xml")
        if set(found) != {"train", "val"}:
            found = {"all": [path for files in found.values() for path in files]}
        pictures = {path: self._picture(path) for files in found.values() for path in files}
        _refuse_shared(pictures)
        return {
            split: [LabelledPicture(pictures[path], path) for path in files]
            for split, files in found.items()
        }

    def names(self, objects: Iterable[Objects]) -> list[str]:
        """In alphabetical order: the files list none."""
        return sorted({record["name"] for each in objects for record in each.records})

    def read(self, labelled: LabelledPicture) -> Objects:
        """See `LabelledFolder`."""
        assert labelled.labels is not None
        described = self._described(labelled.labels)
        stored, upright = both_sizes(labelled.picture)
        size = described.size or upright
        if size not in (stored, upright):
            raise AnnotationError(
                labelled.labels,
                "size",
                f"{size[0]} x {size[1]}, but the picture has {upright[0]} x {upright[1]} pixels: "
                "of another picture, or resized since? Where its boxes are right, take size out",
            )
        return described.objects(*size)

    def _described(self, path: Path) -> Described:
        if path not in self._read:
            self._read[path] = read_xml(path)
        return self._read[path]

    def _files(self) -> dict[str, list[Path]]:
        folder = self.root / ANNOTATIONS
        if not folder.is_dir():
            return {
                split: [path for name in names for path in sorted((self.root / name).glob("*.xml"))]
                for split, names in FOLDERS.items()
            }
        listed = {name: self.root / SETS / f"{name}.txt" for name in ("train", "val")}
        if not all(path.is_file() for path in listed.values()):
            return {"all": sorted(folder.glob("*.xml"))}
        return {name: self._listed(path) for name, path in listed.items()}

    def _listed(self, file: Path) -> list[Path]:
        return [self._of_line(file, line) for line in dict.fromkeys(lines_of(file))]

    def _of_line(self, file: Path, line: str) -> Path:
        name, _, mark = line.rpartition(" ")
        names = [line, *([name.strip()] if mark in MARKS else [])]  # a name may have spaces
        paths = [self.root / ANNOTATIONS / f"{each}.xml" for each in names]
        found = next(filter(is_file, paths), None)
        if found is None:
            raise AnnotationError(file, written(line), f"there is no {paths[-1]}")
        return found

    def _picture(self, path: Path) -> Path:
        beside = path.parent.name != ANNOTATIONS
        folders = [path.parent] if beside else [self.root / place for place in PLACES]
        alike = [folder / f"{path.stem}{suffix}" for folder in folders for suffix in SUFFIXES]
        own = list(filter(is_file, alike))
        if len(own) == 1:
            return own[0]
        told = self._described(path).filename
        named = [folder / told for folder in folders] if told else []
        there = [x for x in named if x in own] or own or list(filter(is_file, named))
        if not there:
            wanted = written(told or f"{path.stem}{SUFFIXES[0]}")
            places = " or ".join(map(str, folders))
            raise AnnotationError(path, "filename", f"no picture {wanted} in {places}")
        return there[0]


def _refuse_shared(pictures: Mapping[Path, Path]) -> None:
    """Refuse two files of one picture.

    Raises:
        AnnotationError: there are such.
    """
    owners: dict[Path, Path] = {}
    for path, picture in pictures.items():
        other = owners.setdefault(picture, path)
        if other != path:
            problem = f"{written(picture.name)} is the picture of {other.name} already"
            raise AnnotationError(path, "filename", problem)
