"""What a check says: one finding for each kind of fault in a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

KEPT = 1000
"""Places of a finding that are named in the file; all are counted."""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """The training stops at it, or its results cannot be believed."""
    WARNING = "warning"
    """Something is lost, or likely wrong."""
    NOTE = "note"
    """Worth knowing; nothing to mend where it is meant."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault that a check looks for, in words."""

    kind: str
    """A name for programs, the same in every inspection."""
    severity: Severity
    what: str
    """What is told after the numbers, such as "boxes lie outside of their picture"."""
    follows: str
    """What it does to a training."""
    mend: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found: a picture, or annotations of it."""

    split: str
    image_id: int
    file_name: str
    annotation_ids: tuple[int, ...] = ()
    detail: str = ""
    """What of it, such as a size."""


Places = tuple[Place, ...]
"""Those that go together; mostly one."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How often a fault was found, and where."""

    fault: Fault
    split: str
    """`train` or `val`; `both` where it lies between them."""
    count: int
    total: int
    """Of which `count` is a part."""
    places: Sequence[Places] = ()
    """The first `KEPT`."""
    names: list[str] = field(default_factory=list)
    """Of categories, where the finding is of them."""

    @property
    def told(self) -> str:
        """The numbers and what."""
        return f"{self.count:,} of {self.total:,} {self.fault.what}"


def first(places: Iterable[Places]) -> list[Places]:
    """The first `KEPT` of them."""
    return list(islice(places, KEPT))
