"""What a folder of another tool's annotations is, whatever the tool."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bacl.data.annotations.validation import AnnotationError
from bacl.messages.errors import UserError

TOLD = 5
"""Problems that a message names; the others are counted."""


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and the file of its objects."""

    picture: Path
    labels: Path | None
    """None for a picture without any: a negative."""


@dataclass(frozen=True)
class Objects:
    """What is annotated in a picture."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    records: Sequence[Mapping[str, Any]] = ()
    """Annotations as COCO has them (bbox in pixels, area, iscrowd, perhaps segmentation and
    ignore), with the `name` of the category, and without ids."""


class LabelledFolder(Protocol):
    """A folder that another tool laid out."""

    @property
    def told(self) -> str:
        """What it is, in words."""
        ...

    def splits(self) -> Mapping[str, Sequence[LabelledPicture]]:
        """Pictures in order by "train", "val" and others; a single "all" where it has no splits.

        Raises:
            UserError: something is missing; names it.
        """
        ...

    def names(self, objects: Iterable[Objects]) -> list[str]:
        """Names of all categories, in order.

        Args:
            objects: of all splits, for formats that list no categories.
        """
        ...

    def read(self, labelled: LabelledPicture) -> Objects:
        """Raises what `Problems` collects: errors of a picture or its labels."""
        ...


@dataclass
class Problems:
    """Errors of many files in one message."""

    told: list[str] = field(default_factory=list)

    def note(self, error: UserError) -> None:
        """Keep an error for the end."""
        self.told.append(str(error))

    def refuse(self) -> None:
        """Raise an AnnotationError with the first of them, if there are any."""
        if self.told:
            more = len(self.told) - TOLD
            lines = "\n  ".join(self.told[:TOLD]) + (f"\n  and {more} more" if more > 0 else "")
            raise LabelsError(f"{len(self.told)} files cannot be used:\n  {lines}")


class LabelsError(AnnotationError):
    """Files of labels that cannot be used; one line for each."""

    def __init__(self, text: str) -> None:
        UserError.__init__(self, text)
