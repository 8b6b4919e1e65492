"""Why a head was chosen: a table of all variants, and what may be expected of the choice."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bacl.evaluation.choice import Choice, CrossFitted, Decision
from bacl.evaluation.sample import Sample
from bacl.files.atomic import replacing
from bacl.messages.shown import as_markdown, shown

SHOWN = 10
"""Variants on the screen; all are in the file."""


@dataclass(frozen=True)
class ChoiceResults:
    """Of a choice among heads as they are and with calibrations."""

    choice: Choice
    untried: Sequence[str] = ()
    """Heads with calibrations that they cannot have, and why."""
    part: str = ""
    """Of the images, where not all were judged; see `Evaluation.part`."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Why there is nothing of some heads, or calibrated ones, to choose."""

    @property
    def decision(self) -> Decision:
        """What is to be taken."""
        return self.choice.decision

    @property
    def titles(self) -> list[str]:
        """Of the columns after the name."""
        keys = [group.key for group in self._grouping.present]
        groups = " / ".join(keys)
        return ["value", groups, f"AP ({groups})", "change"]

    @cached_property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Name and cells of every variant, the best first."""
        values = {n: self.choice.criterion.value(s) for n, s in self.choice.samples.items()}
        order = sorted(values, key=lambda name: -values[name])
        return [(name, self._cells(name, self.choice.samples[name])) for name in order]

    @cached_property
    def sentences(self) -> list[str]:
        """What was chosen, what may be expected of it, and how sure that is."""
        made, reference = self.decision, self.choice.reference
        halves = " and ".join(made.fitted.of_halves)
        told = [
            f"Best by all images: {made.best}; by the halves of them: {halves}.",
            f"Expected of it, each half judged by what the other half chose: "
            f"{self._told_of(made.fitted)}; of the reference {reference} in the same halves: "
            f"{self._told_of(self._reference_of_halves)}.",
            f"Over the reference {_change(made.change, made.error)}: {made.verdict}. "
            f"Chosen: {made.chosen}.",
        ]
        if own := self._of_reference:
            free = self.choice.cross_fitted([reference, *own])
            told.append(
                f"Without another head, the reference's best calibration, chosen likewise "
                f"({' and '.join(free.of_halves)}): {self._told_of(free)}."
            )
        if self.choice.price is not None:
            points = f"{100 * self.choice.price:g} points"
            told.append(
                f"Nothing was taken that lowers the most frequent group by more than {points}."
            )
        if self.part:
            told.append(f"Judged on {self.part}.")
        told += [f"Left out: {name}: {why}" for name, why in self.lost.items()]
        return [*told, *(f"Not tried: {each}" for each in self.untried)]

    @cached_property
    def _reference_of_halves(self) -> CrossFitted:
        """The reference judged as the choice is: an AP of few images is not one of all."""
        return self.choice.cross_fitted([self.choice.reference])

    @property
    def _of_reference(self) -> list[str]:
        """The reference with each of the calibrations."""
        heads, own = self.choice.heads or {}, self.choice.reference
        return [name for name, head in heads.items() if head == own and name != own]

    def markdown(self) -> str:
        """Table and sentences."""
        titles = [self.choice.criterion.title, *self.titles[1:-1], "over the reference"]
        lines = ["| variant | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
        for name, cells in self.rows:
            told = as_markdown(shown(name))
            told = f"**{told}**" if name == self.decision.chosen else told
            lines.append(f"| {told} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *[f"- {each}" for each in self.sentences]]) + "\n"

    def console_table(self) -> Table:
        """The best on the screen, the reference among them, and the sentences."""
        told = "\n".join(self.sentences[: len(self.sentences) - len(self.untried)])
        table = Table(
            title=f"Choice by {self.choice.criterion.title}", caption=told, caption_justify="left"
        )
        table.add_column("variant", overflow="fold")
        for title in self.titles:
            table.add_column(title, justify="right", no_wrap=True)
        kept = {self.decision.chosen, self.decision.best, self.choice.reference}
        for place, (name, cells) in enumerate(self.rows):
            if place < SHOWN or name in kept:
                style = "bold" if name == self.decision.chosen else ""
                mark = "* " if style else ""
                table.add_row(Text(f"{mark}{shown(name)}"), *cells, style=style)
        return table

    def write_json(self, path: Path) -> None:
        """Everything as numbers, as a whole or not at all."""
        made = self.decision
        content: dict[str, Any] = {
            "chosen": made.chosen,
            "best": made.best,
            "reference": self.choice.reference,
            "criterion": self.choice.criterion.title,
            "price": self.choice.price,
            **({"evaluated": self.part} if self.part else {}),
            **({"left_out": dict(self.lost)} if self.lost else {}),
            "halves": made.fitted.of_halves,
            "expected": self._expected(made.fitted),
            "expected_of_reference": self._expected(self._reference_of_halves),
            "difference": _number(made.change),
            "standard_error": _number(made.error),
            "verdict": made.verdict,
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
            self._precision(sample.measures),
            "" if name == self.choice.reference else change,
        ]

    def _precision(self, measures: Mapping[str, float]) -> str:
        groups = [measures[group.measure.name] for group in self._grouping.present]
        return f"{_percent(measures['AP'])} ({' / '.join(map(_percent, groups))})"

    def _told_of(self, fitted: CrossFitted) -> str:
        title, value = self.choice.criterion.title, _percent(fitted.value)
        return f"{title} {value}, AP {self._precision(fitted.measures)}"

    def _expected(self, fitted: CrossFitted) -> dict[str, Any]:
        return {"value": fitted.value, "groups": fitted.of_groups, "measures": fitted.measures}

    def _numbers(self, sample: Sample) -> dict[str, Any]:
        return {
            "value": self.choice.criterion.value(sample),
            "groups": self.choice.criterion.of_groups(sample),
            "right_label": sample.right_labels.share(),
            "calibration_error": {
                key: each.error if each.error >= 0 else None
                for key, each in sample.reliabilities.items()
            },
            "measures": dict(sample.measures),
        }


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value >= 0 else "–"


def _number(value: float) -> float | None:
    """What JSON has no word for is null."""
    return None if math.isnan(value) else value


def _change(change: float, error: float) -> str:
    if math.isnan(change):
        return "–"
    return f"{100 * change:+.1f} ± {100 * error:.1f}"
