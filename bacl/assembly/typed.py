"""What a command says of a finished model: what goes with it, and what nothing would go by."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from omegaconf import DictConfig

from bacl.messages.errors import OptionError
from bacl.options.composed import flat, plain
from bacl.options.marked import is_of_training

_REFERENCE = re.compile(r"\$\{(\.*)([\w.]+)\}")
_COUNTS = re.compile(r"(.*\.)?calibration\.statistics(\..*)?")


def key_of(override: str) -> str:
    """Path of the node that an override sets; for a group without one of its own, its name.

    >>> key_of("+sampler@stages.classifier.sampler=class_aware"), key_of("masks=false")
    ('stages.classifier.sampler', 'masks')
    """
    choice = override.split("=")[0].lstrip("+~")
    return choice.rpartition("@")[2]


def referring(values: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Paths of the options that stand for others, or for others that do, within or around these.

    What stands for something that says how stages train is left out: a finished one has its own.

    Args:
        values: of a configuration, interpolations not resolved.
        keys: paths of nodes.

    >>> referring({"masks": True, "metric": {"masks": "${masks}"}, "seed": 1}, ["masks"])
    ['metric.masks']
    """
    references = {path: set(_references(path, value)) for path, value in flat(values).items()}
    known, found = set(keys), list[str]()
    while more := [
        path
        for path, targets in references.items()
        if path not in known and any(_meet(target, key) for target in targets for key in known)
    ]:
        known |= set(more)
        found += more
    return found


def require_used(overrides: Sequence[str], described: DictConfig, path: Path) -> None:
    """Refuse what nothing that is done with a finished stage goes by.

    Args:
        overrides: of the command.
        described: configuration of the model, with what they say.
        path: of the checkpoint.

    Raises:
        OptionError: names the override and the mend.
    """
    gathers = any(_gathers(node) for node in _calibrations(plain(described)))
    for text in overrides:
        if _COUNTS.fullmatch(key_of(text)):
            raise OptionError(
                f"{text}: a finished stage is calibrated by the counts that {path} was trained "
                "with; leave it out"
            )
        if is_of_training(key_of(text), gathers):
            raise OptionError(
                f"{text}: says how stages train, and those of {path} are trained; leave it out, "
                "describe the model with +experiment=…, or calibrate its scores with calibration=…"
            )


def _references(path: str, value: Any) -> Iterator[str]:
    for dots, name in _REFERENCE.findall(value) if isinstance(value, str) else ():
        parents = path.split(".")[: -len(dots)] if dots else []
        target = ".".join([*parents, name])
        if not is_of_training(target, gathers=True):
            yield target


def _meet(one: str, other: str) -> bool:
    """Whether a node is another, lies in it or around it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _calibrations(described: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    heads = [head for stage in described["stages"].values() for head in stage["heads"].values()]
    for node in (described, *heads):
        if isinstance(node.get("calibration"), Mapping):
            yield node["calibration"]


def _gathers(node: Mapping[str, Any]) -> bool:
    return bool(resolve_name(node["_target_"]).gathers)
