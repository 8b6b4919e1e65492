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
    for text in arguments:
        key, equals, _ = text.partition("=")
        if equals and key.startswith("-") and key not in FLAGS:
            raise SystemExit(f"{text}: options have no dashes: {text.lstrip('-')}")
    # No experiment or sweep is chosen by default, so Hydra wants the plus; both are welcome.
    chosen = ("experiment=", "sweep=")
    given = [f"+{text}" if text.startswith(chosen) else text for text in arguments]
    # `augment` is the group of what a stage is given; the word for both stages is another one.
    given = [WORD.sub("augmentation=", text) for text in given]
    # Several sweeps are one multirun of all their rows, not a multirun over sweeps.
    given = [SEVERAL.sub(r"+sweep=[\1]", text) for text in given]
    for text in filter(is_override, given):
        require_understood(text)
    sweeps = any(text.startswith("+sweep=") for text in given)
    keyed = [text.lstrip("+") for text in given]
    jobs = [text.removeprefix("job=") for text in keyed if text.startswith("job=")]
    if jobs[-1:] == ["rebalance"] and not any(text.startswith("experiment=") for text in keyed):
        given = ["+experiment=rebalance", *given]  # what it trains on is said there
    if sweeps and "report" not in jobs[-1:]:
        # The sweep's file says how it is launched.
        return ["--multirun", *[text for text in given if text not in MULTIRUN]]
    if MULTIRUN & set(given):
        check_multirun([text for text in given if is_override(text)])
        # Hydra wants it before all overrides.
        given = ["--multirun", *[text for text in given if text not in MULTIRUN]]
        if any(text.startswith("hydra/launcher=") for text in given):
            return given
        return [*given, "hydra/launcher=process"]
    if check_command(given) and "--cfg" in given and "--resolve" not in given:
        given.append("--resolve")  # what the data decide is shown, not how it is found
    return given if {*jobs[-1:]} <= TRAINING else [*given, *LEAVES_NOTHING]
