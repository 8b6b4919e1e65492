"""What a command says of a finished model: what goes with it, and what nothing would go by."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Never

from omegaconf import DictConfig

from bacl.assembly.stored import CALIBRATION
from bacl.files.kinds import CALIBRATED
from bacl.files.plain_values import select
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


def refuse_gathering(overrides: Sequence[str], config: Mapping[str, Any], path: Path) -> Never:
    """Tell of calibrations that are yet to observe training images, where there are none.

    Args:
        overrides: of the command.
        config: of the checkpoint.
        path: of the checkpoint.

    Raises:
        OptionError: with the command that lets them gather.
    """
    chosen = [text for text in overrides if key_of(text).split(".")[0] == CALIBRATION]
    typed = " ".join(map(shlex.quote, (f"checkpoint={path}", *chosen)))
    raise OptionError(
        f"{' '.join(chosen) or path}: calibrates by what it gathers of training images, which "
        f"{path} has not. Type: python run.py job=test {typed} {naming_data(config)}; it leaves "
        f"{CALIBRATED} beside its results: give that one as checkpoint=…, without calibration=…"
    )


def naming_data(config: Mapping[str, Any]) -> str:
    """Options of a command, as they are typed, that name the data of a checkpoint's configuration.

    What the checkpoint does not say in a way that can be typed is left to be filled in.
    """
    typed = ["data=custom"]
    for option in ("train.annotations", "train.images", "val.annotations", "val.images"):
        place = select(config, f"data.{option}")
        known = isinstance(place, str) and place.isprintable()
        typed.append(shlex.quote(f"data.{option}={place}") if known else f"data.{option}=…")
    return " ".join(typed)


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
