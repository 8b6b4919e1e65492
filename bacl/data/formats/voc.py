"""Folders of Pascal VOC: an XML file for each picture.

As the devkit lays them out (`Annotations`, `JPEGImages`, `ImageSets/Main/train.txt`), or with the
XML files beside the pictures in folders of splits (`train`, `valid`: Roboflow).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.labelled_folder import LabelledPicture, Objects
from bacl.data.formats.upright_sizes import upright_size
from bacl.data.formats.voc_xml import Described, read_xml
from bacl.messages.shown import written

SETS = Path("ImageSets", "Main")
ANNOTATIONS = "Annotations"
PLACES = ("JPEGImages", "images", "")
"""Folders beside `Annotations` that pictures are looked for in."""
FOLDERS = {"train": "train", "val": "val", "valid": "val"}
"""Of splits where the XML files lie beside the pictures."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG")
"""Tried where a file names no picture that is there."""


class VOCFolder:
    """A folder with XML files.

    Boxes are pixels counted from 1, both ends inside of the box, as in the devkit. What is
    `difficult` is ignored: neither learned nor judged.

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
        return {
            split: [LabelledPicture(self._picture(path), path) for path in files]
            for split, files in found.items()
        }

    def names(self, objects: Iterable[Objects]) -> list[str]:
        """In alphabetical order: the files list none."""
        return sorted({record["name"] for each in objects for record in each.records})

    def read(self, labelled: LabelledPicture) -> Objects:
        """See `LabelledFolder`."""
        assert labelled.labels is not None
        described = self._described(labelled.labels)
        return described.objects(*upright_size(labelled.picture))

    def _described(self, path: Path) -> Described:
        if path not in self._read:
            self._read[path] = read_xml(path)
        return self._read[path]

    def _files(self) -> dict[str, list[Path]]:
        folder = self.root / ANNOTATIONS
        if not folder.is_dir():
            return {
                split: sorted((self.root / name).glob("*.xml"))
                for name, split in FOLDERS.items()
                if (self.root / name).is_dir()
            }
        listed = {name: self.root / SETS / f"{name}.txt" for name in ("train", "val")}
        if not all(path.is_file() for path in listed.values()):
            return {"all": sorted(folder.glob("*.xml"))}
        return {name: self._listed(path) for name, path in listed.items()}

    def _listed(self, file: Path) -> list[Path]:
        words = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
        paths = [self.root / ANNOTATIONS / f"{word[0]}.xml" for word in words if word]
        for number, path in enumerate(paths, 1):
            if not path.is_file():
                raise AnnotationError(file, f"line {number}", f"there is no {path}")
        return paths

    def _picture(self, path: Path) -> Path:
        beside = path.parent.name != ANNOTATIONS
        folders = [path.parent] if beside else [self.root / place for place in PLACES]
        named = self._described(path).filename
        names: Sequence[str] = [*([Path(named).name] if named else [])]
        names = [*names, *(f"{path.stem}{suffix}" for suffix in SUFFIXES)]
        for folder in folders:
            for name in names:
                if (folder / name).is_file():
                    return folder / name
        places = " or ".join(map(str, folders))
        raise AnnotationError(path, "filename", f"no picture {written(names[0])} in {places}")
