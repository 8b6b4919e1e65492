"""Which categories of a trained detector are which of the data, by name.

C: categories of the data. G: categories of the detector.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from bacl.messages.errors import OptionError
from bacl.messages.shown import written

OPTION = "detector.init_names"


def normalised(name: str) -> str:
    """A name without regard to case, with each run of spaces and underscores as one space.

    >>> normalised("Traffic_Light "), normalised("bow_(weapon)")
    ('traffic light', 'bow (weapon)')
    """
    return " ".join(name.casefold().replace("_", " ").split())


@dataclass(frozen=True)
class CategoryMatch:
    """Where each category of the data finds its rows."""

    names: Sequence[str]
    """Of the C categories of the data, in label order."""
    sources: Sequence[str | None]
    """Of the G categories of the detector, in label order; None for one without a name."""
    rows: Sequence[int | None]
    """Label in the detector of each category of the data; None where it has none."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        sources: Sequence[str | None] | None,
        renamed: Mapping[str, str] | None = None,
    ) -> "CategoryMatch":
        """Categories that have the same name, or are said to be the same.

        A name is found as it is, or else `normalised`, if no other category of the detector is
        normalised to the same.

        Args:
            names: of the data.
            sources: of the detector; None where nobody knows them.
            renamed: names in the data by names in the detector, for those that differ.

        Raises:
            OptionError: `renamed` names what is not there.
        """
        lookup = _Lookup(list(sources or ()))
        said = {_known(new, names): lookup.asked(old) for old, new in (renamed or {}).items()}
        rows = [said[name] if name in said else lookup.found(name) for name in names]
        return cls(list(names), list(sources or ()), rows)

    @property
    def found(self) -> list[tuple[str, str]]:
        """Names in the data and in the detector of the categories that both have."""
        pairs = zip(self.names, self.rows, strict=True)
        return [(name, str(self.sources[row])) for name, row in pairs if row is not None]

    @property
    def new(self) -> list[str]:
        """Categories of the data that the detector has not."""
        return [name for name, row in zip(self.names, self.rows, strict=True) if row is None]

    @property
    def unused(self) -> list[str]:
        """Categories of the detector that the data have not."""
        taken = set(self.rows)
        sources = enumerate(self.sources)
        return [name for row, name in sources if name is not None and row not in taken]


class _Lookup:
    """Labels by name."""

    def __init__(self, names: Sequence[str | None]) -> None:
        self.names = [name for name in names if name is not None]
        rows = [(row, name) for row, name in enumerate(names) if name is not None]
        same, alike = Counter(self.names), Counter(map(normalised, self.names))
        self.exact = {name: row for row, name in rows if same[name] == 1}
        self.alike = {normalised(name): row for row, name in rows if alike[normalised(name)] == 1}

    def found(self, name: str) -> int | None:
        return self.exact.get(name, self.alike.get(normalised(name)))

    def asked(self, name: str) -> int:
        row = self.found(name)
        if row is None:
            raise OptionError(f"{OPTION}: {_unknown(name, self.names, 'the detector')}")
        return row


def _known(name: str, names: Sequence[str]) -> str:
    found = [each for each in names if each == name]
    found = found or [each for each in names if normalised(each) == normalised(name)]
    if not found:
        raise OptionError(f"{OPTION}: {_unknown(name, names, 'the training annotations')}")
    return found[0]


def _unknown(name: str, names: Sequence[str], whose: str) -> str:
    near = get_close_matches(name, names, n=3)
    told = f"; did you mean {', '.join(map(written, near))}?" if near else ""
    return f"{written(name)} is no category of {whose}{told}"
