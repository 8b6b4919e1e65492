"""Values of options that cannot be meant: told before any work, wherever they would be read."""

from collections.abc import Iterator
from math import inf
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bacl.jobs.configuration import flat

RANGES: dict[str, tuple[type, float, float]] = {
    "seed": (int, 0, 2**32 - 1),  # NumPy's generators take no larger one
    "datamodule.batch_size": (int, 1, inf),
    "datamodule.val_batch_size": (int, 1, inf),
    "datamodule.num_workers": (int, 0, inf),
    "datamodule.min_side": (int, 1, inf),
    "datamodule.max_pixels": (int, 1, inf),
    "trainer.log_every_n_steps": (int, 1, inf),
    "trainer.accumulate_grad_batches": (int, 1, inf),
    "trainer.check_val_every_n_epoch": (int, 1, inf),
    "report.images": (int, 1, inf),
    "report.score_threshold": (float, 0, 1),
    "checkpoint_every_minutes": (float, 0, 525_600),  # a year
}
"""Numbers: kind, least and most."""
PARTS = ("trainer.limit_train_batches", "trainer.limit_val_batches")
"""Shares or numbers of batches; without any, a run would end as done with nothing learnt or an AP
of 0."""
MAY_BE_NULL = {"report.score_threshold"}
WORDS_TOO = {"trainer.devices", "trainer.num_nodes", "trainer.deterministic"}
"""Options that take a number or a switch, or a word in its place."""


def out_of_range(config: DictConfig) -> Iterator[str]:
    """One line for each number that is too small or too large, or is none."""
    for option in PARTS:
        value = OmegaConf.select(config, option)
        if isinstance(value, int | float) and value <= 0:
            yield f"{option}={value}: expected a number above 0, or null for all batches"
    for option, (kind, least, most) in RANGES.items():
        value = OmegaConf.select(config, option)
        if value is None and option in MAY_BE_NULL:
            continue
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            called = "whole number" if kind is int else "number"
            upper = f" and at most {most}" if most < inf else ""
            yield f"{option}={value}: expected a {called} of at least {least}{upper}"


def of_other_kinds(before: DictConfig, after: DictConfig) -> Iterator[str]:
    """One line for each option that was a number or a switch and has become something else.

    Args:
        before: the configuration without the options that the command sets.
        after: with them.
    """
    values, earlier = _flat(after), _flat(before)
    for option in sorted(set(values) & set(earlier) - WORDS_TOO):
        value, default = values[option], earlier[option]
        if value is None or (isinstance(value, str) and "${" in value):
            continue
        if isinstance(default, bool):
            if not isinstance(value, bool):
                yield f"{option}={value}: expected true or false"
        elif isinstance(default, int | float) and (
            not isinstance(value, int | float) or isinstance(value, bool)
        ):
            yield f"{option}={value}: expected a number, such as {default}"


def _flat(config: DictConfig) -> dict[str, Any]:
    return flat(OmegaConf.to_container(config))
