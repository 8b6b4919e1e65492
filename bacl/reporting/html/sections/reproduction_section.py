"""How to have the same again: commands, commit, versions, data and configuration."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bacl.data.annotations.table import AnnotationTable
from bacl.messages.shown import shown
from bacl.reporting.html.markup import Markup, defined, element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source
from bacl.reporting.html.sweep_source import SweepSource


def make(source: Source) -> Content:
    """From environment.json and config.yaml of the run, and what this process runs on."""
    data = [element("h3", "Data"), defined(_data(source)), *_configuration(source)]
    return Content(joined([*_process(_starts(source)), *data]))


def make_of_tables(source: SweepSource) -> Content:
    """Of the command that put the tables together; the pages of the runs have theirs."""
    return Content(joined(_process([source.environment])))


def _process(starts: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Commands, and on what the last of them ran."""
    last = starts[-1]
    parts = [element("h3", "Commands"), *(_command(each) for each in starts)]
    parts += [element("h3", "Environment"), defined(_facts(last))]
    if changes := last.get("git_changes"):
        told = f"Files that differ from the commit: {', '.join(changes)}"
        parts.append(element("p", told, class_="note"))
    return parts


def _starts(source: Source) -> list[Mapping[str, Any]]:
    """Every start of the run, and this one where it is another command."""
    try:
        recorded = json.loads(source.file("environment.json").read_bytes())
    except LeftOut:
        recorded = []
    starts: list[Mapping[str, Any]] = [each for each in recorded if "command" in each]
    commands = [each["command"] for each in starts]
    return starts if source.environment["command"] in commands else [*starts, source.environment]


def _command(start: Mapping[str, Any]) -> Markup:
    name, *words = start["command"]
    text = shlex.join([*(("python", name) if name.endswith(".py") else (name,)), *words])
    return element("pre", element("code", text), class_="command", tabindex="0")


def _facts(start: Mapping[str, Any]) -> list[tuple[object, object]]:
    changed = " (with changes)" if start.get("git_changes") else ""
    facts: list[tuple[object, object]] = [
        ("commit", f"{start.get('git_commit', 'unknown')}{changed}"),
        ("Python", f"{start.get('python')} on {start.get('machine')}, {start.get('cpus')} CPUs"),
    ]
    packages = start.get("packages", {})
    return [*facts, *packages.items()]


def _data(source: Source) -> list[tuple[object, object]]:
    tables = {"training": source.data.train_table, "validation": source.data.val_table}
    return [(name, _described(table)) for name, table in tables.items()]


def _described(table: AnnotationTable) -> str:
    counts = f"{table.num_images:,} images, {table.num_annotations:,} annotations"
    return f"{shown(table.source, 200)}: {counts}"


def _configuration(source: Source) -> list[Markup]:
    try:
        text = source.file("config.yaml").read_text(encoding="utf-8")
    except LeftOut:
        return [element("p", "The checkpoint is of no run here: no config.yaml.", class_="note")]
    code = element("pre", element("code", text), tabindex="0")
    return [element("details", element("summary", "Configuration"), code)]


SECTION = Section("reproduction", "Reproduce", make)
OF_TABLES = Section("reproduction", "Reproduce", make_of_tables)
