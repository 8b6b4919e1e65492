"""What the page is made of: a section reads the files of a run or its evaluations, and no others'.

Another section is one file in `sections/` with a `Section`, and its line in `contents.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bacl.data.datamodule import DetectionDataModule
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.telling_images import TellingImage
from bacl.reporting.figures.detection_grid import DetectionSample
from bacl.reporting.html.markup import Markup, element


class LeftOut(Exception):
    """A section has nothing to show: no error, the page says why in these words, and goes on."""


@dataclass(frozen=True)
class Source:
    """All that sections can read of a run."""

    folder: Path
    """Of the results, with results.json and whatever else was written."""
    evaluations: Mapping[str, Evaluation]
    """By variant; the first is what the others are compared with."""
    data: DetectionDataModule
    environment: Mapping[str, Any]
    """Command, commit and versions of this process."""
    pictures: Callable[[], Iterable[tuple[TellingImage, DetectionSample]]] = tuple
    """Validation images with what was found in them, loaded when they are asked for."""
    score_threshold: float | None = None
    """Of the pictures at first: one for all variants, or each one's own."""

    @property
    def first(self) -> Evaluation:
        """Of the reference."""
        return next(iter(self.evaluations.values()))

    @property
    def grouping(self) -> Grouping:
        """Of the categories."""
        return self.first.grouping

    @property
    def names(self) -> list[str]:
        """(C,) of the categories."""
        return list(self.data.val_table.category_names)

    def file(self, name: str) -> Path:
        """A file of the results, or of the run that they belong to.

        Raises:
            LeftOut: there is none.
        """
        inside = (folder / name for folder in (self.folder, *self.folder.parents[:2]))
        found = next((path for path in inside if path.is_file()), None)
        if found is None:
            raise LeftOut(f"there is no {name}")
        return found


@dataclass(frozen=True)
class Content:
    """What a section shows."""

    body: Markup
    """Empty where there are data alone, for other sections."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the page's scripts draw, as JSON knows it; empty where they draw nothing."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    `make` raises `LeftOut` where there is nothing to show.
    """

    key: str
    """Of its address, and of its data."""
    title: str
    make: Callable[[Any], Content]
    """Given the page's source: that of a run is a `Source`."""


def shade_class(grouping: Grouping, group: CategoryGroup) -> str:
    """The style of a group: from the tail on by number, the most frequent one's own."""
    place = [each.key for each in grouping.groups].index(group.key)
    return "head-group" if place == len(grouping.groups) - 1 else f"tail-{place % 4}"


def group_title(grouping: Grouping, group: CategoryGroup) -> Markup:
    """The name of a group with its colour, for a column."""
    return element("span", group.name, class_=f"group {shade_class(grouping, group)}")
