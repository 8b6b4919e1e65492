"""What job=data found in the data, where it was run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bacl.messages.shown import shown
from bacl.reporting.html.markup import Markup, element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source

LAYOUT = 1
"""Of data.json."""
PLACES = 3
"""That are told of a finding; data.json names more."""
SPLITS = {"train": "training", "val": "validation", "both": "both"}


def make(source: Source) -> Content:
    """From data/data.json of the run."""
    try:
        found = json.loads(source.file("data/data.json").read_bytes())
    except LeftOut:
        raise LeftOut("the data were not looked at; job=data does") from None
    if found.get("layout") != LAYOUT:
        raise LeftOut("data.json is of another version; job=data writes it anew")
    findings = sorted(found["findings"], key=lambda each: _SEVERITIES.index(each["severity"]))
    told = _findings(findings) if findings else element("p", "Nothing was found to be wrong.")
    parts = [_splits(found), element("h3", "Findings"), told, *_preset(found["preset"])]
    return Content(joined(parts))


_SEVERITIES = ("error", "warning", "note")


def _splits(found: Mapping[str, Any]) -> Markup:
    rows = []
    for key, title in (("train", "training"), ("val", "validation")):
        split = found["splits"][key]
        fields = ("images", "images_used", "annotations_in_file", "objects_used")
        rows.append([title, *(f"{split[field]:,}" for field in fields)])
    titles = ["split", "images", "used", "annotations", "used"]
    return _table(titles, rows, numbers=4)


def _findings(findings: Sequence[Mapping[str, Any]]) -> Markup:
    titles = ["severity", "split", "count", "what was found", "what follows, and the mend"]
    rows = [
        [
            each["severity"],
            SPLITS.get(each["split"], each["split"]),
            f"{each['count']:,}",
            joined([each["what"], *_places(each)]),
            f"{each['follows']} {each['mend']}".strip(),
        ]
        for each in findings
    ]
    return _table(titles, rows)


def _places(finding: Mapping[str, Any]) -> list[Markup]:
    named = [shown(name) for name in finding["names"][:PLACES]]
    files = [
        " and ".join(shown(place["file_name"]) for place in together if place.get("file_name"))
        for together in finding["places"][:PLACES]
    ]
    told = [*named, *filter(None, files)]
    more = "…" if finding["count"] > PLACES else ""
    return [element("span", f"{', '.join(told)}{more}", class_="change")] if told else []


def _preset(preset: Mapping[str, Any]) -> list[Markup]:
    command = element("pre", element("code", preset["command"]), class_="command", tabindex="0")
    rows = [
        [part["part"], shown(part["overrides"] or "–", 200), part["reason"]]
        for part in preset["parts"]
    ]
    return [
        element("h3", "A suggested command"),
        command,
        _table(["part", "overrides", "because"], rows),
    ]


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]], numbers: int = 0) -> Markup:
    """A table of texts, the last `numbers` columns of numbers."""
    styles = ["text"] * (len(titles) - numbers) + ["number"] * numbers
    head = [
        element("th", title, scope="col", class_=style)
        for title, style in zip(titles, styles, strict=True)
    ]
    body = [
        element(
            "tr",
            *(element("td", cell, class_=style) for cell, style in zip(row, styles, strict=True)),
        )
        for row in rows
    ]
    table = element("table", element("thead", element("tr", *head)), element("tbody", *body))
    return element("div", table, class_="scrolled", tabindex="0", role="region", aria_label="table")


SECTION = Section("data", "Data", make)
