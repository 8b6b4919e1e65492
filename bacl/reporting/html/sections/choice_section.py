"""Which head was chosen, what may be expected of it, and what the others have."""

import json
from typing import Any

from bacl.reporting.head_rows import Cell
from bacl.reporting.html.markup import element, joined
from bacl.reporting.html.percent_table import percent_table
from bacl.reporting.html.section import Content, LeftOut, Section, Source


def make(source: Source) -> Content:
    """From choice.json, which a run with balance=auto writes."""
    try:
        found = json.loads(source.file("choice.json").read_bytes())
    except LeftOut:
        raise LeftOut("no head was chosen; balance=auto does") from None
    variants = sorted(found["variants"].items(), key=lambda each: -each[1]["value"])
    keys = list(variants[0][1]["groups"])
    title = found["criterion"]
    table = percent_table(
        "All that could be chosen, the best first",
        [title, *(f"{title}, {key}" for key in keys), "AP"],
        [(name, _cells(each, keys)) for name, each in variants],
    )
    return Content(joined([element("p", _told(found), class_="lead"), table]))


def _told(found: dict[str, Any]) -> str:
    change, error = found["difference"], found["standard_error"]
    expected = f"{100 * found['expected']['value']:.1f}"
    sure = "" if change is None else f", {100 * change:+.1f} ± {100 * error:.1f}"
    return (
        f"Chosen: {found['chosen']}. Expected of it: {found['criterion']} {expected}{sure} "
        f"over the reference {found['reference']}: {found['verdict']}."
    )


def _cells(variant: dict[str, Any], keys: list[str]) -> list[Cell]:
    values = [variant["value"], *(variant["groups"][key] for key in keys)]
    values.append(variant["measures"].get("AP", -1))
    return [Cell(f"{100 * value:.1f}" if value >= 0 else "–") for value in values]


SECTION = Section("choice", "The chosen head", make)
