"""A preset for the data, as overrides with their reasons: rules of thumb on what was counted.

The rules are our choice. Where what is configured does as well, it is kept.
"""

import shlex
from collections.abc import Sequence

from bacl.inspection.advice import Advice, Setting
from bacl.inspection.advised_scale import anchor_advice, scale_advice
from bacl.inspection.advised_training import (
    balance_advice,
    batch_advice,
    hallucination_advice,
    sampler_advice,
    schedule_advice,
)
from bacl.inspection.inspected import Inspected


def preset(data: Inspected, setting: Setting) -> list[Advice]:
    """What to set for these data, part by part."""
    scale, side = scale_advice(data)
    batch, size = batch_advice(data, setting, side)
    return [
        scale,
        anchor_advice(data, setting, side),
        batch,
        schedule_advice(data, setting, size),
        sampler_advice(data, setting),
        balance_advice(data, setting),
        hallucination_advice(data, setting, size),
    ]


def with_preset(overrides: Sequence[str], advice: Sequence[Advice]) -> list[str]:
    """Those of the inspection's command, with the preset in the place of what it changes.

    Args:
        overrides: of the inspection's command.
        advice: the preset.
    """
    new = [override for each in advice for override in each.overrides]
    changed = {_key(override) for override in new} | {"job"}
    kept = [
        override
        for override in overrides
        if _key(override) not in changed and not _key(override).startswith("inspection.")
    ]
    return [*kept, *new]


def command(overrides: Sequence[str]) -> str:
    """The command to paste, of these overrides."""
    return " ".join(["python run.py", *map(shlex.quote, overrides)])


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
