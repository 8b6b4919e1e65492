"""Folders of runs as rows of tables."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bacl.evaluation.measures import Measure
from bacl.files.plain_values import read_overrides
from bacl.messages.errors import UserError
from bacl.reporting.ablation import Ablation, Row
from bacl.runs.naming import variant, variant_parts
from bacl.runs.outcome import FAILED, Outcome, read_outcome


def folder_of(runs: Path, overrides: Sequence[str]) -> Path:
    """The folder of a setting: the one of its name, or one of an earlier version's names."""
    named = runs / variant(overrides)
    parts = sorted(variant_parts(overrides))
    earlier = [] if named.exists() else _recorded(runs.glob("*[=~@]*/seed_*"))
    return next((path for path, own in earlier if sorted(own) == parts), named)


def first_heads(setting: Path, stage: str | None = None, **told: Any) -> Row:
    """A row of the first head of a setting's finished runs.

    Args:
        setting: see `finished`.
        stage: see `finished`.
        **told: what else the row has.
    """
    done, problems = finished(setting, stage)
    runs = {seed: end.measures for seed, end in done.items()}
    return Row(runs=runs, problems=problems, declared=declared(done), **told)


def declared(done: Mapping[int, Outcome]) -> list[Measure]:
    """What the results of finished runs are of."""
    return list(dict.fromkeys(measure for end in done.values() for measure in end.declared))


def finished(setting: Path, stage: str | None = None) -> tuple[dict[int, Outcome], dict[int, str]]:
    """A setting's finished runs by seed, and what is known of the others.

    Args:
        setting: folder of the runs of all seeds.
        stage: the last one of the runs that count; None takes whatever finished.
    """
    seeds = {path: _seed(path) for path in sorted(setting.glob("seed_*"))}
    ends = {seed: read_outcome(path, stage) for path, seed in seeds.items() if seed is not None}
    done = {seed: end for seed, end in ends.items() if end.status == "done" and not end.part}
    others = {
        seed: f"seed {seed} {end.status}" + f": {end.reason}" * bool(end.reason)
        for seed, end in ends.items()
        if end.status in ("failed", "unfinished")
    }
    others |= {
        seed: f"seed {seed} evaluated on {end.part}" for seed, end in ends.items() if end.part
    }
    return done, others if done or others else {-1: "not run"}


def every_run(runs: Path, name: str, reference: str | None = None) -> list[Ablation]:
    """All settings that have a run below `runs`, every head, named by what they do not share.

    Where each setting is `option=number` for one option, that option is the axis of one table per
    head; otherwise one table has all.

    Args:
        runs: folder of the runs.
        name: of the runs, for the title.
        reference: head that the others are compared with; None takes the first.

    Raises:
        UserError: there is none.
    """
    records = [path for file in ("config.yaml", FAILED) for path in runs.glob(f"*/seed_*/{file}")]
    begun = sorted({path.parent for path in records if _seed(path.parent) is not None})
    settings = {path: set(parts) for path, parts in _recorded(begun)}
    if not settings:
        raise UserError(f"{runs}: no run to report; train first, or name runs with name=…")
    common = set.intersection(*settings.values()) if len(settings) > 1 else set()
    labels = _distinct({path: ", ".join(sorted(own - common)) for path, own in settings.items()})
    axis = _common_number(labels)
    names = [label.rpartition("=")[2] for label in labels] if axis else labels
    heads = {label: _heads(path, reference) for label, path in zip(names, settings, strict=True)}
    title = f"Runs of {name}"
    different = list(dict.fromkeys(head for rows in heads.values() for head in rows if head))
    if axis and len(different) > 1:
        return [
            Ablation(f"runs_{head}", f"{title}: {head}", _rows_of_head(heads, head), axis)
            for head in different
        ]
    return [Ablation("runs", title, _rows(heads, len(different) > 1), axis)]


def _recorded(runs: Iterable[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Settings of runs, with the overrides that change the result."""
    for path in (run / ".hydra/overrides.yaml" for run in sorted(runs)):
        if path.exists():
            yield path.parents[2], variant_parts(read_overrides(path))


def _seed(run: Path) -> int | None:
    """Of a run's folder; None of a folder that somebody else has put there."""
    match = re.fullmatch(r"seed_(\d+)", run.name)
    return int(match[1]) if match else None


def _distinct(labels: Mapping[Path, str]) -> list[str]:
    """The settings' labels, with the folder where several have the same one."""
    several = Counter(labels.values())
    return [
        label if several[label] == 1 else f"{label or 'default'} ({path.name})"
        for path, label in labels.items()
    ]


def _heads(setting: Path, reference: str | None) -> dict[str, Row]:
    """A row without a name for every head of a setting, or for "" before a run has finished.

    The reference is the first one.
    """
    done, problems = finished(setting)
    found = dict.fromkeys(head for end in done.values() for head in end.results)
    heads = sorted(found, key=lambda head: head != reference) or [""]
    return {
        head: Row(
            "",
            {seed: end.results[head] for seed, end in done.items() if head in end.results},
            problems,
            declared=declared(done),
        )
        for head in heads
    }


def _rows_of_head(settings: Mapping[str, Mapping[str, Row]], head: str) -> list[Row]:
    """The settings' rows of one head, and those of settings without a finished run."""
    rows = {label: heads.get(head, heads.get("")) for label, heads in settings.items()}
    return [replace(row, name=label) for label, row in rows.items() if row is not None]


def _rows(settings: Mapping[str, Mapping[str, Row]], tell_heads: bool) -> list[Row]:
    """All rows; the default is the first head of the only setting or that which changes nothing."""
    rows = []
    for label, heads in settings.items():
        parts = [label or "default"] if len(settings) > 1 or not tell_heads else []
        first = not label or len(settings) == 1
        for position, (head, row) in enumerate(heads.items()):
            name = " · ".join([*parts, head] if tell_heads and head else parts)
            rows.append(replace(row, name=name, default=first and position == 0))
    return rows


def _common_number(labels: Sequence[str]) -> str | None:
    """The option that all labels set to a number, and nothing else; None if there is none."""
    matches = [re.fullmatch(r"([^=,]+)=(-?[0-9.]+(?:e-?[0-9]+)?)", label) for label in labels]
    options = {match[1] if match else None for match in matches}
    return options.pop() if len(options) == 1 and len(labels) > 1 else None
