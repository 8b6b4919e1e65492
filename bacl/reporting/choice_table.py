"""Why a head was chosen: a table of all variants, and what may be expected of the choice."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bacl.evaluation.choice import Choice, is_tie
from bacl.evaluation.sample import Sample
from bacl.files.atomic import replacing
from bacl.messages.shown import as_markdown, shown

SHOWN = 10
"""Variants on the screen; all are in the file."""


@dataclass(frozen=True)
class ChoiceResults:
    """Of a choice that is made."""

    choice: Choice
    winner: str
    """By all images."""
    of_reference: Sequence[str]
    """The reference, and the reference with each of the calibrations."""

    @property
    def titles(self) -> list[str]:
        """Of the columns after the name."""
        keys = [group.key for group in self._grouping.present]
        groups = " / ".join(keys)
        return [self.choice.criterion.title, groups, f"AP ({groups})", "over the reference"]

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Name and cells of every variant, the best first."""
        values = {n: self.choice.criterion.value(s) for n, s in self.choice.samples.items()}
        order = sorted(values, key=lambda name: -values[name])
        return [(name, self._cells(name, self.choice.samples[name])) for name in order]

    @property
    def sentences(self) -> Iterator[str]:
        """What was chosen, what may be expected of it, and how sure that is."""
        fitted = self.choice.cross_fitted()
        halves = " and ".join(fitted.of_halves)
        yield f"Chosen by all images: {self.winner}; by the halves of them: {halves}."
        yield (
            "Expected, each half judged by what the other half chose: "
            f"{self._told(fitted.sample)}; the reference {self.choice.reference}: "
            f"{self._told(self.choice.samples[self.choice.reference])}."
        )
        change, error = self.choice.difference(fitted.sample)
        verdict = "a tie, within two standard errors" if is_tie(change, error) else "a difference"
        yield f"Over the reference {_change(change, error)}: {verdict}."
        if len(self.of_reference) > 1:
            free = self.choice.cross_fitted(self.of_reference)
            yield (
                f"Without another head, the reference's best calibration, chosen likewise "
                f"({' and '.join(free.of_halves)}): {self._told(free.sample)}."
            )
        if self.choice.price is not None:
            yield (
                f"Only what lowers the most frequent group by no more than "
                f"{100 * self.choice.price:g} points was chosen from."
            )

    def markdown(self) -> str:
        """Table and sentences."""
        titles = self.titles
        lines = ["| variant | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
        for name, cells in self.rows:
            told = as_markdown(shown(name))
            told = f"**{told}**" if name == self.winner else told
            lines.append(f"| {told} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *[f"- {each}" for each in self.sentences]]) + "\n"

    def console_table(self) -> Table:
        """The best on the screen, the reference among them, and the sentences."""
        table = Table(title="Choice", caption="\n".join(self.sentences), caption_justify="left")
        table.add_column("variant", no_wrap=True)
        for title in self.titles:
            table.add_column(title, justify="right", no_wrap=title != self.titles[0])
        kept = {self.winner, self.choice.reference}
        for place, (name, cells) in enumerate(self.rows):
            if place < SHOWN or name in kept:
                style = "bold" if name == self.winner else ""
                table.add_row(Text(shown(name)), *cells, style=style)
        return table

    def write_json(self, path: Path) -> None:
        """Everything as numbers, as a whole or not at all."""
        fitted = self.choice.cross_fitted()
        change, error = self.choice.difference(fitted.sample)
        content: dict[str, Any] = {
            "winner": self.winner,
            "reference": self.choice.reference,
            "criterion": self.choice.criterion.title,
            "price": self.choice.price,
            "halves": fitted.of_halves,
            "expected": self._numbers(fitted.sample),
            "difference": change,
            "standard_error": error,
            "tie": is_tie(change, error),
            "variants": {name: self._numbers(each) for name, each in self.choice.samples.items()},
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @property
    def _grouping(self) -> Any:
        return self.choice.samples[self.choice.reference].grouping

    def _cells(self, name: str, sample: Sample) -> list[str]:
        criterion = self.choice.criterion
        own = criterion.value(self.choice.samples[self.choice.reference])
        change = f"{100 * (criterion.value(sample) - own):+.1f}"
        groups = criterion.of_groups(sample)
        return [
            _percent(criterion.value(sample)),
            " / ".join(_percent(groups[group.key]) for group in self._grouping.present),
            self._precision(sample),
            "" if name == self.choice.reference else change,
        ]

    def _precision(self, sample: Sample) -> str:
        groups = [sample.measures[group.measure.name] for group in self._grouping.present]
        return f"{_percent(sample.measures['AP'])} ({' / '.join(map(_percent, groups))})"

    def _told(self, sample: Sample) -> str:
        value = _percent(self.choice.criterion.value(sample))
        return f"{self.choice.criterion.title} {value}, AP {self._precision(sample)}"

    def _numbers(self, sample: Sample) -> dict[str, Any]:
        return {
            "value": self.choice.criterion.value(sample),
            "groups": self.choice.criterion.of_groups(sample),
            "right_label": sample.right_labels.share(),
            "measures": dict(sample.measures),
        }


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value >= 0 else "–"


def _change(change: float, error: float) -> str:
    return f"{100 * change:+.1f} ± {100 * error:.1f}"
