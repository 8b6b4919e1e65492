"""The command line with what goes without saying."""

import re
from collections.abc import Sequence

from bacl.command.check import check_command, is_override
from bacl.command.explained import require_understood
from bacl.command.known_jobs import TRAINING
from bacl.command.multirun import check_multirun
from bacl.command.overview import overview

MULTIRUN = {"-m", "--multirun"}
SEVERAL = re.compile(r"^\+sweep=([^\[,]+,.*)$")
WORD = re.compile(r"^augment=")
FLAGS = {
    *("--cfg", "--package", "-c", "-p", "--config-path", "--config-name", "--config-dir"),
    *("-cp", "-cn", "-cd", "--experimental-rerun", "--info", "-i"),
}
"""Hydra's, that have a value."""
LEAVES_NOTHING = ("hydra.output_subdir=null", "hydra/job_logging=stdout")
"""Hydra's record and log belong to a run; what only looks at one must not replace them."""


def completed(arguments: Sequence[str]) -> list[str]:
    """A command as Hydra wants it.

    Raises:
        SystemExit: an override does not fit; the text names the mend. Or help was all that was
            asked for: Hydra would list the groups first, which takes seconds.
    """
    if {"--help", "-h"} & set(arguments):
        print(overview())
        raise SystemExit
    _refuse_dashes(arguments)
    given = [_with_its_signs(text) for text in arguments]
    for text in filter(is_override, given):
        require_understood(text)
    job = _job(given)
    if job == "rebalance" and not any(text.lstrip("+").startswith("experiment=") for text in given):
        given = ["+experiment=rebalance", *given]  # what it trains on is said there
    if job != "report" and any(text.startswith("+sweep=") for text in given):
        return _as_multirun(given)  # the sweep's file says how it is launched
    if MULTIRUN & set(given):
        check_multirun([text for text in given if is_override(text)])
        launched = any(text.startswith("hydra/launcher=") for text in given)
        return [*_as_multirun(given), *([] if launched else ["hydra/launcher=process"])]
    if job is not None and job not in TRAINING:
        given = _with_overrides(given, LEAVES_NOTHING)
    if check_command(given) and "--cfg" in given and "--resolve" not in given:
        given.append("--resolve")  # what the data decide is shown, not how it is found
    return given


def _refuse_dashes(arguments: Sequence[str]) -> None:
    for text in arguments:
        key, equals, _ = text.partition("=")
        if equals and key.startswith("-") and key not in FLAGS:
            raise SystemExit(f"{text}: options have no dashes: {text.lstrip('-')}")


def _with_its_signs(text: str) -> str:
    """An argument with the signs that Hydra wants, as a user may leave them out."""
    # No experiment or sweep is chosen by default, so Hydra wants the plus; both are welcome.
    plus = "+" if text.startswith(("experiment=", "sweep=")) else ""
    # `augment` is the group of what a stage is given; the word for both stages is another one.
    named = WORD.sub("augmentation=", plus + text)
    # Several sweeps are one multirun of all their rows, not a multirun over sweeps.
    return SEVERAL.sub(r"+sweep=[\1]", named)


def _job(given: Sequence[str]) -> str | None:
    """The job that is asked for, the last one where there are several."""
    jobs = [text.lstrip("+") for text in given if text.lstrip("+").startswith("job=")]
    return jobs[-1].removeprefix("job=") if jobs else None


def _with_overrides(given: Sequence[str], more: Sequence[str]) -> list[str]:
    """With `more` behind the last override: Hydra takes overrides in one piece, no flag between."""
    last = max(place for place, text in enumerate(given) if is_override(text))
    return [*given[: last + 1], *more, *given[last + 1 :]]


def _as_multirun(given: Sequence[str]) -> list[str]:
    """With Hydra's word for it before all overrides, where it has to stand."""
    return ["--multirun", *[text for text in given if text not in MULTIRUN]]
