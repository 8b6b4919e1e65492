"""yolo_<head>/: what was accepted as YOLO's text files, one for each picture."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Self

import yaml

from bacl.data.batch import Detections
from bacl.files.atomic import replacing
from bacl.prediction.output import Predicted

DATA, LABELS = "data.yaml", "labels"


class YoloFiles(ExitStack):
    """labels/<picture>.txt with "class x y width height score" of each box; data.yaml at the end.

    The class is the category's place in data.yaml, from 0; centre and sides are parts of the
    picture's, in [0, 1]. A picture without detections has an empty file. Masks are left out.

    Args:
        output: the folder.
        heads: names.
        names: of the categories, by label.
    """

    def __init__(self, output: Path, heads: Sequence[str], names: Sequence[str]) -> None:
        super().__init__()
        self._folders = {head: output / f"yolo_{head}" for head in heads}
        self._names = names

    def __enter__(self) -> Self:
        self.push(self._finish)
        return self

    def _finish(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            return
        # Not json's escapes, which YAML mostly shares: it makes no emoji of two halves.
        said = {"names": dict(enumerate(self._names))}
        text = yaml.safe_dump(said, allow_unicode=True, width=float("inf"))
        for folder in self._folders.values():
            with replacing(folder / DATA) as path:
                path.write_text(text, encoding="utf-8")

    def write(self, batch: Predicted) -> None:
        """A file for each picture of a batch."""
        for head, folder in self._folders.items():
            of_pictures = zip(batch.targets, batch.named, batch.accepted[head], strict=True)
            for target, named, found in of_pictures:
                with replacing(folder / LABELS / named.label) as path:
                    path.write_text(yolo_lines(found, target.original_size), encoding="ascii")

    def files(self, batch: Predicted) -> list[Path]:
        """See `Output`."""
        names = [DATA, *(f"{LABELS}/{named.label}" for named in batch.named)]
        return [folder / name for folder in self._folders.values() for name in names]


def yolo_lines(found: Detections, size: tuple[int, int]) -> str:
    r"""A line for each detection.

    Args:
        found: in pixels of the picture.
        size: height and width of the picture.

    >>> import torch
    >>> box = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    >>> yolo_lines(Detections(box, torch.tensor([0.5]), torch.tensor([3])), (80, 40))
    '3 0.500000 0.500000 0.500000 0.500000 0.500000\n'
    """
    height, width = size
    lines = []
    columns = zip(found.labels.tolist(), found.boxes.tolist(), found.scores.tolist(), strict=True)
    for label, (left, top, right, bottom), score in columns:
        centre = (left + right) / 2 / width, (top + bottom) / 2 / height
        sides = (right - left) / width, (bottom - top) / height
        lines.append(" ".join([str(label), *(f"{x:.6f}" for x in (*centre, *sides, score))]))
    return "".join(f"{line}\n" for line in lines)


def label_names(names: Collection[str]) -> dict[str, str]:
    """The text file of each picture, which tools look for under the picture's name without its end.

    Pictures that differ in nothing but that end have their whole names in their files' names.

    >>> label_names(["a.jpg", "a.png", "b.jpg", "c/a.jpg"])
    {'a.jpg': 'a.jpg.txt', 'a.png': 'a.png.txt', 'b.jpg': 'b.txt', 'c/a.jpg': 'c/a.txt'}
    """
    stems = {name: PurePosixPath(name).with_suffix("").as_posix() for name in names}
    counts = Counter(stems.values())
    taken = {stem for stem, count in counts.items() if count == 1}
    labels = {}
    for name, stem in stems.items():
        own = stem if stem in taken else name
        while own is not stem and own in taken:
            own += ".txt"
        taken.add(own)
        labels[name] = f"{own}.txt"
    return labels
