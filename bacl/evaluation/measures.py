"""What a metric measures: it says so once, and tables, files and figures take it from there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

MASKS = "segm/"
"""What the names of the measures of masks begin with."""
Detail = Literal["main", "more", "all", "none"]
"""In which tables a measure has a column: in all, from those of a multirun on, in that of a run
alone, or in none."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that an evaluation gives for a head, in [0, 1], -1 with nothing to average."""

    name: str
    """In results.json, metrics.csv and the Python door."""
    title: str
    """Of its column in tables, where those of boxes and of masks are apart."""
    detail: Detail
    group: str | None = None
    """Key of the group of categories that it is of; None: of all of them."""
    of_masks: bool = False

    def as_masks(self) -> Self:
        """The same of masks."""
        return replace(self, name=f"{MASKS}{self.name}", of_masks=True)

    @property
    def family(self) -> str:
        """The title without the group: what the measure of all categories is called.

        >>> Measure("right_label_r", "right label_r", "main", "r").family
        'right label'
        """
        return self.title.removesuffix(f"_{self.group}")

    @property
    def full_title(self) -> str:
        """Where those of boxes and of masks stand beside each other."""
        return f"{self.title} masks" if self.of_masks else self.title


def shown_in(measures: Iterable[Measure], *details: Detail) -> list[Measure]:
    """The measures with a column in tables of these details."""
    return [measure for measure in measures if measure.detail in details]


def undeclared(names: Sequence[str]) -> list[Measure]:
    """The measures of results that say names alone, as those of version 0.1 do.

    >>> [each.title for each in undeclared(["AP", "AP50", "APs", "APr", "AP1", "AR@300"])]
    ['AP', 'AP50', 'AP_r', 'AP_1']
    """
    boxes = [name for name in names if not name.startswith(MASKS)]
    found = [_undeclared(name) for name in boxes]
    masks = [_undeclared(n.removeprefix(MASKS)).as_masks() for n in names if n not in boxes]
    return [measure for measure in (*found, *masks) if measure.detail != "none"]


def _undeclared(name: str) -> Measure:
    overall: dict[str, Detail] = {"AP": "main", "AP50": "more"}
    if name in overall:
        return Measure(name, name, overall[name])
    group = name.removeprefix("AP")
    if name.startswith("AP") and group not in ("75", "s", "m", "l"):
        return Measure(name, f"AP_{group}", "main", group)
    return Measure(name, name, "none")
