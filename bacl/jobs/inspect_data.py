"""job=data: what is to be known of data before a training, and what the training will take."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import rich
from omegaconf import DictConfig, open_dict
from rich.console import RenderableType
from rich.text import Text

from bacl.assembly.advised import advised
from bacl.assembly.build import chosen_stages
from bacl.assembly.inspection import inspect, setting
from bacl.assembly.restored import command_overrides
from bacl.assembly.trainer import prepare_process
from bacl.files.atomic import remove
from bacl.inspection.checks import findings
from bacl.inspection.inspected import Inspected
from bacl.inspection.preset import command, preset, with_preset
from bacl.inspection.unusable_pictures import LIST, unusable_names
from bacl.messages.errors import UserError, in_one_line
from bacl.messages.shown import shown
from bacl.reporting.inspection_console import console_parts
from bacl.reporting.inspection_figures import draw_inspection
from bacl.reporting.inspection_lines import step_lines
from bacl.reporting.inspection_page import markdown
from bacl.reporting.inspection_report import InspectionReport
from bacl.runs.folder import environment, write_text
from bacl.runs.timed_steps import time_steps
from bacl.speed.step_times import StepTimes

_LOG = logging.getLogger(__name__)


def run(config: DictConfig, folder: Path) -> None:
    """Inspect the data, time some steps, and write data/data.md, data.json and figures.

    What was found is there before anything is timed.
    """
    prepare_process()
    data = inspect(config, pictures=config.inspection.pictures)
    advice = preset(data, setting(config))
    overrides = with_preset(command_overrides(), advice)
    report = InspectionReport(
        name=config.data.name,
        data=data,
        findings=findings(data),
        advice=advice,
        command=command(overrides),
        steps=[],
        untimed=[],
        examples=config.inspection.examples,
    )
    place = folder / "data"
    _list(place / LIST, unusable_names(data))
    drawn = draw_inspection(place / "figures", report)
    figures = [f"figures/{path.name}" for path in drawn]
    _show(console_parts(report))
    _write(place, report, figures)  # before what takes minutes, and may be ended
    steps, untimed = _time_stages(config, overrides, data)
    timed = replace(report, steps=steps, untimed=untimed)
    _show(Text(shown(line, 300)) for line in step_lines(timed))
    _write(place, timed, figures)
    print(f"{report.headline}; written to {place}")


def _show(parts: Iterable[RenderableType]) -> None:
    for part in parts:
        # A command that is to be pasted has no line breaks of the terminal's.
        rich.get_console().print(part, soft_wrap=isinstance(part, Text))


def _write(place: Path, report: InspectionReport, figures: Sequence[str]) -> None:
    report.write_json(place / "data.json", environment=environment())
    write_text(place / "data.md", markdown(report, figures))


def _list(path: Path, names: list[str]) -> None:
    """Write names for `datamodule.leave_out`, or remove those of an earlier inspection."""
    remove(path)
    if names:
        try:
            write_text(path, "\n".join(names) + "\n")
        except UnicodeEncodeError as error:  # bytes that are no UTF-8 could not be read again
            _LOG.warning("%s: not written: %s", path, error)


def _time_stages(
    config: DictConfig, overrides: Sequence[str], data: Inspected
) -> tuple[list[StepTimes], list[str]]:
    """What the steps of each stage take with the preset; and why others were not timed.

    Pictures that cannot be used are left out.
    """
    count, bad = config.inspection.steps, unusable_names(data)
    if not count:
        return [], ["nothing was timed (inspection.steps=0)"]
    try:
        config = advised(config, overrides).copy()
    except UserError as error:
        return [], [f"nothing was timed: {in_one_line(error)}"]
    if bad:
        with open_dict(config):
            config.datamodule.leave_out = [*sorted(data.train.selection.choice.leave_out), *bad]
    steps, untimed = [], []
    for name in chosen_stages(config):
        try:
            steps.append(time_steps(config, name, count))
        except UserError as error:
            untimed.append(f"{name}: not timed: {in_one_line(error)}")
    return steps, untimed
